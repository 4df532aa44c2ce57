package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"smpcc/ir"
)

// Grids of places, and images made of blocks.

// maxExtent bounds sizes and pads of an image before they are multiplied.
const maxExtent = 1 << 30

// affineGrid lowers AffineGrid: the places of an image's pixels, from -1 to 1, turned by each sample's matrix.
func affineGrid(n *node) ([]*ir.Value, error) {
	c := n.calc()
	size, err := n.list(1, "size")
	if err != nil {
		return nil, err
	}
	rank := len(size) - 2
	theta := n.in(0)
	if rank != 2 && rank != 3 || theta.Type.Elem != ir.Real || !theta.Type.Shape.Equal(ir.Shape{size[0], rank, rank + 1}) {
		return nil, fmt.Errorf("theta %v%v and size %v, want reals [N,2,3] for [N,C,H,W], or [N,3,4] for [N,C,D,H,W]", theta.Type.Elem, theta.Type.Shape, size)
	}
	space := ir.Shape(size[2:])
	if err := ir.CheckShape(append(slices.Clone(space), rank+1)); err != nil {
		return nil, err
	}
	corners := n.int("align_corners", 0) != 0
	places := c.table(ir.Real, rank+1, space.Size())
	if places == nil {
		return nil, c.err
	}
	coordinates(space, func(i int, at []int) {
		for d, k := range at {
			x, n := float64(k), float64(space[d])
			switch {
			case corners && n > 1:
				x = 2*x/(n-1) - 1
			case corners:
				x = -1
			default:
				x = (2*x+1)/n - 1
			}
			places.F[(rank-1-d)*space.Size()+i] = x // the last dimension is x
		}
		places.F[rank*space.Size()+i] = 1
	})
	y := c.e(ir.OpMatMul, nil, theta, c.data(places, false)) // [N, rank, places]
	return c.one(c.reshape(c.transpose(y, 0, 2, 1), append(append([]int{size[0]}, space...), rank)...))
}

// centerCropPad lowers CenterCropPad: the middle of each axis, or zeros on both sides of it.
func centerCropPad(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	want, err := n.list(1, "shape")
	if err != nil {
		return nil, err
	}
	s := x.Type.Shape
	axes := span(len(s))
	if n.has("axes") {
		if axes, err = ir.NormAxes(n.ints("axes"), len(s)); err != nil {
			return nil, err
		}
	}
	if len(axes) != len(want) {
		return nil, fmt.Errorf("shape %v does not fit %d axes", want, len(axes))
	}
	pads := make([]int, 2*len(s))
	full := slices.Clone(s)
	for i, a := range axes {
		if full[a] = want[i]; want[i] < 0 {
			return nil, fmt.Errorf("shape %v has a negative size", want)
		}
		if more := want[i] - s[a]; more > 0 {
			pads[a], pads[len(s)+a] = more/2, more-more/2
		} else if less := -more; less > 0 {
			x = c.cut(x, a, less/2, less/2+want[i])
		}
	}
	if err := ir.CheckShape(full); err != nil {
		return nil, err
	}
	if slices.Max(append(pads, 0)) > 0 {
		x = c.e(ir.OpPad, ir.Attrs{ir.Dims("pads", pads)}, x)
	}
	return c.one(x)
}

// spatial reads strides, dilations and pads of an operator over images of some rank.
func (n *node) spatial(rank int) (strides, dilations, pads []int, err error) {
	if strides, err = ones("strides", n.ints("strides"), rank); err != nil {
		return nil, nil, nil, err
	}
	if dilations, err = ones("dilations", n.ints("dilations"), rank); err != nil {
		return nil, nil, nil, err
	}
	if pads = n.ints("pads"); pads == nil {
		pads = make([]int, 2*rank)
	}
	if len(pads) != 2*rank || slices.Min(pads) < 0 || max(slices.Max(pads), slices.Max(strides), slices.Max(dilations)) > maxExtent {
		return nil, nil, nil, fmt.Errorf("pads %v, strides %v or dilations %v do not fit %d dimensions, or are too large", pads, strides, dilations, rank)
	}
	return strides, dilations, pads, nil
}

// blockCounts returns how many blocks fit each dimension of an image.
func blockCounts(image, block, strides, dilations, pads []int) (ir.Shape, error) {
	out := make(ir.Shape, len(image))
	for i := range image {
		room := image[i] + pads[i] + pads[len(image)+i] - dilations[i]*(block[i]-1) - 1
		if block[i] < 1 || room < 0 {
			return nil, fmt.Errorf("blocks of %v do not fit an image of %v", block, image)
		}
		out[i] = room/strides[i] + 1
	}
	return out, ir.CheckShape(out)
}

