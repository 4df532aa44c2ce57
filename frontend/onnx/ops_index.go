package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"smpcc/ir"
)

// Indexing. Public indices move elements and cost nothing; secret ones are compared with every position and multiply.

// positions returns the public indices of input i, made non-negative for a dimension of the given size; nil if they are secret.
func (n *node) positions(i, size int) (*ir.Tensor, error) {
	t := n.data(i)
	if t == nil {
		if v := n.in(i); v.Type.Elem != ir.Int {
			return nil, fmt.Errorf("indices are %v, want integers", v.Type.Elem)
		}
		return nil, nil
	}
	if t.Elem != ir.Int {
		return nil, fmt.Errorf("indices are %v, want integers", t.Elem)
	}
	out, err := n.tensor(ir.Int, t.Shape)
	if err != nil {
		return nil, err
	}
	for j, k := range t.I {
		if k < int64(-size) || k >= int64(size) {
			return nil, fmt.Errorf("index %d is out of range for a dimension of %d", k, size)
		}
		if out.I[j] = k; k < 0 {
			out.I[j] += int64(size)
		}
	}
	return out, nil
}

// oneHot compares indices with 0..size-1 along a new last dimension. Out of range is all zero; negative indices count from the end.
func (c *calc) oneHot(idx *ir.Value, size int, e ir.Elem) *ir.Value {
	if c.err != nil {
		return nil
	}
	s := append(slices.Clone(idx.Type.Shape), 1)
	u := c.reshape(idx, s...)
	if idx.Op == ir.OpConst {
		t := c.table(e, append(slices.Clone(idx.Type.Shape), size)...)
		if t == nil {
			return nil
		}
		for i, k := range idx.Attrs.Tensor("data").I {
			if k < 0 {
				k += int64(size)
			}
			switch {
			case k < 0 || k >= int64(size):
			case e == ir.Real:
				t.F[i*size+int(k)] = 1
			default:
				t.I[i*size+int(k)] = 1
			}
		}
		return c.data(t, true)
	}
	hit := c.e(ir.OpEq, nil, u, c.to(c.iota(size), idx.Type.Elem))
	neg := c.table(ir.Int, size)
	if neg == nil {
		return nil
	}
	for i := range neg.I {
		neg.I[i] = int64(i - size)
	}
	hit = c.e(ir.OpOr, nil, hit, c.e(ir.OpEq, nil, u, c.to(c.data(neg, false), idx.Type.Elem)))
	if e == ir.Bool {
		return hit
	}
	return c.to(hit, e)
}

func gather(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	in := x.Type.Shape
	a, err := n.axis("axis", 0, len(in))
	if err != nil {
		return nil, err
	}
	idx, err := n.positions(1, in[a])
	if err != nil {
		return nil, err
	}
	at := n.in(1)
	s := append(append(slices.Clone(in[:a]), at.Type.Shape...), in[a+1:]...)
	if idx != nil {
		list, err := n.indices(idx.Len())
		if err != nil {
			return nil, err
		}
		for i, k := range idx.I {
			list[i] = int(k)
		}
		return c.one(c.reshape(c.pick(x, a, list), s...))
	}
	if x.Type.Elem == ir.Bool {
		return nil, errors.New("secret indices into bits are not supported")
	}
	// one-hot [I, K] times x [K, rest]
	perm := append([]int{a}, rest(len(in), a)...)
	flat := c.reshape(c.transpose(x, perm...), in[a], in.Size()/max(1, in[a]))
	n.names(at, in[a])
	y := c.e(ir.OpMatMul, nil, c.oneHot(c.reshape(at, at.Type.Shape.Size()), in[a], x.Type.Elem), flat)
	y = c.reshape(y, append(append(slices.Clone(at.Type.Shape), in[:a]...), in[a+1:]...)...)
	r := len(at.Type.Shape)
	back := make([]int, 0, len(s))
	for i := range a {
		back = append(back, r+i)
	}
	back = append(back, span(r)...)
	for i := a; i < len(in)-1; i++ {
		back = append(back, r+i)
	}
	return c.one(c.transpose(y, back...))
}

