package ring

import "math/bits"

// expFactors are exp(-2^j) * 2^64 for j = 5, 4, ..., -12.
var expFactors = [18]uint64{0x3908d, 0x1e355bbaee8, 0x15fc21041027ad, 0x4b0556e084f3d1e, 0x22a555477f039740, 0x5e2d58d8b3bcdf1b, 0x9b4597e37cb04ff4,
	0xc75f7cf564105743, 0xe1eb51276c110c3c, 0xf07d5fde38151e73, 0xf81fab5445aebc8a, 0xfc07f55ff77d2494, 0xfe01feab551127cc,
	0xff007fd55ffdde39, 0xff801ffaab554446, 0xffc007ff555fff77, 0xffe001ffeaab5551, 0xfff0007ffd556000}

// expNeg returns exp(-z / 2^48) * 2^63 for z < 2^54, within 2^12. Time and memory access do not depend on z. It computes with integers
// alone: parties on different machines must multiply shares by the same numbers.
func expNeg(z uint64) uint64 {
	w := z & (1<<36 - 1) << 15 // the rest below 2^-12, with 63 fraction bits
	y := uint64(1)<<63 - w
	w2, _ := bits.Mul64(w, w<<1) // w^2
	w3, _ := bits.Mul64(w2, w<<1)
	y += w2/2 - w3/6
	for j, f := range expFactors {
		hi, _ := bits.Mul64(y, f)
		on := -(z >> (53 - j) & 1)
		y ^= (y ^ hi) & on
	}
	return y
}

// scaled returns k * y / 2^63 rounded, for k < 2^63.
func scaled(y, k uint64) uint64 {
	hi, lo := bits.Mul64(y, k<<1)
	return hi + lo>>63
}

// Expo computes d = E(m) * G_t for public m and shares of G_0 and G_1 that Decay gives for the mask of m: t is the top bit of
// u = m + 2^(nbits-2) mod 2^nbits, and E(m) is exp(-(2^(nbits-1) - u mod 2^(nbits-1)) * rate/2^48) with frac fraction bits, rounded.
// 2^nbits * rate is below 2^54. d must not overlap a source.
func Expo(d, m, g0, g1 []uint64, nbits int, rate uint64, frac int) {
	n := len(d)
	m, g0, g1 = m[:n], g0[:n], g1[:n]
	half, low := uint64(1)<<(nbits-2), lowBits(nbits-1)
	if l := active.lanes; l != nil {
		if n > 0 {
			l.expo(&d[0], &m[0], &g0[0], &g1[0], n, half, low, low+1, rate, 2<<frac, &expFactors[0])
		}
		return
	}
	for i := range d {
		u := m[i] + half
		t := -(u >> (nbits - 1) & 1)
		d[i] = scaled(expNeg((low+1-u&low)*rate), 1<<frac) * (g0[i] ^ (g0[i]^g1[i])&t)
	}
}

// Decay computes d = gain * exp(-a * rate/2^48) rounded, a = r + 2^(nbits-1) mod 2^nbits for t = 0 and r mod 2^nbits for t = 1. r is
// secret: time and memory access do not depend on it. 2^nbits * rate is below 2^54, gain below 2^63.
func Decay(d, r []uint64, nbits, t int, rate, gain uint64) {
	r = r[:len(d)]
	add, low := uint64(1-t)<<(nbits-1), lowBits(nbits)
	if l := active.lanes; l != nil {
		if len(d) > 0 {
			l.decay(&d[0], &r[0], len(d), add, low, rate, 2*gain, &expFactors[0])
		}
		return
	}
	for i := range d {
		d[i] = scaled(expNeg(((r[i]+add)&low)*rate), gain)
	}
}
