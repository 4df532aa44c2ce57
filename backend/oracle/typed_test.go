package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
)

// An editor edits a typed plan at random.
type editor struct {
	*rand.Rand
	m     plan.Manifest
	p     typed.Program
	types []typed.Type // of the values before the edits
	edits []string     // what was done
}

// edited returns a copy of a typed plan to edit.
func edited(r *rand.Rand, c *typed.Checked) *editor {
	again, err := typed.Decode(c.Encode())
	if err != nil {
		panic(err)
	}
	return &editor{Rand: r, m: *again.Manifest, p: *again.Program, types: again.Types}
}

func (e *editor) note(format string, args ...any) {
	e.edits = append(e.edits, fmt.Sprintf(format, args...))
}

// bytes identifies the plan.
func (e *editor) bytes() string {
	return string((&typed.Checked{Program: &e.p, Manifest: &e.m}).Encode())
}

// edit makes one edit; it may find nothing to edit.
func (e *editor) edit() {
	kinds := []kind{
		{8, "operand", e.operand},
		{8, "argument", e.argument},
		{4, "row", e.row},
		{3, "delete", e.remove},
		{3, "duplicate", e.duplicate},
		{3, "swap", e.swap},
		{8, "through", e.through},
		{7, "combine", e.combine},
		{3, "data", e.data},
		{2, "owner", e.owner},
		{2, "receiver", e.receiver},
		{2, "permission", e.permission},
		{2, "port", e.port},
		{4, "output", e.output},
		{2, "scope", e.scope},
	}
	k := drawn(e.IntN, kinds)
	e.note("%s:", k.name)
	k.do()
}

