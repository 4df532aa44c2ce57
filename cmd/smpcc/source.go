package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/backend/verify"
	"smpcc/frontend/dsl"
	"smpcc/frontend/onnx"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/passes"
)

// A source is what commands work on: a model, a program or a plan, with the flags that say how to compile it.
type source struct {
	dims, owners, guests, reveals, public, ranges, images []string
	compares                                              bool // policies are compared with those of a plan
	policies, skip, dumps, calibrate                      []string
	net, ring                                             string
	frac, parties, guard                                  int
	precision, assume                                     float64
	atol, rtol                                            []string
	revealBits                                            int
	exact, inputs                                         []string // inputs: of the command, for the names of columns
	strict                                                bool
	outputs                                               []string
	columns, weightData                                   []string   // what columns of tables are called in files; data of a program's weights
	header, decimal                                       string     // how tables in text are read
	wanted                                                []wanted   // of the source, once data has been read
	plan                                                  *plan.Plan // of the source, once it has been read
}

// flags adds the compile flags of the command line contract.
func (s *source) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&s.dims, "dim", nil, "value of a symbolic dimension, `N=8`")
	f.StringArrayVar(&s.owners, "owner", nil, "party that owns an input or weight, or for an input a guest, who computes nothing, `NAME=PARTY`")
	f.StringArrayVar(&s.guests, "guest", nil, "`NAME` of a guest: an owner of inputs, or a receiver, that computes nothing; one called guest needs no flag")
	f.StringArrayVar(&s.reveals, "reveal", nil, "receivers of an output, `OUT=PARTY,...`")
	f.StringSliceVar(&s.outputs, "outputs", nil, "values of a model, `NAME,...`, that are its outputs in place of its own: the graph is cut there")
	f.StringArrayVar(&s.public, "public", nil, "an input that everybody may know, with its data, `NAME=FILE`")
	f.StringArrayVar(&s.ranges, "range", nil, "declared range of an input, `NAME=LO..HI`, of columns of a table, NAME[:,3]=LO..HI or NAME[:,3:7]=LO..HI, or all in a file, @FILE.csv or @FILE.json")
	f.Float64Var(&s.assume, "assume", passes.DefaultAssume, "largest magnitude `N` of real inputs without range and samples; larger values are refused")
	f.StringArrayVar(&s.images, "image", nil, "how pixels become numbers, `NAME=mean:M,std:S,resize:N,crop:N,invert`, where M and S may be R/G/B, and resize HxW; by default x/255")
	f.StringArrayVar(&s.columns, "columns", nil, "what a column of a table is called in the header of its file, `COLUMN=NAME,...`")
	f.StringVar(&s.header, "header", "auto", "whether the first line of CSV holds names: yes, no, or auto: yes if every cell is a name, no if every cell is a number, and else it is refused")
	f.StringVar(&s.decimal, "decimal", "point", "what separates decimals in CSV: point or comma")
	f.StringArrayVar(&s.weightData, "weight-data", nil, "data of a weight of a program, `NAME=FILE`")
	f.StringArrayVar(&s.policies, "policy", nil, "policy `FILE` of an owner; without one the default policy applies, which is printed")
	f.StringArrayVar(&s.skip, "skip", nil, "leave a `PASS` out")
	f.StringArrayVar(&s.dumps, "dump-after", nil, "print the IR after a `PASS`, or after all")
	f.StringVar(&s.net, "net", "lan", "network profile: lan, wan or rtt=40ms,bw=100mbit; where a round takes a millisecond or more, two parties compare small tensors by keys, a round less for more material, and an arg-max compares all pairs")
	f.StringVar(&s.ring, "ring", "auto", "ring width: auto, or 16 to 64 bits for all values")
	f.StringArrayVar(&s.calibrate, "calibrate", nil, "`FILE` or NAME=FILE with sample inputs, from which ranges come with a margin of 4 for one sample, 2 from 4 on, 1.5 from 32 on; rows of a .csv table are samples of their own; again for each input, and for each further sample")
	f.IntVar(&s.frac, "frac-bits", smpcc.DefaultFracBits, "fraction bits of reals")
	f.StringArrayVar(&s.exact, "exact", nil, "output `NAME` whose last truncation is exact, by comparison, and not rounded at random")
	f.Float64Var(&s.precision, "precision", passes.DefaultPrecision, "largest error of an approximated function, absolute or relative above 1")
	f.StringArrayVar(&s.atol, "atol", nil, "largest absolute error of outputs, or of one by `[NAME=]ERROR` (default 1e-3); what cannot be kept is refused")
	f.StringArrayVar(&s.rtol, "rtol", nil, "largest relative error of outputs, or of one by `[NAME=]ERROR`, on top of the absolute one (default 1e-3)")
	f.IntVar(&s.revealBits, "reveal-bits", 0, "fraction bits in which outputs are revealed (default: the fewest that keep the tolerance, and three more)")
	f.IntVar(&s.parties, "parties", 0, "number of computing parties of a model (default 2)")
	f.IntVar(&s.guard, "guard", smpcc.DefaultGuard, "`BITS` by which values are checked that may leave the range that samples showed or that is assumed: 0, 2, 4 or 8; outputs that rest on one that did are withheld. Of values far outside 2 bits miss 0.19, 4 bits 0.047, 8 bits 0.003; 0 checks nothing")
	f.BoolVar(&s.strict, "strict-range", false, "refuse ranges that are not proved")
}

