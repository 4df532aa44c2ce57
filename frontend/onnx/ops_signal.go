package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"smpcc/ir"
)

// Signal processing: windows and transforms are public matrices, so that everything is local.

// window lowers the window operators: sum_k a[k] cos(2 pi k i / n) with alternating signs.
func window(a ...float64) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		size, _, err := n.scalar(0, "size")
		if err != nil {
			return nil, err
		}
		if !(size >= 0 && size <= maxRange) {
			return nil, fmt.Errorf("size %g is out of range", size)
		}
		t, err := n.tensor(ir.Real, ir.Shape{int(size)})
		if err != nil {
			return nil, err
		}
		period := size
		if n.int("periodic", 1) == 0 {
			period--
		}
		for i := range t.F {
			for k, f := range a {
				t.F[i] += float64(f * math.Cos(2*math.Pi*float64(k)*float64(i)/period))
			}
		}
		return one(n.constant(t))
	}
}

// maxTransform bounds the length of a Fourier transform, which is a product with a matrix.
const maxTransform = 1 << 12

// spectrum returns the matrix of a Fourier transform of size entries of one or two parts: (time, part) to (bin, part); nil after
// an error.
func (c *calc) spectrum(size, bins, parts int, inverse bool) *ir.Tensor {
	m := c.table(ir.Real, size*parts, bins*2)
	if m == nil {
		return nil
	}
	for t := range size {
		for k := range bins {
			angle := 2 * math.Pi * float64(t*k%size) / float64(size)
			co, si := math.Cos(angle), -math.Sin(angle)
			if inverse {
				co, si = co/float64(size), -si/float64(size)
			}
			w := bins * 2
			m.F[t*parts*w+2*k], m.F[t*parts*w+2*k+1] = co, si
			if parts == 2 {
				m.F[(t*2+1)*w+2*k], m.F[(t*2+1)*w+2*k+1] = -si, co
			}
		}
	}
	return m
}

// halfSpectrum returns the matrix that makes a real signal of size entries of its bins up to the middle, whose other half is their conjugates:
// x_t = (sum over k of w_k (Re X_k cos(2 pi k t/size) - Im X_k sin(2 pi k t/size)))/size, where w_k is 1 for bins that are their own conjugates, and 2 else.
func (c *calc) halfSpectrum(size, bins int) *ir.Tensor {
	m := c.table(ir.Real, bins*2, size)
	if m == nil {
		return nil
	}
	for k := range bins {
		w := 2 / float64(size)
		if 2*k%size == 0 {
			w = 1 / float64(size)
		}
		for t := range size {
			angle := 2 * math.Pi * float64(t*k%size) / float64(size)
			m.F[2*k*size+t], m.F[(2*k+1)*size+t] = float64(w*math.Cos(angle)), float64(-w*math.Sin(angle))
		}
	}
	return m
}

// shortTime lowers STFT: the transforms of windows of a signal [batch, length, 1 or 2], a step apart.
func shortTime(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := x.Type.Shape
	if len(s) == 2 {
		s = ir.Shape{s[0], s[1], 1}
	}
	if len(s) != 3 || s[2] != 1 && s[2] != 2 || x.Type.Elem != ir.Real {
		return nil, fmt.Errorf("signal is %v%v, want reals of [batch, length, 1 or 2]", x.Type.Elem, x.Type.Shape)
	}
	step, _, err := n.scalar(1, "frame_step")
	if err != nil {
		return nil, err
	}
	size := -1.0
	if n.given(3) {
		if size, _, err = n.scalar(3, "frame_length"); err != nil {
			return nil, err
		}
	}
	var w *ir.Value
	if n.given(2) {
		w = n.in(2)
		if len(w.Type.Shape) != 1 || w.Type.Elem != ir.Real || size >= 0 && float64(w.Type.Shape[0]) != size {
			return nil, fmt.Errorf("window is %v%v, which does not fit frames of %g", w.Type.Elem, w.Type.Shape, size)
		}
		size = float64(w.Type.Shape[0])
	}
	if !(step >= 1 && step <= maxRange && size >= 1 && size <= maxTransform) || int(size) > s[1] {
		return nil, fmt.Errorf("frames of %g entries at a step of %g do not fit a signal of %d", size, step, s[1])
	}
	length := int(size)
	bins := length
	if n.int("onesided", 1) != 0 {
		if s[2] == 2 {
			return nil, errors.New("onesided=1 is for signals of one part")
		}
		bins = length/2 + 1
	}
	frames := 1 + (s[1]-length)/int(step)
	where, err := n.indices(frames * length)
	if err != nil {
		return nil, err
	}
	for i := range where {
		where[i] = i/length*int(step) + i%length
	}
	m := c.spectrum(length, bins, s[2], false)
	seen := c.reshape(c.pick(c.reshape(x, s...), 1, where), s[0]*frames, length, s[2])
	if c.err != nil {
		return nil, c.err
	}
	if w != nil && w.Op == ir.OpConst { // into the matrix
		for i, f := range w.Attrs.Tensor("data").F {
			row := m.F[i*s[2]*bins*2 : (i+1)*s[2]*bins*2]
			for j := range row {
				row[j] *= f
			}
		}
	} else if w != nil {
		seen = c.mul(seen, c.reshape(w, length, 1))
	}
	y := c.e(ir.OpMatMul, nil, c.reshape(seen, s[0]*frames, length*s[2]), c.data(m, false))
	return c.one(c.reshape(y, s[0], frames, bins, 2))
}

