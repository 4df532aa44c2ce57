package onnx

import (
	"errors"
	"fmt"
	"math"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Operators of the domain com.microsoft, which onnxruntime's optimiser leaves in a model: activations with their bias, normalisation with what is
// added before, attention in one.

// layerNormed is (x - mean)/deviation over the last dimension, times scale, plus bias; without mean it is x over the root of the mean of squares.
func (c *calc) layerNormed(x, scale, bias *ir.Value, eps float64, mean bool) *ir.Value {
	if c.err != nil {
		return nil
	}
	rank := len(x.Type.Shape)
	if rank == 0 {
		return c.fail("input %v has no dimension to normalise", x.Type.Shape)
	}
	if mean {
		centred, _, inv := c.spread(x, eps, []int{rank - 1})
		return c.affine(c.mul(centred, inv), scale, bias)
	}
	ms := c.reduce(ir.OpReduceMean, c.mul(x, x), rank-1)
	return c.affine(c.mul(x, c.fn(ir.OpRsqrt, c.plus(ms, eps))), scale, bias)
}

// plusAll adds inputs that are there.
func (c *calc) plusAll(x *ir.Value, more ...*ir.Value) *ir.Value {
	for _, y := range more {
		if y != nil {
			x = c.add(x, y)
		}
	}
	return x
}

// skipNorm lowers SkipLayerNormalization and SkipSimplifiedLayerNormalization: input + skip + bias, normalised, and the sum itself as fourth output.
func skipNorm(mean bool) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		c := n.calc()
		bias, extra := n.optional(3), n.optional(4)
		if !mean { // has no beta
			bias, extra = nil, bias
		}
		sum := c.plusAll(c.add(n.in(0), n.in(1)), extra)
		y := c.layerNormed(sum, n.in(2), bias, n.float("epsilon", 1e-12), mean)
		if len(n.p.Output) < 4 {
			return []*ir.Value{y}, c.err
		}
		for _, o := range n.p.Output[1:3] {
			if o != "" {
				return nil, errors.New("outputs 2 and 3, which belong to training, are not supported")
			}
		}
		return []*ir.Value{y, y, y, sum}, c.err
	}
}

// embedNorm lowers EmbedLayerNormalization: the rows of words, positions and segments, added and normalised.
func embedNorm(n *node) ([]*ir.Value, error) {
	c := n.calc()
	s := n.in(0).Type.Shape
	if len(s) != 2 || len(n.in(2).Type.Shape) != 2 || len(n.in(3).Type.Shape) != 2 {
		return nil, fmt.Errorf("words %v and tables %v and %v do not fit", s, n.in(2).Type.Shape, n.in(3).Type.Shape)
	}
	row := func(i int, table *ir.Value) *ir.Value {
		m := &node{r: n.r, p: n.p, at: n.at, opset: 21, over: map[int]*ir.Value{0: table, 1: n.in(i)}}
		out, err := gather(m)
		if err != nil {
			return c.got(nil, err)
		}
		return out[0]
	}
	sum := row(0, n.in(2))
	if n.given(8) {
		sum = c.add(sum, row(8, n.in(3)))
	} else {
		sum = c.add(sum, c.cut(n.in(3), 0, 0, s[1]))
	}
	if n.given(1) && n.given(4) {
		sum = c.add(sum, row(1, n.in(4)))
	}
	y := c.layerNormed(sum, n.in(5), n.in(6), n.float("epsilon", 1e-12), true)
	out := []*ir.Value{y}
	if len(n.p.Output) > 1 {
		if n.p.Output[1] != "" { // how many words count
			if n.int("mask_index_type", 1) != 1 {
				return nil, fmt.Errorf("mask_index_type=%d is not supported, want 1", n.int("mask_index_type", 1))
			}
			if n.given(7) {
				out = append(out, c.reshape(c.reduce(ir.OpReduceSum, c.to(n.in(7), ir.Int), 1), s[0]))
			} else {
				out = append(out, c.expand(c.data(ir.Ints(ir.Shape{}, 0), false), ir.Shape{s[0]}))
			}
		} else {
			out = append(out, y)
		}
		out = append(out, sum)
	}
	return out[:min(len(out), len(n.p.Output))], c.err
}

