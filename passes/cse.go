package passes

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"smpcc/ir"
)

// cse computes equal values once: same op, attributes and arguments. Inputs and reveals are kept as they are.
func cse(m *ir.Module, opt *Options) error {
	f := m.Main()
	first := map[string]*ir.Value{}
	same := map[*ir.Value]*ir.Value{}
	number := map[*ir.Value]int{}
	body := f.Body[:0:0]
	for _, v := range f.Body {
		for i, a := range v.Args {
			if s := same[a]; s != nil {
				v.Args[i] = s
			}
		}
		if v.Op != ir.OpInput && v.Op != ir.OpReveal {
			k := key(v, number)
			if s := first[k]; s != nil {
				same[v] = s
				s.Join(v.Parts)
				if v.Op == ir.OpConst {
					opt.encoded.joined(v.Attrs.Tensor("data"), s.Attrs.Tensor("data"))
				}
				if v.Range.Origin > s.Range.Origin { // the better known range of equal values holds for both
					s.Range = v.Range
				}
				continue
			}
			first[k] = v
		}
		number[v] = len(body)
		body = append(body, v)
	}
	f.Body = body
	return nil
}

// key identifies what a value computes.
func key(v *ir.Value, number map[*ir.Value]int) string {
	var b strings.Builder
	b.WriteString(string(v.Op))
	for _, a := range v.Args {
		fmt.Fprintf(&b, " %d", number[a])
	}
	for _, a := range v.Attrs {
		if a.Kind != ir.AttrTensor {
			fmt.Fprintf(&b, " %s=%d|%x|%q|%d|%q", a.Key, a.Int, math.Float64bits(a.Float), a.Str, a.Ints, a.Strings)
			continue
		}
		h := sha256.New()
		for _, x := range a.Tensor.F {
			h.Write(binary.LittleEndian.AppendUint64(nil, math.Float64bits(x)))
		}
		for _, x := range a.Tensor.I {
			h.Write(binary.LittleEndian.AppendUint64(nil, uint64(x)))
		}
		fmt.Fprintf(&b, " %s=%v%v%x", a.Key, a.Tensor.Elem, a.Tensor.Shape, h.Sum(nil))
	}
	return b.String()
}