// options turns flags into compile options. data holds the inputs that the user gave, by name; model is the path.
func (s *source) options(c *cobra.Command, path string, data map[string]*ir.Tensor) (smpcc.Options, error) {
	opt := smpcc.Options{Parties: s.parties, FracBits: s.frac, Precision: s.precision, Exact: s.exact, StrictRange: s.strict, Guard: cmp.Or(s.guard, smpcc.NoGuard), Assume: s.assume, RevealBits: s.revealBits, Skip: s.skip, Policies: s.policies, Cut: s.outputs}
	if err := s.given(c); err != nil {
		return opt, err
	}
	if !(s.assume > 0) || s.assume > 1e12 {
		return opt, usagef("--assume %g: want a positive number, of at most 1e12", s.assume)
	}
	if s.guard < 0 {
		return opt, usagef("--guard %d: want 0, 2, 4 or 8 bits", s.guard)
	}
	if s.ring != "auto" {
		n, err := strconv.Atoi(s.ring)
		if err != nil {
			return opt, usagef("--ring %s: want auto or a number of bits", s.ring)
		}
		opt.Ring = n
	}
	if err := s.tolerances(&opt); err != nil {
		return opt, err
	}
	net, err := parseNet(s.net)
	if err != nil {
		return opt, err
	}
	opt.Net = passes.Network{RTT: net.rtt.Seconds(), Bandwidth: net.bandwidth}
	if opt.Dims, err = readDims(s.dims); err != nil {
		return opt, err
	}
	opt.Guests = s.guests
	if opt.Owners, err = pairs("owner", s.owners); err != nil {
		return opt, err
	}
	reveals, err := pairs("reveal", s.reveals)
	if err != nil {
		return opt, err
	}
	opt.Reveal = map[string][]string{}
	for k, v := range reveals {
		opt.Reveal[k] = strings.Split(v, ",")
	}
	public, err := s.read(path, "public", s.public)
	if err != nil {
		return opt, err
	}
	opt.Public = public
	opt.Shapes = shapesOf(data)
	if opt.Weights, err = s.read(path, "weight-data", s.weightData); err != nil {
		return opt, err
	}
	for k, t := range opt.Weights {
		opt.Shapes[k] = t.Shape
	}
	files := slices.Clone(s.inputs)
	var programShapes map[string]ir.Shape // nil for models
	if len(s.calibrate) > 0 {
		args := slices.Clone(s.calibrate)
		if arg := args[0]; len(args) == 1 && !strings.Contains(arg, "=") {
			names, err := inputNames(path)
			if err != nil {
				return opt, err
			}
			if len(names) != 1 {
				return opt, usagef("--calibrate %s: the model has %d inputs; write NAME=FILE", arg, len(names))
			}
			args[0] = names[0] + "=" + arg
		}
		for _, group := range samples(args) {
			sample, err := s.read(path, "calibrate", group)
			if err != nil {
				return opt, err
			}
			for k, t := range sample {
				if opt.Shapes[k] == nil {
					opt.Shapes[k] = t.Shape
				}
			}
			if programShapes == nil && smpcc.IsProgram(path) {
				if programShapes, err = inputShapes(path); err != nil {
					return opt, err
				}
			}
			if programShapes != nil {
				opt.Samples = append(opt.Samples, tableSamples(sample, programShapes)...)
				continue
			}
			opt.Samples = append(opt.Samples, rowSamples(path, sample, opt)...)
		}
		for k, t := range opt.Samples[0] { // rows of a table may have been many
			if data[k] == nil {
				opt.Shapes[k] = t.Shape
			}
		}
		files = append(files, args...)
	}
	opt.ColumnNames = columnNames(filesByName(files))
	if err := s.rangeOptions(path, &opt); err != nil {
		return opt, err
	}
	if len(s.dumps) > 0 {
		out := c.OutOrStdout()
		opt.Observe = func(pass string, m *ir.Module) {
			for _, d := range s.dumps {
				if d == "all" || d == pass {
					fmt.Fprintf(out, "; after %s\n%s\n", pass, m)
				}
			}
		}
	}
	return opt, nil
}

