package server_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDiskFull fills the disk under p1's state. Sessions are refused with an error that says so, nothing is used that is not
// recorded, and when there is room again sessions work.
func TestDiskFull(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	m := credit()
	f := newFleet(t, m)
	state := f.path("state-p1")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", state, "tmpfs", 0, "size=512k,mode=0700"); err != nil {
		t.Skipf("cannot mount a small disk here: %v", err)
	}
	t.Cleanup(func() {
		f.stop("p1")
		if err := syscall.Unmount(state, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f.startAll()
	cl := f.client()
	f.works(cl, "at first")
	ballast := filepath.Join(state, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := f.raw().Generate(ctx, 4); err == nil || !strings.Contains(err.Error(), "no space left") || !strings.Contains(err.Error(), "p1") {
		t.Errorf("error %v, want that p1 has no space left", err)
	}
	refused := 0
	for range 3 { // the ledger may have free pages left
		if _, err := cl.InferWords(ctx, m.input); err != nil {
			if refused++; !strings.Contains(err.Error(), "no space left") || !strings.Contains(err.Error(), "p1") {
				t.Errorf("error %v, want that p1 has no space left", err)
			}
		}
	}
	t.Logf("%d of 3 sessions were refused", refused)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	f.works(cl, "with room again")
	if _, err := f.raw().Generate(ctx, 4); err != nil {
		t.Errorf("with room again: %v", err)
	}
	f.works(cl, "with stored material")
	f.neverTwice()
}
