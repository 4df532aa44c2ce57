package ir

// The plaintext meaning of views: elements move, none changes.

// view returns the elements of x at base plus strides times index, for each index of v's shape.
func view(v *Value, x *Tensor, base int, strides []int) *Tensor {
	out := NewTensor(v.Type.Elem, v.Type.Shape)
	n, st := run(out.Shape, strides)
	walk(out.Shape, func(o int, at []int) {
		p := base + at[0]
		for k := range n {
			if out.Elem == Real {
				out.F[o+k] = x.F[p]
			} else {
				out.I[o+k] = x.I[p]
			}
			p += st[0]
		}
	}, strides)
	return out
}

// copyElems copies n elements of x from i on to out from o on.
func copyElems(out *Tensor, o int, x *Tensor, i, n int) {
	if out.Elem == Real {
		copy(out.F[o:o+n], x.F[i:i+n])
	} else {
		copy(out.I[o:o+n], x.I[i:i+n])
	}
}

func evalTranspose(v *Value, args []*Tensor) (*Tensor, error) {
	own := rowMajor(args[0].Shape)
	st := make([]int, len(own))
	for i, a := range v.Attrs.Ints("perm") {
		st[i] = own[a]
	}
	return view(v, args[0], 0, st), nil
}

func evalSlice(v *Value, args []*Tensor) (*Tensor, error) {
	starts, steps, _, err := SliceDims(v)
	if err != nil {
		return nil, err
	}
	st, base := rowMajor(args[0].Shape), 0
	for i := range st {
		base += starts[i] * st[i]
		st[i] *= steps[i]
	}
	return view(v, args[0], base, st), nil
}

func evalExpand(v *Value, args []*Tensor) (*Tensor, error) {
	return view(v, args[0], 0, spread(args[0].Shape, v.Type.Shape)), nil
}

// evalConcat copies, for each index before axis, the block of each argument in turn.
func evalConcat(v *Value, args []*Tensor) (*Tensor, error) {
	axis := v.Attrs.Int("axis", 0)
	out := NewTensor(v.Type.Elem, v.Type.Shape)
	blocks := v.Type.Shape[:axis].Size()
	o := 0
	for b := range blocks {
		for _, x := range args {
			n := x.Len() / blocks
			copyElems(out, o, x, b*n, n)
			o += n
		}
	}
	return out, nil
}

func evalPad(v *Value, args []*Tensor) (*Tensor, error) {
	x, pads := args[0], v.Attrs.Ints("pads")
	out := NewTensor(v.Type.Elem, v.Type.Shape)
	st, base := rowMajor(out.Shape), 0
	for i := range st {
		base += pads[i] * st[i]
	}
	n, _ := run(x.Shape, st)
	walk(x.Shape, func(i int, at []int) { copyElems(out, base+at[0], x, i, n) }, st)
	return out, nil
}

func evalGather(v *Value, args []*Tensor) (*Tensor, error) {
	x, axis, idx := args[0], v.Attrs.Int("axis", 0), v.Attrs.Ints("indices")
	out := NewTensor(v.Type.Elem, v.Type.Shape)
	n, d := x.Shape[axis+1:].Size(), x.Shape[axis]
	for b := range x.Shape[:axis].Size() {
		for j, i := range idx {
			copyElems(out, (b*len(idx)+j)*n, x, (b*d+i)*n, n)
		}
	}
	return out, nil
}
