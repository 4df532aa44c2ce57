package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"smpcc/backend/audit"
	"smpcc/backend/audit/draw"
	"smpcc/backend/plan/typed"
	"smpcc/ir"
)

func inspectCommand() *cobra.Command {
	var s source
	var level, party, format, view, traced string
	var asked []string
	c := &cobra.Command{
		Use:   "inspect PLAN|MODEL|PROGRAM",
		Short: "Print the IR at any level, or a party's program",
		Long: `Inspect prints what the compiler made: the graph as the user wrote it, the fixed-point form with widths, the share-level
form with every opening, or the plan itself: the one typed program that roles agree on, which an auditor reads, or with --party what
a party runs, which follows from it. Each line carries owners and the position in the user's source. The text of
the IR levels can be read back: save it as FILE.ir and inspect that. With --format svg a level is drawn as on the audit page:
stripes are owners, dashed boxes public, a red border is a reveal, and a ring marks what opens masked values. With --view ROLE each
line says what that role has of the value: itself, a share, what is masked, or nothing.

Values are called by their place in the source and their op, so that a text changes where the source does: smpcc inspect diff OLD NEW
compares two. With --where only the lines of values are printed that meet all conditions, and the exit code is 4 if there is none:
` + whereHelp() + `
With --trace NAME[3,17] it says which elements of which values of the graph derive from element 3,17 of an input or weight, by the structure
of operations whatever the numbers are; 2:5 is a span, : or nothing all of a dimension. The exit code is 4 if they reach no output.`,
		Args: exactly(1, "one PLAN, MODEL or PROGRAM"),
	}
	s.flags(c)
	c.Flags().StringVar(&level, "level", "share", "graph, fixed, share or plan")
	c.Flags().StringVar(&party, "party", "", "with --level plan: the program of `PARTY`, or of the dealer")
	c.Flags().StringVar(&format, "format", "text", "text, dot, svg or json")
	c.Flags().StringVar(&view, "view", "", "say at each value what `ROLE` has of it; with --level plan: only its program")
	c.Flags().StringSliceVar(&asked, "where", nil, "print only values that meet `CONDITIONS`, several with commas, as derives=dose,opened,reveals=score; exit with 4 if there is none")
	c.Flags().StringVar(&traced, "trace", "", "which elements of which values derive from `NAME[3,17]`, elements of an input or weight; exit with 4 if no output does")
	c.AddCommand(inspectDiffCommand())
	c.RunE = func(c *cobra.Command, args []string) error {
		w := c.OutOrStdout()
		if traced != "" && (asked != nil || view != "" || party != "" || c.Flags().Changed("level") || format != "text") {
			return usagef("--trace is for the graph: it takes no --level, --format, --where, --view and --party")
		}
		if asked != nil && (format != "text" || view != "" || level == "plan") {
			return usagef("--where is for --format text, of --level graph, fixed or share, without --view")
		}
		p, _, err := s.unverified(c, args[0], nil)
		if err != nil {
			return noType(args[0], err)
		}
		if view != "" && !slices.Contains(p.Roles(), view) {
			return usagef("--view %s: the roles are %s", view, strings.Join(p.Roles(), ", "))
		}
		if view != "" && format != "text" {
			return usagef("--view is for --format text")
		}
		if level == "plan" {
			if view != "" {
				party = view
			}
			switch format {
			case "text":
				if party != "" {
					return p.Text(w, party)
				}
				t, err := typed.Decode(p.Typed)
				if err != nil {
					return err
				}
				return t.Text(w)
			case "json":
				return p.JSON(w)
			}
			return usagef("--format %s: a plan prints as text or json", format)
		}
		if party != "" {
			return usagef("--party is for --level plan")
		}
		if traced != "" {
			m, _, err := moduleOf(p, args[0], "graph")
			if err != nil {
				return err
			}
			return trace(w, m, traced)
		}
		m, dump, err := moduleOf(p, args[0], level)
		if err != nil {
			return err
		}
		switch format {
		case "text":
			s := withDone(dump, m)
			if asked != nil {
				return where(w, m, s, level, asked)
			}
			if view != "" {
				s = withNotes(s, views(m, view, p.Manifest.Dealer))
			}
			_, err := fmt.Fprint(w, s)
			return err
		case "dot":
			return ir.DOT(w, m)
		case "svg":
			return draw.SVG(w, m, p, level)
		case "json":
			return ir.JSON(w, m)
		}
		return usagef("--format %s: want text, dot, svg or json", format)
	}
	return c
}

// withDone adds to the lines of values what has been done to whose inputs since, as a comment: the part of visibility that
// policies such as "only the arg-max" speak about. It holds at graph level; later levels have neither arg-max nor mean.
func withDone(dump string, m *ir.Module) string {
	if len(m.Funcs) == 0 {
		return dump
	}
	f := m.Main()
	inputs := f.Inputs()
	traces := make([]map[*ir.Value]ir.Done, len(inputs))
	for i, x := range inputs {
		traces[i] = ir.Trace(f, x)
	}
	said, names := map[string]string{}, ir.Names(f)
	for _, v := range f.Body {
		of := map[string][]string{} // what has been done -> to which inputs
		for i, x := range inputs {
			if d, ok := traces[i][v]; ok && d.String() != "" {
				of[d.String()] = append(of[d.String()], x.Attrs.Str("name"))
			}
		}
		for _, d := range sortedKeys(of) {
			said[names[v]] += "  ; only " + d + " of " + strings.Join(of[d], ", ")
		}
	}
	return withNotes(dump, said)
}

// views says of each value of the main function what a role has of it.
func views(m *ir.Module, role, dealer string) map[string]string {
	said := map[string]string{}
	if len(m.Funcs) > 0 {
		names := ir.Names(m.Main())
		for _, v := range m.Main().Body {
			said[names[v]] = "  ; " + audit.Knows(v, role, dealer)
		}
	}
	return said
}

// withNotes adds notes to the lines of values.
func withNotes(dump string, said map[string]string) string {
	lines := strings.SplitAfter(dump, "\n")
	for i, l := range lines {
		if name, _, ok := strings.Cut(strings.TrimSpace(l), " = "); ok && said[name] != "" {
			lines[i] = strings.TrimSuffix(l, "\n") + said[name] + "\n"
		}
	}
	return strings.Join(lines, "")
}
