package material

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

func openLedger(t *testing.T, path string) *Ledger {
	t.Helper()
	l, err := OpenLedger(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // again, where the test closed it: harmless
	return l
}

func TestLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := openLedger(t, path)
	a, b := [32]byte{1}, [32]byte{31: 2}
	for _, x := range []struct {
		digest  [32]byte
		session uint64
		ok      bool
		last    uint64
	}{
		{a, 0, false, 0}, {a, 1, true, 1}, {a, 1, false, 1}, {a, 0, false, 1}, {a, 5, true, 5}, {a, 4, false, 5}, {a, 5, false, 5},
		{b, 3, true, 3}, {b, 3, false, 3}, {a, 6, true, 6}, {b, 4, true, 4}, // plans do not mix
		{b, math.MaxUint64, true, math.MaxUint64}, {b, math.MaxUint64, false, math.MaxUint64}, {b, 0, false, math.MaxUint64},
	} {
		err := l.Use(x.digest, x.session)
		if (err == nil) != x.ok || err != nil && !errors.Is(err, ErrUsed) {
			t.Errorf("session %d: %v", x.session, err)
		}
		if err != nil && !strings.Contains(err.Error(), "start a new session") {
			t.Errorf("the error does not say what to try: %v", err)
		}
		if last, err := l.Last(x.digest); err != nil || last != x.last {
			t.Errorf("last is %d, %v, want %d", last, err, x.last)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Use(a, 7); err == nil {
		t.Error("a closed ledger records")
	}
	l = openLedger(t, path)
	if err := l.Use(a, 6); !errors.Is(err, ErrUsed) {
		t.Errorf("after reopening: %v", err)
	}
	if err := l.Use(a, 7); err != nil {
		t.Error(err)
	}
	if last, err := l.Last([32]byte{9}); err != nil || last != 0 {
		t.Errorf("last of an unknown plan is %d, %v", last, err)
	}
}

func TestLedgerConcurrent(t *testing.T) {
	l := openLedger(t, filepath.Join(t.TempDir(), "ledger"))
	for session := uint64(1); session <= 3; session++ {
		var used atomic.Int64
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				switch err := l.Use([32]byte{1}, session); {
				case err == nil:
					used.Add(1)
				case !errors.Is(err, ErrUsed):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if used.Load() != 1 {
			t.Errorf("session %d was granted %d times", session, used.Load())
		}
	}
}

func TestLedgerRefusals(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"empty": "", "text": "not a ledger\n", "zeros": strings.Repeat("\x00", 1<<16)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := OpenLedger(path)
		if err == nil {
			t.Errorf("%s: opened", name)
			_ = l.Close()
		} else if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "new ledger") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenLedger(filepath.Join(dir, "none", "ledger")); err == nil {
		t.Error("made a ledger in a folder that does not exist")
	}
	path := filepath.Join(dir, "locked")
	l := openLedger(t, path)
	start := time.Now()
	if _, err := OpenLedger(path); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	if d := time.Since(start); d > 5*lockWait {
		t.Errorf("the second opening waited %v", d)
	}
	digest := [32]byte{1}
	err := l.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(sessions).Put(digest[:], []byte{1, 2, 3}) })
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Use(digest, 9); err == nil || errors.Is(err, ErrUsed) {
		t.Errorf("a damaged record was taken for none: %v", err)
	}
	if _, err := l.Last(digest); err == nil {
		t.Error("a damaged record has a last session")
	}
}

// ledgerEnv, set in the environment, makes TestLedgerChild use sessions 1, 2, ... of the ledger it names, one a line of output.
const ledgerEnv = "SMPCC_TEST_LEDGER"

// TestLedgerChild is the process that TestLedgerKill kills.
func TestLedgerChild(t *testing.T) {
	path := os.Getenv(ledgerEnv)
	if path == "" {
		t.Skip("runs in the process that TestLedgerKill starts")
	}
	l, err := OpenLedger(path)
	if err != nil {
		t.Fatal(err)
	}
	last, err := l.Last([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	for session := last + 1; ; session++ {
		if err := l.Use([32]byte{1}, session); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("used %d\n", session)
	}
}

// TestLedgerKill kills a process right after it reports a session as used, again and again: no session it reported may be
// had afterwards. The kill strikes while the next record is being written, so the file must also survive that.
func TestLedgerKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	path := filepath.Join(t.TempDir(), "ledger")
	digest := [32]byte{1}
	reported := uint64(0)
	for run := range 6 {
		reported = killAfter(t, path, reported, uint64(5+run))
		l := openLedger(t, path)
		last, err := l.Last(digest)
		if err != nil || last < reported {
			t.Fatalf("session %d was reported as used, the ledger has %d, %v", reported, last, err)
		}
		for session := uint64(1); session <= reported; session++ {
			if err := l.Use(digest, session); !errors.Is(err, ErrUsed) {
				t.Fatalf("session %d after the kill: %v", session, err)
			}
		}
		if err := l.Use(digest, last+1); err != nil {
			t.Fatal(err)
		}
		reported = last + 1
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter runs TestLedgerChild, kills it as soon as it has reported count sessions above last and returns the last one it
// reported.
func killAfter(t *testing.T, path string, last, count uint64) uint64 {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestLedgerChild$", "-test.timeout=30s")
	cmd.Env = append(os.Environ(), ledgerEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	reported := last
	var log []string
	for in := bufio.NewScanner(out); in.Scan(); {
		log = append(log, in.Text())
		id, ok := strings.CutPrefix(in.Text(), "used ")
		if !ok {
			continue
		}
		session, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			break // a line cut off by the kill
		}
		reported = max(reported, session) // also after the kill: what it still wrote, it had recorded
		if !killed && session >= last+count {
			killed = true
			if err := cmd.Process.Kill(); err != nil { // SIGKILL: nothing of the process runs after it
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); !killed || err == nil {
		t.Fatalf("the process was not killed: %v\n%s", err, strings.Join(log, "\n"))
	}
	return reported
}
