package oracle

import (
	"math"
	"math/bits"
	"slices"

	"smpcc/backend/plan"
)

// The kinds of groups of chunks, as leaf, merge, group and mono number them.
const (
	less  = 1 // lt of every chunk, eq of all but the last
	equal = 2 // eq of every chunk
)

// low returns 2^n - 1.
func low(n int64) uint64 {
	if n >= 64 {
		return math.MaxUint64
	}
	return 1<<n - 1
}

// elementwise computes one element of an elementwise step for all worlds, from the step's equation in plan.Steps. Steps that draw material are the
// machine's.
func elementwise(s *plan.Step, d []uint64, src [][]uint64) {
	a := s.Args
	switch s.Op {
	case plan.StepZero:
		clear(d)
	case plan.StepAdd, plan.StepSub, plan.StepMul, plan.StepXor, plan.StepAnd:
		x, y := src[0], src[1]
		for w := range d {
			switch s.Op {
			case plan.StepAdd:
				d[w] = x[w] + y[w]
			case plan.StepSub:
				d[w] = x[w] - y[w]
			case plan.StepMul:
				d[w] = x[w] * y[w]
			case plan.StepXor:
				d[w] = x[w] ^ y[w]
			case plan.StepAnd:
				d[w] = x[w] & y[w]
			}
		}
	case plan.StepNeg:
		for w, x := range src[0] {
			d[w] = -x
		}
	case plan.StepShl:
		for w, x := range src[0] {
			d[w] = x << a[0]
		}
	case plan.StepBits:
		for w, x := range src[0] {
			d[w] = x >> a[0] & low(a[1])
		}
	case plan.StepDrop:
		for w, x := range src[0] {
			d[w] = (x + uint64(a[2])) & low(a[0]) >> a[1]
		}
	case plan.StepUnwrap:
		for w, x := range src[0] {
			if d[w] = x; a[0] < 64 && x>>(a[0]-1)&1 == 1 {
				d[w] -= 1 << a[0]
			}
		}
	case plan.StepFinish:
		for w := range d {
			p, t := read(src[0][w], a[0])
			d[w] = uint64(a[1])*p - src[1+t][w]
		}
	case plan.StepReluSel:
		for w := range d {
			m, delta, t := src[0][w], src[1][w], src[0][w]>>(a[0]-1)&1
			k := 1 - 2*delta
			d[w] = m*(uint64(a[1])*delta+k*src[2][w]) - (delta*src[3+t][w] + k*src[5+t][w])
		}
	case plan.StepMulBit:
		for w := range d {
			delta := src[1][w]
			k := 1 - 2*delta
			d[w] = src[0][w]*(uint64(a[0])*delta+k*src[2][w]) - (delta*src[3][w] + k*src[4][w])
		}
	case plan.StepB2A:
		for w := range d {
			d[w] = uint64(a[0])*src[0][w] + (1-2*src[0][w])*src[1][w]
		}
	case plan.StepExtend:
		for w := range d {
			bit := uint64(a[1])*src[1][w] + (1-2*src[1][w])*src[3][w]
			d[w] = uint64(a[1])*src[0][w] - src[2][w] + bit<<uint(a[0])
		}
	case plan.StepWireMul:
		for w := range d {
			px, tx := read(src[0][w], a[0])
			py, ty := read(src[3][w], a[1])
			d[w] = uint64(a[2])*px*py - px*src[4+ty][w] - py*src[1+tx][w] + src[6+2*tx+ty][w]
		}
	case plan.StepWave:
		for w := range d {
			c, q := turn(src[0][w]*uint64(a[1]), a[0])
			scale := math.Ldexp(1, int(a[2]))
			d[w] = uint64(int64(math.Round(c*scale)))*src[1][w] + uint64(int64(math.Round(q*scale)))*src[2][w]
		}
	case plan.StepPhase:
		for w, x := range src[0] {
			c, q := turn(x*uint64(a[1]), a[0])
			d[w] = uint64(int64(math.Round(float64(float64(a[2])*c) + float64(float64(a[3])*q))))
		}
	case plan.StepExpo:
		for w := range d {
			u := (src[0][w] + 1<<(a[0]-2)) & low(a[0])
			z := 1<<(a[0]-1) - u&low(a[0]-1)
			e := math.Exp(-math.Ldexp(float64(z)*float64(a[1]), -48))
			d[w] = uint64(math.Round(math.Ldexp(e, int(a[2])))) * src[1+u>>(a[0]-1)][w]
		}
	case plan.StepDecay:
		for w, x := range src[0] {
			z := (x + uint64(1-a[1])<<(a[0]-1)) & low(a[0])
			d[w] = uint64(math.Round(float64(a[3]) * math.Exp(-math.Ldexp(float64(z)*float64(a[2]), -48))))
		}
	case plan.StepLeaf:
		leaf(d, src[0], src[1:], a)
	case plan.StepOneHot:
		oneHot(d, src[0], a)
	case plan.StepMono:
		sets := products(terms(a[0], a[1]))
		for w, x := range src[0] {
			d[w] = 0
			for i, s := range sets[64*a[2] : min(int64(len(sets)), 64*a[2]+64)] {
				if x&s == s {
					d[w] |= 1 << i
				}
			}
		}
	case plan.StepMerge:
		merge(d, src, a)
	case plan.StepGroup:
		eqs, at := len(src), len(src)
		if a[0] == less {
			eqs--
		}
		if a[0] == equal {
			at = 0
		}
		for w := range d {
			d[w] = 0
			for j := range src {
				if a[0] != equal {
					d[w] |= src[j][w] & 1 << j
				}
				if j < eqs {
					d[w] |= src[j][w] >> 1 & 1 << (at + j)
				}
			}
		}
	default:
		unknown(s)
	}
}

