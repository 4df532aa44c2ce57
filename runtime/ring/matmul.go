package ring

// MatMul computes d[t] = a[t] x b[t] for each t < batch of row-major matrices: a is m by k, b is k by n, d is m by n.
// oneA and oneB say that the same a or b serves every t. d must not overlap a or b.
func MatMul(d, a, b []uint64, batch, m, k, n int, oneA, oneB bool) {
	MatMulMod(64, d, a, b, batch, m, k, n, oneA, oneB)
}

// MatMulMod is MatMul mod 2^bits: higher bits of d are garbage, those of a and b do not matter. Up to 32 bits are
// nearly twice as fast with AVX-512 and four times with AVX2, up to 52 faster on processors that multiply and add 52 bits in one instruction.
func MatMulMod(bits int, d, a, b []uint64, batch, m, k, n int, oneA, oneB bool) {
	if n == 0 || batch == 0 {
		return
	}
	stepA, stepB := m*k, k*n
	if oneA {
		stepA = 0
	}
	if oneB {
		stepB = 0
	}
	if (batch == 1 || oneB) && n >= shareColumns*workers() || batch*m < workers() { // share out the columns: each of b is copied once
		panel := active.panelColumns(bits)
		parts := (n + panel - 1) / panel
		split(parts, batch*m*k*n, func(lo, hi int) {
			lo, hi = lo*panel, min(hi*panel, n)
			for t := range batch {
				kernel(d[t*m*n+lo:], a[t*stepA:], b[min(t*stepB+lo, len(b)):], m, k, hi-lo, n, k, n, bits, false)
			}
		})
		return
	}
	split(batch*m, batch*m*k*n, func(lo, hi int) {
		for lo < hi { // rows lo..hi-1 of all products: the rest of one matrix at a time
			t, i := lo/m, lo%m
			rows := min(m-i, hi-lo)
			kernel(d[lo*n:], a[t*stepA+i*k:], b[t*stepB:], rows, k, n, n, k, n, bits, false)
			lo += rows
		}
	})
}

// shareColumns is the number of columns for each worker from which they are shared out.
const shareColumns = 48

// panelColumns is the number of columns that workers share out at once: panels of the widest tile for so many bits.
func (c *core) panelColumns(bits int) int {
	if halves, _ := c.tiles(bits); halves != nil {
		return halves.panel()
	}
	return 24
}

// Block sizes: blockK by blockN words of b (128 KiB) stay in the second-level cache, a row of it in the first.
const (
	blockK = 64
	blockN = 256
)

// portable is the kernel in plain Go: four rows of d in one pass over a row of b, so that a word of b is loaded once for
// four multiplications. Rows left over take four rows of b in one pass, so that a word of d is stored once for four.
func portable(d, a, b []uint64, m, k, n, ldd, lda, ldb int) {
	for j := 0; j < n; j += blockN {
		width := min(n-j, blockN)
		for p := 0; p < k; p += blockK {
			depth := min(k-p, blockK)
			block := b[p*ldb+j:]
			i := 0
			for ; i+4 <= m; i += 4 {
				at := i*ldd + j
				four(d[at:at+width], d[at+ldd:at+ldd+width], d[at+2*ldd:at+2*ldd+width], d[at+3*ldd:at+3*ldd+width], a[i*lda+p:], block, depth, lda, ldb)
			}
			for ; i < m; i++ {
				at := i*ldd + j
				one(d[at:at+width], a[i*lda+p:i*lda+p+depth], block, ldb)
			}
		}
	}
}

// four adds to four rows of d, of one length, the products of four rows of a, lda apart, with depth rows of b.
func four(d0, d1, d2, d3, a, b []uint64, depth, lda, ldb int) {
	a0, a1, a2, a3 := a[:depth], a[lda:lda+depth], a[2*lda:2*lda+depth], a[3*lda:3*lda+depth]
	for p := range a0 {
		row := b[p*ldb : p*ldb+len(d0)]
		e0, e1, e2, e3 := d0[:len(row)], d1[:len(row)], d2[:len(row)], d3[:len(row)] // says to the compiler that j is in range
		x0, x1, x2, x3 := a0[p], a1[p], a2[p], a3[p]
		for j, y := range row {
			e0[j] += x0 * y
			e1[j] += x1 * y
			e2[j] += x2 * y
			e3[j] += x3 * y
		}
	}
}

// one adds to d the product of the row a with len(a) rows of b.
func one(d, a, b []uint64, ldb int) {
	n := len(d)
	p := 0
	for ; p+4 <= len(a); p += 4 {
		at := p * ldb
		r0, r1, r2, r3 := b[at:at+n], b[at+ldb:at+ldb+n], b[at+2*ldb:at+2*ldb+n], b[at+3*ldb:at+3*ldb+n]
		x0, x1, x2, x3 := a[p], a[p+1], a[p+2], a[p+3]
		e := d[:len(r0)]
		r1, r2, r3 = r1[:len(r0)], r2[:len(r0)], r3[:len(r0)]
		for j, y := range r0 {
			e[j] += x0*y + x1*r1[j] + x2*r2[j] + x3*r3[j]
		}
	}
	for ; p < len(a); p++ {
		axpy(d, b[p*ldb:p*ldb+n], a[p])
	}
}

// axpy computes d += x * a.
func axpy(d, a []uint64, x uint64) {
	a = a[:len(d)]
	for j := range d {
		d[j] += x * a[j]
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
