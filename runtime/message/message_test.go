package message

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(Kept, 1<<22), rapid.IntRange(Kept, 1<<40)).Draw(t, "n")
		length, class := size(n)
		if length < n || length > n+n/steps {
			t.Fatalf("%d bytes are given %d", n, length)
		}
		if again, same := size(length); again != length || same != class {
			t.Fatalf("%d bytes of size %d are kept as size %d, %d bytes", length, class, same, again)
		}
		if class >= len(free) {
			t.Fatalf("size %d of %d", class, len(free))
		}
	})
}

func TestNew(t *testing.T) {
	for _, n := range []int{0, 1, Kept - 1, Kept, Kept + 1, 3 << 20} {
		for range 3 {
			b := New(n)
			if len(b) != n || cap(b) > n+n/steps+8 {
				t.Fatalf("%d bytes asked for, got %d of %d", n, len(b), cap(b))
			}
			for i := range b {
				b[i] = 1
			}
			Free(b)
		}
	}
	Free(make([]byte, Kept+1)) // not ours, and of no size of ours
	if b := New(Kept + 1); len(b) != Kept+1 {
		t.Fatalf("got %d bytes", len(b))
	}
	Free(nil)
}
