package ring

import "sync"

// A Window is the geometry of a 2-D convolution: input x [N,C,H,W], kernel w [OC,C/Group,KH,KW], result [N,OC,OH,OW];
// strides S, pads at the top and left P (those at the bottom and right follow from OH and OW), dilations D.
type Window struct{ N, C, H, W, OC, OH, OW, KH, KW, SH, SW, PT, PL, DH, DW, Group int }

// Conv computes the 2-D convolution, padding with zeros,
//
//	d[n,o,y,z] = sum over c,i,j of x[n, C/Group*g+c, y*SH-PT+i*DH, z*SW-PL+j*DW] * w[o,c,i,j], g = o / (OC/Group).
//
// d must not overlap x or w. It is a product of w [OC/Group, C/Group*KH*KW] with columns [C/Group*KH*KW, OH*OW] that
// hold the inputs of each output; they are made a block at a time, so that scratch is bounded whatever the geometry.
func Conv(d, x, w []uint64, g Window) {
	plane := g.OH * g.OW
	if g.N == 0 || plane == 0 || g.OC == 0 {
		return
	}
	c := conv{Window: g, ic: g.C / g.Group, oc: g.OC / g.Group, plane: plane}
	c.rows = c.ic * g.KH * g.KW
	if c.rows == 0 {
		clear(d)
		return
	}
	groups, work := g.N*g.Group, g.N*g.OC*c.rows*plane
	if c.oc == 1 { // depthwise, above all: columns would serve one output each
		split(groups*c.OH, work, func(lo, hi int) {
			for job := lo; job < hi; job++ {
				c.direct(d, x, w, job/c.OH, job%c.OH)
			}
		})
		return
	}
	// Jobs are parts of the output channels of a group, for workers that the number of groups does not keep busy.
	parts := 1
	if work >= parallelWork {
		parts = min(c.oc, (workers()+groups-1)/groups)
	}
	split(groups*parts, work, func(lo, hi int) {
		for job := lo; job < hi; job++ {
			part := job % parts
			c.unrolled(d, x, w, job/parts, part*c.oc/parts, (part+1)*c.oc/parts)
		}
	})
}

// A conv is a convolution at work.
type conv struct {
	Window
	ic, oc int // channels of a group
	rows   int // inputs of one output
	plane  int // outputs of one channel
}

// Scratch for columns: scratchWords words (512 KiB) stay in the second-level cache; unrollRows of them are enough for
// the kernel to be busy between visits to an output.
const (
	scratchWords = 1 << 16
	unrollRows   = 256
)

var scratch = sync.Pool{New: func() any { return new([scratchWords]uint64) }}

// unrolled computes output channels from..to-1 of a group as a product with columns.
func (c *conv) unrolled(d, x, w []uint64, group, from, to int) {
	in, weights, out := c.of(d, x, w, group)
	weights, out = weights[from*c.rows:to*c.rows], out[from*c.plane:to*c.plane]
	clear(out)
	if c.isProduct() {
		kernel(out, weights, in, to-from, c.rows, c.plane, c.plane, c.rows, c.plane)
		return
	}
	buf := scratch.Get().(*[scratchWords]uint64)
	defer scratch.Put(buf)
	depth := min(c.rows, unrollRows)
	width := min(c.plane, scratchWords/depth)
	for p := 0; p < c.plane; p += width {
		wide := min(width, c.plane-p)
		for r := 0; r < c.rows; r += depth {
			deep := min(depth, c.rows-r)
			for i := range deep {
				c.column(buf[i*wide:(i+1)*wide], in, r+i, p)
			}
			kernel(out[p:], weights[r:], buf[:deep*wide], to-from, deep, wide, c.plane, c.rows, wide)
		}
	}
}

// of returns the input, kernel and output of a group of one of the N images.
func (c *conv) of(d, x, w []uint64, group int) (in, weights, out []uint64) {
	gr := group % c.Group
	in = x[group*c.ic*c.H*c.W : (group+1)*c.ic*c.H*c.W]
	weights = w[gr*c.oc*c.rows : (gr+1)*c.oc*c.rows]
	out = d[group*c.oc*c.plane : (group+1)*c.oc*c.plane]
	return in, weights, out
}

// isProduct reports whether the input is its own columns: a 1 by 1 kernel that visits every element.
func (c *conv) isProduct() bool {
	return c.KH == 1 && c.KW == 1 && c.SH == 1 && c.SW == 1 && c.PT == 0 && c.PL == 0 && c.OH == c.H && c.OW == c.W
}

// column fills dst with what outputs p, p+1, ... read for number row of (channel, kernel row, kernel column).
func (c *conv) column(dst, in []uint64, row, p int) {
	ch, i, j := row/(c.KH*c.KW), row/c.KW%c.KH, row%c.KW
	in = in[ch*c.H*c.W : (ch+1)*c.H*c.W]
	y, z := p/c.OW, p%c.OW
	for len(dst) > 0 {
		n := min(len(dst), c.OW-z)
		line := dst[:n]
		dst = dst[n:]
		lo, hi, at := c.inside(y, z, n, i, j)
		clear(line[:lo])
		clear(line[hi:])
		if c.SW == 1 {
			copy(line[lo:hi], in[at:])
		} else {
			for k := lo; k < hi; k++ {
				line[k] = in[at]
				at += c.SW
			}
		}
		y, z = y+1, 0
	}
}

// inside says which of the outputs (y, z) to (y, z+n-1) read an element of the input, not padding, at kernel element i, j:
// numbers lo..hi-1, of which the first reads element at and the others each SW further.
func (c *conv) inside(y, z, n, i, j int) (lo, hi, at int) {
	r := y*c.SH - c.PT + i*c.DH
	left := z*c.SW - c.PL + j*c.DW // what number 0 reads
	if r < 0 || r >= c.H || left >= c.W {
		return 0, 0, 0
	}
	if left < 0 {
		lo = (-left + c.SW - 1) / c.SW
	}
	hi = min(n, (c.W-left+c.SW-1)/c.SW)
	if lo >= hi {
		return 0, 0, 0
	}
	return lo, hi, r*c.W + left + lo*c.SW
}

// direct computes row y of the one output channel of a group, without columns.
func (c *conv) direct(d, x, w []uint64, group, y int) {
	in, weights, out := c.of(d, x, w, group)
	line := out[y*c.OW : (y+1)*c.OW]
	clear(line)
	row := 0
	for ch := range c.ic {
		for i := range c.KH {
			for j := range c.KW {
				f := weights[row]
				row++
				lo, hi, at := c.inside(y, 0, c.OW, i, j)
				at += ch * c.H * c.W
				if c.SW == 1 {
					axpy(line[lo:hi], in[at:at+hi-lo], f)
					continue
				}
				for k := lo; k < hi; k++ {
					line[k] += f * in[at]
					at += c.SW
				}
			}
		}
	}
}
