package attest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"smpcc/runtime/disk"
	"smpcc/runtime/disk/faulty"
)

// longLog writes sessions to a log with short files, opens it again now and then, and returns its path and what it has accepted.
func longLog(t *testing.T, d disk.Disk, path string, sessions int, again func()) (accepted []uint64) {
	t.Helper()
	for id := uint64(1); id <= uint64(sessions); {
		l, err := OpenLog(d, path, "p0")
		if err != nil {
			return accepted
		}
		l.longest = 1500
		for range 7 {
			l.retry = time.Time{} // a minute has passed
			if err := l.Add(Event{What: "session", Role: "p0", Session: id}); err == nil {
				accepted = append(accepted, id)
			} else if again != nil {
				again()
			}
			id++
		}
		if err := l.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			t.Fatal(err)
		}
	}
	return accepted
}

// sessionsIn reads the sessions of all files of a log.
func sessionsIn(t *testing.T, path string) (out []uint64) {
	t.Helper()
	files, err := Segments(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		files = append(files, path)
	}
	for _, file := range files {
		if _, _, err := verifyFile(file, start{any: true}, func(e Entry) {
			if e.Session > 0 {
				out = append(out, e.Session)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestLongLog writes a log over many files. It is one chain: whatever is changed, removed or exchanged in it is found, a file may be archived and checked by the hash before
// it, and a start reads the last file only.
func TestLongLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	accepted := longLog(t, disk.Machine, path, 40, nil)
	files, err := Segments(path)
	if err != nil || len(files) < 6 || len(accepted) < 40 {
		t.Fatalf("%d files, %d entries, %v", len(files), len(accepted), err)
	}
	last, err := VerifyLog(path, "", "")
	if err != nil || !slices.Equal(sessionsIn(t, path), accepted) {
		t.Fatalf("%v; sessions %v", err, sessionsIn(t, path))
	}
	if one, err := VerifyLog(files[2], "", ""); err != nil || one.Seq == 0 || one.Seq >= last.Seq {
		t.Errorf("with the files before it: %v, %v", one, err)
	}
	early, err := firstEntry(files[1])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyLog(path, early.Hash, ""); err != nil {
		t.Errorf("a hash that was noted: %v", err)
	}
	spoil := func(name string, want string, f func() error, mend func() error) {
		t.Helper()
		if err := f(); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyLog(path, last.Hash, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if err := mend(); err != nil {
			t.Fatal(err)
		}
	}
	away := filepath.Join(t.TempDir(), "away")
	hide := func(file string) (func() error, func() error) {
		return func() error { return os.Rename(file, away) }, func() error { return os.Rename(away, file) }
	}
	f, mend := hide(files[0])
	spoil("the first file is gone", "the files before it are not here", f, mend)
	f, mend = hide(files[3])
	spoil("a file in the middle is gone", "entries are missing or changed", f, mend)
	f, mend = hide(path)
	spoil("the last file is gone", "no entry has the hash", f, mend)
	good, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	spoil("an entry of an old file is changed", filepath.Base(files[1]), func() error {
		return os.WriteFile(files[1], []byte(strings.Replace(string(good), `"role":"p0"`, `"role":"p1"`, 1)), 0o600)
	}, func() error { return os.WriteFile(files[1], good, 0o600) })

	// archived
	end, err := lastEntry(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(files[0], away); err != nil {
		t.Fatal(err)
	}
	if got, err := VerifyLog(path, last.Hash, end.Hash); err != nil || got.Seq != last.Seq {
		t.Errorf("with the hash of what is archived: %v", err)
	}
	if _, err := VerifyLog(path, "", strings.Repeat("0", 64)); err == nil {
		t.Error("another hash of what is archived was taken")
	}
	// a start reads the last file: what is wrong in others does not concern it, and Verify finds it
	for _, file := range files[1 : len(files)-1] {
		if err := os.WriteFile(file, []byte("nothing\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := OpenLog(disk.Machine, path, "p0")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Add(Event{What: "session", Role: "p0", Session: 99}), l.Close(), VerifyCurrent(path)); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(files[len(files)-1], good, 0o600); err != nil { // not the one that it follows
		t.Fatal(err)
	}
	if l, err := OpenLog(disk.Machine, path, "p0"); err == nil {
		t.Error("a log was opened that follows another file")
		l.Close()
	}
}

// TestLongLogOnAFaultyDisk writes a log over several files to a disk that fails at any byte or step, which the beginning of a file has several of. What was
// accepted is in the files, in order, in one chain; and a restart goes on with it.
func TestLongLogOnAFaultyDisk(t *testing.T) {
	for name, kind := range map[string]struct {
		make func(int64) *faulty.Disk
		step int64
	}{"full": {faulty.Full, 97}, "killed at a byte": {faulty.Crash, 97}, "killed at a step": {faulty.CrashAt, 1}, "sick": {faulty.Sick, 1}} {
		t.Run(name, func(t *testing.T) {
			for at := int64(0); ; at += kind.step {
				path := filepath.Join(t.TempDir(), "audit.log")
				d := kind.make(at)
				accepted := longLog(t, d, path, 14, nil)
				l, err := OpenLog(disk.Machine, path, "p0")
				if err != nil {
					t.Fatalf("fault %d: %v", at, err)
				}
				if err := errors.Join(l.Add(Event{What: "session", Role: "p0", Session: 99}), l.Close()); err != nil {
					t.Fatal(err)
				}
				if _, err := VerifyLog(path, "", ""); err != nil {
					t.Fatalf("fault %d: %v", at, err)
				}
				got := sessionsIn(t, path)
				if i := slices.Index(got, 99); i >= 0 {
					got = slices.Delete(got, i, i+1)
				}
				for _, id := range accepted {
					if !slices.Contains(got, id) {
						t.Fatalf("fault %d: session %d was accepted and is lost: %v", at, id, got)
					}
				}
				if lives := 1 + 14/7; len(got) > len(accepted)+lives || !slices.IsSorted(got) { // in each an entry may be whole whose sync failed
					t.Fatalf("fault %d: the log has %v, accepted were %v", at, got, accepted)
				}
				if !d.Failed() {
					break
				}
			}
		})
	}
}
