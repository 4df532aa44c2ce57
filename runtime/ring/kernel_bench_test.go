package ring

import (
	"fmt"
	"slices"
	"testing"
)

func BenchmarkMatMul(b *testing.B) {
	for _, x := range [][4]int{{1, 1024, 1024, 1024}, {1, 256, 256, 256}, {1, 1, 4096, 1024}, {1, 1024, 4096, 1}, {12, 128, 64, 128}, {1, 128, 768, 3072}, {1, 64, 784, 10}} {
		for _, bits := range []int{64, 52, 32} {
			b.Run(fmt.Sprintf("%dx%dx%dx%d/bits=%d", x[0], x[1], x[2], x[3], bits), func(b *testing.B) {
				p, q, d := random(1, x[0]*x[1]*x[2]), random(2, x[0]*x[2]*x[3]), make([]uint64, x[0]*x[1]*x[3])
				for b.Loop() {
					MatMulMod(bits, d, p, q, x[0], x[1], x[2], x[3], false, false)
				}
				macs := float64(x[0]) * float64(x[1]) * float64(x[2]) * float64(x[3]) * float64(b.N)
				b.ReportMetric(macs/b.Elapsed().Seconds()/1e9, "GMAC/s")
			})
		}
	}
}

func BenchmarkConv(b *testing.B) {
	all := append(slices.Clone(shapes[:2]), shapes[7])
	all = append(all, shape{"resnet-stem", Window{N: 1, C: 3, H: 224, W: 224, OC: 64, OH: 112, OW: 112, KH: 7, KW: 7, SH: 2, SW: 2, PT: 3, PL: 3, DH: 1, DW: 1, Group: 1}})
	for channels, size := 64, 56; channels <= 512; channels, size = 2*channels, size/2 {
		all = append(all, shape{fmt.Sprintf("resnet-%d", channels),
			Window{N: 1, C: channels, H: size, W: size, OC: channels, OH: size, OW: size, KH: 3, KW: 3, SH: 1, SW: 1, PT: 1, PL: 1, DH: 1, DW: 1, Group: 1}})
	}
	for _, s := range all {
		for _, bits := range []int{64, 52, 32} {
			b.Run(fmt.Sprintf("%s/bits=%d", s.name, bits), func(b *testing.B) {
				g := s.g
				x, w, d := random(1, g.N*g.C*g.H*g.W), random(2, g.OC*g.C/g.Group*g.KH*g.KW), make([]uint64, g.N*g.OC*g.OH*g.OW)
				for b.Loop() {
					ConvMod(bits, d, x, w, g)
				}
				b.ReportMetric(float64(len(d)*g.C/g.Group*g.KH*g.KW*b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
			})
		}
	}
}

func BenchmarkFunctionsOfWires(b *testing.B) {
	const n = 512
	m, u, v, d := random(1, n), random(2, n), random(3, n), make([]uint64, n)
	for name, run := range map[string]func(){
		"wave":  func() { Wave(d, m, u, v, 22, 3, 16) },
		"phase": func() { Phase(d, m, 22, 3, 1000, 2000) },
		"expo":  func() { Expo(d, m, u, v, 22, 1<<31, 42) },
		"decay": func() { Decay(d, m, 22, 0, 1<<31, 1<<41) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				run()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/element")
		})
	}
}
