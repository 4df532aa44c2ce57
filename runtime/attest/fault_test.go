package attest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"smpcc/runtime/disk"
	"smpcc/runtime/disk/faulty"
)

// entries returns the sessions in a log, which must be whole.
func entries(t *testing.T, path string) (out []uint64) {
	t.Helper()
	l, err := OpenLog(disk.Machine, path, "p0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := VerifyLog(path, "", ""); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(data), "\n") {
		if i := strings.Index(line, `"session":`); i >= 0 {
			out = append(out, uint64(line[i+len(`"session":`)]-'0'))
		}
	}
	return out
}

// TestLogOnAFaultyDisk writes entries to a disk that fails at any byte, and at any other step. What Add has accepted is in the log, in order; what it
// has refused is not, unless the process died there; and a restart, or room, is all that is needed to go on.
func TestLogOnAFaultyDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	write := func(d *faulty.Disk, heal bool) (accepted []uint64) {
		l, err := OpenLog(d, path, "p0")
		if err != nil {
			return nil
		}
		defer l.Close()
		l.now = func() time.Time { return time.Unix(0, 0) }
		for id := uint64(1); id <= 3; id++ {
			err := l.Add(Event{What: "session", Role: "p0", Session: id})
			if err == nil {
				accepted = append(accepted, id)
				continue
			}
			if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) && !errors.Is(err, faulty.ErrCrash) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v", err)
			}
			if heal {
				d.Heal()
			}
		}
		return accepted
	}
	for name, kind := range map[string]struct {
		make        func(int64) *faulty.Disk
		heal, crash bool
	}{
		"full": {make: faulty.Full}, "full, then room": {make: faulty.Full, heal: true}, "killed at a byte": {make: faulty.Crash, crash: true},
		"killed at a step": {make: faulty.CrashAt, crash: true}, "sick": {make: faulty.Sick}, "sick, then well": {make: faulty.Sick, heal: true},
	} {
		t.Run(name, func(t *testing.T) {
			for k := int64(0); ; k++ {
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				d := kind.make(k)
				accepted := write(d, kind.heal)
				got := entries(t, path)
				if kind.crash || strings.HasPrefix(name, "sick") { // an entry may be whole whose sync did not end, where nobody could take it back
					if n := len(accepted); len(got) > n && got[n] == uint64(n+1) {
						got = slices.Delete(got, n, n+1)
					}
				}
				if !slices.Equal(got, accepted) {
					t.Fatalf("fault %d: the log has sessions %v, accepted were %v", k, got, accepted)
				}
				if !d.Failed() {
					if k == 0 {
						t.Error("nothing failed")
					}
					break
				}
			}
		})
	}
}

// TestStatementsOnAFullDisk adds a statement to a file on a disk that fails at any byte: both are there, or the first.
func TestStatementsOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "k.pem")
	if _, err := NewKey(key); err != nil {
		t.Fatal(err)
	}
	k, err := LoadKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := Sign(k, Approval, "abcd", "hospital", time.Unix(0, 0))
	for _, kind := range []func(int64) *faulty.Disk{faulty.Full, faulty.Crash, faulty.CrashAt} {
		for at := int64(0); ; at++ {
			path := filepath.Join(dir, "x.sigs")
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := Append(disk.Machine, path, s); err != nil {
				t.Fatal(err)
			}
			d := kind(at)
			err := Append(d, path, s)
			l, rerr := Read(path)
			if rerr != nil || len(l) < 1 || err == nil && len(l) != 2 {
				t.Fatalf("fault %d: %d statements, %v; Append said %v", at, len(l), rerr, err)
			}
			if !d.Failed() {
				break
			}
		}
	}
}

// TestLogWritesTogether adds entries from many goroutines while each sync takes a while: they share syncs, all of them are in the log, and each was on disk before its
// Add returned. Where the disk is full, everything that Add has accepted is there and nothing else.
func TestLogWritesTogether(t *testing.T) {
	const adders, each = 32, 8
	for name, d := range map[string]*faulty.Disk{"slow": faulty.Slow(2 * time.Millisecond), "full": faulty.Full(20_000)} {
		path := filepath.Join(t.TempDir(), "audit.log")
		l, err := OpenLog(d, path, "p0")
		if err != nil {
			t.Fatal(err)
		}
		before := d.Syncs()
		var mu sync.Mutex
		accepted := map[uint64]bool{}
		var wg sync.WaitGroup
		for a := range uint64(adders) {
			wg.Go(func() {
				for i := range uint64(each) {
					id := 1 + a*each + i
					if err := l.Add(Event{What: "session", Role: "p0", Session: id}); err != nil {
						continue
					}
					data, err := os.ReadFile(path)
					if err != nil || !strings.Contains(string(data), fmt.Sprintf(`"session":%d,`, id)) {
						t.Errorf("%s: entry %d was accepted and is not in the file; %v", name, id, err)
					}
					mu.Lock()
					accepted[id] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		last, err := VerifyLog(path, l.Head(), "")
		if err != nil || last.Seq != uint64(len(accepted)) {
			t.Errorf("%s: the log has %d entries, %d were accepted; %v", name, last.Seq, len(accepted), err)
		}
		switch n := d.Syncs() - before; name {
		case "slow":
			if len(accepted) != adders*each || n > adders*each/4 {
				t.Errorf("%d of %d entries were accepted, with %d syncs", len(accepted), adders*each, n)
			}
		case "full":
			if len(accepted) == 0 || len(accepted) == adders*each {
				t.Errorf("%d of %d entries were accepted", len(accepted), adders*each)
			}
		}
	}
}
