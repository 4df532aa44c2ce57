package ring

import (
	"fmt"
	"testing"

	"smpcc/backend/plan"
)

// BenchmarkLanes measures the kernels of elementwise steps on a block in the cache, as the engine runs them.
func BenchmarkLanes(b *testing.B) {
	const n = 512
	v := make([][]uint64, 11)
	for i := range v {
		v[i] = random(uint64(i), n)
	}
	msg := make([]byte, 8*n)
	delta := reduced(20, n, 1)
	table := make(MergeTable, 4<<7)
	copy(table, random(21, len(table)))
	words := plan.HotWords(23, 4, 0, 6)
	type kernel struct {
		name string
		run  func()
	}
	all := []kernel{
		{"add", func() { Add(v[0], v[1], v[2]) }},
		{"mul", func() { Mul(v[0], v[1], v[2]) }},
		{"neg", func() { Neg(v[0], v[1]) }},
		{"fill", func() { Fill(v[0], 7) }},
		{"drop", func() { Drop(v[0], v[1], 40, 16, 1<<38) }},
		{"leaf", func() { Leaf(v[0], v[1], [][]uint64{v[2], v[3]}, 23, 4, 0, 6, plan.KindLt) }},
		{"relusel", func() { ReluSel(v[0], v[1], delta, v[2], v[3], v[4], v[5], v[6], 24, 1) }},
		{"onehot", func() { OneHot(v[0], v[1], 23, 4, words[0]) }},
		{"mono", func() { Mono(v[0], v[1], plan.Monomials(6, plan.KindLt)[:64]) }},
	}
	all = append(all, kernel{"finish", func() { Finish(v[0], v[1], v[2], v[3], 24, 1) }}, kernel{"wiremul", func() { WireMul(v[0], v[1:], 24, 30, 1) }},
		kernel{"wave", func() { Wave(v[0], v[1], v[2], v[3], 24, 5, 20) }}, kernel{"expo", func() { Expo(v[0], v[1], v[2], v[3], 24, 1<<20, 20) }})
	for w := 1; w <= 3; w++ {
		all = append(all, kernel{fmt.Sprint("merge", w), func() { Merge(v[0], v[1], v[2], v[3:3+w], table, 1, 0, false) }})
	}
	for w := 1; w < 8; w++ {
		all = append(all, kernel{fmt.Sprint("narrow", w), func() { Narrow(v[0][:NarrowLen(n, w)], v[1], w) }},
			kernel{fmt.Sprint("widen", w), func() { Widen(v[0], v[1][:NarrowLen(n, w)], w) }})
	}
	for _, bits := range []int{1, 7, 11, 24, 40, 60, 64} {
		all = append(all, kernel{fmt.Sprint("pack", bits), func() { Pack(msg, v[1], bits) }},
			kernel{fmt.Sprint("unpack", bits), func() { Unpack(v[0], msg, bits) }},
			kernel{fmt.Sprint("unpackadd", bits), func() { UnpackAdd(v[0], v[1], msg, bits, v[2]) }})
	}
	for _, k := range all {
		b.Run(k.name, func(b *testing.B) {
			for b.Loop() {
				k.run()
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/n, "ns/word")
		})
	}
}
