package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"smpcc"
	"smpcc/frontend/onnx"
	"smpcc/ir/diag"
)

// A rangeRow declares the range of an input, or of columns of it.
type rangeRow struct {
	from    string // for messages
	input   string
	columns string // 3, 3:7, a name, or empty for all of the input
	lo, hi  float64
}

// ranges reads --range into options: NAME=LO..HI, NAME[:,COLUMNS]=LO..HI with a number, a slice A:B or a name from the header of the data,
// and @FILE, a .csv or .json file of such rows.
func (s *source) rangeOptions(path string, opt *smpcc.Options) error {
	opt.Ranges, opt.Columns = map[string][2]float64{}, map[string]map[int][2]float64{}
	if len(s.ranges) == 0 {
		return nil
	}
	dims := map[string][]string{}
	var names []string
	if filepath.Ext(path) == ".onnx" {
		infos, err := onnx.Inputs(path)
		if err != nil {
			return err
		}
		for _, i := range infos {
			dims[i.Name] = i.Dims
			names = append(names, i.Name)
		}
	}
	var rows []rangeRow
	for _, arg := range s.ranges {
		list, err := rangeArg(arg, dims)
		if err != nil {
			return err
		}
		rows = append(rows, list...)
	}
	for _, r := range rows {
		if r.input == "" && len(names) == 1 {
			r.input = names[0]
		}
		if r.columns == "" {
			if _, twice := opt.Ranges[r.input]; twice {
				return usagef("%s: the range of %s is given twice", r.from, r.input)
			}
			opt.Ranges[r.input] = [2]float64{r.lo, r.hi}
			continue
		}
		first, last, err := r.span(dims[r.input], opt.ColumnNames[r.input])
		if err != nil {
			return err
		}
		if opt.Columns[r.input] == nil {
			opt.Columns[r.input] = map[int][2]float64{}
		}
		for k := first; k < last; k++ {
			if _, twice := opt.Columns[r.input][k]; twice {
				return usagef("%s: the range of column %d of %s is given twice", r.from, k, r.input)
			}
			opt.Columns[r.input][k] = [2]float64{r.lo, r.hi}
		}
	}
	return nil
}

// rangeArg reads one --range.
func rangeArg(arg string, dims map[string][]string) ([]rangeRow, error) {
	if file, ok := strings.CutPrefix(arg, "@"); ok {
		return rangeFile(file)
	}
	at := strings.LastIndex(arg, "=")
	if at < 1 || at == len(arg)-1 {
		return nil, usagef("--range %s: want NAME=LO..HI, NAME[:,COLUMN]=LO..HI or @FILE", arg)
	}
	r := rangeRow{from: "--range " + arg, input: arg[:at]}
	a, b, ok := strings.Cut(arg[at+1:], "..")
	var err1, err2 error
	r.lo, err1 = strconv.ParseFloat(a, 64)
	r.hi, err2 = strconv.ParseFloat(b, 64)
	if !ok || err1 != nil || err2 != nil {
		return nil, usagef("%s: want NAME=LO..HI with LO <= HI", r.from)
	}
	for i, x := range []float64{r.lo, r.hi} {
		if n, err := strconv.ParseInt([]string{a, b}[i], 10, 64); err == nil && (n == math.MaxInt64 || int64(x) != n) {
			return nil, usagef("%s: a range cannot end at %d: beyond 2^53 its ends are multiples of powers of two; %.0f is the nearest", r.from, n, x)
		}
	}
	if open := strings.Index(r.input, "["); open > 0 && strings.HasSuffix(r.input, "]") && dims[r.input] == nil {
		index := strings.Split(r.input[open+1:len(r.input)-1], ",")
		r.input = r.input[:open]
		for i := range index {
			index[i] = strings.TrimSpace(index[i])
		}
		lead := index[:len(index)-1]
		r.columns = index[len(index)-1]
		switch d, known := dims[r.input]; {
		case r.columns == "" || slices.ContainsFunc(lead, func(x string) bool { return x != ":" && x != "..." }):
			return nil, usagef("%s: only columns, along the last axis, have ranges of their own: want %s[:,COLUMN]", r.from, r.input)
		case known && !slices.Contains(lead, "...") && len(lead) != len(d)-1:
			return nil, usagef("%s: input %q has %d dimensions; write %s[%sCOLUMN]", r.from, r.input, len(d), r.input, strings.Repeat(":,", max(len(d)-1, 0)))
		case r.columns == ":":
			r.columns = ""
		}
	}
	return []rangeRow{r}, r.check()
}

// check refuses a range that is empty.
func (r rangeRow) check() error {
	if !(r.lo <= r.hi) || math.IsInf(r.lo, 0) || math.IsInf(r.hi, 0) {
		return usagef("%s: %g..%g is empty or not finite; want LO..HI with LO <= HI", r.from, r.lo, r.hi)
	}
	return nil
}

// mostColumns bounds the columns of a table.
const mostColumns = 1 << 20

