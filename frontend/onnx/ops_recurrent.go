package onnx

import (
	"fmt"
	"strings"

	"smpcc/ir"
)

// Recurrent layers, unrolled: a plan has a fixed number of steps.

// A recurrence is what RNN, GRU and LSTM share.
type recurrence struct {
	c       *calc
	n       *node
	gates   int
	steps   int
	batch   int
	hidden  int
	lengths *ir.Tensor // public lengths of sequences, or nil
	acts    []string
	alpha   []float64
	beta    []float64
}

// activation applies the k-th activation function of a direction.
func (r *recurrence) activation(dir, k int, x *ir.Value) *ir.Value {
	per := map[int]int{1: 1, 3: 2, 4: 3}[r.gates]
	i := dir*per + k
	name := []string{"sigmoid", "tanh", "tanh"}[k]
	if r.gates == 1 {
		name = "tanh"
	}
	if r.acts != nil {
		if i >= len(r.acts) {
			return r.c.fail("activations has %d entries, want %d", len(r.acts), per*(dir+1))
		}
		name = strings.ToLower(r.acts[i])
	}
	param := func(list []float64, def float64) float64 {
		if i < len(list) {
			return list[i]
		}
		return def
	}
	c := r.c
	switch name {
	case "sigmoid":
		return c.fn(ir.OpSigmoid, x)
	case "tanh":
		return c.fn(ir.OpTanh, x)
	case "relu":
		return c.relu(x)
	case "affine":
		return c.plus(c.scale(x, param(r.alpha, 1)), param(r.beta, 0))
	case "leakyrelu":
		return c.e(ir.OpLeaky, ir.Attrs{ir.F("alpha", param(r.alpha, float64(float32(0.01))))}, x)
	case "thresholdedrelu":
		return c.e(ir.OpSelect, nil, c.e(ir.OpGt, nil, x, c.num(x, param(r.alpha, 1))), x, c.scale(x, 0))
	case "scaledtanh":
		return c.scale(c.fn(ir.OpTanh, c.scale(x, param(r.beta, 1))), param(r.alpha, 1))
	case "hardsigmoid":
		if c.err != nil {
			return nil
		}
		return c.got(c.n.hardSigmoid(x, param(r.alpha, float64(float32(0.2))), param(r.beta, 0.5)))
	case "elu":
		return c.elu(x, param(r.alpha, 1), 1, 1)
	case "softsign":
		return c.div(x, c.plus(c.fn(ir.OpAbs, x), 1))
	case "softplus":
		return c.fn(ir.OpSoftplus, x)
	}
	return c.fail("activation %s is not supported", short(name))
}

func (r *recurrence) clip(x *ir.Value) *ir.Value {
	if k := r.n.float("clip", 0); k > 0 {
		return r.c.e(ir.OpClip, ir.Attrs{ir.F("lo", -k), ir.F("hi", k)}, x)
	}
	return x
}

// part returns gate i of a value whose last dimension holds all gates.
func (r *recurrence) part(x *ir.Value, i int) *ir.Value {
	if r.c.err != nil {
		return nil
	}
	return r.c.cut(x, len(x.Type.Shape)-1, i*r.hidden, (i+1)*r.hidden)
}

// masked keeps the old state of sequences that have ended before step t.
func (r *recurrence) masked(fresh, old *ir.Value, t int) *ir.Value {
	if r.lengths == nil || r.c.err != nil {
		return fresh
	}
	m := r.c.table(ir.Real, r.batch, 1)
	if m == nil {
		return nil
	}
	all, none := true, true
	for b := range m.F {
		if t < int(r.lengths.At(b)) {
			m.F[b], none = 1, false
		} else {
			all = false
		}
	}
	switch {
	case all:
		return fresh
	case none:
		return old
	}
	return r.c.add(old, r.c.mul(r.c.sub(fresh, old), r.c.data(m, true)))
}

