// Package text reads the textual form of modules that ir.Print writes, so that a person can write, edit and check
// any level of the compiler by hand: print -> parse -> print is the identity.
//
// A file is one module; a statement is one line:
//
//	module "tiny" {
//	  parties p0 p1
//	  dealer d
//	  policy p0 file "policy.yaml" digest "9f86d0..."
//	  allow "y" to p1 owner p0 rule "outputs may go to p1"
//
//	  func main {
//	    holds folded core
//	    v0 = input name="x" owner="p1" elem="real" shape=[2] : private(p1) real[2]  range [0, 1] proved  @ "m.onnx" node "x"
//	    v1 = const data=real[2]{0.5 -1} : public real[2]
//	    v2 = mul v0 v1 : private(p1) real[2]  @ "m.smp":3:5
//	    v3 = reveal v2 name="y" to=["p1"] : private(p1) real[2]
//	  }
//	}
//
// A value states its op, arguments, attributes, type and, where known, its range and position in the user's source.
// The kind of an attribute is what the op's row says. A semicolon starts a comment.
package text

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/policy"
)

// Limits that keep a hostile file from taking the machine down.
const (
	maxBytes   = 64 << 20
	maxValues  = 1 << 20
	maxID      = 1 << 30
	maxErrors  = 100
	maxMessage = 1000 // bytes of one message
	maxSource  = 200  // bytes of a source line shown with an error
)

// Parse reads one module; name is the file's name in errors. The type of each value is computed from its op's rule
// and must be the one the text states. Weights have no data. Parse does not check what ir.Verify checks.
func Parse(name string, data []byte) (*ir.Module, error) {
	if len(data) > maxBytes {
		return nil, diag.Errorf(diag.Pos{File: name}, "file has %d bytes, at most %d are allowed", len(data), maxBytes)
	}
	p := &parser{file: name, lex: lexer{src: string(data), line: 1}}
	p.take()
	m := p.module()
	p.flush()
	if err := p.errs.Err(); err != nil {
		return nil, err
	}
	return m, nil
}

// A parser reads statements. The first mistake in one is kept in err, after which everything up to the end of the
// statement does nothing; flush then reports it.
type parser struct {
	file   string
	lex    lexer
	tok    token // the next token
	err    *diag.Error
	errs   diag.List
	values int
}

// take returns the next token and moves on.
func (p *parser) take() token {
	t := p.tok
	if p.err == nil {
		p.tok = p.lex.next()
	}
	return t
}

// fail records a mistake at t, unless the statement has one already.
func (p *parser) fail(t token, format string, args ...any) {
	if p.err == nil {
		p.err = p.mistake(t, format, args...)
	}
}

// mistake returns an error at t with its source line.
func (p *parser) mistake(t token, format string, args ...any) *diag.Error {
	e := diag.Errorf(diag.Pos{File: p.file, Line: t.line, Col: t.at - t.start + 1}, format, args...)
	if len(e.Msg) > maxMessage {
		e.Msg = strings.ToValidUTF8(e.Msg[:maxMessage], "") + "..."
	}
	line, _, _ := strings.Cut(p.lex.src[t.start:min(len(p.lex.src), t.start+maxSource)], "\n")
	if e.Pos.Col <= len(line)+1 && utf8.ValidString(line) {
		e.Source = strings.TrimSuffix(line, "\r")
	}
	return e
}

// flush reports the statement's mistake and moves to the end of its line.
func (p *parser) flush() {
	if p.err == nil {
		return
	}
	p.errs = append(p.errs, p.err)
	p.err = nil
	for p.tok.kind != newline && p.tok.kind != end {
		p.take()
	}
}

// more skips empty lines and reports whether the block goes on; it takes the closing brace.
func (p *parser) more(open token) bool {
	for p.tok.kind == newline {
		p.take()
	}
	switch {
	case len(p.errs) >= maxErrors:
		return false
	case p.is("}"):
		p.take()
		p.endLine()
		p.flush()
		return false
	case p.tok.kind == end:
		p.fail(p.tok, "block of line %d is not closed", open.line)
		p.flush()
		return false
	}
	return true
}

func (p *parser) is(s string) bool { return p.err == nil && p.tok.kind == punct && p.tok.text == s }

// accept takes s if it comes next.
func (p *parser) accept(s string) bool {
	if !p.is(s) {
		return false
	}
	p.take()
	return true
}

func (p *parser) expect(s string) {
	if p.err == nil && !p.accept(s) {
		p.fail(p.tok, "found %v, want '%s'", p.tok, s)
	}
}

