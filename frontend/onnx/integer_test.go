package onnx

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// narrow are the integer types whose arithmetic wraps; of is the machine's conversion to the type.
var narrow = []struct {
	typ    pb.TensorProto_DataType
	lo, hi int64
	of     func(int64) int64
}{
	{pb.TensorProto_INT8, -1 << 7, 1<<7 - 1, func(x int64) int64 { return int64(int8(x)) }},
	{pb.TensorProto_UINT8, 0, 1<<8 - 1, func(x int64) int64 { return int64(uint8(x)) }},
	{pb.TensorProto_INT16, -1 << 15, 1<<15 - 1, func(x int64) int64 { return int64(int16(x)) }},
	{pb.TensorProto_UINT16, 0, 1<<16 - 1, func(x int64) int64 { return int64(uint16(x)) }},
	{pb.TensorProto_INT32, -1 << 31, 1<<31 - 1, func(x int64) int64 { return int64(int32(x)) }},
	{pb.TensorProto_UINT32, 0, 1<<32 - 1, func(x int64) int64 { return int64(uint32(x)) }},
}

// whole declares an input of an integer type.
func whole(name string, typ pb.TensorProto_DataType, dims ...any) *pb.ValueInfoProto {
	v := vi(name, ir.Int, dims...)
	v.Type.GetTensorType().ElemType = proto.Int32(int32(typ))
	return v
}

// TestIntegerTypesWrap computes on integers of each type and compares with arithmetic of the machine in that type, as onnxruntime computes.
func TestIntegerTypesWrap(t *testing.T) {
	const n = 64
	sum := func(x []int64, from, to int) (s int64) {
		for _, v := range x[from:to] {
			s += v
		}
		return s
	}
	for _, c := range []struct {
		name  string
		nodes []*pb.NodeProto
		want  func(x, y []int64, i int) int64 // of one element, before it is brought to the type
	}{
		{"add", nodes(nd("Add", "x y", "z")), func(x, y []int64, i int) int64 { return x[i] + y[i] }},
		{"sub", nodes(nd("Sub", "x y", "z")), func(x, y []int64, i int) int64 { return x[i] - y[i] }},
		{"mul", nodes(nd("Mul", "x y", "z")), func(x, y []int64, i int) int64 { return x[i] * y[i] }},
		{"neg", nodes(nd("Neg", "x", "z")), func(x, y []int64, i int) int64 { return -x[i] }},
		{"abs", nodes(nd("Abs", "x", "z")), func(x, y []int64, i int) int64 { return max(x[i], -x[i]) }},
		{"sum of three", nodes(nd("Sum", "x y x", "z")), func(x, y []int64, i int) int64 { return 2*x[i] + y[i] }},
		{"products of sums", nodes(nd("Add", "x y", "s"), nd("Mul", "s x", "z")), func(x, y []int64, i int) int64 { return (x[i] + y[i]) * x[i] }},
		{"views keep the type", nodes(nd("Reshape", "x shape", "r"), nd("Reshape", "r flat", "f"), nd("Add", "f x", "z")), func(x, y []int64, i int) int64 { return 2 * x[i] }},
		{"larger", nodes(nd("Max", "x y", "m"), nd("Add", "m m", "z")), func(x, y []int64, i int) int64 { return 2 * max(x[i], y[i]) }},
		{"running sum", nodes(nd("CumSum", "x zero", "z")), func(x, y []int64, i int) int64 { return sum(x, 0, i+1) }},
		{"total", nodes(nd("ReduceSum", "x", "s", ai("keepdims", 1)), nd("Mul", "s x", "z")), func(x, y []int64, i int) int64 { return sum(x, 0, n) * x[i] }},
		{"mean", nodes(nd("ReduceMean", "x", "m", ai("keepdims", 1)), nd("Add", "m x", "z")), func(x, y []int64, i int) int64 { return sum(x, 0, n)/n + x[i] }},
		{"by a constant", nodes(nd("Constant", "", "k", at("value", list(77))), nd("CastLike", "k x", "c"), nd("Mul", "x c", "z")), func(x, y []int64, i int) int64 { return 77 * x[i] }},
	} {
		for j, k := range narrow {
			r := rand.New(rand.NewPCG(uint64(j), 3))
			data := map[string]*ir.Tensor{"x": ir.NewTensor(ir.Int, ir.Shape{n}), "y": ir.NewTensor(ir.Int, ir.Shape{n})}
			for _, d := range data {
				for i := range d.I {
					switch r.IntN(4) {
					case 0:
						d.I[i] = []int64{k.lo, k.hi, k.of(0), k.of(-1)}[r.IntN(4)]
					default:
						d.I[i] = k.of(r.Int64() >> r.IntN(63))
					}
				}
			}
			g := graph("z", c.nodes...)
			g.Input = append(g.Input, whole("x", k.typ, n))
			if strings.Contains(fmt.Sprint(c.nodes), `"y"`) {
				g.Input = append(g.Input, whole("y", k.typ, n))
			} else {
				delete(data, "y")
			}
			for name, init := range map[string]*ir.Tensor{"shape": list(8, 8), "flat": list(n), "zero": ints(ir.Shape{}, 0)} {
				withInit(g, name, init)
			}
			m, err := LoadBytes("m.onnx", encode(t, modelOf(17, g)), Options{})
			if err != nil {
				t.Fatalf("%s of %v: %v", c.name, k.typ, err)
			}
			got, err := ir.Run(m, data)
			if err != nil {
				t.Fatalf("%s of %v: %v", c.name, k.typ, err)
			}
			y := data["x"].I
			if data["y"] != nil {
				y = data["y"].I
			}
			for i, z := range got["z"].I {
				if want := k.of(c.want(data["x"].I, y, i)); z != want {
					t.Fatalf("%s of %v: element %d of %v is %d, want %d", c.name, k.typ, i, data, z, want)
				}
			}
		}
	}
}

