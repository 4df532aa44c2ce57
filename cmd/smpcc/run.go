package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/bench"
	"smpcc/frontend/onnx"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/exact"
	"smpcc/runtime/local"
	"smpcc/runtime/timeline"
)

func runCommand() *cobra.Command {
	var s source
	var inputs []string
	var transport, out, stats, profile, lines string
	var float, perOp bool
	c := &cobra.Command{
		Use:   "run MODEL|PROGRAM|PLAN --input NAME=FILE ...",
		Short: "Compile if needed and run all roles on this machine",
		Long: `Run compiles a model (.onnx) or program (.smp), or takes a plan, and runs every role on this machine: in this process, or
with --transport grpc as separate processes that talk over loopback with certificates made for the run.

Inputs are .npy, .npz, .pb (ONNX tensors), .csv, .json, .png or .jpg files.`,
		Args: exactly(1, "one MODEL, PROGRAM or PLAN"),
	}
	s.flags(c)
	f := c.Flags()
	f.StringArrayVar(&inputs, "input", nil, "data of an input, `NAME=FILE`")
	f.StringVar(&transport, "transport", "memory", "memory: one process; grpc: one process per role")
	f.StringVar(&out, "out", "", "`DIR` to write outputs to, as ONNX tensors")
	f.StringVar(&stats, "stats", "", "`FILE` to write measurements to, as JSON")
	f.StringVar(&profile, "cpuprofile", "", "`FILE` to write a CPU profile of setup and session to, with labels for role and phase; of this process")
	f.StringVar(&lines, "timeline", "", "`FILE`.json to write what each role did and when to, for ui.perfetto.dev or chrome://tracing")
	f.BoolVar(&float, "float", false, "also print the plaintext result, and what left a range that is not proved")
	f.BoolVar(&perOp, "per-op", false, "with --float: show the error of every node, computed on this machine from the plan's fixed-point level")
	c.RunE = func(c *cobra.Command, args []string) error {
		if transport != "memory" && transport != "grpc" {
			return usagef("--transport %s: want memory or grpc", transport)
		}
		if perOp && !float {
			return usagef("--per-op goes with --float")
		}
		path := args[0]
		if is, err := isPlan(path); err != nil {
			return err
		} else if is && float {
			return usagef("--float: a plan holds no weights and no reals to compare with; run the model instead")
		}
		s.inputs = inputs
		data, err := s.read(path, "input", inputs)
		if err != nil {
			return err
		}
		bar := newProgress(c.ErrOrStderr())
		bar.stage("compiling")
		p, comp, err := s.load(c, path, data)
		if err != nil {
			bar.done()
			return err
		}
		files, err := pairs("input", inputs)
		if err != nil {
			return err
		}
		for name := range data { // columns of tables
			if table, _, ok := strings.Cut(name, "."); ok && files[name] == "" {
				files[name] = files[table]
			}
		}
		if slices.ContainsFunc(p.Manifest.Guards, func(g plan.Guard) bool { return g.MaxRuns > 0 || g.Expires != 0 || len(g.Approve) > 0 }) && transport == "memory" {
			fmt.Fprintln(c.ErrOrStderr(), "note: policies bound runs (smpcc audit lists how); servers enforce that, this trial on one machine counts nothing")
		}
		j := &job{plan: p, comp: comp, path: path, inputs: data, files: files, transport: transport, timeline: lines}
		stop, err := startProfile(profile)
		if err != nil {
			return err
		}
		if err := errors.Join(j.run(c.Context(), bar), stop()); err != nil {
			return err
		}
		if float && comp != nil && comp.Lowered() {
			return usagef("--float: the text is fixed point itself; there are no reals to compare with")
		}
		if hasReals(comp) {
			if j.want, err = exact.Run(comp.Graph, j.inputs); err != nil {
				return err
			}
		}
		if err := j.print(c.OutOrStdout(), float); err != nil {
			return err
		}
		if float && j.comp != nil {
			left, err := j.departures()
			if err == nil {
				err = printDepartures(c.OutOrStdout(), left, perOp)
			}
			if err != nil {
				return err
			}
		}
		if perOp {
			list, err := j.perOp()
			if err != nil {
				return err
			}
			if err := printPerOp(c.OutOrStdout(), list); err != nil {
				return err
			}
		}
		if out != "" {
			if err := j.write(out); err != nil {
				return err
			}
		}
		if stats != "" {
			b, err := json.MarshalIndent(j.stats(float), "", "  ")
			if err != nil {
				return err
			}
			if err := plan.WriteAtomic(stats, append(b, '\n'), 0o644); err != nil {
				return err
			}
		}
		return j.beyond()
	}
	return c
}

