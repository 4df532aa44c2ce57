package material

import (
	"path/filepath"
	"sync"
	"testing"

	"smpcc/runtime/disk"
)

// TestKeyClear checks that Clear overwrites the memory of a key, empties every copy of it, and touches no key derived from it.
func TestKeyClear(t *testing.T) {
	k := testKey(t, 'a')
	memory, same := k.secret(), k
	derived := Derive(k, "p", [32]byte{1}, 2, 3)
	again := Derive(k, "p", [32]byte{1}, 2, 3)
	k.Clear()
	if *memory != [keySize]byte{} {
		t.Errorf("the memory of a cleared key holds %x", *memory)
	}
	for name, k := range map[string]Key{"itself": k, "copy": same} {
		if k.Bytes() != nil {
			t.Errorf("%s: a cleared key has a content", name)
		}
		if _, err := NewStream(k); err == nil {
			t.Errorf("%s: a stream is expanded from a cleared key", name)
		}
		if Derive(k, "p", [32]byte{1}, 2, 3).Bytes() != nil {
			t.Errorf("%s: a key is derived from a cleared key", name)
		}
		if WriteMaster(disk.Machine, filepath.Join(t.TempDir(), name), k) == nil {
			t.Errorf("%s: a cleared key is written to a file", name)
		}
		if !k.Equal(Key{}) || k.Equal(again) {
			t.Errorf("%s: a cleared key is not the empty one", name)
		}
	}
	if !derived.Equal(again) || *derived.secret() == [keySize]byte{} {
		t.Error("a derived key went with the one that it derives from")
	}
	k.Clear()
	Key{}.Clear()
}

// TestStreamClear checks that a stream outlives its key, that Clear overwrites the round keys of its own, and that a cleared stream gives
// nothing: words expanded from round keys of zeros would be known to everybody.
func TestStreamClear(t *testing.T) {
	k := testKey(t, 'a')
	s, err := NewStream(k)
	if err != nil {
		t.Fatal(err)
	}
	want, got := make([]uint64, 300), make([]uint64, 300)
	s.Fill(want, 32, 8, 64)
	k.Clear()
	s.Fill(got, 32, 8, 64)
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("word %d changed when the key was cleared", i)
		}
	}
	keys := s.keys
	s.Clear()
	if keys != nil && *keys != [240]byte{} {
		t.Error("round keys are left of a cleared stream")
	}
	defer func() {
		if recover() == nil {
			t.Error("a cleared stream is read")
		}
		s.Clear()
		(*Stream)(nil).Clear()
	}()
	s.Fill(got, 32, 8, 64)
}

// TestFillLeavesNothing checks that no keystream stays in the buffers in which it was made: they are given to other streams.
func TestFillLeavesNothing(t *testing.T) {
	var made []*[chunk]byte
	old := chunks.New
	chunks = sync.Pool{New: func() any { b := new([chunk]byte); made = append(made, b); return b }}
	defer func() { chunks = sync.Pool{New: old} }()
	s, err := NewStream(testKey(t, 'a'))
	if err != nil {
		t.Fatal(err)
	}
	s.keys = nil // crypto/aes makes all of it
	for _, n := range []int{1, 2, 7, 2048, 5000} {
		for _, width := range []int{1, 2, 4, 8} {
			s.Fill(make([]uint64, n), 48, width, 8*width)
			s.Fill(make([]uint64, n), 48+3, width, 8*width)
			for _, b := range made {
				for i, x := range b {
					if x != 0 {
						t.Fatalf("%d words of %d bytes leave byte %d behind", n, width, i)
					}
				}
			}
		}
	}
	if len(made) == 0 {
		t.Error("no buffer was used")
	}
}
