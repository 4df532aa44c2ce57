package onnxgo

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend"
	"github.com/owulveryck/onnx-go/backend/x/gorgonnx"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"gorgonia.org/tensor"

	"smpcc"
	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// tolerance is what secure computation may differ from floats by.
const tolerance = 2e-3

const mnist = "../../examples/mnist/"

// infer is a program written against onnx-go; only the backend is not its own.
func infer(b backend.ComputationBackend, decode func(*onnx.Model) error, inputs ...tensor.Tensor) ([]tensor.Tensor, error) {
	model := onnx.NewModel(b)
	if err := decode(model); err != nil {
		return nil, err
	}
	for i, t := range inputs {
		if err := model.SetInput(i, t); err != nil {
			return nil, err
		}
	}
	if err := b.Run(); err != nil {
		return nil, err
	}
	return model.GetOutputTensors()
}

func binary(data []byte) func(*onnx.Model) error {
	return func(m *onnx.Model) error { return m.UnmarshalBinary(data) }
}

func own(data []byte, b *Backend) func(*onnx.Model) error {
	return func(m *onnx.Model) error { return Unmarshal(data, m, b) }
}

// both runs a model as onnx-go decodes it and as smpcc does, and checks the first output.
func both(t *testing.T, data []byte, shape []int, want []float32, inputs ...tensor.Tensor) {
	t.Helper()
	for _, way := range []string{"UnmarshalBinary", "Unmarshal"} {
		b := New(Options{Options: smpcc.Options{Assume: 8}}) // all that tests give lies within; of 1024 a transformer says nothing
		decode := binary(data)
		if way == "Unmarshal" {
			decode = own(data, b)
		}
		out, err := infer(b, decode, inputs...)
		if err != nil {
			t.Errorf("%s: %v", way, err)
			continue
		}
		near(t, way, out[0], shape, want)
	}
}

func near(t *testing.T, what string, got tensor.Tensor, shape []int, want []float32) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: no tensor", what)
		return
	}
	x, err := toIR(got)
	if err != nil || x.Len() != len(want) || !slices.Equal([]int(got.Shape()), shape) {
		t.Errorf("%s: got a tensor of shape %v (%v), want %v", what, got.Shape(), err, shape)
		return
	}
	for i, w := range want {
		if !(math.Abs(x.At(i)-float64(w)) <= tolerance) {
			t.Errorf("%s: element %d is %g, want %g", what, i, x.At(i), w)
		}
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// clear returns gorgonia's scores, image by image, as it takes no other batch than one.
func clear(t *testing.T, data []byte, images tensor.Tensor) (scores []float32) {
	t.Helper()
	const size = 28 * 28
	for x := range slices.Chunk(images.Data().([]float32), size) {
		out, err := infer(gorgonnx.NewGraph(), binary(data), dense32([]int{1, 1, 28, 28}, slices.Clone(x)...))
		if err != nil {
			t.Fatal(err)
		}
		scores = append(scores, out[0].Data().([]float32)...)
	}
	return scores
}

// TestAgreesWithGorgonia runs the same program on gorgonia in the clear and under secure computation.
func TestAgreesWithGorgonia(t *testing.T) {
	data := mustRead(t, mnist+"model.onnx")
	for set := range 3 {
		image, err := onnx.NewTensor(mustRead(t, fmt.Sprintf("%stest_data_set_%d/input_0.pb", mnist, set)))
		if err != nil {
			t.Fatal(err)
		}
		want, n := clear(t, data, image), image.Shape()[0]
		both(t, data, []int{n, 10}, want, image)
		b := New(Options{})
		out, err := infer(b, func(m *onnx.Model) error { return UnmarshalFile(mnist+"model.onnx", m, b) }, image)
		if err != nil {
			t.Fatal(err)
		}
		if out[0].Dtype() != tensor.Float32 {
			t.Errorf("scores are %v, want float32", out[0].Dtype())
		}
		near(t, "UnmarshalFile", out[0], []int{n, 10}, want)
		if b.Compilation() == nil || b.Phases()[2].Rounds == 0 {
			t.Error("neither plan nor measurements after Run")
		}
	}
}

// TestModels runs models as exporters write them, with recurrent layers and trees among them, in both ways.
func TestModels(t *testing.T) {
	for _, name := range []string{"boosted", "lstm", "transformer"} {
		dir := filepath.Join("..", "..", "testdata", "models", name)
		data := mustRead(t, filepath.Join(dir, "model.onnx"))
		in, err := onnx.NewTensor(mustRead(t, filepath.Join(dir, "test_data_set_0", "input_0.pb")))
		if err != nil {
			t.Fatal(err)
		}
		out, err := onnx.NewTensor(mustRead(t, filepath.Join(dir, "test_data_set_0", "output_0.pb")))
		if err != nil {
			t.Fatal(err)
		}
		x, err := toIR(out)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { both(t, data, out.Shape(), convert[float32](x), in) })
	}
}

