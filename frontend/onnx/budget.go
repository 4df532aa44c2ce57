package onnx

import (
	"fmt"

	"smpcc/ir"
)

// A budget bounds what reading a model may cost, whatever the file claims: a few bytes can ask for tensors of gigabytes
// and for products of them.
type budget struct {
	cells float64 // tensor elements that may still be made
	work  float64 // elementary operations that may still be done
}

// Limits of a budget. What the file itself holds counts against maxHeld; what folding makes of it may be twice that and spareCells more.
const (
	maxHeld    = 1 << 28
	spareCells = 1 << 25
	maxWork    = 1 << 31
)

// volume is the number of elements of a shape in which empty dimensions count as one: loops run over the others all the same.
func volume(s ir.Shape) float64 {
	v := 1.0
	for _, d := range s {
		v *= float64(max(1, d))
	}
	return v
}

// take reserves cells and work.
func (b *budget) take(cells, work float64) error {
	if cells > b.cells || work > b.work {
		return fmt.Errorf("computing this constant takes more memory or time than reading a model may")
	}
	b.cells -= cells
	b.work -= work
	return nil
}

// fold reserves what evaluating v takes.
func (b *budget) fold(v *ir.Value) error {
	cells := volume(v.Type.Shape)
	work := cells
	for _, a := range v.Args {
		work += volume(a.Type.Shape)
	}
	switch v.Op {
	case ir.OpMatMul:
		x := v.Args[0].Type.Shape
		work += cells * float64(x[len(x)-1])
	case ir.OpConv:
		work += cells * volume(v.Args[1].Type.Shape[1:])
	case ir.OpMaxPool, ir.OpAvgPool:
		work += cells * volume(v.Attrs.Ints("kernel"))
	}
	return b.take(cells, work)
}
