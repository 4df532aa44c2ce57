package smpcc_test

import (
	"fmt"
	"os"
	"testing"

	"smpcc"
	"smpcc/bench"
)

func TestZZ(t *testing.T) {
	for _, name := range []string{os.Getenv("ZZ")} {
		for _, g := range []int{-1, 2, 4} {
			b, err := bench.ModelOf(name, 0)
			if err != nil {
				t.Fatal(err)
			}
			m, inputs, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			p, err := smpcc.CompileModule(m, smpcc.Options{Samples: inputs, Guard: g}, true)
			if err != nil {
				t.Fatal(err)
			}
			c := p.Plan.Cost()
			fmt.Println(name, g, "online", c.Phases[2].Sent, "rounds", c.Phases[2].Rounds, "dealt", c.Dealt)
			for _, o := range p.Plan.Manifest.Outputs {
				fmt.Println("   ", o.Name, o.Valid, o.Checked, o.Bits)
			}
		}
	}
}
