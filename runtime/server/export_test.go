package server

import (
	"smpcc/backend/plan"
)

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
