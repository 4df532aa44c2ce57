package bench

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Markdown renders the report as a page that shows the plot of the given file name. Every row says which command measures it again.
func (r *Report) Markdown(plotFile string) []byte {
	var b bytes.Buffer
	m := r.Machine
	fmt.Fprintf(&b, `# Performance

This page is written by `+"`make performance`"+`: do not edit it.

Machine: %s, %d cores, %s, kernel %s. It multiplies and adds %.1f billion times a second in the ring of 64 bits, in the clear and on
all cores, and moves %.2f GB a second over one TCP connection on loopback. All roles share it.

`, m.CPU, m.Cores, m.Go, m.Kernel, m.MACs/1e9, m.Loopback/1e9)
	fmt.Fprintf(&b, `Models have random weights and are generated, so that nothing is downloaded. Sessions of half a second are run before any is measured. Times are medians of at most %s; there are
fewer where sessions take longer than half a minute together. Online is what a user waits for, offline may be done before the input is there. Bytes are of the
party that sends most. The floor is the time of the plan's multiplications as one product in the clear, and of its bytes over loopback, one after the
other (over wan, of its bytes and rounds on that network): what this plan cannot get below on this machine. Transports: memory is one process; grpc a process for each role, with mutual TLS; wan memory
slowed down to a round trip of %v and %.0f Mbit/s in each direction, with a plan compiled for that.
Each row has processes of its own. Peak is the largest resident size, of the process or of the processes of all roles added up.
`, plural(r.Runs, "session"), wan.RTT, wan.Bandwidth/1e6)
	if len(measured(r.Results)) > 0 {
		fmt.Fprintf(&b, "\n![online times and their floors](%s)\n", plotFile)
	}
	b.WriteString("\n")
	t := newPage(&b, "model", "transport", "online s", "fastest s", "rounds", "sent MB", "floor s", "x floor", "largest error", "peak MB", "inputs/s", "sessions", "again")
	for _, x := range r.Results {
		again := r.command(x, "")
		if x.Failure != "" {
			t.row(x.Name, x.Transport, "failed: "+x.Failure, "", "", "", "", "", "", "", "", "", again)
			continue
		}
		t.row(x.Name, x.Transport, fmt.Sprintf("%.4f", x.Online.Seconds), fmt.Sprintf("%.4f", x.Online.Fastest), fmt.Sprint(x.Online.Rounds), mega(x.Online.Bytes),
			fmt.Sprintf("%.4f", x.Floor), fmt.Sprintf("%.1f", x.Online.Seconds/x.Floor), fmt.Sprintf("%.2g", x.Error), mib(x.PeakRSS), fmt.Sprintf("%.1f", x.PerSecond()), fmt.Sprint(x.Sessions), again)
	}
	r.offline(&b)
	r.spent(&b)
	r.batches(&b)
	r.predictions(&b)
	b.WriteString("\n## Models\n\n")
	for _, known := range Models() {
		if slices.ContainsFunc(r.Results, func(x *Result) bool { return x.Name == known.Name }) {
			fmt.Fprintf(&b, "- %s: %s\n", known.Name, known.Doc)
		}
	}
	return b.Bytes()
}

// offline shows what is done before the input is there.
func (r *Report) offline(b *bytes.Buffer) {
	var roles []string
	for _, x := range r.Results {
		for role := range x.Offline.ByRole {
			if !slices.Contains(roles, role) {
				roles = append(roles, role)
			}
		}
	}
	slices.Sort(roles)
	b.WriteString("\n## Offline and setup\n\nCPU is the processors' time of a session's offline phase, of all roles together, and of each where it is a process of its own. Setup is once for a model's weights.\n\n")
	heads := []string{"model", "transport", "offline s", "CPU s"}
	for _, role := range roles {
		heads = append(heads, "CPU s "+role)
	}
	t := newPage(b, append(heads, "material MB", "setup s", "setup MB")...)
	for _, x := range measured(r.Results) {
		row := []string{x.Name, x.Transport, fmt.Sprintf("%.4f", x.Offline.Seconds), fmt.Sprintf("%.4f", x.Offline.CPU)}
		for _, role := range roles {
			cpu := ""
			if n, ok := x.Offline.ByRole[role]; ok {
				cpu = fmt.Sprintf("%.4f", n)
			}
			row = append(row, cpu)
		}
		t.row(append(row, mega(x.Material), fmt.Sprintf("%.3f", x.Setup.Seconds), mega(x.Setup.Bytes))...)
	}
}

// spent shows where the time of the online phase goes.
func (r *Report) spent(b *bytes.Buffer) {
	var with []*Result
	total := map[string]float64{}
	for _, x := range measured(r.Results) {
		if len(x.Spent) > 0 {
			with = append(with, x)
			for k, s := range x.Spent {
				total[k] += s
			}
		}
	}
	if len(with) == 0 {
		return
	}
	var kinds []string
	for k := range total {
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b string) int {
		if total[a] != total[b] {
			return map[bool]int{true: -1, false: 1}[total[a] > total[b]]
		}
		return strings.Compare(a, b)
	})
	b.WriteString("\n## Where the time goes\n\nOf the online phase of one session in memory, the mean of a party, from its timeline. A stage goes through several steps block by block and counts as\nthe heaviest of them; messages are stages that only pack and unpack; exchange is waiting for the other party.\n\n")
	t := newPage(b, append(append([]string{"model", "online s"}, kinds...), "again")...)
	for _, x := range with {
		all := 0.0
		for _, s := range x.Spent {
			all += s
		}
		row := []string{x.Name, fmt.Sprintf("%.4f", all)}
		for _, k := range kinds {
			row = append(row, fmt.Sprintf("%.0f %%", 100*x.Spent[k]/all))
		}
		t.row(append(row, r.command(x, " --timeline FILE.json"))...)
	}
}

