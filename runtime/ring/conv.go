package ring

// A Window is the geometry of a 2-D convolution: input x [N,C,H,W], kernel w [OC,C/Group,KH,KW], result [N,OC,OH,OW];
// strides S, pads at the top and left P (those at the bottom and right follow from OH and OW), dilations D.
type Window struct{ N, C, H, W, OC, OH, OW, KH, KW, SH, SW, PT, PL, DH, DW, Group int }

// Conv computes the 2-D convolution, padding with zeros,
//
//	d[n,o,y,z] = sum over c,i,j of x[n, C/Group*g+c, y*SH-PT+i*DH, z*SW-PL+j*DW] * w[o,c,i,j], g = o / (OC/Group).
//
// d must not overlap x or w. It is a product of w [OC/Group, C/Group*KH*KW] with columns [C/Group*KH*KW, OH*OW] that
// hold the inputs of each output; they are made a block at a time, so that scratch is bounded whatever the geometry.
func Conv(d, x, w []uint64, g Window) { ConvMod(64, d, x, w, g) }

// ConvMod is Conv mod 2^bits, as MatMulMod is to MatMul.
func ConvMod(bits int, d, x, w []uint64, g Window) {
	plane := g.OH * g.OW
	if g.N == 0 || plane == 0 || g.OC == 0 {
		return
	}
	c := conv{Window: g, ic: g.C / g.Group, oc: g.OC / g.Group, plane: plane, bits: bits}
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
	// Jobs are parts of a group, for workers that the number of groups does not keep busy: parts of its outputs, so that each
	// column is made once, or of its output channels where there are few outputs.
	parts, size := 1, plane
	byChannel := plane < shareColumns*workers()
	if work >= parallelWork {
		parts = (workers() + groups - 1) / groups
		if byChannel {
			parts = min(parts, c.oc)
		} else {
			panel := active.panelColumns(bits)
			size = (plane/parts + panel) / panel * panel
		}
	}
	split(groups*parts, work, func(lo, hi int) {
		for job := lo; job < hi; job++ {
			part := job % parts
			if byChannel {
				c.unrolled(d, x, w, job/parts, part*c.oc/parts, (part+1)*c.oc/parts, 0, plane)
			} else {
				c.unrolled(d, x, w, job/parts, 0, c.oc, min(part*size, plane), min((part+1)*size, plane))
			}
		}
	})
}

// A conv is a convolution at work.
type conv struct {
	Window
	ic, oc int // channels of a group
	rows   int // inputs of one output
	plane  int // outputs of one channel
	bits   int // of the result that are wanted
}

// unrolled computes outputs from..to-1 of output channels first..last-1 of a group as a product with columns. A core with a tile
// packs them straight from the input (implicit im2col: the columns never exist as a matrix); portable makes a block at a time.
func (c *conv) unrolled(d, x, w []uint64, group, first, last, from, to int) {
	m := last - first
	if from == to || m == 0 {
		return
	}
	in, weights, out := c.of(d, x, w, group)
	weights, out = weights[first*c.rows:last*c.rows], out[first*c.plane:last*c.plane]
	for o := range m {
		clear(out[o*c.plane+from : o*c.plane+to])
	}
	if c.isProduct() {
		kernel(out[from:], weights, in[from:], m, c.rows, to-from, c.plane, c.rows, c.plane, c.bits)
		return
	}
	if active.tile != nil {
		active.product(out[from:], weights, m, c.rows, to-from, c.plane, c.rows, c.bits, &window{c, in, from})
		return
	}
	buf := scratch.Get().(*panels)
	defer scratch.Put(buf)
	deepest := min(c.rows, unrollRows)
	width := min(to-from, len(buf)/deepest)
	for p := from; p < to; p += width {
		wide := min(width, to-p)
		for r := 0; r < c.rows; r += deepest {
			deep := min(deepest, c.rows-r)
			packWindow(&window{c, in, p}, takeWords, buf[:deep*wide], r, deep, 0, wide, wide)
			kernel(out[p:], weights[r:], buf[:deep*wide], m, deep, wide, c.plane, c.rows, wide, c.bits)
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
func (c *conv) isProduct() bool {
	return c.KH == 1 && c.KW == 1 && c.SH == 1 && c.SW == 1 && c.PT == 0 && c.PL == 0 && c.OH == c.H && c.OW == c.W
}

// A window is the columns of a convolution: what each output from number from on reads, in the order of channel, kernel row, kernel column.
type window struct {
	*conv
	in   []uint64
	from int
}

func (x *window) words(panel []uint64, p, deep, j, wide, stride int) {
	packWindow(x, takeWords, panel, p, deep, j, wide, stride)
}

func (x *window) halves(panel []uint32, p, deep, j, wide, stride int) {
	packWindow(x, takeHalves, panel, p, deep, j, wide, stride)
}

// packWindow fills deep rows, stride elements apart, with columns at..at+wide-1 of rows first.., and zeros behind them.
func packWindow[E element](c *window, take func([]E, []uint64, int), panel []E, first, deep, at, wide, stride int) {
	ch, i, j := first/(c.KH*c.KW), first/c.KW%c.KH, first%c.KW
	y0, z0 := (c.from+at)/c.OW, (c.from+at)%c.OW
	plane := c.in[ch*c.H*c.W:]
	for r := range deep {
		row := panel[r*stride : (r+1)*stride]
		y, z := y0, z0
		for at := 0; at < wide; {
			n := min(wide-at, c.OW-z)
			line := row[at : at+n]
			lo, hi, from := c.inside(y, z, n, i, j)
			if lo > 0 {
				clear(line[:lo])
			}
			if hi < n {
				clear(line[hi:])
			}
			if lo < hi {
				take(line[lo:hi], plane[from:], c.SW)
			}
			at += n
			y, z = y+1, 0
		}
		if wide < stride {
			clear(row[wide:])
		}
		if j++; j == c.KW {
			j = 0
			if i++; i == c.KH {
				i = 0
				ch++
				plane = c.in[min(ch*c.H*c.W, len(c.in)):]
			}
		}
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
				lo, hi, at := c.inside(y, 0, c.OW, i, j)
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
