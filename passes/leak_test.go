package passes_test

import (
	"slices"
	"testing"

	"smpcc/ir"
	"smpcc/ir/policy"
	"smpcc/passes"
)

// TestWeightsBecomeNoConstants wants no constant of a compiled module to hold a weight's data, which a plan publishes: the weight meets an input in an op that takes
// its arguments in formats of its own.
func TestWeightsBecomeNoConstants(t *testing.T) {
	for _, c := range []struct {
		elem string
		op   ir.Op
		attr ir.Attrs
		data *ir.Tensor
	}{
		{"real", ir.OpDiv, nil, ir.Reals(ir.Shape{2, 1, 3}, 1.25, -5.5, -2.75, 0.5, 3.25, 5.75)},
		{"int", ir.OpIntDiv, ir.Attrs{ir.I("down", 1)}, ir.Ints(ir.Shape{2, 1, 3}, 1, -5, -2, 0, 3, 5)},
		{"int", ir.OpIntMod, ir.Attrs{ir.I("down", 1)}, ir.Ints(ir.Shape{2, 1, 3}, 1, -5, -2, 0, 3, 5)},
	} {
		f := ir.NewFunc("main")
		m := &ir.Module{Name: "m", Parties: []string{"p0", "p1"}, Dealer: "d", Funcs: []*ir.Func{f}, Weights: map[string]*ir.Tensor{"w": c.data}}
		b := ir.Builder{F: f, At: &ir.Value{}}
		w := b.E(ir.OpWeight, ir.Attrs{ir.S("name", "w"), ir.S("owner", "p0"), ir.S("elem", c.elem), ir.Dims("shape", c.data.Shape)})
		x := b.E(ir.OpInput, ir.Attrs{ir.S("name", "x"), ir.S("owner", "p1"), ir.S("elem", c.elem), ir.Dims("shape", ir.Shape{2, 3}), ir.F("lo", 1), ir.F("hi", 4)})
		b.E(ir.OpReveal, ir.Attrs{ir.S("name", "y"), ir.Ss("to", "p1")}, b.E(c.op, c.attr, w, x))
		if _, err := passes.Run(m, &passes.Options{FracBits: 16, Default: policy.New("", policy.Rule{Output: "*", To: []string{"p1"}})}); err != nil {
			t.Fatalf("%s of %s: %v", c.op, c.elem, err)
		}
		for _, v := range m.Main().Body {
			if v.Op != ir.OpConst {
				continue
			}
			k := v.Attrs.Tensor("data")
			for i := range k.Len() {
				if k.Len() >= c.data.Len() && i+3 <= k.Len() && same(k, i, v.Type.Scale, c.data) {
					t.Errorf("%s of %s: the constant %s holds the weight of p0", c.op, c.elem, v)
				}
			}
		}
		if reveals := m.Main().Reveals(); !slices.Contains(reveals[0].Args[0].Type.Vis.Owners(), "p0") {
			t.Errorf("%s of %s: the output does not derive from the weight of p0 any more", c.op, c.elem)
		}
	}
}

// same reports whether the elements of k from i on, of the given scale, are the first row of w, or minus that.
func same(k *ir.Tensor, i, scale int, w *ir.Tensor) bool {
	for _, sign := range []float64{1, -1} {
		equal := true
		for j := range 3 {
			equal = equal && k.At(i+j) == sign*w.At(j)*float64(int64(1)<<scale)
		}
		if equal {
			return true
		}
	}
	return false
}
