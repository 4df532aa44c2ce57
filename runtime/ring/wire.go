package ring

// A reading says how the public part of a wire is read as a number.
type reading struct{ half, low, top uint64 }

// readingOf returns the reading of a wire of the given bits, at least 2, whose value is below 2^(bits-2) in magnitude; 0 for a wire as wide as
// the ring.
func readingOf(bits int) reading {
	if bits == 0 {
		return reading{low: ^uint64(0)}
	}
	return reading{1 << (bits - 2), lowBits(bits), 1 << (bits - 1)}
}

// of returns the public number P and all ones if the mask is to be read as R1, zeros if as R0.
func (r reading) of(m uint64) (p, t uint64) {
	u := (m + r.half) & r.low
	return u - r.half, -((u&r.top | -(u & r.top)) >> 63)
}

// Finish computes d = first*P - [R_t]: a share of the value of a wire m of nbits bits, from shares of R_0 and R_1. P is m + 2^(nbits-2) mod 2^nbits,
// less 2^(nbits-2), and t the top bit of that sum; first is 1 for one party and 0 for the others. d may be a source.
func Finish(d, m, r0, r1 []uint64, nbits int, first uint64) {
	n := len(d)
	m, r0, r1 = m[:n], r0[:n], r1[:n]
	w := readingOf(nbits)
	if v := active.lanes; v != nil {
		if n > 0 {
			v.finish(&d[0], &m[0], &r0[0], &r1[0], n, w.half, w.low, w.top, -first)
		}
		return
	}
	for i := range d {
		p, t := w.of(m[i])
		d[i] = first*p - (r0[i] ^ (r0[i]^r1[i])&t)
	}
}

// WireMul computes d = P_x*(first*P_y - [R_y]) - P_y*[R_x] + [K]: a share of the product of the values of two wires, with P and R of each as in Finish
// and K the product of the masks so read. The sources v are m_x, [R_x0], [R_x1], m_y, [R_y0], [R_y1] and [K_00], [K_01], [K_10], [K_11], the
// reading of x first. bits is 0 for a wire as wide as the ring, whose mask is R_0. d may be a source. (ABY2.0, with wires narrower than the ring.)
func WireMul(d []uint64, v [][]uint64, bitsx, bitsy int, first uint64) {
	n := len(d)
	x, y := readingOf(bitsx), readingOf(bitsy)
	mx, rx0, rx1, my, ry0, ry1 := v[0][:n], v[1][:n], v[2][:n], v[3][:n], v[4][:n], v[5][:n]
	k00, k01, k10, k11 := v[6][:n], v[7][:n], v[8][:n], v[9][:n]
	if l := active.lanes; l != nil {
		if n > 0 {
			l.wireMul(&d[0], &mx[0], &rx0[0], &rx1[0], &my[0], &ry0[0], &ry1[0], &k00[0], &k01[0], &k10[0], &k11[0], n, x.half, x.low, x.top, y.half, y.low, y.top, -first)
		}
		return
	}
	for i := range d {
		px, tx := x.of(mx[i])
		py, ty := y.of(my[i])
		rx, ry := rx0[i]^(rx0[i]^rx1[i])&tx, ry0[i]^(ry0[i]^ry1[i])&ty
		k0, k1 := k00[i]^(k00[i]^k01[i])&ty, k10[i]^(k10[i]^k11[i])&ty
		d[i] = px*(first*py-ry) - py*rx + (k0 ^ (k0^k1)&tx)
	}
}
