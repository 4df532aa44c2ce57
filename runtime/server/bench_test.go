package server_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"smpcc/runtime/client"
)

// BenchmarkServers measures requests a second through two party processes and a dealer on loopback, with stored material and
// without, at several widths. It reports latencies too, the processor time of all three processes for one request, which a busy
// machine changes least, and where the time of a request goes at the lead, in percent of its latency: kernels, which is computing
// between exchanges, network, which is exchanges with the time that peers take to answer, and waiting, which is all else: for
// room, for the roles to join, for keys and for the input.
func BenchmarkServers(b *testing.B) {
	for _, name := range []string{"mnist"} {
		m := compileModel(b, name, 0.05)
		for _, stored := range []bool{false, true} {
			for _, width := range []int{1, 8, 32} {
				b.Run(fmt.Sprintf("%s/stored=%v/concurrency=%d", name, stored, width), func(b *testing.B) {
					f := newFleet(b, m)
					for _, r := range m.plan.Roles() {
						f.extra[r] = "timeout: 30s\nlimits: {sessions: 32, memory: 8GiB}\n"
					}
					lead := f.telemetry("p0")
					f.startAll()
					cl := f.client()
					f.works(cl, "at first")
					ctx := context.Background()
					if stored {
						if _, err := f.raw().Generate(ctx, b.N); err != nil {
							b.Fatal(err)
						}
					}
					took := make([]time.Duration, 0, b.N)
					cpu, before := f.cpu(), metrics(b, lead)
					b.ResetTimer()
					err := cl.Each(ctx, b.N, width, func(int) ([][]uint64, error) { return m.input, nil }, func(_ int, r *client.Result) error {
						if took = append(took, r.Took); !m.right(r) {
							return fmt.Errorf("session %d is wrong", r.Session)
						}
						return nil
					})
					b.StopTimer()
					if err != nil {
						b.Fatal(err)
					}
					whole, kernels, network := 0.0, 0.0, 0.0
					for _, d := range took {
						whole += d.Seconds()
					}
					for name, x := range metrics(b, lead) {
						switch {
						case strings.HasPrefix(name, "smpcc_step_seconds_total{"):
							kernels += x - before[name]
						case strings.HasPrefix(name, "smpcc_exchange_seconds_sum{"):
							network += x - before[name]
						}
					}
					b.ReportMetric(100*kernels/whole, "%kernels")
					b.ReportMetric(100*network/whole, "%network")
					b.ReportMetric(100*(1-(kernels+network)/whole), "%waiting")
					slices.Sort(took)
					b.ReportMetric(float64((f.cpu()-cpu).Microseconds())/1e3/float64(b.N), "cpu-ms/req")
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
					b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "ms-median")
					b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "ms-p99")
				})
			}
		}
	}
}

// ticks is how often a second Linux counts processor time.
const ticks = 100

// cpu returns the processor time that the roles' processes have taken, 0 where that cannot be read.
func (f *fleet) cpu() (sum time.Duration) {
	f.t.Helper()
	for _, c := range f.procs {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid))
		if err != nil {
			return 0
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // the name may hold anything
		fields := strings.Fields(rest)
		for _, i := range []int{11, 12} { // utime, stime
			n, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				f.t.Fatal(err)
			}
			sum += time.Duration(n) * time.Second / ticks
		}
	}
	return sum
}

// rss returns the resident memory of a role's process, and how many files it has open.
func (f *fleet) rss(role string) (kb, files int) {
	f.t.Helper()
	dir := fmt.Sprintf("/proc/%d/", f.procs[role].Process.Pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		f.t.Skip("there is no /proc")
	}
	for _, line := range bytes.Split(status, []byte("\n")) {
		if v, ok := strings.CutPrefix(string(line), "VmRSS:"); ok {
			if kb, err = strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(v), " kB")); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	fds, err := os.ReadDir(dir + "fd")
	if err != nil {
		f.t.Fatal(err)
	}
	return kb, len(fds)
}
