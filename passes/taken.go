package passes

import (
	"errors"
	"math"
	"slices"

	"smpcc/ir"
	"smpcc/ir/policy"
)

// A Taken is what the passes took from weights and samples, and from nothing that a plan holds otherwise: with it whoever has the graph and no data comes
// to the same formats. All of it is public, so bounds are powers of two or stated by the graph.
type Taken struct {
	Weights []string // of the graph, whose data was known
	Samples int      // sample inputs that were given
	Attempt int      // the choice of formats that kept the tolerance, from 0 on
	Bounds  []Bound  // of values that derive from data, in the order in which passes have asked
	Columns []Bound  // of the columns of tables that samples have shown, table by table
	Zeros   []bool   // of weights that something is divided by, in the order in which passes have asked: one has no reciprocal
}

// A Bound is an interval that a value was found to lie in.
type Bound struct {
	Lo, Hi float64
	Origin ir.Origin
	Narrow bool // a run may leave it
}

// A StatedPolicy is what a plan says of a policy whose text is not there: nothing of it is checked.
type StatedPolicy struct {
	Ref     policy.Ref
	Guards  []policy.Guard
	Allowed []policy.Allowance
}

// silent reports whether the policy lets neither ranges nor formats derive from its owner's data.
func (p *StatedPolicy) silent() bool {
	return slices.ContainsFunc(p.Guards, func(g policy.Guard) bool { return g.Silent })
}

// A notebook keeps what is taken from data, or answers from what another compilation has taken.
type notebook struct {
	taken  Taken
	replay bool
	bounds int // that were given out
	table  int
	zeros  int
	short  bool // something was asked that the other compilation had not
}

// errNotebook says that what was taken does not belong to the graph.
var errNotebook = errors.New("what the plan took from data does not fit its graph: another question was asked of it than when it was compiled")

// newNotebook returns an empty notebook, or one that answers from given.
func newNotebook(given *Taken) *notebook {
	if given == nil {
		return &notebook{}
	}
	return &notebook{taken: *given, replay: true}
}

// fork returns a notebook for another try at what follows.
func (b *notebook) fork() *notebook {
	c := *b
	if !b.replay {
		c.taken.Bounds, c.taken.Columns, c.taken.Zeros = slices.Clip(b.taken.Bounds), slices.Clip(b.taken.Columns), slices.Clip(b.taken.Zeros)
	}
	return &c
}

// next returns the answer at *at of list, and moves on.
func next[T any](b *notebook, list []T, at *int) (x T) {
	if *at >= len(list) {
		b.short = true
		return x
	}
	*at++
	return list[*at-1]
}

// done returns an error if a replay has left answers or had none.
func (b *notebook) done() error {
	if b.replay && (b.short || b.bounds != len(b.taken.Bounds) || b.table != len(b.taken.Columns) || b.zeros != len(b.taken.Zeros)) {
		return errNotebook
	}
	return nil
}

// bound takes the interval of a value that derives from data: what is returned is what becomes public. The ends of a format that hold by construction stay.
func (b *notebook) bound(v *ir.Value, iv interval) interval {
	if b.replay {
		x := next(b, b.taken.Bounds, &b.bounds)
		return interval{x.Lo, x.Hi, x.Origin}
	}
	out := coarse(iv)
	if v.Op == ir.OpFormat {
		if lo := v.Attrs.Float("lo", math.Inf(-1)); iv.lo == lo {
			out.lo = lo
		}
		if hi := v.Attrs.Float("hi", math.Inf(1)); iv.hi == hi {
			out.hi = hi
		}
	}
	b.taken.Bounds = append(b.taken.Bounds, Bound{Lo: out.lo, Hi: out.hi, Origin: out.from})
	return out
}

// published takes a range that has been rounded for publication.
func (b *notebook) published(r ir.Range) ir.Range {
	if b.replay {
		x := next(b, b.taken.Bounds, &b.bounds)
		return ir.Range(x)
	}
	b.taken.Bounds = append(b.taken.Bounds, Bound(r))
	return r
}