// attend is softmax(scale * q k' + bias) v for each head: q [B,N,S,H], k [B,N,T,H], v [B,N,T,E]; what is added to scores broadcasts to [B,N,S,T]. causal
// hides what comes after a place.
func (c *calc) attend(q, k, v *ir.Value, scale float64, causal bool, bias ...*ir.Value) *ir.Value {
	if c.err != nil {
		return nil
	}
	sq, sk, sv := q.Type.Shape, k.Type.Shape, v.Type.Shape
	if len(sq) != 4 || len(sk) != 4 || len(sv) != 4 || sq[3] != sk[3] || sq[3] == 0 || sk[2] != sv[2] || sq[1] != sk[1] || sk[1] != sv[1] {
		return c.fail("queries %v, keys %v and values %v do not fit", sq, sk, sv)
	}
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(sq[3]))
	}
	scores := c.plusAll(c.e(ir.OpMatMul, nil, c.scale(q, scale), c.transpose(k, 0, 1, 3, 2)), bias...)
	if causal {
		t := c.table(ir.Real, sq[2], sk[2])
		if t == nil {
			return nil
		}
		for i := range sq[2] {
			for j := sk[2] - sq[2] + i + 1; j < sk[2]; j++ {
				if j >= 0 {
					t.F[i*sk[2]+j] = masked
				}
			}
		}
		scores = c.add(scores, c.data(t, true))
	}
	if c.err == nil && !scores.Type.Shape.Equal(ir.Shape{sq[0], sq[1], sq[2], sk[2]}) {
		return c.fail("what is added to scores makes them %v, want %v", scores.Type.Shape, ir.Shape{sq[0], sq[1], sq[2], sk[2]})
	}
	return c.e(ir.OpMatMul, nil, c.e(ir.OpSoftmax, ir.Attrs{ir.I("axis", 3)}, scores), v)
}

// joined turns [B,N,S,H] into [B,S,N*H].
func (c *calc) joined(y *ir.Value) *ir.Value {
	if c.err != nil {
		return nil
	}
	s := y.Type.Shape
	return c.reshape(c.transpose(y, 0, 2, 1, 3), s[0], s[2], s[1]*s[3])
}

// hiddenPlaces is what a mask of input i adds to scores: 1 or true is seen, 0 hidden; as [B,T], [B,S,T] or [B,1,S,T], or as the number [B] of places
// that are seen.
func (c *calc) hiddenPlaces(i, batch, places int) *ir.Value {
	n := c.n
	if c.err != nil || !n.given(i) {
		return nil
	}
	m := n.in(i)
	s := m.Type.Shape
	if len(s) == 1 && s[0] == batch && m.Type.Elem == ir.Int {
		m = c.e(ir.OpLt, nil, c.iota(places), c.reshape(m, batch, 1))
	} else if m.Type.Elem != ir.Bool {
		m = c.to(m, ir.Bool)
	}
	hide := c.scale(c.plus(c.to(m, ir.Real), -1), -masked)
	if c.err != nil {
		return nil
	}
	switch s := hide.Type.Shape; len(s) {
	case 2:
		return c.reshape(hide, s[0], 1, 1, s[1])
	case 3:
		return c.reshape(hide, s[0], 1, s[1], s[2])
	case 4:
		return hide
	}
	return c.fail("mask %v is not supported, want [batch], [batch, places] or [batch, queries, places]", s)
}