// keyword takes the word s if it comes next.
func (p *parser) keyword(s string) bool {
	if p.err != nil || p.tok.kind != word || p.tok.text != s {
		return false
	}
	p.take()
	return true
}

func (p *parser) expectKeyword(s string) {
	if p.err == nil && !p.keyword(s) {
		p.fail(p.tok, "found %v, want %s", p.tok, s)
	}
}

func (p *parser) endLine() {
	if p.err == nil && p.tok.kind != newline && p.tok.kind != end {
		p.fail(p.tok, "found %v, want the end of the line", p.tok)
	}
}

// word takes a word; what says which one in an error.
func (p *parser) word(what string) token {
	if p.err == nil && p.tok.kind != word {
		p.fail(p.tok, "found %v, want %s", p.tok, what)
	}
	return p.take()
}

func (p *parser) str() string {
	if p.err == nil && p.tok.kind != quoted {
		p.fail(p.tok, "found %v, want a string in quotes", p.tok)
	}
	return p.take().text
}

// name takes the name of a party or function, bare or in quotes.
func (p *parser) name() string {
	if p.tok.kind == quoted {
		return p.str()
	}
	return p.word("a name").text
}

// owner takes a party's name as part of a visibility, where a comma would divide it.
func (p *parser) owner() string {
	t := p.tok
	s := p.name()
	if s == "" || strings.Contains(s, ",") {
		p.fail(t, "party name %q is empty or has a comma", s)
	}
	return s
}

func (p *parser) int() int64 {
	t := p.word("an integer")
	x, err := strconv.ParseInt(t.text, 10, 64)
	if err != nil {
		p.fail(t, "found %v, want an integer of 64 bits", t)
	}
	return x
}

func (p *parser) float() float64 {
	t := p.word("a number")
	x, err := strconv.ParseFloat(t.text, 64)
	if err != nil {
		p.fail(t, "found %v, want a number", t)
	}
	return x
}

// list takes [item, item, ...].
func (p *parser) list(item func()) {
	p.expect("[")
	if p.accept("]") {
		return
	}
	for p.err == nil {
		item()
		if !p.accept(",") {
			break
		}
	}
	p.expect("]")
}

// shape takes a shape that holds no more elements than a tensor may.
func (p *parser) shape() ir.Shape {
	t, s := p.tok, ir.Shape{}
	p.list(func() { s = append(s, int(p.int())) })
	if err := ir.CheckShape(s); err != nil {
		p.fail(t, "%v", err)
	}
	return s
}

// module takes the whole file.
func (p *parser) module() *ir.Module {
	m := &ir.Module{}
	for p.tok.kind == newline {
		p.take()
	}
	open := p.tok
	p.expectKeyword("module")
	m.Name = p.str()
	p.expect("{")
	p.endLine()
	if p.err != nil {
		return nil
	}
	for p.more(open) {
		p.moduleLine(m)
		p.flush()
	}
	if len(p.errs) > 0 {
		return nil
	}
	for p.tok.kind == newline {
		p.take()
	}
	if p.tok.kind != end {
		p.fail(p.tok, "found %v after the module", p.tok)
	}
	return m
}

// moduleLine takes one statement of a module, or a function.
func (p *parser) moduleLine(m *ir.Module) {
	t := p.word("parties, dealer, guests, policy, allow or func")
	if p.err != nil {
		return
	}
	switch t.text {
	case "parties":
		if m.Parties != nil {
			p.fail(t, "parties are stated twice")
		}
		for p.err == nil && (p.tok.kind == word || p.tok.kind == quoted) {
			m.Parties = append(m.Parties, p.name())
		}
	case "dealer":
		if m.Dealer != "" {
			p.fail(t, "dealer is stated twice")
		}
		m.Dealer = p.name()
	case "guests":
		if m.Guests != nil {
			p.fail(t, "guests are stated twice")
		}
		for p.err == nil && (p.tok.kind == word || p.tok.kind == quoted) {
			m.Guests = append(m.Guests, p.name())
		}
	case "policy":
		var r policy.Ref
		r.Owner = p.name()
		p.expectKeyword("file")
		r.File = p.str()
		p.expectKeyword("digest")
		r.Digest = p.str()
		m.Policies = append(m.Policies, r)
	case "allow":
		var a policy.Allowance
		a.Output = p.str()
		p.expectKeyword("to")
		a.Receiver = p.name()
		p.expectKeyword("owner")
		a.Owner = p.name()
		p.expectKeyword("rule")
		a.Rule = p.str()
		m.Allowed = append(m.Allowed, a)
	case "func":
		f := ir.NewFunc(p.name())
		p.expect("{")
		p.endLine()
		m.Funcs = append(m.Funcs, f)
		p.flush()
		p.body(t, f)
		return
	default:
		p.fail(t, "found %v, want parties, dealer, guests, policy, allow or func", t)
	}
	p.endLine()
}

