package backend

import (
	"smpcc/backend/plan"
	"smpcc/ir"
)

// local applies a linear map without constants to every component of a wire: shares, public part and mask alike.
func (l *lowerer) local(v *ir.Value) *wire {
	if v.Op == ir.OpConcat {
		return l.concat(v)
	}
	w := l.wires[v.Args[0]]
	if w.data != nil {
		ir.Bug("%s of a public constant was not folded", v.Op)
	}
	out := l.each(w, func(role, slot int) int { return l.linear(role, v, slot) })
	if v.Op == ir.OpNeg || v.Op == ir.OpShl || v.Op == ir.OpReduceSum {
		out = l.reduce(out, v.Type.Bits)
	}
	return out
}

// linear emits the step for a one-argument linear op on one role's slot.
func (l *lowerer) linear(role int, v *ir.Value, slot int) int {
	in, to := v.Args[0].Type.Shape, v.Type.Shape
	n := to.Size()
	c := plan.Copy{}
	inSt := strides(in)
	switch v.Op {
	case ir.OpNeg:
		return l.op(role, plan.StepNeg, n, nil, slot)
	case ir.OpShl:
		return l.op(role, plan.StepShl, n, []int64{int64(v.Attrs.Int("by", 0))}, slot)
	case ir.OpReshape:
		return slot
	case ir.OpExpand:
		return l.expand(role, slot, in, to)
	case ir.OpTranspose:
		for i, p := range v.Attrs.Ints("perm") {
			c.Dims = append(c.Dims, int64(to[i]))
			c.SrcStrides = append(c.SrcStrides, inSt[p])
		}
		c.DstStrides = strides(to)
		return l.step(role, atSetup, n, c.Step(0, slot))
	case ir.OpSlice:
		starts, steps, _, err := ir.SliceDims(v)
		if err != nil {
			ir.Bug("slice: %v", err)
		}
		for i := range to {
			c.Dims = append(c.Dims, int64(to[i]))
			c.SrcStrides = append(c.SrcStrides, inSt[i]*int64(steps[i]))
			c.Src += inSt[i] * int64(starts[i])
		}
		if n == 0 {
			c.Src = 0
		}
		c.DstStrides = strides(to)
		return l.step(role, atSetup, n, c.Step(0, slot))
	case ir.OpPad:
		dst := strides(to)
		pads := v.Attrs.Ints("pads")
		for i := range in {
			c.Dims = append(c.Dims, int64(in[i]))
			c.Dst += dst[i] * int64(pads[i])
		}
		if in.Size() == 0 {
			c.Dst = 0
		}
		c.SrcStrides, c.DstStrides = inSt, dst
		z := l.step(role, atSetup, n, plan.Step{Op: plan.StepZero})
		l.Place(role, z, slot)
		l.again(role, z, c.Step(0, slot))
		return z
	case ir.OpGather:
		axis := v.Attrs.Int("axis", 0)
		outer, inner := in[:axis].Size(), in[axis+1:].Size()
		var idx []uint64
		for _, i := range v.Attrs.Ints("indices") {
			idx = append(idx, uint64(i))
		}
		return l.step(role, atSetup, n, plan.Step{Op: plan.StepGather, Src: []int{slot}, Args: []int64{int64(outer), int64(in[axis]), int64(inner)}, Data: idx})
	case ir.OpReduceSum:
		axes, err := ir.NormAxes(v.Attrs.Ints("axes"), len(in))
		if err != nil {
			ir.Bug("reduce_sum: %v", err)
		}
		shape := append(ir.Shape{}, in...)
		for _, a := range axes { // one axis at a time; each becomes 1
			outer, inner := shape[:a].Size(), shape[a+1:].Size()
			slot = l.op(role, plan.StepSum, outer*inner, []int64{int64(outer), int64(shape[a]), int64(inner)}, slot)
			shape[a] = 1
		}
		return slot
	}
	ir.Bug("no step for linear op %s", v.Op)
	return zero
}

// concat joins every component; shares of public constants are party 0's.
func (l *lowerer) concat(v *ir.Value) *wire {
	axis, to := v.Attrs.Int("axis", 0), v.Type.Shape
	n := to.Size()
	join := func(role int, part func(w *wire, i int) int) int {
		slots := make([]int, len(v.Args))
		last, all := zero, true
		for i, a := range v.Args {
			slots[i] = part(l.wires[a], i)
			if slots[i] != zero {
				if last == zero || l.When(role, last).Before(l.When(role, slots[i])) {
					last = slots[i]
				}
				all = false
			}
		}
		if all {
			return zero
		}
		z := l.step(role, atSetup, n, plan.Step{Op: plan.StepZero})
		l.Place(role, z, last)
		off, dst := int64(0), strides(to)
		for i, a := range v.Args {
			s := a.Type.Shape
			if slots[i] != zero && s.Size() > 0 {
				c := plan.Copy{SrcStrides: strides(s), DstStrides: dst, Dst: off * dst[axis]}
				for _, d := range s {
					c.Dims = append(c.Dims, int64(d))
				}
				l.again(role, z, c.Step(0, slots[i]))
			}
			off += int64(s[axis])
		}
		return z
	}
	masked := v.Type.Form == ir.Masked || v.Type.Form == ir.MaskedBit
	out := &wire{s: make([]int, l.parties), k: zero}
	if masked {
		out.m = make([]int, l.parties)
		out.k = join(l.dealer, func(w *wire, i int) int {
			if w.data != nil {
				return zero
			}
			return w.k
		})
	}
	for r := range l.parties {
		out.s[r] = join(r, func(w *wire, i int) int {
			if w.data == nil {
				return w.s[r]
			}
			if masked || r != 0 {
				return zero
			}
			return l.public(r, w.data, v.Args[i].Type.Shape)
		})
		if masked {
			out.m[r] = join(r, func(w *wire, i int) int {
				if w.data != nil {
					return l.public(r, w.data, v.Args[i].Type.Shape)
				}
				return w.m[r]
			})
		}
	}
	return out
}

