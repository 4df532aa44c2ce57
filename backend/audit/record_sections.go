package audit

import (
	"cmp"
	"fmt"
	"strings"
)

// A section is a part of a record as people read it.
type section struct {
	Title string
	Text  []string
	Head  []string
	Rows  [][]string
	List  []string
}

// sections lays a record out after article 35(7) of the General Data Protection Regulation: (a) what is done and why, (b) whether it is necessary and
// proportionate, (c) the risks, (d) the measures; then the statement that each receiver gets no more than it needs, hashes, and lines to sign.
func (x *Record) sections() []section {
	s, r := &x.Statement, x.Audit
	said := func(t string) string { return cmp.Or(strings.TrimSpace(t), "not said yet") }
	out := []section{
		{Title: "Summary", Rows: [][]string{
			{"verdict", x.Verdict}, {"computation", r.Name}, {"plan", r.PlanDigest}, {"findings", tally(r.Findings)}, {"reviewer", said(s.Reviewer)}, {"made on", x.Made}, {"next review", said(s.NextReview)},
		}},
		{Title: "(a) The processing and its purposes", Rows: [][]string{
			{"purpose", said(s.Purpose)}, {"legal basis", said(s.LegalBasis)}, {"controllers", said(strings.Join(s.Controllers, ", "))}, {"roles", strings.Join(r.Parties, ", ") + " compute; " + r.Dealer + " deals randomness and sees no data"}, {"retention", said(s.Retention)},
		}},
	}
	data := section{Title: "Data and persons", Head: []string{"owner", "what", "type", "categories of data", "persons"}}
	for _, p := range r.Provides {
		d := s.Data[p.Name]
		kinds, persons := said(strings.Join(d.Categories, ", ")), said(d.Persons)
		if _, told := s.Data[p.Name]; !told && p.Kind == "weight" {
			kinds, persons = "a model's parameters", "none"
		}
		data.Rows = append(data.Rows, []string{p.Owner, p.Kind + " " + p.Name, p.Type, kinds, persons})
	}
	need := section{Title: "(b) Necessity and proportionality", Text: []string{said(s.Necessity)}, Head: []string{"receiver", "learns", "type", "allowed by", "why it is needed"}}
	for _, g := range r.groups() {
		need.Rows = append(need.Rows, []string{g.Receivers, g.Output, g.Type, strings.Join(g.Because, "; "), said(s.Outputs[g.Output])})
	}
	risks := section{Title: "(c) Risks, and what was decided", Head: []string{"severity", "finding", "decision", "reason", "by"}}
	for _, f := range r.Findings {
		d := s.Decisions[f.ID()]
		if d == nil {
			d = &Decision{Decision: "open", Reason: "to do: " + f.Do}
		}
		risks.Rows = append(risks.Rows, []string{string(f.Severity), f.Text + " [" + f.ID() + "]", d.Decision, d.Reason, d.By})
	}
	risks.Text = []string{"Residual risk: " + said(s.Residual)}
	for _, line := range r.inferences() {
		risks.List = append(risks.List, "computed from the plan: "+line)
	}
	if len(r.Findings) == 0 {
		risks.Text, risks.Head = append(risks.Text, "There are no findings."), nil
	}
	measures := section{Title: "(d) Measures", Text: []string{"Verified: " + r.Verified + "."}, List: r.Trust}
	for _, g := range r.Guards {
		for _, line := range g.sentences() {
			measures.List = append(measures.List, "servers refuse a run unless it keeps what "+g.Owner+" asks for: "+line)
		}
	}
	least := section{Title: "Minimum necessary", Text: []string{
		"Each receiver gets the outputs that are listed under (b) and no other message that is not masked. Nobody gets an input of another; of other data all roles learn what is listed here.",
	}, List: r.Public}
	hashes := section{Title: "Hashes", Head: []string{"of", "SHA-256"}, Rows: [][]string{{"plan", r.PlanDigest}, {"graph", r.SourceDigest}}}
	for _, p := range r.Policies {
		hashes.Rows = append(hashes.Rows, []string{fmt.Sprintf("policy of %s (%s)", p.Owner, p.File), p.Digest})
	}
	hashes.Rows = append(hashes.Rows, []string{"what this record says", x.Digest}, []string{"previous record " + s.Previous, cmp.Or(x.Previous, "none")})
	sign := section{Title: "Signatures", Head: []string{"for", "name", "date", "signature"}}
	for _, w := range append(append([]string{}, s.Signatures...), "reviewer: "+said(s.Reviewer)) {
		sign.Rows = append(sign.Rows, []string{w, "", "", ""})
	}
	out = append(out, data, need, risks, measures, least)
	if len(x.Missing) > 0 {
		out = append(out, section{Title: "Not said yet", List: x.Missing})
	}
	return append(out, hashes, sign)
}
