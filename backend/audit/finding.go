package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"smpcc/backend/plan"
	"smpcc/ir"
)

// A Severity says how much a finding matters to a decision.
type Severity string

// The severities.
const (
	High   Severity = "high"   // decide about this before anything runs
	Medium Severity = "medium" // somebody should have a reason for it
	Low    Severity = "low"    // to know
)

// Severities lists the severities, highest first.
var Severities = []Severity{High, Medium, Low}

// A Finding is something that an auditor decides about.
type Finding struct {
	Rule     string   `json:"rule"` // the name of a row of Rules
	Severity Severity `json:"severity"`
	Key      string   `json:"key"` // what it is about; with the rule it names the finding, the same from plan to plan
	Text     string   `json:"text"`
	Do       string   `json:"do"`

	output string // whose place in the source is meant, "" for none
	node   string // the place itself, where it is a node
}

// ID names the finding: a record's decisions refer to it.
func (f Finding) ID() string { return f.Rule + ":" + f.Key }

// A Rule is a kind of finding.
type Rule struct {
	Name     string
	Severity Severity // of most
	Short    string
	Do       string
	find     func(*Report) []Finding
}

// Rules are the kinds of findings. What an auditor knows besides the plan comes from Options.
var Rules = []Rule{
	{"expired", High, "A policy has expired", "Have the owner write a new policy; servers refuse every run.", (*Report).expired},
	{"policy-differs", High, "A policy is not the one that the plan was compiled under", "Compile again under the policy that holds: the owner's server refuses this plan.", (*Report).policyDiffers},
	{"one-operator", High, "One organisation runs roles that must not collude", "Let another organisation run one of them, or have the owners agree to it in writing.", (*Report).oneOperator},
	{"model-computable", High, "A receiver can compute another's weights", "Allow fewer runs than it takes (max_runs) or fewer rows a run, reveal less (rounded, an arg-max, a comparison), or decide that the model may be known.", (*Report).modelComputable},
	{"data-computable", Medium, "A receiver can compute another's data from its own", "Let more owners take part in the sum, reveal less (a comparison, fewer digits), or decide that the receiver may know the data.", (*Report).dataComputable},
	{"default-policy", Medium, "An owner has no policy file", "Write one and give --policy FILE. Servers have no default: an owner's server without a policy does not start.", (*Report).defaultPolicy},
	{"dead-rule", Medium, "A rule of a policy matches nothing in the plan", "Look for a misspelt output, receiver or input; remove the rule if nothing else needs it.", (*Report).deadRule},
	{"weights-not-bound", Medium, "Nothing binds weights to what was approved", "Have their owner commit to them, and name the commitment beside the approval: other weights make another function of the same plan.", (*Report).weightsNotBound},
	{"run-limit", Medium, "Nothing limits the number of runs", "Write max_runs into the policy: every run tells something.", (*Report).runLimit},
	{"range-not-proved", Medium, "Ranges are assumed or come from samples", "Results are wrong if a value leaves its range, and whoever sees them may notice. Declare input ranges, or refuse with --strict-range.", (*Report).rangeNotProved},
	{"row-difference", Medium, "Runs over tables that differ in one row give this row away", "Allow one run for each table (max_runs: 1), or have the owner see to it that tables do not change by few rows between runs.", (*Report).rowDifference},
	{"exact-product", Medium, "An output is an exact product of others' numbers", "Whole numbers have few divisors, and 0 tells that one of them is 0: reveal a sum of products or a comparison.", (*Report).exactProduct},
	{"output-measured", Low, "An output's error was measured, not proved", "It kept its tolerance in the runs that are stated. Declare narrower input ranges for a proof, or ask for less.", (*Report).outputMeasured},
	{"expiry", Low, "A policy has no end", "Write expires into the policy, so that somebody looks again.", (*Report).expiry},
}

// A PolicyFile is a policy as it stands now, for comparison with the one that the plan was compiled under.
type PolicyFile struct {
	Owner, File, Digest string
	Rules               []PolicyRule
}

// A PolicyRule is a rule of a policy, as far as it says what it is about.
type PolicyRule struct {
	Output string // "*" for every one
	To     []string
	From   []string // none for all inputs and weights of the owner
	Line   int
}

