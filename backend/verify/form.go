package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"

	"smpcc/backend/plan"
)

// The verifier computes with expressions instead of numbers. A term names a whole tensor: a share of an item, an opened
// value, a linear map of another term. A value is a linear combination of terms, by addition mod 2^64 or by XOR. Equal terms have equal
// numbers, so two roles hold the same value exactly if its combination is the same.

// maxDepth bounds how deep terms are nested between two openings.
const maxDepth = 10000

// A moment is a phase and a round in it as one number; 0 is before all of them.
type moment int

const never moment = 1 << 60

func at(ph plan.Phase, round int) moment { return moment(int(ph)<<32 + round + 1) }

// A termID numbers a term.
type termID int32

// none stands for no operand.
const none termID = -1

// A kind says what a term is.
type kind uint8

const (
	kOne    kind = iota // all elements 1
	kData               // constants; par
	kInput              // bound tensor number par
	kShare              // a party's share of item par
	kPub                // what opening of item par yields, known to all parties
	kMask               // item par as the dealer knows it: all shares together
	kTrue               // what was opened under item par, without its mask
	kLin                // linear map par of a
	kBil                // bilinear map par of a and b
	kWord               // the word of value number par, taken apart no further
	kFn                 // function par
	kRule               // share of the result of step par, whose equation holds for the sum over all parties
	kDrop               // a share shifted right: the sum over all parties is the truncated value
	kGiven              // a party's share of bound tensor number par, which a guest gave it
	kCommon             // correction words of keys, item par, as all parties receive them
)

// linearity says under which addition a map is linear.
type linearity uint8

const (
	both    linearity = iota // moves elements
	addOnly                  // over Z_2^64
	xorOnly                  // over bits
)

// A term is one tensor.
type term struct {
	kind   kind
	par    int
	a, b   termID
	n, e   int       // elements; words are below 2^e
	deg    int8      // 0: no share of a value that others hold the rest of; 1: linear in one; 2: anything else
	smode  plan.Mode // deg 1: how the shares combine
	public bool      // every party can compute it
	masked bool      // depends on a mask (at value level, where openings and shares have been replaced)
	taint  bool      // what was opened here depended on a mask itself
	depth  int       // of operands
	ready  moment    // when the last of the masks it depends on has been opened
	owners uint64    // parties whose inputs it derives from (at value level)
}

type termKey struct {
	kind kind
	par  int
	a, b termID
	n    int
}

// A param is the interned part of a term: a step's operation with its arguments, data and the values it reads.
type param struct {
	op   plan.StepOp
	args []int64
	kids []int // numbers of values
	copy plan.Copy
}

// A mono is one term with its coefficient.
type mono struct {
	t termID
	c uint64
}

// A value is what a slot holds.
type value struct {
	mode  plan.Mode
	form  []mono // by term
	w     int    // the word agrees with the form mod 2^w
	e     int    // the word is below 2^e
	n     int    // elements
	free  bool   // no two terms are other than zero in one element: addition and XOR are the same
	exact []mono // dealer: a form that agrees in all 64 bits, where form does not; nil if there is none
}

// table holds all terms, parameters and values met.
type table struct {
	terms   []term
	byKey   map[termKey]termID
	params  []param
	byParam map[string]int
	values  []value
	byValue map[string]int
	work    int // steps of work left
}

func newTable(work int) *table {
	return &table{byKey: map[termKey]termID{}, byParam: map[string]int{}, byValue: map[string]int{}, work: work}
}

// A stop ends the verification early.
type stop struct{ why string }

// spend counts work and stops a plan whose expressions grow out of all proportion.
func (t *table) spend(n int) {
	if t.work -= n; t.work < 0 {
		panic(stop{"its expressions are too large to follow"})
	}
}

func (t *table) term(k termKey, make func() term) termID {
	if id, ok := t.byKey[k]; ok {
		return id
	}
	t.spend(8) // of memory, too
	x := make()
	if x.depth > maxDepth {
		panic(stop{"its expressions are nested too deeply to follow"})
	}
	x.kind, x.par, x.a, x.b, x.n = k.kind, k.par, k.a, k.b, k.n
	t.terms = append(t.terms, x)
	id := termID(len(t.terms) - 1)
	t.byKey[k] = id
	return id
}

// atom returns a term without operands.
func (t *table) atom(k kind, par, n int, make func() term) termID {
	return t.term(termKey{k, par, none, none, n}, make)
}

