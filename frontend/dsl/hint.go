package dsl

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"smpcc/ir/diag"
)

// What people type who know other languages, and what to write instead.

// statementWords begin statements.
var statementWords = []string{"parties", "dealer", "guests", "const", "input", "weight", "table", "let", "fn", "for", "if", "assert", "import", "reveal"}

// otherStatements are words that begin statements elsewhere.
var otherStatements = map[string]string{
	"var": "write let x = ...; x = ... changes it", "val": "write let x = ...", "mut": "write let x = ...; x = ... changes it", "auto": "write let x = ...",
	"def": "write fn f(x) { return ... }", "func": "write fn f(x) { return ... }", "function": "write fn f(x) { return ... }", "lambda": "write fn f(x) { return ... }",
	"while": "write for i in 0..9 { ... }: how often a loop runs must be known when compiling", "loop": "write for i in 0..9 { ... }", "foreach": "write for x in xs { ... }",
	"print": "write reveal x to PARTY as NAME", "output": "write reveal x to PARTY as NAME", "open": "write reveal x to PARTY as NAME", "show": "write reveal x to PARTY as NAME",
	"party": "write parties alice, bob", "secret": "write input x: int from alice", "private": "write input x: int from alice", "public": "write const x = ...; inputs that everybody may know need no secure computation",
	"int": "write let x = ..., or input x: int from PARTY", "real": "write let x = ..., or input x: real from PARTY", "float": "write let x = ..., or input x: real from PARTY", "double": "write let x = ..., or input x: real from PARTY",
	"bool": "write let x = ..., or input x: bool from PARTY", "string": "there is no text to compute with", "elif": "write } else if condition {", "elseif": "write } else if condition {",
	"else": "write else behind the } of its if", "switch": "write if and else if, or where(condition, x, y) for secrets", "match": "write if and else if, or where(condition, x, y) for secrets",
	"import": `write import model "file.onnx" as f`, "from": `write import model "file.onnx" as f`, "require": "write assert condition", "struct": "write table NAME from PARTY { column: type }", "record": "write table NAME from PARTY { column: type }",
	"class": "write table NAME from PARTY { column: type }", "end": "blocks stand in braces", "begin": "blocks stand in braces",
}

// otherTypes are names of types elsewhere.
var otherTypes = map[string]string{
	"float": "real", "double": "real", "number": "real", "float32": "real", "float64": "real", "fixed": "real", "sfix": "real", "integer": "int", "long": "int", "sint": "int", "uint": "uint32", "uint64": "int in 0..2^53", "int4": "int8",
	"boolean": "bool", "bit": "bool", "byte": "uint8", "char": "uint8", "string": "int, a number for each text", "str": "int, a number for each text", "date": "int, as days since a day", "currency": "money",
}

// otherNames are names of values elsewhere.
var otherNames = map[string]string{
	"True": "write true", "False": "write false", "None": "there is no such value; bools that say what is there are an input of their own", "null": "there is no such value; bools that say what is there are an input of their own",
	"pi": "write const pi = 3.141592653589793", "inf": "write the largest number that there can be",
}

// otherFunctions are names of functions elsewhere.
var otherFunctions = map[string]string{
	"len": "write size(x), or size(x, axis=0) for the length of one dimension", "length": "write size(x)", "count": "write sum(condition): of bools it is how many are true", "shape": "write size(x, axis=0)",
	"avg": "write mean(x)", "average": "write mean(x)", "std": "write stdev(x)", "stddev": "write stdev(x)", "var": "write variance(x)", "float": "write real(x)", "double": "write real(x)", "bool": "write x != 0",
	"ifelse": "write where(condition, x, y)", "ite": "write where(condition, x, y)", "iif": "write where(condition, x, y)", "select": "write where(condition, x, y)", "mux": "write where(condition, x, y)", "if_else": "write where(condition, x, y)",
	"fabs": "write abs(x)", "ln": "write log(x)", "power": "write pow(x, y)", "square": "write x * x", "idiv": "write div(x, y)", "trunc": "write int(x)", "ceiling": "write ceil(x)",
	"print": "write reveal x to PARTY as NAME", "sorted": "write sort(x), or sort_by(rows, key)", "argsort": "write sort_by(range(n), key)", "append": "write concat(0, x, y)", "cat": "write concat(0, x, y)", "zip": "write stack(x, y)",
	"sigma": "write sum(x)", "prod": "multiply in a loop: let p = 1, for x in xs { p = p * x }", "relu6": "write clip(x, 0, 6)", "lookup": "write table[i]", "gather": "write x[indices]", "join": "write lookup_by(ids, table_ids, values) for what stands beside an id, or intersection_size(a, b)",
	"intersect": "write intersection_size(a, b), or occurs(a, b)", "intersection": "write intersection_size(a, b), or occurs(a, b)", "group_by": "write group_sum(x, group, k), group_count(group, k) or group_mean(x, group, k)", "groupby": "write group_sum(x, group, k), group_count(group, k) or group_mean(x, group, k)",
	"unique": "write unique(x) for the sorted values and which are new, or count_distinct(x)", "percentile": "write quantile(x, q)", "xor": "write x != y of bools, or bitxor(x, y)",
}

