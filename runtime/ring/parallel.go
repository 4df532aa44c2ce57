package ring

import (
	"runtime"
	"sync"
)

// parallelWork is the number of multiplications from which a product is worth a second goroutine.
const parallelWork = 1 << 20

// Parallel reports whether a product of so many multiplications is shared out among processors.
func Parallel(macs int) bool { return macs >= parallelWork }

// workers returns the number of goroutines that can run at once.
func workers() int { return runtime.GOMAXPROCS(0) }

// split calls fn on contiguous parts of 0..n-1, at once if the work is large. Parts never write the same words, and sums mod
// 2^64 do not depend on their order, so results are the same for any number of workers.
func split(n, work int, fn func(lo, hi int)) {
	parts := min(workers(), n)
	if parts <= 1 || work < parallelWork {
		fn(0, n)
		return
	}
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() { fn(i*n/parts, (i+1)*n/parts) })
	}
	wg.Wait()
}