// read returns the public part of a truncated wire and which reading of its mask goes with it; a wire of 0 bits has one only.
func read(m uint64, n int64) (p, t uint64) {
	if n == 0 {
		return m, 0
	}
	u := (m + 1<<(n-2)) & low(n)
	return u - 1<<(n-2), u >> (n - 1)
}

// turn returns cosine and sine of 2 pi x / 2^n.
func turn(x uint64, n int64) (c, s float64) {
	angle := 2 * math.Pi * math.Ldexp(float64(x&low(n)), -int(n))
	return math.Cos(angle), math.Sin(angle)
}

// A place says which chunk a run of bits of a word of one-hots is for, and the value that its first bit stands for.
type place struct{ chunk, base, at, width int64 }

// layout returns, by word, the one-hots of chunks from..from+k-1 of the lowest n bits, size bits each, most significant first: four chunks of 4 bits
// share a word, of wider ones 64 values have a word each.
func layout(n, size, from, k int64) (out [][]place) {
	chunks := (n + size - 1) / size
	for j := from; j < from+k; j++ {
		width := size
		if j == 0 {
			width = n - (chunks-1)*size
		}
		if size == 4 {
			if (j-from)%4 == 0 {
				out = append(out, nil)
			}
			i := len(out) - 1
			out[i] = append(out[i], place{j, 0, (j - from) % 4 * 16, 16})
			continue
		}
		for base := int64(0); base < 1<<width; base += 64 {
			out = append(out, []place{{j, base, 0, int64(min(64, 1<<width))}})
		}
	}
	return out
}

// digit returns chunk j of the lowest n bits of x.
func digit(x uint64, n, size, j int64) int64 {
	chunks := (n + size - 1) / size
	return int64(x & low(n) >> (size * (chunks - 1 - j)) & low(size))
}

// oneHot: args are bits, chunk, from, k, word.
func oneHot(d, r []uint64, a []int64) {
	for w, x := range r {
		d[w] = 0
		for _, p := range layout(a[0], a[1], a[2], a[3])[a[4]] {
			if v := digit(x, a[0], a[1], p.chunk) - p.base; v >= 0 && v < p.width {
				d[w] |= 1 << (p.at + v)
			}
		}
	}
}

// leaf: args are bits, chunk, from, k, kind.
func leaf(d, m []uint64, hot [][]uint64, a []int64) {
	words, k := layout(a[0], a[1], a[2], a[3]), a[3]
	eqs, at := k, k
	if a[4] == less {
		eqs--
	}
	if a[4] == equal {
		at = 0
	}
	for w, x := range m {
		d[w] = 0
		for i, places := range words {
			for _, p := range places {
				j := p.chunk - a[2]
				for v := range p.width {
					bit := hot[i][w] >> (p.at + v) & 1
					switch value := v + p.base; {
					case value > digit(x, a[0], a[1], p.chunk) && a[4] != equal:
						d[w] ^= bit << j
					case value == digit(x, a[0], a[1], p.chunk) && j < eqs:
						d[w] ^= bit << (at + j)
					}
				}
			}
		}
	}
}

// terms returns the products of opened bits that lt and eq are the sums of, as sets of bits of the opened word.
func terms(k, kind int64) (out [2][]uint64) {
	at := k
	if kind == equal {
		at = 0
	}
	all := uint64(0) // eq of the chunks so far
	for j := range k {
		if kind != equal {
			out[0] = append(out[0], all|1<<j)
		}
		all |= 1 << (at + j)
	}
	if kind != less {
		out[1] = []uint64{all}
	}
	return out
}

