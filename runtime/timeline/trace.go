package timeline

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"
)

// A Trace is a timeline as a file in the Trace Event Format, which ui.perfetto.dev and chrome://tracing open: roles are its
// processes, and what works for a role its threads.
type Trace struct {
	Events []Event `json:"traceEvents"`
	Unit   string  `json:"displayTimeUnit"`
	// Start is when its time begins.
	Start time.Time `json:"start"`
}

// An Event is an event of a trace: a span with a duration (X), or the name of a process or thread (M).
type Event struct {
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	Type     string         `json:"ph"`
	Time     float64        `json:"ts"` // microseconds
	Duration float64        `json:"dur"`
	Process  int            `json:"pid"`
	Thread   int            `json:"tid"`
	Args     map[string]any `json:"args,omitempty"`
}

// Trace returns what has been recorded; roles gives the order of processes.
func (r *Recorder) Trace(roles []string) *Trace {
	spans := r.Spans()
	sort.SliceStable(spans, func(i, j int) bool { // what holds others comes first
		a, b := &spans[i], &spans[j]
		if a.From != b.From {
			return a.From < b.From
		}
		return a.To > b.To
	})
	t := &Trace{Unit: "ms", Start: r.zero}
	for i, role := range roles {
		t.name("process_name", i+1, 0, role)
		t.Events = append(t.Events, Event{Name: "process_sort_index", Type: "M", Process: i + 1, Args: map[string]any{"sort_index": i}})
		var threads []string
		for _, s := range spans {
			if s.Role == role && !slices.Contains(threads, s.Thread) {
				threads = append(threads, s.Thread)
			}
		}
		sort.Slice(threads, func(a, b int) bool { // the program, then its helpers
			if (threads[a] == Compute) != (threads[b] == Compute) {
				return threads[a] == Compute
			}
			return threads[a] < threads[b]
		})
		for j, th := range threads {
			t.name("thread_name", i+1, j+1, th)
		}
		for _, s := range spans {
			if s.Role == role {
				t.Events = append(t.Events, s.event(i+1, slices.Index(threads, s.Thread)+1))
			}
		}
	}
	return t
}

func (t *Trace) name(kind string, process, thread int, name string) {
	t.Events = append(t.Events, Event{Name: kind, Type: "M", Process: process, Thread: thread, Args: map[string]any{"name": name}})
}

// event returns the span as an event.
func (s *Span) event(process, thread int) Event {
	const micro = float64(time.Microsecond)
	e := Event{Category: string(s.Kind), Type: "X", Time: float64(s.From) / micro, Duration: float64(s.To-s.From) / micro, Process: process, Thread: thread, Args: map[string]any{"phase": s.Phase}}
	switch s.Kind {
	case Phase:
		e.Name = s.Phase
	case Stage, Part:
		e.Name = s.Name
	case Round:
		e.Name = fmt.Sprintf("round %d", s.Round)
	default:
		e.Name = fmt.Sprintf("%s %d", s.Kind, s.Round)
	}
	if s.Kind != Phase {
		e.Args["round"] = s.Round
	}
	if s.Steps != "" {
		e.Args["steps"] = s.Steps
	}
	if len(s.Nodes) > 0 {
		e.Args["nodes"] = strings.Join(s.Nodes, "; ")
	}
	if s.Elements > 0 {
		e.Args["elements"] = s.Elements
	}
	if s.Sent > 0 {
		e.Args["bytes_sent"] = s.Sent
	}
	if s.Received > 0 {
		e.Args["bytes_received"] = s.Received
	}
	return e
}

// Write writes the trace as JSON.
func (t *Trace) Write(w io.Writer) error { return json.NewEncoder(w).Encode(t) }

// Merge joins traces of single roles, each with a clock of the same time, to one that begins at zero with the first.
func Merge(traces []*Trace) *Trace {
	out := &Trace{Unit: "ms"}
	for _, t := range traces {
		if out.Start.IsZero() || t.Start.Before(out.Start) {
			out.Start = t.Start
		}
	}
	processes, threads := map[string]int{}, map[string]int{} // by name
	for _, t := range traces {
		process, thread := map[int]int{}, map[[2]int]int{} // numbers of this trace -> ours
		shift := float64(t.Start.Sub(out.Start)) / float64(time.Microsecond)
		for _, e := range t.Events {
			name, _ := e.Args["name"].(string)
			known := false
			if e.Type == "M" {
				switch e.Name {
				case "process_name":
					if _, known = processes[name]; !known {
						processes[name] = len(processes) + 1
					}
					process[e.Process] = processes[name]
				case "thread_name":
					k := fmt.Sprint(process[e.Process], " ", name)
					if _, known = threads[k]; !known {
						threads[k] = len(threads) + 1
					}
					thread[[2]int{e.Process, e.Thread}] = threads[k]
				case "process_sort_index":
					e.Args["sort_index"] = process[e.Process] - 1
				}
			} else {
				e.Time += shift
			}
			e.Thread = thread[[2]int{e.Process, e.Thread}]
			e.Process = process[e.Process]
			if !known {
				out.Events = append(out.Events, e)
			}
		}
	}
	return out
}
