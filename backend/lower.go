package backend

import (
	"fmt"
	"math"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/ir"
)

// writer lowers share-level ops to the typed program.
type writer struct {
	*typed.Program
	node    int
	nodes   map[string]int
	bound   map[string]int    // input or weight value name and scale -> manifest index
	of      map[*ir.Value]int // the value that each op became
	reveals int64
	checks  int64 // of ranges, written so far: each has subsets of its own
}

// writings says how each share-level op becomes rows of the typed plan.
var writings map[ir.Op]func(w *writer, v *ir.Value) int

func init() {
	writings = map[ir.Op]func(w *writer, v *ir.Value) int{
		ir.OpConst:     func(w *writer, v *ir.Value) int { return w.words(v.Attrs.Tensor("data")) },
		ir.OpInput:     (*writer).input,
		ir.OpWeight:    (*writer).input,
		ir.OpReveal:    (*writer).reveal,
		ir.OpAdd:       pairwise(typed.OpAdd),
		ir.OpSub:       pairwise(typed.OpSub),
		ir.OpXor:       pairwise(typed.OpXor),
		ir.OpAnd:       pairwise(typed.OpAnd),
		ir.OpNot:       (*writer).not,
		ir.OpNeg:       func(w *writer, v *ir.Value) int { return w.row(typed.OpNeg, w.args(v)) },
		ir.OpShl:       func(w *writer, v *ir.Value) int { return w.row(typed.OpShl, w.args(v), int64(v.Attrs.Int("by", 0))) },
		ir.OpReduceSum: (*writer).sum,
		ir.OpReshape:   func(w *writer, v *ir.Value) int { return w.row(typed.OpReshape, w.args(v)) },
		ir.OpTranspose: (*writer).transpose,
		ir.OpSlice:     (*writer).slice,
		ir.OpConcat:    (*writer).concat,
		ir.OpPad:       (*writer).pad,
		ir.OpGather:    (*writer).gather,
		ir.OpExpand:    (*writer).expand,
		ir.OpMul:       (*writer).mul,
		ir.OpMatMul:    (*writer).matMul,
		ir.OpConv:      (*writer).conv,
		ir.OpOpen:      (*writer).open,
		ir.OpOpenBit:   func(w *writer, v *ir.Value) int { return w.row(typed.OpOpen, w.args(v), 1) },
		ir.OpUnmask:    inRing(typed.OpUnmask),
		ir.OpFinish:    inRing(typed.OpWiden),
		ir.OpLtz:       (*writer).compare,
		ir.OpEqz:       (*writer).compare,
		ir.OpReluSel:   choosing(typed.OpSelect),
		ir.OpReluKey:   inRing(typed.OpKeyRelu),
		ir.OpMulBit:    choosing(typed.OpMulBit),
		ir.OpB2A:       inRing(typed.OpNumber),
		ir.OpWave:      (*writer).wave,
		ir.OpExpo:      (*writer).expo,
		ir.OpWireMul:   inRing(typed.OpWireMul),
		ir.OpWraps:     (*writer).wrap,
		ir.OpExtend:    inRing(typed.OpExtend),
		ir.OpLow:       inRing(typed.OpLow),
		ir.OpIntact:    (*writer).intact,
	}
}

// at sets the position that following steps refer to.
func (w *writer) at(pos string) {
	n, ok := w.nodes[pos]
	if !ok {
		n = len(w.Nodes)
		w.nodes[pos] = n
		w.Nodes = append(w.Nodes, pos)
	}
	w.node = n
}

// step appends a step and returns its value.
func (w *writer) step(s typed.Step) int {
	s.Node = w.node
	w.Steps = append(w.Steps, s)
	return len(w.Steps) - 1
}

// row appends a step without data.
func (w *writer) row(op typed.Op, src []int, args ...int64) int {
	return w.step(typed.Step{Op: op, Src: src, Args: args})
}

// args returns the values of the arguments.
func (w *writer) args(v *ir.Value) []int {
	var out []int
	for _, a := range v.Args {
		out = append(out, w.of[a])
	}
	return out
}

// words writes a constant.
func (w *writer) words(t *ir.Tensor) int {
	return w.step(typed.Step{Op: typed.OpConst, Args: []int64{int64(t.Shape.Size())}, Data: constWords(t)})
}

// inRing writes a row that takes all arguments and the bits of its result.
func inRing(op typed.Op) func(w *writer, v *ir.Value) int {
	return func(w *writer, v *ir.Value) int { return w.row(op, w.args(v), int64(v.Type.Bits)) }
}

