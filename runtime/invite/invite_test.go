package invite

import (
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"
	"time"
)

func sample() Invitation {
	return Invitation{Plan: strings.Repeat("a", 64), Parties: []string{"p0", "p1"}, ID: NewID(), Issued: 1000, Expires: 2000, Runs: 3, Ports: []string{"input"}, Reads: []string{"output"}}
}

// TestTokens: a token is read as it was signed, and nothing else is: every byte of it counts.
func TestTokens(t *testing.T) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, _, _ := ed25519.GenerateKey(rand.Reader)
	v := sample()
	token, err := Sign(key, v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(token, []ed25519.PublicKey{other, pub})
	if err != nil || got.ID != v.ID || got.Runs != 3 || got.Allows(v.Plan, v.Parties, time.Unix(1999, 0)) != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := Read(token, []ed25519.PublicKey{other}); err == nil {
		t.Error("a key that nobody named counts")
	}
	if _, err := Read(token, nil); err == nil {
		t.Error("no key counts")
	}
	for i := range token {
		b := []byte(token)
		if b[i] = 'A'; token[i] == 'A' {
			b[i] = 'B'
		}
		if _, err := Read(string(b), []ed25519.PublicKey{pub}); err == nil {
			t.Errorf("byte %d of a token does not count", i)
		}
	}
	for name, e := range map[string]error{"plan": got.Allows(strings.Repeat("b", 64), v.Parties, time.Unix(1500, 0)), "parties": got.Allows(v.Plan, []string{"p1", "p0"}, time.Unix(1500, 0)), "time": got.Allows(v.Plan, v.Parties, time.Unix(2000, 0))} {
		if e == nil {
			t.Errorf("another %s is allowed", name)
		}
	}
	for name, edit := range map[string]func(v *Invitation){"plan": func(v *Invitation) { v.Plan = "x" }, "runs": func(v *Invitation) { v.Runs = 0 }, "name": func(v *Invitation) { v.ID = "x y" }, "end": func(v *Invitation) { v.Expires = 1000 }, "length": func(v *Invitation) { v.Ports = []string{strings.Repeat("x", MaxToken)} }} {
		w := sample()
		edit(&w)
		if _, err := Sign(key, w); err == nil {
			t.Errorf("an invitation of a bad %s is signed", name)
		}
	}
}

// TestRevoked: what is taken back is listed, what never was is not.
func TestRevoked(t *testing.T) {
	state := t.TempDir()
	v := sample()
	if list, err := Revoked(state); err != nil || len(list) > 0 {
		t.Fatal(list, err)
	}
	if err := Revoke(state, v.ID); err != nil {
		t.Fatal(err)
	}
	if list, err := Revoked(state); err != nil || !list[v.ID] || len(list) != 1 {
		t.Fatal(list, err)
	}
	if Revoke(state, "../../x") == nil || Revoke(state+"/none", v.ID) == nil {
		t.Error("what is no invitation, or no state folder, is taken")
	}
	if err := Note(state+"/p.plan", v); err != nil {
		t.Fatal(err)
	}
	if list, err := Noted(state + "/p.plan"); err != nil || len(list) != 1 || list[0].ID != v.ID {
		t.Fatal(list, err)
	}
}