// A job is one run of a plan on this machine and what came of it.
type job struct {
	sessions  int    // how often to run on servers at most, once if 0
	each      func() // called after each of them
	plan      *plan.Plan
	comp      *smpcc.Compilation // nil for plans
	path      string
	inputs    map[string]*ir.Tensor
	presented bool              // inputs are as the plan has them
	files     map[string]string // where inputs come from, for messages
	transport string
	timeline  string // file to write one to; none if empty

	phases  [3]local.Phase
	cpu     []float64                        // seconds of processors offline, by role
	peaks   []int64                          // largest resident sizes of processes, by role
	outputs map[string]map[string]*ir.Tensor // by receiver, then name
	want    map[string]*exact.Tensor         // exact results by name; nil if unknown
}

// bind encodes the inputs and refuses names the plan does not have.
func (j *job) bind() ([][]uint64, error) {
	var out [][]uint64
	var names []string
	var err error
	if !j.presented { // once: what has been made integers is not to be quantised again
		if j.inputs, err = presented(j.plan, j.inputs, j.files); err != nil {
			return nil, err
		}
		j.presented = true
	}
	for _, p := range j.plan.Manifest.Inputs {
		names = append(names, p.Name)
		t := j.inputs[p.Name]
		if t == nil {
			return nil, usagef("input %q of %s (%s%v) has no data; give --input %s=FILE", p.Name, p.Owner, p.Elem, ir.Shape(p.Shape), p.Name)
		}
		t = fit(t, dimensions(p))
		j.inputs[p.Name] = t
		w, err := smpcc.BindInput(j.plan, p, t)
		if err != nil {
			return nil, inFile(j.files[p.Name], err)
		}
		if p.Places > 0 {
			if j.inputs[p.Name], err = smpcc.Units(t, p); err != nil {
				return nil, inFile(j.files[p.Name], err)
			}
		}
		out = append(out, w)
	}
	for _, n := range sortedKeys(j.inputs) {
		if !slices.Contains(names, n) {
			return nil, usagef("--input %s: there is no input of that name; there is %s", n, strings.Join(names, ", "))
		}
	}
	return out, nil
}

// presented is smpcc.Present of data from files.
func presented(p *plan.Plan, data map[string]*ir.Tensor, files map[string]string) (map[string]*ir.Tensor, error) {
	fitted := map[string]*ir.Tensor{}
	for name, t := range data {
		fitted[name] = t
	}
	for _, port := range p.Manifest.Inputs {
		if t := fitted[port.Name]; t != nil && (len(port.Words) > 0 || port.Missing != "" || port.Step != 0) {
			fitted[port.Name] = fit(t, dimensions(port))
		}
	}
	out, err := smpcc.Present(p, fitted)
	for name, t := range out { // what has no place for missing values
		for i, x := range t.F {
			if err == nil && math.IsNaN(x) {
				err = diag.Errorf(diag.Pos{File: files[name]}, "element %d is not a number, and the model says of no missing value of %q what becomes of it", i, name).
					WithHint("impute it before, or export the model with its imputer")
			}
		}
	}
	return out, err
}

// dimensions lists the dimensions of a port.
func dimensions(p plan.Port) []string {
	dims := make([]string, len(p.Shape))
	for i, d := range p.Shape {
		dims[i] = fmt.Sprint(d)
	}
	return dims
}

// weights encodes the weights, from the compilation or from the files beside the plan.
func (j *job) weights() ([][]uint64, error) {
	if j.comp != nil {
		return j.comp.BindWeights()
	}
	return planWeights(j.plan, j.path, "")
}

