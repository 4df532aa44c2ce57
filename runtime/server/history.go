package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"smpcc/runtime/attest"
	"smpcc/runtime/control"
)

// historyFiles is how many files of the log one question reads.
const historyFiles = 2

// historyHandler tells what has run: everything to members, to clients what they have opened themselves.
func (s *Server) historyHandler(ctx context.Context, peer string, req []byte) ([]byte, error) {
	if !s.mayLook(peer) {
		return nil, fmt.Errorf("%q may not see what has run: it is neither a member of %s nor a client", peer, s.name)
	}
	q, err := control.Decode[control.HistoryRequest](req)
	if err != nil {
		return nil, err
	}
	if len(q.Plan) > 64 || len(q.Client) > 256 || q.Most < 0 {
		return nil, errors.New("malformed request")
	}
	if !s.isMember(peer) {
		q.Client = peer
	}
	r, err := s.history(ctx, q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(r)
}

// history reads what has run from the log, the latest first.
func (s *Server) history(ctx context.Context, q control.HistoryRequest) (*control.HistoryReply, error) {
	most := q.Most
	if most == 0 || most > control.MaxRuns {
		most = control.MaxRuns
	}
	if err := s.reading.lock(ctx); err != nil {
		return nil, err
	}
	defer s.reading.unlock()
	r := &control.HistoryReply{Name: s.name, Head: s.audit.Head(), Runs: []control.Run{}}
	var runs []control.Run
	open := map[string]int{} // jobs that have not ended: their places in runs
	first, older, err := attest.Recent(filepath.Join(s.cfg.State, logName), q.Before, historyFiles, func(e attest.Entry) {
		if e.What == "ended" {
			key := e.Job()
			if i, ok := open[key]; ok {
				runs[i].Ended = e.Decision
				delete(open, key)
			}
			return
		}
		if q.Before > 0 && e.Seq >= q.Before || !strings.HasPrefix(e.Plan, q.Plan) || q.Client != "" && e.Client != q.Client {
			return
		}
		if e.Session > 0 && e.Decision == "allowed" {
			open[e.Job()] = len(runs)
		}
		runs = append(runs, runOf(e))
	})
	if err != nil {
		s.log.Error("the audit log cannot be read", "error", err.Error())
		s.metrics.Failed("history")
		return nil, fmt.Errorf("%s cannot read its log", s.name)
	}
	if older {
		r.Before = first
	}
	if cut := len(runs) - most; cut > 0 {
		runs = runs[cut:]
		r.Before = runs[0].Entry
	}
	slices.Reverse(runs)
	r.Runs = append(r.Runs, runs...)
	return r, nil
}

// runOf returns what an entry says.
func runOf(e attest.Entry) control.Run {
	at, err := time.Parse(time.RFC3339Nano, e.Time)
	if err != nil {
		at = time.Time{}
	}
	r := control.Run{Entry: e.Seq, Time: at, What: e.What, Number: e.Session, Plan: e.Plan, Client: e.Client, Receivers: e.Receivers, Rows: e.Rows, Decision: e.Decision, Reason: bounded(e.Reason)}
	for _, l := range e.Left {
		r.Left = append(r.Left, fmt.Sprintf("%s: %d", l.Owner, l.Runs))
	}
	return r
}
