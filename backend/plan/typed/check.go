package typed

import (
	"errors"
	"fmt"
	"math/bits"

	"smpcc/backend/plan"
)

// Kinds is a set of kinds that an operand may have.
type Kinds uint16

func kinds(list ...Kind) (out Kinds) {
	for _, k := range list {
		out |= 1 << k
	}
	return out
}

// String lists the kinds.
func (k Kinds) String() string {
	text := ""
	for i, name := range kindNames {
		if k>>i&1 != 0 {
			if text != "" {
				text += " or "
			}
			text += name
		}
	}
	return text
}

// An Exchange is what a row sends.
type Exchange uint8

// The exchanges of rows.
const (
	Local    Exchange = iota // nothing
	ByHolder                 // m = x + r from the holder of x, who alone knows r, to all parties
	ByAll                    // m = x + r, each party's share under its share of r, to all parties
	Output                   // each party's share under its share of zero, to the receivers
)

// A Row is one rule of the calculus: one step as its type, its material, its meaning, and the steps of each role.
type Row struct {
	Name   string
	Doc    string // the equation in words; x y are the operands, z the result
	Source string // where it is published
	Src    []Kinds
	Var    bool     // the last operand may stand several times, or not at all
	Args   []string // names of Args; further ones are allowed if ArgsVar
	ArgsVar,
	Data bool // takes further arguments; takes Data
	Exchange Exchange

	// Rule returns the type of the result, but for what all rows have in common: owners, scope and moment.
	Rule func(s *Site) (Type, error)
	// Need lists the material: functions of masks of opened values; nil if there is none.
	Need func(s *Site) []Def
	// Plain returns what the result stands for.
	Plain func(s *Site, x []Words) Words
	// Range says in which numbers of b bits, signed, an operand must be for the equation to hold: -2^(b-1) <= x < 2^(b-1). A nil Range, or
	// b = 64: in any. That values are in their ranges is what a plan assumes, not what has been checked.
	Range func(s *Site, i int) int
	// Slack bounds what the result of so many parties may differ from Plain by, where the step rounds; nil: not at all.
	Slack func(s *Site, parties int) (lo, hi int64)
	// Party adds the steps of all roles, given the parties' shares of each item that it needs.
	Party func(e *emitter, s *Site, items [][]int) wire
}

// Words are a value in the clear: what it hides, and of opened values the mask.
type Words struct{ X, Mask []uint64 }

// A Site is a step with what its row may know of its surroundings.
type Site struct {
	*Step
	ID       int
	T        []Type // types of the operands
	Program  *Program
	Manifest *plan.Manifest
	Types    []Type // of all earlier values
	checked  *Checked
}

// arg returns an argument as an int.
func (s *Site) arg(i int) int { return int(s.Args[i]) }

// Checked is a program that has a type.
type Checked struct {
	Program  *Program
	Manifest *plan.Manifest
	Types    []Type
	Need     [][]Def // by step
	fixed    []*fixed
	roots    []root
}

// A fixed is what is known of the words of a constant.
type fixed struct {
	data      []uint64
	views     int    // that stand on it here
	magnitude uint64 // the largest, as signed numbers
	bits      int    // that hold all words
	uniform   bool   // all are the same
}

// A root is the opened value whose mask an opened value has, and how often each of its elements stands in the value, one behind the other.
type root struct{ base, points int }

// An Error says where a program has no type, and why.
type Error struct {
	Step int
	Text string // the step as it is printed
	Err  error
}

// Error renders the error on one line.
func (e *Error) Error() string { return fmt.Sprintf("step %d: %v [%s]", e.Step, e.Err, e.Text) }

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// maxLen bounds the elements of a value, maxSteps the steps of all roles together, and maxViews how many views of a constant stand one on
// another: work and memory of whoever reads a plan grow with them.
const (
	maxLen   = 1 << 28
	maxSteps = 1 << 18
	maxViews = 4
)

// TooMany refuses a program that has more steps than who reads a plan takes.
type TooMany struct{ Steps, Parties int }

// Error says how many there are and how many there may be.
func (e *TooMany) Error() string {
	return fmt.Sprintf("%d steps of %d parties are more than %d", e.Steps, e.Parties, maxSteps)
}

// Check types all steps of a program. What has a type masks whatever leaves a party, but outputs, which go to the receivers that the
// manifest names, with the permission of each owner of data they derive from.
func Check(m *plan.Manifest, p *Program) (*Checked, error) {
	if len(m.Parties) < 2 || len(m.Parties)+len(m.Guests) > 64 {
		return nil, fmt.Errorf("typed plan of %d parties and %d guests, want 2..64 together", len(m.Parties), len(m.Guests))
	}
	if len(p.Steps)*(len(m.Parties)+1) > maxSteps {
		return nil, &TooMany{Steps: len(p.Steps), Parties: len(m.Parties)}
	}
	c := &Checked{Program: p, Manifest: m}
	revealed := map[int64]bool{}
	for i := range p.Steps {
		t, need, err := c.step(i)
		if err == nil && p.Steps[i].Op == OpReveal {
			if revealed[p.Steps[i].Args[0]] {
				err = errors.New("the output is revealed a second time")
			}
			revealed[p.Steps[i].Args[0]] = true
		}
		if err != nil {
			return nil, &Error{i, p.StepText(i), err}
		}
		c.Types, c.Need = append(c.Types, t), append(c.Need, need)
		if err := c.derive(i); err != nil {
			return nil, &Error{i, p.StepText(i), err}
		}
	}
	if len(revealed) != len(m.Outputs) {
		return nil, fmt.Errorf("%d of %d outputs of the manifest are revealed", len(revealed), len(m.Outputs))
	}
	if err := c.claims(); err != nil {
		return nil, err
	}
	return c, nil
}

