package smpcc_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// rules says who may import whom: "a: b c" lets packages of a import those of b and c, besides their own subfolders. The
// compiler's side and the runtime's side meet in backend/plan, and what policies say, only, so that a party runs a plan without the compiler.
const rules = `
ir/diag:
ir/policy: ir/diag
ir: ir/diag ir/policy
ir/text: ir ir/diag ir/policy
ir/exact: ir ir/diag
frontend/onnx: ir ir/diag frontend/onnx/onnxpb
frontend/onnx/onnxpb:
frontend/dsl: ir ir/diag
passes: ir ir/diag ir/policy
backend/plan: ir/policy
backend/verify: backend/plan backend/plan/typed
backend/oracle: backend/plan
backend/audit: ir ir/diag ir/text backend/plan backend/audit/draw
backend/audit/draw: ir backend/plan
backend: ir ir/diag ir/policy backend/plan backend/plan/typed
backend/plan/program: backend/plan
backend/plan/typed: backend/plan backend/plan/program
runtime/ring: backend/plan
runtime/disk:
runtime/disk/faulty: runtime/disk
runtime/material: runtime/disk
runtime/message:
runtime/transport: backend/plan
runtime/timeline:
runtime/dpf: backend/plan
runtime/engine: backend/plan runtime/dpf runtime/material runtime/message runtime/ring runtime/timeline runtime/transport
runtime/memnet: backend/plan runtime/timeline
runtime/keys:
runtime/attest: runtime/disk
runtime/commit: runtime/disk
runtime/share: backend/plan
runtime/guest: backend/plan runtime/share
runtime/invite:
clients/chromium:
clients/web: backend/plan runtime/guest
runtime/control: backend/plan runtime/attest runtime/grpcnet runtime/keys runtime/transport
runtime/client: backend/plan backend/plan/typed runtime/control runtime/guest
runtime/console: backend/plan runtime/attest runtime/control runtime/keys
runtime/observe:
runtime/grpcnet: backend/plan runtime/keys runtime/message runtime/timeline runtime/transport
runtime/local: backend/plan runtime/engine runtime/material runtime/memnet runtime/share
runtime/server: ir/policy backend/plan backend/plan/typed backend/verify runtime/attest runtime/disk runtime/engine runtime/material runtime/grpcnet runtime/keys runtime/message runtime/observe runtime/timeline runtime/control runtime/console runtime/guest runtime/invite
.: ir ir/diag ir/policy ir/exact ir/text frontend/onnx frontend/dsl passes backend backend/plan backend/verify
bench: . ir ir/diag passes backend/plan runtime/engine runtime/local runtime/memnet runtime/ring runtime/timeline
cmd/smpcc: . bench ir ir/diag ir/policy ir/exact ir/text frontend/onnx frontend/dsl passes backend/plan backend/plan/typed backend/verify runtime/local runtime/server runtime/client runtime/attest runtime/disk runtime/keys runtime/engine runtime/timeline backend/audit backend/audit/draw runtime/control runtime/commit runtime/console runtime/guest runtime/invite clients/web
bench/openblas:
examples/beside: frontend/onnx ir
examples/blazeface: examples/beside ir
examples/mlsd: examples/beside ir
examples/silero: examples/beside frontend/onnx ir
`

// owners says which packages may use a third-party module.
var owners = map[string][]string{
	"google.golang.org/protobuf":          {"frontend/onnx", "frontend/onnx/onnxpb", "backend/plan"},
	"github.com/alecthomas/participle/v2": {"frontend/dsl"},
	"google.golang.org/grpc":              {"runtime/grpcnet"},
	"github.com/prometheus/client_golang": {"runtime/observe"},
	"go.opentelemetry.io/otel":            {"runtime/observe"},
	"go.etcd.io/bbolt":                    {"runtime/material"},
	"github.com/goccy/go-yaml":            {"ir/policy", "runtime/control", "cmd/smpcc", "backend/audit"},
	"github.com/spf13/cobra":              {"cmd/smpcc"},
	"github.com/spf13/pflag":              {"cmd/smpcc"},
	"codeberg.org/sbinet/npyio":           {"cmd/smpcc"},
	"github.com/schollz/progressbar/v3":   {"cmd/smpcc"},
	"golang.org/x/term":                   {"cmd/smpcc"},
	"gonum.org/v1/gonum":                  {"backend"},
	"gonum.org/v1/plot":                   {"bench"},
	"golang.org/x/sys":                    {"runtime/ring", "runtime/dpf", "runtime/material"},
}

