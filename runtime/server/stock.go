package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/control"
	"smpcc/runtime/engine"
	"smpcc/runtime/material"
	"smpcc/runtime/message"
)

// Material made ahead: in a job of purpose "material" the dealer runs its offline program for sessions to come, and each
// party stores its key and the corrections that it gets. A session that uses stored material needs no dealer. The numbers of
// material rise as sessions' do; the ledger records a session's id and its material's number together, before the first
// opening.

// maxBatch is how many sessions one material job makes, so that what it has made can be used while the next job runs.
const maxBatch = 16

// maxGenerate bounds one request to generate.
const maxGenerate = 1 << 16

// incoming returns the bytes that come from each role in the exchanges of the offline phase, and their sum.
func (s *deployment) incoming() (rounds [][]int, total int) {
	rounds = engine.Incoming(s.plan, s.role, plan.Offline)
	for _, r := range rounds {
		for _, n := range r {
			total += n
		}
	}
	return rounds, total
}

// openStore opens the store for the current setup; the server's mutex is held.
func (s *deployment) openStore() error {
	if s.role == s.plan.NumParties() {
		return nil
	}
	_, total := s.incoming()
	st, err := material.OpenStore(s.files(), filepath.Join(s.cfg.State, materialFolder, planMark(s.digest)), s.digest, s.epoch, keyBytes+total, s.cfg.disk, s.cfg.expire)
	if err != nil {
		return fmt.Errorf("material: %w", err)
	}
	st.Elsewhere = s.otherMaterial
	s.store = st
	return st.DropTo(s.stocked.Floor())
}

// otherMaterial returns what material of other plans takes, which counts in the limit.
func (s *deployment) otherMaterial() int64 {
	mine, err := bytesOf(filepath.Join(s.cfg.State, materialFolder, planMark(s.digest)))
	if err != nil {
		return 0
	}
	return max(0, s.stateBytes("material")-mine)
}

// stock returns the store, nil before the first setup.
func (s *deployment) stock() *material.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store
}

// makeMaterial is the body of a material job.
func (s *deployment) makeMaterial(ctx context.Context, j *job, model *engine.Model, t engine.Streamer) error {
	if s.role == s.plan.NumParties() {
		rounds := s.plan.Programs[s.role].Offline
		for i := range uint64(j.count) {
			streams, err := s.dealerStreams("stock", j.id+i)
			if err != nil {
				return err
			}
			session, err := s.engine.Offline(ctx, &shifted{t, int(i) * len(rounds)}, model, streams)
			if err != nil {
				return fmt.Errorf("number %d: %w", j.id+i, err)
			}
			session.Discard()
		}
		return nil
	}
	keys, err := s.fetchKeys(ctx, j)
	if err != nil {
		return err
	}
	defer clearAll(keys)
	rounds, total := s.incoming()
	add, err := j.store.Add(j.id, j.count)
	if err != nil {
		return err
	}
	defer add.Discard()
	none := make([][]byte, len(s.plan.Programs))
	record := make([]byte, keyBytes+total)
	defer clear(record)
	for i := range j.count {
		record = append(record[:0], keys[i]...)
		for r, want := range rounds {
			sum := 0
			for _, n := range want {
				sum += n
			}
			if sum == 0 {
				continue
			}
			in, err := t.Exchange(ctx, plan.Offline, i*len(rounds)+r, none, want)
			if err != nil {
				return fmt.Errorf("number %d: %s: offline round %d: %w", j.id+uint64(i), s.name, r, err)
			}
			for _, msg := range in {
				record = append(record, msg...)
				clear(msg)
				message.Free(msg)
			}
		}
		if err := add.Put(record); err != nil {
			return err
		}
	}
	return add.Commit()
}

// shifted numbers the exchanges of several sessions on one transport.
type shifted struct {
	engine.Streamer
	by int
}

// Exchange implements engine.Transport.
func (t *shifted) Exchange(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) ([][]byte, error) {
	return t.Streamer.Exchange(ctx, ph, round+t.by, out, want)
}

// Start implements engine.Streamer.
func (t *shifted) Start(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) engine.Flow {
	return t.Streamer.Start(ctx, ph, round+t.by, out, want)
}

// stored is the transport of an offline phase whose messages came earlier. It hands over copies, as an engine gives what it has read to messages to
// come, and clears what it has handed over.
type stored struct{ left []byte }