// body takes the lines of a function. A name whose line has a mistake maps to nil, so that its uses are not reported too. Values whose names
// are no numbers get the free numbers in order.
func (p *parser) body(open token, f *ir.Func) {
	known := map[string]*ir.Value{}
	var values []*ir.Value
	numbers := map[int]bool{}
	for p.more(open) {
		if p.keyword("holds") {
			p.holds(f)
		} else if v := p.value(known); v != nil {
			values = append(values, v)
			numbers[v.ID] = true
		}
		p.flush()
	}
	next := 0
	for _, v := range values {
		if v.ID < 0 {
			for numbers[next] {
				next++
			}
			v.ID = next
			next++
		}
		f.AdoptNumbered(v)
	}
}

func (p *parser) holds(f *ir.Func) {
	for p.err == nil && p.tok.kind == word {
		t := p.take()
		i, ok := ir.InvariantByName(t.text)
		if !ok {
			p.fail(t, "%v is not an invariant", t)
		}
		f.Holds |= i
	}
	p.endLine()
}

// id returns the number of a value that is called v and its number, or -1 for other names.
func id(s string) int {
	digits, ok := strings.CutPrefix(s, "v")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 0 || n > maxID || strconv.Itoa(n) != digits {
		return -1
	}
	return n
}

// value takes one value's line, or returns nil.
func (p *parser) value(known map[string]*ir.Value) *ir.Value {
	at := p.word("the name of a value")
	v := &ir.Value{ID: id(at.text)}
	if p.err != nil {
		return nil
	}
	if strings.IndexFunc(at.text, func(r rune) bool { return isLetter(byte(r)) }) < 0 || strings.ContainsAny(at.text[:1], ".-+") {
		p.fail(at, "found %v, want the name of a value, which has a letter and begins with none of . - +", at)
		return nil
	}
	if _, twice := known[at.text]; twice {
		p.fail(at, "%s is defined twice", at.text)
		return nil
	}
	if p.values++; p.values > maxValues {
		p.fail(at, "module has more than %d values", maxValues)
		return nil
	}
	known[at.text] = nil
	p.expect("=")
	op := p.word("an op")
	v.Op = ir.Op(op.text)
	row := ir.Rows[v.Op]
	if row == nil {
		p.fail(op, "unknown op %q", op.text)
		return nil
	}
	whole := true // all arguments are there
	for p.err == nil && p.tok.kind == word {
		if t := p.take(); p.accept("=") {
			p.attr(v, row, t)
		} else {
			a, ok := known[t.text]
			if !ok || t.text == at.text {
				p.fail(t, "%v is not a value computed before", t)
			}
			whole = whole && a != nil
			v.Args = append(v.Args, a)
		}
	}
	p.expect(":")
	stated := p.tok
	want := p.typ()
	if p.keyword("range") {
		v.Range = p.rng()
	}
	if p.accept("@") {
		v.Pos = p.position()
	}
	p.endLine()
	if p.err != nil || !whole {
		return nil
	}
	var err error
	if v.Type, err = row.TypeOf(v); err != nil {
		p.fail(op, "%s: %v", v.Op, err)
		return nil
	}
	known[at.text] = v
	if !v.Type.Equal(want) {
		p.errs = append(p.errs, p.mistake(stated, "type is %v, but the rule of %s says %v", want, v.Op, v.Type))
	}
	return v
}

// attr takes the value of the attribute named by key.
func (p *parser) attr(v *ir.Value, row *ir.Row, key token) {
	i := slices.IndexFunc(row.Attrs, func(s ir.AttrSpec) bool { return s.Key == key.text })
	switch {
	case i < 0:
		p.fail(key, "%s has no attribute %s", v.Op, key.text)
		return
	case v.Attrs.Has(key.text):
		p.fail(key, "attribute %s appears twice", key.text)
		return
	}
	a := ir.Attr{Key: row.Attrs[i].Key, Kind: row.Attrs[i].Kind}
	switch a.Kind {
	case ir.AttrInt:
		a.Int = p.int()
	case ir.AttrFloat:
		a.Float = p.float()
	case ir.AttrString:
		a.Str = p.str()
	case ir.AttrInts:
		a.Ints = []int64{}
		p.list(func() { a.Ints = append(a.Ints, p.int()) })
	case ir.AttrStrings:
		a.Strings = []string{}
		p.list(func() { a.Strings = append(a.Strings, p.str()) })
	case ir.AttrTensor:
		a.Tensor = p.tensor()
	}
	v.Attrs = append(v.Attrs, a)
}

