package passes

import (
	"strings"
	"testing"

	"smpcc/ir"
	"smpcc/ir/policy"
	"smpcc/ir/text"
)

// TestWrapIsNoDivision looks at what is said of a product that its type cannot keep the low bits of: nobody wrote a division. Its hint is followed.
func TestWrapIsNoDivision(t *testing.T) {
	compile := func(most string) error {
		m, err := text.Parse("t.ir", []byte(`module "t" {
  parties p0 p1
  dealer d
  func main {
    v0 = input name="x" owner="p0" elem="int" shape=[] lo=0 hi=`+most+` : private(p0) int[]
    v1 = input name="y" owner="p1" elem="int" shape=[] lo=0 hi=`+most+` : private(p1) int[]
    v2 = mul v0 v1 : secret{p0,p1} int[]
    v3 = wrap v2 bits=32 signed=1 : secret{p0,p1} int[]
    v4 = reveal v3 name="z" to=["p1"] : private(p1) int[] ; revealed to p1
  }
}
`))
		if err != nil {
			t.Fatal(err)
		}
		m.Weights = map[string]*ir.Tensor{}
		_, err = Run(m, &Options{FracBits: 16, Default: policy.New("", policy.Rule{Output: "z", To: []string{"p1"}})})
		return err
	}
	err := compile("1400000000")
	if err == nil {
		t.Fatal("a product of up to 2^61 was wrapped")
	}
	if err := compile("2147483647"); err == nil || !strings.Contains(err.Error(), "integers that may reach beyond 2^61 are to be kept in the 32 bits") {
		t.Errorf("a product of up to 2^62: %v", err)
	}
	for _, want := range []string{"integers in 0..1.96e+18 are to be kept in the 32 bits of their type", "declare narrower input ranges", "the low bits of what lies within 2^59"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "division") {
		t.Errorf("%v speaks of a division", err)
	}
	if err := compile("759250124"); err != nil {
		t.Errorf("a product within 2^59: %v", err)
	}
}
