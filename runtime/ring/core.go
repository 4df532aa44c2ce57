package ring

import "os"

// A core is a set of inner loops for one kind of processor. All cores compute the same words, where only low
// bits are wanted the same low bits.
//
// Matrices have rows that begin ldd, lda and ldb words apart; slices may end with the last element of the last row.
type core struct {
	name string

	tile   *tile[uint64] // nil for portable
	tile52 *tile[uint64] // mod 2^52, bits above are garbage; nil where that is not faster
	tile32 *tile[uint32] // mod 2^32, bits above are garbage; nil for portable
	// narrow writes the low halves of n words, where there is a tile of 32 bits.
	narrow func(d *uint32, a *uint64, n int)
	// rows computes d += sum over i < len(x) of x[i] * b[i*ldb:i*ldb+len(d)].
	rows func(d, x, b []uint64, ldb int)
	// dot returns the sum of a[i] * b[i] for i < len(a).
	dot func(a, b []uint64) uint64

	lanes *lanes // nil for plain Go
}

// An element is what panels are packed of: words, or their low halves.
type element interface{ uint32 | uint64 }

// A tile is the innermost product of a core.
type tile[E element] struct {
	width      int // elements of a vector
	maxVectors int // vectors in a row of a tile
	maxRows    int // rows of a tile
	columns    int // columns of a block of a matrix: with depth they fit half of a second-level cache

	// run computes d = a x b, or d += a x b.
	run func(d, a []uint64, b []E, at []int, last int, f form)
}

// A form is the shape of operands of a tile and where they lie. a is rows by len(at); row p of b begins at element at[p], of which
// none exceeds last, and is read to the end of its last vector, whatever tail is.
type form struct {
	rows, vectors  int // of d; rows are 8, 4, 2 or 1, at most maxRows
	head, tail     int // columns of a vector and of the last one, from 1 to width
	ldd, lda, step int // words between rows of d, rows of a, columns of a
	apart, from    int // words between vectors of d, elements between those of b
	add            int // 1 to add to d, 0 to write it
}

// panel returns the columns of a whole panel.
func (t *tile[E]) panel() int { return t.width * t.maxVectors }

// depth is the number of rows of b between visits to d.
const depth = 512

// portableCore is plain Go, for every processor.
var portableCore = &core{name: "portable", rows: one, dot: dot}

// cores lists what this processor can run, best first; portableCore is always last.
var cores = append(processorCores(), portableCore)

// active is the core in use.
var active = choose(os.Getenv("SMPCC_KERNEL"))

// choose returns the core of that name if this processor has it, else the best.
func choose(name string) *core {
	for _, c := range cores {
		if c.name == name {
			return c
		}
	}
	return cores[0]
}

// tiles returns the tile for results of which only the given number of low bits is wanted: one of the two, or none for portable.
func (c *core) tiles(bits int) (*tile[uint32], *tile[uint64]) {
	switch {
	case bits <= 32 && c.tile32 != nil:
		return c.tile32, nil
	case bits <= 52 && c.tile52 != nil:
		return nil, c.tile52
	}
	return nil, c.tile
}

// takeWords packs words that lie step apart: d[i] = a[i*step].
func takeWords(d, a []uint64, step int) {
	switch {
	case step == 1:
		copy(d, a)
	case step == 2:
		everyOther(d, a)
	default:
		for i := range d {
			d[i] = a[i*step]
		}
	}
}

// takeHalves is takeWords for their low halves; the core in use must have a tile of 32 bits.
func takeHalves(d []uint32, a []uint64, step int) {
	if len(d) == 0 {
		return
	}
	_ = a[(len(d)-1)*step]
	if step == 1 {
		active.narrow(&d[0], &a[0], len(d))
		return
	}
	for i := range d {
		d[i] = uint32(a[i*step])
	}
}

// Kernel returns the name of the inner loops in use: "avx512" (AVX-512 F and DQ; with IFMA products of 33 to 52 bits too, with BW, VBMI and BITALG comparisons too), "avx2" or "portable". The best that the
// processor has is chosen when the program starts; SMPCC_KERNEL=avx2 or SMPCC_KERNEL=portable chooses a lesser one, a name
// the processor does not know is ignored. All give the same results.
func Kernel() string { return active.name }
