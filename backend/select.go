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
	protocolDCF  = "dcf"
)

// What the choice of a comparison rests on.
const (
	dearRound    = 1e-3     // seconds: below, a round is not worth an assumption about fixed-key AES, and MaskTree makes none
	dealtWeight  = 1.0 / 16 // of the time of a byte that the dealer sends: it is sent before the inputs are there, but must be sent and kept
	chunkSeconds = 5e-9     // of a party for a chunk of MaskTree, leaf and merge
	blockSeconds = 2e-9     // of a party for a block of a key
)

// Select gives each comparison of a share-level function its protocol, the one of least cost on the network:
//
//	bytes * 8 / bandwidth + rounds * RTT / 2 + local time, bytes of the dealer at dealtWeight
//
// and returns what it weighed, nothing if a round is cheap: there MaskTree serves all. Where a comparison does nothing but choose the positive
// elements of what it compares, as in ReLU, keys that carry values save the opening of its bit too, and the choice is part of what is weighed. Rounds
// count only where something waits for them: what is not on the way of the last round goes back to MaskTree, or to keys without values, whose
// material is smaller. Keys are for two parties; with more MaskTree serves all.
func Select(m *ir.Module, net Network) (choices []plan.Choice, err error) {
	if net.RTT/2 < dearRound || net.Bandwidth <= 0 {
		return nil, nil
	}
	defer ir.Recover(&err)
	f := m.Main()
	positive := positives(f)
	var of []*ir.Value // by choice
	for _, v := range f.Body {
		if v.Op != ir.OpLtz && v.Op != ir.OpEqz && v.Op != ir.OpWraps || treeRounds(v) == 0 {
			continue
		}
		c := plan.Choice{Node: v.Pos.String(), Len: size(v), Bits: v.Args[0].Type.Bits, Candidates: candidates(v, positive[v])}
		best := 0
		for i := range c.Candidates {
			x := &c.Candidates[i]
			if x.Micros = net.micros(v, positive[v], *x); len(m.Parties) == 2 && x.Micros < c.Candidates[best].Micros {
				best = i
			}
		}
		c.Taken = c.Candidates[best].Name
		switch all, left := c.Candidates[0].Rounds, c.Candidates[best].Rounds; {
		case len(m.Parties) != 2:
			c.Why = fmt.Sprintf("keys are for two parties, here are %d", len(m.Parties))
		case best == 0:
			c.Why = "the keys weigh more than the rounds"
		case left > 0:
			c.Why = fmt.Sprintf("saves %s, values in the keys weigh more than another", rounds(all-left))
		default:
			c.Why = fmt.Sprintf("saves %s", rounds(all))
		}
		by(v, c.Taken)
		choices, of = append(choices, c), append(of, v)
	}
	order := make([]int, len(choices))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(choices[j].Len*choices[j].Bits, choices[i].Len*choices[i].Bits) })
	least := depth(f)
	for _, i := range order {
		c, v := &choices[i], of[i]
		for _, less := range c.Candidates {
			if less.Name == c.Taken {
				break
			}
			if by(v, less.Name); depth(f) > least {
				by(v, c.Taken)
				continue
			}
			if c.Taken, c.Why = less.Name, "nothing waits for its rounds"; less.Name != protocolTree {
				c.Why = fmt.Sprintf("saves %s, nothing waits for another", rounds(c.Candidates[0].Rounds-less.Rounds))
			}
			break
		}
	}
	fuse(f)
	names := ir.Names(f)
	for i, v := range of {
		if choices[i].Taken == protocolDCF {
			v = positive[v][0]
		}
		choices[i].Value = names[v] + " " + string(v.Op)
	}
	return choices, ir.Verify(m)
}

// by gives a comparison to a protocol.
func by(v *ir.Value, protocol string) {
	v.Attrs = slices.DeleteFunc(slices.Clone(v.Attrs), func(a ir.Attr) bool { return a.Key == "by" })
	if protocol != protocolTree {
		v.Attrs = v.Attrs.With(ir.S("by", protocol))
	}
}

