package server_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/runtime/attest"
	"smpcc/runtime/disk"
	"smpcc/runtime/server"
)

// TestStateOfOldPlans serves one plan, stores material, and serves another in the same folders. What the first has left counts in the limit of material and in the metrics,
// is listed, and goes; the ledger stays, the other plan is served all the while, and closed files of the log are archived and still one chain.
func TestStateOfOldPlans(t *testing.T) {
	h := newHouse(t, credit())
	h.cfg["p0"].Telemetry.Listen = freeAddress(t)
	h.must()
	fill := func(sessions int) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := h.raw("p0").Generate(ctx, sessions)
		return err
	}
	if err := fill(8); err != nil {
		t.Fatal(err)
	}
	stock, err := h.raw("p0").Stock(t.Context(), "p0")
	if err != nil {
		t.Fatal(err)
	}
	for r := range h.cfg {
		h.stop(r)
	}
	first := h.m
	other := renamed(t, first.plan, "-2")
	h.m = &model{plan: other, weights: first.weights, input: first.input, want: first.want, atol: first.atol}
	state := h.cfg["p0"].State
	for _, name := range []string{"setup-0011223344556677.ABC.making", "ledger.db.XYZ.making"} {
		old := filepath.Join(state, name)
		if err := os.WriteFile(old, make([]byte, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(old, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	h.cfg["p0"].Material.Disk = sizeOf(stock.Bytes + stock.Bytes/2)
	h.must()
	for _, name := range []string{"setup-0011223344556677.ABC.making", "ledger.db.XYZ.making"} {
		if _, err := os.Stat(filepath.Join(state, name)); err == nil {
			t.Errorf("%s is there after a start", name)
		}
	}
	works(t, h, "the other plan")
	if err := fill(8); err == nil || !strings.Contains(err.Error(), "of other plans are beside it") || !strings.Contains(err.Error(), "smpcc state gc") {
		t.Errorf("error %v, want that other plans' material counts", err)
	}
	writing := filepath.Join(state, "setup-"+other.Digest()[:16]+".NOW.making") // as if the server wrote it
	if err := os.WriteFile(writing, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	items, err := server.Garbage(state, other.Digest())
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, i := range items {
		found = append(found, fmt.Sprintf("%s: %s", filepath.Base(i.Path), i.What))
		if i.Bytes <= 0 || i.Archive {
			t.Errorf("%s has %d bytes, archive %v", i.Path, i.Bytes, i.Archive)
		}
	}
	mark := first.plan.Digest()[:16]
	if want := []string{mark + ": material of plan " + mark, "setup-" + mark + ": setup of plan " + mark}; !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
	before := metrics(t, h.cfg["p0"].Telemetry.Listen)
	freed, err := server.Collect(items, "")
	if err != nil || freed < stock.Bytes {
		t.Errorf("%d bytes, %v", freed, err)
	}
	after := metrics(t, h.cfg["p0"].Telemetry.Listen)
	gone := before["smpcc_state_setup_bytes"] - after["smpcc_state_setup_bytes"] + before["smpcc_state_material_bytes"] - after["smpcc_state_material_bytes"]
	if gone != float64(freed) || after["smpcc_state_log_bytes"] == 0 {
		t.Errorf("the metrics say that %v bytes are gone, want %d: %v", gone, freed, after)
	}
	if err := fill(8); err != nil {
		t.Errorf("with room again: %v", err)
	}
	works(t, h, "after it")
	h.stop("p0")
	h.must("p0")
	works(t, h, "after a restart")
}

// TestLogIsArchived closes a file of a server's log and moves it elsewhere.
func TestLogIsArchived(t *testing.T) {
	m := credit()
	state, archive := t.TempDir(), t.TempDir()
	path := filepath.Join(state, "audit.log")
	l, err := attest.OpenLog(disk.Machine, path, "p0")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 40_000)
	for range 300 { // 12 MB
		if err := l.Add(attest.Event{What: "session", Role: "p0", Reason: text}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	items, err := server.Garbage(state, m.plan.Digest())
	if err != nil || len(items) != 1 || !items[0].Archive {
		t.Fatalf("%v, %v", items, err)
	}
	if freed, err := server.Collect(items, ""); err != nil || freed != 0 {
		t.Errorf("%d bytes of the log went nowhere, %v", freed, err)
	}
	if freed, err := server.Collect(items, archive); err != nil || freed < 8<<20 {
		t.Errorf("%d bytes, %v", freed, err)
	}
	kept, err := attest.VerifyLog(filepath.Join(archive, filepath.Base(items[0].Path)), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if last, err := attest.VerifyLog(path, l.Head(), kept.Hash); err != nil || last.Seq < 300 {
		t.Errorf("%v, %v", last.Seq, err)
	}
	if l, err = attest.OpenLog(disk.Machine, path, "p0"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// renamed returns the plan under another name, which is another plan.
func renamed(t *testing.T, p *plan.Plan, suffix string) *plan.Plan {
	t.Helper()
	c, err := typed.Decode(p.Typed)
	if err != nil {
		t.Fatal(err)
	}
	c.Manifest.Name += suffix
	other, err := c.Project()
	if err != nil {
		t.Fatal(err)
	}
	return other
}
