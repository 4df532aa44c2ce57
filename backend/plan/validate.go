package plan

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Limits on what a plan may declare; a plan file that asks for more is refused before anything is allocated.
const (
	maxParties  = 64
	maxLen      = 1 << 28 // elements of a tensor, an item, a slot
	maxWords    = 1 << 31 // memory words of a role
	maxStream   = 1 << 46 // bytes of a stream
	maxMessage  = 1 << 32 // bytes of one message
	maxRounds   = 1 << 20
	maxNameSize = 1 << 12
)

// Validate checks everything that an engine relies on: after it, steps can be run without further checks, no party waits
// for a message that is not sent, and memory is bounded by what the programs use. It says nothing about privacy.
func (p *Plan) Validate() error {
	if err := p.validate(); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	return nil
}

func (p *Plan) validate() error {
	if err := p.validateManifest(); err != nil {
		return err
	}
	if err := p.validateItems(); err != nil {
		return err
	}
	if len(p.Programs) != p.NumParties()+1 {
		return fmt.Errorf("%d programs for %d roles", len(p.Programs), p.NumParties()+1)
	}
	for i, role := range p.Roles() {
		g := &p.Programs[i]
		if g.Role != role {
			return fmt.Errorf("program %d is %q's, want %q's", i, g.Role, role)
		}
		if err := p.validateProgram(i); err != nil {
			return fmt.Errorf("program of %s: %w", role, err)
		}
	}
	if err := p.validateExchanges(); err != nil {
		return err
	}
	return p.validateOutputs()
}

func (p *Plan) validateManifest() error {
	m := &p.Manifest
	if m.Version != Version {
		return fmt.Errorf("format version %d, want %d", m.Version, Version)
	}
	if n := len(m.Parties); n < 2 || n > maxParties {
		return fmt.Errorf("%d parties, want 2 to %d", n, maxParties)
	}
	seen := map[string]bool{}
	if n := len(m.Parties) + len(m.Guests); n > maxParties {
		return fmt.Errorf("%d parties and guests, want %d at most", n, maxParties)
	}
	for _, r := range append(p.Roles(), m.Guests...) {
		if r == "" || len(r) > maxNameSize || seen[r] {
			return fmt.Errorf("role name %q is empty, too long or used twice", r)
		}
		seen[r] = true
	}
	if m.RingBits < 0 || m.RingBits > 64 || m.FracBits < 0 || m.FracBits > 62 {
		return fmt.Errorf("ring of %d bits with %d fraction bits", m.RingBits, m.FracBits)
	}
	if err := m.Recipe.validate(); err != nil {
		return err
	}
	list := func(what string, ports []Port, output, twice bool) error {
		names := map[string]bool{}
		for _, t := range ports {
			if err := errors.Join(p.validatePort(t, output), t.validateShares(m.Guests, what == "input"), t.validateColumns(what == "input"), t.validateText(m.Inputs, what == "input", output)); err != nil {
				return fmt.Errorf("%s %q: %w", what, t.Name, err)
			}
			if names[t.Name] && !twice {
				return fmt.Errorf("%s %q appears twice", what, t.Name)
			}
			names[t.Name] = true
		}
		return nil
	}
	return errors.Join(list("input", m.Inputs, false, false), list("weight", m.Weights, false, true), list("output", m.Outputs, true, false))
}

