package typed

import (
	"errors"
	"fmt"

	"smpcc/backend/plan"
	"smpcc/backend/plan/program"
)

// Linear rows act alike on shares, on public parts and on masks: the mask of the result is the same map of the operands' masks.

// linearKinds are the kinds that linear rows take, beside constants in some.
var linearKinds = kinds(Shared, Opened)

// linear returns the type of a linear map of the operands that are no constants: as they are, in the least of their widths.
func linear(s *Site) (Type, error) {
	out, found := Type{Bits: 64}, false
	for i, t := range s.T {
		switch {
		case t.Kind == Const:
			continue
		case found && (t.Kind != out.Kind || t.Mode != out.Mode):
			return out, fmt.Errorf("operand %d is %v, others %v", i, t, out.Kind)
		}
		out.Kind, out.Mode, out.Bits, out.Len, out.Noise = t.Kind, t.Mode, min(out.Bits, t.Bits), t.Len, max(out.Noise, t.Noise)
		found = true
	}
	if !found {
		return out, errors.New("all operands are constants: fold them")
	}
	return out, nil
}

// local returns the wire of a linear map of one operand.
func (e *emitter) local(s *Site, fn func(role, slot int) int) wire {
	if s.T[0].Kind == Const {
		return wire{}
	}
	return e.each(e.wires[s.Src[0]], fn)
}

// sums gives a row of sums of two operands of one length.
func sums(name, doc string, sub bool) *Row {
	combine := func(a, b uint64) uint64 { return a + b }
	if sub {
		combine = func(a, b uint64) uint64 { return a - b }
	}
	return &Row{Name: name, Doc: doc, Src: []Kinds{linearKinds | kinds(Const), linearKinds | kinds(Const)},
		Rule: func(s *Site) (Type, error) {
			t, err := linear(s)
			if err == nil && (t.Mode != plan.Add || s.T[0].Len != s.T[1].Len) {
				err = fmt.Errorf("operands are %v and %v", s.T[0], s.T[1])
			}
			t.Noise = s.T[0].Noise.plus(s.T[1].Noise)
			return t, err
		},
		Plain: func(s *Site, x []Words) Words {
			t := s.result()
			part := func(i int, mask bool) func(k int) uint64 {
				w := x[i].X
				if mask {
					w = x[i].Mask
				}
				return func(k int) uint64 {
					if w == nil {
						return 0
					}
					return w[k]
				}
			}
			a, b := part(0, false), part(1, false)
			out := whole(t.Len, func(k int) uint64 { return low(combine(a(k), b(k)), t.Bits) })
			if t.Kind == Opened {
				a, b := part(0, true), part(1, true)
				out.Mask = each(t.Len, func(k int) uint64 { return low(combine(a(k), b(k)), t.Bits) })
			}
			return out
		},
		Party: func(e *emitter, s *Site, items [][]int) wire {
			join := e.Sum
			if sub {
				join = e.Diff
			}
			opened := s.result().Kind == Opened
			part := func(role, i int, slot func(w wire) int, public bool) int {
				switch {
				case s.T[i].Kind != Const:
					return slot(e.wires[s.Src[i]])
				case public:
					return e.public(role, s.Src[i])
				}
				return program.Zero
			}
			both := func(role int, slot func(w wire) int, public bool) int {
				return join(role, part(role, 0, slot, public), part(role, 1, slot, public))
			}
			out := wire{s: make([]int, e.Parties), k: program.Zero}
			if opened {
				out.m = make([]int, e.Parties)
				out.k = both(e.Dealer, func(w wire) int { return w.k }, false)
			}
			for i := range out.s {
				out.s[i] = both(i, func(w wire) int { return w.s[i] }, !opened && i == 0)
				if opened {
					out.m[i] = both(i, func(w wire) int { return w.m[i] }, true)
				}
			}
			return e.cut(out, s.result().Bits)
		}}
}

var (
	addRow = sums("add", "z = x + y; a constant is added to the public part, or to party 0's share", false)
	subRow = sums("sub", "z = x - y; as add", true)
)

