package share

import (
	"encoding/hex"
	"fmt"
	"testing"

	"smpcc/backend/plan"
)

// TestSplit: shares of any number of parties and width add up to the words, and those of all parties but one are uniform whatever the words are.
func TestSplit(t *testing.T) {
	for _, elem := range []string{"int", "bool"} {
		for _, parties := range []int{2, 3, 5} {
			for _, bits := range []int{1, 2, 7, 8, 9, 16, 17, 33, 40, 63, 64} {
				if elem == "bool" && bits > 1 {
					continue
				}
				p := &plan.Port{Name: "x", Elem: elem, Bits: bits, Shape: []int{4}, Shares: true}
				words := []uint64{0, 1, low(1<<63|1<<20|5, bits), low(^uint64(0), bits)}
				shares, err := Split(p, words, parties)
				if err != nil {
					t.Fatal(err)
				}
				for i, w := range words {
					sum := uint64(0)
					for _, s := range shares {
						if s[i] != low(s[i], bits) {
							t.Fatalf("a share of %d bits is %#x", bits, s[i])
						}
						if elem == "bool" {
							sum ^= s[i]
						} else {
							sum += s[i]
						}
					}
					if low(sum, bits) != w {
						t.Fatalf("%s, %d parties, %d bits: the shares of %#x are of %#x", elem, parties, bits, w, low(sum, bits))
					}
				}
			}
		}
	}
	p := &plan.Port{Name: "x", Elem: "int", Bits: 2, Shape: []int{1}, Shares: true}
	for _, word := range []uint64{0, 3} {
		for party := range 3 {
			seen := map[uint64]int{}
			for range 4000 {
				s, err := Split(p, []uint64{word}, 3)
				if err != nil {
					t.Fatal(err)
				}
				seen[s[party][0]]++
			}
			for w := range uint64(4) { // 1000 expected, standard deviation 27
				if seen[w] < 830 || seen[w] > 1170 {
					t.Errorf("the share of %d at party %d is %d in %d of 4000 cases", word, party, w, seen[w])
				}
			}
		}
	}
	if _, err := Split(p, []uint64{4}, 2); err == nil {
		t.Error("a word beyond the ring is shared")
	}
	if _, err := Split(p, []uint64{1, 1}, 2); err == nil {
		t.Error("a word too many is shared")
	}
}

// TestExpand: the words of a seed are those of AES-128 in counter mode, as FIPS 197 and NIST SP 800-38A compute them.
func TestExpand(t *testing.T) {
	var seed Seed
	if _, err := hex.Decode(seed[:], []byte("000102030405060708090a0b0c0d0e0f")); err != nil {
		t.Fatal(err)
	}
	// AES-128 of 00..00 and 00..01 under this key
	for _, c := range []struct {
		bits int
		want string
	}{{8, "[198 161 59 55 135 143 91 130]"}, {4, "[6 1 11 7 7 15 11 2]"}, {16, "[41414 14139 36743 33371]"}, {64, "[9393259258721313222]"}} {
		p := &plan.Port{Bits: c.bits, Shape: []int{8 / plan.StreamWidth(c.bits)}}
		if got := fmt.Sprint(Expand(seed, 0, p)); got != c.want {
			t.Errorf("%d bits: %s, want %s", c.bits, got, c.want)
		}
	}
	p := &plan.Port{Bits: 64, Shape: []int{3}}
	a, b := Expand(seed, 0, p), Expand(seed, 1, p)
	for i := range a {
		if a[i] == b[i] {
			t.Error("two inputs have one stream")
		}
	}
}