// col2Im lowers Col2Im: blocks laid on an image, summed where they overlap.
func col2Im(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	image, err := n.list(1, "image_shape")
	if err != nil {
		return nil, err
	}
	block, err := n.list(2, "block_shape")
	if err != nil {
		return nil, err
	}
	rank := len(image)
	s := x.Type.Shape
	if rank == 0 || len(block) != rank || len(s) != 3 {
		return nil, fmt.Errorf("image %v, blocks %v and input %v do not fit", image, block, s)
	}
	for i := range image { // before products of them
		if image[i] < 1 || image[i] > maxExtent || block[i] < 1 || block[i] > maxExtent {
			return nil, fmt.Errorf("image %v or blocks %v are empty or too large", image, block)
		}
	}
	if err := errors.Join(ir.CheckShape(image), ir.CheckShape(block)); err != nil {
		return nil, err
	}
	strides, dilations, pads, err := n.spatial(rank)
	if err != nil {
		return nil, err
	}
	count, err := blockCounts(image, block, strides, dilations, pads)
	if err != nil {
		return nil, err
	}
	window := ir.Shape(block).Size()
	if s[1]%window != 0 || s[2] != count.Size() {
		return nil, fmt.Errorf("input %v does not hold %d blocks of %v", s, count.Size(), block)
	}
	// sources lists for each pixel the places of the input, [window, blocks], that are summed there
	pixels := ir.Shape(image).Size()
	if err := n.r.left.take(volume(ir.Shape{window, s[2]}), volume(ir.Shape{window, s[2]})); err != nil {
		return nil, err
	}
	sources := make([][]int, pixels)
	row := strided(image)
	most := 1
	coordinates(block, func(b int, off []int) {
		coordinates(count, func(l int, at []int) {
			p := 0
			for i := range rank {
				v := at[i]*strides[i] - pads[i] + off[i]*dilations[i]
				if v < 0 || v >= image[i] {
					return
				}
				p += v * row[i]
			}
			sources[p] = append(sources[p], b*s[2]+l)
			most = max(most, len(sources[p]))
		})
	})
	idx, err := n.indices(pixels * most)
	if err != nil {
		return nil, err
	}
	for p, list := range sources {
		for k := range most {
			idx[p*most+k] = window * s[2] // the zero behind the elements
			if k < len(list) {
				idx[p*most+k] = list[k]
			}
		}
	}
	rows := s[0] * s[1] / window
	y := c.e(ir.OpPad, ir.Attrs{ir.Is("pads", 0, 0, 0, 1)}, c.reshape(x, rows, window*s[2]))
	y = c.reduce(ir.OpReduceSum, c.reshape(c.pick(y, 1, idx), rows, pixels, most), 2)
	return c.one(c.reshape(y, append([]int{s[0], s[1] / window}, image...)...))
}

