package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/text"
)

// A noError is the answer no to a question that was asked of a plan, which ends with an exit code of its own.
type noError struct{ error }

func nof(format string, args ...any) error { return noError{fmt.Errorf(format, args...)} }

// moduleOf reads the text of a plan at a level.
func moduleOf(p *plan.Plan, file, level string) (*ir.Module, string, error) {
	for _, d := range p.Manifest.Dumps {
		if d.Level == level {
			m, err := text.Parse(file+" ("+level+")", []byte(d.Text))
			if err == nil && len(m.Funcs) == 0 {
				err = diag.Errorf(diag.Pos{File: file}, "level %s holds no function", level)
			}
			return m, d.Text, err
		}
	}
	if level == "fixed" || level == "graph" {
		return nil, "", usagef("--level %s: the source was written at a later level; it has %s", level, levelsOf(p))
	}
	return nil, "", usagef("--level %s: want graph, fixed, share or plan", level)
}

func levelsOf(p *plan.Plan) string {
	var out []string
	for _, d := range p.Manifest.Dumps {
		out = append(out, "--level "+d.Level)
	}
	return strings.Join(append(out, "--level plan"), ", ")
}

// A condition is something that --where asks of a value.
type condition struct {
	key, doc string
	bare     bool // takes no value
	names    func(f *ir.Func, m *ir.Module) []string
	of       func(f *ir.Func, name string) map[*ir.Value]bool
}

// conditions are what --where knows.
var conditions = []condition{
	{"derives", "NAME: derives from the input or weight NAME", false, func(f *ir.Func, _ *ir.Module) []string { return named(f, ir.OpInput, ir.OpWeight) },
		func(f *ir.Func, name string) map[*ir.Value]bool {
			return below(f, func(v *ir.Value) bool {
				return (v.Op == ir.OpInput || v.Op == ir.OpWeight) && v.Attrs.Str("name") == name
			})
		}},
	{"owner", "PARTY: derives from data of PARTY", false, func(_ *ir.Func, m *ir.Module) []string { return m.Parties },
		func(f *ir.Func, name string) map[*ir.Value]bool {
			return below(f, func(v *ir.Value) bool {
				return (v.Op == ir.OpInput || v.Op == ir.OpWeight) && v.Attrs.Str("owner") == name
			})
		}},
	{"reveals", "NAME: output NAME is computed from it", false, func(f *ir.Func, _ *ir.Module) []string { return named(f, ir.OpReveal) },
		func(f *ir.Func, name string) map[*ir.Value]bool {
			return above(f, func(v *ir.Value) bool { return v.Op == ir.OpReveal && v.Attrs.Str("name") == name })
		}},
	{"to", "PARTY: an output that PARTY receives is computed from it", false, func(_ *ir.Func, m *ir.Module) []string { return m.Parties },
		func(f *ir.Func, name string) map[*ir.Value]bool {
			return above(f, func(v *ir.Value) bool { return v.Op == ir.OpReveal && slices.Contains(v.Attrs.Strings("to"), name) })
		}},
	{"op", "OP: is computed by OP", false, func(f *ir.Func, _ *ir.Module) (out []string) {
		for _, v := range f.Body {
			if !slices.Contains(out, string(v.Op)) {
				out = append(out, string(v.Op))
			}
		}
		return out
	}, func(f *ir.Func, name string) map[*ir.Value]bool {
		return those(f, func(v *ir.Value) bool { return string(v.Op) == name })
	}},
	{"opened", "known to all parties under a mask, at level share", true, nil, func(f *ir.Func, _ string) map[*ir.Value]bool {
		return those(f, func(v *ir.Value) bool {
			return v.Op == ir.OpOpen || v.Op == ir.OpOpenBit || (v.Op == ir.OpInput || v.Op == ir.OpWeight) && v.Type.Form == ir.Masked
		})
	}},
}

// named lists the names of values of some ops.
func named(f *ir.Func, ops ...ir.Op) (out []string) {
	for _, v := range f.Body {
		if slices.Contains(ops, v.Op) {
			out = append(out, v.Attrs.Str("name"))
		}
	}
	return out
}

func those(f *ir.Func, is func(*ir.Value) bool) map[*ir.Value]bool {
	out := map[*ir.Value]bool{}
	for _, v := range f.Body {
		out[v] = is(v)
	}
	return out
}

// below returns the values that are or derive from such ones.
func below(f *ir.Func, is func(*ir.Value) bool) map[*ir.Value]bool {
	out := map[*ir.Value]bool{}
	for _, v := range f.Body {
		out[v] = is(v) || slices.ContainsFunc(v.Args, func(a *ir.Value) bool { return out[a] })
	}
	return out
}

// above returns the values that are such ones, or from which such ones are computed.
func above(f *ir.Func, is func(*ir.Value) bool) map[*ir.Value]bool {
	out := map[*ir.Value]bool{}
	for _, v := range slices.Backward(f.Body) {
		if out[v] = out[v] || is(v); out[v] {
			for _, a := range v.Args {
				out[a] = true
			}
		}
	}
	return out
}

