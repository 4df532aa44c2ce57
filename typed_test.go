package smpcc_test

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"smpcc"
	"smpcc/backend"
	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/backend/verify"
	"smpcc/bench"
	"smpcc/ir/text"
)

// differences says where two plans differ in what their roles compute, send and draw. Slots have no names, and steps of one round no
// order: a step is what it computes from what, down to items and bound tensors. Names of items are for people and may differ.
func differences(got, want *plan.Plan) error {
	if len(got.Items) != len(want.Items) {
		return fmt.Errorf("%d items, want %d", len(got.Items), len(want.Items))
	}
	for i, a := range got.Items {
		b := want.Items[i]
		if a.What, b.What = "", ""; a != b {
			return fmt.Errorf("item %d is %+v, want %+v (%s)", i, a, b, want.Items[i].What)
		}
	}
	for role := range want.Programs {
		a, b := fingerprint(got, role), fingerprint(want, role)
		for i := range min(len(a), len(b)) {
			if a[i].hash != b[i].hash {
				return fmt.Errorf("%s:\n  %s, want\n  %s", want.Programs[role].Role, a[i].text, b[i].text)
			}
		}
		if len(a) != len(b) {
			return fmt.Errorf("%s has %d steps and messages, want %d", want.Programs[role].Role, len(a), len(b))
		}
	}
	for i := range want.Manifest.Outputs {
		if a, b := got.Manifest.Outputs[i].Item, want.Manifest.Outputs[i].Item; a != b {
			return fmt.Errorf("output %d is revealed by item %d, want %d", i, a, b)
		}
	}
	a, b := got.Cost(), want.Cost()
	if x, y := fmt.Sprint(a.Phases), fmt.Sprint(b.Phases); x != y {
		return fmt.Errorf("cost %s, want %s", x, y)
	}
	return nil
}

// A print is a step or message of a role: what it is made of, and how a person reads it.
type print struct{ hash, text string }

// fingerprint lists what a role does: the steps of each round by what they compute, then its messages in order.
func fingerprint(p *plan.Plan, role int) (out []print) {
	g := &p.Programs[role]
	is := make([]string, len(g.Slots)) // what a slot holds
	hash := func(parts ...any) string {
		h := sha256.Sum256(fmt.Append(nil, parts...))
		return string(h[:12])
	}
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		for r, round := range g.Rounds(ph) {
			var steps []print
			for i := range round.Steps {
				s := &round.Steps[i]
				parts := []any{plan.Steps[s.Op].Name, "|", len(s.Data), s.Data, "|", g.Slots[s.Dst].Len, g.Slots[s.Dst].Scope}
				args := s.Args
				switch s.Op {
				case plan.StepCopy:
					args = canonicalCopy(plan.CopyOf(s))
					if whole := (plan.Copy{Dims: []int64{int64(g.Slots[s.Dst].Len)}, SrcStrides: []int64{1}, DstStrides: []int64{1}}); g.Slots[s.Src[0]].Len == g.Slots[s.Dst].Len && slices.Equal(args, canonicalCopy(whole)) {
						is[s.Dst] = is[s.Src[0]] // a projection leaves such copies out
						continue
					}
					parts = append(parts, is[s.Dst])
				case plan.StepOneHot: // the word that it is, among those of any group
					hot := plan.HotWords(int(args[0]), int(args[1]), int(args[2]), int(args[3]))[args[4]]
					args = []int64{args[0], args[1], int64(hot.First), int64(hot.Count), int64(hot.Base)}
				}
				var from []string
				for _, src := range s.Src {
					from = append(from, is[src])
				}
				if s.Op == plan.StepXor || s.Op == plan.StepAnd { // either way round
					slices.Sort(from)
				}
				parts = append(parts, args, "|", from)
				is[s.Dst] = hash(parts...)
				steps = append(steps, print{hash(is[s.Dst], p.Nodes[s.Node]), fmt.Sprintf("%v %d: %s", ph, r, p.StepText(s))})
			}
			slices.SortFunc(steps, func(a, b print) int { return cmp.Compare(a.hash, b.hash) })
			out = append(out, steps...)
			for i := range round.Opens {
				o := &round.Opens[i]
				sent := ""
				if slices.Contains(o.From, role) {
					sent = is[o.Src]
				}
				h := hash(ph, r, o.Mode, o.Len, o.Bits, o.From, o.To, o.Item, o.Kind, sent, p.Nodes[o.Node])
				if slices.Contains(o.To, role) {
					is[o.Dst] = hash("opened", o.Item)
				}
				out = append(out, print{h, fmt.Sprintf("%v %d: %s", ph, r, p.OpenText(role, o))})
			}
		}
	}
	return out
}

