package audit

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"smpcc/ir/diag"
)

// A Statement is what people say about a processing, in a file beside the plan. docs/schema/record.schema.json describes it for editors.
//
//	version: 1
//	purpose: to tell the bank which applications to look at first
//	legal_basis: article 6(1)(b) GDPR
//	controllers: [Bank AG, Bureau GmbH]
//	data:
//	  input: {categories: [income, age], persons: applicants of the last year}
//	outputs:
//	  output: the score decides the order in which applications are read
//	necessity: without the scores every application would be read twice
//	retention: scores 90 days; shares are not kept
//	decisions:
//	  model-computable:p1:p0: {decision: accept, reason: the model is published anyway, by: M. Meier}
//	residual_risk: low; the bureau could be bribed
//	reviewer: M. Meier, data protection officer
//	next_review: 2027-06-30
//	previous: record-2025.yaml
//	signatures: [Bank AG, Bureau GmbH]
type Statement struct {
	Version     int                  `yaml:"version" json:"version"`
	Purpose     string               `yaml:"purpose" json:"purpose"`
	LegalBasis  string               `yaml:"legal_basis" json:"legal_basis"`
	Controllers []string             `yaml:"controllers" json:"controllers"`
	Data        map[string]DataKind  `yaml:"data" json:"data"`       // by input or weight
	Outputs     map[string]string    `yaml:"outputs" json:"outputs"` // why each is needed
	Necessity   string               `yaml:"necessity" json:"necessity"`
	Retention   string               `yaml:"retention" json:"retention"`
	Decisions   map[string]*Decision `yaml:"decisions" json:"decisions"` // by the name of a finding
	Residual    string               `yaml:"residual_risk" json:"residual_risk"`
	Reviewer    string               `yaml:"reviewer" json:"reviewer"`
	NextReview  string               `yaml:"next_review" json:"next_review"`
	Previous    string               `yaml:"previous" json:"previous"` // file of the record before, beside this one
	Signatures  []string             `yaml:"signatures" json:"signatures"`
}

// A DataKind says what an input or a weight holds, and of whom.
type DataKind struct {
	Categories []string `yaml:"categories" json:"categories"`
	Persons    string   `yaml:"persons" json:"persons"`
}

// A Decision is what was decided about a finding.
type Decision struct {
	Decision string `yaml:"decision" json:"decision"` // accept or change
	Reason   string `yaml:"reason" json:"reason"`
	By       string `yaml:"by" json:"by"`
}

// The decisions about a finding.
const (
	accept = "accept" // it may stay as it is
	change = "change" // it may not; the plan must not run
)

// A Record is an audit with what people say about it: what an organisation keeps.
type Record struct {
	Statement Statement `json:"statement"`
	Digest    string    `json:"statement_digest"` // SHA-256 of the file
	Previous  string    `json:"previous_digest"`  // SHA-256 of the record before; "" for none
	Made      string    `json:"made"`             // day
	Missing   []string  `json:"missing"`          // what is not said yet
	Open      []Finding `json:"open_findings"`    // without a decision
	State     string    `json:"state"`            // complete, open or refused
	Verdict   string    `json:"verdict"`
	Audit     *Report   `json:"audit"`
}

// maxStatement bounds the size of the file.
const maxStatement = 1 << 20

// ReadRecord reads what people say about an audit, and checks it against the audit: every name must be one of the plan, every decision one about a finding.
func ReadRecord(file string, r *Report) (*Record, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := parseStatement(file, data)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	x := &Record{Statement: *s, Digest: hex.EncodeToString(sum[:]), Missing: []string{}, Open: []Finding{}, Audit: r}
	if !r.opt.Now.IsZero() {
		x.Made = r.opt.Now.UTC().Format(time.DateOnly)
	}
	if s.Previous != "" {
		before, err := os.ReadFile(filepath.Join(filepath.Dir(file), filepath.FromSlash(s.Previous)))
		if err != nil {
			return nil, diag.Errorf(at(file, data, "previous"), "previous record: %v", err).WithHint("give the file's name as seen from %s, or leave previous away", file)
		}
		sum := sha256.Sum256(before)
		x.Previous = hex.EncodeToString(sum[:])
	}
	if err := x.check(file, data); err != nil {
		return nil, err
	}
	x.judge()
	return x, nil
}

// parseStatement reads the YAML of a statement. Unknown keys are mistakes, and so are anchors, which hide what a file says.
func parseStatement(file string, data []byte) (*Statement, error) {
	if len(data) > maxStatement {
		return nil, diag.Errorf(diag.Pos{File: file}, "record has %d bytes, at most %d are allowed", len(data), maxStatement)
	}
	wrong := func(err error) error {
		e := diag.Errorf(diag.Pos{File: file}, "not a record: %s", yaml.FormatError(err, false, false)).WithHint("its keys are version, purpose, legal_basis, controllers, data, outputs, necessity, retention, decisions, residual_risk, reviewer, next_review, previous, signatures")
		var y yaml.Error
		if errors.As(err, &y) && y.GetToken() != nil {
			e.Pos.Line, e.Pos.Col, e.Msg = y.GetToken().Position.Line, y.GetToken().Position.Column, "not a record: "+y.GetMessage()
		}
		return e
	}
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, wrong(err)
	}
	for _, d := range f.Docs {
		for _, kind := range []ast.NodeType{ast.AnchorType, ast.AliasType, ast.MergeKeyType} {
			if d.Body != nil && len(ast.Filter(kind, d.Body)) > 0 {
				return nil, diag.Errorf(diag.Pos{File: file}, "not a record: anchors and merges are not read").WithHint("write the values out")
			}
		}
	}
	s := &Statement{}
	if err := yaml.UnmarshalWithOptions(data, s, yaml.Strict()); err != nil {
		return nil, wrong(err)
	}
	if s.Version != 1 {
		return nil, diag.Errorf(at(file, data, "version"), "record version is %d, want 1", s.Version).WithHint("write version: 1")
	}
	return s, nil
}