func (t *table) param(op plan.StepOp, args []int64, data []uint64, kids ...int) int {
	b := binary.AppendVarint(nil, int64(op))
	b = binary.AppendVarint(b, int64(len(args)))
	for _, a := range args {
		b = binary.AppendVarint(b, a)
	}
	for _, k := range kids {
		b = binary.AppendVarint(b, int64(k))
	}
	if data != nil {
		h := sha256.New()
		var w [8]byte
		for _, d := range data {
			binary.LittleEndian.PutUint64(w[:], d)
			h.Write(w[:])
		}
		b = h.Sum(append(b, '#'))
		t.spend(len(data) / 64)
	}
	t.spend(1 + len(args)/8)
	if id, ok := t.byParam[string(b)]; ok {
		return id
	}
	t.params = append(t.params, param{op: op, args: args, kids: kids})
	t.byParam[string(b)] = len(t.params) - 1
	return len(t.params) - 1
}

// number returns the number of a value.
func (t *table) number(v value) int {
	t.spend(len(v.form) + 1)
	b := []byte{byte(v.mode), byte(v.w), byte(v.e), 0}
	if v.free {
		b[3] = 1
	}
	b = binary.AppendVarint(b, int64(v.n))
	for _, m := range v.form {
		b = binary.AppendUvarint(binary.AppendVarint(b, int64(m.t)), m.c)
	}
	if v.exact != nil {
		b = append(b, '#')
		for _, m := range v.exact {
			b = binary.AppendUvarint(binary.AppendVarint(b, int64(m.t)), m.c)
		}
	}
	if id, ok := t.byValue[string(b)]; ok {
		return id
	}
	t.values = append(t.values, v)
	t.byValue[string(b)] = len(t.values) - 1
	return len(t.values) - 1
}

// zeroValue returns n zeros.
func zeroValue(n int) value { return value{w: 64, n: n, free: true} }

// single returns the value that is a term.
func (t *table) single(id termID) value {
	x := &t.terms[id]
	return value{form: []mono{{id, 1}}, w: 64, e: x.e, n: x.n, free: true}
}

// merge adds forms, b with coefficient k.
func (t *table) merge(a, b []mono, k uint64, mode plan.Mode) []mono {
	t.spend(len(a) + len(b))
	out := make([]mono, 0, len(a)+len(b))
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].t < b[0].t:
			out = append(out, a[0])
			a = a[1:]
		case len(a) == 0 || b[0].t < a[0].t:
			out = append(out, mono{b[0].t, b[0].c * k})
			b = b[1:]
		default:
			c := a[0].c + b[0].c*k
			if mode == plan.Xor {
				c &= 1
			}
			out = append(out, mono{a[0].t, c})
			a, b = a[1:], b[1:]
		}
	}
	return slices.DeleteFunc(out, func(m mono) bool { return m.c == 0 })
}

// collect sorts a list of monos and adds up equal terms.
func (t *table) collect(list []mono, mode plan.Mode) []mono {
	t.spend(len(list))
	slices.SortFunc(list, func(a, b mono) int { return int(a.t) - int(b.t) })
	out := list[:0]
	for _, m := range list {
		if k := len(out); k > 0 && out[k-1].t == m.t {
			out[k-1].c += m.c
			if mode == plan.Xor {
				out[k-1].c &= 1
			}
			continue
		}
		out = append(out, m)
	}
	return slices.DeleteFunc(out, func(m mono) bool { return m.c == 0 })
}

// exactForm returns a form that agrees with the value's word in all bits, if there is one.
func (t *table) exactForm(v value) ([]mono, bool) {
	switch {
	case v.w == 64 && v.mode == plan.Add || v.w == 64 && v.free:
		return v.form, true
	case v.exact != nil:
		return v.exact, true
	case v.e <= v.w || v.w == 64:
		return []mono{{t.word(v), 1}}, true
	}
	return nil, false
}

// word returns the term that stands for a value's word as a whole.
func (t *table) word(v value) termID {
	v.exact = nil
	p := t.number(v)
	return t.atom(kWord, p, v.n, func() term { return t.over(term{e: v.e}, v, false) })
}

