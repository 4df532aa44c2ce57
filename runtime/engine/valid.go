package engine

import (
	"math/bits"
	"runtime"
	"sync"

	"smpcc/backend/plan"
)

// outside holds, by position p, which values of a mask's top bits say that an element is outside: all but p-1, p-2 and p-3 mod 16. A share of a one-hot
// has odd parity over them where the element is outside, because all of its shares add up to one bit.
var outside = func() (out [1 << plan.ValidTop]uint64) {
	for p := range out {
		out[p] = 1<<len(out) - 1
		for _, k := range []int{1, 2, 3} {
			out[p] &^= 1 << ((p - k) & (len(out) - 1))
		}
	}
	return out
}()

// parities computes d[j] = XOR share of the parity of the elements outside that are in subset j, from the public m and shares of the one-hots of its mask, in
// 3 ns an element.
func parities(d, m, hot []uint64, width int, seed uint64) {
	parts := 1
	if len(m) >= parallelLen {
		parts = runtime.GOMAXPROCS(0)
	}
	sums := make([]uint64, parts)
	run := func(part int) {
		sum, half, down := uint64(0), uint64(1)<<(width-3), width-plan.ValidTop
		for i := part * len(m) / parts; i < (part+1)*len(m)/parts; i++ {
			p := (m[i] + half) >> down & (1<<plan.ValidTop - 1)
			odd := uint64(bits.OnesCount64(hot[i]&outside[p])) & 1
			sum ^= -odd & plan.Subset(seed, uint64(i))
		}
		sums[part] = sum
	}
	if parts == 1 {
		run(0)
	} else {
		var wg sync.WaitGroup
		for part := range parts {
			wg.Go(func() { run(part) })
		}
		wg.Wait()
	}
	all := uint64(0)
	for _, s := range sums {
		all ^= s
	}
	for j := range d {
		d[j] = all >> j & 1
	}
}

// pack computes bit j of d[i] = lowest bit of a[k*i+j].
func pack(d, a []uint64, k int) {
	for i := range d {
		d[i] = 0
		for j := range k {
			d[i] |= a[k*i+j] & 1 << j
		}
	}
}
