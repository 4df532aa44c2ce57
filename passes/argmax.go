package passes

import (
	"slices"

	"smpcc/ir"
)

const (
	dearRound  = 1e-3 // seconds: where a round takes less, an arg-max is a tree
	pairBytes  = 64   // of a comparison: what it opens, and the part of its keys that counts beside bytes sent online
	mostPaired = 64   // elements whose pairs are compared; plans grow with their square
)

// pairwise reports whether an arg-max among the given number of parties compares all pairs at once: on the network the rounds that
// this saves are worth more than the comparisons that it adds to those of a tree. Its rounds are those of two levels of a tree, whatever its
// length.
func pairwise(v *ir.Value, parties int, net Network) bool {
	if v.Op != ir.OpArgMax || net.RTT/2 < dearRound {
		return false
	}
	k, levels := v.Args[0].Type.Shape[argAxis(v)], 0
	for 1<<levels < k {
		levels++
	}
	level := 2 // rounds: the differences and the bits are opened, a comparison by keys sends nothing
	if parties > 2 {
		level = 3 // one of MaskTree
	}
	more := float64(v.Type.Shape.Size()) * float64(k*(k-1)/2+1) // the tree has k-1 comparisons; here k more find who has not lost
	return levels > 2 && k <= mostPaired && float64(more*pairBytes) < net.roundsWorth(float64(level*(levels-2))) && v.Type.Shape.Size() > 0
}

// argAxis returns the axis along which an arg-max looks.
func argAxis(v *ir.Value) int {
	axes, err := ir.NormAxes([]int{v.Attrs.Int("axis", 0)}, len(v.Args[0].Type.Shape))
	if err != nil {
		ir.Bug("argmax: %v", err)
	}
	return axes[0]
}

// pairArgMax lowers an arg-max to comparisons of all pairs p < q at once: p loses if x_p < x_q, else q does, so that the first element
// wins on ties. The order is total, so that exactly one of k elements never loses; the result is the sum of all indices, each times the bit that
// says whether its element has lost 0 of its k-1 comparisons. Losses lie in 0..k-1, so that a few bits are opened of them.
// The gathers keep the order total in fixed point: sink truncates x before them, once, and not in each comparison at random.
func pairArgMax(b *ir.Builder, v *ir.Value) *ir.Value {
	x, axis := v.Args[0], argAxis(v)
	shape := x.Type.Shape
	k := shape[axis]
	rows := shape.Size() / k
	var perm []int // the axis goes last
	for i := range shape {
		if i != axis {
			perm = append(perm, i)
		}
	}
	x = b.E(ir.OpTranspose, ir.Attrs{ir.Dims("perm", append(perm, axis))}, x)
	x = b.E(ir.OpReshape, ir.Attrs{ir.Dims("shape", ir.Shape{rows, k})}, x)
	var ps, qs []int64
	lost := make([][]int64, k) // by element, where its losses stand: those of p, then those of q
	pairs := int64(k * (k - 1) / 2)
	for p := range k {
		for q := p + 1; q < k; q++ {
			at := int64(len(ps))
			lost[p], lost[q] = append(lost[p], at), append(lost[q], pairs+at)
			ps, qs = append(ps, int64(p)), append(qs, int64(q))
		}
	}
	number := func(bit *ir.Value) *ir.Value { return b.E(ir.OpCast, ir.Attrs{ir.S("to", "int")}, bit) }
	gather := func(x *ir.Value, of ...int64) *ir.Value {
		return b.E(ir.OpGather, ir.Attrs{ir.I("axis", 1), ir.Is("indices", of...)}, x)
	}
	less := number(b.E(ir.OpLt, nil, gather(x, ps...), gather(x, qs...)))
	both := b.E(ir.OpConcat, ir.Attrs{ir.I("axis", 1)}, less, b.E(ir.OpSub, nil, b.Scalar(less, 1), less))
	each := b.E(ir.OpReshape, ir.Attrs{ir.Dims("shape", ir.Shape{rows, k, k - 1})}, gather(both, slices.Concat(lost...)...))
	never := number(b.E(ir.OpEqz, nil, b.E(ir.OpReduceSum, ir.Attrs{ir.Dims("axes", []int{2})}, each)))
	index := ir.NewTensor(ir.Int, ir.Shape{k})
	for i := range index.I {
		index.I[i] = int64(i)
	}
	sum := b.E(ir.OpReduceSum, ir.Attrs{ir.Dims("axes", []int{1})}, b.E(ir.OpMul, nil, never, b.Const(index)))
	return b.E(ir.OpReshape, ir.Attrs{ir.Dims("shape", v.Type.Shape)}, sum)
}