// readDims reads sizes of dimensions, NAME=N.
func readDims(list []string) (map[string]int, error) {
	dims, err := pairs("dim", list)
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for k, v := range dims {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return nil, usagef("--dim %s=%s: want a positive number", k, v)
		}
		out[k] = n
	}
	return out, nil
}

// given refuses numbers that would mean "not given" to the compiler: whoever writes a 0 asks for something.
func (s *source) given(c *cobra.Command) error {
	f := c.Flags()
	switch {
	case f.Changed("parties") && (s.parties < 2 || s.parties > 64):
		return usagef("--parties %d is out of range 2..64", s.parties)
	case f.Changed("frac-bits") && s.frac == 0:
		return usagef("--frac-bits 0 is out of range 1..28")
	case f.Changed("precision") && s.precision == 0:
		return usagef("--precision 0 is out of range 1e-5..0.1")
	case f.Changed("reveal-bits") && s.revealBits == 0:
		return usagef("--reveal-bits 0 is out of range 1..40")
	case s.ring == "0":
		return usagef("--ring 0 is out of range 16..64")
	}
	return nil
}

// tolerances reads --atol and --rtol.
func (s *source) tolerances(opt *smpcc.Options) error {
	all, own := passes.DefaultTolerance, map[string]map[string]float64{"atol": {}, "rtol": {}}
	for _, f := range []struct {
		flag string
		list []string
		all  *float64
	}{{"atol", s.atol, &all.Atol}, {"rtol", s.rtol, &all.Rtol}} {
		for _, arg := range f.list {
			name, number, of := strings.Cut(arg, "=")
			if !of {
				name, number = "", arg
			}
			x, err := strconv.ParseFloat(number, 64)
			if err != nil || !(x >= 0) {
				return usagef("--%s %s: want a number of at least 0, or NAME=NUMBER for one output", f.flag, arg)
			}
			if of {
				own[f.flag][name] = x
			} else {
				*f.all = x
			}
		}
	}
	if all == (passes.Tolerance{}) {
		return usagef("--atol 0 --rtol 0: no format gives every real exactly; want at least one of them above 0")
	}
	opt.Tolerance, opt.Outputs = all, map[string]passes.Tolerance{}
	for flag, of := range own {
		for name, x := range of {
			t, ok := opt.Outputs[name]
			if !ok {
				t = all
			}
			if flag == "atol" {
				t.Atol = x
			} else {
				t.Rtol = x
			}
			opt.Outputs[name] = t
		}
	}
	for name, t := range opt.Outputs {
		if t == (passes.Tolerance{}) {
			return usagef("--atol %[1]s=0 --rtol %[1]s=0: no format gives every real exactly; want at least one of them above 0", name)
		}
	}
	return nil
}

// shapesOf returns the shapes of tensors by name.
func shapesOf(data map[string]*ir.Tensor) map[string]ir.Shape {
	out := map[string]ir.Shape{}
	for k, t := range data {
		out[k] = t.Shape
	}
	return out
}

// samples groups NAME=FILE into samples: a name that was given already starts the next one.
func samples(args []string) [][]string {
	var out [][]string
	var seen []string
	for _, a := range args {
		name, _, _ := strings.Cut(a, "=")
		if len(out) == 0 || slices.Contains(seen, name) {
			out, seen = append(out, nil), nil
		}
		seen = append(seen, name)
		out[len(out)-1] = append(out[len(out)-1], a)
	}
	return out
}

