package main

import (
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // decoders register themselves
	_ "image/png"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"smpcc/ir"
)

// A preprocessing says how pixels become numbers: the picture is resized and cut, and then (x/255 - mean) / std for each channel, after inverting if
// asked; and of a table whether it holds text.
type preprocessing struct {
	mean, std     []float64 // one for all channels, or one each
	resize        int       // the shorter side, if not 0
	height, width int       // else of the whole picture, if not 0
	crop          int       // of the middle square that is kept; if 0, with resize all of the shorter side
	invert        bool
	text          bool
	elem          string // of numbers in tables: int, bool, decimal, or real where it is empty
	strict        bool   // nothing may be missing
	csv           csvRule
}

// plainPicture is what happens to pixels by default: x/255.
var plainPicture = preprocessing{mean: []float64{0}, std: []float64{1}}

// mostSide bounds the sides that a picture is resized to.
const mostSide = 1 << 13

// parsePreprocessing reads mean:M,std:S,resize:N,crop:N,invert, where M and S may be R/G/B, and resize may have HxW.
func parsePreprocessing(s string) (preprocessing, error) {
	p := plainPicture
	for _, f := range strings.Split(s, ",") {
		k, v, _ := strings.Cut(f, ":")
		var err error
		switch k {
		case "mean":
			p.mean, err = channelNumbers(v)
		case "std":
			if p.std, err = channelNumbers(v); err == nil && slices.Contains(p.std, 0) {
				err = errors.New("divides by 0")
			}
		case "invert":
			p.invert = true
		case "crop":
			p.crop, err = side(v)
		case "resize":
			h, w, both := strings.Cut(v, "x")
			if !both {
				p.resize, err = side(v)
				break
			}
			var err2 error
			p.height, err = side(h)
			p.width, err2 = side(w)
			err = errors.Join(err, err2)
		default:
			err = errors.New("unknown key")
		}
		if err != nil {
			return p, fmt.Errorf("%q is not a preprocessing: want mean:M,std:S with a number or R/G/B, resize:N or HxW, crop:N, or invert", f)
		}
	}
	return p, nil
}

// channelNumbers reads a number for all channels, or three, one for each.
func channelNumbers(s string) ([]float64, error) {
	var out []float64
	for _, f := range strings.Split(s, "/") {
		x, err := strconv.ParseFloat(f, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("%q is no number", f)
		}
		out = append(out, x)
	}
	if len(out) != 1 && len(out) != 3 {
		return nil, fmt.Errorf("%d numbers", len(out))
	}
	return out, nil
}

// side reads a number of pixels.
func side(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err == nil && (n < 1 || n > mostSide) {
		err = fmt.Errorf("%d pixels", n)
	}
	return n, err
}

// readImage reads a picture as [1,C,H,W], with one channel if it is grey, and prepares it.
func readImage(f io.ReadSeeker, size int64, pre preprocessing) (*ir.Tensor, error) {
	c, _, err := image.DecodeConfig(f)
	if err != nil {
		return nil, err
	}
	if c.Width*c.Height > maxPixels {
		return nil, fmt.Errorf("picture of %dx%d is too large", c.Width, c.Height)
	}
	if int64(c.Width)*int64(c.Height) > maxRatio*size { // the decoder allocates what the header says
		return nil, fmt.Errorf("picture of %dx%d is too large for a file of %d bytes", c.Width, c.Height, size)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	m, _, err := image.Decode(f)
	if err != nil {
		return nil, err
	}
	b := m.Bounds()
	w, h := b.Dx(), b.Dy()
	if w == 0 || h == 0 {
		return nil, errors.New("picture is empty")
	}
	channels := 3
	switch m.(type) {
	case *image.Gray, *image.Gray16:
		channels = 1
	}
	if channels == 1 && (len(pre.mean) > 1 || len(pre.std) > 1) {
		return nil, errors.New("picture is grey, and --image has numbers for three channels")
	}
	planes := make([]plane, channels)
	for k := range planes {
		planes[k] = plane{h, w, make([]float64, h*w)}
	}
	for y := range h {
		for x := range w {
			r, g, bl, _ := m.At(b.Min.X+x, b.Min.Y+y).RGBA()
			for k, v := range []uint32{r, g, bl}[:channels] {
				planes[k].x[y*w+x] = float64(v) / 65535
			}
		}
	}
	for k, p := range planes {
		if planes[k], err = pre.shaped(p); err != nil {
			return nil, err
		}
	}
	h, w = planes[0].h, planes[0].w
	t := ir.NewTensor(ir.Real, ir.Shape{1, channels, h, w})
	for k, p := range planes {
		mean, std := pre.mean[min(k, len(pre.mean)-1)], pre.std[min(k, len(pre.std)-1)]
		for i, v := range p.x {
			if pre.invert {
				v = 1 - v
			}
			t.F[k*h*w+i] = (v - mean) / std
		}
	}
	return t, nil
}

// A plane is one channel of a picture.
type plane struct {
	h, w int
	x    []float64
}

// shaped resizes and cuts a plane.
func (pre preprocessing) shaped(p plane) (plane, error) {
	h, w, cut := p.h, p.w, pre.crop
	switch {
	case pre.resize > 0: // the shorter side, and the other in proportion
		h, w = pre.resize, pre.resize
		if p.h > p.w {
			h = pre.resize * p.h / p.w
		} else {
			w = pre.resize * p.w / p.h
		}
		if cut == 0 {
			cut = pre.resize
		}
	case pre.height > 0:
		h, w = pre.height, pre.width
	}
	if h > maxPixels/w {
		return plane{}, fmt.Errorf("picture of %dx%d is too large when resized", w, h)
	}
	if h != p.h || w != p.w {
		p = p.turned().resized(w).turned().resized(h)
	}
	if cut == 0 {
		return p, nil
	}
	if cut > p.h || cut > p.w {
		return plane{}, fmt.Errorf("picture of %dx%d has no middle of %d pixels", p.w, p.h, cut)
	}
	out := plane{cut, cut, make([]float64, cut*cut)}
	top, left := int(math.RoundToEven(float64(p.h-cut)/2)), int(math.RoundToEven(float64(p.w-cut)/2))
	for y := range cut {
		copy(out.x[y*cut:][:cut], p.x[(top+y)*p.w+left:])
	}
	return out, nil
}

// turned exchanges rows and columns.
func (p plane) turned() plane {
	out := plane{p.w, p.h, make([]float64, len(p.x))}
	for y := range p.h {
		for x := range p.w {
			out.x[x*p.h+y] = p.x[y*p.w+x]
		}
	}
	return out
}

// resized returns a plane of n rows: each is a mean of those that a triangle around its middle covers, two rows wide, or as much wider as the picture
// shrinks. It is what image libraries call bilinear with antialiasing.
func (p plane) resized(n int) plane {
	out := plane{n, p.w, make([]float64, n*p.w)}
	scale := float64(p.h) / float64(n)
	reach := max(scale, 1)
	for y := range n {
		middle := float64((float64(y) + 0.5) * scale)
		from, to := max(int(middle-reach+0.5), 0), min(int(middle+reach+0.5), p.h)
		sum := 0.0
		row := out.x[y*p.w:][:p.w]
		for i := from; i < to; i++ {
			weight := max(0, 1-math.Abs(float64(i)+0.5-middle)/reach)
			sum += weight
			for x, v := range p.x[i*p.w:][:p.w] {
				row[x] += float64(weight * v)
			}
		}
		for x := range row {
			row[x] /= sum
		}
	}
	return out
}