// TestIntegerTypesChange casts between types, also where no bit changes: what follows wraps at the new type.
func TestIntegerTypesChange(t *testing.T) {
	for _, c := range []struct {
		name  string
		from  pb.TensorProto_DataType
		nodes []*pb.NodeProto
		x     int64
		want  int64
	}{
		{"wider", pb.TensorProto_UINT8, nodes(nd("Cast", "x", "w", ai("to", int64(pb.TensorProto_INT32))), nd("Add", "w w", "z")), 200, 400},
		{"to 64 bits", pb.TensorProto_INT32, nodes(nd("Cast", "x", "w", ai("to", int64(pb.TensorProto_INT64))), nd("Mul", "w w", "z")), 1 << 20, 1 << 40},
		{"and back", pb.TensorProto_INT32, nodes(nd("Cast", "x", "w", ai("to", int64(pb.TensorProto_INT64))), nd("Mul", "w w", "q"), nd("Cast", "q", "z", ai("to", int64(pb.TensorProto_UINT8)))), 17, 33},
		{"narrower, other sign", pb.TensorProto_INT16, nodes(nd("Cast", "x", "w", ai("to", int64(pb.TensorProto_UINT8))), nd("Add", "w w", "z")), -3, 250},
		{"like another", pb.TensorProto_INT32, nodes(nd("CastLike", "x b", "w"), nd("Add", "w w", "z")), 300, 88},
		{"the first keeps its type", pb.TensorProto_UINT8, nodes(nd("Cast", "x", "w", ai("to", int64(pb.TensorProto_INT64))), nd("Add", "x x", "z")), 200, 144},
		{"places are of 64 bits", pb.TensorProto_UINT8, nodes(nd("Unsqueeze", "x zero", "u"), nd("ArgMax", "u", "a", ai("keepdims", 0)), nd("Constant", "", "k", at("value", ints(ir.Shape{}, 300))), nd("Add", "a k", "z")), 9, 300},
		{"comparisons become the type asked for", pb.TensorProto_UINT8, nodes(nd("Greater", "x b", "g"), nd("Cast", "g", "o", ai("to", int64(pb.TensorProto_UINT8))), nd("Sub", "b b", "n"), nd("Sub", "n o", "z")), 9, 255},
		{"choices", pb.TensorProto_UINT8, nodes(nd("Greater", "x b", "g"), nd("Where", "g x b", "c"), nd("Add", "c c", "z")), 130, 4},
	} {
		g := graph("z", c.nodes...)
		g.Input = append(g.Input, whole("x", c.from))
		withInit(g, "zero", list(0))
		b := protoOf("b", ints(ir.Shape{}, 7))
		b.DataType, b.Int64Data, b.Int32Data = proto.Int32(int32(pb.TensorProto_UINT8)), nil, []int32{7}
		g.Initializer = append(g.Initializer, b)
		m, err := LoadBytes("m.onnx", encode(t, modelOf(17, g)), Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got, err := ir.Run(m, map[string]*ir.Tensor{"x": ints(ir.Shape{}, c.x)})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if z := got["z"].I[0]; z != c.want {
			t.Errorf("%s: %d, want %d", c.name, z, c.want)
		}
	}
}

// TestIntegerInputsAreBounded reads what inputs lie in: within their type, the part of it that is declared, and the places of a table that they name.
func TestIntegerInputsAreBounded(t *testing.T) {
	lookup := nodes(nd("Reshape", "x two", "r"), nd("Gather", "w r", "z"))
	for _, c := range []struct {
		name   string
		typ    pb.TensorProto_DataType
		nodes  []*pb.NodeProto
		ranges map[string][2]float64
		lo, hi float64
		ok     bool
		want   string // of the message of a refusal
	}{
		{"uint8", pb.TensorProto_UINT8, nodes(nd("Add", "x x", "z")), nil, 0, 255, true, ""},
		{"int16", pb.TensorProto_INT16, nodes(nd("Add", "x x", "z")), nil, -32768, 32767, true, ""},
		{"uint32", pb.TensorProto_UINT32, nodes(nd("Add", "x x", "z")), nil, 0, 1<<32 - 1, true, ""},
		{"int64", pb.TensorProto_INT64, nodes(nd("Add", "x x", "z")), nil, 0, 0, false, ""},
		{"declared", pb.TensorProto_UINT8, nodes(nd("Add", "x x", "z")), map[string][2]float64{"x": {3, 5}}, 3, 5, true, ""},
		{"declared beyond the type", pb.TensorProto_UINT8, nodes(nd("Add", "x x", "z")), map[string][2]float64{"x": {-7, 256}}, 0, 255, true, ""},
		{"declared outside the type", pb.TensorProto_UINT8, nodes(nd("Add", "x x", "z")), map[string][2]float64{"x": {300, 400}}, 0, 0, false, `declared range 300..400 of "x" has no number that UINT8 holds, which ends at 0..255`},
		{"places", pb.TensorProto_INT64, lookup, nil, -5, 4, true, ""},
		{"places, also compared", pb.TensorProto_INT64, append(nodes(nd("Equal", "x two", "e")), lookup...), nil, -5, 4, true, ""},
		{"places through a cast", pb.TensorProto_INT64, nodes(nd("Cast", "x", "c", ai("to", int64(pb.TensorProto_INT32))), nd("Gather", "w c", "z")), nil, -5, 4, true, ""},
		{"declared places", pb.TensorProto_INT64, lookup, map[string][2]float64{"x": {0, 8}}, 0, 4, true, ""},
		{"no place", pb.TensorProto_INT64, lookup, map[string][2]float64{"x": {5, 8}}, 0, 0, false, "declared range 5..8 has no place of a table of 5 rows"},
		{"places along an axis", pb.TensorProto_INT32, nodes(nd("GatherElements", "t x", "z")), nil, -3, 2, true, ""},
		{"only some are places", pb.TensorProto_INT64, nodes(nd("Slice", "x zero two", "s"), nd("Gather", "w s", "z")), nil, 0, 0, false, ""},
		{"places under a condition", pb.TensorProto_INT64, nodes(nd("ReduceSum", "x", "n", ai("keepdims", 0)), nd("Cast", "n", "c", ai("to", int64(pb.TensorProto_BOOL))),
			nd("If", "c", "z", ag("then_branch", graph("a", nd("Gather", "w x", "a"))), ag("else_branch", graph("b", nd("Gather", "w two", "g"), nd("Concat", "g g", "b", ai("axis", 0)))))), nil, 0, 0, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := graph("z", c.nodes...)
			g.Input = append(g.Input, whole("x", c.typ, 2))
			for name, init := range map[string]*ir.Tensor{"two": list(2), "zero": list(0), "w": reals(dims(5), 1, 2, 3, 4, 5), "t": reals(dims(3), 1, 2, 3)} {
				withInit(g, name, init)
			}
			m, err := LoadBytes("m.onnx", encode(t, modelOf(17, g)), Options{Ranges: c.ranges})
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("got %v, want %s", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range m.Main().Inputs() {
				if r, _, ok := ir.Declared(v); ok != c.ok || ok && (r.Lo != c.lo || r.Hi != c.hi) {
					t.Errorf("declared is %v, %v; want %g..%g, %v", r, ok, c.lo, c.hi, c.ok)
				}
			}
		})
	}
}

// TestLongRunningSums compares running sums that are made of blocks with sums by hand, of lengths that blocks divide and do not.
func TestLongRunningSums(t *testing.T) {
	for _, size := range []int{longSum, longSum + 1, 1225, 10000} {
		for mode := range 4 {
			exclusive, reverse := mode&1 != 0, mode&2 != 0
			n := nd("CumSum", "x one", "z", ai("exclusive", int64(mode&1)), ai("reverse", int64(mode>>1)))
			g := withInit(graph("z", n), "one", ints(ir.Shape{}, 1))
			g.Input = append(g.Input, vi("x", ir.Int, 2, size))
			m, err := LoadBytes("m.onnx", encode(t, modelOf(17, g)), Options{})
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(uint64(size), uint64(mode)))
			x := ir.NewTensor(ir.Int, ir.Shape{2, size})
			for i := range x.I {
				x.I[i] = int64(r.IntN(2001)) - 1000
			}
			got, err := ir.Run(m, map[string]*ir.Tensor{"x": x})
			if err != nil {
				t.Fatal(err)
			}
			for row := range 2 {
				s := int64(0)
				for k := range size {
					i := row*size + k
					if reverse {
						i = row*size + size - 1 - k
					}
					if !exclusive {
						s += x.I[i]
					}
					if z := got["z"].I[i]; z != s {
						t.Fatalf("length %d, exclusive %v, reverse %v: sum %d is %d, want %d", size, exclusive, reverse, i, z, s)
					}
					if exclusive {
						s += x.I[i]
					}
				}
			}
		}
	}
}
