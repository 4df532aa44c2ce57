package keys_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smpcc/runtime/keys"
)

func dev(t *testing.T, names ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keys.Dev(dir, names); err != nil {
		t.Fatal(err)
	}
	return dir
}

func load(t *testing.T, f keys.Files) (*tls.Config, string) {
	t.Helper()
	c, name, err := keys.Load(f)
	if err != nil {
		t.Fatal(err)
	}
	return c, name
}

// shake connects a client to a server, which the client knows by a name, and returns who each says the other is.
func shake(t *testing.T, server, client *tls.Config, name string) (clientName, serverName string, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	type end struct {
		name string
		err  error
	}
	got := make(chan end, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- end{"", err}
			return
		}
		defer c.Close()
		s := tls.Server(c, server)
		if err := s.Handshake(); err != nil {
			got <- end{"", fmt.Errorf("server: %w", err)}
			return
		}
		n, err := keys.PeerName(s.ConnectionState())
		got <- end{n, err}
	}()
	conf := client.Clone()
	conf.ServerName = name
	c, err := tls.Dial("tcp", l.Addr().String(), conf)
	if err != nil {
		l.Close()
		<-got
		return "", "", fmt.Errorf("client: %w", err)
	}
	defer c.Close()
	e := <-got // the client learns of a refusal later, when it reads
	if e.err != nil {
		return "", "", e.err
	}
	serverName, err = keys.PeerName(c.ConnectionState())
	return e.name, serverName, err
}

func TestPeersKnowEachOther(t *testing.T) {
	dir := dev(t, "p0", "p1", keys.ClientName("p1"))
	p0, name := load(t, keys.DevFiles(dir, "p0"))
	if name != "p0" {
		t.Errorf("name is %q, want p0", name)
	}
	p1, _ := load(t, keys.DevFiles(dir, "p1-client"))
	client, server, err := shake(t, p0, p1, "p0")
	if err != nil || client != "p1-client" || server != "p0" {
		t.Errorf("got %q, %q and %v, want p1-client and p0", client, server, err)
	}
	if p0.MinVersion != tls.VersionTLS13 || p0.ClientAuth != tls.RequireAndVerifyClientCert {
		t.Error("TLS below 1.3 or without certificates is accepted")
	}
}

func TestStrangersAreRefused(t *testing.T) {
	ours, theirs := dev(t, "p0", "p1"), dev(t, "p0", "p1")
	p0, _ := load(t, keys.DevFiles(ours, "p0"))
	p1, _ := load(t, keys.DevFiles(ours, "p1"))
	stranger, _ := load(t, keys.DevFiles(theirs, "p1"))
	trusting := stranger.Clone() // one who would talk to us
	trusting.RootCAs = p0.RootCAs
	nobody := &tls.Config{RootCAs: p0.RootCAs}
	old := p1.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for _, c := range []struct {
		name, to, want string
		server, client *tls.Config
	}{
		{"client of another authority", "p0", "server: ", p0, trusting},
		{"client without certificate", "p0", "server: ", p0, nobody},
		{"client with an older protocol", "p0", "client: ", p0, old},
		{"server of another authority", "p1", "client: ", stranger, p0},
		{"server of another name", "p0", "client: ", p1, p0},
	} {
		if _, _, err := shake(t, c.server, c.client, c.to); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a refusal by the %s", c.name, err, strings.TrimSuffix(c.want, ": "))
		}
	}
	if _, err := keys.PeerName(tls.ConnectionState{}); err == nil {
		t.Error("a connection without certificates has a peer")
	}
}

func TestDevFiles(t *testing.T) {
	dir := dev(t, "p0", "d")
	var got []string
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		st, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %o", f.Name(), st.Mode().Perm()))
	}
	if want := "ca.crt 644, d.crt 644, d.key 600, p0.crt 644, p0.key 600"; strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s: and the authority's key is nowhere", got, want)
	}
	before, err := os.ReadFile(filepath.Join(dir, "p0.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{{"p0"}, {"p9"}} {
		if err := keys.Dev(dir, names); err == nil || !strings.Contains(err.Error(), "exists already") {
			t.Errorf("%v: got %v, want that files exist", names, err)
		}
	}
	if after, err := os.ReadFile(filepath.Join(dir, "p0.key")); err != nil || string(after) != string(before) {
		t.Error("a key was replaced")
	}
	for _, n := range []string{"", "ca", "a/b", "..", ".", "localhost"} {
		if err := keys.Dev(filepath.Join(t.TempDir(), "k"), []string{n}); err == nil || !strings.Contains(err.Error(), "cannot name a certificate") {
			t.Errorf("name %q: got %v", n, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := dev(t, "p0", "p1")
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p0 := keys.DevFiles(dir, "p0")
	for _, c := range []struct {
		name, want string
		files      keys.Files
	}{
		{"no authority", "no such file", keys.Files{CA: filepath.Join(dir, "none"), Cert: p0.Cert, Key: p0.Key}},
		{"empty authority", "empty: holds no certificate", keys.Files{CA: empty, Cert: p0.Cert, Key: p0.Key}},
		{"empty certificate", "empty: ", keys.Files{CA: p0.CA, Cert: empty, Key: p0.Key}},
		{"key of another", "p0.crt: ", keys.Files{CA: p0.CA, Cert: p0.Cert, Key: filepath.Join(dir, "p1.key")}},
		{"authority as role", "", keys.Files{CA: p0.CA, Cert: p0.CA, Key: p0.Key}},
	} {
		if _, _, err := keys.Load(c.files); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
