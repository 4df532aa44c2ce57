package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smpcc/runtime/attest"
	"smpcc/runtime/disk/faulty"
)

// TestFaultyDisk gives p1 a disk that is full, or whose syncs fail, from one place of a start, a setup, a session and a refill on, for many places. What
// does not work is refused with an error that names p1; with room p1 goes on without a restart; and after a restart its log is whole and sessions work.
func TestFaultyDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many servers")
	}
	h := newHouse(t, credit())
	h.must("p0", "d")
	log := filepath.Join(h.cfg["p1"].State, "audit.log")
	places := 0
	failure := func(err error) bool {
		return strings.Contains(err.Error(), "no space left") || strings.Contains(err.Error(), "input/output error")
	}
	setups := func() []string {
		list, err := filepath.Glob(filepath.Join(h.cfg["p1"].State, "setup-*"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	for name, kind := range map[string]struct {
		make func(int64) *faulty.Disk
		step int64
	}{"full": {faulty.Full, 389}, "sick": {faulty.Sick, 1}} {
		for at := int64(0); ; at += kind.step {
			for _, file := range setups() { // so that it is made and kept again
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
			d := kind.make(at)
			h.cfg["p1"].Disk = d
			cl := h.client("p1-client", "p1")
			if err := h.start("p1"); err != nil {
				if !failure(err) {
					t.Errorf("%s at %d: start: %v", name, at, err)
				}
			} else {
				for range 2 {
					if err := h.infers(cl); err != nil && (!failure(err) || !strings.Contains(err.Error(), "p1")) {
						t.Errorf("%s at %d: %v", name, at, err)
					}
				}
				if _, err := h.raw("p0").Generate(t.Context(), 2); err != nil && (!failure(err) || !strings.Contains(err.Error(), "p1")) {
					t.Errorf("%s at %d: material: %v", name, at, err)
				}
				d.Heal()
				if err := h.infers(cl); err != nil {
					t.Errorf("%s at %d, with room: %v", name, at, err)
				}
				h.stop("p1")
			}
			if d.Failed() {
				places++
			}
			h.cfg["p1"].Disk = nil
			h.must("p1")
			if n := len(setups()); n > 1 {
				t.Errorf("%s at %d: %d files of setups are left", name, at, n)
			}
			if err := h.infers(cl); err != nil {
				t.Errorf("%s at %d, after a restart: %v", name, at, err)
			}
			h.stop("p1")
			cl.Close()
			if _, err := attest.VerifyLog(log, "", ""); err != nil {
				t.Errorf("%s at %d: %v", name, at, err)
			}
			if !d.Failed() {
				break
			}
		}
	}
	t.Logf("the disk failed in %d places", places)
	if places < 30 {
		t.Errorf("the disk failed in %d places", places)
	}
}
