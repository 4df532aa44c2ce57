package server

import (
	"context"
	"time"

	"smpcc/backend/plan"
)

func init() { lookEvery = time.Second }

// SessionMemory, for tests, is what a session takes at a role.
var SessionMemory = sessionMemory

// Observe, for tests, has f told of every exchange before its messages leave. stream names the material it uses.
func (s *Server) Observe(f func(stream string, id uint64, ph plan.Phase, round int, out [][]byte)) {
	s.observer = func(j *job, ph plan.Phase, round int, out [][]byte) {
		switch {
		case j.stock > 0:
			f("stock", j.stock, ph, round, out)
		default:
			f(j.purpose, j.id, ph, round, out)
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