// TestSymbolicBatch gives a model, whose batch is symbolic, batches of two sizes, each twice.
func TestSymbolicBatch(t *testing.T) {
	data := mustRead(t, mnist+"model.onnx")
	image, err := onnx.NewTensor(mustRead(t, mnist+"test_data_set_0/input_0.pb"))
	if err != nil {
		t.Fatal(err)
	}
	x := image.Data().([]float32)
	want := clear(t, data, image)
	for _, way := range []string{"UnmarshalBinary", "Unmarshal"} {
		b := New(Options{})
		model := onnx.NewModel(b)
		decode := binary(data)
		if way == "Unmarshal" {
			decode = own(data, b)
		}
		if err := decode(model); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 3, 3, 1} {
			before := b.Compilation()
			if err := model.SetInput(0, dense32([]int{n, 1, 28, 28}, slices.Repeat(x, n)...)); err != nil {
				t.Fatal(err)
			}
			if err := b.Run(); err != nil {
				t.Fatalf("%s, batch of %d: %v", way, n, err)
			}
			out, err := model.GetOutputTensors()
			if err != nil {
				t.Fatal(err)
			}
			near(t, fmt.Sprintf("%s, batch of %d", way, n), out[0], []int{n, 10}, slices.Repeat(want, n))
			if same := before == b.Compilation(); same != (before != nil && slices.Equal([]int{n}, before.Plan.Manifest.Inputs[0].Shape[:1])) {
				t.Errorf("%s, batch of %d: compiled again: %v", way, n, !same)
			}
		}
	}
}

// TestParallelEdges uses a value for two operands of one operator, and in an order that is not that of first use.
func TestParallelEdges(t *testing.T) {
	x := dense32([]int{3}, 1.5, -2, 3)
	both(t, encode(t, 17, &pb.GraphProto{Input: []*pb.ValueInfoProto{info("x", 3)}, Output: []*pb.ValueInfoProto{info("y", 3)},
		Node: []*pb.NodeProto{node("Mul", "x x", "y")}}), []int{3}, []float32{2.25, 4, 9}, x)
	both(t, encode(t, 17, &pb.GraphProto{Input: []*pb.ValueInfoProto{info("x", 3), info("z", 3)}, Output: []*pb.ValueInfoProto{info("y", 9)},
		Node: []*pb.NodeProto{node("Sub", "z x", "d"), node("Concat", "x d x", "y", intAttr("axis", 0))}}), []int{9},
		[]float32{1.5, -2, 3, -0.5, 3, -2, 1.5, -2, 3}, x, dense32([]int{3}, 1, 1, 1))
}

// TestInitialisers checks that zero weights are told from inputs that have no data yet, wherever a model lists them.
func TestInitialisers(t *testing.T) {
	g := func() *pb.GraphProto {
		return &pb.GraphProto{Input: []*pb.ValueInfoProto{info("x", 2)}, Output: []*pb.ValueInfoProto{info("y", 2)},
			Node:        []*pb.NodeProto{node("Mul", "x w", "p"), node("Add", "p zero", "y")},
			Initializer: []*pb.TensorProto{floats("w", []int64{2}, 2, -3), floats("zero", []int64{2}, 0, 0)}}
	}
	x := dense32([]int{2}, 4, 5)
	plain := g()
	both(t, encode(t, 17, plain), []int{2}, []float32{8, -15}, x)
	listed := g() // as old exporters list them
	listed.Input = append(listed.Input, info("zero", 2), info("w", 2))
	both(t, encode(t, 17, listed), []int{2}, []float32{8, -15}, x)
	inferred := g() // with everything in between declared, and the output twice
	inferred.ValueInfo = []*pb.ValueInfoProto{info("y", 2), info("p", 2), info("x", 2)}
	both(t, encode(t, 17, inferred), []int{2}, []float32{8, -15}, x)
	first := g()
	first.Node[0], first.Node[1] = node("Add", "x zero", "p"), node("Mul", "p w", "y")
	both(t, encode(t, 17, first), []int{2}, []float32{8, -15}, x)

	late := g() // onnx-go numbers inputs by their place among all that the graph lists
	late.Input = []*pb.ValueInfoProto{info("w", 2), info("x", 2)}
	data := encode(t, 17, late)
	if _, err := infer(New(Options{}), binary(data), x); err == nil || !strings.Contains(err.Error(), `input "x" has no data, but "w"`) {
		t.Errorf("got %v, want an error that says what SetInput reached", err)
	}
	b := New(Options{})
	out, err := infer(b, own(data, b), x)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "Unmarshal", out[0], []int{2}, []float32{8, -15})
}

