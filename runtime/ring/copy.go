package ring

import "smpcc/backend/plan"

// maxRank is the number of dimensions that Copy walks without allocating; plans are refused above it.
const maxRank = 16

// Copy computes d[c.Dst + i.DstStrides] = a[c.Src + i.SrcStrides] for every index i below c.Dims; other words of d stay.
// d must not overlap a.
func Copy(d, a []uint64, c plan.Copy) {
	var space [maxRank]axis
	axes, empty := axesOf(c, space[:0])
	if empty {
		return
	}
	if len(axes) == 0 {
		d[c.Dst] = a[c.Src]
		return
	}
	last := len(axes) - 1
	inner, outer := axes[last], axes[:last]
	var idx [maxRank]int64
	i := idx[:]
	if len(outer) > maxRank {
		i = make([]int64, len(outer))
	}
	src, dst := c.Src, c.Dst
	for {
		inner.copy(d, a, src, dst)
		k := last - 1
		for ; k >= 0; k-- { // the next outer index, the last dimension fastest
			i[k]++
			src += outer[k].src
			dst += outer[k].dst
			if i[k] < outer[k].n {
				break
			}
			src -= outer[k].src * outer[k].n
			dst -= outer[k].dst * outer[k].n
			i[k] = 0
		}
		if k < 0 {
			return
		}
	}
}

// axesOf appends the dimensions that Copy walks, and reports whether there is nothing to copy.
func axesOf(c plan.Copy, axes []axis) (all []axis, empty bool) {
	for i, n := range c.Dims {
		switch {
		case n == 0:
			return nil, true
		case n == 1: // its strides do not matter
			continue
		}
		x := axis{n, c.SrcStrides[i], c.DstStrides[i]}
		// Two dimensions walked as one: a step of the outer is a full turn of the inner, in source and destination.
		if k := len(axes) - 1; k >= 0 && axes[k].src == n*x.src && axes[k].dst == n*x.dst {
			x.n *= axes[k].n
			axes = axes[:k]
		}
		axes = append(axes, x)
	}
	return axes, false
}

// Runs returns the words that Copy copies and in how many runs, and whether the words of a run lie side by side, or are one.
func Runs(c plan.Copy) (words, runs float64, dense bool) {
	axes, empty := axesOf(c, nil)
	if empty {
		return 0, 0, true
	}
	words, runs, dense = 1, 1, true
	for i, x := range axes {
		words *= float64(x.n)
		if i < len(axes)-1 {
			runs *= float64(x.n)
		} else {
			dense = x.dst == 1 && (x.src == 0 || x.src == 1)
		}
	}
	return words, runs, dense
}

// An axis is one dimension of a copy: n elements and the strides between them.
type axis struct{ n, src, dst int64 }

// copy copies one run along the axis.
func (x axis) copy(d, a []uint64, src, dst int64) {
	switch {
	case x.src == 1 && x.dst == 1:
		copy(d[dst:dst+x.n], a[src:src+x.n])
	case x.src == 2 && x.dst == 1:
		everyOther(d[dst:dst+x.n], a[src:])
	case x.src == 0 && x.dst == 1:
		Fill(d[dst:dst+x.n], a[src])
	default:
		for range x.n {
			d[dst] = a[src]
			src += x.src
			dst += x.dst
		}
	}
}

// Gather computes d[o,j,i] = a[o,idx[j],i] for o < outer, j < len(idx), i < inner; a has axis elements in the middle and
// every index is below it. d must not overlap a.
func Gather(d, a []uint64, outer, axis, inner int, idx []uint64) {
	at := 0
	for o := range outer {
		for _, j := range idx {
			from := (o*axis + int(j)) * inner
			copy(d[at:at+inner], a[from:from+inner])
			at += inner
		}
	}
}