// deformConv lowers DeformConv with public offsets: what each tap of the kernel sees is a public combination of pixels, and then it is a product. A mask
// may be secret.
func deformConv(n *node) ([]*ir.Value, error) {
	x, w, c := n.in(0), n.in(1), n.calc()
	s, k := x.Type.Shape, w.Type.Shape
	rank := len(s) - 2
	if rank < 1 || rank > 3 || len(k) != rank+2 {
		return nil, fmt.Errorf("input %v and kernel %v do not fit, or have more than 3 dimensions", s, k)
	}
	offset, err := n.public(2, "offset")
	if err != nil {
		return nil, err
	}
	strides, dilations, pads, err := n.spatial(rank)
	if err != nil {
		return nil, err
	}
	if kernel := n.ints("kernel_shape"); kernel != nil && !slices.Equal(kernel, k[2:]) {
		return nil, fmt.Errorf("kernel_shape %v is not that of the kernel %v", kernel, k)
	}
	group, groups := n.int("group", 1), n.int("offset_group", 1)
	window := k[2:].Size()
	out, err := blockCounts(s[2:], k[2:], strides, dilations, pads)
	if err != nil {
		return nil, err
	}
	places := out.Size()
	if group < 1 || groups < 1 || s[1]%group != 0 || s[1]%groups != 0 || k[0]%group != 0 || k[1] != s[1]/group || window == 0 || s.Size() == 0 ||
		offset.Elem != ir.Real || !offset.Shape.Equal(append(ir.Shape{s[0], groups * window * rank}, out...)) {
		return nil, fmt.Errorf("offsets %v, kernel %v and groups %d, %d do not fit the input %v with the result %v", offset.Shape, k, group, groups, s, out)
	}
	taps := 1 << rank
	cells := s[2:].Size()
	all := s[0] * groups * window * places * taps
	if err := n.r.left.take(volume(ir.Shape{s[0], groups, window, places, taps}), volume(ir.Shape{s[0], groups, window, places, taps})); err != nil {
		return nil, err
	}
	weights := c.table(ir.Real, s[0], groups, 1, window*places, taps)
	where, err := n.indices(all)
	if err != nil {
		return nil, err
	}
	if weights == nil {
		return nil, c.err
	}
	row := strided(s[2:])
	wrong := -1
	for b := range s[0] * groups {
		coordinates(k[2:], func(t int, tap []int) {
			coordinates(out, func(o int, at []int) {
				first, frac := make([]int, rank), make([]float64, rank)
				for d := range rank {
					by := offset.F[((b*window+t)*rank+d)*places+o]
					if !(math.Abs(by) < 1<<30) {
						wrong = ((b*window+t)*rank+d)*places + o
						return
					}
					p := float64(at[d]*strides[d]-pads[d]+tap[d]*dilations[d]) + by
					first[d] = int(math.Floor(p))
					frac[d] = p - math.Floor(p)
				}
				for j := range taps {
					weight, place, inside := 1.0, 0, true
					for d := range rank {
						p, f := first[d], 1-frac[d]
						if j>>d&1 == 1 {
							p, f = p+1, frac[d]
						}
						inside = inside && p >= 0 && p < s[2+d]
						weight, place = float64(weight*f), place+p*row[d]
					}
					if i := ((b*window+t)*places+o)*taps + j; inside {
						weights.F[i], where[i] = weight, place
					}
				}
			})
		})
	}
	if wrong >= 0 {
		return nil, fmt.Errorf("element %d of the offsets is no number that an image has places for", wrong)
	}
	per := s[1] / groups // channels that share offsets
	src, err := n.indices(s[0] * s[1] * window * places * taps)
	if err != nil {
		return nil, err
	}
	for i := range src {
		each := window * places * taps
		ch := i / each
		src[i] = ch*cells + where[ch/per*each+i%each]
	}
	seen := c.take(x, src, ir.Shape{s[0], groups, per, window * places, taps})
	seen = c.reduce(ir.OpReduceSum, c.mul(seen, c.data(weights, false)), 4)
	seen = c.reshape(seen, s[0], groups, per, window, places)
	if n.given(4) {
		m := n.in(4)
		if !m.Type.Shape.Equal(append(ir.Shape{s[0], groups * window}, out...)) {
			return nil, fmt.Errorf("mask is %v, want %v", m.Type.Shape, append(ir.Shape{s[0], groups * window}, out...))
		}
		seen = c.mul(seen, c.reshape(m, s[0], groups, 1, window, places))
	}
	// [group, out channels, channels*window] times [N, group, channels*window, places]
	y := c.e(ir.OpMatMul, nil, c.reshape(w, group, k[0]/group, k[1]*window), c.reshape(seen, s[0], group, k[1]*window, places))
	y = c.reshape(y, append([]int{s[0], k[0]}, out...)...)
	if n.given(3) {
		if !n.in(3).Type.Shape.Equal(ir.Shape{k[0]}) {
			return nil, fmt.Errorf("bias is %v, want [%d]", n.in(3).Type.Shape, k[0])
		}
		per := make([]int, rank+1)
		for i := range per {
			per[i] = 1
		}
		per[0] = k[0]
		y = c.add(y, c.reshape(n.in(3), per...))
	}
	return c.one(y)
}

// leastNorm is the largest element up to which a norm of a power above 2 is off: by no more than it, times the root of the number of elements.
const leastNorm = 1.0 / (1 << 14)

