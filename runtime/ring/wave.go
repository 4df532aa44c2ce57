package ring

import "sync"

// Sines and cosines are integers with waveFrac fraction bits, computed with integers alone: parties on different machines must
// multiply shares by the same numbers.
const waveFrac = 30

// Coefficients with waveFrac fraction bits of cos(z*pi/4) in z^2 and of sin(z*pi/4)/z in z^2: (pi/4)^k/k! with alternating signs.
// Left out: less than 2^-33.
var (
	cosTerms = [6]int64{1 << waveFrac, -331168970, 17023473, -350031, 3856, -26}
	sinTerms = [6]int64{843314857, -86699834, 2674041, -39273, 336, -2}
)

// sinCos returns the cosine and sine of an angle in 2^-64 turns, within 2^-27. Time and memory access do not depend on it.
func sinCos(angle uint64) (c, s int64) {
	q := (angle + 1<<61) >> 62    // quarter turns, rounded
	z := int64(angle-q<<62) >> 31 // the rest in eighths of a turn, with waveFrac fraction bits
	z2 := z * z >> waveFrac
	c, s = cosTerms[5], sinTerms[5]
	for i := 4; i >= 0; i-- {
		c, s = c*z2>>waveFrac+cosTerms[i], s*z2>>waveFrac+sinTerms[i]
	}
	s = s * z >> waveFrac
	swap := -int64(q & 1)
	c, s = c^(c^s)&swap, s^(s^c)&swap
	flipC, flipS := -int64((q+1)>>1&1), -int64(q>>1&1)
	return (c ^ flipC) - flipC, (s ^ flipS) - flipS
}

// waveTable holds the cosine and sine of each waveSteps-th of a turn.
var waveTable = sync.OnceValue(func() *[waveSteps][2]int32 {
	t := new([waveSteps][2]int32)
	for i := range t {
		c, s := sinCos(uint64(i) << (64 - waveLog))
		t[i] = [2]int32{int32(c), int32(s)}
	}
	return t
})

const (
	waveLog   = 12
	waveSteps = 1 << waveLog
	arc       = 823550 // 2 pi * 2^17: radians with waveFrac fraction bits in 2^-43 turns, times 2^30
)

// publicSinCos is sinCos for an angle that is public: it indexes a table, and goes on from there by the first two derivatives. The third is
// smaller than 2^-33.
func publicSinCos(t *[waveSteps][2]int32, angle uint64) (c, s int64) {
	i := (angle + 1<<(63-waveLog)) >> (64 - waveLog)
	rest := int64(angle-i<<(64-waveLog)) >> 21 * arc >> waveFrac
	c, s = int64(t[i%waveSteps][0]), int64(t[i%waveSteps][1])
	square := rest * rest >> (waveFrac + 1) // half of it
	return c - (s*rest+c*square)>>waveFrac, s + (c*rest-s*square)>>waveFrac
}

// Wave computes d = C(k*m) * u + S(k*m) * v for public m, where C and S are the cosine and sine of 2 pi / 2^nbits times their argument,
// with frac fraction bits. u and v are shares that Phase gives for the mask of m. frac is at most 24.
func Wave(d, m, u, v []uint64, nbits, k, frac int) {
	n := len(d)
	m, u, v = m[:n], u[:n], v[:n]
	t := waveTable()
	down := waveFrac - frac
	if l := active.lanes; l != nil {
		if n > 0 {
			l.wave(&d[0], &m[0], &u[0], &v[0], n, uint64(k), uint64(64-nbits), uint64(down), &t[0][0])
		}
		return
	}
	half := int64(1) << (down - 1)
	for i := range d {
		c, s := publicSinCos(t, m[i]*uint64(k)<<(64-nbits))
		d[i] = uint64((c+half)>>down)*u[i] + uint64((s+half)>>down)*v[i]
	}
}

// Phase computes d = a*C(k*r) + b*S(k*r) rounded, with C and S as in Wave but exact. r is secret: time and memory access do not depend on
// it. |a| + |b| is below 2^32.
func Phase(d, r []uint64, nbits, k int, a, b int64) {
	r = r[:len(d)]
	const half = 1 << (waveFrac - 1)
	for i := range d {
		c, s := sinCos(r[i] * uint64(k) << (64 - nbits))
		d[i] = uint64((a*c + b*s + half) >> waveFrac)
	}
}
