package oracle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"smpcc"
	"smpcc/backend"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/policy"
	"smpcc/passes"
)

// A setting is how a small program is compiled.
type setting struct {
	ring, frac int // 0 bits: as the compiler chooses
	net        passes.Network
	weight     bool // x is a weight: opened once, for two sessions
}

// wan is a network on which rounds are worth any number of bytes: comparisons are by keys.
var wan = passes.Network{RTT: 10, Bandwidth: 1e12}

// load reads a program, or a module.
func load(t testing.TB, src string, s setting) (*ir.Module, error) {
	t.Helper()
	name := "p.smp"
	if strings.HasPrefix(src, "module") {
		name = "p.ir"
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := smpcc.Load(path, smpcc.Options{})
	if err != nil {
		return nil, err
	}
	for _, f := range m.Funcs { // any weights will do: what they are does not matter
		for _, v := range f.Body {
			if s.weight && v.Op == ir.OpInput && v.Attrs.Str("name") == "x" {
				v.Op = ir.OpWeight
				v.Attrs = slices.DeleteFunc(slices.Clone(v.Attrs), func(a ir.Attr) bool { return a.Key == "lo" || a.Key == "hi" })
			}
			if v.Op == ir.OpWeight {
				w := ir.NewTensor(v.Type.Elem, v.Type.Shape)
				for i := range w.I {
					w.I[i] = int64(1 - i%2*2)
				}
				m.Weights[v.Attrs.Str("name")] = w
			}
		}
	}
	return m, nil
}

// compile compiles a program over a ring of a few bits, which the command line does not offer.
func compile(t testing.TB, src string, s setting) (*plan.Plan, error) {
	t.Helper()
	m, err := load(t, src, s)
	if err != nil {
		return nil, err
	}
	var rules []policy.Rule
	elems := map[string]string{}
	for _, v := range m.Main().Reveals() {
		elems["reveal "+v.Attrs.Str("name")] = v.Type.Elem.String()
		rules = append(rules, policy.Rule{Output: v.Attrs.Str("name"), To: v.Attrs.Strings("to")})
	}
	opt := &passes.Options{FracBits: max(1, s.frac), Ring: s.ring, Net: s.net, Default: policy.New("", rules...), Tolerance: passes.Tolerance{Atol: 100}, RevealBits: max(1, s.frac)}
	numbers, err := passes.Run(m, opt)
	if err != nil {
		return nil, err
	}
	if err := backend.AssignForms(m); err != nil {
		return nil, err
	}
	choices, err := backend.Select(m, backend.Network(s.net))
	if err != nil {
		return nil, err
	}
	return backend.Emit(m, backend.Options{Choices: choices, FracBits: numbers.FracBits, Elems: elems})
}

// A writer writes random programs.
type writer struct {
	*rand.Rand
	parties int
	length  int // of the tensors; 0: scalars
	names   []string
	bools   []string
	reals   bool
	curves  bool // with functions that are approximated
	wide    int  // magnitude of inputs; 0: one or two
	deep    int  // operations left
}

func (w *writer) pick(list ...string) string { return list[w.IntN(len(list))] }

// number writes an expression that is a number.
func (w *writer) number() string {
	if w.deep--; w.deep < 0 || w.IntN(5) == 0 {
		if w.IntN(8) == 0 && !w.reals {
			return fmt.Sprint(w.IntN(3) - 1)
		}
		return w.pick(w.names...)
	}
	if w.curves && w.IntN(2) == 0 {
		return fmt.Sprintf("%s(%s)", w.pick("sigmoid", "tanh"), w.number())
	}
	switch k := w.IntN(14); {
	case k < 6:
		return fmt.Sprintf("(%s %s %s)", w.number(), w.pick("+", "-", "*", "*"), w.number())
	case k == 6:
		return fmt.Sprintf("where(%s, %s, %s)", w.truth(), w.number(), w.number())
	case k == 7:
		return fmt.Sprintf("relu(%s)", w.number())
	case k == 8:
		return fmt.Sprintf("%s(%s, %s)", w.pick("max", "min"), w.number(), w.number())
	case k == 9:
		return fmt.Sprintf("abs(%s)", w.number())
	case k == 10:
		return fmt.Sprintf("sum(stack(%s, %s))", w.number(), w.number())
	case k == 11:
		return fmt.Sprintf("stack(%s, %s)[%d]", w.number(), w.number(), w.IntN(2))
	case k == 12 && w.length == 0:
		return fmt.Sprintf("argmax(stack(%s, %s))", w.number(), w.number())
	}
	return fmt.Sprintf("(%s - %s)", w.number(), w.pick(w.names...))
}

// truth writes an expression that is a bit.
func (w *writer) truth() string {
	w.deep--
	if len(w.bools) > 0 && w.IntN(4) == 0 {
		return w.pick(w.bools...)
	}
	switch k := w.IntN(6); {
	case k < 3 || w.deep < 0:
		return fmt.Sprintf("(%s %s %s)", w.number(), w.pick("<", "==", ">", "<="), w.number())
	case k == 3:
		return fmt.Sprintf("not %s", w.truth())
	}
	return fmt.Sprintf("(%s %s %s)", w.truth(), w.pick("and", "or"), w.truth())
}

// program writes a program.
func (w *writer) program() string {
	names := []string{"a", "b", "c"}[:w.parties]
	shape := ""
	if w.length > 0 {
		shape = fmt.Sprintf("[%d]", w.length)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "parties %s\n", strings.Join(names, ", "))
	kind := "int"
	if w.reals {
		kind = "real"
	}
	for i, p := range names {
		in := []string{"x", "y", "z"}[i]
		lo, hi := -w.IntN(2)-1, w.IntN(2)+1
		if w.length > 1 || w.parties > 2 {
			lo, hi = -w.IntN(2), 1
		}
		if w.wide > 0 {
			lo, hi = -1-w.IntN(w.wide), 1+w.IntN(w.wide)
		}
		fmt.Fprintf(&b, "input %s: %s%s from %s in %d..%d\n", in, kind, shape, p, lo, hi)
		w.names = append(w.names, in)
	}
	if w.IntN(3) == 0 {
		fmt.Fprintf(&b, "let u = %s\n", w.number())
		w.names = append(w.names, "u")
	}
	for i := range 1 + w.IntN(2) {
		what := w.number()
		if w.IntN(4) == 0 && !w.reals {
			what = w.truth()
		}
		to := w.pick(names...)
		if w.IntN(3) == 0 {
			to = strings.Join(names[:2], ", ")
		}
		fmt.Fprintf(&b, "reveal %s to %s as out%d\n", what, to, i)
	}
	return b.String()
}

// random returns a random small program and its plan.
func random(t testing.TB, r *rand.Rand) (src string, s setting, p *plan.Plan) {
	for {
		w := &writer{Rand: r, parties: 2, deep: 1 + r.IntN(5)}
		s = setting{ring: 4 + r.IntN(3)}
		switch r.IntN(24) {
		case 0, 1, 2, 3, 4, 5:
			w.parties, w.deep, s.ring = 3, 1+r.IntN(3), 3+r.IntN(2)
		case 6, 7:
			w.length = 2
		case 8, 9, 10, 11:
			w.reals, w.deep, s.frac, s.ring = true, 2+r.IntN(4), 1+r.IntN(2), 7+r.IntN(4)
		case 12, 13: // comparisons of several chunks
			w.wide, s.ring = 20, 8+r.IntN(6)
		case 14: // and of several levels
			w.wide, w.deep, s.ring = 1<<58, 2, 0
		case 15, 16, 17:
			s.weight = true
		case 18:
			w.reals, w.curves, s.frac, s.ring = true, true, 8, 0
		case 19:
			p := patterns[r.IntN(len(patterns))]
			s = setting{frac: 8}
			plan, err := compile(t, p, s)
			if err != nil {
				t.Fatalf("%v:\n%s", err, p)
			}
			return p, s, plan
		}
		if r.IntN(3) == 0 && w.parties == 2 {
			s.net = wan
		}
		src = w.program()
		if p, err := compile(t, src, s); err == nil {
			return src, s, p
		}
	}
}

// patterns have steps that random programs of a few bits do not have, as they are compiled.
var patterns = []string{
	two + "let p = x * y\nlet q = (x + y) * (x - y)\nreveal p * q to a, b as out\n",
	two + "reveal stack(stack(x, y), stack(y, x)) @ stack(stack(x, 1), stack(y, y)) to b as out\n",
	two + "let z = stack(x, y, x)\nreveal where(z < 0, z, z * y) to a as out\n",
	weighted, exponential,
}
