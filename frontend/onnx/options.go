package onnx

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Options say how a model's names map to parties and data.
type Options struct {
	Dims          map[string]int                // symbolic dimension -> value
	Shapes        map[string]ir.Shape           // shapes of inputs given by the user's data; they bind symbolic dimensions too
	Bound         map[string]int                // takes the dimensions that Shapes bind, if not nil
	Parties       []string                      // computing parties; p0 and p1 if empty
	Dealer        string                        // d if empty
	Guests        []string                      // owners of inputs and receivers that compute nothing
	WeightOwner   string                        // owner of float initialisers
	InputOwner    string                        // owner of inputs
	Owners        map[string]string             // input or initialiser -> party
	Reveal        map[string][]string           // output -> receivers
	DefaultReveal []string                      // receivers of other outputs
	Public        map[string]*ir.Tensor         // inputs that are public, with their data
	PublicWeights bool                          // float initialisers are public constants
	Cut           []string                      // values that are the outputs in place of the model's own
	Ranges        map[string][2]float64         // declared ranges of inputs
	Columns       map[string]map[int][2]float64 // declared ranges of columns, along an input's last axis
}

// mistake reports a wrong option.
func (r *reader) mistake(hint, format string, args ...any) {
	r.errs.Add(r.pos(""), &diag.Error{Kind: diag.Usage, Pos: r.pos(""), Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// flags reports names in the options that the model does not have.
func (r *reader) flags(inputs, outputs, symbols map[string]bool) {
	check := func(flag, name, what string, known map[string]bool) {
		if !known[name] {
			list := slices.Sorted(maps.Keys(known))
			if len(list) > 12 {
				list = append(list[:12], "...")
			}
			for i := range list {
				list[i] = short(list[i])
			}
			hint := ""
			if len(list) > 0 {
				hint = "it has: " + strings.Join(list, ", ")
			}
			r.mistake(hint, "%s %s: the model has no %s of that name", flag, name, what)
		}
	}
	party := func(flag, name string) {
		if !slices.Contains(r.opt.Parties, name) && (!slices.Contains(r.opt.Guests, name) || strings.HasPrefix(flag, "owner of weights")) {
			r.mistake("the parties are "+strings.Join(r.opt.Parties, ", "), "%s: %q is not a party", flag, name)
		}
	}
	party("owner of weights", r.opt.WeightOwner)
	party("owner of inputs", r.opt.InputOwner)
	for _, p := range r.opt.DefaultReveal {
		party("receiver of outputs", p)
	}
	for _, n := range slices.Sorted(maps.Keys(r.opt.Dims)) {
		check("--dim", n, "symbolic dimension", symbols)
	}
	owned := maps.Clone(inputs)
	for n := range r.inits {
		owned[n] = true
	}
	for _, n := range slices.Sorted(maps.Keys(r.opt.Owners)) {
		check("--owner", n, "input or initialiser", owned)
		party("--owner "+n, r.opt.Owners[n])
		if g := r.opt.Owners[n]; slices.Contains(r.opt.Guests, g) && !inputs[n] && owned[n] {
			r.mistake("weights stay with parties, which hold them from one run to the next", "--owner %s: %s is a guest, and this is no input", n, g)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(r.opt.Reveal)) {
		check("--reveal", n, "output", outputs)
		for _, p := range r.opt.Reveal[n] {
			party("--reveal "+n, p)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(r.opt.Shapes)) {
		check("--input", n, "input", inputs)
	}
	for _, n := range slices.Sorted(maps.Keys(r.opt.Public)) {
		check("--public", n, "input", inputs)
	}
	for _, n := range slices.Sorted(maps.Keys(r.opt.Ranges)) {
		check("--range", n, "input", inputs)
		if x := r.opt.Ranges[n]; !(x[0] <= x[1]) || math.IsInf(x[0], 0) || math.IsInf(x[1], 0) {
			r.mistake("write it as LO..HI with LO <= HI", "--range %s: %g..%g is not an interval", n, x[0], x[1])
		}
	}
	for _, n := range slices.Sorted(maps.Keys(r.opt.Columns)) {
		check("--range", n, "input", inputs)
		for _, k := range slices.Sorted(maps.Keys(r.opt.Columns[n])) {
			if x := r.opt.Columns[n][k]; !(x[0] <= x[1]) || math.IsInf(x[0], 0) || math.IsInf(x[1], 0) {
				r.mistake("write it as LO..HI with LO <= HI", "--range %s, column %d: %g..%g is not an interval", n, k, x[0], x[1])
			}
		}
	}
}
