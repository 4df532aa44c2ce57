package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// A csvRule says how a table in text is read.
type csvRule struct {
	header  string // auto, yes or no
	decimal string // point or comma
}

// A csvFile is a table in text.
type csvFile struct {
	header []string // nil if there is none
	rows   [][]string
	lines  []int // of the file, of each row
	comma  bool  // decimals have a comma
	semi   bool  // cells are separated by semicolons
}

// splitCSV reads the cells of a table: separated by commas, or by semicolons or tabs if the first line has one of them outside quotes.
func splitCSV(f io.Reader, rule csvRule) (*csvFile, error) {
	data, err := io.ReadAll(io.LimitReader(f, maxData))
	if err != nil {
		return nil, err
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, errors.New("is UTF-16; save it as UTF-8")
	}
	t := &csvFile{comma: rule.decimal == "comma"}
	r := csv.NewReader(bytes.NewReader(data))
	r.TrimLeadingSpace = true
	line, _, _ := strings.Cut(string(data), "\n")
	for _, sep := range []rune{';', '\t'} {
		if outsideQuotes(line, sep) {
			r.Comma, t.semi = sep, true
			break
		}
	}
	if t.comma && !t.semi {
		return nil, errors.New("cells are separated by commas, so that decimals cannot have them: separate cells by semicolons")
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		n, _ := r.FieldPos(0)
		t.rows, t.lines = append(t.rows, row), append(t.lines, n)
	}
	if len(t.rows) == 0 {
		return nil, errors.New("holds no numbers")
	}
	return t, t.cutHeader(rule.header)
}

// outsideQuotes reports whether a separator stands outside quotes.
func outsideQuotes(line string, sep rune) bool {
	quoted := false
	for _, c := range line {
		if c == '"' {
			quoted = !quoted
		}
		if c == sep && !quoted {
			return true
		}
	}
	return false
}

// cutHeader takes the first line as names where it is one: by rule, if every cell is a name, that is neither a number nor what stands for a missing value.
// A line that may be either is refused, so that no row is lost and no name becomes data.
func (t *csvFile) cutHeader(rule string) error {
	names, numbers, gaps := 0, 0, 0
	count := true
	for i, s := range t.rows[0] {
		s = strings.TrimSpace(s)
		_, err := t.number(s)
		switch {
		case isMissing(s):
			gaps++
		case err == nil || isBool(s):
			numbers++
		default:
			names++
		}
		count = count && s == strconv.Itoa(i)
	}
	header := names > 0 && numbers == 0 && (gaps == 0 || gaps == 1 && strings.TrimSpace(t.rows[0][0]) == "")
	switch {
	case rule == "yes":
		header = true
	case rule == "no":
		header = false
	case names > 0 && !header && len(t.rows) > 1:
		return ambiguous("the first line has names and numbers")
	case numbers == 0 && gaps > 0 && !header:
		return ambiguous("the first line says nothing but missing values")
	case count && len(t.rows[0]) > 1:
		return ambiguous("the first line counts columns: %s", strings.Join(t.rows[0], ","))
	}
	if header {
		t.header, t.rows, t.lines = t.rows[0], t.rows[1:], t.lines[1:]
		for i := range t.header {
			t.header[i] = strings.TrimSpace(t.header[i])
		}
	}
	if len(t.rows) == 0 {
		return errors.New("holds no numbers")
	}
	return nil
}

// ambiguous refuses a first line that may be a header or data.
func ambiguous(format string, args ...any) error {
	return diag.Errorf(diag.Pos{}, "%s: it may be a header or data", fmt.Sprintf(format, args...)).WithHint("say which: --header=yes or --header=no")
}

func isMissing(s string) bool { return slices.Contains(missing, strings.ToLower(s)) }

func isBool(s string) bool {
	_, ok := bools[strings.ToLower(s)]
	return ok
}

// bools are the words for truth in tables.
var bools = map[string]int64{"true": 1, "false": 0, "yes": 1, "no": 0}

// grouped are numbers with separators of thousands, by what separates decimals.
var grouped = map[bool]*regexp.Regexp{
	false: regexp.MustCompile(`^[+-]?[0-9]{1,3}([, '_][0-9]{3})+(\.[0-9]+)?$`),
	true:  regexp.MustCompile(`^[+-]?[0-9]{1,3}([. '_][0-9]{3})+(,[0-9]+)?$`),
}

// plain returns a number without separators of thousands and with a point.
func (t *csvFile) plain(s string) (string, error) {
	s = strings.TrimSpace(s)
	if t.semi && !t.comma && strings.Contains(s, ",") {
		return s, diag.Errorf(diag.Pos{}, "%q has a comma, which may separate decimals or thousands", s).WithHint("say which: --decimal=comma, or --decimal=point without commas in the file")
	}
	if grouped[t.comma].MatchString(s) {
		drop := ",'_ "
		if t.comma {
			drop = ".'_ "
		}
		s = strings.Map(func(r rune) rune {
			if strings.ContainsRune(drop, r) {
				return -1
			}
			return r
		}, s)
	} else if t.comma && strings.Contains(s, ".") {
		return s, fmt.Errorf("%q has a point, where decimals have a comma", s)
	}
	if t.comma {
		s = strings.Replace(s, ",", ".", 1)
	}
	return s, nil
}

