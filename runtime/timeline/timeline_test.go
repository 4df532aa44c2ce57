package timeline_test

import (
	"context"
	"testing"
	"time"

	"smpcc/runtime/timeline"
)

// clock ticks a millisecond whenever it is read.
func clock(start time.Time) func() time.Time {
	return func() time.Time {
		start = start.Add(time.Millisecond)
		return start
	}
}

// TestNobodyAsked checks that without a recorder nothing is recorded and nothing fails.
func TestNobodyAsked(t *testing.T) {
	for _, ctx := range []context.Context{context.Background(), timeline.With(context.Background(), nil)} {
		track := timeline.From(ctx).Role("a")
		if track != nil {
			t.Error("there is a track without a recorder")
		}
		if n := testing.AllocsPerRun(10, func() { track.Add(track.Now(), "x", timeline.Send, timeline.Info{}) }); n != 0 {
			t.Errorf("recording nothing takes %g allocations", n)
		}
	}
}

// TestMerge joins the traces of three files of two roles, one of which began two seconds later.
func TestMerge(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	trace := func(role string, late time.Duration, threads ...string) *timeline.Trace {
		r := timeline.New(clock(start.Add(late)))
		for _, th := range threads {
			track := r.Role(role)
			track.Add(track.Now(), th, timeline.Send, timeline.Info{Phase: "online", Round: 3, Sent: 7})
		}
		return r.Trace([]string{role})
	}
	m := timeline.Merge([]*timeline.Trace{trace("a", 0, timeline.Compute, "send b"), trace("b", 2*time.Second, timeline.Compute), trace("a", 3*time.Second, "send b")})
	names := map[string]int{}
	at := map[float64][3]any{}
	for _, e := range m.Events {
		switch e.Type {
		case "M":
			if n, ok := e.Args["name"].(string); ok {
				names[n]++
			}
		case "X":
			at[e.Time] = [3]any{e.Process, e.Thread, e.Duration}
		}
	}
	if names["a"] != 1 || names["b"] != 1 || names["send b"] != 1 || names[timeline.Compute] != 2 {
		t.Errorf("names %v", names)
	}
	const ms = 1000.0
	want := map[float64][3]any{1 * ms: {1, 1, ms}, 3 * ms: {1, 2, ms}, 2001 * ms: {2, 3, ms}, 3001 * ms: {1, 2, ms}}
	if len(at) != len(want) {
		t.Errorf("events %v, want %v", at, want)
	}
	for k, w := range want {
		if at[k] != w {
			t.Errorf("at %g us: %v, want %v", k, at[k], w)
		}
	}
	if !m.Start.Equal(start.Add(time.Millisecond)) {
		t.Errorf("it begins at %v", m.Start)
	}
}