var xorRow = &Row{Name: "xor", Doc: "z = x XOR y; a constant joins party 0's share", Src: []Kinds{kinds(Shared), kinds(Shared, Const)},
	Rule: func(s *Site) (Type, error) {
		t, err := linear(s)
		if err == nil && (t.Mode != plan.Xor || s.T[0].Len != s.T[1].Len) {
			err = fmt.Errorf("operands are %v and %v", s.T[0], s.T[1])
		}
		if s.T[1].Kind == Const && t.Bits == 1 && s.uniform(s.Src[1], 1) { // the complement of a sign is one
			t.Sign, t.SignOf = -s.T[0].Sign, s.T[0].SignOf
		}
		return t, err
	},
	Plain: func(s *Site, x []Words) Words {
		t := s.result()
		return whole(t.Len, func(i int) uint64 { return low(x[0].X[i]^x[1].X[i], t.Bits) })
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		out := wire{s: make([]int, e.Parties)}
		for i := range out.s {
			y := program.Zero
			if s.T[1].Kind != Const {
				y = e.wires[s.Src[1]].s[i]
			} else if i == 0 {
				y = e.public(0, s.Src[1])
			}
			out.s[i] = e.Xor(i, e.wires[s.Src[0]].s[i], y)
		}
		return out
	}}

// constant returns the words of a constant, seen through views that leave out nothing that matters.
func (s *Site) constant(v int) []uint64 {
	for {
		step := &s.Program.Steps[v]
		if step.Op == OpConst {
			return step.Data
		}
		v = step.Src[0]
	}
}

// uniform reports whether all elements of a constant are the word.
func (s *Site) uniform(v int, word uint64) bool {
	for _, w := range s.constant(v) {
		if w != word {
			return false
		}
	}
	return true
}

// within reports whether all words of a constant have no more than the given bits.
func (s *Site) within(v, bits int) bool {
	for _, w := range s.constant(v) {
		if w != low(w, bits) {
			return false
		}
	}
	return true
}

// magnitude returns the largest magnitude of the words of a constant, as signed numbers.
func (s *Site) magnitude(v int) uint64 {
	most := uint64(0)
	for _, w := range s.constant(v) {
		if int64(w) < 0 {
			w = -w
		}
		most = max(most, w)
	}
	return most
}

// elementwise gives a linear row of one operand that acts on each element alike.
func elementwise(name, doc string, args []string, op plan.StepOp, rule func(s *Site, t Type) (Type, error), fn func(s *Site, x uint64) uint64) *Row {
	return &Row{Name: name, Doc: doc, Src: []Kinds{linearKinds}, Args: args,
		Rule: func(s *Site) (Type, error) {
			t, err := linear(s)
			if err == nil && t.Mode != plan.Add {
				err = fmt.Errorf("operand is %v, want numbers", s.T[0])
			}
			if err != nil {
				return t, err
			}
			return rule(s, t)
		},
		Plain: func(s *Site, x []Words) Words {
			t := s.result()
			return mapped(x[0], func(w []uint64) []uint64 {
				return each(t.Len, func(i int) uint64 { return low(fn(s, w[i]), t.Bits) })
			})
		},
		Party: func(e *emitter, s *Site, items [][]int) wire {
			return e.cut(e.local(s, func(role, slot int) int { return e.Op(role, op, s.T[0].Len, s.Args, slot) }), s.result().Bits)
		}}
}

// mapped applies a map to a value and to its mask.
func mapped(w Words, fn func([]uint64) []uint64) Words {
	out := Words{X: fn(w.X)}
	if w.Mask != nil {
		out.Mask = fn(w.Mask)
	}
	return out
}

var negRow = elementwise("neg", "z = -x", nil, plan.StepNeg,
	func(s *Site, t Type) (Type, error) { return t, nil },
	func(s *Site, x uint64) uint64 { return -x })

var shlRow = elementwise("shl", "z = x * 2^by", []string{"by"}, plan.StepShl,
	func(s *Site, t Type) (Type, error) {
		if s.Args[0] < 0 || s.Args[0] > 63 {
			return t, fmt.Errorf("shifts by %d", s.Args[0])
		}
		t.Noise = t.Noise.up(s.arg(0))
		return t, nil
	},
	func(s *Site, x uint64) uint64 { return x << s.Args[0] })

