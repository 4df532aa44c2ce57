// Package message keeps the buffers of messages for messages to come: memory that is written for the first time costs more
// than what is written to it.
//
// A buffer comes with whatever was in it, which may be a message of another session. Nothing of that is ever sent or read, because a
// byte is written before it is: an engine packs every byte of what it sends (TestMessagesAreWritten), and a transport hands over
// what has arrived. Who frees a message that hides something by itself clears it before.
package message

import (
	"math/bits"
	"sync"
)

// Kept is the size in bytes from which a buffer is kept.
const Kept = 1 << 16

// steps is the number of sizes between two powers of two: a buffer is at most an eighth longer than its message.
const steps = 8

// free holds unused buffers by size.
var free [steps * 64]sync.Pool // of *[]byte

// size returns the length that a buffer for n bytes is given, n >= Kept, and its number among the sizes.
func size(n int) (length, class int) {
	top := bits.Len(uint(n-1)) - 1 // 2^top < n <= 2^(top+1)
	step := 1 << top / steps
	k := (n - 1<<top + step - 1) / step // 1..steps
	return 1<<top + k*step, steps*top + k - 1
}

// New returns n bytes of any content. Who takes them writes all of them before anybody reads them.
func New(n int) []byte {
	if n < Kept || n > 1<<40 {
		return make([]byte, n)
	}
	length, class := size(n)
	if b, ok := free[class].Get().(*[]byte); ok {
		return (*b)[:n]
	}
	return make([]byte, n, length)
}

// Length returns the bytes that New takes for a message of n.
func Length(n int) int {
	if n < Kept || n > 1<<40 {
		return n
	}
	length, _ := size(n)
	return length
}

// Free takes a buffer, whole, that nobody reads or writes any more: not a part of one, whose other parts somebody may still use. What New did
// not make is left to the garbage collector, unless it has the size of a buffer.
func Free(b []byte) {
	if cap(b) < Kept || cap(b) > 1<<40 {
		return
	}
	if length, class := size(cap(b)); length == cap(b) {
		b = b[:0]
		free[class].Put(&b)
	}
}
