package commit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func tensors(n int) (out []Tensor) {
	for i := range n {
		t := Tensor{Name: fmt.Sprintf("w%03d", n-1-i), Elem: "real", Shape: []int{2, i + 1}}
		for k := range 2 * (i + 1) {
			t.F = append(t.F, math.Sqrt(float64(k+7*i)))
		}
		out = append(out, t)
	}
	return out
}

// reference computes a root from the definition, on byte strings, with the tree as a list that is folded level by level where the number of leaves is a power of two.
func reference(seed Seed, list []Tensor) Root {
	slices.SortFunc(list, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	var level [][]byte
	le := func(x uint64) []byte { return binary.LittleEndian.AppendUint64(nil, x) }
	for _, t := range list {
		m := hmac.New(sha256.New, seed[:])
		fmt.Fprintf(m, "smpcc weights 1 salt\n%s", t.Name)
		var b bytes.Buffer
		b.WriteString("smpcc weights 1 leaf\n")
		b.Write(m.Sum(nil))
		b.Write(le(uint64(len(t.Name))))
		b.WriteString(t.Name)
		b.Write(le(uint64(len(t.Elem))))
		b.WriteString(t.Elem)
		b.Write(le(uint64(len(t.Shape))))
		for _, d := range t.Shape {
			b.Write(le(uint64(d)))
		}
		for _, x := range t.F {
			b.Write(le(math.Float64bits(x)))
		}
		h := sha256.Sum256(b.Bytes())
		level = append(level, h[:])
	}
	for len(level) > 1 {
		var up [][]byte
		for i := 0; i < len(level); i += 2 {
			h := sha256.Sum256(slices.Concat([]byte("smpcc weights 1 node\n"), level[i], level[i+1]))
			up = append(up, h[:])
		}
		level = up
	}
	return Root(sha256.Sum256(slices.Concat([]byte("smpcc weights 1 root\n"), le(uint64(len(list))), level[0])))
}

func TestCommitIsItsDefinition(t *testing.T) {
	seed := Seed{1, 2, 3}
	for _, n := range []int{1, 2, 4, 8, 32} {
		got, err := Commit(seed, tensors(n))
		if err != nil {
			t.Fatal(err)
		}
		if want := reference(seed, tensors(n)); got != want {
			t.Errorf("%d tensors: %s, the definition gives %s", n, got, want)
		}
	}
}

// TestEveryBitCounts changes one thing at a time.
func TestEveryBitCounts(t *testing.T) {
	seed := Seed{9}
	base, err := Commit(seed, tensors(5))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(l []Tensor) []Tensor{
		"one bit":        func(l []Tensor) []Tensor { l[3].F[1] = math.Float64frombits(math.Float64bits(l[3].F[1]) ^ 1); return l },
		"a sign of zero": func(l []Tensor) []Tensor { l[4].F[0] = math.Copysign(0, -1); return l },
		"a shape":        func(l []Tensor) []Tensor { l[1].Shape = []int{4, 1}; return l },
		"a name":         func(l []Tensor) []Tensor { l[1].Name += "x"; return l },
		"one less":       func(l []Tensor) []Tensor { return l[1:] },
		"two in one": func(l []Tensor) []Tensor {
			l[0].F, l[1].F = l[1].F[:2], append(l[0].F, l[1].F[2:]...)
			l[0].Shape, l[1].Shape = []int{2}, []int{len(l[1].F)}
			return l
		},
		"integers instead": func(l []Tensor) []Tensor {
			l[0].I = []int64{0, int64(math.Float64bits(1))}
			l[0].F, l[0].Elem = nil, "int"
			return l
		},
	} {
		l := tensors(5)
		l[4].F[0] = 0
		was, err := Commit(seed, l)
		if err != nil {
			t.Fatal(err)
		}
		if now, err := Commit(seed, change(l)); err != nil || now == was {
			t.Errorf("%s: %v, %v: the commitment stays the same", name, now, err)
		}
	}
	if other, _ := Commit(Seed{8}, tensors(5)); other == base {
		t.Error("another seed gives the same commitment")
	}
	turned := tensors(5)
	slices.Reverse(turned)
	if other, err := Commit(seed, turned); err != nil || other != base {
		t.Errorf("the order of tensors counts: %v, %v", other, err)
	}
}

func TestOpenings(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 6, 7, 13} {
		list := tensors(n)
		seed, err := NewSeed()
		if err != nil {
			t.Fatal(err)
		}
		r, err := Commit(seed, list)
		if err != nil {
			t.Fatal(err)
		}
		whole := &Opening{Root: r, Tensors: n, Seed: &seed}
		file := filepath.Join(t.TempDir(), "o")
		again := func(o *Opening) *Opening {
			if err := o.Write(file); err != nil {
				t.Fatal(err)
			}
			if o, err = ReadOpening(file); err != nil {
				t.Fatal(err)
			}
			return o
		}
		if k, err := again(whole).Check(list); err != nil || k != n {
			t.Fatalf("%d tensors: %d checked, %v", n, k, err)
		}
		for i := range list {
			some, err := whole.Open(list, []string{list[i].Name})
			if err != nil {
				t.Fatal(err)
			}
			some = again(some)
			if k, err := some.Check(list[i : i+1]); err != nil || k != 1 { // the others are not shown
				t.Errorf("weight %d of %d: %d, %v", i, n, k, err)
			}
			other := list[i]
			other.F = slices.Clone(other.F)
			other.F[0]++
			if _, err := some.Check([]Tensor{other}); err == nil {
				t.Errorf("weight %d of %d: another one is taken for it", i, n)
			}
			if data, err := json.Marshal(some); err != nil || bytes.Contains(data, seed[:]) || some.Seed != nil {
				t.Errorf("a partial opening has the seed: %v", err)
			}
			if _, err := some.Open(list, []string{list[i].Name}); err == nil {
				t.Error("a partial opening opens more")
			}
		}
		list[n/2].F[0]++
		if _, err := whole.Check(list); err == nil {
			t.Error("other weights are taken for the committed ones")
		}
		if _, err := whole.Open(list, nil); err == nil {
			t.Error("other weights are opened")
		}
	}
}

