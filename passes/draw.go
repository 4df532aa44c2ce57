package passes

import (
	"math"
	"math/rand/v2" // what is drawn here is public test input, the same on every machine

	"smpcc/ir"
)

// The ways in which inputs are drawn, one after the other in the runs. No single way finds what others find: magnitudes of all binades make
// sums that one element decides, so that a function behind it is at its end; a single element shows how its own weight is rounded.
const (
	drawMagnitudes = iota // log-uniform, each element
	drawUniform
	drawEnds    // each element at one end of its range, by chance
	drawNear    // all inputs at the same place of their ranges but for differences of any magnitude: what is left of a difference decides then
	drawHigh    // all at the upper end
	drawEdges   // each element at a distance of any magnitude from one of the ends of its range: a function may end there
	drawSingle  // one of each line anywhere, the others as small as can be
	drawScaled  // uniform, all times the same power of two
	drawLow     // all at the lower end
	drawUnequal // one input uniform, the others times powers of two: what one has too few digits of, the other enlarges
	drawLines   // each line times a power of two of its own: what normalises lines makes small ones large, with the digits that they have
	drawColumns // each column likewise: the columns of a table differ, and one multiplies or divides another
	drawPairs   // each column at a place that all lines of all inputs share, but for differences of one magnitude in a line: lines that are near one another
	drawWays
)

// How far magnitudes that are drawn go down.
const (
	drawnOver = 20 // drawn magnitudes go down to 2^-drawnOver of the largest
	drawnEdge = 40 // distances from an end to 2^-drawnEdge of the range: a root has half as many digits at its end
	unequal   = 24 // magnitudes of all inputs but one to 2^-unequal of their ranges, and so those of lines and columns
	scaledBy  = 9  // and all together to 2^-scaledBy: normalisation makes anything large again
)

// generic reports whether inputs drawn in the given way are like those that people have: equal elements of a line come about by chance alone.
func generic(way int) bool {
	return way == drawMagnitudes || way == drawUniform || way == drawEnds || way == drawUnequal
}

// inputRange returns the range of input v, whose range in the module with formats is that of at.
func inputRange(v, at *ir.Value) (lo, hi float64) {
	if v.Type.Elem == ir.Bool {
		return 0, 1
	}
	if r, _, ok := ir.Declared(v); ok {
		return r.Lo, r.Hi
	}
	if at != nil {
		return at.Range.Lo, at.Range.Hi
	}
	return -DefaultAssume, DefaultAssume
}

// inputRanges returns the ranges of the elements of input v, column by column: element i has that of number i modulo how many there are.
func inputRanges(v, at *ir.Value) []interval {
	if at != nil {
		if columns := inputColumns(at, false); columns != nil {
			return columns
		}
	}
	lo, hi := inputRange(v, at)
	return []interval{{lo: lo, hi: hi}}
}

// overlap returns what the ranges of numbers among the inputs have in common; lo > hi if that is nothing.
func overlap(f *ir.Func, ranges map[string]*ir.Value) (lo, hi float64) {
	lo, hi = -math.MaxFloat64, math.MaxFloat64
	for _, v := range f.Body {
		if v.Op == ir.OpInput && v.Type.Elem != ir.Bool {
			a, b := inputRange(v, ranges[v.Attrs.Str("name")])
			lo, hi = max(lo, a), min(hi, b)
		}
	}
	return lo, hi
}

// largest reports whether the given one of so many inputs is the large one of a run whose inputs are unequal.
func largest(input, inputs, run int) bool { return input == run/drawWays%max(inputs, 1) }

// A drawing says how the elements of one input are drawn in a run.
type drawing struct {
	way    int
	common [2]float64 // what the ranges of all inputs have in common
	place  float64    // 0 to 1, of a range: the same for all inputs
	scale  float64    // of the input
	run    int
}

// shared returns the number of a..b that stands at the given place, 0 to 1, of what the ranges of all inputs have in common, or of a..b if that is nothing.
func (d *drawing) shared(a, b, place float64) float64 {
	if d.common[0] >= a && d.common[0] <= d.common[1] && d.common[1] <= b {
		a, b = d.common[0], d.common[1]
	}
	return a + float64((b-a)*place)
}

// placeOf returns a place, 0 to 1, that is the same for a column of all inputs.
func (d *drawing) placeOf(column int) float64 {
	return rand.New(rand.NewPCG(uint64(d.run), 1<<32+uint64(column))).Float64()
}

