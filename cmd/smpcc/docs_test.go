package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"smpcc/ir/text"
	"smpcc/runtime/server"
)

// TestDocs runs every command of the documents' console blocks and compares what it prints with what the document shows.
// Times may differ, and decimals by a hundredth, or a tenth of their tolerance where they are large, as truncation rounds at random. SMPCC_UPDATE=1 rewrites blocks that differ.
//
// A command is "smpcc ..." or "go run ./cmd/smpcc ...", with "| head -N", "| tail -N", "; echo $?", " &", X=$(...), $X and quotes understood. The commands of one
// document run in one folder, where examples are at hand.
func TestDocs(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var docs []string
	for _, glob := range []string{"README.md", "docs/*.md", "examples/*/README.md"} {
		found, err := filepath.Glob(filepath.Join(root, glob))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, found...)
	}
	if len(docs) < 4 {
		t.Fatalf("%d documents found, want the README and those of the examples", len(docs))
	}
	for _, doc := range docs {
		name, err := filepath.Rel(root, doc)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Symlink(filepath.Join(root, "examples"), filepath.Join(dir, "examples")); err != nil {
				t.Fatal(err)
			}
			src, err := os.ReadFile(doc)
			if err != nil {
				t.Fatal(err)
			}
			switch name {
			case "docs/operations.md":
				serveVersion(t, dir)
			case "docs/audit-walkthrough.md":
				configureApproved(t, dir)
			}
			out := checkDoc(t, dir, string(src))
			if os.Getenv("SMPCC_UPDATE") != "" && out != string(src) {
				if err := os.WriteFile(doc, []byte(out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// serveVersion has the servers of three roles run in a folder, with one version of a plan deployed and the next one compiled, as docs/operations.md shows it.
func serveVersion(t *testing.T, dir string) {
	t.Helper()
	roles, servers := []string{"p0", "p1", "d"}, "servers: {"
	addrs := map[string]string{}
	for _, r := range roles {
		var err error
		if addrs[r], err = server.FreeAddress(); err != nil {
			t.Fatal(err)
		}
		servers += r + ": '" + addrs[r] + "', "
	}
	servers = strings.TrimSuffix(servers, ", ") + "}\n"
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args string) { runDoc(t, dir, "smpcc "+args) }
	run("keys dev keys --roles p0,p1,d,ops")
	for _, r := range roles[:2] {
		write(r+".policy.yaml", "version: 1\nowner: "+r+"\nallow:\n  - output: output\n    to: [p1]\n")
	}
	for name, bound := range map[string]string{"v1.plan": "16", "v2.plan": "8"} {
		run("compile examples/credit/model.onnx --dim N=1 --range input=-" + bound + ".." + bound + " -o " + name + " --policy p0.policy.yaml --policy p1.policy.yaml")
	}
	write("ops.yaml", servers+"tls: {ca: keys/ca.crt, cert: keys/ops.crt, key: keys/ops.key}\n")
	for _, r := range roles {
		text := servers + "listen: '" + addrs[r] + "'\nplan_clients: [ops]\nstate: state-" + r + "\ntls: {ca: keys/ca.crt, cert: keys/" + r + ".crt, key: keys/" + r + ".key}\nclients: [p1-client]\n"
		kind := "dealer"
		if r != "d" {
			text, kind = text+"policy: "+r+".policy.yaml\n", "party"
		}
		write(r+".yaml", text)
		c := exec.Command("smpcc", kind, "serve", "--config", r+".yaml")
		var log bytes.Buffer
		c.Dir, c.Stderr = dir, &log
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = c.Process.Signal(syscall.SIGTERM) // Wait says if it has ended before
			if err := c.Wait(); err != nil || t.Failed() {
				t.Errorf("%s: %v\n%s", r, err, log.String())
			}
		})
	}
	run("plan deploy v1.plan --config ops.yaml --at p1,d,p0 --wait 1m")
}

// configureApproved writes what docs/audit-walkthrough.md says is there before its servers start: an officer's key, which is always the same so that digests are,
// policies that ask for an approval by it, and configurations with addresses that are free.
func configureApproved(t *testing.T, dir string) {
	t.Helper()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write("officer.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	for _, role := range []string{"p0", "p1"} {
		text, err := os.ReadFile(filepath.Join(dir, "examples/credit", role+".policy.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		write(role+".policy.yaml", string(text)+"approve: [\"ed25519:"+base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))+"\"]\n")
	}
	runDoc(t, dir, "smpcc keys dev keys --roles p0,p1,d,clerk")
	servers := "servers: {"
	addrs := map[string]string{}
	for _, r := range []string{"p0", "p1", "d"} {
		if addrs[r], err = server.FreeAddress(); err != nil {
			t.Fatal(err)
		}
		servers += r + ": '" + addrs[r] + "', "
	}
	servers = strings.TrimSuffix(servers, ", ") + "}\n"
	own := map[string]string{"p0": "policy: p0.policy.yaml\nweights: scores.plan.p0.weights.npz\nopening: p0.opening\nclients: [clerk]\n", "p1": "policy: p1.policy.yaml\nclients: [clerk]\n"}
	for r, a := range addrs {
		write(r+".yaml", servers+"listen: '"+a+"'\nplan: scores.plan\nstate: state-"+r+"\ntls: {ca: keys/ca.crt, cert: keys/"+r+".crt, key: keys/"+r+".key}\n"+own[r])
	}
	write("clerk.yaml", servers+"tls: {ca: keys/ca.crt, cert: keys/clerk.crt, key: keys/clerk.key}\nacts_for: [p1]\n")
}

// checkDoc runs the console blocks of a document and returns it with what they print now.
func checkDoc(t *testing.T, dir, src string) string {
	var out strings.Builder
	lines := strings.SplitAfter(src, "\n")
	for i := 0; i < len(lines); i++ {
		out.WriteString(lines[i])
		if m := fileBlock.FindStringSubmatch(lines[i]); m != nil { // a file that a reader writes
			var text strings.Builder
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
				out.WriteString(lines[i])
				text.WriteString(lines[i])
			}
			if err := os.WriteFile(filepath.Join(dir, m[1]), []byte(text.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			if i < len(lines) {
				out.WriteString(lines[i])
			}
			continue
		}
		if strings.TrimSpace(lines[i]) != "```console" {
			continue
		}
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; {
			command, ok := strings.CutPrefix(lines[i], "$ ")
			if !ok {
				t.Errorf("line %d: a console block starts with a command", i+1)
				break
			}
			out.WriteString(lines[i])
			at := i + 1
			for i++; strings.HasSuffix(command, "\\\n"); i++ {
				out.WriteString(lines[i])
				command = strings.TrimSuffix(command, "\\\n") + lines[i]
			}
			var want []string
			for ; i < len(lines) && !strings.HasPrefix(lines[i], "$ ") && strings.TrimSpace(lines[i]) != "```"; i++ {
				want = append(want, lines[i])
			}
			shown := strings.Join(want, "")
			got := runDoc(t, dir, strings.TrimSpace(command))
			if alike(got, shown) {
				out.WriteString(shown)
				continue
			}
			out.WriteString(got)
			if os.Getenv("SMPCC_UPDATE") == "" {
				t.Errorf("line %d: %s\nprints:\n%s\nthe document shows:\n%s", at, command, got, shown)
			}
		}
		if i < len(lines) {
			out.WriteString(lines[i])
		}
	}
	return out.String()
}

// runDoc runs a command of a document and returns what it prints, errors and notes first.
func runDoc(t *testing.T, dir, command string) string {
	t.Helper()
	if m := assigned.FindStringSubmatch(command); m != nil {
		shell[m[1]] = strings.TrimSpace(runDoc(t, dir, m[2]))
		return ""
	}
	head, tail, status := 0, 0, false
	if c, ok := strings.CutSuffix(command, "; echo $?"); ok {
		command, status = c, true
	}
	if c, n, ok := strings.Cut(command, " | head -"); ok {
		var err error
		if head, err = strconv.Atoi(n); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		command = c
	}
	if c, n, ok := strings.Cut(command, " | tail -"); ok {
		var err error
		if tail, err = strconv.Atoi(n); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		command = c
	}
	command, back := strings.CutSuffix(command, " &")
	args := arguments(command)
	switch {
	case strings.HasPrefix(command, "go run ./cmd/smpcc "):
		args = args[3:]
	case strings.HasPrefix(command, "smpcc "):
		args = args[1:]
	default:
		t.Fatalf("%q cannot be run by this test", command)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("smpcc", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	if back {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Signal(syscall.SIGTERM) // Wait says if it has ended before
			if err := cmd.Wait(); err != nil || t.Failed() {
				t.Errorf("%s: %v\n%s", command, err, stderr.String())
			}
		})
		return ""
	}
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	s := stderr.String() + stdout.String()
	if l := strings.SplitAfter(s, "\n"); head > 0 && len(l) > head {
		s = strings.Join(l[:head], "")
	}
	if l := strings.SplitAfter(stdout.String(), "\n"); tail > 0 && len(l) > tail+1 {
		s = stderr.String() + strings.Join(l[len(l)-tail-1:], "")
	}
	if status {
		s += fmt.Sprintln(cmd.ProcessState.ExitCode())
	} else if err != nil {
		t.Errorf("%s: %v\n%s", command, err, s)
	}
	return s
}

// shell holds what documents have assigned.
var shell = map[string]string{}

// fileBlock begins a block with the content of a file, as ```smp first.smp
var fileBlock = regexp.MustCompile("^```[a-z]+ ([a-z0-9_]+\\.[a-z]+)\\s*$")

var (
	assigned = regexp.MustCompile(`^([A-Z]+)=\$\((.*)\)$`)
	argument = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
)

// arguments cuts a command into words, quoted ones as one, and puts in what has been assigned.
func arguments(command string) (out []string) {
	for _, w := range argument.FindAllString(command, -1) {
		if w[0] == '\'' || w[0] == '"' {
			w = w[1 : len(w)-1]
		}
		out = append(out, os.Expand(w, func(name string) string { return shell[name] }))
	}
	return out
}

var (
	passing = regexp.MustCompile("`[0-9a-f]{64}`|" + `weights:[0-9a-f]{8,}|against float: [0-9.e+-]+|session \d+-[A-Z0-9]+|\b\d+\.\d+ s\b|\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?`) // salted, drawn, rounded at random, or of the day
	seconds = regexp.MustCompile(`(?m)^((?:setup|offline|online) .* )[0-9.]+$`)
	words   = regexp.MustCompile(`[^\s,;()\[\]]+|[,;()\[\]]`)
)

// alike reports whether two outputs are the same but for times, salted commitments, blanks and the last digits of decimals.
func alike(a, b string) bool {
	x := words.FindAllString(passing.ReplaceAllString(seconds.ReplaceAllString(a, "$1"), "*"), -1)
	y := words.FindAllString(passing.ReplaceAllString(seconds.ReplaceAllString(b, "$1"), "*"), -1)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] == y[i] {
			continue
		}
		p, err1 := strconv.ParseFloat(x[i], 64)
		q, err2 := strconv.ParseFloat(y[i], 64)
		if err1 != nil || err2 != nil || !strings.Contains(x[i]+y[i], ".") || math.Abs(p-q) > max(0.01, 1e-4*math.Abs(p)) {
			return false
		}
	}
	return true
}

