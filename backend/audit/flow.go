package audit

import (
	"slices"
	"strings"

	"smpcc/ir"
)

// A Flow is one way on which data reaches a receiver, the shortest.
type Flow struct {
	Owner  string   `json:"owner"`
	Kind   string   `json:"kind"` // input or weight
	Source string   `json:"source"`
	Output string   `json:"output"`
	To     []string `json:"to"`
	Form   string   `json:"form"` // what has been done to the data on every way, by the graph: argmax, rows>=20
	Path   []Step   `json:"path"`
}

// A Step is one value of a flow.
type Step struct {
	Value    int    `json:"value"`
	Op       string `json:"op"`
	Position string `json:"position"`
}

// flows lists, for every reveal, the inputs and weights it derives from, inputs first.
func flows(m *ir.Module) []Flow {
	f := m.Main()
	traces := map[*ir.Value]map[*ir.Value]ir.Done{}
	out := []Flow{}
	for _, r := range f.Reveals() {
		next := map[*ir.Value]*ir.Value{r: nil} // towards r
		queue := []*ir.Value{r}
		var sources []*ir.Value
		for len(queue) > 0 {
			x := queue[0]
			queue = queue[1:]
			if x.Op == ir.OpInput || x.Op == ir.OpWeight {
				sources = append(sources, x)
			}
			for _, a := range x.Args {
				if _, seen := next[a]; !seen {
					next[a] = x
					queue = append(queue, a)
				}
			}
		}
		slices.SortStableFunc(sources, func(a, b *ir.Value) int {
			if a.Op != b.Op {
				return strings.Compare(string(a.Op), string(b.Op))
			}
			return a.ID - b.ID
		})
		for _, s := range sources {
			if traces[s] == nil {
				traces[s] = ir.Trace(f, s)
			}
			w := Flow{Owner: s.Attrs.Str("owner"), Kind: string(s.Op), Source: s.Attrs.Str("name"), Output: r.Attrs.Str("name"), To: r.Attrs.Strings("to"), Form: traces[s][r].String()}
			for x := s; x != nil; x = next[x] {
				w.Path = append(w.Path, Step{x.ID, string(x.Op), x.Pos.String()})
			}
			out = append(out, w)
		}
	}
	return out
}
