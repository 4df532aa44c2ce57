package plan_test

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/ir"
	"smpcc/ir/text"
	"smpcc/passes"
)

// By day rapid draws the same cases in every run; new ones are looked for at night, and by -rapid.seed.
func init() {
	if os.Getenv("SMPCC_NIGHTLY") == "" {
		if err := flag.Set("rapid.seed", "1"); err != nil {
			panic(err)
		}
	}
}

// layer is a dense layer with weights: it has inputs, weights, setup, corrections, comparisons and reveals.
const layer = `module "layer" {
  parties p0 p1
  dealer d
  func main {
    v0 = input name="x" owner="p1" elem="real" shape=[1,2] lo=-1 hi=1 : private(p1) real[1,2]
    v1 = weight name="w" owner="p0" elem="real" shape=[2,3] : private(p0) real[2,3]
    v2 = matmul v0 v1 : secret{p0,p1} real[1,3]
    v3 = relu v2 : secret{p0,p1} real[1,3]
    v7 = slice v3 starts=[0,0] ends=[1,3] steps=[1,2] : secret{p0,p1} real[1,2]
    v4 = gather v7 axis=1 indices=[1,0] : secret{p0,p1} real[1,2]
    v5 = reveal v4 name="y" to=["p1"] : private(p1) real[1,2]
    v6 = reveal v2 name="z" to=["p0","p1"] : private(p0,p1) real[1,3]
  }
}
`

// keyed is layer with a comparison whose bit is needed, beside that of a ReLU.
var keyed = strings.Replace(layer, "    v5 =", "    v8 = ltz v2 : secret{p0,p1} bool[1,3]\n    v9 = reveal v8 name=\"below\" to=[\"p1\"] : private(p1) bool[1,3]\n    v5 =", 1)