// TestMadeUpInputs has operators without operands, for which onnx-go invents some.
func TestMadeUpInputs(t *testing.T) {
	both(t, encode(t, 17, &pb.GraphProto{Input: []*pb.ValueInfoProto{info("x", 2)}, Output: []*pb.ValueInfoProto{info("y", 2)},
		Node: []*pb.NodeProto{node("Constant", "", "a", tensorAttr("value", floats("", []int64{2}, 1, 2))), node("Constant", "", "b", tensorAttr("value", floats("", nil, 4))),
			node("Add", "x a", "s"), node("Mul", "s b", "y")}}), []int{2}, []float32{8, 16}, dense32([]int{2}, 1, 2))
}

// TestOptionalOperands leaves out the operand in the middle, which onnx-go takes for a value named "".
func TestOptionalOperands(t *testing.T) {
	n := node("Clip", "x", "y")
	n.Input = []string{"x", "", "hi"}
	both(t, encode(t, 17, &pb.GraphProto{Input: []*pb.ValueInfoProto{info("x", 3)}, Output: []*pb.ValueInfoProto{info("y", 3)}, Node: []*pb.NodeProto{n},
		Initializer: []*pb.TensorProto{floats("hi", []int64{}, 2)}}), []int{3}, []float32{-1, 1, 2}, dense32([]int{3}, -1, 1, 5))
}

// TestTensors gives inputs that are not laid out row by row, scalars, and tensors that have no plain data.
func TestTensors(t *testing.T) {
	data := encode(t, 17, &pb.GraphProto{Input: []*pb.ValueInfoProto{info("x", 2, 3)}, Output: []*pb.ValueInfoProto{info("y", 2, 3)}, Node: []*pb.NodeProto{node("Relu", "x", "y")}})
	want := []float32{1, 2, 3, 4, 5, 6}
	transposed := dense32([]int{3, 2}, 1, 4, 2, 5, 3, 6)
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	both(t, data, []int{2, 3}, want, transposed)
	view, err := dense32([]int{2, 4}, 1, 2, 3, 0, 4, 5, 6, 0).Slice(nil, tensor.S(0, 3))
	if err != nil {
		t.Fatal(err)
	}
	both(t, data, []int{2, 3}, want, view)
	both(t, data, []int{2, 3}, want, tensor.New(tensor.WithShape(2, 3), tensor.AsFortran([]float32{1, 2, 3, 4, 5, 6})))
	both(t, data, []int{2, 3}, want, tensor.New(tensor.WithShape(2, 3), tensor.WithBacking([]float64{1, 2, 3, 4, 5, 6})))

	scalar := encode(t, 17, &pb.GraphProto{Input: []*pb.ValueInfoProto{info("x")}, Output: []*pb.ValueInfoProto{info("y")}, Node: []*pb.NodeProto{node("Neg", "x", "y")}})
	both(t, scalar, []int{}, []float32{-3}, tensor.New(tensor.FromScalar(float32(3))))

	both(t, encode(t, 17, &pb.GraphProto{Input: []*pb.ValueInfoProto{info("x", 2), info("e", 0)}, Output: []*pb.ValueInfoProto{info("y", 2)},
		Node: []*pb.NodeProto{node("Concat", "x e", "y", intAttr("axis", 0))}}), []int{2}, []float32{1, 2}, dense32([]int{2}, 1, 2), tensor.New(tensor.WithShape(0), tensor.WithBacking([]float32{})))

	masked := tensor.New(tensor.WithShape(2, 3), tensor.WithBacking(want), tensor.WithMask([]bool{true, false, false, false, false, false}))
	if _, err := infer(New(Options{}), binary(data), masked); err == nil || !strings.Contains(err.Error(), "masked") {
		t.Errorf("masked: got %v", err)
	}
	if _, err := infer(New(Options{}), binary(data), nil); err == nil {
		t.Error("a nil tensor is accepted")
	}
}

