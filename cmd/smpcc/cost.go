package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smpcc/backend/audit"
	"smpcc/backend/plan"
	"smpcc/bench"
	"smpcc/runtime/guest"
)

// A network is a profile for estimates of time.
type network struct {
	rtt       time.Duration
	bandwidth float64 // bits per second and direction
}

// parseNet reads lan, wan or rtt=40ms,bw=100mbit.
func parseNet(s string) (network, error) {
	switch s {
	case "lan":
		return network{200 * time.Microsecond, 1e9}, nil
	case "wan":
		return network{40 * time.Millisecond, 1e8}, nil
	}
	var n network
	for _, f := range strings.Split(s, ",") {
		k, v, _ := strings.Cut(f, "=")
		var err error
		switch k {
		case "rtt":
			n.rtt, err = time.ParseDuration(v)
		case "bw":
			unit := 0.0
			for suffix, u := range map[string]float64{"kbit": 1e3, "mbit": 1e6, "gbit": 1e9} {
				if rest, ok := strings.CutSuffix(v, suffix); ok {
					unit, v = u, rest
				}
			}
			n.bandwidth, err = strconv.ParseFloat(v, 64)
			n.bandwidth *= unit
		default:
			err = fmt.Errorf("unknown key")
		}
		if err != nil {
			return n, usagef("--net %s: want lan, wan or rtt=40ms,bw=100mbit", s)
		}
	}
	if n.rtt <= 0 || !(n.bandwidth > 0) {
		return n, usagef("--net %s: want a positive rtt and bw, as in rtt=40ms,bw=100mbit", s)
	}
	return n, nil
}

// seconds estimates the time on the network: rounds of half a round trip, and the bytes of the busiest sender.
func (n network) seconds(p plan.PhaseCost) float64 {
	most := int64(0)
	for _, b := range p.Sent {
		most = max(most, b)
	}
	return float64(p.Rounds)*n.rtt.Seconds()/2 + float64(most)*8/n.bandwidth
}

type linkCost struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Bytes int64  `json:"bytes"`
}

type phaseReport struct {
	Rounds    int              `json:"rounds"`
	Messages  int              `json:"messages"`
	BytesSent map[string]int64 `json:"bytes_sent"`
	Links     []linkCost       `json:"links"`
	Seconds   float64          `json:"network_seconds"`
	Compute   *float64         `json:"compute_seconds,omitempty"` // with a machine profile
	Total     *float64         `json:"total_seconds,omitempty"`   // both, one after the other
	OneHost   *float64         `json:"one_machine_seconds,omitempty"`
}

type costReport struct {
	PlanDigest    string                 `json:"plan_digest"`
	Phases        map[string]phaseReport `json:"phases"`
	MaterialBytes map[string]int64       `json:"material_bytes"`
	DealtBytes    int64                  `json:"dealt_bytes"`
	MemoryBytes   map[string]int64       `json:"memory_bytes"`
	PeakBytes     map[string]int64       `json:"peak_bytes"`
	MACs          int64                  `json:"macs"`
	PerOp         []plan.NodeCost        `json:"per_op"`
	Comparisons   []choiceReport         `json:"comparisons"` // empty where a round is cheap
	Assumed       []string               `json:"assumed_ranges"`
}

// A choiceReport is the protocol that one comparison got, and what was weighed.
type choiceReport struct {
	Node       string            `json:"node"`
	Value      string            `json:"value"`
	Elements   int               `json:"elements"`
	Bits       int               `json:"bits"`
	Taken      string            `json:"taken"`
	Why        string            `json:"why"`
	Candidates []candidateReport `json:"candidates"`
}

type candidateReport struct {
	Name     string  `json:"name"`
	Rounds   int     `json:"rounds"`
	Online   int     `json:"online_bytes"`
	Material int     `json:"material_bytes"`
	Seconds  float64 `json:"weighed_seconds"`
}

// compares reports whether a plan has comparisons that a network could have a say in.
func compares(p *plan.Plan) bool {
	for _, r := range p.Programs[0].Online {
		if slices.ContainsFunc(r.Steps, func(s plan.Step) bool { return s.Op == plan.StepLeaf }) {
			return p.NumParties() == 2
		}
	}
	return false
}

