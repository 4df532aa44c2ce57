package server

import (
	"context"
	"fmt"

	"smpcc/backend/plan"
	"smpcc/runtime/control"
)

// input takes this party's inputs of a session from one of its clients.
func (s *deployment) input(_ context.Context, peer string, req []byte) ([]byte, error) {
	if !s.isClient(peer) {
		return nil, fmt.Errorf("%q may not give inputs of %s: it is not among its clients", peer, s.name)
	}
	defer clear(req)
	r, data, err := control.Unseal[control.InputHead](req)
	if err != nil {
		return nil, err
	}
	words, err := s.inputWords(data)
	if err != nil {
		return nil, err
	}
	if err := s.takes(); err != nil && !s.stopping() { // what has begun may end
		return nil, err
	}
	if r.Request != "" {
		if err := control.CheckRequest(r.Request); err != nil {
			return nil, err
		}
	}
	r.Ticket.Request = r.Request
	if err := s.give(peer, r.Ticket, data, words); err != nil {
		return nil, err
	}
	return []byte("{}"), nil
}

// inputWords unpacks this party's inputs, nil for those of others.
func (s *deployment) inputWords(data []byte) ([][]uint64, error) {
	if want := control.InputBytes(s.plan, s.name); len(data) != want {
		return nil, fmt.Errorf("the inputs of %s have %d bytes, want %d", s.name, len(data), want)
	}
	words := make([][]uint64, len(s.plan.Manifest.Inputs))
	for i, p := range s.plan.Manifest.Inputs {
		if p.Owner != s.name {
			continue
		}
		n := plan.PackedBytes(p.Len(), p.Bits)
		words[i] = make([]uint64, p.Len())
		plan.Unpack(words[i], data[:n], p.Bits)
		data = data[n:]
		for k, w := range words[i] { // a client's encoder refused it before; this one may not have been asked
			if err := p.CheckWord(k, w); err != nil {
				return nil, fmt.Errorf("input %q: %w", p.Name, err)
			}
		}
	}
	return words, nil
}

// result answers with this party's outputs once a session has ended.
func (s *deployment) result(ctx context.Context, peer string, req []byte) ([]byte, error) {
	if !s.isClient(peer) {
		return nil, fmt.Errorf("%q may not read outputs of %s: it is not among its clients", peer, s.name)
	}
	r, err := control.Decode[control.ResultRequest](req)
	if err != nil {
		return nil, err
	}
	r.Ticket.Request = r.Request
	j, err := s.mine(peer, r.Ticket)
	if err != nil {
		return nil, err
	}
	if err := s.awaitOver(ctx, j); err != nil {
		return nil, err
	}
	if j.err != nil {
		return nil, j.err
	}
	outputs, err := s.handOut(j, r.Ticket)
	if err != nil {
		return nil, err
	}
	head, data := control.ResultHead{Outputs: []int{}, Offline: j.offline, Online: j.online}, make([]byte, 0, control.OutputBytes(s.plan))
	s.mu.Lock()
	if s.model != nil {
		head.Setup = s.model.Stats
	}
	s.mu.Unlock()
	for i, p := range s.plan.Manifest.Outputs {
		if w, ok := outputs[p.Name]; ok {
			head.Outputs, data = append(head.Outputs, i), plan.Pack(data, w, 64)
			clear(w)
		}
	}
	return control.Seal(head, data)
}

// mine returns the session of a ticket whose half here is a client's. Where the party gives inputs, the client has given them first.
func (s *deployment) mine(peer string, t control.Ticket) (*job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.sessionOf(t)
	if err != nil {
		return nil, err
	}
	if j.owner == "" && s.ownsInputs() {
		return nil, fmt.Errorf("the part of %s in session %d belongs to nobody yet: give its inputs first", s.name, j.id)
	}
	return j, s.claim(j, peer, t.Request)
}
