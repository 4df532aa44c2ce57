package passes

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"smpcc/ir"
	"smpcc/ir/policy"
	"smpcc/ir/text"
)

// refusalOf compiles a graph of what is given for its body, whose output is y.
func refusalOf(t *testing.T, body string, opt Options) error {
	t.Helper()
	m, err := text.Parse("t.ir", []byte("module \"t\" {\n  parties p0 p1\n  dealer d\n  func main {\n"+body+"  }\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	m.Weights = map[string]*ir.Tensor{}
	opt.FracBits, opt.Default = 16, policy.New("", policy.Rule{Output: "y", To: []string{"p1"}})
	_, err = Run(m, &opt)
	return err
}

// TestRefusalsSayWhatHelps: a refusal names the output, how far off it is, and no value of the compiler's own; what it says to try works.
func TestRefusalsSayWhatHelps(t *testing.T) {
	const cosine = `    v0 = input name="a" owner="p0" elem="real" shape=[2,2] lo=-10 hi=10 : private(p0) real[2,2]
    v1 = input name="b" owner="p1" elem="real" shape=[2,2] lo=-10 hi=10 : private(p1) real[2,2]
    v2 = mul v0 v1 : secret{p0,p1} real[2,2]
    v3 = reduce_sum v2 axes=[1] : secret{p0,p1} real[2]
    v4 = mul v0 v0 : private(p0) real[2,2]
    v5 = reduce_sum v4 axes=[1] : private(p0) real[2]
    v6 = const data=real[]{EPS} : public real[]
    v7 = add v5 v6 : private(p0) real[2]
    v8 = sqrt v7 : private(p0) real[2]
    v9 = mul v1 v1 : private(p1) real[2,2]
    v10 = reduce_sum v9 axes=[1] : private(p1) real[2]
    v11 = add v10 v6 : private(p1) real[2]
    v12 = sqrt v11 : private(p1) real[2]
    v13 = mul v8 v12 : secret{p0,p1} real[2]
    v14 = div v3 v13 : secret{p0,p1} real[2]
    v15 = reveal v14 name="y" to=["p1"] : private(p1) real[2] ; revealed to p1
`
	const distance = `    v0 = input name="a" owner="p0" elem="real" shape=[2,2] lo=0 hi=1 : private(p0) real[2,2]
    v1 = input name="b" owner="p1" elem="real" shape=[2,2] lo=0 hi=1 : private(p1) real[2,2]
    v2 = sub v0 v1 : secret{p0,p1} real[2,2]
    v3 = mul v2 v2 : secret{p0,p1} real[2,2]
    v4 = reduce_sum v3 axes=[1] : secret{p0,p1} real[2]
    v5 = sqrt v4 : secret{p0,p1} real[2]
    v6 = const data=real[]{6371} : public real[]
    v7 = mul v5 v6 : secret{p0,p1} real[2]
    v8 = reveal v7 name="y" to=["p1"] : private(p1) real[2] ; revealed to p1
`
	const squares = `    v0 = input name="x" owner="p0" elem="real" shape=[3] lo=0 hi=2000000 : private(p0) real[3]
    v1 = mul v0 v0 : private(p0) real[3]
    v2 = reduce_sum v1 axes=[0] : private(p0) real[]
    v3 = reveal v2 name="y" to=["p1"] : private(p1) real[] ; revealed to p1
`
	inner := regexp.MustCompile(`\bv[0-9]+ =|bits hold`)
	for _, c := range []struct{ name, body, says, instead string }{
		{"cosine", strings.ReplaceAll(cosine, "EPS", "0"), "add a small number to the argument of the root", strings.ReplaceAll(cosine, "EPS", "0.01")},
		{"distance", distance, "--atol", ""},
		{"squares", squares, "compute in whole numbers of the smallest unit", strings.NewReplacer(`"real"`, `"int"`, "real[", "int[", "2000000", "200000000").Replace(squares)},
	} {
		err := refusalOf(t, c.body, Options{})
		if err == nil {
			t.Errorf("%s: nothing is refused", c.name)
			continue
		}
		s := err.Error()
		if !strings.Contains(s, `output "y" would not keep its tolerance`) || !strings.Contains(s, c.says) || inner.MatchString(s) {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.instead != "" {
			if err := refusalOf(t, c.instead, Options{}); err != nil {
				t.Errorf("%s, with what the hint says: %v", c.name, err)
			}
			continue
		}
		atol := regexp.MustCompile(`--atol ([0-9.e+-]+)`).FindStringSubmatch(s)
		if atol == nil {
			t.Errorf("%s: no tolerance is named: %v", c.name, err)
			continue
		}
		x, _ := strconv.ParseFloat(atol[1], 64)
		if err := refusalOf(t, c.body, Options{Tolerance: Tolerance{x, 1e-3}}); err != nil {
			t.Errorf("%s, with --atol %g: %v", c.name, x, err)
		}
	}
}

// TestCalibratedBeyondAssumed: samples say how large an input is of which nothing is declared, also to functions, and not the bound that is assumed without them.
func TestCalibratedBeyondAssumed(t *testing.T) {
	x := ir.NewTensor(ir.Real, ir.Shape{8, 1})
	for i := range x.F {
		x.F[i] = 2e4 + 2.3e4*float64(i)
	}
	err := refusalOf(t, `    v0 = input name="x" owner="p0" elem="real" shape=[8,1] : private(p0) real[8,1]
    v1 = reduce_mean v0 axes=[0] keep=1 : private(p0) real[1,1]
    v2 = sub v0 v1 : private(p0) real[8,1]
    v3 = mul v2 v2 : private(p0) real[8,1]
    v4 = reduce_mean v3 axes=[0] keep=1 : private(p0) real[1,1]
    v5 = rsqrt v4 : private(p0) real[1,1]
    v6 = mul v2 v5 : private(p0) real[8,1]
    v7 = reveal v6 name="y" to=["p1"] : private(p1) real[8,1] ; revealed to p1
`, Options{Samples: []map[string]*ir.Tensor{{"x": x}}})
	if err != nil {
		t.Error(err)
	}
}
