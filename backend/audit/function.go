package audit

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"smpcc/ir"
)

// A digest is the fingerprint of a function: equal digests are equal functions, written in whatever order, with whatever names.
type digest [sha256.Size]byte

// commutes lists the operations whose operands may change places.
var commutes = map[ir.Op]bool{ir.OpAdd: true, ir.OpMul: true, ir.OpMax: true, ir.OpMin: true, ir.OpEq: true, ir.OpNe: true, ir.OpAnd: true, ir.OpOr: true, ir.OpXor: true}

// digests returns, for each value of f, the fingerprint of the function that it is of inputs and weights: the SHA-256 of its operation, its type,
// its attributes and the fingerprints of its operands. Names of values, nodes and outputs, positions, ranges and the order of what does not depend
// on each other are left out. called gives the name under which an input or a weight is known: who compares two graphs gives equal names to
// what is the same.
func digests(f *ir.Func, called func(*ir.Value) string) map[*ir.Value]digest {
	out := map[*ir.Value]digest{}
	for _, v := range f.Body {
		h := sha256.New()
		fmt.Fprintf(h, "%s %s%v\n", v.Op, v.Type.Elem, v.Type.Shape)
		if v.Op == ir.OpInput || v.Op == ir.OpWeight {
			fmt.Fprintf(h, "%q %q\n", v.Attrs.Str("owner"), called(v))
		} else if v.Op != ir.OpReveal {
			attrs := slices.Clone(v.Attrs)
			slices.SortStableFunc(attrs, func(a, b ir.Attr) int { return strings.Compare(a.Key, b.Key) })
			for _, a := range attrs {
				writeAttr(h, a)
			}
		}
		var args []digest
		for _, a := range v.Args {
			args = append(args, out[a])
		}
		if commutes[v.Op] {
			slices.SortFunc(args, func(a, b digest) int { return slices.Compare(a[:], b[:]) })
		}
		for _, a := range args {
			h.Write(a[:])
		}
		out[v] = digest(h.Sum(nil))
	}
	return out
}

// writeAttr writes an attribute so that equal texts are equal attributes.
func writeAttr(w interface{ Write([]byte) (int, error) }, a ir.Attr) {
	fmt.Fprintf(w, "%q %d %d %x %q %d %q\n", a.Key, a.Kind, a.Int, math.Float64bits(a.Float), a.Str, a.Ints, a.Strings)
	if a.Tensor == nil {
		return
	}
	fmt.Fprintf(w, "%s%v\n", a.Tensor.Elem, a.Tensor.Shape)
	var b [8]byte
	for _, x := range a.Tensor.F {
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(x))
		w.Write(b[:])
	}
	for _, x := range a.Tensor.I {
		binary.LittleEndian.PutUint64(b[:], uint64(x))
		w.Write(b[:])
	}
}

// sourcesOf lists the inputs and weights that v derives from, in the order of the graph.
func sourcesOf(v *ir.Value) (out []*ir.Value) {
	for _, x := range behind(v) {
		if x.Op == ir.OpInput || x.Op == ir.OpWeight {
			out = append(out, x)
		}
	}
	return out
}

// behind lists the values that v derives from, and v, in the order of the graph.
func behind(v *ir.Value) []*ir.Value {
	seen := map[*ir.Value]bool{v: true}
	out := []*ir.Value{v}
	for i := 0; i < len(out); i++ {
		for _, a := range out[i].Args {
			if !seen[a] {
				seen[a] = true
				out = append(out, a)
			}
		}
	}
	slices.SortFunc(out, func(a, b *ir.Value) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// longest is the length of a formula that is said in full.
const longest = 100

// formula says what v is: in full where that is short, otherwise how many operations of which kinds.
func formula(v *ir.Value) string {
	if v.Op == ir.OpReveal {
		v = v.Args[0]
	}
	if s, ok := spell(v, longest); ok {
		return s
	}
	kinds, n := map[string]int{}, 0
	for _, x := range behind(v) {
		switch x.Op {
		case ir.OpInput, ir.OpWeight, ir.OpConst:
		default:
			kinds[string(x.Op)]++
			n++
		}
	}
	var parts []string
	for _, k := range sortedKeys(kinds) {
		parts = append(parts, fmt.Sprintf("%d %s", kinds[k], k))
	}
	return fmt.Sprintf("%d operations (%s)", n, strings.Join(parts, ", "))
}

// spell writes v as a formula of at most room characters.
func spell(v *ir.Value, room int) (string, bool) {
	switch v.Op {
	case ir.OpInput, ir.OpWeight:
		return v.Attrs.Str("name"), len(v.Attrs.Str("name")) <= room
	case ir.OpConst:
		a, _ := v.Attrs.Get("data")
		if a.Tensor == nil || a.Tensor.Len() != 1 {
			return "const" + v.Type.Shape.String(), true
		}
		return fmt.Sprintf("%g", a.Tensor.At(0)), true
	}
	parts := []string{}
	for _, a := range v.Args {
		s, ok := spell(a, room-len(v.Op))
		if !ok {
			return "", false
		}
		parts = append(parts, s)
		if room -= len(s) + 2; room < 0 {
			return "", false
		}
	}
	for _, a := range v.Attrs {
		switch a.Kind {
		case ir.AttrInt:
			parts = append(parts, fmt.Sprintf("%s=%d", a.Key, a.Int))
		case ir.AttrInts:
			parts = append(parts, fmt.Sprintf("%s=%v", a.Key, a.Ints))
		case ir.AttrFloat:
			parts = append(parts, fmt.Sprintf("%s=%g", a.Key, a.Float))
		}
	}
	s := string(v.Op) + "(" + strings.Join(parts, ", ") + ")"
	return s, len(s) <= longest && room >= 0
}
