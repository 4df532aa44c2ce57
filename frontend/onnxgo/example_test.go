package onnxgo

import (
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestExampleOutput runs the commands that the example's README shows. Scores may differ by a hundredth.
func TestExampleOutput(t *testing.T) {
	_, block, ok := strings.Cut(string(mustRead(t, filepath.Join("example", "README.md"))), "```console\n")
	if !ok {
		t.Fatal("the README shows no command")
	}
	block, _, _ = strings.Cut(block, "```")
	runs := strings.Split("\n"+block, "\n$ ")[1:]
	if len(runs) != 2 {
		t.Fatalf("the README shows %d commands, want 2", len(runs))
	}
	for _, run := range runs {
		command, want, _ := strings.Cut(run, "\n")
		args := strings.Fields(command)
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		if !alike(string(out), want) {
			t.Errorf("%s prints:\n%sthe README shows:\n%s", command, out, want)
		}
	}
}

func alike(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		p, err1 := strconv.ParseFloat(x[i], 64)
		q, err2 := strconv.ParseFloat(y[i], 64)
		if x[i] != y[i] && (err1 != nil || err2 != nil || !strings.Contains(x[i], ".") || !(math.Abs(p-q) <= 0.0101)) {
			return false
		}
	}
	return true
}
