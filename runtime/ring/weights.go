package ring

// PackWeights brings the kernel w of a convolution, in place, into the order in which tiles read it, for windows with Packed: of each
// group the rows of a tile together, column by column. It is for a kernel that serves many convolutions; one call of it costs as much as
// reading and writing w.
func PackWeights(w []uint64, g Window) {
	reorder(w, g, func(d, s []uint64, rows, cols int) {
		for i := range rows {
			for k, x := range s[i*cols : (i+1)*cols] {
				d[k*rows+i] = x
			}
		}
	})
}

// UnpackWeights undoes PackWeights.
func UnpackWeights(w []uint64, g Window) {
	reorder(w, g, func(d, s []uint64, rows, cols int) {
		for i := range rows {
			line := d[i*cols : (i+1)*cols]
			for k := range line {
				line[k] = s[k*rows+i]
			}
		}
	})
}

// reorder calls fn with the rows of each tile in turn: s is a copy of them, d where they lie.
func reorder(w []uint64, g Window, fn func(d, s []uint64, rows, cols int)) {
	oc, cols := g.OC/g.Group, g.C/g.Group*g.KH*g.KW
	copied := make([]uint64, min(active.tile.maxRows, oc)*cols)
	for range g.Group {
		for i := 0; i < oc; {
			rows := active.tile.rows(oc - i)
			d := w[:rows*cols]
			copy(copied, d)
			fn(d, copied, rows, cols)
			w = w[rows*cols:]
			i += rows
		}
	}
}

// Packs reports whether convolutions of this geometry take packed weights, on the core in use.
func Packs(g Window) bool {
	if g.N == 0 || g.OH*g.OW == 0 || g.OC == 0 || g.C == 0 {
		return false
	}
	c := newConv(64, g)
	return c.onCanvas()
}
