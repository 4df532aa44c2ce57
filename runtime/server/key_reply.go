package server

import (
	"encoding/json"
	"fmt"

	"smpcc/runtime/control"
)

// keyBytes is the length of a derived key.
const keyBytes = 32

// longestKeys is the length of a reply with the keys of a material job.
const longestKeys = control.HeadBytes + maxBatch*(len(`"",`)+(keyBytes+2)/3*4)

// A keyReply carries derived keys to the party whose they are, over TLS: one, or one for each session of a material job.
type keyReply struct {
	Keys [][]byte `json:"keys"`
}

// writeKeys encodes a reply, and clears the keys.
func writeKeys(keys [][]byte) ([]byte, error) {
	defer clearAll(keys)
	return json.Marshal(keyReply{keys})
}

// readKeys reads a reply that must carry n keys, and clears it. The caller clears the keys.
func readKeys(reply []byte, n int) ([][]byte, error) {
	defer clear(reply)
	r, err := control.Decode[keyReply](reply)
	if err == nil && len(r.Keys) != n {
		err = fmt.Errorf("answered with %d keys, want %d", len(r.Keys), n)
	}
	for i := 0; err == nil && i < n; i++ {
		if len(r.Keys[i]) != keyBytes {
			err = fmt.Errorf("answered with a key of %d bytes", len(r.Keys[i]))
		}
	}
	if err != nil {
		clearAll(r.Keys)
		return nil, err
	}
	return r.Keys, nil
}

// clearAll overwrites secrets.
func clearAll(secrets [][]byte) {
	for _, b := range secrets {
		clear(b)
	}
}
