package onnx

import (
	"errors"
	"fmt"
	"math"

	"smpcc/ir"
)

// A tap is an input cell with its weight.
type tap struct {
	cell   int
	weight float64
}

// bilinear returns the four taps around a point of an image; none for points that lie more than one cell outside.
func bilinear(y, x float64, height, width int) []tap {
	if y < -1 || y > float64(height) || x < -1 || x > float64(width) {
		return nil
	}
	around := func(v float64, size int) (int, int, float64) {
		v = max(v, 0)
		i := int(v)
		if i >= size-1 {
			return size - 1, size - 1, 0
		}
		return i, i + 1, v - float64(i)
	}
	y0, y1, fy := around(y, height)
	x0, x1, fx := around(x, width)
	return []tap{{y0*width + x0, (1 - fy) * (1 - fx)}, {y0*width + x1, (1 - fy) * fx}, {y1*width + x0, fy * (1 - fx)}, {y1*width + x1, fy * fx}}
}

// roiAlign lowers RoiAlign: every output is a public combination of input cells, or the largest of weighted ones.
func roiAlign(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := x.Type.Shape
	rois, err := n.public(1, "rois")
	if err != nil {
		return nil, err
	}
	batch, err := n.public(2, "batch_indices")
	if err != nil {
		return nil, err
	}
	if len(s) != 4 || len(rois.Shape) != 2 || rois.Shape[1] != 4 || rois.Elem != ir.Real || batch.Elem != ir.Int || len(batch.Shape) != 1 || batch.Shape[0] != rois.Shape[0] {
		return nil, fmt.Errorf("rois %v%v and batch_indices %v%v do not fit the input %v", rois.Elem, rois.Shape, batch.Elem, batch.Shape, s)
	}
	mode, offset, least := n.str("mode", "avg"), 0.5, 0.0
	if mode != "avg" && mode != "max" {
		return nil, fmt.Errorf("mode=%s is not supported, want avg or max", short(mode))
	}
	switch how := n.str("coordinate_transformation_mode", map[bool]string{true: "half_pixel", false: "output_half_pixel"}[n.opset >= 16]); how {
	case "half_pixel":
	case "output_half_pixel":
		offset, least = 0, 1
	default:
		return nil, fmt.Errorf("coordinate_transformation_mode=%s is not supported", short(how))
	}
	high, wide, ratio, scale := n.int("output_height", 1), n.int("output_width", 1), n.int("sampling_ratio", 0), n.float("spatial_scale", 1)
	count := rois.Shape[0]
	if err := ir.CheckShape(ir.Shape{count, s[1], high, wide}); err != nil {
		return nil, err
	}
	if s.Size() == 0 || count*high*wide == 0 || ratio < 0 {
		return nil, errors.New("input or output is empty, or sampling_ratio is negative")
	}
	cells := s[2] * s[3]
	outs := volume(ir.Shape{count, high, wide})
	if err := n.r.left.take(8*outs, 256*outs); err != nil { // a list for each output is dear
		return nil, err
	}
	lists := make([][]tap, 0, count*high*wide)
	widest := 1
	for r := range count {
		b := batch.I[r]
		if b < 0 || b >= int64(s[0]) {
			return nil, fmt.Errorf("batch_indices name sample %d of %d", b, s[0])
		}
		var edge [4]float64 // x1, y1, x2, y2
		for i := range edge {
			edge[i] = float64(rois.F[4*r+i]*scale) - offset
			if !(math.Abs(edge[i]) < 1<<30) {
				return nil, fmt.Errorf("rois: element %d is out of range", 4*r+i)
			}
		}
		binH, binW := max(edge[3]-edge[1], least)/float64(high), max(edge[2]-edge[0], least)/float64(wide)
		grid := func(bin float64) int {
			if ratio > 0 {
				return ratio
			}
			return int(math.Ceil(bin))
		}
		gridH, gridW := grid(binH), grid(binW)
		if gridH < 0 || gridW < 0 {
			return nil, fmt.Errorf("region %d has its corners in the wrong order", r)
		}
		corners := 4 * float64(gridH) * float64(gridW) * float64(high*wide)
		if err := n.r.left.take(2*corners, 64*corners); err != nil {
			return nil, err
		}
		samples := float64(max(1, gridH*gridW))
		for o := range high * wide {
			var list []tap
			at := map[int]int{}
			for k := range gridH * gridW {
				y := edge[1] + float64(float64(o/wide)*binH) + float64((float64(k/gridW)+0.5)*binH)/float64(gridH)
				x := edge[0] + float64(float64(o%wide)*binW) + float64((float64(k%gridW)+0.5)*binW)/float64(gridW)
				for _, p := range bilinear(y, x, s[2], s[3]) {
					p.cell += int(b) * s[1] * cells
					if mode == "max" {
						list = append(list, p)
						continue
					}
					i, ok := at[p.cell]
					if !ok {
						i = len(list)
						at[p.cell] = i
						list = append(list, tap{cell: p.cell})
					}
					list[i].weight += p.weight / samples
				}
			}
			lists = append(lists, list)
			widest = max(widest, len(list))
		}
	}
	if err := n.r.left.take(float64(len(lists))*float64(s[1])*float64(widest), 0); err != nil {
		return nil, err
	}
	w := c.table(ir.Real, count, 1, high*wide, widest)
	if w == nil {
		return nil, c.err
	}
	src := make([]int, count*s[1]*high*wide*widest)
	for i, list := range lists {
		r, o := i/(high*wide), i%(high*wide)
		for k := range widest {
			p := tap{}
			switch {
			case k < len(list):
				p = list[k]
			case mode == "max" && len(list) > 0: // once more
				p = list[0]
			}
			w.F[i*widest+k] = p.weight
			for ch := range s[1] {
				src[((r*s[1]+ch)*high*wide+o)*widest+k] = p.cell + ch*cells
			}
		}
	}
	y := c.mul(c.take(x, src, ir.Shape{count, s[1], high * wide, widest}), c.data(w, false))
	op := ir.OpReduceSum
	if mode == "max" {
		op = ir.OpReduceMax
	}
	return c.one(c.reshape(c.reduce(op, y, 3), count, s[1], high, wide))
}

func init() {
	attrs := "mode:s output_height:i output_width:i sampling_ratio:i spatial_scale:f"
	add("RoiAlign", "Pooling of public regions, interpolated.", roiAlign, version{since: 10, in: 3, max: 3, attrs: attrs},
		version{since: 16, in: 3, max: 3, attrs: attrs + " coordinate_transformation_mode:s"})
}
