package onnx

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// TestCorpus runs the backend tests that the ONNX project publishes, of the directory that SMPCC_ONNX_CORPUS names: every
// model must either compute what its test data says or be refused with a position. It logs what was refused and why.
func TestCorpus(t *testing.T) {
	root := os.Getenv("SMPCC_ONNX_CORPUS")
	if root == "" {
		t.Skip("SMPCC_ONNX_CORPUS names no directory with backend tests")
	}
	models, err := filepath.Glob(filepath.Join(root, "*", "*", "model.onnx"))
	if err != nil || len(models) == 0 {
		t.Fatalf("no models below %s: %v", root, err)
	}
	var passed int
	refused := map[string][]string{}
	for _, path := range models {
		name := filepath.Base(filepath.Dir(path))
		err := runCorpus(path)
		var list diag.List
		var one *diag.Error
		switch {
		case err == nil:
			passed++
		case errors.As(err, &list):
			refused[reason(list[0])] = append(refused[reason(list[0])], name)
		case errors.As(err, &one):
			refused[reason(one)] = append(refused[reason(one)], name)
		case errors.Is(err, errForeign):
			refused[err.Error()] = append(refused[err.Error()], name)
		default:
			t.Errorf("%s: %v", name, err)
		}
	}
	var lines []string
	for why, names := range refused {
		lines = append(lines, fmt.Sprintf("%4d %s: %s", len(names), why, strings.Join(names[:min(6, len(names))], " ")))
	}
	slices.Sort(lines)
	t.Logf("%d of %d models compute what they should; the others are refused:\n%s", passed, len(models), strings.Join(lines, "\n"))
}

func reason(e *diag.Error) string {
	if len(e.Msg) > 110 {
		return e.Msg[:110]
	}
	return e.Msg
}

// errForeign says that the test data itself is of a kind smpcc does not know.
var errForeign = errors.New("test data of another kind")

// runCorpus loads a model, with all inputs secret and, if that is refused, with all but the first public, and compares.
func runCorpus(path string) error {
	ins, err := Inputs(path)
	if err != nil {
		return err
	}
	outs, err := Outputs(path)
	if err != nil {
		return err
	}
	sets, err := filepath.Glob(filepath.Join(filepath.Dir(path), "test_data_set_*"))
	if err != nil {
		return err
	}
	for _, set := range sets {
		data := map[string]*ir.Tensor{}
		shapes := map[string]ir.Shape{}
		for i, in := range ins {
			x, _, err := ReadTensor(filepath.Join(set, fmt.Sprintf("input_%d.pb", i)))
			if err != nil || in.Data(x).Elem != in.Elem {
				return errForeign
			}
			x = in.Data(x)
			data[in.Name], shapes[in.Name] = x, x.Shape
		}
		m, err := Load(path, Options{Shapes: shapes})
		if err != nil {
			public := map[string]*ir.Tensor{}
			for _, in := range ins[min(1, len(ins)):] {
				public[in.Name] = data[in.Name]
			}
			var second error
			if m, second = Load(path, Options{Shapes: shapes, Public: public}); second != nil {
				for _, in := range ins[:min(1, len(ins))] {
					public[in.Name] = data[in.Name]
				}
				if m, second = Load(path, Options{Public: public}); second != nil {
					return err
				}
			}
		}
		got, err := ir.Run(m, data)
		if err != nil {
			return fmt.Errorf("run: %s", err)
		}
		for i, o := range outs {
			want, _, err := ReadTensor(filepath.Join(set, fmt.Sprintf("output_%d.pb", i)))
			if err != nil || o.Data(want).Elem != o.Elem {
				return errForeign
			}
			want = o.Data(want)
			if err := near(got[o.Name], want, 1e-3+o.Rounding()); err != nil {
				return fmt.Errorf("output %s: %w", o.Name, err)
			}
		}
	}
	return nil
}

// near returns an error if two tensors differ by more than eps, relative to large elements.
func near(got, want *ir.Tensor, eps float64) error {
	if got == nil || got.Elem != want.Elem || !got.Shape.Equal(want.Shape) {
		return fmt.Errorf("got %v, want %v%v", got, want.Elem, want.Shape)
	}
	for i := range want.Len() {
		if x, y := got.At(i), want.At(i); x != y && !(math.Abs(x-y) <= eps*max(1, math.Abs(y))) && !(math.IsNaN(x) && math.IsNaN(y)) {
			return fmt.Errorf("element %d is %g, want %g", i, x, y)
		}
	}
	return nil
}
