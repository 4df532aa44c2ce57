package onnx

import (
	"fmt"
	"math"
	"slices"

	"smpcc/ir"
)

// Attention as one operator, and the rotation that tells positions apart.

// masked is added to the scores of positions that must not be seen: their exponential vanishes, and fixed point has no infinity.
const masked = -1 << 10

// heads views x as [batch, heads, length, size]; flat says that it came as [batch, length, heads*size].
func (c *calc) heads(x *ir.Value, heads int) (y *ir.Value, flat bool) {
	if c.err != nil {
		return nil, false
	}
	s := x.Type.Shape
	if len(s) == 4 {
		return x, false
	}
	if len(s) != 3 || heads < 1 || s[2]%heads != 0 {
		return c.fail("input %v does not fit %d heads", s, heads), false
	}
	return c.transpose(c.reshape(x, s[0], s[1], heads, s[2]/heads), 0, 2, 1, 3), true
}

// bias returns what the mask of input i adds to scores; nil without one.
func (c *calc) bias(i int) *ir.Value {
	n := c.n
	if !n.given(i) || c.err != nil {
		return nil
	}
	m := n.in(i)
	if m.Type.Elem == ir.Bool { // true is seen
		return c.scale(c.plus(c.to(m, ir.Real), -1), -masked)
	}
	t, err := n.fixed(i)
	if err != nil {
		return c.got(nil, err)
	}
	if t == nil {
		return m
	}
	return c.got(n.derived(i, m, t, func(x float64) float64 { return max(x, masked) }))
}

func attention(n *node) ([]*ir.Value, error) {
	c := n.calc()
	if len(n.in(0).Type.Shape) != len(n.in(1).Type.Shape) || len(n.in(0).Type.Shape) != len(n.in(2).Type.Shape) || n.given(4) != n.given(5) {
		return nil, fmt.Errorf("queries %v, keys %v and values %v do not fit, or only one of past keys and values is there", n.in(0).Type.Shape, n.in(1).Type.Shape, n.in(2).Type.Shape)
	}
	q, flat := c.heads(n.in(0), n.int("q_num_heads", 0))
	k, _ := c.heads(n.in(1), n.int("kv_num_heads", 0))
	v, _ := c.heads(n.in(2), n.int("kv_num_heads", 0))
	past := 0
	if n.given(4) && c.err == nil {
		if len(n.in(4).Type.Shape) != 4 {
			return nil, c.wrongInput(n.in(4))
		}
		past = n.in(4).Type.Shape[2]
		k, v = c.concat(2, n.in(4), k), c.concat(2, n.in(5), v)
	}
	if c.err != nil {
		return nil, c.err
	}
	newKeys, newValues := k, v
	sq, sk := q.Type.Shape, k.Type.Shape
	if sk[1] < 1 || sq[1]%sk[1] != 0 || v.Type.Shape[1] != sk[1] || v.Type.Shape[2] != sk[2] || sq[3] < 1 {
		return nil, fmt.Errorf("queries %v, keys %v and values %v do not fit", sq, sk, v.Type.Shape)
	}
	if r := sq[1] / sk[1]; r > 1 { // several heads of queries share one of keys
		idx, err := n.indices(sq[1])
		if err != nil {
			return nil, err
		}
		for i := range idx {
			idx[i] = i / r
		}
		k, v = c.pick(k, 1, idx), c.pick(v, 1, idx)
	}
	scores := c.e(ir.OpMatMul, nil, c.scale(q, n.float("scale", 1/math.Sqrt(float64(sq[3])))), c.transpose(k, 0, 1, 3, 2))
	raw := scores
	if cap := n.float("softcap", 0); cap > 0 {
		scores = c.scale(c.fn(ir.OpTanh, c.scale(scores, 1/cap)), cap)
	}
	if b := c.bias(3); b != nil {
		if s := b.Type.Shape; len(s) > 0 && s[len(s)-1] < sk[2] { // a short mask hides what it does not reach
			if err := ir.CheckShape(append(slices.Clone(s[:len(s)-1]), sk[2])); err != nil {
				return nil, err
			}
			hidden := c.table(ir.Real, append(slices.Clone(s[:len(s)-1]), sk[2]-s[len(s)-1])...)
			if hidden == nil {
				return nil, c.err
			}
			for i := range hidden.F {
				hidden.F[i] = masked
			}
			b = c.concat(len(s)-1, b, c.data(hidden, true))
		}
		scores = c.add(scores, b)
	}
	if n.int("is_causal", 0) != 0 {
		t := c.table(ir.Real, sq[2], sk[2])
		if t == nil {
			return nil, c.err
		}
		for i := range sq[2] {
			for j := past + i + 1; j < sk[2]; j++ {
				t.F[i*sk[2]+j] = masked
			}
		}
		scores = c.add(scores, c.data(t, true))
	}
	if c.err == nil && !scores.Type.Shape.Equal(raw.Type.Shape) {
		return nil, fmt.Errorf("mask %v does not fit the scores %v", n.in(3).Type.Shape, raw.Type.Shape)
	}
	p := c.e(ir.OpSoftmax, ir.Attrs{ir.I("axis", 3)}, scores)
	y := c.e(ir.OpMatMul, nil, p, v)
	if flat && c.err == nil {
		s := y.Type.Shape
		y = c.reshape(c.transpose(y, 0, 2, 1, 3), s[0], s[2], s[1]*s[3])
	}
	out := []*ir.Value{y, newKeys, newValues}
	switch n.int("qk_matmul_output_mode", 0) {
	case 0:
		out = append(out, raw)
	case 3:
		out = append(out, p)
	}
	return out, c.err
}

