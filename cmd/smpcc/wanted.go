package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/frontend/dsl"
	"smpcc/frontend/onnx"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// A wanted input is what a model, a program or a plan says of the data of one.
type wanted struct {
	name   string
	dims   []string // numbers and names; nil if nothing is known
	elem   string   // int, bool, decimal or real; empty of models, whose tables are reals
	text   bool
	strict bool // no value may be missing
}

// wants lists what a source says of its inputs; what is wrong with the source, loading it says.
func (s *source) wants(path string) ([]wanted, error) {
	var out []wanted
	switch is, _ := isPlan(path); {
	case is || s.plan != nil:
		p, err := s.planOnce(path)
		if err != nil {
			return nil, nil
		}
		for _, i := range p.Manifest.Inputs {
			w := wanted{name: i.Name, text: len(i.Words) > 0}
			if p.FromProgram() {
				w.elem, w.strict = portKind(i), true
			}
			out = append(out, w)
		}
	case smpcc.IsProgram(path):
		list, err := dsl.Declarations(path)
		if err != nil {
			return nil, nil
		}
		for _, d := range list {
			kind := "int"
			switch {
			case d.Elem == "real" || d.Elem == "bool":
				kind = d.Elem
			case strings.HasPrefix(d.Elem, "decimal"):
				kind = "decimal"
			}
			out = append(out, wanted{name: d.Name, dims: append([]string{}, d.Dims...), elem: kind, strict: true})
		}
	case filepath.Ext(path) == ".onnx":
		infos, err := onnx.Inputs(path)
		if err != nil {
			return nil, err
		}
		for _, i := range infos {
			out = append(out, wanted{name: i.Name, dims: i.Dims, text: i.Text})
		}
	}
	return out, nil
}

// portKind returns the kind of elements of a port's data.
func portKind(p plan.Port) string {
	if p.Places > 0 {
		return "decimal"
	}
	return p.Elem
}

// tableOf returns the columns of a table among wanted inputs, by their own names.
func tableOf(list []wanted, table string) (out []wanted) {
	for _, w := range list {
		if strings.HasPrefix(w.name, table+".") {
			w.name = strings.TrimPrefix(w.name, table+".")
			out = append(out, w)
		}
	}
	return out
}

// readTable reads the columns of a table from one file: CSV with names in its first line, or JSON, an object of lists.
func (s *source) readTable(path, table string, columns []wanted, rule csvRule) (out map[string]*ir.Tensor, err error) {
	defer func() {
		if err != nil {
			out, err = nil, inPath(path, err)
		}
	}()
	if _, err := dataSize(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rename, err := s.renamed(table, columns)
	if err != nil {
		return nil, err
	}
	out = map[string]*ir.Tensor{}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv", ".tsv", ".txt":
		t, err := splitCSV(f, rule)
		if err != nil {
			return nil, err
		}
		for i, col := range columns {
			if len(col.dims) > 1 {
				return nil, diag.Errorf(diag.Pos{}, "column %q is a tensor for each row, which CSV does not hold", col.name).WithHint("give it alone: --input %s.%s=FILE.npy", table, col.name)
			}
			j, err := t.place(col.name, i, rename)
			if err != nil {
				return nil, err
			}
			x, err := t.columns([]int{j}, col.elem, true)
			if err != nil {
				return nil, err
			}
			x.Shape = ir.Shape{len(t.rows)}
			out[table+"."+col.name] = x
		}
		return out, nil
	case ".json":
		var all map[string]any
		if err := decodeJSON(f, &all); err != nil {
			return nil, err
		}
		for _, col := range columns {
			name := col.name
			if rename[name] != "" {
				name = rename[name]
			}
			list, ok := all[name]
			if !ok {
				return nil, diag.Errorf(diag.Pos{}, "there is no column %q; there is %s", name, strings.Join(sortedKeys(all), ", ")).WithHint("--columns %s=NAME says which it is", col.name)
			}
			n, err := nest(list)
			if err != nil {
				return nil, fmt.Errorf("column %q: %w", name, err)
			}
			if n.gaps {
				return nil, fmt.Errorf("column %q has null, and nothing can be computed with what is not there", name)
			}
			if out[table+"."+col.name], err = n.tensor(); err != nil {
				return nil, fmt.Errorf("column %q: %w", name, err)
			}
		}
		return out, nil
	}
	return nil, diag.Errorf(diag.Pos{}, "a table comes as .csv or .json").WithHint("or each column alone: --input %s.%s=FILE.npy", table, columns[0].name)
}

// renamed returns which names of a file stand for columns of a table, by --columns.
func (s *source) renamed(table string, columns []wanted) (map[string]string, error) {
	out := map[string]string{}
	for _, arg := range s.columns {
		for _, one := range strings.Split(arg, ",") {
			name, in, ok := strings.Cut(one, "=")
			if !ok || name == "" || in == "" {
				return nil, usagef("--columns %s: want COLUMN=NAME", one)
			}
			if t, col, dotted := strings.Cut(name, "."); dotted {
				if t != table {
					continue
				}
				name = col
			}
			if !slices.ContainsFunc(columns, func(w wanted) bool { return w.name == name }) {
				if !strings.Contains(one, ".") && s.hasColumn(name) { // of another table
					continue
				}
				return nil, usagef("--columns %s: table %s has no column %q", one, table, name)
			}
			out[name] = in
		}
	}
	return out, nil
}

// hasColumn reports whether any table of the source has a column of that name.
func (s *source) hasColumn(name string) bool {
	return slices.ContainsFunc(s.wanted, func(w wanted) bool { return strings.HasSuffix(w.name, "."+name) })
}

// csvRules checks the flags that say how tables in text are read.
func (s *source) csvRules() (csvRule, error) {
	r := csvRule{header: s.header, decimal: s.decimal}
	if r.header == "" {
		r.header = "auto"
	}
	if !slices.Contains([]string{"auto", "yes", "no"}, r.header) {
		return r, usagef("--header %s: want auto, yes or no", r.header)
	}
	if r.decimal == "" {
		r.decimal = "point"
	}
	if !slices.Contains([]string{"point", "comma"}, r.decimal) {
		return r, usagef("--decimal %s: want point or comma", r.decimal)
	}
	return r, nil
}

// known sizes of dimensions, as numbers.
func sizes(dims []string) (ir.Shape, bool) {
	s := ir.Shape{}
	for _, d := range dims {
		n, err := strconv.Atoi(d)
		if err != nil {
			return nil, false
		}
		s = append(s, n)
	}
	return s, true
}
