// Command blazeface prepares the picture for BlazeFace and draws the faces that the model found.
package main

import (
	"cmp"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"

	"smpcc/examples/beside"
	"smpcc/ir"
)

const (
	pictures  = "examples/blazeface"
	side      = 128
	threshold = 0.75
	overlap   = 0.3
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "blazeface:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("want prepare DIR or draw DIR")
	}
	switch dir := os.Args[2]; os.Args[1] {
	case "prepare":
		return prepare(dir)
	case "draw":
		return paint(dir)
	}
	return fmt.Errorf("unknown command %s", os.Args[1])
}

// prepare writes the pictures as the model wants them: height, width, then colour, from -1 to 1.
func prepare(dir string) error {
	for _, name := range []string{"person", "sample"} {
		m, err := beside.Picture(filepath.Join(pictures, name+".png"))
		if err != nil {
			return err
		}
		t := ir.NewTensor(ir.Real, ir.Shape{1, side, side, 3})
		for i := range side * side {
			for k := range 3 {
				t.F[3*i+k] = float64(m.Pix[4*i+k])/127.5 - 1
			}
		}
		if err := beside.Write(dir, name, t); err != nil {
			return err
		}
	}
	return nil
}

// A face has a box and six points (eyes, nose, mouth, ears), all in pixels of the picture.
type face struct {
	score  float64
	x, y   float64 // the centre
	w, h   float64
	points [6][2]float64
}

// paint compares the results, merges the boxes and draws them.
func paint(dir string) error {
	out, err := beside.Outputs(filepath.Join(dir, "secure", "p1"), filepath.Join(dir, "plain"))
	if err != nil {
		return err
	}
	faces := decode(out["Identity_0"], out["Identity_2_0"], 16, 2)
	faces = merge(append(faces, decode(out["Identity_1_0"], out["Identity_3_0"], 8, 6)...))
	m, err := beside.Picture(filepath.Join(pictures, "person.png"))
	if err != nil {
		return err
	}
	const k = 4
	canvas := beside.Enlarge(m, k)
	green, red := image.NewUniform(color.RGBA{0, 255, 0, 255}), image.NewUniform(color.RGBA{255, 0, 0, 255})
	for _, f := range faces {
		fmt.Printf("face %.2f: %.0fx%.0f pixels at %.0f,%.0f\n", f.score, f.w, f.h, f.x-f.w/2, f.y-f.h/2)
		l, r, t, b := k*(f.x-f.w/2), k*(f.x+f.w/2), k*(f.y-f.h/2), k*(f.y+f.h/2)
		beside.Line(canvas, l, t, r, t, green)
		beside.Line(canvas, r, t, r, b, green)
		beside.Line(canvas, r, b, l, b, green)
		beside.Line(canvas, l, b, l, t, green)
		for _, p := range f.points {
			beside.Line(canvas, k*p[0]-4, k*p[1], k*p[0]+4, k*p[1], red)
			beside.Line(canvas, k*p[0], k*p[1]-4, k*p[0], k*p[1]+4, red)
		}
	}
	return beside.Save(filepath.Join(dir, "faces.png"), canvas)
}

// decode reads the boxes of a grid of cells with so many anchors each: a score and 16 offsets from the cell's middle.
func decode(scores, boxes *ir.Tensor, cells, anchors int) []face {
	var out []face
	for i, s := range scores.F {
		f := face{score: 1 / (1 + math.Exp(-s))}
		if f.score <= threshold {
			continue
		}
		cell := i / anchors
		x := (float64(cell%cells) + 0.5) * side / float64(cells)
		y := (float64(cell/cells) + 0.5) * side / float64(cells)
		b := boxes.F[16*i:]
		f.x, f.y, f.w, f.h = x+b[0], y+b[1], b[2], b[3]
		for k := range f.points {
			f.points[k] = [2]float64{x + b[4+2*k], y + b[5+2*k]}
		}
		out = append(out, f)
	}
	return out
}

// merge replaces boxes that overlap by their mean, weighted with their scores.
func merge(faces []face) []face {
	slices.SortFunc(faces, func(a, b face) int { return cmp.Compare(b.score, a.score) })
	var out []face
	for len(faces) > 0 {
		first := faces[0]
		sum := face{score: first.score}
		total := 0.0
		var rest []face
		for _, f := range faces {
			if shared(first, f) < overlap {
				rest = append(rest, f)
				continue
			}
			total += f.score
			sum.x, sum.y, sum.w, sum.h = sum.x+f.score*f.x, sum.y+f.score*f.y, sum.w+f.score*f.w, sum.h+f.score*f.h
			for k, p := range f.points {
				sum.points[k][0] += f.score * p[0]
				sum.points[k][1] += f.score * p[1]
			}
		}
		sum.x, sum.y, sum.w, sum.h = sum.x/total, sum.y/total, sum.w/total, sum.h/total
		for k := range sum.points {
			sum.points[k][0] /= total
			sum.points[k][1] /= total
		}
		out = append(out, sum)
		faces = rest
	}
	return out
}

// shared is the area two boxes have in common, over the area they cover together.
func shared(a, b face) float64 {
	w := min(a.x+a.w/2, b.x+b.w/2) - max(a.x-a.w/2, b.x-b.w/2)
	h := min(a.y+a.h/2, b.y+b.h/2) - max(a.y-a.h/2, b.y-b.h/2)
	both := max(w, 0) * max(h, 0)
	return both / (a.w*a.h + b.w*b.h - both)
}