// whereHelp describes the conditions.
func whereHelp() string {
	var b strings.Builder
	for _, c := range conditions {
		name := c.key + "="
		if c.bare {
			name = c.key
		}
		fmt.Fprintf(&b, "  %-9s%s\n", name, c.doc)
	}
	return b.String()
}

// where prints the lines of values that meet all conditions, or answers no.
func where(w io.Writer, m *ir.Module, lines, level string, asked []string) error {
	f := m.Main()
	meets := those(f, func(*ir.Value) bool { return true })
	for _, a := range asked {
		key, name, given := strings.Cut(a, "=")
		i := slices.IndexFunc(conditions, func(c condition) bool { return c.key == key })
		if i < 0 || conditions[i].bare == given {
			return usagef("--where %s: want conditions such as derives=dose,opened,reveals=score\n\thint: smpcc inspect --help lists them", a)
		}
		c := conditions[i]
		if c.key == "opened" && level != "share" {
			return usagef("--where opened: openings stand at --level share, and this is --level %s", level)
		}
		if c.names != nil {
			if names := c.names(f, m); !slices.Contains(names, name) {
				return usagef("--where %s: there is no %q at level %s; there are %s", a, name, level, strings.Join(names[:min(len(names), 20)], ", "))
			}
		}
		of := c.of(f, name)
		for v := range meets {
			meets[v] = meets[v] && of[v]
		}
	}
	names, found := map[string]bool{}, 0
	for v, called := range ir.Names(f) {
		if meets[v] {
			names[called] = true
			found++
		}
	}
	if found == 0 {
		return nof("no value of level %s meets %s", level, strings.Join(asked, ","))
	}
	for _, l := range strings.SplitAfter(lines, "\n") {
		if name, _, ok := strings.Cut(strings.TrimSpace(l), " = "); ok && names[name] {
			if _, err := io.WriteString(w, strings.TrimLeft(l, " ")); err != nil {
				return err
			}
		}
	}
	return nil
}

// trace prints what elements of an input or weight reach in the graph, or answers no if that is no output.
func trace(w io.Writer, m *ir.Module, asked string) error {
	f := m.Main()
	name, index, _ := strings.Cut(asked, "[")
	var src *ir.Value
	for _, v := range f.Body {
		if (v.Op == ir.OpInput || v.Op == ir.OpWeight) && v.Attrs.Str("name") == name {
			src = v
		}
	}
	if src == nil {
		return usagef("--trace %s: there is no input or weight %q; there are %s", asked, name, strings.Join(named(f, ir.OpInput, ir.OpWeight), ", "))
	}
	elements, err := chosen(src.Type.Shape, strings.TrimSuffix(index, "]"))
	if err != nil {
		return usagef("--trace %s: %v; %s is %s%v, as in --trace %q", asked, err, name, src.Type.Elem, src.Type.Shape, name+"[0,2:5]")
	}
	at, err := ir.Reach(f, src, elements)
	if err != nil {
		return err
	}
	names := ir.Names(f)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "value\tof\telements that derive from it\n")
	outputs := 0
	for _, v := range f.Body {
		if at[v] == nil {
			continue
		}
		called := names[v]
		if v.Op == ir.OpReveal {
			outputs++
			called += " to " + strings.Join(v.Attrs.Strings("to"), ", ")
		}
		fmt.Fprintf(t, "%s\t%s%v\t%s\n", called, v.Type.Elem, v.Type.Shape, places(v.Type.Shape, at[v]))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if outputs == 0 {
		return nof("%s reaches no output", asked)
	}
	return nil
}

// chosen returns which elements of a shape an index means: numbers, from:to and : by dimension, and all of those that are left out.
func chosen(s ir.Shape, index string) ([]bool, error) {
	var from, to []int
	if index != "" {
		for _, part := range strings.Split(index, ",") {
			k := len(from)
			if k >= len(s) {
				return nil, fmt.Errorf("%d indices for %d dimensions", strings.Count(index, ",")+1, len(s))
			}
			lo, hi, span := strings.Cut(strings.TrimSpace(part), ":")
			a, b := 0, s[k]
			var err error
			if lo != "" {
				a, err = strconv.Atoi(lo)
			}
			if err == nil && span && hi != "" {
				b, err = strconv.Atoi(hi)
			}
			if err != nil || !span && lo == "" {
				return nil, fmt.Errorf("%q is no index", part)
			}
			if !span {
				b = a + 1
			}
			if a < 0 || b > s[k] || a >= b {
				return nil, fmt.Errorf("index %s is out of range for %d elements", part, s[k])
			}
			from, to = append(from, a), append(to, b)
		}
	}
	out := make([]bool, s.Size())
	for i := range out {
		out[i] = true
		for k, rest := len(s)-1, i; k >= 0; k-- {
			if at := rest % s[k]; k < len(from) && (at < from[k] || at >= to[k]) {
				out[i] = false
			}
			rest /= s[k]
		}
	}
	return out, nil
}

