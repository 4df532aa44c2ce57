// Package commit binds an owner to tensors without showing them: a salted Merkle tree over the tensors of a model as they were before any compilation, whose root is
// public. The root hides tensors, their names and shapes; whoever is shown a tensor and its opening knows that it was that one.
//
// Tensor i, by name, is the leaf
//
//	leaf_i = SHA-256("smpcc weights 1 leaf\n" | salt_i | name | elem | rank | dims | data)
//	salt_i = HMAC-SHA-256(seed, "smpcc weights 1 salt\n" | name)
//
// with lengths before what is of variable length, dims and elements as 8 bytes, little end first: the bits of a float64, or an integer. Inner nodes and the
// root are
//
//	node = SHA-256("smpcc weights 1 node\n" | left | right),  root = SHA-256("smpcc weights 1 root\n" | number of tensors | top node)
//
// where the left subtree of n leaves has the largest power of two below n (as in RFC 6962, section 2.1). Salts are uniform to whoever has not the seed (HMAC is a
// pseudorandom function), so that leaves that are not opened hide what they are of, as far as SHA-256 behaves as a random function; that an owner cannot open one
// root in two ways rests on its collision resistance. An opening of one tensor tells of the others their number, and its rank by name.
package commit

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math"
	"slices"
	"strings"
)

// Prefix begins a commitment in text.
const Prefix = "weights:"

// Limits on what an opening may say.
const (
	maxTensors = 1 << 20
	maxName    = 1 << 12
	maxRank    = 32
)

// A Tensor is one tensor as its owner has it: F holds reals, I integers and booleans.
type Tensor struct {
	Name  string
	Elem  string // real, int or bool
	Shape []int
	F     []float64
	I     []int64
}

// A Root is what is public of the tensors.
type Root [sha256.Size]byte

// String renders a commitment as policies and approvals name it.
func (r Root) String() string { return Prefix + hex.EncodeToString(r[:]) }

// ParseRoot reads a commitment.
func ParseRoot(s string) (r Root, err error) {
	text, ok := strings.CutPrefix(s, Prefix)
	b, err := hex.DecodeString(text)
	if !ok || err != nil || len(b) != len(r) || text != strings.ToLower(text) {
		return r, fmt.Errorf("%q is not a commitment to weights (%sHEX, 64 digits)", clip(s), Prefix)
	}
	copy(r[:], b)
	return r, nil
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 80)], "?") }

// A Seed is what salts are made of. It stays with the owner.
type Seed [32]byte

// NewSeed draws a seed.
func NewSeed() (s Seed, err error) {
	_, err = rand.Read(s[:])
	return s, err
}

// salt returns the salt of a tensor's leaf.
func (s Seed) salt(name string) [32]byte {
	m := hmac.New(sha256.New, s[:])
	m.Write([]byte("smpcc weights 1 salt\n"))
	m.Write([]byte(name))
	return [32]byte(m.Sum(nil))
}

// check refuses a tensor that has no one form.
func (t *Tensor) check() error {
	n := 1
	for _, d := range t.Shape {
		if d < 0 || d > 1<<31 || n > 1<<40 {
			return fmt.Errorf("weight %q: shape %v", clip(t.Name), t.Shape)
		}
		n *= d
	}
	have, other := len(t.I), len(t.F)
	if t.Elem == "real" {
		have, other = other, have
	}
	switch {
	case t.Name == "" || len(t.Name) > maxName || len(t.Shape) > maxRank:
		return fmt.Errorf("weight %q: its name or its shape %v is too long", clip(t.Name), t.Shape)
	case t.Elem != "real" && t.Elem != "int" && t.Elem != "bool":
		return fmt.Errorf("weight %q: elements are %q", clip(t.Name), clip(t.Elem))
	case have != n || other != 0:
		return fmt.Errorf("weight %q: %d elements for shape %v", clip(t.Name), have, t.Shape)
	}
	return nil
}