// compiled returns the bytes of the plan of a module in text form.
func compiled(t testing.TB, src string, opt smpcc.Options) []byte {
	t.Helper()
	m, err := text.Parse("test.ir", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	m.Weights = map[string]*ir.Tensor{"w": ir.Reals(ir.Shape{2, 3}, 1, -2, 3, 0.5, 0.25, -1)}
	c, err := smpcc.CompileModule(m, opt, true)
	if err != nil {
		t.Fatal(err)
	}
	return c.Plan.EncodeProjection()
}

func decode(t testing.TB, data []byte) *plan.Plan {
	t.Helper()
	p, err := plan.DecodeProjection(data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// step returns the first step of an op in a phase of a role's program.
func step(t *testing.T, p *plan.Plan, role int, ph plan.Phase, op plan.StepOp) *plan.Step {
	t.Helper()
	for _, round := range p.Programs[role].Rounds(ph) {
		for i := range round.Steps {
			if round.Steps[i].Op == op {
				return &round.Steps[i]
			}
		}
	}
	t.Fatalf("no %s step of role %d in %v", plan.Steps[op].Name, role, ph)
	return nil
}

// open returns the first opening of a kind in a role's program.
func open(t *testing.T, p *plan.Plan, role int, kind plan.Kind) *plan.Open {
	t.Helper()
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		for _, round := range p.Programs[role].Rounds(ph) {
			for i := range round.Opens {
				if round.Opens[i].Kind == kind {
					return &round.Opens[i]
				}
			}
		}
	}
	t.Fatalf("no %v of role %d", kind, role)
	return nil
}

// each applies f to the openings of a kind and item in all programs, so that roles still agree.
func each(p *plan.Plan, kind plan.Kind, item int, f func(role int, o *plan.Open)) {
	for role := range p.Programs {
		for ph := plan.Setup; ph <= plan.Online; ph++ {
			for _, round := range p.Programs[role].Rounds(ph) {
				for i := range round.Opens {
					if o := &round.Opens[i]; o.Item == item && o.Kind == kind {
						f(role, o)
					}
				}
			}
		}
	}
}

// A broken is a way to break a good plan in one place, and what the refusal says.
type broken struct {
	name, want string
	breakIt    func(t *testing.T, p *plan.Plan)
}

// refuses breaks a good plan in one way at a time.
func refuses(t *testing.T, data []byte, list []broken) {
	for _, c := range list {
		t.Run(c.name, func(t *testing.T) {
			p := decode(t, data)
			c.breakIt(t, p)
			err := p.Validate()
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.HasPrefix(err.Error(), "plan: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want %q", err, c.want)
			}
			if _, err := plan.DecodeProjection(p.EncodeProjection()); err == nil {
				t.Error("the broken plan can be read")
			}
		})
	}
}

// TestValidateKeys breaks a plan with comparisons by keys.
func TestValidateKeys(t *testing.T) {
	refuses(t, compiled(t, keyed, smpcc.Options{RevealBits: 40, Net: passes.Network{RTT: 10, Bandwidth: 1e12}}), []broken{
		{"keys of three parties", "keys are for two parties, the plan has 3", func(t *testing.T, p *plan.Plan) {
			*p = *decode(t, compiled(t, strings.Replace(layer, "parties p0 p1", "parties p0 p1 p2", 1), smpcc.Options{}))
			p.Items = append(p.Items, plan.Item{Mode: plan.Xor, Len: 6, Bits: 64, Offset: 1 << 30})
			s := step(t, p, 3, plan.Offline, plan.StepOneHot)
			*s = plan.Step{Op: plan.StepDPFKey, Dst: s.Dst, Src: s.Src, Args: []int64{int64(len(p.Items) - 1), 8, 1}, Node: s.Node}
		}},
		{"bits of a point", "points of 65 bits", func(t *testing.T, p *plan.Plan) { step(t, p, 0, plan.Online, plan.StepDPF).Args[0] = 65 }},
		{"no bits of a point", "points of 0 bits", func(t *testing.T, p *plan.Plan) { step(t, p, 2, plan.Offline, plan.StepDPFKey).Args[1] = 0 }},
		{"huge bits of a point", "points of 4611686018427387904 bits", func(t *testing.T, p *plan.Plan) { step(t, p, 2, plan.Offline, plan.StepDPFKey).Args[1] = 1 << 62 }},
		{"kind of keys", "kind 3", func(t *testing.T, p *plan.Plan) { step(t, p, 1, plan.Online, plan.StepDPF).Args[1] = 3 }},
		{"fewer levels than there are words", "6 words of roots and", func(t *testing.T, p *plan.Plan) { step(t, p, 1, plan.Online, plan.StepDPF).Args[0]-- }},
		{"roots where words belong", "keys with 1 points each", func(t *testing.T, p *plan.Plan) {
			s := step(t, p, 1, plan.Online, plan.StepDPF)
			s.Src[1] = s.Src[2]
		}},
		{"points of no key", "3 points for 3 keys with 2 points each", func(t *testing.T, p *plan.Plan) { step(t, p, 1, plan.Online, plan.StepDPF).Args[2] = 2 }},
		{"points without end", "keys with 4611686018427387905 points each", func(t *testing.T, p *plan.Plan) { step(t, p, 1, plan.Online, plan.StepDPF).Args[2] = 1<<62 + 1 }},
		{"points of another number", "slot lengths differ", func(t *testing.T, p *plan.Plan) {
			s := step(t, p, 1, plan.Online, plan.StepDPF)
			s.Src[0] = s.Src[2]
		}},
		{"roots that are no item", "item 1000000 does not exist", func(t *testing.T, p *plan.Plan) { step(t, p, 2, plan.Offline, plan.StepDPFKey).Args[0] = 1e6 }},
		{"roots that are dealt", "is not made of random words of both parties", func(t *testing.T, p *plan.Plan) {
			s := step(t, p, 2, plan.Offline, plan.StepDPFKey)
			s.Args[0] = int64(slices.IndexFunc(p.Items, func(it plan.Item) bool { return it.Dealt }))
		}},
		{"keys made by a party", "is for the dealer only", func(t *testing.T, p *plan.Plan) {
			s := step(t, p, 1, plan.Online, plan.StepDPF)
			*s = plan.Step{Op: plan.StepDPFKey, Dst: s.Dst, Src: s.Src[:1], Args: []int64{0, 8, 1}, Node: s.Node}
		}},
		{"keys of relu for three parties", "keys are for two parties, the plan has 3", func(t *testing.T, p *plan.Plan) {
			*p = *decode(t, compiled(t, strings.Replace(layer, "parties p0 p1", "parties p0 p1 p2", 1), smpcc.Options{}))
			p.Items = append(p.Items, plan.Item{Mode: plan.Xor, Len: 6, Bits: 64, Offset: 1 << 30})
			s := step(t, p, 3, plan.Offline, plan.StepOneHot)
			*s = plan.Step{Op: plan.StepDCFKey, Dst: s.Dst, Src: s.Src, Args: []int64{int64(len(p.Items) - 1), 8, 1}, Node: s.Node}
		}},
		{"bits of a wire", "wires of 65 bits", func(t *testing.T, p *plan.Plan) { step(t, p, 0, plan.Online, plan.StepDCF).Args[0] = 65 }},
		{"one bit of a wire", "wires of 1 bits", func(t *testing.T, p *plan.Plan) { step(t, p, 2, plan.Offline, plan.StepDCFKey).Args[1] = 1 }},
		{"negative bits of a wire", "wires of -4 bits", func(t *testing.T, p *plan.Plan) { step(t, p, 2, plan.Offline, plan.StepDCFKey).Args[1] = -4 }},
		{"huge bits of a wire", "wires of 4611686018427387904 bits", func(t *testing.T, p *plan.Plan) { step(t, p, 1, plan.Online, plan.StepDCF).Args[0] = 1 << 62 }},
		{"results of no bits", "results of 0 bits", func(t *testing.T, p *plan.Plan) { step(t, p, 0, plan.Online, plan.StepDCF).Args[1] = 0 }},
		{"results of huge bits", "results of 4611686018427387904 bits", func(t *testing.T, p *plan.Plan) { step(t, p, 2, plan.Offline, plan.StepDCFKey).Args[2] = 1 << 62 }},
		{"fewer levels of relu than there are words", "6 words of roots and", func(t *testing.T, p *plan.Plan) { step(t, p, 1, plan.Online, plan.StepDCF).Args[0]-- }},
		{"results that take other words", "for 3 keys of", func(t *testing.T, p *plan.Plan) { step(t, p, 2, plan.Offline, plan.StepDCFKey).Args[2] = 1 }},
		{"wires of no key", "3 points for 3 keys with 2 points each", func(t *testing.T, p *plan.Plan) { step(t, p, 1, plan.Online, plan.StepDCF).Args[2] = 2 }},
		{"wires of another number", "slot lengths differ", func(t *testing.T, p *plan.Plan) {
			s := step(t, p, 1, plan.Online, plan.StepDCF)
			s.Src[0] = s.Src[2]
		}},
		{"roots of relu that are no item", "item -1 does not exist", func(t *testing.T, p *plan.Plan) { step(t, p, 2, plan.Offline, plan.StepDCFKey).Args[0] = -1 }},
		{"roots of relu that are dealt", "is not made of random words of both parties", func(t *testing.T, p *plan.Plan) {
			s := step(t, p, 2, plan.Offline, plan.StepDCFKey)
			s.Args[0] = int64(slices.IndexFunc(p.Items, func(it plan.Item) bool { return it.Dealt }))
		}},
		{"keys of relu made by a party", "is for the dealer only", func(t *testing.T, p *plan.Plan) {
			s := step(t, p, 1, plan.Online, plan.StepDCF)
			*s = plan.Step{Op: plan.StepDCFKey, Dst: s.Dst, Src: s.Src[:1], Args: []int64{0, 8, 8}, Node: s.Node}
		}},
		{"common words that are random", "mode 2", func(t *testing.T, p *plan.Plan) { p.Items[open(t, p, 2, plan.Keys).Item-1].Dealt = false }},
		{"common words of the model", "mode 2", func(t *testing.T, p *plan.Plan) { p.Items[open(t, p, 2, plan.Keys).Item-1].Scope = plan.Model }},
		{"keys that are shares", "does not fit the opening", func(t *testing.T, p *plan.Plan) { p.Items[open(t, p, 2, plan.Keys).Item-1].Mode = plan.Xor }},
		{"keys for one party", "is not allowed", func(t *testing.T, p *plan.Plan) { open(t, p, 2, plan.Keys).To = []int{1} }},
		{"keys that are cut", "is not allowed", func(t *testing.T, p *plan.Plan) {
			o := open(t, p, 2, plan.Keys)
			for role := range p.Programs {
				for _, r := range p.Programs[role].Offline {
					for i := range r.Opens {
						if r.Opens[i].Item == o.Item {
							r.Opens[i].Bits = 40
						}
					}
				}
			}
			p.Items[o.Item-1].Bits = 40
		}},
		{"keys from a party", "is not allowed", func(t *testing.T, p *plan.Plan) { open(t, p, 0, plan.Keys).From = []int{0} }},
		{"a wire that is common", "mode 2", func(t *testing.T, p *plan.Plan) { open(t, p, 0, plan.OpenWire).Mode = plan.Common }},
		{"common words that are drawn", "is drawn by nobody", func(t *testing.T, p *plan.Plan) {
			item := open(t, p, 0, plan.Keys).Item - 1
			s := step(t, p, 0, plan.Offline, plan.StepPRG)
			s.Args[0] = int64(item)
			p.Programs[0].Slots[s.Dst].Len = p.Items[item].Len
			p.Programs[0].Words += p.Items[item].Len
			p.Programs[0].Slots[s.Dst].Offset = p.Programs[0].Words - p.Items[item].Len
		}},
	})
}

// TestValidateRefuses breaks a good plan in one place at a time.
func TestValidateRefuses(t *testing.T) {
	refuses(t, compiled(t, layer, smpcc.Options{}), []broken{
		{"version", "format version 3, want 2", func(t *testing.T, p *plan.Plan) { p.Manifest.Version = 3 }},
		{"one party", "1 parties, want 2 to 64", func(t *testing.T, p *plan.Plan) { p.Manifest.Parties = p.Manifest.Parties[:1] }},
		{"many parties", "65 parties, want 2 to 64", func(t *testing.T, p *plan.Plan) { p.Manifest.Parties = make([]string, 65) }},
		{"dealer is a party", `role name "p0" is empty, too long or used twice`, func(t *testing.T, p *plan.Plan) { p.Manifest.Dealer = "p0" }},
		{"ring", "ring of 65 bits", func(t *testing.T, p *plan.Plan) { p.Manifest.RingBits = 65 }},
		{"two inputs of one name", `input "x" appears twice`, func(t *testing.T, p *plan.Plan) {
			p.Manifest.Inputs = append(p.Manifest.Inputs, p.Manifest.Inputs[0])
		}},
		{"port without name", "name is empty", func(t *testing.T, p *plan.Plan) { p.Manifest.Inputs[0].Name = "" }},
		{"port of unknown kind", `element kind "float"`, func(t *testing.T, p *plan.Plan) { p.Manifest.Inputs[0].Elem = "float" }},
		{"port bits", "0 bits with", func(t *testing.T, p *plan.Plan) { p.Manifest.Inputs[0].Bits = 0 }},
		{"port shape", "is too large", func(t *testing.T, p *plan.Plan) { p.Manifest.Inputs[0].Shape = []int{1 << 20, 1 << 20} }},
		{"port shape negative", "is too large", func(t *testing.T, p *plan.Plan) { p.Manifest.Inputs[0].Shape = []int{-1, -2} }},
		{"port range", "range is not a number", func(t *testing.T, p *plan.Plan) { p.Manifest.Inputs[0].Lo = math.NaN() }},
		{"owner", `"eve" is not a party`, func(t *testing.T, p *plan.Plan) { p.Manifest.Inputs[0].Owner = "eve" }},
		{"dealer owns an input", `"d" is not a party`, func(t *testing.T, p *plan.Plan) { p.Manifest.Inputs[0].Owner = "d" }},
		{"input with receivers", "has receivers", func(t *testing.T, p *plan.Plan) { p.Manifest.Inputs[0].To = []string{"p0"} }},
		{"output without receivers", "has an owner or no receivers", func(t *testing.T, p *plan.Plan) { p.Manifest.Outputs[0].To = nil }},
		{"output to a stranger", `"eve" is not a party`, func(t *testing.T, p *plan.Plan) { p.Manifest.Outputs[0].To = []string{"eve"} }},
		{"output said to go to others", `output "y" goes to [p1], the manifest says [p0]`, func(t *testing.T, p *plan.Plan) { p.Manifest.Outputs[0].To = []string{"p0"} }},
		{"output of another size", `output "y" has 1 elements of`, func(t *testing.T, p *plan.Plan) { p.Manifest.Outputs[0].Shape = []int{1, 1} }},
		{"output of another width", `2 elements of 23 bits, 2 of 24 bits are revealed`, func(t *testing.T, p *plan.Plan) { p.Manifest.Outputs[0].Bits-- }},
		{"output nobody opens", `output "extra" is never revealed`, func(t *testing.T, p *plan.Plan) {
			o := p.Manifest.Outputs[0]
			o.Name, o.Item = "extra", 0
			p.Manifest.Outputs = append(p.Manifest.Outputs, o)
		}},
		{"two outputs of one item", `outputs "y" and "z" are the same item`, func(t *testing.T, p *plan.Plan) {
			o := p.Manifest.Outputs[0]
			o.Name = "z"
			p.Manifest.Outputs = append(p.Manifest.Outputs[:1], o, p.Manifest.Outputs[1])
			p.Manifest.Outputs[2].Name = "u"
		}},

		{"item scope", "item 0: scope 2", func(t *testing.T, p *plan.Plan) { p.Items[0].Scope = 2 }},
		{"item mode", "item 0: mode -1", func(t *testing.T, p *plan.Plan) { p.Items[0].Mode = -1 }},
		{"item size", "item 0: 268435457 elements", func(t *testing.T, p *plan.Plan) { p.Items[0].Len = 1<<28 + 1 }},
		{"item bits", "elements of 65 bits", func(t *testing.T, p *plan.Plan) { p.Items[0].Bits = 65 }},
		{"item holder", "item 0: holder 3", func(t *testing.T, p *plan.Plan) { p.Items[0].Holder = 3 }},
		{"items overlap", "overlaps the item before it", func(t *testing.T, p *plan.Plan) { p.Items[len(p.Items)-1].Offset = 0 }},
		{"item offset", "is not a multiple of 16", func(t *testing.T, p *plan.Plan) { p.Items[len(p.Items)-1].Offset++ }},

		{"program missing", "2 programs for 3 roles", func(t *testing.T, p *plan.Plan) { p.Programs = p.Programs[:2] }},
		{"program of another role", `program 0 is "p1"'s, want "p0"'s`, func(t *testing.T, p *plan.Plan) { p.Programs[0].Role = "p1" }},
		{"slot scope", "slot 0 has scope 9", func(t *testing.T, p *plan.Plan) { p.Programs[0].Slots[0].Scope = 9 }},
		{"slot outside memory", "is outside the memory", func(t *testing.T, p *plan.Plan) { p.Programs[0].Slots[0].Offset = 1 << 30 }},
		{"slot length", "is outside the memory", func(t *testing.T, p *plan.Plan) { p.Programs[0].Slots[0].Len = -1 }},
		{"slots of a model share memory", "of the model share memory", func(t *testing.T, p *plan.Plan) {
			g := &p.Programs[0]
			var of []*plan.Slot
			for i := range g.Slots {
				if g.Slots[i].Scope == plan.Model && g.Slots[i].Len > 0 {
					of = append(of, &g.Slots[i])
				}
			}
			of[1].Offset = of[0].Offset + of[0].Len - 1
		}},
		{"memory", "is more than its slots need", func(t *testing.T, p *plan.Plan) { p.Programs[0].Words = 1 << 40 }},
		{"round missing", "rounds, p0 has", func(t *testing.T, p *plan.Plan) { p.Programs[1].Online = p.Programs[1].Online[1:] }},

		{"unknown step", "unknown step 99; a newer smpcc may have made this plan", func(t *testing.T, p *plan.Plan) {
			step(t, p, 0, plan.Online, plan.StepAdd).Op = 99
		}},
		{"step destination", "slot 1000000 does not exist", func(t *testing.T, p *plan.Plan) { step(t, p, 0, plan.Online, plan.StepAdd).Dst = 1e6 }},
		{"step source", "slot -1 does not exist", func(t *testing.T, p *plan.Plan) { step(t, p, 0, plan.Online, plan.StepAdd).Src[0] = -1 }},
		{"step sources", "add: 1 sources, want 2", func(t *testing.T, p *plan.Plan) {
			s := step(t, p, 0, plan.Online, plan.StepAdd)
			s.Src = s.Src[:1]
		}},
		{"step on itself", "is source and destination", func(t *testing.T, p *plan.Plan) {
			s := step(t, p, 0, plan.Online, plan.StepAdd)
			s.Src[0] = s.Dst
		}},
		{"step arguments", "add: 1 arguments, want 0", func(t *testing.T, p *plan.Plan) { step(t, p, 0, plan.Online, plan.StepAdd).Args = []int64{1} }},
		{"step data", "takes no data", func(t *testing.T, p *plan.Plan) { step(t, p, 0, plan.Online, plan.StepAdd).Data = []uint64{1} }},
		{"step node", "node 1000000 does not exist", func(t *testing.T, p *plan.Plan) { step(t, p, 0, plan.Online, plan.StepAdd).Node = 1e6 }},
		{"dealer's step at a party", "is for the dealer only", func(t *testing.T, p *plan.Plan) {
			s := step(t, p, 0, plan.Offline, plan.StepPRG)
			s.Op = plan.StepPRGSum
		}},
		{"item of a step", "item 1000000 does not exist", func(t *testing.T, p *plan.Plan) { step(t, p, 0, plan.Offline, plan.StepPRG).Args[0] = 1e6 }},
		{"dealer draws as a party", "does not draw item", func(t *testing.T, p *plan.Plan) { step(t, p, 2, plan.Offline, plan.StepPRGSum).Op = plan.StepPRG }},
		{"input of another party", `"x" of p0 is bound by p1 in online`, func(t *testing.T, p *plan.Plan) { p.Manifest.Inputs[0].Owner = "p0" }},
		{"input bound in setup", `"w" of p0 is bound by p0 in setup`, func(t *testing.T, p *plan.Plan) {
			w := &p.Manifest.Weights[0]
			p.Manifest.Inputs, p.Manifest.Weights = append(p.Manifest.Inputs, *w), nil
			step(t, p, 0, plan.Setup, plan.StepInput).Args[0] = 1
		}},
		{"input number", "bound tensor 77 does not exist", func(t *testing.T, p *plan.Plan) { step(t, p, 1, plan.Online, plan.StepInput).Args[0] = 77 }},
		{"input size", "does not fit bound tensor 0", func(t *testing.T, p *plan.Plan) { p.Manifest.Inputs[0].Shape = []int{3} }},
		{"dealt online", "the dealer is done before the inputs", func(t *testing.T, p *plan.Plan) {
			g := &p.Programs[2]
			for i := range g.Offline {
				for _, s := range g.Offline[i].Steps {
					if s.Op == plan.StepPRGSum {
						g.Online[0].Steps = append(g.Online[0].Steps, s)
						return
					}
				}
			}
		}},
		{"online writes model memory", "online writes slot", func(t *testing.T, p *plan.Plan) {
			g := &p.Programs[0]
			i := slices.IndexFunc(g.Slots, func(s plan.Slot) bool { return s.Scope == plan.Model })
			step(t, p, 0, plan.Online, plan.StepAdd).Dst = i
		}},
		{"matmul geometry", "matmul: slot lengths", func(t *testing.T, p *plan.Plan) { step(t, p, 0, plan.Online, plan.StepMatMul).Args[1]++ }},
		{"copy from far away", "copy: source element 9223372036854775807 is outside a slot of", func(t *testing.T, p *plan.Plan) {
			s := step(t, p, 0, plan.Online, plan.StepCopy)
			c := plan.CopyOf(s)
			c.Src = math.MaxInt64
			*s = c.Step(s.Dst, s.Src[0])
		}},
		{"matmul overflow", "matmul: slot lengths", func(t *testing.T, p *plan.Plan) {
			s := step(t, p, 0, plan.Online, plan.StepMatMul)
			s.Args[0], s.Args[1] = 1<<33, 1<<31
		}},

		{"opening mode", "mode 7", func(t *testing.T, p *plan.Plan) { open(t, p, 0, plan.OpenWire).Mode = 7 }},
		{"opening kind", "kind(9)", func(t *testing.T, p *plan.Plan) { open(t, p, 0, plan.OpenWire).Kind = 9 }},
		{"opening bits", "elements of 0 bits", func(t *testing.T, p *plan.Plan) { open(t, p, 0, plan.OpenWire).Bits = 0 }},
		{"opening without mask", "item -1 does not exist", func(t *testing.T, p *plan.Plan) { open(t, p, 0, plan.OpenWire).Item = 0 }},
		{"opening with a narrower mask", "does not fit the opening", func(t *testing.T, p *plan.Plan) {
			p.Items[open(t, p, 0, plan.OpenWire).Item-1].Bits--
		}},
		{"opening to nobody", "has no senders or no receivers", func(t *testing.T, p *plan.Plan) { open(t, p, 0, plan.OpenWire).To = nil }},
		{"opening roles", "are not a rising list", func(t *testing.T, p *plan.Plan) { open(t, p, 0, plan.OpenWire).To = []int{1, 0} }},
		{"opening role out of range", "are not a rising list", func(t *testing.T, p *plan.Plan) { open(t, p, 0, plan.OpenWire).To = []int{0, 3} }},
		{"opening to the dealer", "is not allowed", func(t *testing.T, p *plan.Plan) {
			item := open(t, p, 0, plan.OpenWire).Item
			each(p, plan.OpenWire, item, func(_ int, o *plan.Open) { o.To = []int{0, 1, 2} })
		}},
		{"reveal to the dealer", "is not allowed", func(t *testing.T, p *plan.Plan) {
			item := open(t, p, 0, plan.Reveal).Item
			each(p, plan.Reveal, item, func(_ int, o *plan.Open) { o.To = []int{0, 1, 2} })
		}},
		{"reveal to one more party", `output "y" goes to [p0 p1], the manifest says [p1]`, func(t *testing.T, p *plan.Plan) {
			item := p.Manifest.Outputs[0].Item + 1
			each(p, plan.Reveal, item, func(role int, o *plan.Open) {
				o.To = []int{0, 1}
				if role == 0 {
					o.Dst = slices.IndexFunc(p.Programs[0].Slots, func(s plan.Slot) bool { return s.Scope == plan.Session && s.Len == o.Len })
				}
			})
		}},
		{"reveal of no output", "is not allowed", func(t *testing.T, p *plan.Plan) { p.Manifest.Outputs = p.Manifest.Outputs[1:] }},
		{"correction to another party", "is not allowed", func(t *testing.T, p *plan.Plan) { open(t, p, 2, plan.Correction).To = []int{0} }},
		{"opening of a slot of another size", "does not hold 3 elements", func(t *testing.T, p *plan.Plan) {
			o := open(t, p, 0, plan.Reveal)
			for i, s := range p.Programs[0].Slots {
				if s.Scope == plan.Session && s.Len != o.Len {
					o.Src = i
				}
			}
		}},
		{"sender without receiver", "disagree on what", func(t *testing.T, p *plan.Plan) {
			for i := range p.Programs[1].Online {
				if r := &p.Programs[1].Online[i]; len(r.Opens) > 0 {
					r.Opens = r.Opens[1:]
					return
				}
			}
		}},
		{"roles disagree on order", "disagree on what", func(t *testing.T, p *plan.Plan) {
			for i := range p.Programs[2].Offline {
				if o := p.Programs[2].Offline[i].Opens; len(o) > 1 {
					o[0], o[1] = o[1], o[0]
					return
				}
			}
		}},
	})
}

func TestDecodeRefuses(t *testing.T) {
	data := compiled(t, layer, smpcc.Options{})
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"empty", "not a plan", nil},
		{"another file", "not a plan", []byte("PK\x03\x04")},
		{"magic only", "not a plan", data[:9]},
		{"older version", "plan has format version 0, this smpcc reads version 1: compile the plan again", append([]byte("SMPCCPLAN\x00"), data[10:]...)},
		{"unknown field", "Plan has unknown field 15; a newer smpcc may have made it", append(slices.Clone(data), 15<<3, 1)},
		{"wrong wire type", "Plan.Manifest: wrong wire type", append(slices.Clone(data), 1<<3, 1)},
		{"field twice", "not in canonical form", append(slices.Clone(data), 3<<3|2, 1, 'n', 1<<3|2, 0)},
		{"long varint", "not in canonical form", append([]byte("SMPCCPLAN\x01\x0a\x03\x08\x82\x00"), 0x1a, 0)},
		{"length beyond the end", "damaged", append([]byte("SMPCCPLAN\x01"), 0x0a, 0xff, 0xff, 0xff, 0xff, 0x07)},
		{"no manifest", "format version 0, want 2", []byte("SMPCCPLAN\x01")},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := plan.DecodeProjection(c.data)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	for n := range data { // a file cut short is never a plan
		if _, err := plan.DecodeProjection(data[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are accepted", n, len(data))
		}
	}
}

// TestProgramsAreNoFile: what roles run is derived from a plan file, and never one itself.
func TestProgramsAreNoFile(t *testing.T) {
	p := decode(t, compiled(t, layer, smpcc.Options{}))
	path := filepath.Join(t.TempDir(), "a.plan")
	if err := plan.WriteFile(path, p); err == nil || !strings.Contains(err.Error(), "no plan file") {
		t.Errorf("got %v", err)
	}
	if _, err := typed.Load(p.EncodeProjection()); err == nil || !strings.Contains(err.Error(), "plan has format version 1, this smpcc reads version 2: compile the plan again") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("files left: %v, %v", left, err)
	}
}