// mostPlaces is how many runs of elements are named.
const mostPlaces = 6

// places names the marked elements of a shape, runs along the last dimension as one.
func places(s ir.Shape, marks []bool) string {
	n := 0
	for _, m := range marks {
		if m {
			n++
		}
	}
	if n == len(marks) {
		return "all " + strconv.Itoa(n)
	}
	row := 1
	if len(s) > 0 {
		row = s[len(s)-1]
	}
	var out []string
	runs := 0
	for i := 0; i < len(marks); i++ {
		if !marks[i] {
			continue
		}
		end := i
		for end+1 < len(marks) && marks[end+1] && (end+1)%row != 0 {
			end++
		}
		if runs++; runs <= mostPlaces {
			var index []string
			for k, rest := len(s)-2, i/row; k >= 0; k-- {
				index = append([]string{strconv.Itoa(rest % s[k])}, index...)
				rest /= s[k]
			}
			last := strconv.Itoa(i % row)
			if end > i {
				last += ":" + strconv.Itoa(end%row+1)
			}
			out = append(out, "["+strings.Join(append(index, last), ",")+"]")
		}
		i = end
	}
	if runs > mostPlaces {
		out = append(out, "...")
	}
	return fmt.Sprintf("%d of %d: %s", n, len(marks), strings.Join(out, " "))
}

func inspectDiffCommand() *cobra.Command {
	var s source
	var level string
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "What differs between the texts of two plans, value by value",
		Long: `Inspect diff compares the texts of two plans at one level, value by value: values have names that come from their place in the source, so
that an inserted operation changes what stands around it and nothing else. Places are not compared. With - a line of OLD, with + a line
of NEW. The exit code is 0 if the texts say the same and 4 if not. What the difference means for who learns what is said by smpcc audit diff.`,
		Args: exactly(2, "two: OLD and NEW, PLAN, MODEL or PROGRAM each"),
	}
	s.flags(c)
	c.Flags().StringVar(&level, "level", "graph", "graph, fixed or share")
	c.RunE = func(c *cobra.Command, args []string) error {
		var ms [2]*ir.Module
		for i, file := range args {
			one := s // a source keeps its plan
			p, _, err := one.unverified(c, file, nil)
			if err != nil {
				return noType(file, err)
			}
			if ms[i], _, err = moduleOf(p, file, level); err != nil {
				return err
			}
		}
		return differ(c.OutOrStdout(), ms[0], ms[1])
	}
	return c
}

// differ prints the lines of two modules that are in one of them alone, in order, or answers no if there are any.
func differ(w io.Writer, old, new *ir.Module) error {
	was, is := linesOf(old), linesOf(new)
	has := func(list []textLine) map[string]bool {
		out := map[string]bool{}
		for _, l := range list {
			out[l.text] = true
		}
		return out
	}
	before, after := has(was), has(is)
	removed := map[string]string{} // by name
	for _, l := range was {
		if l.name != "" && !after[l.text] {
			removed[l.name] = l.text
		}
	}
	minus, plus := 0, 0
	var b strings.Builder
	put := func(sign, text string) {
		if sign == "-" {
			minus++
		} else {
			plus++
		}
		b.WriteString(sign + " " + text + "\n")
	}
	taken, k := map[string]bool{}, 0
	rest := func(to string) { // lines of OLD alone, up to the line that is in both
		for ; k < len(was) && was[k].text != to; k++ {
			if l := was[k]; !after[l.text] && !taken[l.name] {
				put("-", l.text)
			}
		}
	}
	for _, l := range is {
		if before[l.text] {
			if slices.ContainsFunc(was[k:], func(o textLine) bool { return o.text == l.text }) {
				rest(l.text)
			}
			continue
		}
		if text, ok := removed[l.name]; ok && l.name != "" {
			put("-", text)
			taken[l.name] = true
		}
		put("+", l.text)
	}
	rest("\x00")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	if minus+plus > 0 {
		return nof("%d of %d lines of the old text are not in the new one, and %d of %d of the new not in the old", minus, len(was), plus, len(is))
	}
	_, err := fmt.Fprintf(w, "the same %d lines\n", len(was))
	return err
}

// A textLine is a line of a text, and the name of the value if it is one's.
type textLine struct{ name, text string }

// linesOf returns the lines of a text without places.
func linesOf(m *ir.Module) (out []textLine) {
	head := *m
	head.Funcs = nil
	for _, l := range strings.Split(strings.TrimSpace(head.String()), "\n") {
		out = append(out, textLine{text: strings.TrimSpace(l)})
	}
	out[0].name = "module " // no value's
	for _, f := range m.Funcs {
		names := ir.Names(f)
		for _, v := range f.Body {
			c := *v
			c.Pos = diag.Pos{}
			names[&c] = names[v]
			out = append(out, textLine{names[v], ir.Line(&c, names)})
		}
	}
	return out
}
