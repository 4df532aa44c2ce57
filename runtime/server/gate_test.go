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
	g := &gate{sessions: 8, memory: 100, need: 33, queue: 2}
	if g.capacity() != 3 {
		t.Fatalf("capacity %d, want what memory allows", g.capacity())
	}
	ctx := context.Background()
	for range 3 {
		if err := g.enter(ctx, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.enter(ctx, 10*time.Millisecond); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "3 run") {
		t.Errorf("error %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := g.enter(canceled, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	order := make(chan int, 2)
	for i := range 2 {
		go func() {
			if g.enter(ctx, time.Minute) == nil {
				order <- i
			}
		}()
		for g.queued() != i+1 {
			time.Sleep(time.Millisecond)
		}
	}
	if err := g.enter(ctx, time.Minute); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "limits.queue") {
		t.Errorf("error %v, want that the queue is full", err)
	}
	for want := range 2 {
		g.leave()
		if got := <-order; got != want {
			t.Errorf("%d came before %d", got, want)
		}
	}
	g.shrink(1)
	g.leave()
	g.leave()
	if err := g.enter(ctx, time.Millisecond); err == nil {
		t.Error("entered beyond what was left after shrinking")
	}
	g.leave()
	if g.count() != 0 {
		t.Errorf("%d run", g.count())
	}
}

func TestGateUnderLoad(t *testing.T) {
	g := &gate{sessions: 4, queue: 1000}
	var running, most atomic.Int64
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			wait := time.Minute
			if i%3 == 0 {
				wait = time.Duration(i) * time.Microsecond
			}
			if g.enter(context.Background(), wait) != nil {
				return
			}
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Millisecond)
			running.Add(-1)
			g.leave()
		})
	}
	wg.Wait()
	if most.Load() > 4 || g.count() != 0 || g.queued() != 0 {
		t.Errorf("at most %d ran, %d run, %d wait", most.Load(), g.count(), g.queued())
	}
}