// strided returns row-major strides.
func strided(s ir.Shape) []int {
	out := make([]int, len(s))
	k := 1
	for i := len(s) - 1; i >= 0; i-- {
		out[i] = k
		k *= s[i]
	}
	return out
}

// coordinates calls f with the place and the coordinates of each element.
func coordinates(s ir.Shape, f func(i int, at []int)) {
	if s.Size() == 0 {
		return
	}
	at := make([]int, len(s))
	for i := range s.Size() {
		f(i, at)
		for d := len(s) - 1; d >= 0; d-- {
			if at[d]++; at[d] < s[d] {
				break
			}
			at[d] = 0
		}
	}
}

// take moves element src[i] of the flat x to place i of a result of shape s.
func (c *calc) take(x *ir.Value, src []int, s ir.Shape) *ir.Value {
	if c.err != nil {
		return nil
	}
	return c.reshape(c.pick(c.reshape(x, x.Type.Shape.Size()), 0, src), s...)
}

func gatherElements(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	in := x.Type.Shape
	a, err := n.axis("axis", 0, len(in))
	if err != nil {
		return nil, err
	}
	s := n.in(1).Type.Shape
	if len(s) != len(in) {
		return nil, fmt.Errorf("indices %v and input %v have different numbers of dimensions", s, in)
	}
	for i := range s {
		if i != a && s[i] > in[i] {
			return nil, fmt.Errorf("indices %v exceed input %v", s, in)
		}
	}
	idx, err := n.positions(1, in[a])
	if err != nil {
		return nil, err
	}
	if idx == nil { // sum over k of (index == k) * x[k]
		if x.Type.Elem == ir.Bool {
			return nil, errors.New("secret indices into bits are not supported")
		}
		for i := range s {
			if i != a {
				x = c.cut(x, i, 0, s[i])
			}
		}
		perm, back := toLast(len(in), a)
		n.names(n.in(1), in[a])
		hot := c.oneHot(c.transpose(n.in(1), perm...), in[a], x.Type.Elem) // [..., I, K]
		if x = c.transpose(x, perm...); c.err != nil {
			return nil, c.err
		}
		y := c.e(ir.OpMatMul, nil, hot, c.reshape(x, append(slices.Clone(x.Type.Shape), 1)...))
		if c.err != nil {
			return nil, c.err
		}
		return c.one(c.transpose(c.reshape(y, y.Type.Shape[:len(s)]...), back...))
	}
	src, err := n.indices(s.Size())
	if err != nil {
		return nil, err
	}
	st := strided(in)
	coordinates(s, func(i int, at []int) {
		for d, p := range at {
			if d == a {
				p = int(idx.I[i])
			}
			src[i] += p * st[d]
		}
	})
	return c.one(c.take(x, src, s))
}

// cells returns, for each tuple in the last dimension of public indices, the flat place in s of the first cell it names, and how
// many cells follow; batch leading dimensions are shared.
func (n *node) cells(i int, s ir.Shape, batch int) (start []int, block int, tuples ir.Shape, err error) {
	t, err := n.public(i, "indices")
	if err != nil {
		return nil, 0, nil, err
	}
	r := len(t.Shape)
	if t.Elem != ir.Int || r < 1 || batch < 0 || batch >= r || t.Shape[r-1] > len(s)-batch {
		return nil, 0, nil, fmt.Errorf("indices %v%v do not fit %v", t.Elem, t.Shape, s)
	}
	k := t.Shape[r-1]
	tuples = t.Shape[:r-1]
	for d := range batch {
		if tuples[d] != s[d] {
			return nil, 0, nil, fmt.Errorf("indices %v and %v differ in batch dimension %d", t.Shape, s, d)
		}
	}
	block = s[batch+k:].Size()
	st := strided(s)
	if start, err = n.indices(tuples.Size()); err != nil {
		return nil, 0, nil, err
	}
	var bad error
	coordinates(tuples, func(i int, at []int) {
		for d := range batch {
			start[i] += at[d] * st[d]
		}
		for j := range k {
			d := batch + j
			p := int(max(min(t.I[i*k+j], 1<<40), -1<<40))
			if p < 0 {
				p += s[d]
			}
			if p < 0 || p >= s[d] {
				bad = fmt.Errorf("index %d is out of range for dimension %d of %v", t.I[i*k+j], d, s)
				return
			}
			start[i] += p * st[d]
		}
	})
	return start, block, tuples, bad
}

