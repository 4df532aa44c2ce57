package backend

import (
	"smpcc/backend/plan"
	"smpcc/backend/plan/program"
	"smpcc/ir"
)

// builder is the builder of programs under the names that the lowering uses.
type builder struct {
	*program.Builder
	plan    *plan.Plan
	parties int
	dealer  int // role number
	memo    map[memoKey][]int
}

// A memoKey names material that several steps share: the one-hots of a mask, the shares of a masked bit.
type memoKey struct {
	what string
	of   *ir.Value
	bits int
}

func newBuilder(parties int) *builder {
	b := program.New(parties)
	return &builder{Builder: b, plan: b.Plan, parties: b.Parties, dealer: b.Dealer, memo: map[memoKey][]int{}}
}

var (
	atSetup   = program.AtSetup
	atOffline = program.AtOffline
	atOnline  = program.AtOnline
)

const zero = program.Zero

// material is a shared random value: each role's share (zero for those without), the dealer's knowledge of the whole in
// the last place.
type material struct {
	item int
	s    []int
}

func (b *builder) at(pos string)          { b.At(pos) }
func (b *builder) len(role, slot int) int { return b.Len(role, slot) }
func (b *builder) step(role int, when program.Moment, n int, s plan.Step) int {
	return b.Step(role, when, n, s)
}
func (b *builder) again(role, dst int, s plan.Step) { b.Again(role, dst, s) }
func (b *builder) op(role int, op plan.StepOp, n int, args []int64, src ...int) int {
	return b.Op(role, op, n, args, src...)
}
func (b *builder) sum(role, x, y int) int  { return b.Sum(role, x, y) }
func (b *builder) diff(role, x, y int) int { return b.Diff(role, x, y) }
func (b *builder) xor(role, x, y int) int  { return b.Xor(role, x, y) }
func (b *builder) real(role, x, n int, when program.Moment) int {
	return b.Real(role, x, n, when)
}
func (b *builder) constant(role, n int, when program.Moment, words ...uint64) int {
	return b.Constant(role, n, when, words...)
}
func (b *builder) item(it plan.Item) int { return b.Item(it) }
func (b *builder) random(scope plan.Scope, mode plan.Mode, n, bits, holder int, what string) material {
	m := b.Random(scope, mode, n, bits, holder, what)
	return material{m.Item, m.Shares}
}
func (b *builder) deal(mode plan.Mode, n, bits, value int, what string) []int {
	return b.Deal(mode, n, bits, value, what)
}
func (b *builder) open(o plan.Open, src map[int]int) []int { return b.Open(o, src) }
func (b *builder) everyone() []int                         { return b.Everyone() }
func first(role int) int64                                 { return program.First(role) }
