package ring

import "sync"

// Scratch for packed columns, 480 KiB each.
type (
	panels     [depth * 120]uint64
	halfPanels [depth * 240]uint32
)

var (
	scratch     = sync.Pool{New: func() any { return new(panels) }}
	halfScratch = sync.Pool{New: func() any { return new(halfPanels) }}
)

// kernel adds the product of a (m by k) and b (k by n) to d (m by n) mod 2^bits, whose rows begin ldd, lda and ldb words apart; n
// may not exceed ldd or ldb. The slices may end with the last element of the last row.
func kernel(d, a, b []uint64, m, k, n, ldd, lda, ldb, bits int) {
	c := active
	switch {
	case m == 0 || k == 0 || n == 0:
	case n == 1 && ldb == 1: // a matrix times a vector
		for i := range m {
			d[i*ldd] += c.dot(a[i*lda:i*lda+k], b[:k])
		}
	case m < fewRows:
		c.few(d, a, b, m, k, n, ldd, lda, ldb)
	case c.tile == nil:
		portable(d, a, b, m, k, n, ldd, lda, ldb)
	default:
		c.product(d, a, m, k, n, ldd, lda, bits, &matrix{b, ldb})
	}
}

// Columns are the right factor of a product, before it is packed.
type columns interface {
	// words and halves make a panel: rows p..p+deep-1 and columns j..j+wide-1, in rows of stride elements with zeros behind the last column.
	words(panel []uint64, p, deep, j, wide, stride int)
	halves(panel []uint32, p, deep, j, wide, stride int)
}

// A matrix has its rows ld words apart.
type matrix struct {
	b  []uint64
	ld int
}

func (x *matrix) words(panel []uint64, p, deep, j, wide, stride int) {
	packMatrix(x, takeWords, panel, p, deep, j, wide, stride)
}

func (x *matrix) halves(panel []uint32, p, deep, j, wide, stride int) {
	packMatrix(x, takeHalves, panel, p, deep, j, wide, stride)
}

func packMatrix[E element](x *matrix, take func([]E, []uint64, int), panel []E, p, deep, j, wide, stride int) {
	for r := range deep {
		row := panel[r*stride : (r+1)*stride]
		take(row[:wide], x.b[(p+r)*x.ld+j:], 1)
		clear(row[wide:])
	}
}

// fewRows is the number of rows of a from which packing b pays.
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

// product adds a x b to d mod 2^bits on the tile for so many.
func (c *core) product(d, a []uint64, m, k, n, ldd, lda, bits int, b columns) {
	halves, words := c.tiles(bits)
	if halves != nil {
		buf := halfScratch.Get().(*halfPanels)
		defer halfScratch.Put(buf)
		halves.product(d, a, buf[:], m, k, n, ldd, lda, b.halves)
		return
	}
	buf := scratch.Get().(*panels)
	defer scratch.Put(buf)
	words.product(d, a, buf[:], m, k, n, ldd, lda, b.words)
}

// product adds a x b to d, where pack makes a panel of b in buf. Each panel is made once. A block of panels stays in the second-level cache, rows of a
// in the first while they go over it; d is read and written once for depth products (the loops of Goto and van de Geijn,
// "Anatomy of High-Performance Matrix Multiplication", 2008, without packing a).
func (t *tile[E]) product(d, a []uint64, buf []E, m, k, n, ldd, lda int, pack func(panel []E, p, deep, j, wide, stride int)) {
	most := t.panel()
	for j := 0; j < n; j += t.columns {
		block := min(t.columns, n-j)
		for p := 0; p < k; p += depth {
			deep := min(depth, k-p)
			for q := 0; q < block; q += most {
				wide := min(most, block-q)
				stride := (wide + t.width - 1) / t.width * t.width
				pack(buf[q*deep:q*deep+stride*deep], p, deep, j+q, wide, stride)
			}
			for i := 0; i < m; {
				rows := t.maxRows
				for rows > m-i {
					rows /= 2
				}
				for q := 0; q < block; q += most {
					wide := min(most, block-q)
					vectors := (wide + t.width - 1) / t.width
					t.run(d[i*ldd+j+q:], a[i*lda+p:], buf[q*deep:], rows, vectors, wide-t.width*(vectors-1), deep, ldd, lda)
				}
				i += rows
			}
		}
	}
}
