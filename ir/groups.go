package ir

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
)

// A group is a set of rows of a source that a function of each row alone picks: x > 65, or key == 3. Numbers of rows in groups, and sums over
// groups, are aggregates where those of small groups are not shown:
//
//	member  element (row, g) is 1 if the row is in group g; no row is in two groups
//	part    member times a polynomial of the row, of degree at most two
//	sum     a function of sums of parts over all rows, for each group by itself; counts are sums of member
//	enough  count >= least
//	shown   enough ? sum : what does not derive from the source
//
// There is one group, and the rest of the rows, if member is a comparison; or the last dimension counts groups, whose keys differ:
// key == [1, 2, 3]. It stays the last one up to what is shown: nothing that could move it, or combine groups, is among these steps.
type grouping struct {
	stage     stage
	partition string // which member, by its definition
	single    bool   // one group
	count     bool   // the sum is the number of rows itself
	least     int    // enough
	of        int    // rows in all
}

type stage int

const (
	noGroup stage = iota
	member
	part
	sum
	enough
	shown
)

// groupsOf returns what v is of groups; names are as in definition.
func groupsOf(v *Value, at map[*Value]progress, rows perRow, names map[*Value]string) grouping {
	var g grouping // of the arguments: one partition
	for _, a := range v.Args {
		x := at[a].group
		switch {
		case x.stage == noGroup:
		case g.stage == noGroup:
			g = x
		case x.partition != g.partition:
			return grouping{}
		}
	}
	if g.stage == noGroup {
		return memberOf(v, at, rows, names)
	}
	stages := make([]stage, len(v.Args))
	for i, a := range v.Args {
		if _, derives := at[a]; !derives {
			stages[i] = -1 // does not derive from the source
		} else {
			stages[i] = at[a].group.stage
		}
	}
	is := func(want ...stage) bool { return slices.Equal(stages, want) }
	const other, data = stage(-1), noGroup
	next := func(s stage) grouping {
		g.stage, g.count = s, false
		return g
	}
	switch v.Op {
	case OpCast:
		if v.Type.Elem != Ring && v.Type.Elem != Bool && v.Args[0].Type.Elem != Real { // no number changes
			return g
		}
		if g.stage == sum {
			return next(sum)
		}
	case OpMul:
		switch {
		case (is(member, other) || is(member, data) && summable(v, 1, at, g)) && rows.axis >= 0, (is(other, member) || is(data, member) && summable(v, 0, at, g)) && rows.axis >= 0:
			return next(part)
		case (is(enough, sum) || is(sum, enough)):
			return next(shown)
		}
	case OpSelect:
		switch {
		case is(member, data, other) && rows.axis >= 0 && summable(v, 1, at, g) && zero(v.Args[2]):
			return next(part)
		case is(enough, sum, other):
			return next(shown)
		}
	case OpReduceSum:
		x := at[v.Args[0]]
		axes, err := NormAxes(v.Attrs.Ints("axes"), len(v.Args[0].Type.Shape))
		if err == nil && (g.stage == member || g.stage == part) && slices.Contains(axes, x.rows.axis) && (g.single || len(axes) == 1 && axes[0] != len(v.Args[0].Type.Shape)-1) {
			g.count = g.stage == member && v.Args[0].Type.Shape.Size() == g.of*v.Type.Shape.Size()
			g.stage = sum
			return g
		}
	case OpGe, OpGt, OpLe, OpLt:
		if n := leastCount(v, at, stages); n > 0 {
			g = next(enough)
			g.least = n
			return g
		}
	}
	if g.stage == sum && (elementwise(v.Op) || g.single && Rows[v.Op].View) && !slices.ContainsFunc(stages, func(s stage) bool { return s != sum && s != other }) {
		return next(sum)
	}
	return grouping{}
}

