package bench

import (
	"bytes"
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Draw renders online times and their floors as dots on a logarithmic axis; format is svg or png.
func Draw(results []*Result, format string) ([]byte, error) {
	results = slices.DeleteFunc(slices.Clone(results), func(r *Result) bool { return r.Failure != "" })
	if len(results) == 0 {
		return nil, fmt.Errorf("there are no results to draw")
	}
	p := plot.New()
	p.Title.Text = "online time of two parties, and its floor"
	p.Y.Label.Text = "seconds"
	p.Y.Scale = plot.LogScale{}
	p.Y.Tick.Marker = plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	var names []string
	var online, floor plotter.XYs
	for i, r := range results {
		names = append(names, r.Name+"\n"+r.Transport)
		online = append(online, plotter.XY{X: float64(i), Y: r.Online.Seconds})
		floor = append(floor, plotter.XY{X: float64(i), Y: r.Floor})
	}
	p.Add(plotter.NewGrid())
	for _, s := range []struct {
		name   string
		xys    plotter.XYs
		colour color.RGBA
		shape  draw.GlyphDrawer
	}{
		{"online", online, color.RGBA{R: 0, G: 90, B: 181, A: 255}, draw.CircleGlyph{}},
		{"floor: ring products in the clear, bytes at loopback speed", floor, color.RGBA{R: 200, G: 80, B: 0, A: 255}, draw.TriangleGlyph{}},
	} {
		dots, err := plotter.NewScatter(s.xys)
		if err != nil {
			return nil, err
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: s.colour, Radius: vg.Points(4), Shape: s.shape}
		p.Add(dots)
		p.Legend.Add(s.name, dots)
	}
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.5, float64(len(names))-0.5
	p.Y.Max *= 10 // room for the legend
	w, err := p.WriterTo(vg.Length(max(6, 1.1*float64(len(names))))*vg.Inch, 4.5*vg.Inch, format)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = w.WriteTo(&b)
	return b.Bytes(), err
}
