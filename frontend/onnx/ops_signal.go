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
	size := s[a]
	if n.given(1) {
		k, _, err := n.scalar(1, "dft_length")
		if err != nil {
			return nil, err
		}
		if !(k >= 1 && k <= maxTransform) {
			return nil, fmt.Errorf("dft_length %g is out of range", k)
		}
		if size = int(k); size < s[a] {
			x = c.cut(x, a, 0, size)
		} else if size > s[a] {
			pads := make([]int, 2*rank)
			pads[rank+a] = size - s[a]
			x = c.e(ir.OpPad, ir.Attrs{ir.Dims("pads", pads)}, x)
		}
	}
	if size > maxTransform {
		return nil, fmt.Errorf("transform of %d entries is too long", size)
	}
	bins := size
	if n.int("onesided", 0) != 0 {
		bins = size/2 + 1
	}
	inverse := n.int("inverse", 0) != 0
	parts := s[rank-1]
	m := c.table(ir.Real, size*parts, bins*2) // (time, part) to (bin, part)
	if m == nil {
		return nil, c.err
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
	perm, back := toLast(rank-1, a)
	perm, back = append(perm, rank-1), append(back, rank-1)
	xt := c.transpose(x, perm...)
	if c.err != nil {
		return nil, c.err
	}
	y := c.e(ir.OpMatMul, nil, c.reshape(xt, xt.Type.Shape[:rank-2].Size(), size*parts), c.data(m, false))
	out := append(slices.Clone(xt.Type.Shape[:rank-2]), bins, 2)
	return c.one(c.transpose(c.reshape(y, out...), back...))
}

func init() {
	attrs := version{since: 17, in: 1, max: 1, attrs: "output_datatype:i periodic:i"}
	add("HannWindow", "A public window.", window(0.5, -0.5), attrs)
	add("HammingWindow", "A public window.", window(25.0/46, -21.0/46), attrs)
	add("BlackmanWindow", "A public window.", window(0.42, -0.5, 0.08), attrs)
	add("DFT", "Discrete Fourier transform, a product with a public matrix.", fourier,
		version{since: 17, in: 1, max: 2, attrs: "axis:i inverse:i onesided:i"}, version{since: 20, in: 1, max: 3, attrs: "inverse:i onesided:i"})
}
