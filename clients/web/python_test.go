package web

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// python returns a Python with numpy, or skips the test where there is none, unless SMPCC_PYTHON asks for it.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("SMPCC_PYTHON"), "python3", "/usr/bin/python3"} {
		if name != "" && exec.Command(name, "-c", "import numpy").Run() == nil {
			return name
		}
	}
	if os.Getenv("SMPCC_PYTHON") != "" {
		t.Fatal("there is no Python with numpy, and SMPCC_PYTHON asks for one")
	}
	t.Skip("there is no Python with numpy")
	return ""
}

// inPython runs a script that reads JSON, and returns what it prints.
func inPython(t *testing.T, script string, input any) string {
	t.Helper()
	data, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(python(t), "-W", "error", "-c", script)
	c.Stdin = strings.NewReader(string(data))
	here, err := filepath.Abs("../python")
	if err != nil {
		t.Fatal(err)
	}
	c.Env = append(os.Environ(), "PYTHONPATH="+here, "PYTHONDONTWRITEBYTECODE=1")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// TestPython: the Python client encodes, expands, shares and packs as Go does, to the bit, and puts outputs together as Go does.
func TestPython(t *testing.T) {
	cases := sharings(t)
	if os.Getenv("SMPCC_NIGHTLY") == "" {
		cases = cases[:12] // without the package cryptography each has a process of its own for AES
	}
	var texts []json.RawMessage
	for _, c := range cases {
		texts = append(texts, json.RawMessage(c.text))
	}
	got := strings.Split(strings.TrimSpace(inPython(t, `
import json, sys
import numpy as np
from smpcc import client
for c in json.load(sys.stdin):
    w = client.encode(c["plan"]["inputs"][1], np.array(c["data"]).reshape(c["plan"]["inputs"][1]["shape"]))
    s = client.shares(c["plan"], [np.zeros(1, np.uint64), w], [bytes(x) for x in c["seeds"]])
    y = client.decode(c["plan"], [bytes(x) for x in c["given"]])["y"].reshape(-1)
    def text(v):
        v = float(v)
        return str(int(v)) if v == int(v) else np.format_float_positional(v, trim="-")
    print(",".join(map(str, w)) + ";" + ",".join(map(str, s[-1][1:])) + ";" + ",".join(map(text, y)))
`, texts)), "\n")
	if len(got) != len(cases) {
		t.Fatalf("%d results of %d cases: %s", len(got), len(cases), got)
	}
	for n, c := range cases {
		if got[n] != c.want {
			t.Fatalf("case %d, %s: Python says\n%s\nwant\n%s", n, c.text, got[n], c.want)
		}
	}
}

// TestPythonPredict: five lines of Python run a plan at its parties, and errors say who refuses and what to do.
func TestPythonPredict(t *testing.T) {
	p := program(t, "parties p0, p1, p2\nguests g\ninput x: int[2,3] from g in -7..100\nreveal x * x to g as out\n")
	f := newFakes(t, p, func(words [][]uint64) map[string][]uint64 {
		out := make([]uint64, 6)
		for i, w := range words[0] {
			x := int64(w) - 7
			out[i] = uint64(x * x)
		}
		return map[string][]uint64{"out": out}
	})
	f.refuse = func(token string) string {
		if token == "USED" {
			return "the invitation was for 1 runs, and all of them are used"
		}
		return ""
	}
	m, err := ManifestOf(p)
	if err != nil {
		t.Fatal(err)
	}
	got := inPython(t, `
import json, sys
import numpy as np
import smpcc
a = json.load(sys.stdin)
c = smpcc.connect(a["servers"], plan=a["plan"], token="GOOD")
print(c.predict(np.array([[1, -7, 100], [0, 5, 6]])).tolist())
print([x.tolist()[0][0] for x in c.predict_many([np.full((2, 3), k) for k in range(4)], width=2)])
for f in (lambda: smpcc.connect(a["servers"], plan=a["plan"], token="USED").predict(np.zeros((2, 3))), lambda: c.predict(np.full((2, 3), 101)), lambda: c.predict(np.zeros(5)), lambda: smpcc.connect({}, plan=a["plan"], token="x"), lambda: c.predict(y=1)):
    try:
        print("ran", f())
    except (smpcc.Refused, ValueError) as e:
        print(type(e).__name__, e, getattr(e, "hint", ""))
`, map[string]any{"plan": m, "servers": f.servers})
	for _, want := range []string{"[[1, 49, 10000], [0, 25, 36]]", "[0, 1, 4, 9]", "all of them are used ask who invited you for a new link", "element 0 is outside -7..100", "has 5 elements, want 6", "there is no address of p0, p1, p2", "the plan takes x, given were y"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "ran") || strings.Count(got, "ValueError") != 4 {
		t.Errorf("not all mistakes are refused:\n%s", got)
	}
}
