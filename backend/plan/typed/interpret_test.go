package typed

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"

	"smpcc/backend/plan"
	"smpcc/runtime/dpf"
)

// A machine runs the programs of all roles in step, each step as its equation in plan.Steps says, on words drawn at random instead of
// streams. It shares no code with the engine but that of keys.
type machine struct {
	p      *plan.Plan
	r      *rand.Rand
	slots  [][][]uint64 // by role and slot
	bound  [][]uint64
	forced map[int][]uint64    // what the shares of a random item combine to
	drawn  map[[2]int][]uint64 // by item and party
}

// run executes all rounds.
func (x *machine) run() {
	x.drawn = map[[2]int][]uint64{}
	x.slots = make([][][]uint64, len(x.p.Programs))
	for role := range x.slots {
		x.slots[role] = make([][]uint64, len(x.p.Programs[role].Slots))
	}
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		for r := range x.p.Programs[0].Rounds(ph) {
			for role := range x.p.Programs {
				for i := range x.p.Programs[role].Rounds(ph)[r].Steps {
					x.step(role, &x.p.Programs[role].Rounds(ph)[r].Steps[i])
				}
			}
			x.exchange(ph, r)
		}
	}
}

// exchange combines what the senders of each message hold and gives it to the receivers.
func (x *machine) exchange(ph plan.Phase, r int) {
	sum := map[int][]uint64{}
	all := func(fn func(role int, o *plan.Open)) {
		for role := range x.p.Programs {
			opens := x.p.Programs[role].Rounds(ph)[r].Opens
			for i := range opens {
				fn(role, &opens[i])
			}
		}
	}
	all(func(role int, o *plan.Open) {
		if !slices.Contains(o.From, role) {
			return
		}
		if sum[o.Item] == nil {
			sum[o.Item] = make([]uint64, o.Len)
		}
		for i, w := range x.slots[role][o.Src] {
			sum[o.Item][i] = combine(o.Mode, sum[o.Item][i], low(w, o.Bits))
			sum[o.Item][i] = low(sum[o.Item][i], o.Bits)
		}
	})
	all(func(role int, o *plan.Open) {
		if slices.Contains(o.To, role) {
			x.slots[role][o.Dst] = slices.Clone(sum[o.Item])
		}
	})
}

func combine(mode plan.Mode, a, b uint64) uint64 {
	if mode == plan.Xor {
		return a ^ b
	}
	return a + b
}

// apart undoes combine.
func apart(mode plan.Mode, a, b uint64) uint64 {
	if mode == plan.Xor {
		return a ^ b
	}
	return a - b
}

// draw returns a party's share of an item. The last holder's makes up what is forced.
func (x *machine) draw(item, party int) []uint64 {
	it := x.p.Items[item]
	if it.Holder != 0 && it.Holder != party+1 {
		return make([]uint64, it.Len)
	}
	if s := x.drawn[[2]int{item, party}]; s != nil {
		return s
	}
	s := each(it.Len, func(int) uint64 { return low(x.r.Uint64(), it.Bits) })
	last := x.p.NumParties() - 1
	if it.Holder != 0 {
		last = it.Holder - 1
	}
	if want := x.forced[item]; want != nil && party == last {
		for i := range s {
			s[i] = want[i]
			for other := range x.p.NumParties() {
				if other != party {
					s[i] = low(apart(it.Mode, s[i], x.draw(item, other)[i]), it.Bits)
				}
			}
		}
	}
	x.drawn[[2]int{item, party}] = s
	return s
}

// roots returns the roots of keys: the shares of an item by party, in planes.
func (x *machine) roots(item int) (out [2]dpf.Block) {
	n := x.p.Items[item].Len / 2
	for party := range out {
		s := x.draw(item, party)
		out[party] = dpf.Block{s[:n], s[n:]}
	}
	return out
}

