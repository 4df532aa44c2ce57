// Package bench measures smpcc on models that it generates itself, with random weights, so that anybody can repeat the
// figures without a download.
package bench

import (
	"fmt"
	"math"
	"math/rand/v2"

	"smpcc"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// A Model is one entry of the suite.
type Model struct {
	Name  string
	Doc   string
	Batch int // inputs per run, by which throughput is counted
	// Batches are the batch sizes at which throughput is looked for; none if there is no batch dimension.
	Batches []int
	build   func(g *graph) *ir.Value
}

// Models is the suite, in the order in which it runs.
func Models() []Model {
	return []Model{
		{"relu-1m", "1,000,000 ReLUs behind a truncation, range 8 bits and 16 fraction bits", 1, nil, func(g *graph) *ir.Value {
			x := g.input(-64, 64, 1_000_000)
			return g.relu(g.e(ir.OpMul, nil, x, g.number(0.7)))
		}},
		{"matmul-512", "product of two secret 512x512 matrices, truncated", 1, nil, func(g *graph) *ir.Value { return g.square(512) }},
		{"matmul-1024", "product of two secret 1024x1024 matrices, truncated", 1, nil, func(g *graph) *ir.Value { return g.square(1024) }},
		{"lenet-1", "LeNet for 28x28 images, batch 1", 1, []int{8, 32, 128, 512}, (*graph).lenet},
		{"lenet-128", "LeNet for 28x28 images, batch 128", 128, nil, (*graph).lenet},
		{"squeezenet", "SqueezeNet 1.1 at 224x224", 1, []int{4}, (*graph).squeezenet},
		{"resnet18", "ResNet-18 at 224x224", 1, []int{4}, func(g *graph) *ir.Value { return g.resnet([]int{2, 2, 2, 2}, false) }},
		{"resnet50", "ResNet-50 v1.5 at 224x224", 1, nil, func(g *graph) *ir.Value { return g.resnet([]int{3, 4, 6, 3}, true) }},
		{"mobilenet", "MobileNetV2-like at 224x224", 1, []int{4}, (*graph).mobilenet},
		{"bert-layer", "one BERT-base encoder layer, 128 tokens", 1, nil, (*graph).bert},
	}
}

// ModelOf returns the model of a name, for a batch of the given size; 0 is its own.
func ModelOf(name string, batch int) (Model, error) {
	for _, m := range Models() {
		if m.Name != name {
			continue
		}
		if batch != 0 && batch != m.Batch {
			if len(m.Batches) == 0 {
				return m, fmt.Errorf("%s has no batch dimension", name)
			}
			m.Batch = batch
		}
		return m, nil
	}
	return Model{}, fmt.Errorf("no model is called %q", name)
}

// A graph is a module under construction: party p0 owns the weights, p1 the input and the output.
type graph struct {
	m *ir.Module
	f *ir.Func
	r *rand.Rand
	n int
	// batch is the number of inputs that images are computed for at once.
	batch int
}

// samples is how many inputs a model is calibrated on: as few as have a margin of 2.
const samples = 4

// Build generates a model and sample inputs for calibration, of which the first is run.
func (b Model) Build() (m *ir.Module, inputs []map[string]*ir.Tensor, err error) {
	defer ir.Recover(&err)
	f := ir.NewFunc("main")
	g := &graph{f: f, batch: max(1, b.Batch), r: rand.New(rand.NewPCG(1, uint64(len(b.Name)))),
		m: &ir.Module{Name: b.Name, Parties: smpcc.PartyNames(2), Dealer: smpcc.DefaultDealer, Funcs: []*ir.Func{f}, Weights: map[string]*ir.Tensor{}}}
	out := b.build(g)
	g.e(ir.OpReveal, ir.Attrs{ir.S("name", "out"), ir.Ss("to", "p1")}, out)
	for range samples {
		inputs = append(inputs, drawn(f, g.r))
	}
	return g.m, inputs, ir.Verify(g.m)
}

// drawn returns inputs that are uniform over their declared ranges.
func drawn(f *ir.Func, r *rand.Rand) map[string]*ir.Tensor {
	out := map[string]*ir.Tensor{}
	for _, v := range f.Inputs() {
		x := ir.NewTensor(ir.Real, v.Type.Shape)
		lo, hi := v.Attrs.Float("lo", 0), v.Attrs.Float("hi", 0)
		for i := range x.F {
			x.F[i] = lo + (hi-lo)*r.Float64()
		}
		out[v.Attrs.Str("name")] = x
	}
	return out
}

func (g *graph) e(op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
	g.n++
	v, err := g.f.Emit(diag.Pos{File: g.m.Name, Node: fmt.Sprintf("node %d (%s)", g.n, op)}, op, attrs, args...)
	if err != nil {
		ir.Bug("%s: %v", g.m.Name, err)
	}
	return v
}

func (g *graph) input(lo, hi float64, shape ...int) *ir.Value {
	return g.e(ir.OpInput, ir.Attrs{ir.S("name", fmt.Sprintf("x%d", len(g.f.Inputs()))), ir.S("owner", "p1"), ir.S("elem", "real"), ir.Dims("shape", shape), ir.F("lo", lo), ir.F("hi", hi)})
}

// weight draws a normal tensor with the given deviation.
func (g *graph) weight(deviation float64, shape ...int) *ir.Value {
	t := ir.NewTensor(ir.Real, shape)
	for i := range t.F {
		t.F[i] = deviation * g.r.NormFloat64()
	}
	name := fmt.Sprintf("w%d", len(g.m.Weights))
	g.m.Weights[name] = t
	return g.e(ir.OpWeight, ir.Attrs{ir.S("name", name), ir.S("owner", "p0"), ir.S("elem", "real"), ir.Dims("shape", shape)})
}

func (g *graph) number(x float64) *ir.Value {
	return g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Reals(ir.Shape{}, x))})
}

