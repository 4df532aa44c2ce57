package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const complete = "timeout: 5s\ntls: {ca: ca.crt, cert: /etc/p0.crt, key: p0.key}\nservers: {p0: localhost:1}\nplan: a.plan\n"

func TestReadConfig(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "p0.yaml")
	if err := os.WriteFile(path, []byte(complete), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := ReadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Plan != filepath.Join(dir, "a.plan") || c.TLS.CA != filepath.Join(dir, "ca.crt") || c.TLS.Cert != "/etc/p0.crt" || c.Policy != "" {
		t.Errorf("paths are not relative to the file: %+v", c)
	}
	if c.timeout != 5*time.Second || c.input != defaultInput {
		t.Errorf("timeouts are %v and %v", c.timeout, c.input)
	}
	for _, b := range []struct{ name, text, want string }{
		{"empty", "", "tls.ca is missing"},
		{"not YAML", "a: [", "p0.yaml: "},
		{"unknown key", complete + "polcy: p.yaml\n", "polcy"},
		{"wrong type", strings.Replace(complete, "5s", "[1]", 1), "p0.yaml: "},
		{"no duration", strings.Replace(complete, "5s", "soon", 1), `timeout: "soon" is not a duration such as 30s`},
		{"negative duration", strings.Replace(complete, "5s", "-5s", 1), `timeout: "-5s" is not a duration`},
		{"no duration of inputs", complete + "input_timeout: 0s\n", `input_timeout: "0s" is not a duration`},
		{"no certificate", strings.Replace(complete, "cert: /etc/p0.crt, ", "", 1), "tls.cert is missing; connections are always authenticated"},
		{"no servers", strings.Replace(complete, "servers: {p0: localhost:1}", "", 1), "servers is missing"},
	} {
		if err := os.WriteFile(path, []byte(b.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadConfig(path); err == nil || !strings.Contains(err.Error(), b.want) || !strings.Contains(err.Error(), "p0.yaml") {
			t.Errorf("%s: got %v, want %q", b.name, err, b.want)
		}
	}
	if _, err := ReadConfig(filepath.Join(dir, "none.yaml")); err == nil {
		t.Error("a missing file is read")
	}
}

func TestPolicyDigest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.yaml")
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	for _, c := range []struct {
		cfg        Config
		want, fail string
	}{
		{Config{}, "", ""},
		{Config{Policy: path}, abc, ""},
		{Config{PolicyDigest: "12"}, "12", ""},
		{Config{Policy: path, PolicyDigest: abc}, "", "both given"},
		{Config{Policy: path + "x"}, "", "no such file"},
	} {
		got, err := c.cfg.policyDigest()
		if got != c.want || (err == nil) != (c.fail == "") || err != nil && !strings.Contains(err.Error(), c.fail) {
			t.Errorf("got %q and %v, want %q and %q", got, err, c.want, c.fail)
		}
	}
}
