package audit

import (
	"fmt"
	"slices"
	"strings"

	"smpcc/backend/plan"
	"smpcc/ir"
)

// A comparison is a diff that is being made.
type comparison struct {
	*Diff
	aspect  string
	called  map[*ir.Value]string // the name under which an input or a weight is compared
	renamed [][2]*ir.Value       // inputs and weights that are taken for the same, with another name
	digests map[*ir.Value]digest // of both graphs
	pairs   []pair               // outputs that are in both, by name or by what they are
}

// A pair is an output in the old and in the new plan.
type pair struct{ old, now *ir.Value }

func newComparison(d *Diff) *comparison {
	c := &comparison{Diff: d, called: map[*ir.Value]string{}, digests: map[*ir.Value]digest{}}
	f, g := d.old.graph.Main(), d.now.graph.Main()
	c.sources(f, g)
	d.same = map[*ir.Value]bool{}
	var both [2]map[digest]bool
	for i, x := range []*ir.Func{f, g} {
		both[i] = map[digest]bool{}
		for v, p := range digests(x, func(v *ir.Value) string { return c.called[v] }) {
			c.digests[v] = p
			both[i][p] = true
		}
	}
	for v, p := range c.digests {
		d.same[v] = both[0][p] && both[1][p]
	}
	c.outputs(f.Reveals(), g.Reveals())
	return c
}

// say adds a change.
func (c *comparison) say(w Way, format string, args ...any) {
	c.sayOf(c.aspect, w, format, args...)
}

func (c *comparison) sayOf(aspect string, w Way, format string, args ...any) {
	c.Changes = append(c.Changes, Change{aspect, w, fmt.Sprintf(format, args...)})
}

// name returns the attribute by which inputs, weights and outputs are known.
func name(v *ir.Value) string { return v.Attrs.Str("name") }

// sources finds which inputs and weights of two graphs are the same: those of one owner and name; and of the others, in their order, those of one owner,
// kind, type and shape, if there are as many of them in both.
func (c *comparison) sources(f, g *ir.Func) {
	id := func(v *ir.Value) string { return fmt.Sprintf("%s %q %q", v.Op, v.Attrs.Str("owner"), name(v)) }
	kind := func(v *ir.Value) string {
		return fmt.Sprintf("%s %q %s%v", v.Op, v.Attrs.Str("owner"), v.Type.Elem, v.Type.Shape)
	}
	ids := [2]map[string]bool{{}, {}}
	for i, x := range []*ir.Func{f, g} {
		for _, v := range leaves(x) {
			c.called[v] = name(v)
			ids[i][id(v)] = true
		}
	}
	left := [2]map[string][]*ir.Value{{}, {}}
	for i, x := range []*ir.Func{f, g} {
		for _, v := range leaves(x) {
			if !ids[1-i][id(v)] {
				left[i][kind(v)] = append(left[i][kind(v)], v)
			}
		}
	}
	for _, k := range sortedKeys(left[0]) {
		if a, b := left[0][k], left[1][k]; len(a) == len(b) {
			for i := range a {
				c.called[b[i]] = name(a[i])
				c.renamed = append(c.renamed, [2]*ir.Value{a[i], b[i]})
			}
		}
	}
}

// leaves lists the inputs and weights of f.
func leaves(f *ir.Func) (out []*ir.Value) {
	for _, v := range f.Body {
		if v.Op == ir.OpInput || v.Op == ir.OpWeight {
			out = append(out, v)
		}
	}
	return out
}

// outputs pairs outputs: by name; and of the others those which are one function that goes to the same receivers.
func (c *comparison) outputs(a, b []*ir.Value) {
	taken := map[*ir.Value]bool{}
	find := func(like func(x, y *ir.Value) bool) {
		for _, x := range a {
			for _, y := range b {
				if !taken[x] && !taken[y] && like(x, y) {
					taken[x], taken[y] = true, true
					c.pairs = append(c.pairs, pair{x, y})
				}
			}
		}
	}
	find(func(x, y *ir.Value) bool { return name(x) == name(y) })
	find(func(x, y *ir.Value) bool {
		return c.digests[x] == c.digests[y] && sameSet(x.Attrs.Strings("to"), y.Attrs.Strings("to"))
	})
}