// tableColumns takes the ranges that declarations and samples give the columns of a table, nil if its columns have none of their own.
func (b *notebook) tableColumns(v *ir.Value, opt *Options) []interval {
	k := v.Type.Shape[len(v.Type.Shape)-1]
	if b.replay {
		if none := next(b, b.taken.Columns, &b.table); none.Lo > none.Hi {
			return nil
		}
		b.table--
		var out []interval
		for range k {
			if x := next(b, b.taken.Columns, &b.table); !b.short {
				out = append(out, interval{x.Lo, x.Hi, x.Origin})
			}
		}
		if b.short {
			return nil
		}
		return out
	}
	out := shownColumns(v, opt)
	for _, x := range out {
		b.taken.Columns = append(b.taken.Columns, Bound{Lo: x.lo, Hi: x.hi, Origin: x.from})
	}
	if out == nil {
		b.taken.Columns = append(b.taken.Columns, noColumns)
	}
	return out
}

// noColumns stands for a table whose columns have no ranges of their own: an empty interval.
var noColumns = Bound{Lo: 1, Hi: 0}

// invertible takes whether a weight or constant has reciprocals everywhere.
func (b *notebook) invertible(t *ir.Tensor) bool {
	if b == nil {
		return invertible(t)
	}
	if b.replay {
		return !next(b, b.taken.Zeros, &b.zeros)
	}
	ok := invertible(t)
	b.taken.Zeros = append(b.taken.Zeros, !ok)
	return ok
}

// A taint says which values of a function derive from data that bounds were taken of: of weights that may be shown, and of everything secret if there were
// samples.
type taint struct {
	opt  *Options
	m    *ir.Module // with the weights that may be shown
	from map[*ir.Value]bool
}

func newTaint(shown *ir.Module, opt *Options) *taint {
	return &taint{opt, shown, map[*ir.Value]bool{}}
}

// see notes a value whose arguments have been seen, and reports whether it derives from data. What a loose format says is taken already.
func (t *taint) see(v *ir.Value) bool {
	yes := false
	switch {
	case v.Op == ir.OpFormat && v.Attrs.Int("loose", 0) != 0 || v.Type.Elem == ir.Bool:
	case v.Op == ir.OpWeight:
		yes = known(t.m, v) != nil
	default:
		yes = t.opt.samples() > 0 && !v.Type.Vis.IsPublic() && v.Op != ir.OpConst
		for _, a := range v.Args {
			yes = yes || t.from[a]
		}
	}
	t.from[v] = yes
	return yes
}

// samples returns how many sample inputs there are, or were when the plan was compiled.
func (o *Options) samples() int {
	if o.Taken != nil {
		return o.Taken.Samples
	}
	return len(o.Samples)
}

// standIns returns the data of weights, and where nobody shows it tensors in its place: of their shapes, and of one value.
func standIns(m *ir.Module, names []string) map[string]*ir.Tensor {
	out := map[string]*ir.Tensor{}
	for _, v := range m.Main().Body {
		if name := v.Attrs.Str("name"); v.Op == ir.OpWeight && slices.Contains(names, name) {
			if t := m.Weights[name]; t != nil {
				out[name] = t
				continue
			}
			t := ir.NewTensor(v.Type.Elem, v.Type.Shape)
			for i := range t.F {
				t.F[i] = 1
			}
			out[name] = t
		}
	}
	return out
}

// weightsKnown lists the weights of a graph whose data is there.
func weightsKnown(m *ir.Module) (out []string) {
	for _, v := range m.Main().Body {
		if name := v.Attrs.Str("name"); v.Op == ir.OpWeight && m.Weights[name] != nil && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// notebook returns where passes note what they take from data; nil of no options.
func (o *Options) notebook() *notebook {
	if o == nil {
		return nil
	}
	return o.notes
}

// allows takes over what the plan says of an output and a receiver, and reports whether it says anything.
func (p *StatedPolicy) allows(m *ir.Module, output, to string) bool {
	any := false
	for _, a := range p.Allowed {
		if a.Output == output && a.Receiver == to {
			allow(m, a)
			any = true
		}
	}
	return any
}
