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

// A sight says which keys a query sees: the public and secret conditions, and what is added to scores besides.
type sight struct {
	seen *ir.Value // booleans that broadcast to the scores; nil if everything is seen
	bias *ir.Value // nil for none
}

// and adds a condition.
func (c *calc) and(s *sight, seen *ir.Value) {
	if c.err == nil && len(seen.Type.Shape) == 0 {
		seen = c.reshape(seen, 1)
	}
	if s.seen != nil {
		seen = c.e(ir.OpAnd, nil, s.seen, seen)
	}
	s.seen = seen
}

// window adds what positions hide: keys beyond those that are there, later ones where causal, and those outside left and right of the query, each -1 for
// no end. With lengths, input i, keys from there on are padding, and queries are the last ones before; else past keys go before the first query.
func (c *calc) window(s *sight, i, past, queries, keys int) {
	n := c.n
	causal, left, right := n.int("is_causal", 0) != 0, n.int("left_window_size", -1), n.int("right_window_size", -1)
	if left < -1 || right < -1 {
		c.fail("windows of %d and %d, want -1 or more", left, right)
		return
	}
	lengths := n.given(i)
	if !causal && left < 0 && right < 0 && !lengths {
		return
	}
	// a length sees key j of query q where least <= length <= most
	least, most := c.table(ir.Int, queries, keys), c.table(ir.Int, queries, keys)
	if least == nil || most == nil {
		return
	}
	some := false
	for q := range queries {
		for j := range keys {
			at := q*keys + j
			least.I[at], most.I[at] = int64(j+1), int64(2*(queries+keys)+max(left, 0))
			if !lengths {
				least.I[at] = 0
			}
			ahead := int64(j - q + queries)
			if causal {
				least.I[at] = max(least.I[at], ahead)
			}
			if right >= 0 {
				least.I[at] = max(least.I[at], ahead-int64(right))
			}
			if left >= 0 {
				most.I[at], some = ahead+int64(left), true
			}
		}
	}
	if !lengths {
		seen := c.table(ir.Bool, queries, keys)
		if seen == nil {
			return
		}
		for k := range seen.I {
			if length := int64(past + queries); least.I[k] <= length && length <= most.I[k] {
				seen.I[k] = 1
			}
		}
		c.and(s, c.data(seen, false))
		return
	}
	x := n.in(i)
	if x.Type.Elem != ir.Int || len(x.Type.Shape) != 1 {
		c.got(nil, c.wrongInput(x))
		return
	}
	x = c.reshape(x, x.Type.Shape[0], 1, 1, 1)
	c.and(s, c.e(ir.OpGe, nil, x, c.data(least, false)))
	if some {
		c.and(s, c.e(ir.OpLe, nil, x, c.data(most, false)))
	}
}

// hiding adds what the mask of input i hides, and what it adds to scores. It may reach fewer keys than there are: the rest is hidden.
func (c *calc) hiding(s *sight, i, keys int) {
	n := c.n
	if !n.given(i) || c.err != nil {
		return
	}
	m := n.in(i)
	short := 0
	if d := m.Type.Shape; len(d) > 0 && d[len(d)-1] < keys && d[len(d)-1] > 0 {
		short = keys - d[len(d)-1]
	}
	pad := func(x *ir.Value, with float64) *ir.Value {
		if short == 0 || c.err != nil {
			return x
		}
		d := slices.Clone(x.Type.Shape)
		d[len(d)-1] = short
		t := c.table(x.Type.Elem, d...)
		if t == nil {
			return nil
		}
		for k := range t.F {
			t.F[k] = with
		}
		return c.concat(len(d)-1, x, c.data(t, x.Type.Elem == ir.Real))
	}
	if m.Type.Elem == ir.Bool {
		c.and(s, pad(m, 0))
		return
	}
	t, err := n.fixed(i)
	switch {
	case err != nil:
		c.got(nil, err)
	case t == nil:
		if short > 0 {
			d := m.Type.Shape.Size() / m.Type.Shape[len(m.Type.Shape)-1] * keys
			seen := c.table(ir.Bool, append(slices.Clone(m.Type.Shape[:len(m.Type.Shape)-1]), keys)...)
			if seen == nil {
				return
			}
			for k := range d {
				if k%keys < keys-short {
					seen.I[k] = 1
				}
			}
			c.and(s, c.data(seen, false))
		}
		s.bias = pad(m, 0)
	default:
		hides := short > 0 || slices.ContainsFunc(t.F, func(x float64) bool { return math.IsInf(x, -1) })
		s.bias = pad(c.got(n.derived(i, m, t, func(x float64) float64 { return max(x, masked) })), 0)
		if hides {
			seen := c.got(n.derived(i, m, t, func(x float64) float64 {
				if math.IsInf(x, -1) {
					return 0
				}
				return 1
			}))
			c.and(s, pad(c.e(ir.OpGt, nil, seen, c.num(m, 0.5)), 0))
		}
	}
}

