package smpcc_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
			for _, want := range []string{"ok      south: ", "ok      registry: ", "session 1, south:", "session 2, north:", "has material for", "Who learns what, and why it is allowed", `output "a_is_better" may go to north, south (south.policy.yaml:5)`,
				"2 sessions allowed by north", "2 sessions allowed by south", "audit.log: "} {
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
	// what run.sh writes for clusters
	names := regexp.MustCompile(`"(north|south|registry):7101"`)
	const workers = 2
	for _, name := range []string{"north", "south", "registry", "north-client", "south-client"} {
		file := filepath.Join(dir, "config", name+".yaml")
		if _, err := server.ReadConfig(file); err != nil {
			t.Error(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := names.ReplaceAllString(string(data), `"$1-{worker}.$1:7101"`) + fmt.Sprintf("workers: %d\n", workers)
		file = filepath.Join(t.TempDir(), "workers.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := server.ReadConfig(file); err != nil || c.Workers != workers {
			t.Errorf("%s with workers: %v", name, err)
		}
	}
	var compose struct {
		Services map[string]struct {
			Command  []string          `yaml:"command"`
			Volumes  []string          `yaml:"volumes"`
			ReadOnly bool              `yaml:"read_only"`
			User     string            `yaml:"user"`
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
		if !ok || len(s.Command) != 4 || s.Command[0] != k || !s.ReadOnly || !strings.Contains(s.User, "${SMPCC_USER:?") || len(s.Volumes) != 2 {
			t.Errorf("compose.yaml: %s is %+v", name, s)
		}
		if _, err := os.Stat(filepath.Join(dir, s.Build["context"], s.Build["dockerfile"])); err != nil {
			t.Error(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, "kubernetes", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		kinds, headless := map[string]bool{}, false
		for _, doc := range strings.Split(string(data), "\n---\n") {
			var o struct {
				Kind     string `yaml:"kind"`
				Metadata struct {
					Name string `yaml:"name"`
				} `yaml:"metadata"`
				Spec struct {
					ClusterIP   string `yaml:"clusterIP"`
					ServiceName string `yaml:"serviceName"`
					Pods        string `yaml:"podManagementPolicy"`
					Replicas    int    `yaml:"replicas"`
					Template    struct {
						Spec struct {
							Grace    int `yaml:"terminationGracePeriodSeconds"`
							Security struct {
								User  int `yaml:"runAsUser"`
								Group int `yaml:"fsGroup"`
							} `yaml:"securityContext"`
							Containers []struct {
								Args []string `yaml:"args"`
								Env  []struct {
									Name string `yaml:"name"`
									From struct {
										Field struct {
											Path string `yaml:"fieldPath"`
										} `yaml:"fieldRef"`
									} `yaml:"valueFrom"`
								} `yaml:"env"`
								Mounts []struct {
									Path string `yaml:"mountPath"`
								} `yaml:"volumeMounts"`
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
			headless = headless || o.Kind == "Service" && o.Spec.ClusterIP == "None" // pods have names NAME-0.NAME
			if o.Kind != "StatefulSet" {
				continue
			}
			pod := o.Spec.Template.Spec
			c := pod.Containers[0]
			if o.Spec.Replicas != workers || o.Spec.ServiceName != name || o.Spec.Pods != "Parallel" || pod.Grace <= 30 || pod.Security.User == 0 || pod.Security.Group != pod.Security.User {
				t.Errorf("%s: %+v", name, o.Spec)
			}
			if want := []string{k, "serve", "--config", "/etc/smpcc/config.yaml", "--worker", "$(WORKER)"}; !slices.Equal(c.Args, want) {
				t.Errorf("%s: args %q, want %q", name, c.Args, want)
			}
			if len(c.Env) != 2 || c.Env[0].Name != "WORKER" || c.Env[0].From.Field.Path != "metadata.labels['apps.kubernetes.io/pod-index']" {
				t.Errorf("%s: env %+v", name, c.Env)
			}
			if len(c.Mounts) != 2 || c.Mounts[0].Path != "/etc/smpcc" || c.Mounts[1].Path != "/var/lib/smpcc" {
				t.Errorf("%s: mounts %+v", name, c.Mounts)
			}
		}
		if !headless || !kinds["StatefulSet"] {
			t.Errorf("%s has %v", name, kinds)
		}
	}
}
