package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"smpcc/ir"
)

// array returns a .npy file with a header and data as given.
func array(descr, shape string, data ...any) []byte {
	head := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape)
	head += strings.Repeat(" ", 64-(10+len(head)+1)%64) + "\n"
	var b bytes.Buffer
	b.WriteString("\x93NUMPY\x01\x00")
	put := func(x any) {
		if err := binary.Write(&b, binary.LittleEndian, x); err != nil {
			panic(err)
		}
	}
	put(uint16(len(head)))
	b.WriteString(head)
	for _, x := range data {
		put(x)
	}
	return b.Bytes()
}

// archive returns an archive of the given files, name and content by turns.
func archive(files ...string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err == nil {
			_, err = f.Write([]byte(files[i+1]))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// picture returns a PNG file whose header states a size and whose data is missing.
func picture(w, h uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(kind string, data []byte) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
		c := append([]byte(kind), data...)
		b = append(b, c...)
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(c))
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	chunk("IHDR", append(head, 16, 6, 0, 0, 0)) // 16 bits, RGBA
	chunk("IDAT", nil)
	return b
}

func encoded(encode func(b *bytes.Buffer) error) []byte {
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// command runs the command line in this process.
func command(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(t.Context(), args, &out, &errs)
	return code, errs.String()
}

// frugal fails the test if fn takes much more memory than its small input justifies.
func frugal(t *testing.T, fn func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("allocates %d MiB", n>>20)
	}
}

// TestHostileData gives the command line malformed data files: exit code 1, the file and what is wrong with it.
func TestHostileData(t *testing.T) {
	two := []float64{0.5, -0.5}
	good := array("<f8", "(2,)", two)
	pic := encoded(func(b *bytes.Buffer) error { return png.Encode(b, image.NewGray(image.Rect(0, 0, 4, 4))) })
	jpg := encoded(func(b *bytes.Buffer) error { return jpeg.Encode(b, image.NewGray(image.Rect(0, 0, 4, 4)), nil) })
	long := append([]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff"), good[10:]...)
	for _, c := range []struct {
		file, want string
		data       []byte
	}{
		{"empty.npy", "not a .npy file", nil},
		{"text.npy", "not a .npy file", []byte("0.5 0.5\n")},
		{"magic.npy", "not a .npy file", good[:6]},
		{"header.npy", "malformed file", good[:40]},
		{"headersize.npy", "header of 4294967295 bytes", long},
		{"nodict.npy", "invalid dictionary", []byte("\x93NUMPY\x01\x00\x04\x00abc\n")},
		{"noline.npy", "malformed", []byte("\x93NUMPY\x01\x00\x04\x00abcd")},
		{"cut.npy", "holds 8 bytes of data, 2 elements of '<f8' need 16", good[:len(good)-8]},
		{"cutinside.npy", "holds 13 bytes of data", good[:len(good)-3]},
		{"longer.npy", "holds 17 bytes of data", append(good[:len(good):len(good)], 0)},
		{"huge.npy", "more than 268435456 elements", array("<f8", "(1152921504606846976,)", two)},
		{"large.npy", "holds 16 bytes of data, 134217728 elements of '<f8' need 1073741824", array("<f8", "(134217728,)", two)},
		{"negative.npy", "negative dimension", array("<f8", "(-2,)", two)},
		{"product.npy", "more than 268435456 elements", array("<f8", "(4294967296, 4294967296)", two)},
		{"badshape.npy", "parsing \"x\"", array("<f8", "(2, x)", two)},
		{"complex.npy", "not supported", array("<c16", "(1,)", two)},
		{"object.npy", "not supported", array("|O", "(2,)", two)},
		{"string.npy", "not supported", array("<U2", "(2,)", two)},
		{"records.npy", "", array("[('a', '<f8')]", "(2,)", two)},
		{"fortran.npy", "ortran", bytes.Replace(good, []byte("False"), []byte("True "), 1)},
		{"nan.npy", "element 1 is not a number, and the model says of no missing value", array("<f8", "(2,)", []float64{0, math.NaN()})},
		{"inf.npy", "element 0 is not a finite number", array("<f4", "(2,)", []float32{float32(math.Inf(-1)), 0})},
		{"unsigned.npy", "element 0 does not fit 63 bits", array("<u8", "(2,)", []uint64{math.MaxUint64, 0})},
		{"shape.npy", "shape is [3], the plan wants [2]", array("<f8", "(3,)", []float64{0, 0, 0})},
		{"range.npy", "element 1 is outside the range -1..1", array("<f8", "(2,)", []float64{0, 1.5})},

		{"empty.npz", "zip", nil},
		{"cut.npz", "zip", archive("x.npy", string(good))[:60]},
		{"none.npz", "holds 0 arrays, want one", archive()},
		{"two.npz", "holds 2 arrays, want one", archive("x.npy", string(good), "y.npy", string(good))},
		{"cutinside.npz", "holds 8 bytes of data", archive("x.npy", string(good[:len(good)-8]))},
		{"large.npz", "134217728 elements", archive("x.npy", string(array("<f8", "(134217728,)", two)))},
		{"nan.npz", "element 0 is not a number, and the model says of no missing value", archive("x.npy", string(array("<f8", "(2,)", []float64{math.NaN(), 0})))},

		{"empty.csv", "holds no numbers", nil},
		{"header.csv", "holds no numbers", []byte("a,b\n")},
		{"word.csv", "row 2, column 2 is not a number", []byte("1,2\n1,x\n")},
		{"nan.csv", "element 1 is not a number, and the model says of no missing value", []byte("1,NaN\n")},
		{"inf.csv", "row 1, column 1 is not a number", []byte("1e999,1\n")},
		{"ragged.csv", "wrong number of fields", []byte("1,2\n1\n")},
		{"quote.csv", "quote", []byte("1,\"2\n")},
		{"shape.csv", "shape is [1,3], the plan wants [2]", []byte("1,2,3\n")},

		{"empty.json", "not JSON", nil},
		{"cut.json", "not JSON", []byte("[0.5, 0.")},
		{"more.json", "not JSON: more than one value", []byte("[0.5, 0.5] [1]")},
		{"deep.json", "not JSON", bytes.Repeat([]byte("["), 100_000)},
		{"words.json", "data is text, the plan wants numbers", []byte(`["a", "b"]`)},
		{"null.json", "element 0 is not a number", []byte("null")},
		{"object.json", "want numbers, booleans or strings", []byte(`{"x": [1, 2]}`)},
		{"ragged.json", "lists are not of one length", []byte("[[1, 2], [3]]")},
		{"mixed.json", "lists are not of one depth", []byte("[[1], 2]")},
		{"inf.json", "element 1 is out of range", []byte("[0, 1e999]")},
		{"shape.json", "shape is [3], the plan wants [2]", []byte("[0.1, 0, 0]")},
		{"range.json", "element 0 is outside the range -1..1", []byte("[-2.5, 0]")},

		{"empty.png", "image: unknown format", nil},
		{"cut.png", "unexpected EOF", pic[:len(pic)-20]},
		{"huge.png", "overflow", picture(1<<31-1, 1<<31-1)},
		{"large.png", "picture of 8000x8000 is too large for a file of", picture(8000, 8000)},
		{"zero.png", "png", picture(0, 5)},
		{"shape.png", "the plan wants [2]", pic},
		{"cut.jpg", "unexpected EOF", jpg[:len(jpg)/2]},

		{"empty.pb", "", nil},
		{"text.pb", "", []byte("hello, this is no tensor")},
		{"unknown.txt", "unknown kind of file", []byte("1 2")},
		{"missing.npy", "no such file", nil},
	} {
		t.Run(c.file, func(t *testing.T) {
			dir := t.TempDir()
			program := filepath.Join(dir, "p.smp")
			write(t, program, []byte("parties a, b\ninput x: real[2] from a in -1..1\nreveal sum(x) to b as y\n"))
			path := filepath.Join(dir, c.file)
			if !strings.HasPrefix(c.file, "missing") {
				write(t, path, c.data)
			}
			frugal(t, func() {
				code, msg := command(t, "run", program, "--input", "x="+path)
				if code != exitFailed || !strings.Contains(msg, c.want) || strings.Contains(msg, "internal error") || strings.Contains(msg, "runtime error") {
					t.Errorf("exit code %d and %q, want 1 and %q", code, msg, c.want)
				}
				if !strings.Contains(msg, c.file) {
					t.Errorf("%q does not name the file", msg)
				}
			})
		})
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReadTensor reads each kind of file that holds the same numbers.
func TestReadTensor(t *testing.T) {
	grey := image.NewGray(image.Rect(0, 0, 2, 1))
	grey.Pix[0] = 255
	for _, c := range []struct {
		file string
		data []byte
		want *ir.Tensor
	}{
		{"f8.npy", array("<f8", "(1, 2)", []float64{1, 0}), ir.Reals(ir.Shape{1, 2}, 1, 0)},
		{"f4.npy", array("<f4", "(2,)", []float32{1, 0}), ir.Reals(ir.Shape{2}, 1, 0)},
		{"big.npy", array(">f4", "(2,)", []byte{0x3f, 0x80, 0, 0, 0, 0, 0, 0}), ir.Reals(ir.Shape{2}, 1, 0)},
		{"i8.npy", array("<i8", "(2,)", []int64{1, -7}), ir.Ints(ir.Shape{2}, 1, -7)},
		{"i2.npy", array("<i2", "(2,)", []int16{1, -7}), ir.Ints(ir.Shape{2}, 1, -7)},
		{"u1.npy", array("|u1", "(2,)", []byte{1, 255}), ir.Ints(ir.Shape{2}, 1, 255)},
		{"bool.npy", array("|b1", "(2,)", []byte{1, 0}), &ir.Tensor{Elem: ir.Bool, Shape: ir.Shape{2}, I: []int64{1, 0}}},
		{"scalar.npy", array("<f8", "()", []float64{1}), ir.Reals(ir.Shape{}, 1)},
		{"none.npy", array("<f8", "(0, 3)"), ir.Reals(ir.Shape{0, 3})},
		{"x.npz", archive("x.npy", string(array("<i4", "(2,)", []int32{1, 0}))), ir.Ints(ir.Shape{2}, 1, 0)},
		{"x.csv", []byte("a, b\n1, 0\n"), ir.Reals(ir.Shape{1, 2}, 1, 0)},
		{"x.json", []byte("[[1, 0.5]]\n"), ir.Reals(ir.Shape{1, 2}, 1, 0.5)},
		{"ints.json", []byte("[1, -9007199254740993]"), ir.Ints(ir.Shape{2}, 1, -9007199254740993)},
		{"bools.json", []byte("[true, false]"), &ir.Tensor{Elem: ir.Bool, Shape: ir.Shape{2}, I: []int64{1, 0}}},
		{"x.png", encoded(func(b *bytes.Buffer) error { return png.Encode(b, grey) }), ir.Reals(ir.Shape{1, 1, 1, 2}, 1, 0)},
	} {
		t.Run(c.file, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.file)
			write(t, path, c.data)
			got, err := readTensor(path, plainPicture)
			if err != nil {
				t.Fatal(err)
			}
			if got.Elem != c.want.Elem || !got.Shape.Equal(c.want.Shape) || fmt.Sprint(got.F, got.I) != fmt.Sprint(c.want.F, c.want.I) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestHostilePlans gives every command that reads plans malformed ones, and runs a good plan without its weights.
func TestHostilePlans(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.plan")
	if code, msg := command(t, "compile", "../../examples/credit/model.onnx", "-o", good, "--dim", "N=1"); code != exitDone {
		t.Fatal(msg)
	}
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file, want string
		data       []byte
	}{
		{"empty.plan", "not a plan", nil},
		{"text.plan", "not a plan", []byte("hello\n")},
		{"cut.plan", "damaged", data[:len(data)/2]},
		{"longer.plan", "damaged", append(bytes.Clone(data), "more"...)},
		{"newer.plan", "format version 9, this smpcc reads version 2", append([]byte("SMPCCPLAN\x09"), data[10:]...)},
		{"huge.plan", "damaged", append([]byte("SMPCCPLAN\x02\x0a\xff\xff\xff\xff\x0f"), data[15:]...)},
		{"missing.plan", "no such file", nil},
	} {
		path := filepath.Join(dir, c.file)
		if !strings.HasPrefix(c.file, "missing") {
			write(t, path, c.data)
		}
		for _, verb := range []string{"run", "inspect", "cost", "audit"} {
			t.Run(verb+" "+c.file, func(t *testing.T) {
				frugal(t, func() {
					code, msg := command(t, verb, path)
					if code != exitFailed || !strings.Contains(msg, c.want) || !strings.Contains(msg, c.file) || strings.Contains(msg, "runtime error") {
						t.Errorf("exit code %d and %q, want 1, the file and %q", code, msg, c.want)
					}
				})
			})
		}
	}
	weights := weightsFile(good, "p0")
	saved, err := os.ReadFile(weights)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"cut", "weights.npz", saved[:len(saved)/2]},
		{"empty", "weights.npz", nil},
		{"other names", `weights.npz: the weights of p0 cannot be read: weight "0.bias" is missing`, archive("x.npy", string(array("<f8", "(2,)", []float64{1, 2})))},
		{"another size", `weights.npz: the weights of p0 cannot be read: weight "0.bias": tensor of shape [1] holds 2 elements, want 1`, archive("0.bias.npy", string(array("<f8", "(2,)", []float64{1, 2})))},
		{"pickled", `weight "0.bias": elements of type '|O' are not supported`, archive("0.bias.npy", string(array("|O", "(1,)", []float64{1, 2})))},
	} {
		t.Run("weights "+c.name, func(t *testing.T) {
			write(t, weights, c.data)
			frugal(t, func() {
				code, msg := command(t, "run", good, "--input", "input=../../examples/credit/test_data_set_0/input_0.pb")
				if code != exitFailed || !strings.Contains(msg, c.want) || strings.Contains(msg, "runtime error") {
					t.Errorf("exit code %d and %q, want 1 and %q", code, msg, c.want)
				}
			})
		})
	}
}

func TestWeightsRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.npz")
	want := map[string]*ir.Tensor{
		"a.b/c": ir.Reals(ir.Shape{2, 1}, 0.1, -2), "n": ir.Ints(ir.Shape{2}, 1<<53+1, -3), "scalar": ir.Reals(ir.Shape{}, 3), "none": ir.NewTensor(ir.Int, ir.Shape{0}),
	}
	if err := writeWeights(path, want); err != nil {
		t.Fatal(err)
	}
	shapes := map[string]ir.Shape{}
	for n, w := range want {
		shapes[n] = w.Shape
	}
	got, err := readWeights(path, shapes)
	if err != nil {
		t.Fatal(err)
	}
	for n, w := range want {
		if g := got[n]; g.Elem != w.Elem || !g.Shape.Equal(w.Shape) || fmt.Sprint(g.F, g.I) != fmt.Sprint(w.F, w.I) {
			t.Errorf("%s: got %v, want %v", n, g, w)
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: weights are for their owner's eyes", st.Mode(), err)
	}
}
