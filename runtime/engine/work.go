package engine

import (
	"smpcc/backend/plan"
	"smpcc/runtime/ring"
)

// A Kind is a kind of work, of which a machine does a certain amount in a second.
type Kind int

// The kinds of work.
const (
	MACs      Kind = iota // multiply-adds of products whose operands are used several times
	FewMACs               // multiply-adds of products with few rows or one column: each word of an operand is used a few times
	DepthMACs             // multiply-adds of depthwise convolutions
	Columns               // words of columns made for products
	Copies                // words copied, gathered or summed by steps that are not elementwise
	Light                 // words of sums, shifts and the like
	Select                // words of ReLU chosen by public bits
	Wires                 // words of truncations and of products whose factors are chosen by public bits
	Leaf                  // chunks compared by the leaves of comparisons
	Merge                 // words of groups of chunks that are merged
	PRG                   // bytes drawn from streams of material
	Tables                // words of one-hots and products that the dealer computes
	Memory                // bytes of slots that stages read and write outside of the cache
	Wire                  // bytes packed and unpacked
	Calls                 // blocks of elementwise steps
	Stages                // stages
	Splits                // stages shared out among processors
	Keys                  // blocks of keys that are made or evaluated
	Rounds                // exchanges of messages
	Kinds                 // the number of kinds
)

// KindNames names the kinds of work, as files do.
var KindNames = [Kinds]string{"multiply_adds", "multiply_adds_few_rows", "multiply_adds_depthwise", "column_words", "copied_words", "elementwise_words", "selected_words", "wire_words", "leaf_chunks",
	"merged_words", "prg_bytes", "table_words", "memory_bytes", "wire_bytes", "blocks", "stages", "splits", "key_blocks", "rounds"}

// A Work is the amount of work of a role in a phase: what goes to all processors, and what one does alone.
type Work struct{ Parallel, Alone [Kinds]float64 }

// Work counts the role's work in a phase, from the stages that it will run, by round: what it does between two exchanges. The last
// element is what is left behind the last exchange.
func (e *Engine) Work(ph plan.Phase) []Work {
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
			if st.whole {
				e.whole(&round.Steps[st.lo], w)
				continue
			}
			to := &w.Alone
			if st.n >= parallelLen {
				to = &w.Parallel
				w.Alone[Splits]++
			}
			n := float64(st.n)
			for j := st.lo; j < st.hi; j++ {
				k, amount := e.amount(&round.Steps[j])
				to[k] += amount
			}
			to[Calls] += float64((st.n+blockLen-1)/blockLen) * float64(st.hi-st.lo+len(st.unpack)+len(st.pack))
			seen := map[int]bool{}
			e.accesses(st, rounds, r, func(_ *stage, _, slot int, _ bool) {
				if e.local[slot] == 0 && !seen[slot] {
					seen[slot] = true
					to[Memory] += n * float64(e.width[slot])
				}
			})
			for _, j := range st.unpack {
				o := &last.Opens[j]
				for _, from := range o.From {
					if from != e.role {
						to[Wire] += float64(o.Bytes())
					}
				}
			}
			for _, j := range st.pack {
				o := &round.Opens[j]
				for _, peer := range o.To {
					if peer != e.role {
						to[Wire] += float64(o.Bytes())
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

// whole adds a step that is not elementwise.
func (e *Engine) whole(s *plan.Step, w *Work) {
	length := func(slot int) int { return e.prog.Slots[slot].Len }
	dst, src := float64(length(s.Dst)), float64(length(s.Src[0]))
	switch s.Op {
	case plan.StepGather:
		w.Alone[Copies] += dst
	case plan.StepCopy:
		n := 1.0
		for _, d := range plan.CopyOf(s).Dims {
			n *= float64(d)
		}
		w.Alone[Copies] += n
	case plan.StepSum:
		w.Alone[Copies] += src
	case plan.StepDPF, plan.StepDPFKey:
		to, n, bits, times := &w.Alone, dst, s.Args[0], 1.0
		if s.Op == plan.StepDPFKey { // two hashes a block
			n, bits, times = src, s.Args[1], 2
		}
		if n >= parallelKeys {
			to = &w.Parallel
		}
		to[Keys] += times * n * float64(plan.DPFLevels(int(bits))+1)
	case plan.StepMatMul, plan.StepConv:
		macs := float64(s.MACs(length))
		to := &w.Alone
		if ring.Parallel(int(macs)) {
			to = &w.Parallel
			w.Alone[Splits]++
		}
		kind, columns := MACs, 0.0
		if a := s.Args; s.Op == plan.StepMatMul {
			if a[1] < 4 || a[3] == 1 {
				kind = FewMACs
			} else {
				columns = float64(a[0]) * float64(a[2]) * float64(a[3])
			}
		} else if per := a[4] / a[15]; per == 1 {
			kind = DepthMACs
		} else {
			columns = macs / float64(per)
		}
		to[kind] += macs
		to[Columns] += columns
	}
}

// amount returns the kind and amount of work of an elementwise step.
func (e *Engine) amount(s *plan.Step) (Kind, float64) {
	n := float64(e.prog.Slots[s.Dst].Len)
	others := float64(e.plan.NumParties())
	switch s.Op {
	case plan.StepReluSel:
		return Select, n
	case plan.StepFinish, plan.StepWireMul, plan.StepWave, plan.StepExpo, plan.StepMulBit, plan.StepB2A:
		return Wires, n
	case plan.StepLeaf:
		return Leaf, n * float64(s.Args[3])
	case plan.StepMerge, plan.StepGroup:
		return Merge, n
	case plan.StepOneHot, plan.StepMono, plan.StepPhase, plan.StepDecay:
		return Tables, n
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
	Setup    int64 // what setup takes besides: the owner's weights as words, and the messages of its largest exchange
	Session  int64 // slots of a session that are kept in memory, narrow ones as narrow as they are
	Messages int64 // sent and received in the largest exchange
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
	most := int64(0)
	for r := range e.prog.Setup {
		most = max(most, e.traffic(plan.Setup, r))
	}
	f.Setup += most
	for _, ph := range []plan.Phase{plan.Offline, plan.Online} {
		for r := range e.prog.Rounds(ph) {
			f.Messages = max(f.Messages, e.traffic(ph, r))
		}
	}
	for _, r := range e.prog.Online {
		for i := range r.Opens {
			if o := &r.Opens[i]; o.Kind == plan.Reveal && has(o.To, e.role) {
				f.Outputs += 8 * int64(o.Len)
			}
		}
	}
	return f
}

// traffic returns the bytes that the role sends and receives in an exchange.
func (e *Engine) traffic(ph plan.Phase, round int) int64 {
	n := int64(0)
	for i := range e.prog.Rounds(ph)[round].Opens {
		o := &e.prog.Rounds(ph)[round].Opens[i]
		for _, from := range o.From {
			for _, to := range o.To {
				if from != to && (from == e.role || to == e.role) {
					n += int64(o.Bytes())
				}
			}
		}
	}
	return n
}
