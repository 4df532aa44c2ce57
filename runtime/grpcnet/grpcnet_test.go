package grpcnet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/mem"

	"smpcc/backend/plan"
	"smpcc/runtime/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// received returns a frame as gRPC hands it over: in pieces.
func received(data []byte) *frame {
	var s mem.BufferSlice
	for len(data) > 0 {
		n := min(len(data), 10+len(data)/8)
		s = append(s, mem.SliceBuffer(data[:n]))
		data = data[n:]
	}
	return &frame{in: s}
}

// script is a link whose peer sends the given frames and then ends the stream.
func script(frames ...[]byte) *link {
	return &link{name: "b", recv: func(m any) error {
		if len(frames) == 0 {
			return io.EOF
		}
		m.(*frame).in = received(frames[0]).in
		frames = frames[1:]
		return nil
	}}
}

// data returns a frame of a message.
func data(ph plan.Phase, round, size, at int, part []byte) []byte {
	return append(header(kindData, ph, round, size, at), part...)
}

func TestRead(t *testing.T) {
	msg := []byte("0123456789")
	long := append(bytes.Repeat([]byte("abcd"), chunkSize/4), msg...)
	head, tail := data(plan.Online, 7, len(long), 0, long[:chunkSize]), data(plan.Online, 7, len(long), chunkSize, msg)
	big := data(plan.Online, 7, 10, 0, msg)
	binary.LittleEndian.PutUint64(big[8:], 1<<31)
	negative := data(plan.Online, 7, 10, 0, msg)
	binary.LittleEndian.PutUint64(negative[16:], 1<<63)
	wrapped := data(plan.Online, 7, 10, 0, msg)
	binary.LittleEndian.PutUint32(wrapped[4:], 1<<31+7)
	for _, c := range []struct {
		name, want string
		msg        []byte
		frames     [][]byte
	}{
		{"whole", "", msg, [][]byte{data(plan.Online, 7, 10, 0, msg)}},
		{"chunks", "", long, [][]byte{head, tail}},
		{"chunks in another order", "", long, [][]byte{tail, head}},
		{"end", "ended the session", msg, nil},
		{"end in the middle", "ended the session", long, [][]byte{head}},
		{"no header", "sent a frame of 0 bytes", msg, [][]byte{nil}},
		{"short header", "sent a frame of 23 bytes", msg, [][]byte{make([]byte, 23)}},
		{"long frame", "sent a frame of 262169 bytes", msg, [][]byte{make([]byte, maxFrame+1)}},
		{"empty part", "sent part 0..0 of a message of 10 bytes for phase 2 round 7, want a chunk of 10 bytes for online round 7", msg, [][]byte{data(plan.Online, 7, 10, 0, nil)}},
		{"another round", "for phase 2 round 8, want a chunk of 10 bytes for online round 7", msg, [][]byte{data(plan.Online, 8, 10, 0, msg)}},
		{"another phase", "for phase 1 round 7, want a chunk of 10 bytes for online round 7", msg, [][]byte{data(plan.Offline, 7, 10, 0, msg)}},
		{"another size", "of a message of 11 bytes", msg, [][]byte{data(plan.Online, 7, 11, 0, msg)}},
		{"a size of 2^31", "of a message of 2147483648 bytes", msg, [][]byte{big}},
		{"a place of 2^63", "sent part 9223372036854775808..", msg, [][]byte{negative}},
		{"a round of 2^31+7", "round 2147483655", msg, [][]byte{wrapped}},
		{"too much", "sent part 0..11", msg, [][]byte{data(plan.Online, 7, 10, 0, append(msg, 'x'))}},
		{"half a chunk", "sent part 0..5", msg, [][]byte{data(plan.Online, 7, 10, 0, msg[:5])}},
		{"behind the end", "sent part 262144..262154", msg, [][]byte{data(plan.Online, 7, 10, chunkSize, msg)}},
		{"beside the grid", "sent part 10..20", long, [][]byte{data(plan.Online, 7, len(long), 10, msg)}},
		{"twice", "sent part 262144..262154 of a message for online round 7 twice", long, [][]byte{tail, tail}},
		{"unknown kind", "sent part 0..10", msg, [][]byte{append([]byte{9}, data(plan.Online, 7, 10, 0, msg)[1:]...)}},
		{"abort", "ended the session: p0: online round 3: disk full", msg, [][]byte{append(header(kindAbort, 0, 0, 0, 0), "p0: online round 3: disk full"...)}},
		{"abort with garbage", "ended the session: no reason given", msg, [][]byte{append(header(kindAbort, 0, 0, 0, 0), 0xff, 0xfe)}},
		{"long abort", "ended the session: " + strings.Repeat("x", maxReason), msg, [][]byte{append(header(kindAbort, 0, 0, 0, 0), strings.Repeat("x", 5000)...)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, woken := make([]byte, len(c.msg)), 0
			err := script(c.frames...).read(plan.Online, 7, got, make([]atomic.Bool, chunks(len(got))), func() { woken++ })
			switch {
			case c.want == "" && (err != nil || !bytes.Equal(got, c.msg) || woken != len(c.frames)):
				t.Errorf("got %.20q and %v, woken %d times", got, err, woken)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 2*maxReason):
				t.Errorf("got %.200v, want %.200q", err, c.want)
			}
		})
	}
}

