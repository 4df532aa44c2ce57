package verify

import (
	"fmt"
	"slices"

	"smpcc/backend/plan"
)

// structure checks what can be said without following values: material, who sends what to whom, the roles' limits. It
// runs before the plan is known to be well formed, so that it names a breach of privacy as such and not as a wrong number.
func (c *checker) structure() {
	p := c.p
	if c.n < 2 || len(p.Programs) != c.n+1 {
		c.find(Malformed, nil, "%d programs for %d parties and a dealer", len(p.Programs), c.n)
		return
	}
	c.items()
	for i := range p.Manifest.Outputs {
		o := &p.Manifest.Outputs[i]
		if c.outputs[o.Item] != nil {
			c.find(ManifestDiffers, nil, "outputs %q and %q have one item", c.outputs[o.Item].Name, o.Name)
		}
		c.outputs[o.Item] = o
	}
	for role := range p.Programs {
		for ph := plan.Setup; ph <= plan.Online; ph++ {
			rounds := p.Programs[role].Rounds(ph)
			if n := len(p.Programs[0].Rounds(ph)); len(rounds) != n {
				c.find(Exchange, &place{role: role, phase: ph}, "the phase has %d rounds, %s has %d", len(rounds), p.Programs[0].Role, n)
				continue
			}
			for r := range rounds {
				for i := range rounds[r].Steps {
					c.stepStructure(role, ph, r, &rounds[r].Steps[i])
				}
				mine := map[int]bool{}
				for i := range rounds[r].Opens {
					o := &rounds[r].Opens[i]
					if mine[o.Item] {
						c.find(MaskReused, c.openPlace(role, ph, r, o), "item %d masks two messages of one round", o.Item-1)
					}
					mine[o.Item] = true
					c.openStructure(role, ph, r, o)
				}
			}
		}
	}
	if len(c.report.Findings) == 0 {
		c.exchanges()
	}
	for i := range p.Manifest.Outputs {
		if o := &p.Manifest.Outputs[i]; !c.revealed[o.Item] {
			c.find(RevealMissing, nil, "output %q is never revealed", o.Name)
		}
	}
	for i := range c.p.Items {
		if c.roots[i] && c.openedAt[i] != 0 {
			c.find(KeyReused, nil, "item %d (%s) is the root of keys and masks a message", i, c.p.Items[i].What)
		}
	}
	c.manifest()
}

// manifest checks what the manifest says of the programs.
func (c *checker) manifest() {
	m := &c.p.Manifest
	for i, it := range c.p.Items {
		if it.Mode == plan.Add && it.Bits > m.RingBits {
			c.find(ManifestDiffers, nil, "item %d has %d bits, the widest ring of the manifest is %d", i, it.Bits, m.RingBits)
			break
		}
	}
	nodes := map[string]bool{}
	for _, n := range c.p.Nodes {
		nodes[n] = true
	}
	for _, n := range m.Critical {
		if !nodes[n] {
			c.find(ManifestDiffers, nil, "the rounds are said to wait for %q, which is not in the plan", n)
			break
		}
	}
	outputs := map[string]bool{}
	for _, o := range m.Outputs {
		outputs[o.Name] = true
	}
	for _, a := range m.Allowed {
		if !outputs[a.Output] {
			c.find(ManifestDiffers, nil, "permission is recorded for %q, which is no output", a.Output)
			break
		}
	}
}

// items checks that no two items share bytes of a stream.
func (c *checker) items() {
	order := make([]int, 0, len(c.p.Items))
	for i, it := range c.p.Items {
		if it.Len >= 0 && it.Len <= 1<<28 && it.Bits >= 1 && it.Bits <= 64 && it.Offset >= 0 && it.Offset < 1<<50 && (it.Scope == plan.Session || it.Scope == plan.Model) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, compareBy(func(i int) int64 { return c.p.Items[i].Offset }))
	var last [2]int // by scope: the item that reaches furthest, plus 1
	end := func(i int) int64 {
		it := c.p.Items[i]
		return it.Offset + int64(it.Len)*int64(plan.StreamWidth(it.Bits))
	}
	for _, i := range order {
		s := c.p.Items[i].Scope
		if k := last[s]; k > 0 && end(k-1) > c.p.Items[i].Offset && c.p.Items[i].Len > 0 {
			c.find(MaterialOverlap, nil, "item %d (%s) begins at byte %d of its stream, where item %d (%s) reaches to byte %d", i, c.p.Items[i].What, c.p.Items[i].Offset, k-1, c.p.Items[k-1].What, end(k-1))
		}
		if last[s] == 0 || end(i) > end(last[s]-1) {
			last[s] = i + 1
		}
	}
	c.fact(factItems, int64(len(c.p.Items)))
}