// spans lists block places from each start on.
func (n *node) spans(start []int, block int) ([]int, error) {
	out, err := n.indices(len(start) * block)
	if err != nil {
		return nil, err
	}
	for i, p := range start {
		for j := range block {
			out[i*block+j] = p + j
		}
	}
	return out, nil
}

func gatherND(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := x.Type.Shape
	b := n.int("batch_dims", 0)
	start, block, tuples, err := n.cells(1, s, b)
	if err != nil {
		return nil, err
	}
	src, err := n.spans(start, block)
	if err != nil {
		return nil, err
	}
	k := n.in(1).Type.Shape
	return c.one(c.take(x, src, append(slices.Clone(tuples), s[b+k[len(k)-1]:]...)))
}

// scatter writes flat updates to places of x, combining as reduction says; places may repeat.
func (c *calc) scatter(x, updates *ir.Value, places []int, reduction string) *ir.Value {
	if c.err != nil {
		return nil
	}
	s := x.Type.Shape
	flat, u := c.reshape(x, s.Size()), c.reshape(updates, updates.Type.Shape.Size())
	if c.err == nil && u.Type.Shape[0] != len(places) {
		return c.fail("updates %v do not fit the indices", updates.Type.Shape)
	}
	var op ir.Op
	switch reduction {
	case "none":
	case "add":
		op = ir.OpAdd
	case "mul":
		op = ir.OpMul
	case "max":
		op = ir.OpMax
	case "min":
		op = ir.OpMin
	default:
		return c.fail("reduction=%s is not supported", short(reduction))
	}
	// the k-th updates of all places form one layer, so that each layer writes a place once
	var layers [][]int
	count, err := c.n.indices(s.Size())
	if err != nil {
		return c.got(nil, err)
	}
	for i, p := range places {
		k := count[p]
		if count[p]++; op == "" {
			k = 0
		}
		if k == len(layers) {
			layers = append(layers, nil)
		}
		layers[k] = append(layers[k], i)
	}
	for _, l := range layers {
		if err := c.n.r.left.take(volume(s), volume(s)); err != nil {
			return c.got(nil, err)
		}
		src := span(s.Size())
		var mine, theirs []int
		last := map[int]int{}
		for _, i := range l { // without a reduction the last update of a place wins
			if j, again := last[places[i]]; again {
				theirs[j] = i
				continue
			}
			last[places[i]] = len(mine)
			mine, theirs = append(mine, places[i]), append(theirs, i)
		}
		for j, p := range mine {
			src[p] = s.Size() + j
		}
		fresh := c.pick(u, 0, theirs)
		if op != "" {
			fresh = c.e(op, nil, c.pick(flat, 0, mine), fresh)
		}
		flat = c.pick(c.concat(0, flat, fresh), 0, src)
	}
	return c.reshape(flat, s...)
}