// pairwise writes a row of two operands of one length, constants last where either order will do.
func pairwise(op typed.Op) func(w *writer, v *ir.Value) int {
	return func(w *writer, v *ir.Value) int {
		x, y := v.Args[0], v.Args[1]
		if (op == typed.OpXor || op == typed.OpAnd) && x.Type.Vis.IsPublic() {
			x, y = y, x
		}
		to := v.Type.Shape
		return w.row(op, []int{w.spread(w.of[x], x.Type.Shape, to), w.spread(w.of[y], y.Type.Shape, to)})
	}
}

// choosing writes a row of a value and a bit that chooses it.
func choosing(op typed.Op) func(w *writer, v *ir.Value) int {
	return func(w *writer, v *ir.Value) int {
		x, d := v.Args[0], v.Args[1]
		to := v.Type.Shape
		return w.row(op, []int{w.spread(w.of[x], x.Type.Shape, to), w.spread(w.of[d], d.Type.Shape, to)}, int64(v.Type.Bits))
	}
}

// dims returns a shape as arguments.
func dims(s ir.Shape) []int64 {
	out := make([]int64, len(s))
	for i, d := range s {
		out[i] = int64(d)
	}
	return out
}

// spreadStrides returns the strides with which a tensor is read over a shape that it is broadcast to.
func spreadStrides(from, to ir.Shape) []int64 {
	st, out := strides(from), make([]int64, len(to))
	for i := range to {
		if j := i - (len(to) - len(from)); j >= 0 && from[j] != 1 {
			out[i] = st[j]
		}
	}
	return out
}

// view writes a view.
func (w *writer) view(x int, to ir.Shape, src int64, strides []int64) int {
	args := append([]int64{int64(len(to))}, dims(to)...)
	return w.row(typed.OpView, []int{x}, append(append(args, src), strides...)...)
}

// spread broadcasts a value.
func (w *writer) spread(x int, from, to ir.Shape) int {
	if from.Size() == to.Size() && tailEqual(from, to) {
		return x
	}
	return w.view(x, to, 0, spreadStrides(from, to))
}

func (w *writer) expand(v *ir.Value) int {
	x, from := w.of[v.Args[0]], v.Args[0].Type.Shape
	if s := w.spread(x, from, v.Type.Shape); s != x {
		return s
	}
	return w.row(typed.OpReshape, []int{x})
}

func (w *writer) input(v *ir.Value) int {
	if ir.OfGuest(v) {
		return w.row(typed.OpReceive, nil, int64(w.bound[boundKey(v)]))
	}
	x := w.row(typed.OpInput, nil, int64(w.bound[boundKey(v)]))
	switch v.Type.Form {
	case ir.Masked:
		return w.row(typed.OpShare, []int{x})
	case ir.Xor:
		return w.row(typed.OpHold, []int{x}, 1, 1)
	}
	return w.row(typed.OpHold, []int{x}, int64(v.Type.Bits), 0)
}

func (w *writer) reveal(v *ir.Value) int {
	x := w.of[v.Args[0]]
	if t := v.Args[0].Type; t.Vis.IsPublic() {
		if t.Elem == ir.Bool {
			x = w.row(typed.OpHold, []int{x}, 1, 1)
		} else {
			x = w.row(typed.OpHold, []int{x}, int64(t.Bits), 0)
		}
	}
	w.reveals++
	return w.row(typed.OpReveal, []int{x}, w.reveals-1)
}

func (w *writer) not(v *ir.Value) int {
	one := w.step(typed.Step{Op: typed.OpConst, Args: []int64{int64(size(v))}, Data: []uint64{1}})
	return w.row(typed.OpXor, []int{w.of[v.Args[0]], one})
}

func (w *writer) sum(v *ir.Value) int {
	shape := append(ir.Shape{}, v.Args[0].Type.Shape...)
	axes, err := ir.NormAxes(v.Attrs.Ints("axes"), len(shape))
	if err != nil {
		ir.Bug("reduce_sum: %v", err)
	}
	x := w.of[v.Args[0]]
	for _, a := range axes { // one axis at a time; each becomes 1
		x = w.row(typed.OpSum, []int{x}, int64(shape[:a].Size()), int64(shape[a]), int64(shape[a+1:].Size()))
		shape[a] = 1
	}
	return x
}

