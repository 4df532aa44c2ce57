package material

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"smpcc/runtime/disk"
)

// testKey returns a key whose bytes are b, b+1, ...
func testKey(t testing.TB, b byte) Key {
	t.Helper()
	content := make([]byte, keySize)
	for i := range content {
		content[i] = b + byte(i)
	}
	k, err := KeyOf(content)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// traces are the ways a key's content could show.
func traces(k Key) []string {
	b := k.Bytes()
	h := hex.EncodeToString(b)
	spaced := strings.Trim(fmt.Sprint(b[:4]), "[]")
	return []string{h[:8], strings.ToUpper(h[:8]), string(b[:4]), spaced, strings.ReplaceAll(spaced, " ", ", "), strings.ReplaceAll(spaced, " ", ","),
		fmt.Sprintf("%#x", b[0]) + ", ", fmt.Sprintf("% x", b[:4]), fmt.Sprintf("%b %b", b[0], b[1]), fmt.Sprintf("%o %o", b[0], b[1])}
}

// holder keeps a key where fmt calls no methods.
type holder struct {
	k    Key
	many []Key
	s    *Stream
}

func TestKeyNeverPrints(t *testing.T) {
	k := testKey(t, 'a')
	s, err := NewStream(k)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{
		"key": k, "pointer": &k, "slice": []Key{k}, "map": map[string]Key{"k": k}, "exported": struct{ K Key }{k}, "any": []any{k, &k},
		"unexported": holder{k, []Key{k}, s}, "unexported pointer": &holder{k, []Key{k}, s},
		"stream": s, "stream value": struct{ S *Stream }{s},
	}
	check := func(t *testing.T, how, out string) {
		t.Helper()
		for _, trace := range traces(k) {
			if strings.Contains(out, trace) {
				t.Errorf("%s shows the key as %q: %q", how, trace, out)
			}
		}
	}
	for name, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "% x", "%#x", "%q", "%d", "%c", "%U", "%b", "%o", "%t", "%e", "%5.3v", "%T", "%w", "%z"} {
			check(t, name+" "+verb, fmt.Sprintf(verb, v))
		}
		for _, verb := range []string{"%v", "%s", "%w"} {
			check(t, name+" error", fmt.Errorf("x: "+verb, v).Error())
		}
		check(t, name+" Sprint", fmt.Sprint(v)+fmt.Sprintln(v))
		if out, err := json.Marshal(v); err == nil {
			check(t, name+" json", string(out))
		}
		if out, err := xml.Marshal(v); err == nil {
			check(t, name+" xml", string(out))
		}
		var buf bytes.Buffer
		if err := gob.NewEncoder(&buf).Encode(v); err == nil {
			check(t, name+" gob", buf.String())
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&buf, nil), slog.NewJSONHandler(&buf, nil)} {
			slog.New(h).Info("x", "k", v)
		}
		check(t, name+" slog", buf.String())
	}
	if got := fmt.Sprintf("%v %s %#v %x %d", k, k, k, k, k); got != strings.TrimSpace(strings.Repeat(hidden+" ", 5)) {
		t.Errorf("prints as %q", got)
	}
	if out, err := json.Marshal(k); err != nil || string(out) != `"`+hidden+`"` {
		t.Errorf("json is %s, %v", out, err)
	}
	var into any = &k
	//lint:ignore SA9005 that nothing can be read back is what is tested
	if err := json.Unmarshal([]byte(`"`+hidden+`"`), into); err == nil {
		t.Error("a printed key was read as a key")
	}
}

// TestTraces: the check above finds a key that does print.
func TestTraces(t *testing.T) {
	k := testKey(t, 'a')
	for _, verb := range []string{"%v", "%#v", "%s", "%x", "%X", "% x", "%b", "%o"} {
		out, found := fmt.Sprintf(verb, struct{ b [keySize]byte }{*k.secret()}), false
		for _, trace := range traces(k) {
			found = found || strings.Contains(out, trace)
		}
		if !found {
			t.Errorf("%s is not recognised: %s", verb, out)
		}
	}
}

func TestKeyOf(t *testing.T) {
	for _, n := range []int{0, 1, 16, 31, 33, 64} {
		if k, err := KeyOf(make([]byte, n)); err == nil || k.Bytes() != nil {
			t.Errorf("%d bytes: no error", n)
		}
	}
	b := bytes.Repeat([]byte{7}, keySize)
	k, err := KeyOf(b)
	if err != nil {
		t.Fatal(err)
	}
	b[0] = 8
	k.Bytes()[1] = 8
	if !bytes.Equal(k.Bytes(), bytes.Repeat([]byte{7}, keySize)) {
		t.Error("the key changes with a slice that is not its own")
	}
	if !k.Equal(k) || k.Equal(testKey(t, 7)) || k.Equal(Key{}) {
		t.Error("Equal is wrong")
	}
}

