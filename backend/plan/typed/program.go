package typed

import (
	"fmt"
	"io"

	"smpcc/backend/plan"
)

// An Op numbers a row. Numbers are part of the format: never reuse one.
type Op int

// A Program is one computation for all roles. The value of step i is called i; steps take values of earlier steps.
type Program struct {
	Nodes []string `pb:"1"` // positions in the source that steps refer to
	Steps []Step   `pb:"2"`
}

// A Step computes one value.
type Step struct {
	Op   Op       `pb:"1"`
	Src  []int    `pb:"2"` // values of earlier steps
	Args []int64  `pb:"3"` // as named by the row
	Data []uint64 `pb:"4"` // constants or indices
	Node int      `pb:"5"`
}

// Text writes the program as a person reads it, with the type of each value: what an auditor reads.
func (c *Checked) Text(w io.Writer) error {
	for i := range c.Program.Steps {
		if _, err := fmt.Fprintf(w, "%s : %v\n", c.Program.StepText(i), c.Types[i]); err != nil {
			return err
		}
	}
	return nil
}

// StepText renders a step: %12 = shiftopen %11 by=16 bits=24.
func (p *Program) StepText(i int) string {
	s := &p.Steps[i]
	row := Rows[s.Op]
	if row == nil {
		return fmt.Sprintf("%%%d = unknown step %d", i, s.Op)
	}
	text := fmt.Sprintf("%%%d = %s", i, row.Name)
	for _, v := range s.Src {
		text += fmt.Sprintf(" %%%d", v)
	}
	const shown = 24
	for k, a := range s.Args {
		switch {
		case k == shown:
			return text + fmt.Sprintf(" ... %d numbers", len(s.Args))
		case k < len(row.Args):
			text += fmt.Sprintf(" %s=%d", row.Args[k], a)
		default:
			text += fmt.Sprintf(" %d", a)
		}
	}
	for k, d := range s.Data {
		if k == 8 {
			text += fmt.Sprintf(" ... %d words", len(s.Data))
			break
		}
		text += fmt.Sprintf(" %d", int64(d))
	}
	if s.Node >= 0 && s.Node < len(p.Nodes) {
		text += "  @ " + p.Nodes[s.Node]
	}
	return text
}

// A port is an input or weight, inputs first, as input steps number them.
func port(m *plan.Manifest, i int) *plan.Port {
	if i < len(m.Inputs) {
		return &m.Inputs[i]
	}
	return &m.Weights[i-len(m.Inputs)]
}