// batches shows throughput at batch sizes, the best of a model in bold.
func (r *Report) batches(b *bytes.Buffer) {
	if len(r.Batches) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## Throughput\n\nInputs a second online, in memory, at the batch sizes whose roles fit the memory that the suite was given; the best of each model is bold.\n\n")
	best := map[string]*Result{}
	var list []*Result
	for _, known := range Models() {
		if !slices.ContainsFunc(r.Batches, func(x *Result) bool { return x.Name == known.Name }) {
			continue
		}
		for _, x := range append(slices.Clone(r.Results), r.Batches...) {
			if x.Name != known.Name || x.Transport != "memory" {
				continue
			}
			list = append(list, x)
			if x.Failure == "" && (best[x.Name] == nil || x.PerSecond() > best[x.Name].PerSecond()) {
				best[x.Name] = x
			}
		}
	}
	t := newPage(b, "model", "batch", "inputs/s", "online s", "offline CPU s per input", "sent MB per input", "peak MB", "again")
	for _, x := range list {
		again := r.command(x, fmt.Sprintf(" --batch %d", x.Batch))
		if x.Failure != "" {
			t.row(x.Name, fmt.Sprint(x.Batch), "failed: "+x.Failure, "", "", "", "", again)
			continue
		}
		rate := fmt.Sprintf("%.1f", x.PerSecond())
		if best[x.Name] == x {
			rate = "**" + rate + "**"
		}
		n := float64(x.Batch)
		t.row(x.Name, fmt.Sprint(x.Batch), rate, fmt.Sprintf("%.4f", x.Online.Seconds), fmt.Sprintf("%.4f", x.Offline.CPU/n), fmt.Sprintf("%.3g", float64(x.Online.Bytes)/1e6/n), mib(x.PeakRSS), again)
	}
}

// predictions shows what a profile of the machine said before, and how far off it was.
func (r *Report) predictions(b *bytes.Buffer) {
	var with []*Result
	for _, x := range append(measured(r.Results), measured(r.Batches)...) {
		if x.Predicted != nil {
			with = append(with, x)
		}
	}
	if len(with) == 0 {
		return
	}
	off := func(predicted, measured float64) string {
		if measured == 0 {
			return ""
		}
		return fmt.Sprintf("%+.0f %%", 100*(predicted/measured-1))
	}
	b.WriteString(`
## Predicted

Bytes and rounds are exact, so they have no column. Times and memory come from the plan and a profile of this machine that ` + "`smpcc bench --calibrate FILE`" + ` wrote before,
from models that are not of the suite; see RATIONALE.md. Processors' time is of the online phase and all roles, and not predicted over wan. Memory is what setup and the first session
add to the process that has read plan and inputs; over gRPC all that the processes of roles take.

`)
	t := newPage(b, "model", "batch", "transport", "online s", "predicted s", "off", "CPU s", "predicted CPU s", "off", "memory MB", "predicted MB", "off")
	for _, x := range with {
		p := x.Predicted
		row := []string{x.Name, fmt.Sprint(x.Batch), x.Transport, fmt.Sprintf("%.4f", x.Online.Seconds), fmt.Sprintf("%.4f", p.Online), off(p.Online, x.Online.Seconds),
			fmt.Sprintf("%.4f", x.Online.CPU)}
		if p.CPU > 0 {
			row = append(row, fmt.Sprintf("%.4f", p.CPU), off(p.CPU, x.Online.CPU))
		} else {
			row = append(row, "", "")
		}
		memory := x.Grown
		if x.Transport == "grpc" {
			memory = x.PeakRSS
		}
		row = append(row, mib(memory), mib(p.Memory), off(float64(p.Memory), float64(memory)))
		t.row(row...)
	}
}

// measured returns the results that have not failed.
func measured(all []*Result) []*Result {
	return slices.DeleteFunc(slices.Clone(all), func(x *Result) bool { return x.Failure != "" })
}

// PerSecond is the number of inputs a second online.
func (x *Result) PerSecond() float64 { return float64(x.Batch) / x.Online.Seconds }

// command measures a result again.
func (r *Report) command(x *Result, more string) string {
	return fmt.Sprintf("`smpcc bench --only %s --transport %s --runs %d%s`", x.Name, x.Transport, r.Runs, more)
}

// A page is a table in Markdown.
type page struct{ b *bytes.Buffer }

func newPage(b *bytes.Buffer, heads ...string) page {
	t := page{b}
	t.row(heads...)
	fmt.Fprintf(b, "|%s\n", strings.Repeat("---|", len(heads)))
	return t
}

var cell = strings.NewReplacer("|", "\\|", "\n", " ", "\t", " ")

func (t page) row(cells ...string) {
	for i, c := range cells {
		cells[i] = cell.Replace(c)
	}
	fmt.Fprintf(t.b, "| %s |\n", strings.Join(cells, " | "))
}

func mega(n int64) string { return fmt.Sprintf("%.3g", float64(n)/1e6) }
func mib(n int64) string  { return fmt.Sprint(n >> 20) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