func (w *writer) transpose(v *ir.Value) int {
	in, st := strides(v.Args[0].Type.Shape), []int64{}
	for _, p := range v.Attrs.Ints("perm") {
		st = append(st, in[p])
	}
	return w.view(w.of[v.Args[0]], v.Type.Shape, 0, st)
}

func (w *writer) slice(v *ir.Value) int {
	starts, steps, _, err := ir.SliceDims(v)
	if err != nil {
		ir.Bug("slice: %v", err)
	}
	in, st, src := strides(v.Args[0].Type.Shape), []int64{}, int64(0)
	for i := range v.Type.Shape {
		st = append(st, in[i]*int64(steps[i]))
		src += in[i] * int64(starts[i])
	}
	if size(v) == 0 {
		src = 0
	}
	return w.view(w.of[v.Args[0]], v.Type.Shape, src, st)
}

func (w *writer) concat(v *ir.Value) int {
	return w.row(typed.OpJoin, w.args(v), int64(max(1, v.Type.Shape[:v.Attrs.Int("axis", 0)].Size())))
}

func (w *writer) pad(v *ir.Value) int {
	in, st, dst := v.Args[0].Type.Shape, strides(v.Type.Shape), int64(0)
	for i, p := range v.Attrs.Ints("pads")[:len(in)] {
		dst += st[i] * int64(p)
	}
	if in.Size() == 0 {
		dst = 0
	}
	args := append([]int64{int64(size(v)), int64(len(in))}, dims(in)...)
	return w.row(typed.OpPad, w.args(v), append(append(args, dst), st...)...)
}

func (w *writer) gather(v *ir.Value) int {
	in, axis := v.Args[0].Type.Shape, v.Attrs.Int("axis", 0)
	var indices []uint64
	for _, i := range v.Attrs.Ints("indices") {
		indices = append(indices, uint64(i))
	}
	return w.step(typed.Step{Op: typed.OpGather, Src: w.args(v), Args: []int64{int64(in[:axis].Size()), int64(in[axis]), int64(in[axis+1:].Size())}, Data: indices})
}

func (w *writer) mul(v *ir.Value) int {
	to := v.Type.Shape
	args := append([]int64{int64(len(to))}, dims(to)...)
	for _, a := range v.Args {
		args = append(args, spreadStrides(a.Type.Shape, to)...)
	}
	return w.row(typed.OpMul, w.args(v), args...)
}

func (w *writer) matMul(v *ir.Value) int {
	x, y, to := v.Args[0].Type.Shape, v.Args[1].Type.Shape, v.Type.Shape
	rx, ry := len(x), len(y)
	batch := to[:len(to)-2]
	args := []int64{int64(x[rx-2]), int64(x[rx-1]), int64(y[ry-1]), int64(len(batch))}
	args = append(append(args, dims(batch)...), spreadStrides(x[:rx-2], batch)...)
	return w.row(typed.OpMatMul, w.args(v), append(args, spreadStrides(y[:ry-2], batch)...)...)
}

func (w *writer) conv(v *ir.Value) int {
	g, err := ir.ConvWindow(v)
	if err != nil {
		ir.Bug("conv: %v", err)
	}
	var args []int64
	for _, d := range []int{g.N, g.C, g.H, g.W, g.OC, g.OH, g.OW, g.KH, g.KW, g.SH, g.SW, g.PT, g.PL, g.DH, g.DW, g.Group} {
		args = append(args, int64(d))
	}
	return w.row(typed.OpConv, w.args(v), args...)
}

func (w *writer) open(v *ir.Value) int {
	if drop := v.Attrs.Int("drop", 0); drop > 0 {
		return w.row(typed.OpShiftOpen, w.args(v), int64(drop), int64(v.Type.Bits))
	}
	return w.row(typed.OpOpen, w.args(v), int64(v.Type.Bits))
}

// compare writes the comparison of a wire with its mask, by chunks in one level or two or by keys, and what follows from it.
func (w *writer) compare(v *ir.Value) int {
	src := w.parts(v)
	if v.Op == ir.OpEqz {
		return w.row(typed.OpIsZero, src[1:])
	}
	return w.row(typed.OpMSB, src)
}

// wrap writes the comparison of all bits of a wire with its mask, and opens it.
func (w *writer) wrap(v *ir.Value) int { return w.row(typed.OpWrap, w.parts(v)[1:]) }

