package server

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestGate(t *testing.T) {
	g := (&gate{sessions: 8, memory: 100, queue: 2}).room(33, 0)
	if g.capacity() != 3 {
		t.Fatalf("capacity %d, want what memory allows", g.capacity())
	}
	ctx := context.Background()
	for range 3 {
		if err := g.enter(ctx, "", time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.enter(ctx, "", 10*time.Millisecond); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "3 run") {
		t.Errorf("error %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := g.enter(canceled, "", time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	order := make(chan int, 2)
	for i := range 2 {
		go func() {
			if g.enter(ctx, "", time.Minute) == nil {
				order <- i
			}
		}()
		for g.queued() != i+1 {
			time.Sleep(time.Millisecond)
		}
	}
	if err := g.enter(ctx, "", time.Minute); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "limits.queue") {
		t.Errorf("error %v, want that the queue is full", err)
	}
	for want := range 2 {
		g.leave("")
		if got := <-order; got != want {
			t.Errorf("%d came before %d", got, want)
		}
	}
	g.learn("p1", 1)
	g.leave("")
	g.leave("")
	if err := g.enter(ctx, "", time.Millisecond); err == nil {
		t.Error("entered beyond what was left after shrinking")
	}
	g.leave("")
	first, entered := g.enter(ctx, "", time.Minute), make(chan error)
	go func() { entered <- g.enter(ctx, "", time.Minute) }()
	for g.queued() != 1 {
		time.Sleep(time.Millisecond)
	}
	g.learn("d", 2) // p1 still has room for one
	if first != nil || g.crowded() || g.capacity() != 1 || g.queued() != 1 {
		t.Errorf("error %v, crowded %v, capacity %d, %d wait", first, g.crowded(), g.capacity(), g.queued())
	}
	g.learn("p1", 3)
	if err := <-entered; err != nil || g.count() != 2 {
		t.Errorf("%v, %d run after p1 has more room", err, g.count())
	}
	if g.learn("p1", 1); !g.crowded() {
		t.Error("two run where one fits, and it is not crowded")
	}
	g.leave("")
	g.leave("")
	if g.count() != 0 {
		t.Errorf("%d run", g.count())
	}
}

func TestGateUnderLoad(t *testing.T) {
	g := (&gate{sessions: 4, queue: 1000}).room(0, 0)
	var running, most atomic.Int64
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			wait := time.Minute
			if i%3 == 0 {
				wait = time.Duration(i) * time.Microsecond
			}
			if g.enter(context.Background(), "", wait) != nil {
				return
			}
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Millisecond)
			running.Add(-1)
			g.leave("")
		})
	}
	wg.Wait()
	if most.Load() > 4 || g.count() != 0 || g.queued() != 0 {
		t.Errorf("at most %d ran, %d run, %d wait", most.Load(), g.count(), g.queued())
	}
}

// TestGateIsFair has one client fill the gate and its queue before another comes: the other's requests get every second place.
func TestGateIsFair(t *testing.T) {
	g := (&gate{sessions: 2, queue: 20}).room(0, 0)
	ctx := context.Background()
	order := make(chan string, 12)
	for range 2 {
		if err := g.enter(ctx, "busy", time.Second); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 12 {
		who := "busy"
		if i >= 8 {
			who = "other"
		}
		go func() {
			if g.enter(ctx, who, time.Minute) == nil {
				order <- who
			}
		}()
		for g.queued() != i+1 {
			time.Sleep(time.Millisecond)
		}
	}
	first := 0
	running := []string{"busy", "busy"}
	for range 12 {
		g.leave(running[0])
		who := <-order
		if running = append(running[1:], who); who == "other" && len(order) == 0 && g.queued() >= 4 {
			first++
		}
	}
	if first != 4 {
		t.Errorf("%d of the other's requests were among the first eight, want 4", first)
	}
}
