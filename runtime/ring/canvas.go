package ring

import "sync"

// A canvas is a piece of a convolution's input with its padding, laid out so that what neighbouring outputs read at one kernel element are
// neighbours whatever the stride: rows and columns of the input are sorted by phase, their number mod the stride. A row of the columns of a
// convolution is then a line of the canvas, and a tile reads it there: an element of the input is copied once and not once for each
// kernel element.
type canvas struct {
	*conv
	rowPhases, columnPhases int // that the kernel reads
	moreRows, moreColumns   int // of a phase, than there are rows and columns of outputs
}

func newCanvas(c *conv) canvas {
	v := canvas{conv: c, moreRows: (c.KH - 1) * c.DH / c.SH, moreColumns: (c.KW - 1) * c.DW / c.SW}
	v.rowPhases, v.columnPhases = min(c.KH, c.SH/gcd(c.SH, c.DH)), min(c.KW, c.SW/gcd(c.SW, c.DW))
	return v
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// pitch returns the elements of a canvas for a row of so many outputs: the phases of the columns stand beside each other.
func (v *canvas) pitch(wide int) int { return v.columnPhases * (wide + v.moreColumns) }

// size returns the elements of a canvas for a channel and rows times columns outputs.
func (v *canvas) size(rows, wide int) int { return v.rowPhases * (rows + v.moreRows) * v.pitch(wide) }

// fit returns how many channels, rows and columns of a part of the outputs make a canvas of no more than the given elements, no channels if none fit.
// Channels come first, as long as they are products between visits to an output, then columns, in whole panels, then rows, of which there
// should be some, since neighbours read the same input.
func (v *canvas) fit(p part, panel, elements int) (channels, rows, wide int) {
	taps := v.KH * v.KW
	if taps > maxRows || max(v.moreRows, v.moreColumns) > elements { // from here on no product exceeds 63 bits
		return 0, 0, 0
	}
	rows, wide = min(p.y1-p.y0, elements), min(p.z1-p.z0, elements)
	for channels = min(v.ic, maxRows/taps); channels*taps >= 2*depth && channels*v.size(min(4, rows), wide) > elements; {
		channels = (channels + 1) / 2
	}
	for channels > 1 && channels*v.size(1, min(wide, panel)) > elements {
		channels = (channels + 1) / 2
	}
	if channels*v.size(1, min(wide, panel)) > elements {
		return 0, 0, 0
	}
	for wide > panel && channels*v.size(1, wide) > elements {
		wide = max(panel, (wide-1)/2/panel*panel)
	}
	for rows > 1 && channels*v.size(rows, wide) > elements {
		rows = (rows + 1) / 2
	}
	return channels, rows, wide
}

// multiplyCanvas writes to out a part of a group: weights times the columns of the input.
func multiplyCanvas[E element](t *tile[E], rooms *sync.Pool, take func([]E, []uint64, int), c *conv, out, in, weights []uint64, p part) {
	r := rooms.Get().(*room[E])
	defer rooms.Put(r)
	v := newCanvas(c)
	channels, rows, wide := v.fit(p, t.panel(), len(r.buf)-slack)
	for ch := 0; ch < c.ic; ch += channels {
		some := min(channels, c.ic-ch)
		for y := p.y0; y < p.y1; y += rows {
			for z := p.z0; z < p.z1; z += wide {
				x := block[E]{buf: r.buf, lines: min(rows, p.y1-y), wide: min(wide, p.z1-z), out: c.OW}
				x.pitch = v.pitch(x.wide)
				drawCanvas(&v, take, x.buf, in[ch*c.H*c.W:], some, y, z, x.lines, x.wide)
				x.at = r.at[:some*c.KH*c.KW]
				x.last = v.places(x.at, x.lines, x.wide)
				t.sweep(out[y*c.OW+z:], left{weights, c.rows, c.Packed}, ch*c.KH*c.KW, &x, p.o1, c.plane, ch > 0)
			}
		}
	}
}

// places writes where each row of the columns begins on a canvas for rows times wide outputs and returns the largest.
func (v *canvas) places(at []int, rows, wide int) int {
	size, pitch, k, last := v.size(rows, wide), v.pitch(wide), 0, 0
	for base := 0; k < len(at); base += size {
		for i := range v.KH {
			rowPhase := i % v.rowPhases * v.DH % v.SH
			row := i%v.rowPhases*(rows+v.moreRows) + (i*v.DH-rowPhase)/v.SH
			for j := range v.KW {
				columnPhase := j % v.columnPhases * v.DW % v.SW
				at[k] = base + row*pitch + j%v.columnPhases*(wide+v.moreColumns) + (j*v.DW-columnPhase)/v.SW
				last = max(last, at[k])
				k++
			}
		}
	}
	return last
}

// drawCanvas writes the canvas of some channels of in for the outputs from row y and column z on.
func drawCanvas[E element](v *canvas, take func([]E, []uint64, int), buf []E, in []uint64, channels, y, z, rows, wide int) {
	n := wide + v.moreColumns
	for ch := range channels {
		channel := in[ch*v.H*v.W:]
		for i := range v.rowPhases {
			for q := range rows + v.moreRows {
				r := (y+q)*v.SH + i*v.DH%v.SH - v.PT
				for j := range v.columnPhases {
					line := buf[:n]
					buf = buf[n:]
					writeLine(v.conv, take, line, channel, r, z*v.SW+j*v.DW%v.SW-v.PL)
				}
			}
		}
	}
}
