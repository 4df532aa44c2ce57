package grpcnet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"smpcc/runtime/keys"
)

// Limits of connections. Whoever has not shown a certificate can hold few of them, for a short time; one that is too many takes the place of
// the oldest such, so that those who show theirs at once get in.
const (
	handshakeTimeout = 10 * time.Second
	maxHalfOpen      = 256 // connections without a certificate yet
	maxHalfOpenEach  = 64  // of them from one address
	maxKnown         = 256 // connections of one name that may call
	maxStrange       = 4   // connections of one name that may not: enough to be told so
	maxStrangers     = 64  // connections of all names that may not
)

// A door lets connections in.
type door struct {
	net.Listener
	known func(name string) bool

	mu       sync.Mutex
	halfOpen []*guest       // the oldest first
	inside   map[string]int // connections by the name in the certificate
	strange  int            // connections of names that may not call
}

// A guest is a connection that has come through a door.
type guest struct {
	net.Conn
	door   *door
	source string
	once   sync.Once
	name   string // once the certificate is checked
	known  bool
	gone   chan struct{} // closed with the connection
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := &guest{Conn: c, door: d, source: c.RemoteAddr().String(), gone: make(chan struct{})}
	if host, _, err := net.SplitHostPort(g.source); err == nil {
		g.source = host
	}
	if old := d.enter(g); old != nil {
		_ = old.Close() // it has lost its place
	}
	return g, nil
}

// enter counts a connection, and returns the one whose place it takes.
func (d *door) enter(g *guest) (old *guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halfOpen = append(d.halfOpen, g)
	same := 0
	for _, o := range d.halfOpen {
		if o.source == g.source {
			if same++; same == 1 {
				old = o
			}
		}
	}
	switch {
	case same > maxHalfOpenEach:
		return old
	case len(d.halfOpen) > maxHalfOpen:
		return d.halfOpen[0]
	}
	return nil
}

// forget removes a connection from those without a certificate, and reports whether it was one.
func (d *door) forget(g *guest) bool {
	for i, o := range d.halfOpen {
		if o == g {
			d.halfOpen = append(d.halfOpen[:i], d.halfOpen[i+1:]...)
			return true
		}
	}
	return false
}

// welcome counts a connection that has shown a certificate of a name.
func (d *door) welcome(g *guest, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.forget(g) {
		return errors.New("the connection has been closed")
	}
	known := d.known(name)
	switch {
	case known && d.inside[name] >= maxKnown:
		return fmt.Errorf("%q has %d connections", name, maxKnown)
	case !known && (d.inside[name] >= maxStrange || d.strange >= maxStrangers):
		return fmt.Errorf("%q may not call, and has connections", name)
	}
	g.name, g.known = name, known
	d.inside[name]++
	if !known {
		d.strange++
	}
	return nil
}

// Close implements net.Conn.
func (g *guest) Close() error {
	g.once.Do(func() {
		close(g.gone)
		d := g.door
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.forget(g); g.name == "" {
			return
		}
		if d.inside[g.name]--; d.inside[g.name] == 0 {
			delete(d.inside, g.name)
		}
		if !g.known {
			d.strange--
		}
	})
	return g.Conn.Close()
}

// A porter checks certificates and tells the door whose connection it is.
type porter struct {
	credentials.TransportCredentials
	now func() time.Time
}

// clock returns the time by which certificates are checked.
func clock(conf *tls.Config) func() time.Time {
	if conf.Time != nil {
		return conf.Time
	}
	return time.Now
}

// ServerHandshake implements credentials.TransportCredentials.
func (p porter) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := p.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	g, ok := raw.(*guest)
	shown, ok2 := info.(credentials.TLSInfo)
	if !ok || !ok2 {
		return nil, nil, errors.Join(errors.New("the connection did not come through the door"), c.Close())
	}
	name, err := keys.PeerName(shown.State)
	if err == nil {
		err = g.door.welcome(g, name)
	}
	if err != nil {
		return nil, nil, errors.Join(err, c.Close())
	}
	return c, admitted{shown, g.gone, p.now}, nil
}

// An admitted caller is one whose certificate a porter has checked.
type admitted struct {
	credentials.TLSInfo
	gone <-chan struct{}
	now  func() time.Time
}

// Gone returns a channel that closes when the connection ends over which a request came; nil if it came over none.
func Gone(ctx context.Context) <-chan struct{} {
	if p, ok := peer.FromContext(ctx); ok {
		if a, ok := p.AuthInfo.(admitted); ok {
			return a.gone
		}
	}
	return nil
}

// Clone implements credentials.TransportCredentials.
func (p porter) Clone() credentials.TransportCredentials {
	return porter{p.TransportCredentials.Clone(), p.now}
}