// TestDigestCoversEverything changes each scalar of a plan in turn: two different plans never share a digest.
func TestDigestCoversEverything(t *testing.T) {
	data := compiled(t, layer, smpcc.Options{})
	digest := decode(t, data).Digest()
	for i := 10; i < len(data); i += 7 {
		b := slices.Clone(data)
		b[i] ^= 1
		if p, err := plan.DecodeProjection(b); err == nil && p.Digest() == digest {
			t.Fatalf("byte %d does not count", i)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("SMPCCPLAN\x01"))
	f.Add(compiled(f, layer, smpcc.Options{}))
	f.Add(compiled(f, keyed, smpcc.Options{Net: passes.Network{RTT: 10, Bandwidth: 1e12}}))
	for _, src := range []string{
		`v0 = input name="x" owner="p0" elem="bool" shape=[3] : private(p0) bool[3]
		 v1 = reveal v0 name="y" to=["p1"] : private(p1) bool[3]`,
		`v0 = input name="x" owner="p0" elem="int" shape=[] lo=0 hi=9 : private(p0) int[]
		 v1 = input name="y" owner="p1" elem="int" shape=[] lo=0 hi=9 : private(p1) int[]
		 v2 = eq v0 v1 : secret{p0,p1} bool[]
		 v3 = select v2 v0 v1 : secret{p0,p1} int[]
		 v4 = reveal v3 name="z" to=["p1"] : private(p1) int[]`,
	} {
		f.Add(compiled(f, "module \"m\" {\nparties p0 p1\ndealer d\nfunc main {\n"+src+"\n}\n}", smpcc.Options{}))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := plan.DecodeProjection(data)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Encode(), data) {
			t.Error("accepted, but not the plan's own encoding")
		}
		p.Cost()
		if err := p.Text(&bytes.Buffer{}, ""); err != nil {
			t.Error(err)
		}
	})
}

