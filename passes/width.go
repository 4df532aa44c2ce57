package passes

import (
	"slices"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// sizes are the ring widths in use. They are few, so that a width says little about private weights.
var sizes = []int{16, 24, 32, 40, 48, 56, 64}

// roundWidth returns the least size of at least n bits, or 0 if there is none.
func roundWidth(n, ring int) int {
	if ring > 0 {
		if n <= ring {
			return ring
		}
		return 0
	}
	for _, s := range sizes {
		if n <= s {
			return s
		}
	}
	return 0
}

// width chooses the ring width of every value, from its consumers back to the inputs: a comparison or truncation needs
// its argument's range plus headroom, a linear op needs of its arguments what is needed of it.
func width(m *ir.Module, opt *Options) error {
	f := m.Main()
	need := map[*ir.Value]int{}   // width in which the shares must be valid
	masked := map[*ir.Value]int{} // width at which a comparison opens the value, through views
	open := map[*ir.Value]int{}   // attribute n
	var errs diag.List
	want := func(v *ir.Value, n int) { need[v] = max(need[v], n) }
	size := func(v *ir.Value, n int) int {
		r := roundWidth(n, opt.Ring)
		if r == 0 {
			ring := opt.Ring
			if ring == 0 {
				ring = 64
			}
			errs.Add(v.Pos, diag.Errorf(v.Pos, "%s needs a ring of %d bits, of %d", v.Op, n, ring).
				WithHint("use --ring auto, fewer fraction bits (--frac-bits), or narrower input ranges (--range NAME=LO..HI, --calibrate FILE)"))
			return ring
		}
		return r
	}
	// reads states that v opens its argument x in n bits. They are not rounded up: they follow from the range, which is public.
	reads := func(v, x *ir.Value, n int) {
		open[v] = n
		want(x, size(v, n))
	}
	// readsChecked is reads for an argument that is checked, in which case more bits are opened.
	watched := opt.watch(f)
	readsChecked := func(v, x *ir.Value, n int) {
		reads(v, x, n)
		d := v.Attrs.Int("drop", 0)
		if k := watched.bits(v, 0, n-d); k > 0 {
			want(x, size(v, k+d))
		}
	}
	parties := float64(len(m.Parties))
	wide := openedWide(f)
	narrow := map[*ir.Value][2]int{} // attributes nx and ny of products
	for i := len(f.Body) - 1; i >= 0; i-- {
		v := f.Body[i]
		scale := 0
		if len(v.Args) > 0 {
			scale = v.Args[0].Type.Scale
		}
		opens := ir.Rows[v.Op].Opens
		switch v.Op {
		case ir.OpInput, ir.OpWeight: // also where less is needed of it, data must fit its port
			if v.Type.Elem == ir.Ring {
				want(v, size(v, ir.SignedBits(v.Range.Abs(), v.Type.Scale, 1)))
			}
		case ir.OpConst:
		case ir.OpReveal:
			x := v.Args[0]
			if x.Type.Elem == ir.Ring {
				n := ir.SignedBits(x.Range.Abs(), scale, 1)
				want(x, size(v, max(n, watched.bits(v, 0, n))))
			}
		case ir.OpTrunc:
			x, d := v.Args[0], v.Attrs.Int("drop", 0)
			n := opens(v, len(m.Parties))
			if k := masked[v]; k > 0 {
				n = max(n, k+d)
			} else if m := need[v] + d; m > n && wide[v] && roundWidth(m, opt.Ring) > 0 {
				again := float64((n - d) * v.Type.Shape.Size()) // bits of an opening before the one that products read
				w := widening{need: need, wide: wide, ring: opt.Ring, seen: map[*ir.Value]bool{}, again: func(bits float64) float64 { return bits + 8*opt.Net.roundsWorth(1) }}
				if w.bits(x, roundWidth(n, opt.Ring), roundWidth(m, opt.Ring)) < w.again(again) {
					n = m
				}
			}
			readsChecked(v, x, n)
		case ir.OpRelu, ir.OpLtz, ir.OpEqz, ir.OpWave, ir.OpExpo:
			n := opens(v, len(m.Parties))
			readsChecked(v, v.Args[0], n)
			masked[v.Args[0]] = max(masked[v.Args[0]], n-v.Attrs.Int("drop", 0))
		case ir.OpMax:
			n := opens(v, len(m.Parties))
			for _, x := range v.Args {
				readsChecked(v, x, n)
				want(x, need[v])
				masked[x] = max(masked[x], n, watched.bits(v, 0, n))
			}
		case ir.OpSelect:
			want(v.Args[1], need[v])
			want(v.Args[2], need[v])
		case ir.OpMul:
			var n [2]int
			for j, x := range v.Args {
				secret := ofSecrets(v)
				// not rounded up: a wire says no more than the range, which is public
				if k := 1 + ir.SignedBits(x.Range.Abs(), x.Type.Scale, 2*parties); secret && narrows(v, j) && !wide[x] && k < need[v] {
					n[j] = k
					masked[x] = max(masked[x], k, watched.bits(v, j, k))
				}
				want(x, max(need[v], size(v, watched.bits(v, j, need[v]))))
			}
			narrow[v] = n
		case ir.OpAdd, ir.OpSub:
			for _, a := range v.Args {
				want(a, need[v])
			}
			if v.Args[1].Type.Vis.IsPublic() { // shifting a wire costs nothing
				masked[v.Args[0]] = max(masked[v.Args[0]], masked[v])
			}
		default: // linear, or on bits
			for _, a := range v.Args {
				if a.Type.Elem == ir.Ring {
					want(a, need[v])
				}
				if ir.Rows[v.Op].View {
					masked[a] = max(masked[a], masked[v])
				}
			}
		}
	}
	if err := errs.Err(); err != nil {
		return err
	}
	return rebuild(m, func(nf *ir.Func, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		attrs := v.Attrs
		if v.Type.Elem == ir.Ring && stated(v.Op) {
			attrs = attrs.With(ir.I("bits", int64(max(need[v], roundWidth(1, opt.Ring)))))
		}
		if n := narrow[v]; n[0]+n[1] > 0 {
			attrs = attrs.With(ir.I("nx", int64(n[0]))).With(ir.I("ny", int64(n[1])))
		}
		if n := open[v]; n > 0 {
			attrs = attrs.With(ir.I("n", int64(n)))
		}
		attrs = watched.attrs(v, attrs)
		n, err := nf.Emit(v.Pos, v.Op, attrs, args...)
		if n != nil {
			n.Range = v.Range
		}
		return n, err
	})
}

// spreadLimit is the size of products up to which a factor that is broadcast is spread before it is multiplied; the material
// of larger ones costs more than another opening.
const spreadLimit = 4096

// ofSecrets reports whether v is a product of two values that are not public.
func ofSecrets(v *ir.Value) bool {
	return (v.Op == ir.OpMul || v.Op == ir.OpMatMul || v.Op == ir.OpConv) && !v.Args[0].Type.Vis.IsPublic() && !v.Args[1].Type.Vis.IsPublic()
}

// leaf reports whether v is an input or a weight, seen through views and what is done to a wire in public: its owner alone knows the mask.
func leaf(v *ir.Value) bool {
	for {
		v = origin(v)
		switch v.Op {
		case ir.OpInput, ir.OpWeight:
			return !ir.OfGuest(v)
		case ir.OpNeg, ir.OpShl:
			v = v.Args[0]
		case ir.OpAdd, ir.OpSub, ir.OpMul:
			i := slices.IndexFunc(v.Args, func(a *ir.Value) bool { return !a.Type.Vis.IsPublic() })
			if i < 0 || !v.Args[1-i].Type.Vis.IsPublic() {
				return false
			}
			v = v.Args[i]
		default:
			return false
		}
	}
}

// narrows reports whether a product reads its factor number i as a wire narrower than the ring, if it can be: not if the other factor is
// opened by its owner alone, because the others hold no share of its mask to multiply with.
func narrows(v *ir.Value, i int) bool {
	small := v.Args[i].Type.Shape.Size() == v.Type.Shape.Size() || v.Type.Shape.Size() <= spreadLimit
	return v.Op == ir.OpMul && small && !leaf(v.Args[1-i])
}

// openedWide returns the values that are opened in their ring's width anyway: inputs, weights and what products read.
func openedWide(f *ir.Func) map[*ir.Value]bool {
	wide := map[*ir.Value]bool{}
	for i := len(f.Body) - 1; i >= 0; i-- {
		v := f.Body[i]
		if v.Op == ir.OpInput && !ir.OfGuest(v) || v.Op == ir.OpWeight {
			wide[v] = true
		}
		for j, a := range v.Args {
			if ofSecrets(v) && !narrows(v, j) || wide[v] && ir.Rows[v.Op].View {
				wide[a] = true
			}
		}
	}
	return wide
}

// stated reports whether an op states its width in the attribute bits.
func stated(op ir.Op) bool {
	for _, a := range ir.Rows[op].Attrs {
		if a.Key == "bits" {
			return true
		}
	}
	return false
}

// A widening counts what it costs to have a value in more bits.
type widening struct {
	need map[*ir.Value]int
	wide map[*ir.Value]bool
	seen map[*ir.Value]bool

	ring  int
	again func(bits float64) float64 // what an opening more costs, of so many bits
}

// bits returns how many more bits parties send so that shares of x are valid in to bits instead of from: those of values that products read in their
// ring's width. What is made of a wire or a selected bit has any width.
func (w widening) bits(x *ir.Value, from, to int) float64 {
	if w.seen[x] || x.Type.Vis.IsPublic() || x.Type.Elem != ir.Ring {
		return 0
	}
	w.seen[x] = true
	opened := func(a *ir.Value) float64 {
		if base := origin(a); w.seen[base] || base.Op == ir.OpWeight { // opened once per model
			return 0
		} else {
			w.seen[base] = true
			had := max(from, w.need[a])
			if to <= had {
				return 0
			}
			size := float64(base.Type.Shape.Size())
			cost := float64(to-had) * size
			if d := base.Attrs.Int("drop", 0); base.Op == ir.OpTrunc && roundWidth(had+d, w.ring) > 0 && roundWidth(to+d, w.ring) == 0 {
				cost += w.again(float64(ir.SignedBits(base.Range.Abs(), base.Type.Scale, 1)+1) * size) // it cannot be opened in full at once
			}
			return cost
		}
	}
	sum := 0.0
	switch x.Op {
	case ir.OpInput, ir.OpTrunc:
		if w.wide[x] {
			w.seen[x] = false
			return opened(x)
		}
	case ir.OpRelu, ir.OpCast, ir.OpWave, ir.OpExpo, ir.OpWeight:
	case ir.OpMul, ir.OpMatMul, ir.OpConv:
		secret := ofSecrets(x)
		for _, a := range x.Args {
			switch {
			case !secret:
				sum += w.bits(a, from, to)
			case w.wide[a]:
				sum += opened(a)
			}
		}
	default:
		for _, a := range x.Args {
			sum += w.bits(a, from, to)
		}
	}
	return sum
}

// origin returns what v is a view of.
func origin(v *ir.Value) *ir.Value {
	for ir.Rows[v.Op].View && len(v.Args) == 1 {
		v = v.Args[0]
	}
	return v
}
