package engine

import (
	"encoding/binary"
	"fmt"

	"smpcc/backend/plan"
)

// Save returns what a role keeps from setup, so that a server that restarts needs no new one. It holds shares: whoever
// writes it to a file keeps others from reading that.
func (m *Model) Save() []byte {
	b := make([]byte, 0, 8*len(m.words))
	for _, w := range m.words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// Restore returns the model that Save wrote for the same role of the same plan.
func (e *Engine) Restore(saved []byte) (*Model, error) {
	if len(saved) != 8*e.prog.Model {
		return nil, fmt.Errorf("saved setup has %d bytes, want %d", len(saved), 8*e.prog.Model)
	}
	m := &Model{words: make([]uint64, e.prog.Model)}
	for i := range m.words {
		m.words[i] = binary.LittleEndian.Uint64(saved[8*i:])
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
