package smpcc_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/verify"
	"smpcc/ir"
	"smpcc/passes"
	"smpcc/runtime/engine"
	"smpcc/runtime/material"
	"smpcc/runtime/memnet"
)

// The tests of this file look at what a party really receives. They take their keys from numbers, so that a run of them is
// always the same run; alarm is how likely a sound plan is to fail one comparison when the keys change.
const alarm = 1e-9

// An exchange is what one role sent and received at once, by peer.
type exchange struct {
	ph      plan.Phase
	round   int
	out, in [][]byte
}

// A recorder is a transport that keeps a copy of everything that passes.
type recorder struct {
	engine.Transport
	seen []exchange
}

func (r *recorder) Exchange(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) ([][]byte, error) {
	x := exchange{ph: ph, round: round, out: copies(out)} // the transport owns out from here on
	in, err := r.Transport.Exchange(ctx, ph, round, out, want)
	x.in = copies(in)
	r.seen = append(r.seen, x)
	return in, err
}

func copies(messages [][]byte) (out [][]byte) {
	for _, m := range messages {
		out = append(out, slices.Clone(m))
	}
	return out
}

// viewKey is a party's key of a numbered session.
func viewKey(t testing.TB, session uint64, party int) *material.Stream {
	t.Helper()
	h := sha256.Sum256(binary.LittleEndian.AppendUint64([]byte{'v', byte(party)}, session))
	k, err := material.KeyOf(h[:])
	if err != nil {
		t.Fatal(err)
	}
	s, err := material.NewStream(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var engines sync.Map // [plan, role] -> *engine.Engine

// engineOf returns the engine of a role, which all sessions share.
func engineOf(t testing.TB, p *plan.Plan, role int) *engine.Engine {
	type key struct {
		p    *plan.Plan
		role int
	}
	if e, ok := engines.Load(key{p, role}); ok {
		return e.(*engine.Engine)
	}
	e, err := engine.New(p, role)
	if err != nil {
		t.Fatal(err)
	}
	engines.Store(key{p, role}, e)
	t.Cleanup(func() { engines.Delete(key{p, role}) })
	return e
}

// part runs all phases of one role on a transport that connect makes for each, and returns its outputs.
func part(t testing.TB, p *plan.Plan, role int, session uint64, inputs [][]uint64, connect func(plan.Phase) engine.Transport) (map[string][]uint64, error) {
	keys := func(session uint64) engine.Streams {
		s := make(engine.Streams, p.NumParties())
		for i := range s {
			if role == i || role == len(s) {
				s[i] = viewKey(t, session, i)
			}
		}
		return s
	}
	ctx := context.Background()
	e := engineOf(t, p, role)
	m, err := e.Setup(ctx, connect(plan.Setup), keys(2*session), make([][]uint64, len(p.Manifest.Weights)))
	if err != nil {
		return nil, err
	}
	s, err := e.Offline(ctx, connect(plan.Offline), m, keys(2*session+1))
	if err != nil {
		return nil, err
	}
	own := make([][]uint64, len(inputs))
	for i, port := range p.Manifest.Inputs {
		if port.Owner == p.Roles()[role] {
			own[i] = inputs[i]
		}
	}
	return s.Online(ctx, connect(plan.Online), own)
}

// An observed is one run of all roles, as each saw it.
type observed struct {
	seen    [][]exchange
	outputs []map[string][]uint64
}

func runSession(t testing.TB, p *plan.Plan, number uint64, inputs [][]uint64) *observed {
	t.Helper()
	var nets [3]*memnet.Net
	for ph := range nets {
		nets[ph] = memnet.New(p.Roles())
	}
	s := &observed{make([][]exchange, len(p.Programs)), make([]map[string][]uint64, len(p.Programs))}
	errs := make([]error, len(p.Programs))
	var wg sync.WaitGroup
	for role := range p.Programs {
		wg.Go(func() {
			rec := &recorder{}
			s.outputs[role], errs[role] = part(t, p, role, number, inputs, func(ph plan.Phase) engine.Transport {
				rec.Transport = nets[ph].Role(role)
				return rec
			})
			if errs[role] != nil {
				for _, n := range nets {
					n.Fail(role, errs[role])
				}
			}
			s.seen[role] = rec.seen
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// A piece is one tensor of a message.
type piece struct {
	name  string
	open  *plan.Open
	sent  bool
	words []uint64
}

// pieces cuts what a role saw into tensors.
func pieces(t testing.TB, p *plan.Plan, role int, seen []exchange) (out []piece) {
	t.Helper()
	for _, x := range seen {
		at := make([]int, len(p.Programs))
		sent := make([]int, len(p.Programs))
		opens := p.Programs[role].Rounds(x.ph)[x.round].Opens
		for i := range opens {
			o := &opens[i]
			take := func(m []byte, at *int) []uint64 {
				w := make([]uint64, o.Len)
				plan.Unpack(w, m[*at:*at+o.Bytes()], o.Bits)
				*at += o.Bytes()
				return w
			}
			name := fmt.Sprintf("%v round %d opening %d (%v, %d bits)", x.ph, x.round, i, o.Kind, o.Bits)
			if slices.Contains(o.To, role) {
				for _, from := range o.From {
					if from != role {
						out = append(out, piece{name + " from " + p.Roles()[from], o, false, take(x.in[from], &at[from])})
					}
				}
			}
			if slices.Contains(o.From, role) {
				told := false
				for _, to := range o.To {
					if to != role {
						if w := take(x.out[to], &sent[to]); !told {
							out = append(out, piece{name + " of its own", o, true, w})
							told = true
						}
					}
				}
			}
		}
		for j := range at {
			if at[j] != len(x.in[j]) || sent[j] != len(x.out[j]) {
				t.Fatalf("%v round %d: messages hold more than the plan's openings", x.ph, x.round)
			}
		}
	}
	return out
}

// A tally counts what values of some bits are made of.
type tally struct {
	bits int
	n    int
	ones [64]int
	top  [256]int // by the highest eight bits
}

// A tallies is the statistics of the views of many runs: of every piece, and of how neighbouring pieces differ, which is not
// uniform if one mask serves both.
type tallies map[string]*tally

func (ts tallies) count(name string, words []uint64, bits int) {
	t := ts[name]
	if t == nil {
		t = &tally{bits: bits}
		ts[name] = t
	}
	for _, w := range words {
		w &= ^uint64(0) >> (64 - bits)
		for b := range bits {
			t.ones[b] += int(w >> b & 1)
		}
		t.top[w>>max(0, bits-8)]++
	}
	t.n += len(words)
}

func (ts tallies) add(list []piece) {
	for i, a := range list {
		ts.count(a.name, a.words, a.open.Bits)
		for _, b := range list[max(0, i-2):i] {
			if a.open.Kind == plan.Reveal || b.open.Kind == plan.Reveal || a.open.Bits != b.open.Bits || len(a.words) != len(b.words) {
				continue // shares of an output and the own share add up to it
			}
			d := make([]uint64, len(a.words))
			for k := range d {
				d[k] = a.words[k] - b.words[k]
			}
			ts.count(b.name+" less "+a.name, d, a.open.Bits)
		}
	}
}

// bins returns the histogram of the top bits, as many as leave 16 values in each bin.
func (t *tally) bins(n int) []int {
	k := min(8, t.bits)
	shift := 0
	for k-shift > 1 && n>>(k-shift) < 16 {
		shift++
	}
	out := make([]int, 1<<(k-shift))
	for i, c := range t.top[:1<<k] {
		out[i>>shift] += c
	}
	return out
}

// chiLimit is what chi-square of so many degrees of freedom exceeds with probability alarm (Wilson and Hilferty; exact for one).
func chiLimit(df int) float64 {
	if df == 1 {
		z := math.Sqrt2 * math.Erfcinv(alarm)
		return z * z
	}
	k := 2 / (9 * float64(df))
	z := math.Sqrt2 * math.Erfcinv(2*alarm)
	return float64(df) * math.Pow(1-k+z*math.Sqrt(k), 3)
}

// biased names every statistic by which counts are not those of uniform bits.
func (ts tallies) biased() (bad []string) {
	for _, name := range slices.Sorted(maps.Keys(ts)) {
		t := ts[name]
		half := float64(t.n) / 2
		for b := range t.bits {
			if d := float64(t.ones[b]) - half; 2*d*d/half > chiLimit(1) {
				bad = append(bad, fmt.Sprintf("%s: bit %d is set in %d of %d", name, b, t.ones[b], t.n))
			}
		}
		bins, chi := t.bins(t.n), 0.0
		want := float64(t.n) / float64(len(bins))
		for _, c := range bins {
			chi += (float64(c) - want) * (float64(c) - want) / want
		}
		if chi > chiLimit(len(bins)-1) {
			bad = append(bad, fmt.Sprintf("%s: top bits have chi-square %.0f, at most %.0f is expected", name, chi, chiLimit(len(bins)-1)))
		}
	}
	return bad
}

// differ names every statistic by which two sets of as many runs are told apart.
func (ts tallies) differ(other tallies) (bad []string) {
	for _, name := range slices.Sorted(maps.Keys(ts)) {
		a, b := ts[name], other[name]
		if b == nil || a.n != b.n || len(ts) != len(other) {
			return []string{name + ": other messages"}
		}
		test := func(what string, x, y []int) {
			chi, df := 0.0, -1
			for i := range x {
				if s := float64(x[i] + y[i]); s > 0 {
					chi += float64(x[i]-y[i]) * float64(x[i]-y[i]) / s
					df++
				}
			}
			if df > 0 && chi > chiLimit(df) {
				bad = append(bad, fmt.Sprintf("%s: %s tell two inputs apart, chi-square %.0f, at most %.0f is expected", name, what, chi, chiLimit(df)))
			}
		}
		for i := range a.bits {
			test(fmt.Sprint("bits ", i), []int{a.ones[i], a.n - a.ones[i]}, []int{b.ones[i], b.n - b.ones[i]})
		}
		test("top bits", a.bins(a.n), b.bins(b.n))
	}
	return bad
}

// A viewCase is a small plan, two very different inputs of p0 that give the same output, and an input of p1. Outputs are bits,
// numbers of classes, integers or zero: of reals the last bit is rounded by low bits of shares, from which a receiver can tell something.
type viewCase struct {
	name  string
	step  plan.StepOp // that the plan must use
	build func(g *graph) *ir.Value
	a, b  func(i int) float64 // of p0
	y     func(i int) float64 // of p1
}

func constant(x float64) func(int) float64 { return func(int) float64 { return x } }

// viewCases cover the openings of the non-linear steps, one by one and in functions that use many.
var viewCases = []viewCase{
	{"relu with truncation", plan.StepReluSel, func(g *graph) *ir.Value {
		x, y := g.xy("real", -30, 30)
		return g.e(ir.OpRelu, nil, g.e(ir.OpMul, nil, x, y))
	}, constant(-30), func(i int) float64 { return -0.5 - float64(i%7) }, constant(25)},
	{"product of truncated values", plan.StepWireMul, func(g *graph) *ir.Value {
		x, y := g.xy("real", -30, 30)
		z := g.e(ir.OpMul, nil, x, y)
		return g.e(ir.OpLt, nil, g.e(ir.OpMul, nil, z, g.e(ir.OpMul, nil, y, y)), y)
	}, constant(-30), func(i int) float64 { return -1 - float64(i%5) }, constant(20)},
	{"relu by keys that carry values", plan.StepDCF, func(g *graph) *ir.Value {
		x, y := g.xy("real", -30, 30)
		return g.e(ir.OpRelu, nil, g.e(ir.OpMul, nil, x, y))
	}, constant(-30), func(i int) float64 { return -0.5 - float64(i%7) }, constant(25)},
	{"sign by keys", plan.StepDPF, func(g *graph) *ir.Value {
		x, y := g.xy("real", -30, 30)
		return g.e(ir.OpLtz, nil, g.e(ir.OpMul, nil, x, y))
	}, constant(-30), func(i int) float64 { return -0.5 - float64(i%7) }, constant(25)},
	{"equality by keys", plan.StepDPF, func(g *graph) *ir.Value {
		x, y := g.xy("int", -1e6, 1e6)
		return g.e(ir.OpEq, nil, x, y)
	}, constant(-1e6), func(i int) float64 { return float64(i % 3) }, constant(4000)},
	{"select", plan.StepMulBit, func(g *graph) *ir.Value {
		x, y := g.xy("int", -1e6, 1e6)
		return g.e(ir.OpSelect, nil, g.e(ir.OpGe, nil, x, y), x, y)
	}, constant(-1e6), func(i int) float64 { return float64(i % 3) }, constant(4000)},
	{"argmax", plan.StepLeaf, func(g *graph) *ir.Value {
		x, y := g.xy("int", -50, 50)
		return g.e(ir.OpArgMax, ir.Attrs{ir.I("axis", 1)}, g.e(ir.OpConcat, ir.Attrs{ir.I("axis", 1)}, x, y))
	}, constant(-50), func(i int) float64 { return float64(i % 20) }, func(i int) float64 { return float64(25 + i%16) }},
	{"mish by Chebyshev polynomials", plan.StepWireMul, func(g *graph) *ir.Value {
		x, y := g.xy("real", -16, 16)
		return g.e(ir.OpLt, nil, g.e(ir.OpMish, nil, x), y)
	}, constant(-16), func(i int) float64 { return float64(i % 8) }, constant(9)},
	{"sigmoid by waves", plan.StepWave, func(g *graph) *ir.Value {
		x, y := g.xy("real", -8, 8)
		return g.e(ir.OpLt, nil, g.e(ir.OpSigmoid, nil, x), y)
	}, constant(-8), func(i int) float64 { return float64(i % 8) }, constant(5)},
	{"exponential", plan.StepExpo, func(g *graph) *ir.Value {
		x, y := g.xy("real", -8, 8)
		eight := g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Reals(ir.Shape{}, 8))})
		return g.e(ir.OpLt, nil, g.e(ir.OpExp, nil, g.e(ir.OpSub, nil, x, eight)), y)
	}, constant(-8), func(i int) float64 { return float64(i % 8) }, constant(5)},
	{"softmax", plan.StepWireMul, func(g *graph) *ir.Value {
		x, y := g.xy("real", -8, 8)
		return g.e(ir.OpLt, nil, g.e(ir.OpSoftmax, ir.Attrs{ir.I("axis", 1)}, x), y)
	}, constant(-8), func(i int) float64 { return float64(i % 8) }, constant(5)},
}

// keyed reports whether a case is one of comparison by keys, which are for two parties.
func (c *viewCase) keyed() bool { return c.step == plan.StepDPF || c.step == plan.StepDCF }

// compileView compiles a case, after the verifier's proof that the tests of this file stand beside.
func compileView(t *testing.T, c viewCase, parties int) *plan.Plan {
	t.Helper()
	g := newGraph(t, parties)
	opt := smpcc.Options{RevealBits: 40} // what is truncated is rounded by chance, and differs from run to run
	switch c.name {
	case "mish by Chebyshev polynomials": // which 256 elements are worth on a network of many rounds and few bytes
		g.cells = 256
		opt.Net = passes.Network{RTT: 1e-6, Bandwidth: 1e6}
	case "softmax":
		g.cells = 32
	}
	if c.keyed() {
		opt.Net = far
	}
	g.reveal("out", c.build(g))
	comp, err := smpcc.CompileModule(g.m, opt, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify.Check(comp.Plan).Err(); err != nil {
		t.Fatal(err)
	}
	used := map[plan.StepOp]bool{}
	for _, r := range comp.Plan.Programs[0].Online {
		for _, s := range r.Steps {
			used[s.Op] = true
		}
	}
	if !used[c.step] {
		t.Fatalf("the plan does not use the step %s that this case is for %v", plan.Steps[c.step].Name, used)
	}
	return comp.Plan
}

// bindView returns the words of a case's inputs.
func bindView(t *testing.T, p *plan.Plan, x, y func(int) float64) (out [][]uint64) {
	t.Helper()
	for _, port := range p.Manifest.Inputs {
		f := map[string]func(int) float64{"x": x, "y": y}[port.Name]
		v := ir.NewTensor(map[string]ir.Elem{"real": ir.Real, "int": ir.Int}[port.Elem], port.Shape)
		for i := range port.Len() {
			if v.Elem == ir.Real {
				v.F[i] = f(i)
			} else {
				v.I[i] = int64(f(i))
			}
		}
		w, err := smpcc.Bind(port, v)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, w)
	}
	return out
}

// observe runs sessions and counts what every role saw.
func observe(t *testing.T, p *plan.Plan, from, runs int, inputs [][]uint64) []tallies {
	t.Helper()
	out := make([]tallies, p.NumParties())
	for i := range out {
		out[i] = tallies{}
	}
	for n := range runs {
		s := runSession(t, p, uint64(from+n), inputs)
		for role := range out {
			out[role].add(pieces(t, p, role, s.seen[role]))
		}
		for _, x := range s.seen[p.NumParties()] {
			for _, m := range x.in {
				if len(m) > 0 {
					t.Fatal("the dealer received a message")
				}
			}
		}
	}
	return out
}

// viewRuns is how many sessions a set of statistics is made of: enough for thousands of elements of its tensors.
func viewRuns(p *plan.Plan) int { return min(80, 80*cells/p.Manifest.Inputs[0].Len()) }

// dropped returns a plan in which p0 sends the values of the first round that opens any as they are: what it draws as their
// masks is zero.
func dropped(t *testing.T, p *plan.Plan) *plan.Plan {
	t.Helper()
	q, err := plan.DecodeProjection(p.EncodeProjection())
	if err != nil {
		t.Fatal(err)
	}
	g := &q.Programs[0]
	masks := map[int64]bool{}
	for _, r := range g.Online {
		for _, o := range r.Opens {
			if o.Kind == plan.OpenWire && slices.Contains(o.From, 0) {
				masks[int64(o.Item-1)] = true
			}
		}
		if len(masks) > 0 {
			break
		}
	}
	n := 0
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		for _, r := range g.Rounds(ph) {
			for i := range r.Steps {
				if s := &r.Steps[i]; s.Op == plan.StepPRG && masks[s.Args[0]] {
					*s = plan.Step{Op: plan.StepZero, Dst: s.Dst, Node: s.Node}
					n++
				}
			}
		}
	}
	if n == 0 || n != len(masks) {
		t.Fatalf("%d masks of %d are dropped", n, len(masks))
	}
	if err := q.Validate(); err != nil {
		t.Fatal(err)
	}
	if verify.Check(q).Err() == nil {
		t.Fatal("the verifier does not see that masks are dropped")
	}
	return q
}

// TestMessagesAreUniform counts the bits of every tensor that a party receives or sends in many runs, under three sets of
// inputs: they are uniform, and the same for very different inputs of another party. A plan with a mask dropped fails both.
func TestMessagesAreUniform(t *testing.T) {
	for _, c := range viewCases {
		for _, parties := range []int{2, 3} {
			if c.keyed() && parties > 2 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", c.name, parties), func(t *testing.T) {
				t.Parallel()
				p := compileView(t, c, parties)
				runs := viewRuns(p)
				sets := map[string][]tallies{
					"":  observe(t, p, 0, runs, bindView(t, p, c.a, c.y)),
					"x": observe(t, p, runs, runs, bindView(t, p, c.b, c.y)),
					"y": observe(t, p, 2*runs, runs, bindView(t, p, c.a, func(i int) float64 { return -c.y(i) })),
				}
				owner := map[string]int{"": -1, "x": 0, "y": 1}
				for what, seen := range sets {
					for role, ts := range seen {
						if len(ts) < 3 {
							t.Fatalf("%s received only %d tensors", p.Roles()[role], len(ts))
						}
						for _, bad := range ts.biased() {
							t.Errorf("%s: %s", p.Roles()[role], bad)
						}
						if role == owner[what] {
							continue // it knows what has changed
						}
						for _, bad := range sets[""][role].differ(ts) {
							t.Errorf("%s, other %s: %s", p.Roles()[role], what, bad)
						}
					}
				}
				q := dropped(t, p)
				a := observe(t, q, 0, runs, bindView(t, q, c.a, c.y))[1]
				b := observe(t, q, runs, runs, bindView(t, q, c.b, c.y))[1]
				if len(a.biased()) == 0 {
					t.Error("a dropped mask is not seen in the bits")
				}
				if len(a.differ(b)) == 0 {
					t.Error("a dropped mask does not tell two inputs apart")
				}
			})
		}
	}
}

