package grpcnet

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"smpcc/runtime/keys"
)

// Limits of connections.
const (
	window     = 16 << 20  // flow control
	buffer     = 256 << 10 // read and write buffers
	maxFrame   = chunkSize + headerSize
	maxWaiting = 512 // streams of one peer that wait for their sessions, or sessions for them
)

// Protocol is the version of what nodes say to each other. Nodes of different versions do not talk.
const Protocol = 3

// The metadata of calls and streams carry Protocol and the number of the worker.
const (
	versionKey = "smpcc-protocol"
	workerKey  = "smpcc-worker"
)

const (
	meshMethod    = "/smpcc.Mesh/Exchange"
	controlPrefix = "/smpcc.Control/"
)

// A Handler answers a control request of an authenticated peer.
type Handler func(ctx context.Context, peer string, req []byte) ([]byte, error)

// A Node is one process's end of the network: a server, and connections to others. Every connection is mutual TLS; there
// is no other mode.
type Node struct {
	// Worker is which of its organisation's servers this is. It talks to those of the same number only, since each keeps its
	// own numbers and material. It is set before the node is used.
	Worker int
	// Known reports whether a name may call at all; everybody in the authority's name may if it is nil. Others are refused before their requests are read.
	Known func(name string) bool
	// Replies are the lengths of what is answered to calls, by method; those not named are short.
	Replies map[string]int
	// Patience is how long a call waits until its peer is reached; as long as its context lasts if it is 0.
	Patience time.Duration
	// Waiting, if not nil, is told again and again of a peer that is not reached yet, and why, as far as that is known.
	Waiting func(name, addr, why string)

	name     string
	tls      *tls.Config
	handlers map[string]Handler
	server   *grpc.Server
	health   *health.Server

	mu      sync.Mutex
	conns   map[string]*grpc.ClientConn // by name and address; nil once the node is closed
	waiting map[string]chan *incoming   // by session key: streams and sessions meet here
	away    map[string]bool             // by name and address: the last call did not reach it
	closed  chan struct{}
	once    sync.Once

	bounds   sync.RWMutex   // guards what follows
	limits   map[string]int // lengths of requests by method
	together int64
	requests pool          // memory of requests
	within   time.Duration // for tests: how long a request may take to come
}

// NewNode returns the node of the role named in the certificate. handlers answer control requests by method; nil for a
// node that only calls.
func NewNode(conf *tls.Config, name string, handlers map[string]Handler) *Node {
	n := &Node{name: name, tls: conf, handlers: handlers, conns: map[string]*grpc.ClientConn{}, waiting: map[string]chan *incoming{}, away: map[string]bool{}, closed: make(chan struct{})}
	if handlers != nil {
		n.server = grpc.NewServer(grpc.Creds(porter{credentials.NewTLS(conf), clock(conf)}), grpc.ConnectionTimeout(handshakeTimeout), grpc.InTapHandle(n.admit), grpc.ForceServerCodecV2(codec{}),
			grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window), grpc.ReadBufferSize(buffer), grpc.WriteBufferSize(buffer),
			grpc.MaxRecvMsgSize(maxFrame), grpc.MaxConcurrentStreams(1024), grpc.MaxHeaderListSize(16<<10),
			grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 10 * time.Second}),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}))
		n.server.RegisterService(&grpc.ServiceDesc{ServiceName: "smpcc.Mesh", HandlerType: (*any)(nil),
			Streams: []grpc.StreamDesc{{StreamName: "Exchange", Handler: n.accept, ServerStreams: true, ClientStreams: true}}}, n)
		control := &grpc.ServiceDesc{ServiceName: "smpcc.Control", HandlerType: (*any)(nil)}
		for method, h := range handlers {
			control.Streams = append(control.Streams, grpc.StreamDesc{StreamName: method, Handler: n.answer(method, h, method != "Status"), ServerStreams: true, ClientStreams: true})
		}
		n.server.RegisterService(control, n)
		n.health = health.NewServer()
		healthpb.RegisterHealthServer(n.server, n.health)
		reflection.Register(n.server)
	}
	return n
}

// SetLimits sets the lengths of requests by method, and how many bytes all of them may take at once, besides short ones; 0 for four of the longest. Methods that are not named
// take short ones.
func (n *Node) SetLimits(limits map[string]int, together int64) {
	n.bounds.Lock()
	defer n.bounds.Unlock()
	n.limits, n.together = limits, together
}

