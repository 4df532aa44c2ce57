package onnx

import (
	"fmt"
	"slices"
	"strings"

	"smpcc/ir"
)

// A labelled value has a letter for each dimension; negative letters stand for the ellipsis.
type labelled struct {
	v    *ir.Value
	axes []int
}

// einsum lowers Einsum: operands are contracted from left to right, each pair by one matrix product.
func einsum(n *node) ([]*ir.Value, error) {
	c := n.calc()
	eq := strings.ReplaceAll(n.str("equation", ""), " ", "")
	lhs, rhs, explicit := strings.Cut(eq, "->")
	terms := strings.Split(lhs, ",")
	if len(terms) != len(n.p.Input) {
		return nil, fmt.Errorf("equation %q has %d terms for %d inputs", short(eq), len(terms), len(n.p.Input))
	}
	letters := func(term string, rank int) ([]int, error) {
		before, after, dots := strings.Cut(term, "...")
		var out []int
		for _, ch := range before {
			out = append(out, int(ch))
		}
		if dots {
			for k := rank - len(before) - len(after); k > 0; k-- {
				out = append(out, -k)
			}
		}
		for _, ch := range after {
			out = append(out, int(ch))
		}
		for _, l := range out {
			if l >= 0 && !(l >= 'a' && l <= 'z' || l >= 'A' && l <= 'Z') {
				return nil, fmt.Errorf("equation %q has the label %q", short(eq), rune(l))
			}
		}
		if rank >= 0 && len(out) != rank {
			return nil, fmt.Errorf("term %q does not fit %d dimensions", short(term), rank)
		}
		return out, nil
	}
	var ops []labelled
	size := map[int]int{}
	count := map[int]int{}
	most := 0
	for i, t := range terms {
		x := n.in(i)
		l, err := letters(t, len(x.Type.Shape))
		if err != nil {
			return nil, err
		}
		for d, a := range l {
			if s := x.Type.Shape[d]; size[a] > 1 && s > 1 && s != size[a] {
				return nil, fmt.Errorf("label %q stands for both %d and %d", rune(max(a, '.')), size[a], s)
			} else {
				size[a] = max(size[a], s)
			}
			count[a]++
			if a < 0 {
				most = max(most, -a)
			}
		}
		ops = append(ops, labelled{x, l})
	}
	var out []int
	if explicit {
		head, tail, dots := strings.Cut(rhs, "...")
		for _, ch := range head {
			out = append(out, int(ch))
		}
		if dots {
			for k := most; k > 0; k-- {
				out = append(out, -k)
			}
		}
		for _, ch := range tail {
			out = append(out, int(ch))
		}
	} else {
		for k := most; k > 0; k-- {
			out = append(out, -k)
		}
		for a := 'A'; a <= 'z'; a++ {
			if count[int(a)] == 1 {
				out = append(out, int(a))
			}
		}
	}
	for i, a := range out {
		if count[a] == 0 || slices.Contains(out[:i], a) {
			return nil, fmt.Errorf("equation %q: output label %q is unknown or appears twice", short(eq), rune(max(a, '.')))
		}
	}
	for i := range ops {
		ops[i] = c.diagonal(ops[i])
	}
	acc := ops[0]
	for i, o := range ops[1:] {
		keep := slices.Clone(out)
		for _, later := range ops[i+2:] {
			keep = append(keep, later.axes...)
		}
		acc = c.contract(acc, o, keep)
	}
	acc = c.contract(acc, labelled{}, out)
	if c.err != nil {
		return nil, c.err
	}
	perm := make([]int, len(out))
	for i, a := range out {
		perm[i] = slices.Index(acc.axes, a)
	}
	return c.one(c.transpose(acc.v, perm...))
}

