package bench

import (
	"bytes"
	"fmt"
	"strings"
)

// Markdown renders the report as a page that shows the plot of the given file name. Every row says which command measures it again.
func (r *Report) Markdown(plotFile string) []byte {
	var b bytes.Buffer
	m := r.Machine
	cell := strings.NewReplacer("|", "\\|", "\n", " ").Replace
	fmt.Fprintf(&b, `# Performance

This page is written by `+"`make performance`"+`: do not edit it.

Machine: %s, %d cores, %s, kernel %s. It multiplies and adds %.1f billion times a second in the ring of 64 bits, in the clear and on
all cores, and moves %.2f GB a second over one TCP connection on loopback. All roles share it.

`, m.CPU, m.Cores, m.Go, m.Kernel, m.MACs/1e9, m.Loopback/1e9)
	b.WriteString("Models have random weights and are generated, so that nothing is downloaded. Times are medians of " + plural(r.Runs, "session") + `; online is what a user waits
for, offline may be done before the input is there. Bytes are of the party that sends most. The floor is the time of the plan's multiplications as one
product in the clear, and of its bytes over loopback, one after the other: what this plan cannot get below on this machine. Transports: memory is one process;
grpc a process for each role, with mutual TLS; wan memory slowed down to a round trip of 40 ms and 100 Mbit/s.
`)
	fmt.Fprintf(&b, "\n![online times and their floors](%s)\n\n", plotFile)
	predicted := false
	for _, x := range r.Results {
		predicted = predicted || x.Predicted != nil
	}
	heads := []string{"model", "transport", "online s", "fastest s", "rounds", "sent MB", "offline s", "material MB", "floor s", "x floor", "largest error", "peak MB", "inputs/s"}
	if predicted {
		heads = append(heads, "predicted online s", "predicted MB")
	}
	fmt.Fprintf(&b, "| %s | again |\n|%s\n", strings.Join(heads, " | "), strings.Repeat("---|", len(heads)+1))
	for _, x := range r.Results {
		peak := "" // of other processes: not measured
		if x.PeakRSS > 0 {
			peak = fmt.Sprint(x.PeakRSS >> 20)
		}
		row := []string{cell(x.Name), x.Transport, fmt.Sprintf("%.4f", x.Online.Seconds), fmt.Sprintf("%.4f", x.Online.Fastest), fmt.Sprint(x.Online.Rounds), fmt.Sprintf("%.3g", float64(x.Online.Bytes)/1e6),
			fmt.Sprintf("%.4f", x.Offline.Seconds), fmt.Sprintf("%.3g", float64(x.Material)/1e6), fmt.Sprintf("%.4f", x.Floor), fmt.Sprintf("%.1f", x.Online.Seconds/x.Floor),
			fmt.Sprintf("%.2g", x.Error), peak, fmt.Sprintf("%.1f", float64(x.Batch)/x.Online.Seconds)}
		if predicted {
			p, mb := "", ""
			if x.Predicted != nil {
				p, mb = fmt.Sprintf("%.4f (%+.0f %%)", x.Predicted.Online, 100*(x.Predicted.Online/x.Online.Seconds-1)), fmt.Sprint(x.Predicted.Memory>>20)
			}
			row = append(row, p, mb)
		}
		fmt.Fprintf(&b, "| %s | `smpcc bench --only %s --transport %s --runs %d` |\n", strings.Join(row, " | "), x.Name, x.Transport, r.Runs)
	}
	b.WriteString("\nThe models:\n\n")
	for _, known := range Models() {
		for _, x := range r.Results {
			if x.Name == known.Name {
				fmt.Fprintf(&b, "- %s: %s\n", known.Name, known.Doc)
				break
			}
		}
	}
	if predicted {
		b.WriteString("\nPredicted times and memory come from the plan and a profile of this machine that `smpcc bench --calibrate FILE` wrote before; see RATIONALE.md.\n")
	}
	return b.Bytes()
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