func sameSet(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

// news reports whether v tells to something of another's data.
func news(v *ir.Value, to string) bool {
	return slices.ContainsFunc(sourcesOf(v), func(s *ir.Value) bool { return s.Attrs.Str("owner") != to })
}

// toldOthers lists the receivers to whom v tells something of another's data.
func toldOthers(v *ir.Value) (out []string) {
	for _, to := range v.Attrs.Strings("to") {
		if news(v, to) {
			out = append(out, to)
		}
	}
	return out
}

// partner returns the output of the old plan that is v's in the new one, nil if there is none.
func (c *comparison) partner(v *ir.Value) *ir.Value {
	for _, p := range c.pairs {
		if p.now == v {
			return p.old
		}
	}
	return nil
}

// A fact is one thing that a receiver learns: data of a source through an output. Names are those of the old plan where that has them.
type fact struct{ receiver, output, owner, kind, source string }

func (f fact) String() string {
	return fmt.Sprintf("%s learns output %q, which derives from %s %q of %s", f.receiver, f.output, f.kind, f.source, f.owner)
}

// facts lists what receivers learn of others' data, with what has been done to it on every way.
func (c *comparison) facts(g *ir.Module) (order []fact, forms map[fact]string) {
	forms = map[fact]string{}
	f := g.Main()
	traces := map[*ir.Value]map[*ir.Value]ir.Done{}
	for _, v := range f.Reveals() {
		output := name(v)
		if x := c.partner(v); x != nil {
			output = name(x)
		}
		for _, s := range sourcesOf(v) {
			if traces[s] == nil {
				traces[s] = ir.Trace(f, s)
			}
			for _, to := range v.Attrs.Strings("to") {
				if owner := s.Attrs.Str("owner"); owner != to {
					x := fact{to, output, owner, string(s.Op), c.called[s]}
					if _, twice := forms[x]; !twice {
						order = append(order, x)
					}
					forms[x] = traces[s][v].String()
				}
			}
		}
	}
	return order, forms
}

func (c *comparison) data() {
	was, before := c.facts(c.old.graph)
	is, after := c.facts(c.now.graph)
	for _, f := range is {
		if _, ok := before[f]; !ok {
			c.say(More, "%s, as %s", f, formWords(after[f]))
		}
	}
	for _, f := range was {
		if _, ok := after[f]; !ok {
			c.say(Less, "no longer: %s", f)
		}
	}
	for _, p := range c.pairs {
		if name(p.old) != name(p.now) {
			c.sayOf("plan", Other, "output %q is called %q now", name(p.old), name(p.now))
		}
	}
}

// formWords says in which form data reaches a receiver.
func formWords(form string) string {
	if form == "" {
		return "any function of it"
	}
	var parts []string
	for _, s := range strings.Split(form, ",") {
		if n, rows := strings.CutPrefix(s, "rows>="); rows {
			parts = append(parts, "sums and means over at least "+n+" rows")
		} else if s == "argmax" {
			parts = append(parts, "its arg-max")
		} else {
			parts = append(parts, s)
		}
	}
	return "only " + strings.Join(parts, " of ")
}

// form compares what is done to the data by the graph, and what rules ask of it.
func (c *comparison) form() {
	was, before := c.facts(c.old.graph)
	_, after := c.facts(c.now.graph)
	for _, f := range was {
		a, b := before[f], after[f]
		if _, still := after[f]; !still || a == b {
			continue
		}
		w := Less
		if weaker(b, a) {
			w = More
		}
		c.say(w, "%s: was %s, is %s", f, formWords(a), formWords(b))
	}
	type key struct{ output, receiver, owner string }
	rules := map[key][]string{}
	for _, x := range c.old.plan.Manifest.Allowed {
		k := key{x.Output, x.Receiver, x.Owner}
		rules[k] = append(rules[k], ruleWords(x))
	}
	seen := map[string]bool{}
	for _, x := range c.now.plan.Manifest.Allowed {
		output := x.Output
		for _, p := range c.pairs {
			if name(p.now) == x.Output {
				output = name(p.old)
			}
		}
		was, is := rules[key{output, x.Receiver, x.Owner}], strings.ReplaceAll(ruleWords(x), fmt.Sprintf("%q", x.Output), fmt.Sprintf("%q", output))
		if len(was) == 0 || slices.Contains(was, is) || x.Owner == x.Receiver {
			continue
		}
		if s := fmt.Sprintf("output %q may go to %s by another rule of %s: %s; it was: %s", x.Output, x.Receiver, x.Owner, is, strings.Join(was, "; ")); !seen[s] {
			seen[s] = true
			c.say(More, "%s", s)
		}
	}
}

// ruleWords is a rule without its place.
func ruleWords(a plan.Allowance) string {
	s := a.Rule
	if i := strings.LastIndex(s, " ("); i >= 0 && strings.HasSuffix(s, ")") {
		s = s[:i]
	}
	return s
}

// weaker reports whether form a leaves more of the data than form b.
func weaker(a, b string) bool {
	for _, s := range strings.Split(b, ",") {
		n, rows := strings.CutPrefix(s, "rows>=")
		ok := false
		for _, t := range strings.Split(a, ",") {
			m, r := strings.CutPrefix(t, "rows>=")
			ok = ok || t == s || rows && r && (len(m) > len(n) || len(m) == len(n) && m >= n)
		}
		if s != "" && !ok {
			return true
		}
	}
	return false
}

// function compares what outputs compute.
func (c *comparison) function() {
	for _, p := range c.pairs {
		if c.digests[p.old] == c.digests[p.now] {
			continue
		}
		w, to := More, toldOthers(p.now)
		if len(to) == 0 {
			w, to = Other, p.now.Attrs.Strings("to")
		}
		c.say(w, "output %q to %s is another function of the data: it is %s, it was %s", name(p.now), strings.Join(to, ", "), formula(p.now), formula(p.old))
	}
}

// way returns w for what tells somebody something of another's data, else Other.
func (p pair) way(w Way) Way {
	if len(toldOthers(p.now)) == 0 {
		return Other
	}
	return w
}

// moreIf returns More if it holds, else Less.
func moreIf(more bool) Way {
	if more {
		return More
	}
	return Less
}

// ports returns the ports of a pair.
func (c *comparison) ports(p pair) (old, now plan.Port) {
	find := func(list []plan.Port, name string) plan.Port {
		for _, t := range list {
			if t.Name == name {
				return t
			}
		}
		return plan.Port{}
	}
	return find(c.old.plan.Manifest.Outputs, name(p.old)), find(c.now.plan.Manifest.Outputs, name(p.now))
}

func (c *comparison) output() {
	for _, p := range c.pairs {
		old, now := c.ports(p)
		output := fmt.Sprintf("output %q", name(p.now))
		if now.Len() != old.Len() {
			c.say(p.way(moreIf(now.Len() > old.Len())), "%s has %d elements, it had %d", output, now.Len(), old.Len())
		}
		if now.Elem != old.Elem {
			c.say(p.way(moreIf(now.Elem != "bool")), "%s is %s, it was %s", output, now.Elem, old.Elem)
		}
		if now.Lo != old.Lo || now.Hi != old.Hi {
			c.say(p.way(moreIf(now.Lo < old.Lo || now.Hi > old.Hi)), "%s lies in %g..%g, it was %g..%g", output, now.Lo, now.Hi, old.Lo, old.Hi)
		}
		if now.Bits != old.Bits {
			c.say(p.way(moreIf(now.Bits > old.Bits)), "%s has %d bits, it had %d", output, now.Bits, old.Bits)
		}
		if now.Scale != old.Scale {
			c.say(p.way(moreIf(now.Scale > old.Scale)), "%s has %d fraction bits, it had %d", output, now.Scale, old.Scale)
		}
	}
}

// accuracy compares how close outputs are to the exact ones. A coarser one counts as more: more error is allowed.
func (c *comparison) accuracy() {
	a, b := &c.old.plan.Manifest, &c.now.plan.Manifest
	if a.Precision != b.Precision {
		c.say(moreIf(b.Precision > a.Precision), "functions are approximated within %g, it was %g", b.Precision, a.Precision)
	}
	find := func(list []plan.Accuracy, name string) plan.Accuracy {
		for _, x := range list {
			if x.Output == name {
				return x
			}
		}
		return plan.Accuracy{}
	}
	sure := []string{"measured", "guarded", "proved", "exact"}
	for _, p := range c.pairs {
		x, y := find(a.Accuracy, name(p.old)), find(b.Accuracy, name(p.now))
		if x.State != y.State {
			c.say(moreIf(slices.Index(sure, y.State) < slices.Index(sure, x.State)), "the error of output %q is %s, it was %s", name(p.now), y.State, x.State)
		}
		if x.Atol != y.Atol || x.Rtol != y.Rtol {
			c.say(moreIf(y.Atol > x.Atol || y.Rtol > x.Rtol), "output %q is within %g + %g*|exact|, it was %g + %g*|exact|", name(p.now), y.Atol, y.Rtol, x.Atol, x.Rtol)
		}
	}
}

func (c *comparison) holders() {
	for _, r := range c.now.Parties {
		if !slices.Contains(c.old.Parties, r) {
			c.say(More, "%s holds shares of all data now: it must not collude with all the other parties", r)
		}
	}
	for _, r := range c.old.Parties {
		if !slices.Contains(c.now.Parties, r) {
			c.say(Less, "%s holds no shares any more; %d of %d parties may collude, it was %d of %d", r, len(c.now.Parties)-1, len(c.now.Parties), len(c.old.Parties)-1, len(c.old.Parties))
		}
	}
}

func (c *comparison) material() {
	if c.old.Dealer != c.now.Dealer {
		c.say(More, "the dealer is %s, it was %s: it sees no data, and must not collude with any party", c.now.Dealer, c.old.Dealer)
	}
}

// terms compares what owners' policies ask of every run.
func (c *comparison) terms() {
	before, after := guards(c.old.plan), guards(c.now.plan)
	owners := map[string]bool{}
	for _, r := range append(slices.Clone(c.old.Policies), c.now.Policies...) {
		owners[r.Owner] = true
	}
	for _, o := range sortedKeys(owners) {
		g, h := before[o], after[o]
		if g.MaxRuns != h.MaxRuns {
			c.sayOf("runs", moreIf(h.MaxRuns == 0 || g.MaxRuns != 0 && h.MaxRuns > g.MaxRuns), "%s allows %s, it allowed %s", o, atMost(h.MaxRuns, "run"), atMost(g.MaxRuns, "run"))
		}
		if g.MinBatch != h.MinBatch {
			c.sayOf("rows", moreIf(h.MinBatch < g.MinBatch), "%s asks for %d rows a run at least, it asked for %d", o, h.MinBatch, g.MinBatch)
		}
		for _, b := range []struct {
			what, unit string
			g, h       int
		}{{"runs", "run a month", g.PerMonth, h.PerMonth}, {"rows", "row in all runs", g.MaxRows, h.MaxRows}, {"rows", "row a run", g.MaxBatch, h.MaxBatch}} {
			if b.g != b.h {
				unit, rest, _ := strings.Cut(b.unit, " ")
				c.sayOf(b.what, moreIf(b.h == 0 || b.g != 0 && b.h > b.g), "%s allows %s %s, it allowed %s", o, atMost(b.h, unit), rest, atMost(b.g, unit))
			}
		}
		if !sameSet(g.Purpose, h.Purpose) {
			c.sayOf("purpose", moreIf(len(h.Purpose) == 0 || len(g.Purpose) > 0 && slices.ContainsFunc(h.Purpose, func(k string) bool { return !slices.Contains(g.Purpose, k) })), "%s's data is for %s, it was for %s", o, purposes(h.Purpose), purposes(g.Purpose))
		}
		if g.Expires != h.Expires {
			c.sayOf("expiry", moreIf(h.Expires == 0 || g.Expires != 0 && h.Expires > g.Expires), "%s lets it run until %s, it was %s", o, until(h.Expires), until(g.Expires))
		}
		if now, was := max(1, h.AtLeast), max(1, g.AtLeast); now != was && len(g.Approve) > 0 && len(h.Approve) > 0 {
			c.sayOf("approval", moreIf(now < was), "%s wants the approval of %s, it wanted that of %s", o, approvers(h.Approve, h.AtLeast), approvers(g.Approve, g.AtLeast))
		}
		if !sameSet(g.Models, h.Models) {
			more := len(h.Models) == 0 || len(g.Models) > 0 && slices.ContainsFunc(h.Models, func(k string) bool { return !slices.Contains(g.Models, k) })
			c.sayOf("weights", moreIf(more), "%s wants weights of others bound by %s, it wanted %s", o, orAny(h.Models), orAny(g.Models))
		}
		if !sameSet(g.Approve, h.Approve) {
			more := len(h.Approve) == 0 || len(g.Approve) > 0 && slices.ContainsFunc(h.Approve, func(k string) bool { return !slices.Contains(g.Approve, k) })
			c.sayOf("approval", moreIf(more), "%s wants the approval of %s, it wanted that of %s", o, anyOf(h.Approve), anyOf(g.Approve))
		}
		if g.Silent != h.Silent {
			c.sayOf("ranges", moreIf(g.Silent), "ranges and formats derive from %s's data: %v, it was %v", o, !h.Silent, !g.Silent)
		}
	}
}

// purposes renders what data is for.
func purposes(p []string) string {
	if len(p) == 0 {
		return "no stated purpose"
	}
	return strings.Join(p, ", ")
}

// guards returns what a plan's policies ask of every run, by owner.
func guards(p *plan.Plan) map[string]plan.Guard {
	out := map[string]plan.Guard{}
	for _, g := range p.Manifest.Guards {
		out[g.Owner] = g
	}
	return out
}

func atMost(n int, what string) string {
	switch n {
	case 0:
		return "any number of " + what + "s"
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func until(t int64) string {
	if t == 0 {
		return "unlimited"
	}
	return expiry(t)
}

func anyOf(keys []string) string {
	if len(keys) == 0 {
		return "nobody"
	}
	return strings.Join(keys, " or ")
}

func (c *comparison) policy() {
	was := map[string]Policy{}
	for _, r := range c.old.Policies {
		was[r.Owner] = r
	}
	for _, r := range c.now.Policies {
		switch o, known := was[r.Owner]; {
		case r.File == defaultPolicy && known && o.File != defaultPolicy:
			c.say(More, "%s has no policy any more: the default of the command line allows what the plan reveals", r.Owner)
		case o.Digest != r.Digest:
			c.say(Other, "the policy of %s has changed", r.Owner)
		}
		delete(was, r.Owner)
	}
	for _, o := range sortedKeys(was) {
		c.say(Other, "the policy of %s no longer speaks in this plan: it provides nothing", o)
	}
}

// defaultPolicy is the file name of the policy of an owner that has none.
const defaultPolicy = "default"

// inputs compares what owners are asked for. An input under another name may be other data, and counts as more if it reaches others.
func (c *comparison) inputs() {
	for _, r := range c.renamed {
		w := Other
		if r[0].Op == ir.OpInput && slices.ContainsFunc(c.now.graph.Main().Reveals(), func(v *ir.Value) bool {
			return len(toldOthers(v)) > 0 && slices.Contains(sourcesOf(v), r[1])
		}) {
			w = More
		}
		c.say(w, "%s %q of %s is called %q now: ask whether it is the same data", r[0].Op, name(r[0]), r[0].Attrs.Str("owner"), name(r[1]))
	}
	ports := func(r *Report) map[string]Port {
		out := map[string]Port{}
		for _, p := range r.Provides {
			out[fmt.Sprintf("%s %q of %s", p.Kind, p.Name, p.Owner)] = p
		}
		return out
	}
	was, is := ports(c.old), ports(c.now)
	renamed := map[string]bool{}
	for _, r := range c.renamed {
		for _, v := range r {
			renamed[fmt.Sprintf("%s %q of %s", v.Op, name(v), v.Attrs.Str("owner"))] = true
		}
	}
	for _, k := range sortedKeys(is) {
		a, ok := was[k]
		b := is[k]
		switch {
		case !ok && !renamed[k]:
			c.say(Other, "%s is new (%s)", k, b.Type)
		case ok && a.Type != b.Type:
			c.say(Other, "%s is %s, it was %s", k, b.Type, a.Type)
		}
		if ok && (a.Lo != b.Lo || a.Hi != b.Hi) {
			c.say(Other, "%s lies in %g..%g, it was %g..%g", k, b.Lo, b.Hi, a.Lo, a.Hi)
		}
	}
	for _, k := range sortedKeys(was) {
		if _, ok := is[k]; !ok && !renamed[k] {
			c.say(Other, "%s is no longer asked for", k)
		}
	}
}

func (c *comparison) plan() {
	a, b := &c.old.plan.Manifest, &c.now.plan.Manifest
	if a.Source != b.Source {
		same := !slices.ContainsFunc(c.pairs, func(p pair) bool { return c.digests[p.old] != c.digests[p.now] })
		if n := len(c.pairs); same && n == len(a.Outputs) && n == len(b.Outputs) {
			c.say(Other, "the graph has changed; every output is the same function of the same data")
		} else {
			c.say(Other, "the graph has changed")
		}
	}
	if a.Compiler != b.Compiler {
		c.say(Other, "compiled by %s, it was %s", b.Compiler, a.Compiler)
	}
	if len(c.Changes) == 0 && c.Old != c.New {
		c.say(Other, "formats, protocols, cost or places in the source differ, and nothing that is compared above")
	}
}
