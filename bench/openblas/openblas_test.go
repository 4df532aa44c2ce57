//go:build openblas

package openblas

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"smpcc/runtime/ring"
)

// clock returns the processor time of this thread in seconds: other processes do not count, as far as they leave the caches alone.
func clock(tb testing.TB) float64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		tb.Fatal(err)
	}
	return float64(t.Sec) + float64(t.Nsec)/1e9
}

// BenchmarkYardstick measures products of 1024x1024 matrices on one thread: over Z_2^64, Z_2^52 and Z_2^32 with the kernel in use, and of
// float64 by OpenBLAS, in turns. The rates are of the quickest product of each; of_dgemm is the first over the last.
func BenchmarkYardstick(b *testing.B) {
	const n = 1024
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	x, y, z := make([]uint64, n*n), make([]uint64, n*n), make([]uint64, n*n)
	f, g, h := make([]float64, n*n), make([]float64, n*n), make([]float64, n*n)
	for i := range x {
		x[i], y[i] = uint64(i)*0x9e3779b97f4a7c15, uint64(i)*0xbf58476d1ce4e5b9
		f[i], g[i] = float64(x[i]>>40), float64(y[i]>>40)
	}
	b.Run(fmt.Sprintf("%s/%d", ring.Kernel(), n), func(b *testing.B) {
		runtime.LockOSThread() // in here, because Run has a goroutine of its own; the clock is the thread's
		defer runtime.UnlockOSThread()
		best := [4]float64{math.Inf(1), math.Inf(1), math.Inf(1), math.Inf(1)}
		for b.Loop() {
			for i, product := range []func(){
				func() { ring.MatMul(z, x, y, 1, n, n, n, false, false) },
				func() { ring.MatMulMod(52, z, x, y, 1, n, n, n, false, false) },
				func() { ring.MatMulMod(32, z, x, y, 1, n, n, n, false, false) },
				func() { Multiply(h, f, g, n, n, n) },
			} {
				start := clock(b)
				product()
				best[i] = min(best[i], clock(b)-start)
			}
		}
		rate := func(i int) float64 { return n * n * n / best[i] / 1e9 }
		b.ReportMetric(rate(0), "ring64-GMAC/s")
		b.ReportMetric(rate(1), "ring52-GMAC/s")
		b.ReportMetric(rate(2), "ring32-GMAC/s")
		b.ReportMetric(rate(3), "dgemm-GMAC/s")
		b.ReportMetric(rate(0)/rate(3), "of_dgemm")
	})
}

// TestMultiply: the yardstick multiplies.
func TestMultiply(t *testing.T) {
	d := make([]float64, 4)
	Multiply(d, []float64{1, 2, 3, 4, 5, 6}, []float64{1, 0, 0, 1, 1, 1}, 2, 3, 2)
	if d[0] != 4 || d[1] != 5 || d[2] != 10 || d[3] != 11 {
		t.Error(d)
	}
}
