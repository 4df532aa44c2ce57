package ring

// MatMul computes d[b] = a[b] x c[b] for each of batch row-major matrices, m by k times k by n. oneA and oneC say that the
// same a or c serves every batch. d must not overlap a or c.
func MatMul(d, a, c []uint64, batch, m, k, n int, oneA, oneC bool) {
	for b := range batch {
		x, y := a, c
		if !oneA {
			x = a[b*m*k:]
		}
		if !oneC {
			y = c[b*k*n:]
		}
		out := d[b*m*n : (b+1)*m*n]
		split(m, m*k*n, func(lo, hi int) {
			clear(out[lo*n : hi*n])
			kernel(out[lo*n:hi*n], x[lo*k:hi*k], y[:k*n], hi-lo, k, n, n)
		})
	}
}

// kernel adds the product of a (m by k) and c (k by n) to d (m by n, rows ld words apart). It is the one place where the
// product runs, so that a faster core replaces it for all of MatMul and Conv.
var kernel = portable

// Block sizes: a block of c of blockK by blockN words (128 KiB) stays in the second-level cache, a row of it in the first.
const (
	blockK = 64
	blockN = 256
)

// portable is the kernel in plain Go: four rows of d per pass over a row of c, so that each word of c is loaded once for
// four multiplications.
func portable(d, a, c []uint64, m, k, n, ld int) {
	if n == 1 && ld == 1 {
		for i := range m {
			d[i] += dot(a[i*k:(i+1)*k], c[:k])
		}
		return
	}
	for j0 := 0; j0 < n; j0 += blockN {
		j1 := min(n, j0+blockN)
		for k0 := 0; k0 < k; k0 += blockK {
			k1 := min(k, k0+blockK)
			i := 0
			for ; i+4 <= m; i += 4 {
				d0 := d[i*ld+j0 : i*ld+j1]
				d1 := d[(i+1)*ld+j0 : (i+1)*ld+j1]
				d2 := d[(i+2)*ld+j0 : (i+2)*ld+j1]
				d3 := d[(i+3)*ld+j0 : (i+3)*ld+j1]
				for p := k0; p < k1; p++ {
					row := c[p*n+j0 : p*n+j1]
					a0, a1, a2, a3 := a[i*k+p], a[(i+1)*k+p], a[(i+2)*k+p], a[(i+3)*k+p]
					e0, e1, e2, e3 := d0[:len(row)], d1[:len(row)], d2[:len(row)], d3[:len(row)]
					for j, y := range row {
						e0[j] += a0 * y
						e1[j] += a1 * y
						e2[j] += a2 * y
						e3[j] += a3 * y
					}
				}
			}
			for ; i < m; i++ {
				e := d[i*ld+j0 : i*ld+j1]
				for p := k0; p < k1; p++ {
					x := a[i*k+p]
					row := c[p*n+j0 : p*n+j1]
					e := e[:len(row)]
					for j, y := range row {
						e[j] += x * y
					}
				}
			}
		}
	}
}

// dot returns the inner product of a and b.
func dot(a, b []uint64) uint64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 uint64
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}
