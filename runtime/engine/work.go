package engine

import (
	"smpcc/backend/plan"
	"smpcc/runtime/message"
	"smpcc/runtime/ring"
)

// A Kind is a kind of work, of which a machine does a certain amount in a second.
type Kind int

// The kinds of work.
const (
	MACs      Kind = iota // multiply-adds of products whose operands are used several times
	ThinMACs              // the same, of matrices with few columns, which fill tiles badly
	FewMACs               // multiply-adds of products with few rows or one column: each word of an operand is used a few times
	DepthMACs             // multiply-adds of depthwise convolutions
	Operands              // words of right factors and of convolutions' inputs, which are copied once
	Copies                // words copied in long runs
	Gathers               // words copied one by one or in short runs, gathered or summed
	Light                 // words of sums, shifts and the like
	Select                // words of ReLU chosen by public bits
	Wires                 // words of truncations and of bits times words
	Products              // words of products whose factors are chosen by public bits
	Waves                 // words of sines and cosines
	Expos                 // words of exponentials
	Leaf                  // chunks compared by the leaves of comparisons
	Merge                 // words of groups of chunks that are merged
	PRG                   // bytes drawn from streams of material
	Drawn                 // words drawn
	Tables                // words of one-hots that the dealer computes
	Monos                 // words of products of chunks that the dealer computes
	Curves                // words of sines, cosines and exponentials that the dealer computes
	Near                  // bytes of slots that are read and written while they are in a cache of a processor
	Memory                // bytes of slots that are read and written outside of any cache
	Clear                 // bytes of a session's memory cleared behind the session before
	Wire                  // bytes packed and unpacked
	Packed                // words packed and unpacked
	Calls                 // blocks of elementwise steps
	Stages                // stages
	Splits                // stages shared out among processors
	Keys                  // blocks of keys that are made or evaluated
	Rounds                // exchanges of messages
	Kinds                 // the number of kinds
)

// KindNames names the kinds of work, as files do.
var KindNames = [Kinds]string{"multiply_adds", "multiply_adds_few_columns", "multiply_adds_few_rows", "multiply_adds_depthwise", "operand_words", "copied_words", "gathered_words", "elementwise_words",
	"selected_words", "truncated_words", "product_words", "wave_words", "exponential_words", "leaf_chunks", "merged_words", "prg_bytes", "drawn_words", "table_words", "monomial_words", "curve_words",
	"near_bytes", "memory_bytes", "cleared_bytes", "wire_bytes", "packed_words", "blocks", "stages", "splits", "key_blocks", "rounds"}

// A Work is the amount of work of a role in a phase: what goes to all processors, and what one does alone.
type Work struct{ Parallel, Alone [Kinds]float64 }

// Bytes that lie between two accesses of a slot decide where it is found again. Processors differ; what such bytes cost on one is measured.
const (
	coreCache   = 1 << 20  // a slot is still in the cache of the core
	commonCache = 16 << 20 // or in that which cores share
)

// A reach remembers what was accessed when, in bytes that went through the processor.
type reach struct {
	e    *Engine
	now  int64
	last map[place]int64
	// seen are the slots of the stage under way.
	seen map[int]bool
}

// A place is where a slot is kept.
type place struct {
	scope plan.Scope
	at    int
}

// access adds an access of a slot to the work of those who do it.
func (a *reach) access(slot int, to *[Kinds]float64) {
	if a.e.local[slot] > 0 || a.seen[slot] {
		return
	}
	a.seen[slot] = true
	s := a.e.prog.Slots[slot]
	n, p := int64(s.Len)*int64(a.e.width[slot]), place{s.Scope, a.e.at[slot]}
	last, known := a.last[p]
	a.now += n
	a.last[p] = a.now
	switch gap := a.now - last; {
	case !known || gap > commonCache:
		to[Memory] += float64(n)
	case gap > coreCache:
		to[Near] += float64(n)
	}
}

// Work counts the role's work of the phases of a session, or of setup, from the stages that it will run, by round: what it does between two exchanges.
// The last element of a phase is what is left behind the last exchange.
func (e *Engine) Work() [3][]Work {
	var out [3][]Work
	a := &reach{e: e, last: map[place]int64{}}
	for ph := range out {
		out[ph] = e.work(plan.Phase(ph), a)
	}
	if w := out[plan.Offline]; len(w) > 0 {
		w[0].Alone[Clear] += 8 * float64(e.words)
	}
	return out
}