// hide adds to scores what makes hidden ones vanish. alive is, for each row of scores, 1 if its query sees any key, and 0 else: reals; nil if all do.
func (c *calc) hide(s *sight, scores *ir.Value) (_, alive *ir.Value) {
	if s.bias != nil {
		scores = c.add(scores, s.bias)
	}
	if s.seen == nil || c.err != nil {
		return scores, nil
	}
	hidden := c.scale(c.plus(c.to(s.seen, ir.Real), -1), -masked)
	t, err := c.n.r.evaluate(s.seen)
	if err != nil {
		return c.got(nil, err), nil
	}
	rank := len(s.seen.Type.Shape)
	switch {
	case t != nil:
		keys := s.seen.Type.Shape[rank-1]
		dead := false
		for k := 0; k+keys <= len(t.I) && keys > 0; k += keys {
			dead = dead || !slices.Contains(t.I[k:k+keys], 1)
		}
		if s.seen.Type.Vis.IsPublic() {
			table := c.table(ir.Real, s.seen.Type.Shape...)
			if table == nil {
				return nil, nil
			}
			for k, x := range t.I {
				table.F[k] = float64(masked * (1 - x))
			}
			hidden = c.data(table, true)
		}
		if !dead {
			break
		}
		fallthrough
	default:
		some := c.reduce(ir.OpReduceSum, c.to(s.seen, ir.Int), rank-1)
		alive = c.to(c.e(ir.OpGt, nil, some, c.num(some, 0)), ir.Real)
	}
	return c.add(scores, hidden), alive
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
	modes := [4]*ir.Value{scores}
	if cap := n.float("softcap", 0); cap > 0 {
		scores = c.scale(c.fn(ir.OpTanh, c.scale(scores, 1/cap)), cap)
	}
	modes[1] = scores
	s := sight{}
	c.window(&s, 6, past, sq[2], sk[2])
	c.hiding(&s, 3, sk[2])
	scores, alive := c.hide(&s, scores)
	if c.err == nil && !scores.Type.Shape.Equal(modes[0].Type.Shape) {
		return nil, fmt.Errorf("mask %v or lengths do not fit the scores %v", n.in(3).Type.Shape, modes[0].Type.Shape)
	}
	if modes[2] = scores; s.seen != nil {
		modes[2] = nil // hidden scores are -inf
	}
	p := c.e(ir.OpSoftmax, ir.Attrs{ir.I("axis", 3)}, scores)
	if alive != nil {
		p = c.mul(p, alive)
	}
	modes[3] = p
	y := c.e(ir.OpMatMul, nil, p, v)
	if flat && c.err == nil {
		s := y.Type.Shape
		y = c.reshape(c.transpose(y, 0, 2, 1, 3), s[0], s[2], s[1]*s[3])
	}
	out := []*ir.Value{y, newKeys, newValues}
	if len(n.p.Output) > 3 && n.p.Output[3] != "" {
		mode := n.int("qk_matmul_output_mode", 0)
		if mode < 0 || mode > 3 {
			return nil, fmt.Errorf("qk_matmul_output_mode=%d, want 0 to 3", mode)
		}
		if c.err == nil && modes[mode] == nil {
			return nil, outside.of(n.at, "output of scores behind a mask (qk_matmul_output_mode=2)")
		}
		out = append(out, modes[mode])
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
	add("Attention", "softmax(scale * Q K' + mask) V for each head, approximated; masks and lengths may be secret, and a query that sees no key gets zeros.", attention,
		version{since: 23, in: 3, max: 6, attrs: "is_causal:i kv_num_heads:i q_num_heads:i qk_matmul_output_mode:i scale:f softcap:f softmax_precision:i"},
		version{since: 24, in: 3, max: 7, attrs: "is_causal:i kv_num_heads:i q_num_heads:i qk_matmul_output_mode:i scale:f softcap:f softmax_precision:i"},
		version{since: 25, in: 3, max: 7, attrs: "is_causal:i kv_num_heads:i left_window_size:i q_num_heads:i qk_matmul_output_mode:i right_window_size:i scale:f softcap:f softmax_precision:i"})
	add("RotaryEmbedding", "Pairs of entries rotated by the angles of their position.", rotary,
		version{since: 23, in: 3, max: 4, attrs: "interleaved:i num_heads:i rotary_embedding_dim:i"})
}
