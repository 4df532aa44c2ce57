package onnx

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

func typed(typ pb.TensorProto_DataType, dims ...int64) *pb.TensorProto {
	return &pb.TensorProto{DataType: proto.Int32(int32(typ)), Dims: dims}
}

// with sets fields of a tensor.
func with(p *pb.TensorProto, f func(p *pb.TensorProto)) *pb.TensorProto { f(p); return p }

func TestDecodeTensor(t *testing.T) {
	raw := func(b ...byte) func(p *pb.TensorProto) { return func(p *pb.TensorProto) { p.RawData = b } }
	int32s := func(x ...int32) func(p *pb.TensorProto) { return func(p *pb.TensorProto) { p.Int32Data = x } }
	for _, c := range []struct {
		name string
		p    *pb.TensorProto
		want *ir.Tensor // nil for an error
		err  string
	}{
		{"float raw", with(typed(pb.TensorProto_FLOAT, 1), raw(0, 0, 0xc0, 0xbf)), reals(dims(1), -1.5), ""},
		{"float", with(typed(pb.TensorProto_FLOAT), func(p *pb.TensorProto) { p.FloatData = []float32{0.1} }), num(float64(float32(0.1))), ""},
		{"double raw", with(typed(pb.TensorProto_DOUBLE, 1), raw(0, 0, 0, 0, 0, 0, 0xf0, 0x3f)), reals(dims(1), 1), ""},
		{"float16 raw", with(typed(pb.TensorProto_FLOAT16, 6), raw(0, 0x3c, 0, 0xc0, 1, 0, 0xff, 0x7b, 0, 0x7c, 0, 0x80)), reals(dims(6), 1, -2, 0x1p-24, 65504, math.Inf(1), 0), ""},
		{"float16", with(typed(pb.TensorProto_FLOAT16, 2), int32s(0x3c00, 0x7e00)), reals(dims(2), 1, math.NaN()), ""},
		{"bfloat16 raw", with(typed(pb.TensorProto_BFLOAT16, 2), raw(0x80, 0x3f, 0, 0xc0)), reals(dims(2), 1, -2), ""},
		{"int8 raw", with(typed(pb.TensorProto_INT8, 2), raw(255, 127)), list(-1, 127), ""},
		{"uint8 raw", with(typed(pb.TensorProto_UINT8, 2), raw(255, 127)), list(255, 127), ""},
		{"int16 raw", with(typed(pb.TensorProto_INT16, 1), raw(0xfe, 0xff)), list(-2), ""},
		{"uint16 raw", with(typed(pb.TensorProto_UINT16, 1), raw(0xfe, 0xff)), list(0xfffe), ""},
		{"int32 raw", with(typed(pb.TensorProto_INT32, 1), raw(0xfe, 0xff, 0xff, 0xff)), list(-2), ""},
		{"uint32 raw", with(typed(pb.TensorProto_UINT32, 1), raw(0xfe, 0xff, 0xff, 0xff)), list(0xfffffffe), ""},
		{"int64", with(typed(pb.TensorProto_INT64, 1), func(p *pb.TensorProto) { p.Int64Data = []int64{math.MinInt64} }), list(math.MinInt64), ""},
		{"uint64", with(typed(pb.TensorProto_UINT64, 1), func(p *pb.TensorProto) { p.Uint64Data = []uint64{5} }), list(5), ""},
		{"uint32", with(typed(pb.TensorProto_UINT32, 1), func(p *pb.TensorProto) { p.Uint64Data = []uint64{5} }), list(5), ""},
		{"bool raw", with(typed(pb.TensorProto_BOOL, 3), raw(0, 1, 2)), bools(dims(3), 0, 1, 1), ""},
		{"bool", with(typed(pb.TensorProto_BOOL, 2), int32s(0, 1)), bools(dims(2), 0, 1), ""},
		{"empty", typed(pb.TensorProto_FLOAT, 0, 3), reals(dims(0, 3)), ""},

		{"uint64 too large", with(typed(pb.TensorProto_UINT64, 1), func(p *pb.TensorProto) { p.Uint64Data = []uint64{1 << 63} }), nil, "63 bits"},
		{"uint64 raw too large", with(typed(pb.TensorProto_UINT64, 1), raw(0, 0, 0, 0, 0, 0, 0, 128)), nil, "63 bits"},
		{"int8 out of range", with(typed(pb.TensorProto_INT8, 1), int32s(128)), nil, "does not fit INT8"},
		{"bool out of range", with(typed(pb.TensorProto_BOOL, 1), int32s(2)), nil, "does not fit BOOL"},
		{"missing data", typed(pb.TensorProto_FLOAT, 2), nil, "holds 0 elements, shape [2] needs 2"},
		{"missing much data", typed(pb.TensorProto_FLOAT, 1<<27), nil, "holds 0 elements"},
		{"short data", with(typed(pb.TensorProto_FLOAT, 2), raw(0, 0, 0, 0)), nil, "holds 4 bytes, shape [2] of FLOAT needs 8"},
		{"long data", with(typed(pb.TensorProto_BOOL, 2), raw(0, 0, 0)), nil, "holds 3 bytes, shape [2] of BOOL needs 2"},
		{"two sources", with(with(typed(pb.TensorProto_INT32, 1), raw(0, 0, 0, 0)), int32s(1)), nil, "both raw and typed"},
		{"negative dimension", typed(pb.TensorProto_FLOAT, -1), nil, "dimension -1 is out of range"},
		{"overflowing dimensions", typed(pb.TensorProto_FLOAT, 1<<31-1, 1<<31-1, 1<<31-1), nil, "more than"},
		{"huge dimension", typed(pb.TensorProto_FLOAT, math.MaxInt64), nil, "out of range"},
		{"many dimensions", typed(pb.TensorProto_FLOAT, make([]int64, 40)...), nil, "has 40 dimensions"},
		{"no strings", typed(pb.TensorProto_STRING, 1), nil, "holds 0 strings, shape [1] needs 1"},
		{"strings that are none", with(typed(pb.TensorProto_STRING, 1), func(p *pb.TensorProto) { p.StringData = [][]byte{{0xff}} }), nil, "string 0 is not UTF-8"},
		{"complex", typed(pb.TensorProto_COMPLEX64, 1), nil, "data type COMPLEX64 is not supported"},
		{"no type", typed(0, 1), nil, "data type UNDEFINED is not supported"},
		{"unknown type", typed(99, 1), nil, "data type 99 is not supported"},
		{"segment", with(typed(pb.TensorProto_FLOAT), func(p *pb.TensorProto) { p.Segment = &pb.TensorProto_Segment{} }), nil, "segments are not supported"},
		{"external", with(typed(pb.TensorProto_FLOAT), func(p *pb.TensorProto) { p.DataLocation = pb.TensorProto_EXTERNAL.Enum() }), nil, "data is in another file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.p.Name = proto.String("t")
			data, err := proto.Marshal(c.p)
			if err != nil {
				t.Fatal(err)
			}
			got, name, err := DecodeTensor(data)
			if c.want == nil {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, want an error with %q", err, c.err)
				}
				return
			}
			if err != nil || name != "t" {
				t.Fatalf("name %q, error %v", name, err)
			}
			if err := near(got, c.want, 0); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWriteTensor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.pb")
	for _, x := range []*ir.Tensor{row3, num(0.25), list(math.MinInt64, 7), bools(dims(2, 1), 1, 0), reals(dims(0, 2)), ints(dims(0)), bools(dims(0))} {
		if err := WriteTensor(path, "name", x); err != nil {
			t.Fatal(err)
		}
		got, name, err := ReadTensor(path)
		if err != nil || name != "name" {
			t.Fatalf("%v: name %q, error %v", x, name, err)
		}
		if err := near(got, x, 0); err != nil {
			t.Errorf("%v: %v", x, err)
		}
	}
	if err := WriteTensor(path, "ring", &ir.Tensor{Elem: ir.Ring, Shape: dims(1), I: []int64{1}}); err == nil {
		t.Error("a ring tensor was written")
	}
	if err := WriteTensor(path, "short", &ir.Tensor{Elem: ir.Int, Shape: dims(2), I: []int64{1}}); err == nil {
		t.Error("a malformed tensor was written")
	}
	if _, _, err := ReadTensor(filepath.Join(t.TempDir(), "none.pb")); err == nil {
		t.Error("a file that is not there was read")
	}
	if _, _, err := ReadTensor(t.TempDir()); err == nil {
		t.Error("a directory was read")
	}
}

// TestExternalData reads weights from a second file, and nothing outside of the model's directory.
func TestExternalData(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	raw := []byte{9, 9, 9, 9, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40} // 4 bytes of something else, then 1, 2, 3
	for _, path := range []string{filepath.Join(dir, "w.bin"), filepath.Join(dir, "..", "outside.bin")} {
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOOS != "windows" {
		if err := os.Symlink("../outside.bin", filepath.Join(dir, "link.bin")); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ location, offset, length, err string }{
		{"w.bin", "4", "12", ""},
		{"w.bin", "4", "", ""},
		{"sub/../w.bin", "4", "", "no such file"},
		{"../outside.bin", "4", "12", "is not inside the model's directory"},
		{filepath.Join(dir, "w.bin"), "4", "12", "is not inside the model's directory"},
		{"link.bin", "4", "12", "escapes"},
		{".", "4", "12", "does not hold"},
		{"none.bin", "4", "12", "no such file"},
		{"", "4", "12", "is not inside the model's directory"},
		{"w.bin", "8", "12", "does not hold 12 bytes at 8"},
		{"w.bin", "9223372036854775807", "12", "does not hold"},
		{"w.bin", "-4", "12", "has 12 bytes at -4"},
		{"w.bin", "4", "8", "has 8 bytes at 4, the tensor needs 12"},
		{"w.bin", "4", "x", "is not a number"},
	} {
		p := typed(pb.TensorProto_FLOAT, 3)
		p.Name = proto.String("w")
		p.DataLocation = pb.TensorProto_EXTERNAL.Enum()
		for k, v := range map[string]string{"location": c.location, "offset": c.offset, "length": c.length} {
			if v != "" || k == "location" {
				p.ExternalData = append(p.ExternalData, &pb.StringStringEntryProto{Key: proto.String(k), Value: proto.String(v)})
			}
		}
		g := withInput(graph("y", nd("Add", "x w", "y")))
		g.Initializer = append(g.Initializer, p)
		path := filepath.Join(dir, "m.onnx")
		if err := os.WriteFile(path, encode(t, modelOf(17, g)), 0o644); err != nil {
			t.Fatal(err)
		}
		m, err := Load(path, Options{})
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: got %v", c, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if err := near(m.Weights["w"], reals(dims(3), 1, 2, 3), 0); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestBfloat16Words checks that data of a bfloat16 port may come as the integers that hold its bits.
func TestBfloat16Words(t *testing.T) {
	p := InputInfo{Name: "x", Elem: ir.Real, half: true}
	if err := near(p.Data(list(0x3f80, 0xc040, 0)), reals(dims(3), 1, -3, 0), 0); err != nil {
		t.Error(err)
	}
	if p.Data(row3) != row3 || (InputInfo{Elem: ir.Int}).Data(list(1)).Elem != ir.Int {
		t.Error("other data changed")
	}
}