// over fills in what a term inherits from the values it is a function of. A function that is not linear makes shares of degree 2.
func (t *table) over(x term, v value, linear bool) term {
	x.public = true
	for _, m := range v.form {
		o := &t.terms[m.t]
		x.public = x.public && o.public
		x.masked = x.masked || o.masked
		x.taint = x.taint || o.taint
		x.owners |= o.owners
		x.ready = max(x.ready, o.ready)
		x.depth = max(x.depth, o.depth+1)
		if o.deg > 0 && !linear {
			x.deg = 2
		}
	}
	return x
}

// as reads a value under an addition: forms of one term mean the same under both, others are taken as a whole.
func (t *table) as(v value, mode plan.Mode) value {
	if v.mode == mode {
		return v
	}
	if v.free || len(v.form) == 0 {
		v.mode = mode
		return v
	}
	if len(v.form) == 1 && mode == plan.Xor && bits.OnesCount64(v.form[0].c) == 1 { // a shift
		by := int64(bits.TrailingZeros64(v.form[0].c))
		x := t.lin(t.param(plan.StepShl, []int64{by}, nil), v.form[0].t, v.n, v.e, xorOnly)
		return value{mode: mode, form: []mono{{x, 1}}, w: v.w, e: v.e, n: v.n, free: true}
	}
	w := v.w
	if v.e <= v.w {
		w = 64
	}
	return value{mode: mode, form: []mono{{t.word(v), 1}}, w: w, e: v.e, n: v.n, free: true}
}

// lin returns a linear map of a term.
func (t *table) lin(par int, a termID, n, e int, l linearity) termID {
	return t.term(termKey{kLin, par, a, none, n}, func() term {
		x := t.terms[a]
		x.e = e
		x.depth++
		if x.deg == 1 && (l == addOnly && x.smode != plan.Add || l == xorOnly && x.smode != plan.Xor) {
			x.deg = 2
		}
		return x
	})
}

// linear applies a linear map to a value.
func (t *table) linear(par int, v value, n, e int, l linearity) value {
	switch l {
	case addOnly:
		v = t.as(v, plan.Add)
	case xorOnly:
		v = t.as(v, plan.Xor)
	}
	apply := func(form []mono) []mono {
		out := make([]mono, 0, len(form))
		for _, m := range form {
			te := e
			if l == both {
				te = t.terms[m.t].e
			}
			out = append(out, mono{t.lin(par, m.t, n, te, l), m.c})
		}
		return t.collect(out, v.mode)
	}
	out := value{mode: v.mode, form: apply(v.form), w: v.w, e: e, n: n, free: v.free && l != addOnly}
	if len(out.form) == 1 && out.form[0].c == 1 || len(out.form) == 0 {
		out.free = true
	}
	if v.w < 64 && l != xorOnly {
		if x, ok := t.exactForm(v); ok {
			out.exact = apply(x)
		}
	}
	return out
}

// bilinear applies a bilinear map to two values.
func (t *table) bilinear(par int, x, y value, n int, l linearity) value {
	mode, e := plan.Add, 64
	if l == xorOnly {
		mode, e = plan.Xor, min(x.e, y.e)
	}
	x, y = t.as(x, mode), t.as(y, mode)
	mul := t.params[par].op == plan.StepMul
	apply := func(f, g []mono) []mono {
		t.spend(len(f) * len(g))
		out := make([]mono, 0, min(len(f)*len(g), 1<<16))
		for _, a := range f {
			for _, b := range g {
				c := a.c * b.c
				switch p, q := &t.terms[a.t], &t.terms[b.t]; {
				case mul && p.kind == kOne:
					out = append(out, mono{b.t, c})
				case mul && q.kind == kOne:
					out = append(out, mono{a.t, c})
				default:
					i, j := a.t, b.t
					if (mul || l == xorOnly) && j < i {
						i, j = j, i
					}
					out = append(out, mono{t.bil(par, i, j, n, mode), c})
				}
			}
		}
		return t.collect(out, mode)
	}
	out := value{mode: mode, form: apply(x.form, y.form), w: min(x.w, y.w), e: e, n: n}
	if mul && x.e+y.e < 64 {
		out.e = x.e + y.e
	}
	out.free = len(out.form) == 0 || len(out.form) == 1 && out.form[0].c == 1
	if out.w < 64 && l != xorOnly {
		f, ok1 := t.exactForm(x)
		g, ok2 := t.exactForm(y)
		if ok1 && ok2 {
			out.exact = apply(f, g)
		}
	}
	return out
}

