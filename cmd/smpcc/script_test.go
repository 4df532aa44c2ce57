package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/ir"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"smpcc": func() {
		main()
	}})
}

// TestScripts runs the command line as users do. SMPCC_UPDATE=1 rewrites what they compare with.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: os.Getenv("SMPCC_UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("ROOT", root)
			for _, name := range []string{"PORT0", "PORT1", "PORT2"} { // for scripts that start servers
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				_, port, _ := net.SplitHostPort(l.Addr().String())
				e.Setenv(name, port)
				if err := l.Close(); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":     exits,
			"samestats": sameStats,
			"unmask":    unmask,
			"swap":      swapWeights,
			"want":      wantModels,
		},
	})
}

// exits runs smpcc and wants an exit code: exits CODE [-f FILE] ARGS..., with the line of FILE behind ARGS; its output is in stdout.txt and stderr.txt.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	code := 0
	if len(args) > 2 && args[1] == "-f" {
		args = append(append([]string{args[0]}, args[3:]...), strings.TrimSpace(ts.ReadFile(args[2])))
	}
	if err := ts.Exec("smpcc", args[1:]...); err != nil {
		var e *exec.ExitError
		if !errors.As(err, &e) {
			ts.Fatalf("%v", err)
		}
		code = e.ExitCode()
	}
	if neg || fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs("stderr.txt"), []byte(ts.ReadFile("stderr")), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("stdout.txt"), []byte(ts.ReadFile("stdout")), 0o600))
}

// swapWeights writes a file of weights of the credit model in which named ones are a unit vector, so that the receiver of the score gets the fourth column:
// swap FROM TO NAME...
func swapWeights(ts *testscript.TestScript, neg bool, args []string) {
	shapes := map[string]ir.Shape{"0.weight": {1, 30}, "0.bias": {1}, "0.weight.transpose": {30, 1}}
	held, err := readWeights(ts.MkAbs(args[0]), shapes)
	ts.Check(err)
	for _, n := range args[2:] {
		clear(held[n].F)
		held[n].F[3] = 1
	}
	ts.Check(writeWeights(ts.MkAbs(args[1]), held))
}

// wantModels writes a policy that asks for the commitment on the first line of a file: want POLICY FILE TO.
func wantModels(ts *testscript.TestScript, neg bool, args []string) {
	commitment, _, _ := strings.Cut(ts.ReadFile(args[1]), "\n")
	ts.Setenv("COMMITMENT", commitment)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(ts.ReadFile(args[0])+"models: ["+commitment+"]\n"), 0o600))
}

// unmask writes a plan whose first output is a value that is still under its mask: unmask PLAN TO.
func unmask(ts *testscript.TestScript, neg bool, args []string) {
	data, err := plan.ReadFileBytes(ts.MkAbs(args[0]))
	ts.Check(err)
	f := &struct {
		Manifest plan.Manifest `pb:"1"`
		Program  typed.Program `pb:"2"`
	}{}
	ts.Check(plan.DecodeAs(plan.Version, data, f))
	opened := -1
	for i, s := range f.Program.Steps {
		switch {
		case s.Op == typed.OpShare && opened < 0:
			opened = i
		case s.Op == typed.OpReveal && opened >= 0:
			s.Src[0] = opened
			ts.Check(os.WriteFile(ts.MkAbs(args[1]), plan.EncodeAs(plan.Version, f), 0o600))
			return
		}
	}
	ts.Fatalf("no masked value found")
}

// sameStats checks that what a run measured is what cost said: samestats STATS COST ROUNDS BYTES, where ROUNDS and BYTES
// bound the online phase.
func sameStats(ts *testscript.TestScript, neg bool, args []string) {
	var stats runStats
	var cost costReport
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &stats))
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &cost))
	if stats.PlanDigest != cost.PlanDigest {
		ts.Fatalf("plans differ")
	}
	for name, got := range map[string]phaseStats{"setup": stats.Setup, "offline": stats.Offline, "online": stats.Online} {
		want := cost.Phases[name]
		if got.Rounds != want.Rounds {
			ts.Fatalf("%s: %d rounds measured, %d computed", name, got.Rounds, want.Rounds)
		}
		for role, n := range want.BytesSent {
			if got.BytesSent[role] != n {
				ts.Fatalf("%s: %s sent %d bytes, computed %d", name, role, got.BytesSent[role], n)
			}
		}
	}
	var rounds int
	var bytes int64
	_, err := fmt.Sscan(args[2], &rounds)
	ts.Check(err)
	_, err = fmt.Sscan(args[3], &bytes)
	ts.Check(err)
	if stats.Online.Rounds > rounds {
		ts.Fatalf("%d online rounds, at most %d wanted", stats.Online.Rounds, rounds)
	}
	for role, n := range stats.Online.BytesSent {
		if n > bytes {
			ts.Fatalf("%s sent %d bytes online, at most %d wanted", role, n, bytes)
		}
	}
}