func scatterElements(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	in := x.Type.Shape
	a, err := n.axis("axis", 0, len(in))
	if err != nil {
		return nil, err
	}
	if _, err := n.public(1, "indices"); err != nil {
		return nil, err
	}
	idx, err := n.positions(1, in[a])
	if err != nil {
		return nil, err
	}
	if len(idx.Shape) != len(in) || !n.in(2).Type.Shape.Equal(idx.Shape) {
		return nil, fmt.Errorf("input %v, indices %v and updates %v do not fit", in, idx.Shape, n.in(2).Type.Shape)
	}
	places, err := n.indices(idx.Len())
	if err != nil {
		return nil, err
	}
	st := strided(in)
	coordinates(idx.Shape, func(i int, at []int) {
		for d, p := range at {
			if d == a {
				p = int(idx.I[i])
			} else if p >= in[d] {
				err = fmt.Errorf("indices %v exceed input %v", idx.Shape, in)
				return
			}
			places[i] += p * st[d]
		}
	})
	if err != nil {
		return nil, err
	}
	return c.one(c.scatter(x, n.in(2), places, n.str("reduction", "none")))
}

func scatterND(n *node) ([]*ir.Value, error) {
	start, block, _, err := n.cells(1, n.in(0).Type.Shape, 0)
	if err != nil {
		return nil, err
	}
	places, err := n.spans(start, block)
	if err != nil {
		return nil, err
	}
	c := n.calc()
	return c.one(c.scatter(n.in(0), n.in(2), places, n.str("reduction", "none")))
}

func oneHot(n *node) ([]*ir.Value, error) {
	c := n.calc()
	depth, ok, err := n.scalar(1, "depth")
	if err != nil || !ok || depth < 1 || depth > maxRange {
		return nil, errors.Join(err, fmt.Errorf("depth %g is out of range", depth))
	}
	idx := n.in(0)
	if idx.Type.Elem != ir.Real || idx.Op == ir.OpConst { // secret reals are compared as they are
		if idx, err = n.convert(idx, ir.Int); err != nil {
			return nil, err
		}
	}
	rank := len(idx.Type.Shape) + 1
	a, err := n.axis("axis", -1, rank)
	if err != nil {
		return nil, err
	}
	v := n.in(2)
	if v.Type.Shape.Size() != 2 {
		return nil, fmt.Errorf("values %v are not two", v.Type.Shape)
	}
	v = c.reshape(v, 2)
	off, on := c.reshape(c.cut(v, 0, 0, 1)), c.reshape(c.cut(v, 0, 1, 2))
	hot := c.oneHot(idx, int(depth), v.Type.Elem)
	_, back := toLast(rank, a)
	return c.one(c.transpose(c.add(off, c.mul(hot, c.sub(on, off))), back...))
}

// trilu keeps the triangle of the last two dimensions and clears the rest.
func trilu(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := x.Type.Shape
	k := 0.0
	if n.given(1) {
		var err error
		if k, _, err = n.scalar(1, "k"); err != nil {
			return nil, err
		}
	}
	if len(s) < 2 {
		return nil, c.wrongInput(x)
	}
	if s.Size() == 0 {
		return one(x, nil)
	}
	zero := c.cut(c.reshape(x, s.Size()), 0, 0, 1)
	if x.Type.Elem == ir.Bool {
		zero = c.e(ir.OpXor, nil, zero, zero)
	} else {
		zero = c.sub(zero, zero)
	}
	src, err := n.indices(s.Size())
	if err != nil {
		return nil, err
	}
	upper := n.int("upper", 1) != 0
	coordinates(s, func(i int, at []int) {
		d := float64(at[len(s)-1] - at[len(s)-2])
		if src[i] = i; upper && d < k || !upper && d > k {
			src[i] = s.Size()
		}
	})
	return c.one(c.take(c.concat(0, c.reshape(x, s.Size()), zero), src, s))
}

