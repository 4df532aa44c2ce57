package engine

import (
	"io"
	"slices"

	"smpcc/backend/plan"
	"smpcc/runtime/ring"
)

// Save writes what a role keeps from setup, so that a server that restarts needs no new one: SavedBytes bytes. They hold shares:
// whoever writes them to a file keeps others from reading that.
func (e *Engine) Save(w io.Writer, m *Model) error {
	kernels := e.kernels
	for _, k := range e.kept {
		for k.from < k.to {
			next := interval{k.to, k.to}
			if len(kernels) > 0 && kernels[0].from < k.to {
				next = kernels[0].interval
			}
			if err := plan.WriteWords(w, m.words[k.from:next.from]); err != nil {
				return err
			}
			if next.from < next.to { // what is saved does not depend on the processor
				words := slices.Clone(m.words[next.from:next.to])
				ring.UnpackWeights(words, kernels[0].window)
				if err := plan.WriteWords(w, words); err != nil {
					return err
				}
				kernels = kernels[1:]
			}
			k.from = next.to
		}
	}
	return nil
}

// SavedBytes returns the size of a saved model.
func (e *Engine) SavedBytes() int64 {
	n := int64(0)
	for _, k := range e.kept {
		n += 8 * int64(k.to-k.from)
	}
	return n
}

// Restore reads the model that Save wrote for the same role of the same plan.
func (e *Engine) Restore(r io.Reader) (*Model, error) {
	m := &Model{words: make([]uint64, e.prog.Model)}
	for _, k := range e.kept {
		if err := plan.ReadWords(r, m.words[k.from:k.to]); err != nil {
			return nil, err
		}
	}
	e.pack(m.words)
	return m, nil
}

// Incoming returns the bytes that a role receives from each role in every exchange of a phase.
func Incoming(p *plan.Plan, role int, ph plan.Phase) [][]int {
	rounds := p.Programs[role].Rounds(ph)
	all := make([][]int, len(rounds))
	for r := range rounds {
		all[r] = make([]int, len(p.Programs))
		for i := range rounds[r].Opens {
			o := &rounds[r].Opens[i]
			for _, from := range o.From {
				if from != role && has(o.To, role) {
					all[r][from] += o.Bytes()
				}
			}
		}
	}
	return all
}