// memberOf returns the groups that a comparison of rows with what does not derive from the source makes.
func memberOf(v *Value, at map[*Value]progress, rows perRow, names map[*Value]string) grouping {
	if rows.axis < 0 || v.Type.Elem != Bool || !slices.ContainsFunc([]Op{OpLt, OpLe, OpGt, OpGe, OpEq, OpNe, OpNot, OpAnd, OpOr}, func(o Op) bool { return o == v.Op }) {
		return grouping{}
	}
	shape := v.Type.Shape
	g := grouping{stage: member, of: shape[rows.axis], single: shape.Size() == shape[rows.axis], partition: definition(v, names)}
	if g.single {
		return g
	}
	last := len(shape) - 1
	if v.Op != OpEq || rows.axis == last || shape.Size() != shape[rows.axis]*shape[last] {
		return grouping{}
	}
	for i, a := range v.Args {
		if _, derives := at[a]; derives {
			continue
		}
		key := v.Args[1-i]
		if _, derives := at[key]; !derives || key.Type.Shape[len(key.Type.Shape)-1] != 1 {
			return grouping{}
		}
		keys := knownTensor(a)
		if keys == nil || keys.Len() != shape[last] {
			return grouping{}
		}
		seen := map[float64]bool{}
		for k := range keys.Len() {
			seen[keys.At(k)] = true
		}
		if len(seen) == keys.Len() {
			return g
		}
	}
	return grouping{}
}

// summable reports whether an argument is what a group may sum of its rows: a polynomial of degree at most two, the same for all groups.
func summable(v *Value, arg int, at map[*Value]progress, g grouping) bool {
	a := v.Args[arg]
	s := a.Type.Shape
	return at[a].rows.axis >= 0 && at[a].rows.degree <= maxDegree && (g.single || len(s) > 0 && s[len(s)-1] == 1)
}

// leastCount returns k if v says that a number of rows is at least k, for all groups; 0 if it does not.
func leastCount(v *Value, at map[*Value]progress, stages []stage) int {
	i := 0
	op := v.Op
	if stages[0] == -1 { // k <= count
		i, op = 1, map[Op]Op{OpLe: OpGe, OpLt: OpGt, OpGe: OpLe, OpGt: OpLt}[op]
	}
	k := knownTensor(v.Args[1-i])
	if stages[i] != sum || stages[1-i] != -1 || !at[v.Args[i]].group.count || k == nil || k.Len() == 0 {
		return 0
	}
	least := math.Inf(1)
	for j := range k.Len() {
		least = min(least, k.At(j))
	}
	switch {
	case !(least >= 0 && least < 1<<40):
		return 0
	case op == OpGe:
		return int(math.Ceil(least))
	case op == OpGt:
		return int(math.Floor(least)) + 1
	}
	return 0
}

// elementwise reports whether an operation takes elements alone, with broadcasting.
func elementwise(op Op) bool {
	switch op {
	case OpAdd, OpSub, OpMul, OpDiv, OpNeg, OpMax, OpMin, OpRelu, OpAbs, OpClip, OpSqrt, OpFloor, OpRecip, OpRsqrt, OpExp, OpLog:
		return true
	}
	return false
}

func zero(v *Value) bool {
	t := knownTensor(v)
	if t == nil {
		return false
	}
	for i := range t.Len() {
		if t.At(i) != 0 {
			return false
		}
	}
	return true
}

// maxKnown bounds what is computed of constants to know keys and bounds of groups.
const maxKnown = 1 << 12

// knownTensor returns what v is if it is computed in few steps from few constants alone, nil otherwise.
func knownTensor(v *Value) *Tensor { return knownWithin(v, 6) }

func knownWithin(v *Value, steps int) *Tensor {
	if v.Type.Shape.Size() > maxKnown || steps == 0 || len(v.Args) > 64 {
		return nil
	}
	if v.Op == OpConst {
		t, _ := v.Attrs.Get("data")
		return t.Tensor
	}
	row := Rows[v.Op]
	if len(v.Args) == 0 || row.Eval == nil || v.Type.Elem == Ring {
		return nil
	}
	args := make([]*Tensor, len(v.Args))
	for i, a := range v.Args {
		if args[i] = knownWithin(a, steps-1); args[i] == nil {
			return nil
		}
	}
	t, err := row.Eval(v, args)
	if err != nil {
		return nil
	}
	return t
}

// definition names what a value is, by what it is computed from: equal definitions are equal values. names are those of values that were asked for
// before.
func definition(v *Value, names map[*Value]string) string {
	if d, ok := names[v]; ok {
		return d
	}
	h := sha256.New()
	if v.Op != OpConst {
		fmt.Fprintf(h, "%s %v", v.Op, v.Attrs)
	} else if t := knownTensor(v); t != nil {
		fmt.Fprintf(h, "const %v %v %v", t.Shape, t.F, t.I)
	} else {
		fmt.Fprintf(h, "value %d", v.ID)
	}
	for _, a := range v.Args {
		fmt.Fprintf(h, " %s", definition(a, names))
	}
	d := hex.EncodeToString(h.Sum(nil))
	names[v] = d
	return d
}