// TestReusedMaskIsSeen gives two inputs of one owner the same mask, so that each message is uniform and their difference is not.
func TestReusedMaskIsSeen(t *testing.T) {
	g := newGraph(t, 2)
	x, y := g.input("x", "p0", "int", -1e6, 1e6, cells), g.input("y", "p0", "int", -1e6, 1e6, cells)
	g.reveal("out", g.e(ir.OpMul, nil, x, y))
	c, err := smpcc.CompileModule(g.m, smpcc.Options{RevealBits: 40}, true)
	if err != nil {
		t.Fatal(err)
	}
	in := bindView(t, c.Plan, constant(5), constant(-70))
	if bad := observe(t, c.Plan, 0, 80, in)[1].biased(); len(bad) > 0 {
		t.Errorf("of a sound plan: %s", bad[0])
	}
	p, err := plan.DecodeProjection(c.Plan.EncodeProjection())
	if err != nil {
		t.Fatal(err)
	}
	var first int64 = -1
	reused := 0
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		for _, r := range p.Programs[0].Rounds(ph) {
			for i := range r.Steps {
				s := &r.Steps[i]
				if s.Op != plan.StepPRG || p.Items[s.Args[0]].Holder != 1 {
					continue
				}
				if first < 0 {
					first = s.Args[0]
				} else {
					s.Args = []int64{first}
					reused++
				}
			}
		}
	}
	if reused != 1 {
		t.Fatalf("%d masks are reused, want that of the second input", reused)
	}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	bad := observe(t, p, 0, 80, in)[1].biased()
	if len(bad) == 0 {
		t.Error("a mask that serves twice is not seen")
	}
	for _, s := range bad {
		if !strings.Contains(s, " less ") {
			t.Errorf("a single message is not uniform: %s", s)
		}
	}
}

