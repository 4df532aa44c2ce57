package passes

import (
	"fmt"
	"math"
	"math/rand/v2" // what is drawn here is public test input, the same on every machine
	"slices"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Written says of an output that the source is fixed point itself: what it means is what its text says, and there are no reals to compare with.
const Written State = "written"

// Lowered reports whether a module is at a level behind the passes: fixed, or share.
func Lowered(m *ir.Module) bool { return m.Main().Holds&(ir.Quantised|ir.Shared) != 0 }

// lowest is what a module at a level behind the passes holds at least.
const lowest = ir.Core | ir.Ranged | ir.Quantised | ir.Widthed

// Accept takes a module that was written at a level behind the passes: reveals are checked against policies as everywhere, ranges are what the text states
// and nobody has proved, and where all data is known the module is run on inputs drawn over their ranges, each value of which must fit its width.
func Accept(m *ir.Module, opt *Options) (n *Numbers, err error) {
	defer ir.Recover(&err)
	if err := ir.Verify(m); err != nil {
		return nil, err
	}
	f := m.Main()
	if f.Holds&lowest != lowest {
		return nil, diag.Errorf(diag.Pos{File: m.Name}, "the text is behind the graph level and does not hold %v", (lowest &^ f.Holds).Names()).
			WithHint("give the text of the graph level, or of level fixed or share as smpcc inspect prints it")
	}
	if err := permit(m, opt); err != nil {
		return nil, err
	}
	f.Holds |= ir.Permitted
	n = &Numbers{FracBits: opt.FracBits, Precision: opt.Precision}
	for _, v := range f.Body {
		if v.Op != ir.OpConst && v.Type.Elem != ir.Bool && !v.Type.Vis.IsPublic() && !declaredAs(v) && v.Range.Origin > ir.Assumed {
			v.Range.Origin = ir.Assumed
		}
	}
	if opt.StrictRange {
		for _, v := range f.Body {
			if v.Type.Elem != ir.Bool && v.Range.Origin == ir.Assumed {
				return nil, diag.Errorf(v.Pos, "--strict-range: the range of %s is stated by the text, and not proved", describe(v)).
					WithHint("give the text of the graph level, of which ranges are computed")
			}
		}
	}
	for _, v := range f.Reveals() {
		n.Outputs = append(n.Outputs, Output{Name: v.Attrs.Str("name"), State: Written, Frac: v.Type.Scale})
	}
	if opt.Observe != nil {
		opt.Observe("accept", m)
	}
	return n, fits(m)
}

// declaredAs reports whether v is an input whose range is the one that is declared for it.
func declaredAs(v *ir.Value) bool {
	return v.Op == ir.OpInput && v.Attrs.Has("lo") && v.Attrs.Has("hi") && v.Range.Lo == v.Attrs.Float("lo", 0) && v.Range.Hi == v.Attrs.Float("hi", 0)
}

// writtenRuns is how often a written module is run.
const writtenRuns = 2 * drawWays

// fits runs a module of the fixed level on inputs drawn over their ranges and refuses it if a value leaves its range or its width. One whose weights are not all
// known is not run; nor is one of the share level, whose words are shares.
func fits(m *ir.Module) error {
	f := m.Main()
	if f.Holds&ir.Shared != 0 || slices.ContainsFunc(f.Body, func(v *ir.Value) bool { return v.Op == ir.OpWeight && m.Weights[v.Attrs.Str("name")] == nil }) {
		return nil
	}
	runs := max(1, min(writtenRuns, int(runsBudget/multiplyAdds(f))))
	for i := range runs {
		in := map[string]*ir.Tensor{}
		for j, v := range f.Body {
			if v.Op == ir.OpInput {
				in[v.Attrs.Str("name")] = drawWritten(v, i, rand.New(rand.NewPCG(uint64(i), uint64(j)+2)))
			}
		}
		dither := rand.New(rand.NewPCG(uint64(i), 1)).Uint64
		vals, err := ir.Eval(f, ir.Env{Inputs: in, Weights: m.Weights, Check: true, Dither: dither, Parties: len(m.Parties)})
		if err != nil {
			return err
		}
		for _, v := range f.Body {
			if err := within(v, vals[v], len(m.Parties)); err != nil {
				return err
			}
		}
	}
	return nil
}

// drawWritten draws data for an input of a written module.
func drawWritten(v *ir.Value, run int, r *rand.Rand) *ir.Tensor {
	elem := ir.Real
	switch v.Attrs.Str("elem") {
	case "int":
		elem = ir.Int
	case "bool":
		elem = ir.Bool
	}
	t := ir.NewTensor(elem, v.Type.Shape)
	lo, hi := v.Range.Lo, v.Range.Hi
	columns := inputColumns(v, false)
	scale := math.Exp2(-scaledBy * r.Float64())
	for i := range t.Len() {
		a, b := lo, hi
		if columns != nil {
			a, b = columns[i%len(columns)].lo, columns[i%len(columns)].hi
		}
		x := drawn(a, b, run%drawWays, i == 0, scale, r)
		if elem == ir.Real {
			t.F[i] = x
		} else {
			t.I[i] = int64(math.Round(x))
		}
	}
	return t
}

// within refuses a value outside the range that the text states of it; rounding may leave it by a unit for each party, and what is stated is taken as exact
// no further than that.
func within(v *ir.Value, t *ir.Tensor, parties int) error {
	if v.Type.Elem != ir.Ring || v.Op == ir.OpReveal || v.Range.Origin == ir.NoRange {
		return nil
	}
	slack := math.Ldexp(float64(parties+1), -v.Type.Scale)
	slack += float64(v.Range.Abs() * 0x1p-10)
	for i := range t.Len() {
		if x := math.Ldexp(t.At(i), -v.Type.Scale); x < v.Range.Lo-slack || x > v.Range.Hi+slack {
			return diag.Errorf(v.Pos, "%s is %.6g for inputs within their ranges, and its text states the range %g..%g", v, x, v.Range.Lo, v.Range.Hi).
				WithHint("%s", fmt.Sprintf("state a range of %s that holds for all inputs, with a width for it; or give the text of the graph level, of which ranges are computed", v))
		}
	}
	return nil
}
