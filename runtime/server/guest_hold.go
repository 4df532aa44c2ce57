package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"smpcc/runtime/control"
	"smpcc/runtime/guest"
	"smpcc/runtime/invite"
)

// Submissions of guests: a party holds its share of a ticket until the lead has heard from all parties that they hold theirs. Only then a session begins, so that a guest which
// leaves, or tells one party only, takes no place.

// A submission is a guest's share of one request at this party. It is guarded by the table's mutex.
type submission struct {
	d      *deployment
	ticket string
	from   *invite.Invitation
	sum    [sha256.Size]byte // of what was given
	words  [][]uint64
	bytes  int64
	begun  bool
	ended  bool
	over   chan struct{} // closed when it has ended
	kept   map[string][]uint64
	job    uint64
	err    error
	timer  *time.Timer
}

// submissions are those of all plans at a host.
type submissions struct {
	mu    sync.Mutex
	held  map[string]*submission
	bytes int64
	heard map[string]*hearing // lead only: who holds shares of a ticket
	count sync.Mutex          // of invitations in the ledger
}

// A hearing is what the lead has heard of a ticket.
type hearing struct {
	parties map[string]bool
	timer   *time.Timer
}

// errBusy is the refusal of a submission for which there is no place now.
var errBusy = errors.New("too many requests wait here; try again in a minute")

// errOther is the refusal of another share under a ticket that has one.
var errOther = errors.New("another share has come with this ticket; make a new request")

// errAlone ends a submission of whose other shares nothing was heard.
var errAlone = errors.New("not all parties have received their share in time; try again")

// ticketKey tells tickets of several plans apart.
func ticketKey(d *deployment, ticket string) string { return d.planHex() + " " + ticket }

// most is how many submissions a host holds, and their bytes.
func (s *Server) mostHeld() (int, int64) { return 8*s.cfg.Limits.Sessions + 64, s.cfg.memory / 4 }

// admit takes a submission, or returns the one that has come before with the same share.
func (s *Server) admit(x *submission) (*submission, error) {
	t := &s.submissions
	t.mu.Lock()
	defer t.mu.Unlock()
	if was := t.held[ticketKey(x.d, x.ticket)]; was != nil {
		if was.sum != x.sum || was.from.ID != x.from.ID {
			return nil, errOther
		}
		return was, nil
	}
	if n, bytes := s.mostHeld(); len(t.held) >= n || t.bytes+x.bytes > bytes {
		return nil, errBusy
	}
	if t.held == nil {
		t.held, t.heard = map[string]*submission{}, map[string]*hearing{}
	}
	x.over = make(chan struct{})
	t.held[ticketKey(x.d, x.ticket)] = x
	t.bytes += x.bytes
	x.timer = time.AfterFunc(s.cfg.Guests.hold, func() { s.giveBackShare(x, errAlone) })
	return x, nil
}

// giveBackShare ends a submission that no session has taken.
func (s *Server) giveBackShare(x *submission, why error) {
	t := &s.submissions
	t.mu.Lock()
	defer t.mu.Unlock()
	if !x.begun && !x.ended {
		s.endLocked(x, nil, why)
	}
}

// endLocked ends a submission; its answer is kept for retries. The table's mutex is held.
func (s *Server) endLocked(x *submission, kept map[string][]uint64, why error) {
	t := &s.submissions
	for _, w := range x.words {
		clear(w)
	}
	x.words, x.kept, x.err, x.ended = nil, kept, why, true
	t.bytes -= x.bytes
	x.bytes = 0
	close(x.over)
	x.timer.Stop()
	key, after := ticketKey(x.d, x.ticket), min(s.cfg.results, handedAgain)
	if why != nil && !x.begun { // nothing has happened: the guest may try again under the same ticket
		delete(t.held, key)
		return
	}
	x.timer = time.AfterFunc(after, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, w := range x.kept {
			clear(w)
		}
		if t.held[key] == x {
			delete(t.held, key)
		}
	})
}

// takeShare gives a session the share of its ticket.
func (s *deployment) takeShare(ticket string, session uint64) (*submission, error) {
	t := &s.submissions
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.held[ticketKey(s, ticket)]
	if x == nil || x.begun || x.ended {
		return nil, fmt.Errorf("%s holds no share of the ticket of session %d: the guest has left, or has not come here", s.name, session)
	}
	x.begun, x.job = true, session
	x.timer.Stop()
	return x, nil
}

// settle ends the submission of a session.
func (s *Server) settle(x *submission, kept map[string][]uint64, why error) {
	if x == nil {
		return
	}
	s.submissions.mu.Lock()
	defer s.submissions.mu.Unlock()
	if !x.ended {
		s.endLocked(x, kept, why)
	}
}

