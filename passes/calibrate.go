package passes

import (
	"fmt"
	"slices"

	"smpcc/ir"
)

// calibrate evaluates the samples and returns each value's observed interval, widened by the margin around zero.
func calibrate(m *ir.Module, opt *Options) (map[*ir.Value]interval, error) {
	if len(opt.Samples) == 0 {
		return nil, nil
	}
	margin := opt.Margin
	if margin < 1 {
		margin = 2
	}
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
			if t == nil || slices.ContainsFunc(from, opt.silent) || v.Type.Elem == ir.Bool || v.Op == ir.OpConst || v.Op == ir.OpWeight {
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
	return out, nil
}