// recurrent lowers one of the three layers, told apart by their number of gates.
func recurrent(gates int) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		c := n.calc()
		x, w, rec := n.in(0), n.in(1), n.in(2)
		if len(x.Type.Shape) != 3 || len(w.Type.Shape) != 3 || len(rec.Type.Shape) != 3 {
			return nil, fmt.Errorf("input %v and weights %v, %v do not have 3 dimensions", x.Type.Shape, w.Type.Shape, rec.Type.Shape)
		}
		batchFirst := n.int("layout", 0) != 0
		if batchFirst {
			x = c.transpose(x, 1, 0, 2)
		}
		dirs := w.Type.Shape[0]
		r := &recurrence{c: c, n: n, gates: gates, steps: x.Type.Shape[0], batch: x.Type.Shape[1], hidden: rec.Type.Shape[2]}
		if h := n.int("hidden_size", r.hidden); h != r.hidden || w.Type.Shape[1] != gates*h || rec.Type.Shape[1] != gates*h || w.Type.Shape[2] != x.Type.Shape[2] || rec.Type.Shape[0] != dirs {
			return nil, fmt.Errorf("input %v, weights %v, %v and hidden_size %d do not fit", x.Type.Shape, w.Type.Shape, rec.Type.Shape, h)
		}
		direction := n.str("direction", "forward")
		want := 1
		if direction == "bidirectional" {
			want = 2
		} else if direction != "forward" && direction != "reverse" {
			return nil, fmt.Errorf("direction=%s is not supported", short(direction))
		}
		if dirs != want || n.int("input_forget", 0) != 0 || r.steps > maxTrips {
			return nil, fmt.Errorf("direction=%s with weights %v, or input_forget, is not supported", direction, w.Type.Shape)
		}
		if a := n.attrs["activations"]; a != nil {
			for _, s := range a.Strings {
				r.acts = append(r.acts, string(s))
			}
		}
		for name, list := range map[string]*[]float64{"activation_alpha": &r.alpha, "activation_beta": &r.beta} {
			if a := n.attrs[name]; a != nil {
				for _, f := range a.Floats {
					*list = append(*list, float64(f))
				}
			}
		}
		if n.given(4) {
			t, err := n.public(4, "sequence_lens")
			if err != nil {
				return nil, err
			}
			if t.Len() != r.batch {
				return nil, fmt.Errorf("%d sequence lengths for a batch of %d", t.Len(), r.batch)
			}
			r.lengths = t
		}
		start := func(i, d int) *ir.Value {
			if !n.given(i) {
				return c.data(c.table(ir.Real, r.batch, r.hidden), true)
			}
			s := n.in(i)
			if batchFirst {
				s = c.transpose(s, 1, 0, 2)
			}
			return c.reshape(c.cut(s, 0, d, d+1), r.batch, r.hidden)
		}
		var all, last, cells []*ir.Value
		for d := range dirs {
			reverse := direction == "reverse" || d == 1
			seq := x
			if reverse {
				seq = r.reversed(x)
			}
			ys, h, cell := r.direction(d, seq, w, rec, start)
			if c.err != nil {
				return nil, c.err
			}
			y := c.concat(0, ys...) // [steps, batch, hidden]
			if reverse {
				y = r.reversed(y)
			}
			if r.lengths != nil && c.err == nil { // outputs past a sequence's end are zero
				m := c.table(ir.Real, r.steps, r.batch, 1)
				if m == nil {
					return nil, c.err
				}
				for t := range r.steps {
					for b := range r.batch {
						if t < int(r.lengths.At(b)) {
							m.F[t*r.batch+b] = 1
						}
					}
				}
				y = c.mul(y, c.data(m, true))
			}
			all = append(all, c.reshape(y, r.steps, 1, r.batch, r.hidden))
			last = append(last, c.reshape(h, 1, r.batch, r.hidden))
			if cell != nil {
				cells = append(cells, c.reshape(cell, 1, r.batch, r.hidden))
			}
		}
		if c.err != nil {
			return nil, c.err
		}
		out := []*ir.Value{c.concat(1, all...), c.concat(0, last...)}
		if cells != nil {
			out = append(out, c.concat(0, cells...))
		}
		if batchFirst {
			out[0] = c.transpose(out[0], 2, 0, 1, 3)
			for i := range out[1:] {
				out[i+1] = c.transpose(out[i+1], 1, 0, 2)
			}
		}
		return out, c.err
	}
}

// reversed turns [steps, batch, ...] around in time, each sequence within its length.
func (r *recurrence) reversed(x *ir.Value) *ir.Value {
	if r.c.err != nil {
		return nil
	}
	s := x.Type.Shape
	block := s[2:].Size()
	src, err := r.n.indices(s.Size())
	if err != nil {
		return r.c.got(nil, err)
	}
	for t := range r.steps {
		for b := range r.batch {
			n := r.steps
			if r.lengths != nil {
				n = min(max(int(r.lengths.At(b)), 0), r.steps)
			}
			from := t
			if t < n {
				from = n - 1 - t
			}
			for j := range block {
				src[(t*r.batch+b)*block+j] = (from*r.batch+b)*block + j
			}
		}
	}
	return r.c.take(x, src, s)
}

