package material

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// Numbers are the numbers of one kind, such as a plan's sessions, that may be used in any order, each once, also across a crash. The ledger is not written for each of
// them but for blocks: it holds a number D, on disk, such that all numbers up to D are dead after a crash; above it none is used. So
//
//	use(n):  n is above all that was dead at the start, not used since, and D >= n
//
// and D is raised ahead of need, by a block, while numbers below it are used. Blocks double while they last less than a second, and begin anew after a pause. A
// Close sets D to the highest number used, so that only a crash loses numbers: two blocks of them at most. They may be used by several goroutines.
type Numbers struct {
	ledger *Ledger
	key    [32]byte
	first  uint64 // the length of a block after a pause
	most   uint64 // and of the longest
	window uint64

	mu      sync.Mutex
	grown   sync.Cond       // dead has changed, or an attempt to raise it has ended
	dead    uint64          // D
	block   uint64          // how far it is raised at once
	raised  time.Time       // when it was
	floor   uint64          // numbers up to here are used or given up
	highest uint64          // used
	used    map[uint64]bool // above floor
	wanted  uint64          // D is being raised to this; 0 if it is not
	tries   int             // attempts to raise D that have ended
	err     error           // of the last of them
	closed  bool
}

// A UsedError is the refusal of a number that is not free. It wraps ErrUsed.
type UsedError struct {
	Number uint64
	Last   uint64 // numbers up to this one are used or given up, as far as that is one number
}

// Error says what to try.
func (e *UsedError) Error() string {
	return fmt.Sprintf("%v: number %d, and all up to %d; using its material twice would reveal inputs: start a new session with a higher id", ErrUsed, e.Number, e.Last)
}

// Unwrap returns ErrUsed.
func (e *UsedError) Unwrap() error { return ErrUsed }

// errClosed is the refusal of numbers after Close.
var errClosed = errors.New("the ledger is closed")

// Numbers returns the numbers of a key. Blocks have block numbers at first and most at most; of what is used in any order, a number may be window below the highest
// at most. Nobody else may use the key while the ledger is open.
func (l *Ledger) Numbers(key [32]byte, block, most, window uint64) (*Numbers, error) {
	last, err := l.Last(key)
	if err != nil {
		return nil, err
	}
	n := &Numbers{ledger: l, key: key, first: max(1, block), block: max(1, block), most: max(1, block, most), window: window, dead: last, floor: last, highest: last, used: map[uint64]bool{}}
	n.grown.L = &n.mu
	return n, nil
}

// Use marks a number used. When it returns nil, no one after a crash can use it again.
func (n *Numbers) Use(number uint64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.use(number)
}

// Take marks the number used that next returns for the highest one so far, and returns it.
func (n *Numbers) Take(next func(highest uint64) uint64) (uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	number := next(max(n.highest, n.floor))
	return number, n.use(number)
}

// use is Use; the mutex is held, and given up while it waits for the disk.
func (n *Numbers) use(number uint64) error {
	switch {
	case n.closed:
		return errClosed
	case number <= n.floor || n.used[number]:
		return &UsedError{number, max(n.highest, n.floor)}
	}
	n.used[number] = true // whatever the disk says: it may have been recorded
	n.highest = max(n.highest, number)
	n.raiseFloor()
	if n.wanted == 0 && number+n.block/2 > n.dead {
		n.raise()
	}
	for n.dead < number {
		if n.closed {
			return errClosed
		}
		if n.wanted == 0 {
			n.raise()
		}
		tries, enough := n.tries, n.wanted >= number
		for n.tries == tries {
			n.grown.Wait()
		}
		if n.dead < number && enough && n.err != nil {
			return n.err
		}
	}
	return nil
}

// quick is how long a block should last at least.
const quick = time.Second

// raise begins to raise D. The mutex is held.
func (n *Numbers) raise() {
	now := time.Now()
	switch lasted := now.Sub(n.raised); {
	case lasted < quick:
		n.block = min(2*n.block, n.most)
	case lasted > 10*quick:
		n.block = n.first
	}
	n.raised = now
	to := n.highest + min(n.block-1, ^uint64(0)-n.highest)
	n.wanted = to
	go func() {
		err := n.ledger.Use(n.key, to)
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.err = err; err == nil {
			n.dead = to
		}
		n.wanted = 0
		n.tries++
		n.grown.Broadcast()
	}()
}

// raiseFloor forgets numbers that need not be remembered one by one. The mutex is held.
func (n *Numbers) raiseFloor() {
	if n.highest > n.window && n.highest-n.window > n.floor {
		n.skip(n.highest - n.window)
	}
	for n.used[n.floor+1] {
		n.floor++
		delete(n.used, n.floor)
	}
}

// skip gives numbers up. The mutex is held.
func (n *Numbers) skip(to uint64) {
	if to <= n.floor {
		return
	}
	if to-n.floor < uint64(len(n.used)) {
		for n.floor < to {
			n.floor++
			delete(n.used, n.floor)
		}
		return
	}
	for u := range n.used {
		if u <= to {
			delete(n.used, u)
		}
	}
	n.floor = to
}

// Skip gives all numbers up to one up.
func (n *Numbers) Skip(to uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.skip(to)
	n.raiseFloor()
}

// Free reports whether a number can still be used.
func (n *Numbers) Free(number uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return number > n.floor && !n.used[number]
}

// Floor returns the number up to which all are used or given up.
func (n *Numbers) Floor() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.floor
}

// Highest returns the highest number that is used or given up.
func (n *Numbers) Highest() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return max(n.highest, n.floor)
}

// Lost returns how many numbers a crash may cost at most.
func (n *Numbers) Lost() uint64 { return 2 * n.most }

// Close ends the use of numbers, and records the highest one in place of the end of its block.
func (n *Numbers) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.closed = true
	for n.wanted != 0 {
		n.grown.Wait()
	}
	if last := max(n.highest, n.floor); n.dead != last {
		return n.ledger.update(func(b *bbolt.Bucket) error { return b.Put(n.key[:], binary.BigEndian.AppendUint64(nil, last)) })
	}
	return nil
}