// canonicalCopy returns the arguments of a copy without dimensions of one, those that follow each other joined.
func canonicalCopy(c plan.Copy) []int64 {
	var dims, src, dst []int64
	for i, d := range c.Dims {
		if d == 1 {
			continue
		}
		if k := len(dims) - 1; k >= 0 && src[k] == c.SrcStrides[i]*d && dst[k] == c.DstStrides[i]*d {
			dims[k], src[k], dst[k] = dims[k]*d, c.SrcStrides[i], c.DstStrides[i]
			continue
		}
		dims, src, dst = append(dims, d), append(src, c.SrcStrides[i]), append(dst, c.DstStrides[i])
	}
	return append(append(append(append(dims, c.Src), src...), c.Dst), dst...)
}

// typedOf returns the typed plan of a plan, from the share level that it records; beside typed.ErrNoise if that is its only fault.
func typedOf(p *plan.Plan) (*typed.Checked, error) {
	for _, d := range p.Manifest.Dumps {
		if d.Level != "share" {
			continue
		}
		m, err := text.Parse("share", []byte(d.Text))
		if err != nil {
			return nil, err
		}
		c, err := backend.Typed(m, backend.Options{})
		if c == nil {
			return nil, err
		}
		c.Manifest = &p.Manifest
		return c, err
	}
	return nil, errors.New("the plan has no share level")
}

// agrees compares the projection of a plan's typed plan with the plan.
func agrees(p *plan.Plan) error {
	c, err := typedOf(p)
	if c == nil {
		return err
	}
	got, err := c.Project()
	if err != nil {
		return err
	}
	return differences(got, p)
}

// TestMain compares every plan that a test of this package compiles with the projection of its typed plan, when it is verified. Programs
// whose outputs carry low bits that were rounded in material have no type and are compiled today: docs/typed-plan.md says which.
func TestMain(m *testing.M) {
	var seen sync.Map
	smpcc.ReplaceCheck(func(p *plan.Plan) *verify.Report {
		r := verify.Check(p)
		if _, was := seen.LoadOrStore(p.Digest(), true); !was && r.OK {
			if err := agrees(p); err != nil {
				r.OK = false
				r.Findings = append(r.Findings, verify.Finding{Name: "typed plan", What: err.Error()})
			}
		}
		return r
	})
	os.Exit(m.Run())
}

