package grpcnet

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/message"
)

// BenchmarkExchange exchanges messages between two parties on loopback with mutual TLS. cpu-ns/op is the processor time of
// both.
func BenchmarkExchange(b *testing.B) {
	for _, size := range []int{64, 32 << 10, 3 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			all, addrs := nodes(b, map[string]Handler{}, "p0", "p1")
			ts := sessions(b, all, addrs, time.Minute, "p0", "p1")
			b.SetBytes(2 * int64(size))
			b.ReportAllocs()
			from := processorTime(b)
			b.ResetTimer()
			done := make(chan error)
			for role, t := range ts {
				go func() {
					for range b.N {
						out, want := make([][]byte, 2), make([]int, 2)
						out[1-role], want[1-role] = message.New(size), size
						in, err := t.Exchange(context.Background(), plan.Online, 0, out, want)
						if err != nil {
							done <- err
							return
						}
						message.Free(in[1-role])
					}
					done <- nil
				}()
			}
			for range ts {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(processorTime(b)-from)/float64(b.N), "cpu-ns/op")
			for _, t := range ts {
				t.Close()
			}
		})
	}
}

// processorTime returns the processor time of this process so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