func (p *Plan) validatePort(t Port, output bool) error {
	if t.Name == "" || len(t.Name) > maxNameSize {
		return errors.New("name is empty or too long")
	}
	if t.Elem != "real" && t.Elem != "int" && t.Elem != "bool" {
		return fmt.Errorf("element kind %q", t.Elem)
	}
	if t.Bits < 1 || t.Bits > 64 || t.Scale < 0 || t.Scale > 62 {
		return fmt.Errorf("%d bits with %d fraction bits", t.Bits, t.Scale)
	}
	n := int64(1)
	for _, d := range t.Shape {
		if d < 0 || d > maxLen || n*int64(d) > maxLen {
			return fmt.Errorf("shape %v is too large", t.Shape)
		}
		n *= int64(d)
	}
	if math.IsNaN(t.Lo) || math.IsNaN(t.Hi) {
		return errors.New("range is not a number")
	}
	known := func(name string) error {
		if !slices.Contains(p.Manifest.Parties, name) && !p.Manifest.Invited(name) {
			return fmt.Errorf("%q is not a party and no guest", name)
		}
		return nil
	}
	if !output {
		if len(t.To) > 0 || t.Item != 0 {
			return errors.New("has receivers")
		}
		return known(t.Owner)
	}
	if t.Owner != "" || len(t.To) == 0 {
		return errors.New("has an owner or no receivers")
	}
	for _, r := range t.To {
		if err := known(r); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plan) validateItems() error {
	var end [2]int64
	for i, it := range p.Items {
		bad := func(format string, args ...any) error {
			return fmt.Errorf("item %d: %s", i, fmt.Sprintf(format, args...))
		}
		switch {
		case it.Scope != Session && it.Scope != Model:
			return bad("scope %d", it.Scope)
		case it.Mode != Add && it.Mode != Xor && it.Mode != Common || it.Mode == Common && (!it.Dealt || it.Scope != Session):
			return bad("mode %d", it.Mode)
		case it.Len < 0 || it.Len > maxLen || it.Bits < 1 || it.Bits > 64:
			return bad("%d elements of %d bits", it.Len, it.Bits)
		case it.Holder < 0 || it.Holder > p.NumParties() || it.Dealt && it.Holder != 0:
			return bad("holder %d", it.Holder)
		case it.Offset < end[it.Scope] || it.Offset%16 != 0 || it.Offset > maxStream:
			return bad("offset %d overlaps the item before it, is not a multiple of 16 or is too large", it.Offset)
		}
		end[it.Scope] = it.Offset + int64(it.Len)*int64(it.Width())
	}
	return nil
}

func (p *Plan) validateProgram(role int) error {
	g := &p.Programs[role]
	var total [2]int64
	for i, s := range g.Slots {
		if s.Scope != Session && s.Scope != Model {
			return fmt.Errorf("slot %d has scope %d", i, s.Scope)
		}
		size := g.Words
		if s.Scope == Model {
			size = g.Model
		}
		if s.Len < 0 || s.Len > maxLen || s.Offset < 0 || s.Offset > maxWords || s.Offset+s.Len > size {
			return fmt.Errorf("slot %d (%d words at %d) is outside the memory of %d words", i, s.Len, s.Offset, size)
		}
		total[s.Scope] += int64(s.Len) + 64
	}
	if g.Words < 0 || g.Model < 0 || int64(g.Words) > min(total[Session], maxWords) || int64(g.Model) > min(total[Model], maxWords) {
		return fmt.Errorf("memory of %d and %d words is more than its slots need", g.Words, g.Model)
	}
	if a, b, clash := g.shared(); clash {
		return fmt.Errorf("slots %d and %d of the model share memory, which is not given out twice", a, b)
	}
	for ph := Setup; ph <= Online; ph++ {
		rounds := g.Rounds(ph)
		if len(rounds) != len(p.Programs[0].Rounds(ph)) || len(rounds) > maxRounds {
			return fmt.Errorf("%v has %d rounds, %s has %d", ph, len(rounds), p.Programs[0].Role, len(p.Programs[0].Rounds(ph)))
		}
		for r := range rounds {
			for i := range rounds[r].Steps {
				if err := p.validateStep(role, ph, &rounds[r].Steps[i]); err != nil {
					return fmt.Errorf("%v round %d step %d: %w", ph, r, i, err)
				}
			}
			for i := range rounds[r].Opens {
				if err := p.validateOpen(role, ph, &rounds[r].Opens[i]); err != nil {
					return fmt.Errorf("%v round %d opening %d: %w", ph, r, i, err)
				}
			}
		}
	}
	return nil
}

// shared returns two slots of the model that have a word in common, if there are any. Engines place slots of sessions on their own, and those of
// the model where the plan has them; steps go through them block by block, so that a slot which overlaps with another in part would be read after
// some of it was written over.
func (g *Program) shared() (a, b int, clash bool) {
	var order []int
	for i, s := range g.Slots {
		if s.Scope == Model && s.Len > 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int { return g.Slots[i].Offset - g.Slots[j].Offset })
	for k := range len(order) - 1 {
		if s := g.Slots[order[k]]; g.Slots[order[k+1]].Offset < s.Offset+s.Len {
			return order[k], order[k+1], true
		}
	}
	return 0, 0, false
}

// target checks a slot that is written in a phase: model memory is written in setup only, and setup writes nothing else.
func (p *Plan) target(role int, ph Phase, slot int) error {
	g := &p.Programs[role]
	if slot < 0 || slot >= len(g.Slots) {
		return fmt.Errorf("slot %d does not exist", slot)
	}
	if (g.Slots[slot].Scope == Model) != (ph == Setup) {
		return fmt.Errorf("%v writes slot %d of the other scope", ph, slot)
	}
	return nil
}

// source checks a slot that is read.
func (p *Plan) source(role int, ph Phase, slot int) error {
	g := &p.Programs[role]
	if slot < 0 || slot >= len(g.Slots) {
		return fmt.Errorf("slot %d does not exist", slot)
	}
	if g.Slots[slot].Scope != Model && ph == Setup {
		return fmt.Errorf("setup reads slot %d of a session", slot)
	}
	return nil
}

func (p *Plan) validateStep(role int, ph Phase, s *Step) error {
	row := Steps[s.Op]
	if row == nil {
		return fmt.Errorf("unknown step %d; a newer smpcc may have made this plan", s.Op)
	}
	err := p.checkStep(role, ph, s, row)
	if err != nil {
		return fmt.Errorf("%s: %w", row.Name, err)
	}
	return nil
}

func (p *Plan) checkStep(role int, ph Phase, s *Step, row *StepRow) error {
	g := &p.Programs[role]
	dealer := role == p.NumParties()
	switch {
	case len(s.Src) < row.Src || len(s.Src) > row.Src && !row.Var || len(s.Src) > 64:
		return fmt.Errorf("%d sources, want %d", len(s.Src), row.Src)
	case len(s.Args) < len(row.Args) || len(s.Args) > len(row.Args) && !row.ArgsVar:
		return fmt.Errorf("%d arguments, want %d", len(s.Args), len(row.Args))
	case len(s.Data) > 0 && !row.Data:
		return errors.New("takes no data")
	case row.Dealer && !dealer:
		return errors.New("is for the dealer only")
	case s.Node < 0 || s.Node >= len(p.Nodes):
		return fmt.Errorf("node %d does not exist", s.Node)
	}
	if err := p.target(role, ph, s.Dst); err != nil {
		return err
	}
	for _, src := range s.Src {
		if err := p.source(role, ph, src); err != nil {
			return err
		}
		if a, d := g.Slots[src], g.Slots[s.Dst]; src != s.Dst && a.Scope == d.Scope && a.Offset < d.Offset+d.Len && d.Offset < a.Offset+a.Len {
			return fmt.Errorf("slots %d and %d overlap", src, s.Dst)
		} else if src == s.Dst {
			return fmt.Errorf("slot %d is source and destination", src)
		}
	}
	n := func(slot int) int { return g.Slots[slot].Len }
	check := row.check
	if check == nil {
		check = func(s *Step, n func(int) int, _ *Plan) error { return sameLen(s, n) }
	}
	if err := check(s, n, p); err != nil {
		return err
	}
	switch s.Op {
	case StepInput:
		i, in := int(s.Args[0]), len(p.Manifest.Inputs)
		port, want := Port{}, Online
		if i < in {
			port = p.Manifest.Inputs[i]
		} else {
			port, want = p.Manifest.Weights[i-in], Setup
		}
		if port.Owner != g.Role && !port.Shares || ph != want {
			return fmt.Errorf("%q of %s is bound by %s in %v", port.Name, port.Owner, g.Role, ph)
		}
	case StepDPF, StepDCF:
		if ph == Setup {
			return fmt.Errorf("keys in %v", ph)
		}
	case StepDPFKey, StepDCFKey:
		if ph != Offline {
			return fmt.Errorf("keys in %v", ph)
		}
	case StepPRG, StepPRGSum, StepDeal:
		it := p.Items[s.Args[0]]
		switch {
		case (it.Scope == Model) != (ph == Setup):
			return fmt.Errorf("item %d has the other scope", s.Args[0])
		case ph == Online && s.Op != StepPRG: // own shares may be drawn when they are read
			return errors.New("the dealer is done before the inputs")
		case it.Mode == Common:
			return fmt.Errorf("item %d is drawn by nobody", s.Args[0])
		case s.Op == StepPRG && (dealer || it.Holder != 0 && it.Holder != role+1 || it.Dealt && role == p.NumParties()-1):
			return fmt.Errorf("%s does not draw item %d", g.Role, s.Args[0])
		case (s.Op == StepDeal) != it.Dealt && s.Op != StepPRG:
			return fmt.Errorf("item %d is of the other kind", s.Args[0])
		}
	}
	return nil
}

func (p *Plan) validateOpen(role int, ph Phase, o *Open) error {
	parties, dealer := p.NumParties(), p.NumParties()
	switch {
	case o.Mode != Add && o.Mode != Xor && o.Mode != Common || (o.Mode == Common) != (o.Kind == Keys):
		return fmt.Errorf("mode %d", o.Mode)
	case o.Len < 0 || o.Len > maxLen || o.Bits < 1 || o.Bits > 64:
		return fmt.Errorf("%d elements of %d bits", o.Len, o.Bits)
	case o.Node < 0 || o.Node >= len(p.Nodes):
		return fmt.Errorf("node %d does not exist", o.Node)
	case o.Item < 1 || o.Item > len(p.Items):
		return fmt.Errorf("item %d does not exist", o.Item-1)
	}
	it := p.Items[o.Item-1]
	if it.Len != o.Len || it.Bits != o.Bits || it.Mode != o.Mode {
		return fmt.Errorf("item %d does not fit the opening", o.Item-1)
	}
	roles := func(list []int) error {
		for i, r := range list {
			if r < 0 || r > parties || i > 0 && r <= list[i-1] {
				return fmt.Errorf("roles %v are not a rising list", list)
			}
		}
		if len(list) == 0 {
			return errors.New("has no senders or no receivers")
		}
		return nil
	}
	if err := errors.Join(roles(o.From), roles(o.To)); err != nil {
		return err
	}
	if !slices.Contains(o.From, role) && !slices.Contains(o.To, role) {
		return errors.New("this role takes no part in it")
	}
	all := func(list []int) bool { return len(list) == parties && list[parties-1] == parties-1 }
	ok := false
	switch o.Kind {
	case OpenWire, OpenBits:
		ok = all(o.To) && !it.Dealt && (it.Holder == 0 && all(o.From) || it.Holder > 0 && len(o.From) == 1 && o.From[0] == it.Holder-1)
	case Correction:
		ok = it.Dealt && ph == Offline && len(o.From) == 1 && o.From[0] == dealer && len(o.To) == 1 && o.To[0] == parties-1
	case Keys: // in whole words
		ok = it.Dealt && it.Bits == 64 && ph == Offline && len(o.From) == 1 && o.From[0] == dealer && all(o.To)
	case Give:
		out := p.output(o.Item - 1)
		ok = it.Dealt && ph == Online && len(o.From) == 1 && slices.Equal(o.From, o.To) && o.From[0] != dealer && out != nil && slices.ContainsFunc(out.To, p.Manifest.Invited)
	case Reveal:
		ok = it.Dealt && ph == Online && all(o.From) && !slices.Contains(o.To, dealer) && p.output(o.Item-1) != nil
	}
	if !ok {
		return fmt.Errorf("%v from %v to %v masked by item %d is not allowed in %v", o.Kind, o.From, o.To, o.Item-1, ph)
	}
	if slices.Contains(o.From, role) {
		if err := p.source(role, ph, o.Src); err != nil {
			return err
		}
		if p.Programs[role].Slots[o.Src].Len != o.Len {
			return fmt.Errorf("slot %d does not hold %d elements", o.Src, o.Len)
		}
	}
	if slices.Contains(o.To, role) {
		if err := p.target(role, ph, o.Dst); err != nil {
			return err
		}
		if p.Programs[role].Slots[o.Dst].Len != o.Len {
			return fmt.Errorf("slot %d does not hold %d elements", o.Dst, o.Len)
		}
	}
	return nil
}

// validateExchanges checks that for every pair of roles sender and receiver agree on each message.
func (p *Plan) validateExchanges() error {
	for ph := Setup; ph <= Online; ph++ {
		for r := range p.Programs[0].Rounds(ph) {
			for a := range p.Programs {
				for b := range p.Programs {
					if a == b {
						continue
					}
					between := func(role int) (list []Open, bytes int64) {
						for _, o := range p.Programs[role].Rounds(ph)[r].Opens {
							if slices.Contains(o.From, a) && slices.Contains(o.To, b) {
								o.Src, o.Dst, o.Node = 0, 0, 0
								list = append(list, o)
								bytes += int64(o.Bytes())
							}
						}
						return list, bytes
					}
					x, size := between(a)
					y, _ := between(b)
					if !slices.EqualFunc(x, y, func(s, t Open) bool {
						return s.Mode == t.Mode && s.Len == t.Len && s.Bits == t.Bits && s.Item == t.Item && s.Kind == t.Kind && slices.Equal(s.From, t.From) && slices.Equal(s.To, t.To)
					}) {
						return fmt.Errorf("%v round %d: %s and %s disagree on what %s sends", ph, r, p.Programs[a].Role, p.Programs[b].Role, p.Programs[a].Role)
					}
					if size > maxMessage {
						return fmt.Errorf("%v round %d: message of %d bytes from %s to %s is too large", ph, r, size, p.Programs[a].Role, p.Programs[b].Role)
					}
				}
			}
		}
	}
	return nil
}

// output returns the output that an item's shares of zero are for, nil if there is none.
func (p *Plan) output(item int) *Port {
	i := slices.IndexFunc(p.Manifest.Outputs, func(t Port) bool { return t.Item == item })
	if i < 0 {
		return nil
	}
	return &p.Manifest.Outputs[i]
}

// validateOutputs checks that each output is opened once, as the manifest describes it and to those it names: the manifest
// is what people approve. Roles agree on openings, and party 0 takes part in every reveal. Of an output that a guest receives every party keeps
// its share.
func (p *Plan) validateOutputs() error {
	opened, err := p.openedOutputs(Reveal, 0)
	if err != nil {
		return err
	}
	given := make([]map[int]*Open, p.NumParties())
	for i := range given {
		if given[i], err = p.openedOutputs(Give, i); err != nil {
			return err
		}
	}
	names := map[int]string{}
	for _, t := range p.Manifest.Outputs {
		if other, twice := names[t.Item]; twice {
			return fmt.Errorf("outputs %q and %q are the same item", other, t.Name)
		}
		names[t.Item] = t.Name
		var reached []string
		for _, o := range append([]*Open{opened[t.Item]}, ofItem(given, t.Item)...) {
			if o != nil && (o.Len != t.Len() || o.Bits != t.Bits) {
				return fmt.Errorf("output %q has %d elements of %d bits, %d of %d bits are revealed", t.Name, t.Len(), t.Bits, o.Len, o.Bits)
			}
		}
		if o := opened[t.Item]; o != nil {
			for _, r := range o.To {
				reached = append(reached, p.Manifest.Parties[r])
			}
		}
		if kept := ofItem(given, t.Item); !slices.Contains(kept, nil) {
			for _, g := range t.To {
				if p.Manifest.Invited(g) {
					reached = append(reached, g)
				}
			}
		}
		if len(reached) == 0 {
			return fmt.Errorf("output %q is never revealed", t.Name)
		}
		said := slices.Compact(slices.Sorted(slices.Values(t.To)))
		if reached = slices.Compact(slices.Sorted(slices.Values(reached))); !slices.Equal(reached, said) {
			return fmt.Errorf("output %q goes to %v, the manifest says %v", t.Name, reached, said)
		}
	}
	return nil
}

// openedOutputs returns the openings of a kind by their items, of which each masks one.
func (p *Plan) openedOutputs(kind Kind, role int) (map[int]*Open, error) {
	out := map[int]*Open{}
	for _, round := range p.Programs[role].Online {
		for i := range round.Opens {
			o := &round.Opens[i]
			if o.Kind != kind {
				continue
			}
			if out[o.Item-1] != nil {
				return nil, fmt.Errorf("item %d masks two reveals", o.Item-1)
			}
			out[o.Item-1] = o
		}
	}
	return out, nil
}

// ofItem returns what each party has of an item.
func ofItem(by []map[int]*Open, item int) (out []*Open) {
	for _, m := range by {
		out = append(out, m[item])
	}
	return out
}
