package typed

import (
	"fmt"
	"slices"
	"strings"

	"smpcc/backend/plan"
)

// A RowFact says what all steps of one row come to.
type RowFact struct {
	Row      string `json:"row"`
	Steps    int    `json:"steps"`
	Elements int64  `json:"elements"`
	What     string `json:"what"`
}

// An OutputFact says who learns an output, of whose data, and in how many bits.
type OutputFact struct {
	Name   string   `json:"name"`
	To     []string `json:"to"`
	Owners []string `json:"owners"` // of the inputs and weights that it derives from
	Bits   int      `json:"bits"`
	Valid  string   `json:"valid,omitempty"`  // the output that says whether this one is there, or was withheld and is zero
	Checks int64    `json:"checks,omitempty"` // elements whose range it checks, of an output that says so of others
}

// Facts is what the types of a plan say.
type Facts struct {
	Steps   int          `json:"steps"`
	Opened  []RowFact    `json:"opened"` // under masks, by row
	Outputs []OutputFact `json:"outputs"`
	Rounded []RowFact    `json:"rounded"` // rows whose results are not exact
	Assumed []RowFact    `json:"assumed"` // rows whose equations hold for numbers in a range only
}

var exchangeText = map[Exchange]string{
	ByHolder: "from its owner, under a mask that the owner alone knows",
	ByAll:    "from all parties, under a mask of all of them",
}

// Facts lists what the types of a plan say, rows in the order of their numbers.
func (c *Checked) Facts() Facts {
	f := Facts{Steps: len(c.Program.Steps)}
	opened, rounded, assumed := map[Op]*RowFact{}, map[Op]*RowFact{}, map[Op]*RowFact{}
	count := func(in map[Op]*RowFact, op Op, n int, what string) {
		if in[op] == nil {
			in[op] = &RowFact{Row: Rows[op].Name, What: what}
		}
		in[op].Steps++
		in[op].Elements += int64(n)
	}
	for i := range c.Program.Steps {
		s, t := c.site(i), c.Types[i]
		row := Rows[s.Op]
		if what := exchangeText[row.Exchange]; what != "" {
			count(opened, s.Op, t.Len, what)
		}
		if row.Slack != nil {
			count(rounded, s.Op, t.Len, "")
		}
		if row.Range == nil {
			continue
		}
		for k := range s.Src {
			if row.Range(s, k) < 64 {
				count(assumed, s.Op, t.Len, "")
				break
			}
		}
	}
	list := func(in map[Op]*RowFact) []RowFact {
		out := []RowFact{}
		var ops []Op
		for op := range in {
			ops = append(ops, op)
		}
		slices.Sort(ops)
		for _, op := range ops {
			out = append(out, *in[op])
		}
		return out
	}
	f.Opened, f.Rounded, f.Assumed = list(opened), list(rounded), list(assumed)
	for i := range c.Manifest.Outputs {
		out, t := &c.Manifest.Outputs[i], c.Revealed(i)
		fact := OutputFact{Name: out.Name, To: out.To, Owners: []string{}, Bits: t.Bits, Checks: out.Checked}
		if out.Valid > 0 {
			fact.Valid = c.Manifest.Outputs[out.Valid-1].Name
		}
		for k, p := range c.Manifest.Roster() {
			if t.Owners.Has(k) {
				fact.Owners = append(fact.Owners, p)
			}
		}
		f.Outputs = append(f.Outputs, fact)
	}
	return f
}

// String says it in a few lines.
func (f Facts) String() string {
	var b strings.Builder
	for _, r := range f.Opened {
		fmt.Fprintf(&b, "  %s: %d, of %d elements, %s\n", r.Row, r.Steps, r.Elements, r.What)
	}
	for _, o := range f.Outputs {
		of := strings.Join(o.Owners, ", ")
		if of == "" {
			of = "nobody"
		}
		told := ""
		if o.Valid != "" {
			told += fmt.Sprintf("; zero unless %q", o.Valid)
		}
		if o.Checks > 0 {
			told += fmt.Sprintf("; whether %d elements were in their ranges, near whose ends a threshold drawn at random decides", o.Checks)
		}
		fmt.Fprintf(&b, "  output %s: to %s, of data of %s, %d bits%s\n", o.Name, strings.Join(o.To, ", "), of, o.Bits, told)
	}
	for _, r := range f.Rounded {
		fmt.Fprintf(&b, "  %s: %d round\n", r.Row, r.Steps)
	}
	for _, r := range f.Assumed {
		fmt.Fprintf(&b, "  %s: %d hold for numbers in the ranges that their widths leave\n", r.Row, r.Steps)
	}
	return b.String()
}

// FactsOf reads what the types of a plan say from its file's bytes.
func FactsOf(p *plan.Plan) (Facts, error) {
	c, err := Decode(p.Typed)
	if err != nil {
		return Facts{}, err
	}
	return c.Facts(), nil
}
