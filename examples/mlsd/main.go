// Command mlsd prepares pictures for M-LSD and draws the lines that the model found.
package main

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"smpcc/examples/beside"
	"smpcc/ir"
)

const (
	pictures  = "examples/mlsd"
	side      = 320
	cells     = side / 2
	threshold = 0.1
	shortest  = 20 // pixels
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mlsd:", err)
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

// prepare writes the pictures as the model wants them: height, width, then red, green and blue from 0 to 255 and a one.
func prepare(dir string) error {
	for _, name := range []string{"room", "sample"} {
		m, err := beside.Picture(filepath.Join(pictures, name+".png"))
		if err != nil {
			return err
		}
		t := ir.NewTensor(ir.Real, ir.Shape{1, side, side, 4})
		for i := range side * side {
			for k := range 3 {
				t.F[4*i+k] = float64(m.Pix[4*i+k])
			}
			t.F[4*i+3] = 1
		}
		if err := beside.Write(dir, name, t); err != nil {
			return err
		}
	}
	return nil
}

// paint compares the results and draws the lines: each cell has a score and the offsets of a line's two ends.
func paint(dir string) error {
	out, err := beside.Outputs(filepath.Join(dir, "secure", "p1"), filepath.Join(dir, "plain"))
	if err != nil {
		return err
	}
	m, err := beside.Picture(filepath.Join(pictures, "room.png"))
	if err != nil {
		return err
	}
	const k = 2
	canvas := beside.Enlarge(m, k)
	red := image.NewUniform(color.RGBA{255, 0, 0, 255})
	n := 0
	for i, score := range out["scores"].F {
		if score < threshold {
			continue
		}
		x, y, d := float64(i%cells), float64(i/cells), out["offsets"].F[4*i:]
		x0, y0, x1, y1 := 2*(x+d[0]), 2*(y+d[1]), 2*(x+d[2]), 2*(y+d[3])
		if math.Hypot(x1-x0, y1-y0) < shortest {
			continue
		}
		beside.Line(canvas, k*x0, k*y0, k*x1, k*y1, red)
		n++
	}
	fmt.Printf("%d lines\n", n)
	return beside.Save(filepath.Join(dir, "lines.png"), canvas)
}