// otherOperators are operators elsewhere, tried in order on what stands at a mistake or just before it.
var otherOperators = []struct {
	at   *regexp.Regexp
	hint string
}{
	{regexp.MustCompile(`^\*\*`), "write pow(x, y), or x * x"},
	{regexp.MustCompile(`^//`), "comments begin with #; div(x, y) is the whole quotient"},
	{regexp.MustCompile(`^/\*`), "comments begin with #"},
	{regexp.MustCompile(`^%`), "write mod(x, y)"},
	{regexp.MustCompile(`^&&`), "write and"},
	{regexp.MustCompile(`^\|\|`), "write or"},
	{regexp.MustCompile(`^&`), "write and, or bitand(x, y) for the bits of numbers"},
	{regexp.MustCompile(`^\|`), "write or, or bitor(x, y) for the bits of numbers"},
	{regexp.MustCompile(`^\^`), "write pow(x, y), x != y of bools, or bitxor(x, y) for the bits of numbers"},
	{regexp.MustCompile(`^!([^=]|$)`), "write not"},
	{regexp.MustCompile(`^~`), "write not"},
	{regexp.MustCompile(`^<<|^< *<`), "write shl(x, k)"},
	{regexp.MustCompile(`^>>|^> *>`), "write shr(x, k)"},
	{regexp.MustCompile(`^\+\+|^--`), "write x += 1"},
	{regexp.MustCompile(`^/=`), "write x = x / y"},
	{regexp.MustCompile(`^===`), "write =="},
	{regexp.MustCompile(`^=>`), "write >=, or fn f(x) { return ... }"},
	{regexp.MustCompile(`^=<`), "write <="},
	{regexp.MustCompile(`^:=`), "write let x = ..."},
	{regexp.MustCompile(`^->`), "a function's result has no written type"},
	{regexp.MustCompile(`^\?`), "write where(condition, x, y)"},
	{regexp.MustCompile(`^;`), "a statement ends with its line"},
	{regexp.MustCompile(`^'`), `text stands in double quotes, and only names of files and messages of assert are text`},
	{regexp.MustCompile(`^"`), "text is only the file of an import, the message of an assert and the operator of onnx(...)"},
	{regexp.MustCompile(`^(<=|>=|==|!=|<|>)`), "compare twice: a < b and b < c"},
	{regexp.MustCompile(`^else\b`), "write else behind the } of its if"},
	{regexp.MustCompile(`^if\b`), "write where(condition, x, y) for a choice inside an expression"},
	{regexp.MustCompile(`^for\b`), "a loop is a statement: for i in 0..9 { ... }"},
	{regexp.MustCompile(`^:`), "blocks stand in braces: for i in 0..9 { ... }"},
}

