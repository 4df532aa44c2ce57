package local_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/local"
	"smpcc/runtime/timeline"
)

// TestTimeline checks what a timeline shows of a run: every role, exactly the rounds and bytes of the plan, spans of a thread that
// hold each other or do not meet, rounds that make up nine tenths of the online phase or more, and a file that can be read back.
func TestTimeline(t *testing.T) {
	c := compiled(t)
	weights, err := c.BindWeights()
	if err != nil {
		t.Fatal(err)
	}
	cost := c.Plan.Cost()
	roles := c.Plan.Roles()
	best := 0.0
	for range 5 { // another process may take the machine in between
		rec := timeline.New(time.Now)
		ctx := timeline.With(t.Context(), rec)
		r, err := local.New(ctx, c.Plan, weights)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Run(ctx, inputs(c.Plan.Manifest.Inputs)); err != nil {
			t.Fatal(err)
		}
		spans := rec.Spans()
		for role, name := range roles {
			rounds := map[int]bool{}
			var sent, messages int64
			var phase, covered time.Duration
			for _, s := range spans {
				if s.Role != name || s.Phase != plan.Online.String() {
					continue
				}
				switch s.Kind {
				case timeline.Phase:
					phase += s.To - s.From
				case timeline.Round:
					covered += s.To - s.From
				case timeline.Exchange:
					rounds[s.Round] = true
					sent += s.Sent
					if len(s.Nodes) == 0 {
						t.Errorf("%s: exchange %d has no node", name, s.Round)
					}
				case timeline.Send:
					messages += s.Sent
				case timeline.Stage:
					if s.Steps == "" || s.Name == "" || len(s.Nodes) == 0 {
						t.Errorf("%s: a stage without description: %+v", name, s)
					}
				}
			}
			if want := cost.Phases[plan.Online].Sent[role]; sent != want || messages != want {
				t.Errorf("%s: exchanges of %d and messages of %d bytes, want %d", name, sent, messages, want)
			}
			if role < c.Plan.NumParties() {
				if len(rounds) != cost.Phases[plan.Online].Rounds {
					t.Errorf("%s: %d rounds, the plan has %d", name, len(rounds), cost.Phases[plan.Online].Rounds)
				}
				best = max(best, float64(covered)/float64(phase))
			}
		}
		nested(t, spans)
		var file bytes.Buffer
		if err := rec.Trace(roles).Write(&file); err != nil {
			t.Fatal(err)
		}
		var back timeline.Trace
		if err := json.Unmarshal(file.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		shown := 0
		for _, e := range back.Events {
			if e.Type == "X" {
				shown++
				if e.Time < 0 || e.Duration < 0 || e.Process < 1 || e.Process > len(roles) || e.Thread < 1 || e.Name == "" {
					t.Errorf("malformed event %+v", e)
				}
			}
		}
		if shown != len(spans) {
			t.Errorf("%d events of %d spans", shown, len(spans))
		}
	}
	if best < 0.9 {
		t.Errorf("rounds make up %.2f of the online phase", best)
	}
}

// nested checks that of two spans on one thread one holds the other, or they do not overlap.
func nested(t *testing.T, spans []timeline.Span) {
	t.Helper()
	byThread := map[string][]timeline.Span{}
	for _, s := range spans {
		k := s.Role + " " + s.Thread
		byThread[k] = append(byThread[k], s)
	}
	for k, list := range byThread {
		slices.SortStableFunc(list, func(a, b timeline.Span) int {
			if a.From != b.From {
				return int(a.From - b.From)
			}
			return int(b.To - a.To)
		})
		var open []timeline.Span
		for _, s := range list {
			for len(open) > 0 && open[len(open)-1].To <= s.From {
				open = open[:len(open)-1]
			}
			if n := len(open); n > 0 && s.To > open[n-1].To {
				t.Errorf("%s: %s %d [%v, %v] leaves %s %d [%v, %v]", k, s.Kind, s.Round, s.From, s.To, open[n-1].Kind, open[n-1].Round, open[n-1].From, open[n-1].To)
			}
			open = append(open, s)
		}
	}
}
