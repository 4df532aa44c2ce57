package ring

// A Window is the geometry of a 2-D convolution: input x [N,C,H,W], kernel w [OC,C/Group,KH,KW], result [N,OC,OH,OW];
// strides S, pads at the top and left P (those at the bottom and right follow from OH and OW), dilations D.
type Window struct {
	N, C, H, W, OC, OH, OW, KH, KW, SH, SW, PT, PL, DH, DW, Group int

	Packed bool // w is as PackWeights left it; only where Packs
}

// Conv computes the 2-D convolution, padding with zeros,
//
//	d[n,o,y,z] = sum over c,i,j of x[n, C/Group*g+c, y*SH-PT+i*DH, z*SW-PL+j*DW] * w[o,c,i,j], g = o / (OC/Group).
//
// d must not overlap x or w. It is a product of w [OC/Group, C/Group*KH*KW] with columns [C/Group*KH*KW, OH*OW] that
// hold the inputs of each output; they are made a block at a time, so that scratch is bounded whatever the geometry.
func Conv(d, x, w []uint64, g Window) { ConvMod(64, d, x, w, g) }

// ConvMod is Conv mod 2^bits, as MatMulMod is to MatMul.
func ConvMod(bits int, d, x, w []uint64, g Window) {
	if g.N == 0 || g.OH*g.OW == 0 || g.OC == 0 {
		return
	}
	c := newConv(bits, g)
	if c.rows == 0 {
		clear(d)
		return
	}
	groups, work := g.N*g.Group, g.N*g.OC*c.rows*c.plane
	if c.oc == 1 { // depthwise, above all
		split(groups*c.OH, work, func(lo, hi int) {
			for job := lo; job < hi; job++ {
				c.direct(d, x, w, job/c.OH, job%c.OH)
			}
		})
		return
	}
	parts := 1 // of a group, for workers that the number of groups does not keep busy
	if work >= parallelWork {
		parts = (workers() + groups - 1) / groups
	}
	units, cut := c.units(parts)
	parts = min(parts, units)
	split(groups*parts, work, func(lo, hi int) {
		for job := lo; job < hi; job++ {
			p := c.whole()
			cut(&p, job%parts*units/parts, (job%parts+1)*units/parts)
			c.unrolled(d, x, w, job/parts, p)
		}
	})
}

func newConv(bits int, g Window) conv {
	if g.isProduct() { // every row of the output reads behind the other
		g.W, g.OW, g.H, g.OH = g.H*g.W, g.OH*g.OW, 1, 1
	}
	ic := g.C / g.Group
	return conv{Window: g, ic: ic, oc: g.OC / g.Group, rows: ic * g.KH * g.KW, plane: g.OH * g.OW, bits: bits}
}

// onCanvas reports whether a convolution is a product with a canvas. Depthwise ones are not, for which columns would serve one output each, nor those
// that are a product with a vector or of a few rows, nor those of which a row of a channel does not fit.
func (c *conv) onCanvas() bool {
	if active.tile == nil || c.oc == 1 || c.isProduct() && (c.plane == 1 || c.oc < fewRows) {
		return false
	}
	v := newCanvas(c)
	channels, _, _ := v.fit(part{0, c.oc, 0, 1, 0, active.tile32.panel()}, active.tile32.panel(), roomWords)
	return channels > 0
}

// A part is what one worker computes of a group: output channels o0..o1-1, rows y0..y1-1 and columns z0..z1-1.
type part struct{ o0, o1, y0, y1, z0, z1 int }

func (c *conv) whole() part { return part{0, c.oc, 0, c.OH, 0, c.OW} }

// units returns into how many units a group's work falls that is shared out in so many parts, and what takes the work of units lo..hi-1: rows of the output, or
// panels where there is one row, so that no input is read twice; output channels where rows would leave a worker idle.
func (c *conv) units(parts int) (int, func(p *part, lo, hi int)) {
	rows, cut := c.OH, func(p *part, lo, hi int) { p.y0, p.y1 = lo, hi }
	if c.OH == 1 {
		panel := active.panelColumns(c.bits)
		rows, cut = (c.OW+panel-1)/panel, func(p *part, lo, hi int) { p.z0, p.z1 = lo*panel, min(hi*panel, c.OW) }
	}
	channels := (c.oc + 7) / 8 // of the tallest tile
	idle := func(units int) float64 { return float64((units+parts-1)/parts*parts) / float64(units) }
	if idle(rows) <= 1.1*idle(channels) {
		return rows, cut
	}
	return channels, func(p *part, lo, hi int) { p.o0, p.o1 = lo*8, min(hi*8, c.oc) }
}

// A conv is a convolution at work.
type conv struct {
	Window
	ic, oc int // channels of a group
	rows   int // inputs of one output
	plane  int // outputs of one channel
	bits   int // of the result that are wanted
}