func eyeLike(n *node) ([]*ir.Value, error) {
	s := n.in(0).Type.Shape
	if len(s) != 2 {
		return nil, fmt.Errorf("input %v is not a matrix", s)
	}
	e := n.in(0).Type.Elem
	if n.has("dtype") {
		var err error
		if e, err = elemOf(int32(n.int("dtype", 0))); err != nil {
			return nil, err
		}
	}
	t, err := n.tensor(e, s)
	if err != nil {
		return nil, err
	}
	for i := range s[0] {
		if j := i + n.int("k", 0); j >= 0 && j < s[1] {
			if e == ir.Real {
				t.F[i*s[1]+j] = 1
			} else {
				t.I[i*s[1]+j] = 1
			}
		}
	}
	return one(n.constant(t))
}

// longSum is the length from which on a running sum is made of those of blocks: a triangle of all of it would be too large.
const longSum = 1 << 10

// axisInput returns the axis, of so many, that input i names.
func (n *node) axisInput(i, rank int) (int, error) {
	k, _, err := n.scalar(i, "axis")
	if err != nil {
		return 0, err
	}
	axes, err := ir.NormAxes([]int{int(k)}, rank)
	if err != nil {
		return 0, err
	}
	return axes[0], nil
}

// cumSum multiplies with a triangle of ones, which is local.
func cumSum(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	in := x.Type.Shape
	axis, err := n.axisInput(1, len(in))
	if err != nil {
		return nil, err
	}
	perm, back := toLast(len(in), axis)
	y := c.transpose(x, perm...)
	size := in[axis]
	flat := c.running(c.reshape(y, in.Size()/max(1, size), size), n.int("exclusive", 0) != 0, n.int("reverse", 0) != 0)
	if c.err != nil {
		return nil, c.err
	}
	return c.one(c.transpose(c.reshape(flat, y.Type.Shape...), back...))
}

// cumProd multiplies the elements before each one with it: after step k each element has the product of 2^k of them, so that its depth is log2 of the
// length.
func cumProd(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	in := x.Type.Shape
	axis, err := n.axisInput(1, len(in))
	if err != nil {
		return nil, err
	}
	if x.Type.Elem == ir.Bool {
		return nil, c.wrongInput(x)
	}
	a, size := axis, in[axis]
	reverse := n.int("reverse", 0) != 0
	ones := func(count int) *ir.Value {
		s := slices.Clone(in)
		s[a] = count
		return c.expand(c.num(x, 1), s)
	}
	// shifted moves elements by some places in the direction of the product, with ones behind them.
	shifted := func(y *ir.Value, by int) *ir.Value {
		if reverse {
			return c.concat(a, c.cut(y, a, by, size), ones(by))
		}
		return c.concat(a, ones(by), c.cut(y, a, 0, size-by))
	}
	y := x
	if n.int("exclusive", 0) != 0 && size > 0 {
		y = shifted(y, 1)
	}
	for by := 1; by < size && c.err == nil; by *= 2 {
		y = c.mul(y, shifted(y, by))
	}
	return c.one(y)
}

// running sums the rows of x [rows, size] up to each element, without it if exclusive, from the end if reverse. A long row is cut into blocks: within
// each, and over the sums of those before.
func (c *calc) running(x *ir.Value, exclusive, reverse bool) *ir.Value {
	if c.err != nil {
		return nil
	}
	rows, size := x.Type.Shape[0], x.Type.Shape[1]
	if size <= longSum {
		return c.e(ir.OpMatMul, nil, x, c.triangle(x.Type.Elem, size, exclusive, reverse))
	}
	block := int(math.Ceil(math.Sqrt(float64(size))))
	count := (size + block - 1) / block
	whole := x
	if more := count*block - size; more > 0 { // zeros at the end add nothing
		whole = c.e(ir.OpPad, ir.Attrs{ir.Is("pads", 0, 0, 0, int64(more))}, x)
	}
	whole = c.reshape(whole, rows, count, block)
	within := c.e(ir.OpMatMul, nil, whole, c.triangle(x.Type.Elem, block, exclusive, reverse))
	before := c.running(c.reshape(c.reduce(ir.OpReduceSum, whole, 2), rows, count), true, reverse)
	return c.cut(c.reshape(c.add(within, c.reshape(before, rows, count, 1)), rows, count*block), 1, 0, size)
}

