package passes

import (
	"math"

	"smpcc/ir"
)

// tableRows is from how many rows of samples on each column of a table has a range of its own: with fewer, one column in some leaves it.
const tableRows = 128

// columns gives each column of a table of reals its range: declared, or from samples where they have tableRows rows, or the range of the whole
// table. Where they differ in magnitude and everything that reads the table takes it up in weights, column k is bound as z_k = x_k * 2^-d_k,
// with 2^d_k the least power of two that holds its range, and x = z * 2^d stands behind it. d tells of the ranges alone, nothing of weights.
func columns(m *ir.Module, opt *Options) error {
	readers := map[*ir.Value][]*ir.Value{}
	for _, v := range m.Main().Body {
		for _, a := range v.Args {
			readers[a] = append(readers[a], v)
		}
	}
	return rebuild(m, func(nf *ir.Func, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		list := tableColumns(v, opt)
		if list == nil {
			return nf.Emit(v.Pos, v.Op, v.Attrs, args...)
		}
		attrs := ir.Attrs{}
		for _, a := range v.Attrs {
			if a.Key != "columns" && a.Key != "bounds" && a.Key != "lo" && a.Key != "hi" {
				attrs = append(attrs, a)
			}
		}
		bounds, factors, shift := ir.NewTensor(ir.Real, ir.Shape{len(list), 2}), ir.NewTensor(ir.Real, ir.Shape{len(list)}), make([]int, len(list))
		uneven := false
		for k, c := range list {
			bounds.F[2*k], bounds.F[2*k+1] = c.lo, c.hi
			shift[k] = binade(max(-c.lo, c.hi))
			factors.F[k] = math.Ldexp(1, shift[k])
			uneven = uneven || shift[k] != shift[0]
		}
		attrs = append(attrs, ir.T("bounds", bounds))
		if h := hullOf(list); h.from != ir.Proved {
			attrs = append(attrs, ir.S("origin", h.from.String()))
		}
		if !uneven || !takenUp(m, v, readers, opt.notes) {
			return nf.Emit(v.Pos, v.Op, attrs)
		}
		z, err := nf.Emit(v.Pos, v.Op, append(attrs, ir.Dims("shift", shift)))
		if err != nil {
			return nil, err
		}
		d, err := nf.Emit(v.Pos, ir.OpConst, ir.Attrs{ir.T("data", factors)})
		if err != nil {
			return nil, err
		}
		return nf.Emit(v.Pos, ir.OpMul, nil, z, d)
	})
}

// takenUp reports whether everything that reads x scales it by weights, or multiplies it as rows by a matrix of weights, so that a factor of
// its columns costs nothing.
func takenUp(m *ir.Module, x *ir.Value, readers map[*ir.Value][]*ir.Value, notes *notebook) bool {
	for _, v := range readers[x] {
		ok := false
		switch v.Op {
		case ir.OpMatMul:
			ok = v.Args[0] == x && v.Args[1] != x && known(m, v.Args[1]) != nil && len(v.Args[1].Type.Shape) == 2
		case ir.OpMul, ir.OpDiv, ir.OpAdd, ir.OpSub:
			c := v.Args[1]
			if c == x && v.Op != ir.OpDiv && v.Op != ir.OpSub {
				c = v.Args[0]
			}
			ok = c != x && known(m, c) != nil && alongLast(c.Type.Shape, x.Type.Shape)
			if v.Op == ir.OpAdd || v.Op == ir.OpSub {
				ok = ok && takenUp(m, v, readers, notes)
			} else if v.Op == ir.OpDiv {
				ok = ok && notes.invertible(known(m, c))
			}
		case ir.OpBatchNorm:
			ok = v.Args[0] == x && len(x.Type.Shape) == 2 && known(m, v.Args[1]) != nil && known(m, v.Args[4]) != nil
		}
		if !ok {
			return false
		}
	}
	return len(readers[x]) > 0
}

// alongLast reports whether a shape has one number for all of x, or one for each of its columns.
func alongLast(s, x ir.Shape) bool {
	n := s.Size()
	return n == 1 && len(s) <= len(x) || len(s) > 0 && len(s) <= len(x) && n == s[len(s)-1] && n == x[len(x)-1]
}

// invertible reports whether all elements have reciprocals that are numbers.
func invertible(t *ir.Tensor) bool {
	for i := range t.Len() {
		if r := 1 / t.At(i); math.IsInf(r, 0) || math.IsNaN(r) {
			return false
		}
	}
	return true
}

// tableColumns returns the ranges of an input's columns if they are known one by one, else nil.
func tableColumns(v *ir.Value, opt *Options) []interval {
	s := v.Type.Shape
	if v.Op != ir.OpInput || v.Type.Elem != ir.Real || len(s) == 0 || s[len(s)-1] == 0 {
		return nil
	}
	declared := v.Attrs.Ints("columns")
	if v.Attrs.Has("bounds") && declared == nil {
		return nil // known already
	}
	whole := v.Attrs.Has("lo") && v.Attrs.Has("hi")
	if opt.notes != nil && opt.samples() > 0 && !whole && !opt.silent(v.Attrs.Str("owner")) {
		return opt.notes.tableColumns(v, opt)
	}
	return shownColumns(v, opt)
}

