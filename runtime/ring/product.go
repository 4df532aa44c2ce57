package ring

import "sync"

// panels is scratch for packed columns: 480 KiB.
type panels [depth * 120]uint64

var scratch = sync.Pool{New: func() any { return new(panels) }}

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
		c.product(d, a, m, k, n, ldd, lda, bits, func(panel []uint64, p, deep, j, wide, stride int) {
			for r := range deep {
				row := panel[r*stride : (r+1)*stride]
				copy(row[:wide], b[(p+r)*ldb+j:])
				clear(row[wide:])
			}
		})
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

// product adds a x b to d, where pack makes a panel of b: rows p..p+deep-1 and columns j..j+wide-1, in rows of stride words
// with zeros behind the last column. Each panel is made once. A block of panels stays in the second-level cache, rows of a
// in the first while they go over it; d is read and written once for depth products (the loops of Goto and van de Geijn,
// "Anatomy of High-Performance Matrix Multiplication", 2008, without packing a).
func (c *core) product(d, a []uint64, m, k, n, ldd, lda, bits int, pack func(panel []uint64, p, deep, j, wide, stride int)) {
	buf := scratch.Get().(*panels)
	defer scratch.Put(buf)
	most, tile := c.width*c.maxVectors, c.tileFor(bits)
	for j := 0; j < n; j += c.columns {
		block := min(c.columns, n-j)
		for p := 0; p < k; p += depth {
			deep := min(depth, k-p)
			for q := 0; q < block; q += most {
				wide := min(most, block-q)
				stride := (wide + c.width - 1) / c.width * c.width
				pack(buf[q*deep:q*deep+stride*deep], p, deep, j+q, wide, stride)
			}
			for i := 0; i < m; {
				rows := c.maxRows
				for rows > m-i {
					rows /= 2
				}
				for q := 0; q < block; q += most {
					wide := min(most, block-q)
					vectors := (wide + c.width - 1) / c.width
					tile(d[i*ldd+j+q:], a[i*lda+p:], buf[q*deep:], rows, vectors, wide-c.width*(vectors-1), deep, ldd, lda)
				}
				i += rows
			}
		}
	}
}
