package onnx

import (
	"fmt"
	"math"

	"smpcc/ir"
)

// Layers that keep a state from one token to the next: the cache of keys and values, the convolution before a state-space layer, and attention whose
// state is a matrix.

// tensorScatter lowers TensorScatter: entries written into a cache at a place of each sample. A secret place is compared with all.
func tensorScatter(n *node) ([]*ir.Value, error) {
	cache, update, c := n.in(0), n.in(1), n.calc()
	s, u := cache.Type.Shape, update.Type.Shape
	a, err := n.axis("axis", -2, len(s))
	if err != nil {
		return nil, err
	}
	fits := a > 0 && len(s) == len(u) && update.Type.Elem == cache.Type.Elem
	for i := range s {
		fits = fits && (u[i] == s[i] || i == a && u[i] <= s[i])
	}
	mode := n.str("mode", "linear")
	if !fits || mode != "linear" && mode != "circular" {
		return nil, fmt.Errorf("update %v does not fit the cache %v along axis %d, or mode %s is not supported", u, s, a, short(mode))
	}
	size, count, batch := s[a], u[a], s[0]
	if size == 0 || count == 0 {
		return one(cache, nil)
	}
	at := ir.NewTensor(ir.Int, ir.Shape{batch})
	if n.given(2) {
		if x := n.in(2); x.Type.Elem != ir.Int || !x.Type.Shape.Equal(ir.Shape{batch}) {
			return nil, c.wrongInput(x)
		}
		if at = n.data(2); at == nil {
			return c.one(c.placed(cache, update, n.in(2), a, mode == "circular"))
		}
	}
	perm, back := toLast(len(s), a)
	rows := s.Size() / size / max(batch, 1)
	src, err := n.indices(s.Size())
	if err != nil {
		return nil, err
	}
	for b := range batch {
		first := at.I[b]
		if first < 0 || mode == "linear" && first > int64(size-count) {
			return nil, fmt.Errorf("%d entries at %d do not fit a cache of %d", count, first, size)
		}
		for r := range rows {
			row := b*rows + r
			for i := range size {
				src[row*size+i] = row*size + i
			}
			for i := range count {
				src[row*size+int((first%int64(size)+int64(i))%int64(size))] = s.Size() + row*count + i
			}
		}
	}
	x, y := c.transpose(cache, perm...), c.transpose(update, perm...)
	all := c.concat(0, c.reshape(x, s.Size()), c.reshape(y, u.Size()))
	return c.one(c.transpose(c.reshape(c.pick(all, 0, src), x.Type.Shape...), back...))
}

// placed writes update into cache along axis a, from the secret place of each sample on: it is 1 where the place is one of those from which the entry
// comes to be here. In a circular cache places count modulo its size.
func (c *calc) placed(cache, update, at *ir.Value, a int, circular bool) *ir.Value {
	s, u := cache.Type.Shape, update.Type.Shape
	size, count := s[a], u[a]
	if circular {
		at = c.e(ir.OpIntMod, ir.Attrs{ir.I("down", 1)}, at, c.num(at, float64(size)))
	} else {
		c.n.names(at, size-count+1)
	}
	hot := c.oneHot(at, size, ir.Real) // [batch, size]: where the first entry goes
	if c.err != nil {
		return nil
	}
	// w[b, p, i] is 1 where entry i goes to place p
	idx, err := c.n.indices(size * count)
	if err != nil {
		return c.got(nil, err)
	}
	zero := c.table(ir.Real, s[0], 1)
	for p := range size {
		for i := range count {
			switch from := p - i; {
			case from >= 0:
				idx[p*count+i] = from
			case circular:
				idx[p*count+i] = from + size
			default:
				idx[p*count+i] = size // nothing
			}
		}
	}
	if zero == nil {
		return nil
	}
	w := c.reshape(c.pick(c.concat(1, hot, c.data(zero, true)), 1, idx), s[0], 1, size, count)
	perm, back := toLast(len(s), a)
	x, y := c.transpose(cache, perm...), c.transpose(update, perm...)
	if c.err != nil {
		return nil
	}
	rows := s.Size() / size / max(s[0], 1)
	fresh := c.reshape(c.e(ir.OpMatMul, nil, w, c.reshape(y, s[0], rows, count, 1)), x.Type.Shape...)
	written := c.reshape(c.reduce(ir.OpReduceSum, w, 3), s[0], 1, size)
	old := c.reshape(c.mul(c.reshape(x, s[0], rows, size), c.plus(c.neg(written), 1)), x.Type.Shape...)
	return c.transpose(c.add(old, fresh), back...)
}

// causalConv lowers CausalConvWithState: each channel's convolution with its own kernel, over what came before and the input.
func causalConv(n *node) ([]*ir.Value, error) {
	x, w, c := n.in(0), n.in(1), n.calc()
	s, k := x.Type.Shape, w.Type.Shape
	if len(s) != 3 || len(k) != 3 || k[0] != s[1] || k[1] != 1 || k[2] < 1 {
		return nil, fmt.Errorf("input %v and kernel %v, want [batch, channels, length] and [channels, 1, size]", s, k)
	}
	before := k[2] - 1
	state := ir.Shape{s[0], s[1], before}
	switch {
	case n.given(3):
		if !n.in(3).Type.Shape.Equal(state) {
			return nil, fmt.Errorf("past_state is %v, want %v", n.in(3).Type.Shape, state)
		}
		x = c.concat(2, n.in(3), x)
	case before > 0:
		x = c.e(ir.OpPad, ir.Attrs{ir.Is("pads", 0, 0, int64(before), 0, 0, 0)}, x)
	}
	if c.err != nil {
		return nil, c.err
	}
	present := c.cut(x, 2, s[2], s[2]+before)
	y := c.e(ir.OpConv, ir.Attrs{ir.Is("strides", 1, 1), ir.Is("pads", 0, 0, 0, 0), ir.Is("dilations", 1, 1), ir.I("group", int64(s[1]))},
		c.reshape(x, s[0], s[1], 1, s[2]+before), c.reshape(w, k[0], 1, 1, k[2]))
	y = c.reshape(y, s...)
	if n.given(2) {
		if !n.in(2).Type.Shape.Equal(ir.Shape{s[1]}) {
			return nil, fmt.Errorf("bias is %v, want [%d]", n.in(2).Type.Shape, s[1])
		}
		y = c.add(y, c.reshape(n.in(2), s[1], 1))
	}
	switch a := n.str("activation", "none"); a {
	case "none":
	case "silu", "swish":
		y = c.fn(ir.OpSilu, y)
	default:
		return nil, fmt.Errorf("activation=%s is not supported, want silu, swish or none", short(a))
	}
	return []*ir.Value{y, present}, c.err
}