// shownColumns returns the ranges of an input's columns, declared or from samples, if they are known one by one, else nil.
func shownColumns(v *ir.Value, opt *Options) []interval {
	s := v.Type.Shape
	k := s[len(s)-1]
	declared := v.Attrs.Ints("columns")
	whole := v.Attrs.Has("lo") && v.Attrs.Has("hi")
	var table [][]float64
	if !whole && !opt.silent(v.Attrs.Str("owner")) {
		table = sampleColumns(v, opt)
	}
	single := len(s) == 2 && len(table) == k && len(table[0]) >= tableRows
	if len(declared) == 0 && !single {
		return nil
	}
	rest := interval{-opt.assume(), opt.assume(), ir.Assumed}
	if whole {
		rest = interval{v.Attrs.Float("lo", 0), v.Attrs.Float("hi", 0), ir.Proved}
	}
	out := make([]interval, k)
	given := make([]bool, k)
	bounds := v.Attrs.Tensor("bounds")
	for i, c := range declared {
		out[c], given[c] = interval{bounds.At(2 * i), bounds.At(2*i + 1), ir.Proved}, true
	}
	if table != nil && !single {
		rest = interval{from: ir.Calibrated}
		for c := range k {
			if !given[c] {
				rest = hull(rest, coarse(sampledInput(table[c], len(opt.Samples), opt)))
			}
		}
	}
	for c := range k {
		switch {
		case given[c]:
		case single:
			out[c] = coarse(sampledInput(table[c], len(table[c]), opt))
		default:
			out[c] = rest
		}
	}
	return out
}

// hullOf returns the hull of intervals, of the least certain origin.
func hullOf(list []interval) interval {
	h := list[0]
	for _, x := range list[1:] {
		h = hull(h, x)
	}
	return h
}

// inputColumns returns the ranges of an input's columns after the pass columns, nil if it has none: as its owner sees them, or as they are bound.
func inputColumns(v *ir.Value, bound bool) []interval {
	b := v.Attrs.Tensor("bounds")
	if v.Op != ir.OpInput || b == nil || v.Attrs.Has("columns") {
		return nil
	}
	from := ir.Proved
	switch v.Attrs.Str("origin") {
	case ir.Assumed.String():
		from = ir.Assumed
	case ir.Calibrated.String():
		from = ir.Calibrated
	}
	out := make([]interval, b.Shape[0])
	shift := v.Attrs.Ints("shift")
	for k := range out {
		out[k] = interval{b.At(2 * k), b.At(2*k + 1), from}
		if bound && shift != nil {
			out[k].lo, out[k].hi = math.Ldexp(out[k].lo, -shift[k]), math.Ldexp(out[k].hi, -shift[k])
		}
	}
	if bound && ir.OfGuest(v) {
		list := make([]ir.Range, len(out))
		for k, c := range out {
			list[k] = ir.Range{Lo: c.lo, Hi: c.hi, Origin: c.from}
		}
		for k, r := range ir.Given(v, list) {
			out[k].lo, out[k].hi = r.Lo, r.Hi
		}
	}
	return out
}

// byColumn returns the ranges of the columns of v if it is a table, or a table that known numbers have scaled, moved or multiplied from the
// right; else nil.
func byColumn(m *ir.Module, v *ir.Value) []interval {
	switch v.Op {
	case ir.OpInput:
		return inputColumns(v, true)
	case ir.OpMul, ir.OpAdd, ir.OpSub:
		x, w := v.Args[0], v.Args[1]
		left := known(m, x) != nil
		if left {
			x, w = w, x
		}
		d := known(m, w)
		if d == nil || !x.Type.Shape.Equal(v.Type.Shape) || !alongLast(w.Type.Shape, x.Type.Shape) {
			return nil
		}
		in := byColumn(m, x)
		if in == nil {
			return nil
		}
		out := make([]interval, len(in))
		for k, c := range in {
			y := d.At(k % d.Len())
			switch {
			case v.Op == ir.OpMul:
				out[k] = timesInterval(c, interval{y, y, ir.Proved})
			case v.Op == ir.OpAdd:
				out[k] = interval{c.lo + y, c.hi + y, c.from}
			case left:
				out[k] = interval{y - c.hi, y - c.lo, c.from}
			default:
				out[k] = interval{c.lo - y, c.hi - y, c.from}
			}
		}
		return out
	case ir.OpMatMul:
		d := known(m, v.Args[1])
		if d == nil || len(d.Shape) != 2 {
			return nil
		}
		in := byColumn(m, v.Args[0])
		if in == nil {
			return nil
		}
		out := make([]interval, d.Shape[1])
		for n := range out {
			out[n].from = ir.Proved
			for k, c := range in {
				y := d.At(k*d.Shape[1] + n)
				t := timesInterval(c, interval{y, y, ir.Proved})
				out[n] = interval{out[n].lo + t.lo, out[n].hi + t.hi, min(out[n].from, t.from)}
			}
		}
		return out
	}
	return nil
}
