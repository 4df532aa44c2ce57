// Command silero cuts sounds into windows for Silero VAD and draws where the model heard a voice.
package main

import (
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"os"
	"path/filepath"
	"strconv"

	"smpcc/examples/beside"
	"smpcc/frontend/onnx"
	"smpcc/ir"
)

const (
	sounds  = "examples/silero"
	rate    = 16000
	window  = 512
	context = 64 // numbers of the window before, with which each begins
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "silero:", err)
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

// prepare writes the windows of both sounds.
func prepare(dir string) error {
	for _, name := range []string{"speech", "sample"} {
		x, err := sound(filepath.Join(sounds, name+".wav"))
		if err != nil {
			return err
		}
		x = append(make([]float64, context), x...)
		for i := 0; (i+1)*window+context <= len(x); i++ {
			t := ir.NewTensor(ir.Real, ir.Shape{1, context + window})
			copy(t.F, x[i*window:])
			if err := beside.Write(filepath.Join(dir, name), strconv.Itoa(i), t); err != nil {
				return err
			}
		}
	}
	return nil
}

// sound reads a WAV file with a header of 44 bytes, one channel and 16 bits, as numbers from -1 to 1.
func sound(path string) ([]float64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(b) < 44 || string(b[36:40]) != "data" || binary.LittleEndian.Uint32(b[24:]) != rate || binary.LittleEndian.Uint16(b[22:]) != 1 {
		return nil, fmt.Errorf("%s: want one channel of %d Hz with 16 bits", path, rate)
	}
	b = b[44:]
	x := make([]float64, len(b)/2)
	for i := range x {
		x[i] = float64(int16(binary.LittleEndian.Uint16(b[2*i:]))) / 32768
	}
	return x, nil
}

// paint compares the windows and draws the sound, green where a voice is likely, with the probability above it.
func paint(dir string) error {
	x, err := sound(filepath.Join(sounds, "speech.wav"))
	if err != nil {
		return err
	}
	const (
		wide = 10 // pixels for a window
		high = 200
	)
	n := len(x) / window
	canvas := image.NewRGBA(image.Rect(0, 0, wide*n, high))
	draw.Draw(canvas, canvas.Rect, image.White, image.Point{}, draw.Src)
	grey, green, red := image.NewUniform(color.Gray{160}), image.NewUniform(color.RGBA{0, 150, 60, 255}), image.NewUniform(color.RGBA{220, 0, 0, 255})
	worst := map[string]float64{}
	begin, last := -1, 0.0
	for i := range n + 1 {
		p := 0.0
		if i < n {
			for _, name := range []string{"output", "stateN"} {
				got, _, err := onnx.ReadTensor(filepath.Join(dir, "secure", strconv.Itoa(i), "p1", name+".pb"))
				if err != nil {
					return err
				}
				want, err := beside.Floats(filepath.Join(dir, "speech", fmt.Sprintf("%d.%s.f32", i, name)))
				if err != nil {
					return err
				}
				d, err := beside.Difference(got.F, want)
				if err != nil {
					return fmt.Errorf("window %d: %s: %w", i, name, err)
				}
				worst[name] = max(worst[name], d)
				if name == "output" {
					p = got.F[0]
				}
			}
			c := grey
			if p >= 0.5 {
				c = green
			}
			for k := range wide {
				top := 0.0
				for _, v := range x[i*window+k*window/wide : i*window+(k+1)*window/wide] {
					top = max(top, v, -v)
				}
				h := int(top * high / 2)
				draw.Draw(canvas, image.Rect(wide*i+k, high/2-h, wide*i+k+1, high/2+h+1), c, image.Point{}, draw.Src)
			}
			y := func(p float64) float64 { return 10 + (1-p)*(high-20) }
			if i > 0 {
				beside.Line(canvas, wide*(float64(i)-0.5), y(last), wide*(float64(i)+0.5), y(p), red)
			}
			last = p
		}
		switch at := float64(i*window) / rate; {
		case p >= 0.5 && begin < 0:
			begin = i
		case p < 0.5 && begin >= 0:
			fmt.Printf("a voice from %.2f s to %.2f s\n", float64(begin*window)/rate, at)
			begin = -1
		}
	}
	for _, name := range []string{"output", "stateN"} {
		fmt.Printf("%s of %d windows: largest difference from onnxruntime %.2g\n", name, n, worst[name])
	}
	return beside.Save(filepath.Join(dir, "voice.png"), canvas)
}
