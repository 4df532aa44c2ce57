package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/frontend/onnx"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/runtime/local"
)

// A testResult is one data set of one folder.
type testResult struct {
	Dir    string   `json:"dir"`
	Set    string   `json:"set"`
	Status string   `json:"status"`         // passed, failed or skipped: the compiler refused
	Kind   string   `json:"kind,omitempty"` // of what is refused for what it is, such as strings
	Why    string   `json:"why,omitempty"`
	Ops    []string `json:"operators"`
	Public []string `json:"public_inputs,omitempty"` // inputs that had to be public
	Error  float64  `json:"max_abs_error"`
	Rounds int      `json:"online_rounds"`
	Bytes  int64    `json:"online_bytes_per_party"`
}

func testCommand() *cobra.Command {
	var s source
	var file, report string
	c := &cobra.Command{
		Use:   "test DIR...",
		Short: "Run ONNX test-data folders under secure execution",
		Long: `Test takes folders with model.onnx and test_data_set_*/input_*.pb, output_*.pb, runs each set under secure execution and
compares. A set fails if an element differs by more than atol + rtol * |expected|. All inputs and weights are secret; an
input that a model needs as a public parameter, such as a shape or indices, becomes public, and if that is not enough all
integers do. What the compiler refuses is skipped, with the reason. Every plan must also pass smpcc verify.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("smpcc test takes one or more folders")
			}
			return nil
		},
	}
	s.flags(c)
	c.Flags().StringVar(&report, "report", "", "`FILE` to write a summary by operator to, as Markdown")
	c.Flags().StringVar(&file, "json", "", "`FILE` to write results to, as JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		var asked smpcc.Options // the plan keeps the tolerance that the test compares with
		if err := s.tolerances(&asked); err != nil {
			return err
		}
		atol, rtol := asked.Tolerance.Atol, asked.Tolerance.Rtol
		var all []testResult
		count := map[string]int{}
		for _, dir := range args {
			for _, r := range s.testDir(c, dir, atol, rtol) {
				all = append(all, r)
				count[r.Status]++
				line := fmt.Sprintf("%-7s %s", r.Status, filepath.Join(r.Dir, r.Set))
				if r.Status == "passed" {
					line += fmt.Sprintf("  error %.2g, %d rounds, %s per party", r.Error, r.Rounds, bytesText(r.Bytes))
				} else {
					line += "  " + strings.ReplaceAll(r.Why, "\n", "\n        ")
				}
				fmt.Fprintln(c.OutOrStdout(), line)
			}
		}
		if file != "" {
			b, err := json.MarshalIndent(all, "", "  ")
			if err != nil {
				return err
			}
			if err := plan.WriteAtomic(file, append(b, '\n'), 0o644); err != nil {
				return err
			}
		}
		if report != "" {
			if err := plan.WriteAtomic(report, []byte(testReport(all, atol, rtol)), 0o644); err != nil {
				return err
			}
		}
		fmt.Fprintf(c.OutOrStdout(), "%d passed, %d failed, %d skipped\n", count["passed"], count["failed"], count["skipped"])
		switch {
		case count["failed"] > 0:
			return silentError{errors.New("tests failed")}
		case count["passed"] == 0:
			return fmt.Errorf("no test ran")
		}
		return nil
	}
	return c
}

// testDir runs all sets of a folder.
func (s *source) testDir(c *cobra.Command, dir string, atol, rtol float64) []testResult {
	fail := func(set, status string, err error) testResult {
		return testResult{Dir: dir, Set: set, Status: status, Kind: refusalKind(err), Why: err.Error()}
	}
	model := filepath.Join(dir, "model.onnx")
	if _, err := os.Stat(model); err != nil {
		return []testResult{fail("", "failed", errors.New("no model.onnx in this folder"))}
	}
	sets, err := filepath.Glob(filepath.Join(dir, "test_data_set_*"))
	if err != nil || len(sets) == 0 {
		return []testResult{fail("", "failed", errors.New("no test_data_set_* in this folder"))}
	}
	sort.Strings(sets)
	ops, err := onnx.Uses(model)
	if err != nil {
		return []testResult{fail("", "skipped", err)}
	}
	ins, err := onnx.Inputs(model)
	if err == nil {
		var outs []onnx.InputInfo
		if outs, err = onnx.Outputs(model); err == nil {
			var results []testResult
			for _, set := range sets {
				r, err := s.testSet(c, model, set, ins, outs, atol, rtol)
				r.Dir, r.Set, r.Ops = dir, filepath.Base(set), ops
				if err != nil {
					r.Status, r.Why = "failed", err.Error()
					var refusal refused
					if errors.As(err, &refusal) {
						r.Status, r.Kind = "skipped", refusalKind(err)
					}
				}
				results = append(results, r)
			}
			return results
		}
	}
	r := fail("", "skipped", err)
	r.Ops = ops
	return []testResult{r}
}

// refusalKind says what kind of thing an error refuses for what it is: the first one, if there are several; "" if it is none.
func refusalKind(err error) string {
	var list diag.List
	var one *diag.Error
	switch {
	case errors.As(err, &list):
		for _, e := range list {
			if e.Refusal != "" {
				return e.Refusal
			}
		}
	case errors.As(err, &one):
		return one.Refusal
	}
	return ""
}

// extreme is a refusal of numbers that fixed point does not have.
func extreme(err error) error {
	return refused{&diag.Error{Msg: err.Error(), Refusal: "extreme values"}}
}

// refused wraps an error that says why something cannot be had, as opposed to something that went wrong.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// compileTest compiles a model for a test: with all inputs secret, then with those public that the compiler asks for, then
// with all integers public.
func (s *source) compileTest(c *cobra.Command, model string, in map[string]*ir.Tensor) (*smpcc.Compilation, []string, error) {
	public := map[string]*ir.Tensor{}
	var last error // what is left in the way after all that was asked for is there
	for range len(in) + 3 {
		secret := map[string]*ir.Tensor{}
		for k, t := range in {
			if public[k] == nil {
				secret[k] = t
			}
		}
		opt, err := s.options(c, model, secret)
		if err != nil {
			return nil, nil, err
		}
		opt.Public = public
		comp, err := smpcc.Compile(model, opt)
		if err == nil {
			return comp, sortedKeys(public), nil
		}
		last = err
		had := len(public)
		for _, name := range mustBePublic(err) {
			if in[name] != nil {
				public[name] = in[name]
			}
		}
		if len(public) > had {
			continue
		}
		for k, t := range in {
			if t.Elem == ir.Int {
				public[k] = t
			}
		}
		if len(public) == had {
			break
		}
	}
	if strings.Contains(last.Error(), "internal error") {
		return nil, nil, last
	}
	return nil, nil, refused{last}
}

// mustBePublic lists the inputs that the compiler says it needs as public parameters.
func mustBePublic(err error) []string {
	var list diag.List
	var one *diag.Error
	var out []string
	switch {
	case errors.As(err, &list):
		for _, e := range list {
			out = append(out, e.Public...)
		}
	case errors.As(err, &one):
		out = append(out, one.Public...)
	}
	return out
}

// readSet reads NAME_0.pb, NAME_1.pb, ... of a set, named by the tensors or by position.
func readSet(set, kind string, infos []onnx.InputInfo) (map[string]*ir.Tensor, error) {
	out := map[string]*ir.Tensor{}
	for i, info := range infos {
		t, name, err := onnx.ReadTensor(filepath.Join(set, fmt.Sprintf("%s_%d.pb", kind, i)))
		if err != nil {
			return nil, err
		}
		for _, other := range infos {
			if other.Name == name {
				info = other
			}
		}
		out[info.Name] = info.Data(t)
	}
	return out, nil
}

func (s *source) testSet(c *cobra.Command, model, set string, ins, outs []onnx.InputInfo, atol, rtol float64) (r testResult, err error) {
	in, err := readSet(set, "input", ins)
	if err != nil {
		return r, refused{err}
	}
	want, err := readSet(set, "output", outs)
	if err != nil {
		return r, refused{err}
	}
	for _, k := range sortedKeys(want) {
		for i := range want[k].Len() {
			if x := want[k].At(i); math.IsNaN(x) || math.IsInf(x, 0) {
				return r, extreme(fmt.Errorf("output %q: the expected element %d is not finite, and fixed point has nothing else", k, i))
			}
		}
	}
	comp, public, err := s.compileTest(c, model, in)
	if err != nil {
		return r, err
	}
	r.Public = public
	for _, k := range public {
		delete(in, k)
	}
	j := &job{plan: comp.Plan, comp: comp, inputs: in, want: want}
	if _, err := j.bind(); err != nil {
		return r, extreme(err)
	}
	if err := j.runLocal(c.Context()); err != nil {
		return r, err
	}
	r.Rounds = j.phases[plan.Online].Rounds
	for _, n := range j.phases[plan.Online].Sent {
		r.Bytes = max(r.Bytes, n)
	}
	rounding := map[string]float64{}
	for _, o := range outs {
		rounding[o.Name] = o.Rounding()
	}
	for _, p := range comp.Plan.Manifest.Outputs {
		got, w := j.outputs[p.To[0]][p.Name], want[p.Name]
		if !got.Shape.Equal(w.Shape) {
			return r, fmt.Errorf("output %q has shape %v, want %v", p.Name, got.Shape, w.Shape)
		}
		for i := range w.Len() {
			d := math.Abs(got.At(i) - w.At(i))
			if !math.IsNaN(d) && !math.IsInf(d, 0) {
				r.Error = max(r.Error, d)
			}
			if !(d <= atol+(rtol+rounding[p.Name])*math.Abs(w.At(i))) {
				return r, fmt.Errorf("output %q: element %d is %.6g, want %.6g", p.Name, i, got.At(i), w.At(i))
			}
		}
	}
	r.Status = "passed"
	return r, nil
}

// runLocal runs the job in this process.
func (j *job) runLocal(ctx context.Context) error {
	in, err := j.bind()
	if err != nil {
		return err
	}
	w, err := j.weights()
	if err != nil {
		return err
	}
	r, err := local.New(ctx, j.plan, w)
	if err != nil {
		return err
	}
	res, err := r.Run(ctx, in)
	if err != nil {
		return err
	}
	j.phases = [3]local.Phase{r.Setup, res.Offline, res.Online}
	j.collect(func(role int) map[string][]uint64 { return res.Outputs[role] })
	return nil
}