// draw returns data for input v, whose range is that of at, drawn in the way of the given run.
func draw(v, at *ir.Value, common [2]float64, run int, large bool, r *rand.Rand) *ir.Tensor {
	t := ir.NewTensor(v.Type.Elem, v.Type.Shape)
	ranges := inputRanges(v, at)
	line := lineOf(v.Type.Shape)
	d := &drawing{way: run % drawWays, common: common, run: run, scale: math.Exp2(-scaledBy * r.Float64())}
	if d.way == drawUnequal {
		if d.scale = math.Exp2(-unequal * r.Float64()); large {
			d.scale = 1
		}
	}
	d.place = rand.New(rand.NewPCG(uint64(run), 0)).Float64()
	scales := make([]float64, line) // of columns
	for i := range scales {
		scales[i] = math.Exp2(-unequal * r.Float64())
	}
	single, small := 0, 1.0
	for i := range t.Len() {
		a, b := ranges[i%len(ranges)].lo, ranges[i%len(ranges)].hi
		if i%line == 0 {
			single, small = r.IntN(line), math.Exp2(-unequal*r.Float64())
		}
		x := 0.0
		switch d.way {
		case drawNear:
			x = min(max(d.shared(a, b, d.place)+logUniform(a-b, b-a, drawnOver, r), a), b)
		case drawPairs:
			x = min(max(d.shared(a, b, d.placeOf(i%line))+float64((b-a)*float64(small*(2*r.Float64()-1))), a), b)
		case drawLines:
			x = towards(a, b, a+float64((b-a)*r.Float64()), small)
		case drawColumns:
			x = towards(a, b, a+float64((b-a)*r.Float64()), scales[i%line])
		default:
			x = drawn(a, b, d.way, i%line == single, d.scale, r)
		}
		set(t, i, x, a, b)
	}
	return t
}

// lineOf returns how many elements a line of the last dimension has.
func lineOf(s ir.Shape) int {
	if len(s) == 0 {
		return 1
	}
	return max(1, s[len(s)-1])
}

// set stores a number of a..b as what the elements of t are.
func set(t *ir.Tensor, i int, x, a, b float64) {
	switch t.Elem {
	case ir.Real:
		t.F[i] = x
	case ir.Bool:
		t.I[i] = int64(math.Round(x))
	default:
		t.I[i] = int64(min(max(math.Round(x), a), b))
	}
}

// towards returns x of lo..hi, its distance from the smallest number there times scale.
func towards(lo, hi, x, scale float64) float64 {
	smallest := min(max(0, lo), hi)
	return min(max(smallest+float64((x-smallest)*scale), lo), hi)
}

// drawn returns a number of lo..hi.
func drawn(lo, hi float64, way int, single bool, scale float64, r *rand.Rand) float64 {
	uniform := lo + float64((hi-lo)*r.Float64())
	smallest := min(max(0, lo), hi)
	switch way {
	case drawUniform:
		return uniform
	case drawEnds:
		if r.Uint64()&1 == 0 {
			return lo
		}
		return hi
	case drawHigh:
		return hi
	case drawEdges:
		d := math.Abs(logUniform(0, hi-lo, drawnEdge, r))
		if r.Uint64()&1 == 0 {
			return min(lo+d, hi)
		}
		return max(hi-d, lo)
	case drawLow:
		return lo
	case drawSingle:
		if single {
			return uniform
		}
		return smallest
	case drawScaled, drawUnequal:
		return min(max(uniform*scale, lo), hi)
	}
	return logUniform(lo, hi, drawnOver, r)
}

// logUniform draws a number of lo..hi whose magnitude is as likely in each of so many binades.
func logUniform(lo, hi float64, binades int, r *rand.Rand) float64 {
	neg := hi <= 0 || lo < 0 && r.Uint64()&1 == 1
	least, most := max(lo, 0), hi
	if neg {
		least, most = max(-hi, 0), -lo
	}
	if most <= 0 {
		return most
	}
	least = max(least, math.Ldexp(most, -binades))
	x := float64(least * math.Exp2(float64(r.Float64()*math.Log2(most/least))))
	x = min(max(x, least), most)
	if neg {
		return -x
	}
	return x
}

// Draw returns inputs for the graph-level module that was compiled, drawn over the ranges that its plan relies on, column by column, in the way of the given run.
// The same run gives the same inputs on every machine.
func (n *Numbers) Draw(m *ir.Module, run int) map[string]*ir.Tensor {
	var at map[string]*ir.Value
	if n.proof != nil {
		at = inputsOf(n.proof.f)
	}
	return drawInputs(m.Main(), at, run)
}

// drawInputs returns data for the inputs of f, whose ranges in the module with formats are those of at, drawn in the way of the given run.
func drawInputs(f *ir.Func, at map[string]*ir.Value, run int) map[string]*ir.Tensor {
	in := map[string]*ir.Tensor{}
	lo, hi := overlap(f, at)
	inputs := len(f.Inputs())
	for j, v := range f.Body {
		if name := v.Attrs.Str("name"); v.Op == ir.OpInput {
			in[name] = draw(v, at[name], [2]float64{lo, hi}, run, largest(len(in), inputs, run), rand.New(rand.NewPCG(uint64(run), uint64(j)+2)))
		}
	}
	return in
}