// FuzzParseOpening wants an error or an opening that checks nothing which was not committed to, whatever the file says.
func FuzzParseOpening(f *testing.F) {
	list, seed := tensors(3), Seed{1}
	r, err := Commit(seed, list)
	if err != nil {
		f.Fatal(err)
	}
	whole := &Opening{Root: r, Tensors: 3, Seed: &seed}
	some, err := whole.Open(list, []string{"w001"})
	if err != nil {
		f.Fatal(err)
	}
	for _, o := range []*Opening{whole, some} {
		file := filepath.Join(f.TempDir(), "o")
		if err := o.Write(file); err != nil {
			f.Fatal(err)
		}
		x, err := ReadOpening(file)
		if err != nil || x.Root != r {
			f.Fatal(err)
		}
	}
	text := fmt.Sprintf(`"commitment":"%s"`, r)
	for _, s := range []string{``, `null`, `[]`, `{}`, `{` + text + `}`,
		`{"format":"smpcc weights opening 1",` + text + `,"tensors":3,"seed":"00"}`,
		`{"format":"smpcc weights opening 1",` + text + `,"tensors":-1,"seed":"` + strings.Repeat("00", 32) + `"}`,
		`{"format":"smpcc weights opening 1",` + text + `,"tensors":3,"seed":"` + strings.Repeat("00", 32) + `"}`,
		`{"format":"smpcc weights partial opening 1",` + text + `,"tensors":1000000,"open":[{"name":"w001","rank":7,"salt":"` + strings.Repeat("00", 32) + `","beside":[]}]}`,
		`{"format":"smpcc weights partial opening 1",` + text + `,"tensors":9,"open":[{"name":"w001","rank":9,"salt":"` + strings.Repeat("00", 32) + `","beside":[]}]}`,
		`{"format":"smpcc weights partial opening 1",` + text + `,"tensors":2,"open":[{"name":"","rank":0,"salt":"","beside":null}]}`} {
		f.Add([]byte(s))
	}
	wrong := tensors(3)
	for i := range wrong {
		wrong[i].F[0] += 0.5
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := ParseOpening(data)
		if err != nil {
			return
		}
		if n, err := o.Check(wrong); err == nil && o.Root == r {
			t.Errorf("%d weights that were not committed to are taken for those of %s", n, r)
		}
	})
}

func TestParseRoot(t *testing.T) {
	r := Root{1, 255}
	if got, err := ParseRoot(r.String()); err != nil || got != r {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "weights:", "weights:00", strings.ToUpper(r.String()), r.String() + "00", strings.TrimPrefix(r.String(), Prefix), "weights:" + strings.Repeat("AB", 32)} {
		if _, err := ParseRoot(s); err == nil {
			t.Errorf("%q is taken for a commitment", s)
		}
	}
}