// TestElements converts every element type there and back.
func TestElements(t *testing.T) {
	for _, data := range []any{[]float32{1, 2}, []float64{1, 2}, []int8{1, 2}, []int16{1, 2}, []int32{1, 2}, []int64{1, 2}, []int{1, 2},
		[]uint8{1, 2}, []uint16{1, 2}, []uint32{1, 2}, []uint64{1, 2}, []bool{true, false}} {
		in := tensor.New(tensor.WithShape(2), tensor.WithBacking(data))
		x, err := toIR(in)
		if err != nil {
			t.Errorf("%T: %v", data, err)
			continue
		}
		out, err := fromIR(x, in.Dtype())
		if err != nil {
			t.Errorf("%T: %v", data, err)
			continue
		}
		if fmt.Sprint(out.Data()) != fmt.Sprint(data) || out.Dtype() != in.Dtype() {
			t.Errorf("%T %v became %T %v", data, data, out.Data(), out.Data())
		}
	}
	if _, err := toIR(tensor.New(tensor.WithShape(1), tensor.WithBacking([]uint64{1 << 63}))); err == nil {
		t.Error("2^63 is accepted")
	}
	if _, err := toIR(tensor.New(tensor.WithShape(1), tensor.WithBacking([]string{"x"}))); err == nil {
		t.Error("a string is accepted")
	}
}

// TestOpset has a model that means one thing up to opset 12 and another from opset 13 on: over which axes Softmax goes.
func TestOpset(t *testing.T) {
	g := &pb.GraphProto{Input: []*pb.ValueInfoProto{info("x", 1, 2, 2)}, Output: []*pb.ValueInfoProto{info("y", 1, 2, 2)}, Node: []*pb.NodeProto{node("Softmax", "x", "y")}}
	x := dense32([]int{1, 2, 2}, 0, 0, 0, 0)
	if _, err := infer(New(Options{}), binary(encode(t, 17, g)), x); err == nil || !strings.Contains(err.Error(), "set Options.Opset") {
		t.Errorf("got %v, want an error that asks for the opset", err)
	}
	for opset, p := range map[int]float32{11: 0.25, 17: 0.5} {
		want := []float32{p, p, p, p}
		data := encode(t, int64(opset), g)
		out, err := infer(New(Options{Opset: opset}), binary(data), x)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "UnmarshalBinary", out[0], []int{1, 2, 2}, want)
		b := New(Options{})
		if out, err = infer(b, own(data, b), x); err != nil {
			t.Fatal(err)
		}
		near(t, "Unmarshal", out[0], []int{1, 2, 2}, want)
	}
	if _, err := smpcc.LoadBytes("m", encode(t, lastOpset, g), smpcc.Options{}); err != nil {
		t.Error(err)
	}
	if _, err := smpcc.LoadBytes("m", encode(t, lastOpset+1, g), smpcc.Options{}); err == nil {
		t.Error("there is an opset after the last one that is tried")
	}
}

