package grpcnet

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// TestRequestsHaveLimits sends requests that are too long, never end, or come from a name that may not call. None is kept, and the node answers others.
func TestRequestsHaveLimits(t *testing.T) {
	asked := make(chan int, 10)
	all, addrs := nodes(t, map[string]Handler{"Echo": func(_ context.Context, _ string, req []byte) ([]byte, error) { asked <- len(req); return req, nil }}, "a", "b", "stranger")
	b := all["b"]
	b.Known, b.within = func(name string) bool { return name != "stranger" }, 200*time.Millisecond
	b.SetLimits(map[string]int{"Echo": 3 * chunkSize}, 0)
	all["a"].Replies = map[string]int{"Echo": 3 * chunkSize}
	call := func(who string, n int) error {
		got, err := all[who].Call(t.Context(), "b", addrs["b"], "Echo", bytes.Repeat([]byte("x"), n))
		if err == nil && len(got) != n {
			t.Errorf("%d bytes of %d", len(got), n)
		}
		return err
	}
	for _, n := range []int{0, 1, chunkSize, chunkSize + 1, 3 * chunkSize} {
		if err := call("a", n); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
		<-asked
	}
	if err := call("a", 3*chunkSize+1); err == nil || !strings.Contains(err.Error(), "b takes requests of Echo up to 786432 bytes") {
		t.Errorf("error %v", err)
	}
	for _, n := range []int{0, 50 << 20} {
		if err := call("stranger", n); err == nil || !strings.Contains(err.Error(), `"stranger" is neither a role of the plan nor among the clients of b`) {
			t.Errorf("error %v", err)
		}
	}
	b.SetLimits(nil, 0)
	if err := call("a", shortRequest+1); err == nil || !strings.Contains(err.Error(), "up to 8192 bytes") {
		t.Errorf("error %v", err)
	}
	b.SetLimits(map[string]int{"Echo": 1 << 20}, 0)
	c := dial(t, all["a"], "b", addrs["b"])
	ctx := metadata.NewOutgoingContext(t.Context(), all["a"].outgoing())
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, controlPrefix+"Echo", grpc.ForceCodecV2(codec{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendMsg(&frame{out: make([]byte, 1<<17)}); err != nil { // and no more
		t.Fatal(err)
	}
	var f frame
	if err := s.RecvMsg(&f); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a request that does not end: %v", err)
	}
	for end := time.Now().Add(10 * time.Second); b.requests.used.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d bytes are kept", b.requests.used.Load())
		}
	}
	select {
	case n := <-asked:
		t.Errorf("a request of %d bytes was answered", n)
	default:
	}
	c.Close()
}

// TestRoomForRequests asks for more memory at once than all requests may take.
func TestRoomForRequests(t *testing.T) {
	n := NewNode(nil, "b", nil)
	room := n.room()
	if !n.requests.take(room, room) || n.requests.take(1, room) {
		t.Error("the room is another")
	}
	parts := 3
	recv := func(m any) error {
		if parts--; parts < 0 {
			return io.EOF
		}
		m.(*frame).in = received([]byte("0123456789")).in
		return nil
	}
	if _, err := hear(recv, 100, func(more int) bool { return n.requests.take(int64(more), room) }, func(all int) { n.requests.give(int64(all)) }); err != errRoom {
		t.Errorf("error %v", err)
	}
	if got := n.requests.used.Load(); got != room {
		t.Errorf("%d bytes are used, want %d", got, room)
	}
}

// TestConnectionsHaveLimits opens more connections without a certificate than there may be, which hang, and more of a stranger. Calls get through.
func TestConnectionsHaveLimits(t *testing.T) {
	all, addrs := nodes(t, map[string]Handler{"Echo": func(_ context.Context, _ string, req []byte) ([]byte, error) { return req, nil }}, "b", "stranger", "a")
	all["b"].Known = func(name string) bool { return name == "a" }
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range 3 * maxHalfOpenEach {
		c, err := net.Dial("tcp", addrs["b"])
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	conf := all["stranger"].tls.Clone()
	conf.ServerName, conf.NextProtos = "b", []string{"h2"}
	refused := 0
	for range 3 * maxStrange {
		c, err := tls.Dial("tcp", addrs["b"], conf)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		// a connection that is let in begins with the server's settings
		if _, err := io.ReadFull(c, make([]byte, 9)); err != nil {
			refused++
		}
	}
	if refused != 2*maxStrange {
		t.Errorf("%d of %d connections of a stranger were refused, want %d", refused, 3*maxStrange, 2*maxStrange)
	}
	if _, err := all["a"].Call(t.Context(), "b", addrs["b"], "Echo", nil); err != nil {
		t.Error(err)
	}
	closed := 0
	for _, c := range open[:2*maxHalfOpenEach] { // the oldest, which have lost their places
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == io.EOF || err != nil && strings.Contains(err.Error(), "reset") {
			closed++
		}
	}
	if closed != 2*maxHalfOpenEach {
		t.Errorf("%d connections were closed, want %d", closed, 2*maxHalfOpenEach)
	}
}

// TestPatience calls a server that is not there: the call ends when its patience does, tells why meanwhile, and the next one does not wait as long.
// When the server is back, calls reach it.
func TestPatience(t *testing.T) {
	all, addrs := nodes(t, map[string]Handler{"Echo": func(_ context.Context, _ string, req []byte) ([]byte, error) { return req, nil }}, "a", "b")
	a := all["a"]
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := l.Addr().String() // takes connections and says nothing
	defer l.Close()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	a.Patience = 300 * time.Millisecond
	var told []string
	a.Waiting = func(name, _, why string) { told = append(told, name+": "+why) }
	for _, tt := range []struct{ addr, want string }{{silent, "no answer within"}, {nobody.Addr().String(), "connection refused; is its server running"}} {
		for range 2 {
			if _, err := a.Call(t.Context(), "b", tt.addr, "Echo", nil); err == nil || !strings.Contains(err.Error(), "b at "+tt.addr+" cannot be reached: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v", tt.addr, err)
			}
			if !a.isAway("b", tt.addr) {
				t.Errorf("%s is not known to be away", tt.addr)
			}
		}
	}
	if len(told) == 0 || !strings.HasPrefix(told[len(told)-1], "b: ") || !strings.Contains(told[len(told)-1], "refused") {
		t.Errorf("told %q", told)
	}
	a.setAway("b", addrs["b"], true)
	a.Patience = 0
	if _, err := a.Call(t.Context(), "b", addrs["b"], "Echo", nil); err != nil {
		t.Error(err)
	}
	if a.isAway("b", addrs["b"]) {
		t.Error("b is still taken to be away")
	}
}
