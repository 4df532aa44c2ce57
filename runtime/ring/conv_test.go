package ring

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// refConv is the definition of Conv.
func refConv(x, w []uint64, g Window) []uint64 {
	ic, oc := g.C/g.Group, g.OC/g.Group
	d := make([]uint64, g.N*g.OC*g.OH*g.OW)
	for at := range d {
		z, y, o, n := at%g.OW, at/g.OW%g.OH, at/(g.OW*g.OH)%g.OC, at/(g.OW*g.OH*g.OC)
		for c := range ic {
			for i := range g.KH {
				for j := range g.KW {
					r, s := y*g.SH-g.PT+i*g.DH, z*g.SW-g.PL+j*g.DW
					if r >= 0 && r < g.H && s >= 0 && s < g.W {
						d[at] += x[((n*g.C+o/oc*ic+c)*g.H+r)*g.W+s] * w[((o*ic+c)*g.KH+i)*g.KW+j]
					}
				}
			}
		}
	}
	return d
}

func checkConv(t rapid.TB, seed uint64, g Window) {
	t.Helper()
	x, w := random(seed, g.N*g.C*g.H*g.W), random(seed+1, g.OC*(g.C/g.Group)*g.KH*g.KW)
	x0, w0 := slices.Clone(x), slices.Clone(w)
	want := refConv(x, w, g)
	onEach(func(core *core) {
		for _, bits := range []int{64, 52, 32} {
			d := garbage(g.N * g.OC * g.OH * g.OW)
			ConvMod(bits, d, x, w, g)
			equal(t, fmt.Sprintf("%s: %+v mod 2^%d", core.name, g, bits), low(d, bits), low(want, bits))
			if Packs(g) {
				packed, p := slices.Clone(w), g
				PackWeights(packed, g)
				p.Packed = true
				d := garbage(len(d))
				ConvMod(bits, d, x, packed, p)
				equal(t, fmt.Sprintf("%s: %+v mod 2^%d", core.name, p, bits), low(d, bits), low(want, bits))
				UnpackWeights(packed, g)
				equal(t, "unpacked w", packed, w)
			}
		}
		equal(t, "x", x, x0)
		equal(t, "w", w, w0)
	})
}

func TestConv(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string, lo, hi int) int { return rapid.IntRange(lo, hi).Draw(t, name) }
		group := n("group", 1, 3)
		checkConv(t, rapid.Uint64().Draw(t, "seed"), Window{
			N: n("n", 0, 2), C: group * n("c", 0, 3), H: n("h", 0, 8), W: n("w", 0, 8),
			OC: group * n("oc", 0, 5), OH: n("oh", 0, 8), OW: n("ow", 0, 8), // any size: what lies outside is padding
			KH: n("kh", 1, 4), KW: n("kw", 1, 4), SH: n("sh", 1, 3), SW: n("sw", 1, 3),
			PT: n("pt", 0, 5), PL: n("pl", 0, 5), DH: n("dh", 1, 3), DW: n("dw", 1, 3), Group: group,
		})
	})
}

type shape struct {
	name string
	g    Window
}

