// Package web holds what guests run in a browser: the JavaScript library, and the page that it writes for a plan, one file that loads nothing.
package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"smpcc/backend/plan"
	"smpcc/runtime/guest"
)

// Library is the JavaScript library, an ES module without dependencies.
//
//go:embed smpcc-client.js
var Library string

//go:embed page.js
var pageScript string

//go:embed page.css
var pageStyle string

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// A Port is what the library needs of a port.
type Port struct {
	Name    string   `json:"name"`
	Elem    string   `json:"elem"`
	Shape   []int    `json:"shape"`
	Bits    int      `json:"bits"`
	Scale   int      `json:"scale"`
	Lo      float64  `json:"lo"`
	Hi      float64  `json:"hi"`
	Columns []Column `json:"columns,omitempty"`
	Classes []string `json:"classes,omitempty"`
	Words   []string `json:"words,omitempty"`
}

// A Column is the range of a column, and by how many bits it is scaled down.
type Column struct {
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
	Shift int     `json:"shift"`
}

// A Manifest is what the library is given of a plan.
type Manifest struct {
	Digest  string   `json:"digest"`
	Name    string   `json:"name"`
	Guest   string   `json:"guest"`
	Parties []string `json:"parties"`
	Inputs  []Port   `json:"inputs"`
	Outputs []Port   `json:"outputs"`
}

// ManifestOf returns what the library is given of a plan that a guest can run.
func ManifestOf(p *plan.Plan) (*Manifest, error) {
	m := &p.Manifest
	name, err := guest.Serves(m)
	if err != nil {
		return nil, err
	}
	out := &Manifest{Digest: p.Digest(), Name: m.Name, Guest: name, Parties: m.Parties}
	for i := range m.Inputs {
		out.Inputs = append(out.Inputs, portOf(&m.Inputs[i]))
	}
	for i := range m.Outputs {
		out.Outputs = append(out.Outputs, portOf(&m.Outputs[i]))
	}
	return out, nil
}

func portOf(t *plan.Port) Port {
	p := Port{Name: t.Name, Elem: t.Elem, Shape: append([]int{}, t.Shape...), Bits: t.Bits, Scale: t.Scale, Lo: t.Lo, Hi: t.Hi, Classes: t.Classes, Words: t.Words}
	for _, c := range t.Columns {
		p.Columns = append(p.Columns, Column(c))
	}
	return p
}

// Page returns the page of a plan, which a guest runs at servers, the parties' addresses by name. It is the same, byte for byte, wherever it is made.
func Page(p *plan.Plan, servers map[string]string) ([]byte, error) {
	manifest, err := ManifestOf(p)
	if err != nil {
		return nil, err
	}
	var origins []string
	clean := map[string]string{}
	for _, party := range manifest.Parties {
		at, err := guest.Origin(servers[party])
		if err != nil {
			return nil, fmt.Errorf("of %s: %w", party, err)
		}
		clean[party], origins = at, append(origins, at)
	}
	for party := range servers {
		if !slices.Contains(manifest.Parties, party) {
			return nil, fmt.Errorf("%q is not a party of the plan, which are %s", party, strings.Join(manifest.Parties, ", "))
		}
	}
	config, err := json.Marshal(struct {
		Plan    *Manifest           `json:"plan"`
		Servers map[string]string   `json:"servers"`
		Columns map[string][]string `json:"columns"`
	}{manifest, clean, map[string][]string{}}) // json.Marshal writes < as \u003c
	if err != nil {
		return nil, err
	}
	script := strings.ReplaceAll("\n"+Library, "\nexport ", "\n") + pageScript
	text := func(s string) string { return template.HTMLEscapeString(s) }
	var learns, trust []string
	for _, s := range learned(p) {
		learns = append(learns, text(s))
	}
	for _, s := range rests(p) {
		trust = append(trust, text(s))
	}
	named := *manifest
	named.Name = text(named.Name)
	var b bytes.Buffer
	err = pageTemplate.Execute(&b, map[string]any{
		"Policy": fmt.Sprintf("default-src 'none'; script-src %s; style-src %s; connect-src %s; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'", hashOf(script), hashOf(pageStyle), strings.Join(origins, " ")),
		"Style":  pageStyle, "Script": script, "Config": string(config), "Plan": &named, "Parties": text(and(manifest.Parties)), "Learns": learns, "Trust": trust,
	})
	return b.Bytes(), err
}

// hashOf is the source of a content security policy that lets one text in.
func hashOf(s string) string {
	h := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
}

// learned says who learns what of a plan's guest.
func learned(p *plan.Plan) (out []string) {
	m := &p.Manifest
	nobody := "none of them learns"
	if len(m.Parties) == 2 {
		nobody = "neither learns"
	}
	for _, t := range m.Inputs {
		out = append(out, fmt.Sprintf("Of %s, %s each hold one share; %s it.", t.Name, and(m.Parties), nobody))
	}
	for _, t := range m.Outputs {
		out = append(out, fmt.Sprintf("You alone learn %s, %s of %s: %s each send you one share of it, and %s it.", t.Name, count(t.Len(), "number"), count(t.Bits, "bit"), and(m.Parties), nobody))
		for _, a := range m.Allowed {
			if a.Output == t.Name {
				out = append(out, fmt.Sprintf("%s allows it: %s.", a.Owner, a.Rule))
			}
		}
	}
	return out
}

// rests says what a guest has to trust.
func rests(p *plan.Plan) []string {
	m := &p.Manifest
	return []string{
		fmt.Sprintf("At least one of %s keeps its share to itself, and %s, who deals randomness and gets nothing of yours, works with none of them.", and(m.Parties), m.Dealer),
		"Every party runs the plan below. Each refuses requests for another one.",
		"Whoever gave you this page gave you this page: a page can send elsewhere what you type, unless it is the one that the plan and the addresses make, byte for byte (smpcc page verify). From a file on your disk it can be compared before it runs.",
	}
}

// and lists names as a sentence does.
func and(names []string) string {
	if n := len(names) - 1; n > 0 {
		return strings.Join(names[:n], ", ") + " and " + names[n]
	}
	return strings.Join(names, "")
}

// count says how many.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
