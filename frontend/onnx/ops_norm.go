package onnx

import (
	"fmt"
	"math"

	"smpcc/ir"
)

// Normalisation with statistics of the data itself.

// spread returns x minus its mean over axes, the mean, and 1/sqrt(variance + eps).
func (c *calc) spread(x *ir.Value, eps float64, axes []int) (centred, mean, inv *ir.Value) {
	mean = c.reduce(ir.OpReduceMean, x, axes...)
	centred = c.sub(x, mean)
	inv = c.fn(ir.OpRsqrt, c.plus(c.reduce(ir.OpReduceMean, c.mul(centred, centred), axes...), eps))
	return centred, mean, inv
}

// affine scales and shifts by inputs that are there.
func (c *calc) affine(x *ir.Value, scale, bias *ir.Value) *ir.Value {
	if scale != nil {
		x = c.mul(x, scale)
	}
	if bias != nil {
		x = c.add(x, bias)
	}
	return x
}

// optional returns input i, or nil.
func (n *node) optional(i int) *ir.Value {
	if !n.given(i) {
		return nil
	}
	return n.in(i)
}

// from lists the axes from a on.
func from(a, rank int) []int {
	var out []int
	for i := a; i < rank; i++ {
		out = append(out, i)
	}
	return out
}

func layerNorm(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	rank := len(x.Type.Shape)
	a, err := n.axis("axis", -1, rank)
	if err != nil {
		return nil, err
	}
	centred, mean, inv := c.spread(x, n.float("epsilon", float64(float32(1e-5))), from(a, rank))
	y := c.affine(c.mul(centred, inv), n.in(1), n.optional(2))
	return []*ir.Value{y, mean, inv}[:max(1, min(3, len(n.p.Output)))], c.err
}

func rmsNorm(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	rank := len(x.Type.Shape)
	a, err := n.axis("axis", -1, rank)
	if err != nil {
		return nil, err
	}
	ms := c.reduce(ir.OpReduceMean, c.mul(x, x), from(a, rank)...)
	return c.one(c.mul(c.mul(x, c.fn(ir.OpRsqrt, c.plus(ms, n.float("epsilon", float64(float32(1e-5)))))), n.in(1)))
}

// channels views a vector with an entry for each channel as broadcasting against x [N,C,...].
func (c *calc) channels(v *ir.Value, rank int) *ir.Value {
	if c.err != nil || v == nil {
		return v
	}
	s := ir.Shape{v.Type.Shape.Size()}
	for range rank - 2 {
		s = append(s, 1)
	}
	return c.reshape(v, s...)
}

func instanceNorm(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	rank := len(x.Type.Shape)
	if rank < 3 {
		return nil, c.wrongInput(x)
	}
	centred, _, inv := c.spread(x, n.float("epsilon", float64(float32(1e-5))), from(2, rank))
	return c.one(c.affine(c.mul(centred, inv), c.channels(n.in(1), rank), c.channels(n.in(2), rank)))
}

func (c *calc) wrongInput(x *ir.Value) error {
	c.fail("input %v has too few dimensions", x.Type.Shape)
	return c.err
}

func groupNorm(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := x.Type.Shape
	g := n.int("num_groups", 1)
	if len(s) < 3 || g < 1 || s[1]%g != 0 {
		return nil, c.wrongInput(x)
	}
	u := c.reshape(x, s[0], g, s[1:].Size()/g)
	centred, _, inv := c.spread(u, n.float("epsilon", float64(float32(1e-5))), []int{2})
	y := c.mul(centred, inv)
	scale, bias := n.in(1), n.in(2)
	if n.opset < 21 { // an entry for each group
		y = c.affine(y, c.channels(scale, 3), c.channels(bias, 3))
		return c.one(c.reshape(y, s...))
	}
	return c.one(c.affine(c.reshape(y, s...), c.channels(scale, len(s)), c.channels(bias, len(s))))
}

// localResponse divides by (bias + alpha/size * sum of squares of neighbouring channels)^beta.
func localResponse(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := x.Type.Shape
	size := n.int("size", 0)
	if len(s) < 3 || size < 1 || size > 1<<12 {
		return nil, c.wrongInput(x)
	}
	alpha, beta, bias := n.float("alpha", float64(float32(1e-4))), n.float("beta", 0.75), n.float("bias", 1)
	near := c.table(ir.Real, s[1], s[1])
	if near == nil {
		return nil, c.err
	}
	for i := range s[1] {
		for j := max(0, i-(size-1)/2); j <= min(s[1]-1, i+size/2); j++ {
			near.F[i*s[1]+j] = 1
		}
	}
	flat := c.reshape(x, s[0], s[1], s[2:].Size())
	k := alpha / float64(size)
	if k < 0 {
		return nil, fmt.Errorf("alpha=%g is negative", alpha)
	}
	// the usual k is a few units of the last place; its root is many, and scales what is squared
	small := c.scale(flat, math.Sqrt(k))
	sum := c.plus(c.e(ir.OpMatMul, nil, c.data(near, true), c.mul(small, small)), bias)
	return c.one(c.reshape(c.mul(flat, c.powPublic(sum, -beta)), s...))
}

func meanVariance(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	axes := n.ints("axes")
	if axes == nil {
		axes = []int{0, 2, 3}
	}
	axes, err := ir.NormAxes(axes, len(x.Type.Shape))
	if err != nil {
		return nil, err
	}
	centred, _, inv := c.spread(x, 0, axes)
	return c.one(c.mul(centred, inv))
}

func lpNorm(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	a, err := n.axis("axis", -1, len(x.Type.Shape))
	if err != nil {
		return nil, err
	}
	switch p := n.int("p", 2); p {
	case 1:
		return c.one(c.div(x, c.reduce(ir.OpReduceSum, c.fn(ir.OpAbs, x), a)))
	case 2:
		return c.one(c.mul(x, c.fn(ir.OpRsqrt, c.reduce(ir.OpReduceSum, c.mul(x, x), a))))
	default:
		c.fail("p=%d is not supported, want 1 or 2", p)
	}
	return nil, c.err
}

func init() {
	add("LayerNormalization", "(x - mean) / sqrt(variance + epsilon) over the dimensions from axis on, approximated.", layerNorm,
		version{since: 17, in: 2, max: 3, attrs: "axis:i epsilon:f stash_type:i"})
	add("RMSNormalization", "x / sqrt(mean of squares + epsilon) over the dimensions from axis on, approximated.", rmsNorm,
		version{since: 23, in: 2, max: 2, attrs: "axis:i epsilon:f stash_type:i"})
	add("InstanceNormalization", "Normalisation of each channel of each sample, approximated.", instanceNorm,
		version{since: 6, in: 3, max: 3, attrs: "epsilon:f"})
	add("GroupNormalization", "Normalisation of groups of channels of each sample, approximated.", groupNorm,
		version{since: 18, in: 3, max: 3, attrs: "epsilon:f num_groups:i!"}, version{since: 21, in: 3, max: 3, attrs: "epsilon:f num_groups:i! stash_type:i"})
	add("LRN", "x / (bias + alpha/size * sum of squares of neighbouring channels)^beta, approximated.", localResponse,
		version{since: 1, in: 1, max: 1, attrs: "alpha:f beta:f bias:f size:i!"})
	add("MeanVarianceNormalization", "(x - mean) / deviation over axes, approximated.", meanVariance, version{since: 9, in: 1, max: 1, attrs: "axes:is"})
	add("LpNormalization", "x over its 1- or 2-norm along an axis, approximated.", lpNorm, version{since: 1, in: 1, max: 1, attrs: "axis:i p:i"})
}