// shapes are convolutions as models have them; each takes a path of its own.
var shapes = []shape{
	{"lenet1", Window{N: 1, C: 1, H: 28, W: 28, OC: 6, OH: 28, OW: 28, KH: 5, KW: 5, SH: 1, SW: 1, PT: 2, PL: 2, DH: 1, DW: 1, Group: 1}},
	{"lenet2", Window{N: 1, C: 6, H: 14, W: 14, OC: 16, OH: 10, OW: 10, KH: 5, KW: 5, SH: 1, SW: 1, DH: 1, DW: 1, Group: 1}},
	{"stem", Window{N: 1, C: 3, H: 64, W: 64, OC: 16, OH: 32, OW: 32, KH: 7, KW: 7, SH: 2, SW: 2, PT: 3, PL: 3, DH: 1, DW: 1, Group: 1}},
	{"deep", Window{N: 1, C: 64, H: 7, W: 7, OC: 48, OH: 7, OW: 7, KH: 3, KW: 3, SH: 1, SW: 1, PT: 1, PL: 1, DH: 1, DW: 1, Group: 1}}, // rows in two pieces
	{"wide", Window{N: 1, C: 32, H: 18, W: 40, OC: 3, OH: 18, OW: 40, KH: 3, KW: 3, SH: 1, SW: 1, PT: 1, PL: 1, DH: 1, DW: 1, Group: 1}},
	{"pointwise", Window{N: 2, C: 40, H: 20, W: 20, OC: 40, OH: 20, OW: 20, KH: 1, KW: 1, SH: 1, SW: 1, DH: 1, DW: 1, Group: 1}},
	{"pointwise/2", Window{N: 1, C: 16, H: 20, W: 20, OC: 24, OH: 10, OW: 10, KH: 1, KW: 1, SH: 2, SW: 2, DH: 1, DW: 1, Group: 1}},
	{"depthwise", Window{N: 1, C: 128, H: 32, W: 32, OC: 128, OH: 32, OW: 32, KH: 3, KW: 3, SH: 1, SW: 1, PT: 1, PL: 1, DH: 1, DW: 1, Group: 128}},
	{"depthwise/2", Window{N: 1, C: 32, H: 33, W: 33, OC: 32, OH: 17, OW: 17, KH: 3, KW: 3, SH: 2, SW: 2, PT: 1, PL: 1, DH: 1, DW: 1, Group: 32}},
	{"dilated", Window{N: 1, C: 8, H: 20, W: 20, OC: 8, OH: 20, OW: 20, KH: 3, KW: 3, SH: 1, SW: 1, PT: 2, PL: 2, DH: 2, DW: 2, Group: 2}},
	{"far", Window{N: 1, C: 4, H: 450, W: 450, OC: 10, OH: 50, OW: 50, KH: 3, KW: 3, SH: 1, SW: 1, DH: 200, DW: 200, Group: 2}}, // no canvas
	{"phases", Window{N: 1, C: 5, H: 40, W: 61, OC: 17, OH: 13, OW: 15, KH: 4, KW: 5, SH: 3, SW: 4, PT: 2, PL: 3, DH: 2, DW: 6, Group: 1}},
	{"seven", Window{N: 1, C: 300, H: 7, W: 7, OC: 29, OH: 7, OW: 7, KH: 3, KW: 3, SH: 1, SW: 1, PT: 1, PL: 1, DH: 1, DW: 1, Group: 1}}, // a vector for each line; canvases of some channels
	{"line", Window{N: 1, C: 12, H: 1, W: 3000, OC: 4, OH: 1, OW: 3000, KH: 1, KW: 3, SH: 1, SW: 1, PL: 1, DH: 1, DW: 1, Group: 1}},     // blocks cut a row
}

func TestConvShapes(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			for _, procs := range []int{1, 3} {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				checkConv(t, 11, s.g)
			}
		})
	}
}

// TestConvScratch: a geometry at the limits of what a plan may hold takes no more memory than any other.
func TestConvScratch(t *testing.T) {
	g := Window{N: 1, C: 1 << 16, H: 3, W: 3, OC: 2, OH: 3, OW: 3, KH: 3, KW: 3, SH: 1, SW: 1, PT: 1, PL: 1, DH: 1, DW: 1, Group: 1}
	x, w, d := make([]uint64, g.C*9), make([]uint64, 2*g.C*9), make([]uint64, 2*9)
	Fill(x, 1)
	Fill(w, 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	Conv(d, x, w, g)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("took %d bytes", n)
	}
	k := uint64(g.C)
	equal(t, "ones", d[:9], []uint64{4 * k, 6 * k, 4 * k, 6 * k, 9 * k, 6 * k, 4 * k, 6 * k, 4 * k})
	huge := Window{N: 1, C: 1, H: 2, W: 2, OC: 2, OH: 2, OW: 2, KH: 2, KW: 2, SH: 1 << 30, SW: 1 << 30, PT: 1 << 30, PL: 1 << 30, DH: 1 << 30, DW: 1 << 30, Group: 1}
	x, w = []uint64{1, 2, 3, 4}, []uint64{1, 10, 100, 1000, 2, 20, 200, 2000}
	d = garbage(8)
	Conv(d, x, w, huge)
	equal(t, "huge steps", d, refConv(x, w, huge))
}