var sumRow = &Row{Name: "sum", Doc: "z[o,i] = sum over j < axis of x[o,j,i]", Src: []Kinds{linearKinds}, Args: []string{"outer", "axis", "inner"},
	Rule: func(s *Site) (Type, error) {
		t, err := linear(s)
		if err != nil {
			return t, err
		}
		if t.Mode != plan.Add {
			return t, fmt.Errorf("operand is %v, want numbers", s.T[0])
		}
		t.Len, err = fits(plan.StepSum, s, s.Args[0], s.Args[2])
		t.Noise = t.Noise.times(uint64(max(0, s.Args[1])))
		return t, err
	},
	Plain: func(s *Site, x []Words) Words {
		t, axis, inner := s.result(), s.arg(1), s.arg(2)
		return mapped(x[0], func(w []uint64) []uint64 {
			return each(t.Len, func(k int) (sum uint64) {
				for j := range axis {
					sum += w[(k/inner*axis+j)*inner+k%inner]
				}
				return low(sum, t.Bits)
			})
		})
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		t := s.result()
		return e.cut(e.local(s, func(role, slot int) int { return e.Op(role, plan.StepSum, t.Len, s.Args, slot) }), t.Bits)
	}}

// fits checks the arguments of a step of the given op against the operands' lengths, and returns the length of the result: the product of the dimensions.
func fits(op plan.StepOp, s *Site, dims ...int64) (int, error) {
	return fitsStep(&plan.Step{Op: op, Args: s.Args, Data: s.Data}, s, dims...)
}

// fitsStep checks a step on the operands, whose slots it numbers from 1 on, and returns the length of the result.
func fitsStep(step *plan.Step, s *Site, dims ...int64) (int, error) {
	n := int64(1)
	for _, d := range dims {
		if d < 0 || d > maxLen || n*d > maxLen {
			return 0, fmt.Errorf("dimensions %v are out of range", dims)
		}
		n *= d
	}
	step.Src = nil
	for i := range s.T {
		step.Src = append(step.Src, i+1)
	}
	return int(n), plan.CheckShape(step, func(slot int) int {
		if slot == 0 {
			return int(n)
		}
		return s.T[slot-1].Len
	})
}

var viewKinds = linearKinds | kinds(Const)

// viewed returns the type of a view of the given length.
func viewed(s *Site, n int) Type {
	t := s.T[0]
	return Type{Kind: t.Kind, Mode: t.Mode, Bits: t.Bits, Len: n, Noise: t.Noise}
}

// moved gives the meaning of a row that moves elements: from says which element of x stands at element k, -1 for zero.
func moved(from func(s *Site) func(k int) int) func(s *Site, x []Words) Words {
	return func(s *Site, x []Words) Words {
		at := from(s)
		return mapped(x[0], func(w []uint64) []uint64 {
			return each(s.result().Len, func(k int) uint64 {
				if i := at(k); i >= 0 {
					return w[i]
				}
				return 0
			})
		})
	}
}

var reshapeRow = &Row{Name: "reshape", Doc: "z = x, elements in their order", Src: []Kinds{viewKinds},
	Rule:  func(s *Site) (Type, error) { return viewed(s, s.T[0].Len), nil },
	Plain: moved(func(s *Site) func(int) int { return func(k int) int { return k } }),
	Party: func(e *emitter, s *Site, items [][]int) wire { return e.wires[s.Src[0]] }}

// elements returns the product of dimensions.
func elements(dims []int64) int {
	n := 1
	for _, d := range dims {
		n *= int(d)
	}
	return n
}

// rowMajor returns the strides of a tensor without gaps.
func rowMajor(dims []int64) []int64 {
	out, n := make([]int64, len(dims)), int64(1)
	for i := len(dims) - 1; i >= 0; i-- {
		out[i] = n
		n *= dims[i]
	}
	return out
}

// viewOf returns the copy that a view is.
func viewOf(s *Site) plan.Copy {
	r := s.arg(0)
	dims := s.Args[1 : 1+r]
	return plan.Copy{Dims: dims, Src: s.Args[1+r], SrcStrides: s.Args[2+r:], DstStrides: rowMajor(dims)}
}

// isWhole reports whether a copy takes all of n elements in their order.
func isWhole(c plan.Copy, n int) bool {
	d, st := canonical(c.Dims, c.SrcStrides)
	return c.Src == 0 && elements(c.Dims) == n && (len(d) == 0 || len(d) == 1 && st[0] == 1)
}

