package main

import (
	"runtime/debug"

	"smpcc/backend/plan"
)

// boundGarbage has memory collected when it has grown by an eighth of what a session of the plan takes, or 64 MiB if that is more,
// instead of doubling. Tensors hold no pointers, so a collection costs next to nothing however large they are; a compiler needs
// what is the default, so this is for when it is done.
func boundGarbage(p *plan.Plan) {
	const least = 64 << 20
	live := int64(1)
	for role := range p.Programs {
		live += p.SessionBytes(role) + 8*int64(p.Programs[role].Model)
	}
	debug.SetGCPercent(int(min(100, max(12, 100*least/live))))
}
