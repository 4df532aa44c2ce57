package main

import (
	"runtime/debug"

	"smpcc/backend/plan"
	"smpcc/bench"
)

// boundGarbage has memory collected when it has grown by bench.Headroom of what a session of the plan takes,
// instead of doubling. Tensors hold no pointers, so a collection costs next to nothing however large they are; a compiler needs
// what is the default, so this is for when it is done.
func boundGarbage(p *plan.Plan) {
	live := int64(1)
	for role := range p.Programs {
		live += p.SessionBytes(role) + 8*int64(p.Programs[role].Model)
	}
	debug.SetGCPercent(int(min(100, 100*bench.Headroom(live)/live)))
}
