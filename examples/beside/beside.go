// Package beside serves the examples that run a published model twice: under secure execution, and in plain text by
// onnxruntime beside it. Tensors go to onnxruntime and come from it as files of float32 numbers, low byte first.
package beside

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"

	"smpcc/frontend/onnx"
	"smpcc/ir"
)

// Tolerance is the largest difference between secure and plain results, absolute or relative above 1.
const Tolerance = 1e-2

// Write writes an input for smpcc (NAME.pb) and for onnxruntime (NAME.f32).
func Write(dir, name string, t *ir.Tensor) error {
	if err := onnx.WriteTensor(filepath.Join(dir, name+".pb"), name, t); err != nil {
		return err
	}
	var raw []byte
	for _, x := range t.F {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(x)))
	}
	return os.WriteFile(filepath.Join(dir, name+".f32"), raw, 0o644)
}

// Floats reads a file of float32 numbers.
func Floats(path string) ([]float64, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(raw)/4)
	for i := range out {
		out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
	}
	return out, nil
}

// Outputs reads the outputs of smpcc run --out, by the names of their files, and says on standard output how far each is from
// onnxruntime's. A difference above Tolerance is an error.
func Outputs(secure, plain string) (map[string]*ir.Tensor, error) {
	files, err := filepath.Glob(filepath.Join(secure, "*.pb"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: no outputs", secure)
	}
	if err != nil {
		return nil, err
	}
	out := map[string]*ir.Tensor{}
	for _, f := range files {
		t, _, err := onnx.ReadTensor(f)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(filepath.Base(f), ".pb")
		want, err := Floats(filepath.Join(plain, name+".f32"))
		if err != nil {
			return nil, err
		}
		worst, err := Difference(t.F, want)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		fmt.Printf("%s %v: largest difference from onnxruntime %.2g\n", name, t.Shape, worst)
		out[name] = t
	}
	return out, nil
}

// Difference is the largest difference of two lists, absolute or relative above 1; one above Tolerance is an error.
func Difference(got, want []float64) (float64, error) {
	if len(got) != len(want) {
		return 0, fmt.Errorf("%d numbers, onnxruntime has %d", len(got), len(want))
	}
	worst := 0.0
	for i, g := range got {
		d := math.Abs(g-want[i]) / max(1, math.Abs(want[i]))
		if !(d <= Tolerance) {
			return d, fmt.Errorf("element %d is %g, onnxruntime has %g: more than %g apart", i, g, want[i], Tolerance)
		}
		worst = max(worst, d)
	}
	return worst, nil
}

// Picture reads a PNG file.
func Picture(path string) (*image.RGBA, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		return nil, err
	}
	out := image.NewRGBA(image.Rect(0, 0, m.Bounds().Dx(), m.Bounds().Dy()))
	draw.Draw(out, out.Bounds(), m, m.Bounds().Min, draw.Src)
	return out, nil
}

// Enlarge repeats each pixel k times in both directions, as a canvas to draw results on.
func Enlarge(m *image.RGBA, k int) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, k*m.Rect.Dx(), k*m.Rect.Dy()))
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			out.SetRGBA(x, y, m.RGBAAt(x/k, y/k))
		}
	}
	return out
}

// Line draws a line two pixels wide.
func Line(m draw.Image, x0, y0, x1, y1 float64, c image.Image) {
	n := int(math.Max(math.Abs(x1-x0), math.Abs(y1-y0))) + 1
	for i := range n + 1 {
		at := float64(i) / float64(n)
		x, y := int(x0+at*(x1-x0)), int(y0+at*(y1-y0))
		draw.Draw(m, image.Rect(x, y, x+2, y+2), c, image.Point{}, draw.Src)
	}
}

// Save writes a PNG file.
func Save(path string, m image.Image) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(png.Encode(f, m), f.Close())
}
