package smpcc_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"smpcc"
	"smpcc/bench"
)

func TestZZ(t *testing.T) {
	name := os.Getenv("ZZ")
	g, _ := strconv.Atoi(os.Getenv("ZZG"))
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
	for _, a := range p.Plan.Manifest.Accuracy {
		fmt.Println("   ", a)
	}
	for _, d := range p.Plan.Manifest.Dumps {
		os.WriteFile(fmt.Sprintf("/tmp/zz-%s-%d-%s.txt", name, g, d.Level), []byte(d.Text), 0o644)
	}
}