// canonical leaves out dimensions of one and joins those that follow each other without a step of their own.
func canonical(dims, strides []int64) (d, st []int64) {
	for i := range dims {
		if dims[i] == 1 {
			continue
		}
		if k := len(d) - 1; k >= 0 && st[k] == strides[i]*dims[i] {
			d[k], st[k] = d[k]*dims[i], strides[i]
			continue
		}
		d, st = append(d, dims[i]), append(st, strides[i])
	}
	return d, st
}

var viewRow = &Row{Name: "view", Doc: "for i in dims, row-major: z[i] = x[src + i.strides]; args: rank, dims, src, strides. Broadcasts, slices and transposes", Src: []Kinds{viewKinds}, Args: []string{"rank"}, ArgsVar: true,
	Rule: func(s *Site) (Type, error) {
		r := s.Args[0]
		if r < 0 || r > 16 || int64(len(s.Args)) != 2+2*r {
			return Type{}, fmt.Errorf("rank %d does not fit %d arguments", r, len(s.Args))
		}
		for _, d := range s.Args[1 : 1+r] {
			if d < 0 || d > maxLen {
				return Type{}, fmt.Errorf("dimension %d is out of range", d)
			}
		}
		step := viewOf(s).Step(0, 1)
		n, err := fitsStep(&step, s, s.Args[1:1+r]...)
		return viewed(s, n), err
	},
	Plain: moved(func(s *Site) func(int) int { return sources(viewOf(s)) }),
	Party: func(e *emitter, s *Site, items [][]int) wire {
		return e.local(s, func(role, slot int) int { return e.view(s, role, slot) })
	}}

// sources returns which element of the source a copy puts where, for copies that fill their destination in order.
func sources(c plan.Copy) func(k int) int {
	return func(k int) int {
		at := c.Src
		for i := len(c.Dims) - 1; i >= 0; i-- {
			at += int64(k) % c.Dims[i] * c.SrcStrides[i]
			k /= int(c.Dims[i])
		}
		return int(at)
	}
}

var padRow = &Row{Name: "pad", Doc: "z = 0, then for i in dims: z[dst + i.strides] = x[i]; args: len of z, rank, dims, dst, strides", Src: []Kinds{linearKinds}, Args: []string{"len", "rank"}, ArgsVar: true,
	Rule: func(s *Site) (Type, error) {
		if r := s.Args[1]; r < 0 || r > 16 || int64(len(s.Args)) != 3+2*r {
			return Type{}, fmt.Errorf("rank %d does not fit %d arguments", r, len(s.Args))
		}
		for _, d := range s.Args[2 : 2+s.Args[1]] {
			if d < 0 || d > maxLen {
				return Type{}, fmt.Errorf("dimension %d is out of range", d)
			}
		}
		step := padOf(s).Step(0, 1)
		n, err := fitsStep(&step, s, s.Args[0])
		return viewed(s, n), err
	},
	Plain: moved(func(s *Site) func(int) int {
		c, at := padOf(s), map[int]int{}
		back := sources(plan.Copy{Dims: c.Dims, Src: c.Dst, SrcStrides: c.DstStrides})
		for k := range elements(c.Dims) {
			at[back(k)] = k
		}
		return func(k int) int {
			if i, ok := at[k]; ok {
				return i
			}
			return -1
		}
	}),
	Party: func(e *emitter, s *Site, items [][]int) wire {
		return e.local(s, func(role, slot int) int {
			z := e.Step(role, atSetup, s.arg(0), plan.Step{Op: plan.StepZero})
			e.Place(role, z, slot)
			e.Again(role, z, padOf(s).Step(0, slot))
			return z
		})
	}}

// padOf returns the copy that fills a padded tensor.
func padOf(s *Site) plan.Copy {
	r := s.arg(1)
	dims := s.Args[2 : 2+r]
	return plan.Copy{Dims: dims, SrcStrides: rowMajor(dims), Dst: s.Args[2+r], DstStrides: s.Args[3+r:]}
}

