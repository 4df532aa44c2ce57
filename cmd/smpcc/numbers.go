package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/text"
)

// numbersRuns is how many drawn inputs the errors of nodes are taken over.
const numbersRuns = 4

func numbersCommand() *cobra.Command {
	var s source
	c := &cobra.Command{
		Use:   "numbers PLAN|MODEL|PROGRAM",
		Short: "How close outputs are to the exact ones, and the range, format and error of every node",
		Long: `Numbers says of each output what its tolerance is and how it is known to be kept. Below stand the nodes: the range that is relied on and where it comes
from, fraction bits and ring bits. Of a model or a program, whose weights are at hand, it also computes each node on drawn inputs (or on the samples
of --calibrate) exactly and in fixed point, and lists the nodes with the largest error for their size first; "grown by" is the error over that of what the
node reads, so that a large number there names the node to change: by narrower ranges, by columns, or by --precision and --frac-bits.
Where an output is proved, the nodes stand by their share of its bound: the part that would go away if a node's values were not rounded.
A plan holds no weights, so its nodes stand in the order of the graph without errors.`,
		Args: exactly(1, "one PLAN, MODEL or PROGRAM"),
	}
	s.flags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		p, comp, err := s.load(c, args[0], nil)
		if err != nil {
			return err
		}
		w := c.OutOrStdout()
		for _, a := range p.Manifest.Accuracy {
			fmt.Fprintf(w, "output %s: %s\n", a.Output, a)
			if a.Why != "" {
				fmt.Fprintf(w, "  not proved: %s\n", a.Why)
			}
		}
		fmt.Fprintf(w, "values near 1 have %d fraction bits, functions are asked for %.2g\n\n", p.Manifest.FracBits, p.Manifest.Precision)
		nodes, err := nodeFormats(args[0], p)
		if err != nil {
			return err
		}
		if hasReals(comp) {
			if err := measureNodes(args[0], p, comp, &s, c, nodes); err != nil {
				return err
			}
			shareNodes(comp.Numbers.Shares(), nodes)
		}
		return printNodes(w, nodes, hasReals(comp))
	}
	return c
}

// A nodeFormat is the format of a node's result, and what it is off by.
type nodeFormat struct {
	node, shape string
	value       *ir.Value
	error       *opError // nil if it was not measured
	share       float64  // of the bound of a proved output; -1 if it has none, or stands at another row of the same place
}

// nodeFormats lists the last value of each place of the source at the fixed-point level of a plan.
func nodeFormats(path string, p *plan.Plan) ([]*nodeFormat, error) {
	var out []*nodeFormat
	level := "fixed"
	if !slices.ContainsFunc(p.Manifest.Dumps, func(d plan.Dump) bool { return d.Level == level }) {
		level = "share" // it was written so
	}
	for _, d := range p.Manifest.Dumps {
		if d.Level != level {
			continue
		}
		m, err := text.Parse(path, []byte(d.Text))
		if err != nil {
			return nil, err
		}
		at := map[string]*nodeFormat{}
		for _, v := range m.Main().Body {
			if v.Type.Elem != ir.Ring || v.Type.Vis.IsPublic() || v.Op == ir.OpReveal {
				continue
			}
			key := v.Pos.String() + " " + v.Type.Shape.String()
			if at[key] == nil {
				at[key] = &nodeFormat{node: v.Pos.String(), shape: v.Type.Shape.String(), share: -1}
				out = append(out, at[key])
			}
			at[key].value = v
		}
		return out, nil
	}
	return nil, fmt.Errorf("the plan holds no fixed-point level")
}

// measureNodes adds errors on drawn inputs, or on samples, and puts the largest for their size first.
func measureNodes(path string, p *plan.Plan, comp *smpcc.Compilation, s *source, c *cobra.Command, nodes []*nodeFormat) error {
	opt, err := s.options(c, path, nil)
	if err != nil {
		return err
	}
	for run := range numbersRuns {
		in := comp.Numbers.Draw(comp.Graph, run)
		if len(opt.Samples) > 0 {
			if in = opt.Samples[run%len(opt.Samples)]; run >= len(opt.Samples) {
				break
			}
		}
		j := &job{path: path, plan: p, comp: comp, inputs: in}
		list, err := j.perOp()
		if err != nil {
			return err
		}
		for _, e := range list {
			for _, n := range nodes {
				if n.node == e.Node && n.shape == e.Shape && !math.IsNaN(e.Error) && (n.error == nil || e.Error > n.error.Error) {
					n.error = &e
				}
			}
		}
	}
	slices.SortStableFunc(nodes, func(a, b *nodeFormat) int { return cmp.Compare(b.relative(), a.relative()) })
	return nil
}

// shareNodes adds the shares of the bound of proved outputs, and puts the largest first.
func shareNodes(shares map[diag.Pos]float64, nodes []*nodeFormat) {
	left := map[string]float64{}
	for pos, x := range shares {
		left[pos.String()] = x
	}
	for _, n := range nodes {
		if x, ok := left[n.node]; ok {
			n.share = x
			delete(left, n.node)
		}
	}
	if len(shares) > 0 {
		slices.SortStableFunc(nodes, func(a, b *nodeFormat) int { return cmp.Compare(b.share, a.share) })
	}
}

// relative returns the error for the size of the largest value.
func (n *nodeFormat) relative() float64 {
	if n.error == nil {
		return -1
	}
	return n.error.Error / max(n.error.Most, 1e-12)
}

func printNodes(w io.Writer, nodes []*nodeFormat, measured bool) error {
	head := []string{"node", "shape", "range", "from", "fraction bits", "ring bits"}
	if measured {
		head = append(head, "largest value", "largest error", "of the value", "grown by")
	}
	proved := slices.ContainsFunc(nodes, func(n *nodeFormat) bool { return n.share >= 0 })
	if proved {
		head = slices.Insert(head, 1, "share of the bound")
	}
	t := newTable(w, head...)
	for _, n := range nodes {
		v := n.value
		row := []string{n.node, n.shape, fmt.Sprintf("%.4g..%.4g", v.Range.Lo, v.Range.Hi), v.Range.Origin.String(), fmt.Sprint(v.Type.Scale), fmt.Sprint(v.Type.Bits)}
		if e := n.error; e != nil {
			grown := "-"
			if e.Ratio > 0 {
				grown = fmt.Sprintf("%.1f", e.Ratio)
			}
			row = append(row, fmt.Sprintf("%.3g", e.Most), fmt.Sprintf("%.1e", e.Error), fmt.Sprintf("%.1e", n.relative()), grown)
		}
		if proved {
			row = slices.Insert(row, 1, "")
			if n.share >= 0 {
				row[1] = fmt.Sprintf("%.0f %%", 100*n.share)
			}
		}
		t.row(row...)
	}
	return t.flush()
}
