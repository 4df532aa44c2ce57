package server

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
)

// The ports of FreeAddress: systems give others to connections that ask for none.
const (
	firstPort = 10000
	ports     = 22000
)

// FreeAddress returns an address on loopback that nobody listens at, for a server that is told where to listen before its peers start. A connection
// cannot take the port in between, as it could one that the system chose.
func FreeAddress() (string, error) {
	for range 1000 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return "", err
		}
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+binary.LittleEndian.Uint64(b[:])%ports)
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no port of loopback is free to listen at: stop programs that listen at many, or run over memory")
}
