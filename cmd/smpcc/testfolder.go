package main

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"smpcc/frontend/onnx"
	"smpcc/ir"
	"smpcc/ir/exact"
)

// A testFolder is a model or a program with data and expected results.
type testFolder struct {
	path     string             // of the model or program
	ops      []string           // operators of a model
	rounding map[string]float64 // by output: by what share of itself its declared type changes a number
	sets     []testSet
}

// A testSet is the data of one run; err says why it cannot be had.
type testSet struct {
	name string
	in   map[string]*ir.Tensor
	want map[string]expectation
	err  error
}

// An expectation is what a folder says of an output, which becomes exact data of the output's kind of elements.
type expectation interface {
	as(e ir.Elem) (*exact.Tensor, error)
}

// readFolder reads a folder of either kind.
func readFolder(dir string) (testFolder, error) {
	model, program := filepath.Join(dir, "model.onnx"), filepath.Join(dir, "program.smp")
	if _, err := os.Stat(model); err == nil {
		return readModelFolder(dir, model)
	}
	if _, err := os.Stat(program); err == nil {
		return readProgramFolder(dir, program)
	}
	return testFolder{}, errors.New("no model.onnx and no program.smp in this folder")
}

// readModelFolder reads a folder of ONNX test data.
func readModelFolder(dir, model string) (f testFolder, err error) {
	f = testFolder{path: model, rounding: map[string]float64{}}
	sets, err := filepath.Glob(filepath.Join(dir, "test_data_set_*"))
	if err != nil || len(sets) == 0 {
		return f, errors.New("no test_data_set_* in this folder")
	}
	sort.Strings(sets)
	if f.ops, err = onnx.Uses(model); err != nil {
		return f, refused{err}
	}
	ins, err := onnx.Inputs(model)
	if err != nil {
		return f, refused{err}
	}
	outs, err := onnx.Outputs(model)
	if err != nil {
		return f, refused{err}
	}
	for _, o := range outs {
		f.rounding[o.Name] = o.Rounding()
	}
	for _, set := range sets {
		f.sets = append(f.sets, readModelSet(set, ins, outs))
	}
	return f, nil
}

// readModelSet reads input_0.pb, ..., output_0.pb, ... of a set.
func readModelSet(dir string, ins, outs []onnx.InputInfo) testSet {
	s := testSet{name: filepath.Base(dir), want: map[string]expectation{}}
	if s.in, s.err = readTensors(dir, "input", ins); s.err != nil {
		s.err = refused{s.err}
		return s
	}
	want, err := readTensors(dir, "output", outs)
	if err != nil {
		s.err = refused{err}
		return s
	}
	for _, k := range sortedKeys(want) {
		for i := range want[k].Len() {
			if x := want[k].At(i); math.IsNaN(x) || math.IsInf(x, 0) {
				s.err = extreme(fmt.Errorf("output %q: the expected element %d is not finite, and fixed point has nothing else", k, i))
				return s
			}
		}
		s.want[k] = ofKind{want[k]}
	}
	return s
}

// readTensors reads NAME_0.pb, NAME_1.pb, ... of a set, named by the tensors or by position.
func readTensors(set, kind string, infos []onnx.InputInfo) (map[string]*ir.Tensor, error) {
	out := map[string]*ir.Tensor{}
	for i, info := range infos {
		t, name, err := onnx.ReadTensor(filepath.Join(set, fmt.Sprintf("%s_%d.pb", kind, i)))
		if err != nil {
			return nil, err
		}
		for _, other := range infos {
			if other.Name == name {
				info = other
			}
		}
		out[info.Name] = info.Data(t)
	}
	return out, nil
}

