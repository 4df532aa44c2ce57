package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"codeberg.org/sbinet/npyio"

	"smpcc/frontend/onnx"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// Limits on data files.
const (
	maxData   = 1 << 30 // bytes
	maxPixels = 1 << 26
	maxRatio  = 10_000 // pixels for each byte of a file; compression reaches 8256 at best, with pixels of one bit
)

// dataSize returns the size of a file of data, and refuses what is none or too large.
func dataSize(path string) (int64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxData {
		return 0, fmt.Errorf("not a file of at most %d bytes", maxData)
	}
	return st.Size(), nil
}

// readTensor reads a data file by its extension. Images become [1,C,H,W], CSV [rows,columns], JSON what it nests.
func readTensor(path string, pre preprocessing) (t *ir.Tensor, err error) {
	defer func() { // a decoder that trips over a malformed file must not take the program down
		if r := recover(); r != nil {
			t, err = nil, errors.New("malformed file")
		}
		if err == nil {
			err = finite(t)
		}
		if err != nil {
			t, err = nil, inPath(path, err)
		}
	}()
	size, err := dataSize(path)
	if err != nil {
		return nil, err
	}
	ext := strings.ToLower(filepath.Ext(path))
	if ext == ".pb" {
		t, _, err := onnx.ReadTensor(path)
		return t, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	switch ext {
	case ".npy":
		data, err := io.ReadAll(io.LimitReader(f, maxData))
		if err != nil {
			return nil, err
		}
		return readNpy(data)
	case ".npz":
		return readNpz(f, size)
	case ".csv":
		if pre.text {
			return readCSVText(f)
		}
		return readCSV(f, pre)
	case ".json":
		return readJSON(f)
	case ".png", ".jpg", ".jpeg":
		return readImage(f, size, pre)
	}
	return nil, fmt.Errorf("unknown kind of file %q; data comes as .npy, .npz, .pb, .csv, .json, .png or .jpg", ext)
}

// inPath says in an error which file it is about.
func inPath(path string, err error) error {
	var d *diag.Error
	if errors.As(err, &d) && d.Pos.IsZero() {
		d.Pos.File = path
		return d
	}
	return diag.Errorf(diag.Pos{File: path}, "%v", trimPath(path, err))
}

// trimPath removes the path from an error that names it, since the diagnosis begins with it.
func trimPath(path string, err error) string {
	s := err.Error()
	for _, p := range []string{"open " + path + ": ", "stat " + path + ": ", path + ": "} {
		s = strings.ReplaceAll(s, p, "")
	}
	return s
}

// finite returns an error for the first element that is infinite. One that is NaN is missing, which models may know.
func finite(t *ir.Tensor) error {
	for i, x := range t.F {
		if math.IsInf(x, 0) {
			return fmt.Errorf("element %d is not a finite number", i)
		}
	}
	return nil
}

// elements are the kinds of elements that .npy files may have. Others, such as pickled objects, never reach the decoder.
var elements = regexp.MustCompile(`^'[<>=|]?(b1|[iu][1248]|f[248])'$`)

// readNpy reads an array. The decoder allocates what a header says and takes the end of the file for zeros, so that header
// and size are checked before.
func readNpy(file []byte) (*ir.Tensor, error) {
	if len(file) >= 12 && file[6] > 1 {
		if n := int64(binary.LittleEndian.Uint32(file[8:])); n > int64(len(file)) {
			return nil, fmt.Errorf("not a .npy file: header of %d bytes in a file of %d", n, len(file))
		}
	}
	r := bytes.NewReader(file)
	n, err := npyio.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("not a .npy file: %v", err)
	}
	d := n.Header.Descr
	if d.Fortran {
		return nil, errors.New("array is in Fortran order; save it in C order (numpy.ascontiguousarray)")
	}
	shape := ir.Shape(append([]int{}, d.Shape...))
	if err := ir.CheckShape(shape); err != nil {
		return nil, err
	}
	if elements.MatchString(d.Type) && strings.HasSuffix(d.Type, "f2'") { // which the decoder does not know
		return readHalves(r, shape, d.Type)
	}
	typ := npyio.TypeFrom(d.Type)
	if typ == nil || !elements.MatchString(d.Type) {
		return nil, fmt.Errorf("elements of type %s are not supported", d.Type)
	}
	if need := int64(shape.Size()) * int64(typ.Size()); int64(r.Len()) != need {
		return nil, fmt.Errorf("holds %d bytes of data, %d elements of %s need %d", r.Len(), shape.Size(), d.Type, need)
	}
	data := reflect.New(reflect.SliceOf(typ))
	if err := n.Read(data.Interface()); err != nil {
		return nil, err
	}
	s := data.Elem()
	if s.Len() != shape.Size() {
		return nil, fmt.Errorf("holds %d elements, shape %v needs %d", s.Len(), shape, shape.Size())
	}
	e := ir.Int
	switch typ.Kind() {
	case reflect.Float32, reflect.Float64:
		e = ir.Real
	case reflect.Bool:
		e = ir.Bool
	}
	t := ir.NewTensor(e, shape)
	for i := range s.Len() {
		switch x := s.Index(i); {
		case x.CanFloat():
			t.F[i] = x.Float()
		case x.CanInt():
			t.I[i] = x.Int()
		case x.CanUint():
			if x.Uint() > math.MaxInt64 {
				return nil, fmt.Errorf("element %d does not fit 63 bits", i)
			}
			t.I[i] = int64(x.Uint())
		case x.Kind() == reflect.Bool:
			if x.Bool() {
				t.I[i] = 1
			}
		default:
			return nil, fmt.Errorf("elements of type %q are not supported", d.Type)
		}
	}
	return t, nil
}

