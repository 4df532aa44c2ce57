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
	case pb.TensorProto_INT8, pb.TensorProto_INT16, pb.TensorProto_INT32, pb.TensorProto_INT64, pb.TensorProto_UINT8, pb.TensorProto_UINT16, pb.TensorProto_UINT32, pb.TensorProto_UINT64:
		return ir.Int, nil
	case pb.TensorProto_BOOL:
		return ir.Bool, nil
	}
	return 0, fmt.Errorf("data type %v is not supported", pb.TensorProto_DataType(t))
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
	e, err := elemOf(t.GetDataType())
	if err != nil {
		return nil, err
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
	n := shape.Size()
	typ := pb.TensorProto_DataType(t.GetDataType())
	raw := t.RawData
	if t.GetDataLocation() == pb.TensorProto_EXTERNAL {
		if dir == "" {
			return nil, errors.New("external data needs a model file")
		}
		if raw, err = external(t, dir, n*width(typ)); err != nil {
			return nil, err
		}
	}
	if raw != nil {
		if len(raw) != n*width(typ) {
			return nil, fmt.Errorf("holds %d bytes, shape %v of %v needs %d", len(raw), shape, typ, n*width(typ))
		}
		return rawTensor(raw, typ, e, shape)
	}
	out := &ir.Tensor{Elem: e, Shape: shape}
	bad := func(have int) (*ir.Tensor, error) {
		return nil, fmt.Errorf("holds %d elements, shape %v needs %d", have, shape, n)
	}
	switch typ {
	case pb.TensorProto_FLOAT:
		if len(t.FloatData) != n {
			return bad(len(t.FloatData))
		}
		out.F = make([]float64, n)
		for i, x := range t.FloatData {
			out.F[i] = float64(x)
		}
	case pb.TensorProto_DOUBLE:
		if len(t.DoubleData) != n {
			return bad(len(t.DoubleData))
		}
		out.F = append([]float64{}, t.DoubleData...)
	case pb.TensorProto_INT64:
		if len(t.Int64Data) != n {
			return bad(len(t.Int64Data))
		}
		out.I = append([]int64{}, t.Int64Data...)
	case pb.TensorProto_UINT32, pb.TensorProto_UINT64:
		if len(t.Uint64Data) != n {
			return bad(len(t.Uint64Data))
		}
		out.I = make([]int64, n)
		for i, x := range t.Uint64Data {
			if x > math.MaxInt64 {
				return nil, fmt.Errorf("element %d does not fit 63 bits", i)
			}
			out.I[i] = int64(x)
		}
	default: // small types travel in int32_data
		if len(t.Int32Data) != n {
			return bad(len(t.Int32Data))
		}
		if e == ir.Real {
			out.F = make([]float64, n)
			for i, x := range t.Int32Data {
				out.F[i] = halfFloat(uint16(x), typ)
			}
			break
		}
		out.I = make([]int64, n)
		for i, x := range t.Int32Data {
			out.I[i] = int64(x)
			if e == ir.Bool && x != 0 {
				out.I[i] = 1
			}
		}
	}
	return out, nil
}

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
			return nil, fmt.Errorf("external data: %s=%q is not a number", kv.GetKey(), kv.GetValue())
		}
	}
	if !filepath.IsLocal(location) {
		return nil, fmt.Errorf("external data %q is not inside the model's directory", location)
	}
	if length != int64(size) || offset < 0 {
		return nil, fmt.Errorf("external data has %d bytes at %d, the tensor needs %d", length, offset, size)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(location)
	if err != nil {
		return nil, fmt.Errorf("external data: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() < offset+length {
		return nil, fmt.Errorf("external data %q does not hold %d bytes at %d", location, length, offset)
	}
	buf := make([]byte, size)
	if _, err := f.ReadAt(buf, offset); err != nil && !(errors.Is(err, io.EOF) && size == 0) {
		return nil, fmt.Errorf("external data %q: %w", location, err)
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
	p := &pb.TensorProto{Name: &name}
	for _, d := range t.Shape {
		p.Dims = append(p.Dims, int64(d))
	}
	typ := pb.TensorProto_INT64
	for i := range t.Len() {
		switch t.Elem {
		case ir.Real:
			typ = pb.TensorProto_FLOAT
			p.RawData = binary.LittleEndian.AppendUint32(p.RawData, math.Float32bits(float32(t.F[i])))
		case ir.Bool:
			typ = pb.TensorProto_BOOL
			p.RawData = append(p.RawData, byte(t.I[i]))
		default:
			p.RawData = binary.LittleEndian.AppendUint64(p.RawData, uint64(t.I[i]))
		}
	}
	p.DataType = proto.Int32(int32(typ))
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// readFile reads a file of at most maxFile bytes.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxFile {
		return nil, fmt.Errorf("%s: not a file of at most %d bytes", path, maxFile)
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}
