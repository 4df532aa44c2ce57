package draw

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// TestFold draws graphs whose values stand in random scopes, and checks that no group is empty or holds an input or a reveal, that every group's parent is a
// group that holds all of it, and that whatever is folded there is no way from a box to itself.
func TestFold(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		f := ir.NewFunc("main")
		emit := func(pos diag.Pos, op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
			v, err := f.Emit(pos, op, attrs, args...)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		names := r.IntN(4) // of scopes; none: runs alone
		var last *ir.Value
		for i := range 30 + r.IntN(120) {
			pos := diag.Pos{File: "m"}
			if names > 0 && r.IntN(5) > 0 {
				pos.Node = fmt.Sprintf(`node "/l%d/b%d/n%d" (Add)`, i/30+r.IntN(2), r.IntN(names), r.IntN(3))
			}
			switch {
			case i < 2 || r.IntN(12) == 0:
				last = emit(pos, ir.OpInput, ir.Attrs{ir.S("name", fmt.Sprint("x", i)), ir.S("owner", "a"), ir.S("elem", "int"), ir.Is("shape", 2)})
			case r.IntN(6) == 0:
				last = emit(pos, ir.OpWeight, ir.Attrs{ir.S("name", fmt.Sprint("w", i)), ir.S("owner", "b"), ir.S("elem", "int"), ir.Is("shape", 2)})
			default:
				last = emit(pos, ir.OpAdd, nil, f.Body[max(0, i-1-r.IntN(min(i, 12)))], f.Body[r.IntN(i)])
			}
		}
		emit(diag.Pos{}, ir.OpReveal, ir.Attrs{ir.S("name", "y"), ir.Ss("to", "a")}, last)
		nodes := make([]Node, len(f.Body))
		for _, v := range f.Body {
			nodes[v.ID] = Node{ID: v.ID, Op: string(v.Op), Called: v.String(), In: -1, Held: -1}
		}
		seen := map[int]int{} // boxes of each group
		groups := Fold(f, nodes)
		for _, n := range nodes {
			if n.Held < 0 {
				seen[n.In]++
			} else if u := nodes[n.Held]; !slices.Contains(u.Holds, n.ID) {
				t.Errorf("seed %d: %s does not say that it holds %s", seed, u.Called, n.Called)
			}
		}
		for g, x := range groups {
			seen[x.Parent]++
			for up := g; up >= 0; up = groups[up].Parent {
				if groups[up].Parent == g {
					t.Fatalf("seed %d: group %q is inside itself", seed, x.Title)
				}
			}
		}
		for g, x := range groups {
			if seen[g] < 2 {
				t.Errorf("seed %d: group %q shows %d boxes", seed, x.Title, seen[g])
			}
		}
		d := fold(f)
		holds := make([]int, len(d.groups))
		inside := func(v *ir.Value) (chain []int) { // outermost first
			for g := d.in[v]; g >= 0; g = d.groups[g].Parent {
				chain = append([]int{g}, chain...)
				if len(chain) > len(d.groups) {
					t.Fatalf("seed %d: groups stand in a circle", seed)
				}
			}
			return chain
		}
		for _, v := range f.Body {
			chain := inside(v)
			if (v.Op == ir.OpInput || v.Op == ir.OpReveal) && len(chain) > 0 {
				t.Errorf("seed %d: %s %v is in a group", seed, v.Op, v)
			}
			for _, g := range chain {
				holds[g]++
			}
		}
		for g, n := range holds {
			if n < 2 {
				t.Errorf("seed %d: group %q holds %d values", seed, d.groups[g].Title, n)
			}
		}
		for range 8 { // unfold some, at random
			open := map[int]bool{}
			for g := range d.groups {
				open[g] = r.IntN(2) == 0
			}
			// Inside a parent that is unfolded, children are boxes: edges between boxes of one parent must not go in a circle.
			next := map[string]map[string]bool{}
			for _, v := range f.Body {
				for _, a := range v.Args {
					from, to := inside(a), inside(v)
					k := 0
					for k < len(from) && k < len(to) && from[k] == to[k] && open[from[k]] {
						k++
					}
					name := func(chain []int, v *ir.Value) string {
						if k < len(chain) {
							return fmt.Sprint("g", chain[k])
						}
						return v.String()
					}
					if x, y := name(from, a), name(to, v); x != y {
						if next[x] == nil {
							next[x] = map[string]bool{}
						}
						next[x][y] = true
					}
				}
			}
			state := map[string]int{}
			var visit func(x string)
			visit = func(x string) {
				state[x] = 1
				for y := range next[x] {
					if state[y] == 1 {
						t.Fatalf("seed %d: a way from %s leads to it again", seed, y)
					}
					if state[y] == 0 {
						visit(y)
					}
				}
				state[x] = 2
			}
			for x := range next {
				if state[x] == 0 {
					visit(x)
				}
			}
		}
		top := map[string]bool{}
		for _, v := range f.Body {
			if chain := inside(v); len(chain) > 0 {
				top[fmt.Sprint("g", chain[0])] = true
			} else if v.Op != ir.OpInput && v.Op != ir.OpReveal && v.Op != ir.OpWeight {
				top[v.String()] = true
			}
		}
		if len(top) > mostItems {
			t.Errorf("seed %d: %d boxes are seen at first", seed, len(top))
		}
	}
}