// runtimeAttention lowers Attention of com.microsoft: x times one matrix for queries, keys and values.
func runtimeAttention(n *node) ([]*ir.Value, error) {
	c := n.calc()
	heads := n.int("num_heads", 0)
	for _, a := range []string{"do_rotary", "past_present_share_buffer"} {
		if n.int(a, 0) != 0 {
			return nil, fmt.Errorf("%s=%d is not supported, want 0", a, n.int(a, 0))
		}
	}
	x, w := n.in(0), n.in(1)
	if len(x.Type.Shape) != 3 || len(w.Type.Shape) != 2 || heads < 1 {
		return nil, fmt.Errorf("input %v, weights %v and %d heads do not fit", x.Type.Shape, w.Type.Shape, heads)
	}
	all := c.plusAll(c.e(ir.OpMatMul, nil, x, w), n.optional(2))
	sizes := n.ints("qkv_hidden_sizes")
	if sizes == nil {
		k := w.Type.Shape[1] / 3
		sizes = []int{k, k, k}
	}
	if len(sizes) != 3 || min(sizes[0], sizes[1], sizes[2]) < 0 || max(sizes[0], sizes[1], sizes[2]) > w.Type.Shape[1] || sizes[0]+sizes[1]+sizes[2] != w.Type.Shape[1] {
		return nil, fmt.Errorf("qkv_hidden_sizes %v do not fit the weights %v", sizes, w.Type.Shape)
	}
	q, _ := c.heads(c.cut(all, 2, 0, sizes[0]), heads)
	k, _ := c.heads(c.cut(all, 2, sizes[0], sizes[0]+sizes[1]), heads)
	v, _ := c.heads(c.cut(all, 2, sizes[0]+sizes[1], w.Type.Shape[1]), heads)
	if n.given(4) { // [2,B,N,P,H]
		p := n.in(4)
		s := p.Type.Shape
		if len(s) != 5 || s[0] != 2 {
			return nil, fmt.Errorf("past %v is not [2, batch, heads, places, size]", s)
		}
		half := func(i int) *ir.Value { return c.reshape(c.cut(p, 0, i, i+1), s[1:]...) }
		k, v = c.concat(2, half(0), k), c.concat(2, half(1), v)
	}
	if c.err != nil {
		return nil, c.err
	}
	y := c.joined(c.attend(q, k, v, n.float("scale", 0), n.int("unidirectional", 0) != 0, c.hiddenPlaces(3, x.Type.Shape[0], k.Type.Shape[2]), n.optional(5)))
	if len(n.p.Output) < 2 {
		return c.one(y)
	}
	one := func(x *ir.Value) *ir.Value {
		if c.err != nil {
			return nil
		}
		return c.reshape(x, append([]int{1}, x.Type.Shape...)...)
	}
	return []*ir.Value{y, c.concat(0, one(k), one(v))}, c.err
}

// multiHeadAttention lowers MultiHeadAttention of com.microsoft.
func multiHeadAttention(n *node) ([]*ir.Value, error) {
	c := n.calc()
	heads := n.int("num_heads", 0)
	q := n.in(0)
	if !n.given(1) || !n.given(2) || len(q.Type.Shape) != 3 {
		return nil, diag.Errorf(n.at, "queries, keys and values packed into one tensor are not supported").WithHint("split them before the node")
	}
	part := func(i, at int) *ir.Value { // of the bias, which lists those of queries, keys and values
		x := n.in(i)
		if c.err != nil || !n.given(3) || len(x.Type.Shape) != 3 {
			return x
		}
		size := x.Type.Shape[2]
		return c.add(x, c.cut(n.in(3), 0, at, at+size))
	}
	d := q.Type.Shape[2]
	qh, _ := c.heads(part(0, 0), heads)
	kh, _ := c.heads(part(1, d), heads)
	vh, _ := c.heads(part(2, 2*d), heads)
	if n.given(6) && n.given(7) {
		kh, vh = c.concat(2, n.in(6), kh), c.concat(2, n.in(7), vh)
	}
	if c.err != nil {
		return nil, c.err
	}
	y := c.joined(c.attend(qh, kh, vh, n.float("scale", 0), n.int("unidirectional", 0) != 0, c.hiddenPlaces(4, q.Type.Shape[0], kh.Type.Shape[2]), n.optional(5)))
	return []*ir.Value{y, kh, vh}[:min(3, max(1, len(n.p.Output)))], c.err
}

