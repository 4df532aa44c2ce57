package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"smpcc/runtime/attest"
	"smpcc/runtime/control"
	"smpcc/runtime/disk"
)

// Servers note where each other's audit logs have come to. A log that is rewritten, cut short or replaced later no longer has the noted entry, and every other role sees that.

// headsName is the file of what was noted, in the state folder.
const headsName = "heads.json"

// compareEvery is the pause between two looks at other roles' logs, in nanoseconds.
var compareEvery atomic.Int64

func init() { compareEvery.Store(int64(5 * time.Minute)) }

// heads are the last entries of other roles' logs, as they were noted.
type heads struct {
	mu    sync.Mutex
	of    map[string]notedHead
	wrong map[string]string // by role: what does not fit
}

// A notedHead is an entry of another role's log.
type notedHead struct {
	Entry uint64    `json:"entry"`
	Hash  string    `json:"hash"`
	At    time.Time `json:"at"`
}

// loadHeads reads what was noted.
func (s *Server) loadHeads() error {
	s.heads.of, s.heads.wrong = map[string]notedHead{}, map[string]string{}
	data, err := os.ReadFile(filepath.Join(s.cfg.State, headsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s.heads.of)
	}
	if err != nil || s.heads.of == nil { // it is a second look at others, and no reason not to serve
		s.log.Error("what was noted of other roles' logs cannot be read; it is noted anew", "file", headsName)
		s.metrics.Failed("head")
		s.heads.of = map[string]notedHead{}
	}
	return nil
}

// headHandler tells another role what hash an entry of this server's log has.
func (s *Server) headHandler(ctx context.Context, peer string, req []byte) ([]byte, error) {
	if !s.isPeer(peer) && !s.isMember(peer) {
		return nil, fmt.Errorf("%q is no role of a plan of %s", peer, s.name)
	}
	q, err := control.Decode[control.HeadRequest](req)
	if err != nil {
		return nil, err
	}
	last := s.audit.Last()
	h := control.Head{Last: last.Seq, Now: last.Hash, Entry: last.Seq, Hash: last.Hash}
	if q.Entry != 0 && q.Entry != last.Seq {
		h.Entry, h.Hash = q.Entry, ""
		if q.Entry < last.Seq {
			if err := s.reading.lock(ctx); err != nil {
				return nil, err
			}
			h.Hash, err = attest.HashAt(filepath.Join(s.cfg.State, logName), q.Entry)
			s.reading.unlock()
			if err != nil {
				return nil, fmt.Errorf("%s cannot read its log", s.name)
			}
		}
	}
	return json.Marshal(h)
}

// isPeer reports whether a caller is another role of a plan that is served.
func (s *Server) isPeer(peer string) bool {
	return slices.ContainsFunc(s.plans.list(), func(d *deployment) bool { return d.isRole(peer) })
}

// peers returns the other roles of all plans.
func (s *Server) peers() (out []string) {
	for _, d := range s.plans.list() {
		for _, r := range d.plan.Roles() {
			if r != s.name && s.cfg.Servers[r] != "" && !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	slices.Sort(out)
	return out
}

// keepComparing compares other roles' logs with what was noted, until the server stops.
func (s *Server) keepComparing() {
	for {
		select {
		case <-s.draining:
			return
		case <-s.ctx.Done():
			return
		case <-time.After(time.Duration(compareEvery.Load())):
		}
		for _, peer := range s.peers() {
			s.compareHead(s.ctx, peer)
		}
	}
}

// compareHead asks a role for the entry of its log that was noted, and notes the last one. A role that does not answer is another look's.
func (s *Server) compareHead(ctx context.Context, peer string) {
	s.heads.mu.Lock()
	noted := s.heads.of[peer]
	s.heads.mu.Unlock()
	h, err := s.askHead(ctx, peer, noted.Entry)
	if err != nil {
		return // the role is away, or older; sessions say so
	}
	wrong := headMisfit(noted, h)
	s.heads.mu.Lock()
	before := s.heads.wrong[peer]
	if wrong == "" && h.Last > 0 {
		s.heads.of[peer] = notedHead{h.Last, h.Now, s.cfg.now().UTC().Truncate(time.Second)}
		delete(s.heads.wrong, peer)
	} else if wrong != "" {
		s.heads.wrong[peer] = wrong
	}
	data, err := json.Marshal(s.heads.of)
	s.heads.mu.Unlock()
	if err == nil && wrong == "" && (h.Last != noted.Entry) {
		err = disk.Replace(s.files(), filepath.Join(s.cfg.State, headsName), 0o600, func(w io.Writer) error { _, err := w.Write(data); return err })
	}
	if err != nil {
		s.log.Warn("the end of another role's log cannot be noted", "peer", peer, "error", err.Error())
		s.metrics.Failed("head")
	}
	if wrong == "" || wrong == before {
		return
	}
	s.metrics.Failed("head")
	s.log.Error("the log of another role does not go on where it was", "peer", peer, "reason", wrong)
	s.alerts.tell(alertHead, "", fmt.Sprintf("the log of %s: %s", peer, wrong), peer)
	if err := s.audit.Add(attest.Event{What: "head", Role: s.name, Decision: "refused", Client: peer, Reason: wrong}); err != nil {
		s.log.Error("the audit log cannot be written", "error", err.Error())
	}
}

// askHead asks a role for an entry of its log.
func (s *Server) askHead(ctx context.Context, peer string, entry uint64) (h control.Head, err error) {
	ctx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	req, err := json.Marshal(control.HeadRequest{Entry: entry})
	if err != nil {
		return h, err
	}
	out, err := s.node.Call(ctx, peer, s.cfg.Servers[peer], "Head", req)
	if err != nil {
		return h, err
	}
	return control.Decode[control.Head](out)
}

// headMisfit says why a log does not go on where it was, "" if it does or nothing says otherwise: a file of it may have been archived.
func headMisfit(noted notedHead, h control.Head) string {
	switch {
	case noted.Entry == 0:
		return ""
	case h.Last < noted.Entry:
		return fmt.Sprintf("it had %d entries at %s and has %d: its end was removed, or it was replaced", noted.Entry, noted.At.Format(time.RFC3339), h.Last)
	case h.Entry == noted.Entry && h.Hash != "" && h.Hash != noted.Hash:
		return fmt.Sprintf("entry %d had the hash %.16s at %s and has %.16s: it was rewritten", noted.Entry, noted.Hash, noted.At.Format(time.RFC3339), h.Hash)
	}
	return ""
}

// headsWrong counts the roles whose log does not go on where it was.
func (s *Server) headsWrong() int {
	s.heads.mu.Lock()
	defer s.heads.mu.Unlock()
	return len(s.heads.wrong)
}
