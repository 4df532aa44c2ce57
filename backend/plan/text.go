package plan

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Text writes the plan as a person reads it: manifest, material, and the program of one role, or of all if role is empty.
func (p *Plan) Text(w io.Writer, role string) error {
	b := bufio.NewWriter(w)
	p.Manifest.text(b, p.Digest())
	fmt.Fprintf(b, "\nmaterial\n")
	for i := range p.Items {
		fmt.Fprintf(b, "  item %d: %s\n", i, p.ItemText(i))
	}
	found := role == ""
	for i := range p.Programs {
		if role == "" || p.Programs[i].Role == role {
			found = true
			p.program(b, i)
		}
	}
	if !found {
		return fmt.Errorf("the plan has no role %q; it has %s", role, strings.Join(p.Roles(), ", "))
	}
	return b.Flush()
}

// Text writes the manifest as a person reads it: who takes part, and what enters and leaves.
func (m *Manifest) Text(w io.Writer, digest string) error {
	b := bufio.NewWriter(w)
	m.text(b, digest)
	return b.Flush()
}

func (m *Manifest) text(b *bufio.Writer, digest string) {
	fmt.Fprintf(b, "plan %s, format %d, by %s\n", m.Name, m.Version, m.Compiler)
	fmt.Fprintf(b, "digest %s\ngraph %s\noptions %s\n", digest, m.Source, m.Recipe.Text())
	if len(m.Guests) > 0 {
		fmt.Fprintf(b, "guests %s\n", strings.Join(m.Guests, ", "))
	}
	fmt.Fprintf(b, "parties %s; dealer %s\nring up to %d bits, %d fraction bits\n", strings.Join(m.Parties, ", "), m.Dealer, m.RingBits, m.FracBits)
	ports := func(what string, list []Port) {
		for _, t := range list {
			who := "from " + t.Owner
			if t.Owner == "" {
				who = "to " + strings.Join(t.To, ", ")
			}
			fmt.Fprintf(b, "%s %q %s %s%v, %d bits with %d of fraction, range %s..%s %s\n", what, t.Name, who, t.Elem, t.Shape, t.Bits, t.Scale, Decimal(t.Lo), Decimal(t.Hi), t.Origin)
			if len(t.Words) > 0 {
				fmt.Fprintf(b, "  text: %q\n", t.Words)
			}
			for _, c := range t.Categories {
				fmt.Fprintf(b, "  column %d: %d values and no others\n", c.Column, len(c.Values))
			}
			if t.Step != 0 {
				fmt.Fprintf(b, "  multiples of %g, to which their owner rounds, within the range\n", t.Step)
			}
			if t.Missing != "" {
				fmt.Fprintf(b, "  elements may be missing, but those of columns %v; %q says which are\n", t.Given, t.Missing)
			}
			for k, c := range t.Columns {
				fmt.Fprintf(b, "  column %d: range %s..%s, with %d of fraction\n", k, Decimal(c.Lo), Decimal(c.Hi), t.ScaleOf(k))
			}
		}
	}
	ports("input", m.Inputs)
	ports("weight", m.Weights)
	ports("output", m.Outputs)
}

// ItemText describes an item.
func (p *Plan) ItemText(i int) string {
	it := p.Items[i]
	kind, scope, how := "random", "session", "additive"
	if it.Dealt {
		kind = "dealt"
	}
	if it.Scope == Model {
		scope = "model"
	}
	switch it.Mode {
	case Xor:
		how = "xor"
	case Common:
		how = "common"
	}
	who := "all parties"
	if it.Holder > 0 {
		who = p.Manifest.Parties[it.Holder-1]
	}
	return fmt.Sprintf("%s, %s, %s, %d x %d bits, held by %s, offset %d of the %s stream", it.What, kind, how, it.Len, it.Bits, who, it.Offset, scope)
}

func (p *Plan) program(b *bufio.Writer, role int) {
	g := &p.Programs[role]
	fmt.Fprintf(b, "\nprogram of %s: %d slots, %d words for a session, %d for the model\n", g.Role, len(g.Slots), g.Words, g.Model)
	for ph := Setup; ph <= Online; ph++ {
		for r, round := range g.Rounds(ph) {
			if len(round.Steps)+len(round.Opens) == 0 {
				continue
			}
			fmt.Fprintf(b, "  %v round %d\n", ph, r)
			for i := range round.Steps {
				fmt.Fprintf(b, "    %s\n", p.StepText(&round.Steps[i]))
			}
			for i := range round.Opens {
				fmt.Fprintf(b, "    %s\n", p.OpenText(role, &round.Opens[i]))
			}
		}
	}
}

// StepText renders a step: s12 = matmul s3 s4 batch=1 m=8 k=784 n=128  @ node.
func (p *Plan) StepText(s *Step) string {
	row := Steps[s.Op]
	var b strings.Builder
	fmt.Fprintf(&b, "s%d = %s", s.Dst, row.Name)
	for _, src := range s.Src {
		fmt.Fprintf(&b, " s%d", src)
	}
	for i, a := range s.Args {
		if i < len(row.Args) {
			fmt.Fprintf(&b, " %s=%d", row.Args[i], a)
		} else {
			fmt.Fprintf(&b, " %d", a)
		}
	}
	const shown = 8
	for i, d := range s.Data {
		if i == shown {
			fmt.Fprintf(&b, " ... %d words", len(s.Data))
			break
		}
		fmt.Fprintf(&b, " %d", int64(d))
	}
	return b.String() + "  @ " + p.Nodes[s.Node]
}

// OpenText renders an opening as one role sees it.
func (p *Plan) OpenText(role int, o *Open) string {
	names := func(list []int) string {
		var out []string
		for _, r := range list {
			out = append(out, p.Roles()[r])
		}
		return strings.Join(out, ",")
	}
	src, dst := "-", "-"
	for _, r := range o.From {
		if r == role {
			src = fmt.Sprintf("s%d", o.Src)
		}
	}
	for _, r := range o.To {
		if r == role {
			dst = fmt.Sprintf("s%d", o.Dst)
		}
	}
	return fmt.Sprintf("open %s -> %s %v, %d x %d bits from %s to %s, masked by item %d (%s)  @ %s", src, dst, o.Kind, o.Len, o.Bits, names(o.From), names(o.To), o.Item-1, p.Items[o.Item-1].What, p.Nodes[o.Node])
}

// JSON writes the plan without the IR texts as JSON.
func (p *Plan) JSON(w io.Writer) error {
	q := *p
	q.Manifest.Dumps = nil
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(struct {
		Digest string
		*Plan
	}{p.Digest(), &q})
}
