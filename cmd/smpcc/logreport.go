package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smpcc/runtime/attest"
)

// A logRow is what a report says of one job, or of what happened besides.
type logRow struct {
	seq                     uint64
	at                      time.Time
	what, plan, client      string
	session                 uint64
	receivers               string
	rows                    int
	left, decision, outcome string
	reason, approvals       string
}

// logColumns are the columns of a report.
var logColumns = []string{"entry", "time", "what", "number", "plan", "client", "receivers", "rows", "decision", "ended", "runs left", "approved by", "reason"}

func (r *logRow) cells() []string {
	number := func(n uint64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatUint(n, 10)
	}
	return []string{strconv.FormatUint(r.seq, 10), r.at.UTC().Format(time.RFC3339), r.what, number(r.session), r.plan, r.client, r.receivers, number(uint64(r.rows)), r.decision, r.outcome, r.left, r.approvals, r.reason}
}

func logReportCommand() *cobra.Command {
	var from, to, format, head, after string
	c := &cobra.Command{
		Use:   "report FILE --from DAY --to DAY",
		Short: "What a server's audit log says of runs, as a table for people or for a spreadsheet",
		Long: `Report checks a log as smpcc log verify does, and then lists what it says: which client had which plan run when, who learned of it, on how many rows, what runs
the policies left, on whose approval, how it ended, and what was refused and why. A log that does not verify gives no report.

  --format md   a summary and a table in Markdown
  --format csv  one line an entry, for a spreadsheet`,
		Args: exactly(1, "one FILE"),
	}
	f := c.Flags()
	f.StringVar(&from, "from", "", "first `DAY` (UTC), or a time; the beginning if left out")
	f.StringVar(&to, "to", "", "last `DAY` (UTC), or a time; the end if left out")
	f.StringVar(&format, "format", "md", "md or csv")
	f.StringVar(&head, "head", "", "`HASH` of an entry, noted earlier, that must be there")
	f.StringVar(&after, "after", "", "`HASH` of the last entry of files that have been archived")
	c.RunE = func(c *cobra.Command, args []string) error {
		if format != "md" && format != "csv" {
			return usagef("--format %s: want md or csv", format)
		}
		begin, err := reportTime("from", from, 0)
		if err != nil {
			return err
		}
		end, err := reportTime("to", to, 1)
		if err != nil {
			return err
		}
		if !begin.IsZero() && !end.IsZero() && !begin.Before(end) {
			return usagef("--from %s is not before --to %s", from, to)
		}
		var rows []*logRow
		running := map[string]*logRow{}
		last, err := attest.WalkLog(args[0], head, after, func(e attest.Entry) {
			if r := rowOf(e, running); r != nil && (begin.IsZero() || !r.at.Before(begin)) && (end.IsZero() || r.at.Before(end)) {
				rows = append(rows, r)
			}
		})
		if err != nil {
			return err
		}
		if format == "csv" {
			return csvReport(c.OutOrStdout(), rows)
		}
		return mdReport(c.OutOrStdout(), rows, last, from, to)
	}
	return c
}

// reportTime reads a day or a time; a day counts so many days further.
func reportTime(flag, s string, days int) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.AddDate(0, 0, days), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, usagef("--%s %s: want a day such as 2027-06-30, or a time such as 2027-06-30T12:00:00Z", flag, s)
	}
	return t, nil
}

// rowOf returns the row of an entry; how a job ended goes to the row of its beginning, which running remembers.
func rowOf(e attest.Entry, running map[string]*logRow) *logRow {
	at, err := time.Parse(time.RFC3339Nano, e.Time)
	if err != nil {
		at = time.Time{}
	}
	key := e.Job()
	if e.What == "ended" {
		if r := running[key]; r != nil {
			r.outcome = e.Decision
			delete(running, key)
			return nil
		}
	}
	r := &logRow{seq: e.Seq, at: at, what: e.What, plan: e.Plan[:min(16, len(e.Plan))], client: e.Client, session: e.Session, receivers: strings.Join(e.Receivers, " "), rows: e.Rows, decision: e.Decision, reason: e.Reason, approvals: strings.Join(e.Approvals, " ")}
	for i, l := range e.Left {
		if i > 0 {
			r.left += " "
		}
		r.left += fmt.Sprintf("%s:%d", l.Owner, l.Runs)
	}
	for _, k := range e.Revoked {
		r.approvals = strings.TrimSpace(r.approvals + " (taken back: " + k + ")")
	}
	if e.Session > 0 && e.Decision == "allowed" {
		running[key] = r
	}
	return r
}

// csvReport writes one line an entry. A spreadsheet takes what begins with one of = + - @ for a formula; such cells get an apostrophe in front.
func csvReport(out io.Writer, rows []*logRow) error {
	w := csv.NewWriter(out)
	if err := w.Write(logColumns); err != nil {
		return err
	}
	for _, r := range rows {
		cells := r.cells()
		for i, c := range cells {
			if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
				cells[i] = "'" + c
			}
		}
		if err := w.Write(cells); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// A logCount counts the jobs of one kind of one plan.
type logCount struct{ allowed, done, failed, refused int }

// mdReport writes a summary and a table.
func mdReport(w io.Writer, rows []*logRow, last attest.Entry, from, to string) error {
	role := last.Role
	fmt.Fprintf(w, "# Runs at %s\n\n", mdCell(role))
	if from != "" || to != "" {
		fmt.Fprintf(w, "From %s to %s (UTC). ", orElse(from, "the beginning"), orElse(to, "the end"))
	}
	fmt.Fprintf(w, "The log has %d entries, unbroken; the last is of %s, its hash is `%s`.\n\n", last.Seq, last.Time, last.Hash)
	counts := map[[2]string]*logCount{}
	for _, r := range rows {
		if r.session == 0 && r.decision != "refused" {
			continue
		}
		key := [2]string{r.plan, r.what}
		if counts[key] == nil {
			counts[key] = &logCount{}
		}
		n := counts[key]
		switch {
		case r.decision == "refused":
			n.refused++
		case r.decision == "allowed":
			n.allowed++
		}
		switch r.outcome {
		case "done":
			n.done++
		case "failed":
			n.failed++
		}
	}
	var keys [][2]string
	for k := range counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b [2]string) int { return strings.Compare(a[0]+" "+a[1], b[0]+" "+b[1]) })
	fmt.Fprintf(w, "| plan | what | allowed | done | failed | refused |\n|---|---|---|---|---|---|\n")
	for _, k := range keys {
		n := counts[k]
		fmt.Fprintf(w, "| %s | %s | %d | %d | %d | %d |\n", mdCell(k[0]), mdCell(k[1]), n.allowed, n.done, n.failed, n.refused)
	}
	fmt.Fprintf(w, "\n| %s |\n|%s\n", strings.Join(logColumns, " | "), strings.Repeat("---|", len(logColumns)))
	for _, r := range rows {
		cells := r.cells()
		for i := range cells {
			cells[i] = mdCell(cells[i])
		}
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")); err != nil {
			return err
		}
	}
	return nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// mdCell makes text of anybody a cell of a table: no markup, one line.
var mdEscapes = strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ", "<", "&lt;", ">", "&gt;", "&", "&amp;", "`", "'", "[", `\[`, "*", `\*`, "_", `\_`)

func mdCell(s string) string { return mdEscapes.Replace(s) }