// readHalves reads float16.
func readHalves(r *bytes.Reader, shape ir.Shape, typ string) (*ir.Tensor, error) {
	if need := 2 * int64(shape.Size()); int64(r.Len()) != need {
		return nil, fmt.Errorf("holds %d bytes of data, %d elements of %s need %d", r.Len(), shape.Size(), typ, need)
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if strings.Contains(typ, ">") {
		order = binary.BigEndian
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	t := ir.NewTensor(ir.Real, shape)
	for i := range t.F {
		t.F[i] = onnx.Half(order.Uint16(data[2*i:]))
	}
	return t, nil
}

// readNpz reads the only array of an archive.
func readNpz(f io.ReaderAt, size int64) (*ir.Tensor, error) {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return nil, err
	}
	if len(z.File) != 1 {
		return nil, fmt.Errorf("holds %d arrays, want one", len(z.File))
	}
	return readMember(z.File[0])
}

// readMember reads one array of an archive.
func readMember(f *zip.File) (*ir.Tensor, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxData+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxData {
		return nil, fmt.Errorf("array has more than %d bytes", maxData)
	}
	return readNpy(data)
}

// missing are the cells of a table that stand for a value that is not there.
var missing = []string{"", "nan", "na", "n/a", "null", "none", "?"}

// textTensor returns a tensor of strings.
func textTensor(shape ir.Shape, list []string) *ir.Tensor {
	t := ir.NewTensor(ir.Int, shape)
	t.Words = []string{}
	code := map[string]int64{}
	for i, s := range list {
		k, ok := code[s]
		if !ok {
			k = int64(len(t.Words))
			code[s] = k
			t.Words = append(t.Words, s)
		}
		t.I[i] = k
	}
	return t
}

// readCSVText reads strings, also in the first line.
func readCSVText(f io.Reader) (*ir.Tensor, error) {
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errors.New("holds no text")
	}
	return textTensor(ir.Shape{len(rows), len(rows[0])}, slices.Concat(rows...)), nil
}

// readCSV reads numbers in rows. A cell that is empty, or says so, is a missing value.
func readCSV(f io.Reader, pre preprocessing) (*ir.Tensor, error) {
	t, err := splitCSV(f, pre.csv)
	if err != nil {
		return nil, err
	}
	return t.columns(t.all(), pre.elem, pre.strict)
}

// readJSON reads numbers or booleans, in lists of one depth.
func readJSON(f io.Reader) (*ir.Tensor, error) {
	var x any
	if err := decodeJSON(f, &x); err != nil {
		return nil, err
	}
	n, err := nest(x)
	if err != nil {
		return nil, err
	}
	return n.tensor()
}

