package onnx

import (
	"math"

	"smpcc/ir"
)

// attend computes attention of q [B,H,S,D] over k, v [B,G,T,D] one number at a time; seen says what a query may look at, and bias is
// added to scores.
func attend(q, k, v *ir.Tensor, scale, softcap float64, bias func(i, j int) float64) (y, raw, p *ir.Tensor) {
	b, h, s, d := q.Shape[0], q.Shape[1], q.Shape[2], q.Shape[3]
	g, t, e := k.Shape[1], k.Shape[2], v.Shape[3]
	y, raw, p = ir.NewTensor(ir.Real, dims(b, h, s, e)), ir.NewTensor(ir.Real, dims(b, h, s, t)), ir.NewTensor(ir.Real, dims(b, h, s, t))
	for m := range b * h {
		n := m/h*g + m%h/(h/g) // the head of keys
		for i := range s {
			sum := 0.0
			for j := range t {
				z := 0.0
				for x := range d {
					z += q.F[(m*s+i)*d+x] * k.F[(n*t+j)*d+x]
				}
				z *= scale
				raw.F[(m*s+i)*t+j] = z
				if softcap > 0 {
					z = softcap * math.Tanh(z/softcap)
				}
				p.F[(m*s+i)*t+j] = math.Exp(z + bias(i, j))
				sum += p.F[(m*s+i)*t+j]
			}
			for j := range t {
				p.F[(m*s+i)*t+j] /= sum
				for x := range e {
					y.F[(m*s+i)*e+x] += p.F[(m*s+i)*t+j] * v.F[(n*t+j)*e+x]
				}
			}
		}
	}
	return y, raw, p
}

// joined puts b behind a along dimension 2 of four.
func joined(a, b *ir.Tensor) *ir.Tensor {
	s := dims(a.Shape...)
	s[2] += b.Shape[2]
	y := ir.NewTensor(ir.Real, s)
	for m := range s[0] * s[1] {
		na, nb := a.Shape[2]*s[3], b.Shape[2]*s[3]
		copy(y.F[m*(na+nb):], a.F[m*na:][:na])
		copy(y.F[m*(na+nb)+na:], b.F[m*nb:][:nb])
	}
	return y
}

func init() {
	never := math.Inf(-1)
	none := func(i, j int) float64 { return 0 }
	q, k, v := wavy(1, 2, 4, 3, 2), wavy(2, 2, 2, 5, 2), wavy(3, 2, 2, 5, 3)
	for i := range q.F {
		q.F[i] *= 3
	}
	plain, raw, _ := attend(q, k, v, 1/math.Sqrt2, 0, none)
	causal, _, _ := attend(q, k, v, 0.5, 0, func(i, j int) float64 {
		if j > i {
			return never
		}
		return 0
	})
	capped, _, prob := attend(q, k, v, 1/math.Sqrt2, 0.75, func(i, j int) float64 {
		if j == 4 {
			return never
		}
		return float64(i) - float64(j)/2
	})
	bias := reals(dims(3, 4))
	for i := range 3 {
		for j := range 4 {
			bias.F = append(bias.F, float64(i)-float64(j)/2)
		}
	}
	hole, _, _ := attend(q, k, v, 1/math.Sqrt2, 0, func(i, j int) float64 {
		if (i+j)%2 == 0 {
			return never
		}
		return 0
	})
	odd, minus := bools(dims(3, 5)), reals(dims(3, 5))
	for i := range 15 {
		odd.I = append(odd.I, int64((i/5+i%5)%2))
		minus.F = append(minus.F, float64(odd.I[i]-1)*math.MaxFloat32)
	}
	pk, pv := wavy(4, 2, 2, 1, 2), wavy(5, 2, 2, 1, 3)
	past, _, _ := attend(q, joined(pk, k), joined(pv, v), 1/math.Sqrt2, 0, func(i, j int) float64 {
		if j > i+1 {
			return never
		}
		return 0
	})
	// [B,H,S,D] as [B,S,H*D]
	flat := func(t *ir.Tensor) *ir.Tensor {
		y := swapped(t, 1)
		return reals(dims(y.Shape[0], y.Shape[1], y.Shape[2]*y.Shape[3]), y.F...)
	}
	x := tensors{"q": q, "k": k, "v": v}
	opCases = append(opCases,
		opCase{name: "Attention, keys shared", opset: 23, nodes: nodes(nd("Attention", "q k v", "y0 _ _ y1")), x: x, y: out(plain, raw)},
		opCase{name: "Attention flat", opset: 23, nodes: nodes(nd("Attention", "q k v", "y", ai("q_num_heads", 4), ai("kv_num_heads", 2))), x: tensors{"q": flat(q), "k": flat(k), "v": flat(v)}, y: out(flat(plain))},
		opCase{name: "Attention causal", opset: 23, nodes: nodes(nd("Attention", "q k v", "y", ai("is_causal", 1), af("scale", 0.5))), x: x, y: out(causal)},
		opCase{name: "Attention short mask, softcap", opset: 23, nodes: nodes(nd("Attention", "q k v m", "y0 _ _ y1", af("softcap", 0.75), ai("qk_matmul_output_mode", 3))), x: x, w: tensors{"m": bias}, y: out(capped, prob)},
		opCase{name: "Attention public bits", opset: 23, nodes: nodes(nd("Attention", "q k v m", "y")), x: x, w: tensors{"m": odd}, y: out(hole)},
		opCase{name: "Attention secret bits", opset: 23, nodes: nodes(nd("Attention", "q k v m", "y")), x: tensors{"q": q, "k": k, "v": v, "m": odd}, y: out(hole)},
		opCase{name: "Attention mask of large numbers", opset: 23, nodes: nodes(nd("Attention", "q k v m", "y")), x: x, w: tensors{"m": minus}, y: out(hole)},
		opCase{name: "Attention with the past", opset: 23, nodes: nodes(nd("Attention", "q k v _ o u", "y0 y1 y2", ai("is_causal", 1))), x: tensors{"q": q, "k": k, "v": v, "o": pk, "u": pv}, y: out(past, joined(pk, k), joined(pv, v))})
}