// elem takes an element kind; ring elements of types state bits.scale.
func (p *parser) elem(widths bool) (e ir.Elem, bits, scale int) {
	t := p.word("real, int, bool or ring")
	switch t.text {
	case "real":
		return ir.Real, 0, 0
	case "int":
		return ir.Int, 0, 0
	case "bool":
		return ir.Bool, 0, 0
	}
	rest, ok := strings.CutPrefix(t.text, "ring")
	if ok && !widths && rest == "" {
		return ir.Ring, 0, 0
	}
	b, s, dot := strings.Cut(rest, ".")
	bits, berr := strconv.Atoi(b)
	scale, serr := strconv.Atoi(s)
	switch {
	case !widths:
		p.fail(t, "found %v, want real, int, bool or ring", t)
	case !ok || !dot || berr != nil || serr != nil:
		p.fail(t, "found %v, want real, int, bool or a ring with bits and scale such as ring40.16", t)
	}
	return ir.Ring, bits, scale
}

// tensor takes real[2]{0.5 -1}; the number of elements must be that of the shape.
func (p *parser) tensor() *ir.Tensor {
	t := &ir.Tensor{}
	t.Elem, _, _ = p.elem(false)
	t.Shape = p.shape()
	open := p.tok
	p.expect("{")
	for p.err == nil && p.tok.kind == word {
		at := p.tok
		if t.Elem == ir.Real {
			t.F = append(t.F, p.float())
			continue
		}
		x := p.int()
		if t.Elem == ir.Bool && x != 0 && x != 1 {
			p.fail(at, "found %d, want 0 or 1", x)
		}
		t.I = append(t.I, x)
	}
	p.expect("}")
	if err := t.Check(); err != nil {
		p.fail(open, "%v", err)
	}
	return t
}

// typ takes a type as ir.Type prints it.
func (p *parser) typ() ir.Type {
	var t ir.Type
	owners := func(open, shut string) (out []string) {
		p.expect(open)
		if p.accept(shut) {
			return nil
		}
		for p.err == nil {
			out = append(out, p.owner())
			if !p.accept(",") {
				break
			}
		}
		p.expect(shut)
		return out
	}
	switch v := p.word("public, private or secret"); v.text {
	case "public":
	case "private":
		t.Vis = ir.Private(owners("(", ")")...)
	case "secret":
		t.Vis = ir.Secret(owners("{", "}")...)
	default:
		p.fail(v, "found %v, want public, private or secret", v)
	}
	t.Elem, t.Bits, t.Scale = p.elem(true)
	t.Shape = p.shape()
	for _, f := range []ir.Form{ir.Additive, ir.Masked, ir.Xor, ir.MaskedBit} {
		if p.keyword(f.String()) {
			t.Form = f
			break
		}
	}
	return t
}

// rng takes [lo, hi] origin.
func (p *parser) rng() ir.Range {
	var r ir.Range
	p.expect("[")
	r.Lo = p.float()
	p.expect(",")
	r.Hi = p.float()
	p.expect("]")
	t := p.word("assumed, calibrated or proved")
	for _, o := range []ir.Origin{ir.Assumed, ir.Calibrated, ir.Proved} {
		if t.text == o.String() {
			r.Origin = o
			return r
		}
	}
	p.fail(t, "found %v, want assumed, calibrated or proved", t)
	return r
}

// position takes "file":line:col node "node" in "within".
func (p *parser) position() diag.Pos {
	pos := diag.Pos{File: p.str()}
	number := func() int {
		t := p.tok
		n := p.int()
		if n < 0 || n > maxBytes {
			p.fail(t, "line or column %d is out of range", n)
		}
		return int(n)
	}
	if p.accept(":") {
		pos.Line = number()
		if p.accept(":") {
			pos.Col = number()
		}
	}
	if p.keyword("node") {
		pos.Node = p.str()
	}
	if p.keyword("in") {
		pos.Within = p.str()
	}
	return pos
}