// lpNorm is the p-norm over groups of elements, p >= 1: over gives each group's sum or maximum, which broadcasts to its elements. Above 2 it is
// m (sum of (|x|/m)^p)^(1/p) with the largest element m, so that the root is that of 1 or more.
func (c *calc) lpNorm(x *ir.Value, p int, over func(op ir.Op, x *ir.Value) *ir.Value) *ir.Value {
	if p < 1 || p > maxProductPower {
		return c.fail("p=%d is not supported, want 1 to %d", p, maxProductPower)
	}
	switch p {
	case 1:
		return over(ir.OpReduceSum, c.fn(ir.OpAbs, x))
	case 2:
		return c.fn(ir.OpSqrt, over(ir.OpReduceSum, c.mul(x, x)))
	}
	x = c.fn(ir.OpAbs, x)
	m := over(ir.OpReduceMax, x)
	if c.err != nil {
		return nil
	}
	part := c.mul(x, c.fn(ir.OpRecip, c.e(ir.OpMax, nil, m, c.num(m, leastNorm))))
	if c.err != nil {
		return nil
	}
	sum := over(ir.OpReduceSum, c.squared(part, p))
	if c.err != nil {
		return nil
	}
	root := c.e(ir.OpMax, nil, sum, c.num(sum, 1))
	if p&(p-1) == 0 {
		for ; p > 1; p /= 2 {
			root = c.fn(ir.OpSqrt, root)
		}
	} else {
		root = c.fn(ir.OpExp, c.scale(c.fn(ir.OpLog, root), 1/float64(p)))
	}
	return c.mul(m, root)
}

// lpPool lowers LpPool: the p-norm of each window.
func lpPool(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := x.Type.Shape
	rank := len(s) - 2
	if rank < 1 || x.Type.Elem != ir.Real {
		return nil, c.wrongInput(x)
	}
	in := s[2:]
	k, st, d, pads, extra, err := n.poolWindow(in)
	if err != nil {
		return nil, err
	}
	out, err := windowPlaces(in, k, st, d, pads, extra)
	if err != nil {
		return nil, err
	}
	window := ir.Shape(k).Size()
	idx, err := n.indices(out.Size() * window)
	if err != nil {
		return nil, err
	}
	row := strided(in)
	coordinates(out, func(o int, at []int) {
		coordinates(k, func(j int, off []int) {
			p := 0
			for i := range rank {
				v := at[i]*st[i] - pads[i] + off[i]*d[i]
				if v < 0 || v >= in[i] {
					p = in.Size() // the zero behind the elements
					break
				}
				p += v * row[i]
			}
			idx[o*window+j] = p
		})
	})
	rows := s[0] * s[1]
	x = c.e(ir.OpPad, ir.Attrs{ir.Is("pads", 0, 0, 0, 1)}, c.reshape(x, rows, in.Size()))
	x = c.reshape(c.pick(x, 1, idx), rows, out.Size(), window)
	y := c.lpNorm(x, n.int("p", 2), func(op ir.Op, z *ir.Value) *ir.Value { return c.reduce(op, z, 2) })
	return c.one(c.reshape(y, append([]int{s[0], s[1]}, out...)...))
}

// globalLpPool lowers GlobalLpPool: the p-norm over all spatial dimensions.
func globalLpPool(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	rank := len(x.Type.Shape)
	if rank < 3 || x.Type.Elem != ir.Real {
		return nil, c.wrongInput(x)
	}
	over := func(op ir.Op, z *ir.Value) *ir.Value { return c.reduce(op, z, span(rank)[2:]...) }
	return c.one(c.lpNorm(x, n.int("p", 2), over))
}

func init() {
	add("AffineGrid", "Places of an image's pixels, turned by matrices that may be secret.", affineGrid, version{since: 20, in: 2, max: 2, attrs: "align_corners:i"})
	add("CenterCropPad", "The middle of each axis, or zeros around it.", centerCropPad, version{since: 18, in: 2, max: 2, attrs: "axes:is"})
	add("Col2Im", "Blocks laid on an image, summed where they overlap.", col2Im, version{since: 18, in: 3, max: 3, attrs: "dilations:is pads:is strides:is"})
	add("DeformConv", "Convolution whose taps are moved by public offsets; kernel and mask stay private.", deformConv,
		version{since: 19, in: 3, max: 5, attrs: "dilations:is group:i kernel_shape:is offset_group:i pads:is strides:is"})
	add("LpPool", "p-norm of each window, p up to 64; roots are approximated.", lpPool,
		version{since: 2, in: 1, max: 1, attrs: "auto_pad:s kernel_shape:is! p:i pads:is strides:is"},
		version{since: 11, in: 1, max: 1, attrs: "auto_pad:s kernel_shape:is! p:i pads:is strides:is"},
		version{since: 18, in: 1, max: 1, attrs: "auto_pad:s ceil_mode:i dilations:is kernel_shape:is! p:i pads:is strides:is"})
	add("GlobalLpPool", "p-norm over all spatial dimensions, p up to 64; roots are approximated.", globalLpPool, version{since: 2, in: 1, max: 1, attrs: "p:i"})
}