// step runs one step.
func (x *machine) step(role int, s *plan.Step) {
	n := x.p.Programs[role].Slots[s.Dst].Len
	src := make([][]uint64, len(s.Src))
	for i, v := range s.Src {
		src[i] = x.slots[role][v]
	}
	arg := func(i int) int { return int(s.Args[i]) }
	set := func(fn func(i int) uint64) { x.slots[role][s.Dst] = each(n, fn) }
	mod := func(w uint64, b int) uint64 { return low(w, b) }
	switch s.Op {
	case plan.StepInput:
		set(func(i int) uint64 {
			if w := x.bound[arg(0)]; len(w) > n { // a guest's: the shares of one party behind those of the other
				return w[role*n+i]
			}
			return x.bound[arg(0)][i]
		})
	case plan.StepConst:
		set(func(i int) uint64 {
			if len(s.Data) == 1 {
				return s.Data[0]
			}
			return s.Data[i]
		})
	case plan.StepZero:
		set(func(int) uint64 { return 0 })
	case plan.StepPRG:
		x.slots[role][s.Dst] = slices.Clone(x.draw(arg(0), role))
	case plan.StepAdd:
		set(func(i int) uint64 { return src[0][i] + src[1][i] })
	case plan.StepSub:
		set(func(i int) uint64 { return src[0][i] - src[1][i] })
	case plan.StepNeg:
		set(func(i int) uint64 { return -src[0][i] })
	case plan.StepMul:
		set(func(i int) uint64 { return src[0][i] * src[1][i] })
	case plan.StepShl:
		set(func(i int) uint64 { return src[0][i] << arg(0) })
	case plan.StepBits:
		set(func(i int) uint64 { return mod(src[0][i]>>arg(0), arg(1)) })
	case plan.StepXor:
		set(func(i int) uint64 { return src[0][i] ^ src[1][i] })
	case plan.StepAnd:
		set(func(i int) uint64 { return src[0][i] & src[1][i] })
	case plan.StepCopy:
		c := plan.CopyOf(s)
		from := sources(plan.Copy{Dims: c.Dims, Src: c.Src, SrcStrides: c.SrcStrides})
		to := sources(plan.Copy{Dims: c.Dims, Src: c.Dst, SrcStrides: c.DstStrides})
		d := x.slots[role][s.Dst]
		if d == nil {
			d = make([]uint64, n)
		}
		for k := range elements(c.Dims) {
			d[to(k)] = src[0][from(k)]
		}
		x.slots[role][s.Dst] = d
	case plan.StepGather:
		axis, inner := arg(1), arg(2)
		set(func(k int) uint64 {
			o, j, i := k/inner/len(s.Data), k/inner%len(s.Data), k%inner
			return src[0][(o*axis+int(s.Data[j]))*inner+i]
		})
	case plan.StepSum:
		axis, inner := arg(1), arg(2)
		set(func(k int) (sum uint64) {
			for j := range axis {
				sum += src[0][(k/inner*axis+j)*inner+k%inner]
			}
			return sum
		})
	case plan.StepPack:
		set(func(i int) (word uint64) {
			for j := range arg(0) {
				word |= src[0][arg(0)*i+j] & 1 << j
			}
			return word
		})
	case plan.StepValid:
		set(func(j int) (odd uint64) {
			for i := range src[0] {
				p := int(mod(src[0][i]+1<<(arg(0)-3), arg(0)) >> (arg(0) - 4))
				for at := range 16 {
					if back := (p - at + 16) % 16; plan.Subset(uint64(s.Args[1]), uint64(i))>>j&1 == 1 && (back < 1 || back > 3) {
						odd ^= src[1][i] >> at & 1
					}
				}
			}
			return odd
		})
	case plan.StepMatMul:
		m, k, cols := arg(1), arg(2), arg(3)
		set(func(i int) (sum uint64) {
			b, row, col := i/cols/m, i/cols%m, i%cols
			ba, bb := b*(1-arg(4)), b*(1-arg(5))
			for j := range k {
				sum += src[0][(ba*m+row)*k+j] * src[1][(bb*k+j)*cols+col]
			}
			return sum
		})
	case plan.StepConv:
		x.slots[role][s.Dst] = convPlain(&Site{Step: &Step{Args: s.Args}}, src[0], src[1])
	case plan.StepDrop:
		set(func(i int) uint64 { return mod(src[0][i]+uint64(s.Args[2]), arg(0)) >> arg(1) })
	case plan.StepPRGSum:
		set(func(i int) (sum uint64) {
			it := x.p.Items[arg(0)]
			for party := range x.p.NumParties() {
				sum = combine(it.Mode, sum, x.draw(arg(0), party)[i])
			}
			return mod(sum, it.Bits)
		})
	case plan.StepDeal:
		set(func(i int) uint64 {
			it, w := x.p.Items[arg(0)], src[0][i]
			for party := range x.p.NumParties() - 1 {
				w = apart(it.Mode, w, x.draw(arg(0), party)[i])
			}
			return mod(w, it.Bits)
		})
	case plan.StepUnwrap:
		set(func(i int) uint64 {
			if arg(0) == 64 {
				return src[0][i]
			}
			return src[0][i] - src[0][i]>>(arg(0)-1)&1<<arg(0)
		})
	default:
		set(x.compute(role, s, src))
	}
}