// positives returns, for each comparison that does nothing but choose the positive elements of what it compares, all choices made by it.
func positives(f *ir.Func) map[*ir.Value][]*ir.Value {
	users := map[*ir.Value][]*ir.Value{}
	for _, v := range f.Body {
		for _, a := range v.Args {
			users[a] = append(users[a], v)
		}
	}
	out := map[*ir.Value][]*ir.Value{}
	for _, v := range f.Body {
		if v.Op != ir.OpLtz {
			continue
		}
		var list []*ir.Value
		ok := true
		var follow func(a *ir.Value, ops ...ir.Op)
		follow = func(a *ir.Value, ops ...ir.Op) {
			for _, u := range users[a] {
				switch {
				case u.Op != ops[0]:
					ok = false
				case len(ops) > 1:
					follow(u, ops[1:]...)
				default:
					ok = ok && u.Args[0] == v.Args[0] && u.Type.Shape.Equal(v.Type.Shape)
					list = append(list, u)
				}
			}
		}
		if follow(v, ir.OpNot, ir.OpOpenBit, ir.OpReluSel); ok && len(list) > 0 {
			out[v] = list
		}
	}
	return out
}

// isFused reports whether a bit comes from a comparison by keys with values, where it is never opened.
func isFused(bit *ir.Value) bool {
	return bit.Op == ir.OpNot && bit.Args[0].Attrs.Str("by") == protocolDCF
}

// fuse replaces the choices of comparisons by keys with values, and drops these comparisons.
func fuse(f *ir.Func) {
	was := len(f.Body)
	for _, v := range f.Body {
		if v.Op == ir.OpReluSel && isFused(v.Args[1].Args[0]) {
			v.Op, v.Args = ir.OpReluKey, v.Args[:1]
		}
	}
	f.Body = slices.DeleteFunc(f.Body, func(v *ir.Value) bool {
		return v.Attrs.Str("by") == protocolDCF || isFused(v) || v.Op == ir.OpOpenBit && isFused(v.Args[0])
	})
	if len(f.Body) < was {
		f.Renumber()
	}
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

// micros returns the expected microseconds of a candidate for a comparison and the choices by it.
func (n Network) micros(v *ir.Value, chosen []*ir.Value, c plan.Candidate) int {
	_, bits := compared(v)
	local := float64(chunkSeconds * float64((bits+narrowChunk-1)/narrowChunk))
	switch c.Name {
	case protocolDPF:
		local = float64(blockSeconds * float64(plan.DPFLevels(bits)+1))
	case protocolDCF:
		blocks := 0
		for _, u := range chosen {
			blocks += plan.DCFBlocks(bits+1, u.Type.Bits)
		}
		local = float64(blockSeconds * float64(blocks))
	}
	t := float64(float64(c.Rounds)*float64(n.RTT/2)) + float64(float64(size(v))*local)
	t += float64(8 / n.Bandwidth * float64(float64(c.Online)+float64(dealtWeight*float64(c.Material))))
	return int(math.Round(min(t, 1e9) * 1e6))
}

// candidates returns the protocols that can serve a comparison, by their costs: that of less material first. The costs are those of the choices
// by it, too, if it is for them alone.
func candidates(v *ir.Value, chosen []*ir.Value) []plan.Candidate {
	list := []plan.Candidate{treeCost(v), dpfCost(v)}
	if len(chosen) == 0 {
		return list
	}
	n := size(v)
	online, material := plan.PackedBytes(n, 1), plan.PackedBytes(n, 1) // the bit; the mask's top bit
	base, _ := keysOf(v.Args[0])
	keys, shared := 0, map[int]bool{}
	for _, u := range chosen {
		ring := u.Type.Bits
		material += 2 * plan.PackedBytes(n, ring) // products of the bit's mask and the wire's
		if !shared[ring] {                        // both readings of the wire's mask, and the bit's as a number
			shared[ring] = true
			material += 3 * plan.PackedBytes(n, ring)
			keys += 2 * plan.PackedBytes(size(base)*plan.DCFWords(v.Args[0].Type.Bits, ring), 64)
		}
	}
	for i := range list {
		list[i].Rounds++
		list[i].Online += online
		list[i].Material += material
	}
	return append(list, plan.Candidate{Name: protocolDCF, Material: keys})
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
