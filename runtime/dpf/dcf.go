package dpf

import "smpcc/backend/plan"

// Keys of comparisons that carry values: with one for the mask r of a wire x = m - r mod 2^N each party computes an additive share of
// max(x, 0) from the public m alone. (Distributed comparison functions: Boyle, Gilboa, Ishai, TCC 2019; Boyle, Chandran, Gilboa, Gupta,
// Ishai, Kumar, Rathee, EUROCRYPT 2021, on the half-tree of this package.)
//
// Let t and s be the top bits of m and r, and lt = [m < r] without them. Then x >= 0 is U = s XOR lt if t is 1, and 1 - U if not. Where x >= 0,
// x = m - r, but m - (r - 2^N s) if t is 0, and where U is 0 at the same time s and lt are equal, so that with
//
//	U = s + (1-2s) lt      V = U r      W = r - 2^N s lt
//
// the parties need shares of these three only:
//
//	max(x, 0) = m U - V                      if t is 1
//	            m (1-U) - (W - V)            if t is 0
//
// They are c + lt b with numbers b, c of the mask. lt is 1 if the way to m leaves the way to r to the left, at one level i of the N-1 and no
// other: at a bit 0 of m and 1 of r. So at each level where m has a bit 0 party p adds
//
//	(-1)^p (G_j(x) + t v_ij),      v_ij = (t_0 - t_1) (r_i b_j - G_j(x_0) + G_j(x_1))
//
// x its node above that level and t its lowest bit: beside the way to r both parties' terms are the same and cancel, on it they give r_i b_j. The
// root is always on it: c_j is released there, without a condition. The last level has no node below it, so that it needs no correction word
// but those of values.
//
// G_j is 64 bits of H(x XOR j), j = 1, 2, ... the number of the block in its upper word, and what is released at the root has numbers of
// its own: to H these are inputs like all nodes, none of which occurs twice but for a chance of 2^-127 a pair, so H's circular correlation
// robustness makes all H(x XOR j XOR Delta) uniform to who does not know Delta. Numbers mod 2^ring are cut out of the 64 bits,
// as many as fit, and each is added in its own field.
//
// Cost at N bits and two words of values a level: 32 (N-1) + 8 bytes of key, 2N blocks of AES for a party, twice as many for the dealer.

// What is hashed besides a node, where its values are made and where constants are.
const (
	levelTweak = 1 // and 2 where a level has three words
	rootTweak  = 3 // and 4
)

// The numbers of a key.
const (
	ofU = iota
	ofV
	ofW
	numbers
)

// ReluKeys writes the correction words of keys from..from+len(masks)-1 of n, at most Tile, for ReLU of wires of the given bits with results mod
// 2^ring: into words, n times plan.DCFWords(bits, ring) of them, plane by plane. roots are the parties' roots of these keys. masks and roots are
// secret: time and memory access do not depend on them.
func ReluKeys(words []uint64, n, from int, masks []uint64, roots [2]Block, bits, ring int) {
	s := scratches.Get().(*scratch)
	m := len(masks)
	up := padded(m)
	defer s.release(up)
	s.plant(masks, roots)
	k := releasing{s: s, up: up, words: words, n: n, from: from, m: m}
	low := ^uint64(0) >> (64 - bits)
	for i := range m {
		r := masks[i] & low
		top := r >> (bits - 1)
		s.acc[ofU][i], s.acc[ofV][i], s.acc[ofW][i] = top, -top&r, r
	}
	fields, count := plan.DCFConstants(ring)
	k.release(fields, count, rootTweak, 0)
	for i := range m {
		r := masks[i] & low
		top := r >> (bits - 1)
		s.acc[ofU][i], s.acc[ofV][i], s.acc[ofW][i] = 1-2*top, (1-2*top)*r, top
	}
	fields, count = plan.DCFValues(bits, ring)
	for i := range plan.DCFLevels(bits) {
		bit := uint64(1) << (bits - 2 - i)
		k.release(fields, count, levelTweak, bit)
		if bit == 1 {
			break
		}
		active.grow(s.clo[:up], s.chi[:up], s.lo[:up], s.hi[:up], s.dlo[:up], s.dhi[:up], s.at[:up], bit)
		k.put(s.clo[:])
		k.put(s.chi[:])
	}
}