// compute returns the elements of the steps of protocols.
func (x *machine) compute(role int, s *plan.Step, src [][]uint64) func(i int) uint64 {
	arg := func(i int) int { return int(s.Args[i]) }
	first := func(i int) uint64 { return uint64(s.Args[i]) }
	chosen := func(m uint64, b int) int { return int(low(m+1<<(b-2), b) >> (b - 1)) }
	switch s.Op {
	case plan.StepLeaf:
		return x.leaf(s, src)
	case plan.StepMerge:
		return x.merge(s, src)
	case plan.StepGroup:
		return func(i int) uint64 {
			return laidOut(len(src), arg(0), func(j int) bool { return src[j][i]&1 != 0 }, func(j int) bool { return src[j][i]&2 != 0 })
		}
	case plan.StepOneHot:
		return x.oneHot(s, src[0])
	case plan.StepMono:
		sets := plan.Monomials(arg(0), arg(1))
		return func(i int) (word uint64) {
			for k, set := range sets[64*arg(2) : min(len(sets), 64*arg(2)+64)] {
				word |= truth(src[0][i]&uint64(set) == uint64(set)) << k
			}
			return word
		}
	case plan.StepReluSel:
		return func(i int) uint64 {
			m, d, s0, t := src[0][i], src[1][i], src[2][i], src[0][i]>>(arg(0)-1)&1
			return m*(first(1)*d+(1-2*d)*s0) - (d*src[3+t][i] + (1-2*d)*src[5+t][i])
		}
	case plan.StepFinish:
		return func(i int) uint64 {
			b := arg(0)
			return first(1)*(low(src[0][i]+1<<(b-2), b)-1<<(b-2)) - src[1+chosen(src[0][i], b)][i]
		}
	case plan.StepMulBit:
		return func(i int) uint64 {
			d := src[1][i]
			return src[0][i]*(first(0)*d+(1-2*d)*src[2][i]) - (d*src[3][i] + (1-2*d)*src[4][i])
		}
	case plan.StepExtend:
		return func(i int) uint64 {
			m, d, r, s := src[0][i], src[1][i], src[2][i], src[3][i]
			return first(1)*m - r + (first(1)*d+(1-2*d)*s)*(1<<uint(arg(0)))
		}
	case plan.StepB2A:
		return func(i int) uint64 { return first(0)*src[0][i] + (1-2*src[0][i])*src[1][i] }
	case plan.StepWireMul:
		return func(i int) uint64 {
			var p [2]uint64
			var t [2]int
			for k := range p {
				if p[k] = src[3*k][i]; arg(k) > 0 {
					t[k] = chosen(p[k], arg(k))
					p[k] = low(p[k]+1<<(arg(k)-2), arg(k)) - 1<<(arg(k)-2)
				}
			}
			return first(2)*p[0]*p[1] - p[0]*src[4+t[1]][i] - p[1]*src[1+t[0]][i] + src[6+2*t[0]+t[1]][i]
		}
	case plan.StepWave:
		return func(i int) uint64 {
			sin, cos := turn(src[0][i], arg(0), arg(1))
			fixed := func(z float64) uint64 { return uint64(int64(math.Round(math.Ldexp(z, arg(2))))) }
			return fixed(cos)*src[1][i] + fixed(sin)*src[2][i]
		}
	case plan.StepPhase:
		return func(i int) uint64 {
			sin, cos := turn(src[0][i], arg(0), arg(1))
			return uint64(int64(math.Round(float64(s.Args[2])*cos + float64(s.Args[3])*sin)))
		}
	case plan.StepExpo:
		return func(i int) uint64 {
			u := low(src[0][i]+1<<(arg(0)-2), arg(0))
			e := math.Exp(-float64(1<<(arg(0)-1)-low(u, arg(0)-1)) * math.Ldexp(float64(s.Args[1]), -48))
			return uint64(math.Round(math.Ldexp(e, arg(2)))) * src[1+u>>(arg(0)-1)][i]
		}
	case plan.StepDecay:
		return func(i int) uint64 {
			a := low(src[0][i]+uint64(1-arg(1))<<(arg(0)-1), arg(0))
			return uint64(math.Round(float64(s.Args[3]) * math.Exp(-float64(a)*math.Ldexp(float64(s.Args[2]), -48))))
		}
	}
	return x.keys(role, s, src)
}

// turn returns sine and cosine of k times an angle in 2 pi/2^period.
func turn(r uint64, period, k int) (sin, cos float64) {
	return math.Sincos(math.Ldexp(2*math.Pi*float64(low(r*uint64(k), period)), -period))
}