// work counts the work of a phase.
func (e *Engine) work(ph plan.Phase, a *reach) []Work {
	rounds := e.prog.Rounds(ph)
	works := make([]Work, len(e.phases[ph]))
	for r, stages := range e.phases[ph] {
		w := &works[r]
		var round, last plan.Round
		if r < len(rounds) {
			round = rounds[r]
		}
		if r > 0 {
			last = rounds[r-1]
		}
		for i := range stages {
			st := &stages[i]
			w.Alone[Stages]++
			a.seen = map[int]bool{}
			if st.whole {
				s := &round.Steps[st.lo]
				to := e.whole(s, w)
				for _, slot := range append([]int{s.Dst}, s.Src...) {
					a.access(slot, to)
				}
				continue
			}
			to := &w.Alone
			if st.n >= parallelLen {
				to = &w.Parallel
				w.Alone[Splits]++
			}
			for j := st.lo; j < st.hi; j++ {
				s := &round.Steps[j]
				k, amount := e.amount(s)
				to[k] += amount
				if k == PRG {
					to[Drawn] += amount / float64(e.plan.Items[s.Args[0]].Width())
				}
			}
			to[Calls] += float64((st.n+blockLen-1)/blockLen) * float64(st.hi-st.lo+len(st.unpack)+len(st.pack))
			e.accesses(st, rounds, r, func(_ *stage, _, slot int, _ bool) { a.access(slot, to) })
			for _, j := range st.unpack {
				o := &last.Opens[j]
				for _, from := range o.From {
					if from != e.role {
						to[Wire] += float64(o.Bytes())
						to[Packed] += float64(o.Len)
					}
				}
			}
			for _, j := range st.pack {
				o := &round.Opens[j]
				for _, peer := range o.To {
					if peer != e.role {
						to[Wire] += float64(o.Bytes())
						to[Packed] += float64(o.Len)
					}
				}
			}
		}
		if e.moves(round.Opens) {
			w.Alone[Rounds]++
		}
	}
	return works
}

// moves reports whether the role sends or receives anything in an exchange.
func (e *Engine) moves(opens []plan.Open) bool {
	for i := range opens {
		for _, from := range opens[i].From {
			for _, to := range opens[i].To {
				if from != to && (from == e.role || to == e.role) {
					return true
				}
			}
		}
	}
	return false
}

// fewColumns is the number of columns from which a product fills its tiles.
const fewColumns = 64

// shortRun is the number of words up to which a run of a copy costs more than its words.
const shortRun = 64

// whole adds a step that is not elementwise and returns who does it.
func (e *Engine) whole(s *plan.Step, w *Work) *[Kinds]float64 {
	length := func(slot int) int { return e.prog.Slots[slot].Len }
	dst, src := float64(length(s.Dst)), float64(length(s.Src[0]))
	to := &w.Alone
	switch s.Op {
	case plan.StepGather:
		to[Gathers] += dst
	case plan.StepCopy:
		words, runs, dense := ring.Runs(plan.CopyOf(s))
		kind := Copies
		if !dense || words < shortRun*runs {
			kind = Gathers
		}
		to[kind] += words
	case plan.StepSum, plan.StepPack:
		to[Gathers] += src
	case plan.StepValid:
		to[Merge] += src
	case plan.StepDPF, plan.StepDCF, plan.StepDPFKey, plan.StepDCFKey:
		n, args, times := dst, s.Args, 1.0
		if s.Op == plan.StepDPFKey || s.Op == plan.StepDCFKey { // two hashes a block
			n, args, times = src, s.Args[1:], 2
		}
		if n >= parallelKeys {
			to = &w.Parallel
		}
		blocks := plan.DPFLevels(int(args[0])) + 1
		if s.Op == plan.StepDCF || s.Op == plan.StepDCFKey {
			blocks = plan.DCFBlocks(int(args[0]), int(args[1]))
		}
		to[Keys] += times * n * float64(blocks)
	case plan.StepMatMul, plan.StepConv:
		macs := float64(s.MACs(length))
		if ring.Parallel(int(macs)) {
			to = &w.Parallel
			w.Alone[Splits]++
		}
		kind, a := MACs, s.Args
		if s.Op == plan.StepMatMul {
			switch {
			case a[1] < 4 || a[3] == 1:
				kind = FewMACs
			case a[3] < fewColumns:
				kind = ThinMACs
			}
			if kind != FewMACs {
				to[Operands] += float64(a[0]) * float64(a[2]) * float64(a[3])
			}
		} else {
			switch {
			case a[4] == a[15]:
				kind = DepthMACs
			case a[5]*a[6] < fewColumns:
				kind = ThinMACs
			}
			if kind != DepthMACs {
				to[Operands] += src
			}
		}
		to[kind] += macs
	}
	return to
}