// products returns all subsets of two or more of the terms, in order.
func products(t [2][]uint64) (out []uint64) {
	for _, t := range append(slices.Clone(t[0]), t[1]...) {
		for s := t; s > 0; s = (s - 1) & t {
			if bits.OnesCount64(s) > 1 {
				out = append(out, s)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// merge: args are k, kind, first; sources are D, the shares of its masks and of their products.
func merge(d []uint64, src [][]uint64, a []int64) {
	t := terms(a[0], a[1])
	sets := products(t)
	for w := range d {
		open, mask := src[0][w], src[1][w]
		d[w] = 0
		for i, list := range t {
			var x uint64
			for _, term := range list {
				for s := term; ; s = (s - 1) & term {
					if rest := term &^ s; open&rest == rest { // the factors of D are 1
						switch bits.OnesCount64(s) {
						case 0:
							x ^= uint64(a[2])
						case 1:
							x ^= mask >> bits.TrailingZeros64(s)
						default:
							at, _ := slices.BinarySearch(sets, s)
							x ^= src[2+at/64][w] >> (at % 64)
						}
					}
					if s == 0 {
						break
					}
				}
			}
			d[w] |= x & 1 << i
		}
	}
}

// whole computes a step that is not elementwise; words have the values of all worlds side by side, and at returns those of an element.
func whole(s *plan.Step, d, a, b buffer) {
	arg := func(i int) int { return int(s.Args[i]) }
	switch s.Op {
	case plan.StepCopy:
		c := plan.CopyOf(s)
		var walk func(k int, src, dst int64)
		walk = func(k int, src, dst int64) {
			if k == len(c.Dims) {
				copy(d.at(int(dst)), a.at(int(src)))
				return
			}
			for i := range c.Dims[k] {
				walk(k+1, src+i*c.SrcStrides[k], dst+i*c.DstStrides[k])
			}
		}
		walk(0, c.Src, c.Dst)
	case plan.StepGather:
		for o := range arg(0) {
			for j, x := range s.Data {
				for i := range arg(2) {
					copy(d.at((o*len(s.Data)+j)*arg(2)+i), a.at((o*arg(1)+int(x))*arg(2)+i))
				}
			}
		}
	case plan.StepSum:
		for o := range arg(0) {
			for i := range arg(2) {
				to := d.at(o*arg(2) + i)
				clear(to)
				for j := range arg(1) {
					for w, x := range a.at((o*arg(1)+j)*arg(2) + i) {
						to[w] += x
					}
				}
			}
		}
	case plan.StepPack:
		k := arg(0)
		for i := 0; (i+1)*k <= len(a.words)/a.worlds; i++ {
			to := d.at(i)
			clear(to)
			for j := range k {
				for w, x := range a.at(i*k + j) {
					to[w] |= x & 1 << j
				}
			}
		}
	case plan.StepValid:
		bits, sets := s.Args[0], len(d.words)/d.worlds
		clear(d.words)
		for i := range len(a.words) / a.worlds {
			for w, m := range a.at(i) {
				top := (m + 1<<(bits-3)) & low(bits) >> (bits - 4)
				odd := uint64(0)
				for at := range uint64(16) {
					if back := (top - at) & 15; back == 0 || back > 3 {
						odd ^= b.at(i)[w] >> at & 1
					}
				}
				for j := range sets {
					d.at(j)[w] ^= odd & (plan.Subset(uint64(s.Args[1]), uint64(i)) >> j)
				}
			}
		}
	case plan.StepMatMul:
		m, k, n := arg(1), arg(2), arg(3)
		for t := range arg(0) {
			ta, tb := t, t
			if arg(4) != 0 {
				ta = 0
			}
			if arg(5) != 0 {
				tb = 0
			}
			for i := range m {
				for j := range n {
					to := d.at((t*m+i)*n + j)
					clear(to)
					for l := range k {
						y := b.at((tb*k+l)*n + j)
						for w, x := range a.at((ta*m+i)*k + l) {
							to[w] += x * y[w]
						}
					}
				}
			}
		}
	case plan.StepConv:
		N, c, h, wd, oc, oh, ow, kh, kw, g := arg(0), arg(1), arg(2), arg(3), arg(4), arg(5), arg(6), arg(7), arg(8), arg(15)
		for i := range N * oc * oh * ow {
			to := d.at(i)
			clear(to)
			x, y, o, n := i%ow, i/ow%oh, i/ow/oh%oc, i/ow/oh/oc
			for q := range c / g * kh * kw {
				u, v, l := q%kw, q/kw%kh, q/kw/kh
				r, t := y*arg(9)+v*arg(13)-arg(11), x*arg(10)+u*arg(14)-arg(12)
				if r < 0 || r >= h || t < 0 || t >= wd {
					continue
				}
				from := a.at(((n*c+o/(oc/g)*(c/g)+l)*h+r)*wd + t)
				for w, f := range b.at(((o*(c/g)+l)*kh+v)*kw + u) {
					to[w] += from[w] * f
				}
			}
		}
	default:
		unknown(s)
	}
}

// A buffer holds elements, each with its value in every world.
type buffer struct {
	words  []uint64
	worlds int
}

func (b buffer) at(i int) []uint64 { return b.words[i*b.worlds : (i+1)*b.worlds] }