// step picks a step that fits.
func (e *editor) step(fits func(s *typed.Step) bool) (i int, ok bool) {
	var list []int
	for i := range e.p.Steps {
		if fits(&e.p.Steps[i]) {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return 0, false
	}
	i = list[e.IntN(len(list))]
	e.note("%s", e.p.StepText(i))
	return i, true
}

func operands(s *typed.Step) bool { return len(s.Src) > 0 }

// typeOf returns the type of a value, as far as it was there before the edits.
func (e *editor) typeOf(v int) typed.Type {
	if v < 0 || v >= len(e.types) {
		return typed.Type{}
	}
	return e.types[v]
}

// like picks a value before step i: mostly one of the length, kind and mode of v.
func (e *editor) like(i, v int) int {
	want, how := e.typeOf(v), e.IntN(8)
	var list []int
	for x := range i {
		t := e.typeOf(x)
		if t.Len == want.Len && (how < 2 || t.Kind == want.Kind && (how < 3 || t.Mode == want.Mode)) {
			list = append(list, x)
		}
	}
	if len(list) == 0 || how == 0 {
		return e.IntN(max(i, 1))
	}
	return list[e.IntN(len(list))]
}

func (e *editor) operand() {
	if i, ok := e.step(operands); ok {
		s := &e.p.Steps[i]
		k := e.IntN(len(s.Src))
		s.Src[k] = e.like(i, s.Src[k])
		e.note("%s", e.p.StepText(i))
	}
}

func (e *editor) argument() {
	i, ok := e.step(func(s *typed.Step) bool { return len(s.Args) > 0 && s.Op != typed.OpReveal })
	if !ok {
		return
	}
	s := &e.p.Steps[i]
	k := e.IntN(len(s.Args))
	var same []int64 // what others of the row have there
	for _, o := range e.p.Steps {
		if o.Op == s.Op && len(o.Args) > k && o.Args[k] != s.Args[k] {
			same = append(same, o.Args[k])
		}
	}
	if was := s.Args[k]; len(same) > 0 && e.IntN(3) == 0 {
		s.Args[k] = same[e.IntN(len(same))]
	} else {
		s.Args[k] = []int64{was + 1, was - 1, was + 2, was - 2, 0, 1, was / 2, was * 2}[e.IntN(8)]
	}
	e.note("%s", e.p.StepText(i))
}

// alike are rows that take the same operands and as many arguments.
var alike = [][]typed.Op{
	{typed.OpAdd, typed.OpSub, typed.OpXor, typed.OpAnd},
	{typed.OpNeg, typed.OpReshape, typed.OpCover, typed.OpMerge, typed.OpIsZero, typed.OpShare},
	{typed.OpOpen, typed.OpUnmask, typed.OpWiden, typed.OpShl, typed.OpNumber, typed.OpKeyRelu},
	{typed.OpSelect, typed.OpMulBit, typed.OpWireMul},
	{typed.OpView, typed.OpPad, typed.OpGather, typed.OpJoin, typed.OpMul},
	{typed.OpShiftOpen, typed.OpHold, typed.OpKeyCompare},
	{typed.OpMSB, typed.OpIsZero, typed.OpAnd, typed.OpXor},
}

func (e *editor) row() {
	i, ok := e.step(operands)
	if !ok {
		return
	}
	s := &e.p.Steps[i]
	var list []typed.Op
	for _, group := range alike {
		if slices.Contains(group, s.Op) {
			list = append(list, group...)
		}
	}
	if len(list) == 0 || e.IntN(6) == 0 {
		list = []typed.Op{typed.Op(1 + e.IntN(int(typed.OpReveal)))}
	}
	s.Op = list[e.IntN(len(list))]
	e.note("%s", e.p.StepText(i))
}

// insert puts steps before step i; values from there on have later numbers.
func (e *editor) insert(i int, steps ...typed.Step) {
	n := len(steps)
	for k := i; k < len(e.p.Steps); k++ {
		src := slices.Clone(e.p.Steps[k].Src)
		for j := range src {
			if src[j] >= i {
				src[j] += n
			}
		}
		e.p.Steps[k].Src = src
	}
	e.p.Steps = slices.Insert(e.p.Steps, i, steps...)
	types := make([]typed.Type, n)
	e.types = slices.Insert(e.types, min(i, len(e.types)), types...)
}

func (e *editor) remove() {
	i, ok := e.step(func(s *typed.Step) bool { return true })
	if !ok {
		return
	}
	instead := e.IntN(max(i, 1))
	if src := e.p.Steps[i].Src; len(src) > 0 && e.IntN(5) > 0 {
		instead = src[e.IntN(len(src))]
	}
	e.p.Steps = slices.Delete(e.p.Steps, i, i+1)
	e.types = slices.Delete(e.types, i, i+1)
	for k := i; k < len(e.p.Steps); k++ {
		src := slices.Clone(e.p.Steps[k].Src)
		for j := range src {
			switch {
			case src[j] == i:
				src[j] = instead
			case src[j] > i:
				src[j]--
			}
		}
		e.p.Steps[k].Src = src
	}
}

func (e *editor) duplicate() {
	i, ok := e.step(operands)
	if !ok {
		return
	}
	s := e.p.Steps[i]
	s.Src, s.Args = slices.Clone(s.Src), slices.Clone(s.Args)
	t := e.typeOf(i)
	e.insert(i, s)
	e.types[i] = t
	for k := i + 1; k < len(e.p.Steps); k++ { // who takes the one, and who the other
		for j, v := range e.p.Steps[k].Src {
			if v == i+1 && e.IntN(2) == 0 {
				e.p.Steps[k].Src[j] = i
			}
		}
	}
}

func (e *editor) swap() {
	i, ok := e.step(func(s *typed.Step) bool { return true })
	if !ok {
		return
	}
	k := e.IntN(len(e.p.Steps))
	if e.IntN(2) == 0 && i+1 < len(e.p.Steps) {
		k = i + 1
	}
	e.p.Steps[i], e.p.Steps[k] = e.p.Steps[k], e.p.Steps[i]
	e.note("with %s", e.p.StepText(k))
	if e.IntN(2) == 0 {
		return
	}
	for x := range e.p.Steps { // values move with their steps
		for j, v := range e.p.Steps[x].Src {
			if v == i {
				e.p.Steps[x].Src[j] = k
			} else if v == k {
				e.p.Steps[x].Src[j] = i
			}
		}
	}
}

// unary returns a row of one operand.
func (e *editor) unary(t typed.Type) typed.Step {
	bits := []int64{1, 2, 3, int64(t.Bits) - 1, int64(t.Bits), int64(t.Bits) + 1}
	b := bits[e.IntN(len(bits))]
	n := int64(t.Len)
	switch e.IntN(13) {
	case 0:
		return typed.Step{Op: typed.OpNeg}
	case 1:
		return typed.Step{Op: typed.OpShl, Args: []int64{int64(e.IntN(4))}}
	case 2, 3:
		return typed.Step{Op: typed.OpOpen, Args: []int64{b}}
	case 4, 5:
		return typed.Step{Op: typed.OpShiftOpen, Args: []int64{int64(e.IntN(3)) + 1, b}}
	case 6:
		return typed.Step{Op: typed.OpUnmask, Args: []int64{b}}
	case 7:
		return typed.Step{Op: typed.OpWiden, Args: []int64{b}}
	case 8:
		return typed.Step{Op: typed.OpView, Args: []int64{1, n, 0, int64(e.IntN(2))}}
	case 9:
		return typed.Step{Op: typed.OpSum, Args: []int64{n, 1, 1}}
	case 10:
		return typed.Step{Op: typed.OpNumber, Args: []int64{b}}
	case 11:
		return typed.Step{Op: typed.OpHold, Args: []int64{b, int64(e.IntN(2))}}
	}
	data := make([]uint64, n)
	for i := range data {
		data[i] = uint64(e.IntN(max(int(n), 1)))
	}
	return typed.Step{Op: typed.OpGather, Args: []int64{1, n, 1}, Data: data}
}

func (e *editor) through() {
	i, ok := e.step(operands)
	if !ok {
		return
	}
	k := e.IntN(len(e.p.Steps[i].Src))
	v := e.p.Steps[i].Src[k]
	u := e.unary(e.typeOf(v))
	u.Src, u.Node = []int{v}, e.p.Steps[i].Node
	steps := []typed.Step{u}
	if (u.Op == typed.OpOpen || u.Op == typed.OpShiftOpen) && e.IntN(2) == 0 { // and back to shares
		steps = append(steps, typed.Step{Op: typed.OpUnmask, Src: []int{i}, Args: []int64{u.Args[len(u.Args)-1]}, Node: u.Node})
	}
	e.insert(i, steps...)
	e.p.Steps[i+len(steps)].Src[k] = i + len(steps) - 1
	e.note("%s", e.p.StepText(i))
}

func (e *editor) combine() {
	i, ok := e.step(operands)
	if !ok {
		return
	}
	k := e.IntN(len(e.p.Steps[i].Src))
	v := e.p.Steps[i].Src[k]
	s := typed.Step{Op: []typed.Op{typed.OpAdd, typed.OpSub, typed.OpXor, typed.OpAnd, typed.OpMul}[e.IntN(5)], Src: []int{v, e.like(i, v)}, Node: e.p.Steps[i].Node}
	if s.Op == typed.OpMul {
		s.Args = []int64{1, int64(e.typeOf(v).Len), 1, 1}
	}
	if e.IntN(2) == 0 {
		s.Src[0], s.Src[1] = s.Src[1], s.Src[0]
	}
	e.insert(i, s)
	e.p.Steps[i+1].Src[k] = i
	e.note("%s", e.p.StepText(i))
}

func (e *editor) data() {
	if i, ok := e.step(func(s *typed.Step) bool { return len(s.Data) > 0 }); ok {
		d := slices.Clone(e.p.Steps[i].Data)
		d[e.IntN(len(d))] += uint64(e.IntN(5) - 2)
		e.p.Steps[i].Data = d
	}
}

// bound returns the inputs and weights.
func (e *editor) bound() (out []*plan.Port) {
	for i := range e.m.Inputs {
		out = append(out, &e.m.Inputs[i])
	}
	for i := range e.m.Weights {
		out = append(out, &e.m.Weights[i])
	}
	return out
}

func (e *editor) party() string { return e.m.Parties[e.IntN(len(e.m.Parties))] }

func (e *editor) owner() {
	list := e.bound()
	p := list[e.IntN(len(list))]
	p.Owner = e.party()
	e.note("%q of %s", p.Name, p.Owner)
}

func (e *editor) receiver() {
	o := &e.m.Outputs[e.IntN(len(e.m.Outputs))]
	if o.To = []string{e.party()}; e.IntN(3) == 0 {
		o.To = slices.Clone(e.m.Parties)
	}
	e.note("%q to %v", o.Name, o.To)
}

func (e *editor) permission() {
	if n := len(e.m.Allowed); n > 0 {
		i := e.IntN(n)
		e.note("without %+v", e.m.Allowed[i])
		e.m.Allowed = slices.Delete(slices.Clone(e.m.Allowed), i, i+1)
	}
}

func (e *editor) port() {
	list := e.bound()
	for i := range e.m.Outputs {
		list = append(list, &e.m.Outputs[i])
	}
	p := list[e.IntN(len(list))]
	switch e.IntN(3) {
	case 0:
		p.Bits += e.IntN(3) - 1
	case 1:
		p.Elem = []string{"int", "bool", "real"}[e.IntN(3)]
	case 2:
		e.m.RingBits += e.IntN(3) - 1
	}
	e.note("%q is %s of %d bits", p.Name, p.Elem, p.Bits)
}

// scope has an input be a weight, or a weight an input.
func (e *editor) scope() {
	if n := len(e.m.Inputs); n > 0 { // the last input is then the first weight, under the same number
		w := e.m.Inputs[n-1]
		e.m.Weights = slices.Insert(slices.Clone(e.m.Weights), 0, w)
		e.m.Inputs = e.m.Inputs[:n-1]
		e.note("%q", w.Name)
	}
}

// output reveals one more value, as some owners allow.
func (e *editor) output() {
	i := e.IntN(len(e.p.Steps))
	t := e.typeOf(i)
	name := fmt.Sprintf("more%d", len(e.m.Outputs))
	if e.IntN(8) == 0 {
		name = e.m.Outputs[0].Name
	}
	out := plan.Port{Name: name, To: []string{e.party()}, Elem: "int", Bits: max(1, t.Bits), Shape: []int{t.Len}}
	if t.Mode == plan.Xor {
		out.Elem = "bool"
	}
	v := i
	node := e.p.Steps[i].Node
	switch t.Kind {
	case typed.Opened:
		e.p.Steps = append(e.p.Steps, typed.Step{Op: typed.OpUnmask, Src: []int{v}, Args: []int64{int64(t.Bits)}, Node: node})
		v = len(e.p.Steps) - 1
	case typed.Private:
		e.p.Steps = append(e.p.Steps, typed.Step{Op: typed.OpHold, Src: []int{v}, Args: []int64{int64(t.Bits), int64(t.Mode)}, Node: node})
		v = len(e.p.Steps) - 1
	}
	e.m.Outputs = append(slices.Clone(e.m.Outputs), out)
	defer func() { e.types = append(e.types, make([]typed.Type, len(e.p.Steps)-len(e.types))...) }()
	e.p.Steps = append(e.p.Steps, typed.Step{Op: typed.OpReveal, Src: []int{v}, Args: []int64{int64(len(e.m.Outputs) - 1)}, Node: node})
	for k, owner := range e.m.Parties {
		if t.Owners.Has(k) && e.IntN(6) > 0 || e.IntN(6) == 0 {
			e.m.Allowed = append(slices.Clone(e.m.Allowed), plan.Allowance{Output: out.Name, Receiver: out.To[0], Owner: owner})
		}
	}
	e.note("%%%d to %v", i, out.To)
}

// kindOf returns the kind of the first edit.
func kindOf(edits []string) string { return strings.TrimSuffix(edits[0], ":") }
