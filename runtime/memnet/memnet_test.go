package memnet_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"smpcc/backend/plan"
	"smpcc/runtime/engine"
	"smpcc/runtime/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ engine.Transport = (*memnet.Role)(nil)

var names = []string{"a", "b", "d"}

// TestExchange lets three roles talk for some rounds, and counts what they send.
func TestExchange(t *testing.T) {
	net := memnet.New(names)
	const rounds = 50
	var wg sync.WaitGroup
	for role := range names {
		wg.Go(func() {
			for r := range rounds {
				out, want := make([][]byte, 3), make([]int, 3)
				for j := range names {
					if j != role && role != 2 { // d sends nothing
						out[j] = make([]byte, 1+role+r)
						out[j][0] = byte(r)
					}
					if j != role && j != 2 {
						want[j] = 1 + j + r
					}
				}
				in, err := net.Role(role).Exchange(t.Context(), plan.Online, 2*r, out, want)
				if err != nil {
					t.Error(err)
					return
				}
				for j := range names {
					if len(in[j]) != want[j] || want[j] > 0 && in[j][0] != byte(r) {
						t.Errorf("round %d: %s has %d bytes of %s, want %d", r, names[role], len(in[j]), names[j], want[j])
					}
				}
			}
		})
	}
	wg.Wait()
	if n := net.Rounds(plan.Online); n != rounds {
		t.Errorf("%d rounds counted, want %d", n, rounds)
	}
	if n := net.Rounds(plan.Offline); n != 0 {
		t.Errorf("%d offline rounds counted, want none", n)
	}
	for from := range names {
		for to := range names {
			want := int64(0)
			if from != to && from != 2 {
				want = int64(rounds*(1+from) + rounds*(rounds-1)/2)
			}
			if n := net.Sent(plan.Online, from, to); n != want {
				t.Errorf("%s to %s: %d bytes counted, want %d", names[from], names[to], n, want)
			}
		}
	}
	if net.Cause() != nil || net.Err() != nil {
		t.Errorf("a network without a failure has %v and %v", net.Cause(), net.Err())
	}
}

// TestFailure fails one role while the others wait: they learn who failed, and why stays that role's matter.
func TestFailure(t *testing.T) {
	net := memnet.New(names)
	errs := make(chan error, 2)
	for role := range 2 {
		go func() {
			_, err := net.Role(role).Exchange(t.Context(), plan.Online, 0, make([][]byte, 3), []int{0, 0, 8})
			errs <- err
		}()
	}
	first := errors.New("secret reason")
	net.Fail(2, first)
	net.Fail(1, errors.New("another"))
	for range 2 {
		if err := <-errs; err == nil || err.Error() != "d failed" {
			t.Errorf("got %v, want that d failed", err)
		}
	}
	if net.Cause() != first || net.Err().Error() != "d failed" {
		t.Errorf("cause %v, error %v", net.Cause(), net.Err())
	}
	if _, err := net.Role(0).Exchange(t.Context(), plan.Online, 1, make([][]byte, 3), []int{0, 4, 0}); err == nil || err.Error() != "d failed" {
		t.Errorf("later exchange: %v", err)
	}
}

func TestDeadline(t *testing.T) {
	for _, c := range []struct {
		name, want string
		out        [][]byte
		in         []int
	}{
		{"waiting", "waiting for b: context deadline exceeded", make([][]byte, 3), []int{0, 1, 0}},
		{"sending", "sending to b: context deadline exceeded", [][]byte{nil, {1}, nil}, []int{0, 0, 0}},
	} {
		net := memnet.New(names)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		var err error
		for r := 0; r < 10 && err == nil; r++ { // a sender may be a little ahead, but not without end
			_, err = net.Role(0).Exchange(ctx, plan.Setup, r, c.out, c.in)
		}
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

// TestWrongMessage has a peer send something else than is awaited.
func TestWrongMessage(t *testing.T) {
	for _, c := range []struct {
		ph    plan.Phase
		round int
		size  int
	}{{plan.Offline, 3, 8}, {plan.Online, 4, 8}, {plan.Online, 3, 7}} {
		net := memnet.New(names)
		if _, err := net.Role(1).Exchange(t.Context(), c.ph, c.round, [][]byte{make([]byte, c.size), nil, nil}, make([]int, 3)); err != nil {
			t.Fatal(err)
		}
		_, err := net.Role(0).Exchange(t.Context(), plan.Online, 3, make([][]byte, 3), []int{0, 8, 0})
		if want := fmt.Sprintf("b sent %d bytes for %v round %d, want 8 bytes for online round 3", c.size, c.ph, c.round); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestSlow checks, on a clock of its own, that a message takes half a round trip and its bytes' time on the line, once each, that
// messages in one direction queue, and that directions do not share.
func TestSlow(t *testing.T) {
	const line, half = 10 * time.Millisecond, 20 * time.Millisecond // of 125,000 bytes at 100 Mbit/s
	for _, c := range []struct {
		name string
		back int // bytes from b to a
		want [2][2]time.Duration
	}{
		{"both ways", 1250, [2][2]time.Duration{{half + line/100, line + 2*half + line/100}, {half + line, line + 2*half + line/100}}},
		{"one way", 0, [2][2]time.Duration{{0, 0}, {half + line, half + 2*line}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memnet.New([]string{"a", "b"})
				n.Slow(memnet.Link{RTT: 2 * half, Bandwidth: 1e8})
				start := time.Now()
				size := []int{125_000, c.back}
				var wg sync.WaitGroup
				for role := range size {
					wg.Go(func() {
						r := n.Role(role)
						for round := range 2 {
							send, expect := make([][]byte, 2), make([]int, 2)
							send[1-role], expect[1-role] = make([]byte, size[role]), size[1-role]
							if _, err := r.Exchange(t.Context(), plan.Online, round, send, expect); err != nil {
								t.Error(err)
							}
							if got := time.Since(start); got != c.want[role][round] {
								t.Errorf("role %d is done with round %d after %v, want %v", role, round, got, c.want[role][round])
							}
						}
					})
				}
				wg.Wait()
			})
		})
	}
}