func (g *graph) relu(x *ir.Value) *ir.Value   { return g.e(ir.OpRelu, nil, x) }
func (g *graph) add(x, y *ir.Value) *ir.Value { return g.e(ir.OpAdd, nil, x, y) }

func (g *graph) reshape(x *ir.Value, s ...int) *ir.Value {
	return g.e(ir.OpReshape, ir.Attrs{ir.Dims("shape", s)}, x)
}

// square multiplies secret matrices of two owners and looks at the result after truncation.
func (g *graph) square(n int) *ir.Value {
	y := g.e(ir.OpMatMul, nil, g.input(-1, 1, n, n), g.weight(1/math.Sqrt(float64(n)), n, n))
	return g.e(ir.OpFormat, ir.Attrs{ir.I("frac", 16), ir.I("firm", 1)}, g.e(ir.OpFormat, ir.Attrs{ir.F("lo", -16), ir.F("hi", 16)}, y))
}

// conv is a convolution with bias, as batch normalisation leaves it.
func (g *graph) conv(x *ir.Value, out, k, stride, group int) *ir.Value {
	in := x.Type.Shape[1]
	w := g.weight(math.Sqrt(2/float64(in/group*k*k)), out, in/group, k, k)
	p := k / 2
	y := g.e(ir.OpConv, ir.Attrs{ir.Dims("strides", []int{stride, stride}), ir.Dims("pads", []int{p, p, p, p}), ir.I("group", int64(group))}, x, w)
	return g.add(y, g.weight(0.1, 1, out, 1, 1))
}

func (g *graph) maxPool(x *ir.Value, k, stride, pad int) *ir.Value {
	return g.e(ir.OpMaxPool, ir.Attrs{ir.Dims("kernel", []int{k, k}), ir.Dims("strides", []int{stride, stride}), ir.Dims("pads", []int{pad, pad, pad, pad})}, x)
}

