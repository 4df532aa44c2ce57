package server_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"smpcc/runtime/client"
)

// How far a soak's last quarter may lie above its second quarter, in the median, and for the heap in the least that is left
// after a collection. The first quarter fills pools and caches. The collector's moment moves resident memory by a tenth, the
// heap's floor hardly; a leak of a goroutine, a file or a kilobyte for every hundred sessions shows within minutes.
const (
	soakMemory     = 0.10    // of resident memory, and
	soakMemoryMore = 8 << 10 // kB
	soakHeap       = 0.10    // of the heap, and
	soakHeapMore   = 512     // kB; a run of seconds sees too few collections, so it gets more
	soakHeapShort  = 16 << 10
	soakRoutines   = 24 // they come and go with sessions; a leak is hundreds
	soakFiles      = 4
)

// A usage is what a process holds at one moment.
type usage struct{ kb, heap, files, routines int }

// usage reads what a role's process holds.
func (f *fleet) usage(role, numbers string) usage {
	f.t.Helper()
	kb, files := f.rss(role)
	return usage{kb, metric(f.t, numbers, "go_memstats_heap_alloc_bytes") >> 10, files, goroutines(f.t, numbers)}
}

// TestSoak runs sessions for a while, with stored material and without, each batch with a client of its own, one of which
// leaves before it has given its input. Results stay right, and memory, goroutines and files of every process stay flat from
// the second quarter to the last. It runs for seconds, and for half an hour under SMPCC_NIGHTLY=1.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	length, samples, heapMore := 6*time.Second, 24, soakHeapShort
	if os.Getenv("SMPCC_NIGHTLY") != "" {
		length, samples, heapMore = 30*time.Minute, 360, soakHeapMore
	}
	m := credit()
	f := newFleet(t, m)
	numbers := map[string]string{}
	for _, r := range m.plan.Roles() {
		numbers[r] = f.telemetry(r)
		f.extra[r] += "timeout: 20s\ninput_timeout: 2s\n"
	}
	f.extra["p0"] += "material: {low: 16, high: 64}\n"
	f.startAll()
	f.works(f.client(), "at first")

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	sessions, left := 0, 0
	go func() {
		for ctx.Err() == nil {
			n, err := f.soakBatch(ctx)
			if sessions += n; err != nil && ctx.Err() == nil {
				ended <- fmt.Errorf("after %d sessions: %w", sessions, err)
				return
			}
			left++
		}
		ended <- nil
	}()
	held, own := map[string][]usage{}, []int{}
	tick := time.NewTicker(length / time.Duration(samples))
	defer tick.Stop()
	for range samples {
		select {
		case err := <-ended:
			t.Fatal(err)
		case <-tick.C:
		}
		for r, addr := range numbers {
			held[r] = append(held[r], f.usage(r, addr))
		}
		own = append(own, runtime.NumGoroutine())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	flat := func(who, what string, of func([]int) int, list []int, more func(before int) int) {
		q := len(list) / 4
		before, after := of(list[q:2*q]), of(list[3*q:])
		t.Logf("%-2s %-10s %7d in the second quarter, %7d in the last", who, what, before, after)
		if after > before+more(before) {
			t.Errorf("%s: %s grew from %d to %d in %d sessions: %v", who, what, before, after, sessions, list)
		}
	}
	by := func(n int) func(int) int { return func(int) int { return n } }
	part := func(share float64, more int) func(int) int {
		return func(before int) int { return int(share*float64(before)) + more }
	}
	for _, r := range m.plan.Roles() {
		flat(r, "kB", median, column(held[r], func(u usage) int { return u.kb }), part(soakMemory, soakMemoryMore))
		flat(r, "kB of heap", floor, column(held[r], func(u usage) int { return u.heap }), part(soakHeap, heapMore))
		flat(r, "files", median, column(held[r], func(u usage) int { return u.files }), by(soakFiles))
		flat(r, "goroutines", median, column(held[r], func(u usage) int { return u.routines }), by(soakRoutines))
	}
	flat("client", "goroutines", median, own, by(soakRoutines))
	n := f.neverTwice()
	if n == 0 {
		t.Error("nothing was observed")
	}
	t.Logf("%d sessions and %d clients that left, %d openings observed, in %v", sessions, left, n, length)
}

// soakBatch runs sessions with a client of its own, and returns how many ended well.
func (f *fleet) soakBatch(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cl, err := f.connect()
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	if _, err := cl.Session(ctx); err != nil { // gives no input
		return 0, err
	}
	return n, cl.Each(ctx, 200, 8, func(int) ([][]uint64, error) { return f.m.input, nil }, func(_ int, r *client.Result) error {
		if n++; !f.m.right(r) {
			return errors.New("a result is wrong")
		}
		return nil
	})
}

// column picks one number of each usage.
func column(list []usage, pick func(usage) int) (out []int) {
	for _, u := range list {
		out = append(out, pick(u))
	}
	return out
}

// floor returns the least of a list.
func floor(list []int) int { return slices.Min(list) }

// median returns the middle of a list.
func median(list []int) int { s := slices.Sorted(slices.Values(list)); return s[len(s)/2] }
