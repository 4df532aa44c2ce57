package onnx

import (
	"cmp"
	"maps"
	"slices"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Choices. Where a model has no answer for a value that is none of a list, as OneHotEncoder with zeros=0, the input's columns that such a node reads carry
// the list, and their owner's client refuses everything else.

// A choice is a value whose elements must each be one of a list.
type choice struct {
	v    *ir.Value
	list []int64
}

// oneOf notes that a value has no elements but those of a list, wherever the model runs.
func (n *node) oneOf(v *ir.Value, list []int64) {
	if n.r.branches == 0 {
		n.r.choices = append(n.r.choices, choice{v, list})
	}
}

// boundChoices says of each input which values its columns may have.
func (r *reader) boundChoices() {
	if r.errs.Err() != nil || len(r.choices) == 0 {
		return
	}
	for _, x := range r.f.Body {
		if x.Op != ir.OpInput || x.Type.Elem == ir.Bool || x.Attrs.Has("step") {
			continue
		}
		k := 1
		if n := len(x.Type.Shape); n > 0 {
			k = max(1, x.Type.Shape[n-1])
		}
		from, err := r.moved(x)
		if err != nil {
			r.errs.Add(x.Pos, err)
			return
		}
		allowed := map[int][]int64{}
		for _, c := range r.choices {
			t := from[c.v]
			if t == nil {
				continue
			}
			columns := map[int]bool{}
			for _, p := range t.I {
				if p >= 0 {
					columns[int(p)%k] = true
				}
			}
			for column := range columns {
				list := slices.Clone(c.list)
				if had, ok := allowed[column]; ok {
					list = slices.DeleteFunc(list, func(v int64) bool { return !slices.Contains(had, v) })
				}
				allowed[column] = list
			}
		}
		for column, list := range allowed {
			if len(list) == 0 {
				r.errs.Add(x.Pos, diag.Errorf(x.Pos, "column %d goes to encoders that have no category in common, and refuse all others", column).WithHint("export the model so that unknown categories are ignored (OneHotEncoder with zeros=1)"))
			}
		}
		if len(allowed) > 0 {
			x.Attrs = x.Attrs.With(ir.T("choices", pairs(allowed)))
		}
	}
}

// pairs lists columns and values, sorted.
func pairs(allowed map[int][]int64) *ir.Tensor {
	var rows [][2]int64
	for _, column := range slices.Sorted(maps.Keys(allowed)) {
		for _, v := range allowed[column] {
			rows = append(rows, [2]int64{int64(column), v})
		}
	}
	slices.SortFunc(rows, func(a, b [2]int64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	rows = slices.Compact(rows)
	t := ir.NewTensor(ir.Int, ir.Shape{len(rows), 2})
	for i, r := range rows {
		t.I[2*i], t.I[2*i+1] = r[0], r[1]
	}
	return t
}

// moved returns, for values that consist of elements of an input and others, the places that theirs come from, -1 for others.
func (r *reader) moved(x *ir.Value) (map[*ir.Value]*ir.Tensor, error) {
	from := map[*ir.Value]*ir.Tensor{x: ir.NewTensor(ir.Int, x.Type.Shape)}
	for i := range from[x].I {
		from[x].I[i] = int64(i)
	}
	for _, v := range r.f.Body {
		if !slices.ContainsFunc(v.Args, func(a *ir.Value) bool { return from[a] != nil }) {
			continue
		}
		switch v.Op {
		case ir.OpReshape, ir.OpTranspose, ir.OpSlice, ir.OpGather, ir.OpExpand, ir.OpConcat:
			if err := r.left.take(2*volume(v.Type.Shape), 2*volume(v.Type.Shape)); err != nil {
				return nil, err
			}
			t, err := placesOf(v, from)
			if err != nil {
				return nil, err
			}
			from[v] = t
		case ir.OpFormat, ir.OpCast, ir.OpWrap:
			from[v] = from[v.Args[0]]
		}
	}
	return from, nil
}
