package smpcc_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"smpcc/runtime/control"
	"smpcc/runtime/keys"
)

// A manifest is an object of Kubernetes, as far as this test looks at it.
type manifest map[string]any

// at returns what stands at a path, nil if nothing does; numbers count in lists.
func (m manifest) at(path ...string) any {
	var x any = map[string]any(m)
	for _, p := range path {
		switch v := x.(type) {
		case map[string]any:
			x = v[p]
		case []any:
			i, err := strconv.Atoi(p)
			if err != nil || i >= len(v) {
				return nil
			}
			x = v[i]
		default:
			return nil
		}
	}
	return x
}

// readManifests reads the objects of a file by their kinds.
func readManifests(t *testing.T, text string) map[string]manifest {
	t.Helper()
	out := map[string]manifest{}
	for _, doc := range strings.Split(text, "\n---\n") {
		m := manifest{}
		if err := yaml.UnmarshalWithOptions([]byte(doc), &m, yaml.Strict()); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		kind := fmt.Sprint(m.at("kind"))
		if out[kind] != nil {
			t.Errorf("%s is there twice", kind)
		}
		out[kind] = m
	}
	return out
}

// TestKubernetes reads the manifests, without and with the lines for files on a volume: what a pod needs to start late and to end in time, to be spread, to be disturbed one by one, to be
// reached by peers and by nobody's scraper, to stay below its memory, and to run the plan of the digest in the name.
func TestKubernetes(t *testing.T) {
	for _, name := range []string{"north", "south", "registry"} {
		data, err := os.ReadFile("examples/two-hospitals/kubernetes/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		plain := strings.ReplaceAll(string(data), "DIGEST", "0123456789abcdef")
		var volume []string
		for _, line := range strings.Split(plain, "\n") {
			volume = append(volume, strings.TrimPrefix(line, "#+"))
		}
		for what, text := range map[string]string{"plain": plain, "with a volume": strings.Join(volume, "\n")} {
			m := readManifests(t, text)
			pod := []string{"spec", "template", "spec"}
			in := func(path ...string) any { return m["StatefulSet"].at(append(append([]string{}, pod...), path...)...) }
			labels := fmt.Sprint(map[string]any{"app": "smpcc", "organisation": name})
			for where, got := range map[string]any{
				"the set":               m["StatefulSet"].at("spec", "selector", "matchLabels"),
				"its pods":              m["StatefulSet"].at("spec", "template", "metadata", "labels"),
				"the service":           m["Service"].at("spec", "selector"),
				"the budget":            m["PodDisruptionBudget"].at("spec", "selector", "matchLabels"),
				"the policy":            m["NetworkPolicy"].at("spec", "podSelector", "matchLabels"),
				"what keeps pods apart": in("affinity", "podAntiAffinity", "preferredDuringSchedulingIgnoredDuringExecution", "0", "podAffinityTerm", "labelSelector", "matchLabels"),
			} {
				if fmt.Sprint(got) != labels {
					t.Errorf("%s, %s: %s has labels %v", name, what, where, got)
				}
			}
			c := func(path ...string) any { return in(append([]string{"containers", "0"}, path...)...) }
			image := fmt.Sprint(c("image"))
			tag := image[strings.LastIndexByte(image, ':')+1:]
			wait, _ := strconv.Atoi(fmt.Sprint(c("startupProbe", "failureThreshold")))
			every, _ := strconv.Atoi(fmt.Sprint(c("startupProbe", "periodSeconds")))
			limit, lerr := control.ParseSize(fmt.Sprint(c("resources", "limits", "memory")))
			soft, serr := control.ParseSize(strings.TrimSuffix(fmt.Sprint(c("env", "1", "value")), "B"))
			switch {
			case tag == "latest" || tag == image || fmt.Sprint(c("imagePullPolicy")) != "IfNotPresent":
				t.Errorf("%s: image %s", name, image)
			case wait*every < 120 || fmt.Sprint(c("startupProbe", "httpGet", "path")) != "/healthz":
				t.Errorf("%s: a start has %d s", name, wait*every)
			case fmt.Sprint(c("env", "1", "name")) != "GOMEMLIMIT" || errors.Join(lerr, serr) != nil || soft >= limit || soft < limit/2:
				t.Errorf("%s: GOMEMLIMIT %v of %v", name, c("env", "1"), c("resources", "limits"))
			case fmt.Sprint(m["PodDisruptionBudget"].at("spec", "maxUnavailable")) != "1" || fmt.Sprint(m["PodDisruptionBudget"].at("apiVersion")) != "policy/v1":
				t.Errorf("%s: %v", name, m["PodDisruptionBudget"])
			case fmt.Sprint(m["NetworkPolicy"].at("spec", "policyTypes")) != "[Ingress Egress]" || m["NetworkPolicy"].at("spec", "ingress", "0", "from") != nil || m["NetworkPolicy"].at("spec", "ingress", "1", "from") == nil:
				t.Errorf("%s: %v", name, m["NetworkPolicy"])
			case !strings.Contains(fmt.Sprint(in("volumes", "0", "projected", "sources")), "name:smpcc-plan-0123456789abcdef"):
				t.Errorf("%s: no plan by its digest in %v", name, in("volumes", "0"))
			}
			mounts := map[string]bool{}
			for _, v := range append(in("volumes").([]any), m["StatefulSet"].at("spec", "volumeClaimTemplates").([]any)...) {
				v := manifest(v.(map[string]any))
				mounts[fmt.Sprint(v.at("name"))+fmt.Sprint(v.at("metadata", "name"))] = true
			}
			for _, v := range c("volumeMounts").([]any) {
				if name := fmt.Sprint(manifest(v.(map[string]any)).at("name")); !mounts[name+"<nil>"] && !mounts["<nil>"+name] {
					t.Errorf("%s: no volume %s among %v", what, name, mounts)
				}
			}
			if claim := m["PersistentVolumeClaim"]; (claim != nil) != (what == "with a volume") || claim != nil && (fmt.Sprint(claim.at("metadata", "name")) != name || fmt.Sprint(in("volumes", "1", "persistentVolumeClaim", "claimName")) != name || fmt.Sprint(c("volumeMounts", "2", "readOnly")) != "true") {
				t.Errorf("%s, %s: %v, %v", name, what, claim, in("volumes"))
			}
		}
	}
}

// TestAuthority makes an authority whose key is kept, and has it sign what it should, and nothing else.
func TestAuthority(t *testing.T) {
	for _, tool := range []string{"openssl", "bash"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s", tool)
		}
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	run := func(pass string, args ...string) (string, error) {
		c := exec.Command("examples/two-hospitals/authority.sh", args...)
		c.Env, c.Stdin = append(os.Environ(), "AUTHORITY_PASS="+pass), bytes.NewReader(nil)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	must := func(args ...string) {
		t.Helper()
		if out, err := run("correct horse", args...); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	refused := func(want, pass string, args ...string) {
		t.Helper()
		if out, err := run(pass, args...); err == nil || !strings.Contains(out, want) {
			t.Errorf("%q: %v, want %q\n%s", args, err, want, out)
		}
	}
	request := func(name, subject, more string) {
		t.Helper()
		args := []string{"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", file(name + ".key"), "-out", file(name + ".csr"), "-subj", subject}
		if more != "" {
			args = append(args, "-addext", more)
		}
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	must("init", file("ca"), "agreed authority")
	refused("an authority is made once", "correct horse", "init", file("ca"), "another")
	if key, err := os.ReadFile(file("ca/ca.key")); err != nil || !bytes.Contains(key, []byte("ENCRYPTED PRIVATE KEY")) {
		t.Errorf("the key is kept as %.40s, %v", key, err)
	}
	request("north", "/CN=north", "subjectAltName=DNS:south") // what it asks for besides its name counts for nothing
	request("south", "/CN=south/O=north", "")
	must("sign", file("ca"), file("north.csr"), "north", file("north.crt"))
	refused("exists already", "correct horse", "sign", file("ca"), file("north.csr"), "north", file("north.crt"))
	refused("whose request is it?", "correct horse", "sign", file("ca"), file("north.csr"), "south", file("x.crt"))
	refused("whose request is it?", "correct horse", "sign", file("ca"), file("south.csr"), "south", file("x.crt"))
	refused("want a name of a-z", "correct horse", "sign", file("ca"), file("north.csr"), "north,DNS:south", file("x.crt"))
	refused("is no request", "correct horse", "sign", file("ca"), file("north.crt"), "north", file("x.crt"))
	refused("is the passphrase right?", "wrong", "sign", file("ca"), file("north.csr"), "north", file("x.crt"))
	refused("sign DIR CSR NAME OUT", "", "sign", file("ca"))
	if _, err := os.Stat(file("x.crt")); err == nil {
		t.Error("a refusal leaves a certificate")
	}
	conf, name, err := keys.Load(keys.Files{CA: file("ca/ca.crt"), Cert: file("north.crt"), Key: file("north.key")})
	if err != nil || name != "north" || len(conf.Certificates[0].Leaf.DNSNames) != 1 || conf.Certificates[0].Leaf.IsCA {
		t.Errorf("certificate of %q, %v", name, err)
	}
	if out, err := run("", "list", file("ca")); err != nil || strings.Count(out, "\n") != 1 || !strings.Contains(out, " north notAfter=") {
		t.Errorf("list: %v\n%s", err, out)
	}
}