// forbidden packages, and why.
var forbidden = map[string]string{
	"math/rand": "masks come from crypto/rand and AES-CTR", "math/rand/v2": "masks come from crypto/rand and AES-CTR", "unsafe": "plans and peers are hostile", "log": "servers use log/slog",
}

// without says what packages must not pull in, however indirectly: a program that only asks servers is no server.
var without = map[string][]string{
	"runtime/control": {"go.etcd.io/bbolt", "github.com/prometheus/client_golang", "go.opentelemetry.io/otel/sdk", "smpcc/runtime/engine", "smpcc/runtime/server"},
	"runtime/client":  {"go.etcd.io/bbolt", "github.com/prometheus/client_golang", "go.opentelemetry.io/otel/sdk", "smpcc/runtime/engine", "smpcc/runtime/server"},
}

func TestPullsIn(t *testing.T) {
	for pkg, barred := range without {
		out, err := exec.Command("go", "list", "-deps", "./"+pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		deps := strings.Fields(string(out))
		if len(deps) < 10 {
			t.Fatalf("%s: only %d packages are listed", pkg, len(deps))
		}
		for _, dep := range deps {
			for _, b := range barred {
				if dep == b || strings.HasPrefix(dep, b+"/") {
					t.Errorf("%s pulls in %s", pkg, dep)
				}
			}
		}
	}
}

func TestImports(t *testing.T) {
	allowed := map[string][]string{}
	for _, line := range strings.Split(strings.TrimSpace(rules), "\n") {
		pkg, deps, _ := strings.Cut(line, ":")
		allowed[pkg] = strings.Fields(deps)
	}
	contains := func(list []string, s string) bool {
		for _, x := range list {
			if x == s {
				return true
			}
		}
		return false
	}
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() && path != "." { // another module keeps its dependencies to itself
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
				return filepath.SkipDir
			}
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		seen[dir] = true
		deps, ok := allowed[dir]
		if !ok {
			t.Errorf("%s: package has no rule in deps_test.go", dir)
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, im := range f.Imports {
			p, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				return err
			}
			if why := forbidden[p]; why != "" && !strings.HasSuffix(path, ".pb.go") && !((strings.HasPrefix(path, "bench/") || path == "passes/draw.go" || path == "passes/search.go" || path == "passes/steep.go" || path == "passes/check.go" || path == "passes/written.go") && p == "math/rand/v2") { // random weights and arguments are no masks
				t.Errorf("%s imports %s: %s", path, p, why)
			}
			if p == "smpcc" {
				p = "smpcc/."
			}
			if own, ok := strings.CutPrefix(p, "smpcc/"); ok {
				if !contains(deps, own) {
					t.Errorf("%s may not import %s", path, p)
				}
				continue
			}
			if !strings.Contains(strings.Split(p, "/")[0], ".") {
				continue
			}
			found := false
			for module, pkgs := range owners {
				if p == module || strings.HasPrefix(p, module+"/") {
					found = true
					if !contains(pkgs, dir) {
						t.Errorf("%s may not import %s, which belongs to %v", path, p, pkgs)
					}
				}
			}
			if !found {
				t.Errorf("%s imports %s, which has no owner in deps_test.go", path, p)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range allowed {
		if !seen[pkg] {
			t.Errorf("deps_test.go has a rule for %s, which does not exist", pkg)
		}
	}
}
