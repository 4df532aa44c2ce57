package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Change is a way in which one policy allows more, or less, than another.
type Change struct {
	More bool
	Text string
	At   string // file:line in the policy that allows it, or in the new one
}

// Diff lists in which ways policy now allows more or less than policy old. A rule that an old one covers, whatever its words, is no news.
func Diff(old, now *Policy) (out []Change) {
	add := func(more bool, at, format string, args ...any) {
		out = append(out, Change{more, fmt.Sprintf(format, args...), at})
	}
	if old.Owner != now.Owner {
		add(true, now.At("owner"), "it is the policy of %s, it was that of %s", now.Owner, old.Owner)
	}
	for _, r := range uncovered(now, old) {
		add(true, now.RuleAt(r), "%s", r)
	}
	for _, r := range uncovered(old, now) {
		add(false, old.RuleAt(r), "%s", r)
	}
	for _, b := range []struct {
		key, what string
		old, now  int
	}{{"max_batch", "rows a run", old.MaxBatch, now.MaxBatch}, {"max_rows", "rows in all runs", old.MaxRows, now.MaxRows}, {"max_runs", "runs", old.MaxRuns, now.MaxRuns}, {"runs_per_month", "runs a month", old.PerMonth, now.PerMonth}} {
		if b.old != b.now {
			add(b.now == 0 || b.old != 0 && b.now > b.old, now.At(b.key), "%s %s, before %s", number(b.now), b.what, number(b.old))
		}
	}
	if old.MinBatch != now.MinBatch {
		add(now.MinBatch < old.MinBatch, now.At("min_batch"), "at least %d rows a run, before %d", now.MinBatch, old.MinBatch)
	}
	if !old.Expires.Equal(now.Expires) {
		add(now.Expires.IsZero() || !old.Expires.IsZero() && now.Expires.After(old.Expires), now.At("expires"), "it ends %s, before %s", day(now.Expires), day(old.Expires))
	}
	for _, l := range []struct {
		key, what, none string
		old, now        []string
	}{{"compute", "shares may be held by", "anybody", old.Compute, now.Compute}, {"dealer", "randomness may come from", "anybody", old.Dealers, now.Dealers},
		{"approve", "plans need the approval of one of", "nobody", old.Approve, now.Approve}, {"purpose", "the data is for", "any purpose", old.Purpose, now.Purpose}} {
		extra := func(a, b []string) bool {
			return len(b) > 0 && (len(a) == 0 || slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) }))
		}
		more, less := extra(l.now, l.old), extra(l.old, l.now)
		if more || less {
			add(more, now.At(l.key), "%s %s, before %s", l.what, orNone(l.now, l.none), orNone(l.old, l.none))
		}
	}
	if old.Validity != now.Validity {
		add(now.Validity == "allow" || old.Validity == "deny", now.At("validity"), "whether receivers are told that an output was withheld: %s, before %s", cmp.Or(now.Validity, "as rules say"), cmp.Or(old.Validity, "as rules say"))
	}
	if old.Protocol != now.Protocol {
		add(slices.Index(protocols, now.Protocol) < slices.Index(protocols, old.Protocol), now.At("protocol"), "the protocol must be %s at least, before %s", now.Protocol, old.Protocol)
	}
	if old.Publishes() != now.Publishes() {
		add(now.Publishes(), now.At("public"), "ranges and formats may derive from the data: %v, before %v", now.Publishes(), old.Publishes())
	}
	return out
}

// uncovered returns the rules of p that no rule of by covers for each of their receivers, with the receivers for which it is so.
func uncovered(p, by *Policy) (out []Rule) {
	for _, r := range p.Allow {
		var to []string
		for _, who := range r.To {
			if !slices.ContainsFunc(by.Allow, func(o Rule) bool { return slices.Contains(o.To, who) && o.covers(r) }) {
				to = append(to, who)
			}
		}
		if len(to) > 0 {
			r.To = to
			out = append(out, r)
		}
	}
	return out
}

// covers reports whether all that r lets pass passes by the rule too, receivers apart.
func (o Rule) covers(r Rule) bool {
	within := func(most, n int) bool { return most == 0 || n > 0 && n <= most }
	if o.Output != "*" && o.Output != r.Output || !within(o.MaxBits, r.MaxBits) || !within(o.MaxValues, r.MaxValues) {
		return false
	}
	if len(o.From) > 0 && (len(r.From) == 0 || slices.ContainsFunc(r.From, func(f string) bool { return !o.includes(f) })) {
		return false
	}
	switch {
	case o.As == Any:
		return true
	case o.As != r.As:
		return false
	case o.As == Rounded:
		return r.Digits <= o.Digits
	case o.As == Aggregate:
		return r.MinRows >= o.MinRows && (r.MinGroup == 0 || o.MinGroup > 0 && r.MinGroup >= o.MinGroup)
	}
	return true
}

// includes reports whether one entry of the rule's from holds an entry.
func (o Rule) includes(entry string) bool {
	s, err := ParseSource(entry)
	return err == nil && slices.ContainsFunc(o.From, func(f string) bool {
		t, err := ParseSource(f)
		return err == nil && t.Name == s.Name && (t.Hi == 0 || s.Hi > 0 && t.Lo <= s.Lo && s.Hi <= t.Hi)
	})
}

func number(n int) string {
	if n == 0 {
		return "any number of"
	}
	return fmt.Sprintf("at most %d", n)
}

func day(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return "at " + t.Format(time.RFC3339)
}

func orNone(s []string, none string) string {
	if len(s) == 0 {
		return none
	}
	return strings.Join(s, ", ")
}
