package typed

import (
	"errors"
	"fmt"

	"smpcc/backend/plan"
	"smpcc/backend/plan/program"
)

// Products are bilinear maps. With a constant they are linear. Of two opened values x = m - r and y = p - s, B(x,y) = B(m, p - s) - B(r, p)
// + B(r, s): each party has shares of r and s, and B(r, s) is material of the size of the result.

// A bilinear is a map of two tensors, in the arguments of its step.
type bilinear struct {
	terms func(s *Site) int64   // products that are summed for an element
	dims  func(s *Site) []int64 // of the result
	check func(s *Site) error
	step  func(e *emitter, s *Site, role, a, c int) int
	plain func(s *Site, x, y []uint64) []uint64
}

// productKinds are the kinds of factors.
var productKinds = kinds(Shared, Opened, Const)

// products gives the row of a bilinear map.
func products(name, doc string, args []string, more bool, b bilinear) *Row {
	return &Row{Name: name, Doc: doc + "; of two opened values x = m - r and y = p - s by shares of B(r, s)", Source: "ABY2.0 (USENIX Security 2021); Turbospeedz (ACNS 2019)",
		Src: []Kinds{productKinds, productKinds}, Args: args, ArgsVar: more,
		Rule: func(s *Site) (Type, error) {
			x, y := s.T[0], s.T[1]
			out := Type{Kind: Shared, Mode: plan.Add, Bits: min(x.Bits, y.Bits)}
			switch {
			case x.Kind == Const && y.Kind == Const:
				return out, errors.New("both factors are constants: fold them")
			case x.Kind == Const:
				out.Kind = y.Kind
			case y.Kind == Const:
				out.Kind = x.Kind
			case x.Kind != Opened || y.Kind != Opened:
				return out, fmt.Errorf("factors are %v and %v: both must be opened, or one constant", x, y)
			}
			if x.Mode != plan.Add || y.Mode != plan.Add {
				return out, errors.New("factors are bits, want numbers")
			}
			if err := b.check(s); err != nil {
				return out, err
			}
			n := int64(1)
			for _, d := range b.dims(s) {
				if d < 0 || d > maxLen || n*d > maxLen {
					return out, fmt.Errorf("dimensions %v are out of range", b.dims(s))
				}
				n *= d
			}
			out.Len = int(n)
			size := func(i int) uint64 { // the largest number that the other factor's noise meets
				if s.T[i].Kind == Const {
					return s.magnitude(s.Src[i])
				}
				return 1 << (s.T[i].Bits - 1)
			}
			for i, t := range s.T {
				out.Noise = out.Noise.plus(t.Noise.times(size(1 - i)).times(uint64(b.terms(s))))
			}
			return out, nil
		},
		Need: func(s *Site) []Def {
			if s.T[0].Kind == Const || s.T[1].Kind == Const {
				return nil
			}
			n := 1
			for _, d := range b.dims(s) {
				n *= int(d)
			}
			return []Def{{Fn: fnProduct, By: s.ID, Len: n, Bits: min(s.T[0].Bits, s.T[1].Bits)}}
		},
		Plain: func(s *Site, x []Words) Words {
			bits := s.result().Bits
			cut := func(w []uint64) []uint64 { return each(len(w), func(i int) uint64 { return low(w[i], bits) }) }
			out := Words{X: cut(b.plain(s, x[0].X, x[1].X))}
			switch {
			case s.T[0].Kind == Const && x[1].Mask != nil:
				out.Mask = cut(b.plain(s, x[0].X, x[1].Mask))
			case s.T[1].Kind == Const && x[0].Mask != nil:
				out.Mask = cut(b.plain(s, x[0].Mask, x[1].X))
			}
			return out
		},
		Party: func(e *emitter, s *Site, items [][]int) wire {
			x, y := e.wires[s.Src[0]], e.wires[s.Src[1]]
			switch {
			case s.T[0].Kind == Const:
				return e.cut(e.each(y, func(role, slot int) int { return b.step(e, s, role, e.public(role, s.Src[0]), slot) }), s.result().Bits)
			case s.T[1].Kind == Const:
				return e.cut(e.each(x, func(role, slot int) int { return b.step(e, s, role, slot, e.public(role, s.Src[1])) }), s.result().Bits)
			}
			return e.product(s, b, x, y, items[0])
		}}
}

// bilinear adds the step of a product on one role's slots.
func (e *emitter) bilinear(s *Site, role, a, c int) int { return maps[s.Op].step(e, s, role, a, c) }

