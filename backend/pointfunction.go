package backend

import "smpcc/ir"

// byDPF reports whether a comparison was given to distributed point functions; see Select.
func byDPF(v *ir.Value) bool { return v.Attrs.Str("by") == protocolDPF }

// keysOf returns the wire whose mask a wire has, and how often each of its elements stands in the wire, one behind the other: public
// thresholds move the public part of a wire and leave its mask.
func keysOf(x *ir.Value) (base *ir.Value, points int) {
	for points = 1; ; {
		times := 0 // the next wire's elements stand in this one
		if len(x.Args) > 0 {
			times = repeats(x.Args[0].Type.Shape, x.Type.Shape)
		}
		switch x.Op {
		case ir.OpReshape:
			times = 1
		case ir.OpExpand:
		case ir.OpAdd, ir.OpSub:
			if !x.Args[1].Type.Vis.IsPublic() || x.Args[0].Type.Vis.IsPublic() || x.Args[0].Type.Bits != x.Type.Bits {
				return x, points
			}
		default:
			return x, points
		}
		if times == 0 {
			return x, points
		}
		x, points = x.Args[0], points*times
	}
}

// repeats returns how often each element of a tensor stands in its broadcast to a shape, one behind the other; 0 if they are not.
func repeats(from, to ir.Shape) int {
	lead := len(to) - len(from)
	n, in := 1, false // in: an axis that is not broadcast has been seen from the right
	for i := len(to) - 1; i >= 0; i-- {
		d := 1
		if i >= lead {
			d = from[i-lead]
		}
		switch {
		case d == to[i]:
			in = in || d != 1
		case in:
			return 0
		default:
			n *= to[i]
		}
	}
	return n
}
