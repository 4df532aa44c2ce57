package ring

// A lanes is the elementwise kernels of a processor, eight words at a time. Those with n take n >= 0 words, those with groups at
// least one group of eight; d may be a source, not overlap one in part.
type lanes struct {
	add, sub, mul, xor, and func(d, a, b *uint64, n int)

	neg         func(d, a *uint64, n int)
	shl, extend func(d, a *uint64, n int, by uint64)
	spread      func(d *uint64, n int, w uint64)

	packWide                     func(dst *byte, src *uint64, groups int, shift *uint64, bits int, mask, bytes uint64) // from maxTable + 1 bits on
	unpackWide                   func(dst *uint64, src *byte, groups int, shift *uint64, bits int, mask, bytes uint64)
	unpackWideAdd, unpackWideXor func(dst, own *uint64, src *byte, groups int, shift *uint64, bits int, mask, bytes uint64)

	cut      func(d, a *uint64, n int, add, by, mask uint64)
	reluSel  func(d, m, delta, s, r0, r1, sr0, sr1 *uint64, n int, top, first uint64)
	leaf     func(d, a, hot0, hot1 *uint64, n int, low, control0, control1, mask, at uint64)
	oneHot   func(d, a *uint64, n int, low, control, ones uint64)
	mono     func(d, a *uint64, n int, sets *uint16, mask uint64)
	merge    [4]func(d, index, a, p0, p1, p2 *uint64, n int, table *uint64, rows, top, keep, shift uint64) // by number of p
	wave     func(d, m, u, v *uint64, n int, k, up, down uint64, table *int32)
	expo     func(d, m, g0, g1 *uint64, n int, add, low, top, rate, twice uint64, factors *uint64)
	decay    func(d, r *uint64, n int, add, low, rate, twice uint64, factors *uint64)
	finish   func(d, m, r0, r1 *uint64, n int, half, low, top, first uint64)
	wireMul  func(d, mx, rx0, rx1, my, ry0, ry1, k00, k01, k10, k11 *uint64, n int, halfx, lowx, topx, halfy, lowy, topy, first uint64)
	packBits func(dst *byte, src *uint64, groups int)
	pack     func(dst *byte, src *uint64, groups int, shift *uint64, even, odd *byte, evens, odds uint64, bits int, mask, bytes uint64)
	unpack   func(dst *uint64, src *byte, groups int, shift *uint64, from *byte, bits int, mask, bytes uint64)

	widen, narrow           [8]func(d, a *uint64, groups int) // by width: 1, 2 and 4
	widenBytes, narrowBytes func(d, a *uint64, groups int, order *byte, width int)

	prefetch      func(a *uint64, lines int)
	prefetchBytes func(a *byte, lines int)
	every2        func(d, a *uint64, n int)

	unpackAdd, unpackXor func(dst, own *uint64, src *byte, groups int, shift *uint64, from *byte, bits int, mask, bytes uint64)
}

// three runs a kernel of two sources.
func three(fn func(d, a, b *uint64, n int), d, a, b []uint64) {
	if len(d) > 0 {
		_, _ = a[len(d)-1], b[len(d)-1]
		fn(&d[0], &a[0], &b[0], len(d))
	}
}

// unary runs a kernel of one source and one operand.
func unary(fn func(d, a *uint64, n int, by uint64), d, a []uint64, by uint64) {
	if len(d) > 0 {
		_ = a[len(d)-1]
		fn(&d[0], &a[0], len(d), by)
	}
}

// everyOther computes d[i] = a[2i].
func everyOther(d, a []uint64) {
	if len(d) == 0 {
		return
	}
	a = a[:2*len(d)-1]
	if v := active.lanes; v != nil {
		v.every2(&d[0], &a[0], len(d))
		return
	}
	for i := range d {
		d[i] = a[2*i]
	}
}

// cut computes d = ((a + add) >> by) AND mask.
func cut(d, a []uint64, add uint64, by int, mask uint64) {
	a = a[:len(d)]
	if v := active.lanes; v != nil {
		if len(d) > 0 {
			v.cut(&d[0], &a[0], len(d), add, uint64(by), mask)
		}
		return
	}
	for i := range d {
		d[i] = (a[i] + add) >> by & mask
	}
}

// Prefetch asks for a to be in the cache soon. A processor sees by itself that memory is read in order, but begins anew on every
// page and every operand, and a block of an operand is a page or two.
func Prefetch(a []uint64) {
	if v := active.lanes; v != nil && len(a) > 0 {
		v.prefetch(&a[0], (len(a)+7)/8)
	}
}

// PrefetchBytes asks for the bytes of a message to be in the cache soon.
func PrefetchBytes(a []byte) {
	if v := active.lanes; v != nil && len(a) > 0 {
		v.prefetchBytes(&a[0], (len(a)+63)/64)
	}
}