// planWeights reads the weights beside a plan and encodes them; with an owner, only that owner's, nil for others.
func planWeights(p *plan.Plan, path, owner string) ([][]uint64, error) {
	shapes := map[string]map[string]ir.Shape{}
	for _, w := range p.Manifest.Weights {
		if shapes[w.Owner] == nil {
			shapes[w.Owner] = map[string]ir.Shape{}
		}
		shapes[w.Owner][w.Name] = w.Shape
	}
	out := make([][]uint64, len(p.Manifest.Weights))
	for _, o := range sortedKeys(shapes) {
		if owner != "" && o != owner {
			continue
		}
		file := weightsFile(path, o)
		if owner != "" {
			file = path
		}
		data, err := readWeights(file, shapes[o])
		if err != nil {
			return nil, diag.Errorf(diag.Pos{File: file}, "the weights of %s cannot be read: %s", o, trimPath(file, err)).WithHint("smpcc compile -o writes them beside the plan; they stay with their owner")
		}
		for i, w := range p.Manifest.Weights {
			if w.Owner == o {
				if out[i], err = smpcc.Bind(w, data[w.Name]); err != nil {
					return nil, inFile(file, err)
				}
			}
		}
	}
	return out, nil
}

// inFile says in an error about data which file the data is from.
func inFile(file string, err error) error {
	var e *diag.Error
	if errors.As(err, &e) && e.Pos.IsZero() {
		e.Pos.File = file
	}
	return err
}

func (j *job) run(ctx context.Context, bar *progress) error {
	defer bar.done()
	in, err := j.bind()
	if err != nil {
		return err
	}
	w, err := j.weights()
	if err != nil {
		return err
	}
	if j.transport == "grpc" && len(j.plan.Manifest.Guests) > 0 {
		return usagef("--transport grpc: guests have no process of their own; run it in memory, or start servers with guests.listen and use smpcc infer --guest")
	}
	if j.transport == "grpc" {
		return j.runProcesses(ctx, bar, in)
	}
	var rec *timeline.Recorder
	if j.timeline != "" {
		rec = timeline.New(time.Now)
		ctx = timeline.With(ctx, rec)
	}
	bar.stage("setup")
	r, err := local.New(ctx, j.plan, w)
	if err != nil {
		return err
	}
	bar.stage("running")
	res, err := r.Run(ctx, in)
	if err != nil {
		return err
	}
	j.phases = [3]local.Phase{r.Setup, res.Offline, res.Online}
	j.collect(func(role int) map[string][]uint64 { return res.Outputs[role] })
	if rec != nil {
		return plan.WriteAtomicTo(j.timeline, 0o644, rec.Trace(j.plan.Roles()).Write)
	}
	return nil
}

// collect decodes what each receiver got.
func (j *job) collect(of func(role int) map[string][]uint64) {
	j.outputs = map[string]map[string]*ir.Tensor{}
	for role, name := range append(j.plan.Roles(), j.plan.Manifest.Guests...) {
		for _, p := range j.plan.Manifest.Outputs {
			if words := of(role)[p.Name]; words != nil {
				if j.outputs[name] == nil {
					j.outputs[name] = map[string]*ir.Tensor{}
				}
				j.outputs[name][p.Name] = smpcc.Read(p, words)
			}
		}
	}
}

// worst returns the largest difference of an output to the exact result, over all receivers.
func (j *job) worst(name string) float64 {
	worst := 0.0
	for _, got := range j.outputs {
		g, w := got[name], j.want[name]
		if g == nil || w == nil {
			continue
		}
		for i := range g.Len() {
			worst = max(worst, w.Distance(g, i))
		}
	}
	return worst
}

// beyond returns an error for the first output that is further from the exact result than its tolerance.
func (j *job) beyond() error {
	for _, a := range j.plan.Manifest.Accuracy {
		if a.Of > 0 || j.want[a.Output] == nil || j.want[a.Output].Elem != ir.Real {
			continue
		}
		for _, got := range j.outputs {
			g, w := got[a.Output], j.want[a.Output]
			if g == nil {
				continue
			}
			d, err := exact.Contract{Atol: a.Atol, Rtol: a.Rtol}.Compare(g, w)
			if err != nil {
				return fmt.Errorf("output %q: %w", a.Output, err)
			}
			if d.Wrong > 0 {
				return diag.Errorf(diag.Pos{}, "output %q: element %d is off by %.3g, which is beyond its tolerance of %g + %g*|exact|", a.Output, d.First, w.Distance(g, d.First), a.Atol, a.Rtol).
					WithHint("--float --per-op names the node that left its range or lost its digits; declare narrower ranges, or give more samples like these inputs (--calibrate FILE)")
			}
		}
	}
	return nil
}

