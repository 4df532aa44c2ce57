package server

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
)

// The ports of FreeAddress: systems give others to connections that ask for none.
const (
	firstPort = 10000
	ports     = 22000
)

// shares is among how many processes ports are divided.
const shares = 16

// found holds the addresses that this process has been told of.
var found sync.Map

// FreeAddress returns an address on loopback that nobody listens at, for a server that is told where to listen before its peers start. A connection
// cannot take the port in between, as it could one that the system chose.
func FreeAddress() (string, error) {
	for try := range 1000 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return "", err
		}
		port := binary.LittleEndian.Uint64(b[:]) % ports
		if try < 900 { // of this process's share, so that two processes rarely find the same one free
			port = (uint64(os.Getpid())%shares*ports + port) / shares
		}
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+port)
		if _, before := found.LoadOrStore(addr, true); before && try < 900 {
			continue // whoever asked for it may not listen yet
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no port of loopback is free to listen at: stop programs that listen at many, or run over memory")
}
