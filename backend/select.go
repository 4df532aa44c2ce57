package backend

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"smpcc/backend/plan"
	"smpcc/ir"
)

// A Network is what the parties have between them; the zero Network is a LAN.
type Network struct {
	RTT       float64 // seconds
	Bandwidth float64 // bits per second in each direction
}

// The protocols of a comparison, as plans and IR name them.
const (
	protocolTree = "masktree"
	protocolDPF  = "dpf"
)

// What the choice of a comparison rests on.
const (
	dearRound    = 1e-3     // seconds: below, a round is not worth an assumption about fixed-key AES, and MaskTree makes none
	dealtWeight  = 1.0 / 16 // of the time of a byte that the dealer sends: it is sent before the inputs are there, but must be sent and kept
	chunkSeconds = 5e-9     // of a party for a chunk of MaskTree, leaf and merge
	levelSeconds = 2e-9     // of a party for a level of a key
)

// Select gives each comparison of a share-level function its protocol, the one of less cost on the network:
//
//	bytes * 8 / bandwidth + rounds * RTT / 2 + local time, bytes of the dealer at dealtWeight
//
// and returns what it weighed, nothing if a round is cheap: there MaskTree serves all. Rounds count only where something waits for
// them: what is not on the way of the last round goes back to MaskTree, whose material is smaller. Keys are for two parties; with
// more MaskTree serves all.
func Select(m *ir.Module, net Network) []plan.Choice {
	if net.RTT/2 < dearRound || net.Bandwidth <= 0 {
		return nil
	}
	f := m.Main()
	var choices []plan.Choice
	var of []*ir.Value // by choice
	for _, v := range f.Body {
		if v.Op != ir.OpLtz && v.Op != ir.OpEqz || treeRounds(v) == 0 {
			continue
		}
		tree, keys := treeCost(v), dpfCost(v)
		c := plan.Choice{Value: v.String() + " " + string(v.Op), Node: v.Pos.String(), Len: size(v), Bits: v.Args[0].Type.Bits, Taken: protocolTree, Candidates: []plan.Candidate{tree, keys}}
		for i := range c.Candidates {
			c.Candidates[i].Micros = net.micros(v, c.Candidates[i])
		}
		switch tree, keys = c.Candidates[0], c.Candidates[1]; {
		case len(m.Parties) != 2:
			c.Why = fmt.Sprintf("keys are for two parties, here are %d", len(m.Parties))
		case keys.Micros >= tree.Micros:
			c.Why = "the keys weigh more than the rounds"
		default:
			c.Taken, c.Why = protocolDPF, fmt.Sprintf("saves %s", rounds(tree.Rounds))
			v.Attrs = v.Attrs.With(ir.S("by", protocolDPF))
		}
		choices, of = append(choices, c), append(of, v)
	}
	order := make([]int, len(choices))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(choices[j].Len*choices[j].Bits, choices[i].Len*choices[i].Bits) })
	least := depth(f)
	for _, i := range order {
		if choices[i].Taken != protocolDPF {
			continue
		}
		v := of[i]
		with := v.Attrs
		v.Attrs = slices.DeleteFunc(slices.Clone(with), func(a ir.Attr) bool { return a.Key == "by" })
		if depth(f) == least {
			choices[i].Taken, choices[i].Why = protocolTree, "nothing waits for its rounds"
		} else {
			v.Attrs = with
		}
	}
	return choices
}

// depth returns the online rounds that a share-level function waits for, as CriticalPath does.
func depth(f *ir.Func) int {
	at, most := make([]int, len(f.Body)), 0
	for i, v := range f.Body {
		d := 0
		for _, a := range v.Args {
			if a.Op != ir.OpWeight {
				d = max(d, at[a.ID-f.Body[0].ID])
			}
		}
		at[i] = d + exchanges(v)
		most = max(most, at[i])
	}
	return most
}

func rounds(n int) string {
	if n == 1 {
		return "1 round"
	}
	return fmt.Sprintf("%d rounds", n)
}

// micros returns the expected microseconds of a candidate for a comparison.
func (n Network) micros(v *ir.Value, c plan.Candidate) int {
	_, bits := compared(v)
	local := float64(chunkSeconds * float64((bits+narrowChunk-1)/narrowChunk))
	if c.Name == protocolDPF {
		local = float64(levelSeconds * float64(plan.DPFLevels(bits)+1))
	}
	t := float64(float64(c.Rounds)*float64(n.RTT/2)) + float64(float64(size(v))*local)
	t += float64(8 / n.Bandwidth * float64(float64(c.Online)+float64(dealtWeight*float64(c.Material))))
	return int(math.Round(min(t, 1e9) * 1e6))
}

// treeCost returns the cost of a comparison by MaskTree, of its wire's one-hots too, though other comparisons may share them.
func treeCost(v *ir.Value) plan.Candidate {
	kind, bits := compared(v)
	n := size(v)
	c := plan.Candidate{Name: protocolTree, Rounds: treeRounds(v)}
	merge := func(k, kind int) {
		c.Online += plan.PackedBytes(n, plan.Vars(k, kind))
		for w := range plan.MonoWords(k, kind) {
			c.Material += plan.PackedBytes(n, plan.MonoBits(k, kind, w))
		}
	}
	chunk, groups := grouping(kind, bits, n)
	for _, g := range groups {
		for _, h := range plan.HotWords(bits, chunk, g.from, g.k) {
			c.Material += plan.PackedBytes(n, h.Bits)
		}
		merge(g.k, g.kind)
	}
	if len(groups) > 1 {
		merge(len(groups), kind)
	}
	return c
}

// dpfCost returns the cost of a comparison by keys: to both parties the correction words, of
// the mask's elements: thresholds that stand beside each other need no keys of their own.
func dpfCost(v *ir.Value) plan.Candidate {
	_, bits := compared(v)
	base, _ := keysOf(v.Args[0])
	return plan.Candidate{Name: protocolDPF, Material: 2 * plan.PackedBytes(size(base)*plan.DPFWords(bits), 64)}
}
