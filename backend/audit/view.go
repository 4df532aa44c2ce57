package audit

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"smpcc/backend/plan"
	"smpcc/ir"
)

// A View is a plan as one role sees it.
type View struct {
	Role     string     `json:"role"`
	Gives    []Port     `json:"gives"`
	Learns   []Learned  `json:"learns"`
	Receives []Received `json:"receives"`
	Infers   []string   `json:"infers"`
	Collude  []string   `json:"collude"` // what would follow if it told others what it sees
}

// A Received counts what a role receives of one kind from one other in one phase.
type Received struct {
	Phase   string `json:"phase"`
	From    string `json:"from"`
	Kind    string `json:"kind"`
	Tensors int    `json:"tensors"`
	Bits    int64  `json:"bits"`
	Mask    string `json:"mask"`
}

// viewOf returns the plan as a role sees it.
func (r *Report) viewOf(role string) (*View, error) {
	roles := append(r.plan.Roles(), r.plan.Manifest.Guests...)
	at := slices.Index(roles, role)
	if at < 0 {
		return nil, fmt.Errorf("the plan has no role %q; it has %s", role, strings.Join(roles, ", "))
	}
	v := &View{Role: role, Gives: []Port{}, Learns: []Learned{}, Receives: received(r.plan, at), Infers: []string{}}
	for _, p := range r.Provides {
		if p.Owner == role {
			v.Gives = append(v.Gives, p)
		}
	}
	for _, o := range r.Learns {
		if o.Receiver == role {
			v.Learns = append(v.Learns, o)
		}
	}
	for _, x := range r.Inference {
		if x.Receiver == role {
			v.Infers = append(v.Infers, x.sentences()...)
			for _, u := range x.Open {
				v.Infers = append(v.Infers, fmt.Sprintf("not analysed: what %q may tell it; %s", u.Output, u.Why))
			}
		}
	}
	if r.plan.Manifest.Invited(role) {
		v.Collude = []string{fmt.Sprintf("with up to %d of the %d parties nothing follows but what their own data and outputs say together; with all of them, everything", len(r.Parties)-1, len(r.Parties))}
		return v, nil
	}
	if role == r.Dealer {
		v.Collude = []string{"with any party: who knows the masks and sees what is opened reads every number"}
		return v, nil
	}
	v.Collude = []string{fmt.Sprintf("with the dealer %s: together they read every number that is opened, of every owner", r.Dealer)}
	if n := len(r.Parties); n > 2 {
		v.Collude = append(v.Collude, fmt.Sprintf("with up to %d of the other %d parties nothing follows but what their own data and outputs say together", n-2, n-1))
	}
	return v, nil
}

// received counts what the role numbered at receives, by phase, sender and kind.
func received(p *plan.Plan, at int) []Received {
	out := []Received{}
	if at >= len(p.Programs) { // a guest, who takes part in no exchange: its shares it is given
		return out
	}
	roles := p.Roles()
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		for from, sender := range roles {
			for kind := plan.OpenWire; kind <= plan.Keys; kind++ {
				x := Received{Phase: ph.String(), From: sender, Kind: kind.String(), Mask: covers[kind]}
				for _, round := range p.Programs[at].Rounds(ph) {
					for _, o := range round.Opens {
						if o.Kind == kind && from != at && slices.Contains(o.From, from) && slices.Contains(o.To, at) {
							x.Tensors++
							x.Bits += int64(o.Len) * int64(o.Bits)
						}
					}
				}
				if x.Tensors > 0 {
					out = append(out, x)
				}
			}
		}
	}
	return out
}

// Knows says what a role has of a value, at any level of the IR.
func Knows(v *ir.Value, role, dealer string) string {
	t := v.Type
	switch {
	case t.Vis.IsPublic():
		return role + " knows it"
	case v.Op == ir.OpReveal && slices.Contains(v.Attrs.Strings("to"), role), t.Vis.IsPrivate() && slices.Contains(t.Vis.Owners(), role):
		return role + " knows it"
	case t.Vis.IsPrivate(), role == dealer, v.Op == ir.OpReveal:
		return role + " has nothing of it"
	case t.Form == ir.Masked, t.Form == ir.MaskedBit:
		return role + " sees it under a mask, and holds a share of the mask"
	}
	return role + " holds a share"
}

// writeView writes what one role sees, for a person.
func writeView(w io.Writer, v *View) error {
	fmt.Fprintf(w, "\nAs %s sees it\n\nWhat %[1]s gives\n", v.Role)
	for _, p := range v.Gives {
		fmt.Fprintf(w, "  %s %s, %s\n", p.Kind, p.Name, p.Type)
	}
	if len(v.Gives) == 0 {
		fmt.Fprintf(w, "  nothing\n")
	}
	fmt.Fprintf(w, "\nWhat %s learns\n", v.Role)
	for _, o := range v.Learns {
		fmt.Fprintf(w, "  %s (%s)\n", o.Output, o.Type)
		for _, b := range o.Because {
			fmt.Fprintf(w, "    %s\n", b)
		}
	}
	if len(v.Learns) == 0 {
		fmt.Fprintf(w, "  nothing\n")
	}
	fmt.Fprintf(w, "\nWhat %s receives\n", v.Role)
	t := columns(w, "  phase", "from", "kind", "tensors", "bits", "masked by")
	for _, x := range v.Receives {
		t.row("  "+x.Phase, x.From, x.Kind, fmt.Sprint(x.Tensors), fmt.Sprint(x.Bits), x.Mask)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(v.Infers) > 0 {
		if err := list(w, "What "+v.Role+" could infer, as far as it is linear algebra", v.Infers); err != nil {
			return err
		}
	}
	return list(w, "What follows if "+v.Role+" puts what it sees together with what others see", v.Collude)
}