// A simulator is the peers of one role as the verifier's proof describes them: it knows the plan, the role's outputs and, by
// running the role, what the role holds, and nothing about the others' inputs. Openings, corrections and keys are uniform bits; the
// shares of an output are uniform but for the last, which makes them add up to it with the role's own share.
type simulator struct {
	p    *plan.Plan
	role int
	rand *rand.Rand
	sums map[int][]uint64 // by item: what the peers' shares of an output add up to
}

func (s *simulator) Exchange(_ context.Context, ph plan.Phase, round int, _ [][]byte, want []int) ([][]byte, error) {
	in := make([][]byte, len(want))
	opens := s.p.Programs[s.role].Rounds(ph)[round].Opens
	for i := range opens {
		o := &opens[i]
		if !slices.Contains(o.To, s.role) {
			continue
		}
		peers := slices.DeleteFunc(slices.Clone(o.From), func(r int) bool { return r == s.role })
		rest := make([]uint64, o.Len)
		if o.Kind == plan.Reveal {
			copy(rest, s.sums[o.Item-1])
		}
		for k, from := range peers {
			w := make([]uint64, o.Len)
			for e := range w {
				w[e] = s.rand.Uint64()
				switch {
				case o.Kind != plan.Reveal:
				case k == len(peers)-1:
					w[e] = rest[e]
				case o.Mode == plan.Xor:
					rest[e] ^= w[e]
				default:
					rest[e] -= w[e]
				}
			}
			in[from] = plan.Pack(in[from], w, o.Bits)
		}
	}
	return in, nil
}

