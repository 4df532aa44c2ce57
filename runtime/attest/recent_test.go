package attest

import (
	"path/filepath"
	"testing"

	"smpcc/runtime/disk"
)

// TestRecent asks a log of many files for its end, for what is before, and for the hashes of all entries, which must be those that the whole walk shows.
func TestRecent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if first, older, err := Recent(path, 0, 2, func(Entry) { t.Error("an entry of no log") }); first != 0 || older || err != nil {
		t.Errorf("no log: %d, %v, %v", first, older, err)
	}
	if h, err := HashAt(path, 1); h != "" || err != nil {
		t.Errorf("no log: %q, %v", h, err)
	}
	longLog(t, disk.Machine, path, 60, nil)
	var all []Entry
	if _, err := WalkLog(path, "", "", func(e Entry) { all = append(all, e) }); err != nil {
		t.Fatal(err)
	}
	closed, err := Segments(path)
	if err != nil || len(closed) < 5 {
		t.Fatalf("%d closed files, %v", len(closed), err)
	}
	for _, e := range all {
		if h, err := HashAt(path, e.Seq); h != e.Hash || err != nil {
			t.Errorf("entry %d: %q, %v; want %q", e.Seq, h, err, e.Hash)
		}
	}
	if h, err := HashAt(path, uint64(len(all)+1)); h != "" || err != nil {
		t.Errorf("an entry to come: %q, %v", h, err)
	}
	next, pages := uint64(0), 0
	end := uint64(len(all) + 1)
	for {
		var seen []Entry
		first, older, err := Recent(path, next, 2, func(e Entry) {
			if next == 0 || e.Seq < next {
				seen = append(seen, e)
			}
		})
		if err != nil || len(seen) == 0 || seen[0].Seq != first || seen[len(seen)-1].Seq != end-1 {
			t.Fatalf("before %d: %d entries from %d, %v", next, len(seen), first, err)
		}
		for i, e := range seen {
			if e.Hash != all[first-1+uint64(i)].Hash {
				t.Fatalf("entry %d is another", e.Seq)
			}
		}
		pages++
		if end = first; !older {
			break
		}
		next = first
	}
	if end != 1 || pages < 3 {
		t.Errorf("%d pages lead back to entry %d", pages, end)
	}
}