// TestEmptyKey: nothing can be expanded from or written of the zero Key.
func TestEmptyKey(t *testing.T) {
	if _, err := NewStream(Key{}); err == nil {
		t.Error("a stream of the empty key")
	}
	if _, err := NewStream(Derive(Key{}, "session", [32]byte{}, 1, 0)); err == nil {
		t.Error("a stream derived from the empty key")
	}
	if err := WriteMaster(disk.Machine, filepath.Join(t.TempDir(), "k"), Key{}); err == nil {
		t.Error("the empty key was written")
	}
}

func TestNewMaster(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		k, err := NewMaster()
		if err != nil {
			t.Fatal(err)
		}
		seen[string(k.Bytes())] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d different keys of 100", len(seen))
	}
}

func TestDerive(t *testing.T) {
	m := testKey(t, 1)
	var d1, d2 [32]byte
	d2[31] = 1
	type in struct {
		m       Key
		purpose string
		digest  [32]byte
		session uint64
		role    int
	}
	base := in{m, "session", d1, 1, 0}
	ins := []in{base, {testKey(t, 2), "session", d1, 1, 0}, {m, "model", d1, 1, 0}, {m, "", d1, 1, 0}, {m, "session", d2, 1, 0}, {m, "session", d1, 2, 0},
		{m, "session", d1, 1 << 40, 0}, {m, "session", d1, 1, 1}, {m, "session", d1, 0, 1}, {m, "session", d1, 256, 0}, {m, "session\x00", d1, 1, 0},
		{m, "session" + string(d1[:]), d1, 1, 0}, {m, "session" + string(d1[:8]), d1, 1, 0}}
	seen := map[string]int{}
	for i, x := range ins {
		k := Derive(x.m, x.purpose, x.digest, x.session, x.role)
		if !k.Equal(Derive(x.m, x.purpose, x.digest, x.session, x.role)) {
			t.Errorf("case %d differs between calls", i)
		}
		if j, ok := seen[string(k.Bytes())]; ok {
			t.Errorf("cases %d and %d give one key", j, i)
		}
		seen[string(k.Bytes())] = i
	}
	// The value is part of the protocol: material that one version stored, another must find again.
	const want = "e4eca89e06f80b7f0d44e8301f819efb43287c404bc36188f337eb8e9e0fb63b" // HMAC-SHA256 twice, computed apart from this program
	if got := hex.EncodeToString(Derive(m, "session", d2, 7, 1).Bytes()); got != want {
		t.Errorf("derived key is %s, want %s; a change breaks stored material", got, want)
	}
}

func openMaster(path string) (Key, error) { return OpenMaster(disk.Machine, path) }

func TestMasterFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")
	k, err := OpenMaster(disk.Machine, path)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v", st.Mode())
	}
	for _, read := range []func(string) (Key, error){ReadMaster, openMaster} {
		if got, err := read(path); err != nil || !got.Equal(k) {
			t.Errorf("read another key: %v", err)
		}
	}
	err = WriteMaster(disk.Machine, path, testKey(t, 1))
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("overwrite: %v", err)
	}
	if got, err := ReadMaster(path); err != nil || !got.Equal(k) {
		t.Errorf("the refused write changed the file: %v", err)
	}
	if _, err := ReadMaster(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := ReadMaster(dir); err == nil {
		t.Error("a directory was read")
	}
	if runtime.GOOS == "windows" {
		return
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		for _, read := range []func(string) (Key, error){ReadMaster, openMaster} {
			if k, err := read(path); err == nil || k.Bytes() != nil || !strings.Contains(err.Error(), "chmod 600") {
				t.Errorf("mode %v: %v", mode, err)
			}
		}
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMaster(path); err != nil {
		t.Errorf("read-only: %v", err)
	}
}

func FuzzReadMaster(f *testing.F) {
	good := strings.Repeat("0123456789abcdef", 4)
	for _, s := range []string{good + "\n", good, " " + good + "\r\n", "", "\n", good[1:], good + "00", good[:63] + "g", strings.Repeat(" ", 2000) + good, good + "\n" + good} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := os.CreateTemp(dir, "key")
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(file.Name())
		_, err = file.Write(data)
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
		k, err := ReadMaster(file.Name())
		want, wantErr := hex.DecodeString(strings.TrimSpace(string(data[:min(len(data), maxKeyFile)])))
		if ok := wantErr == nil && len(want) == keySize; ok != (err == nil) || ok && !bytes.Equal(want, k.Bytes()) {
			t.Fatalf("%q: %v", data, err)
		}
		if text := strings.TrimSpace(string(data)); err != nil && len(text) > 8 && strings.Contains(strings.ReplaceAll(err.Error(), file.Name(), ""), text) {
			t.Errorf("the error quotes the file: %v", err)
		}
	})
}