// readProgramFolder reads a program's folder, which is one set.
func readProgramFolder(dir, program string) (testFolder, error) {
	f := testFolder{path: program}
	s := testSet{in: map[string]*ir.Tensor{}, want: map[string]expectation{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return f, err
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if name == "want" {
			continue
		}
		if s.in[name], err = readTensor(file, plainPicture); err != nil {
			return f, err
		}
	}
	want := filepath.Join(dir, "want.json")
	r, err := os.Open(want)
	if err != nil {
		return f, errors.New("no want.json in this folder")
	}
	defer r.Close()
	var outputs map[string]any
	if err := decodeJSON(r, &outputs); err != nil {
		return f, fmt.Errorf("want.json: %w", err)
	}
	for _, k := range sortedKeys(outputs) {
		n, err := nest(outputs[k])
		if err != nil {
			return f, fmt.Errorf("want.json: %q: %w", k, err)
		}
		s.want[k] = n
	}
	f.sets = []testSet{s}
	return f, nil
}

// ofKind is an expected tensor whose kind its file says.
type ofKind struct{ data *ir.Tensor }

// as returns the data; the kinds must agree.
func (t ofKind) as(e ir.Elem) (*exact.Tensor, error) {
	if t.data.Elem != e {
		return nil, fmt.Errorf("is %v, want %v", e, t.data.Elem)
	}
	return exact.Of(t.data), nil
}

// as returns the numbers as reals, integers of any size or booleans.
func (n nested) as(e ir.Elem) (*exact.Tensor, error) {
	if n.text || n.gaps || n.bools != (e == ir.Bool) {
		return nil, fmt.Errorf("is %v, and want.json has another kind", e)
	}
	if e == ir.Real {
		t := ir.NewTensor(ir.Real, n.shape)
		for i, w := range n.words {
			x, err := strconv.ParseFloat(w, 64)
			if err != nil {
				return nil, fmt.Errorf("want.json: element %d is out of range", i)
			}
			t.F[i] = x
		}
		return exact.Of(t), nil
	}
	out := make([]*big.Int, len(n.words))
	for i, w := range n.words {
		var ok bool
		if out[i], ok = new(big.Int).SetString(w, 10); !ok {
			return nil, fmt.Errorf("want.json: element %d is %s, want an integer", i, w)
		}
	}
	t := exact.Whole(n.shape, out...)
	t.Elem = e
	return t, nil
}

// A dataRange is the range that the data of an input gives it, and of a table of reals those of its columns.
type dataRange struct {
	all     [2]float64
	columns map[int][2]float64
}

// String renders the range for people.
func (r dataRange) String() string {
	s := fmt.Sprintf("%g..%g", r.all[0], r.all[1])
	if len(r.columns) > 0 {
		s += " by column"
	}
	return s
}

// mostDataColumns bounds the columns that get ranges of their own.
const mostDataColumns = 4096

// ranges returns a range for each input of numbers, from the data of all sets: both ends rounded outwards to powers of two,
// or zero; and of tables of reals for each column. Inputs whose data is not finite have none.
func (f testFolder) ranges() map[string]dataRange {
	data := map[string][]*ir.Tensor{}
	for _, s := range f.sets {
		for name, t := range s.in {
			data[name] = append(data[name], t)
		}
	}
	out := map[string]dataRange{}
	for name, list := range data {
		all, ok := spanOf(list, 0, 1)
		if !ok {
			continue
		}
		r := dataRange{all: all}
		k := columnsOf(list)
		for c := range k {
			if r.columns == nil {
				r.columns = map[int][2]float64{}
			}
			r.columns[c], _ = spanOf(list, c, k)
		}
		out[name] = r
	}
	return out
}

// columnsOf returns how many columns all tensors have, if they are tables of reals with few enough; 0 if not.
func columnsOf(list []*ir.Tensor) int {
	k := 0
	for _, t := range list {
		if t.Elem != ir.Real || len(t.Shape) != 2 || t.Shape[1] > mostDataColumns || k != 0 && t.Shape[1] != k {
			return 0
		}
		k = t.Shape[1]
	}
	if k < 2 {
		return 0
	}
	return k
}

// spanOf returns the range of every step-th element from first on of some tensors; false if there is none, or one that is
// no finite number.
func spanOf(list []*ir.Tensor, first, step int) (r [2]float64, ok bool) {
	for _, t := range list {
		if t.Elem == ir.Bool || t.Words != nil {
			return r, false
		}
		for i := first; i < t.Len(); i += step {
			x := t.At(i)
			if math.IsNaN(x) { // missing
				continue
			}
			if math.IsInf(x, 0) {
				return r, false
			}
			if !ok {
				r, ok = [2]float64{x, x}, true
			}
			r = [2]float64{min(r[0], x), max(r[1], x)}
		}
	}
	if ok && r == [2]float64{} {
		return [2]float64{0, 1}, true
	}
	return [2]float64{0 - outward(-r[0]), outward(r[1])}, ok
}

// outward returns the least power of two at or above x, the greatest at or below |x| with x's sign if x is negative.
func outward(x float64) float64 {
	if x == 0 {
		return 0
	}
	m, e := math.Frexp(math.Abs(x)) // |x| = m 2^e, 1/2 <= m < 1
	switch {
	case x < 0:
		return -math.Ldexp(1, e-1)
	case m == 0.5:
		return x
	}
	return math.Ldexp(1, e)
}
