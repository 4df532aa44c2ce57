package control

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// A DatasetFile is what an owner writes down about data that others may ask for: a schema, and no data. The server reads it; the data stay where they are.
type DatasetFile struct {
	Name    string          `yaml:"name"`
	About   string          `yaml:"about,omitempty"`
	Rows    int             `yaml:"rows"`             // the catalogue rounds it
	Policy  string          `yaml:"policy,omitempty"` // file, relative to this one
	Columns []DatasetColumn `yaml:"columns"`
}

// A DatasetColumn says what a column of a data set holds.
type DatasetColumn struct {
	Name  string   `yaml:"name" json:"name"`
	Type  string   `yaml:"type" json:"type"` // real, int, bool or text
	Lo    *float64 `yaml:"lo,omitempty" json:"lo,omitempty"`
	Hi    *float64 `yaml:"hi,omitempty" json:"hi,omitempty"`
	Unit  string   `yaml:"unit,omitempty" json:"unit,omitempty"`
	Words []string `yaml:"words,omitempty" json:"words,omitempty"` // of text
}

// A Dataset is what a catalogue says of data: a schema, a rounded number of rows, and under which policy they are.
type Dataset struct {
	Name    string          `json:"name"`
	About   string          `json:"about,omitempty"`
	Rows    string          `json:"rows"`
	Policy  string          `json:"policy,omitempty"` // digest
	Columns []DatasetColumn `json:"columns"`
}

// Bounds of a data set's file.
const (
	maxColumns = 4096
	maxWords   = 256 // of one column
)

// columnTypes are the types of columns.
var columnTypes = []string{"real", "int", "bool", "text"}

// ReadDataset reads a data set's file. Unknown keys are mistakes, and errors name the line as far as one key is wrong.
func ReadDataset(path string) (*DatasetFile, error) {
	d := &DatasetFile{}
	f, err := ReadFile(path, d)
	if err != nil {
		return nil, err
	}
	f.Beside(&d.Policy)
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, f.Errorf(key, format, args...)) }
	if d.Name == "" || CheckWords("name", d.Name) != nil {
		bad("name", "%q: want a name of one line", d.Name)
	}
	if err := CheckWords("text", d.About); err != nil {
		bad("about", "%v", err)
	}
	if d.Rows < 0 {
		bad("rows", "%d: want a number of rows", d.Rows)
	}
	if len(d.Columns) == 0 || len(d.Columns) > maxColumns {
		bad("columns", "%d columns are listed, want 1 to %d", len(d.Columns), maxColumns)
	}
	seen := map[string]bool{}
	for i, c := range d.Columns {
		if err := c.check(); err != nil {
			bad("columns", "column %d: %v", i+1, err)
		}
		if seen[c.Name] {
			bad("columns", "column %q is there twice", c.Name)
		}
		seen[c.Name] = true
	}
	return d, errors.Join(errs...)
}

// check refuses a column that makes no sense.
func (c *DatasetColumn) check() error {
	finite := func(x *float64) bool { return x == nil || !math.IsNaN(*x) && !math.IsInf(*x, 0) }
	switch {
	case c.Name == "" || CheckWords("name", c.Name) != nil:
		return fmt.Errorf("%q: want a name of one line", c.Name)
	case !slices.Contains(columnTypes, c.Type):
		return fmt.Errorf("%q has the type %q: want one of %v", c.Name, c.Type, columnTypes)
	case CheckWords("unit", c.Unit) != nil:
		return CheckWords("unit", c.Unit)
	case (c.Lo == nil) != (c.Hi == nil) || !finite(c.Lo) || !finite(c.Hi) || c.Lo != nil && *c.Lo > *c.Hi:
		return fmt.Errorf("%q: want lo and hi, lo the smaller one, or neither", c.Name)
	case len(c.Words) > maxWords:
		return fmt.Errorf("%q lists %d words, at most %d", c.Name, len(c.Words), maxWords)
	}
	for _, w := range c.Words {
		if err := CheckWords("word", w); err != nil {
			return fmt.Errorf("%q: %w", c.Name, err)
		}
	}
	return nil
}

// fewRows is below how many rows a catalogue does not say how many there are.
const fewRows = 20

// RoundedRows renders a number of rows to one figure, so that a row more or less seldom shows.
func RoundedRows(n int) string {
	if n < fewRows {
		return "fewer than " + strconv.Itoa(fewRows)
	}
	unit := 1
	for n/unit >= 10 {
		unit *= 10
	}
	return fmt.Sprintf("about %d", (n+unit/2)/unit*unit)
}