// TestOutputs checks that values in between stay secret, and that outputs in doubt must be named.
func TestOutputs(t *testing.T) {
	g := &pb.GraphProto{Input: []*pb.ValueInfoProto{info("x", 2)}, ValueInfo: []*pb.ValueInfoProto{info("a", 2)}, Output: []*pb.ValueInfoProto{info("b", 2), info("c", 2)},
		Node: []*pb.NodeProto{node("Neg", "x", "a"), node("Neg", "a", "b"), node("Add", "b x", "c")}}
	data, x := encode(t, 17, g), dense32([]int{2}, 1, 2)
	out, err := infer(New(Options{}), binary(data), x)
	if err != nil {
		t.Fatal(err)
	}
	if out[0] != nil {
		t.Errorf("b is %v, want no tensor", out[0])
	}
	near(t, "c", out[1], []int{2}, []float32{2, 4})
	b := New(Options{Outputs: []string{"b", "c"}})
	if out, err = infer(b, binary(data), x); err != nil {
		t.Fatal(err)
	}
	near(t, "b", out[0], []int{2}, []float32{1, 2})
	near(t, "c", out[1], []int{2}, []float32{2, 4})
	if a := b.values["a"].tensor; a != nil {
		t.Errorf("a is %v, want no tensor", a)
	}
	b = New(Options{})
	if out, err = infer(b, own(data, b), x); err != nil {
		t.Fatal(err)
	}
	near(t, "b", out[0], []int{2}, []float32{1, 2})
	near(t, "c", out[1], []int{2}, []float32{2, 4})
	side := &pb.GraphProto{Input: g.Input, ValueInfo: []*pb.ValueInfoProto{info("unused", 2), info("a", 2)}, Output: []*pb.ValueInfoProto{info("b", 2)},
		Node: []*pb.NodeProto{node("Neg", "x", "a"), node("Neg", "x", "unused"), node("Neg", "a", "b")}}
	b = New(Options{})
	if out, err = infer(b, binary(encode(t, 17, side)), x); err != nil {
		t.Fatal(err)
	}
	near(t, "b", out[0], []int{2}, []float32{1, 2})
	if n := len(b.Compilation().Plan.Manifest.Outputs); n != 1 {
		t.Errorf("%d values are revealed, want b alone", n)
	}
	doubt := &pb.GraphProto{Input: g.Input, Output: []*pb.ValueInfoProto{info("b", 2), info("a", 2)}, Node: []*pb.NodeProto{node("Neg", "x", "a"), node("Neg", "a", "b")}}
	if _, err := infer(New(Options{}), binary(encode(t, 17, doubt)), x); err == nil || !strings.Contains(err.Error(), "Options.Outputs") {
		t.Errorf("got %v, want an error that asks for the outputs", err)
	}
	if _, err := infer(New(Options{Outputs: []string{"z"}}), binary(data), x); err == nil || !strings.Contains(err.Error(), `"z"`) {
		t.Errorf("got %v, want an error about z", err)
	}
}

// TestOptions passes options of the compiler through.
func TestOptions(t *testing.T) {
	data := encode(t, 17, &pb.GraphProto{Input: []*pb.ValueInfoProto{info("x", 2), info("k", 2)}, Output: []*pb.ValueInfoProto{info("y", 2)}, Node: []*pb.NodeProto{node("Mul", "x k", "y")}})
	opt := Options{Options: smpcc.Options{Parties: 3, Ranges: map[string][2]float64{"x": {-1, 1}}, Public: map[string]*ir.Tensor{"k": ir.Reals(ir.Shape{2}, 2, 3)}}}
	out, err := infer(New(opt), binary(data), dense32([]int{2}, 1, -1))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "y", out[0], []int{2}, []float32{2, -3})
	if _, err := infer(New(opt), binary(data), dense32([]int{2}, 1, -2)); err == nil || !strings.Contains(err.Error(), "-1..1") {
		t.Errorf("got %v, want an error about the range", err)
	}
}

// TestWeightsSet replaces a weight after a run.
func TestWeightsSet(t *testing.T) {
	data := encode(t, 17, &pb.GraphProto{Input: []*pb.ValueInfoProto{info("x", 2)}, Output: []*pb.ValueInfoProto{info("y", 2)}, Node: []*pb.NodeProto{node("Mul", "x w", "y")},
		Initializer: []*pb.TensorProto{floats("w", []int64{2}, 2, 3)}})
	b := New(Options{})
	model := onnx.NewModel(b)
	if err := model.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	if err := b.Run(); err == nil || !strings.Contains(err.Error(), "SetInput") {
		t.Errorf("got %v, want an error that the input has no data", err)
	}
	if err := model.SetInput(0, dense32([]int{2}, 1, 1)); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]float32{{2, 3}, {5, 7}} {
		if want[0] == 5 {
			w, _ := model.GetNodeByName("w")
			if err := w.(onnx.DataCarrier).SetTensor(dense32([]int{2}, want...)); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Run(); err != nil {
			t.Fatal(err)
		}
		out, err := model.GetOutputTensors()
		if err != nil {
			t.Fatal(err)
		}
		near(t, "y", out[0], []int{2}, want)
	}
	y, _ := model.GetNodeByName("y")
	if err := y.(onnx.DataCarrier).SetTensor(dense32([]int{2}, 0, 0)); err == nil {
		t.Error("an output can be set")
	}
	if err := model.UnmarshalBinary(data); err == nil {
		t.Error("a second model is accepted")
	}
}