// unrolled computes a part of a group as a product with columns that never exist as a matrix: a core with a tile reads them from a
// canvas, portable makes a block of them at a time.
func (c *conv) unrolled(d, x, w []uint64, group int, p part) {
	if p.o0 == p.o1 || p.y0 == p.y1 || p.z0 == p.z1 {
		return
	}
	in, weights, out := c.of(d, x, w, group)
	weights, out = weights[p.o0*c.rows:p.o1*c.rows], out[p.o0*c.plane:p.o1*c.plane]
	p.o0, p.o1 = 0, p.o1-p.o0
	if c.onCanvas() {
		if halves, words := active.tiles(c.bits); halves != nil {
			multiplyCanvas(halves, &halfRooms, takeHalves, c, out, in, weights, p)
		} else {
			multiplyCanvas(words, &wordRooms, takeWords, c, out, in, weights, p)
		}
		return
	}
	if c.isProduct() {
		kernel(out[p.z0:], weights, in[p.z0:], p.o1, c.rows, p.z1-p.z0, c.plane, c.rows, c.plane, c.bits, false)
		return
	}
	r := wordRooms.Get().(*room[uint64])
	defer wordRooms.Put(r)
	deepest := min(c.rows, unrollRows)
	from, to := p.y0*c.OW+p.z0, (p.y1-1)*c.OW+p.z1 // a part is of whole rows, or of one
	width := min(to-from, (len(r.buf)-slack)/deepest)
	for q := from; q < to; q += width {
		wide := min(width, to-q)
		for k := 0; k < c.rows; k += deepest {
			deep := min(deepest, c.rows-k)
			c.columns(r.buf[:deep*wide], in, k, deep, q, wide)
			kernel(out[q:], weights[k:], r.buf[:deep*wide], p.o1, deep, wide, c.plane, c.rows, wide, c.bits, k > 0)
		}
	}
}

// unrollRows rows of columns are enough for the portable kernel to be busy between visits to an output.
const unrollRows = 256

// of returns the input, kernel and output of a group of one of the N images.
func (c *conv) of(d, x, w []uint64, group int) (in, weights, out []uint64) {
	gr := group % c.Group
	in = x[group*c.ic*c.H*c.W : (group+1)*c.ic*c.H*c.W]
	weights = w[gr*c.oc*c.rows : (gr+1)*c.oc*c.rows]
	out = d[group*c.oc*c.plane : (group+1)*c.oc*c.plane]
	return in, weights, out
}

// isProduct reports whether the input is its own columns: a 1 by 1 kernel that visits every element.
func (c *Window) isProduct() bool {
	return c.KH == 1 && c.KW == 1 && c.SH == 1 && c.SW == 1 && c.PT == 0 && c.PL == 0 && c.OH == c.H && c.OW == c.W
}

// columns writes rows first..first+deep-1 of the columns of outputs from..from+wide-1 to buf: what each output reads, in the order of channel,
// kernel row, kernel column.
func (c *conv) columns(buf, in []uint64, first, deep, from, wide int) {
	ch, i, j := first/(c.KH*c.KW), first/c.KW%c.KH, first%c.KW
	for r := range deep {
		row := buf[r*wide : (r+1)*wide]
		y, z := from/c.OW, from%c.OW
		for len(row) > 0 {
			n := min(len(row), c.OW-z)
			writeLine(c, takeWords, row[:n], in[ch*c.H*c.W:], y*c.SH-c.PT+i*c.DH, z*c.SW-c.PL+j*c.DW)
			row = row[n:]
			y, z = y+1, 0
		}
		if j++; j == c.KW {
			j = 0
			if i++; i == c.KH {
				i = 0
				ch++
			}
		}
	}
}

// writeLine writes what neighbouring outputs read of a channel: row r of it from column left on, every SW columns, and zeros where that is padding.
func writeLine[E element](c *conv, take func([]E, []uint64, int), line []E, channel []uint64, r, left int) {
	lo, hi, at := c.inside(r, left, len(line))
	clear(line[:lo])
	clear(line[hi:])
	if lo < hi {
		take(line[lo:hi], channel[at:], c.SW)
	}
}

// inside says which of n elements of the input in row r, the first in column left and the others each SW further, are not padding: numbers
// lo..hi-1, of which the first is element at of its channel.
func (c *conv) inside(r, left, n int) (lo, hi, at int) {
	if r < 0 || r >= c.H || left >= c.W {
		return 0, 0, 0
	}
	if c.SW == 1 {
		lo, hi = max(0, -left), min(n, c.W-left)
	} else {
		if left < 0 {
			lo = (-left + c.SW - 1) / c.SW
		}
		hi = min(n, (c.W-left+c.SW-1)/c.SW)
	}
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
				lo, hi, at := c.inside(y*c.SH-c.PT+i*c.DH, j*c.DW-c.PL, c.OW)
				at += ch * c.H * c.W
				if c.SW == 1 {
					active.rows(line[lo:hi], weights[row-1:row], in[at:at+hi-lo], 0)
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
