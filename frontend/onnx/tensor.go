package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// maxFile bounds the size of a model, data or tensor file.
const maxFile = 2 << 30

// elemOf maps an ONNX data type to an element kind of the IR.
func elemOf(t int32) (ir.Elem, error) {
	switch pb.TensorProto_DataType(t) {
	case pb.TensorProto_FLOAT, pb.TensorProto_DOUBLE, pb.TensorProto_FLOAT16, pb.TensorProto_BFLOAT16:
		return ir.Real, nil
	case pb.TensorProto_INT8, pb.TensorProto_INT16, pb.TensorProto_INT32, pb.TensorProto_INT64,
		pb.TensorProto_UINT8, pb.TensorProto_UINT16, pb.TensorProto_UINT32, pb.TensorProto_UINT64:
		return ir.Int, nil
	case pb.TensorProto_BOOL:
		return ir.Bool, nil
	}
	return 0, badType(pb.TensorProto_DataType(t))
}

// kindOf is elemOf of what may also be text, which is held as integers.
func kindOf(t int32) (ir.Elem, error) {
	if pb.TensorProto_DataType(t) == pb.TensorProto_STRING {
		return ir.Int, nil
	}
	return elemOf(t)
}

// width returns the bytes an element takes in raw form.
func width(t pb.TensorProto_DataType) int {
	switch t {
	case pb.TensorProto_INT8, pb.TensorProto_UINT8, pb.TensorProto_BOOL:
		return 1
	case pb.TensorProto_FLOAT16, pb.TensorProto_BFLOAT16, pb.TensorProto_INT16, pb.TensorProto_UINT16:
		return 2
	case pb.TensorProto_FLOAT, pb.TensorProto_INT32, pb.TensorProto_UINT32:
		return 4
	}
	return 8
}

// decodeTensor returns the content of a TensorProto; external data is read from files inside dir.
func decodeTensor(t *pb.TensorProto, dir string) (*ir.Tensor, error) {
	e, err := kindOf(t.GetDataType())
	if err != nil {
		return nil, err
	}
	if len(t.Dims) > maxRank {
		return nil, fmt.Errorf("has %d dimensions, at most %d are allowed", len(t.Dims), maxRank)
	}
	shape := ir.Shape{}
	for _, d := range t.Dims {
		if d < 0 || d > math.MaxInt32 {
			return nil, fmt.Errorf("dimension %d is out of range", d)
		}
		shape = append(shape, int(d))
	}
	if err := ir.CheckShape(shape); err != nil {
		return nil, err
	}
	if t.Segment != nil {
		return nil, errors.New("tensor segments are not supported")
	}
	typ := pb.TensorProto_DataType(t.GetDataType())
	if typ == pb.TensorProto_STRING {
		return textTensor(t, shape)
	}
	size := shape.Size() * width(typ)
	raw := t.RawData
	if t.GetDataLocation() == pb.TensorProto_EXTERNAL {
		if dir == "" {
			return nil, errors.New("data is in another file, which only a model file can have")
		}
		if raw, err = external(t, dir, size); err != nil {
			return nil, err
		}
	}
	typed := len(t.FloatData) + len(t.DoubleData) + len(t.Int32Data) + len(t.Int64Data) + len(t.Uint64Data)
	switch {
	case typed > 0 && len(raw) > 0:
		return nil, errors.New("holds both raw and typed data")
	case typed > 0 || raw == nil:
		return typedTensor(t, typ, e, shape)
	case len(raw) != size:
		return nil, fmt.Errorf("holds %d bytes, shape %v of %v needs %d", len(raw), shape, typ, size)
	}
	return rawTensor(raw, typ, e, shape)
}

// smallest and largest values of the types that int32_data holds, except for the 16-bit floats, which travel as bits.
var int32Bounds = map[pb.TensorProto_DataType][2]int32{
	pb.TensorProto_INT8: {-1 << 7, 1<<7 - 1}, pb.TensorProto_UINT8: {0, 1<<8 - 1}, pb.TensorProto_INT16: {-1 << 15, 1<<15 - 1}, pb.TensorProto_UINT16: {0, 1<<16 - 1},
	pb.TensorProto_BOOL: {0, 1}, pb.TensorProto_FLOAT16: {0, 1<<16 - 1}, pb.TensorProto_BFLOAT16: {0, 1<<16 - 1}, pb.TensorProto_INT32: {math.MinInt32, math.MaxInt32},
}