// runtimeRotary lowers RotaryEmbedding of com.microsoft, whose positions come before the tables; a single one is that of the first entry.
func runtimeRotary(n *node) ([]*ir.Value, error) {
	if n.float("scale", 1) != 1 || n.int("is_packed_batching", 0) != 0 {
		return nil, errors.New("scale other than 1 or is_packed_batching is not supported")
	}
	c, x := n.calc(), n.in(0)
	s := x.Type.Shape
	heads := n.int("num_heads", 0)
	if heads == 0 && len(s) == 3 && len(n.in(2).Type.Shape) == 2 {
		if size := 2 * n.in(2).Type.Shape[1]; size > 0 {
			heads = s[2] / size
		}
	}
	if len(s) != 3 && len(s) != 4 {
		return nil, fmt.Errorf("input %v is not [batch, places, size] or [batch, heads, places, size]", s)
	}
	places := s[len(s)-2]
	at := n.in(1)
	if at.Type.Shape.Size() == 1 && places != 1 || len(at.Type.Shape) == 1 { // an offset
		at = c.expand(c.add(c.reshape(at, 1, 1), c.reshape(c.iota(places), 1, places)), ir.Shape{s[0], places})
	}
	if c.err != nil {
		return nil, c.err
	}
	return rotary(&node{r: n.r, p: n.p, at: n.at, opset: 23, over: map[int]*ir.Value{0: x, 1: n.in(2), 2: n.in(3), 3: at}, attrs: withInt(n.attrs, "num_heads", int64(heads))})
}

// activated applies the activation that a fused operator names.
func (c *calc) activated(x *ir.Value, params []float64) *ir.Value {
	if c.err != nil {
		return nil
	}
	param := func(i int, def float64) float64 {
		if i < len(params) {
			return params[i]
		}
		return def
	}
	switch a := c.n.str("activation", ""); a {
	case "":
		return x
	case "Relu":
		return c.relu(x)
	case "Sigmoid":
		return c.fn(ir.OpSigmoid, x)
	case "Tanh":
		return c.fn(ir.OpTanh, x)
	case "LeakyRelu":
		return c.e(ir.OpLeaky, ir.Attrs{ir.F("alpha", param(0, float64(float32(0.01))))}, x)
	case "Clip":
		return c.e(ir.OpClip, ir.Attrs{ir.F("lo", param(0, -1e30)), ir.F("hi", param(1, 1e30))}, x)
	case "HardSigmoid":
		return c.got(c.n.hardSigmoid(x, param(0, float64(float32(0.2))), param(1, 0.5)))
	default:
		return c.fail("activation=%s is not supported, want Relu, LeakyRelu, Sigmoid, Tanh, Clip or HardSigmoid", short(a))
	}
}

// fusedConv lowers FusedConv: a convolution, what is added to it, an activation.
func fusedConv(n *node) ([]*ir.Value, error) {
	params, err := n.floats("activation_params")
	if err != nil {
		return nil, err
	}
	out, err := conv(n)
	if err != nil {
		return nil, err
	}
	c := n.calc()
	return c.one(c.activated(c.plusAll(out[0], n.optional(3)), params))
}

// fusedGemm lowers FusedGemm.
func fusedGemm(n *node) ([]*ir.Value, error) {
	out, err := gemm(n)
	if err != nil {
		return nil, err
	}
	c := n.calc()
	var params []float64
	for _, a := range []string{"activation_alpha", "activation_beta"} {
		if n.has(a) {
			params = append(params, n.float(a, 0))
		}
	}
	return c.one(c.activated(out[0], params))
}

// fusedMatMul lowers FusedMatMul: alpha * A * B, with the last two dimensions of either turned over if asked.
func fusedMatMul(n *node) ([]*ir.Value, error) {
	c := n.calc()
	if n.int("transBatchA", 0) != 0 || n.int("transBatchB", 0) != 0 {
		return nil, errors.New("transBatchA and transBatchB are not supported, want 0")
	}
	m := &node{r: n.r, p: n.p, at: n.at, opset: 21, over: map[int]*ir.Value{}}
	for i, a := range []string{"transA", "transB"} {
		x := n.in(i)
		if rank := len(x.Type.Shape); n.int(a, 0) != 0 && rank > 1 {
			perm := append(span(rank)[:rank-2:rank-2], rank-1, rank-2)
			x = c.transpose(x, perm...)
		}
		m.over[i] = x
	}
	if c.err != nil {
		return nil, c.err
	}
	out, err := matMul(m)
	if err != nil {
		return nil, err
	}
	return c.one(c.scale(out[0], n.float("alpha", 1)))
}