func (t *table) bil(par int, a, b termID, n int, mode plan.Mode) termID {
	return t.term(termKey{kBil, par, a, b, n}, func() term {
		x, y := &t.terms[a], &t.terms[b]
		out := term{e: 64, deg: min(2, x.deg+y.deg), public: x.public && y.public, masked: x.masked || y.masked, taint: x.taint || y.taint, ready: max(x.ready, y.ready), owners: x.owners | y.owners, depth: max(x.depth, y.depth) + 1}
		out.smode = x.smode
		if y.deg == 1 {
			out.smode = y.smode
		}
		if out.deg == 1 && out.smode != mode {
			out.deg = 2
		}
		if mode == plan.Xor {
			out.e = min(x.e, y.e)
		}
		return out
	})
}

// sum adds two values, the second one times k.
func (t *table) sum(x, y value, k uint64) value {
	if len(y.form) == 0 && y.w == 64 { // zero in all bits
		return x
	}
	if len(x.form) == 0 && x.w == 64 && k == 1 {
		return y
	}
	x, y = t.as(x, plan.Add), t.as(y, plan.Add)
	out := value{form: t.merge(x.form, y.form, k, plan.Add), w: min(x.w, y.w), e: 64, n: x.n}
	if k == 1 {
		out.e = min(64, max(x.e, y.e)+1)
	}
	if out.w < 64 {
		f, ok1 := t.exactForm(x)
		g, ok2 := t.exactForm(y)
		if ok1 && ok2 {
			out.exact = t.merge(f, g, k, plan.Add)
		}
	}
	out.free = len(out.form) == 0 || len(out.form) == 1 && out.form[0].c == 1
	return out
}

// xor combines two values bit by bit.
func (t *table) xor(x, y value) value {
	switch {
	case len(y.form) == 0 && y.w == 64:
		return t.as(x, plan.Xor)
	case len(x.form) == 0 && x.w == 64:
		return t.as(y, plan.Xor)
	}
	x, y = t.as(x, plan.Xor), t.as(y, plan.Xor)
	out := value{mode: plan.Xor, form: t.merge(x.form, y.form, 1, plan.Xor), w: min(x.w, y.w), e: max(x.e, y.e), n: x.n}
	out.free = len(out.form) <= 1
	return out
}

// shl shifts left.
func (t *table) shl(v value, by int) value {
	e, w := min(64, v.e+by), min(64, v.w+by)
	if v.mode == plan.Xor && !v.free {
		out := t.linear(t.param(plan.StepShl, []int64{int64(by)}, nil), v, v.n, e, xorOnly)
		out.w = w
		return out
	}
	out := value{form: t.merge(nil, v.form, 1<<by, plan.Add), w: w, e: e, n: v.n}
	out.free = len(out.form) == 0 || by == 0
	return out
}

// cut takes count bits from bit from on.
func (t *table) cut(v value, from, count int) value {
	if from == 0 && v.e <= count {
		return v
	}
	if from >= v.e { // the form may have these bits, the word does not
		return zeroValue(v.n)
	}
	if v.e <= v.w {
		count = min(count, v.e-from)
	}
	par := t.param(plan.StepBits, []int64{int64(from), int64(count)}, nil)
	if from == 0 && (v.mode == plan.Add || v.free) {
		v.w, v.e, v.exact = min(v.w, count), count, nil
		if v.w < 64 && v.free && len(v.form) > 0 { // forms of one term and forms mod 2^w are kept apart
			v.mode = plan.Add
		}
		return v
	}
	valid := v.w
	if v.e <= v.w {
		valid = 64
	}
	u := t.as(v, plan.Xor)
	out := t.linear(par, u, v.n, count, xorOnly)
	out.w = 64
	if from+count > valid {
		out.w = max(0, valid-from)
	}
	return out
}

// same reports whether two forms agree mod 2^w.
func same(a, b []mono, w int) bool {
	low := ^uint64(0) >> (64 - max(w, 1))
	i, j := 0, 0
	for {
		for i < len(a) && a[i].c&low == 0 {
			i++
		}
		for j < len(b) && b[j].c&low == 0 {
			j++
		}
		if i == len(a) || j == len(b) {
			return i == len(a) && j == len(b)
		}
		if a[i].t != b[j].t || (a[i].c-b[j].c)&low != 0 {
			return false
		}
		i, j = i+1, j+1
	}
}