// choices lists the protocols that the network had a say in.
func choices(p *plan.Plan) []choiceReport {
	out := []choiceReport{}
	for _, c := range p.Manifest.Choices {
		r := choiceReport{Node: c.Node, Value: c.Value, Elements: c.Len, Bits: c.Bits, Taken: c.Taken, Why: c.Why}
		for _, x := range c.Candidates {
			r.Candidates = append(r.Candidates, candidateReport{x.Name, x.Rounds, x.Online, x.Material, float64(x.Micros) / 1e6})
		}
		out = append(out, r)
	}
	return out
}

func costCommand() *cobra.Command {
	var s source
	var asJSON bool
	var machine string
	c := &cobra.Command{
		Use:   "cost PLAN|MODEL|PROGRAM",
		Short: "What a plan sends, waits for, keeps and multiplies, before running it",
		Long:  "Cost computes rounds, bytes per link, material, memory and multiplications from the plan, exactly, per op and in total. Time is an estimate: of the network's share alone, or with --machine of computing as well, on machines like the one that smpcc bench --calibrate measured.",
		Args:  exactly(1, "one PLAN, MODEL or PROGRAM"),
	}
	s.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().StringVar(&machine, "machine", "", "profile `FILE` that smpcc bench --calibrate wrote: predict the time of computing too")
	c.RunE = func(c *cobra.Command, args []string) error {
		net, err := parseNet(s.net)
		if err != nil {
			return err
		}
		cores := 1 // of no account for memory
		var known *bench.Profile
		if machine != "" {
			if known, err = bench.ReadProfile(machine); err != nil {
				return err
			}
			cores = known.Machine.Cores
		}
		p, _, err := s.load(c, args[0], nil)
		if err != nil {
			return err
		}
		forecast, err := bench.NewForecast(p, cores)
		if err != nil {
			return err
		}
		w, roles, cost := c.OutOrStdout(), p.Roles(), p.Cost()
		if asJSON {
			r := costReport{PlanDigest: p.Digest(), Phases: map[string]phaseReport{}, MaterialBytes: map[string]int64{}, DealtBytes: cost.Dealt, MemoryBytes: map[string]int64{}, PeakBytes: map[string]int64{}, MACs: cost.MACs, PerOp: append([]plan.NodeCost{}, cost.Nodes...), Comparisons: choices(p), Assumed: audit.Assumed(p)}
			for i, role := range roles {
				r.MaterialBytes[role] = cost.Material[i]
				r.MemoryBytes[role] = 8 * int64(cost.Words[i]+cost.Model[i])
				r.PeakBytes[role] = forecast.Roles[i].Total()
			}
			for ph := plan.Setup; ph <= plan.Online; ph++ {
				pc := cost.Phases[ph]
				x := phaseReport{Rounds: pc.Rounds, Messages: pc.Messages, BytesSent: map[string]int64{}, Links: []linkCost{}, Seconds: net.seconds(pc)}
				for i, role := range roles {
					x.BytesSent[role] = pc.Sent[i]
					for j, to := range roles {
						if n := pc.Links[i][j]; n > 0 {
							x.Links = append(x.Links, linkCost{role, to, n})
						}
					}
				}
				if known != nil {
					compute, one := known.Compute(forecast, ph), known.Seconds(forecast, ph, "memory")
					total := compute + x.Seconds
					x.Compute, x.Total, x.OneHost = &compute, &total, &one
				}
				r.Phases[ph.String()] = x
			}
			return writeJSON(w, r)
		}
		t := newTable(w, append(append([]string{"phase", "rounds", "messages"}, roles...), "network time")...)
		for ph := plan.Setup; ph <= plan.Online; ph++ {
			pc := cost.Phases[ph]
			row := []string{ph.String(), fmt.Sprint(pc.Rounds), fmt.Sprint(pc.Messages)}
			for _, n := range pc.Sent {
				row = append(row, bytesText(n))
			}
			t.row(append(row, fmt.Sprintf("%.3g s", net.seconds(pc)))...)
		}
		if err := t.flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
		if known != nil {
			t = newTable(w, "phase", "computing", "with "+s.net+" network", "all roles on one machine")
			for ph := plan.Setup; ph <= plan.Online; ph++ {
				compute := known.Compute(forecast, ph)
				t.row(ph.String(), fmt.Sprintf("%.3g s", compute), fmt.Sprintf("%.3g s", compute+net.seconds(cost.Phases[ph])), fmt.Sprintf("%.3g s", known.Seconds(forecast, ph, "memory")))
			}
			if err := t.flush(); err != nil {
				return err
			}
			fmt.Fprintf(w, "predicted for machines like %s with %d cores\n\n", known.Machine.CPU, known.Machine.Cores)
		}
		t = newTable(w, "role", "memory", "expanded from keys", "peak of setup and one session")
		for i, role := range roles {
			t.row(role, bytesText(8*int64(cost.Words[i]+cost.Model[i])), bytesText(cost.Material[i]), bytesText(forecast.Roles[i].Total()))
		}
		if err := t.flush(); err != nil {
			return err
		}
		what, to := p.Dealt()
		for _, line := range guest.Costs(&p.Manifest) {
			fmt.Fprintln(w, line)
		}
		fmt.Fprintf(w, "\n%s to %s: %s for a session; multiplications online: %d per party\n", what, to, bytesText(cost.Dealt), cost.MACs)
		if known == nil {
			fmt.Fprintln(w, "time of computing: no machine profile; smpcc bench --calibrate FILE measures one, --machine FILE uses it")
		}
		fmt.Fprintln(w)
		t = newTable(w, "node", "rounds", "online", "offline", "setup", "multiplications")
		for _, n := range cost.Nodes {
			t.row(n.Node, fmt.Sprint(n.Rounds), bytesText(n.Online), bytesText(n.Offline), bytesText(n.Setup), fmt.Sprint(n.MACs))
		}
		if err := t.flush(); err != nil {
			return err
		}
		if c := p.Manifest.Critical; len(c) > 0 {
			fmt.Fprintf(w, "\nthe rounds wait for: %s\n", strings.Join(c, " -> "))
		}
		if list := choices(p); len(list) > 0 {
			fmt.Fprintln(w, "\ncomparisons, by the network that the plan was compiled for: rounds besides the opening, bytes that a party sends, bytes that the dealer sends, and the time that all of it was taken for; with dcf also of what is chosen by them")
			var names []string
			for _, c := range list {
				for _, x := range c.Candidates {
					if !slices.Contains(names, x.Name) {
						names = append(names, x.Name)
					}
				}
			}
			t = newTable(w, slices.Concat([]string{"node", "elements", "bits", "taken"}, names, []string{"why"})...)
			for _, c := range list {
				row := []string{c.Node, fmt.Sprint(c.Elements), fmt.Sprint(c.Bits), c.Taken}
				for _, name := range names {
					cell := "-" // it cannot serve
					if i := slices.IndexFunc(c.Candidates, func(x candidateReport) bool { return x.Name == name }); i >= 0 {
						x := c.Candidates[i]
						cell = fmt.Sprintf("%d, %s, %s, %.3g s", x.Rounds, bytesText(int64(x.Online)), bytesText(int64(x.Material)), x.Seconds)
					}
					row = append(row, cell)
				}
				t.row(append(row, c.Why)...)
			}
			if err := t.flush(); err != nil {
				return err
			}
		}
		if len(p.Manifest.Choices) == 0 && net.rtt >= 2*time.Millisecond && compares(p) {
			fmt.Fprintln(w, "\nthe plan was compiled for a LAN, where a round is cheap: compile with this --net, and comparisons of small tensors may take fewer rounds")
		}
		if a := audit.Assumed(p); len(a) > 0 {
			fmt.Fprintf(w, "\nassumed, not proved (%d):\n", len(a))
			for _, s := range a {
				fmt.Fprintln(w, "  "+s)
			}
		}
		return nil
	}
	return c
}