// distances lowers CDist: of each row of A to each of B, |a|^2 - 2 a b' + |b|^2 and, if asked, its root.
func distances(n *node) ([]*ir.Value, error) {
	c, a, b := n.calc(), n.in(0), n.in(1)
	if len(a.Type.Shape) != 2 || len(b.Type.Shape) != 2 {
		return nil, fmt.Errorf("inputs %v and %v are not matrices", a.Type.Shape, b.Type.Shape)
	}
	square := func(x *ir.Value) *ir.Value { return c.reduce(ir.OpReduceSum, c.mul(x, x), 1) }
	d := c.add(c.add(square(a), c.transpose(square(b), 1, 0)), c.scale(c.e(ir.OpMatMul, nil, a, c.transpose(b, 1, 0)), -2))
	switch metric := n.str("metric", "sqeuclidean"); metric {
	case "sqeuclidean":
		return c.one(d)
	case "euclidean":
		return c.one(c.fn(ir.OpSqrt, c.relu(d)))
	default:
		return nil, fmt.Errorf("metric=%s is not supported, want euclidean or sqeuclidean", short(metric))
	}
}

// matMulNBits lowers MatMulNBits: A times a matrix of N rows and K columns in blocks of integers of few bits, each with a scale and a zero point.
func matMulNBits(n *node) ([]*ir.Value, error) {
	c := n.calc()
	rows, cols, bits, block := n.int("N", 0), n.int("K", 0), n.int("bits", 4), n.int("block_size", 0)
	if n.given(4) {
		return nil, errors.New("g_idx is not supported")
	}
	if rows < 1 || cols < 1 || rows > 1<<24 || cols > 1<<24 || block < 1 || block > 1<<16 || bits != 2 && bits != 4 && bits != 8 {
		return nil, fmt.Errorf("attributes N=%d, K=%d, bits=%d and block_size=%d are out of range", rows, cols, bits, block)
	}
	blocks := (cols + block - 1) / block
	q, err := n.fixed(1)
	s, err2 := n.fixed(2)
	if err = errors.Join(err, err2); err != nil {
		return nil, err
	}
	size := (block*bits + 7) / 8
	if q == nil || s == nil || q.Elem != ir.Int || s.Elem != ir.Real || q.Len() != rows*blocks*size || s.Len() != rows*blocks {
		return nil, errors.New("quantised weights or scales are not known when compiling, or do not fit")
	}
	var zeros *ir.Tensor
	if n.given(3) {
		if zeros, err = n.fixed(3); err != nil || zeros == nil {
			return nil, errors.Join(err, errors.New("zero points are not known when compiling"))
		}
	}
	per := 8 / bits
	perRow := (blocks*bits + 7) / 8
	if zeros != nil && zeros.Elem == ir.Int && zeros.Len() != rows*perRow || zeros != nil && zeros.Elem == ir.Real && zeros.Len() != rows*blocks {
		return nil, fmt.Errorf("%d zero points do not fit %d rows of %d blocks", zeros.Len(), rows, blocks)
	}
	w := c.table(ir.Real, cols, rows)
	if w == nil {
		return nil, c.err
	}
	field := func(b int64, i int) float64 { return float64(b >> (i * bits) & (1<<bits - 1)) }
	for o := range rows {
		for k := range cols {
			at := o*blocks + k/block
			zero := float64(int(1) << (bits - 1))
			switch {
			case zeros == nil:
			case zeros.Elem == ir.Real:
				zero = zeros.F[at]
			default:
				zero = field(zeros.I[o*perRow+k/block/per], k/block%per)
			}
			i := k % block
			w.F[k*rows+o] = float64((field(q.I[at*size+i/per], i%per) - zero) * s.F[at])
		}
	}
	y := c.e(ir.OpMatMul, nil, n.in(0), c.got(n.owned(1, w)))
	return c.one(c.plusAll(y, n.optional(5)))
}