// Serve answers on l until Close, and returns nil then. After a Close it closes l and returns nil too: who starts Serve in a goroutine
// cannot know which of them comes first.
func (n *Node) Serve(l net.Listener) error {
	if err := n.server.Serve(&door{Listener: l, known: func(name string) bool { return n.Known == nil || n.Known(name) }, inside: map[string]int{}}); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// Serving tells health checks whether the node takes work.
func (n *Node) Serving(yes bool) {
	status := healthpb.HealthCheckResponse_SERVING
	if !yes {
		status = healthpb.HealthCheckResponse_NOT_SERVING
	}
	n.health.SetServingStatus("", status)
	n.health.SetServingStatus("smpcc.Mesh", status)
}

// Shutdown lets requests that are being answered end, for as long as ctx lasts, and closes the node.
func (n *Node) Shutdown(ctx context.Context) {
	n.once.Do(func() { close(n.closed) })
	if n.server != nil {
		n.health.Shutdown()
		done := make(chan struct{})
		go func() { n.server.GracefulStop(); close(done) }()
		select {
		case <-done:
		case <-ctx.Done():
			n.server.Stop() // which also ends GracefulStop
			<-done
		}
	}
	n.Close()
}

// Close ends all streams and connections.
func (n *Node) Close() {
	n.once.Do(func() { close(n.closed) })
	if n.server != nil {
		n.server.Stop()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		_ = c.Close() // closing; there is nobody left to tell
	}
	n.conns = nil
}

// ours reports whether a method is one of roles and clients, not of health checks and reflection.
func ours(method string) bool {
	return method == meshMethod || strings.HasPrefix(method, controlPrefix)
}

// peerName returns the name in the caller's certificate.
func peerName(ctx context.Context) (string, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", errors.New("caller is unknown")
	}
	switch info := p.AuthInfo.(type) {
	case admitted:
		if end := info.State.PeerCertificates[0].NotAfter; info.now().After(end) { // since the connection was made
			return "", fmt.Errorf("the caller's certificate ended at %s", end.UTC().Format(time.RFC3339))
		}
		return keys.PeerName(info.State)
	case credentials.TLSInfo:
		return keys.PeerName(info.State)
	}
	return "", errors.New("caller does not use TLS")
}

// outgoing returns the metadata that every call and stream of this node carries.
func (n *Node) outgoing(more ...string) metadata.MD {
	return metadata.Pairs(append(more, versionKey, strconv.Itoa(Protocol), workerKey, strconv.Itoa(n.Worker))...)
}

// checkCaller refuses a caller that speaks another version, or means another worker.
func (n *Node) checkCaller(md metadata.MD, name string) error {
	if v := md.Get(versionKey); len(v) != 1 || v[0] != strconv.Itoa(Protocol) {
		return status.Errorf(codes.FailedPrecondition, "%s speaks protocol version %d, %s speaks %.20q: run the same release at all roles", n.name, Protocol, name, v)
	}
	if v := md.Get(workerKey); len(v) != 1 || v[0] != strconv.Itoa(n.Worker) {
		return status.Errorf(codes.FailedPrecondition, "this is worker %d of %s, but %s wants worker %.20q: servers of each worker must lead to the others' workers of the same number", n.Worker, n.name, name, v)
	}
	return nil
}

// conn returns the connection to a named peer at an address, which must show a certificate of that name.
func (n *Node) conn(name, addr string) (*grpc.ClientConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil { // nobody would close it
		return nil, fmt.Errorf("%s is closed and calls no peer", n.name)
	}
	k := name + " " + addr
	if c := n.conns[k]; c != nil {
		return c, nil
	}
	conf := n.tls.Clone()
	conf.ServerName = name
	c, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewTLS(conf)), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(maxFrame)),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window), grpc.WithReadBufferSize(buffer), grpc.WithWriteBufferSize(buffer),
		// a peer that is back is found within a second, however long it was away
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}, MinConnectTimeout: 5 * time.Second}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}))
	if err != nil {
		return nil, err
	}
	n.conns[k] = c
	return c, nil
}

// A RemoteError is what a peer answered to a control request.
type RemoteError struct {
	Peer string
	Msg  string
}

