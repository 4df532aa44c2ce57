package ring

import "sync"

// A Window is the geometry of a 2-D convolution: input x [N,C,H,W], kernel w [OC,C/Group,KH,KW], result [N,OC,OH,OW];
// strides S, pads at top and left P, dilations D.
type Window struct{ N, C, H, W, OC, OH, OW, KH, KW, SH, SW, PT, PL, DH, DW, Group int }

// columns is the number of words of scratch that a convolution may take for unrolled input.
const columns = 1 << 18

var scratch = sync.Pool{New: func() any { s := make([]uint64, 0); return &s }}

// Conv computes the 2-D convolution d of x with w, padding with zeros: im2col by blocks of output rows, then the product of
// the kernel [OC/Group, C/Group*KH*KW] with the columns. d must not overlap x or w.
func Conv(d, x, w []uint64, g Window) {
	ic, oc := g.C/g.Group, g.OC/g.Group
	if ic == 0 || oc == 0 || g.OH*g.OW == 0 {
		clear(d)
		return
	}
	rows := ic * g.KH * g.KW
	band := max(1, min(g.OH, columns/max(1, rows*g.OW))) // output rows at once
	bands := (g.OH + band - 1) / band
	jobs := g.N * g.Group * bands
	split(jobs, g.N*g.OC*rows*g.OH*g.OW, func(lo, hi int) {
		buf := scratch.Get().(*[]uint64)
		defer scratch.Put(buf)
		if n := rows * band * g.OW; cap(*buf) < n {
			*buf = make([]uint64, n)
		}
		for job := lo; job < hi; job++ {
			y0 := job % bands * band
			y1 := min(g.OH, y0+band)
			gr := job / bands % g.Group
			n := job / bands / g.Group
			wide := (y1 - y0) * g.OW
			cols := (*buf)[:rows*wide]
			unroll(cols, x[(n*g.C+gr*ic)*g.H*g.W:], g, ic, y0, y1)
			plane := g.OH * g.OW
			out := d[(n*g.OC+gr*oc)*plane+y0*g.OW:]
			for o := range oc {
				clear(out[o*plane : o*plane+wide])
			}
			kernel(out, w[gr*oc*rows:(gr+1)*oc*rows], cols, oc, rows, wide, plane)
		}
	})
}

// unroll writes the columns of output rows y0..y1-1: one row per (channel, kernel row, kernel column), one word per output.
func unroll(cols, x []uint64, g Window, ic, y0, y1 int) {
	at := 0
	for c := range ic {
		in := x[c*g.H*g.W : (c+1)*g.H*g.W]
		for i := range g.KH {
			for j := range g.KW {
				left := j*g.DW - g.PL
				for y := y0; y < y1; y++ {
					row := cols[at : at+g.OW]
					at += g.OW
					r := y*g.SH - g.PT + i*g.DH
					if r < 0 || r >= g.H {
						clear(row)
						continue
					}
					line := in[r*g.W : (r+1)*g.W]
					if g.SW == 1 && left >= 0 && left+g.OW <= g.W {
						copy(row, line[left:])
						continue
					}
					for k, p := 0, left; k < len(row); k, p = k+1, p+g.SW {
						if uint(p) < uint(len(line)) {
							row[k] = line[p]
						} else {
							row[k] = 0
						}
					}
				}
			}
		}
	}
}
