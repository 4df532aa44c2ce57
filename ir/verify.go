package ir

import (
	"fmt"
	"slices"

	"smpcc/ir/diag"
)

// Verify recomputes every type from its op's rule and checks what passed passes promised.
// A failure is a bug of the pass that ran last, or of a hand-written text.
func Verify(m *Module) error {
	var errs diag.List
	known := map[string]bool{}
	for _, p := range m.Parties {
		if known[p] {
			errs.Add(diag.Pos{}, fmt.Errorf("party %s appears twice", p))
		}
		known[p] = true
	}
	if known[m.Dealer] {
		errs.Add(diag.Pos{}, fmt.Errorf("dealer %s is a computing party", m.Dealer))
	}
	for _, g := range m.Guests {
		if known[g] || g == m.Dealer {
			errs.Add(diag.Pos{}, fmt.Errorf("guest %s is a party, the dealer or another guest", g))
		}
		known[g] = true
	}
	if len(m.Funcs) == 0 {
		errs.Add(diag.Pos{}, fmt.Errorf("module has no function"))
	}
	for _, f := range m.Funcs {
		verifyFunc(m, f, known, &errs)
	}
	return errs.Err()
}

func verifyFunc(m *Module, f *Func, parties map[string]bool, errs *diag.List) {
	seen := map[*Value]bool{}
	ids := map[int]bool{}
	names := map[string]bool{}
	for _, v := range f.Body {
		bad := func(format string, args ...any) {
			errs.Add(v.Pos, fmt.Errorf("%s = %s: %s", v, v.Op, fmt.Sprintf(format, args...)))
		}
		if ids[v.ID] {
			bad("number is used twice")
		}
		ids[v.ID] = true
		for _, a := range v.Args {
			if !seen[a] {
				bad("argument %s is not computed before", a)
			}
		}
		seen[v] = true
		row := Rows[v.Op]
		if row == nil {
			bad("unknown op")
			continue
		}
		t, err := row.TypeOf(v)
		if err != nil {
			bad("%v", err)
			continue
		}
		if !t.Equal(v.Type) {
			bad("type is %v, the op's rule says %v", v.Type, t)
		}
		switch v.Op {
		case OpInput, OpReveal:
			n := v.Attrs.Str("name")
			if names[string(v.Op)+" "+n] {
				bad("name %q is used twice", n)
			}
			names[string(v.Op)+" "+n] = true
		}
		for _, p := range slices.Concat(v.Attrs.Strings("to"), []string{v.Attrs.Str("owner")}) { // append might write into what the caller shares
			if p != "" && !parties[p] {
				bad("%q is not a party", p)
			}
		}
		if v.Op == OpInput || v.Op == OpWeight {
			if guest := slices.Contains(m.Guests, v.Attrs.Str("owner")); guest != OfGuest(v) || guest && v.Op == OpWeight {
				bad("an input is of a guest if its owner is one, and a weight never is")
			}
		}
		for _, h := range holds {
			if f.Holds&h.inv != 0 {
				if msg := h.check(f, v); msg != "" {
					bad("%s", msg)
				}
			}
		}
	}
}

// holds is the table of invariants the verifier keeps checking, value by value.
var holds = []struct {
	inv   Invariant
	check func(f *Func, v *Value) string
}{
	{Core, func(_ *Func, v *Value) string {
		if Rows[v.Op].Level == Composite {
			return "composite op after decompose"
		}
		return ""
	}},
	{Ranged, func(_ *Func, v *Value) string {
		if v.Type.Elem != Bool && v.Range.Origin == NoRange {
			return "has no range"
		}
		return ""
	}},
	{Quantised, func(_ *Func, v *Value) string {
		if v.Type.Elem == Real || v.Type.Elem == Int {
			return "is not a ring value after quantise"
		}
		return ""
	}},
	{Shared, func(_ *Func, v *Value) string {
		if !v.Type.Vis.IsPublic() && v.Op != OpReveal && v.Type.Form == None {
			return "has no form"
		}
		return ""
	}},
}
