package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"smpcc/ir/diag"
)

// The SARIF 2.1.0 log, as far as an audit uses it.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool      `json:"tool"`
		Results    []sarifResult  `json:"results"`
		Properties map[string]any `json:"properties,omitempty"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"semanticVersion"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string    `json:"id"`
		Short   sarifText `json:"shortDescription"`
		Help    sarifText `json:"help"`
		Default struct {
			Level string `json:"level"`
		} `json:"defaultConfiguration"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID      string            `json:"ruleId"`
		RuleIndex   int               `json:"ruleIndex"`
		Level       string            `json:"level"`
		Message     sarifText         `json:"message"`
		Locations   []sarifLocation   `json:"locations,omitempty"`
		Related     []sarifLocation   `json:"relatedLocations,omitempty"`
		Fingerprint map[string]string `json:"partialFingerprints,omitempty"`
	}
	sarifLocation struct {
		ID       int            `json:"id,omitempty"`
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
		Message  *sarifText     `json:"message,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
		Kind string `json:"kind"`
	}
)

// sarifRules are the kinds of results, in the order of their index: what is revealed, the findings, and refusals.
func sarifRules() []sarifRule {
	rule := func(id, level, short, help string) sarifRule {
		r := sarifRule{ID: id, Short: sarifText{short}, Help: sarifText{help}}
		r.Default.Level = level
		return r
	}
	out := []sarifRule{rule("reveal", "note", "Somebody learns an output", "Who learns what, and the policy lines that allow it. Not a defect: a record to compare from build to build.")}
	for _, r := range Rules {
		out = append(out, rule(r.Name, sarifLevels[r.Severity], r.Short, r.Do))
	}
	return append(out,
		rule("refused", "error", "A policy refuses", "An owner's policy does not allow this. The message shows the path of the data and which change would make it legal."),
		rule("failed", "error", "The source cannot be compiled", "The message says where and what to try."))
}

// sarifLevels are the levels of severities.
var sarifLevels = map[Severity]string{High: "error", Medium: "warning", Low: "note"}

func newSarif(version string) *sarifLog {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "smpcc audit", Version: version}}, Results: []sarifResult{}}
	run.Tool.Driver.Rules = sarifRules()
	return &sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}}
}

// add appends a finding and returns it.
func (l *sarifLog) add(rule, key, format string, args ...any) *sarifResult {
	r := sarifResult{RuleID: rule, Message: sarifText{fmt.Sprintf(format, args...)}, Fingerprint: map[string]string{"smpcc/v1": rule + ":" + key}}
	for i, x := range l.Runs[0].Tool.Driver.Rules {
		if x.ID == rule {
			r.RuleIndex, r.Level = i, x.Default.Level
		}
	}
	l.Runs[0].Results = append(l.Runs[0].Results, r)
	return &l.Runs[0].Results[len(l.Runs[0].Results)-1]
}

// sarifAt is where a position is, for SARIF.
func sarifAt(p diag.Pos) []sarifLocation {
	if p.File == "" {
		return nil
	}
	l := sarifLocation{Physical: &sarifPhysical{Artifact: sarifArtifact{strings.ReplaceAll(p.File, "\\", "/")}}}
	if p.Line > 0 {
		l.Physical.Region = &sarifRegion{p.Line, p.Col}
	}
	if p.Node != "" {
		l.Logical = []sarifLogical{{p.Node, "element"}}
	}
	return []sarifLocation{l}
}

// writeSarif writes the audit as a SARIF log: one note for each thing that somebody learns, and warnings for what rests on
// defaults or assumptions.
func writeSarif(w io.Writer, a *Report) error {
	_, version, _ := strings.Cut(a.Compiler, " ")
	l := newSarif(version)
	where := map[string]diag.Pos{}
	for _, v := range a.graph.Main().Reveals() {
		where[v.Attrs.Str("name")] = v.Pos
	}
	for _, o := range a.Learns {
		r := l.add("reveal", o.Receiver+":"+o.Output, "%s learns output %q (%s): %s", o.Receiver, o.Output, o.Type, strings.Join(o.Because, "; "))
		r.Locations = sarifAt(where[o.Output])
		for i, b := range o.Allowed {
			if b.Line > 0 {
				at := sarifAt(diag.Pos{File: b.File, Line: b.Line})[0]
				at.ID, at.Message = i+1, &sarifText{b.Owner + ": " + b.Rule}
				r.Related = append(r.Related, at)
			}
		}
	}
	for _, f := range a.Findings {
		x := l.add(f.Rule, f.Key, "%s\nto do: %s", f.Text, f.Do)
		x.Level = sarifLevels[f.Severity]
		if x.Locations = sarifAt(where[f.output]); f.node != "" {
			file, node, _ := strings.Cut(f.node, ": ")
			x.Locations = sarifAt(diag.Pos{File: file, Node: node})
		}
	}
	l.Runs[0].Properties = map[string]any{"plan_digest": a.PlanDigest, "graph_digest": a.GraphDigest, "source_digest": a.SourceDigest, "compiler": a.Compiler, "security": a.Protocol.Security}
	return l.write(w)
}

// WriteRefusal writes why a source was refused as a SARIF log, which a release of the compiler is the tool of.
func WriteRefusal(w io.Writer, version string, err error) error {
	l := newSarif(version)
	var list diag.List
	var one *diag.Error
	if !errors.As(err, &list) {
		if !errors.As(err, &one) {
			one = &diag.Error{Msg: err.Error()}
		}
		list = diag.List{one}
	}
	for _, e := range list {
		rule := "failed"
		if e.Kind == diag.Policy {
			rule = "refused"
		}
		msg := e.Msg
		if e.Hint != "" {
			msg += "\nhint: " + e.Hint
		}
		l.add(rule, e.Msg, "%s", msg).Locations = sarifAt(e.Pos)
	}
	return l.write(w)
}

func (l *sarifLog) write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(l)
}
