package verify_test

import (
	"os"
	"path/filepath"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/passes"
)

var programs = map[string]string{
	"small": `parties a, b
input x: int[2,2] from a in -1000..1000
input y: int[2,2] from b in -1000..1000
let p = x * y
let q = (x + y) * (x - y)
reveal p * q to a, b as out
reveal p * p to b as square
reveal p @ q to b as matrix
`,
	"wires": `parties a, b
input x: int[4] from a in -1000..1000
input y: int[4] from b in -1000..1000
let p = x * y
let q = (x + y) * (x - y)
reveal p * q to a, b as out
reveal p * p to b as square
`,
	"keys": `parties a, b
input x: int[4] from a in -1000..1000
input y: int[4] from b in -1000..1000
input z: int[4] from b in -9..9
reveal where(x < y, 1, 2) to a, b as less
reveal where(x < 2 - y, 1, 2) to a, b as other
reveal where(x == y, 1, 2) to a, b as same
reveal where(z < 2, 1, 2) to a, b as small
`,
	"points": `parties a, b
input x: int[4] from a in -1000..1000
input y: int[4] from b in -1000..1000
let z = x * 2 - y
reveal sum(where(reshape(z, [4, 1]) < [-7, 0, 99], 1, 2)) to a, b as out
`,
	"choices": `parties a, b
input x: int[4] from a in -1000..1000
input y: int[4] from b in -1000..1000
input z: int[4] from b in -9..9
reveal max(x, y) to a, b as larger
reveal max(x, 2 - y) to a, b as other
reveal max(z, 2) * 3 to a, b as small
reveal abs(x + y) to b as size
`,
	"hinges": `parties a, b
input x: int[4] from a in -1000..1000
input y: int[4] from b in -1000..1000
let z = x * 2 - y
reveal sum(relu(reshape(z, [4, 1]) - [-7, 0, 99])) to a, b as out
`,
	"wide": `parties a, b
input x: int[4] from a in -100000000000000000..100000000000000000
input y: int[4] from b in -100000000000000000..100000000000000000
reveal x < y to b as less
reveal x == y to b as same
`,
	"sums": `parties a, b, c
input x: int[4] from a in -1000..1000
input y: int[4] from b in -1000..1000
input z: int[4] from c in -1000..1000
reveal x + y + z to a as first
reveal x - y + 2 * z to a as second
`,
	"views": `parties a, b, c
input x: int from a in -1000..1000
input y: int from b in -1000..1000
input z: int from c in -1000..1000
reveal max(stack(x, y, x - z)) * 3 to c as out
`,
}

// curves is a module of functions that the language of programs has not.
const curves = `module "curves" {
  parties p0 p1
  dealer d
  func main {
    v0 = input name="x" owner="p0" elem="real" shape=[4] lo=-4 hi=4 : private(p0) real[4] @ "curves" node "input"
    v1 = input name="y" owner="p1" elem="real" shape=[4] lo=-4 hi=4 : private(p1) real[4] @ "curves" node "input"
    v2 = add v0 v1 : secret{p0,p1} real[4] @ "curves" node "add"
    v3 = sigmoid v2 : secret{p0,p1} real[4] @ "curves" node "sigmoid"
    v4 = const data=real[]{8} : public real[] @ "curves" node "const"
    v5 = sub v2 v4 : secret{p0,p1} real[4] @ "curves" node "sub"
    v6 = exp v5 : secret{p0,p1} real[4] @ "curves" node "exp"
    v9 = sub v0 v1 : secret{p0,p1} real[4] @ "curves" node "sub"
    v10 = tanh v9 : secret{p0,p1} real[4] @ "curves" node "tanh"
    v11 = reveal v10 name="third" to=["p1"] : private(p1) real[4] @ "curves" node "reveal"
    v7 = reveal v3 name="out" to=["p0","p1"] : private(p0,p1) real[4] @ "curves" node "reveal"
    v8 = reveal v6 name="other" to=["p1"] : private(p1) real[4] @ "curves" node "reveal"
  }
}
`

// compiled keeps plans for all tests, which copy what they change.
var compiled map[string]*plan.Plan

func plans(t testing.TB) map[string]*plan.Plan {
	if compiled == nil {
		compiled = compilePlans(t)
	}
	return compiled
}

func compilePlans(t testing.TB) map[string]*plan.Plan {
	out := map[string]*plan.Plan{
		"mnist":   compile(t, "../../examples/mnist/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Ranges: map[string][2]float64{"input": {0, 1}}}),
		"credit":  compile(t, "../../examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}}),
		"auction": compile(t, "../../examples/auction/auction.smp", smpcc.Options{}),
	}
	dir := t.TempDir()
	write := func(name, ext, src string) {
		path := filepath.Join(dir, name+ext)
		if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
		var opt smpcc.Options
		if name == "keys" || name == "points" || name == "choices" || name == "hinges" { // a network on which rounds are worth any number of bytes
			opt.Net = passes.Network{RTT: 10, Bandwidth: 1e12}
		}
		out[name] = compile(t, path, opt)
	}
	for name, src := range programs {
		write(name, ".smp", src)
	}
	write("curves", ".ir", curves)
	return out
}
