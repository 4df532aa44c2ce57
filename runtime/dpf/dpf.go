// Package dpf makes and evaluates keys of distributed point functions for two parties: from a secret point r the dealer makes
// correction words; with them and a root of its own each party computes, at any public point a, an XOR share of [a < r] or of
// [a = r] without a message.
//
// A root is a block of 128 bits that its party draws from its own stream, its lowest bit cleared for the first party and set for
// the second. Delta = root_0 XOR root_1 is the dealer's secret. On the way from the root to r, most significant bit first, both
// parties' nodes differ by Delta, hence in their lowest bit t; beside it they are the same:
//
//	c_i      = H(x_0) XOR H(x_1) XOR (1 - r_i) Delta       x_0, x_1 the parties' nodes on the way to r
//	child_b  = H(x) XOR b x XOR t c_i                       b the public point's bit
//
// Below the last level the hashes of the nodes, XORed and corrected by c = H(x_0) XOR H(x_1) XOR T, hold T on the way and 0 beside
// it: T has bits j < r mod 128 set (less) or bit r mod 128 (equal), and the public point's lowest seven bits choose one. Besides,
// a < r if the way to a leaves the way to r to the left: the sum of t before and behind each bit 0 of a is 1 exactly there. So the
// share is the XOR of these t and of the bit chosen. (Half-tree of Guo, Yang, Wang, Zhang, Xie, Zhang, Liu, EUROCRYPT 2023;
// early termination of Boyle, Gilboa, Ishai, CCS 2016; comparison by the control bits of prefixes, as with keys for each of them.)
//
// H(x) = pi(sigma(x)) XOR sigma(x), sigma(lo, hi) = (hi, hi XOR lo), pi AES-128 under a fixed public key: correlation robust also
// where Delta is in what is hashed and in what is added (circular), if pi is an ideal permutation (Guo, Katz, Wang, Yu, IEEE S&P
// 2020). Delta is uniform in 127 bits; all nodes on the way to r are different inputs but for a chance of 2^-127 a pair. To one party the correction words are then pseudorandom, whatever r is.
//
// Cost at B bits: max(0, B-7) + 1 blocks of key and of AES for a party, twice as many of AES for the dealer.
//
// Keys for ReLU besides carry values along the same tree: both parties get additive shares of max(m - r, 0); see ReluKeys.
package dpf

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"smpcc/backend/plan"
)

// Tile is the most keys that one call makes or evaluates: their nodes stay in the cache on the way down.
const Tile = 512

// A Block is 128-bit blocks in two planes: lower words, upper words.
type Block [2][]uint64

// fixedKey is the public key of pi: the first half of a hash of a name.
var fixedKey = func() (k [16]byte) {
	h := sha256.Sum256([]byte("smpcc distributed point function"))
	copy(k[:], h[:])
	return k
}()

// A kernel does one step of many keys. All slices have the length of acc or clo, a multiple of pad.
type kernel struct {
	name string
	// walk replaces each node by its child at the bit of the point and adds to acc the lowest bits of both, AND keep, where it is 0.
	walk func(acc, lo, hi, clo, chi, at []uint64, bit, keep uint64)
	// look adds to acc the bit that the point, AND mask, chooses of the block of a leaf.
	look func(acc, lo, hi, clo, chi, at []uint64, mask uint64)
	// grow writes the correction words of a level and replaces each node of the first party by its child on the way to the point.
	grow func(clo, chi, lo, hi, dlo, dhi, at []uint64, bit uint64)
	// pair writes H(node) XOR H(node XOR delta).
	pair func(clo, chi, lo, hi, dlo, dhi []uint64)
	// hash writes H(node XOR tweak), tweak in the upper word.
	hash func(glo, ghi, lo, hi []uint64, tweak uint64)
	// take adds to acc, where the point has a bit 0, the upper bits of g from shift on, and those of v where the node's lowest bit is set.
	take func(acc, g, v, lo, at []uint64, bit, shift uint64)
	// give sets c's bits of low << shift, which are 0, to beta where the secret point has the bit, or bit is 0, and to 0 elsewhere, less the upper
	// bits of g0 from shift on, and plus those of g1; with the other sign where the first party's node is even.
	give func(c, beta, g0, g1, lo, at []uint64, bit, low, shift uint64)
}

// pad is the number of keys that kernels treat at a time.
const pad = 32

// active is the fastest kernel that this processor can run; SMPCC_KERNEL, which chooses the kernels of package ring, may ask for less.
var active = kernels()[0]