// TestPanicsBecomeErrors has models on which onnx-go or gorgonia panic, and some that are no models.
func TestPanicsBecomeErrors(t *testing.T) {
	g := &pb.GraphProto{Input: []*pb.ValueInfoProto{info("x", -1, 2)}, Output: []*pb.ValueInfoProto{info("y", -1, 2)}, Node: []*pb.NodeProto{node("Relu", "x", "y")}}
	data, x := encode(t, 17, g), dense32([]int{1, 2}, -1, 2)
	if !panics(func() { _ = onnx.NewModel(New(Options{})).UnmarshalBinary(data) }) {
		t.Error("onnx-go no longer panics on a dimension of -1")
	}
	b := New(Options{})
	out, err := infer(b, own(data, b), x)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "y", out[0], []int{1, 2}, []float32{0, 2})

	for name, data := range map[string][]byte{
		"nothing": nil, "text": []byte("not a model"), "truncated": data[:len(data)-3],
		"no outputs": encode(t, 17, &pb.GraphProto{Node: g.Node}),
	} {
		if err := Unmarshal(data, onnx.NewModel(b), New(Options{})); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := Unmarshal(data, nil, New(Options{})); err == nil {
		t.Error("no model: no error")
	}
	for name, g := range map[string]*pb.GraphProto{
		"computed from itself": {Input: g.Input[:0], Output: []*pb.ValueInfoProto{info("y", 2)}, Node: []*pb.NodeProto{node("Add", "y y", "y")}},
		"undefined":            {Output: []*pb.ValueInfoProto{info("y", 2)}, Node: []*pb.NodeProto{node("Add", "a b", "y")}},
		"unknown operator":     {Input: []*pb.ValueInfoProto{info("x", 2)}, Output: []*pb.ValueInfoProto{info("y", 2)}, Node: []*pb.NodeProto{node("Nonsense", "x", "y")}},
		"undefined output":     {Input: []*pb.ValueInfoProto{info("x", 2)}, Output: []*pb.ValueInfoProto{info("z", 2)}, Node: []*pb.NodeProto{node("Relu", "x", "y")}},
		"defined twice":        {Input: []*pb.ValueInfoProto{info("x", 2)}, Output: []*pb.ValueInfoProto{info("y", 2)}, Node: []*pb.NodeProto{node("Relu", "x", "y"), node("Neg", "x", "y")}},
	} {
		data := encode(t, 17, g)
		var in []tensor.Tensor
		if len(g.Input) > 0 {
			in = append(in, dense32([]int{2}, 1, 2))
		}
		b, c := New(Options{}), New(Options{})
		for way, err := range map[string]error{"UnmarshalBinary": second(infer(b, binary(data), in...)), "Unmarshal": second(infer(c, own(data, c), in...))} {
			if err == nil || strings.Contains(err.Error(), "cannot be run") {
				t.Errorf("%s, %s: got error %v", name, way, err)
			}
		}
	}
	if err := New(Options{}).Run(); err == nil {
		t.Error("an empty backend runs")
	}
}

func second(_ []tensor.Tensor, err error) error { return err }

func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}