// leaf looks the chunks of m up in shares of the one-hots of those of r: lt is the parity of the positions above, eq that position.
func (x *machine) leaf(s *plan.Step, src [][]uint64) func(i int) uint64 {
	nb, chunk, from, k := int(s.Args[0]), int(s.Args[1]), int(s.Args[2]), int(s.Args[3])
	chunks := (nb + chunk - 1) / chunk
	hot := plan.HotWords(nb, chunk, from, k)
	return func(i int) uint64 {
		at := func(j, v int) uint64 { // the share of [r_j = v]
			for w, h := range hot {
				if c := from + j - h.First; c >= 0 && c < h.Count && (h.Count > 1 || chunk == 4 || v >= h.Base && v < h.Base+64) {
					if chunk == 4 {
						return src[1+w][i] >> (16*c + v) & 1
					}
					return src[1+w][i] >> (v - h.Base) & 1
				}
			}
			return 0
		}
		digit := func(j int) int { return int(low(src[0][i], nb) >> (chunk * (chunks - 1 - from - j)) & (1<<chunk - 1)) }
		lt := func(j int) bool {
			sum := uint64(0)
			for v := digit(j) + 1; v < 1<<chunk; v++ {
				sum ^= at(j, v)
			}
			return sum == 1
		}
		return laidOut(k, int(s.Args[4]), lt, func(j int) bool { return at(j, digit(j)) == 1 })
	}
}

// oneHot gives a word of one-hots.
func (x *machine) oneHot(s *plan.Step, r []uint64) func(i int) uint64 {
	nb, chunk := int(s.Args[0]), int(s.Args[1])
	h := plan.HotWords(nb, chunk, int(s.Args[2]), int(s.Args[3]))[s.Args[4]]
	chunks := (nb + chunk - 1) / chunk
	return func(i int) (word uint64) {
		for c := range h.Count {
			v := int(low(r[i], nb) >> (chunk * (chunks - 1 - h.First - c)) & (1<<chunk - 1))
			if chunk == 4 {
				word |= 1 << (16*c + v)
			} else if v >= h.Base && v < h.Base+64 {
				word |= 1 << (v - h.Base)
			}
		}
		return word
	}
}

// merge multiplies out the products of D XOR a, from shares of the products of a.
func (x *machine) merge(s *plan.Step, src [][]uint64) func(i int) uint64 {
	k, kind := int(s.Args[0]), int(s.Args[1])
	index := map[uint16]int{}
	for i, set := range plan.Monomials(k, kind) {
		index[set] = i
	}
	lt, eq := plan.Terms(k, kind)
	return func(i int) uint64 {
		share := func(terms []uint16) (sum uint64) {
			for _, t := range terms {
				for set := t; ; set = (set - 1) & t { // the masks of set times the public bits of the rest
					if rest := t &^ set; uint16(src[0][i])&rest == rest {
						switch bits.OnesCount16(set) {
						case 0:
							sum ^= uint64(s.Args[2])
						case 1:
							sum ^= src[1][i] >> bits.TrailingZeros16(set) & 1
						default:
							sum ^= src[2+index[set]/64][i] >> (index[set] % 64) & 1
						}
					}
					if set == 0 {
						break
					}
				}
			}
			return sum
		}
		return share(lt) | share(eq)<<1
	}
}

// keys makes and evaluates keys, by the code that the engine has.
func (x *machine) keys(role int, s *plan.Step, src [][]uint64) func(i int) uint64 {
	arg := func(i int) int { return int(s.Args[i]) }
	n := x.p.Programs[role].Slots[s.Dst].Len
	out := make([]uint64, n)
	tiles := func(n int, fn func(lo, hi int)) {
		for lo := 0; lo < n; lo += dpf.Tile {
			fn(lo, min(n, lo+dpf.Tile))
		}
	}
	deal := func(key func(d []uint64, n, from int, points []uint64, roots [2]dpf.Block, a, b int)) {
		roots := x.roots(arg(0))
		tiles(len(src[0]), func(lo, hi int) {
			part := func(b dpf.Block) dpf.Block { return dpf.Block{b[0][lo:hi], b[1][lo:hi]} }
			key(out, len(src[0]), lo, src[0][lo:hi], [2]dpf.Block{part(roots[0]), part(roots[1])}, arg(1), arg(2))
		})
	}
	switch s.Op {
	case plan.StepDPFKey:
		deal(dpf.Keys)
	case plan.StepDCFKey:
		deal(dpf.ReluKeys)
	case plan.StepDPF:
		tiles(n, func(lo, hi int) {
			dpf.Eval(out[lo:hi], src[0][lo:hi], src[1], src[2], len(src[1])/2, lo, arg(2), arg(0), arg(1), role == 1)
		})
	case plan.StepDCF:
		tiles(n, func(lo, hi int) {
			dpf.Relu(out[lo:hi], src[0][lo:hi], src[1], src[2], len(src[1])/2, lo, arg(2), arg(0), arg(1), role == 1)
		})
	default:
		panic(fmt.Sprintf("the machine has no step %s", plan.Steps[s.Op].Name))
	}
	return func(i int) uint64 { return out[i] }
}
