package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"smpcc/runtime/control"
	"smpcc/runtime/engine"
	"smpcc/runtime/material"
)

// dealerStreams derives the streams of all parties.
func (s *deployment) dealerStreams(purpose string, id uint64) (out engine.Streams, err error) {
	out = make(engine.Streams, s.plan.NumParties())
	for i := range out {
		k := s.derive(purpose, id, i)
		out[i], err = material.NewStream(k)
		k.Clear()
		if err != nil {
			out.Clear()
			return nil, err
		}
	}
	return out, nil
}

// derive returns a party's key of a job. Each worker's dealer has a master key of its own; should it have been copied from
// another worker, keys still differ.
func (s *deployment) derive(purpose string, id uint64, party int) material.Key {
	if s.cfg.Worker > 0 {
		purpose += fmt.Sprintf(" worker %d", s.cfg.Worker)
	}
	return material.Derive(s.master, purpose, s.digest, id, party)
}

// streams returns the streams of this role and the transport of its offline phase: the dealer derives all streams, a party
// asks the dealer for its own, or has stored both.
func (s *deployment) streams(ctx context.Context, j *job, t engine.Transport) (engine.Streams, engine.Transport, error) {
	if s.role == s.plan.NumParties() {
		out, err := s.dealerStreams(j.purpose, j.id)
		return out, t, err
	}
	if j.stock > 0 {
		return s.takeStock(j)
	}
	data, err := s.fetchKeys(ctx, j)
	if err != nil {
		return nil, nil, err
	}
	k, err := material.KeyOf(data[0])
	clearAll(data)
	if err != nil {
		return nil, nil, err
	}
	defer k.Clear()
	out := make(engine.Streams, s.plan.NumParties())
	out[s.role], err = material.NewStream(k)
	return out, t, err
}

// fetchKeys asks the dealer for this party's keys of a job. The caller clears them.
func (s *deployment) fetchKeys(ctx context.Context, j *job) ([][]byte, error) {
	dealer := s.plan.Manifest.Dealer
	req, err := json.Marshal(jobRequest{Plan: s.planHex(), Purpose: j.purpose, ID: j.id})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.timeout)
	defer cancel()
	data, err := s.node.Call(ctx, dealer, s.cfg.Servers[dealer], "Key", req)
	if err != nil {
		return nil, fmt.Errorf("%s: asking for keys: %w", s.name, err)
	}
	keys, err := readKeys(data, max(1, j.count))
	if err != nil {
		return nil, fmt.Errorf("%s: asking for keys: %s %w", s.name, dealer, err)
	}
	return keys, nil
}

// awaitJob waits for a job to begin here: roles join side by side, and a party may be faster than its dealer.
func (s *deployment) awaitJob(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.timeout/2)
	defer cancel()
	for {
		s.mu.Lock()
		j, arrived := s.jobs[key], s.arrived
		s.mu.Unlock()
		if j != nil {
			return
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return
		case <-s.draining:
			return
		}
	}
}

// key gives a party its keys of a job: its own, once. The dealer's part of a job may be over by then: it sends nothing in
// setup.
func (s *deployment) key(ctx context.Context, peer string, req []byte) ([]byte, error) {
	i := slices.Index(s.plan.Manifest.Parties, peer)
	if s.role != s.plan.NumParties() || i < 0 {
		return nil, fmt.Errorf("%s has no key for %q", s.name, peer)
	}
	r, err := control.Decode[jobRequest](req)
	if err != nil {
		return nil, err
	}
	k := s.jobKey(r.Purpose, r.ID)
	s.awaitJob(ctx, k)
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[k]
	if j == nil || j.issued[peer] {
		return nil, fmt.Errorf("%s has no key of %.40q for %s any more", s.name, k, peer)
	}
	j.issued[peer] = true
	purpose, count := j.purpose, 1
	if purpose == "material" {
		purpose, count = "stock", j.count
	}
	var keys [][]byte
	for n := range uint64(count) {
		k := s.derive(purpose, j.id+n, i)
		keys = append(keys, k.Bytes())
		k.Clear()
	}
	return writeKeys(keys)
}
