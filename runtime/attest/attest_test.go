package attest

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"smpcc/runtime/disk"
)

func approved(list []Statement, plan string, keys []string) bool {
	return Approved(list, plan, keys, 0, time.Unix(1e6, 0), nil)
}

func TestStatements(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "k.pem")
	pub, err := NewKey(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewKey(file); err == nil {
		t.Error("a key was replaced")
	}
	if i, err := os.Stat(file); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("key has mode %v", i.Mode())
	}
	key, err := LoadKey(file)
	if err != nil {
		t.Fatal(err)
	}
	s := Sign(key, Approval, "abcd", "hospital", time.Unix(0, 0))
	if s.Key != KeyText(pub) || s.Verify() != nil {
		t.Fatalf("own signature is refused: %v", s.Verify())
	}
	keys := []string{KeyText(pub)}
	if !approved([]Statement{s}, "abcd", keys) {
		t.Error("the approval does not count")
	}
	for name, change := range map[string]func(*Statement){
		"plan":      func(s *Statement) { s.Plan = "abce" },
		"purpose":   func(s *Statement) { s.Purpose = Plan },
		"name":      func(s *Statement) { s.By = "clinic" },
		"time":      func(s *Statement) { s.Time = "2027-01-01T00:00:00Z" },
		"signature": func(s *Statement) { s.Signature = "A" + s.Signature[1:] },
		"key":       func(s *Statement) { s.Key = KeyText(make([]byte, 32)) },
	} {
		c := s
		change(&c)
		if !reflect.DeepEqual(c, s) && (c.Verify() == nil || approved([]Statement{c}, c.Plan, keys)) {
			t.Errorf("a statement with another %s counts", name)
		}
	}
	if p := Sign(key, Plan, "abcd", "hospital", time.Unix(0, 0)); p.Verify() != nil || approved([]Statement{p}, "abcd", keys) {
		t.Error("a signature as author counts as approval")
	}
	sigs := filepath.Join(dir, "x.sigs")
	if l, err := Read(sigs); err != nil || len(l) != 0 {
		t.Errorf("no file: %v, %v", l, err)
	}
	for range 2 {
		if err := Append(disk.Machine, sigs, s); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := Read(sigs); err != nil || len(l) != 2 || !reflect.DeepEqual(l[1], s) {
		t.Errorf("read %v, %v", l, err)
	}
	if err := os.WriteFile(sigs, []byte("junk\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(sigs); err == nil || !strings.Contains(err.Error(), ":1: not a statement") {
		t.Errorf("junk: %v", err)
	}
}

func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	add := func(n int) string {
		t.Helper()
		l, err := OpenLog(disk.Machine, path, "p0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for range n {
			if err := l.Add(Event{What: "session", Role: "p0", Plan: "abcd", Parties: []string{"p0", "p1"}, Session: 7, Decision: "allowed"}); err != nil {
				t.Fatal(err)
			}
		}
		return l.Head()
	}
	first := add(3)
	second := add(2) // a restart goes on where it was
	last, err := VerifyLog(path, first, "")
	if err != nil || last.Seq != 5 || last.Hash != second {
		t.Fatalf("entry %d, %v", last.Seq, err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for name, change := range map[string][]byte{
		"a changed entry":   bytes.Replace(whole, []byte(`"allowed"`), []byte(`"refused"`), 1),
		"a missing entry":   bytes.Join([][]byte{lines[0], lines[2], lines[3], lines[4]}, nil),
		"entries exchanged": bytes.Join([][]byte{lines[1], lines[0], lines[2]}, nil),
		"a doubled entry":   bytes.Join([][]byte{lines[0], lines[0]}, nil),
		"other blanks":      bytes.Replace(whole, []byte(`,"time"`), []byte(`, "time"`), 1),
		"a key twice":       bytes.Replace(whole, []byte(`{"seq":1`), []byte(`{"seq":9,"seq":1`), 1),
		"no end":            bytes.Join(lines[:2], nil),
		"junk":              []byte("x\n"),
		"an incomplete end": whole[:len(whole)-4],
	} {
		if err := os.WriteFile(path, change, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyLog(path, second, ""); err == nil {
			t.Errorf("a log with %s is accepted", name)
		}
	}
	if err := os.WriteFile(path, whole[:len(whole)-4], 0o600); err != nil { // a crash while writing
		t.Fatal(err)
	}
	add(0)
	l, err := VerifyLog(path, first, "")
	if err != nil || l.What != "recovered" || l.Seq != 5 {
		t.Errorf("after a crash: entry %d %q, %v", l.Seq, l.What, err)
	}
	if err := os.WriteFile(path, bytes.Replace(whole, []byte(`"session":7`), []byte(`"session":8`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLog(disk.Machine, path, "p0"); err == nil {
		t.Error("a server goes on with a log that was changed")
	}
}

func FuzzReadLog(f *testing.F) {
	f.Add([]byte("{\"seq\":1}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if last, _, err := check(bytes.NewReader(data), "f", start{}, func(Entry) {}); err == nil && last.Seq > 0 && last.Hash == "" {
			t.Error("an entry without a hash is accepted")
		}
	})
}