// Error says who answered what.
func (e *RemoteError) Error() string { return e.Peer + ": " + e.Msg }

// wrapped is what gRPC puts around the reason for which a connection could not be made.
var wrapped = regexp.MustCompile(`^(?:.*: )?connection error: desc = "(?:transport: |error reading server preface: )(?:Error while dialing: |authentication handshake failed: )?(.*)"$`)

// unreached says in plain words why a peer cannot be reached, and what to look at.
func unreached(msg string) string {
	if m := wrapped.FindStringSubmatch(msg); m != nil {
		msg = m[1]
	}
	switch {
	case strings.Contains(msg, "certificate is valid for"):
		return msg + "; does servers lead to another role?"
	case strings.Contains(msg, "expired") || strings.Contains(msg, "not yet valid"):
		return msg + "; compare the clocks, and look at the end of both certificates"
	case strings.Contains(msg, "certificate") || strings.Contains(msg, "tls:"):
		return msg + "; do both sides have the same tls.ca?"
	case strings.Contains(msg, "no such host") || strings.Contains(msg, "lookup "):
		return msg + "; is the address in servers right?"
	}
	return msg + "; is its server running, is the address in servers right, and does a firewall let it through?"
}

// sessionKey names a stream: which plan, which session, from whom.
func sessionKey(digest [32]byte, purpose string, session uint64, from string) string {
	return hex.EncodeToString(digest[:]) + " " + purpose + " " + strconv.FormatUint(session, 10) + " " + from
}

// An incoming is a stream that a peer opened, and how to end it.
type incoming struct {
	stream grpc.ServerStream
	done   chan struct{} // closed when the session is over; the handler then returns
	once   sync.Once
}

func (i *incoming) end() { i.once.Do(func() { close(i.done) }) }

// meet returns the place where the stream and the session of a key find each other. What one peer can make wait is bounded,
// so that it cannot keep others out.
func (n *Node) meet(key, from string) (chan *incoming, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.waiting[key]
	if c == nil {
		count := 0
		for k := range n.waiting {
			if strings.HasSuffix(k, " "+from) {
				count++
			}
		}
		if count >= maxWaiting {
			return nil, fmt.Errorf("more than %d streams of %s wait for their sessions", maxWaiting, from)
		}
		c = make(chan *incoming)
		n.waiting[key] = c
	}
	return c, nil
}

func (n *Node) forget(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.waiting, key)
}

// joinTimeout bounds how long a stream waits for its session to begin here.
const joinTimeout = 30 * time.Second

// accept takes a peer's stream and waits for the session it belongs to.
func (n *Node) accept(_ any, s grpc.ServerStream) error {
	name, err := peerName(s.Context())
	if err != nil {
		return status.Error(codes.Unauthenticated, err.Error())
	}
	md, _ := metadata.FromIncomingContext(s.Context())
	if err := n.checkCaller(md, name); err != nil {
		return err
	}
	one := func(k string) string {
		if v := md.Get(k); len(v) == 1 {
			return v[0]
		}
		return ""
	}
	raw, err := hex.DecodeString(one("smpcc-plan"))
	id, err2 := strconv.ParseUint(one("smpcc-session"), 10, 64)
	if err != nil || err2 != nil || len(raw) != 32 || one("smpcc-to") != n.name {
		return status.Errorf(codes.InvalidArgument, "stream is not for %s", n.name)
	}
	purpose := one("smpcc-purpose")
	if purpose != "setup" && purpose != "session" && purpose != "material" {
		return status.Error(codes.InvalidArgument, "stream has no purpose")
	}
	key := sessionKey([32]byte(raw), purpose, id, name)
	c, err := n.meet(key, name)
	if err != nil {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	defer n.forget(key)
	in := &incoming{stream: s, done: make(chan struct{})}
	t := time.NewTimer(joinTimeout)
	defer t.Stop()
	select {
	case c <- in:
	case <-t.C:
		return status.Errorf(codes.FailedPrecondition, "%s has no %s %d of plan %x", n.name, purpose, id, raw[:8])
	case <-s.Context().Done():
		return s.Context().Err()
	case <-n.closed:
		return status.Error(codes.Unavailable, "server stops")
	}
	select {
	case <-in.done:
		return nil
	case <-n.closed:
		return status.Error(codes.Unavailable, "server stops")
	}
}
