package onnx

import (
	"math"
	"slices"

	"smpcc/ir"
)

// A layer is a recurrent layer computed one number at a time, as the operators' definitions say.
type layer struct {
	gates       int // 1 RNN, 3 GRU, 4 LSTM
	dirs        int
	reverse     bool // the first direction runs backwards
	linear      bool // linear_before_reset
	lens        []int
	x           *ir.Tensor // [steps, batch, in]
	w, r        *ir.Tensor // [dirs, gates*hidden, in or hidden]
	b, h, c, p  *ir.Tensor // or nil
	first, last func(float64) float64
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// run returns the outputs y [steps, dirs, batch, hidden], h and c [dirs, batch, hidden].
func (l layer) run() []*ir.Tensor {
	steps, batch, in := l.x.Shape[0], l.x.Shape[1], l.x.Shape[2]
	hid, g := l.r.Shape[2], l.gates
	y, hs, cs := ir.NewTensor(ir.Real, dims(steps, l.dirs, batch, hid)), ir.NewTensor(ir.Real, dims(l.dirs, batch, hid)), ir.NewTensor(ir.Real, dims(l.dirs, batch, hid))
	get := func(t *ir.Tensor, i int) float64 {
		if t == nil {
			return 0
		}
		return t.F[i]
	}
	for d := range l.dirs {
		for b := range batch {
			h, c := make([]float64, hid), make([]float64, hid)
			for j := range hid {
				h[j], c[j] = get(l.h, (d*batch+b)*hid+j), get(l.c, (d*batch+b)*hid+j)
			}
			n := steps
			if l.lens != nil {
				n = l.lens[b]
			}
			for t := range n {
				if l.reverse != (d == 1) {
					t = n - 1 - t
				}
				fromX := func(k, j int) float64 { // gate k of unit j
					s := get(l.b, d*2*g*hid+k*hid+j)
					for i := range in {
						s += l.w.F[((d*g+k)*hid+j)*in+i] * l.x.F[(t*batch+b)*in+i]
					}
					return s
				}
				fromH := func(k, j int, h []float64) float64 {
					s := get(l.b, (d*2+1)*g*hid+k*hid+j)
					for i := range hid {
						s += l.r.F[((d*g+k)*hid+j)*hid+i] * h[i]
					}
					return s
				}
				next := make([]float64, hid)
				gated := make([]float64, hid)
				for j := range hid {
					gated[j] = h[j]
					if g == 3 {
						gated[j] *= l.first(fromX(1, j) + fromH(1, j, h))
					}
				}
				for j := range hid {
					switch g {
					case 1:
						next[j] = l.last(fromX(0, j) + fromH(0, j, h))
					case 3:
						z := l.first(fromX(0, j) + fromH(0, j, h))
						n := fromX(2, j) + fromH(2, j, gated)
						if l.linear {
							n = fromX(2, j) + l.first(fromX(1, j)+fromH(1, j, h))*fromH(2, j, h)
						}
						next[j] = (1-z)*l.last(n) + z*h[j]
					case 4:
						look := func(k int) float64 { return get(l.p, (d*3+k)*hid+j) }
						i := l.first(fromX(0, j) + fromH(0, j, h) + look(0)*c[j])
						f := l.first(fromX(2, j) + fromH(2, j, h) + look(2)*c[j])
						c[j] = f*c[j] + i*l.last(fromX(3, j)+fromH(3, j, h))
						o := l.first(fromX(1, j) + fromH(1, j, h) + look(1)*c[j])
						next[j] = o * l.last(c[j])
					}
				}
				h = next
				copy(y.F[((t*l.dirs+d)*batch+b)*hid:], h)
			}
			copy(hs.F[(d*batch+b)*hid:], h)
			copy(cs.F[(d*batch+b)*hid:], c)
		}
	}
	return []*ir.Tensor{y, hs, cs}[:2+g/4]
}

// swapped is t with two neighbouring leading dimensions exchanged.
func swapped(t *ir.Tensor, at int) *ir.Tensor {
	s := slices.Clone(t.Shape)
	s[at], s[at+1] = s[at+1], s[at]
	y := ir.NewTensor(ir.Real, s)
	a, b, inner := t.Shape[at], t.Shape[at+1], t.Shape[at+2:].Size()
	for o := range t.Shape[:at].Size() {
		for i := range a {
			for j := range b {
				copy(y.F[((o*b+j)*a+i)*inner:][:inner], t.F[((o*a+i)*b+j)*inner:][:inner])
			}
		}
	}
	return y
}

// wavy is a tensor of numbers between -1 and 1 without a pattern.
func wavy(seed float64, d ...int) *ir.Tensor {
	t := ir.NewTensor(ir.Real, dims(d...))
	for i := range t.F {
		t.F[i] = math.Sin(seed + 2.3*float64(i) + 0.1*float64(i*i%7))
	}
	return t
}

func recurrentCases() []opCase {
	const steps, batch, in, hid = 3, 2, 2, 2
	x := wavy(1, steps, batch, in)
	base := func(gates, dirs int) layer {
		return layer{gates: gates, dirs: dirs, x: x, w: wavy(2, dirs, gates*hid, in), r: wavy(3, dirs, gates*hid, hid), first: logistic, last: math.Tanh}
	}
	cases := []opCase{
		{name: "RNN", nodes: nodes(nd("RNN", "x w r", "y0 y1", ai("hidden_size", hid)))},
		{name: "RNN reverse with bias and start", nodes: nodes(nd("RNN", "x w r b _ h", "y0 y1", as("direction", "reverse")))},
		{name: "RNN Relu", nodes: nodes(nd("RNN", "x w r", "y0 y1", ass("activations", "Relu")))},
		{name: "RNN bidirectional with lengths", nodes: nodes(nd("RNN", "x w r b l", "y0 y1", as("direction", "bidirectional")))},
		{name: "GRU", nodes: nodes(nd("GRU", "x w r b", "y0 y1"))},
		{name: "GRU linear_before_reset", nodes: nodes(nd("GRU", "x w r b _ h", "y0 y1", ai("linear_before_reset", 1)))},
		{name: "GRU bidirectional", nodes: nodes(nd("GRU", "x w r", "y0 y1", as("direction", "bidirectional")))},
		{name: "GRU layout", nodes: nodes(nd("GRU", "x w r", "y0 y1", ai("layout", 1)))},
		{name: "LSTM", nodes: nodes(nd("LSTM", "x w r", "y0 y1 y2"))},
		{name: "LSTM everything", nodes: nodes(nd("LSTM", "x w r b l h c p", "y0 y1 y2", as("direction", "bidirectional")))},
		{name: "LSTM layout, reverse", nodes: nodes(nd("LSTM", "x w r b _ h c", "y0 y1 y2", as("direction", "reverse"), ai("layout", 1)))},
		{name: "LSTM HardSigmoid", nodes: nodes(nd("LSTM", "x w r", "y0 y1 y2", ass("activations", "HardSigmoid", "Tanh", "Tanh"), afs("activation_alpha", 0.5), afs("activation_beta", 0.25)))},
	}
	for i := range cases {
		c := &cases[i]
		n := c.nodes[0]
		l := base(map[string]int{"RNN": 1, "GRU": 3, "LSTM": 4}[n.GetOpType()], 1)
		layout := false
		for _, a := range n.Attribute {
			switch a.GetName() {
			case "direction":
				if l.reverse = string(a.S) == "reverse"; !l.reverse {
					l = base(l.gates, 2)
				}
			case "layout":
				layout = true
			case "linear_before_reset":
				l.linear = true
			case "activations":
				if l.gates == 1 {
					l.last = func(x float64) float64 { return max(x, 0) }
				} else {
					l.first = func(x float64) float64 { return min(max(0.5*x+0.25, 0), 1) }
				}
			}
		}
		c.x, c.w = tensors{"x": x}, tensors{"w": l.w, "r": l.r}
		for _, name := range n.Input {
			switch name {
			case "b":
				l.b = wavy(4, l.dirs, 2*l.gates*hid)
				c.w[name] = l.b
			case "l":
				l.lens = []int{3, 2}
				c.w[name] = list(3, 2)
			case "h":
				l.h = wavy(5, l.dirs, batch, hid)
				c.x[name] = l.h
			case "c":
				l.c = wavy(6, l.dirs, batch, hid)
				c.x[name] = l.c
			case "p":
				l.p = wavy(7, l.dirs, 3*hid)
				c.w[name] = l.p
			}
		}
		c.y = l.run()
		if layout { // batch first
			for name, t := range c.x {
				c.x[name] = swapped(t, 0)
			}
			c.y[0] = swapped(swapped(c.y[0], 1), 0) // [T, D, B, H] to [T, B, D, H] to [B, T, D, H]
			for k := range c.y[1:] {
				c.y[1+k] = swapped(c.y[1+k], 0)
			}
		}
	}
	return cases
}

func init() { opCases = append(opCases, recurrentCases()...) }
