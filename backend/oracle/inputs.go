package oracle

import (
	"math"

	"smpcc/backend/plan"
)

// A chooser chooses inputs within the ranges that a plan relies on.
type chooser struct {
	ports []plan.Port
	own   []bool // by port: the coalition gives it
	opt   Options
}

func newChooser(p *plan.Plan, corrupt []bool, opt Options) *chooser {
	c := &chooser{ports: ports(p), opt: opt}
	for _, port := range c.ports {
		mine := false
		for i, name := range p.Manifest.Parties {
			mine = mine || name == port.Owner && corrupt[i]
		}
		c.own = append(c.own, mine)
	}
	return c
}

// fixed reports whether the coalition gives nothing that could be chosen.
func (c *chooser) fixed() bool {
	for i, p := range c.ports {
		if lo, hi := span(p); c.own[i] && p.Len() > 0 && lo < hi {
			return false
		}
	}
	return true
}

// span returns the least and the largest word of a port, as signed numbers.
func span(p plan.Port) (lo, hi int64) {
	if p.Elem == "bool" {
		return 0, 1
	}
	if p.Shares { // any words
		return 0, int64(low(int64(p.Bits)))
	}
	lo, hi = int64(math.Ceil(math.Ldexp(p.Lo, p.Scale))), int64(math.Floor(math.Ldexp(p.Hi, p.Scale)))
	return lo, max(lo, hi)
}

// assignments returns all inputs of the others, or so many of them, with one choice of the coalition's own.
func (c *chooser) assignments(own int) (out [][][]uint64) {
	total := 1 // of the others
	for i, p := range c.ports {
		lo, hi := span(p)
		for range p.Len() {
			if !c.own[i] && total <= c.opt.Inputs {
				total *= int(min(hi-lo+1, int64(c.opt.Inputs)+1))
			}
		}
	}
	for k := range min(total, c.opt.Inputs) {
		rest, next, one := k, uint64(0), -1
		if total > c.opt.Inputs { // a first one and others, of which every second one differs in one element only
			one = int(hash(c.opt.Seed, 5, uint64(k)) % 16)
		}
		var in [][]uint64
		element := 0
		for i, p := range c.ports {
			lo, hi := span(p)
			n := hi - lo + 1
			t := make([]uint64, p.Len())
			for e := range t {
				next++
				var at int64
				switch {
				case c.own[i]:
					at = int64(hash(c.opt.Seed, 3, uint64(own), next) % uint64(n))
				case total <= c.opt.Inputs:
					at, rest = int64(rest)%n, rest/int(n)
				default:
					at = int64(hash(c.opt.Seed, 4, next) % uint64(n))
					if element++; k > 0 && (k%2 == 0 || element%4 == one%4) {
						at = int64(hash(c.opt.Seed, 4, next, uint64(k)) % uint64(n))
					}
				}
				t[e] = uint64(lo + at)
			}
			in = append(in, t)
		}
		out = append(out, in)
	}
	return out
}