// at returns the place of the first line that begins with a key.
func at(file string, data []byte, key string) diag.Pos {
	for i, l := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(strings.TrimLeft(l, " \"'"), key) {
			return diag.Pos{File: file, Line: i + 1}
		}
	}
	return diag.Pos{File: file}
}

// check compares names with those of the plan.
func (x *Record) check(file string, data []byte) error {
	var errs diag.List
	var ports, outputs, ids []string
	for _, p := range x.Audit.Provides {
		ports = append(ports, p.Name)
	}
	for _, o := range x.Audit.plan.Manifest.Outputs {
		outputs = append(outputs, o.Name)
	}
	for _, f := range x.Audit.Findings {
		ids = append(ids, f.ID())
	}
	known := func(what string, keys, names []string) {
		for _, k := range keys {
			if !slices.Contains(names, k) {
				errs = append(errs, diag.Errorf(at(file, data, k), "there is no %s %q in this audit", what, k).WithHint("there are %s", cmp.Or(strings.Join(names, ", "), "none")))
			}
		}
	}
	known("input or weight", sortedKeys(x.Statement.Data), ports)
	known("output", sortedKeys(x.Statement.Outputs), outputs)
	known("finding", sortedKeys(x.Statement.Decisions), ids)
	for _, k := range sortedKeys(x.Statement.Decisions) {
		switch d := x.Statement.Decisions[k]; {
		case d == nil || d.Decision != accept && d.Decision != change:
			errs = append(errs, diag.Errorf(at(file, data, k), "decision about %s is neither accept nor change", k).WithHint("write {decision: accept, reason: ..., by: NAME}"))
		case d.Decision == accept && (d.Reason == "" || d.By == ""):
			errs = append(errs, diag.Errorf(at(file, data, k), "%s is accepted without a reason, or by nobody", k).WithHint("write {decision: accept, reason: ..., by: NAME}"))
		}
	}
	if s := x.Statement.NextReview; s != "" {
		if _, err := time.Parse(time.DateOnly, s); err != nil {
			errs = append(errs, diag.Errorf(at(file, data, "next_review"), "next_review %q is not a day", s).WithHint("write 2027-06-30"))
		}
	}
	return errs.Err()
}

// judge says what is missing and what follows.
func (x *Record) judge() {
	s := &x.Statement
	for _, f := range []struct{ key, value string }{{"purpose", s.Purpose}, {"legal_basis", s.LegalBasis}, {"necessity", s.Necessity}, {"retention", s.Retention}, {"residual_risk", s.Residual}, {"reviewer", s.Reviewer}, {"next_review", s.NextReview}} {
		if strings.TrimSpace(f.value) == "" {
			x.Missing = append(x.Missing, f.key)
		}
	}
	if len(s.Controllers) == 0 {
		x.Missing = append(x.Missing, "controllers")
	}
	for _, p := range x.Audit.Provides {
		if _, ok := s.Data[p.Name]; !ok && p.Kind == "input" {
			x.Missing = append(x.Missing, "data: "+p.Name)
		}
	}
	for _, o := range x.Audit.plan.Manifest.Outputs {
		if strings.TrimSpace(s.Outputs[o.Name]) == "" {
			x.Missing = append(x.Missing, "outputs: "+o.Name)
		}
	}
	changed := 0
	for _, f := range x.Audit.Findings {
		switch d := s.Decisions[f.ID()]; {
		case d == nil:
			x.Open = append(x.Open, f)
		case d.Decision == change:
			changed++
		}
	}
	x.State = "open"
	switch {
	case changed > 0:
		x.State = "refused"
		x.Verdict = fmt.Sprintf("not to run: %s must be changed first", findingCount(changed))
	case len(x.Open) > 0:
		x.Verdict = "open: " + findingCount(len(x.Open)) + " without a decision"
	case len(x.Missing) > 0:
		x.Verdict = "open: the record does not say everything yet"
	default:
		x.State = "complete"
		x.Verdict = "complete: every finding has been decided; the plan with the digest below may run once it is signed"
	}
}

// Complete reports whether everything is said and decided, and nothing must be changed.
func (x *Record) Complete() bool { return x.State == "complete" }

func findingCount(n int) string {
	if n == 1 {
		return "1 finding"
	}
	return fmt.Sprintf("%d findings", n)
}