// typed returns what to write instead of what stands at a mistake of syntax, or "".
func (c *checker) typed(pos diag.Pos, text string) string {
	if pos.Line < 1 || pos.Line > len(c.lines) {
		return ""
	}
	line := []rune(uncommented(c.lines[pos.Line-1]))
	at := min(pos.Col-1, len(line))
	rest := string(line[max(0, at):])
	before := strings.TrimRight(string(line[:max(0, at)]), " \t")
	if n := len(before); n > 0 && strings.ContainsRune("*/&|<>+-", rune(before[n-1])) { // the second half of an operator
		if hint := operatorHint(before[n-1:] + rest); hint != "" {
			return hint
		}
	}
	f := strings.Fields(text)
	switch {
	case len(f) > 0 && (f[0] == "let" || f[0] == "const") && strings.HasPrefix(rest, ":"):
		return "a name takes the type of its value: let x = ..."
	case len(f) > 0 && f[0] == "if" && strings.HasPrefix(rest, "then"):
		return "write if condition { ... }"
	}
	return operatorHint(rest)
}

func operatorHint(s string) string {
	for _, o := range otherOperators {
		if o.at.MatchString(s) {
			return o.hint
		}
	}
	return ""
}

// first splits off the first word of a statement.
var first = regexp.MustCompile(`^\s*([A-Za-z_][A-Za-z0-9_]*)\s*(.?.?)`)

// unknownStatement reports a statement that begins with a word that begins none, and that assigns nothing.
func (c *checker) unknownStatement(p piece) bool {
	text := strings.TrimSpace(stripComments(p.text))
	m := first.FindStringSubmatch(text)
	if m == nil || slices.Contains(statementWords, m[1]) && m[1] != "import" || m[1] == "return" {
		return false
	}
	switch {
	case m[2] != "" && strings.ContainsRune("=[", rune(m[2][0])) && !strings.HasPrefix(m[2], "==") || slices.Contains([]string{"+=", "-=", "*="}, m[2]):
		return false
	case m[1] == "import" && regexp.MustCompile(`^import\s+model\b`).MatchString(text):
		return false
	}
	line := p.line
	for line < len(c.lines)-1 && strings.TrimSpace(uncommented(c.lines[line])) == "" {
		line++
	}
	col := strings.Index(c.lines[line], m[1])
	e := c.fail(diag.Pos{File: c.file, Line: line + 1, Col: col + 1}, "%q begins no statement", m[1])
	switch hint, near := otherStatements[m[1]], nearest(m[1], slices.Clone(statementWords)); {
	case strings.HasPrefix(text, "//") || strings.HasPrefix(text, "/*"):
		e.WithHint("comments begin with #")
	case hint != "":
		e.WithHint("%s", hint)
	case strings.HasPrefix(m[2], "("):
		e.WithHint("a call alone does nothing: let x = %s(...), or reveal %[1]s(...) to PARTY as NAME", m[1])
	case strings.HasPrefix(m[2], ":"):
		e.WithHint("write input %s: TYPE from PARTY, or let %[1]s = ...", m[1])
	case near != "":
		e.WithHint("did you mean %q?", near)
	default:
		e.WithHint("statements begin with %s, or give a name another value: x = ...", strings.Join(statementWords, ", "))
	}
	return true
}

// levels are the grammar's names for expressions, which mean nothing to users; notions are what users call the others.
var (
	levels  = regexp.MustCompile(`\b(Conjunction|Negation|Comparison|Sum|Product|Unary|Postfix|Primary)\b`)
	notions = strings.NewReplacer("(expected Expr)", "(expected an expression)", "Expr", "expression", "Binding", `name "=" expression`, "Declaration", `name ":" type "from" party`, "Typ", "type", "Param", "parameter",
		"Statement", "statement", "Column", "column", "Argument", "argument", "Field", "name", "Index", "index", "<string>", "text in quotes", "<ident>", "name", "Name", "name")
)

// syntax makes a parser's message readable.
func syntax(msg string) string {
	msg = strings.TrimPrefix(msg, "lexer: ")
	if rest, ok := strings.CutPrefix(msg, "invalid input text "); ok {
		if s, err := strconv.Unquote(rest); err == nil && s != "" {
			return fmt.Sprintf("unexpected character %q", []rune(s)[0])
		}
	}
	if rest, ok := strings.CutPrefix(msg, "unexpected token "); ok {
		msg = "unexpected " + rest
	}
	found, expected, ok := strings.Cut(strings.ReplaceAll(msg, `"<EOF>"`, "end of statement"), " (expected ")
	if !ok {
		return found
	}
	return found + notions.Replace(levels.ReplaceAllString(" (expected "+expected, "Expr"))
}
