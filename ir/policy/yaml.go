package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"smpcc/ir/diag"
)

// A reader reads a policy from its syntax tree rather than into a struct, so that every mistake has its line, all are
// reported at once, and YAML's conveniences that hide what a file says (anchors, merges, tags) are refused.
type reader struct {
	file string
	errs diag.List
}

// A node is a value in the tree with the line of its key.
type node struct {
	ast.Node
	keyLine int
}

// line returns the line where the node begins.
func (n node) line() int {
	if n.Node == nil || n.GetToken() == nil {
		return max(n.keyLine, 1)
	}
	if m, ok := n.Node.(*ast.MappingNode); ok && len(m.Values) > 0 && m.Values[0].Key.GetToken() != nil { // the token of a block is the colon behind its first key
		return min(m.Values[0].Key.GetToken().Position.Line, n.GetToken().Position.Line)
	}
	return n.GetToken().Position.Line
}

func (n node) pos(file string) diag.Pos {
	p := diag.Pos{File: file, Line: n.line()}
	if n.Node != nil && n.GetToken() != nil && n.Type() != ast.MappingType && n.Type() != ast.MappingValueType {
		p.Col = n.GetToken().Position.Column
	}
	return p
}

// is reports whether the node is a mapping.
func (n node) is(kind string) bool {
	if n.Node == nil {
		return false
	}
	t := n.Type()
	return kind == "mapping" && (t == ast.MappingType || t == ast.MappingValueType)
}

func (r *reader) fail(n node, format string, args ...any) *diag.Error {
	e := diag.Errorf(n.pos(r.file), format, args...)
	r.errs = append(r.errs, e)
	return e
}

const policyShape = "a policy has version: 1, owner: PARTY and a list allow: of {output: NAME, to: [PARTY]}"

// document parses the text, which must be one document that is a mapping.
func (r *reader) document(data []byte) (node, error) {
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		e := diag.Errorf(diag.Pos{File: r.file}, "not a policy: %s", yaml.FormatError(err, false, false)).WithHint(policyShape)
		var y yaml.Error
		if errors.As(err, &y) && y.GetToken() != nil {
			e.Pos.Line, e.Pos.Col, e.Msg = y.GetToken().Position.Line, y.GetToken().Position.Column, "not a policy: "+y.GetMessage()
		}
		return node{}, e
	}
	var docs []ast.Node
	for _, d := range f.Docs {
		if d.Body != nil && d.Body.Type() != ast.CommentType {
			docs = append(docs, d.Body)
		}
	}
	switch {
	case len(docs) == 0:
		return node{}, diag.Errorf(diag.Pos{File: r.file}, "policy is empty").WithHint(policyShape)
	case len(docs) > 1:
		n := node{Node: docs[1]}
		return node{}, diag.Errorf(n.pos(r.file), "holds more than one document").WithHint("one file is one owner's policy")
	}
	n := node{Node: docs[0], keyLine: 1}
	if !n.is("mapping") {
		return node{}, diag.Errorf(n.pos(r.file), "not a policy: a %s stands where keys are wanted", strings.ToLower(n.Type().String())).WithHint(policyShape)
	}
	return n, nil
}

// fields calls set for each key of a mapping that is known; others, and those given twice, are mistakes.
func (r *reader) fields(n node, what string, known []string, set func(key string, v node)) {
	var pairs []*ast.MappingValueNode
	switch m := n.Node.(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	default:
		r.fail(n, "%s is not a mapping", what).WithHint("its keys are %s", strings.Join(known, ", "))
		return
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		at := node{Node: p.Key, keyLine: p.Key.GetToken().Position.Line}
		key := p.Key.GetToken().Value
		switch {
		case p.Key.Type() != ast.StringType:
			r.fail(at, "%s has a key that is not a plain word", what)
		case !slices.Contains(known, key):
			e := r.fail(at, "%s has the unknown key %q", what, key).WithHint("its keys are %s", strings.Join(known, ", "))
			if s := Nearest(key, known); s != "" {
				e.WithHint("did you mean %s?", s)
			}
		case seen[key]:
			r.fail(at, "%s has the key %s twice", what, key)
		default:
			seen[key] = true
			set(key, node{Node: p.Value, keyLine: at.keyLine})
		}
	}
}

// Nearest returns the known word that one or two edits turn s into, "" if there is none.
func Nearest(s string, known []string) string {
	best, at := 3, ""
	for _, k := range known {
		prev := make([]int, len(k)+1)
		for j := range prev {
			prev[j] = j
		}
		for i := range len(s) {
			next := append([]int{i + 1}, make([]int, len(k))...)
			for j := range len(k) {
				cost := 1
				if s[i] == k[j] {
					cost = 0
				}
				next[j+1] = min(prev[j]+cost, prev[j+1]+1, next[j]+1)
			}
			prev = next
		}
		if d := prev[len(k)]; d < best {
			best, at = d, k
		}
	}
	return at
}

// text returns a word; numbers and booleans are not taken for words.
func (r *reader) text(n node) string {
	switch x := n.Node.(type) {
	case *ast.StringNode:
		if x.Value != "" {
			return x.Value
		}
	case *ast.LiteralNode:
		return strings.TrimSpace(x.Value.Value)
	}
	r.fail(n, "want a word").WithHint("put quotes around a name that looks like a number or is empty")
	return ""
}

