package server_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"smpcc/runtime/attest"
	"smpcc/runtime/client"
	"smpcc/runtime/disk/faulty"
)

// slowly runs sessions at a house whose disks take a time for each sync, and returns how many there are in a second, and how many syncs each role makes for a session.
func slowly(t testing.TB, sync time.Duration, stored bool, sessions, width int) (rate float64, syncs map[string]float64) {
	t.Helper()
	h := newHouse(t, credit())
	disks := map[string]*faulty.Disk{}
	for r, cfg := range h.cfg {
		disks[r] = faulty.Slow(sync)
		cfg.Disk, cfg.Timeout = disks[r], "30s"
		cfg.Limits.Sessions = 64
	}
	h.must()
	cl := h.client("p1-client", "p1")
	if err := h.infers(cl); err != nil {
		t.Fatal(err)
	}
	if stored {
		if _, err := h.raw("p0").Generate(t.Context(), sessions); err != nil {
			t.Fatal(err)
		}
	}
	before := map[string]int64{}
	for r, d := range disks {
		before[r] = d.Syncs()
	}
	start := time.Now()
	if err := cl.Each(t.Context(), sessions, width, func(int) ([][]uint64, error) { return h.m.input, nil }, func(_ int, r *client.Result) error {
		if !h.m.right(r) {
			return fmt.Errorf("session %d is wrong", r.Session)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	rate = float64(sessions) / time.Since(start).Seconds()
	syncs = map[string]float64{}
	for r, d := range disks {
		syncs[r] = float64(d.Syncs()-before[r]) / float64(sessions)
	}
	for r := range h.cfg {
		h.stop(r)
		if _, err := attest.VerifyLog(filepath.Join(h.cfg[r].State, "audit.log"), "", ""); err != nil {
			t.Error(err)
		}
	}
	return rate, syncs
}

// TestSyncsOfASession counts what sessions wait for on disks. A session that is alone waits for one sync of the audit log, which all roles make side by side;
// that it has ended is written behind the answer, and the ledger is written for blocks of numbers. Sessions side by side share syncs.
func TestSyncsOfASession(t *testing.T) {
	const each = 200 * time.Millisecond // much longer than what a busy machine needs for all else
	for _, stored := range []bool{false, true} {
		fast, _ := slowly(t, 0, stored, 8, 1)
		rate, syncs := slowly(t, each, stored, 8, 1)
		t.Logf("stored %v, alone: %.1f sessions/s, syncs of a session %v", stored, rate, syncs)
		if wait := time.Duration(float64(time.Second)/rate - float64(time.Second)/fast); wait > 3*each { // a look at the disk and a block of numbers come in between
			t.Errorf("stored %v: a session waits %v for disks, and each sync takes %v", stored, wait, each)
		}
		for r, n := range syncs {
			if n > 3 { // the ends of sessions go with the beginnings of others; a look at the disk is one more
				t.Errorf("stored %v: %s makes %v syncs for a session, want one and a share of a block's", stored, r, n)
			}
		}
		rate8, syncs8 := slowly(t, each, stored, 64, 16)
		t.Logf("stored %v, 16 at once: %.1f sessions/s, syncs of a session %v", stored, rate8, syncs8)
		for r, n := range syncs8 {
			if n > 0.9 {
				t.Errorf("stored %v: %s makes %v syncs for a session of 16 at once, they should share them", stored, r, n)
			}
		}
	}
}

// BenchmarkSlowDisk measures sessions on disks with 5 ms a sync and with none.
func BenchmarkSlowDisk(b *testing.B) {
	for _, stored := range []bool{false, true} {
		for _, width := range []int{1, 8, 32} {
			for _, sync := range []time.Duration{0, 5 * time.Millisecond} {
				b.Run(fmt.Sprintf("stored=%v/concurrency=%d/sync=%v", stored, width, sync), func(b *testing.B) {
					var rates []float64
					for b.Loop() {
						rate, _ := slowly(b, sync, stored, 40*min(width, 10), width)
						rates = append(rates, rate)
					}
					slices.Sort(rates)
					b.ReportMetric(rates[len(rates)/2], "req/s")
				})
			}
		}
	}
}