// number reads a cell as a real.
func (t *csvFile) number(s string) (float64, error) {
	s, err := t.plain(s)
	if err != nil {
		return 0, err
	}
	if strings.ContainsAny(s, "xXpP_") { // what Go reads as numbers and tables do not hold
		return 0, errors.New("is no number")
	}
	x, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil && errors.Is(err, strconv.ErrRange) || math.IsInf(x, 0):
		return 0, errors.New("is infinite")
	case err != nil:
		return 0, errors.New("is no number")
	}
	return x, nil
}

// cell says where a cell is.
func (t *csvFile) cell(i, j int) string {
	what := fmt.Sprint(j + 1)
	if t.header != nil && t.header[j] != "" {
		what = fmt.Sprintf("%d (%s)", j+1, t.header[j])
	}
	return fmt.Sprintf("row %d, column %s (line %d)", i+1, what, t.lines[i])
}

// columns reads columns as elements of a kind: real, int, bool or decimal. strict refuses missing values; else they are NaN.
func (t *csvFile) columns(list []int, elem string, strict bool) (*ir.Tensor, error) {
	e := map[string]ir.Elem{"int": ir.Int, "bool": ir.Bool}[elem]
	out := ir.NewTensor(e, ir.Shape{len(t.rows), len(list)})
	for i, row := range t.rows {
		for k, j := range list {
			s := strings.TrimSpace(row[j])
			at := i*len(list) + k
			if isMissing(s) {
				if strict || e != ir.Real {
					return nil, diag.Errorf(diag.Pos{}, "%s is missing: %q", t.cell(i, j), s).WithHint("fill it, or take the row out: nothing can be computed with what is not there")
				}
				out.F[at] = math.NaN()
				continue
			}
			var err error
			switch e {
			case ir.Real:
				out.F[at], err = t.number(s)
			case ir.Int:
				out.I[at], err = t.integer(s)
			case ir.Bool:
				b, ok := bools[strings.ToLower(s)]
				switch {
				case ok:
					out.I[at] = b
				case s == "0" || s == "1":
					out.I[at] = int64(s[0] - '0')
				default:
					err = errors.New("is neither true nor false")
				}
			}
			if err != nil {
				if d := (*diag.Error)(nil); errors.As(err, &d) {
					d.Msg = t.cell(i, j) + ": " + d.Msg
					return nil, d
				}
				if err.Error() == "is no number" {
					err = errors.New("is not a number")
				}
				return nil, fmt.Errorf("%s %w: %q", t.cell(i, j), err, s)
			}
		}
	}
	return out, nil
}

// integer reads a cell as an integer, with all its digits.
func (t *csvFile) integer(s string) (int64, error) {
	s, err := t.plain(s)
	if err != nil {
		return 0, err
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if strings.Trim(fraction, "0") != "" {
		return 0, errors.New("is not an integer")
	}
	x, err := strconv.ParseInt(whole, 10, 64)
	if err == nil {
		return x, nil
	}
	f, err2 := strconv.ParseFloat(s, 64) // 1e6
	switch {
	case err2 != nil:
		return 0, errors.New("is no number")
	case f != math.Trunc(f):
		return 0, errors.New("is not an integer")
	case math.Abs(f) > 1<<53:
		return 0, errors.New("is beyond 2^53 and not written in full")
	}
	return int64(f), nil
}

// all lists the places of all columns.
func (t *csvFile) all() []int {
	out := make([]int, len(t.rows[0]))
	for j := range out {
		out[j] = j
	}
	return out
}

// place finds the column that a name in the program stands for: by a name in the header, or by order where there is none.
func (t *csvFile) place(name string, order int, rename map[string]string) (int, error) {
	want, given := rename[name], true
	if want == "" {
		want, given = name, false
	}
	if t.header == nil {
		if given {
			n, err := strconv.Atoi(want)
			if err != nil || n < 1 || n > len(t.rows[0]) {
				return 0, fmt.Errorf("there is no header, so that --columns %s=%s must name a place, 1 to %d", name, want, len(t.rows[0]))
			}
			return n - 1, nil
		}
		if order >= len(t.rows[0]) {
			return 0, fmt.Errorf("column %q would be number %d, and there are %d", name, order+1, len(t.rows[0]))
		}
		return order, nil
	}
	at := -1
	for j, h := range t.header {
		if h != want {
			continue
		}
		if at >= 0 {
			return 0, fmt.Errorf("two columns are called %q", want)
		}
		at = j
	}
	if at < 0 {
		return 0, diag.Errorf(diag.Pos{}, "there is no column %q; there is %s", want, strings.Join(t.header, ", ")).WithHint("--columns %s=NAME says which it is", name)
	}
	return at, nil
}