// product gives each party its share of B(x, y) from its share k of B(r, s). Terms whose factors are there before the inputs are computed
// in setup and offline; a party whose share of a mask is zero leaves the term out, so that a weight's owner multiplies alone online.
func (e *emitter) product(s *Site, b bilinear, x, y wire, k []int) wire {
	out := wire{s: make([]int, e.Parties)}
	early := e.When(0, x.m[0]).Before(e.When(0, y.m[0])) // x is known first: its share of m - r is made early
	for i := range out.s {
		share := func(w wire) int { // of m - r
			if i == 0 {
				return e.Diff(i, w.m[i], w.s[i])
			}
			if w.s[i] == program.Zero {
				return program.Zero
			}
			return e.Diff(i, program.Zero, w.s[i])
		}
		z := k[i]
		add := func(join func(role, x, y int) int, a, c int) {
			if a != program.Zero && c != program.Zero {
				z = join(i, z, b.step(e, s, i, a, c))
			}
		}
		if early {
			add(e.Diff, x.m[i], y.s[i])
			add(e.Sum, share(x), y.m[i])
		} else {
			add(e.Diff, x.s[i], y.m[i])
			add(e.Sum, x.m[i], share(y))
		}
		out.s[i] = z
	}
	return out
}

// spreads returns the copies by which the factors of a product are spread over dims, with their strides behind them in args, in units of the
// given sizes.
func spreads(args []int64, rank int64, m, k, n int64) (x, y *plan.Copy) {
	dims := args[:rank]
	side := func(strides []int64, rows, cols int64) *plan.Copy {
		c := &plan.Copy{Dims: append(append([]int64{}, dims...), rows, cols)}
		for _, st := range strides {
			c.SrcStrides = append(c.SrcStrides, st*rows*cols)
		}
		c.SrcStrides = append(c.SrcStrides, cols, 1)
		c.DstStrides = rowMajor(c.Dims)
		return c
	}
	return side(args[rank:2*rank], m, k), side(args[2*rank:3*rank], k, n)
}

// checkSpread checks that rank and dims fit the arguments, and that the copies stay in the operands.
func checkSpread(s *Site, args []int64, rank, m, k, n int64) error {
	if rank < 0 || rank > 14 || int64(len(args)) != 3*rank {
		return fmt.Errorf("rank %d does not fit %d arguments", rank, len(args))
	}
	for _, d := range append(append([]int64{}, args...), m, k, n) {
		if d < 0 || d > maxLen {
			return fmt.Errorf("dimension or stride %d is out of range", d)
		}
	}
	for i, c := range sides(spreads(args, rank, m, k, n)) {
		step, total := c.Step(0, 1), int64(1)
		for _, d := range c.Dims {
			if total *= d; total > maxLen {
				return errors.New("a factor has too many elements")
			}
		}
		err := plan.CheckShape(&step, func(slot int) int {
			if slot == 0 {
				return int(total)
			}
			return s.T[i].Len
		})
		if err != nil {
			return fmt.Errorf("factor %d: %w", i, err)
		}
	}
	return nil
}

func sides(x, y *plan.Copy) [2]*plan.Copy { return [2]*plan.Copy{x, y} }

// maps are the bilinear maps.
var maps = map[Op]bilinear{
	OpMul: {
		check: func(s *Site) error { return checkSpread(s, s.Args[1:], s.Args[0], 1, 1, 1) },
		terms: func(s *Site) int64 { return 1 },
		dims:  func(s *Site) []int64 { return s.Args[1 : 1+s.Args[0]] },
		step: func(e *emitter, s *Site, role, a, c int) int {
			x, y := spreads(s.Args[1:], s.Args[0], 1, 1, 1)
			return e.Op(role, plan.StepMul, elements(x.Dims), nil, e.spread(role, a, *x), e.spread(role, c, *y))
		},
		plain: func(s *Site, x, y []uint64) []uint64 {
			a, b := spreads(s.Args[1:], s.Args[0], 1, 1, 1)
			at, bt := sources(*a), sources(*b)
			return each(elements(a.Dims), func(i int) uint64 { return x[at(i)] * y[bt(i)] })
		}},
	OpMatMul: {
		check: func(s *Site) error {
			return checkSpread(s, s.Args[4:], s.Args[3], s.Args[0], s.Args[1], s.Args[2])
		},
		terms: func(s *Site) int64 { return s.Args[1] },
		dims: func(s *Site) []int64 {
			return append(append([]int64{}, s.Args[4:4+s.Args[3]]...), s.Args[0], s.Args[2])
		},
		step: matMulStep,
		plain: func(s *Site, x, y []uint64) []uint64 {
			m, k, n := s.arg(0), s.arg(1), s.arg(2)
			a, b := spreads(s.Args[4:], s.Args[3], s.Args[0], s.Args[1], s.Args[2])
			at, bt := sources(*a), sources(*b)
			batch := elements(s.Args[4 : 4+s.Args[3]])
			return each(batch*m*n, func(i int) (sum uint64) {
				t, row, col := i/n/m, i/n%m, i%n
				for j := range k {
					sum += x[at((t*m+row)*k+j)] * y[bt((t*k+j)*n+col)]
				}
				return sum
			})
		}},
	OpConv: {
		check: func(s *Site) error {
			_, err := fits(plan.StepConv, s, s.Args[0], s.Args[4], s.Args[5], s.Args[6])
			return err
		},
		terms: func(s *Site) int64 { return s.Args[1] / s.Args[15] * s.Args[7] * s.Args[8] },
		dims:  func(s *Site) []int64 { return []int64{s.Args[0], s.Args[4], s.Args[5], s.Args[6]} },
		step: func(e *emitter, s *Site, role, a, c int) int {
			return e.Op(role, plan.StepConv, elements([]int64{s.Args[0], s.Args[4], s.Args[5], s.Args[6]}), s.Args, a, c)
		},
		plain: convPlain},
}

