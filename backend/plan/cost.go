package plan

import (
	"fmt"
	"slices"
	"strings"
)

// A Cost is what a plan will send, wait for, keep and multiply, computed from the plan alone. Bytes and rounds are exact.
type Cost struct {
	Phases       [3]PhaseCost
	Material     []int64 // bytes that each role draws from streams in a session
	Dealt        int64   // bytes that the dealer sends in a session: corrections and keys
	Words, Model []int   // memory words of each role: session, model
	MACs         int64   // multiplications online, of the party that does most
	Nodes        []NodeCost
}

// A PhaseCost is the traffic of one phase.
type PhaseCost struct {
	Rounds   int       // exchanges in which anything moves
	Messages int       // messages of all roles
	Sent     []int64   // payload bytes by role
	Links    [][]int64 // payload bytes by sender and receiver
}

// A NodeCost is what one node of the source causes.
type NodeCost struct {
	Node    string `json:"node"`
	Rounds  int    `json:"rounds"`        // online exchanges with an opening of this node
	Online  int64  `json:"online_bytes"`  // bytes, of the party that sends most
	Offline int64  `json:"offline_bytes"` // bytes that the dealer sends
	Setup   int64  `json:"setup_bytes"`   // bytes, of the party that sends most
	MACs    int64  `json:"macs"`          // multiplications online, of the party that does most
}

// Cost computes the plan's cost.
func (p *Plan) Cost() *Cost {
	roles := len(p.Programs)
	c := &Cost{Material: make([]int64, roles)}
	nodes := make([]NodeCost, len(p.Nodes))
	for i := range nodes {
		nodes[i].Node = p.Nodes[i]
	}
	macs := make([][]int64, roles) // by role, node
	for role := range p.Programs {
		g := &p.Programs[role]
		c.Words, c.Model = append(c.Words, g.Words), append(c.Model, g.Model)
		macs[role] = make([]int64, len(p.Nodes))
		for _, round := range g.Online {
			for i := range round.Steps {
				s := &round.Steps[i]
				macs[role][s.Node] += s.MACs(func(slot int) int { return g.Slots[slot].Len })
			}
		}
		total := int64(0)
		for n, m := range macs[role] {
			total += m
			nodes[n].MACs = max(nodes[n].MACs, m)
		}
		c.MACs = max(c.MACs, total)
		for _, round := range g.Offline {
			for _, s := range round.Steps {
				switch s.Op {
				case StepPRG:
					it := p.Items[s.Args[0]]
					c.Material[role] += int64(it.Len) * int64(it.Width())
				case StepPRGSum, StepDeal:
					it := p.Items[s.Args[0]]
					n := int64(p.NumParties())
					if s.Op == StepDeal {
						n--
					} else if it.Holder != 0 {
						n = 1
					}
					c.Material[role] += n * int64(it.Len) * int64(it.Width())
				case StepDPFKey, StepDCFKey:
					it := p.Items[s.Args[0]] // both parties' roots
					c.Material[role] += 2 * int64(it.Len) * int64(it.Width())
				}
			}
		}
	}
	for ph := Setup; ph <= Online; ph++ {
		pc := &c.Phases[ph]
		pc.Sent = make([]int64, roles)
		pc.Links = make([][]int64, roles)
		for i := range pc.Links {
			pc.Links[i] = make([]int64, roles)
		}
		for r := range p.Programs[0].Rounds(ph) {
			moved := false
			inRound := map[int]bool{}
			byNode := make([]map[int]int64, roles)
			for role := range p.Programs {
				byNode[role] = map[int]int64{}
				to := make([]int64, roles)
				for _, o := range p.Programs[role].Rounds(ph)[r].Opens {
					if !slices.Contains(o.From, role) {
						continue
					}
					for _, t := range o.To {
						if t != role {
							to[t] += int64(o.Bytes())
							byNode[role][o.Node] += int64(o.Bytes())
						}
					}
				}
				for t, n := range to {
					if n > 0 {
						moved = true
						pc.Messages++
						pc.Sent[role] += n
						pc.Links[role][t] += n
					}
				}
			}
			if moved {
				pc.Rounds++
			}
			for n := range nodes {
				most := int64(0)
				for role := range byNode {
					most = max(most, byNode[role][n])
				}
				if most == 0 {
					continue
				}
				switch ph {
				case Setup:
					nodes[n].Setup += most
				case Offline:
					nodes[n].Offline += most
				default:
					nodes[n].Online += most
					if !inRound[n] {
						inRound[n] = true
						nodes[n].Rounds++
					}
				}
			}
		}
	}
	for _, n := range c.Phases[Offline].Sent {
		c.Dealt += n
	}
	for _, n := range nodes {
		if n.Rounds > 0 || n.Online+n.Offline+n.Setup+n.MACs > 0 {
			c.Nodes = append(c.Nodes, n)
		}
	}
	return c
}

// MACs returns the multiplications of a step; n gives slot lengths.
func (s *Step) MACs(n func(slot int) int) int64 {
	switch s.Op {
	case StepMul:
		return int64(n(s.Dst))
	case StepMatMul:
		return s.Args[0] * s.Args[1] * s.Args[2] * s.Args[3]
	case StepConv:
		a := s.Args
		return int64(n(s.Dst)) * (a[1] / a[15]) * a[7] * a[8]
	case StepExpo:
		return int64(n(s.Dst))
	case StepWave:
		return 2 * int64(n(s.Dst))
	case StepReluSel, StepMulBit, StepWireMul:
		return 4 * int64(n(s.Dst))
	}
	return 0
}

// SessionBytes returns the memory that one session takes at a role: its words, and the messages, sent and received, of the two largest
// exchanges one behind the other, because over a network one may begin while the one before it is under way.
func (p *Plan) SessionBytes(role int) int64 {
	g := &p.Programs[role]
	most := int64(0)
	for _, ph := range []Phase{Offline, Online} {
		before := int64(0)
		for _, round := range g.Rounds(ph) {
			n := int64(0)
			for i := range round.Opens {
				o := &round.Opens[i]
				for _, from := range o.From {
					for _, to := range o.To {
						if from != to && (from == role || to == role) {
							n += int64(o.Bytes())
						}
					}
				}
			}
			most = max(most, before+n)
			before = n
		}
	}
	return 8*int64(g.Words) + most
}

// Bytes renders a number of bytes exactly, and for large ones also as a person says it.
func Bytes(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n < 10_000_000:
		return fmt.Sprintf("%d B (%.1f kB)", n, float64(n)/1e3)
	}
	return fmt.Sprintf("%d B (%.1f MB)", n, float64(n)/1e6)
}

// OnlyCorrections is what a dealer sends that makes no keys of comparisons.
const OnlyCorrections = "corrections"

// Dealt says what the dealer sends in a session, and to whom.
func (p *Plan) Dealt() (what, to string) {
	parties := p.Manifest.Parties
	for _, it := range p.Items {
		if it.Mode == Common {
			return "corrections and comparison keys", strings.Join(parties, " and ")
		}
	}
	return OnlyCorrections, parties[len(parties)-1]
}
