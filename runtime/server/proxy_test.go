package server_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A proxy forwards TCP connections and can make them fail. It needs nothing of gRPC: it damages bytes.
type proxy struct {
	l      net.Listener
	target string
	wg     sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]bool
	delay   time.Duration // before each piece
	stopped bool          // bytes wait
	corrupt int           // pieces to damage
	reset   int           // bytes until a reset; 0 for none
	resume  *sync.Cond
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, target: target, conns: map[net.Conn]bool{}}
	p.resume = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.set(func() { p.stopped, p.delay = false, 0 })
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.l.Addr().String() }

// set changes how it behaves.
func (p *proxy) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.resume.Broadcast()
}

// cut resets all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.(*net.TCPConn).SetLinger(0) // so that Close resets
		c.Close()
	}
}

func (p *proxy) accept() {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		p.conns[in], p.conns[out] = true, true
		p.mu.Unlock()
		p.wg.Go(func() { p.pump(in, out) })
		p.wg.Go(func() { p.pump(out, in) })
	}
}

// pump copies one direction, misbehaving as told.
func (p *proxy) pump(to, from net.Conn) {
	defer func() {
		to.Close()
		from.Close()
		p.mu.Lock()
		delete(p.conns, from)
		p.mu.Unlock()
	}()
	b := make([]byte, 4<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		p.mu.Lock()
		for p.stopped {
			p.resume.Wait()
		}
		delay, reset := p.delay, false
		if p.corrupt > 0 && n > 0 {
			p.corrupt--
			b[n/2] ^= 0x40
		}
		if p.reset > 0 {
			if p.reset -= n; p.reset <= 0 {
				p.reset, reset = 0, true
				n = (n + 1) / 2
			}
		}
		p.mu.Unlock()
		time.Sleep(delay)
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
		if reset {
			p.cut()
			return
		}
	}
}

func TestProxy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	p := newProxy(t, l.Addr().String())
	c, err := net.Dial("tcp", p.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 4)
	if _, err := c.Write([]byte("abcd")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "abcd" {
		t.Fatalf("%q, %v", b, err)
	}
	p.cut()
	if _, err := io.ReadFull(c, b); err == nil {
		t.Error("the connection outlived a reset")
	}
}
