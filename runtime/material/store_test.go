package material

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smpcc/runtime/disk"
)

func openTestStore(t *testing.T, dir string, epoch uint64, limit int64) *Store {
	t.Helper()
	s, err := OpenStore(disk.Machine, dir, [32]byte{1}, epoch, 40, limit, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fill(t *testing.T, s *Store, first uint64, n int) {
	t.Helper()
	a, err := s.Add(first, n)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := a.Put(bytes.Repeat([]byte{byte(first) + byte(i)}, 40)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Commit(); err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	dir := t.TempDir()
	s := openTestStore(t, dir, 1, 1<<20)
	fill(t, s, 1, 3)
	fill(t, s, 4, 2)
	if k := s.Stock(0); k.Sessions != 5 || k.First != 1 || k.Last != 5 {
		t.Errorf("stock %+v", k)
	}
	s = openTestStore(t, dir, 1, 1<<20) // after a restart
	r, err := s.Take(2, 2)
	if err != nil || !bytes.Equal(r, bytes.Repeat([]byte{2}, 40)) {
		t.Fatalf("record %v, %v", r, err)
	}
	if _, err := s.Take(2, 2); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a record was taken twice: %v", err)
	}
	if k := s.Stock(2); k.Sessions != 3 || k.First != 3 || s.Next(2) != 3 || s.Next(3) != 4 || s.Next(5) != 0 {
		t.Errorf("stock %+v", k)
	}
	if _, err := s.Take(4, 4); err != nil {
		t.Fatal(err)
	}
	if s.Has(3) {
		t.Error("material below a used number is still there")
	}
	if _, err := s.Take(3, 3); !errors.Is(err, ErrNone) {
		t.Errorf("error %v", err)
	}
	if s = openTestStore(t, dir, 2, 1<<20); s.Stock(0).Sessions != 0 {
		t.Error("material of another setup is kept")
	}
	if e, err := os.ReadDir(dir); err != nil || len(e) != 0 {
		t.Errorf("files left: %v, %v", e, err)
	}
}

func TestStoreRefuses(t *testing.T) {
	dir := t.TempDir()
	s := openTestStore(t, dir, 1, 400)
	fill(t, s, 1, 3)
	if _, err := s.Add(4, 1); !errors.Is(err, ErrFull) {
		t.Errorf("error %v, want full", err)
	}
	s.limit = 1 << 20
	if a, err := s.Add(4, 2); err != nil {
		t.Error(err)
	} else if err := a.Commit(); err == nil {
		t.Error("a segment with records missing was committed")
	}
	a, err := s.Add(3, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Put(make([]byte, 40)); err != nil {
		t.Fatal(err)
	}
	if err := a.Commit(); err == nil {
		t.Error("a number was stored twice")
	}
	file := filepath.Join(dir, "00000000000000000001"+segmentName)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[headSize] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Take(1, 1); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a damaged record was taken: %v", err)
	}
	if _, err := s.Take(2, 2); err != nil {
		t.Errorf("the record after a damaged one: %v", err)
	}
	s.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if err := s.Expire(); err != nil || s.Stock(0).Sessions != 0 {
		t.Errorf("expired material is kept: %v", err)
	}
}

// FuzzStoreOpens gives the store damaged segments: it opens without them, or takes records whose checksum holds.
func FuzzStoreOpens(f *testing.F) {
	f.Add(0, byte(1))
	f.Add(60, byte(255))
	f.Add(130, byte(4))
	f.Fuzz(func(t *testing.T, at int, flip byte) {
		dir := t.TempDir()
		fill(t, openTestStore(t, dir, 1, 1<<20), 1, 2)
		file := filepath.Join(dir, "00000000000000000001"+segmentName)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if at < 0 || at > len(data) {
			return
		}
		if at < len(data) {
			data[at] ^= flip
		} else {
			data = data[:len(data)-int(flip)%len(data)]
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s := openTestStore(t, dir, 1, 1<<20)
		for n := range uint64(4) {
			if r, err := s.Take(n, n); err == nil && !bytes.Equal(r, bytes.Repeat([]byte{byte(n)}, 40)) {
				t.Errorf("material %d is wrong", n)
			}
		}
	})
}
