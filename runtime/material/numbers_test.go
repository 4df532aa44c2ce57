package material

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestNumbers uses numbers in a random order, from many goroutines, over crashes, which leave the file as it is, and ends in order. No number is used twice, ever; a crash
// loses fewer than two blocks and an end in order none; and blocks share syncs.
func TestNumbers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	key := [32]byte{1}
	rnd := rand.New(rand.NewPCG(1, 2))
	seen := map[uint64]bool{}
	highest := uint64(0)
	for life := range 12 {
		l, err := OpenLedger(path)
		if err != nil {
			t.Fatal(err)
		}
		var syncs atomic.Int64
		l.Synced = func() { syncs.Add(1) }
		const block, window = 8, 64
		n, err := l.Numbers(key, block/2, block, window)
		if err != nil {
			t.Fatal(err)
		}
		first := n.Highest() + 1
		if first > highest+2*block || first <= highest {
			t.Errorf("life %d begins with %d after %d", life, first, highest)
		}
		if life > 0 && life%2 == 0 && first != highest+1 { // the life before ended in order
			t.Errorf("life %d begins with %d, want %d", life, first, highest+1)
		}
		var list []uint64
		for i := range uint64(40) {
			list = append(list, first+i)
		}
		rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 2 { // everybody asks for every number
			for _, number := range list {
				wg.Go(func() {
					err := n.Use(number)
					var used *UsedError
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil && seen[number]:
						t.Errorf("%d is used twice", number)
					case err == nil:
						seen[number] = true
						highest = max(highest, number)
					case !errors.Is(err, ErrUsed) || !errors.As(err, &used) || used.Number != number || used.Last < first-1:
						t.Errorf("%d: %v", number, err)
					}
				})
			}
		}
		wg.Wait()
		for _, number := range list {
			if !seen[number] || n.Free(number) {
				t.Errorf("%d was not used", number)
			}
		}
		if n.Floor() != list[0] && n.Floor() < highest {
			t.Errorf("floor %d, highest %d", n.Floor(), highest)
		}
		if s := syncs.Load(); s > 2*(40/block+5) {
			t.Errorf("%d syncs for 40 numbers", s)
		}
		if life%2 == 1 {
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
			if err := n.Use(highest + 1); err == nil {
				t.Error("a number is used after the end")
			}
		}
		if err := l.Close(); err != nil { // without Close of the numbers: what a crash leaves
			t.Fatal(err)
		}
	}
}

// TestNumbersFallBehind uses numbers of which every third never comes. They are given up when they are far enough behind, and what is remembered stays bounded.
func TestNumbersFallBehind(t *testing.T) {
	n, err := openLedger(t, filepath.Join(t.TempDir(), "ledger")).Numbers([32]byte{1}, 64, 64, 10)
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i <= 1000; i++ {
		if i%3 == 0 {
			continue
		}
		if err := n.Use(i); err != nil {
			t.Fatal(err)
		}
		if len(n.used) > 10 {
			t.Fatalf("%d numbers are remembered", len(n.used))
		}
	}
	for number, want := range map[uint64]bool{3: false, 987: false, 993: true, 999: true, 1000: false, 1001: true} {
		if err := n.Use(number); (err == nil) != want {
			t.Errorf("%d: %v, want %v", number, err, want)
		}
	}
	n.Skip(5000)
	if err := n.Use(4999); !errors.Is(err, ErrUsed) {
		t.Errorf("error %v", err)
	}
	if got, err := n.Take(func(highest uint64) uint64 { return highest + 3 }); got != 5003 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}

// TestNumbersOfOne has blocks of one number: each waits for its record, and those that come together share it.
func TestNumbersOfOne(t *testing.T) {
	l := openLedger(t, filepath.Join(t.TempDir(), "ledger"))
	var syncs atomic.Int64
	l.Synced = func() {
		syncs.Add(1)
		time.Sleep(2 * time.Millisecond) // a slow disk
	}
	n, err := l.Numbers([32]byte{1}, 1, 1, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 64)
	for i := range errs {
		wg.Go(func() {
			var number uint64
			number, errs[i] = n.Take(func(highest uint64) uint64 { return highest + 1 })
			if last, err := l.Last([32]byte{1}); err != nil || last < number {
				errs[i] = fmt.Errorf("%d is used and the ledger has %d: %w", number, last, err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if last, err := l.Last([32]byte{1}); last != 64 || err != nil || syncs.Load() > 32 {
		t.Errorf("last %d, %d syncs, %v", last, syncs.Load(), err)
	}
}