// linearAttention lowers LinearAttention: a state [batch, heads, size of keys, of values] that each token decays and adds k v' to, or with a rule of
// delta, what v differs from what the state has for k. Its output is scale * q' state.
func linearAttention(n *node) ([]*ir.Value, error) {
	c := n.calc()
	hq, h := n.int("q_num_heads", 0), n.int("kv_num_heads", 0)
	q, k, v := n.in(0).Type.Shape, n.in(1).Type.Shape, n.in(2).Type.Shape
	if h < 1 || hq < h || hq%h != 0 || len(q) != 3 || len(k) != 3 || len(v) != 3 || q[2]%hq != 0 || k[2]%h != 0 || v[2]%h != 0 || q[2]/hq != k[2]/h ||
		q[0] != k[0] || q[0] != v[0] || q[1] != k[1] || q[1] != v[1] || q[2] == 0 {
		return nil, fmt.Errorf("queries %v, keys %v and values %v do not fit %d and %d heads", q, k, v, hq, h)
	}
	batch, steps, dk, dv := q[0], q[1], k[2]/h, v[2]/h
	rule := n.str("update_rule", "gated_delta")
	gated, delta := rule == "gated" || rule == "gated_delta", rule == "delta" || rule == "gated_delta"
	if !gated && !delta && rule != "linear" || gated && !n.given(4) || delta && !n.given(5) {
		return nil, fmt.Errorf("update_rule=%s is not supported, or its decay or beta is not there", short(rule))
	}
	scale := n.float("scale", 0)
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(dk))
	}
	var state *ir.Value
	if n.given(3) {
		if state = n.in(3); !state.Type.Shape.Equal(ir.Shape{batch, h, dk, dv}) {
			return nil, fmt.Errorf("past_state is %v, want %v", state.Type.Shape, ir.Shape{batch, h, dk, dv})
		}
	}
	var decay, beta *ir.Value
	if gated {
		g := n.in(4)
		d := g.Type.Shape
		if len(d) != 3 || d[0] != batch || d[1] != steps || d[2] != h && d[2] != h*dk {
			return nil, fmt.Errorf("decay is %v, want [%d,%d,%d] or [%d,%d,%d]", d, batch, steps, h, batch, steps, h*dk)
		}
		decay = c.reshape(c.fn(ir.OpExp, g), batch, steps, h, d[2]/h, 1)
	}
	if delta {
		b := n.in(5)
		d := b.Type.Shape
		if len(d) != 3 || d[0] != batch || d[1] != steps || d[2] != h && d[2] != 1 {
			return nil, fmt.Errorf("beta is %v, want [%d,%d,%d] or [%d,%d,1]", d, batch, steps, h, batch, steps)
		}
		beta = c.reshape(b, batch, steps, d[2], 1, 1)
	}
	at := func(x *ir.Value, t int, s ...int) *ir.Value { // of step t
		y := c.cut(x, 1, t, t+1)
		if c.err != nil {
			return nil
		}
		if s == nil {
			s = append([]int{batch}, y.Type.Shape[2:]...)
		}
		return c.reshape(y, s...)
	}
	query := c.scale(n.in(0), scale)
	var out []*ir.Value
	for t := 0; t < steps && c.err == nil; t++ {
		key, value := at(n.in(1), t, batch, h, dk, 1), at(n.in(2), t, batch, h, 1, dv)
		if gated && state != nil {
			state = c.mul(state, at(decay, t))
		}
		if delta {
			if state != nil {
				value = c.sub(value, c.e(ir.OpMatMul, nil, c.reshape(key, batch, h, 1, dk), state))
			}
			value = c.mul(value, at(beta, t))
		}
		if grown := c.mul(key, value); state == nil {
			state = grown
		} else {
			state = c.add(state, grown)
		}
		y := c.e(ir.OpMatMul, nil, at(query, t, batch, h, hq/h, dk), state)
		out = append(out, c.reshape(y, batch, 1, hq*dv))
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there are no tokens in %v", q)
	}
	return []*ir.Value{c.concat(1, out...), state}, c.err
}

func init() {
	add("TensorScatter", "Entries written into a cache from the place of each sample on; places may be secret.", tensorScatter, version{since: 24, in: 2, max: 3, attrs: "axis:i mode:s"})
	add("CausalConvWithState", "Convolution of each channel over earlier entries and the input; the kernel stays private.", causalConv, version{since: 27, in: 2, max: 4, attrs: "activation:s"})
	add("LinearAttention", "A state that tokens decay and add to, step by step, and queries times it.", linearAttention,
		version{since: 27, in: 3, max: 6, attrs: "chunk_size:i kv_num_heads:i! q_num_heads:i! scale:f update_rule:s"})
}