// print shows outputs as their receivers see them, then what the run took.
func (j *job) print(w io.Writer, float bool) error {
	for _, p := range j.plan.Manifest.Outputs {
		t := j.outputs[p.To[0]][p.Name]
		fmt.Fprintf(w, "%s to %s: %s\n", p.Name, strings.Join(p.To, ", "), render(t, p.Scale))
		if s := classes(t, p.Classes); s != "" {
			fmt.Fprintf(w, "  class: %s\n", s)
		}
		for _, a := range j.plan.Manifest.Accuracy {
			if a.Output == p.Name {
				fmt.Fprintf(w, "  %s\n", a)
			}
		}
		if j.want != nil {
			if float {
				fmt.Fprintf(w, "  in the clear: %s\n", renderExact(j.want[p.Name], p.Scale, p.Places))
			}
			fmt.Fprintf(w, "  largest error against float: %.3g\n", j.worst(p.Name))
		}
	}
	fmt.Fprintln(w)
	names := j.plan.Roles()
	tw := newTable(w, append(append([]string{"phase", "rounds"}, names...), "seconds")...)
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		x := j.phases[ph]
		row := []string{ph.String(), fmt.Sprint(x.Rounds)}
		for _, n := range x.Sent {
			row = append(row, bytesText(n))
		}
		tw.row(append(row, fmt.Sprintf("%.3f", x.Seconds))...)
	}
	if err := tw.flush(); err != nil {
		return err
	}
	c := j.plan.Cost()
	what, to := j.plan.Dealt()
	fmt.Fprintf(w, "material: %s of %s for %s, everything else from keys; used once\n", bytesText(c.Dealt), what, to)
	_, err := fmt.Fprintf(w, "plan %s\n", j.plan.Digest()[:16])
	return err
}

// classes names the largest score of each row of a table of scores, by its place if there are no names.
func classes(t *ir.Tensor, names []string) string {
	if t == nil || t.Elem != ir.Real || len(t.Shape) != 2 || t.Shape[1] < 3 && len(names) == 0 || t.Shape[1] == 0 {
		return ""
	}
	var out []string
	for r := range t.Shape[0] {
		best := 0
		for k := range t.Shape[1] {
			if t.F[r*t.Shape[1]+k] > t.F[r*t.Shape[1]+best] {
				best = k
			}
		}
		if len(names) > 0 {
			out = append(out, names[best])
			continue
		}
		out = append(out, fmt.Sprint(best))
	}
	return strings.Join(out, " ")
}

// shown bounds the elements of a tensor that are printed.
const shown = 20

// number prints a real that has frac fraction bits: five significant digits, or as many more as tell it from its neighbours.
func number(x float64, frac int) string {
	digits := 5
	if a := math.Abs(x); a >= 1 {
		digits = max(digits, int(math.Ceil(float64(frac+1)*math.Log10(2)))+int(math.Log10(a))+1)
	}
	return fmt.Sprintf("%.*g", digits, x)
}

// render prints a small tensor in full and a large one in part; reals have frac fraction bits.
func render(t *ir.Tensor, frac int) string {
	var parts []string
	for i := range t.Len() {
		if i == shown {
			parts = append(parts, fmt.Sprintf("... %d elements", t.Len()))
			break
		}
		if t.Elem == ir.Real {
			parts = append(parts, number(t.F[i], frac))
		} else if t.Words != nil {
			parts = append(parts, strconv.Quote(t.Words[t.I[i]]))
		} else if t.Places > 0 {
			parts = append(parts, decimalText(t.I[i], t.Places))
		} else if t.Elem == ir.Bool {
			parts = append(parts, fmt.Sprint(t.I[i] != 0))
		} else {
			parts = append(parts, fmt.Sprint(t.I[i]))
		}
	}
	if len(t.Shape) == 0 {
		return parts[0]
	}
	return t.Shape.String() + " " + strings.Join(parts, " ")
}