func init() {
	const ms = "com.microsoft."
	formula(ms+"Gelu", "Elementwise x * (1 + erf(x/sqrt(2))) / 2, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value { return c.fn(ir.OpGelu, x) }, version{since: 1, in: 1, max: 1})
	formula(ms+"BiasGelu", "Gelu of the sum of both inputs, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value { return c.fn(ir.OpGelu, c.add(x, n.in(1))) }, version{since: 1, in: 2, max: 2})
	formula(ms+"FastGelu", "Gelu with tanh of the input and a bias, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		return c.fn(ir.OpGeluTanh, c.plusAll(x, n.optional(1)))
	}, version{since: 1, in: 1, max: 2})
	formula(ms+"QuickGelu", "Elementwise x * sigmoid(alpha * x), approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		alpha := n.float("alpha", float64(float32(1.702)))
		if alpha == 0 {
			return c.scale(x, 0.5)
		}
		return c.scale(c.fn(ir.OpSilu, c.scale(x, alpha)), 1/alpha)
	}, version{since: 1, in: 1, max: 1, attrs: "alpha:f"})
	add(ms+"FusedMatMul", "alpha * A * B; either may be turned over.", fusedMatMul, version{since: 1, in: 2, max: 2, attrs: "alpha:f transA:i transB:i transBatchA:i transBatchB:i"})
	add(ms+"FusedConv", "Convolution, a sum and an activation.", fusedConv,
		version{since: 1, in: 2, max: 4, attrs: "activation:s activation_params:fs auto_pad:s dilations:is group:i kernel_shape:is pads:is strides:is"})
	add(ms+"FusedGemm", "alpha * A * B + beta * C and an activation.", fusedGemm,
		version{since: 1, in: 2, max: 3, attrs: "activation:s activation_alpha:f activation_beta:f activation_gamma:f alpha:f beta:f transA:i transB:i"})
	add(ms+"SkipLayerNormalization", "LayerNormalization of a sum, approximated.", skipNorm(true), version{since: 1, in: 3, max: 5, attrs: "epsilon:f"})
	add(ms+"SkipSimplifiedLayerNormalization", "RMSNormalization of a sum, approximated.", skipNorm(false), version{since: 1, in: 3, max: 4, attrs: "epsilon:f"})
	add("SimplifiedLayerNormalization", "x / sqrt(mean of squares + epsilon) times scale, as onnxruntime writes it, approximated.", rmsNorm, version{since: 1, in: 2, max: 2, attrs: "axis:i epsilon:f stash_type:i"})
	add(ms+"EmbedLayerNormalization", "Rows of tables of words, positions and segments, added and normalised, approximated.", embedNorm, version{since: 1, in: 7, max: 9, attrs: "epsilon:f mask_index_type:i"})
	add(ms+"Attention", "Attention of what one matrix makes of the input, approximated; the mask may be secret.", runtimeAttention,
		version{since: 1, in: 2, max: 7, attrs: "do_rotary:i mask_filter_value:f num_heads:i! past_present_share_buffer:i qkv_hidden_sizes:is rotary_embedding_dim:i scale:f unidirectional:i"})
	add(ms+"MultiHeadAttention", "softmax(scale * Q K' + mask) V for each head, approximated; the mask may be secret.", multiHeadAttention,
		version{since: 1, in: 1, max: 8, attrs: "mask_filter_value:f num_heads:i! scale:f unidirectional:i"})
	add(ms+"RotaryEmbedding", "Pairs of entries rotated by the angles of their position.", runtimeRotary,
		version{since: 1, in: 4, max: 4, attrs: "interleaved:i is_packed_batching:i num_heads:i rotary_embedding_dim:i scale:f"})
	add(ms+"CDist", "Distances of each row of one matrix to each of another, squared or approximated roots.", distances, version{since: 1, in: 2, max: 2, attrs: "metric:s"})
	add(ms+"MatMulNBits", "Product with private weights that the model holds as integers of 2, 4 or 8 bits.", matMulNBits,
		version{since: 1, in: 3, max: 6, attrs: "K:i! N:i! accuracy_level:i bits:i block_size:i!"})
}