// inputShapes returns the shapes that a program declares of its inputs, as far as they are numbers.
func inputShapes(path string) (map[string]ir.Shape, error) {
	list, err := dsl.Declarations(path)
	if err != nil {
		return nil, err
	}
	out := map[string]ir.Shape{}
	for _, d := range list {
		if shape, ok := sizes(d.Dims); ok {
			out[d.Name] = shape
		}
	}
	return out, nil
}

// tableSamples cuts tables with more rows than a program's input has into as many samples: each is an input of the declared shape, whose rows have as
// many elements as the table's.
func tableSamples(sample map[string]*ir.Tensor, shapes map[string]ir.Shape) []map[string]*ir.Tensor {
	each := map[string]ir.Shape{}
	for name, t := range sample {
		s, columns := shapes[name], 1
		if len(s) > 0 {
			columns = s[len(s)-1]
		}
		if len(t.Shape) == 2 && !t.Shape.Equal(s) && t.Shape[1] == columns {
			each[name] = s
		}
	}
	return cutSamples(sample, each)
}

// rowSamples cuts a sample that is a table with more rows than the model takes into as many samples.
func rowSamples(path string, sample map[string]*ir.Tensor, opt smpcc.Options) []map[string]*ir.Tensor {
	var infos []onnx.InputInfo
	if filepath.Ext(path) == ".onnx" {
		infos, _ = onnx.Inputs(path) // what is wrong with the model, loading it says
	}
	each := map[string]ir.Shape{}
	for _, i := range infos {
		t := sample[i.Name]
		if t == nil || len(t.Shape) != 2 || len(i.Dims) != 2 {
			continue
		}
		rows, err := strconv.Atoi(i.Dims[0])
		if d, ok := opt.Dims[i.Dims[0]]; err != nil && ok {
			rows, err = d, nil
		}
		if s := opt.Shapes[i.Name]; err != nil && s != nil && !s.Equal(t.Shape) && len(s) == 2 {
			rows, err = s[0], nil
		}
		if err == nil && rows >= 1 && rows < t.Shape[0] {
			each[i.Name] = ir.Shape{rows, t.Shape[1]}
		}
	}
	return cutSamples(sample, each)
}

// cutSamples cuts a sample into as many as its tensors hold parts of the shapes in each. What is left over of a tensor is no part; tensors of no shape
// in each, and those that hold no part, stay the same in all samples.
func cutSamples(sample map[string]*ir.Tensor, each map[string]ir.Shape) []map[string]*ir.Tensor {
	parts, n := map[string][]*ir.Tensor{}, 1
	for name, s := range each {
		t, size := sample[name], s.Size()
		for at := 0; size > 0 && at+size <= t.Len(); at += size {
			part := ir.NewTensor(t.Elem, s)
			part.Words = t.Words
			copy(part.F, t.F[min(len(t.F), at):])
			copy(part.I, t.I[min(len(t.I), at):])
			parts[name] = append(parts[name], part)
		}
		n = max(n, len(parts[name]))
	}
	out := make([]map[string]*ir.Tensor, n)
	for k := range out {
		out[k] = map[string]*ir.Tensor{}
		for name, t := range sample {
			if p := parts[name]; len(p) > 0 {
				t = p[k%len(p)]
			}
			out[k][name] = t
		}
	}
	return out
}

// filesByName returns the last file of each NAME=FILE.
func filesByName(list []string) map[string]string {
	out := map[string]string{}
	for _, a := range list {
		if name, file, ok := strings.Cut(a, "="); ok {
			out[name] = file
		}
	}
	return out
}