// stepStructure checks what a role may do at all.
func (c *checker) stepStructure(role int, ph plan.Phase, r int, s *plan.Step) {
	where := func() *place { return c.stepPlace(role, ph, r, s) }
	row, dealer := plan.Steps[s.Op], role == c.n
	if row == nil {
		c.find(UnknownStep, &place{role: role, phase: ph, round: r}, "step %d is unknown", s.Op)
		return
	}
	item := func() (plan.Item, bool) {
		if len(s.Args) < 1 || s.Args[0] < 0 || s.Args[0] >= int64(len(c.p.Items)) {
			return plan.Item{}, false
		}
		return c.p.Items[s.Args[0]], true
	}
	if dealer && ph == plan.Online {
		c.find(DealerReceives, where(), "the dealer has steps in the online phase")
	}
	switch s.Op {
	case plan.StepInput:
		if dealer {
			c.find(DealerInput, where(), "the dealer reads a bound tensor")
			return
		}
		m := &c.p.Manifest
		if len(s.Args) < 1 || s.Args[0] < 0 || s.Args[0] >= int64(len(m.Inputs)+len(m.Weights)) {
			return
		}
		i, want := int(s.Args[0]), plan.Online
		port := plan.Port{}
		if i < len(m.Inputs) {
			port = m.Inputs[i]
		} else {
			port, want = m.Weights[i-len(m.Inputs)], plan.Setup
		}
		if port.Owner != c.p.Programs[role].Role && !port.Shares || ph != want {
			c.find(ForeignInput, where(), "%q of %s is read by %s in %v", port.Name, port.Owner, c.p.Programs[role].Role, ph)
		}
	case plan.StepPRG:
		it, ok := item()
		if ok && (dealer || it.Holder != 0 && it.Holder != role+1 || it.Dealt && role == c.n-1) {
			c.find(MaterialForeign, where(), "%s draws item %d (%s) as its own", c.p.Programs[role].Role, s.Args[0], it.What)
		}
	case plan.StepPRGSum, plan.StepDeal:
		it, ok := item()
		if ok && !dealer {
			c.find(MaterialForeign, where(), "a party computes what needs the streams of all parties")
		} else if ok && (s.Op == plan.StepDeal) != it.Dealt {
			c.find(MaterialForeign, where(), "item %d is of the other kind", s.Args[0])
		}
	}
	if isKeys(s.Op) {
		if it, ok := item(); ok && (it.Dealt || it.Holder != 0 || it.Mode != plan.Xor || it.Bits != 64 || it.Scope != plan.Session || ph != plan.Offline) {
			c.find(MaterialForeign, where(), "item %d (%s) is not random words of both parties for a session", s.Args[0], it.What)
		} else if ok && c.roots[int(s.Args[0])] {
			c.find(KeyReused, where(), "item %d (%s) is the root of other keys", s.Args[0], it.What)
		} else if ok {
			c.roots[int(s.Args[0])] = true
		}
		if !dealer {
			c.find(MaterialForeign, where(), "a party computes what needs the streams of all parties")
		}
	}
	if i := slices.Index(row.Args, "first"); i >= 0 && i < len(s.Args) {
		want := int64(0)
		if role == 0 {
			want = 1
		}
		if s.Args[i] != want {
			c.find(PartyConstant, where(), "first is %d at %s: party 0 adds the public terms, and nobody else", s.Args[i], c.p.Programs[role].Role)
		}
	}
}

