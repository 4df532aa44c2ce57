package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/control"
)

// A half is what a party's clients see of a session: it belongs to one certificate, takes inputs once and gives outputs once. It is guarded by the server's
// mutex.
type half struct {
	secret  string
	opener  string // the client that opened the session
	expects bool   // the opener gives this party's inputs
	orphan  bool   // the opener gives no party's inputs
	owner   string // the certificate that it belongs to; "" as long as nobody has claimed it
	request string // the owner's name of it
	inputs  chan [][]uint64
	given   [sha256.Size]byte // of the inputs, once they have come
	has     bool              // they have
	gone    chan struct{}     // closed when the opener has left before its inputs came
	left    bool
	handed  bool        // outputs have been given
	dropped bool        // and are not here any more
	loose   bool        // the job is forgotten with its outputs
	holder  string      // the client for which they are kept
	expiry  *time.Timer // of the outputs
}

// newHalf returns the half at this role of a session that begins.
func (s *deployment) newHalf(r jobRequest) half {
	h := half{secret: r.Secret, opener: r.Opener, inputs: make(chan [][]uint64, 1), gone: make(chan struct{})}
	h.orphan = !slices.ContainsFunc(s.plan.Manifest.Inputs, func(p plan.Port) bool { return slices.Contains(r.For, p.Owner) })
	if slices.Contains(r.For, s.name) {
		h.owner, h.expects = r.Opener, s.ownsInputs()
	}
	return h
}

// patience returns how long a session waits for this party's inputs: if the client that opened it gives them, for as long as that takes; otherwise for people
// and programs elsewhere.
func (s *deployment) patience(h *half) time.Duration {
	if h.expects {
		return min(s.cfg.input, s.cfg.timeout+time.Duration(control.InputBytes(s.plan, s.name)/control.Slowest)*time.Second)
	}
	return s.cfg.input
}

// sessionOf returns the session that a client's ticket names. A wrong secret and a session that is not there are answered alike. The mutex is held.
func (s *deployment) sessionOf(t control.Ticket) (*job, error) {
	j := s.jobs[s.jobKey("session", t.Session)]
	if j == nil || subtle.ConstantTimeCompare([]byte(j.secret), []byte(t.Secret)) != 1 {
		return nil, fmt.Errorf("%s knows no session %d with this ticket: it has ended long ago, or the ticket is of another", s.name, t.Session)
	}
	return j, nil
}

// claim makes the half a client's, unless it is another's. The mutex is held.
func (s *deployment) claim(j *job, peer, request string) error {
	if j.owner != "" && j.owner != peer {
		return fmt.Errorf("the part of %s in session %d belongs to another client", s.name, j.id)
	}
	if j.owner == "" || j.request == "" {
		j.request = request
	}
	j.owner = peer
	return nil
}

// give takes a client's inputs of a session. The same ones again, under the name of the same request, are a retry.
func (s *deployment) give(peer string, t control.Ticket, data []byte, words [][]uint64) error {
	sum := sha256.Sum256(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.sessionOf(t)
	if err != nil {
		return err
	}
	if err := s.claim(j, peer, t.Request); err != nil {
		return err
	}
	switch {
	case j.has && t.Request != "" && t.Request == j.request && sum == j.given:
		return nil
	case j.has:
		return fmt.Errorf("session %d has the inputs of %s already", t.Session, s.name)
	}
	j.has, j.given = true, sum
	j.inputs <- words // it has room for one
	return nil
}

// abandon ends a session that waits for inputs of a client that has left.
func (s *deployment) abandon(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[s.jobKey("session", id)]; j != nil && !j.has && !j.left && (j.expects || j.orphan) {
		j.left = true
		close(j.gone)
	}
}

// leave is the word of the lead that the client which opened a session has left, or that the session does not begin.
func (s *deployment) leave(_ context.Context, peer string, req []byte) ([]byte, error) {
	if peer != s.plan.Manifest.Parties[0] {
		return nil, fmt.Errorf("sessions are led by %s, not by %q", s.plan.Manifest.Parties[0], peer)
	}
	r, err := control.Decode[jobRequest](req)
	if err != nil {
		return nil, err
	}
	if r.Purpose == "opening" {
		s.mu.Lock()
		defer s.mu.Unlock()
		if j := s.jobs[s.jobKey("session", r.ID)]; j != nil {
			j.stop(errCalledOff)
		}
		return []byte("{}"), nil
	}
	s.abandon(r.ID)
	return []byte("{}"), nil
}

// watch tells all parties, if a session's opener closes its connection before the session has ended, that it gives no more inputs.
func (s *deployment) watch(gone <-chan struct{}, r jobRequest) {
	s.mu.Lock()
	j := s.jobs[s.jobKey("session", r.ID)]
	s.mu.Unlock()
	if j == nil || gone == nil {
		return
	}
	s.aside(func() {
		select {
		case <-gone:
		case <-j.over:
			return
		}
		s.abandon(r.ID)
		var wg sync.WaitGroup
		for _, party := range s.plan.Manifest.Parties[1:] {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(s.ctx, s.cfg.timeout)
				defer cancel()
				if err := s.tell(ctx, party, "Leave", jobRequest{ID: r.ID}); err != nil {
					s.log.Warn("a party could not be told that a client has left", "session", r.ID, "error", err.Error())
				}
			})
		}
		wg.Wait()
	})
}

