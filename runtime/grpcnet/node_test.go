package grpcnet

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	reflectpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"smpcc/backend/plan"
)

// dial returns a connection as another program would make it: with a certificate, without our codec.
func dial(t *testing.T, n *Node, name, addr string) *grpc.ClientConn {
	t.Helper()
	conf := n.tls.Clone()
	conf.ServerName = name
	c, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewTLS(conf)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestHealthAndReflection(t *testing.T) {
	all, addrs := nodes(t, map[string]Handler{}, "a", "b")
	c := dial(t, all["a"], "b", addrs["b"])
	for _, serving := range []bool{true, false} {
		all["b"].Serving(serving)
		r, err := healthpb.NewHealthClient(c).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "smpcc.Mesh"})
		if err != nil || (r.Status == healthpb.HealthCheckResponse_SERVING) != serving {
			t.Errorf("serving %v: %v, %v", serving, r, err)
		}
	}
	s, err := reflectpb.NewServerReflectionClient(c).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(&reflectpb.ServerReflectionRequest{MessageRequest: &reflectpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	r, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range r.GetListServicesResponse().GetService() {
		names = append(names, x.Name)
	}
	if text := strings.Join(names, " "); !strings.Contains(text, "smpcc.Mesh") || !strings.Contains(text, "smpcc.Control") || !strings.Contains(text, "grpc.health.v1.Health") {
		t.Errorf("services %v", names)
	}
	if err := s.CloseSend(); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestUnreachable calls peers that are not there, that another authority stands for, and that are others. The errors say what
// an operator would look at, in no words of gRPC.
func TestUnreachable(t *testing.T) {
	all, addrs := nodes(t, map[string]Handler{"Echo": func(_ context.Context, _ string, req []byte) ([]byte, error) { return req, nil }}, "a", "b")
	_, far := nodes(t, map[string]Handler{}, "b")
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	for _, tt := range []struct{ name, addr, want, hint string }{
		{"b", nobody.Addr().String(), "connect: connection refused", "; is its server running"},
		{"b", far["b"], "certificate signed by unknown authority", "; do both sides have the same tls.ca?"},
		{"c", addrs["b"], "certificate is valid for b", "; does servers lead to another role?"},
		{"b", "b.invalid:7101", "b.invalid", "; is the address in servers right?"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := all["a"].Call(ctx, tt.name, tt.addr, "Echo", nil)
		cancel()
		if err == nil || !strings.HasPrefix(err.Error(), tt.name+" at "+tt.addr+" cannot be reached: ") || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.hint) ||
			strings.Contains(err.Error(), "desc =") || strings.Contains(err.Error(), "balancer") {
			t.Errorf("%s at %s: %v", tt.name, tt.addr, err)
		}
	}
}

// TestCallAfterClose: a node that is closed makes no connection, which nobody would close.
func TestCallAfterClose(t *testing.T) {
	old := goleak.IgnoreCurrent()
	all, addrs := nodes(t, map[string]Handler{"Echo": func(_ context.Context, _ string, req []byte) ([]byte, error) { return req, nil }}, "a", "b")
	all["a"].Close()
	if _, err := all["a"].Call(t.Context(), "b", addrs["b"], "Echo", nil); err == nil || !strings.Contains(err.Error(), "a is closed") {
		t.Errorf("error %v", err)
	}
	all["b"].Close()
	goleak.VerifyNone(t, old)
}

// TestOtherWorker calls a server that is another organisation's worker of another number, and one of the same number.
func TestOtherWorker(t *testing.T) {
	all, addrs := nodes(t, map[string]Handler{
		"Echo":   func(_ context.Context, _ string, req []byte) ([]byte, error) { return req, nil },
		"Status": func(context.Context, string, []byte) ([]byte, error) { return []byte("ok"), nil },
	}, "a", "b")
	all["b"].Worker = 1
	if _, err := all["a"].Call(t.Context(), "b", addrs["b"], "Echo", nil); err == nil || !strings.Contains(err.Error(), `this is worker 1 of b, but a wants worker ["0"]`) {
		t.Errorf("error %v", err)
	}
	if _, err := all["a"].Call(t.Context(), "b", addrs["b"], "Status", nil); err != nil { // so that a check can say what is wrong
		t.Error(err)
	}
	// a stream that was led to the wrong worker never meets a session, even one of the same plan and number
	session := func(role int) (*Transport, error) {
		roles := []string{"a", "b"}
		return all[roles[role]].Session(t.Context(), SessionConfig{Roles: roles, Role: role, Addrs: addrs, Purpose: "session", Session: 1, Timeout: time.Second})
	}
	waits := make(chan error, 1)
	go func() { _, err := session(0); waits <- err }()
	if s, err := session(1); err == nil {
		var in [][]byte
		if in, err = s.Exchange(t.Context(), plan.Online, 0, make([][]byte, 2), []int{8, 0}); err == nil || !strings.Contains(err.Error(), `this is worker 0 of a, but b wants worker ["1"]`) {
			t.Errorf("%v, error %v", in, err)
		}
		s.Close()
	}
	if err := <-waits; err == nil || !strings.Contains(err.Error(), "b: did not connect") {
		t.Errorf("error %v", err)
	}
	all["a"].Worker = 1
	if out, err := all["a"].Call(t.Context(), "b", addrs["b"], "Echo", []byte("x")); err != nil || string(out) != "x" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestOtherVersion calls with another protocol version, and with none.
func TestOtherVersion(t *testing.T) {
	all, addrs := nodes(t, map[string]Handler{
		"Echo":   func(_ context.Context, _ string, req []byte) ([]byte, error) { return req, nil },
		"Status": func(context.Context, string, []byte) ([]byte, error) { return []byte("ok"), nil },
	}, "a", "b")
	c := dial(t, all["a"], "b", addrs["b"])
	for _, v := range []string{"", "999"} {
		ctx := t.Context()
		if v != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, versionKey, v)
		}
		var reply frame
		err := c.Invoke(ctx, controlPrefix+"Echo", &frame{}, &reply, grpc.ForceCodecV2(codec{})) // one frame each way, as earlier versions call
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("speaks protocol version %d", Protocol)) {
			t.Errorf("version %q: %v", v, err)
		}
		if err := c.Invoke(ctx, controlPrefix+"Status", &frame{}, &reply, grpc.ForceCodecV2(codec{})); err != nil { // so that a check can say what is wrong
			t.Errorf("version %q: %v", v, err)
		}
		reply.free()
		s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, meshMethod, grpc.ForceCodecV2(codec{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.RecvMsg(&reply); err == nil || !strings.Contains(err.Error(), "speaks protocol version") {
			t.Errorf("version %q: stream: %v", v, err)
		}
	}
}

// fakeStream is a stream of a peer with a certificate and metadata.
type fakeStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *fakeStream) Context() context.Context { return s.ctx }

// FuzzHandshake gives the acceptor any metadata of a peer with a certificate: it refuses, or waits for the session, and
// leaves nothing behind.
func FuzzHandshake(f *testing.F) {
	digest := strings.Repeat("ab", 32)
	f.Add("3", "0", digest, "session", "7", "b", "a")
	f.Add("3", "0", digest, "material", "18446744073709551615", "b", "")
	f.Add("3", "-1", digest, "session", "7", "b", "a")
	f.Add("", "", "zz", "setup", "-1", "", "a b")
	f.Fuzz(func(t *testing.T, version, worker, plan, purpose, session, to, from string) {
		n := NewNode(nil, "b", nil)
		cert := &x509.Certificate{Subject: pkix.Name{CommonName: from}, DNSNames: []string{from}}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		ctx = peer.NewContext(ctx, &peer.Peer{AuthInfo: credentials.TLSInfo{State: tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{cert}}, PeerCertificates: []*x509.Certificate{cert}}}})
		ctx = metadata.NewIncomingContext(ctx, metadata.MD{versionKey: {version}, workerKey: {worker}, "smpcc-plan": {plan}, "smpcc-purpose": {purpose}, "smpcc-session": {session}, "smpcc-to": {to}})
		if err := n.accept(nil, &fakeStream{ctx: ctx}); err == nil {
			t.Error("a stream that nobody waits for ended well")
		}
		if len(n.waiting) != 0 {
			t.Errorf("left behind: %v", n.waiting)
		}
	})
}

