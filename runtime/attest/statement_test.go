package attest

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

func testKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+n)), ed25519.SeedSize)))
}

func at(hour int) time.Time { return time.Date(2030, 1, 1, hour, 0, 0, 0, time.UTC) }

// TestStatementForms writes down what is signed: files of older releases stay good, and each field that is said besides is under the signature.
func TestStatementForms(t *testing.T) {
	key := testKey(0)
	s := Sign(key, Approval, "abcd", "hospital", at(1))
	check := func(s Statement, want string) {
		t.Helper()
		sig, err := base64.StdEncoding.DecodeString(s.Signature)
		if err != nil || !ed25519.Verify(key.Public().(ed25519.PublicKey), []byte(want), sig) {
			t.Errorf("what is signed is not %q", want)
		}
	}
	head := fmt.Sprintf("\"approval\"\n\"abcd\"\n\"hospital\"\n\"2030-01-01T01:00:00Z\"\n%q\n", s.Key)
	check(s, "smpcc statement 1\n"+head)
	s.Role, s.Reason, s.Scope, s.Until, s.Weights = "officer", "audited", "trial 7", "2031-01-01T00:00:00Z", []Bound{{"p0", "weights:00"}}
	s = s.Signed(key)
	check(s, "smpcc statement 2\n"+head+"\"officer\"\n\"audited\"\n\"trial 7\"\n\"2031-01-01T00:00:00Z\"\n1\n\"p0\"\n\"weights:00\"\n")
	for name, change := range map[string]func(*Statement){
		"role": func(s *Statement) { s.Role = "" }, "reason": func(s *Statement) { s.Reason += "!" }, "scope": func(s *Statement) { s.Scope = "trial 8" }, "end": func(s *Statement) { s.Until = "" },
		"owner": func(s *Statement) { s.Weights = []Bound{{"p1", "weights:00"}} }, "commitment": func(s *Statement) { s.Weights = []Bound{{"p0", "weights:01"}} }, "weights": func(s *Statement) { s.Weights = nil },
		"fields, all": func(s *Statement) { s.Role, s.Reason, s.Scope, s.Until, s.Weights = "", "", "", "", nil },
	} {
		c := s
		if change(&c); c.Verify() == nil {
			t.Errorf("a statement with another %s counts", name)
		}
	}
}

func TestApprovals(t *testing.T) {
	a, b, c := testKey(0), testKey(1), testKey(2)
	name := func(k ed25519.PrivateKey) string { return KeyText(k.Public().(ed25519.PublicKey)) }
	keys := []string{name(a), name(b)}
	yes := func(k ed25519.PrivateKey, hour int) Statement { return Sign(k, Approval, "abcd", "", at(hour)) }
	no := func(k ed25519.PrivateKey, hour int) Statement { return Sign(k, Revocation, "abcd", "", at(hour)) }
	until := func(k ed25519.PrivateKey, hour int) Statement {
		s := yes(k, 1)
		s.Until = at(hour).Format(time.RFC3339)
		return s.Signed(k)
	}
	timeless := func(s Statement, k ed25519.PrivateKey) Statement {
		s.Time = "some day"
		return s.Signed(k)
	}
	forged := no(b, 3)
	forged.Key = name(a)
	for _, x := range []struct {
		name    string
		list    []Statement
		atLeast int
		want    bool
	}{
		{"one of two", []Statement{yes(a, 1)}, 0, true},
		{"one of two, two wanted", []Statement{yes(a, 1)}, 2, false},
		{"one twice, two wanted", []Statement{yes(a, 1), yes(a, 2)}, 2, false},
		{"two", []Statement{yes(a, 1), yes(b, 1)}, 2, true},
		{"a stranger for one", []Statement{yes(a, 1), yes(c, 1)}, 2, false},
		{"taken back", []Statement{yes(a, 1), no(a, 2)}, 1, false},
		{"taken back, listed first", []Statement{no(a, 2), yes(a, 1)}, 1, false},
		{"taken back in the same second", []Statement{no(a, 1), yes(a, 1)}, 1, false},
		{"given again", []Statement{yes(a, 1), no(a, 2), yes(a, 3)}, 1, true},
		{"taken back by another", []Statement{yes(a, 1), no(b, 2)}, 1, true},
		{"one of two taken back", []Statement{yes(a, 1), yes(b, 1), no(b, 2)}, 2, false},
		{"a forged revocation", []Statement{yes(a, 1), forged}, 1, true},
		{"of another plan", []Statement{Sign(a, Approval, "abce", "", at(1))}, 1, false},
		{"another plan taken back", []Statement{yes(a, 1), Sign(a, Revocation, "abce", "", at(2))}, 1, true},
		{"until later", []Statement{until(a, 13)}, 1, true},
		{"until before", []Statement{until(a, 11)}, 1, false},
		{"until now", []Statement{until(a, 12)}, 1, false},
		{"approved without a time", []Statement{timeless(yes(a, 1), a)}, 1, false},
		{"taken back without a time", []Statement{yes(a, 1), timeless(no(a, 1), a)}, 1, false},
		{"taken back without a time before", []Statement{timeless(no(a, 1), a), yes(a, 3)}, 1, false},
	} {
		if got := Approved(x.list, "abcd", keys, x.atLeast, at(12), nil); got != x.want {
			t.Errorf("%s: approved %v, want %v", x.name, got, x.want)
		}
	}
	bound := yes(a, 1)
	bound.Weights = []Bound{{"p0", "weights:00"}}
	bound = bound.Signed(a)
	for commitment, want := range map[string]bool{"weights:00": true, "weights:01": false} {
		if got := Approved([]Statement{bound}, "abcd", keys, 1, at(12), func(s *Statement) bool { return s.Commitment("p0") == commitment }); got != want {
			t.Errorf("weights %s: approved %v, want %v", commitment, got, want)
		}
	}
}

func TestStatementCheck(t *testing.T) {
	for s, ok := range map[string]bool{"data protection officer": true, "Prüferin": true, "": true, "two\nlines": false, "\x1b[2J": false, strings.Repeat("x", 2000): false, "\xff": false} {
		x := Statement{Reason: s}
		if err := x.Check(); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}