// simulate runs the engine of one role against simulated peers, given its inputs and outputs, and returns what it saw. It
// runs it twice: with shares of outputs that add up to nothing the role finds its own, which the others then complete.
func simulate(t *testing.T, p *plan.Plan, role int, number uint64, inputs [][]uint64, outputs map[string][]uint64) ([]exchange, map[string][]uint64) {
	t.Helper()
	run := func(sums map[int][]uint64) ([]exchange, map[string][]uint64) {
		rec := &recorder{Transport: &simulator{p, role, rand.New(rand.NewPCG(number, uint64(role))), sums}}
		got, err := part(t, p, role, number, inputs, func(plan.Phase) engine.Transport { return rec })
		if err != nil {
			t.Fatal(err)
		}
		return rec.seen, got
	}
	_, own := run(nil)
	sums := map[int][]uint64{}
	for _, o := range p.Manifest.Outputs {
		w := slices.Clone(outputs[o.Name])
		for i := range w {
			if o.Elem == "bool" {
				w[i] ^= own[o.Name][i]
			} else {
				w[i] -= own[o.Name][i]
			}
		}
		sums[o.Item] = w
	}
	return run(sums)
}

// A replay gives a role what it has received before.
type replay struct{ seen []exchange }

func (r *replay) Exchange(_ context.Context, ph plan.Phase, round int, _ [][]byte, _ []int) ([][]byte, error) {
	if len(r.seen) == 0 || r.seen[0].ph != ph || r.seen[0].round != round {
		return nil, fmt.Errorf("%v round %d was not recorded", ph, round)
	}
	x := r.seen[0]
	r.seen = r.seen[1:]
	return copies(x.in), nil
}

