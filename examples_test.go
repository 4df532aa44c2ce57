package smpcc_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestExamples runs the examples' scripts, of which those with a fetch.sh fetch their models from npm: SMPCC_EXAMPLES=1.
func TestExamples(t *testing.T) {
	if os.Getenv("SMPCC_EXAMPLES") == "" {
		t.Skip("needs the network, npm and node: SMPCC_EXAMPLES=1")
	}
	scripts, err := filepath.Glob("examples/*/run.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts found: %v", err)
	}
	for _, s := range scripts {
		t.Run(filepath.Base(filepath.Dir(s)), func(t *testing.T) {
			out, err := exec.Command("bash", s, t.TempDir()).CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