// inviteKey is where the runs of an invitation are counted in the ledger.
func inviteKey(id string) [32]byte { return sha256.Sum256([]byte("invitation " + id)) }

// invited returns an error if an invitation has been revoked here, or has no run left. It counts nothing.
func (s *Server) invited(v *invite.Invitation) error {
	list, err := invite.Revoked(s.cfg.State)
	if err != nil {
		return err
	}
	if list[v.ID] {
		return errors.New("the invitation was taken back")
	}
	used, err := s.ledger.Last(inviteKey(v.ID))
	if err != nil {
		return err
	}
	if used >= uint64(v.Runs) {
		return fmt.Errorf("the invitation was for %d runs, and all of them are used", v.Runs)
	}
	return nil
}

// countInvited counts a run of an invitation, which is on disk before anything of the run is sent.
func (s *Server) countInvited(v *invite.Invitation) error {
	s.submissions.count.Lock()
	defer s.submissions.count.Unlock()
	if err := s.invited(v); err != nil {
		return fmt.Errorf("%s%w", refusal, err)
	}
	key := inviteKey(v.ID)
	used, err := s.ledger.Last(key)
	if err != nil {
		return err
	}
	return s.ledger.Use(key, used+1)
}

// A heldRequest tells the lead that a party holds the share of a ticket, or the others that no session of it begins.
type heldRequest struct {
	Plan   string `json:"plan"`
	Ticket string `json:"ticket"`
	ID     string `json:"id,omitempty"` // of the invitation
	Why    string `json:"why,omitempty"`
}

// heldHandler hears, at the lead, that another party holds the share of a ticket.
func (s *deployment) heldHandler(_ context.Context, peer string, req []byte) ([]byte, error) {
	r, err := control.Decode[heldRequest](req)
	if err != nil {
		return nil, err
	}
	if err := guest.CheckTicket(r.Ticket); err != nil || len(r.Why) > 1024 || len(r.ID) > 64 {
		return nil, errors.New("malformed request")
	}
	index := -1
	for i, p := range s.plan.Manifest.Parties {
		if p == peer {
			index = i
		}
	}
	switch {
	case index < 0:
		return nil, fmt.Errorf("%q holds no shares of guests", peer)
	case r.Why != "" && index == 0: // the lead's word that it does not begin
		t := &s.submissions
		t.mu.Lock()
		x := t.held[ticketKey(s, r.Ticket)]
		t.mu.Unlock()
		if x != nil {
			s.giveBackShare(x, errors.New(r.Why))
		}
	case s.role != 0:
		return nil, fmt.Errorf("sessions are opened at %s", s.plan.Manifest.Parties[0])
	default:
		if err := s.hear(r.Ticket, r.ID, peer); err != nil {
			return nil, err
		}
	}
	return []byte("{}"), nil
}

// hear notes that a party holds the share of a ticket, and opens the session when all do.
func (s *deployment) hear(ticket, id, party string) error {
	t := &s.submissions
	key := ticketKey(s, ticket)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.heard == nil {
		t.held, t.heard = map[string]*submission{}, map[string]*hearing{}
	}
	h := t.heard[key]
	if h == nil {
		if n, _ := s.mostHeld(); len(t.heard) >= n {
			return errBusy
		}
		h = &hearing{parties: map[string]bool{}}
		h.timer = time.AfterFunc(s.cfg.Guests.hold, func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.heard[key] == h {
				delete(t.heard, key)
			}
		})
		t.heard[key] = h
	}
	h.parties[party] = true
	if len(h.parties) < s.plan.NumParties() {
		return nil
	}
	h.timer.Stop()
	delete(t.heard, key)
	if !s.aside(func() { s.openHeld(ticket, id) }) {
		return s.takes()
	}
	return nil
}

// openHeld opens the session of a ticket whose shares all parties hold.
func (s *deployment) openHeld(ticket, id string) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.queue+s.cfg.timeout)
	defer cancel()
	_, err := s.admitted(ctx, jobRequest{Opener: "guest " + id, Secret: rand.Text(), Guest: ticket})
	if err == nil {
		return
	}
	t := &s.submissions
	t.mu.Lock()
	x := t.held[ticketKey(s, ticket)]
	t.mu.Unlock()
	if x != nil {
		s.giveBackShare(x, err)
	}
	for _, party := range s.plan.Manifest.Parties[1:] {
		if err := s.say(ctx, party, heldRequest{Plan: s.planHex(), Ticket: ticket, Why: err.Error()[:min(len(err.Error()), 1024)]}); err != nil {
			s.log.Warn("a party could not be told that a guest's session does not begin", "peer", party, "error", err.Error())
		}
	}
}
