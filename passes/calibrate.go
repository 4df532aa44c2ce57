package passes

import (
	"fmt"
	"math"
	"slices"

	"smpcc/ir"
)

// Margins on observed magnitudes, by the number of samples. A convolutional network and a transformer, trained on
// digits, had some value beyond margin * (the largest of n samples) in fewer than one new sample of 10^4 with these; columns of tables leave more often.
var margins = []struct {
	samples int
	margin  float64
}{{32, 1.5}, {4, 2}, {2, 3}, {1, 4}}

// fewValues is below how many values the sign that all of them have is not relied on: margins are of magnitudes.
const fewValues = 32

// marginFor returns the factor on magnitudes that n samples show.
func (o *Options) marginFor(n int) float64 {
	if o.Margin >= 1 {
		return o.Margin
	}
	for _, m := range margins {
		if n >= m.samples {
			return m.margin
		}
	}
	return margins[len(margins)-1].margin
}

// calibrate evaluates the samples and returns each value's observed interval, widened by the margin around zero. Inputs with a declared range
// have none: it holds, whatever samples show. Where samples show that magnitudes scatter, those of other inputs are widened more.
func calibrate(m *ir.Module, opt *Options) (map[*ir.Value]interval, error) {
	if len(opt.Samples) == 0 {
		return nil, nil
	}
	margin := opt.marginFor(len(opt.Samples))
	out := map[*ir.Value]interval{}
	for _, sample := range opt.Samples {
		vals, err := ir.Eval(m.Main(), ir.Env{Inputs: sample, Weights: m.Weights})
		if err != nil {
			return nil, fmt.Errorf("calibration: %w", err)
		}
		for _, v := range m.Main().Body {
			t := vals[v]
			from := v.Type.Vis.Owners()
			if v.Op == ir.OpReveal { // whose own owners are its receivers
				from = v.Args[0].Type.Vis.Owners()
			}
			_, firm, _ := ir.Declared(v)
			if t == nil || slices.ContainsFunc(from, opt.silent) || v.Type.Elem == ir.Bool || v.Op == ir.OpConst || v.Op == ir.OpWeight || v.Op == ir.OpInput && (firm || v.Attrs.Has("bounds")) {
				continue
			}
			iv, ok := out[v]
			if !ok {
				iv = interval{0, 0, ir.Calibrated}
			}
			for i := range t.Len() {
				iv.lo, iv.hi = min(iv.lo, t.At(i)*margin), max(iv.hi, t.At(i)*margin)
			}
			out[v] = iv
		}
	}
	for v, iv := range out {
		switch {
		case v.Op == ir.OpInput && v.Type.Elem == ir.Real:
			f := scatter(sampleMagnitudes(v, opt))
			out[v] = interval{float64(iv.lo * f), float64(iv.hi * f), iv.from}
		case v.Op != ir.OpInput && v.Type.Shape.Size()*len(opt.Samples) < fewValues: // that all have one sign is no sign
			most := max(-iv.lo, iv.hi)
			out[v] = interval{-most, most, iv.from}
		}
	}
	return out, nil
}

// sampleMagnitudes returns the largest |x| of an input in each sample.
func sampleMagnitudes(v *ir.Value, opt *Options) []float64 {
	var most []float64
	for _, sample := range opt.Samples {
		if t := sample[v.Attrs.Str("name")]; t != nil {
			most = append(most, magnitude(t))
		}
	}
	return most
}

// scatter returns the largest of some magnitudes over their median, at least 1: a tail that is heavy shows in it.
func scatter(most []float64) float64 {
	s := slices.DeleteFunc(slices.Clone(most), func(x float64) bool { return x == 0 })
	if len(s) == 0 {
		return 1
	}
	slices.Sort(s)
	return s[len(s)-1] / s[len(s)/2]
}

// sampleColumns returns the columns of an input in all samples together, nil if there are none.
func sampleColumns(v *ir.Value, opt *Options) [][]float64 {
	var out [][]float64
	for _, sample := range opt.Samples {
		t := sample[v.Attrs.Str("name")]
		if t == nil || !t.Shape.Equal(v.Type.Shape) || len(t.Shape) == 0 {
			continue
		}
		k := t.Shape[len(t.Shape)-1]
		if out == nil {
			out = make([][]float64, k)
		}
		for i := range t.Len() {
			out[i%k] = append(out[i%k], t.At(i))
		}
	}
	return out
}

// sampledInput returns the range of a raw input, or of one column of it, that n samples show: their largest magnitudes, times the margin, times
// how far they scatter. Zero lies in it.
func sampledInput(x []float64, n int, opt *Options) interval {
	margin := opt.marginFor(n)
	if n >= tableRows && opt.Margin < 1 {
		margin = max(margin, 2) // one column in many leaves its range sooner
	}
	iv := interval{from: ir.Calibrated}
	most := make([]float64, len(x))
	for i, y := range x {
		iv.lo, iv.hi, most[i] = min(iv.lo, y), max(iv.hi, y), math.Abs(y)
	}
	f := float64(margin * scatter(most))
	return interval{float64(iv.lo * f), float64(iv.hi * f), ir.Calibrated}
}

// Few samples and a heavy tail do not go together: a range from them says little of what comes.
const (
	fewSamples = 32
	heavyTail  = 16 // the largest magnitude over the median
)

// A Tail is a tensor, or one column of a table, whose range comes from few samples though its magnitudes scatter.
type Tail struct {
	Name    string  // the input's
	Column  int     // -1: all of it
	Samples int     // or rows of them, that were seen
	Ratio   float64 // the largest magnitude over the median
}

// Tails lists the inputs that are calibrated from few samples and have a heavy tail, the heaviest first, one entry for each input.
func Tails(f *ir.Func, opt *Options) (out []Tail) {
	for _, v := range f.Inputs() {
		if v.Attrs.Str("elem") != "real" || v.Range.Origin != ir.Calibrated || len(opt.Samples) >= fewSamples {
			continue
		}
		name, table := v.Attrs.Str("name"), sampleColumns(v, opt)
		if len(table) == 0 || len(table[0]) >= tableRows && v.Attrs.Has("bounds") {
			continue
		}
		worst := Tail{Name: name, Column: -1, Samples: len(opt.Samples)}
		var all []float64
		for k, x := range table {
			if x = magnitudes(x); len(v.Type.Shape) == 2 && len(x) > 2 {
				if r := scatter(x); r > worst.Ratio {
					worst.Ratio, worst.Column, worst.Samples = r, k, len(x)
				}
			}
			all = append(all, x...)
		}
		if worst.Ratio < heavyTail {
			worst = Tail{name, -1, len(opt.Samples), scatter(all)}
			if len(v.Type.Shape) == 2 { // rows too few to tell: the column that has the largest value
				for k, x := range table {
					if slices.Max(magnitudes(x)) == slices.Max(all) {
						worst.Column = k
						break
					}
				}
			}
		}
		if worst.Ratio >= heavyTail {
			out = append(out, worst)
		}
	}
	slices.SortStableFunc(out, func(a, b Tail) int { return int(math.Copysign(1, b.Ratio-a.Ratio)) })
	return out
}

// magnitudes returns |x| of each.
func magnitudes(x []float64) []float64 {
	out := make([]float64, len(x))
	for i, y := range x {
		out[i] = math.Abs(y)
	}
	return out
}