// leaf hashes a tensor under a salt.
func (t *Tensor) leaf(salt [32]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte("smpcc weights 1 leaf\n"))
	h.Write(salt[:])
	text(h, t.Name)
	text(h, t.Elem)
	number(h, uint64(len(t.Shape)))
	for _, d := range t.Shape {
		number(h, uint64(d))
	}
	block := make([]byte, 0, 8*512)
	put := func(x uint64) {
		if block = binary.LittleEndian.AppendUint64(block, x); len(block) == cap(block) {
			h.Write(block)
			block = block[:0]
		}
	}
	for _, x := range t.F {
		put(math.Float64bits(x))
	}
	for _, x := range t.I {
		put(uint64(x))
	}
	h.Write(block)
	return [32]byte(h.Sum(nil))
}

func number(h hash.Hash, x uint64) { h.Write(binary.LittleEndian.AppendUint64(nil, x)) }

func text(h hash.Hash, s string) {
	number(h, uint64(len(s)))
	h.Write([]byte(s))
}

func node(left, right [32]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte("smpcc weights 1 node\n"))
	h.Write(left[:])
	h.Write(right[:])
	return [32]byte(h.Sum(nil))
}

func root(n int, top [32]byte) Root {
	h := sha256.New()
	h.Write([]byte("smpcc weights 1 root\n"))
	number(h, uint64(n))
	h.Write(top[:])
	return Root(h.Sum(nil))
}

// split returns the largest power of two below n, which is at least 2.
func split(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

// top returns the node above all leaves.
func top(leaves [][32]byte) [32]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := split(len(leaves))
	return node(top(leaves[:k]), top(leaves[k:]))
}

// path returns the nodes beside the way from leaf i to the top, the lowest first.
func path(leaves [][32]byte, i int) [][32]byte {
	if len(leaves) == 1 {
		return nil
	}
	k := split(len(leaves))
	if i < k {
		return append(path(leaves[:k], i), top(leaves[k:]))
	}
	return append(path(leaves[k:], i-k), top(leaves[:k]))
}

// climb returns the top of n leaves from leaf i and what stands beside its way, and what is left of that.
func climb(leaf [32]byte, i, n int, beside [][32]byte) ([32]byte, [][32]byte, error) {
	if n == 1 {
		return leaf, beside, nil
	}
	k := split(n)
	left := i < k
	if left {
		n = k
	} else {
		i, n = i-k, n-k
	}
	below, rest, err := climb(leaf, i, n, beside)
	if err == nil && len(rest) == 0 {
		err = errors.New("the opening is too short")
	}
	if err != nil {
		return leaf, nil, err
	}
	if left {
		return node(below, rest[0]), rest[1:], nil
	}
	return node(rest[0], below), rest[1:], nil
}

// sorted checks tensors and returns them by name.
func sorted(tensors []Tensor) ([]Tensor, error) {
	if len(tensors) == 0 || len(tensors) > maxTensors {
		return nil, fmt.Errorf("%d weights cannot be bound; 1 to %d can", len(tensors), maxTensors)
	}
	out := slices.Clone(tensors)
	slices.SortFunc(out, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	for i := range out {
		if err := out[i].check(); err != nil {
			return nil, err
		}
		if i > 0 && out[i].Name == out[i-1].Name {
			return nil, fmt.Errorf("weight %q is given twice", clip(out[i].Name))
		}
	}
	return out, nil
}

func (s Seed) leaves(list []Tensor) [][32]byte {
	out := make([][32]byte, len(list))
	for i := range list {
		out[i] = list[i].leaf(s.salt(list[i].Name))
	}
	return out
}

// Commit returns the commitment to tensors under a seed. Their order does not matter.
func Commit(seed Seed, tensors []Tensor) (Root, error) {
	list, err := sorted(tensors)
	if err != nil {
		return Root{}, err
	}
	return root(len(list), top(seed.leaves(list))), nil
}