// triangle is t [j, i] of ones where element j counts for sum i.
func (c *calc) triangle(e ir.Elem, size int, exclusive, reverse bool) *ir.Value {
	t := c.table(e, size, size)
	if t == nil {
		return nil
	}
	for j := range size {
		for i := range size {
			d := i - j
			if reverse {
				d = -d
			}
			if d > 0 || d == 0 && !exclusive {
				if e == ir.Real {
					t.F[j*size+i] = 1
				} else {
					t.I[j*size+i] = 1
				}
			}
		}
	}
	return c.data(t, true)
}

// reverseSequence turns around the first lengths[b] entries of each sequence.
func reverseSequence(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := x.Type.Shape
	lens, err := n.public(1, "sequence_lens")
	if err != nil {
		return nil, err
	}
	b, t := n.int("batch_axis", 1), n.int("time_axis", 0)
	if len(s) < 2 || b < 0 || b > 1 || t != 1-b || lens.Len() != s[b] {
		return nil, fmt.Errorf("batch_axis=%d, time_axis=%d and %d lengths do not fit %v", b, t, lens.Len(), s)
	}
	src, err := n.indices(s.Size())
	if err != nil {
		return nil, err
	}
	st := strided(s)
	coordinates(s, func(i int, at []int) {
		if src[i] = i; at[t] < int(lens.At(at[b])) {
			src[i] += (int(lens.At(at[b])) - 1 - 2*at[t]) * st[t]
		}
	})
	for _, k := range src {
		if k < 0 || k >= s.Size() {
			return nil, errors.New("a sequence is longer than its dimension")
		}
	}
	return c.one(c.take(x, src, s))
}

// compress keeps the entries that a public condition marks.
func compress(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	cond, err := n.public(1, "condition")
	if err != nil {
		return nil, err
	}
	a := 0
	if n.has("axis") {
		if a, err = n.axis("axis", 0, len(x.Type.Shape)); err != nil {
			return nil, err
		}
	} else {
		x = c.reshape(x, x.Type.Shape.Size())
	}
	var idx []int
	for i := range cond.Len() {
		if cond.At(i) != 0 {
			if i >= x.Type.Shape[a] {
				return nil, fmt.Errorf("condition marks entry %d of %d", i, x.Type.Shape[a])
			}
			idx = append(idx, i)
		}
	}
	return c.one(c.pick(x, a, idx))
}

// maxTop bounds the number of entries that TopK ranks: it compares each with each.
const maxTop = 1 << 10