// mean averages over the plane.
func (g *graph) mean(x *ir.Value) *ir.Value {
	return g.e(ir.OpReduceMean, ir.Attrs{ir.Is("axes", 2, 3)}, x)
}

// dense is a product with a matrix [in, out] and a bias, over the last dimension.
func (g *graph) dense(x *ir.Value, out int) *ir.Value {
	s := x.Type.Shape
	in := s[len(s)-1]
	return g.add(g.e(ir.OpMatMul, nil, x, g.weight(math.Sqrt(1/float64(in)), in, out)), g.weight(0.1, out))
}

func (g *graph) lenet() *ir.Value {
	x := g.input(0, 1, g.batch, 1, 28, 28)
	valid := func(x *ir.Value, out int) *ir.Value {
		in := x.Type.Shape[1]
		y := g.e(ir.OpConv, nil, x, g.weight(math.Sqrt(2/float64(in*25)), out, in, 5, 5))
		return g.relu(g.maxPool(g.add(y, g.weight(0.1, 1, out, 1, 1)), 2, 2, 0))
	}
	x = valid(valid(x, 20), 50)
	return g.dense(g.relu(g.dense(g.reshape(x, g.batch, 800), 500)), 10)
}

func (g *graph) squeezenet() *ir.Value {
	x := g.relu(g.conv(g.input(-2, 2, g.batch, 3, 224, 224), 64, 3, 2, 1))
	fire := func(squeeze, expand int) {
		s := g.relu(g.conv(x, squeeze, 1, 1, 1))
		x = g.e(ir.OpConcat, ir.Attrs{ir.I("axis", 1)}, g.relu(g.conv(s, expand, 1, 1, 1)), g.relu(g.conv(s, expand, 3, 1, 1)))
	}
	x = g.maxPool(x, 3, 2, 0)
	fire(16, 64)
	fire(16, 64)
	x = g.maxPool(x, 3, 2, 0)
	fire(32, 128)
	fire(32, 128)
	x = g.maxPool(x, 3, 2, 0)
	fire(48, 192)
	fire(48, 192)
	fire(64, 256)
	fire(64, 256)
	return g.mean(g.relu(g.conv(x, 1000, 1, 1, 1)))
}

// resnet builds the residual networks of He et al. 2016; bottleneck blocks have their stride in the 3x3 convolution (v1.5). The
// last convolution of a block is scaled down, as trained networks do, so that activations keep their size.
func (g *graph) resnet(blocks []int, bottleneck bool) *ir.Value {
	x := g.relu(g.conv(g.input(-2, 2, g.batch, 3, 224, 224), 64, 7, 2, 1))
	x = g.maxPool(x, 3, 2, 1)
	wide := 1
	if bottleneck {
		wide = 4
	}
	for stage, n := range blocks {
		c := 64 << stage
		for i := range n {
			stride := 1
			if i == 0 && stage > 0 {
				stride = 2
			}
			y := x
			if bottleneck {
				y = g.relu(g.conv(g.relu(g.conv(y, c, 1, 1, 1)), c, 3, stride, 1))
				y = g.calm(y, c*wide, 1)
			} else {
				y = g.calm(g.relu(g.conv(y, c, 3, stride, 1)), c, 3)
			}
			if i == 0 && (stage > 0 || bottleneck) {
				x = g.conv(x, c*wide, 1, stride, 1)
			}
			x = g.relu(g.add(y, x))
		}
	}
	return g.dense(g.mean(x), 1000)
}

// calm is a convolution with a quarter of the usual deviation.
func (g *graph) calm(x *ir.Value, out, k int) *ir.Value {
	in := x.Type.Shape[1]
	p := k / 2
	w := g.weight(0.25*math.Sqrt(2/float64(in*k*k)), out, in, k, k)
	return g.add(g.e(ir.OpConv, ir.Attrs{ir.Dims("pads", []int{p, p, p, p})}, x, w), g.weight(0.1, 1, out, 1, 1))
}

