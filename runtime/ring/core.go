package ring

import "os"

// A core is a set of inner loops for one kind of processor. All cores compute the same words, where only low
// bits are wanted the same low bits.
//
// Matrices have rows that begin ldd, lda and ldb words apart; slices may end with the last element of the last row. Cores
// with a tile take b packed: panels of up to maxVectors*width columns, in rows of whole vectors, zeros behind the last column.
type core struct {
	name       string
	width      int // words of a vector
	maxVectors int // vectors in a row of a tile
	maxRows    int // rows of a tile
	columns    int // columns packed at once, whole panels: with depth they fit half of a second-level cache

	// tile computes d += a x b for rows in {8, 4, 2, 1}, at most maxRows, by width*(vectors-1)+tail columns, 1 <= tail <= width;
	// a is rows by k, b is k by width*vectors, packed. nil for portable.
	tile func(d, a, b []uint64, rows, vectors, tail, k, ldd, lda int)
	// tile52 computes the same mod 2^52, bits above are garbage; nil where that is not faster.
	tile52 func(d, a, b []uint64, rows, vectors, tail, k, ldd, lda int)
	// rows computes d += sum over i < len(x) of x[i] * b[i*ldb:i*ldb+len(d)].
	rows func(d, x, b []uint64, ldb int)
	// dot returns the sum of a[i] * b[i] for i < len(a).
	dot func(a, b []uint64) uint64

	lanes *lanes // nil for plain Go
}

// depth is the number of rows of b that are packed at once.
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

// tileFor returns the tile for results of which only the given number of low bits is wanted.
func (c *core) tileFor(bits int) func(d, a, b []uint64, rows, vectors, tail, k, ldd, lda int) {
	if bits <= 52 && c.tile52 != nil {
		return c.tile52
	}
	return c.tile
}

// Kernel returns the name of the inner loops in use: "avx512" (AVX-512 F and DQ; with IFMA products of at most 52 bits, with BW, VBMI and BITALG comparisons too), "avx2" or "portable". The best that the
// processor has is chosen when the program starts; SMPCC_KERNEL=avx2 or SMPCC_KERNEL=portable chooses a lesser one, a name
// the processor does not know is ignored. All give the same results.
func Kernel() string { return active.name }
