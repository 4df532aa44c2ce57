package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/frontend/dsl"
	"smpcc/frontend/onnx"
	"smpcc/ir"
	"smpcc/passes"
)

func compileCommand() *cobra.Command {
	var s source
	var out, projections string
	c := &cobra.Command{
		Use:   "compile MODEL|PROGRAM [-o PLAN]",
		Short: "Compile a model or program to a plan",
		Long: `Compile writes the plan, which all parties may read, and beside it one file of weights for each owner, which stays with
that owner: PLAN.OWNER.weights.npz. It holds the plan's weights, and the source's own tensors where passes have made others of them.`,
		Args: exactly(1, "one MODEL or PROGRAM"),
	}
	s.flags(c)
	c.Flags().StringVarP(&out, "output", "o", "", "`PLAN` file to write (default: the source's name with .plan)")
	c.Flags().StringVar(&projections, "projections", "", "`DIR` in which to write what each role runs, to read: DIR/ROLE.txt. Servers derive it from the plan and read no such file")
	c.RunE = func(c *cobra.Command, args []string) error {
		path := args[0]
		if is, err := isPlan(path); err != nil {
			return err
		} else if is {
			return usagef("%s is a plan already", path)
		}
		if out == "" {
			out = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)) + ".plan"
		}
		bar := newProgress(c.ErrOrStderr())
		bar.stage("compiling")
		p, comp, err := s.load(c, path, nil)
		bar.done()
		if err != nil {
			return err
		}
		owners := map[string]map[string]*ir.Tensor{}
		for _, w := range p.Manifest.Weights {
			if t := comp.Weights[w.Name]; t != nil {
				if owners[w.Owner] == nil {
					owners[w.Owner] = map[string]*ir.Tensor{}
				}
				owners[w.Owner][w.Name] = t
			}
		}
		for o := range owners { // source tensors too, which commitments are to
			for _, v := range smpcc.Sources(comp.Graph, o) {
				name := v.Attrs.Str("name")
				owners[o][name] = comp.Graph.Weights[name]
			}
		}
		var written []string
		undo := func(err error) error {
			for _, f := range written {
				err = errors.Join(err, os.Remove(f))
			}
			return err
		}
		for _, o := range sortedKeys(owners) {
			f := weightsFile(out, o)
			if err := writeWeights(f, owners[o]); err != nil {
				return undo(err)
			}
			written = append(written, f)
		}
		if projections != "" {
			files, err := writeProjections(projections, p)
			if written = append(written, files...); err != nil {
				return undo(err)
			}
		}
		if err := plan.WriteFile(out, p); err != nil {
			return undo(err)
		}
		w := c.OutOrStdout()
		fmt.Fprintf(w, "%s: plan %s\n", out, p.Digest())
		for _, f := range written {
			what := "weights, for their owner only"
			if filepath.Ext(f) == ".txt" {
				what = "what the role runs, to read"
			}
			fmt.Fprintf(w, "%s: %s\n", f, what)
		}
		for _, a := range p.Manifest.Accuracy {
			fmt.Fprintf(w, "%s: %s\n", a.Output, a)
		}
		cost := p.Cost()
		on := cost.Phases[plan.Online]
		most := int64(0)
		for _, n := range on.Sent {
			most = max(most, n)
		}
		what, _ := p.Dealt()
		_, err = fmt.Fprintf(w, "online: %d rounds, at most %s per party; offline: %s of %s; see smpcc cost and smpcc audit\n", on.Rounds, bytesText(most), bytesText(cost.Dealt), what)
		return err
	}
	return c
}

// writeProjections writes what each role runs as text, and returns the files that it has written.
func writeProjections(dir string, p *plan.Plan) (written []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, role := range p.Roles() {
		f := filepath.Join(dir, role+".txt")
		if err := plan.WriteAtomicTo(f, 0o644, func(w io.Writer) error { return p.Text(w, role) }); err != nil {
			return written, err
		}
		written = append(written, f)
	}
	return written, nil
}

func passesCommand() *cobra.Command {
	return &cobra.Command{Use: "passes", Short: "List the passes in the order they run", Args: exactly(0, "no arguments"), RunE: func(c *cobra.Command, _ []string) error {
		t := newTable(c.OutOrStdout(), "pass", "skip", "does")
		for _, p := range passes.Pipeline() {
			may := "yes"
			if p.Required {
				may = "no"
			}
			t.row(p.Name, may, p.Doc)
		}
		return t.flush()
	}}
}

func opsCommand() *cobra.Command {
	var e functionErrors
	cmd := &cobra.Command{Use: "ops", Short: "List the operators of models, the functions of programs, the ops of the IR and the steps of plans", Args: exactly(0, "no arguments"), RunE: func(c *cobra.Command, _ []string) error {
		if e.measure || e.plot != "" {
			return e.run(c)
		}
		w := c.OutOrStdout()
		t := newTable(w, "ONNX operator", "becomes")
		for _, o := range onnx.Operators() {
			name := o.Name
			if o.Domain != "ai.onnx" {
				name = o.Domain + "." + name
			}
			t.row(name, o.Doc)
		}
		if err := t.flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
		t = newTable(w, "function", "takes", "is")
		for _, b := range dsl.Builtins() {
			t.row(b.Name, b.Params, b.Doc)
		}
		if err := t.flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
		t = newTable(w, "IR op", "level", "means")
		for _, r := range ir.Ops() {
			t.row(string(r.Op), r.Level.String(), r.Doc)
		}
		if err := t.flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
		t = newTable(w, "plan step", "means")
		for op := plan.StepInvalid + 1; plan.Steps[op] != nil; op++ {
			t.row(plan.Steps[op].Name, plan.Steps[op].Doc)
		}
		return t.flush()
	}}
	e.flags(cmd)
	return cmd
}