// decimalText renders units of 10^-places.
func decimalText(k int64, places int) string {
	sign, s := "", strconv.FormatInt(k, 10)
	if k < 0 {
		sign, s = "-", s[1:]
	}
	if len(s) <= places {
		s = strings.Repeat("0", places+1-len(s)) + s
	}
	return sign + s[:len(s)-places] + "." + s[len(s)-places:]
}

// asReals returns decimals as the reals nearest to them, for formats that have none.
func asReals(t *ir.Tensor) *ir.Tensor {
	if t.Places == 0 {
		return t
	}
	out := ir.NewTensor(ir.Real, t.Shape)
	for i, k := range t.I {
		out.F[i] = float64(k) / math.Pow10(t.Places)
	}
	return out
}

// renderExact prints an exact result, whose integers may be of any size, with as many digits as render gives.
func renderExact(t *exact.Tensor, frac, places int) string {
	if t.Big == nil {
		return render(&ir.Tensor{Elem: t.Elem, Shape: t.Shape, F: t.F, I: t.I, Places: places}, frac)
	}
	var parts []string
	for i := range t.Len() {
		if i == shown {
			parts = append(parts, fmt.Sprintf("... %d elements", t.Len()))
			break
		}
		parts = append(parts, t.Text(i))
	}
	if len(t.Shape) == 0 {
		return parts[0]
	}
	return t.Shape.String() + " " + strings.Join(parts, " ")
}

// write stores the outputs as ONNX tensors, one folder per receiver.
func (j *job) write(dir string) error {
	for _, who := range sortedKeys(j.outputs) {
		sub := filepath.Join(dir, who)
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return err
		}
		for _, name := range sortedKeys(j.outputs[who]) {
			if err := onnx.WriteTensor(filepath.Join(sub, fileName(name)+".pb"), name, asReals(j.outputs[who][name])); err != nil {
				return err
			}
		}
	}
	return nil
}

// fileName turns an output's name, which a model chooses, into a file name inside the folder.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r == ':' || r < ' ' {
			return '_'
		}
		return r
	}, strings.TrimLeft(name, "."))
}

// A phaseStats is one phase in the JSON of --stats.
type phaseStats struct {
	Seconds   float64          `json:"seconds"`
	Rounds    int              `json:"rounds"`
	BytesSent map[string]int64 `json:"bytes_sent"`
}

type runStats struct {
	PlanDigest  string          `json:"plan_digest"`
	Parties     []string        `json:"parties"`
	RingBits    int             `json:"ring_bits"`
	FracBits    int             `json:"frac_bits"`
	Setup       phaseStats      `json:"setup"`
	Offline     phaseStats      `json:"offline"`
	Online      phaseStats      `json:"online"`
	PeakRSS     int64           `json:"peak_rss_bytes"`
	PerOp       []plan.NodeCost `json:"per_op"`
	MaxAbsError *float64        `json:"max_abs_error,omitempty"`
}

func (j *job) stats(float bool) runStats {
	m := &j.plan.Manifest
	roles := j.plan.Roles()
	ph := func(i plan.Phase) phaseStats {
		s := phaseStats{Seconds: j.phases[i].Seconds, Rounds: j.phases[i].Rounds, BytesSent: map[string]int64{}}
		for r, n := range j.phases[i].Sent {
			s.BytesSent[roles[r]] = n
		}
		return s
	}
	s := runStats{PlanDigest: j.plan.Digest(), Parties: m.Parties, RingBits: m.RingBits, FracBits: m.FracBits,
		Setup: ph(plan.Setup), Offline: ph(plan.Offline), Online: ph(plan.Online), PeakRSS: peakRSS(), PerOp: append([]plan.NodeCost{}, j.plan.Cost().Nodes...)}
	if float && j.want != nil {
		worst := 0.0
		for _, p := range m.Outputs {
			worst = max(worst, j.worst(p.Name))
		}
		s.MaxAbsError = &worst
	}
	return s
}

// peakRSS returns the largest resident size of this process.
func peakRSS() int64 {
	if n := bench.PeakRSS("self"); n > 0 {
		return n
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" { // bytes there, KiB elsewhere
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) * 1024
}