func (r *reader) list(n node) []node {
	s, ok := n.Node.(*ast.SequenceNode)
	if !ok {
		r.fail(n, "want a list").WithHint("write [A, B], or one item a line behind a dash")
		return nil
	}
	var out []node
	for _, v := range s.Values {
		out = append(out, node{Node: v, keyLine: n.keyLine})
	}
	return out
}

// names returns a list of words that is not empty.
func (r *reader) names(n node) []string {
	var out []string
	for _, v := range r.list(n) {
		out = append(out, r.text(v))
	}
	if _, ok := n.Node.(*ast.SequenceNode); ok && len(out) == 0 {
		r.fail(n, "the list is empty").WithHint("leave the key away")
	}
	return out
}

func (r *reader) integer(n node) (int, bool) {
	if x, ok := n.Node.(*ast.IntegerNode); ok {
		switch v := x.Value.(type) {
		case uint64:
			if v <= 1<<53 {
				return int(v), true
			}
		case int64:
			return int(v), true
		}
	}
	r.fail(n, "want a whole number")
	return 0, false
}

func (r *reader) positive(n node) int {
	x, ok := r.integer(n)
	if ok && x < 1 {
		r.fail(n, "%d is not positive", x).WithHint("leave the key away if there is no bound")
	}
	return x
}

func (r *reader) boolean(n node) bool {
	if x, ok := n.Node.(*ast.BoolNode); ok {
		return x.Value
	}
	r.fail(n, "want true or false")
	return false
}

// time reads a day, which counts to its end, or a time.
func (r *reader) time(n node) time.Time {
	s := r.text(n)
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.AddDate(0, 0, 1).UTC()
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil && s != "" {
		r.fail(n, "%q is neither a day nor a time", s).WithHint("write 2027-06-30, the last day on which it may run, or 2027-06-30T12:00:00Z")
	}
	return t.UTC()
}

// Explain renders the policy in sentences, one a line.
func (p *Policy) Explain() []string {
	out := []string{fmt.Sprintf("This is the policy of %s (%s, sha-256 %s).", p.Owner, p.File, p.Digest)}
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if len(p.Allow) == 0 {
		add("Nothing computed from %s's data may go to anybody.", p.Owner)
	}
	for _, r := range p.Allow {
		add("%s: %s.", p.RuleAt(r), r)
	}
	add("%s itself may learn what derives from its own data only. Everything else is denied; where several owners' data meet, every one of them must allow it.", p.Owner)
	if p.Compute != nil {
		add("%s: shares of the data may be held by %s only.", p.At("compute"), strings.Join(p.Compute, ", "))
	} else {
		add("Shares of the data, which say nothing alone, may be held by any party.")
	}
	if p.Dealers != nil {
		add("%s: correlated randomness may come from %s only.", p.At("dealer"), strings.Join(p.Dealers, " or "))
	} else {
		add("Correlated randomness may come from any dealer.")
	}
	switch p.Validity {
	case "allow":
		add("%s: receivers may be told that an output was withheld because a value left its range, one bit for each output.", p.At("validity"))
	case "deny":
		add("%s: receivers are not told that a value left its range: outputs are not checked, and may be wrong then.", p.At("validity"))
	}
	add("%s: the protocol must be %s at least.", p.At("protocol"), p.Protocol)
	if len(p.Purpose) > 0 {
		add("%s: the data is for %s; plans, audits and logs carry this, and nothing can check it.", p.At("purpose"), strings.Join(p.Purpose, ", "))
	}
	if p.MinBatch > 0 {
		add("%s: each run takes at least %d rows of every input of %s.", p.At("min_batch"), p.MinBatch, p.Owner)
	}
	if p.MaxBatch > 0 {
		add("%s: each run takes at most %d rows of any input, whoever's.", p.At("max_batch"), p.MaxBatch)
	}
	if p.MaxRows > 0 {
		add("%s: at most %d rows in all runs together, of all plans under this policy; a run counts those of its largest input.", p.At("max_rows"), p.MaxRows)
	}
	if p.MaxRuns > 0 {
		add("%s: at most %d runs, of all plans under this policy together.", p.At("max_runs"), p.MaxRuns)
	}
	if p.PerMonth > 0 {
		add("%s: at most %d runs in a month of the calendar (UTC), of all plans under this policy together.", p.At("runs_per_month"), p.PerMonth)
	}
	if !p.Expires.IsZero() {
		add("%s: it ends at %s.", p.At("expires"), p.Expires.Format(time.RFC3339))
	}
	if p.Publishes() {
		add("%s: ranges, rounded up to powers of two, and formats that derive from the data may become public.", p.At("public"))
	} else {
		add("No range and no format may be chosen from the data: where none is declared, wide ones are assumed.")
	}
	switch n := len(p.Approve); {
	case n == 1:
		add("%s: each plan needs the approval of %s.", p.At("approve"), p.Approve[0])
	case n > 1 && p.AtLeast <= 1:
		add("%s: each plan needs the approval of one of %s.", p.At("approve"), strings.Join(p.Approve, ", "))
	case n > 1:
		add("%s: each plan needs the approval of at least %d of %s.", p.At("approve"), p.AtLeast, strings.Join(p.Approve, ", "))
	}
	if len(p.Models) > 0 {
		add("%s: weights of others must be bound by %s.", p.At("models"), strings.Join(p.Models, " or "))
	}
	return out
}