// parts returns the wire that is compared and, if that has more than one bit, the comparison.
func (w *writer) parts(v *ir.Value) []int {
	x := w.of[v.Args[0]]
	kind, bits := compared(v)
	src := []int{x}
	switch {
	case bits > 0 && byDPF(v):
		src = append(src, w.row(typed.OpKeyCompare, []int{x}, int64(bits), int64(kind)))
	case bits > 0:
		chunk, groups := grouping(kind, bits, size(v))
		var results []int
		for _, g := range groups {
			leaf := w.row(typed.OpLeaf, []int{x}, int64(bits), int64(chunk), int64(g.from), int64(g.k), int64(g.kind))
			results = append(results, w.merge(leaf))
		}
		if len(groups) > 1 {
			results = []int{w.merge(w.row(typed.OpGroup, results, int64(kind)))}
		}
		src = append(src, results[0])
	}
	return src
}

// merge opens comparisons and merges them.
func (w *writer) merge(part int) int {
	return w.row(typed.OpMerge, []int{w.row(typed.OpCover, []int{part})})
}

// intact writes the checks of wires' ranges: parities of the elements outside, over subsets that are others for each wire, and the AND of their complements in
// two levels.
func (w *writer) intact(v *ir.Value) int {
	sum := -1
	for _, a := range v.Args {
		odd := w.row(typed.OpValid, []int{w.of[a]}, w.checks)
		w.checks++
		if sum >= 0 {
			odd = w.row(typed.OpXor, []int{sum, odd})
		}
		sum = odd
	}
	one := w.step(typed.Step{Op: typed.OpConst, Args: []int64{plan.ValidSets}, Data: []uint64{1}})
	even := w.row(typed.OpXor, []int{sum, one})
	for range 2 {
		even = w.row(typed.OpAll, []int{w.row(typed.OpOpen, []int{even}, 1)}, plan.ValidRow)
	}
	return even
}

// wave writes a sum of waves, one row for each.
func (w *writer) wave(v *ir.Value) int {
	x, data, frac := v.Args[0], v.Attrs.Tensor("data"), v.Attrs.Int("frac", 0)
	period := int64(v.Attrs.Int("period", 0) + x.Type.Scale)
	sum := 0
	for row := range data.Shape[0] {
		fixed := func(i int) int64 { return int64(math.Round(math.Ldexp(data.At(3*row+i), frac))) }
		z := w.row(typed.OpWave, w.args(v), period, int64(data.At(3*row)), fixed(1), fixed(2), int64(frac), int64(v.Type.Bits))
		if row == 0 {
			sum = z
			continue
		}
		sum = w.row(typed.OpAdd, []int{sum, z})
	}
	return sum
}

func (w *writer) expo(v *ir.Value) int {
	x, frac := v.Args[0], v.Attrs.Int("frac", 0)
	rate, reach := v.Attrs.Float("rate", 0), v.Attrs.Int("reach", 0)
	perUnit := int64(math.Round(math.Ldexp(rate, 48-x.Type.Scale)))
	span := math.Ldexp(rate, reach)
	gain := int64(math.Round(math.Ldexp(math.Exp(span+span/2+v.Attrs.Float("offset", 0)), frac)))
	return w.row(typed.OpExpo, w.args(v), int64(reach+1+x.Type.Scale), perUnit, gain, int64(frac+ir.ExpoSpan(span)), int64(v.Type.Bits))
}

func size(v *ir.Value) int { return v.Type.Shape.Size() }

// constWords returns a public tensor as ring words.
func constWords(t *ir.Tensor) []uint64 {
	out := make([]uint64, len(t.I))
	same := true
	for i, x := range t.I {
		out[i] = uint64(x)
		same = same && x == t.I[0]
	}
	if same && len(out) > 1 {
		out = out[:1]
	}
	return out
}

// tailEqual reports whether a and b differ only in leading ones.
func tailEqual(a, b ir.Shape) bool {
	for len(a) > 0 && a[0] == 1 {
		a = a[1:]
	}
	for len(b) > 0 && b[0] == 1 {
		b = b[1:]
	}
	return a.Equal(b)
}

// strides returns row-major strides.
func strides(s ir.Shape) []int64 {
	out := make([]int64, len(s))
	n := int64(1)
	for i := len(s) - 1; i >= 0; i-- {
		out[i] = n
		n *= int64(s[i])
	}
	return out
}

// boundKey names an input or weight binding: a weight may be bound at two scales.
func boundKey(v *ir.Value) string {
	return fmt.Sprintf("%s %s %d", v.Op, v.Attrs.Str("name"), v.Type.Scale)
}