// A scratch is what is worked on of a tile.
type scratch struct {
	acc                            [numbers][Tile]uint64 // of which comparisons use the first
	wrap                           [Tile]uint64
	at, lo, hi, dlo, dhi, clo, chi [Tile]uint64
	glo, ghi, hlo, hhi             [Tile]uint64
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// release clears what was worked on for n keys and gives it back.
func (s *scratch) release(n int) {
	for _, x := range []*[Tile]uint64{&s.acc[ofU], &s.acc[ofV], &s.acc[ofW], &s.wrap, &s.at, &s.lo, &s.hi, &s.dlo, &s.dhi, &s.clo, &s.chi, &s.glo, &s.ghi, &s.hlo, &s.hhi} {
		clear(x[:n])
	}
	scratches.Put(s)
}

// plant sets secret points, the first party's nodes to its roots, and the difference of both parties'.
func (s *scratch) plant(points []uint64, roots [2]Block) {
	copy(s.at[:], points)
	for i := range points {
		lo, hi := roots[0][0][i]&^1, roots[0][1][i]
		s.lo[i], s.hi[i] = lo, hi
		s.dlo[i], s.dhi[i] = lo^(roots[1][0][i]|1), hi^roots[1][1][i]
	}
}

// stand sets public points from.. of all, per of which belong to a key, and the nodes to their keys' roots of a party.
func (s *scratch) stand(points, roots []uint64, n, from, per int, second bool) {
	m := len(points)
	copy(s.at[:], points)
	copy(s.lo[:], plane(roots, 0, n, from, m, per, s.clo[:])[:m])
	copy(s.hi[:], plane(roots, 1, n, from, m, per, s.clo[:])[:m])
	for i := range m {
		s.lo[i] &^= 1
		if second {
			s.lo[i] |= 1
		}
	}
}

// padded returns the least length of whole kernel steps for n keys.
func padded(n int) int { return (n + pad - 1) / pad * pad }

// plane returns the words of plane k, planes of n keys, that belong to points from..from+m-1, per of which belong to a key: in place if
// kernels can read them there, else a copy in buf.
func plane(words []uint64, k, n, from, m, per int, buf []uint64) []uint64 {
	if per > 1 {
		key, left := from/per, per-from%per
		for i := 0; i < m; key, left = key+1, per {
			w := words[k*n+key]
			for end := min(m, i+left); i < end; i++ {
				buf[i] = w
			}
		}
		return buf[:padded(m)]
	}
	p := words[k*n+from : k*n+from+m : k*n+from+m]
	if m%pad == 0 {
		return p
	}
	copy(buf, p)
	return buf[:padded(m)]
}

// Keys writes the correction words of keys from..from+len(points)-1 of n, at most Tile, for the lowest bits of points: into words, n
// times plan.DPFWords(bits) of them, plane by plane. roots are the parties' roots of these keys. points and roots are secret: time and
// memory access do not depend on them.
func Keys(words []uint64, n, from int, points []uint64, roots [2]Block, bits, kind int) {
	s := scratches.Get().(*scratch)
	m := len(points)
	up := padded(m)
	defer s.release(up)
	s.plant(points, roots)
	at, lo, hi, dlo, dhi, clo, chi := s.at[:up], s.lo[:up], s.hi[:up], s.dlo[:up], s.dhi[:up], s.clo[:up], s.chi[:up]
	put := func(level int) {
		copy(words[2*level*n+from:][:m], clo)
		copy(words[(2*level+1)*n+from:][:m], chi)
	}
	levels := plan.DPFLevels(bits)
	for i := range levels {
		active.grow(clo, chi, lo, hi, dlo, dhi, at, 1<<(bits-1-i))
		put(i)
	}
	active.pair(clo, chi, lo, hi, dlo, dhi)
	mask := leafMask(bits)
	for i := range m {
		j := at[i] & mask
		tlo, thi := uint64(1)<<j, uint64(1)<<(j-64) // shifts by 64 and more give 0
		if kind == plan.DPFLess {
			upper := -(j >> 6) // all ones if j >= 64
			tlo, thi = tlo-1|upper, (thi-1)&upper
		}
		clo[i] ^= tlo
		chi[i] ^= thi
	}
	put(levels)
}

// leafMask returns the bits of a point that are looked up in a leaf.
func leafMask(bits int) uint64 { return 1<<min(bits, plan.DPFLeaf) - 1 }

// Eval computes XOR shares d of [a < r] (plan.DPFLess) or [a = r] (plan.DPFEqual) on the lowest bits of the public points a, at most Tile.
// They are points from.. of all; point i is for key i/per of n. words are as Keys made them, and roots all roots of the party, the
// second one or the first, plane by plane.
func Eval(d, points, roots, words []uint64, n, from, per, bits, kind int, second bool) {
	s := scratches.Get().(*scratch)
	m := len(d)
	up := padded(m)
	defer s.release(up)
	s.stand(points[:m], roots, n, from, per, second)
	acc, at, lo, hi := s.acc[0][:up], s.at[:up], s.lo[:up], s.hi[:up]
	keep := uint64(0)
	if kind == plan.DPFLess {
		keep = 1
	}
	levels := plan.DPFLevels(bits)
	block := func(level int) (clo, chi []uint64) {
		return plane(words, 2*level, n, from, m, per, s.clo[:]), plane(words, 2*level+1, n, from, m, per, s.chi[:])
	}
	for i := range levels {
		clo, chi := block(i)
		active.walk(acc, lo, hi, clo, chi, at, 1<<(bits-1-i), keep)
	}
	clo, chi := block(levels)
	active.look(acc, lo, hi, clo, chi, at, leafMask(bits))
	copy(d, acc)
}

// permutation is pi for the portable kernel.
var permutation = func() cipher.Block {
	b, err := aes.NewCipher(fixedKey[:])
	if err != nil {
		panic(err) // a key of 16 bytes is one of AES-128
	}
	return b
}()

// hash returns H of a block; b is room for it.
func hash(b *[16]byte, lo, hi uint64) (uint64, uint64) {
	lo, hi = hi, hi^lo
	binary.LittleEndian.PutUint64(b[:8], lo)
	binary.LittleEndian.PutUint64(b[8:], hi)
	permutation.Encrypt(b[:], b[:])
	return lo ^ binary.LittleEndian.Uint64(b[:8]), hi ^ binary.LittleEndian.Uint64(b[8:])
}

// portable runs anywhere.
var portable = &kernel{
	name: "portable",
	walk: func(acc, lo, hi, clo, chi, at []uint64, bit, keep uint64) {
		b := new([16]byte)
		for i := range acc {
			l, h := lo[i], hi[i]
			t, right := -(l & 1), uint64(0)
			if at[i]&bit != 0 { // the point is public
				right = ^right
			}
			nl, nh := hash(b, l, h)
			lo[i], hi[i] = nl^l&right^clo[i]&t, nh^h&right^chi[i]&t
			acc[i] ^= (l ^ lo[i]) & keep &^ right
		}
	},
	look: func(acc, lo, hi, clo, chi, at []uint64, mask uint64) {
		b := new([16]byte)
		for i := range acc {
			t := -(lo[i] & 1)
			l, h := hash(b, lo[i], hi[i])
			l, h = l^clo[i]&t, h^chi[i]&t
			j := at[i] & mask
			if j >= 64 { // public, too
				l = h
			}
			acc[i] ^= l >> (j & 63) & 1
		}
	},
	grow: func(clo, chi, lo, hi, dlo, dhi, at []uint64, bit uint64) {
		b := new([16]byte)
		for i := range clo {
			l, h := lo[i], hi[i]
			right := -((at[i]&bit | -(at[i] & bit)) >> 63) // all ones if the secret point has the bit
			t := -(l & 1)
			l0, h0 := hash(b, l, h)
			l1, h1 := hash(b, l^dlo[i], h^dhi[i])
			clo[i], chi[i] = l0^l1^dlo[i]&^right, h0^h1^dhi[i]&^right
			lo[i], hi[i] = l0^l&right^clo[i]&t, h0^h&right^chi[i]&t
		}
	},
	pair: func(clo, chi, lo, hi, dlo, dhi []uint64) {
		b := new([16]byte)
		for i := range clo {
			l0, h0 := hash(b, lo[i], hi[i])
			l1, h1 := hash(b, lo[i]^dlo[i], hi[i]^dhi[i])
			clo[i], chi[i] = l0^l1, h0^h1
		}
	},
	hash: func(glo, ghi, lo, hi []uint64, tweak uint64) {
		b := new([16]byte)
		for i := range glo {
			glo[i], ghi[i] = hash(b, lo[i], hi[i]^tweak)
		}
	},
	take: func(acc, g, v, lo, at []uint64, bit, shift uint64) {
		for i := range acc {
			if at[i]&bit == 0 { // the point is public
				acc[i] += g[i]>>shift + -(lo[i]&1)&(v[i]>>shift)
			}
		}
	},
	give: func(c, beta, g0, g1, lo, at []uint64, bit, low, shift uint64) {
		for i := range c {
			not := at[i]&bit ^ bit
			on := (not|-not)>>63 - 1 // all ones if the point has the bit, or there is none
			minus := lo[i]&1 - 1
			v := beta[i]&on - g0[i]>>shift + g1[i]>>shift
			c[i] |= (v ^ minus - minus) & low << shift
		}
	},
}
