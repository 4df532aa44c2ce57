package server

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
)

// TestKeyRepliesAreCleared checks that keys travel as they are and that neither side keeps what it has written or read of them.
func TestKeyRepliesAreCleared(t *testing.T) {
	keys := [][]byte{bytes.Repeat([]byte{1}, keyBytes), bytes.Repeat([]byte{2}, keyBytes)}
	want := [][]byte{slices.Clone(keys[0]), slices.Clone(keys[1])}
	reply, err := writeKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		if !bytes.Equal(keys[i], make([]byte, keyBytes)) {
			t.Errorf("key %d is left at the sender", i)
		}
	}
	got, err := readKeys(reply, 2)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("keys came as %x", got)
	}
	if !bytes.Equal(reply, make([]byte, len(reply))) {
		t.Errorf("the reply is left: %q", reply)
	}
	clearAll(got)
	if !bytes.Equal(got[1], make([]byte, keyBytes)) {
		t.Error("a key is left at the receiver")
	}
	for name, reply := range map[string]string{
		"no keys": `{}`, "too few": `{"keys":["` + base64.StdEncoding.EncodeToString(want[0]) + `"]}`, "short": `{"keys":["AA==","AA=="]}`, "no reply": `keys`,
	} {
		b := []byte(reply)
		if _, err := readKeys(b, 2); err == nil || strings.Contains(err.Error(), "AQEB") {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("%s: the reply is left", name)
		}
	}
}
