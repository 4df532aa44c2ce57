package passes

import (
	"fmt"
	"math"

	"smpcc/ir"
)

// An ErrorBound bounds the error of a value for every input in the declared ranges: |computed - exact| <= Abs + Rel*|exact|, where exact is the
// graph in real arithmetic.
type ErrorBound struct {
	Abs, Rel float64
	Why      string // why there is no bound; "" if there is one
}

// Within reports whether the bound keeps a tolerance for every exact value in iv. Both sides are linear in |exact|, so that the ends of its
// range decide; an end at infinity asks for Rel <= rtol.
func (b ErrorBound) Within(atol, rtol float64, iv interval) bool {
	if b.Why != "" || !(b.Abs >= 0 && b.Rel >= 0 && iv.lo <= iv.hi) {
		return false
	}
	keeps := func(y float64) bool {
		if math.IsInf(y, 0) {
			return b.Rel < rtol || b.Rel == rtol && b.Abs <= atol
		}
		return b.Abs+float64(b.Rel*y) <= atol+float64(rtol*y)
	}
	return keeps(max(iv.lo, -iv.hi, 0)) && keeps(max(iv.hi, -iv.lo))
}

// part returns the largest part of a tolerance that the bound takes for an exact value in iv: of two linear functions of |exact|, at an end of
// its range.
func (b ErrorBound) part(t Tolerance, iv interval) float64 {
	part := func(y float64) float64 {
		if b.Abs == 0 && b.Rel == 0 {
			return 0
		}
		return up((b.Abs + float64(b.Rel*y)) / (t.Atol + float64(t.Rtol*y)))
	}
	return max(part(max(iv.lo, -iv.hi, 0)), part(max(iv.hi, -iv.lo)))
}

// An outputBound bounds the elements of an output.
type outputBound struct {
	enclosure
	why string // why there is none
}

// bounds returns the bounds of the outputs.
func (p *proof) bounds() map[string]outputBound {
	out := map[string]outputBound{}
	why := ""
	switch {
	case p.from == nil:
		why = "nothing is known of how constants were rounded"
	case !p.from.complete(p.f):
		why = "a function's result was not found again in fixed point"
	case multiplyAdds(p.f) > proofWork:
		why = "the graph is too large to bound every element"
	}
	if why != "" {
		for _, v := range p.f.Reveals() {
			out[v.Attrs.Str("name")] = outputBound{why: why}
		}
		return out
	}
	known, unknown := p.enclose()
	for name, e := range known {
		out[name] = outputBound{enclosure: e}
	}
	for name, why := range unknown {
		out[name] = outputBound{why: why}
	}
	return out
}

// prove notes that an output is proved if its bound keeps its tolerance, or else why it is not. A measured error beyond the bound is an
// error of the compiler.
func (b outputBound) prove(o *Output, runs []map[string]*ir.Tensor, want []map[string]*ir.Tensor, scale int) error {
	if b.why != "" {
		o.Why = b.why
		return nil
	}
	part := b.part(o.Tolerance)
	for run, got := range runs {
		if got == nil {
			continue
		}
		for i := range b.len() {
			x, y := math.Ldexp(got[o.Name].At(i), -scale), want[run][o.Name].At(i)
			off, most := math.Abs(x-y), b.at(i).abs+float64(b.at(i).rel*math.Abs(y))
			if slack := referenceSlack * (o.Atol + float64(o.Rtol*math.Abs(y))); !(off <= most+slack) {
				return fmt.Errorf("%w: output %q: element %d is off by %.6g at %.6g in run %d, and its bound is %.6g; please report this", errInternal, o.Name, i, off, y, run+1, most)
			}
		}
	}
	if !(part <= 1) {
		o.bound = part
		o.Why = fmt.Sprintf("the worst case takes %.3g of the tolerance", powerUp(part))
		return nil
	}
	o.State, o.met, o.Used = Proved, o.Used, part
	return nil
}

// referenceSlack is the part of a tolerance that float64 arithmetic may take, with which runs are compared.
const referenceSlack = 1e-3