// topK ranks entries by comparing each with each, in one comparison round, and picks by rank.
func topK(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	k, _, err := n.scalar(1, "k")
	if err != nil {
		return nil, err
	}
	if n.opset < 10 {
		k = float64(n.int("k", 0))
	}
	in := x.Type.Shape
	a, err := n.axis("axis", -1, len(in))
	if err != nil {
		return nil, err
	}
	size := in[a]
	if k < 0 || int(k) > size || size > maxTop {
		return nil, fmt.Errorf("k=%g of %d entries is not supported, which are at most %d", k, size, maxTop)
	}
	perm, back := toLast(len(in), a)
	xt := c.transpose(x, perm...)
	rows := in.Size() / max(1, size)
	y := c.reshape(xt, rows, size)
	key := y
	if n.int("largest", 1) == 0 {
		key = c.neg(y)
	}
	var left, right []int
	for i := range size {
		for j := i + 1; j < size; j++ {
			left, right = append(left, i), append(right, j)
		}
	}
	// rank of i: how many come before it; of equal entries the one with the lower index
	base := c.table(ir.Int, size)
	if base == nil {
		return nil, c.err
	}
	terms := make([][]int, size) // of each rank: places in the comparisons and, behind them, in their negation
	for p := range left {
		terms[left[p]] = append(terms[left[p]], p)
		terms[right[p]] = append(terms[right[p]], len(left)+p)
		base.I[right[p]]++
	}
	rank := c.expand(c.data(base, false), ir.Shape{rows, size})
	if len(left) > 0 {
		later := c.to(c.e(ir.OpLt, nil, c.pick(key, 1, left), c.pick(key, 1, right)), ir.Int)
		both := c.pick(c.concat(1, later, c.neg(later)), 1, slices.Concat(terms...))
		sum := c.reduce(ir.OpReduceSum, c.reshape(both, rows, size, size-1), 2)
		rank = c.add(c.reshape(sum, rows, size), c.data(base, false))
	}
	hot := c.e(ir.OpEq, nil, c.reshape(rank, rows, 1, size), c.reshape(c.iota(int(k)), int(k), 1)) // [rows, k, size]
	pick := func(v *ir.Value, e ir.Elem) *ir.Value {
		z := c.e(ir.OpMatMul, nil, c.to(hot, e), c.reshape(v, v.Type.Shape.Size()/max(1, size), size, 1))
		s := slices.Clone(in)
		s = append(slices.Delete(s, a, a+1), int(k))
		return c.transpose(c.reshape(z, s...), back...)
	}
	if c.err != nil {
		return nil, c.err
	}
	vals := pick(y, x.Type.Elem)
	idx := pick(c.iota(size), ir.Int)
	return []*ir.Value{vals, idx}, c.err
}

func init() {
	add("Gather", "Slices at indices; secret ones are compared with every position.", gather, version{since: 1, in: 2, max: 2, attrs: "axis:i"})
	add("GatherElements", "Elements at indices along an axis; secret ones are compared with every position.", gatherElements, version{since: 11, in: 2, max: 2, attrs: "axis:i"})
	add("GatherND", "Slices at tuples of public indices.", gatherND, version{since: 11, in: 2, max: 2}, version{since: 12, in: 2, max: 2, attrs: "batch_dims:i"})
	for _, name := range []string{"Scatter", "ScatterElements"} {
		add(name, "Updates written at public indices along an axis.", scatterElements,
			version{since: 9, in: 3, max: 3, attrs: "axis:i"}, version{since: 16, in: 3, max: 3, attrs: "axis:i reduction:s"})
	}
	add("ScatterND", "Updates written at tuples of public indices.", scatterND, version{since: 11, in: 3, max: 3}, version{since: 16, in: 3, max: 3, attrs: "reduction:s"})
	add("OneHot", "Comparison of indices with every position.", oneHot, version{since: 9, in: 3, max: 3, attrs: "axis:i"})
	add("Trilu", "Upper or lower triangle of matrices.", trilu, version{since: 14, in: 1, max: 2, attrs: "upper:i"})
	add("EyeLike", "Ones on a diagonal, zeros elsewhere.", eyeLike, version{since: 9, in: 1, max: 1, attrs: "dtype:i k:i"})
	add("CumSum", "Sums of all entries up to each along an axis.", cumSum, version{since: 11, in: 2, max: 2, attrs: "exclusive:i reverse:i"})
	add("CumProd", "Products of all entries up to each one.", cumProd, version{since: 26, in: 2, max: 2, attrs: "exclusive:i reverse:i"})
	add("ReverseSequence", "Sequences of public lengths turned around.", reverseSequence, version{since: 10, in: 2, max: 2, attrs: "batch_axis:i time_axis:i"})
	add("Compress", "Entries that a public condition marks.", compress, version{since: 9, in: 2, max: 2, attrs: "axis:i"})
	add("TopK", "The k largest or smallest entries along an axis, in order, and their indices; compares each with each.", topK,
		version{since: 1, in: 1, max: 1, attrs: "axis:i k:i!"}, version{since: 10, in: 2, max: 2, attrs: "axis:i"}, version{since: 11, in: 2, max: 2, attrs: "axis:i largest:i sorted:i"})
}