// TestPack compares packing with its definition: bit i of element k is bit k*bits+i of the message.
func TestPack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(1, 64).Draw(t, "bits")
		words := rapid.SliceOfN(rapid.Uint64(), 0, 70).Draw(t, "words")
		prefix := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "prefix")
		b := plan.Pack(slices.Clone(prefix), words, bits)
		if !bytes.HasPrefix(b, prefix) {
			t.Fatal("what was there before is gone")
		}
		b = b[len(prefix):]
		if len(b) != plan.PackedBytes(len(words), bits) {
			t.Fatalf("%d bytes, want %d", len(b), plan.PackedBytes(len(words), bits))
		}
		want := make([]byte, len(b))
		for k, w := range words {
			for i := range bits {
				at := k*bits + i
				want[at/8] |= byte(w>>i&1) << (at % 8)
			}
		}
		if !bytes.Equal(b, want) {
			t.Fatalf("got %x, want %x", b, want)
		}
		got := make([]uint64, len(words))
		for i := range got {
			got[i] = rapid.Uint64().Draw(t, "garbage")
		}
		plan.Unpack(got, b, bits)
		for i := range got {
			if w := words[i] & (^uint64(0) >> (64 - bits)); got[i] != w {
				t.Fatalf("element %d is %x, want %x", i, got[i], w)
			}
		}
	})
}

