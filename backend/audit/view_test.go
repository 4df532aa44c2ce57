package audit

import (
	"strings"
	"testing"

	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/text"
)

// TestViewReceives: what a role receives is, link by link, what the plan says that it costs.
func TestViewReceives(t *testing.T) {
	for _, ex := range examples {
		p := ex.plan(t)
		cost := p.Cost()
		for to, role := range p.Roles() {
			r, err := Of(p, Options{View: role})
			if err != nil {
				t.Fatal(err)
			}
			for ph := plan.Setup; ph <= plan.Online; ph++ {
				for from, sender := range p.Roles() {
					bits, tensors := int64(0), 0
					for _, x := range r.View.Receives {
						if x.Phase == ph.String() && x.From == sender {
							bits, tensors = bits+x.Bits, tensors+x.Tensors
						}
					}
					sent := 8 * cost.Phases[ph].Links[from][to] // each tensor is rounded up to bytes
					if bits > sent || sent > bits+7*int64(tensors) {
						t.Errorf("%s, %s: %s receives %d bits in %d tensors from %s, and %d are sent", ex.path, ph, role, bits, tensors, sender, sent)
					}
				}
			}
			if role == r.Dealer && (len(r.View.Receives) > 0 || len(r.View.Learns) > 0 || len(r.View.Gives) > 0) {
				t.Errorf("%s: the dealer receives %+v", ex.path, r.View)
			}
		}
	}
	if _, err := Of(examples[2].plan(t), Options{View: "mallory"}); err == nil || !strings.Contains(err.Error(), "it has alice, bob, carol, d") {
		t.Errorf("a role that is not there: %v", err)
	}
}

// TestKnows: no two parties know a secret, and every value is known to whom its type says.
func TestKnows(t *testing.T) {
	for _, ex := range examples {
		p := ex.plan(t)
		for _, d := range p.Manifest.Dumps {
			m, err := text.Parse(d.Level, []byte(d.Text))
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range m.Main().Body {
				for _, role := range p.Roles() {
					owns := v.Type.Vis.IsPublic()
					for _, o := range v.Type.Vis.Owners() {
						owns = owns || o == role && v.Type.Vis.IsPrivate()
					}
					for _, to := range v.Attrs.Strings("to") {
						owns = owns || to == role && v.Op == ir.OpReveal
					}
					if says := strings.HasSuffix(Knows(v, role, p.Manifest.Dealer), " knows it"); says != owns {
						t.Errorf("%s, %s: %s knows %s: %v", ex.path, d.Level, role, ir.Line(v, nil), says)
					}
				}
			}
		}
	}
}
