package smpcc_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"smpcc/runtime/server"
)

// portsAt reports whether the ports that run.sh takes from base on are free.
func portsAt(base int) bool {
	for _, p := range []int{0, 1, 2, 10, 11, 12} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+p))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// TestTwoHospitals runs the script as an operator would, with both kinds of certificates.
func TestTwoHospitals(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program and starts processes")
	}
	for i, certs := range []string{"smpcc", "openssl"} {
		t.Run(certs, func(t *testing.T) {
			if _, err := exec.LookPath("openssl"); err != nil && certs == "openssl" {
				t.Skip("there is no openssl")
			}
			if _, err := exec.LookPath("bash"); err != nil {
				t.Skip("there is no bash")
			}
			port := 20000 + 1000*i + os.Getpid()%40*20
			for !portsAt(port) {
				port += 20
			}
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
			defer cancel()
			c := exec.CommandContext(ctx, "examples/two-hospitals/run.sh")
			c.Env = append(os.Environ(), fmt.Sprintf("PORT=%d", port), "CERTS="+certs)
			c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) } // the script then stops its servers
			out, err := c.CombinedOutput()
			text := string(out)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			for _, want := range []string{"ok      south: ", "ok      registry: ", "session 1, south:", "session 2, north:", "has material for"} {
				if !strings.Contains(text, want) {
					t.Errorf("output lacks %q", want)
				}
			}
			// 367 of 509 against 352 of 531
			for _, who := range []string{"north", "south"} {
				for line, n := range map[string]int{"a_is_better to " + who + ": true": 2, "patients to " + who + ": 1040": 2} {
					if strings.Count(text, line) != n {
						t.Errorf("%q stands %d times in the output, want %d", line, strings.Count(text, line), n)
					}
				}
			}
			if t.Failed() {
				t.Log(text)
			}
		})
	}
}

// TestDeployments reads what run.sh does not use: configurations with their real addresses, compose and Kubernetes files.
func TestDeployments(t *testing.T) {
	dir := "examples/two-hospitals"
	for _, name := range []string{"north", "south", "registry", "north-client", "south-client"} {
		if _, err := server.ReadConfig(filepath.Join(dir, "config", name+".yaml")); err != nil {
			t.Error(err)
		}
	}
	var compose struct {
		Services map[string]struct {
			Command  []string          `yaml:"command"`
			Volumes  []string          `yaml:"volumes"`
			ReadOnly bool              `yaml:"read_only"`
			Build    map[string]string `yaml:"build"`
		} `yaml:"services"`
	}
	data, err := os.ReadFile(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &compose); err != nil {
		t.Fatal(err)
	}
	kind := map[string]string{"north": "party", "south": "party", "registry": "dealer"}
	for name, k := range kind {
		s, ok := compose.Services[name]
		if !ok || len(s.Command) != 4 || s.Command[0] != k || !s.ReadOnly || len(s.Volumes) != 2 {
			t.Errorf("compose.yaml: %s is %+v", name, s)
		}
		if _, err := os.Stat(filepath.Join(dir, s.Build["context"], s.Build["dockerfile"])); err != nil {
			t.Error(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, "kubernetes", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]bool{}
		for _, doc := range strings.Split(string(data), "\n---\n") {
			var o struct {
				Kind     string `yaml:"kind"`
				Metadata struct {
					Name string `yaml:"name"`
				} `yaml:"metadata"`
				Spec struct {
					Replicas int `yaml:"replicas"`
					Template struct {
						Spec struct {
							Grace      int `yaml:"terminationGracePeriodSeconds"`
							Containers []struct {
								Args []string `yaml:"args"`
							} `yaml:"containers"`
						} `yaml:"spec"`
					} `yaml:"template"`
				} `yaml:"spec"`
			}
			if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			kinds[o.Kind] = true
			if o.Metadata.Name != name {
				t.Errorf("%s: %s is named %q", name, o.Kind, o.Metadata.Name)
			}
			if o.Kind == "StatefulSet" && (o.Spec.Replicas != 1 || o.Spec.Template.Spec.Grace <= 30 || o.Spec.Template.Spec.Containers[0].Args[0] != k) {
				t.Errorf("%s: %+v", name, o.Spec)
			}
		}
		if !kinds["Service"] || !kinds["StatefulSet"] {
			t.Errorf("%s has %v", name, kinds)
		}
	}
}
