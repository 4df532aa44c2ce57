package server

import (
	"context"
	"testing"
	"time"

	"smpcc/backend/plan"
)

func init() { lookEvery = time.Second }

// CompareEvery, for tests, sets the pause between two looks at other roles' logs, until the test ends.
func CompareEvery(t testing.TB, d time.Duration) {
	before := compareEvery.Swap(int64(d))
	t.Cleanup(func() { compareEvery.Store(before) })
}

// SessionMemory, for tests, is what a session takes at a role.
var SessionMemory = sessionMemory

// Observe, for tests, has f told of every exchange before its messages leave. stream names the material it uses, and the plan if it is not the configuration's.
func (s *Server) Observe(f func(stream string, id uint64, ph plan.Phase, round int, out [][]byte)) {
	s.observer = func(d *deployment, j *job, ph plan.Phase, round int, out [][]byte) {
		switch {
		case j.stock > 0:
			f(d.fileMark()+"stock", j.stock, ph, round, out)
		default:
			f(d.fileMark()+j.purpose, j.id, ph, round, out)
		}
	}
}

// Handle, for tests, answers a control request as if it had come from a peer.
func (s *Server) Handle(ctx context.Context, method, peer string, req []byte) ([]byte, error) {
	return s.handlers()[method](ctx, peer, req)
}

// Quit, for tests, ends a server that does not serve.
func (s *Server) Quit() {
	s.stop()
	s.node.Close()
	s.running.Wait()
	s.helpers.Wait()
	_ = s.ledger.Close()
}

// StateFolder, for tests, is where the server keeps its state.
func (s *Server) StateFolder() string { return s.cfg.State }
