package plan

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Column is what a plan relies on of one column of a table, along the last axis of its port.
type Column struct {
	Lo    float64 `pb:"1"` // range, as the owner sees it
	Hi    float64 `pb:"2"`
	Shift int     `pb:"3"` // it enters as x * 2^-Shift
}

// A Category is a column, along the last axis of its port, and all the values that it may have.
type Category struct {
	Column int   `pb:"1"`
	Values []int `pb:"2"`
}

// A CategoryError is an element that is none of the values that its column may have.
type CategoryError struct {
	Port            *Port
	Element, Column int
	Values          []int
}

// shownCategories bounds the values that a message lists.
const shownCategories = 8

// Error names the column and its values, and not the element's.
func (e *CategoryError) Error() string {
	some := fmt.Sprint(e.Values[:min(len(e.Values), shownCategories)])
	if e.Port.Words != nil {
		var words []string
		for _, v := range e.Values[:min(len(e.Values), shownCategories)] {
			if v >= 0 && v < len(e.Port.Words) {
				words = append(words, e.Port.Words[v])
			}
		}
		some = fmt.Sprintf("%q", words)
	}
	if more := len(e.Values) - shownCategories; more > 0 {
		some += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("element %d is a category that the model does not know; column %d has %s", e.Element, e.Column, some)
}

// Hint says what helps.
func (e *CategoryError) Hint() string {
	return "leave such rows out, or export the model so that unknown categories are ignored (OneHotEncoder with zeros=1)"
}

// chosen returns an error if element i is none of the values that its column may have.
func (p *Port) chosen(i int, x float64) error {
	if len(p.Categories) == 0 {
		return nil
	}
	k := 1
	if n := len(p.Shape); n > 0 {
		k = max(1, p.Shape[n-1])
	}
	for _, c := range p.Categories {
		if c.Column == i%k && !slices.ContainsFunc(c.Values, func(v int) bool { return float64(v) == x }) {
			return &CategoryError{p, i, c.Column, c.Values}
		}
	}
	return nil
}

// mostShift is the largest power of two by which a column is scaled.
const mostShift = 64

// column returns what is said of the column of element i, nil if the port has no columns.
func (p *Port) column(i int) *Column {
	if len(p.Columns) == 0 {
		return nil
	}
	return &p.Columns[i%len(p.Columns)]
}

// Range returns the range that element i has, as its owner sees it.
func (p *Port) Range(i int) (lo, hi float64) {
	if c := p.column(i); c != nil {
		return c.Lo, c.Hi
	}
	return p.Lo, p.Hi
}

// ScaleOf returns s such that x, as element i, enters as round(x * 2^s).
func (p *Port) ScaleOf(i int) int {
	if c := p.column(i); c != nil {
		return p.Scale - c.Shift
	}
	return p.Scale
}

// Check returns an error if x is nothing that element i may be. It does not tell x.
func (p *Port) Check(i int, x float64) error {
	switch lo, hi := p.Range(i); {
	case p.Elem == "bool":
		if x != 0 && x != 1 {
			return fmt.Errorf("element %d is not 0 or 1", i)
		}
	case math.IsNaN(x):
		return fmt.Errorf("element %d is not a number, and this input has no missing values", i)
	case p.Elem == "int" && x != math.Trunc(x):
		return fmt.Errorf("element %d is not a whole number", i)
	case !(x >= lo && x <= hi):
		return &RangeError{Port: p, Element: i}
	}
	return p.chosen(i, x)
}

// CheckInt is Check for whole numbers, of which a float64 does not hold all: bounds beyond 2^53 are compared as integers.
func (p *Port) CheckInt(i int, x int64) error {
	if lo, hi := p.Range(i); !atLeast(x, lo) || !atMost(x, hi) {
		return &RangeError{Port: p, Element: i}
	}
	return p.chosen(i, float64(x))
}

// atLeast reports whether x >= lo, exactly.
func atLeast(x int64, lo float64) bool {
	lo = math.Ceil(lo)
	return lo <= -(1<<63) || lo < 1<<63 && x >= int64(lo)
}

// atMost reports whether x <= hi, exactly.
func atMost(x int64, hi float64) bool {
	hi = math.Floor(hi)
	return hi >= 1<<63 || hi >= -(1<<63) && x <= int64(hi)
}

// Word encodes x as element i: two's complement of round(x * 2^s), halves away from zero; of a port of shares, less what the word 0 stands for. It refuses what
// Check refuses.
func (p *Port) Word(i int, x float64) (uint64, error) {
	if err := p.Check(i, x); err != nil {
		return 0, err
	}
	y := math.Round(math.Ldexp(x, p.ScaleOf(i)))
	if !(math.Abs(y) < 1<<63) {
		return 0, fmt.Errorf("element %d is too large for %d fraction bits", i, p.ScaleOf(i))
	}
	if p.Shares {
		return uint64(int64(y) - p.Least(i)), nil
	}
	return uint64(int64(y)), nil
}

// CheckWord returns an error if a word is the encoding of nothing that element i may be: for a server, which did not encode it.
func (p *Port) CheckWord(i int, word uint64) error {
	if p.Shares { // whatever it is, it is a share
		if p.Bits < 64 && word>>p.Bits != 0 {
			return fmt.Errorf("element %d is no share of %d bits", i, p.Bits)
		}
		return nil
	}
	y := int64(word<<(64-p.Bits)) >> (64 - p.Bits)
	if p.Elem == "bool" {
		return p.Check(i, float64(word))
	}
	lo, hi := p.Range(i)
	s := p.ScaleOf(i)
	if !atLeast(y, math.Round(math.Ldexp(lo, s))) || !atMost(y, math.Round(math.Ldexp(hi, s))) {
		return &RangeError{Port: p, Element: i}
	}
	return p.chosen(i, math.Ldexp(float64(y), -s))
}

// A RangeError is an element that lies outside the range that a plan relies on.
type RangeError struct {
	Port    *Port
	Element int
	Program bool // the range stands in a program, not in a flag
}

// Error says which element it is, and the range, but not the value.
func (e *RangeError) Error() string {
	lo, hi := e.Port.Range(e.Element)
	at := fmt.Sprintf("element %d", e.Element)
	if k := len(e.Port.Columns); k > 0 {
		at += fmt.Sprintf(" (row %d, column %d)", e.Element/k, e.Element%k)
	}
	return fmt.Sprintf("%s is outside the range %s..%s (%s) that the plan relies on", at, Decimal(lo), Decimal(hi), e.Port.Origin)
}

// Decimal writes the end of a range as people declare it: what single precision holds of 0.1 as 0.1.
func Decimal(x float64) string {
	const digits = 10 // more than that nobody has written
	s := strconv.FormatFloat(x, 'g', -1, 64)
	if float64(float32(x)) == x && len(s) > digits {
		if t := strconv.FormatFloat(x, 'g', -1, 32); len(t) < digits {
			return t
		}
	}
	return s
}

// Hint says what to try.
func (e *RangeError) Hint() string {
	flag := fmt.Sprintf("--range %s=LO..HI", e.Port.Name)
	if k := len(e.Port.Columns); k > 0 {
		flag = fmt.Sprintf("--range %s[%s%d]=LO..HI", e.Port.Name, strings.Repeat(":,", max(len(e.Port.Shape)-1, 0)), e.Element%k)
	}
	with, wider := "compile with "+flag, "compile with a wider "+flag
	if e.Program {
		with = fmt.Sprintf("declare a range in the program (in LO..HI behind the input %s)", e.Port.Name)
		wider = fmt.Sprintf("declare a wider range in the program (in LO..HI behind the input %s) and compile it again", e.Port.Name)
	}
	switch e.Port.Origin {
	case "assumed":
		return fmt.Sprintf("no range was declared for it: %s, or compile with sample inputs (--calibrate FILE) or with a larger --assume", with)
	case "calibrated":
		return fmt.Sprintf("the range comes from samples: %s, or compile with more samples", with)
	}
	return wider
}

// FromProgram reports whether the plan was compiled from a program, whose ranges stand in it: its steps refer to lines of one.
func (p *Plan) FromProgram() bool {
	return slices.ContainsFunc(p.Nodes, func(n string) bool { return strings.HasPrefix(n, p.Manifest.Name+".smp:") })
}

// validateColumns checks what a port says of its columns.
func (p *Port) validateColumns(input bool) error {
	if len(p.Columns) == 0 {
		return nil
	}
	if n := len(p.Shape); !input || p.Elem != "real" || n == 0 || p.Shape[n-1] != len(p.Columns) {
		return errors.New("has columns that are not those of an input of reals")
	}
	for k, c := range p.Columns {
		if !(c.Lo <= c.Hi) || math.IsInf(c.Lo, 0) || math.IsInf(c.Hi, 0) || c.Lo < p.Lo || c.Hi > p.Hi {
			return fmt.Errorf("range of column %d is not one within that of the table", k)
		}
		if c.Shift < -mostShift || c.Shift > mostShift {
			return fmt.Errorf("column %d is scaled by 2^%d", k, -c.Shift)
		}
	}
	return nil
}

// maxPortWords bounds the words of a port, and maxText their bytes.
const (
	maxPortWords = 1 << 20
	maxText      = 1 << 26
	maxStepped   = 1 << 17 // largest integer that stands for a real
)

// Code returns what a text enters as: its place among the port's words, -1 of one that is none of them. ok is false where that is nothing that the
// port takes.
func (p *Port) Code(text string) (code int, ok bool) {
	code = slices.Index(p.Words, text)
	return code, code >= 0 || p.Lo <= -1 && len(p.Words) > 0
}

// Quantised returns the integer that stands for a real x where the port has a step: round(x/step), halves to even and in float32 as the model's
// type has it, within the port's range. ok is false of a NaN.
func (p *Port) Quantised(x float64) (q int64, ok bool) {
	y := math.RoundToEven(float64(float32(x) / float32(p.Step)))
	return int64(min(max(y, p.Lo), p.Hi)), !math.IsNaN(y)
}

// MayMiss reports whether element i may be missing.
func (p *Port) MayMiss(i int) bool {
	if p.Missing == "" {
		return false
	}
	k := 1
	if n := len(p.Shape); n > 0 {
		k = max(1, p.Shape[n-1])
	}
	return !slices.Contains(p.Given, i%k)
}

// Stand returns what enters in the place of element i where it is missing: the number of its range that is next to zero.
func (p *Port) Stand(i int) float64 {
	lo, hi := p.Range(i)
	return min(max(0, lo), hi)
}

// maxPlaces bounds the places of decimals.
const maxPlaces = 12

// validateText checks what a port says of text, of missing elements, of quantisation and of decimals. inputs are those of the plan.
func (p *Port) validateText(inputs []Port, input, output bool) error {
	size := 0
	for _, w := range append(slices.Clone(p.Words), p.Classes...) {
		size += len(w)
	}
	k := 1
	if n := len(p.Shape); n > 0 {
		k = p.Shape[n-1]
	}
	switch {
	case len(p.Words) > maxPortWords || len(p.Classes) > maxPortWords || size > maxText:
		return errors.New("has too many words")
	case len(p.Words) > 0 && (p.Elem != "int" || !input && !output), p.Decimal && (p.Elem != "int" || !output || len(p.Words) > 0):
		return errors.New("is text that is not held as integers")
	case p.Places < 0 || p.Places > maxPlaces || p.Places > 0 && (p.Elem != "int" || len(p.Words) > 0 || p.Decimal):
		return errors.New("is decimals that are not held as integers")
	case len(p.Classes) > 0 && (!output || len(p.Classes) != k):
		return fmt.Errorf("names %d classes of %d", len(p.Classes), k)
	case p.Step != 0 && (!input || p.Elem != "int" || len(p.Words) > 0 || !(float32(p.Step) > 0) || math.IsInf(float64(float32(p.Step)), 0) || !(math.Abs(p.Lo) <= maxStepped && math.Abs(p.Hi) <= maxStepped)):
		return errors.New("is quantised by its owner, and no input of integers of few bits with a step above 0")
	case len(p.Categories) > 0 && (!input || p.Elem == "bool") || len(p.Categories) > k:
		return errors.New("has choices that are not those of columns of an input of numbers")
	case slices.ContainsFunc(p.Categories, func(c Category) bool { return c.Column < 0 || c.Column >= max(k, 1) || len(c.Values) > maxPortWords }):
		return fmt.Errorf("choices are those of a column of %d, or too many", k)
	case p.Missing == "" && len(p.Given) == 0:
		return nil
	case !input || p.Missing == "" || p.Elem != "real":
		return errors.New("has missing elements that are not those of an input of reals")
	}
	for _, c := range p.Given {
		if c < 0 || c >= k {
			return fmt.Errorf("column %d of %d is always there", c, k)
		}
	}
	i := slices.IndexFunc(inputs, func(m Port) bool { return m.Name == p.Missing })
	if i < 0 || inputs[i].Elem != "bool" || inputs[i].Owner != p.Owner || !slices.Equal(inputs[i].Shape, p.Shape) {
		return fmt.Errorf("%q is no input of booleans of the same owner and shape", p.Missing)
	}
	return nil
}