// inputNames lists the inputs of a model.
func inputNames(path string) ([]string, error) {
	if filepath.Ext(path) != ".onnx" {
		return nil, usagef("%s is not a model: write NAME=FILE", path)
	}
	infos, err := onnx.Inputs(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, i := range infos {
		out = append(out, i.Name)
	}
	return out, nil
}

// read reads data files given as NAME=FILE, fitted to what the model declares. The name of a table stands for its columns, which are in one file.
func (s *source) read(path, flag string, list []string) (map[string]*ir.Tensor, error) {
	files, err := pairs(flag, list)
	if err != nil {
		return nil, err
	}
	images, err := pairs("image", s.images)
	if err != nil {
		return nil, err
	}
	rule, err := s.csvRules()
	if err != nil {
		return nil, err
	}
	if len(files) > 0 {
		if s.wanted, err = s.wants(path); err != nil {
			return nil, err
		}
	}
	out := map[string]*ir.Tensor{}
	for _, name := range sortedKeys(files) {
		at := slices.IndexFunc(s.wanted, func(w wanted) bool { return w.name == name })
		if columns := tableOf(s.wanted, name); at < 0 && len(columns) > 0 {
			table, err := s.readTable(files[name], name, columns, rule)
			if err != nil {
				return nil, err
			}
			for k, t := range table {
				out[k] = t
			}
			continue
		}
		pre := plainPicture
		if images[name] != "" {
			if pre, err = parsePreprocessing(images[name]); err != nil {
				return nil, usageError{err}
			}
		}
		pre.csv = rule
		if at >= 0 {
			w := s.wanted[at]
			pre.text, pre.elem, pre.strict = w.text, w.elem, w.strict
		}
		t, err := readTensor(files[name], pre)
		if err != nil {
			return nil, err
		}
		if at >= 0 && s.wanted[at].dims != nil {
			t = fit(t, s.wanted[at].dims)
		}
		out[name] = t
	}
	return out, nil
}

// planOnce reads the plan that the source is, if it has not been read.
func (s *source) planOnce(path string) (_ *plan.Plan, err error) {
	if s.plan == nil {
		s.plan, err = typed.ReadFile(path)
	}
	return s.plan, err
}

// isPlan reports whether a file is a plan, by its first bytes or, so that a damaged one is called a plan too, by its name.
func isPlan(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, notFound(path, err)
	}
	defer f.Close()
	b := make([]byte, 16)
	n, _ := f.Read(b)
	return plan.IsPlan(b[:n]) || filepath.Ext(path) == ".plan", nil
}

func notFound(path string, err error) error {
	return diag.Errorf(diag.Pos{File: path}, "%s", trimPath(path, err)).WithHint("give a model (.onnx), a program (.smp) or a plan")
}

// load compiles a model or program, or reads a plan, which verifies. The compilation is nil for plans.
func (s *source) load(c *cobra.Command, path string, data map[string]*ir.Tensor) (*plan.Plan, *smpcc.Compilation, error) {
	p, comp, err := s.unverified(c, path, data)
	if err == nil {
		expired(c.ErrOrStderr(), p, time.Now())
	}
	if err != nil || comp != nil { // compiling ends with verification
		return p, comp, noType(path, err)
	}
	return p, nil, smpcc.Accept(path, p)
}

// noType says of a plan that has no type what is said of plans that do not verify.
func noType(path string, err error) error {
	if e := (*typed.Error)(nil); errors.As(err, &e) {
		return diag.Errorf(diag.Pos{File: path}, "the plan does not verify: %v: %v", verify.CodeOf(verify.NoType), e).
			WithHint("smpcc verify %s lists all findings; compile the source again, and report it if that does not help", path)
	}
	return err
}

// expired says which policies under which a plan stands have ended: it compiles and audits all the same, and no server runs it.
func expired(w io.Writer, p *plan.Plan, now time.Time) {
	for _, g := range p.Manifest.Guards {
		if g.Expires != 0 && now.Unix() >= g.Expires {
			fmt.Fprintf(w, "note: the policy of %s expired at %s: no server runs this plan\n", g.Owner, expiry(g.Expires))
		}
	}
}

// unverified is load for commands that also read plans which do not verify.
func (s *source) unverified(c *cobra.Command, path string, data map[string]*ir.Tensor) (*plan.Plan, *smpcc.Compilation, error) {
	is, err := isPlan(path)
	if err != nil {
		return nil, nil, err
	}
	if is {
		for _, f := range []string{"dim", "owner", "guest", "reveal", "outputs", "public", "range", "assume", "policy", "skip", "dump-after", "ring", "calibrate", "frac-bits", "precision", "atol", "rtol", "reveal-bits", "exact", "parties", "guard", "strict-range"} {
			if c.Flags().Changed(f) && !(f == "policy" && s.compares) {
				return nil, nil, usagef("--%s says how to compile, but %s is a plan already", f, path)
			}
		}
		p, err := s.planOnce(path)
		return p, nil, err
	}
	opt, err := s.options(c, path, data)
	if err != nil {
		return nil, nil, err
	}
	comp, err := compile(path, opt)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range comp.Notes {
		fmt.Fprintf(c.ErrOrStderr(), "note: %s\n", n)
	}
	return comp.Plan, comp, nil
}
