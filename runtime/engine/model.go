package engine

import (
	"io"

	"smpcc/backend/plan"
)

// Save writes what a role keeps from setup, so that a server that restarts needs no new one: SavedBytes bytes. They hold shares:
// whoever writes them to a file keeps others from reading that.
func (e *Engine) Save(w io.Writer, m *Model) error {
	for _, k := range e.kept {
		if err := plan.WriteWords(w, m.words[k.from:k.to]); err != nil {
			return err
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
