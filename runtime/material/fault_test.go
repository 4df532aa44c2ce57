package material

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"smpcc/runtime/disk"
	"smpcc/runtime/disk/faulty"
)

// kinds are the disks that fail.
var kinds = map[string]func(int64) *faulty.Disk{"full": faulty.Full, "killed at a byte": faulty.Crash, "killed at a step": faulty.CrashAt, "sick": faulty.Sick}

// record returns what is stored under a number.
func recordOf(number int) []byte { return bytes.Repeat([]byte{byte(number)}, 40) }

// put stores material from a number on, for two sessions.
func put(s *Store, first int) error {
	a, err := s.Add(uint64(first), 2)
	if err != nil {
		return err
	}
	defer a.Discard()
	for i := range 2 {
		if err := a.Put(recordOf(first + i)); err != nil {
			return err
		}
	}
	return a.Commit()
}

// TestStoreOnAFaultyDisk stores and takes material on a disk that fails at any byte and step. After a restart, and after one that finds the disk
// well, what is there is whole and right, what was stored without an error is there, and nothing is left over.
func TestStoreOnAFaultyDisk(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			for k := int64(0); ; k++ {
				dir := t.TempDir()
				if err := put(openTestStore(t, dir, 1, 1<<20), 1); err != nil {
					t.Fatal(err)
				}
				d := kind(k)
				var took []byte
				stored := false
				s, err := OpenStore(d, dir, [32]byte{1}, 1, 40, 1<<20, time.Hour)
				if err == nil {
					took, _ = s.Take(1, 1)
					stored = put(s, 3) == nil
				}
				if took != nil && !bytes.Equal(took, recordOf(1)) {
					t.Errorf("fault %d: took another record", k)
				}
				s = openTestStore(t, dir, 1, 1<<20)
				if err := s.DropTo(1); err != nil { // as the ledger says
					t.Fatal(err)
				}
				var left []uint64
				for n := s.Next(1); n > 0; n = s.Next(n) {
					left = append(left, n)
				}
				if want := []uint64{2, 3, 4}; !slices.Equal(left, want) && (stored || !slices.Equal(left, want[:1])) {
					t.Errorf("fault %d: numbers %v are there, stored: %v", k, left, stored)
				}
				for _, n := range left {
					if r, err := s.Take(n, n); err != nil || !bytes.Equal(r, recordOf(int(n))) {
						t.Errorf("fault %d: number %d: %v", k, n, err)
					}
				}
				if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
					t.Errorf("fault %d: left over: %v, %v", k, names, err)
				}
				if !d.Failed() {
					break
				}
			}
		})
	}
}

// TestMasterOnAFaultyDisk makes a master key on a disk that fails at any byte and step. The next start has a key, and it is the one that was given out.
func TestMasterOnAFaultyDisk(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			for at := int64(0); ; at++ {
				path := filepath.Join(t.TempDir(), "master.key")
				d := kind(at)
				first, err := OpenMaster(d, path)
				again, err2 := OpenMaster(disk.Machine, path)
				if err2 != nil {
					t.Fatalf("fault %d: the next start: %v", at, err2)
				}
				if err == nil && !again.Equal(first) {
					t.Fatalf("fault %d: another key", at)
				}
				if !d.Failed() {
					break
				}
			}
		})
	}
}

// TestLedgerTorn ends the write of a record at any of its bytes, as a crash or a full disk does: the ledger opens, and has the record or the one before.
func TestLedgerTorn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger")
	l := openLedger(t, path)
	digest := [32]byte{1}
	var before, after []byte
	for id := uint64(1); id <= 3; id++ {
		before = after
		if err := l.UseAll(Record{digest, id}, Record{[32]byte{2}, id}); err != nil {
			t.Fatal(err)
		}
		var err error
		if after, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	page := os.Getpagesize()
	// the order in which the table is written: its pages, then one of the two heads, which come first in the file
	var order []int
	for at := 0; at < len(after); at += page {
		if i := (at + 2*page) % len(after); !bytes.Equal(before[i:i+page], after[i:i+page]) {
			order = append(order, i)
		}
	}
	torn := bytes.Clone(before)
	seen := map[uint64]bool{}
	for _, at := range order {
		for i := range page {
			torn[at+i] = after[at+i]
			if before[at+i] == after[at+i] || i > 128 && i%97 != 0 {
				continue
			}
			file := filepath.Join(dir, "torn")
			if err := os.WriteFile(file, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := OpenLedger(file)
			if err != nil {
				t.Fatalf("page at %d, byte %d: %v", at, i, err)
			}
			a, err := l.Last(digest)
			b, err2 := l.Last([32]byte{2})
			if err != nil || err2 != nil || a != b || a != 2 && a != 3 {
				t.Errorf("page at %d, byte %d: the last ones are %d and %d, %v, %v", at, i, a, b, err, err2)
			}
			seen[a] = true
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !seen[2] || !seen[3] {
		t.Errorf("seen %v", seen)
	}
}

// TestLedgerDamaged changes and cuts a ledger anywhere. It opens, or is refused with an error; nothing panics.
func TestLedgerDamaged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger")
	l := openLedger(t, path)
	for i := range byte(40) {
		if err := l.Use([32]byte{i}, uint64(i)+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(name string, data []byte) (refused bool) {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := OpenLedger(file)
		if err != nil {
			return true
		}
		_ = l.Use([32]byte{7}, 100) // may be refused
		_, _ = l.Last([32]byte{9})
		_ = l.Close()
		return false
	}
	refused := 0
	for at := 0; at < len(whole); at += 8 {
		if at%4096 > 256 && at%128 != 0 {
			continue
		}
		for _, b := range []byte{0, 0xff} {
			data := bytes.Clone(whole)
			for i := range 8 {
				data[at+i] = b
			}
			if try(fmt.Sprintf("changed-%d-%d", at, b), data) {
				refused++
			}
		}
	}
	for n := 0; n < len(whole); n += 2048 {
		if try(fmt.Sprintf("cut-%d", n), whole[:n]) {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

// TestLedgerOnAFullDisk records sessions on disks of all sizes until they are full, and again when there is room. What was recorded stays.
func TestLedgerOnAFullDisk(t *testing.T) {
	digest := func(i uint64) (d [32]byte) { d[0], d[1] = byte(i), byte(i>>8); return d }
	full := 0
	for size := 16 << 10; size <= 160<<10; size += 4 << 10 {
		dir := t.TempDir()
		mount(t, dir, size, false)
		path := filepath.Join(dir, "ledger")
		l, err := OpenLedger(path)
		recorded := uint64(0)
		if err == nil {
			for err == nil && recorded < 2000 {
				if err = l.Use(digest(recorded+1), 7); err == nil {
					recorded++
				}
			}
		}
		if err != nil {
			full++
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
		check := func(when string) {
			for i := uint64(1); i <= recorded; i++ {
				if last, err := l.Last(digest(i)); err != nil || last != 7 {
					t.Fatalf("%d bytes, %s: record %d of %d is %d, %v", size, when, i, recorded, last, err)
				}
			}
		}
		if l != nil {
			check("full")
		}
		mount(t, dir, 4<<20, true)
		if l != nil {
			if err := l.Use(digest(4000), 7); err != nil {
				t.Errorf("%d bytes, with room: %v", size, err)
			}
			check("with room")
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if l, err = OpenLedger(path); err != nil {
			t.Fatalf("%d bytes, after a restart: %v", size, err)
		}
		check("after a restart")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if full == 0 {
		t.Error("no disk was full")
	}
}
