package backend

import (
	"fmt"
	"math"

	"smpcc/backend/plan"
	"smpcc/ir"
)

// A wire is what the roles hold of one share-level value.
// Public constants: data. Additive and Xor: s. Masked and MaskedBit: the public part m, shares s of the mask, and the
// dealer's knowledge of the mask, k.
type wire struct {
	data *ir.Tensor
	m    []int // by party
	s    []int // by party; zero entries for parties whose share is zero
	k    int   // dealer's slot; meaningful for masked wires
	item int   // the random item behind a masked bit
	// arith holds additive shares of a masked bit's mask by ring width.
	arith map[int][]int
}

// lowerer turns share-level ops into steps, openings and material.
type lowerer struct {
	*builder
	mod    *ir.Module
	wires  map[*ir.Value]*wire
	bound  map[string]int // input or weight value name and scale -> manifest index
	reveal int
}

// lowerings is the protocol: how each share-level op becomes steps, openings and material. Linear ops on additive and
// XOR shares, and views, are handled alike for all rows of those kinds.
var lowerings map[ir.Op]func(l *lowerer, v *ir.Value) *wire

func init() {
	lowerings = map[ir.Op]func(l *lowerer, v *ir.Value) *wire{
		ir.OpConst:     func(l *lowerer, v *ir.Value) *wire { return &wire{data: v.Attrs.Tensor("data")} },
		ir.OpInput:     (*lowerer).input,
		ir.OpWeight:    (*lowerer).input,
		ir.OpReveal:    (*lowerer).doReveal,
		ir.OpAdd:       (*lowerer).addSub,
		ir.OpSub:       (*lowerer).addSub,
		ir.OpXor:       (*lowerer).xorOp,
		ir.OpNot:       (*lowerer).not,
		ir.OpAnd:       (*lowerer).and,
		ir.OpNeg:       (*lowerer).local,
		ir.OpShl:       (*lowerer).local,
		ir.OpReduceSum: (*lowerer).local,
		ir.OpReshape:   (*lowerer).local,
		ir.OpTranspose: (*lowerer).local,
		ir.OpSlice:     (*lowerer).local,
		ir.OpConcat:    (*lowerer).local,
		ir.OpPad:       (*lowerer).local,
		ir.OpGather:    (*lowerer).local,
		ir.OpExpand:    (*lowerer).local,
		ir.OpMul:       (*lowerer).product,
		ir.OpMatMul:    (*lowerer).product,
		ir.OpConv:      (*lowerer).product,
		ir.OpOpen:      (*lowerer).openWire,
		ir.OpOpenBit:   (*lowerer).openBit,
		ir.OpUnmask:    (*lowerer).unmask,
		ir.OpFinish:    (*lowerer).finish,
		ir.OpLtz:       (*lowerer).compare,
		ir.OpEqz:       (*lowerer).compare,
		ir.OpReluSel:   (*lowerer).reluSel,
		ir.OpReluKey:   (*lowerer).reluKey,
		ir.OpMulBit:    (*lowerer).mulBit,
		ir.OpB2A:       (*lowerer).b2a,
		ir.OpWave:      (*lowerer).wave,
		ir.OpExpo:      (*lowerer).expo,
		ir.OpWireMul:   (*lowerer).wireMul,
	}
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

// public returns a role's slot of a public constant, broadcast to shape. Constants are written offline, so that they cost
// nothing online.
func (l *lowerer) public(role int, t *ir.Tensor, to ir.Shape) int {
	w := constWords(t)
	n := to.Size()
	if len(w) == 1 || t.Shape.Size() == n && t.Shape.Equal(to) || t.Shape.Size() == n && tailEqual(t.Shape, to) {
		return l.constant(role, n, atOffline, w...)
	}
	c := l.constant(role, t.Shape.Size(), atOffline, w...)
	return l.expand(role, c, t.Shape, to)
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

// expand broadcasts a slot of shape from to shape to.
func (l *lowerer) expand(role, slot int, from, to ir.Shape) int {
	if slot == zero || from.Size() == to.Size() && tailEqual(from, to) {
		return slot
	}
	if w := l.Fill(role, slot); w != nil {
		return l.constant(role, to.Size(), atOffline, w...)
	}
	c := plan.Copy{}
	st := strides(from)
	dst := strides(to)
	for i, d := range to {
		c.Dims = append(c.Dims, int64(d))
		c.DstStrides = append(c.DstStrides, dst[i])
		j := i - (len(to) - len(from))
		if j < 0 || from[j] == 1 {
			c.SrcStrides = append(c.SrcStrides, 0)
		} else {
			c.SrcStrides = append(c.SrcStrides, st[j])
		}
	}
	return l.step(role, atSetup, to.Size(), c.Step(0, slot))
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

// each applies fn to every component of a wire that a linear map without constants acts on alike.
func (l *lowerer) each(w *wire, fn func(role, slot int) int) *wire {
	out := &wire{k: zero}
	apply := func(role, slot int) int {
		if slot == zero {
			return zero
		}
		return fn(role, slot)
	}
	if w.m != nil {
		out.m = make([]int, l.parties)
	}
	out.s = make([]int, l.parties)
	for i := range l.parties {
		if w.m != nil {
			out.m[i] = apply(i, w.m[i])
		}
		out.s[i] = apply(i, w.s[i])
	}
	if w.m != nil {
		out.k = apply(l.dealer, w.k)
	}
	return out
}

// reduce masks the public part and the dealer's mask of a derived masked wire to its width; shares may keep garbage above.
func (l *lowerer) reduce(w *wire, bits int) *wire {
	if w.m == nil || bits == 64 {
		return w
	}
	cut := func(role, slot int) int {
		if slot == zero {
			return zero
		}
		return l.op(role, plan.StepBits, l.len(role, slot), []int64{0, int64(bits)}, slot)
	}
	out := &wire{m: make([]int, l.parties), s: w.s, k: cut(l.dealer, w.k)}
	for i := range l.parties {
		out.m[i] = cut(i, w.m[i])
	}
	return out
}

// input binds an input or weight: the owner's share is the value, the others' are zero. A masked one is opened by its
// owner alone: m = x + r with r known to the owner, so that only the owner sends.
func (l *lowerer) input(v *ir.Value) *wire {
	owner := l.party(v.Attrs.Str("owner"))
	weight := v.Op == ir.OpWeight
	scope, when, what := plan.Session, atOnline, "mask of input "
	if weight {
		scope, when, what = plan.Model, atSetup, "mask of weight "
	}
	n := size(v)
	idx := l.bound[boundKey(v)]
	x := l.step(owner, when, n, plan.Step{Op: plan.StepInput, Args: []int64{int64(idx)}})
	w := &wire{s: make([]int, l.parties), k: zero}
	for i := range w.s {
		w.s[i] = zero
	}
	if v.Type.Form != ir.Masked {
		w.s[owner] = x
		return w
	}
	r := l.random(scope, plan.Add, n, v.Type.Bits, owner, what+v.Attrs.Str("name"))
	src := l.op(owner, plan.StepAdd, n, nil, x, r.s[owner])
	o := plan.Open{Mode: plan.Add, Len: n, Bits: v.Type.Bits, From: []int{owner}, To: l.everyone(), Item: r.item + 1, Kind: plan.OpenWire}
	m := l.open(o, map[int]int{owner: src})
	return &wire{m: m[:l.parties], s: r.s[:l.parties], k: r.s[l.dealer]}
}

func (l *lowerer) party(name string) int {
	for i, p := range l.mod.Parties {
		if p == name {
			return i
		}
	}
	ir.Bug("unknown party %q", name)
	return 0
}

// doReveal sends shares, re-randomised by shares of zero, to the receivers.
func (l *lowerer) doReveal(v *ir.Value) *wire {
	x := v.Args[0]
	n, bits, mode := size(x), x.Type.Bits, plan.Add
	if x.Type.Elem == ir.Bool {
		bits, mode = 1, plan.Xor
	}
	w := l.wires[x]
	src := map[int]int{}
	if w.data != nil { // a public constant: party 0's share is the constant
		w = &wire{s: make([]int, l.parties)}
		for i := range w.s {
			w.s[i] = zero
		}
		w.s[0] = l.public(0, l.wires[x].data, x.Type.Shape)
	}
	nothing := l.step(l.dealer, atOffline, n, plan.Step{Op: plan.StepZero})
	z := l.deal(mode, n, bits, nothing, "zero shares of output "+v.Attrs.Str("name"))
	for i := range l.parties {
		if mode == plan.Xor {
			src[i] = l.xor(i, w.s[i], z[i])
		} else {
			src[i] = l.sum(i, w.s[i], z[i])
		}
	}
	item := len(l.plan.Items) - 1
	l.plan.Manifest.Outputs[l.reveal].Item = item
	l.reveal++
	var to []int
	for i, p := range l.mod.Parties {
		for _, q := range v.Attrs.Strings("to") {
			if p == q {
				to = append(to, i)
			}
		}
	}
	l.open(plan.Open{Mode: mode, Len: n, Bits: bits, From: l.everyone(), To: to, Item: item + 1, Kind: plan.Reveal}, src)
	return w
}

// addSub adds or subtracts wires of one form, or a wire and a public constant that party 0 adds.
func (l *lowerer) addSub(v *ir.Value) *wire {
	combine := l.sum
	if v.Op == ir.OpSub {
		combine = l.diff
	}
	x, y := l.wires[v.Args[0]], l.wires[v.Args[1]]
	xs, ys, to := v.Args[0].Type.Shape, v.Args[1].Type.Shape, v.Type.Shape
	out := &wire{s: make([]int, l.parties), k: zero}
	masked := v.Type.Form == ir.Masked
	if masked {
		out.m = make([]int, l.parties)
	}
	for i := range l.parties {
		a, b := zero, zero
		if x.data == nil {
			a = l.expand(i, x.s[i], xs, to)
		} else if !masked && i == 0 {
			a = l.public(i, x.data, to)
		}
		if y.data == nil {
			b = l.expand(i, y.s[i], ys, to)
		} else if !masked && i == 0 {
			b = l.public(i, y.data, to)
		}
		out.s[i] = combine(i, a, b)
		if masked {
			a, b = zero, zero
			if x.data == nil {
				a = l.expand(i, x.m[i], xs, to)
			} else {
				a = l.public(i, x.data, to)
			}
			if y.data == nil {
				b = l.expand(i, y.m[i], ys, to)
			} else {
				b = l.public(i, y.data, to)
			}
			out.m[i] = combine(i, a, b)
		}
	}
	if masked {
		a, b := zero, zero
		if x.data == nil {
			a = l.expand(l.dealer, x.k, xs, to)
		}
		if y.data == nil {
			b = l.expand(l.dealer, y.k, ys, to)
		}
		out.k = combine(l.dealer, a, b)
		return l.reduce(out, v.Type.Bits)
	}
	return out
}

// xorOp combines XOR shares, or XOR shares and public bits that party 0 adds.
func (l *lowerer) xorOp(v *ir.Value) *wire {
	x, y := l.wires[v.Args[0]], l.wires[v.Args[1]]
	out := &wire{s: make([]int, l.parties)}
	for i := range l.parties {
		part := func(w *wire, s ir.Shape) int {
			if w.data == nil {
				return l.expand(i, w.s[i], s, v.Type.Shape)
			}
			if i == 0 {
				return l.public(0, w.data, v.Type.Shape)
			}
			return zero
		}
		out.s[i] = l.xor(i, part(x, v.Args[0].Type.Shape), part(y, v.Args[1].Type.Shape))
	}
	return out
}

// not flips party 0's share.
func (l *lowerer) not(v *ir.Value) *wire {
	x := l.wires[v.Args[0]]
	out := &wire{s: append([]int{}, x.s...)}
	out.s[0] = l.xor(0, x.s[0], l.constant(0, size(v), atOffline, 1))
	return out
}

// and multiplies two masked bits with the merge of a two-bit equality group, or a shared bit by a public one locally.
func (l *lowerer) and(v *ir.Value) *wire {
	x, y := l.wires[v.Args[0]], l.wires[v.Args[1]]
	to, n := v.Type.Shape, size(v)
	if x.data != nil || y.data != nil {
		xs := v.Args[0].Type.Shape
		if x.data != nil {
			x, y, xs = y, x, v.Args[1].Type.Shape
		}
		out := &wire{s: make([]int, l.parties)}
		for i := range l.parties {
			out.s[i] = zero
			if s := l.expand(i, x.s[i], xs, to); s != zero {
				out.s[i] = l.op(i, plan.StepAnd, n, nil, s, l.public(i, y.data, to))
			}
		}
		return out
	}
	// D = d0 | d1 << 1 and masks a = a0 | a1 << 1
	join := func(role, a, b int) int {
		a, b = l.expand(role, a, v.Args[0].Type.Shape, to), l.expand(role, b, v.Args[1].Type.Shape, to)
		return l.op(role, plan.StepXor, n, nil, a, l.op(role, plan.StepShl, n, []int64{1}, b))
	}
	mono := l.deal(plan.Xor, n, plan.MonoBits(2, plan.KindEq, 0), l.step(l.dealer, atOffline, n,
		plan.Step{Op: plan.StepMono, Src: []int{join(l.dealer, x.k, y.k)}, Args: []int64{2, plan.KindEq, 0}}), "product of masked bits")
	out := &wire{s: make([]int, l.parties)}
	for i := range l.parties {
		d, a := join(i, x.m[i], y.m[i]), join(i, x.s[i], y.s[i])
		r := l.op(i, plan.StepMerge, n, []int64{2, plan.KindEq, first(i)}, d, a, mono[i])
		out.s[i] = l.op(i, plan.StepBits, n, []int64{1, 1}, r)
	}
	return out
}

// openWire opens x/2^drop + r: TruncOpen's first message, or a plain masked opening for drop 0.
func (l *lowerer) openWire(v *ir.Value) *wire {
	x := l.wires[v.Args[0]]
	drop, bits, n := v.Attrs.Int("drop", 0), v.Type.Bits, size(v)
	r := l.random(plan.Session, plan.Add, n, bits, -1, "mask of "+v.String())
	src := map[int]int{}
	holders := int64(0) // of shares that are not zero: what they drop is up to a unit less for each beyond the first
	for i := range l.parties {
		if x.s[i] != zero {
			holders++
		}
	}
	for i := range l.parties {
		z := x.s[i]
		if drop > 0 && z != zero {
			add := max(holders-1, 0) << drop
			holders = 0 // the first makes up for all
			z = l.op(i, plan.StepDrop, n, []int64{int64(bits + drop), int64(drop), add}, l.real(i, z, n, atOffline))
		}
		src[i] = l.sum(i, z, r.s[i])
	}
	m := l.open(plan.Open{Mode: plan.Add, Len: n, Bits: bits, From: l.everyone(), To: l.everyone(), Item: r.item + 1, Kind: plan.OpenWire}, src)
	return &wire{m: m[:l.parties], s: r.s[:l.parties], k: r.s[l.dealer]}
}

// openBit opens b XOR s.
func (l *lowerer) openBit(v *ir.Value) *wire {
	x := l.wires[v.Args[0]]
	n := size(v)
	r := l.random(plan.Session, plan.Xor, n, 1, -1, "mask of bit "+v.String())
	src := map[int]int{}
	for i := range l.parties {
		src[i] = l.xor(i, x.s[i], r.s[i])
	}
	m := l.open(plan.Open{Mode: plan.Xor, Len: n, Bits: 1, From: l.everyone(), To: l.everyone(), Item: r.item + 1, Kind: plan.OpenBits}, src)
	return &wire{m: m[:l.parties], s: r.s[:l.parties], k: r.s[l.dealer], item: r.item, arith: map[int][]int{}}
}

// unmask: party 0 holds m - [r], the others -[r].
func (l *lowerer) unmask(v *ir.Value) *wire {
	x := l.wires[v.Args[0]]
	out := &wire{s: make([]int, l.parties)}
	for i := range l.parties {
		if i == 0 {
			out.s[i] = l.diff(i, x.m[i], x.s[i])
		} else {
			out.s[i] = zero
			if x.s[i] != zero {
				out.s[i] = l.diff(i, zero, x.s[i])
			}
		}
	}
	return out
}

// unwrapped returns additive shares of the two integer readings of a wire's mask: R0 = r - 2^N top(r), R1 = r.
func (l *lowerer) unwrapped(v *ir.Value, bits int) (r0, r1 []int, d0, d1 int) {
	w, N, n := l.wires[v], v.Type.Bits, size(v)
	d1 = w.k
	d0 = l.memoDealer("unwrap", v, func() int { return l.op(l.dealer, plan.StepUnwrap, n, []int64{int64(N)}, d1) })
	r0 = l.once(memoKey{"R0", v, bits}, func() []int { return l.deal(plan.Add, n, bits, d0, "wrapped mask") })
	r1 = l.once(memoKey{"R1", v, bits}, func() []int { return l.deal(plan.Add, n, bits, d1, "unwrapped mask") })
	return
}

// once makes shared material for a key and remembers it.
func (l *lowerer) once(k memoKey, make func() []int) []int {
	if s, ok := l.memo[k]; ok {
		return s
	}
	s := make()
	l.memo[k] = s
	return s
}

func (l *lowerer) memoDealer(what string, v *ir.Value, make func() int) int {
	return l.once(memoKey{what, v, 0}, func() []int { return []int{make()} })[0]
}

// finish ends TruncOpen: the shifted value's top bit is clear, so the wrap is (not top m) and (top r).
func (l *lowerer) finish(v *ir.Value) *wire {
	x := v.Args[0]
	w, n := l.wires[x], size(v)
	r0, r1, _, _ := l.unwrapped(x, v.Type.Bits)
	out := &wire{s: make([]int, l.parties)}
	for i := range l.parties {
		out.s[i] = l.op(i, plan.StepFinish, n, []int64{int64(x.Type.Bits), first(i)}, w.m[i], r0[i], r1[i])
	}
	return out
}

// arithBit returns additive shares of the mask of an opened bit.
func (l *lowerer) arithBit(d *ir.Value, bits int) []int {
	w := l.wires[d]
	if s, ok := w.arith[bits]; ok {
		return s
	}
	s := l.deal(plan.Add, size(d), bits, w.k, "mask of bit as a number")
	w.arith[bits] = s
	return s
}

// bitOperands returns, broadcast to v's shape, delta and the shares of s of the masked bit d.
func (l *lowerer) bitOperands(v, d *ir.Value, bits int) (delta, s []int, k int) {
	from, to := d.Type.Shape, v.Type.Shape
	a := l.arithBit(d, bits)
	w := l.wires[d]
	delta, s = make([]int, l.parties), make([]int, l.parties)
	for i := range l.parties {
		delta[i] = l.expand(i, w.m[i], from, to)
		s[i] = l.expand(i, a[i], from, to)
	}
	return delta, s, l.expand(l.dealer, w.k, from, to)
}

// reluSel selects max(x, 0) with the opened bit, reading the mask as R0 or R1 by the top bit of m.
func (l *lowerer) reluSel(v *ir.Value) *wire {
	x, d := v.Args[0], v.Args[1]
	w, n, bits := l.wires[x], size(v), v.Type.Bits
	delta, s, k := l.bitOperands(v, d, bits)
	r0, r1, d0, d1 := l.unwrapped(x, bits)
	sr0 := l.deal(plan.Add, n, bits, l.op(l.dealer, plan.StepMul, n, nil, k, d0), "bit times wrapped mask")
	sr1 := l.deal(plan.Add, n, bits, l.op(l.dealer, plan.StepMul, n, nil, k, d1), "bit times unwrapped mask")
	out := &wire{s: make([]int, l.parties)}
	for i := range l.parties {
		out.s[i] = l.op(i, plan.StepReluSel, n, []int64{int64(x.Type.Bits), first(i)}, w.m[i], delta[i], s[i], r0[i], r1[i], sr0[i], sr1[i])
	}
	return out
}

// mulBit multiplies a masked wire by an opened bit, mod 2^width of the wire.
func (l *lowerer) mulBit(v *ir.Value) *wire {
	x, d := v.Args[0], v.Args[1]
	w, n, bits := l.wires[x], size(v), v.Type.Bits
	from, to := x.Type.Shape, v.Type.Shape
	delta, s, k := l.bitOperands(v, d, bits)
	r := l.expand(l.dealer, w.k, from, to)
	sr := l.deal(plan.Add, n, bits, l.op(l.dealer, plan.StepMul, n, nil, k, r), "bit times mask")
	out := &wire{s: make([]int, l.parties)}
	for i := range l.parties {
		share := l.real(i, l.expand(i, w.s[i], from, to), n, atOffline)
		out.s[i] = l.op(i, plan.StepMulBit, n, []int64{first(i)}, l.expand(i, w.m[i], from, to), delta[i], s[i], share, sr[i])
	}
	return out
}

// wireMul multiplies two masked wires without opening them in the ring's width: a wire narrower than the ring is read as the
// number P - R_t, P and t public, so that the product needs R0 and R1 of each such factor and their products as material.
func (l *lowerer) wireMul(v *ir.Value) *wire {
	n, bits := size(v), v.Type.Bits
	type side struct {
		m    []int
		r    [2][]int // by reading, by party
		k    [2]int   // the dealer's
		bits int64    // 0: as wide as the ring
	}
	read := func(x *ir.Value) (s side) {
		w := l.wires[x]
		s.m = w.m
		if x.Type.Bits < bits {
			s.bits = int64(x.Type.Bits)
			s.r[0], s.r[1], s.k[0], s.k[1] = l.unwrapped(x, bits)
			return s
		}
		share := make([]int, l.parties)
		for i := range share {
			share[i] = l.real(i, w.s[i], n, atOffline)
		}
		return side{w.m, [2][]int{share, share}, [2]int{w.k, w.k}, 0}
	}
	x, y := read(v.Args[0]), read(v.Args[1])
	square := v.Args[0] == v.Args[1]
	var k [2][2][]int
	for i := range 2 {
		for j := range 2 {
			switch {
			case square && i != j: // never chosen
			case i == 1 && x.bits == 0:
				k[1][j] = k[0][j]
			case j == 1 && y.bits == 0:
				k[i][1] = k[i][0]
			default:
				k[i][j] = l.deal(plan.Add, n, bits, l.op(l.dealer, plan.StepMul, n, nil, x.k[i], y.k[j]), "product of wires' masks")
			}
		}
	}
	if square {
		k[0][1], k[1][0] = k[0][0], k[1][1]
		if x.bits == 0 {
			k[1][0], k[1][1] = k[0][0], k[0][0]
		}
	}
	out := &wire{s: make([]int, l.parties)}
	for i := range l.parties {
		out.s[i] = l.op(i, plan.StepWireMul, n, []int64{x.bits, y.bits, first(i)}, x.m[i], x.r[0][i], x.r[1][i], y.m[i], y.r[0][i], y.r[1][i],
			k[0][0][i], k[0][1][i], k[1][0][i], k[1][1][i])
	}
	return out
}

// wave computes a sum of waves of a masked wire: with t = 2 pi/2^bits, a*cos(kt(m - r)) + b*sin(kt(m - r)) = cos(ktm)*(a*cos(ktr) - b*sin(ktr))
// + sin(ktm)*(a*sin(ktr) + b*cos(ktr)), and the factors with r are material. The period is a power of two, so that a mask that
// wraps around makes no difference.
func (l *lowerer) wave(v *ir.Value) *wire {
	x, data, frac := v.Args[0], v.Attrs.Tensor("data"), v.Attrs.Int("frac", 0)
	w, n, bits := l.wires[x], size(v), v.Type.Bits
	period := int64(v.Attrs.Int("period", 0) + x.Type.Scale)
	out := &wire{s: make([]int, l.parties)}
	for i := range out.s {
		out.s[i] = zero
	}
	for row := range data.Shape[0] {
		k := int64(data.At(3 * row))
		fixed := func(i int) int64 { return int64(math.Round(math.Ldexp(data.At(3*row+i), frac))) }
		a, b := fixed(1), fixed(2)
		phase := func(a, b int64) []int {
			return l.deal(plan.Add, n, bits, l.op(l.dealer, plan.StepPhase, n, []int64{period, k, a, b}, w.k), "wave of mask")
		}
		u, s := phase(a, -b), phase(b, a)
		for i := range l.parties {
			out.s[i] = l.sum(i, out.s[i], l.op(i, plan.StepWave, n, []int64{period, k, int64(frac)}, w.m[i], u[i], s[i]))
		}
	}
	return out
}

// expo computes an exponential of a masked wire as the product of that of the public part, which is a number, and that of the mask,
// which is material, for both readings of the mask. The first has as many fraction bits as the second may be large.
func (l *lowerer) expo(v *ir.Value) *wire {
	x, frac := v.Args[0], v.Attrs.Int("frac", 0)
	w, n, bits := l.wires[x], size(v), v.Type.Bits
	rate, reach := v.Attrs.Float("rate", 0), v.Attrs.Int("reach", 0)
	N := int64(reach + 1 + x.Type.Scale)
	perUnit := int64(math.Round(math.Ldexp(rate, 48-x.Type.Scale)))
	span := math.Ldexp(rate, reach)
	gain := int64(math.Round(math.Ldexp(math.Exp(span+span/2+v.Attrs.Float("offset", 0)), frac)))
	var g [2][]int
	for t := range g {
		g[t] = l.deal(plan.Add, n, bits, l.op(l.dealer, plan.StepDecay, n, []int64{N, int64(t), perUnit, gain}, w.k), "exponential of mask")
	}
	out := &wire{s: make([]int, l.parties)}
	for i := range l.parties {
		out.s[i] = l.op(i, plan.StepExpo, n, []int64{N, perUnit, int64(frac + ir.ExpoSpan(span))}, w.m[i], g[0][i], g[1][i])
	}
	return out
}

// b2a turns an opened bit into additive shares.
func (l *lowerer) b2a(v *ir.Value) *wire {
	d := v.Args[0]
	w, a := l.wires[d], l.arithBit(d, v.Type.Bits)
	out := &wire{s: make([]int, l.parties)}
	for i := range l.parties {
		out.s[i] = l.op(i, plan.StepB2A, size(v), []int64{first(i)}, w.m[i], a[i])
	}
	return out
}

// boundKey names an input or weight binding: a weight may be bound at two scales.
func boundKey(v *ir.Value) string {
	return fmt.Sprintf("%s %s %d", v.Op, v.Attrs.Str("name"), v.Type.Scale)
}
