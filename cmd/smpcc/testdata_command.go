package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/exact"
	"smpcc/runtime/local"
)

// A testResult is one data set of one folder.
type testResult struct {
	Dir    string   `json:"dir"`
	Set    string   `json:"set"`
	Status string   `json:"status"`         // passed, failed or skipped: the compiler refused
	Kind   string   `json:"kind,omitempty"` // of what is refused for what it is, such as strings; of others, refused
	Why    string   `json:"why,omitempty"`
	Ops    []string `json:"operators"`
	Public []string `json:"public_inputs,omitempty"` // inputs that had to be public
	Ranges []string `json:"ranges,omitempty"`        // that come from the test's own data, NAME=LO..HI
	Reals  int      `json:"reals"`                   // elements compared within the tolerance
	Whole  int      `json:"integers"`                // integers, booleans and strings compared exactly
	Error  float64  `json:"max_abs_error"`           // of the reals
	Rounds int      `json:"online_rounds"`
	Bytes  int64    `json:"online_bytes_per_party"`
}

func testCommand() *cobra.Command {
	var s source
	var t tester
	var file, report string
	c := &cobra.Command{
		Use:   "test DIR...",
		Short: "Run folders of tests under secure execution",
		Long: `Test runs folders of two kinds under secure execution and compares: ONNX test data, model.onnx with
test_data_set_*/input_*.pb and output_*.pb; and programs, program.smp with a JSON file for each input and want.json, an object of
outputs. A set fails if a real differs by more than atol + rtol * |expected|, or an integer or boolean at all, whatever the
tolerances are. All inputs and weights are secret; an input that a model needs as a public parameter, such as a shape or indices,
becomes public, and if that is not enough all integers do. An input of a model without a declared range gets one from the data of
its folder, both ends rounded outwards to powers of two, and so does each column of a table of reals. What the compiler refuses is skipped, with the reason, and counted by its
kind. Every plan must also pass smpcc verify.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("smpcc test takes one or more folders")
			}
			return nil
		},
	}
	s.flags(c)
	c.Flags().BoolVar(&t.plain, "no-data-ranges", false, "give inputs no ranges from the test's own data")
	c.Flags().StringVar(&report, "report", "", "`FILE` to write a summary by operator to, as Markdown")
	c.Flags().StringVar(&file, "json", "", "`FILE` to write results to, as JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		t.source, t.command = &s, c
		var asked smpcc.Options // the plan keeps the tolerance that the test compares with
		if err := s.tolerances(&asked); err != nil {
			return err
		}
		t.contract.Atol, t.contract.Rtol = asked.Tolerance.Atol, asked.Tolerance.Rtol
		var all []testResult
		for _, dir := range args {
			results := t.folder(dir)
			if len(results) > 0 && len(results[0].Ranges) > 0 {
				fmt.Fprintf(c.ErrOrStderr(), "note: %s: ranges from the test's own data: %s\n", dir, strings.Join(results[0].Ranges, ", "))
			}
			for _, r := range results {
				all = append(all, r)
				fmt.Fprintln(c.OutOrStdout(), r.line())
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
			if err := plan.WriteAtomic(report, []byte(testReport(all, t.contract.Atol, t.contract.Rtol)), 0o644); err != nil {
				return err
			}
		}
		count, summary := counts(all)
		fmt.Fprintln(c.OutOrStdout(), summary)
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

// line renders a result for people.
func (r testResult) line() string {
	at := fmt.Sprintf("%-7s %s", r.Status, filepath.Join(r.Dir, r.Set))
	switch r.Status {
	case "passed":
		var compared []string
		if r.Reals > 0 {
			compared = append(compared, fmt.Sprintf("%d reals, error %.2g", r.Reals, r.Error))
		}
		if r.Whole > 0 {
			compared = append(compared, fmt.Sprintf("%d integers or booleans, exactly", r.Whole))
		}
		if compared == nil {
			compared = []string{"no elements"}
		}
		if len(r.Public) > 0 {
			compared = append(compared, "public: "+strings.Join(r.Public, " "))
		}
		return fmt.Sprintf("%s  %s; %d rounds, %s per party", at, strings.Join(compared, ", "), r.Rounds, bytesText(r.Bytes))
	case "skipped":
		at += "  " + r.kind() + ":"
	}
	return at + " " + strings.ReplaceAll(r.Why, "\n", "\n        ")
}

// kind says what a skipped test was refused for.
func (r testResult) kind() string { return cmp.Or(r.Kind, "refused") }

// counts returns how many results there are of each status, and the last line: skipped ones by kind.
func counts(all []testResult) (count map[string]int, line string) {
	count, kinds := map[string]int{}, map[string]int{}
	for _, r := range all {
		count[r.Status]++
		if r.Status == "skipped" {
			kinds[r.kind()]++
		}
	}
	line = fmt.Sprintf("%d passed, %d failed, %d skipped", count["passed"], count["failed"], count["skipped"])
	var parts []string
	for _, k := range sortedKeys(kinds) {
		parts = append(parts, fmt.Sprintf("%d %s", kinds[k], k))
	}
	if parts != nil {
		line += " (" + strings.Join(parts, ", ") + ")"
	}
	return count, line
}

// A tester runs test folders.
type tester struct {
	source   *source
	command  *cobra.Command
	contract exact.Contract
	plain    bool // no ranges from data
}

// folder runs all sets of a folder.
func (t *tester) folder(dir string) []testResult {
	f, err := readFolder(dir)
	if err != nil {
		r := testResult{Dir: dir, Status: "failed", Why: err.Error(), Ops: f.ops}
		var refusal refused
		if errors.As(err, &refusal) {
			r.Status, r.Kind = "skipped", refusalKind(err)
		}
		return []testResult{r}
	}
	ranges := map[string]dataRange{}
	if !t.plain && len(t.source.calibrate) == 0 && !smpcc.IsProgram(f.path) {
		ranges = f.ranges()
	}
	var results []testResult
	for _, set := range f.sets {
		r, err := t.set(f, set, ranges)
		r.Dir, r.Set, r.Ops = dir, set.name, f.ops
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
	return refused{&diag.Error{Msg: err.Error(), Refusal: diag.OutsideFormats}}
}

// refused wraps an error that says why something cannot be had, as opposed to something that went wrong.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// compile compiles a model for a test: with all inputs secret, then with those public that the compiler asks for, then
// with all integers public. ranges are for inputs that have none by flag; those used are returned.
func (t *tester) compile(path string, in map[string]*ir.Tensor, ranges map[string]dataRange) (comp *smpcc.Compilation, publicInputs, used []string, err error) {
	public := map[string]*ir.Tensor{}
	var last error // what is left in the way after all that was asked for is there
	for range len(in) + 3 {
		secret := map[string]*ir.Tensor{}
		for k, t := range in {
			if public[k] == nil {
				secret[k] = t
			}
		}
		opt, err := t.source.options(t.command, path, secret)
		if err != nil {
			return nil, nil, nil, err
		}
		used = nil
		for _, k := range sortedKeys(secret) {
			if r, ok := ranges[k]; ok {
				if _, declared := opt.Ranges[k]; !declared && opt.Columns[k] == nil {
					opt.Ranges[k] = r.all
					if opt.Columns == nil {
						opt.Columns = map[string]map[int][2]float64{}
					}
					opt.Columns[k] = r.columns
					used = append(used, k+"="+r.String())
				}
			}
		}
		opt.Public = public
		if smpcc.IsProgram(path) {
			opt.Shapes, opt.Public = nil, nil
		}
		comp, err := smpcc.Compile(path, opt)
		if err == nil {
			return comp, sortedKeys(public), used, nil
		}
		if diag.KindOf(err) == diag.Usage {
			return nil, nil, nil, err
		}
		if strings.Contains(err.Error(), "internal error") || smpcc.IsProgram(path) {
			last = err
			break
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
		return nil, nil, used, last
	}
	return nil, nil, used, refused{last}
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

// set runs one set. A panic is a failure of the test and not the end of the command.
func (t *tester) set(f testFolder, set testSet, ranges map[string]dataRange) (r testResult, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if set.err != nil {
		return r, set.err
	}
	comp, public, used, err := t.compile(f.path, set.in, ranges)
	r.Public, r.Ranges = public, used
	if err != nil {
		return r, err
	}
	r.Public = public
	in := maps.Clone(set.in)
	for _, k := range public {
		delete(in, k)
	}
	j := &job{plan: comp.Plan, comp: comp, inputs: in}
	if _, err := j.bind(); err != nil {
		return r, extreme(err)
	}
	if err := j.runLocal(t.command.Context()); err != nil {
		return r, err
	}
	r.Rounds = j.phases[plan.Online].Rounds
	for _, n := range j.phases[plan.Online].Sent {
		r.Bytes = max(r.Bytes, n)
	}
	if err := j.withholds(); err != nil {
		return r, err
	}
	for _, p := range comp.Plan.Manifest.Results() {
		if err := t.compare(&r, p.Name, j.outputs[p.To[0]][p.Name], set.want[p.Name], f.rounding[p.Name]); err != nil {
			return r, err
		}
	}
	if n := len(comp.Plan.Manifest.Results()); n < len(set.want) {
		return r, fmt.Errorf("%d outputs are expected, the model has %d", len(set.want), n)
	}
	r.Status = "passed"
	return r, nil
}

// compare compares an output with what the folder expects, and counts what it compared.
func (t *tester) compare(r *testResult, name string, got *ir.Tensor, expected expectation, rounding float64) error {
	if expected == nil {
		return fmt.Errorf("output %q has no expected value in the folder", name)
	}
	if got.Words != nil {
		return r.compareText(name, got, expected)
	}
	want, err := expected.as(got.Elem)
	if err != nil {
		return fmt.Errorf("output %q: %w", name, err)
	}
	c := t.contract
	c.Rtol += rounding
	d, err := c.Compare(got, want)
	if err != nil {
		return fmt.Errorf("output %q %w", name, err)
	}
	if want.Elem == ir.Real {
		r.Reals += d.Elements
		r.Error = max(r.Error, d.Worst)
	} else {
		r.Whole += d.Elements
	}
	if d.Wrong > 0 {
		return fmt.Errorf("output %q: %s", name, d.Explain(got, want))
	}
	return nil
}

// compareText compares an output of strings with what the folder expects.
func (r *testResult) compareText(name string, got *ir.Tensor, expected expectation) error {
	var want *ir.Tensor
	switch e := expected.(type) {
	case ofKind:
		want = e.data
	case nested:
		want, _ = e.tensor()
	}
	if want == nil || want.Words == nil || !want.Shape.Equal(got.Shape) {
		return fmt.Errorf("output %q is text of shape %v, and the folder has something else", name, got.Shape)
	}
	for i := range got.I {
		if g, w := got.Words[got.I[i]], want.Words[want.I[i]]; g != w {
			return fmt.Errorf("output %q: element %d is %q, want %q", name, i, g, w)
		}
	}
	r.Whole += got.Len()
	return nil
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
