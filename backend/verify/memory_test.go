package verify

import (
	"math/rand/v2"
	"testing"

	"smpcc/backend/plan"
)

// TestMemory compares the segment tree with words.
func TestMemory(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var slots []plan.Slot
		for range 1 + r.IntN(12) {
			slots = append(slots, plan.Slot{Offset: r.IntN(20), Len: 1 + r.IntN(8)})
		}
		m := newMemory(slots, plan.Session)
		words := [32]int{}
		for id := 1; id < 30; id++ {
			s := slots[r.IntN(len(slots))]
			m.write(s, id)
			for i := range s.Len {
				words[s.Offset+i] = id
			}
			for _, s := range slots {
				want := words[s.Offset]
				for i := range s.Len {
					if words[s.Offset+i] != want {
						want = mixed
					}
				}
				if got := m.read(s); got != want {
					t.Fatalf("slot %+v holds write %d, want %d", s, got, want)
				}
			}
		}
	}
}
