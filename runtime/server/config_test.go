package server

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"smpcc/runtime/control"
	"smpcc/runtime/keys"
)

const goodTLS = "tls: {ca: a, cert: b, key: c}\nservers: {p0: 'h:1'}\n"

func TestConfigErrorsNameLines(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{goodTLS + "timeout: soon\n", `:3:10: timeout: "soon" is not a duration such as 30s`},
		{goodTLS + "limits:\n  sessions: 4\n  memory: lots\n", `:5:11: limits.memory: "lots" is not a size`},
		{goodTLS + "lmits: {}\n", `:3:1: unknown field "lmits"`},
		{goodTLS + "clients: p0\n", ":3:10: "},
		{"servers: {p0: 'h:1'}\ntls:\n  ca: a\n  key: c\n", "tls.cert: is missing"},
		{"tls: {ca: a, cert: b, key: c}\n", "servers: is missing"},
		{"tls: {ca: a, cert: b, key: c}\nservers:\n  p0: nowhere\n", `:3:7: servers.p0: "nowhere" is not an address`},
		{goodTLS + "listen: ':99999'\n", ":3:9: listen: "},
		{goodTLS + "material: {low: 5, high: 2}\n", "material.high: 2 is below material.low"},
		{goodTLS + "limits: {queue: -1}\n", "limits.queue: -1 is not in 0.."},
		{goodTLS + "telemetry: {traces: 'http://collector:4318'}\n", "leaves this machine without TLS"},
		{goodTLS + "policy_digest: abc\n", ":3:16: policy_digest: is not a sha-256"},
		{goodTLS + "workers: -1\n", ":3:10: workers: -1 is not in 0.."},
		{goodTLS + "workers: 5000\n", "workers: 5000 is not in 1..1024"},
		{goodTLS + "worker: 1\n", ":3:9: worker: 1 is not in 0..0"},
		{goodTLS + "workers: 2\nworker: 2\n", ":4:9: worker: 2 is not in 0..1"},
		{goodTLS + "workers: 2\n", `:2:15: servers.p0: "h:1" leads all 2 workers to one server`},
		{goodTLS + "console: {listen: '0.0.0.0:7443'}\n", ":3:19: console.listen: 0.0.0.0:7443 is reached from other machines; use 127.0.0.1, or say open: true"},
		{goodTLS + "console: {listen: ':7443'}\n", "is reached from other machines"},
		{goodTLS + "console: {listen: 'localhost'}\n", "console.listen: \"localhost\" is not an address"},
		{goodTLS + "alerts: {webhook: 'http://hooks.example/secret'}\n", ":3:19: alerts.webhook: leaves this machine without TLS"},
		{goodTLS + "alerts: {webhook: 'hooks.example/secret'}\n", "alerts.webhook: is not a URL such as"},
		{goodTLS + "budgets: [{runs: 3}]\n", ":3:10: budgets: entry 1 has no client"},
		{goodTLS + "budgets: [{client: a}]\n", "want runs, rows or runs_per_month, above 0"},
		{goodTLS + "budgets: [{client: a, runs: -1, rows: 2}]\n", "want runs, rows or runs_per_month, above 0"},
		{goodTLS + "budgets: [{client: a, runs: 1}, {client: a, rows: 2}]\n", `"a" stands there twice`},
		{"tls: {ca: a, cert: b, key: c}\nservers: {p0: 'h{worker}:1'}\nworkers: 2\nbudgets: [{client: a, runs: 1}]\n", "only one server can count them, and there are 2 workers"},
		{goodTLS + "plan_users: {xyz: [a]}\n", `plan_users: "xyz" is not the start of a digest`},
		{goodTLS + "requests: {keep: 5000}\n", "requests.keep: 5000 is not in 0..1024"},
		{goodTLS + "requests: {plan: huge}\n", "requests.plan: \"huge\" is not a size"},
		{goodTLS + "requests: {expire: never}\n", "requests.expire: \"never\" is not a duration"},
		{goodTLS + "timeout: x\ndrain: y\n", "drain: \"y\""}, // all of them, not the first
		{goodTLS + "listen: [\n", ":3:"},
		{goodTLS + "---\n" + goodTLS, "2 documents"},
		{goodTLS + "timeout: 1s\ntimeout: 2s\n", "already defined"},
	} {
		file := filepath.Join(t.TempDir(), "x.yaml")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadConfig(file); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), file) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q:\n%v\nwant %s", tt.text, err, tt.want)
		}
	}
}

func TestConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(file, []byte(goodTLS+"console: {listen: '0.0.0.0:7443', open: true}\nbudgets: [{client: '*', runs: 3}]\nlimits: {memory: 3 GB}\nmaterial: {low: 4}\ntelemetry: {traces: 'http://127.0.0.1:4318', listen: ':0'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := ReadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	if c.memory != 3e9 || c.Material.High != 8 || c.timeout != 30*time.Second || c.Limits.Sessions != 32 || c.disk != 10<<30 || c.TLS.CA != filepath.Join(filepath.Dir(file), "a") {
		t.Errorf("configuration %+v", c)
	}
}

// TestWorkersHaveAddresses puts the number of a worker where the configuration leaves room for it, and nowhere else.
func TestWorkersHaveAddresses(t *testing.T) {
	c := &Config{Listen: "0.0.0.0:71{worker}", State: "/var/{worker}/state", Telemetry: Telemetry{Listen: ":91{worker}"},
		Config: control.Config{Workers: 12, TLS: keys.Files{CA: "a", Cert: "b", Key: "c"}, Servers: map[string]string{"p0": "p0-{worker}.p0.example.org:7101", "p1": "[::1]:72{worker}"}, Plan: "{worker}"}}
	r, err := c.ForWorker(11).resolved()
	if err != nil {
		t.Fatal(err)
	}
	if got := []string{r.Listen, r.State, r.Telemetry.Listen, r.Servers["p0"], r.Servers["p1"], r.Plan}; !slices.Equal(got, []string{"0.0.0.0:7111", "/var/11/state", ":9111", "p0-11.p0.example.org:7101", "[::1]:7211", "{worker}"}) {
		t.Errorf("%q", got)
	}
	if c.Worker != 0 || c.Servers["p1"] != "[::1]:72{worker}" {
		t.Error("the configuration itself was changed")
	}
}

// FuzzConfig reads anything without a panic, and an error names the file.
func FuzzConfig(f *testing.F) {
	f.Add(goodTLS + "limits: {memory: 4GiB}\n")
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "x.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadConfig(file); err != nil && !strings.HasPrefix(err.Error(), file) {
			t.Errorf("error %v does not name the file", err)
		}
	})
}

// TestSchemaIsTheConfig compares the keys of docs/schema/server.schema.json with those that are read.
func TestSchemaIsTheConfig(t *testing.T) {
	data, err := os.ReadFile("../../docs/schema/server.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	type object struct {
		Properties map[string]json.RawMessage
		Additional *bool `json:"additionalProperties"`
	}
	var compare func(at string, typ reflect.Type, raw json.RawMessage)
	compare = func(at string, typ reflect.Type, raw json.RawMessage) {
		var o object
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatal(err)
		}
		if o.Additional == nil || *o.Additional {
			t.Errorf("%s: the schema lets unknown keys pass", at)
		}
		for _, f := range flat(typ) {
			key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if !f.IsExported() || key == "-" {
				continue
			}
			sub, ok := o.Properties[key]
			if !ok {
				t.Errorf("%s: the schema lacks %s", at, key)
				continue
			}
			delete(o.Properties, key)
			if f.Type.Kind() == reflect.Struct {
				compare(at+"."+key, f.Type, sub)
			}
		}
		for key := range o.Properties {
			t.Errorf("%s: the schema has %s, which is not read", at, key)
		}
	}
	compare("$", reflect.TypeFor[Config](), data)
}

// flat returns the fields of a struct, with those of structs that stand inline in it.
func flat(typ reflect.Type) (out []reflect.StructField) {
	for f := range typ.Fields() {
		if strings.HasSuffix(f.Tag.Get("yaml"), ",inline") {
			out = append(out, flat(f.Type)...)
		} else {
			out = append(out, f)
		}
	}
	return out
}

// TestClientsReadServersFiles gives a client a file with every key that a server's may have: the schema's.
func TestClientsReadServersFiles(t *testing.T) {
	text := goodTLS + "timeout: 5s\n"
	for _, f := range flat(reflect.TypeFor[Config]()) {
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch key {
		case "", "-", "tls", "servers", "timeout", "workers", "worker":
		default:
			text += key + ":\n"
		}
	}
	file := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := control.ReadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	if c.Servers["p0"] != "h:1" || c.Within() != 5*time.Second || c.TLS.Key != filepath.Join(filepath.Dir(file), "c") {
		t.Errorf("configuration %+v", c)
	}
	if err := os.WriteFile(file, []byte(text+"lmits: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.ReadConfig(file); err == nil || !strings.Contains(err.Error(), `unknown field "lmits"`) {
		t.Errorf("error %v", err)
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