// TestSessionBytes counts the messages of two exchanges one behind the other, in both directions, and none of setup.
func TestSessionBytes(t *testing.T) {
	round := func(words int, from ...int) plan.Round {
		return plan.Round{Opens: []plan.Open{{Len: words, Bits: 64, From: from, To: []int{0, 1}}}}
	}
	g := plan.Program{Words: 5, Setup: []plan.Round{round(1000, 0, 1)}, Offline: []plan.Round{round(60, 0)}, Online: []plan.Round{round(50, 0, 1), round(1, 1), round(10, 0), round(45, 0, 1), round(8, 0, 1)}}
	p := &plan.Plan{Programs: []plan.Program{g, g}}
	if got, want := p.SessionBytes(1), int64(8*(5+2*45+2*8)); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

// TestMissedIsABound compares the stated rate with the chance that so many runs all keep a tolerance that a larger part of the inputs is beyond.
func TestMissedIsABound(t *testing.T) {
	for _, n := range []int{1, 2, 8, 31, 256} {
		rate := plan.Accuracy{Runs: n}.Missed()
		all := 1.0
		for range n {
			all *= 1 - rate
		}
		if math.Abs(all-0.05) > 1e-9 || rate > 3/float64(n) {
			t.Errorf("%d runs: at most %g, which all of them keep with probability %g", n, rate, all)
		}
	}
	for _, c := range []struct {
		a    plan.Accuracy
		want string
	}{
		{plan.Accuracy{State: "measured", Atol: 0.001, Rtol: 0.001, Used: 0.5, Runs: 256, Frac: 13}, "measured within 0.001 + 0.001*|exact| in 256 runs on inputs drawn over their ranges (at most 0.5 of it, with 95 % confidence at most 1.2 % of such inputs beyond it); revealed with 13 fraction bits"},
		{plan.Accuracy{State: "measured", Atol: 0.001, Rtol: 0.001, Used: 1.0 / (1 << 33), Runs: 256, Frac: 13}, "measured within 0.001 + 0.001*|exact| in 256 runs on inputs drawn over their ranges (they met nothing but nearly exact values, which says little of others; with 95 % confidence at most 1.2 % of such inputs beyond it); revealed with 13 fraction bits"},
		{plan.Accuracy{State: "measured", Atol: 0.001, Rtol: 0.001, Runs: 8, Frac: 13, Samples: true}, "measured within 0.001 + 0.001*|exact| in 8 runs on samples (with 95 % confidence at most 31 % of such inputs beyond it); revealed with 13 fraction bits"},
		{plan.Accuracy{State: "measured", Runs: 8, Of: 80, Differ: 1}, "measured in 8 runs on inputs drawn over their ranges: 1 of 80 elements differ, where a comparison is decided within rounding"},
		{plan.Accuracy{State: "measured", Runs: 8, Of: 80, Differ: -1}, "measured in 8 runs on inputs drawn over their ranges: at most 2 % of 80 elements differ, where a comparison is decided within rounding; how many is kept back by a policy"},
		{plan.Accuracy{State: "exact"}, "exact"},
	} {
		if got := c.a.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