// TestViewsAreSimulated compares all that p1, or a third party, sees in real runs, under two inputs of p0 with the same output,
// with what a simulator makes up that knows the party's inputs and outputs only. Outputs are equal, the messages have the same distribution, and a
// replay shows that outputs and sent messages follow from what was recorded. A plan with a mask dropped is told apart.
func TestViewsAreSimulated(t *testing.T) {
	for _, c := range viewCases {
		for _, who := range []struct{ parties, role int }{{2, 1}, {3, 1}, {3, 2}} {
			if c.keyed() && who.parties > 2 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d/p%d", c.name, who.parties, who.role), func(t *testing.T) {
				t.Parallel()
				role := who.role
				p := compileView(t, c, who.parties)
				runs := viewRuns(p)
				a, b := bindView(t, p, c.a, c.y), bindView(t, p, c.b, c.y)
				type view struct{ real, simulated tallies }
				look := func(p *plan.Plan, inputs [][]uint64, from uint64, sound bool) (v view, outputs map[string][]uint64) {
					v = view{tallies{}, tallies{}}
					for n := range uint64(runs) {
						s := runSession(t, p, from+n, inputs)
						v.real.add(pieces(t, p, role, s.seen[role]))
						outputs = s.outputs[role]
						rec := &recorder{Transport: &replay{s.seen[role]}}
						again, err := part(t, p, role, from+n, inputs, func(plan.Phase) engine.Transport { return rec })
						if err != nil {
							t.Fatal(err)
						}
						if !maps.EqualFunc(again, outputs, slices.Equal) || !slices.EqualFunc(rec.seen, s.seen[role], func(x, y exchange) bool { return slices.EqualFunc(x.out, y.out, slices.Equal) }) {
							t.Fatal("what a role computes and sends does not follow from its view")
						}
						own := make([][]uint64, len(inputs)) // all that the simulator gets
						for i, port := range p.Manifest.Inputs {
							if port.Owner == p.Roles()[role] {
								own[i] = inputs[i]
							}
						}
						seen, got := simulate(t, p, role, 1<<32+from+n, own, outputs)
						v.simulated.add(pieces(t, p, role, seen))
						if sound && !maps.EqualFunc(got, outputs, slices.Equal) {
							t.Fatalf("against simulated peers the outputs are %v, want %v", got, outputs)
						}
					}
					return v, outputs
				}
				va, oa := look(p, a, 0, true)
				vb, ob := look(p, b, uint64(runs), true)
				if !maps.EqualFunc(oa, ob, slices.Equal) {
					t.Fatalf("the case is wrong: two inputs give different outputs, %v and %v", oa, ob)
				}
				for what, bad := range map[string][]string{
					"two inputs": va.real.differ(vb.real), "first input and simulation": va.real.differ(va.simulated),
					"second input and simulation": vb.real.differ(vb.simulated),
				} {
					for _, s := range bad {
						t.Errorf("%s: %s", what, s)
					}
				}
				if v, _ := look(dropped(t, p), a, 0, false); len(v.real.differ(v.simulated)) == 0 {
					t.Error("a plan with a mask dropped is not told from its simulation")
				}
			})
		}
	}
}