// Options are what an auditor knows besides the plan.
type Options struct {
	Now       time.Time         // zero: nothing is said about expiry
	Policies  []PolicyFile      // as they stand now
	Operators map[string]string // role -> who runs it
	View      string            // the role whose view is asked for; "" for none
	Bound     map[string]string // owner of weights -> what they are bound by, in words
}

// findings lists what there is to decide, highest severity first.
func (r *Report) findings() []Finding {
	out := []Finding{}
	for _, rule := range Rules {
		for _, f := range rule.find(r) {
			f.Rule, f.Do = rule.Name, cmp.Or(f.Do, rule.Do)
			if f.Severity == "" {
				f.Severity = rule.Severity
			}
			out = append(out, f)
		}
	}
	slices.SortStableFunc(out, func(a, b Finding) int { return rank(a.Severity) - rank(b.Severity) })
	return out
}

func rank(s Severity) int { return slices.Index(Severities, s) }

// AtLeast lists the findings of a severity or a higher one.
func (r *Report) AtLeast(s Severity) (out []Finding) {
	for _, f := range r.Findings {
		if rank(f.Severity) <= rank(s) {
			out = append(out, f)
		}
	}
	return out
}

// concerned lists the owners whose data others learn something of.
func (r *Report) concerned() (out []string) {
	for _, o := range r.plan.Manifest.Roster() {
		if slices.ContainsFunc(r.Flows, func(f Flow) bool {
			return f.Owner == o && slices.ContainsFunc(f.To, func(to string) bool { return to != o })
		}) {
			out = append(out, o)
		}
	}
	return out
}

// byDefault reports whether the owner has no policy file.
func (r *Report) byDefault(owner string) bool {
	return slices.ContainsFunc(r.Policies, func(p Policy) bool { return p.Owner == owner && p.File == defaultPolicy })
}

// owners returns one finding about the owners for whom a guard lacks something; those without a policy are spoken of elsewhere.
func (r *Report) owners(lacks func(plan.Guard) bool, format string) (out []Finding) {
	g := guards(r.plan)
	var who []string
	for _, o := range r.concerned() {
		if !r.byDefault(o) && lacks(g[o]) {
			who = append(who, o)
		}
	}
	if len(who) == 0 {
		return nil
	}
	return []Finding{{Key: strings.Join(who, ","), Text: fmt.Sprintf(format, and(who))}}
}

func (r *Report) runLimit() []Finding {
	return r.owners(func(g plan.Guard) bool { return g.MaxRuns == 0 }, "the policy of %s allows any number of runs")
}

func (r *Report) expiry() []Finding {
	return r.owners(func(g plan.Guard) bool { return g.Expires == 0 }, "the policy of %s never expires")
}

func (r *Report) expired() (out []Finding) {
	for _, g := range r.plan.Manifest.Guards {
		if !r.opt.Now.IsZero() && g.Expires != 0 && r.opt.Now.Unix() >= g.Expires {
			out = append(out, Finding{Key: g.Owner, Text: fmt.Sprintf("the policy of %s expired at %s", g.Owner, expiry(g.Expires))})
		}
	}
	return out
}

func (r *Report) defaultPolicy() (out []Finding) {
	for _, p := range r.Policies {
		if p.File == defaultPolicy {
			out = append(out, Finding{Key: p.Owner, Text: fmt.Sprintf("%s has no policy file: the default of the command line allows what is revealed, for any number of runs, without an end and without approval", p.Owner)})
		}
	}
	return out
}

// policyOf returns the policy of an owner that the plan was compiled under.
func (r *Report) policyOf(owner string) (Policy, bool) {
	i := slices.IndexFunc(r.Policies, func(p Policy) bool { return p.Owner == owner })
	if i < 0 {
		return Policy{}, false
	}
	return r.Policies[i], true
}

func (r *Report) policyDiffers() (out []Finding) {
	for _, p := range r.opt.Policies {
		if was, ok := r.policyOf(p.Owner); ok && was.Digest != p.Digest {
			out = append(out, Finding{Key: p.Owner, Text: fmt.Sprintf("the policy of %s is %s, sha-256 %.16s; the plan was compiled under %s, sha-256 %.16s", p.Owner, p.File, p.Digest, was.File, was.Digest)})
		}
	}
	return out
}

