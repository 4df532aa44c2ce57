package observe

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A Run names a setup, material job or session of a plan. All roles derive the same trace from it, so that their spans join
// without any of them having to believe another's headers.
type Run struct {
	Digest  [32]byte
	Purpose string
	ID      uint64
	Lead    bool // this role's span is the one under which the others put theirs
}

// ids returns the run's trace and the span under which every role puts its own. The first party's span is that one.
func (r Run) ids() (t trace.TraceID, s trace.SpanID) {
	b := binary.LittleEndian.AppendUint64(append([]byte("smpcc trace 1 "+r.Purpose+" "), r.Digest[:]...), r.ID)
	h := sha256.Sum256(b)
	copy(t[:], h[:])
	copy(s[:], h[len(t):])
	return t, s
}

// A Tracer records what a role does as spans. The nil Tracer records nothing.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// NewTracer returns a tracer that sends spans of a role to an OTLP collector in the background. The collector is a URL, whose path is
// /v1/traces if it has none. Without one there is no tracer.
func NewTracer(ctx context.Context, collector, role string) (*Tracer, error) {
	if collector == "" {
		return nil, nil
	}
	u, err := url.Parse(collector)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	if u.Path == "" || u.Path == "/" { // the exporter would post to the root
		u.Path = "/v1/traces"
	}
	e, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithTimeout(10*time.Second))
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	return newTracer(sdk.WithBatcher(e), role), nil
}

func newTracer(out sdk.TracerProviderOption, role string) *Tracer {
	p := sdk.NewTracerProvider(out, sdk.WithIDGenerator(&ids{}), sdk.WithSampler(sdk.AlwaysSample()),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "smpcc"), attribute.String("service.instance.id", role))))
	return &Tracer{provider: p, tracer: p.Tracer("smpcc/runtime/server")}
}

// Close sends what is left.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return errors.Join(t.provider.ForceFlush(ctx), t.provider.Shutdown(ctx))
}

type runKey struct{}

// ids gives the root span of a run the ids derived from it, and others random ones.
type ids struct {
	mu   sync.Mutex
	last [8]byte
}

// NewIDs implements sdk.IDGenerator.
func (g *ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if r, ok := ctx.Value(runKey{}).(Run); ok {
		return r.ids()
	}
	return Run{Purpose: "other", ID: uint64(time.Now().UnixNano())}.ids()
}

// NewSpanID implements sdk.IDGenerator. Spans need distinct numbers, not secret ones.
func (g *ids) NewSpanID(_ context.Context, t trace.TraceID) (s trace.SpanID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := binary.LittleEndian.AppendUint64(append(t[:], g.last[:]...), uint64(time.Now().UnixNano()))
	h := sha256.Sum256(now)
	copy(g.last[:], h[:])
	return trace.SpanID(g.last)
}

// Start begins the role's span of a run. The function it returns ends the span.
func (t *Tracer) Start(ctx context.Context, r Run, role string) (context.Context, func(error)) {
	if t == nil {
		return ctx, func(error) {}
	}
	ctx = context.WithValue(ctx, runKey{}, r)
	if !r.Lead {
		tid, sid := r.ids()
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: tid, SpanID: sid, TraceFlags: trace.FlagsSampled, Remote: true}))
	}
	return t.span(ctx, r.Purpose, attribute.String("smpcc.role", role), attribute.String("smpcc.plan", fmt.Sprintf("%x", r.Digest[:8])), attribute.Int64("smpcc.id", int64(r.ID)))
}

// Phase begins the span of one phase of a run.
func (t *Tracer) Phase(ctx context.Context, name string) (context.Context, func(rounds int, bytes int64, err error)) {
	if t == nil {
		return ctx, func(int, int64, error) {}
	}
	ctx, end := t.span(ctx, name)
	return ctx, func(rounds int, bytes int64, err error) {
		trace.SpanFromContext(ctx).SetAttributes(attribute.Int("smpcc.rounds", rounds), attribute.Int64("smpcc.bytes_sent", bytes))
		end(err)
	}
}

func (t *Tracer) span(ctx context.Context, name string, attrs ...attribute.KeyValue) (context.Context, func(error)) {
	ctx, s := t.tracer.Start(ctx, name, trace.WithAttributes(attrs...))
	return ctx, func(err error) {
		if err != nil {
			s.SetStatus(codes.Error, err.Error())
		}
		s.End()
	}
}
