package draw

import (
	"math"
	"slices"
	"sort"

	"smpcc/ir"
)

// Bounds of the layout.
const (
	layerGap   = 42.0
	boxGap     = 22.0
	bendWidth  = 10.0 // room for an edge that passes a layer
	maxBends   = 20000
	layoutRuns = 12
)

// A drawing is a graph laid out in layers, arguments above what is computed from them.
type drawing struct {
	Width, Height float64
	Places        []place
	Lines         []line
}

// A place is where a value stands.
type place struct {
	V    *ir.Value
	X, Y float64 // left upper corner
}

// A line goes from one value to another through points.
type line struct {
	From, To int // value ids
	Points   [][2]float64
}

// A cell is a box or a bend of a long edge in its layer.
type cell struct {
	v        *ir.Value // nil for a bend
	x, width float64   // x is the middle
	up, down []*cell
}

// layout draws f in layers (after Sugiyama): the longest path gives a value's layer, leaves stand right above their first
// use, long edges get a bend in every layer they pass, and sweeps down and up order each layer by the middle of its
// neighbours, which also pulls chains straight.
func layout(f *ir.Func) *drawing {
	layer := map[*ir.Value]int{}
	for _, v := range f.Body {
		for _, a := range v.Args {
			layer[v] = max(layer[v], layer[a]+1)
		}
	}
	first := map[*ir.Value]int{}
	for _, v := range f.Body {
		for _, a := range v.Args {
			if l, ok := first[a]; !ok || layer[v] < l {
				first[a] = layer[v]
			}
		}
	}
	deepest := 0
	for _, v := range f.Body {
		if l, used := first[v]; used && len(v.Args) == 0 {
			layer[v] = l - 1
		}
		deepest = max(deepest, layer[v])
	}
	for _, v := range f.Body { // views of weights stand beside their use, too
		if l, used := first[v]; used && len(v.Args) == 1 && len(v.Args[0].Args) == 0 && l-1 > layer[v] {
			layer[v] = l - 1
			if first[v.Args[0]] == layer[v.Args[0]]+1 {
				layer[v.Args[0]] = max(layer[v.Args[0]], layer[v]-1)
			}
		}
	}
	bends := 0
	layers := make([][]*cell, deepest+1)
	cells := map[*ir.Value]*cell{}
	put := func(l int, c *cell) *cell {
		layers[l] = append(layers[l], c)
		return c
	}
	join := func(a, b *cell) { a.down, b.up = append(a.down, b), append(b.up, a) }
	for _, v := range f.Body {
		cells[v] = put(layer[v], &cell{v: v, width: BoxWidth})
	}
	type path struct {
		from, to *ir.Value
		through  []*cell
	}
	var paths []path
	for _, v := range f.Body {
		seen := map[*ir.Value]bool{}
		for _, a := range v.Args {
			if seen[a] {
				continue
			}
			seen[a] = true
			p := path{from: a, to: v}
			at := cells[a]
			for l := layer[a] + 1; l < layer[v] && bends < maxBends; l++ {
				bends++
				b := put(l, &cell{width: bendWidth})
				join(at, b)
				p.through = append(p.through, b)
				at = b
			}
			join(at, cells[v])
			paths = append(paths, p)
		}
	}
	for _, l := range layers {
		x := 0.0
		for _, c := range l {
			c.x = x + c.width/2
			x += c.width + boxGap
		}
	}
	for run := range layoutRuns {
		down := run%2 == 0
		for i := range layers {
			k := i
			if !down {
				k = len(layers) - 1 - i
			}
			settle(layers[k], down)
		}
	}
	left, right := math.Inf(1), math.Inf(-1)
	for _, l := range layers {
		for _, c := range l {
			left, right = min(left, c.x-c.width/2), max(right, c.x+c.width/2)
		}
	}
	d := &drawing{Width: right - left, Height: float64(deepest+1)*(BoxHeight+layerGap) - layerGap}
	if len(f.Body) == 0 {
		return &drawing{}
	}
	top := func(l int) float64 { return float64(l) * (BoxHeight + layerGap) }
	for _, v := range f.Body {
		d.Places = append(d.Places, place{v, math.Round(cells[v].x - left - BoxWidth/2), top(layer[v])})
	}
	for _, p := range paths {
		e := line{From: p.from.ID, To: p.to.ID}
		point := func(x, y float64) { e.Points = append(e.Points, [2]float64{math.Round(x - left), y}) }
		point(cells[p.from].x, top(layer[p.from])+BoxHeight)
		for i, b := range p.through {
			l := layer[p.from] + 1 + i
			point(b.x, top(l))
			point(b.x, top(l)+BoxHeight)
		}
		point(cells[p.to].x, top(layer[p.to]))
		d.Lines = append(d.Lines, e)
	}
	return d
}

// settle orders a layer by the middle of each cell's neighbours on one side, and places the cells as near to it as their
// widths allow: overlaps are solved by shifting whole blocks to the mean of what their cells want.
func settle(l []*cell, down bool) {
	want := map[*cell]float64{}
	for _, c := range l {
		near := c.up
		if !down || len(near) == 0 {
			near = c.down
		}
		if down && len(c.up) == 0 || !down && len(c.down) == 0 {
			near = append(slices.Clone(c.up), c.down...)
		}
		want[c] = c.x
		if len(near) > 0 {
			xs := make([]float64, len(near))
			for i, n := range near {
				xs[i] = n.x
			}
			sort.Float64s(xs)
			m := len(xs) / 2
			want[c] = xs[m]
			if len(xs)%2 == 0 {
				want[c] = (xs[m-1] + xs[m]) / 2
			}
		}
	}
	slices.SortStableFunc(l, func(a, b *cell) int {
		switch {
		case want[a] < want[b]:
			return -1
		case want[a] > want[b]:
			return 1
		}
		return 0
	})
	type block struct {
		cells []*cell
		sum   float64 // of wanted left ends less offsets
		width float64
	}
	var blocks []block
	for _, c := range l {
		b := block{[]*cell{c}, want[c] - c.width/2, c.width + boxGap}
		for len(blocks) > 0 {
			p := blocks[len(blocks)-1]
			if p.sum/float64(len(p.cells))+p.width <= b.sum/float64(len(b.cells)) {
				break
			}
			b = block{append(slices.Clone(p.cells), b.cells...), p.sum + b.sum - p.width*float64(len(b.cells)), p.width + b.width}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	for _, b := range blocks {
		x := b.sum / float64(len(b.cells))
		for _, c := range b.cells {
			c.x = x + c.width/2
			x += c.width + boxGap
		}
	}
}