// errGiven is the refusal of outputs that are not here any more.
var errGiven = errors.New("its outputs have been given, or nobody came for them in time; they are gone")

// handOut gives a session's outputs to its client: once, and again to the same request.
func (s *deployment) handOut(j *job, t control.Ticket) (outputs map[string][]uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch again := t.Request != "" && t.Request == j.request; {
	case len(j.outputs) == 0 && !j.dropped: // this party learns none
		return nil, nil
	case j.dropped || j.handed && !again:
		return nil, fmt.Errorf("session %d: %w", j.id, errGiven)
	case again:
		if !j.handed {
			j.expiry.Reset(min(s.cfg.results, handedAgain))
		}
		j.handed = true
		outputs = make(map[string][]uint64, len(j.outputs))
		for name, w := range j.outputs {
			outputs[name] = slices.Clone(w) // the caller packs them when they may be dropped
		}
		return outputs, nil
	}
	j.handed, outputs = true, j.outputs
	j.outputs = nil
	s.forgetOutputs(j)
	return outputs, nil
}

// handedAgain is for how long outputs that have been given are given again to the same request.
const handedAgain = 2 * time.Minute

// maxHeld is how many finished sessions of one client keep outputs for it; the oldest make room.
const maxHeld = 256

// holdOutputs keeps a finished session's outputs until they are given, or for the time that the configuration says. The mutex is held.
func (s *deployment) holdOutputs(j *job) {
	if len(j.outputs) == 0 {
		return
	}
	j.expiry = time.AfterFunc(s.cfg.results, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forgetOutputs(j)
	})
	if j.holder = j.owner; j.holder == "" {
		j.holder = j.opener
	}
	list := append(s.keeping[j.holder], j)
	s.keeping[j.holder] = list
	if len(list) > maxHeld {
		s.forgetOutputs(list[0])
	}
}

// forgetOutputs drops a session's outputs, and the session if it is too old to be told of. The mutex is held.
func (s *deployment) forgetOutputs(j *job) {
	if j.dropped {
		return
	}
	for _, w := range j.outputs {
		clear(w)
	}
	j.outputs, j.dropped = nil, true
	j.expiry.Stop()
	if rest := slices.DeleteFunc(s.keeping[j.holder], func(o *job) bool { return o == j }); len(rest) > 0 {
		s.keeping[j.holder] = rest
	} else {
		delete(s.keeping, j.holder)
	}
	if j.loose {
		delete(s.jobs, s.jobKey(j.purpose, j.id))
	}
}

// A request is an opening that its client has named.
type request struct {
	done   chan struct{} // closed when it is known how the opening ended
	ticket control.Ticket
	err    error
	at     time.Time
}

// maxNamed is how many named requests of one client are remembered.
const maxNamed = 1024

// A requestKey is a client and what it calls its request.
type requestKey struct{ client, name string }

// named returns the session of a request that has come before, or notes that it comes now: then the caller opens it, and tells end how that went.
func (s *deployment) named(ctx context.Context, peer, name string, find bool) (t control.Ticket, end func(control.Ticket, error), err error) {
	k := requestKey{peer, name}
	s.mu.Lock()
	q := s.requests[k]
	if q != nil && s.stale(q) {
		q = nil
	}
	switch {
	case q == nil && find:
		s.mu.Unlock()
		return t, nil, fmt.Errorf("%s knows no request %q of %q: it has not come here, has failed, or was forgotten after %v or a restart", s.name, name, peer, s.cfg.results)
	case q == nil:
		q = &request{done: make(chan struct{}), at: time.Now()}
		s.requests[k] = q
		s.prune(peer)
		s.mu.Unlock()
		return t, func(t control.Ticket, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if q.ticket, q.err = t, err; err != nil && s.requests[k] == q {
				delete(s.requests, k)
			}
			close(q.done)
		}, nil
	}
	s.mu.Unlock()
	select {
	case <-q.done:
		return q.ticket, nil, q.err
	case <-ctx.Done():
		return t, nil, ctx.Err()
	}
}

// stale reports whether a request may be made anew: its session has failed, or it is too old. The mutex is held.
func (s *deployment) stale(q *request) bool {
	select {
	case <-q.done:
	default:
		return false
	}
	j := s.jobs[s.jobKey("session", q.ticket.Session)]
	if j == nil {
		return time.Since(q.at) > s.cfg.results
	}
	select {
	case <-j.over:
		return j.err != nil
	default:
		return false
	}
}

// prune forgets requests of a client: those that are too old, and the oldest of too many. The mutex is held.
func (s *deployment) prune(peer string) {
	n := 0
	var oldest requestKey
	for k, q := range s.requests {
		select {
		case <-q.done:
		default:
			continue
		}
		if time.Since(q.at) > s.cfg.results {
			if j := s.jobs[s.jobKey("session", q.ticket.Session)]; j == nil {
				delete(s.requests, k)
			}
			continue
		}
		if k.client != peer {
			continue
		}
		if n++; oldest.name == "" || q.at.Before(s.requests[oldest].at) {
			oldest = k
		}
	}
	if n >= maxNamed {
		delete(s.requests, oldest)
	}
}