// direction unrolls one direction and returns the states of all steps, the last state and the last cell (LSTM only).
func (r *recurrence) direction(d int, seq, w, rec *ir.Value, start func(i, d int) *ir.Value) (ys []*ir.Value, h, cell *ir.Value) {
	c, n, g := r.c, r.n, r.gates
	if c.err != nil {
		return nil, nil, nil
	}
	size := g * r.hidden
	in := seq.Type.Shape[2]
	wd := c.transpose(c.reshape(c.cut(w, 0, d, d+1), size, in), 1, 0)
	rd := c.transpose(c.reshape(c.cut(rec, 0, d, d+1), size, r.hidden), 1, 0)
	var wb, rb *ir.Value
	if n.given(3) {
		b := c.reshape(c.cut(n.in(3), 0, d, d+1), 2*size)
		wb, rb = c.cut(b, 0, 0, size), c.cut(b, 0, size, 2*size)
	}
	// the inputs of all steps at once
	gx := c.e(ir.OpMatMul, nil, c.reshape(seq, r.steps*r.batch, in), wd)
	if wb != nil {
		gx = c.add(gx, wb)
	}
	var peep *ir.Value
	h = start(5, d)
	if g == 4 {
		cell = start(6, d)
		if n.given(7) {
			peep = c.reshape(c.cut(n.in(7), 0, d, d+1), 3*r.hidden)
		}
	}
	for t := range r.steps {
		if c.err != nil {
			return
		}
		xt := c.cut(gx, 0, t*r.batch, (t+1)*r.batch)
		hr := c.e(ir.OpMatMul, nil, h, rd)
		if rb != nil && !(g == 3 && n.int("linear_before_reset", 0) == 0) {
			hr = c.add(hr, rb)
		}
		var fresh *ir.Value
		switch g {
		case 1:
			fresh = r.activation(d, 0, r.clip(c.add(xt, hr)))
		case 3: // z r h
			fresh = r.gru(d, xt, hr, h, rd, rb)
		case 4: // i o f c
			s := c.add(xt, hr)
			i, o, f, cc := r.part(s, 0), r.part(s, 1), r.part(s, 2), r.part(s, 3)
			look := func(x *ir.Value, k int, state *ir.Value) *ir.Value {
				if peep == nil {
					return x
				}
				return c.add(x, c.mul(c.cut(peep, 0, k*r.hidden, (k+1)*r.hidden), state))
			}
			i = r.activation(d, 0, r.clip(look(i, 0, cell)))
			f = r.activation(d, 0, r.clip(look(f, 2, cell)))
			cc = r.activation(d, 1, r.clip(cc))
			next := c.add(c.mul(f, cell), c.mul(i, cc))
			o = r.activation(d, 0, r.clip(look(o, 1, next)))
			fresh = c.mul(o, r.activation(d, 2, next))
			cell = r.masked(next, cell, t)
		}
		h = r.masked(fresh, h, t)
		ys = append(ys, c.reshape(h, 1, r.batch, r.hidden))
	}
	return
}

// gru returns the next state: (1 - z) * candidate + z * h.
func (r *recurrence) gru(d int, xt, hr, h, rd, rb *ir.Value) *ir.Value {
	c := r.c
	before := r.n.int("linear_before_reset", 0) != 0
	gate := func(i int) *ir.Value {
		s := c.add(r.part(xt, i), r.part(hr, i))
		if !before && rb != nil {
			s = c.add(s, r.part(rb, i))
		}
		return r.activation(d, 0, r.clip(s))
	}
	z, reset := gate(0), gate(1)
	var cand *ir.Value
	if before {
		cand = c.mul(reset, r.part(hr, 2))
	} else {
		cand = c.e(ir.OpMatMul, nil, c.mul(reset, h), r.part(rd, 2))
		if rb != nil {
			cand = c.add(cand, r.part(rb, 2))
		}
	}
	cand = r.activation(d, 1, r.clip(c.add(r.part(xt, 2), cand)))
	return c.add(cand, c.mul(z, c.sub(h, cand)))
}

func init() {
	attrs := "activation_alpha:fs activation_beta:fs activations:ss clip:f direction:s hidden_size:i"
	for _, r := range []struct {
		name  string
		gates int
		max   int
		extra string
	}{{"RNN", 1, 6, ""}, {"GRU", 3, 6, " linear_before_reset:i"}, {"LSTM", 4, 8, " input_forget:i"}} {
		add(r.name, "Recurrent layer, unrolled, with approximated activations.", recurrent(r.gates),
			version{since: 7, in: 3, max: r.max, attrs: attrs + r.extra},
			version{since: 14, in: 3, max: r.max, attrs: attrs + r.extra + " layout:i"})
	}
}
