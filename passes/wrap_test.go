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
	for _, want := range []string{"are to be kept in the 32 bits of their type", "declare narrower input ranges"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "division") {
		t.Errorf("%v speaks of a division", err)
	}
	if err := compile("1000000"); err != nil {
		t.Errorf("narrower ranges: %v", err)
	}
}
