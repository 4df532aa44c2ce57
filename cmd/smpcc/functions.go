package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/bench"
	"smpcc/passes"
)

// functionErrors is smpcc ops --errors: what approximated functions are off by, from a secure run of each.
type functionErrors struct {
	measure   bool
	plot      string
	precision float64
	frac      int
}

func (e *functionErrors) flags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&e.measure, "errors", false, "run every approximated function securely and show its largest error against float64, absolute of results up to 1 and relative of larger ones, rounds and bytes")
	f.StringVar(&e.plot, "plot", "", "`FILE`.svg or .png to draw these errors into")
	f.Float64Var(&e.precision, "precision", passes.DefaultPrecision, "largest error to ask for, absolute or relative above 1")
	f.IntVar(&e.frac, "frac-bits", smpcc.DefaultFracBits, "fraction bits of reals")
}

func (e *functionErrors) run(c *cobra.Command) error {
	const arguments = 500
	var results []*bench.FunctionResult
	t := newTable(c.OutOrStdout(), "function", "on", "absolute error", "relative error", "of the tolerance", "rounds", "bytes per element")
	for _, f := range bench.Functions() {
		r, err := bench.MeasureFunction(c.Context(), f, arguments, smpcc.Options{FracBits: e.frac, Precision: e.precision})
		if err != nil {
			return fmt.Errorf("%s: %w", f.Op, err)
		}
		results = append(results, r)
		t.row(string(f.Op), fmt.Sprintf("%.4g..%.4g", f.Lo, f.Hi), largest(r.Absolute), largest(r.Relative), fmt.Sprintf("%.2f", r.Used), fmt.Sprint(r.Rounds), fmt.Sprintf("%.0f", r.Bytes))
	}
	if e.plot != "" {
		img, err := bench.DrawErrors(results, strings.TrimPrefix(filepath.Ext(e.plot), "."))
		if err != nil {
			return err
		}
		if err := plan.WriteAtomic(e.plot, img, 0o644); err != nil {
			return err
		}
	}
	return t.flush()
}

// largest writes an error; none of that kind is a dash.
func largest(e float64) string {
	if e == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1e", e)
}