// rotary turns pairs of entries by angles whose cosines and sines are given for each position.
func rotary(n *node) ([]*ir.Value, error) {
	c := n.calc()
	x, flat := c.heads(n.in(0), n.int("num_heads", 0))
	if c.err != nil {
		return nil, c.err
	}
	s := x.Type.Shape // [batch, heads, length, size]
	dim := n.int("rotary_embedding_dim", 0)
	if dim == 0 {
		dim = s[3]
	}
	if dim < 2 || dim > s[3] || dim%2 != 0 {
		return nil, fmt.Errorf("%d of %d entries cannot be rotated in pairs", dim, s[3])
	}
	half := dim / 2
	angle := func(i int) *ir.Value { // [batch, 1, length, half]
		v := n.in(i)
		t := v.Type.Shape
		if n.given(3) {
			if len(t) != 2 || !n.in(3).Type.Shape.Equal(ir.Shape{s[0], s[2]}) {
				return c.fail("cache %v or positions %v do not fit %v", t, n.in(3).Type.Shape, s)
			}
			at, err := n.positions(3, t[0])
			if err != nil {
				return c.got(nil, err)
			}
			if at == nil {
				v = c.e(ir.OpMatMul, nil, c.oneHot(c.reshape(n.in(3), s[0]*s[2]), t[0], ir.Real), v)
			} else {
				idx := make([]int, len(at.I))
				for k, p := range at.I {
					idx[k] = int(p)
				}
				v = c.pick(v, 0, idx)
			}
		}
		return c.reshape(v, s[0], 1, s[2], half)
	}
	co, si := angle(1), angle(2)
	var a, b *ir.Value
	pairs := n.int("interleaved", 0) != 0
	if pairs {
		u := c.reshape(c.cut(x, 3, 0, dim), s[0], s[1], s[2], half, 2)
		a, b = c.reshape(c.cut(u, 4, 0, 1), s[0], s[1], s[2], half), c.reshape(c.cut(u, 4, 1, 2), s[0], s[1], s[2], half)
	} else {
		a, b = c.cut(x, 3, 0, half), c.cut(x, 3, half, dim)
	}
	re, im := c.sub(c.mul(co, a), c.mul(si, b)), c.add(c.mul(si, a), c.mul(co, b))
	y := c.concat(3, re, im)
	if pairs {
		y = c.reshape(c.concat(4, c.reshape(re, s[0], s[1], s[2], half, 1), c.reshape(im, s[0], s[1], s[2], half, 1)), s[0], s[1], s[2], dim)
	}
	if dim < s[3] {
		y = c.concat(3, y, c.cut(x, 3, dim, s[3]))
	}
	if flat {
		y = c.reshape(c.transpose(y, 0, 2, 1, 3), n.in(0).Type.Shape...)
	}
	return c.one(y)
}

func init() {
	add("Attention", "softmax(scale * Q K' + mask) V for each head, approximated; the mask may be secret.", attention,
		version{since: 23, in: 3, max: 6, attrs: "is_causal:i kv_num_heads:i q_num_heads:i qk_matmul_output_mode:i scale:f softcap:f softmax_precision:i"})
	add("RotaryEmbedding", "Pairs of entries rotated by the angles of their position.", rotary,
		version{since: 23, in: 3, max: 4, attrs: "interleaved:i num_heads:i rotary_embedding_dim:i"})
}