// product lowers mul, matmul and conv. With a public factor it is local. With two masked wires, for the bilinear map B:
// z_i = B(m_x, [i=0] m_y - [r_y]_i) - B([r_x]_i, m_y) + [B(r_x, r_y)]_i, one dealt item the size of the result.
// Terms whose factors are there before the inputs (weights) are computed in setup and offline; a party whose share of a
// mask is zero skips the term, so that a weight owner multiplies alone online. (ABY2.0; Turbospeedz.)
func (l *lowerer) product(v *ir.Value) *wire {
	x, y := v.Args[0], v.Args[1]
	wx, wy := l.wires[x], l.wires[y]
	b := l.bilinear(v)
	if wx.data != nil || wy.data != nil {
		w := wx
		if wx.data != nil {
			w = wy
		}
		out := l.each(w, func(role, slot int) int {
			if wx.data != nil {
				return b(role, l.public(role, wx.data, x.Type.Shape), slot)
			}
			return b(role, slot, l.public(role, wy.data, y.Type.Shape))
		})
		return l.reduce(out, v.Type.Bits)
	}
	k := l.deal(plan.Add, size(v), v.Type.Bits, b(l.dealer, wx.k, wy.k), "product of masks")
	out := &wire{s: make([]int, l.parties)}
	early := l.When(0, wx.m[0]).Before(l.When(0, wy.m[0])) // x is known first: its share of m - r is made early
	for i := range l.parties {
		share := func(w *wire) int { // [i=0] m - [r]_i
			if i == 0 {
				return l.diff(i, w.m[i], w.s[i])
			}
			if w.s[i] == zero {
				return zero
			}
			return l.diff(i, zero, w.s[i])
		}
		z := k[i]
		plus := func(a, c int) {
			if a != zero && c != zero {
				z = l.sum(i, z, b(i, a, c))
			}
		}
		minus := func(a, c int) {
			if a != zero && c != zero {
				z = l.diff(i, z, b(i, a, c))
			}
		}
		if early {
			minus(wx.m[i], wy.s[i])
			plus(share(wx), wy.m[i])
		} else {
			minus(wx.s[i], wy.m[i])
			plus(wx.m[i], share(wy))
		}
		out.s[i] = z
	}
	return out
}

// bilinear returns the emitter of v's map on one role's slots.
func (l *lowerer) bilinear(v *ir.Value) func(role, a, c int) int {
	x, y := v.Args[0].Type.Shape, v.Args[1].Type.Shape
	to := v.Type.Shape
	n := to.Size()
	switch v.Op {
	case ir.OpMul:
		return func(role, a, c int) int {
			return l.op(role, plan.StepMul, n, nil, l.expand(role, a, x, to), l.expand(role, c, y, to))
		}
	case ir.OpConv:
		g, err := ir.ConvWindow(v)
		if err != nil {
			ir.Bug("conv: %v", err)
		}
		args := []int64{}
		for _, d := range []int{g.N, g.C, g.H, g.W, g.OC, g.OH, g.OW, g.KH, g.KW, g.SH, g.SW, g.PT, g.PL, g.DH, g.DW, g.Group} {
			args = append(args, int64(d))
		}
		return func(role, a, c int) int { return l.op(role, plan.StepConv, n, args, a, c) }
	}
	// matmul: batch dimensions are broadcast, or one operand serves all
	rx, ry, rt := len(x), len(y), len(to)
	m, k, cols := x[rx-2], x[rx-1], y[ry-1]
	batch := to[:rt-2]
	xb, yb := x[:rx-2], y[:ry-2]
	args := func(count, rows, onea, oneb int) []int64 {
		return []int64{int64(count), int64(rows), int64(k), int64(cols), int64(onea), int64(oneb)}
	}
	bs := batch.Size()
	switch {
	case yb.Size() == 1 && xb.Size() == bs: // the batch is rows
		return func(role, a, c int) int { return l.op(role, plan.StepMatMul, n, args(1, bs*m, 0, 0), a, c) }
	case xb.Size() == 1 && yb.Size() == bs:
		return func(role, a, c int) int { return l.op(role, plan.StepMatMul, n, args(bs, m, 1, 0), a, c) }
	}
	fullX, fullY := append(append(ir.Shape{}, batch...), m, k), append(append(ir.Shape{}, batch...), k, cols)
	return func(role, a, c int) int {
		return l.op(role, plan.StepMatMul, n, args(bs, m, 0, 0), l.expand(role, a, x, fullX), l.expand(role, c, y, fullY))
	}
}
