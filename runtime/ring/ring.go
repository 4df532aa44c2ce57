// Package ring holds the kernels of share arithmetic: tensors over Z_2^64 as row-major slices of words. Widths below 64 are
// the caller's: bits above a width are garbage until masked off. Lengths are the caller's promise: a validated plan keeps it.
//
// Time and memory access depend on shapes and public indices only, never on the words: no kernel branches on its data or
// skips zeros.
package ring

// Add computes d = a + b elementwise; d may be a or b.
func Add(d, a, b []uint64) {
	if v := active.lanes; v != nil {
		three(v.add, d, a, b)
		return
	}
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] + b[i]
	}
}

// Sub computes d = a - b; d may be a or b.
func Sub(d, a, b []uint64) {
	if v := active.lanes; v != nil {
		three(v.sub, d, a, b)
		return
	}
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] - b[i]
	}
}

// Mul computes d = a * b elementwise; d may be a or b.
func Mul(d, a, b []uint64) {
	if v := active.lanes; v != nil {
		three(v.mul, d, a, b)
		return
	}
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] * b[i]
	}
}

// Xor computes d = a XOR b; d may be a or b.
func Xor(d, a, b []uint64) {
	if v := active.lanes; v != nil {
		three(v.xor, d, a, b)
		return
	}
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
}

// And computes d = a AND b; d may be a or b.
func And(d, a, b []uint64) {
	if v := active.lanes; v != nil {
		three(v.and, d, a, b)
		return
	}
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] & b[i]
	}
}

// Neg computes d = -a; d may be a.
func Neg(d, a []uint64) {
	a = a[:len(d)]
	if v := active.lanes; v != nil {
		if len(d) > 0 {
			v.neg(&d[0], &a[0], len(d))
		}
		return
	}
	for i := range d {
		d[i] = -a[i]
	}
}

// Shl computes d = a << by, 0 <= by < 64; d may be a.
func Shl(d, a []uint64, by int) {
	a = a[:len(d)]
	if v := active.lanes; v != nil {
		unary(v.shl, d, a, uint64(by))
		return
	}
	for i := range d {
		d[i] = a[i] << by
	}
}

// Bits computes d = (a >> from) mod 2^count, 1 <= count, from + count <= 64; d may be a.
func Bits(d, a []uint64, from, count int) { cut(d, a, 0, from, ^uint64(0)>>(64-count)) }

// Drop computes d = ((a + add) mod 2^n) >> by, by < n <= 64; d may be a.
func Drop(d, a []uint64, n, by int, add uint64) { cut(d, a, add, by, ^uint64(0)>>(64-n)>>by) }

// Signed sets d to a read as two's complement of the given bits, 1..64; d may be a.
func Signed(d, a []uint64, bits int) {
	a = a[:len(d)]
	by := 64 - bits
	if v := active.lanes; v != nil {
		unary(v.extend, d, a, uint64(by))
		return
	}
	for i := range d {
		d[i] = uint64(int64(a[i]<<by) >> by)
	}
}

// Fill sets every word of d to w.
func Fill(d []uint64, w uint64) {
	if v := active.lanes; v != nil {
		if len(d) > 0 {
			v.spread(&d[0], len(d), w)
		}
		return
	}
	for i := range d {
		d[i] = w
	}
}

// Sum computes d[o,i] = sum over j < axis of a[o,j,i] for o < outer, i < inner. d must not overlap a.
func Sum(d, a []uint64, outer, axis, inner int) {
	if inner == 1 { // the sums run along the rows
		for o := range outer {
			var s uint64
			for _, w := range a[o*axis : (o+1)*axis] {
				s += w
			}
			d[o] = s
		}
		return
	}
	clear(d)
	for o := range outer {
		row := d[o*inner : (o+1)*inner]
		for j := range axis {
			from := (o*axis + j) * inner
			Add(row, row, a[from:from+inner])
		}
	}
}
