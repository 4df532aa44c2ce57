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

// throughAll returns a function that lists the operations through which every way from one value to another goes, of those that follow each other
// and are alike only one. Ways are counted modulo a prime: a value is on every way if as many go through it as there are.
func throughAll(f *ir.Func) func(from, to int) []string {
	count := func(from int) map[int]uint64 { // ways from a value to each
		n := map[int]uint64{from: 1}
		for _, v := range f.Body {
			for _, a := range v.Args {
				n[v.ID] = addMod(n[v.ID], n[a.ID])
			}
		}
		return n
	}
	up := map[int]map[int]uint64{} // ways from each value to a reveal
	down := map[int]map[int]uint64{}
	return func(from, to int) []string {
		if down[from] == nil {
			down[from] = count(from)
		}
		if up[to] == nil {
			n := map[int]uint64{to: 1}
			for _, v := range slices.Backward(f.Body) {
				for _, a := range v.Args {
					n[a.ID] = addMod(n[a.ID], n[v.ID])
				}
			}
			up[to] = n
		}
		var out []string
		all := down[from][to]
		for _, v := range f.Body {
			if n := mulMod(down[from][v.ID], up[to][v.ID]); n == all && all != 0 {
				if s := string(v.Op); len(out) == 0 || out[len(out)-1] != s {
					out = append(out, s)
				}
			}
		}
		return out
	}
}