var (
	mulRow = products("mul", "z[i] = x[i.xstrides] * y[i.ystrides] for i in dims; args: rank, dims, xstrides, ystrides", []string{"rank"}, true, maps[OpMul])

	matMulRow = products("matmul", "z[i] = x[i.xstrides] times y[i.ystrides] for i in dims, matrices of m by k and k by n; args: m, k, n, rank, dims, xstrides, ystrides", []string{"m", "k", "n", "rank"}, true, maps[OpMatMul])

	convRow = products("conv", "z = 2-D convolution of x [n,c,h,w] with y [oc,c/group,kh,kw], zero padding", plan.ConvArgs, false, maps[OpConv])
)

// matMulStep adds the step of a product of matrices: a batch against one matrix is a product of rows, one matrix serves a batch, and other
// operands are spread first.
func matMulStep(e *emitter, s *Site, role, a, c int) int {
	m, k, n := s.Args[0], s.Args[1], s.Args[2]
	batch := int64(elements(s.Args[4 : 4+s.Args[3]]))
	x, y := spreads(s.Args[4:], s.Args[3], m, k, n)
	size := int(batch * m * n)
	args := func(count, rows, one int64) []int64 { return []int64{count, rows, k, n, one, 0} }
	switch {
	case isWhole(*x, s.T[0].Len) && isOne(*y, s.T[1].Len):
		return e.Op(role, plan.StepMatMul, size, args(1, batch*m, 0), a, c)
	case isOne(*x, s.T[0].Len) && isWhole(*y, s.T[1].Len):
		return e.Op(role, plan.StepMatMul, size, args(batch, m, 1), a, c)
	}
	return e.Op(role, plan.StepMatMul, size, args(batch, m, 0), e.spread(role, a, *x), e.spread(role, c, *y))
}

// isOne reports whether a copy repeats one matrix of n elements.
func isOne(c plan.Copy, n int) bool {
	k := len(c.Dims) - 2
	for i, d := range c.Dims[:k] {
		if d > 1 && c.SrcStrides[i] != 0 {
			return false
		}
	}
	return elements(c.Dims[k:]) == n
}

// convPlain is a convolution by its definition.
func convPlain(s *Site, x, y []uint64) []uint64 {
	g := map[string]int{}
	for i, name := range plan.ConvArgs {
		g[name] = s.arg(i)
	}
	cg, og := g["c"]/g["group"], g["oc"]/g["group"]
	out := make([]uint64, g["n"]*g["oc"]*g["oh"]*g["ow"])
	for i := range out {
		ow, oh, oc, n := i%g["ow"], i/g["ow"]%g["oh"], i/g["ow"]/g["oh"]%g["oc"], i/g["ow"]/g["oh"]/g["oc"]
		for c := range cg {
			for kh := range g["kh"] {
				for kw := range g["kw"] {
					h, w := oh*g["sh"]-g["pt"]+kh*g["dh"], ow*g["sw"]-g["pl"]+kw*g["dw"]
					if h >= 0 && h < g["h"] && w >= 0 && w < g["w"] {
						out[i] += x[((n*g["c"]+oc/og*cg+c)*g["h"]+h)*g["w"]+w] * y[((oc*cg+c)*g["kh"]+kh)*g["kw"]+kw]
					}
				}
			}
		}
	}
	return out
}