// releasing is a tile of keys being made, plane by plane.
type releasing struct {
	s          *scratch
	up         int
	words      []uint64
	n, from, m int
	planes     int // written so far
}

// put writes the next plane.
func (k *releasing) put(w []uint64) {
	copy(k.words[k.planes*k.n+k.from:][:k.m], w)
	k.planes++
}

// release writes the planes of words that give the sum of both parties the numbers in acc, where the points have the bit; everywhere for bit 0.
func (k *releasing) release(fields []plan.Field, count int, tweak, bit uint64) {
	s, up := k.s, k.up
	for w := 0; w < count; w += 2 {
		active.hash(s.glo[:up], s.ghi[:up], s.lo[:up], s.hi[:up], tweak+uint64(w/2))
		for i := range up {
			s.clo[i], s.chi[i] = s.lo[i]^s.dlo[i], s.hi[i]^s.dhi[i]
		}
		active.hash(s.hlo[:up], s.hhi[:up], s.clo[:up], s.chi[:up], tweak+uint64(w/2))
		for half, g := range [2][2]*[Tile]uint64{{&s.glo, &s.hlo}, {&s.ghi, &s.hhi}} {
			if w+half == count {
				break
			}
			clear(s.clo[:up])
			for j, f := range fields {
				if f.Word != w+half {
					continue
				}
				active.give(s.clo[:up], s.acc[j][:up], g[0][:up], g[1][:up], s.lo[:up], s.at[:up], bit, ^uint64(0)>>(64-f.Bits), uint64(f.Shift))
			}
			k.put(s.clo[:])
		}
	}
}

// Relu computes additive shares d mod 2^ring of max(x, 0), x = m - r a signed number of the given bits, at the public points m, at most Tile.
// They are points from.. of all; point i is for key i/per of n. words are as ReluKeys made them, and roots all roots of the party, the second one or
// the first, plane by plane.
func Relu(d, points, roots, words []uint64, n, from, per, bits, ring int, second bool) {
	s := scratches.Get().(*scratch)
	m := len(d)
	up := padded(m)
	defer s.release(up)
	s.stand(points[:m], roots, n, from, per, second)
	lo, hi, at := s.lo[:up], s.hi[:up], s.at[:up]
	planes := 0
	next := func(buf *[Tile]uint64) []uint64 {
		planes++
		return plane(words, planes-1, n, from, m, per, buf[:])
	}
	take := func(fields []plan.Field, count int, tweak, bit uint64, acc ...*[Tile]uint64) {
		for w := 0; w < count; w += 2 {
			active.hash(s.glo[:up], s.ghi[:up], lo, hi, tweak+uint64(w/2))
			for half, g := range []*[Tile]uint64{&s.glo, &s.ghi} {
				if w+half == count {
					break
				}
				v := next(&s.clo)
				for j, f := range fields {
					if f.Word == w+half {
						active.take(acc[j][:up], g[:up], v, lo, at, bit, uint64(f.Shift))
					}
				}
			}
		}
	}
	fields, count := plan.DCFConstants(ring)
	take(fields, count, rootTweak, 0, &s.acc[ofU], &s.acc[ofV], &s.acc[ofW])
	fields, count = plan.DCFValues(bits, ring)
	for i := range plan.DCFLevels(bits) {
		bit := uint64(1) << (bits - 2 - i)
		take(fields, count, levelTweak, bit, &s.acc[ofU], &s.acc[ofV], &s.wrap)
		if bit == 1 {
			break
		}
		clo := next(&s.clo)
		active.walk(s.hlo[:up], lo, hi, clo, next(&s.chi), at, bit, 0)
	}
	low := ^uint64(0) >> (64 - bits)
	first, minus := uint64(1), uint64(0)
	if second {
		first, minus = 0, ^uint64(0)
	}
	for i := range d {
		m := points[i] & low
		u, v, w := s.acc[ofU][i], s.acc[ofV][i], s.acc[ofW][i]-s.wrap[i]<<bits
		u, v, w = u^minus-minus, v^minus-minus, w^minus-minus
		if m>>(bits-1) == 1 { // the point is public
			d[i] = m*u - v
		} else {
			d[i] = m*(first-u) - w + v
		}
	}
}
