package onnx

import (
	"errors"
	"slices"

	"smpcc/ir"
)

// Losses: the entry of each row at its label, which may be secret.

// lossOf returns the loss of log-probabilities x [N, C, ...] at labels [N, ...].
func (n *node) lossOf(c *calc, x *ir.Value) *ir.Value {
	s := x.Type.Shape
	label := n.in(1)
	if len(s) < 2 || label.Type.Elem != ir.Int || !label.Type.Shape.Equal(append(slices.Clone(s[:1]), s[2:]...)) {
		return c.fail("scores %v and labels %v do not fit", s, label.Type)
	}
	perm, _ := toLast(len(s), 1)
	rows := c.transpose(x, perm...) // [N, ..., C]
	hot := c.oneHot(label, s[1], ir.Real)
	if n.has("ignore_index") && c.err == nil {
		k := n.int("ignore_index", 0)
		if label.Op == ir.OpConst {
			t := c.table(ir.Real, append(slices.Clone(label.Type.Shape), 1)...)
			if t == nil {
				return nil
			}
			for i, l := range label.Attrs.Tensor("data").I {
				if int(l) != k {
					t.F[i] = 1
				}
			}
			hot = c.mul(hot, c.data(t, true))
		} else {
			keep := c.to(c.e(ir.OpNe, nil, label, c.num(label, float64(k))), ir.Real)
			if c.err == nil {
				hot = c.mul(hot, c.reshape(keep, append(slices.Clone(keep.Type.Shape), 1)...))
			}
		}
	}
	if n.given(2) {
		hot = c.mul(hot, n.in(2))
	}
	last := len(s) - 1
	loss := c.neg(c.reduce(ir.OpReduceSum, c.mul(rows, hot), last))
	switch reduction := n.str("reduction", "mean"); reduction {
	case "none":
		return c.reshape(loss, label.Type.Shape...)
	case "sum":
		return c.reshape(c.reduce(ir.OpReduceSum, loss, span(len(s))...))
	case "mean":
		weight := c.reduce(ir.OpReduceSum, hot, span(len(s))...)
		return c.reshape(c.div(c.reduce(ir.OpReduceSum, loss, span(len(s))...), weight))
	default:
		return c.fail("reduction=%s is not supported", short(reduction))
	}
}

func init() {
	attrs := version{since: 12, in: 2, max: 3, attrs: "ignore_index:i reduction:s"}
	add("NegativeLogLikelihoodLoss", "The negated score of each label, weighed.", func(n *node) ([]*ir.Value, error) {
		c := n.calc()
		return c.one(n.lossOf(c, n.in(0)))
	}, attrs)
	add("SoftmaxCrossEntropyLoss", "The negated log-softmax at each label, weighed; approximated.", func(n *node) ([]*ir.Value, error) {
		c := n.calc()
		if len(n.in(0).Type.Shape) < 2 {
			return nil, errors.New("scores have fewer than two dimensions")
		}
		p := c.e(ir.OpLogSoftmax, ir.Attrs{ir.I("axis", 1)}, n.in(0))
		if c.err != nil {
			return nil, c.err
		}
		loss := n.lossOf(c, p)
		return []*ir.Value{loss, p}[:max(1, min(2, len(n.p.Output)))], c.err
	}, attrs)
}