// amount returns the kind and amount of work of an elementwise step.
func (e *Engine) amount(s *plan.Step) (Kind, float64) {
	n := float64(e.prog.Slots[s.Dst].Len)
	others := float64(e.plan.NumParties())
	switch s.Op {
	case plan.StepReluSel:
		return Select, n
	case plan.StepFinish, plan.StepMulBit, plan.StepB2A, plan.StepExtend:
		return Wires, n
	case plan.StepWireMul:
		return Products, n
	case plan.StepWave:
		return Waves, n
	case plan.StepExpo:
		return Expos, n
	case plan.StepLeaf:
		return Leaf, n * float64(s.Args[3])
	case plan.StepMerge, plan.StepGroup:
		return Merge, n
	case plan.StepOneHot:
		return Tables, n
	case plan.StepMono:
		return Monos, n
	case plan.StepPhase, plan.StepDecay:
		return Curves, n
	case plan.StepPRG, plan.StepPRGSum, plan.StepDeal:
		it := &e.plan.Items[s.Args[0]]
		switch {
		case s.Op == plan.StepDeal:
			others--
		case s.Op == plan.StepPRG || it.Holder != 0:
			others = 1
		}
		return PRG, others * n * float64(it.Width())
	}
	return Light, n
}

// A Footprint is the memory in bytes that a role takes.
type Footprint struct {
	Model    int64 // slots of setup that are kept in memory
	Setup    int64 // what setup takes besides: the owner's weights as words, and its messages
	Session  int64 // slots of a session that are kept in memory, narrow ones as narrow as they are
	Messages int64 // buffers of messages sent and received in a session
	Outputs  int64
}

// Total is the peak of setup and one session.
func (f Footprint) Total() int64 {
	return f.Model + max(f.Setup, f.Session+f.Messages+f.Outputs)
}

// Footprint returns the memory that the role takes for the model and one session, besides the process itself.
func (e *Engine) Footprint() Footprint {
	f := Footprint{Model: e.SavedBytes(), Session: 8 * int64(e.words)}
	for _, p := range e.plan.Manifest.Weights {
		if p.Owner == e.prog.Role {
			f.Setup += 8 * int64(p.Len())
		}
	}
	mine := func(from, to int) bool { return from == e.role || to == e.role }
	f.Setup += Buffers(e.plan, mine, 2, plan.Setup)
	f.Messages = Buffers(e.plan, mine, 2, plan.Offline, plan.Online)
	for _, r := range e.prog.Online {
		for i := range r.Opens {
			if o := &r.Opens[i]; (o.Kind == plan.Reveal || o.Kind == plan.Give) && has(o.To, e.role) {
				f.Outputs += 8 * int64(o.Len)
			}
		}
	}
	return f
}

// Buffers returns the bytes of the buffers of messages that phases one after the other need, of the messages that the process
// holds. Each size is kept for messages to come, so that of each there are as many as are in use at once: those of so many exchanges, which
// overlap. Small messages do not count.
func Buffers(p *plan.Plan, holds func(from, to int) bool, exchanges int, phases ...plan.Phase) int64 {
	most := map[int]int{} // by length of the buffer
	roles := len(p.Programs)
	for _, ph := range phases {
		var recent [][]int // lengths of the buffers of the last exchanges
		for r := range p.Programs[0].Rounds(ph) {
			size := make([]int64, roles*roles)
			for role := range p.Programs {
				opens := p.Programs[role].Rounds(ph)[r].Opens
				for i := range opens {
					o := &opens[i]
					if !has(o.From, role) {
						continue
					}
					for _, to := range o.To {
						if to != role && holds(role, to) {
							size[role*roles+to] += int64(o.Bytes())
						}
					}
				}
			}
			var lengths []int
			for _, n := range size {
				if n >= message.Kept {
					lengths = append(lengths, message.Length(int(n)))
				}
			}
			recent = append(recent, lengths)
			recent = recent[max(0, len(recent)-exchanges):]
			now := map[int]int{}
			for _, l := range recent {
				for _, n := range l {
					now[n]++
					most[n] = max(most[n], now[n])
				}
			}
		}
	}
	sum := int64(0)
	for n, count := range most {
		sum += int64(n) * int64(count)
	}
	return sum
}