// Exchange implements engine.Transport.
func (t *stored) Exchange(_ context.Context, _ plan.Phase, _ int, out [][]byte, want []int) ([][]byte, error) {
	in := make([][]byte, len(want))
	for from, n := range want {
		if len(out[from]) > 0 || n > len(t.left) {
			return nil, errors.New("stored material does not fit the plan")
		}
		if n == 0 {
			continue
		}
		in[from] = message.New(n)
		copy(in[from], t.left)
		clear(t.left[:n])
		t.left = t.left[n:]
	}
	return in, nil
}

// takeStock returns the streams and the offline messages of a session whose material was stored.
func (s *deployment) takeStock(j *job) (engine.Streams, engine.Transport, error) {
	k, err := material.KeyOf(j.record[:keyBytes])
	if err != nil {
		return nil, nil, err
	}
	defer k.Clear()
	streams := make(engine.Streams, s.plan.NumParties())
	streams[s.role], err = material.NewStream(k)
	return streams, &stored{j.record[keyBytes:]}, err
}

// generate makes material for n more sessions; the lead calls it.
func (s *deployment) generate(ctx context.Context, n int) error {
	s.dealing.Lock()
	defer s.dealing.Unlock()
	for n > 0 {
		epoch, err := s.ready(ctx)
		if err != nil {
			return err
		}
		batch := min(n, maxBatch)
		if err := s.stock().Room(batch); err != nil {
			return err
		}
		last, err := s.ledger.Last(s.ledgerKey("material"))
		if err != nil {
			return err
		}
		r := jobRequest{Plan: s.planHex(), Purpose: "material", ID: last + 1, Epoch: epoch, Count: batch}
		s.setMaking(r.ID)
		err = s.start(ctx, r, func() error { return s.ledger.Use(s.ledgerKey("material"), r.last()) })
		if err == nil {
			err = s.await(ctx, r)
		}
		if err != nil && !needs(err, needSetup) {
			err = errors.Join(err, s.stock().DropSegment(r.ID)) // another party may lack it
		}
		s.setMaking(0)
		if needs(err, needSetup) {
			s.forgetSetup(epoch)
			continue
		} else if err != nil {
			return err
		}
		n -= batch
	}
	return nil
}

// refill keeps the store between its marks while the server runs.
func (s *deployment) refill() {
	low, high := s.cfg.Material.Low, s.cfg.Material.High
	if s.role != 0 || low == 0 {
		return
	}
	pause := time.Second
	for {
		select {
		case <-s.draining:
			return
		case <-s.used:
		case <-time.After(pause):
		}
		pause = time.Minute
		have := 0
		if st := s.stock(); st != nil {
			if err := st.Expire(); err != nil {
				s.log.Warn("material cannot be deleted", "error", err.Error())
			}
			have = s.stockNow().Sessions
		}
		if have >= low {
			continue
		}
		if err := s.generate(s.ctx, high-have); err != nil {
			if s.stopping() {
				return
			}
			s.log.Warn("material could not be made; sessions are dealt as they run", "have", have, "error", err.Error())
			pause = 5 * time.Second
			select { // sessions must not make it try without a pause
			case <-s.draining:
				return
			case <-time.After(pause):
			}
		}
	}
}

// stockNow counts the material that is left.
func (s *deployment) stockNow() control.Stock {
	st := s.stock()
	if st == nil {
		return control.Stock{Limit: s.cfg.disk}
	}
	return control.Stock(st.StockOf(s.stocked.Floor(), s.stocked.Free))
}

// generateHandler makes material at the word of an operator or client.
func (s *deployment) generateHandler(ctx context.Context, peer string, req []byte) ([]byte, error) {
	if !s.mayOrder(peer) {
		return nil, fmt.Errorf("%q may not have material made: it is neither %s nor in material_clients of its configuration", peer, s.name)
	}
	if s.role != 0 {
		return nil, fmt.Errorf("material is made at the word of %s", s.plan.Manifest.Parties[0])
	}
	r, err := control.Decode[control.GenerateRequest](req)
	if err != nil {
		return nil, err
	}
	if r.Sessions <= 0 || r.Sessions > maxGenerate {
		return nil, fmt.Errorf("material for %d sessions; want 1..%d", r.Sessions, maxGenerate)
	}
	if err := s.generate(ctx, r.Sessions); err != nil {
		return nil, err
	}
	return json.Marshal(s.stockNow())
}

// stockHandler tells how much material is stored here.
func (s *deployment) stockHandler(_ context.Context, peer string, _ []byte) ([]byte, error) {
	if !s.isKnown(peer) {
		return nil, fmt.Errorf("%q is neither a role of the plan nor a client of %s", peer, s.name)
	}
	return json.Marshal(s.stockNow())
}