// TestOnePeerCannotFillTheNode lets a peer open streams for sessions that do not exist; others still get through.
func TestOnePeerCannotFillTheNode(t *testing.T) {
	n := NewNode(nil, "b", nil)
	for i := range maxWaiting {
		if _, err := n.meet(sessionKey([32]byte{}, "session", uint64(i), "a"), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.meet(sessionKey([32]byte{}, "session", maxWaiting, "a"), "a"); err == nil || !strings.Contains(err.Error(), "streams of a wait") {
		t.Errorf("error %v", err)
	}
	if _, err := n.meet(sessionKey([32]byte{}, "session", 1, "c"), "c"); err != nil {
		t.Error(err)
	}
}

// TestExpired calls with a certificate that has ended, and a server whose certificate has: the call ends without a deadline and says so.
func TestExpired(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	pool := x509.NewCertPool()
	conf := func(name string, until time.Time) *tls.Config {
		c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: now.Add(-time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(root)
	for name, ends := range map[string]map[string]time.Time{
		"the caller's": {"a": now.Add(-time.Minute), "b": now.Add(time.Hour)},
		"the server's": {"a": now.Add(time.Hour), "b": now.Add(-time.Minute)},
	} {
		b := NewNode(conf("b", ends["b"]), "b", map[string]Handler{})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- b.Serve(l) }()
		a := NewNode(conf("a", ends["a"]), "a", nil)
		if _, err := a.Call(t.Context(), "b", l.Addr().String(), "Echo", nil); err == nil || !strings.Contains(err.Error(), "cannot be reached") || !strings.Contains(err.Error(), "expired") || !strings.Contains(err.Error(), "; compare the clocks, and look at the end of both certificates") {
			t.Errorf("%s certificate has ended: %v", name, err)
		}
		a.Close()
		b.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}