// diagonal merges dimensions of one operand that carry the same label.
func (c *calc) diagonal(x labelled) labelled {
	for i := 0; i < len(x.axes) && c.err == nil; i++ {
		j := slices.Index(x.axes[i+1:], x.axes[i])
		if j < 0 {
			continue
		}
		j += i + 1
		s := x.v.Type.Shape
		if s[i] != s[j] {
			c.fail("a label stands for both %d and %d in one term", s[i], s[j])
			break
		}
		others := rest(len(s), i, j)
		v := c.transpose(x.v, append(slices.Clone(others), i, j)...)
		tail := make(ir.Shape, 0, len(s))
		axes := []int{}
		for _, o := range others {
			tail, axes = append(tail, s[o]), append(axes, x.axes[o])
		}
		idx := make([]int, s[i])
		for k := range idx {
			idx[k] = k * (s[i] + 1)
		}
		v = c.pick(c.reshape(v, append(slices.Clone(tail), s[i]*s[i])...), len(tail), idx)
		x = labelled{v, append(axes, x.axes[i])}
		i = -1
	}
	return x
}

// contract multiplies two operands and sums over labels that are not in keep. Without a second one it only sums.
func (c *calc) contract(x, y labelled, keep []int) labelled {
	drop := func(o labelled, other []int) labelled {
		var gone, axes []int
		for d, a := range o.axes {
			if !slices.Contains(keep, a) && !slices.Contains(other, a) {
				gone = append(gone, d)
			} else {
				axes = append(axes, a)
			}
		}
		if len(gone) == 0 || c.err != nil {
			return o
		}
		v := c.reduce(ir.OpReduceSum, o.v, gone...)
		return labelled{c.reshape(v, ir.ReducedShape(o.v.Type.Shape, gone, false)...), axes}
	}
	x = drop(x, y.axes)
	if y.v == nil || c.err != nil {
		return x
	}
	y = drop(y, x.axes)
	if c.err != nil {
		return x
	}
	var both, sum, left, right []int
	for _, a := range x.axes {
		switch {
		case !slices.Contains(y.axes, a):
			left = append(left, a)
		case slices.Contains(keep, a):
			both = append(both, a)
		default:
			sum = append(sum, a)
		}
	}
	for _, a := range y.axes {
		if !slices.Contains(x.axes, a) {
			right = append(right, a)
		}
	}
	dim := func(o labelled, axes []int) ir.Shape {
		s := ir.Shape{}
		for _, a := range axes {
			s = append(s, o.v.Type.Shape[slices.Index(o.axes, a)])
		}
		return s
	}
	// a dimension of one broadcasts against the other's
	full := func(axes []int) ir.Shape {
		a, b := dim(x, axes), dim(y, axes)
		for i := range a {
			a[i] = max(a[i], b[i])
		}
		return a
	}
	sb, ss, sl, sr := full(both), full(sum), dim(x, left), dim(y, right)
	arrange := func(o labelled, groups ...[]int) *ir.Value {
		var perm []int
		for _, g := range groups {
			for _, a := range g {
				perm = append(perm, slices.Index(o.axes, a))
			}
		}
		return c.transpose(o.v, perm...)
	}
	cat := func(ss ...ir.Shape) ir.Shape {
		out := ir.Shape{}
		for _, s := range ss {
			out = append(out, s...)
		}
		return out
	}
	xv := c.expand(arrange(x, both, left, sum), cat(sb, sl, ss))
	yv := c.expand(arrange(y, both, sum, right), cat(sb, ss, sr))
	xv = c.reshape(xv, sb.Size(), sl.Size(), ss.Size())
	yv = c.reshape(yv, sb.Size(), ss.Size(), sr.Size())
	var v *ir.Value
	if len(sum) == 0 && len(left) == 0 && len(right) == 0 {
		v = c.mul(xv, yv)
	} else {
		v = c.e(ir.OpMatMul, nil, xv, yv)
	}
	return labelled{c.reshape(v, cat(sb, sl, sr)...), append(append(both, left...), right...)}
}

func init() {
	add("Einsum", "Sums of products over labelled dimensions.", einsum, version{since: 12, in: 1, max: -1, attrs: "equation:s!"})
}
