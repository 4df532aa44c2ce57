package ring

import "sync"

// A block is rows of the right factor of a product as a tile reads them, and where: columns stand beside each other, in one
// or more lines.
type block[E element] struct {
	buf   []E   // what lies behind the last column of a line is read but not used
	at    []int // the first column of each row
	last  int   // the largest of at
	lines int   // as many times
	wide  int   // columns
	pitch int   // of which those of a line begin so far behind those of the line before, in buf
	out   int   // and so far in the result
}

// roomWords is the number of words of the largest block: 480 KiB. Of halves there are twice as many.
const roomWords = depth * 120

// A room is space for a block and the places of its rows.
type room[E element] struct {
	buf []E
	at  [maxRows]int
}

// maxRows is the number of rows of the largest block.
const maxRows = 8192

// slack is the number of elements behind a block that a tile may read.
const slack = 48

var (
	wordRooms = sync.Pool{New: func() any { return &room[uint64]{buf: make([]uint64, roomWords+slack)} }}
	halfRooms = sync.Pool{New: func() any { return &room[uint32]{buf: make([]uint32, 2*roomWords+slack)} }}
)

// kernel writes the product of a (m by k) and b (k by n) to d (m by n) mod 2^bits, or adds it, whose rows begin ldd, lda and ldb words apart; n
// may not exceed ldd or ldb. The slices may end with the last element of the last row.
func kernel(d, a, b []uint64, m, k, n, ldd, lda, ldb, bits int, add bool) {
	c := active
	tiled := c.tile != nil && m >= fewRows && (n > 1 || ldb > 1)
	if !add && (!tiled || k == 0) {
		for i := range m {
			clear(d[i*ldd : i*ldd+n])
		}
	}
	switch {
	case m == 0 || k == 0 || n == 0:
	case tiled:
		c.product(d, a, m, k, n, ldd, lda, bits, &matrix{b, ldb}, add)
	case n == 1 && ldb == 1: // a matrix times a vector
		for i := range m {
			d[i*ldd] += c.dot(a[i*lda:i*lda+k], b[:k])
		}
	case m < fewRows:
		c.few(d, a, b, m, k, n, ldd, lda, ldb)
	default:
		portable(d, a, b, m, k, n, ldd, lda, ldb)
	}
}

// fewRows is the number of rows of a from which copying b pays.
const fewRows = 4

// few is the kernel for a few rows of a: b is read where it lies, eight rows at a time.
func (c *core) few(d, a, b []uint64, m, k, n, ldd, lda, ldb int) {
	chunk := 256 // of eight rows: 16 KiB, read again for each row of a
	if m == 1 {
		chunk = 2048
	}
	for j := 0; j < n; j += chunk {
		wide := min(chunk, n-j)
		for p := 0; p < k; p += 8 {
			deep := min(8, k-p)
			for i := range m {
				c.rows(d[i*ldd+j:i*ldd+j+wide], a[i*lda+p:i*lda+p+deep], b[p*ldb+j:], ldb)
			}
		}
	}
}

// A matrix has its rows ld words apart.
type matrix struct {
	b  []uint64
	ld int
}

// product writes a x b to d mod 2^bits, or adds it, on the tile for so many bits.
func (c *core) product(d, a []uint64, m, k, n, ldd, lda, bits int, b *matrix, add bool) {
	if halves, words := c.tiles(bits); halves != nil {
		multiplyMatrix(halves, &halfRooms, takeHalves, d, a, m, k, n, ldd, lda, b, add)
	} else {
		multiplyMatrix(words, &wordRooms, takeWords, d, a, m, k, n, ldd, lda, b, add)
	}
}

// multiplyMatrix writes a x b to d, or adds it. A block of b is copied once, its rows behind each other.
func multiplyMatrix[E element](t *tile[E], rooms *sync.Pool, take func([]E, []uint64, int), d, a []uint64, m, k, n, ldd, lda int, b *matrix, add bool) {
	r := rooms.Get().(*room[E])
	defer rooms.Put(r)
	for j := 0; j < n; j += t.columns {
		x := block[E]{buf: r.buf, lines: 1, wide: min(t.columns, n-j)}
		for p, deep := 0, evenly(k); p < k; p += deep {
			deep = min(deep, k-p)
			for i := range deep {
				r.at[i] = i * x.wide
				take(x.buf[i*x.wide:(i+1)*x.wide], b.b[(p+i)*b.ld+j:], 1)
			}
			x.at, x.last = r.at[:deep], (deep-1)*x.wide
			t.sweep(d[j:], left{words: a, cols: lda}, p, &x, m, ldd, add || p > 0)
		}
	}
}

// A left is the left factor of a product: rows of cols words, behind each other or as PackWeights left them.
type left struct {
	words  []uint64
	cols   int
	packed bool
}

// evenly returns the size of parts of k, at most depth each, that leave no small one.
func evenly(k int) int {
	parts := max((k+depth-1)/depth, 1)
	return (k + parts - 1) / parts
}

// sweep writes the product of columns p0.. of m rows of a and a block to d, rows ldd words apart, or adds it. The block stays in the second-level
// cache, rows of a in the first while they go over it; d is read and written once for depth products (the loops of Goto and
// van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008).
func (t *tile[E]) sweep(d []uint64, a left, p0 int, b *block[E], m, ldd int, add bool) {
	deep := evenly(len(b.at))
	for p := 0; p < len(b.at); p += deep {
		at := b.at[p:min(p+deep, len(b.at))]
		for i := 0; i < m; {
			f := form{rows: t.rows(m - i), ldd: ldd, lda: a.cols, step: 1}
			if add || p > 0 {
				f.add = 1
			}
			from := a.words[i*a.cols+p0+p:]
			if a.packed {
				f.lda, f.step = 1, f.rows
				from = a.words[i*a.cols+(p0+p)*f.rows:]
			}
			if b.wide <= t.width { // a vector for each line
				f.head, f.tail, f.apart, f.from = b.wide, b.wide, b.out, b.pitch
				for y := 0; y < b.lines; y += f.vectors {
					f.vectors = min(t.maxVectors, b.lines-y)
					t.run(d[i*ldd+y*b.out:], from, b.buf[y*b.pitch:], at, b.last, f)
				}
			} else {
				f.head, f.apart, f.from = t.width, t.width, t.width
				for y := range b.lines {
					for q := 0; q < b.wide; q += t.panel() {
						wide := min(t.panel(), b.wide-q)
						f.vectors = (wide + t.width - 1) / t.width
						f.tail = wide - t.width*(f.vectors-1)
						t.run(d[i*ldd+y*b.out+q:], from, b.buf[y*b.pitch+q:], at, b.last, f)
					}
				}
			}
			i += f.rows
		}
	}
}

// rows returns the rows of the tallest tile for no more than m.
func (t *tile[E]) rows(m int) int {
	r := t.maxRows
	for r > m {
		r /= 2
	}
	return r
}
