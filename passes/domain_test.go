package passes_test

import (
	"fmt"
	"strings"
	"testing"

	"smpcc/ir"
	"smpcc/ir/policy"
	"smpcc/ir/text"
	"smpcc/passes"
)

// TestDomains compiles functions whose arguments reach numbers for which they have no value, and such whose arguments do not, although a bound may
// say so: the first are refused with a way out, the others are not.
func TestDomains(t *testing.T) {
	const (
		refused = "number for which it has no value"
		byRuns  = "would not keep its tolerance" // 0/0 is not reached but for one input; numbers next to it are found by the runs
		taken   = ""
	)
	for _, c := range []struct {
		name string
		lo   float64 // of both inputs, x and y, of 2x2 elements; their upper end is 2
		body string  // from v0 = x and v1 = y to the last value, [2,2]
		want string
	}{
		{"reciprocal of a difference", -1, "v2 = sub v0 v1 : R\nv3 = recip v2 : R", refused},
		{"quotient by a sum", -1, "v2 = add v0 v1 : R\nv3 = div v0 v2 : R", refused},
		{"logarithm of a ReLU", -1, "v2 = relu v0 : R\nv3 = log v2 : R", refused},
		{"logarithm of a square", -1, "v2 = mul v0 v0 : R\nv3 = log v2 : R", refused},
		{"reciprocal root of a difference", -1, "v2 = sub v0 v1 : R\nv3 = rsqrt v2 : R", refused},
		{"reciprocal root of a product", 0, "v2 = mul v0 v1 : R\nv3 = rsqrt v2 : R", refused},
		{"reciprocal of a product of matrices", -1, "v2 = matmul v0 v1 : R\nv3 = recip v2 : R", refused},
		{"quotient by a sum of a line", -1, "v2 = reduce_sum v0 axes=[1] keep=1 : private(p1) real[2,1]\nv3 = div v1 v2 : R", refused},

		{"reciprocal of a sum", 1, "v2 = add v0 v1 : R\nv3 = recip v2 : R", taken},
		{"reciprocal of a square and more", -1, "v2 = mul v0 v0 : R\nv3 = const data=real[]{1} : public real[]\nv4 = add v2 v3 : R\nv5 = recip v4 : R", taken},
		{"logarithm of a square and more", -1, "v2 = mul v0 v0 : R\nv3 = const data=real[]{1} : public real[]\nv4 = add v2 v3 : R\nv5 = log v4 : R", taken},
		{"logarithm of a product of positive numbers", 1, "v2 = mul v0 v1 : R\nv3 = log v2 : R", taken},
		{"a norm", -1, "v2 = mul v0 v0 : R\nv3 = reduce_sum v2 axes=[1] keep=1 : private(p1) real[2,1]\nv4 = sqrt v3 : private(p1) real[2,1]\nv5 = div v0 v4 : R", byRuns},
		{"a softmax", -1, "v2 = exp v0 : R\nv3 = reduce_sum v2 axes=[1] keep=1 : private(p1) real[2,1]\nv4 = div v2 v3 : R", taken},
		{"quotient by a bounded number", -1, "v2 = const data=real[]{0.5} : public real[]\nv3 = max v1 v2 : R\nv4 = div v0 v3 : R", taken},
		{"constants on both sides of zero", -1, "v2 = const data=real[2,2]{10 -10 10 -10} : public real[2,2]\nv3 = add v0 v2 : R\nv4 = recip v3 : R", taken},
		{"a bound that is not reached", 1, "v2 = mul v0 v0 : R\nv3 = const data=real[]{1.5} : public real[]\nv4 = mul v0 v3 : R\nv5 = sub v2 v4 : R\nv6 = const data=real[]{1} : public real[]\nv7 = add v5 v6 : R\nv8 = recip v7 : R", taken},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			b.WriteString("module \"t\" {\n  parties p0 p1\n  dealer d\n\n  func main {\n")
			lines := strings.Split(c.body, "\n")
			for i, n := range []string{"x", "y"} {
				lines = append([]string{}, append(lines[:i:i], append([]string{fmt.Sprintf("v%d = input name=%q owner=\"p1\" elem=\"real\" shape=[2,2] lo=%g hi=2 : R", i, n, c.lo)}, lines[i:]...)...)...)
			}
			lines = append(lines, fmt.Sprintf("v%d = reveal v%d name=\"z\" to=[\"p1\"] : R", len(lines), len(lines)-1))
			for _, l := range lines {
				b.WriteString("    " + strings.Replace(l, ": R", ": private(p1) real[2,2]", 1) + "\n")
			}
			b.WriteString("  }\n}\n")
			m, err := text.Parse("t.ir", []byte(b.String()))
			if err != nil {
				t.Fatalf("%v\n%s", err, b.String())
			}
			m.Weights = map[string]*ir.Tensor{}
			_, err = passes.Run(m, &passes.Options{FracBits: 16, Default: &policy.Policy{Ranges: true, Allow: []policy.Rule{{Output: "*", To: []string{"p1"}}}}})
			switch {
			case c.want == taken && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != taken && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want a refusal that says %q", err, c.want)
			}
		})
	}
}
