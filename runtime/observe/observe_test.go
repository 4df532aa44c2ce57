package observe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// TestRolesJoinOneTrace lets two roles trace the same session apart from each other: one trace, one root.
func TestRolesJoinOneTrace(t *testing.T) {
	run := Run{Purpose: "session", ID: 7}
	var all tracetest.SpanStubs
	for _, role := range []string{"p0", "p1", "d"} {
		e := tracetest.NewInMemoryExporter()
		tr := newTracer(sdk.WithSyncer(e), role)
		run.Lead = role == "p0"
		ctx, end := tr.Start(context.Background(), run, role)
		_, phase := tr.Phase(ctx, "online")
		phase(3, 100, nil)
		end(errors.New("p1: connection lost"))
		all = append(all, e.GetSpans()...)
		if err := tr.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	roots, ids := 0, map[trace.SpanID]bool{}
	for _, s := range all {
		if s.SpanContext.TraceID() != all[0].SpanContext.TraceID() {
			t.Errorf("%s is in another trace", s.Name)
		}
		if !s.Parent.IsValid() {
			roots++
		}
		if ids[s.SpanContext.SpanID()] {
			t.Error("two spans have one id")
		}
		ids[s.SpanContext.SpanID()] = true
	}
	for _, s := range all {
		if s.Parent.IsValid() && !ids[s.Parent.SpanID()] {
			t.Errorf("%s has a parent that nobody recorded", s.Name)
		}
	}
	if roots != 1 || len(all) != 6 {
		t.Errorf("%d roots and %d spans, want 1 and 6", roots, len(all))
	}
	var none *Tracer
	ctx, end := none.Start(context.Background(), run, "p0")
	_, phase := none.Phase(ctx, "online")
	phase(0, 0, nil)
	end(nil)
}

// TestTracesAreSent gives a collector of this machine one run.
func TestTracesAreSent(t *testing.T) {
	got := make(chan string, 4)
	c := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- r.URL.Path + string(b)
	}))
	defer c.Close()
	tr, err := NewTracer(context.Background(), c.URL, "p0")
	if err != nil {
		t.Fatal(err)
	}
	_, end := tr.Start(context.Background(), Run{Purpose: "session", ID: 1}, "p0")
	end(nil)
	if err := tr.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if text := <-got; !strings.HasPrefix(text, "/v1/traces") || !strings.Contains(text, "smpcc.role") {
		t.Errorf("the collector got %.60q", text)
	}
}

func TestMetricsAreServed(t *testing.T) {
	m := NewMetrics("p0", "abcd", "test")
	m.Gauge("smpcc_sessions_running", "Sessions that run now.", func() float64 { return 2 })
	m.Ended("session", nil)
	m.Ended("session", errors.New("no"))
	m.Refused("full")
	m.Queued(time.Second)
	m.Exchange("online", time.Millisecond, 10)
	m.Phase("online", 3*time.Millisecond, time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	addr, done := make(chan string, 1), make(chan error, 1)
	var not error
	go func() {
		done <- m.Serve(ctx, "127.0.0.1:0", func() error { return not }, func(a net.Addr) { addr <- a.String() })
	}()
	base := "http://" + <-addr
	get := func(path string) (int, string) {
		r, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b)
	}
	_, text := get("/metrics")
	for _, want := range []string{`smpcc_sessions_total{purpose="session",result="failed"} 1`, `smpcc_bytes_sent_total{phase="online"} 10`, `smpcc_step_seconds_total{phase="online"} 0.002`, "smpcc_sessions_running 2", `smpcc_info{plan="abcd",role="p0",version="test"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if code, _ := get("/readyz"); code != 200 {
		t.Errorf("ready: %d", code)
	}
	if code, _ := get("/healthz"); code != 200 {
		t.Errorf("health: %d", code)
	}
	not = errors.New("stopping")
	if code, body := get("/readyz"); code != 503 || !strings.Contains(body, "stopping") {
		t.Errorf("not ready: %d %s", code, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}