// TestProjection: the programs of all roles follow from the typed plan, step by step as they are emitted.
func TestProjection(t *testing.T) {
	for _, c := range []struct {
		path string
		opt  smpcc.Options
	}{
		{"examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Ranges: map[string][2]float64{"input": {-16, 16}}}},
		{"examples/mnist/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Ranges: map[string][2]float64{"input": {0, 1}}}},
		{"examples/mnist/model.onnx", smpcc.Options{Dims: map[string]int{"N": 2}, Ranges: map[string][2]float64{"input": {0, 1}}, Net: far}},
		{"examples/mnist/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Ranges: map[string][2]float64{"input": {0, 1}}, Parties: 3}},
		{"examples/auction/auction.smp", smpcc.Options{}},
		{"examples/survey/survey.smp", smpcc.Options{}},
	} {
		t.Run(strings.Split(c.path, "/")[1], func(t *testing.T) {
			p, err := smpcc.Compile(c.path, c.opt)
			if err != nil {
				t.Fatal(err)
			}
			typedPlan, err := typedOf(p.Plan)
			if err != nil {
				t.Fatal(err)
			}
			again, err := typed.Decode(typedPlan.Encode())
			if err != nil {
				t.Fatal(err)
			}
			if again.Digest() != typedPlan.Digest() {
				t.Error("another typed plan is read than was written")
			}
			if err := agrees(p.Plan); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSuiteProjection compares the projections of the models of the bench suite with their plans, and says what they take.
func TestSuiteProjection(t *testing.T) {
	names := []string{"lenet-1", "matmul-512", "relu-1m"}
	if os.Getenv("SMPCC_NIGHTLY") != "" {
		names = append(names, "lenet-128", "squeezenet", "resnet18", "resnet50", "mobilenet", "bert-layer")
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			b, err := bench.ModelOf(name, 0)
			if err != nil {
				t.Fatal(err)
			}
			m, inputs, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			p, err := smpcc.CompileModule(m, smpcc.Options{Samples: inputs}, true)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			c, err := typedOf(p.Plan)
			if c == nil {
				t.Fatal(err)
			}
			lowered := time.Now()
			_, noise := typed.Check(&p.Plan.Manifest, c.Program)
			if noise != nil && !errors.Is(noise, typed.ErrNoise) {
				t.Error(noise)
			}
			checked := time.Now()
			got, err := c.Project()
			if err != nil {
				t.Fatal(err)
			}
			projected := time.Now()
			if err := differences(got, p.Plan); err != nil {
				t.Error(err)
			}
			r := verify.Check(p.Plan)
			p.Plan.Manifest.Dumps = nil // both formats have them
			t.Logf("%d steps instead of %d, %d bytes instead of %d; lowered in %v, typed in %v, projected in %v; verified in %v: %v; %v", len(c.Program.Steps), count(p.Plan), len(c.Encode()), len(p.Plan.Encode()), lowered.Sub(start), checked.Sub(lowered), projected.Sub(checked), time.Since(projected), r.OK, noise)
		})
	}
}

// count returns the steps and messages of all roles.
func count(p *plan.Plan) (n int) {
	for i := range p.Programs {
		for ph := plan.Setup; ph <= plan.Online; ph++ {
			for _, r := range p.Programs[i].Rounds(ph) {
				n += len(r.Steps) + len(r.Opens)
			}
		}
	}
	return n
}

// TestDifferences: plans that differ in one number are told apart.
func TestDifferences(t *testing.T) {
	p, err := smpcc.Compile("examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Ranges: map[string][2]float64{"input": {-16, 16}}})
	if err != nil {
		t.Fatal(err)
	}
	fresh := func() *plan.Plan {
		q, err := plan.Decode(p.Plan.Encode())
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	if err := differences(fresh(), p.Plan); err != nil {
		t.Fatal(err)
	}
	find := func(q *plan.Plan, role int, op plan.StepOp) *plan.Step {
		for ph := plan.Setup; ph <= plan.Online; ph++ {
			for _, round := range q.Programs[role].Rounds(ph) {
				for i := range round.Steps {
					if round.Steps[i].Op == op {
						return &round.Steps[i]
					}
				}
			}
		}
		t.Fatalf("no step %v", op)
		return nil
	}
	for name, change := range map[string]func(q *plan.Plan){
		"argument":    func(q *plan.Plan) { find(q, 0, plan.StepDrop).Args[2]++ },
		"operands":    func(q *plan.Plan) { s := find(q, 1, plan.StepMerge); s.Src[2], s.Src[3] = s.Src[3], s.Src[2] },
		"constant":    func(q *plan.Plan) { find(q, 0, plan.StepConst).Data[0]++ },
		"dealer":      func(q *plan.Plan) { find(q, 2, plan.StepMono).Args[2] ^= 1 },
		"item":        func(q *plan.Plan) { q.Items[3].Offset += 16 },
		"message":     func(q *plan.Plan) { q.Programs[0].Online[0].Opens[0].Bits-- },
		"destination": func(q *plan.Plan) { find(q, 0, plan.StepCopy).Args[len(find(q, 0, plan.StepCopy).Args)-1]++ },
	} {
		q := fresh()
		change(q)
		if differences(q, p.Plan) == nil {
			t.Errorf("%s: no difference is found", name)
		}
	}
}