func (r *Report) deadRule() (out []Finding) {
	for _, p := range r.opt.Policies {
		for _, rule := range p.Rules {
			alive := slices.ContainsFunc(r.Flows, func(f Flow) bool {
				return f.Owner == p.Owner && (rule.Output == "*" || rule.Output == f.Output) && (len(rule.From) == 0 || slices.Contains(rule.From, f.Source)) &&
					slices.ContainsFunc(rule.To, func(to string) bool { return slices.Contains(f.To, to) })
			})
			if !alive {
				out = append(out, Finding{Key: fmt.Sprintf("%s:%d", p.File, rule.Line), Text: fmt.Sprintf("%s:%d: the rule for output %q to %s matches nothing that this plan reveals of %s", p.File, rule.Line, rule.Output, strings.Join(rule.To, ", "), p.Owner)})
			}
		}
	}
	return out
}

func (r *Report) oneOperator() (out []Finding) {
	roles := r.plan.Roles()
	for i, a := range roles {
		for _, b := range roles[:i] {
			who := r.opt.Operators[a]
			if who == "" || r.opt.Operators[b] != who {
				continue
			}
			text := fmt.Sprintf("%s runs both %s and %s: it could put their shares together", who, b, a)
			if a == r.Dealer {
				text = fmt.Sprintf("%s runs the dealer %s and the party %s: who knows all masks and sees what is opened reads every number", who, a, b)
			}
			out = append(out, Finding{Key: b + "," + a, Text: text})
		}
	}
	return out
}

// modelComputable tells of weights that a receiver of outputs can solve for, and of those of which it gets as many equations as they have numbers.
func (r *Report) modelComputable() (out []Finding) {
	for _, x := range r.Inference {
		allowed := atMost(x.Allowed, "run") + " are allowed"
		if x.Allowed == 1 {
			allowed = "1 run is allowed"
		}
		done := map[string]bool{}
		for _, c := range x.Computes {
			if k := x.Receiver + ":" + c.Owner; c.Kind == "weight" && !done[k] {
				done[k] = true
				n, of, runs := 0, 0, 0
				for _, y := range x.Computes {
					if y.Kind == "weight" && y.Owner == c.Owner {
						n, of, runs = n+y.Elements, of+y.Of, max(runs, y.Runs)
					}
				}
				out = append(out, Finding{Key: k, output: x.Outputs[0], Text: fmt.Sprintf("%s can compute %s of the weights of %s %s, but for rounding; %s", x.Receiver, allOf(n, of), c.Owner, afterRuns(runs), allowed)})
			}
		}
		if x.Counted && x.AfterRuns == x.Unknowns {
			out = append(out, Finding{Key: x.Receiver, Severity: Medium, output: x.Outputs[0], Text: fmt.Sprintf("output %s is linear in %d numbers of others, and %s of %d equations reach that: %s may be able to compute them; %s", strings.Join(x.Outputs, ", "), x.Unknowns, atMost(x.Runs, "run"), x.Equations, x.Receiver, allowed)})
		}
	}
	return out
}

// allOf says how many of so many.
func allOf(n, of int) string {
	if n == of {
		return fmt.Sprintf("all %d numbers", of)
	}
	return fmt.Sprintf("%d of %d numbers", n, of)
}

// dataComputable tells of others' inputs that a receiver can compute, and that are no output themselves.
func (r *Report) dataComputable() (out []Finding) {
	for _, x := range r.Inference {
		for _, c := range x.Computes {
			if c.Kind != "input" || r.plainly(c, x.Receiver) {
				continue
			}
			out = append(out, Finding{Key: x.Receiver + ":" + c.Owner + ":" + c.Source, output: x.Outputs[0],
				Text: fmt.Sprintf("%s can compute %s of input %q of %s %s, from %s and what it knows itself", x.Receiver, allOf(c.Elements, c.Of), c.Source, c.Owner, afterRuns(c.Runs), strings.Join(x.Outputs, ", "))})
		}
	}
	return out
}

