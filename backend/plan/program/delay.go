package program

import "smpcc/backend/plan"

// prune drops the steps of a role whose results nothing of its program reads: a party does not keep public terms that only the
// first of them adds.
func (r *roleCode) prune(rounds [3]int, role int) {
	read := make([]bool, len(r.slots))
	for ph := len(r.phases) - 1; ph >= 0; ph-- {
		for round := rounds[ph] - 1; round >= 0; round-- {
			for _, o := range r.phases[ph].opens[round] {
				if has(o.From, role) {
					read[o.Src] = true
				}
			}
			steps := r.phases[ph].steps[round]
			at := len(steps)
			for i := len(steps) - 1; i >= 0; i-- {
				if !read[steps[i].Dst] {
					continue
				}
				for _, src := range steps[i].Src {
					read[src] = true
				}
				at--
				steps[at] = steps[i]
			}
			r.phases[ph].steps[round] = steps[at:]
		}
	}
}

// delay moves steps that draw material or write constants from offline to just before the online step that reads them, if all
// steps that do are elementwise and of one round. The engine then makes a block of them in its cache when it is read: that is
// faster than to read it from memory, where it would have waited since offline.
func (r *roleCode) delay(rounds [3]int, role int) {
	type use struct {
		round, step int
		once        bool // everything that reads or writes the slot is of this round and elementwise, but what made it
	}
	const none = -1
	uses := make([]use, len(r.slots))
	for i := range uses {
		uses[i] = use{none, none, true}
	}
	touch := func(slot, round, step int, ok bool) {
		u := &uses[slot]
		if u.round == none {
			u.round, u.step = round, step
		}
		u.once = u.once && ok && u.round == round
	}
	source := func(s *plan.Step) bool {
		return s.Op == plan.StepPRG || s.Op == plan.StepConst || s.Op == plan.StepZero
	}
	made := make([]bool, len(r.slots))
	for ph := range r.phases {
		online := plan.Phase(ph) == plan.Online
		for round := range rounds[ph] {
			steps := r.phases[ph].steps[round]
			for i := range steps {
				s := &steps[i]
				for _, src := range s.Src {
					touch(src, round, i, online && s.Op.Elementwise())
				}
				switch {
				case plan.Phase(ph) == plan.Offline && source(s) && !made[s.Dst]:
					made[s.Dst] = true
				default:
					touch(s.Dst, round, i, false)
				}
			}
			for _, o := range r.phases[ph].opens[round] {
				if has(o.From, role) {
					touch(o.Src, round, len(steps), online)
				}
				if has(o.To, role) {
					touch(o.Dst, round, len(steps), false)
				}
			}
		}
	}
	late := map[[2]int][]plan.Step{} // by online round and step before which they go
	for round := range rounds[plan.Offline] {
		steps := r.phases[plan.Offline].steps[round]
		var stay []plan.Step
		for i := range steps {
			s := &steps[i]
			if u := uses[s.Dst]; source(s) && made[s.Dst] && u.once && u.round != none {
				late[[2]int{u.round, u.step}] = append(late[[2]int{u.round, u.step}], *s)
				continue
			}
			stay = append(stay, *s)
		}
		r.phases[plan.Offline].steps[round] = stay
	}
	for round := range rounds[plan.Online] {
		steps := r.phases[plan.Online].steps[round]
		var out []plan.Step
		for i := range len(steps) + 1 {
			out = append(out, late[[2]int{round, i}]...)
			if i < len(steps) {
				out = append(out, steps[i])
			}
		}
		r.phases[plan.Online].steps[round] = out
	}
}