// TestBeyondOnnxGo reads with Unmarshal what onnx-go does not decode.
func TestBeyondOnnxGo(t *testing.T) {
	half := floats("h", []int64{2})
	half.FloatData, half.RawData = nil, []byte{0, 0x3c, 0, 0x40} // 1, 2
	half.DataType = pbInt32(pb.TensorProto_FLOAT16)
	cond := floats("c", nil)
	cond.FloatData, cond.Int32Data, cond.DataType = nil, []int32{1}, pbInt32(pb.TensorProto_BOOL)
	branch := func(name, op string) *pb.AttributeProto {
		return &pb.AttributeProto{Name: &name, Type: pb.AttributeProto_GRAPH.Enum(),
			G: &pb.GraphProto{Node: []*pb.NodeProto{node(op, "x", name)}, Output: []*pb.ValueInfoProto{info(name, 2)}}}
	}
	in, out := []*pb.ValueInfoProto{info("x", 2)}, []*pb.ValueInfoProto{info("y", 2)}
	for name, c := range map[string]struct {
		g    *pb.GraphProto
		want []float32
	}{
		"float16":  {&pb.GraphProto{Input: in, Output: out, Initializer: []*pb.TensorProto{half}, Node: []*pb.NodeProto{node("Add", "x h", "y")}}, []float32{-2, 6}},
		"subgraph": {&pb.GraphProto{Input: in, Output: out, Initializer: []*pb.TensorProto{cond}, Node: []*pb.NodeProto{node("If", "c", "y", branch("then_branch", "Neg"), branch("else_branch", "Relu"))}}, []float32{3, -4}},
		"empty": {&pb.GraphProto{Input: in, Output: out, Initializer: []*pb.TensorProto{floats("e", []int64{0})},
			Node: []*pb.NodeProto{node("Concat", "x e", "y", intAttr("axis", 0))}}, []float32{-3, 4}},
	} {
		data, x := encode(t, 17, c.g), dense32([]int{2}, -3, 4)
		if _, err := infer(New(Options{}), binary(data), x); err == nil {
			t.Errorf("%s: onnx-go decodes it now", name)
		}
		b := New(Options{})
		got, err := infer(b, own(data, b), x)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		near(t, name, got[0], []int{2}, c.want)
	}
}

// TestExternalData reads weights from a file beside the model.
func TestExternalData(t *testing.T) {
	dir := t.TempDir()
	w := &pb.TensorProto{Name: proto.String("w"), Dims: []int64{2}, DataType: pbInt32(pb.TensorProto_FLOAT), DataLocation: pb.TensorProto_EXTERNAL.Enum(),
		ExternalData: []*pb.StringStringEntryProto{{Key: proto.String("location"), Value: proto.String("weights")}}}
	data := encode(t, 17, &pb.GraphProto{Input: []*pb.ValueInfoProto{info("x", 2)}, Output: []*pb.ValueInfoProto{info("y", 2)}, Initializer: []*pb.TensorProto{w},
		Node: []*pb.NodeProto{node("Mul", "x w", "y")}})
	path := filepath.Join(dir, "model.onnx")
	for file, data := range map[string][]byte{path: data, filepath.Join(dir, "weights"): {0, 0, 0x40, 0x40, 0, 0, 0x80, 0x3f}} { // 3, 1
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := New(Options{})
	out, err := infer(b, func(m *onnx.Model) error { return UnmarshalFile(path, m, b) }, dense32([]int{2}, 2, 5))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "y", out[0], []int{2}, []float32{6, 5})
	b = New(Options{})
	if _, err := infer(b, own(data, b), dense32([]int{2}, 2, 5)); err == nil {
		t.Error("data of another file is found without a folder")
	}
}

func pbInt32(t pb.TensorProto_DataType) *int32 { n := int32(t); return &n }

// TestRegistrations checks that both descriptions of the ONNX format live in one program. They share a registry, which stops
// a program at its start if two register one name.
func TestRegistrations(t *testing.T) {
	for _, name := range []protoreflect.FullName{"onnx.ModelProto", "smpcc.onnx.ModelProto"} {
		if _, err := protoregistry.GlobalTypes.FindMessageByName(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExampleDiffersInOneLine compares the example with the program that it was: the import and the constructor.
func TestExampleDiffersInOneLine(t *testing.T) {
	a := strings.Split(string(mustRead(t, filepath.Join("example", "main.go"))), "\n")
	b := strings.Split(string(mustRead(t, filepath.Join("example", "before", "main.go"))), "\n")
	var differ []string
	for _, l := range a {
		if !slices.Contains(b, l) && !strings.HasPrefix(l, "//") {
			differ = append(differ, strings.TrimSpace(l))
		}
	}
	if want := []string{`"smpcc/frontend/onnxgo"`, "backend := onnxgo.New(onnxgo.Options{})"}; !slices.Equal(differ, want) {
		t.Errorf("the example's own lines are %q, want %q", differ, want)
	}
}
