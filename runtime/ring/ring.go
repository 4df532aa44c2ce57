// Package ring holds the kernels of share arithmetic: tensors over Z_2^64 as slices of words. Widths below 64 are the
// caller's: bits above a width are garbage until masked off. Lengths are the caller's promise.
package ring

import (
	"runtime"
	"sync"

	"smpcc/backend/plan"
)

// Add computes d = a + b; d may be a or b.
func Add(d, a, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] + b[i]
	}
}

// Sub computes d = a - b; d may be a or b.
func Sub(d, a, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] - b[i]
	}
}

// Mul computes d = a * b elementwise; d may be a or b.
func Mul(d, a, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] * b[i]
	}
}

// Xor computes d = a XOR b; d may be a or b.
func Xor(d, a, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
}

// And computes d = a AND b; d may be a or b.
func And(d, a, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] & b[i]
	}
}

// Neg computes d = -a; d may be a.
func Neg(d, a []uint64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = -a[i]
	}
}

// Shl computes d = a << by, 0 <= by < 64; d may be a.
func Shl(d, a []uint64, by int) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] << by
	}
}

// Bits computes d = (a >> from) mod 2^count, 1 <= count, from + count <= 64; d may be a.
func Bits(d, a []uint64, from, count int) {
	a = a[:len(d)]
	mask := ^uint64(0) >> (64 - count)
	for i := range d {
		d[i] = a[i] >> from & mask
	}
}

// Drop computes d = ((a + add) mod 2^n) >> by, by < n <= 64; d may be a.
func Drop(d, a []uint64, n, by int, add uint64) {
	a = a[:len(d)]
	mask := ^uint64(0) >> (64 - n)
	for i := range d {
		d[i] = (a[i] + add) & mask >> by
	}
}

// Fill sets every word of d to w.
func Fill(d []uint64, w uint64) {
	for i := range d {
		d[i] = w
	}
}

// Copy computes d[dst + i.dststrides] = a[src + i.srcstrides] for every index i below dims; other words of d stay.
func Copy(d, a []uint64, c plan.Copy) {
	for _, n := range c.Dims {
		if n == 0 {
			return
		}
	}
	rank := len(c.Dims)
	if rank == 0 {
		d[c.Dst] = a[c.Src]
		return
	}
	n, ss, ds := c.Dims[rank-1], c.SrcStrides[rank-1], c.DstStrides[rank-1]
	idx := make([]int64, rank-1)
	src, dst := c.Src, c.Dst
	for {
		switch {
		case ss == 1 && ds == 1:
			copy(d[dst:dst+n], a[src:src+n])
		case ss == 0 && ds == 1:
			Fill(d[dst:dst+n], a[src])
		default:
			for i, s, t := int64(0), src, dst; i < n; i, s, t = i+1, s+ss, t+ds {
				d[t] = a[s]
			}
		}
		k := rank - 2
		for ; k >= 0; k-- {
			idx[k]++
			src += c.SrcStrides[k]
			dst += c.DstStrides[k]
			if idx[k] < c.Dims[k] {
				break
			}
			src -= c.SrcStrides[k] * c.Dims[k]
			dst -= c.DstStrides[k] * c.Dims[k]
			idx[k] = 0
		}
		if k < 0 {
			return
		}
	}
}

// Gather computes d[o,j,i] = a[o,idx[j],i] for o < outer, i < inner; a has axis elements in the middle.
func Gather(d, a []uint64, outer, axis, inner int, idx []uint64) {
	at := 0
	for o := range outer {
		for _, j := range idx {
			from := (o*axis + int(j)) * inner
			copy(d[at:at+inner], a[from:from+inner])
			at += inner
		}
	}
}

// Sum computes d[o,i] = sum over j < axis of a[o,j,i].
func Sum(d, a []uint64, outer, axis, inner int) {
	clear(d)
	for o := range outer {
		row := d[o*inner : (o+1)*inner]
		for j := range axis {
			from := (o*axis + j) * inner
			Add(row, row, a[from:from+inner])
		}
	}
}

// parallelWork is the number of multiplications from which a product is worth a second goroutine.
const parallelWork = 1 << 20

// split calls fn on contiguous parts of 0..n-1, at once if the work is large.
func split(n, work int, fn func(lo, hi int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers <= 1 || work < parallelWork {
		fn(0, n)
		return
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { fn(w*n/workers, (w+1)*n/workers) })
	}
	wg.Wait()
}