// span returns the columns that a row is for, first to before last.
func (r rangeRow) span(dims, names []string) (first, last int, err error) {
	if k := slices.Index(names, r.columns); k >= 0 {
		return k, k + 1, nil
	}
	width := -1
	if n := len(dims); n > 0 {
		if w, err := strconv.Atoi(dims[n-1]); err == nil {
			width = w
		}
	}
	a, b, slice := strings.Cut(r.columns, ":")
	first, err1 := strconv.Atoi(a)
	if slice && a == "" {
		first, err1 = 0, nil
	}
	last, err2 := first+1, error(nil)
	if slice && b == "" {
		if last = width; width < 0 {
			err2 = errors.New("the width is not known")
		}
	} else if slice {
		last, err2 = strconv.Atoi(b)
	}
	switch {
	case err1 != nil || err2 != nil:
		hint := "the data has no header that names columns; count columns from 0, or give data with a header (--calibrate FILE.csv, or --input of smpcc run)"
		if len(names) > 0 {
			hint = "the header names " + strings.Join(names, ", ")
		}
		return 0, 0, usagef("%s: %q is no column: want a number, a slice A:B, or a name; %s", r.from, r.columns, hint)
	case first < 0 || last <= first || last > mostColumns:
		return 0, 0, usagef("%s: %s is no columns: they count from 0, and A:B ends before B", r.from, r.columns)
	case width >= 0 && last > width:
		return 0, 0, usagef("%s: input %q has %d columns, 0 to %d", r.from, r.input, width, width-1)
	}
	return first, last, nil
}

// rangeFile reads ranges from a file: CSV with the columns input, column, lo and hi, or JSON, a list of objects with these keys. A row
// without column is for all of the input; without input, for the only one.
func rangeFile(path string) ([]rangeRow, error) {
	st, err := os.Stat(path)
	if err == nil && (!st.Mode().IsRegular() || st.Size() > maxData) {
		err = errors.New("not a file of ranges")
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	var rows []rangeRow
	if err == nil {
		switch ext := strings.ToLower(filepath.Ext(path)); ext {
		case ".csv":
			rows, err = rangeCSV(data)
		case ".json":
			rows, err = rangeJSON(data)
		default:
			err = fmt.Errorf("ranges come as .csv or .json, not as %q", ext)
		}
	}
	if err != nil {
		return nil, diag.Errorf(diag.Pos{File: path}, "%s", trimPath(path, err)).
			WithHint("a .csv file of ranges has the header input,column,lo,hi; a .json file is a list like [{\"input\": \"x\", \"column\": 3, \"lo\": 0, \"hi\": 5e5}]")
	}
	for i := range rows {
		rows[i].from = fmt.Sprintf("--range @%s, row %d", path, i+1)
		if err := rows[i].check(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func rangeCSV(data []byte) ([]rangeRow, error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.TrimLeadingSpace = true
	all, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	if len(all) < 2 {
		return nil, errors.New("holds no ranges")
	}
	at := map[string]int{}
	for i, h := range all[0] {
		h = strings.ToLower(strings.TrimSpace(h))
		if !slices.Contains([]string{"input", "column", "lo", "hi"}, h) {
			return nil, fmt.Errorf("column %q of the header is not known", h)
		}
		at[h] = i
	}
	for _, h := range []string{"lo", "hi"} {
		if _, ok := at[h]; !ok {
			return nil, fmt.Errorf("the header has no column %q", h)
		}
	}
	var out []rangeRow
	for i, row := range all[1:] {
		get := func(h string) string {
			if k, ok := at[h]; ok {
				return strings.TrimSpace(row[k])
			}
			return ""
		}
		x := rangeRow{input: get("input"), columns: get("column")}
		var err1, err2 error
		x.lo, err1 = strconv.ParseFloat(get("lo"), 64)
		x.hi, err2 = strconv.ParseFloat(get("hi"), 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("row %d: lo and hi are not numbers", i+1)
		}
		out = append(out, x)
	}
	return out, nil
}

func rangeJSON(data []byte) ([]rangeRow, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	d.DisallowUnknownFields()
	var all []struct {
		Input  string   `json:"input"`
		Column any      `json:"column"`
		Lo     *float64 `json:"lo"`
		Hi     *float64 `json:"hi"`
	}
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("not a list of ranges: %v", err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	var out []rangeRow
	for i, x := range all {
		if x.Lo == nil || x.Hi == nil {
			return nil, fmt.Errorf("row %d has no lo or no hi", i+1)
		}
		r := rangeRow{input: x.Input, lo: *x.Lo, hi: *x.Hi}
		switch c := x.Column.(type) {
		case nil:
		case string:
			r.columns = c
		case json.Number:
			r.columns = c.String()
		default:
			return nil, fmt.Errorf("row %d: column is neither a number nor a name", i+1)
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		return nil, errors.New("holds no ranges")
	}
	return out, nil
}

// columnNames returns the names of columns that the header of a .csv file with an input's data gives, by input.
func columnNames(files map[string]string) map[string][]string {
	out := map[string][]string{}
	for name, file := range files {
		if strings.ToLower(filepath.Ext(file)) != ".csv" {
			continue
		}
		f, err := os.Open(file)
		if err != nil {
			continue // reading its data says so
		}
		r := csv.NewReader(io.LimitReader(f, maxData))
		r.TrimLeadingSpace = true
		header, err := r.Read()
		if errors.Join(err, f.Close()) != nil || len(header) == 0 {
			continue
		}
		header[0] = strings.TrimPrefix(header[0], "\ufeff")
		if _, err := strconv.ParseFloat(strings.TrimSpace(header[0]), 64); !errors.Is(err, strconv.ErrSyntax) {
			continue
		}
		for i := range header {
			header[i] = strings.TrimSpace(header[i])
		}
		out[name] = header
	}
	return out
}
