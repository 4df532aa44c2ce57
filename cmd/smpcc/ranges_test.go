package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smpcc"
)

const scalerModel = "../../testdata/cases/ml-scaler/model.onnx" // one input x[3,4]

func rangesOf(t *testing.T, args ...string) (smpcc.Options, error) {
	t.Helper()
	opt := smpcc.Options{ColumnNames: map[string][]string{"x": {"income", "age", "rate", "new"}}}
	return opt, (&source{ranges: args}).rangeOptions(scalerModel, &opt)
}

func TestRangeFlag(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		f := filepath.Join(dir, name)
		if err := os.WriteFile(f, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "@" + f
	}
	type columns = map[int][2]float64
	for _, c := range []struct {
		args  []string
		whole map[string][2]float64
		want  columns
	}{
		{[]string{"x=0..5"}, map[string][2]float64{"x": {0, 5}}, nil},
		{[]string{"x=-1e3..-5"}, map[string][2]float64{"x": {-1e3, -5}}, nil},
		{[]string{"x[:,:]=0..5"}, map[string][2]float64{"x": {0, 5}}, nil},
		{[]string{"x[:,3]=0..5e5"}, nil, columns{3: {0, 5e5}}},
		{[]string{"x[..., 1:3]=-1..1", "x=0..9"}, map[string][2]float64{"x": {0, 9}}, columns{1: {-1, 1}, 2: {-1, 1}}},
		{[]string{"x[:,2:]=0..1", "x[:,:2]=0..2"}, nil, columns{0: {0, 2}, 1: {0, 2}, 2: {0, 1}, 3: {0, 1}}},
		{[]string{"x[:,income]=0..2e6"}, nil, columns{0: {0, 2e6}}},
		{[]string{file("a.csv", "input,column,lo,hi\nx,0,0,2e6\nx,rate,0,0.1\nx,,-5,5\n")}, map[string][2]float64{"x": {-5, 5}}, columns{0: {0, 2e6}, 2: {0, 0.1}}},
		{[]string{file("b.csv", "column, lo, hi\n0:2,0,1\n")}, nil, columns{0: {0, 1}, 1: {0, 1}}},
		{[]string{file("c.json", `[{"input":"x","column":3,"lo":0,"hi":1},{"column":"age","lo":0,"hi":120}]`)}, nil, columns{3: {0, 1}, 1: {0, 120}}},
	} {
		opt, err := rangesOf(t, c.args...)
		if err != nil {
			t.Errorf("%v: %v", c.args, err)
			continue
		}
		if !maps.Equal(opt.Ranges, c.whole) || !maps.Equal(opt.Columns["x"], c.want) {
			t.Errorf("%v: %v and %v, want %v and %v", c.args, opt.Ranges, opt.Columns, c.whole, c.want)
		}
	}
	for _, c := range []struct {
		arg, says string
		more      string
	}{
		{"x", "want NAME=LO..HI", ""},
		{"x=5..1", "5..1 is empty", ""},
		{"x=0..Inf", "not finite", ""},
		{"x[:,4]=0..1", "has 4 columns, 0 to 3", ""},
		{"x[:,2:9]=0..1", "has 4 columns, 0 to 3", ""},
		{"x[3]=0..1", "has 2 dimensions; write x[:,COLUMN]", ""},
		{"x[0,3]=0..1", "only columns", ""},
		{"x[:,incom]=0..1", "the header names income, age, rate, new", ""},
		{"x[:,3:1]=0..1", "count from 0", ""},
		{"x[:,1]=0..1", "given twice", "x[:,0:2]=0..1"},
		{"x=0..1", "given twice", "x=0..2"},
		{"@none.csv", "none.csv", ""},
		{file("d.csv", "input,column,lo\nx,0,0\n"), "no column \"hi\"", ""},
		{file("e.csv", "input,column,lo,hi\nx,0,zero,1\n"), "row 1", ""},
		{file("f.csv", "input,column,lo,hi\nx,0,3,1\n"), "row 1: 3..1 is empty", ""},
		{file("g.json", `[{"input":"x","lo":0}]`), "row 1 has no lo or no hi", ""},
		{file("h.json", `[{"input":"x","low":0,"hi":1}]`), "unknown field", ""},
		{file("i.txt", ""), ".csv or .json", ""},
	} {
		args := []string{c.arg}
		if c.more != "" {
			args = append(args, c.more)
		}
		if _, err := rangesOf(t, args...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v, want %q", args, err, c.says)
		}
	}
}
