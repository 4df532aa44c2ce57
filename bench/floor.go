package bench

import (
	"io"
	"net"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/ring"
)

// A Machine is what this machine can do at best: the yardstick for all results.
type Machine struct {
	CPU      string  `json:"cpu"`
	Cores    int     `json:"cores"`
	Go       string  `json:"go"`
	Kernel   string  `json:"kernel"`
	MACs     float64 `json:"ring_macs_per_second"`      // plaintext matmul over Z_2^64 on all cores
	Loopback float64 `json:"loopback_bytes_per_second"` // one TCP connection
}

// floor is the time of a plan's multiplications and bytes at the machine's best, one after the other; over wan, of bytes and rounds on that
// network.
func (m *Machine) floor(c *plan.Cost, transport string) float64 {
	most := int64(0)
	for _, n := range c.Phases[plan.Online].Sent {
		most = max(most, n)
	}
	wire := float64(most) / m.Loopback
	if transport == "wan" {
		wire = float64(most)*8/wan.Bandwidth + float64(c.Phases[plan.Online].Rounds)*wan.RTT.Seconds()/2
	}
	return float64(c.MACs)/m.MACs + wire
}

// ringRate measures plaintext products of 1024x1024 matrices over Z_2^64.
func ringRate() float64 {
	const n = 1024
	a, b, d := make([]uint64, n*n), make([]uint64, n*n), make([]uint64, n*n)
	for i := range a {
		a[i], b[i] = uint64(i)*0x9e3779b97f4a7c15, uint64(i)*0xbf58476d1ce4e5b9
	}
	best := time.Duration(1 << 62)
	for range 5 {
		start := time.Now()
		ring.MatMul(d, a, b, 1, n, n, n, false, false)
		best = min(best, time.Since(start))
	}
	return n * n * n / best.Seconds()
}

// loopback measures one TCP connection.
func loopback() (float64, error) {
	const total = 512 << 20
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	sent := make(chan error, 1)
	go func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			sent <- err
			return
		}
		defer c.Close()
		buf := make([]byte, 1<<20)
		for n := 0; n < total && err == nil; n += len(buf) {
			_, err = c.Write(buf)
		}
		sent <- err
	}()
	c, err := l.Accept()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	start := time.Now()
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 1<<20)); err != nil {
		return 0, err
	}
	return total / time.Since(start).Seconds(), <-sent
}
