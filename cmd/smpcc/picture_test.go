package main

import (
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPictures checks how pictures become numbers against values worked out by hand.
func TestPictures(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 4, 2)) // red 0, 51, 102, 153 from left to right, green 255, blue as far as it is down
	for y := range 2 {
		for x := range 4 {
			m.Set(x, y, color.NRGBA{uint8(51 * x), 255, uint8(255 * y), 255})
		}
	}
	file := filepath.Join(t.TempDir(), "x.png")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, m); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		how   string
		shape [4]int
		red   []float64 // of the first row
		green float64
		blue  []float64 // of the first column
	}{
		{"", [4]int{1, 3, 2, 4}, []float64{0, 0.2, 0.4, 0.6}, 1, []float64{0, 1}},
		{"mean:0.1/0.5/0,std:0.5/2/4", [4]int{1, 3, 2, 4}, []float64{-0.2, 0.2, 0.6, 1}, 0.25, []float64{0, 0.25}},
		{"crop:2", [4]int{1, 3, 2, 2}, []float64{0.2, 0.4}, 1, []float64{0, 1}},
		{"invert,std:2", [4]int{1, 3, 2, 4}, []float64{0.5, 0.4, 0.3, 0.2}, 0, []float64{0.5, 0}},
		// a triangle over four columns: 3/4, 3/4, 1/4 of the first three, and the same from the right
		{"resize:2x2", [4]int{1, 3, 2, 2}, []float64{0.2 * (0.75 + 0.5) / 1.75, 0.6 - 0.2*(0.75+0.5)/1.75}, 1, []float64{0, 1}},
		// twice the rows, between the middles of pixels; 8 columns of which the middle 4 stay
		{"resize:4", [4]int{1, 3, 4, 4}, []float64{0.15, 0.25, 0.35, 0.45}, 1, []float64{0, 0.25, 0.75, 1}},
		{"resize:4,crop:2", [4]int{1, 3, 2, 2}, []float64{0.25, 0.35}, 1, []float64{0.25, 0.75}},
	} {
		pre := plainPicture
		if c.how != "" {
			if pre, err = parsePreprocessing(c.how); err != nil {
				t.Fatal(err)
			}
		}
		x, err := readTensor(file, pre)
		if err != nil {
			t.Errorf("%s: %v", c.how, err)
			continue
		}
		if [4]int(x.Shape) != c.shape {
			t.Errorf("%s: shape is %v, want %v", c.how, x.Shape, c.shape)
			continue
		}
		h, w := x.Shape[2], x.Shape[3]
		for i, want := range c.red {
			if got := x.F[i]; math.Abs(got-want) > 1e-6 {
				t.Errorf("%s: red of column %d is %g, want %g", c.how, i, got, want)
			}
		}
		if got := x.F[h*w]; math.Abs(got-c.green) > 1e-6 {
			t.Errorf("%s: green is %g, want %g", c.how, got, c.green)
		}
		for i, want := range c.blue {
			if got := x.F[2*h*w+i*w]; math.Abs(got-want) > 1e-6 {
				t.Errorf("%s: blue of row %d is %g, want %g", c.how, i, got, want)
			}
		}
	}
	for how, want := range map[string]string{"mean:1/2": "want mean:M", "std:0": "want mean:M", "std:1/0/1": "want mean:M", "resize:0": "want mean:M", "resize:9999999": "want mean:M", "crop:x": "want mean:M", "size:3": "want mean:M"} {
		if _, err := parsePreprocessing(how); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", how, err)
		}
	}
	pre, err := parsePreprocessing("crop:3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readTensor(file, pre); err == nil || !strings.Contains(err.Error(), "no middle of 3 pixels") {
		t.Errorf("got %v", err)
	}
}

// TestHalves reads arrays of float16 in both orders.
func TestHalves(t *testing.T) {
	array := func(descr, data string) []byte {
		head := "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (3,), }"
		head += strings.Repeat(" ", (64-(10+len(head)+1)%64)%64) + "\n"
		return []byte("\x93NUMPY\x01\x00" + string([]byte{byte(len(head)), byte(len(head) >> 8)}) + head + data)
	}
	for _, c := range [][2]string{{"<f2", "\x00\x3c\x00\xc1\x01\x00"}, {">f2", "\x3c\x00\xc1\x00\x00\x01"}} { // 1, -2.5, 2^-24
		x, err := readNpy(array(c[0], c[1]))
		if err != nil {
			t.Fatalf("%s: %v", c[0], err)
		}
		if len(x.F) != 3 || x.F[0] != 1 || x.F[1] != -2.5 || x.F[2] != math.Ldexp(1, -24) {
			t.Errorf("%s: got %v", c[0], x.F)
		}
		if _, err := readNpy(array(c[0], c[1][:5])); err == nil {
			t.Errorf("%s: 5 bytes are taken for 3 elements", c[0])
		}
	}
}