// openStructure checks who takes part in an exchange, and its mask's size.
func (c *checker) openStructure(role int, ph plan.Phase, r int, o *plan.Open) {
	where := c.openPlace(role, ph, r, o)
	if slices.Contains(o.To, c.n) || role == c.n && ph == plan.Online {
		c.find(DealerReceives, where, "the dealer takes part in an exchange of %v or receives from it", ph)
		return
	}
	if o.Kind == plan.Give {
		c.find(RevealReceivers, where, "a share of an output is not kept for a guest by all parties in one round")
		return
	}
	if o.Item < 1 || o.Item > len(c.p.Items) || o.Kind < plan.OpenWire || o.Kind > plan.Keys {
		return
	}
	it := c.p.Items[o.Item-1]
	if it.Len != o.Len || it.Bits != o.Bits || it.Mode != o.Mode {
		c.find(MaskWidth, where, "item %d is %d x %d bits, the message %d x %d bits", o.Item-1, it.Len, it.Bits, o.Len, o.Bits)
	}
	if o.Kind == plan.Correction {
		if !it.Dealt || it.Scope != plan.Session || ph != plan.Offline || !slices.Equal(o.From, []int{c.n}) || !slices.Equal(o.To, []int{c.n - 1}) {
			c.find(WrongCorrection, where, "a correction goes from the dealer to the last party, offline, for a dealt item")
		}
		return
	}
	if o.Kind == plan.Keys {
		if it.Bits != 64 {
			c.find(MaskWidth, where, "item %d (%s) has words of %d bits, keys are read in words of 64", o.Item-1, it.What, it.Bits)
		}
		if !it.Dealt || it.Mode != plan.Common || it.Scope != plan.Session || ph != plan.Offline || !slices.Equal(o.From, []int{c.n}) || !slices.Equal(o.To, []int{0, 1}) || c.n != 2 {
			c.find(WrongCorrection, where, "keys go from the dealer to both parties of two, offline, for a dealt item of their own")
		}
		return
	}
	if (it.Scope == plan.Model) != (ph == plan.Setup) {
		c.find(MaskReused, where, "item %d (%s) is drawn once for the model and would mask a message of every session", o.Item-1, it.What)
	}
	t := at(ph, r)
	switch was := c.openedAt[o.Item-1]; {
	case was == 0:
		c.openedAt[o.Item-1] = t
	case was != t:
		c.find(MaskReused, where, "item %d (%s) has masked a message before", o.Item-1, it.What)
	}
	all := func(list []int) bool {
		if len(list) != c.n {
			return false
		}
		for i, x := range list {
			if x != i {
				return false
			}
		}
		return true
	}
	switch o.Kind {
	case plan.Reveal:
		c.revealed[o.Item-1] = true
		out := c.outputs[o.Item-1]
		if out == nil {
			c.find(UnknownReveal, where, "item %d belongs to no output of the manifest", o.Item-1)
			return
		}
		var want []int
		for i, name := range c.p.Manifest.Parties {
			if slices.Contains(out.To, name) {
				want = append(want, i)
			}
		}
		if !slices.Equal(o.To, want) {
			c.find(RevealReceivers, where, "output %q goes to %s, the manifest says %s", out.Name, c.names(o.To), c.names(want))
		}
		if !all(o.From) {
			c.find(MessageReceivers, where, "an output comes from all parties")
		}
		if want := out.Len(); want != o.Len || out.Bits != o.Bits || (out.Elem == "bool") != (o.Mode == plan.Xor) {
			c.find(ManifestDiffers, where, "output %q is %s, %d x %d bits", out.Name, out.Elem, want, out.Bits)
		}
	default:
		if it.Dealt {
			c.find(MaskMissing, where, "item %d (%s) is dealt: it is no mask", o.Item-1, it.What)
		}
		if !all(o.To) || it.Holder == 0 && !all(o.From) || it.Holder != 0 && !slices.Equal(o.From, []int{it.Holder - 1}) {
			c.find(MessageReceivers, where, "goes from %s to %s; masked values go from those who hold the mask to all parties", c.names(o.From), c.names(o.To))
		}
	}
}

// exchanges checks that sender and receiver of each message agree on it.
func (c *checker) exchanges() {
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		for r := range c.p.Programs[0].Rounds(ph) {
			type side struct{ from, to, teller int }
			lists := map[side][]string{}
			for role := range c.p.Programs {
				opens := c.p.Programs[role].Rounds(ph)[r].Opens
				for i := range opens {
					o := &opens[i]
					what := fmt.Sprint(o.Mode, o.Len, o.Bits, o.Item, o.Kind, o.From, o.To)
					for _, a := range o.From {
						for _, b := range o.To {
							if a != b && (a == role || b == role) {
								k := side{a, b, role}
								lists[k] = append(lists[k], what)
							}
						}
					}
				}
			}
			for k, x := range lists {
				other := k
				other.teller = k.from + k.to - k.teller
				if !slices.Equal(x, lists[other]) {
					c.find(Exchange, &place{role: min(k.from, k.to), phase: ph, round: r}, "roles %s disagree on a message", c.names([]int{min(k.from, k.to), max(k.from, k.to)}))
				}
			}
		}
	}
	slices.SortFunc(c.report.Findings, compareBy(Finding.String)) // map order
}

// names lists roles.
func (c *checker) names(roles []int) string {
	s := ""
	for i, r := range roles {
		if i > 0 {
			s += ", "
		}
		if r >= 0 && r < len(c.p.Programs) {
			s += c.p.Programs[r].Role
		} else {
			s += fmt.Sprint(r)
		}
	}
	if s == "" {
		return "nobody"
	}
	return s
}

func (c *checker) stepPlace(role int, ph plan.Phase, r int, s *plan.Step) *place {
	text := ""
	if plan.Steps[s.Op] != nil && s.Node >= 0 && s.Node < len(c.p.Nodes) && len(s.Args) < 64 {
		text = c.p.StepText(s)
	}
	return &place{role, ph, r, text}
}

func (c *checker) openPlace(role int, ph plan.Phase, r int, o *plan.Open) *place {
	text := ""
	if o.Node >= 0 && o.Node < len(c.p.Nodes) {
		text = fmt.Sprintf("open %v, %d x %d bits, masked by item %d  @ %s", o.Kind, o.Len, o.Bits, o.Item-1, c.p.Nodes[o.Node])
	}
	return &place{role, ph, r, text}
}
