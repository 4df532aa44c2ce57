package oracle

import (
	"os"
	"path/filepath"
	"testing"

	"smpcc"
	"smpcc/backend"
	"smpcc/backend/plan"
	"smpcc/backend/verify"
	"smpcc/passes"
)

// compile compiles a program over a ring of a few bits, which the command line does not offer.
func compile(t testing.TB, src string, ring int, net passes.Network) (*plan.Plan, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p.smp")
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := smpcc.Load(path, smpcc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var rules []passes.Rule
	elems := map[string]string{}
	for _, v := range m.Main().Reveals() {
		elems["reveal "+v.Attrs.Str("name")] = v.Type.Elem.String()
		rules = append(rules, passes.Rule{Output: v.Attrs.Str("name"), To: v.Attrs.Strings("to")})
	}
	opt := &passes.Options{FracBits: 4, Ring: ring, Net: net, Default: passes.NewPolicy("", rules...)}
	numbers, err := passes.Run(m, opt)
	if err != nil {
		return nil, err
	}
	if err := backend.AssignForms(m); err != nil {
		return nil, err
	}
	choices, err := backend.Select(m, backend.Network(net))
	if err != nil {
		return nil, err
	}
	return backend.Emit(m, backend.Options{Choices: choices, FracBits: numbers.FracBits, Elems: elems})
}

func TestTry(t *testing.T) {
	for _, c := range []struct {
		src  string
		ring int
	}{
		{"parties a, b\ninput x: int from a in -1..1\ninput y: int from b in -1..1\nreveal x * y to a as out\n", 4},
		{"parties a, b\ninput x: int from a in -1..1\ninput y: int from b in -1..1\nreveal x < y to b as less\n", 4},
		{"parties a, b\ninput x: int from a in -1..1\ninput y: int from b in -1..1\nreveal max(x,y) to b as less\n", 4},
		{"parties a, b\ninput x: int from a in -1..1\ninput y: int from b in -1..1\nreveal x*y*x to b as less\n", 4},
		{"parties a, b, c\ninput x: int from a in -1..1\ninput y: int from b in -1..1\ninput z: int from c in -1..1\nreveal x+y+z to b as less\n", 4},
	} {
		for _, net := range []passes.Network{{}, {RTT: 10, Bandwidth: 1e12}} {
			p, err := compile(t, c.src, c.ring, net)
			if err != nil {
				t.Error(err)
				continue
			}
			if testing.Verbose() {
				//p.Text(os.Stdout, "")
			}
			v, err := Decide(p, Options{})
			t.Logf("%s %+v %v", c.src, v, err)
			if err := verify.Check(p).Err(); err != nil {
				t.Error(err)
			}
		}
	}
}
