package program

import (
	"math/rand/v2"
	"testing"
)

// TestGaps compares places with those that a plain first fit over a list of words finds.
func TestGaps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const words = 4000
	var used [words]bool
	type block struct{ off, len int }
	var live []block
	g := newGaps()
	for range 3000 {
		if len(live) > 0 && r.IntN(5) < 2 {
			k := r.IntN(len(live))
			b := live[k]
			live = append(live[:k], live[k+1:]...)
			g.give(b.off, b.len)
			for i := range b.len {
				used[b.off+i] = false
			}
			continue
		}
		n := 1 + r.IntN(12)
		want, run := 0, 0
		for want = 0; run < n && want < words; want++ {
			if run++; used[want] {
				run = 0
			}
		}
		if run < n {
			continue
		}
		want -= n
		if got := g.take(n); got != want {
			t.Fatalf("%d words are at %d, want %d", n, got, want)
		}
		for i := range n {
			used[want+i] = true
		}
		live = append(live, block{want, n})
	}
	for _, b := range live {
		g.give(b.off, b.len)
	}
	if x := g.nodes[g.root]; x.left != 0 || x.right != 0 || x.off != 0 || x.len < words {
		t.Errorf("what is free at the end is %+v, want one gap", x)
	}
	if off := g.take(0); off != 0 {
		t.Errorf("nothing is at %d", off)
	}
}