// FuzzFrame feeds frames to a reader that has some chunks of a message: each is another chunk of it, or refused.
func FuzzFrame(f *testing.F) {
	const size = chunkSize + 10
	msg := []byte("0123456789")
	f.Add(data(plan.Online, 7, size, chunkSize, msg), uint8(0))
	f.Add(data(plan.Online, 7, size, chunkSize, msg), uint8(1))
	f.Add(data(plan.Online, 7, size, chunkSize, msg), uint8(2))
	f.Add(data(plan.Online, 7, size, 0, msg), uint8(0))
	f.Add(append(header(kindAbort, 0, 0, 0, 0), "why"...), uint8(0))
	f.Add([]byte{}, uint8(3))
	buf := make([]byte, size)
	f.Fuzz(func(t *testing.T, raw []byte, here uint8) {
		had := make([]atomic.Bool, 2)
		had[0].Store(here&1 != 0)
		had[1].Store(here&2 != 0)
		fr := received(raw)
		c, err := (&link{}).part(fr, plan.Online, 7, buf, had)
		fr.free()
		if err != nil {
			if c != 0 || len(err.Error()) > 2*maxReason {
				t.Errorf("%d and %.100v", c, err)
			}
			return
		}
		at := c * chunkSize
		want := data(plan.Online, 7, size, at, raw[headerSize:])
		if had[c].Load() || !bytes.Equal(raw[4:headerSize], want[4:headerSize]) || len(raw)-headerSize != min(chunkSize, size-at) || !bytes.Equal(buf[at:at+len(raw)-headerSize], raw[headerSize:]) {
			t.Errorf("accepted %.100x", raw)
		}
	})
}

func TestCodec(t *testing.T) {
	b, err := codec{}.Marshal(&frame{out: []byte("abc")})
	if err != nil || string(b.Materialize()) != "abc" {
		t.Errorf("got %q and %v", b.Materialize(), err)
	}
	var f frame
	if err := (codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer("ab"), mem.SliceBuffer("c")}, &f); err != nil || string(f.bytes()) != "abc" {
		t.Errorf("got %v", err)
	}
	if _, err := (codec{}).Marshal("abc"); err == nil {
		t.Error("marshals a string")
	}
	if err := (codec{}).Unmarshal(nil, new(string)); err == nil {
		t.Error("unmarshals into a string")
	}
}

// nodes starts servers for roles on loopback.
func nodes(t testing.TB, handlers map[string]Handler, roles ...string) (map[string]*Node, map[string]string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keys.Dev(dir, roles); err != nil {
		t.Fatal(err)
	}
	out, addrs := map[string]*Node{}, map[string]string{}
	var wg sync.WaitGroup
	for _, r := range roles {
		conf, name, err := keys.Load(keys.DevFiles(dir, r))
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		n := NewNode(conf, name, handlers)
		wg.Go(func() {
			if err := n.Serve(l); err != nil {
				t.Errorf("%s: %v", r, err)
			}
		})
		out[r], addrs[r] = n, l.Addr().String()
	}
	t.Cleanup(func() {
		for _, n := range out {
			n.Close()
		}
		wg.Wait()
	})
	return out, addrs
}