// mobilenet builds inverted residuals with depthwise convolutions (Sandler et al. 2018), with ReLU6.
func (g *graph) mobilenet() *ir.Value {
	six := func(x *ir.Value) *ir.Value { return g.e(ir.OpClip, ir.Attrs{ir.F("lo", 0), ir.F("hi", 6)}, x) }
	x := six(g.conv(g.input(-2, 2, g.batch, 3, 224, 224), 32, 3, 2, 1))
	for _, s := range []struct{ grow, out, n, stride int }{{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}} {
		for i := range s.n {
			stride := 1
			if i == 0 {
				stride = s.stride
			}
			y, in := x, x.Type.Shape[1]
			if s.grow > 1 {
				y = six(g.conv(y, in*s.grow, 1, 1, 1))
			}
			y = six(g.conv(y, in*s.grow, 3, stride, in*s.grow))
			y = g.calm(y, s.out, 1)
			if stride == 1 && in == s.out {
				y = g.add(y, x)
			}
			x = y
		}
	}
	return g.dense(g.mean(six(g.conv(x, 1280, 1, 1, 1))), 1000)
}

// norm is layer normalisation over the last dimension.
func (g *graph) norm(x *ir.Value) *ir.Value {
	last := len(x.Type.Shape) - 1
	mean := func(v *ir.Value) *ir.Value {
		return g.e(ir.OpReduceMean, ir.Attrs{ir.Dims("axes", []int{last}), ir.I("keep", 1)}, v)
	}
	c := g.e(ir.OpSub, nil, x, mean(x))
	inv := g.e(ir.OpRsqrt, nil, g.add(mean(g.e(ir.OpMul, nil, c, c)), g.number(1e-5)))
	d := x.Type.Shape[last]
	return g.add(g.e(ir.OpMul, nil, g.e(ir.OpMul, nil, c, inv), g.weight(1, d)), g.weight(0.1, d))
}

// attend is attention of a matrix of tokens with itself; mask is added to the scores unless it is nil.
func (g *graph) attend(x *ir.Value, heads int, mask *ir.Tensor, dense func(x *ir.Value, out int) *ir.Value) *ir.Value {
	tokens, width := x.Type.Shape[0], x.Type.Shape[1]
	head := func(perm ...int64) *ir.Value {
		return g.e(ir.OpTranspose, ir.Attrs{ir.Is("perm", perm...)}, g.reshape(dense(x, width), tokens, heads, width/heads))
	}
	q, k, v := head(1, 0, 2), head(1, 2, 0), head(1, 0, 2)
	scores := g.e(ir.OpMul, nil, g.e(ir.OpMatMul, nil, q, k), g.number(1/math.Sqrt(float64(width/heads))))
	if mask != nil {
		scores = g.add(scores, g.e(ir.OpConst, ir.Attrs{ir.T("data", mask)}))
	}
	p := g.e(ir.OpSoftmax, ir.Attrs{ir.I("axis", 2)}, scores)
	return dense(g.reshape(g.e(ir.OpTranspose, ir.Attrs{ir.Is("perm", 1, 0, 2)}, g.e(ir.OpMatMul, nil, p, v)), tokens, width), width)
}

// bert is one encoder layer of BERT-base: 12 heads of 64, a feed-forward layer of 3072.
func (g *graph) bert() *ir.Value { return g.encoder(128, 768, 12, 3072) }

// encoder is one encoder layer: attention and a feed-forward layer with GELU, layer normalisation behind each.
func (g *graph) encoder(tokens, width, heads, inner int) *ir.Value {
	x := g.input(-3, 3, tokens, width)
	x = g.norm(g.add(x, g.attend(x, heads, nil, g.dense)))
	y := g.e(ir.OpGelu, nil, g.dense(x, inner))
	return g.norm(g.add(x, g.dense(y, width)))
}