var gatherRow = &Row{Name: "gather", Doc: "z[o,j,i] = x[o,data[j],i] for o < outer, j < len(data), i < inner; x has axis elements in the middle", Src: []Kinds{linearKinds}, Args: []string{"outer", "axis", "inner"}, Data: true,
	Rule: func(s *Site) (Type, error) {
		n, err := fits(plan.StepGather, s, s.Args[0], int64(len(s.Data)), s.Args[2])
		return viewed(s, n), err
	},
	Plain: moved(func(s *Site) func(int) int {
		axis, inner, n := s.arg(1), s.arg(2), len(s.Data)
		return func(k int) int { return (k/inner/n*axis+int(s.Data[k/inner%n]))*inner + k%inner }
	}),
	Party: func(e *emitter, s *Site, items [][]int) wire {
		return e.local(s, func(role, slot int) int {
			return e.Step(role, atSetup, s.result().Len, plan.Step{Op: plan.StepGather, Src: []int{slot}, Args: s.Args, Data: s.Data})
		})
	}}

var joinRow = &Row{Name: "join", Doc: "z[o] = x[o], y[o], ... one behind the other for o < outer; of a constant, party 0's share or the public part", Src: []Kinds{linearKinds | kinds(Const)}, Var: true, Args: []string{"outer"},
	Rule: func(s *Site) (Type, error) {
		t, err := linear(s)
		if err != nil {
			return t, err
		}
		outer, n := s.Args[0], 0
		for i, x := range s.T {
			if outer < 1 || int64(x.Len)%outer != 0 || n > maxLen {
				return t, fmt.Errorf("operand %d has %d elements for %d parts", i, x.Len, outer)
			}
			n += x.Len
		}
		t.Len = n
		return t, nil
	},
	Plain: func(s *Site, x []Words) Words {
		t, outer := s.result(), s.arg(0)
		join := func(part func(w Words, n int) []uint64) []uint64 {
			var out []uint64
			for o := range outer {
				for i, w := range x {
					n := s.T[i].Len / outer
					out = append(out, part(w, s.T[i].Len)[o*n:o*n+n]...)
				}
			}
			return each(len(out), func(i int) uint64 { return low(out[i], t.Bits) })
		}
		out := Words{X: join(func(w Words, n int) []uint64 { return w.X })}
		if t.Kind == Opened {
			out.Mask = join(func(w Words, n int) []uint64 {
				if w.Mask == nil {
					return make([]uint64, n)
				}
				return w.Mask
			})
		}
		return out
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		opened := s.result().Kind == Opened
		out := wire{s: make([]int, e.Parties), k: program.Zero}
		if opened {
			out.m = make([]int, e.Parties)
			out.k = e.join(s, e.Dealer, func(w wire) int { return w.k }, false)
		}
		for i := range out.s {
			out.s[i] = e.join(s, i, func(w wire) int { return w.s[i] }, !opened && i == 0)
			if opened {
				out.m[i] = e.join(s, i, func(w wire) int { return w.m[i] }, true)
			}
		}
		for i, v := range s.Src { // constants may be negative numbers
			if s.T[i].Kind == Const && !s.within(v, s.result().Bits) {
				return e.cut(out, s.result().Bits)
			}
		}
		return out
	}}

// join copies one component of all operands into one slot, constants if they count.
func (e *emitter) join(s *Site, role int, slot func(w wire) int, public bool) int {
	slots, last := make([]int, len(s.Src)), program.Zero
	for i, v := range s.Src {
		switch {
		case s.T[i].Kind != Const:
			slots[i] = slot(e.wires[v])
		case public:
			slots[i] = e.public(role, v)
		default:
			slots[i] = program.Zero
		}
		if slots[i] != program.Zero && (last == program.Zero || e.When(role, last).Before(e.When(role, slots[i]))) {
			last = slots[i]
		}
	}
	if last == program.Zero {
		return last
	}
	t, outer := s.result(), int64(s.arg(0))
	z := e.Step(role, atSetup, t.Len, plan.Step{Op: plan.StepZero})
	e.Place(role, z, last)
	at := int64(0)
	for i := range s.Src {
		n := int64(s.T[i].Len) / outer
		if slots[i] != program.Zero && n > 0 {
			c := plan.Copy{Dims: []int64{outer, n}, SrcStrides: []int64{n, 1}, Dst: at, DstStrides: []int64{int64(t.Len) / outer, 1}}
			e.Again(role, z, c.Step(0, slots[i]))
		}
		at += n
	}
	return z
}