// decodeJSON reads one value, whose numbers keep their digits.
func decodeJSON(f io.Reader, x any) error {
	d := json.NewDecoder(f)
	d.UseNumber()
	if err := d.Decode(x); err != nil {
		return fmt.Errorf("not JSON: %v", err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return errors.New("not JSON: more than one value")
	}
	return nil
}

// A nested is the content of nested lists: numbers as they are written, or booleans as 0 and 1.
type nested struct {
	shape ir.Shape
	words []string
	bools bool
	text  bool // words are strings
	gaps  bool // some are null
}

// nest flattens what a JSON value nests.
func nest(x any) (nested, error) {
	n := nested{shape: ir.Shape{}, bools: true}
	for y := x; ; {
		l, ok := y.([]any)
		if !ok {
			break
		}
		n.shape = append(n.shape, len(l))
		if len(l) == 0 {
			break
		}
		y = l[0]
	}
	if err := ir.CheckShape(n.shape); err != nil {
		return n, err
	}
	flags, numbers := false, false
	var walk func(y any, s ir.Shape) error
	walk = func(y any, s ir.Shape) error {
		if l, ok := y.([]any); ok {
			if len(s) == 0 || len(l) != s[0] {
				return errors.New("lists are not of one length")
			}
			for _, z := range l {
				if err := walk(z, s[1:]); err != nil {
					return err
				}
			}
			return nil
		}
		if len(s) != 0 {
			return errors.New("lists are not of one depth")
		}
		switch v := y.(type) {
		case json.Number:
			n.bools, numbers = false, true
			n.words = append(n.words, v.String())
		case bool:
			n.words = append(n.words, map[bool]string{false: "0", true: "1"}[v])
			flags = true
		case string:
			n.bools, n.text = false, true
			n.words = append(n.words, v)
		case nil:
			n.bools, n.gaps = false, true
			n.words = append(n.words, "nan")
		default:
			return errors.New("want numbers, booleans or strings, in lists")
		}
		return nil
	}
	err := walk(x, n.shape)
	if err == nil && n.text && (flags || numbers || n.gaps) {
		err = errors.New("strings and others are mixed")
	}
	return n, err
}

// tensor returns booleans, integers if all are, or reals.
func (n nested) tensor() (*ir.Tensor, error) {
	if n.text {
		return textTensor(n.shape, n.words), nil
	}
	ints := ir.NewTensor(ir.Int, n.shape)
	if n.bools {
		ints.Elem = ir.Bool
	}
	whole := true
	for i, w := range n.words {
		x, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			whole = false
			break
		}
		ints.I[i] = x
	}
	if whole {
		return ints, nil
	}
	t := ir.NewTensor(ir.Real, n.shape)
	for i, w := range n.words {
		x, err := strconv.ParseFloat(w, 64)
		if err != nil {
			return nil, fmt.Errorf("element %d is out of range", i)
		}
		t.F[i] = x
	}
	return t, nil
}

// fit reshapes data to the dimensions a model declares where only ones are missing or joined: [28,28] to [N,1,28,28], a
// CSV row to a vector, a table to a batch.
func fit(t *ir.Tensor, dims []string) *ir.Tensor {
	known, unknown := 1, -1
	want := make(ir.Shape, len(dims))
	for i, d := range dims {
		n, err := strconv.Atoi(d)
		switch {
		case err == nil:
			want[i] = n
			known *= n
		case unknown >= 0:
			return t
		default:
			unknown = i
		}
	}
	if len(t.Shape) == len(dims) {
		same := true
		for i := range dims {
			same = same && (i == unknown || t.Shape[i] == want[i])
		}
		if same {
			return t
		}
	}
	if unknown >= 0 {
		if known == 0 || t.Len()%known != 0 {
			return t
		}
		want[unknown] = t.Len() / known
	}
	if want.Size() != t.Len() {
		return t
	}
	squeeze := func(s ir.Shape) (out ir.Shape) {
		for _, d := range s {
			if d != 1 {
				out = append(out, d)
			}
		}
		return out
	}
	if !squeeze(want).Equal(squeeze(t.Shape)) {
		return t
	}
	return &ir.Tensor{Elem: t.Elem, Shape: want, F: t.F, I: t.I, Words: t.Words}
}

// weightsFile names the file that holds an owner's weights of a plan.
func weightsFile(plan, owner string) string { return plan + "." + owner + ".weights.npz" }

// writeWeights writes one archive per owner next to the plan, readable by its user only.
func writeWeights(path string, tensors map[string]*ir.Tensor) error {
	tmp := path + ".part"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := zip.NewWriter(f)
	var errs error
	for _, n := range sortedKeys(tensors) {
		m, err := w.CreateHeader(&zip.FileHeader{Name: n + ".npy", Method: zip.Store}) // weights do not compress
		if t := tensors[n]; err == nil && t.Elem == ir.Real {
			err = npyio.Write(m, t.F)
		} else if err == nil {
			err = npyio.Write(m, t.I)
		}
		errs = errors.Join(errs, err)
	}
	errs = errors.Join(errs, w.Close(), f.Close())
	if errs != nil {
		return errors.Join(errs, os.Remove(tmp))
	}
	return os.Rename(tmp, path)
}

// readWeights reads an owner's weights, whose shapes the plan knows.
func readWeights(path string, shapes map[string]ir.Shape) (out map[string]*ir.Tensor, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: malformed file", path)
		}
	}()
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	members := map[string]*zip.File{}
	for _, f := range z.File {
		members[strings.TrimSuffix(f.Name, ".npy")] = f
	}
	out = map[string]*ir.Tensor{}
	for _, n := range sortedKeys(shapes) {
		if shapes[n].Size() == 0 { // an archive has no empty arrays
			out[n] = ir.NewTensor(ir.Int, shapes[n])
			continue
		}
		f := members[n]
		if f == nil {
			return nil, fmt.Errorf("%s: weight %q is missing", path, n)
		}
		data, err := readMember(f)
		if err != nil {
			return nil, fmt.Errorf("%s: weight %q: %w", path, n, err)
		}
		t := &ir.Tensor{Elem: data.Elem, Shape: shapes[n], F: data.F, I: data.I}
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("%s: weight %q: %w", path, n, err)
		}
		out[n] = t
	}
	return out, nil
}