// doneNote is what a pass has found to have been done to data, which printing shows and text does not hold.
var doneNote = regexp.MustCompile(`(?m)  ; only .*$`)

// TestGrammarPage: the modules that docs/ir.md shows parse, and print again as they stand there.
func TestGrammarPage(t *testing.T) {
	src, err := os.ReadFile("../../docs/ir.md")
	if err != nil {
		t.Fatal(err)
	}
	levels := 0
	for _, m := range regexp.MustCompile(`(?ms)^module ".*?^\}\n`).FindAllString(string(src), -1) {
		got, err := text.Parse("ir.md", []byte(m))
		if err != nil {
			t.Errorf("%v", err)
		} else if m = doneNote.ReplaceAllString(m, ""); got.String() != m {
			t.Errorf("prints as\n%s\nand stands as\n%s", got, m)
		}
		levels++
	}
	if levels != 3 {
		t.Errorf("%d modules found, want one for each level", levels)
	}
}

func TestAlike(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"online 26 5 B 0.013\n", "online  26  5 B  1.200\n", true},
		{"online 26 5 B 0.013\n", "online 25 5 B 0.013\n", false},
		{"out -1.234 2", "out -1.2335 2", true},
		{"out -1.234", "out -1.334", false},
		{"class: 7", "class: 8", false},
	} {
		if alike(c.a, c.b) != c.want {
			t.Errorf("%q and %q: want %v", c.a, c.b, c.want)
		}
	}
}