// typedTensor reads the repeated field that belongs to the type.
func typedTensor(t *pb.TensorProto, typ pb.TensorProto_DataType, e ir.Elem, shape ir.Shape) (*ir.Tensor, error) {
	n := shape.Size()
	have := len(t.Int32Data) // small types travel there
	switch typ {
	case pb.TensorProto_FLOAT:
		have = len(t.FloatData)
	case pb.TensorProto_DOUBLE:
		have = len(t.DoubleData)
	case pb.TensorProto_INT64:
		have = len(t.Int64Data)
	case pb.TensorProto_UINT32, pb.TensorProto_UINT64:
		have = len(t.Uint64Data)
	}
	if have != n {
		return nil, fmt.Errorf("holds %d elements, shape %v needs %d", have, shape, n)
	}
	out := ir.NewTensor(e, shape)
	for i := range n {
		switch typ {
		case pb.TensorProto_FLOAT:
			out.F[i] = float64(t.FloatData[i])
		case pb.TensorProto_DOUBLE:
			out.F[i] = t.DoubleData[i]
		case pb.TensorProto_INT64:
			out.I[i] = t.Int64Data[i]
		case pb.TensorProto_UINT32, pb.TensorProto_UINT64:
			if x := t.Uint64Data[i]; x > math.MaxInt64 || typ == pb.TensorProto_UINT32 && x > math.MaxUint32 {
				return nil, fmt.Errorf("element %d does not fit %v, or not 63 bits", i, typ)
			}
			out.I[i] = int64(t.Uint64Data[i])
		default:
			x, bounds := t.Int32Data[i], int32Bounds[typ]
			if x < bounds[0] || x > bounds[1] {
				return nil, fmt.Errorf("element %d does not fit %v", i, typ)
			}
			if e == ir.Real {
				out.F[i] = halfFloat(uint16(x), typ)
			} else {
				out.I[i] = int64(x)
			}
		}
	}
	return out, nil
}

// textTensor reads strings.
func textTensor(t *pb.TensorProto, shape ir.Shape) (*ir.Tensor, error) {
	if len(t.StringData) != shape.Size() || len(t.RawData) > 0 || t.GetDataLocation() == pb.TensorProto_EXTERNAL {
		return nil, fmt.Errorf("holds %d strings, shape %v needs %d", len(t.StringData), shape, shape.Size())
	}
	out := ir.NewTensor(ir.Int, shape)
	out.Words = []string{}
	codes := map[string]int64{}
	for i, s := range t.StringData {
		k, ok := codes[string(s)]
		if !ok {
			if !utf8.Valid(s) {
				return nil, fmt.Errorf("string %d is not UTF-8", i)
			}
			k = int64(len(out.Words))
			codes[string(s)] = k
			out.Words = append(out.Words, string(s))
		}
		out.I[i] = k
	}
	return out, nil
}

// Half reads float16.
func Half(h uint16) float64 { return halfFloat(h, pb.TensorProto_FLOAT16) }

// halfFloat reads float16 or bfloat16.
func halfFloat(h uint16, typ pb.TensorProto_DataType) float64 {
	if typ == pb.TensorProto_BFLOAT16 {
		return float64(math.Float32frombits(uint32(h) << 16))
	}
	sign := 1.0
	if h>>15 != 0 {
		sign = -1
	}
	exp, frac := int(h>>10&31), float64(h&1023)
	switch exp {
	case 0:
		return sign * math.Ldexp(frac, -24)
	case 31:
		if frac != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+frac, exp-25)
}

// rawTensor reads little-endian elements.
func rawTensor(raw []byte, typ pb.TensorProto_DataType, e ir.Elem, shape ir.Shape) (*ir.Tensor, error) {
	out := ir.NewTensor(e, shape)
	le := binary.LittleEndian
	for i := range out.Len() {
		switch typ {
		case pb.TensorProto_FLOAT:
			out.F[i] = float64(math.Float32frombits(le.Uint32(raw[4*i:])))
		case pb.TensorProto_DOUBLE:
			out.F[i] = math.Float64frombits(le.Uint64(raw[8*i:]))
		case pb.TensorProto_FLOAT16, pb.TensorProto_BFLOAT16:
			out.F[i] = halfFloat(le.Uint16(raw[2*i:]), typ)
		case pb.TensorProto_INT8:
			out.I[i] = int64(int8(raw[i]))
		case pb.TensorProto_UINT8:
			out.I[i] = int64(raw[i])
		case pb.TensorProto_BOOL:
			if raw[i] != 0 {
				out.I[i] = 1
			}
		case pb.TensorProto_INT16:
			out.I[i] = int64(int16(le.Uint16(raw[2*i:])))
		case pb.TensorProto_UINT16:
			out.I[i] = int64(le.Uint16(raw[2*i:]))
		case pb.TensorProto_INT32:
			out.I[i] = int64(int32(le.Uint32(raw[4*i:])))
		case pb.TensorProto_UINT32:
			out.I[i] = int64(le.Uint32(raw[4*i:]))
		default:
			x := le.Uint64(raw[8*i:])
			if typ == pb.TensorProto_UINT64 && x > math.MaxInt64 {
				return nil, fmt.Errorf("element %d does not fit 63 bits", i)
			}
			out.I[i] = int64(x)
		}
	}
	return out, nil
}