// melWeights lowers MelWeightMatrix: triangles of frequencies at equal distances on the mel scale, one column each.
func melWeights(n *node) ([]*ir.Value, error) {
	var p [5]float64
	for i, name := range []string{"num_mel_bins", "dft_length", "sample_rate", "lower_edge_hertz", "upper_edge_hertz"} {
		x, _, err := n.scalar(i, name)
		if err != nil {
			return nil, err
		}
		p[i] = x
	}
	columns, length, rate, lo, hi := p[0], p[1], p[2], p[3], p[4]
	if !(columns >= 1 && columns <= maxRange && length >= 1 && length <= maxRange && rate >= 1 && lo >= 0 && hi > lo && hi <= rate/2) {
		return nil, fmt.Errorf("%g bins of %g to %g Hz do not fit a transform of length %g at %g Hz", columns, lo, hi, length, rate)
	}
	rows := int(length)/2 + 1
	t, err := n.tensor(ir.Real, ir.Shape{rows, int(columns)})
	if err != nil {
		return nil, err
	}
	mel := func(hertz float64) float64 { return 2595 * math.Log10(1+hertz/700) }
	step := (mel(hi) - mel(lo)) / (columns + 2)
	edge := func(i int) int { // the transform's bin at edge i
		hertz := 700 * (math.Pow(10, (mel(lo)+float64(float64(i)*step))/2595) - 1)
		return int(math.Floor((length + 1) * hertz / rate))
	}
	for i := range int(columns) {
		from, centre, to := edge(i), edge(i+1), edge(i+2)
		if to > rows || centre >= rows {
			return nil, fmt.Errorf("bin %d lies above the transform's highest frequency", i)
		}
		for j := from; j < to; j++ {
			switch {
			case j < centre:
				t.F[j*int(columns)+i] = float64(j-from) / float64(centre-from)
			default:
				t.F[j*int(columns)+i] = float64(to-j) / float64(to-centre)
			}
		}
		t.F[centre*int(columns)+i] = 1
	}
	return one(n.constant(t))
}

// fourier lowers DFT along one axis of [..., 1 or 2].
func fourier(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := x.Type.Shape
	rank := len(s)
	if rank < 2 || s[rank-1] != 1 && s[rank-1] != 2 {
		return nil, fmt.Errorf("input %v is not real or complex", s)
	}
	def := 1
	if n.opset >= 20 {
		def = -2
	}
	at := n.int("axis", def)
	if n.opset >= 20 && n.given(2) {
		k, _, err := n.scalar(2, "axis")
		if err != nil {
			return nil, err
		}
		at = int(k)
	}
	axes, err := ir.NormAxes([]int{at}, rank)
	if err != nil {
		return nil, err
	}
	a := axes[0]
	if a == rank-1 {
		return nil, errors.New("the last dimension holds real and imaginary parts")
	}
	inverse, onesided := n.int("inverse", 0) != 0, n.int("onesided", 0) != 0
	half := inverse && onesided // of a real signal, whose other bins are the conjugates of these
	size := s[a]
	if half {
		if s[rank-1] != 2 {
			return nil, errors.New("inverse=1 with onesided=1 is for bins of two parts")
		}
		size = 2 * (size - 1)
	}
	if n.given(1) {
		k, _, err := n.scalar(1, "dft_length")
		if err != nil {
			return nil, err
		}
		if !(k >= 1 && k <= maxTransform) {
			return nil, fmt.Errorf("dft_length %g is out of range", k)
		}
		size = int(k)
	}
	if size < 1 || size > maxTransform {
		return nil, fmt.Errorf("transform of %d entries is empty or too long", size)
	}
	bins, entries, parts, outParts := size, size, s[rank-1], 2
	if onesided {
		bins = size/2 + 1
	}
	if half {
		bins, entries, outParts = size, bins, 1
	}
	if entries < s[a] {
		x = c.cut(x, a, 0, entries)
	} else if entries > s[a] {
		pads := make([]int, 2*rank)
		pads[rank+a] = entries - s[a]
		x = c.e(ir.OpPad, ir.Attrs{ir.Dims("pads", pads)}, x)
	}
	var m *ir.Tensor
	if half {
		m = c.halfSpectrum(size, entries)
	} else {
		m = c.spectrum(size, bins, parts, inverse)
	}
	if m == nil {
		return nil, c.err
	}
	perm, back := toLast(rank-1, a)
	perm, back = append(perm, rank-1), append(back, rank-1)
	xt := c.transpose(x, perm...)
	if c.err != nil {
		return nil, c.err
	}
	y := c.e(ir.OpMatMul, nil, c.reshape(xt, xt.Type.Shape[:rank-2].Size(), entries*parts), c.data(m, false))
	out := append(slices.Clone(xt.Type.Shape[:rank-2]), bins, outParts)
	return c.one(c.transpose(c.reshape(y, out...), back...))
}

func init() {
	attrs := version{since: 17, in: 1, max: 1, attrs: "output_datatype:i periodic:i"}
	add("HannWindow", "A public window.", window(0.5, -0.5), attrs)
	add("HammingWindow", "A public window.", window(25.0/46, -21.0/46), attrs)
	add("BlackmanWindow", "A public window.", window(0.42, -0.5, 0.08), attrs)
	add("STFT", "Fourier transforms of windows of a signal, products with public matrices.", shortTime, version{since: 17, in: 2, max: 4, attrs: "onesided:i"})
	add("MelWeightMatrix", "Public weights that gather frequencies on the mel scale.", melWeights, version{since: 17, in: 5, max: 5, attrs: "output_datatype:i"})
	add("DFT", "Discrete Fourier transform, a product with a public matrix.", fourier,
		version{since: 17, in: 1, max: 2, attrs: "axis:i inverse:i onesided:i"}, version{since: 20, in: 1, max: 3, attrs: "inverse:i onesided:i"})
}
