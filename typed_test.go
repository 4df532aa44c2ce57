package smpcc_test

import (
	"os"
	"testing"

	"smpcc"
	"smpcc/bench"
)

// TestSuiteNoise: what outputs of the bench suite's models reveal of rounded material is what is known of them, no more and no less.
func TestSuiteNoise(t *testing.T) {
	names := []string{"lenet-1", "matmul-512", "relu-1m"}
	if os.Getenv("SMPCC_NIGHTLY") != "" {
		names = append(names, "lenet-128", "squeezenet", "resnet18", "resnet50", "mobilenet", "bert-layer")
	}
	want := map[string]int{"bert-layer": 24} // all that there is: rounding in a softmax is followed through norms no further than by widths
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			b, err := bench.ModelOf(name, 0)
			if err != nil {
				t.Fatal(err)
			}
			m, inputs, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			p, err := smpcc.CompileModule(m, smpcc.Options{Samples: inputs}, true)
			if err != nil {
				t.Fatal(err)
			}
			for _, out := range p.Plan.Manifest.Outputs {
				if out.Noise != want[name] {
					t.Errorf("output %q has noise in %d of %d bits, want %d", out.Name, out.Noise, out.Bits, want[name])
				}
			}
		})
	}
}