// sessions connects all roles.
func sessions(t testing.TB, all map[string]*Node, addrs map[string]string, timeout time.Duration, roles ...string) []*Transport {
	t.Helper()
	out := make([]*Transport, len(roles))
	var wg sync.WaitGroup
	for i, r := range roles {
		wg.Go(func() {
			var err error
			if out[i], err = all[r].Session(t.Context(), SessionConfig{Roles: roles, Role: i, Addrs: addrs, Purpose: "session", Session: 1, Timeout: timeout}); err != nil {
				t.Errorf("%s: %v", r, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return out
}

// TestTransport exchanges messages of several sizes, larger than a chunk and than flow control allows at once.
func TestTransport(t *testing.T) {
	roles := []string{"a", "b", "d"}
	all, addrs := nodes(t, map[string]Handler{}, roles...)
	ts := sessions(t, all, addrs, 20*time.Second, roles...)
	var wg sync.WaitGroup
	for i, tr := range ts {
		wg.Go(func() {
			defer tr.Close()
			for round, size := range []int{1, chunkSize - 1, chunkSize, chunkSize + 1, window + 3*chunkSize, 7} {
				out, want := make([][]byte, 3), make([]int, 3)
				for j := range roles {
					if j != i {
						out[j], want[j] = bytes.Repeat([]byte{byte(10*i + round)}, size+j), size+i
					}
				}
				in, err := tr.Exchange(t.Context(), plan.Online, round, out, want)
				if err != nil {
					t.Errorf("%s: %v", roles[i], err)
					return
				}
				for j := range roles {
					if j != i && !bytes.Equal(in[j], bytes.Repeat([]byte{byte(10*j + round)}, size+i)) {
						t.Errorf("%s, round %d: another message of %s", roles[i], round, roles[j])
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestTransportFails(t *testing.T) {
	roles := []string{"a", "b"}
	exchange := func(tr *Transport, round int, to int) error {
		out, want := make([][]byte, 2), make([]int, 2)
		out[to], want[to] = []byte("1234"), 4
		_, err := tr.Exchange(t.Context(), plan.Online, round, out, want)
		return err
	}
	for _, c := range []struct {
		name, want string
		peer       func(b *Transport)
	}{
		{"silent peer", "no answer from b within 1s", func(*Transport) {}},
		{"peer leaves", "b: ", func(b *Transport) { b.cut() }},
		{"peer aborts", "b: ended the session: b: online round 0: no disk", func(b *Transport) { b.Abort("b: online round 0: no disk") }},
		{"peer in another round", "b: sent part 0..4 of a message of 4 bytes for phase 2 round 5, want a chunk of 4 bytes for online round 0", func(b *Transport) {
			_ = exchange(b, 5, 0) // fails as well
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, addrs := nodes(t, map[string]Handler{}, roles...)
			ts := sessions(t, all, addrs, time.Second, roles...)
			var wg sync.WaitGroup
			wg.Go(func() { c.peer(ts[1]) })
			err := exchange(ts[0], 0, 1)
			defer ts[1].cut()
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, c.want)
			}
			ts[0].cut()
			wg.Wait()
		})
	}
}

// TestExchangeAfterEnd starts exchanges under a context that ends as they start: each fails with it, and none is left half made.
func TestExchangeAfterEnd(t *testing.T) {
	roles := []string{"a", "b"}
	all, addrs := nodes(t, map[string]Handler{}, roles...)
	ts := sessions(t, all, addrs, 5*time.Second, roles...)
	defer ts[1].cut()
	for round := range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		if round%2 == 0 {
			cancel()
		} else {
			go cancel()
		}
		if _, err := ts[0].Exchange(ctx, plan.Online, round, [][]byte{nil, nil}, []int{0, 4}); !errors.Is(err, context.Canceled) {
			t.Fatalf("round %d: %v, want that the context ended", round, err)
		}
	}
	ts[0].cut()
}

func TestSessionFails(t *testing.T) {
	roles := []string{"a", "b"}
	all, addrs := nodes(t, map[string]Handler{}, roles...)
	cfg := SessionConfig{Roles: roles, Addrs: addrs, Purpose: "session", Session: 1, Timeout: 200 * time.Millisecond}
	_, err := all["a"].Session(t.Context(), cfg)
	var pe *PeerError
	if !errors.As(err, &pe) || err.Error() != "b: did not connect within 200ms" {
		t.Errorf("got %v", err)
	}
	cfg.Role, cfg.Addrs = 1, map[string]string{"a": "127.0.0.1:1"}
	if _, err = all["b"].Session(t.Context(), cfg); !errors.As(err, &pe) || pe.Peer != "a" || !strings.Contains(err.Error(), "cannot be reached at 127.0.0.1:1") {
		t.Errorf("got %v", err)
	}
	// Two sessions that disagree about what they are do not meet.
	var wg sync.WaitGroup
	for i, r := range roles {
		wg.Go(func() {
			c := SessionConfig{Roles: roles, Role: i, Addrs: addrs, Purpose: "session", Session: uint64(i), Timeout: 500 * time.Millisecond}
			tr, err := all[r].Session(t.Context(), c)
			if err == nil { // the dialling side notices when it waits for an answer
				_, err = tr.Exchange(t.Context(), plan.Setup, 0, make([][]byte, 2), []int{4, 0})
				tr.cut()
			}
			if err == nil {
				t.Errorf("%s has a session", r)
			}
		})
	}
	wg.Wait()
}

func TestCall(t *testing.T) {
	all, addrs := nodes(t, map[string]Handler{
		"Echo": func(_ context.Context, peer string, req []byte) ([]byte, error) {
			return append([]byte(peer+" says "), req...), nil
		},
		"Fail": func(context.Context, string, []byte) ([]byte, error) { return nil, fmt.Errorf("no such session") },
	}, "a", "b")
	got, err := all["a"].Call(t.Context(), "b", addrs["b"], "Echo", []byte("hello"))
	if err != nil || string(got) != "a says hello" {
		t.Errorf("got %q and %v", got, err)
	}
	_, err = all["a"].Call(t.Context(), "b", addrs["b"], "Fail", nil)
	var re *RemoteError
	if !errors.As(err, &re) || err.Error() != "b: no such session" {
		t.Errorf("got %v", err)
	}
	if _, err = all["a"].Call(t.Context(), "b", addrs["b"], "Unknown", nil); err == nil || !strings.Contains(err.Error(), "b at 127.0.0.1") {
		t.Errorf("unknown method: got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err = all["a"].Call(ctx, "a", addrs["b"], "Echo", nil); err == nil || !strings.Contains(err.Error(), "cannot be reached") { // b does not pass for a
		t.Errorf("got %v", err)
	}
}

// TestBothDirectionsFail ends a stream while its dialler sends and receives on it: one goroutine of an exchange may receive.
func TestBothDirectionsFail(t *testing.T) {
	roles := []string{"a", "b"}
	all, addrs := nodes(t, map[string]Handler{}, roles...)
	for i := range 20 {
		ts := make([]*Transport, 2)
		var wg sync.WaitGroup
		for r := range roles {
			wg.Go(func() {
				var err error
				if ts[r], err = all[roles[r]].Session(t.Context(), SessionConfig{Roles: roles, Role: r, Addrs: addrs, Purpose: "session", Session: uint64(i), Timeout: 5 * time.Second}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		wg.Go(func() { time.Sleep(time.Duration(i) * time.Millisecond / 4); ts[0].cut() })
		_, err := ts[1].Exchange(t.Context(), plan.Online, 0, [][]byte{make([]byte, 2*window), nil}, []int{2 * window, 0})
		if err == nil || !strings.HasPrefix(err.Error(), "a: ") {
			t.Errorf("got %v, want an error of a", err)
		}
		ts[1].cut()
		wg.Wait()
	}
}

// TestAbortWhileSending aborts a session in which one peer has failed and another does not read.
func TestAbortWhileSending(t *testing.T) {
	roles := []string{"a", "b", "d"}
	all, addrs := nodes(t, map[string]Handler{}, roles...)
	ts := sessions(t, all, addrs, 5*time.Second, roles...)
	ts[1].cut()
	_, err := ts[2].Exchange(t.Context(), plan.Online, 0, [][]byte{make([]byte, 4*window), nil, nil}, []int{0, 4, 0})
	if err == nil || !strings.HasPrefix(err.Error(), "b: ") {
		t.Errorf("got %v, want an error of b", err)
	}
	ts[2].Abort(err.Error())
	ts[0].cut()
}
