package onnx

import (
	"math"
	"testing"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// recur is the specification of LinearAttention one number at a time: q [B,T,HQ*DK], k [B,T,H*DK], v [B,T,H*DV], state [B,H,DK,DV] or nil, decay of each
// key or each head, beta of each head or one for all.
func recur(q, k, v, past, decay, beta *ir.Tensor, hq, h int, scale float64, rule string) (y, state *ir.Tensor) {
	b, t := q.Shape[0], q.Shape[1]
	dk, dv := k.Shape[2]/h, v.Shape[2]/h
	y, state = ir.NewTensor(ir.Real, dims(b, t, hq*dv)), ir.NewTensor(ir.Real, dims(b, h, dk, dv))
	if past != nil {
		copy(state.F, past.F)
	}
	for i := range b {
		for s := range t {
			for n := range h {
				st := state.F[(i*h+n)*dk*dv:][:dk*dv]
				if rule == "gated" || rule == "gated_delta" {
					for a := range dk {
						g := decay.F[(i*t+s)*decay.Shape[2]+n*decay.Shape[2]/h]
						if decay.Shape[2] != h {
							g = decay.F[(i*t+s)*h*dk+n*dk+a]
						}
						for c := range dv {
							st[a*dv+c] *= math.Exp(g)
						}
					}
				}
				add := make([]float64, dv)
				for c := range dv {
					add[c] = v.F[(i*t+s)*h*dv+n*dv+c]
					if rule == "delta" || rule == "gated_delta" {
						for a := range dk {
							add[c] -= k.F[(i*t+s)*h*dk+n*dk+a] * st[a*dv+c]
						}
					}
				}
				for c := range dv {
					if rule == "delta" || rule == "gated_delta" {
						at := 0
						if beta.Shape[2] == h {
							at = n
						}
						add[c] *= beta.F[(i*t+s)*beta.Shape[2]+at]
					}
					for a := range dk {
						st[a*dv+c] += k.F[(i*t+s)*h*dk+n*dk+a] * add[c]
					}
				}
			}
			for n := range hq {
				for c := range dv {
					sum := 0.0
					for a := range dk {
						sum += q.F[(i*t+s)*hq*dk+n*dk+a] * state.F[((i*h+n/(hq/h))*dk+a)*dv+c]
					}
					y.F[(i*t+s)*hq*dv+n*dv+c] = scale * sum
				}
			}
		}
	}
	return y, state
}

// convolve is the specification of CausalConvWithState.
func convolve(x, w, bias, past *ir.Tensor, silu bool) (y, state *ir.Tensor) {
	b, ch, l, k := x.Shape[0], x.Shape[1], x.Shape[2], w.Shape[2]
	y, state = ir.NewTensor(ir.Real, x.Shape), ir.NewTensor(ir.Real, dims(b, ch, k-1))
	for r := range b * ch {
		row := make([]float64, k-1, k-1+l)
		if past != nil {
			copy(row, past.F[r*(k-1):][:k-1])
		}
		row = append(row, x.F[r*l:][:l]...)
		copy(state.F[r*(k-1):][:k-1], row[l:])
		for i := range l {
			z := 0.0
			if bias != nil {
				z = bias.F[r%ch]
			}
			for j := range k {
				z += row[i+j] * w.F[r%ch*k+j]
			}
			if silu {
				z /= 1 + math.Exp(-z)
			}
			y.F[r*l+i] = z
		}
	}
	return y, state
}

// norms is the p-norm of each window of x [N,C,H,W], pads in front and behind.
func norms(x *ir.Tensor, k, stride, pad int, p float64) *ir.Tensor {
	h, w := x.Shape[2], x.Shape[3]
	oh, ow := (h+2*pad-k)/stride+1, (w+2*pad-k)/stride+1
	y := ir.NewTensor(ir.Real, dims(x.Shape[0], x.Shape[1], oh, ow))
	for i := range y.F {
		r, a, b := i/(oh*ow), i/ow%oh, i%ow
		sum := 0.0
		for u := range k {
			for v := range k {
				if yy, xx := a*stride-pad+u, b*stride-pad+v; yy >= 0 && yy < h && xx >= 0 && xx < w {
					sum += math.Pow(math.Abs(x.F[(r*h+yy)*w+xx]), p)
				}
			}
		}
		y.F[i] = math.Pow(sum, 1/p)
	}
	return y
}

// fold is Col2Im of one channel group at a time: x [N, C*kh*kw, L] onto images of h by w.
func fold(x *ir.Tensor, h, w, kh, kw, stride, dilation, pad int) *ir.Tensor {
	ch := x.Shape[1] / (kh * kw)
	y := ir.NewTensor(ir.Real, dims(x.Shape[0], ch, h, w))
	across := (w+2*pad-dilation*(kw-1)-1)/stride + 1
	for n := range x.Shape[0] {
		for c := range ch {
			for u := range kh {
				for v := range kw {
					for l := range x.Shape[2] {
						yy, xx := l/across*stride-pad+u*dilation, l%across*stride-pad+v*dilation
						if yy >= 0 && yy < h && xx >= 0 && xx < w {
							y.F[((n*ch+c)*h+yy)*w+xx] += x.F[((n*ch+c)*kh*kw+u*kw+v)*x.Shape[2]+l]
						}
					}
				}
			}
		}
	}
	return y
}

// deform is DeformConv of x [1,C,H,W] with a kernel [O,C,k,k] of stride 1: bilinear at each moved tap.
func deform(x, w, offset, bias, mask *ir.Tensor, pad int) *ir.Tensor {
	ch, h, wd, o, k := x.Shape[1], x.Shape[2], x.Shape[3], w.Shape[0], w.Shape[2]
	oh, ow := h+2*pad-k+1, wd+2*pad-k+1
	y := ir.NewTensor(ir.Real, dims(1, o, oh, ow))
	at := func(c, i, j int) float64 {
		if i < 0 || j < 0 || i >= h || j >= wd {
			return 0
		}
		return x.F[(c*h+i)*wd+j]
	}
	for i := range y.F {
		f, a, b := i/(oh*ow), i/ow%oh, i%ow
		y.F[i] = bias.F[f]
		for t := range k * k {
			py := float64(a-pad+t/k) + offset.F[(2*t*oh+a)*ow+b]
			px := float64(b-pad+t%k) + offset.F[((2*t+1)*oh+a)*ow+b]
			fy, fx := math.Floor(py), math.Floor(px)
			for c := range ch {
				v := 0.0
				for d := range 4 {
					dy, dx := float64(d/2), float64(d%2)
					v += (1 - math.Abs(py-fy-dy)) * (1 - math.Abs(px-fx-dx)) * at(c, int(fy+dy), int(fx+dx))
				}
				y.F[i] += v * w.F[(f*ch+c)*k*k+t] * mask.F[(t*oh+a)*ow+b]
			}
		}
	}
	return y
}

func init() {
	q, k, v := wavy(11, 2, 3, 8), wavy(12, 2, 3, 4), wavy(13, 2, 3, 6)
	past, keys, headed := wavy(14, 2, 2, 2, 3), wavy(15, 2, 3, 4), wavy(16, 2, 3, 2)
	beta := wavy(17, 2, 3, 2)
	x := tensors{"q": q, "k": k, "v": v, "p": past, "g": keys, "h": headed, "b": beta}
	heads := func(more ...*pb.AttributeProto) []*pb.AttributeProto {
		return append([]*pb.AttributeProto{ai("q_num_heads", 4), ai("kv_num_heads", 2)}, more...)
	}
	pair := func(y, s *ir.Tensor) []*ir.Tensor { return []*ir.Tensor{y, s} }
	scale := 1 / math.Sqrt(2)
	pick := func(names ...string) tensors {
		out := tensors{}
		for _, n := range names {
			out[n] = x[n]
		}
		return out
	}
	opCases = append(opCases,
		opCase{name: "LinearAttention, linear", opset: 27, nodes: nodes(nd("LinearAttention", "q k v", "y0 y1", heads(as("update_rule", "linear"))...)), x: pick("q", "k", "v"), y: pair(recur(q, k, v, nil, nil, nil, 4, 2, scale, "linear"))},
		opCase{name: "LinearAttention, gated by key, with a state", opset: 27, nodes: nodes(nd("LinearAttention", "q k v p g", "y0 y1", heads(as("update_rule", "gated"), af("scale", 0.5))...)), x: pick("q", "k", "v", "p", "g"), y: pair(recur(q, k, v, past, keys, nil, 4, 2, 0.5, "gated"))},
		opCase{name: "LinearAttention, delta", opset: 27, nodes: nodes(nd("LinearAttention", "q k v p _ b", "y0 y1", heads(as("update_rule", "delta"))...)), x: pick("q", "k", "v", "p", "b"), y: pair(recur(q, k, v, past, nil, beta, 4, 2, scale, "delta"))},
		opCase{name: "LinearAttention, gated delta by head", opset: 27, nodes: nodes(nd("LinearAttention", "q k v _ h b", "y0 y1", heads()...)), x: pick("q", "k", "v", "h", "b"), y: pair(recur(q, k, v, nil, headed, beta, 4, 2, scale, "gated_delta"))},
	)
	c, w, bias, before := wavy(21, 2, 3, 4), wavy(22, 3, 1, 3), wavy(23, 3), wavy(24, 2, 3, 2)
	short, narrow := wavy(25, 1, 2, 1), wavy(26, 2, 1, 4)
	opCases = append(opCases,
		opCase{name: "CausalConvWithState", opset: 27, nodes: nodes(nd("CausalConvWithState", "x w", "y0 y1")), x: tensors{"x": c}, w: tensors{"w": w}, y: pair(convolve(c, w, nil, nil, false))},
		opCase{name: "CausalConvWithState with all", opset: 27, nodes: nodes(nd("CausalConvWithState", "x w b p", "y0 y1", as("activation", "silu"))), x: tensors{"x": c, "p": before}, w: tensors{"w": w, "b": bias}, y: pair(convolve(c, w, bias, before, true))},
		opCase{name: "CausalConvWithState, kernel longer than the input", opset: 27, nodes: nodes(nd("CausalConvWithState", "x w", "y0 y1", as("activation", "none"))), x: tensors{"x": short}, w: tensors{"w": narrow}, y: pair(convolve(short, narrow, nil, nil, false))},
	)
	cache, update := reals(dims(2, 4, 1), 1, 2, 3, 4, 5, 6, 7, 8), reals(dims(2, 2, 1), 10, 20, 30, 40)
	scatter := func(mode string) *pb.NodeProto { return nd("TensorScatter", "c u i", "y", as("mode", mode)) }
	opCases = append(opCases,
		opCase{name: "TensorScatter", opset: 24, nodes: nodes(scatter("linear")), x: tensors{"c": cache, "u": update}, w: tensors{"i": list(1, 2)}, y: out(reals(dims(2, 4, 1), 1, 10, 20, 4, 5, 6, 30, 40))},
		opCase{name: "TensorScatter around the end", opset: 24, nodes: nodes(scatter("circular")), x: tensors{"c": cache, "u": update}, w: tensors{"i": list(3, 6)}, y: out(reals(dims(2, 4, 1), 20, 2, 3, 10, 5, 6, 30, 40))},
		opCase{name: "TensorScatter at secret places", opset: 24, nodes: nodes(scatter("linear")), x: tensors{"c": cache, "u": update, "i": list(1, 2)}, y: out(reals(dims(2, 4, 1), 1, 10, 20, 4, 5, 6, 30, 40))},
		opCase{name: "TensorScatter around the end from secret places", opset: 24, nodes: nodes(scatter("circular")), x: tensors{"c": cache, "u": update, "i": list(3, 6)}, y: out(reals(dims(2, 4, 1), 20, 2, 3, 10, 5, 6, 30, 40))},
		opCase{name: "TensorScatter from the start, along dimension 1", opset: 24, nodes: nodes(nd("TensorScatter", "c u", "y", ai("axis", 1))), x: tensors{"c": cache, "u": update}, y: out(reals(dims(2, 4, 1), 10, 20, 3, 4, 30, 40, 7, 8))},
		opCase{name: "SwiGLU", opset: 28, nodes: nodes(nd("SwiGLU", "a b", "y", af("alpha", 2))), x: tensors{"a": reals(dims(2), 1, -0.5), "b": reals(dims(2), 3, 4)}, y: out(reals(dims(2), 3/(1+math.Exp(-2)), -2/(1+math.E)))},
		opCase{name: "CumProd", opset: 26, nodes: nodes(nd("CumProd", "x a", "y")), x: tensors{"x": reals(dims(2, 3), 1, 2, 3, 4, 5, 6)}, w: tensors{"a": ints(dims(), 1)}, y: out(reals(dims(2, 3), 1, 2, 6, 4, 20, 120))},
		opCase{name: "CumProd from the end, without itself", opset: 26, nodes: nodes(nd("CumProd", "x a", "y", ai("exclusive", 1), ai("reverse", 1))), x: tensors{"x": list(1, 2, 3, 4, 5)}, w: tensors{"a": ints(dims(), -1)}, y: out(list(120, 60, 20, 5, 1))},
	)
	plane := wavy(31, 1, 2, 5, 4)
	blocks := wavy(32, 1, 8, 12)
	spread := wavy(33, 1, 4, 9)
	opCases = append(opCases,
		opCase{name: "LpPool", opset: 18, nodes: nodes(nd("LpPool", "x", "y", ais("kernel_shape", 2, 2), ais("strides", 2, 2))), x: tensors{"x": plane}, y: out(norms(plane, 2, 2, 0, 2))},
		opCase{name: "LpPool of magnitudes, pads", opset: 22, nodes: nodes(nd("LpPool", "x", "y", ais("kernel_shape", 3, 3), ais("pads", 1, 1, 1, 1), ai("p", 1))), x: tensors{"x": plane}, y: out(norms(plane, 3, 1, 1, 1))},
		opCase{name: "LpPool of fourth powers", opset: 11, nodes: nodes(nd("LpPool", "x", "y", ais("kernel_shape", 2, 2), ai("p", 4))), x: tensors{"x": plane}, y: out(norms(plane, 2, 1, 0, 4))},
		opCase{name: "LpPool of cubes, a window of zeros", opset: 18, nodes: nodes(nd("LpPool", "x", "y", ais("kernel_shape", 2), ais("strides", 2), ai("p", 3))), x: tensors{"x": reals(dims(1, 1, 4), 0, 0, 3, -4)}, y: out(reals(dims(1, 1, 2), 0, math.Cbrt(91)))},
		opCase{name: "GlobalLpPool", nodes: nodes(nd("GlobalLpPool", "x", "y")), x: tensors{"x": reals(dims(1, 2, 2), 3, -4, 0, 5)}, y: out(reals(dims(1, 2, 1), 5, 5))},
		opCase{name: "Col2Im", opset: 18, nodes: nodes(nd("Col2Im", "x i b", "y")), x: tensors{"x": blocks}, w: tensors{"i": list(4, 5), "b": list(2, 2)}, y: out(fold(blocks, 4, 5, 2, 2, 1, 1, 0))},
		opCase{name: "Col2Im, strides, dilations and pads", opset: 18, nodes: nodes(nd("Col2Im", "x i b", "y", ais("strides", 2, 2), ais("dilations", 2, 2), ais("pads", 1, 1, 1, 1))), x: tensors{"x": spread}, w: tensors{"i": list(5, 6), "b": list(2, 2)}, y: out(fold(spread, 5, 6, 2, 2, 2, 2, 1))},
		opCase{name: "CenterCropPad", opset: 18, nodes: nodes(nd("CenterCropPad", "x s", "y", ais("axes", 1, 0))), x: tensors{"x": reals(dims(2, 4), 1, 2, 3, 4, 5, 6, 7, 8)}, w: tensors{"s": list(1, 5)}, y: out(reals(dims(5, 1), 0, 2, 6, 0, 0))},
		opCase{name: "AffineGrid", opset: 20, nodes: nodes(nd("AffineGrid", "t s", "y")), x: tensors{"t": reals(dims(1, 2, 3), 1, 2, 0.5, 0, 4, -1)}, w: tensors{"s": list(1, 1, 1, 2)}, y: out(reals(dims(1, 1, 2, 2), 0, -1, 1, -1))},
		opCase{name: "AffineGrid of corners, 3-D", opset: 20, nodes: nodes(nd("AffineGrid", "t s", "y", ai("align_corners", 1))), x: tensors{"t": reals(dims(1, 3, 4), 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 1)}, w: tensors{"s": list(1, 1, 2, 1, 3)},
			y: out(reals(dims(1, 2, 1, 3, 3), -1, -2, -2, 0, -2, -2, 1, -2, -2, -1, -2, 4, 0, -2, 4, 1, -2, 4))},
	)
	kernel, bent, offsets, masks := wavy(34, 3, 2, 2, 2), wavy(35, 3), wavy(36, 1, 8, 6, 5), wavy(37, 1, 4, 6, 5)
	for i := range offsets.F {
		offsets.F[i] *= 1.7
	}
	opCases = append(opCases, opCase{name: "DeformConv", opset: 19, nodes: nodes(nd("DeformConv", "x w o b m", "y", ais("pads", 1, 1, 1, 1))), x: tensors{"x": plane, "m": masks}, w: tensors{"w": kernel, "b": bent, "o": offsets}, y: out(deform(plane, kernel, offsets, bent, masks, 1))})
	a, b := list(12, -7, 100, -128), list(10, 13, -1, 127)
	bytes := func(op string) []*pb.NodeProto {
		return append(as8(pb.TensorProto_INT8, "a", "c", "b", "d"), nd(op, "c d", "y"))
	}
	opCases = append(opCases,
		opCase{name: "BitwiseAnd of secrets", opset: 18, nodes: bytes("BitwiseAnd"), x: tensors{"a": a, "b": b}, y: out(list(12&10, -7&13, 100, 0))},
		opCase{name: "BitwiseOr of secrets", opset: 18, nodes: bytes("BitwiseOr"), x: tensors{"a": a, "b": b}, y: out(list(12|10, -7|13, -1, -1))},
		opCase{name: "BitwiseXor with a mask", opset: 18, nodes: bytes("BitwiseXor"), x: tensors{"a": a}, w: tensors{"b": b}, y: out(list(12^10, -7^13, 100^-1, -1))},
		opCase{name: "BitwiseNot", opset: 18, nodes: append(as8(pb.TensorProto_UINT8, "a", "c"), nd("BitwiseNot", "c", "y")), x: tensors{"a": list(0, 255, 7)}, y: out(list(255, 0, 248))},
		opCase{name: "BitCast", opset: 26, nodes: append(as8(pb.TensorProto_UINT8, "a", "c"), nd("BitCast", "c", "y", ai("to", int64(pb.TensorProto_INT8)))), x: tensors{"a": list(0, 255, 128, 7)}, y: out(list(0, -1, -128, 7))},
	)
	bins := func(x *ir.Tensor, size int) *ir.Tensor { // the real signal whose bins up to the middle are x [1, n, 2]
		y := ir.NewTensor(ir.Real, dims(1, size, 1))
		for t := range size {
			for k := range size {
				re, im := 0.0, 0.0
				if j := min(k, size-k); j < x.Shape[1] {
					if re, im = x.F[2*j], x.F[2*j+1]; k > size-k {
						im = -im
					}
				}
				at := 2 * math.Pi * float64(k*t) / float64(size)
				y.F[t] += (re*math.Cos(at) - im*math.Sin(at)) / float64(size)
			}
		}
		return y
	}
	even, odd := reals(dims(1, 3, 2), 1, 0, 0.5, -2, 3, 0), reals(dims(1, 3, 2), 1, 0, 0.5, -2, 3, 4)
	opCases = append(opCases,
		opCase{name: "DFT back from half of the bins", opset: 20, nodes: nodes(nd("DFT", "x _ a", "y", ai("inverse", 1), ai("onesided", 1))), x: tensors{"x": even}, w: tensors{"a": ints(dims(), 1)}, y: out(bins(even, 4))},
		opCase{name: "DFT back to an odd length", opset: 20, nodes: nodes(nd("DFT", "x n a", "y", ai("inverse", 1), ai("onesided", 1))), x: tensors{"x": odd}, w: tensors{"a": ints(dims(), 1), "n": ints(dims(), 5)}, y: out(bins(odd, 5))},
		opCase{name: "DFT back to more than there are bins for", opset: 20, nodes: nodes(nd("DFT", "x n a", "y", ai("inverse", 1), ai("onesided", 1))), x: tensors{"x": odd}, w: tensors{"a": ints(dims(), 1), "n": ints(dims(), 8)}, y: out(bins(odd, 8))},
	)
}

// masking is Attention with a rule of who sees whom, and zeros for queries that see nobody.
func masking(q, k, v *ir.Tensor, seen func(b, h, i, j int) bool, bias func(i, j int) float64) (y, p *ir.Tensor) {
	b, h, s, d, t, e := q.Shape[0], q.Shape[1], q.Shape[2], q.Shape[3], k.Shape[2], v.Shape[3]
	y, p = ir.NewTensor(ir.Real, dims(b, h, s, e)), ir.NewTensor(ir.Real, dims(b, h, s, t))
	for m := range b * h {
		for i := range s {
			sum := 0.0
			for j := range t {
				if !seen(m/h, m%h, i, j) {
					continue
				}
				z := bias(i, j)
				for x := range d {
					z += q.F[(m*s+i)*d+x] * k.F[(m*t+j)*d+x] / math.Sqrt(float64(d))
				}
				p.F[(m*s+i)*t+j] = math.Exp(z)
				sum += math.Exp(z)
			}
			for j := range t {
				if sum > 0 {
					p.F[(m*s+i)*t+j] /= sum
				}
				for x := range e {
					y.F[(m*s+i)*e+x] += p.F[(m*s+i)*t+j] * v.F[(m*t+j)*e+x]
				}
			}
		}
	}
	return y, p
}

func init() {
	q, k, v := wavy(41, 2, 2, 3, 2), wavy(42, 2, 2, 5, 2), wavy(43, 2, 2, 5, 3)
	none := func(i, j int) float64 { return 0 }
	lengths := []int{2, 5}
	attention := func(in string, attrs ...*pb.AttributeProto) []*pb.NodeProto {
		return nodes(nd("Attention", in, "y0 _ _ y1", append(attrs, ai("qk_matmul_output_mode", 3))...))
	}
	table := []int64{1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1} // query 1 sees nobody
	infinite := ir.NewTensor(ir.Real, dims(3, 5))
	for i, x := range table {
		if infinite.F[i] = 0.25 * float64(i%3); x == 0 {
			infinite.F[i] = math.Inf(-1)
		}
	}
	two := func(y, p *ir.Tensor) []*ir.Tensor { return []*ir.Tensor{y, p} }
	x := tensors{"q": q, "k": k, "v": v}
	with := func(name string, t *ir.Tensor) tensors { return tensors{"q": q, "k": k, "v": v, name: t} }
	long := func(b, h, i, j int) bool { return j < lengths[b] }
	late := func(b, h, i, j int) bool { return j < lengths[b] && j <= i+lengths[b]-3 }
	bits := func(b, h, i, j int) bool { return table[i*5+j] == 1 }
	opCases = append(opCases,
		opCase{name: "Attention, a query that sees nobody", opset: 24, nodes: attention("q k v m"), x: x, w: tensors{"m": bools(dims(3, 5), table...)}, y: two(masking(q, k, v, bits, none))},
		opCase{name: "Attention, a secret mask hides all from one", opset: 24, nodes: attention("q k v m"), x: with("m", bools(dims(3, 5), table...)), y: two(masking(q, k, v, bits, none))},
		opCase{name: "Attention, minus infinity hides all from one", opset: 23, nodes: attention("q k v m"), x: x, w: tensors{"m": infinite}, y: two(masking(q, k, v, bits, func(i, j int) float64 { return 0.25 * float64((i*5+j)%3) }))},
		opCase{name: "Attention, lengths", opset: 24, nodes: attention("q k v _ _ _ n"), x: x, w: tensors{"n": list(2, 5)}, y: two(masking(q, k, v, long, none))},
		opCase{name: "Attention, secret lengths", opset: 24, nodes: attention("q k v _ _ _ n"), x: with("n", list(2, 5)), y: two(masking(q, k, v, long, none))},
		opCase{name: "Attention, lengths and causal", opset: 24, nodes: attention("q k v _ _ _ n", ai("is_causal", 1)), x: x, w: tensors{"n": list(2, 5)}, y: two(masking(q, k, v, late, none))},
		opCase{name: "Attention, secret lengths and causal", opset: 24, nodes: attention("q k v _ _ _ n", ai("is_causal", 1)), x: with("n", list(2, 5)), y: two(masking(q, k, v, late, none))},
		opCase{name: "Attention, a window", opset: 25, nodes: attention("q k v", ai("left_window_size", 1), ai("right_window_size", 0)), x: x, y: two(masking(q, k, v, func(b, h, i, j int) bool { return j >= i-1 && j <= i }, none))},
		opCase{name: "Attention, a window over secret lengths", opset: 25, nodes: attention("q k v _ _ _ n", ai("left_window_size", 1), ai("right_window_size", 1)), x: with("n", list(2, 5)),
			y: two(masking(q, k, v, func(b, h, i, j int) bool {
				p := i + lengths[b] - 3
				return j < lengths[b] && j >= p-1 && j <= p+1
			}, none))},
	)
}

// TestHiddenScores checks that scores with minus infinity in them are no output.
func TestHiddenScores(t *testing.T) {
	q := wavy(1, 1, 1, 2, 2)
	g := graph("s", nd("Attention", "x k v", "y _ _ s", ai("is_causal", 1), ai("qk_matmul_output_mode", 2)))
	g.Input = []*pb.ValueInfoProto{tensorInfo("x", q), tensorInfo("k", q), tensorInfo("v", q)}
	if _, err := LoadBytes("m.onnx", encode(t, modelOf(24, g)), Options{}); err == nil {
		t.Error("scores behind a mask are an output")
	}
}