// external reads a tensor's bytes from a file next to the model. Paths that leave the model's directory are refused, by
// name and by symbolic link alike.
func external(t *pb.TensorProto, dir string, size int) ([]byte, error) {
	var location string
	offset, length := int64(0), int64(size)
	for _, kv := range t.ExternalData {
		var err error
		switch kv.GetKey() {
		case "location":
			location = kv.GetValue()
		case "offset":
			offset, err = strconv.ParseInt(kv.GetValue(), 10, 64)
		case "length":
			length, err = strconv.ParseInt(kv.GetValue(), 10, 64)
		}
		if err != nil {
			return nil, fmt.Errorf("external data: %s=%q is not a number", kv.GetKey(), short(kv.GetValue()))
		}
	}
	if !filepath.IsLocal(location) {
		return nil, fmt.Errorf("external data %q is not inside the model's directory", short(location))
	}
	if length != int64(size) || offset < 0 {
		return nil, fmt.Errorf("external data has %d bytes at %d, the tensor needs %d", length, offset, size)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	st, err := root.Stat(location) // before opening: opening a pipe would wait
	if err != nil {
		return nil, fmt.Errorf("external data: %w", err)
	}
	if !st.Mode().IsRegular() || offset > st.Size()-length {
		return nil, fmt.Errorf("external data %q does not hold %d bytes at %d", short(location), length, offset)
	}
	f, err := root.Open(location)
	if err != nil {
		return nil, fmt.Errorf("external data: %w", err)
	}
	defer f.Close()
	buf := make([]byte, size)
	if _, err := f.ReadAt(buf, offset); err != nil && !(errors.Is(err, io.EOF) && size == 0) {
		return nil, fmt.Errorf("external data %q: %w", short(location), err)
	}
	return buf, nil
}

// DecodeTensor reads a serialised TensorProto and returns the tensor and its name.
func DecodeTensor(data []byte) (*ir.Tensor, string, error) {
	var t pb.TensorProto
	if err := proto.Unmarshal(data, &t); err != nil {
		return nil, "", errors.New("not an ONNX tensor")
	}
	out, err := decodeTensor(&t, "")
	return out, t.GetName(), err
}

// ReadTensor reads an ONNX tensor file (.pb).
func ReadTensor(path string) (*ir.Tensor, string, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, "", err
	}
	t, name, err := DecodeTensor(data)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	return t, name, nil
}

// WriteTensor writes an ONNX tensor file: float for reals, int64 for integers, bool for bits.
func WriteTensor(path, name string, t *ir.Tensor) error {
	if err := t.Check(); err != nil {
		return err
	}
	p := &pb.TensorProto{Name: &name, RawData: []byte{}}
	for _, d := range t.Shape {
		p.Dims = append(p.Dims, int64(d))
	}
	if t.Words != nil {
		p.RawData = nil
		for _, k := range t.I {
			p.StringData = append(p.StringData, []byte(t.Words[k]))
		}
		p.DataType = proto.Int32(int32(pb.TensorProto_STRING))
		return writeProto(path, p)
	}
	typ := map[ir.Elem]pb.TensorProto_DataType{ir.Real: pb.TensorProto_FLOAT, ir.Bool: pb.TensorProto_BOOL, ir.Int: pb.TensorProto_INT64}[t.Elem]
	if typ == pb.TensorProto_UNDEFINED {
		return fmt.Errorf("a %v tensor has no ONNX form", t.Elem)
	}
	for i := range t.Len() {
		switch t.Elem {
		case ir.Real:
			p.RawData = binary.LittleEndian.AppendUint32(p.RawData, math.Float32bits(float32(t.F[i])))
		case ir.Bool:
			p.RawData = append(p.RawData, byte(t.I[i]))
		default:
			p.RawData = binary.LittleEndian.AppendUint64(p.RawData, uint64(t.I[i]))
		}
	}
	p.DataType = proto.Int32(int32(typ))
	return writeProto(path, p)
}

// writeProto writes an ONNX tensor file.
func writeProto(path string, p *pb.TensorProto) error {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// readFile reads a regular file of at most maxFile bytes.
func readFile(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxFile {
		return nil, fmt.Errorf("%s: not a file of at most %d bytes", path, maxFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, st.Size())
	if _, err := io.ReadFull(f, buf); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return buf, nil
}