// plainly reports whether an output is the data itself, or what only moves it: then it is no secret that the receiver knows it.
func (r *Report) plainly(c Computed, to string) bool {
	return slices.ContainsFunc(r.graph.Main().Reveals(), func(v *ir.Value) bool {
		for x := v.Args[0]; ; x = x.Args[0] {
			if x.Op == ir.OpInput {
				return name(x) == c.Source && x.Attrs.Str("owner") == c.Owner && slices.Contains(v.Attrs.Strings("to"), to)
			}
			if len(x.Args) != 1 || !ir.Rows[x.Op].View {
				return false
			}
		}
	})
}

// weightsNotBound tells of owners of weights who have not committed to them. It is high where they learn what derives from another's input: by the choice
// of weights they choose what they learn.
func (r *Report) weightsNotBound() (out []Finding) {
	for _, o := range r.Parties {
		n := 0
		for _, p := range r.Provides {
			if p.Owner == o && p.Kind == "weight" {
				n++
			}
		}
		if n == 0 || r.opt.Bound[o] != "" {
			continue
		}
		f := Finding{Key: o, Text: fmt.Sprintf("nothing binds the weights of %s, of which there are %d: the digest holds none, and others can take their place", o, n)}
		if slices.ContainsFunc(r.Flows, func(w Flow) bool { return w.Kind == "input" && w.Owner != o && slices.Contains(w.To, o) }) {
			f.Severity = High
			f.Text += fmt.Sprintf("; %s learns an output and can choose weights that make it a column of another's input", o)
		}
		out = append(out, f)
	}
	return out
}

func (r *Report) rangeNotProved() []Finding {
	if len(r.Assumed) == 0 {
		return nil
	}
	counts := []string{}
	for _, x := range r.Ranges {
		if x.Origin != "proved" {
			counts = append(counts, fmt.Sprintf("%d %s", x.Count, x.Origin))
		}
	}
	i := slices.IndexFunc(r.PublicRanges, func(x Range) bool { return x.Origin != "proved" })
	x := r.PublicRanges[i]
	return []Finding{{Key: "plan", node: x.Node, Text: fmt.Sprintf("of %d ranges %s; the first is %s, taken to lie in %g..%g (%s)", len(r.PublicRanges), strings.Join(counts, " and "), x.Value, x.Lo, x.Hi, x.Node)}}
}

func (r *Report) outputMeasured() (out []Finding) {
	for _, x := range r.Accuracy {
		if x.State == "measured" {
			out = append(out, Finding{Key: x.Output, output: x.Output, Text: fmt.Sprintf("output %q is %s; not proved: %s", x.Output, x.Words, x.Why)})
		}
	}
	return out
}

// rowDifference tells of sums over rows, with no arg-max of them, that may run more than once.
func (r *Report) rowDifference() (out []Finding) {
	g := guards(r.plan)
	seen := map[string]bool{}
	for _, f := range r.Flows {
		k := f.Output + ":" + f.Owner
		others := slices.ContainsFunc(f.To, func(to string) bool { return to != f.Owner })
		if f.Kind != "input" || !strings.HasPrefix(f.Form, "rows>=") || !others || g[f.Owner].MaxRuns == 1 || seen[k] {
			continue
		}
		seen[k] = true
		out = append(out, Finding{Key: k, output: f.Output, Text: fmt.Sprintf("output %q is a sum over rows of %s, and %s may run on it: two runs whose tables differ in one row tell this row", f.Output, f.Owner, atMost(g[f.Owner].MaxRuns, "run"))})
	}
	return out
}

// exactProduct tells of outputs that are a product of whole numbers of two others, or of one other with itself.
func (r *Report) exactProduct() (out []Finding) {
	for _, v := range r.graph.Main().Reveals() {
		x := v.Args[0]
		for len(x.Args) == 1 && ir.Rows[x.Op].View {
			x = x.Args[0]
		}
		if x.Op != ir.OpMul || x.Type.Elem != ir.Int {
			continue
		}
		for _, to := range v.Attrs.Strings("to") {
			if news(x.Args[0], to) && news(x.Args[1], to) {
				out = append(out, Finding{Key: name(v) + ":" + to, output: name(v), Text: fmt.Sprintf("output %q to %s is exactly %s, a product of whole numbers that %s does not know", name(v), to, formula(v), to)})
			}
		}
	}
	return out
}
