package server

import (
	"bytes"
	"testing"

	"smpcc/backend/plan"
	"smpcc/runtime/message"
)

// TestStoredMaterialIsHandedOverOnce checks the transport of stored material: an engine owns the messages that it is given, and gives their memory to
// messages to come, so they are no part of the record, which is cleared as it is handed over.
func TestStoredMaterialIsHandedOverOnce(t *testing.T) {
	const n = message.Kept // the size of a buffer that is kept
	record := bytes.Repeat([]byte{7}, 2*n+3)
	tr := &stored{record}
	var seen [][]byte
	for _, want := range []int{n, 3, n} {
		in, err := tr.Exchange(t.Context(), plan.Offline, 0, make([][]byte, 3), []int{0, 0, want})
		if err != nil {
			t.Fatal(err)
		}
		if len(in[2]) != want || bytes.Count(in[2], []byte{7}) != want || in[0] != nil {
			t.Fatalf("%d bytes were wanted, %d came", want, len(in[2]))
		}
		message.Free(in[2])
		if want == n {
			b := message.New(n) // of a message of another session, perhaps in the memory just given back
			for i := range b {
				b[i] = 9
			}
			seen = append(seen, b)
		}
	}
	if bytes.Count(record, []byte{0}) != len(record) {
		t.Error("a part of the record is left, or is the memory of a message")
	}
	clear(record) // as when the offline phase is over
	for _, b := range seen {
		if bytes.Count(b, []byte{9}) != n {
			t.Error("clearing the record changed a message of another session")
		}
	}
	if _, err := tr.Exchange(t.Context(), plan.Offline, 3, make([][]byte, 3), []int{0, 0, 1}); err == nil {
		t.Error("more comes than was stored")
	}
}