// Revealed returns the type of what output i of the manifest reveals.
func (c *Checked) Revealed(i int) Type {
	for _, s := range c.Program.Steps {
		if s.Op == OpReveal && s.Args[0] == int64(i) {
			return c.Types[s.Src[0]]
		}
	}
	panic("typed: an output is not revealed") // Check has seen that all are
}

// step types step i.
func (c *Checked) step(i int) (out Type, need []Def, err error) {
	s := c.site(i)
	row := Rows[s.Op]
	if row == nil {
		return out, nil, fmt.Errorf("no row has number %d", s.Op)
	}
	if err := row.shape(s); err != nil {
		return out, nil, err
	}
	if out, err = row.Rule(s); err != nil {
		return out, nil, err
	}
	if out.Len < 0 || out.Len > maxLen || out.Kind != Done && out.Kind != Const && (out.Bits < 1 || out.Bits > 64) {
		return out, nil, fmt.Errorf("%d elements of %d bits", out.Len, out.Bits)
	}
	model := out.Scope == plan.Model
	for _, t := range s.T {
		out.Owners |= t.Owners
		out.When = later(out.When, t.When)
		model = model || t.Scope == plan.Model
	}
	for _, t := range s.T { // constants are of all scopes
		model = model && (t.Scope == plan.Model || t.Kind == Const)
	}
	if row.Need != nil {
		need = row.Need(s)
	}
	if len(need) > 0 {
		model = false
		out.When = later(out.When, Moment{plan.Offline, 1})
	}
	switch row.Exchange {
	case ByHolder:
		out.When.Round++
	case ByAll:
		model = false
		out.When = later(out.When, Moment{plan.Offline, 0})
		out.When.Round++
	case Output:
		model = false
		out.When = later(out.When, Moment{plan.Online, 0})
		out.When.Round++
	}
	out.Scope = plan.Session
	if model {
		out.Scope = plan.Model
	}
	return out, need, nil
}

// derive notes what later steps ask of a constant, and of an opened value.
func (c *Checked) derive(i int) error {
	s := &c.Program.Steps[i]
	r := root{i, 1}
	var f *fixed
	switch {
	case c.Types[i].Kind == Opened:
		if times := c.site(i).repeats(); times > 0 {
			r = c.roots[s.Src[0]]
			r.points *= times
		}
	case c.Types[i].Kind == Const && s.Op == OpConst:
		f = &fixed{data: s.Data, uniform: true}
		for _, w := range s.Data {
			size := w
			if int64(w) < 0 {
				size = -w
			}
			f.magnitude, f.bits, f.uniform = max(f.magnitude, size), max(f.bits, bits.Len64(w)), f.uniform && w == s.Data[0]
		}
	case c.Types[i].Kind == Const:
		of := *c.fixed[s.Src[0]]
		f = &of
		if f.views++; f.views > maxViews {
			return fmt.Errorf("%d views of a constant stand on each other: fold them", f.views)
		}
	}
	c.roots, c.fixed = append(c.roots, r), append(c.fixed, f)
	return nil
}

// site returns step i with the types of its operands, of those that exist.
func (c *Checked) site(i int) *Site {
	s := &Site{Step: &c.Program.Steps[i], ID: i, Program: c.Program, Manifest: c.Manifest, Types: c.Types, checked: c}
	for _, v := range s.Src {
		if v >= 0 && v < i {
			s.T = append(s.T, c.Types[v])
		}
	}
	return s
}

// shape checks that a step has the operands and arguments of its row.
func (row *Row) shape(s *Site) error {
	least := len(row.Src)
	if row.Var {
		least--
	}
	switch {
	case len(s.T) != len(s.Src):
		return fmt.Errorf("operand %d does not exist", len(s.T))
	case len(s.Src) < least || len(s.Src) > len(row.Src) && !row.Var:
		return fmt.Errorf("%d operands, want %d", len(s.Src), least)
	case len(s.Args) < len(row.Args) || len(s.Args) > len(row.Args) && !row.ArgsVar:
		return fmt.Errorf("%d arguments, want %d", len(s.Args), len(row.Args))
	case len(s.Data) > 0 && !row.Data:
		return errors.New("the row takes no data")
	case s.Node < 0 || s.Node >= len(s.Program.Nodes):
		return fmt.Errorf("node %d does not exist", s.Node)
	}
	for i, t := range s.T {
		if want := row.Src[min(i, len(row.Src)-1)]; want>>t.Kind&1 == 0 {
			return fmt.Errorf("operand %d is %v, want %v", i, t, want)
		}
	}
	return nil
}
