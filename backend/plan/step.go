package plan

import "fmt"

// StepOp numbers a step's operation. Numbers are part of the format: never reuse one.
type StepOp int

// The step operations. Below, d is Dst, a b c ... are Src in order, and first is 1 in party 0's program and 0 in others'.
const (
	StepInvalid StepOp = iota
	StepInput          // bind input or weight
	StepConst
	StepZero
	StepPRG
	StepAdd
	StepSub
	StepNeg
	StepMul
	StepShl
	StepBits
	StepXor
	StepCopy
	StepGather
	StepSum
	StepMatMul
	StepConv
	StepDrop
	StepLeaf
	StepMerge
	StepGroup
	StepReluSel
	StepFinish
	StepMulBit
	StepB2A
	StepPRGSum
	StepDeal
	StepOneHot
	StepMono
	StepUnwrap
	StepAnd
	StepWireMul
	StepDPF
	StepDPFKey
	StepWave
	StepPhase
	StepExpo
	StepDecay
	StepDCF
	StepDCFKey
	StepExtend
	StepValid
	StepPack
)

// Elementwise reports whether element i of the result depends on elements i of the sources only, and all have one length.
func (op StepOp) Elementwise() bool {
	switch op {
	case StepCopy, StepGather, StepSum, StepMatMul, StepConv, StepDPF, StepDPFKey, StepDCF, StepDCFKey, StepValid, StepPack:
		return false
	}
	return true
}

// A StepRow describes a step operation.
type StepRow struct {
	Name    string
	Doc     string // equation, as a person reads it
	Src     int    // number of sources; the least number if Var
	Var     bool
	Args    []string // names of Args; further ones are allowed if ArgsVar
	ArgsVar bool
	Data    bool // takes Data
	Dealer  bool // only in the dealer's program
	// check validates lengths against the slots; nil means all slots have one length.
	check func(s *Step, n func(slot int) int, p *Plan) error
}

// Steps is the table of step operations.
var Steps = map[StepOp]*StepRow{
	StepInput: {Name: "input", Doc: "d = the party's bound tensor number index: inputs first, then weights, in manifest order; two's complement words", Args: []string{"index"},
		check: func(s *Step, n func(int) int, p *Plan) error {
			i, in := int(s.Args[0]), len(p.Manifest.Inputs)
			switch {
			case i < 0 || i >= in+len(p.Manifest.Weights):
				return fmt.Errorf("bound tensor %d does not exist", i)
			case i < in && n(s.Dst) != p.Manifest.Inputs[i].Len(), i >= in && n(s.Dst) != p.Manifest.Weights[i-in].Len():
				return fmt.Errorf("slot length %d does not fit bound tensor %d", n(s.Dst), i)
			}
			return nil
		}},
	StepConst: {Name: "const", Doc: "d = data; a single word fills d", Data: true, check: func(s *Step, n func(int) int, p *Plan) error {
		if len(s.Data) != 1 && len(s.Data) != n(s.Dst) {
			return fmt.Errorf("%d words of data for %d elements", len(s.Data), n(s.Dst))
		}
		return nil
	}},
	StepZero: {Name: "zero", Doc: "d = 0"},
	StepPRG:  {Name: "prg", Doc: "d = own share of material item, from the own stream", Args: []string{"item"}, check: checkItem},
	StepAdd:  {Name: "add", Doc: "d = a + b", Src: 2},
	StepSub:  {Name: "sub", Doc: "d = a - b", Src: 2},
	StepNeg:  {Name: "neg", Doc: "d = -a", Src: 1},
	StepMul:  {Name: "mul", Doc: "d = a * b", Src: 2},
	StepShl:  {Name: "shl", Doc: "d = a << by", Src: 1, Args: []string{"by"}, check: argRange(0, 0, 63)},
	StepBits: {Name: "bits", Doc: "d = (a >> from) mod 2^count", Src: 1, Args: []string{"from", "count"}, check: func(s *Step, n func(int) int, p *Plan) error {
		if s.Args[0] < 0 || s.Args[1] < 1 || s.Args[0]+s.Args[1] > 64 || s.Args[1] > 64 || s.Args[0] > 63 {
			return fmt.Errorf("bits %d+%d are outside a word", s.Args[0], s.Args[1])
		}
		return sameLen(s, n)
	}},
	StepXor: {Name: "xor", Doc: "d = a XOR b", Src: 2},
	StepAnd: {Name: "and", Doc: "d = a AND b", Src: 2},
	StepCopy: {Name: "copy", Doc: "for i in dims: d[dst + i.dststride] = a[src + i.srcstride]; args: rank, dims, src, srcstrides, dst, dststrides; other elements of d stay",
		Src: 1, Args: []string{"rank"}, ArgsVar: true, check: checkCopy},
	StepGather: {Name: "gather", Doc: "d[o,j,i] = a[o,data[j],i] for o < outer, j < len(data), i < inner; a has axis elements in the middle", Src: 1, Args: []string{"outer", "axis", "inner"}, Data: true,
		check: func(s *Step, n func(int) int, p *Plan) error {
			o, x, i := s.Args[0], s.Args[1], s.Args[2]
			if !product(int64(n(s.Src[0])), o, x, i) || !product(int64(n(s.Dst)), o, int64(len(s.Data)), i) {
				return fmt.Errorf("slot lengths %d and %d do not fit %dx%dx%d and %d indices", n(s.Src[0]), n(s.Dst), o, x, i, len(s.Data))
			}
			for _, d := range s.Data {
				if d >= uint64(x) {
					return fmt.Errorf("index %d is out of range %d", d, x)
				}
			}
			return nil
		}},
	StepSum: {Name: "sum", Doc: "d[o,i] = sum over j < axis of a[o,j,i]", Src: 1, Args: []string{"outer", "axis", "inner"},
		check: func(s *Step, n func(int) int, p *Plan) error {
			if !product(int64(n(s.Src[0])), s.Args[0], s.Args[1], s.Args[2]) || !product(int64(n(s.Dst)), s.Args[0], s.Args[2]) {
				return fmt.Errorf("slot lengths %d and %d do not fit %v", n(s.Src[0]), n(s.Dst), s.Args)
			}
			return nil
		}},
	StepMatMul: {Name: "matmul", Doc: "d[b] = a[b] x c[b] for each of batch matrices, m by k times k by n, row-major; onea/oneb = 1: the same a/b for every batch",
		Src: 2, Args: []string{"batch", "m", "k", "n", "onea", "oneb"}, check: func(s *Step, n func(int) int, p *Plan) error {
			b, m, k, nn := s.Args[0], s.Args[1], s.Args[2], s.Args[3]
			ba, bb := b, b
			if s.Args[4] != 0 {
				ba = 1
			}
			if s.Args[5] != 0 {
				bb = 1
			}
			if !product(int64(n(s.Src[0])), ba, m, k) || !product(int64(n(s.Src[1])), bb, k, nn) || !product(int64(n(s.Dst)), b, m, nn) {
				return fmt.Errorf("slot lengths %d, %d, %d do not fit %v", n(s.Src[0]), n(s.Src[1]), n(s.Dst), s.Args)
			}
			return nil
		}},
	StepConv: {Name: "conv", Doc: "d = 2-D convolution of a [n,c,h,w] with b [oc,c/group,kh,kw], zero padding",
		Src: 2, Args: ConvArgs, check: checkConv},
	StepDrop: {Name: "drop", Doc: "d = ((a + add) mod 2^n) >> by", Src: 1, Args: []string{"n", "by", "add"}, check: func(s *Step, n func(int) int, p *Plan) error {
		if s.Args[0] < 1 || s.Args[0] > 64 || s.Args[1] < 0 || s.Args[1] >= s.Args[0] {
			return fmt.Errorf("cannot drop %d of %d bits", s.Args[1], s.Args[0])
		}
		return sameLen(s, n)
	}},
	StepLeaf: {Name: "leaf", Doc: "a is public, b... are XOR shares of one-hots of the chunks of r's lowest bits, chunk bits each, most significant first, in the words that HotWords lists. " +
		"For chunks from..from+k-1: d holds lt_j = [a_j < r_j] in bits 0..k-1 and eq_j = [a_j = r_j] behind it; kind 1: lt and all eq but the last, 2: only eq, 3: lt and eq",
		Src: 2, Var: true, Args: []string{"bits", "chunk", "from", "k", "kind"}, check: func(s *Step, n func(int) int, p *Plan) error {
			if err := checkChunks(s.Args[0], s.Args[1], s.Args[2], s.Args[3], MaxGroup); err != nil {
				return err
			}
			if words := len(HotWords(int(s.Args[0]), int(s.Args[1]), int(s.Args[2]), int(s.Args[3]))); s.Args[4] < 1 || s.Args[4] > 3 || len(s.Src)-1 != words {
				return fmt.Errorf("chunks %v need %d one-hot words, got %d", s.Args, words, len(s.Src)-1)
			}
			return sameLen(s, n)
		}},
	StepMerge: {Name: "merge", Doc: "a = D is public, b = XOR shares of the masks of D, c... = XOR shares of the products of masks, 64 a word, in the order of Monomials(k, kind). " +
		"d bit 0 = share of lt = XOR_j lt_j AND_(i<j) eq_i (kind 1 and 3), bit 1 = share of eq = AND_i eq_i (kind 2 and 3); each factor is D XOR mask, expanded",
		Src: 2, Var: true, Args: []string{"k", "kind", "first"}, check: func(s *Step, n func(int) int, p *Plan) error {
			k, kind := int(s.Args[0]), int(s.Args[1])
			if k < 1 || k > MaxGroup || kind < 1 || kind > 3 || kind == 3 && k > 5 {
				return fmt.Errorf("cannot merge %d chunks of kind %d", k, kind)
			}
			if w := MonoWords(k, kind); len(s.Src)-2 != w {
				return fmt.Errorf("%d words of products, want %d", len(s.Src)-2, w)
			}
			return sameLen(s, n)
		}},
	StepGroup: {Name: "group", Doc: "sources are merge results of groups, most significant first: d holds their lt bits, then their eq bits, as a leaf of that kind would", Src: 1, Var: true, Args: []string{"kind"},
		check: func(s *Step, n func(int) int, p *Plan) error {
			if len(s.Src) > MaxGroup || s.Args[0] < 1 || s.Args[0] > 3 {
				return fmt.Errorf("cannot group %d sources of kind %d", len(s.Src), s.Args[0])
			}
			return sameLen(s, n)
		}},
	StepReluSel: {Name: "relusel", Doc: "m, delta public, shares [s] [R0] [R1] [sR0] [sR1]; t = bit bits-1 of m: d = m*B - (delta*[R_t] + (1-2*delta)*[sR_t]), B = first*delta + (1-2*delta)*[s]",
		Src: 7, Args: []string{"bits", "first"}, check: argRange(0, 1, 64)},
	StepFinish: {Name: "finish", Doc: "m public, shares [R0] [R1]; u = m + 2^(bits-2) mod 2^bits, t = bit bits-1 of u: d = first*(u - 2^(bits-2)) - [R_t]",
		Src: 3, Args: []string{"bits", "first"}, check: argRange(0, 2, 64)},
	StepMulBit: {Name: "mulbit", Doc: "m, delta public, shares [s] [r] [sr]: d = m*B - (delta*[r] + (1-2*delta)*[sr]), B = first*delta + (1-2*delta)*[s]", Src: 5, Args: []string{"first"}},
	StepWireMul: {Name: "wiremul", Doc: "a = m_x public, shares [R0_x] [R1_x]; m_y public, shares [R0_y] [R1_y]; shares [K_00] [K_01] [K_10] [K_11], K_ij = Ri_x * Rj_y; for each factor with bits > 0: " +
		"u = m + 2^(bits-2) mod 2^bits, t = bit bits-1 of u, P = u - 2^(bits-2); with bits = 0: P = m, t = 0. d = first*P_x*P_y - P_x*[R_y] - P_y*[R_x] + [K], R and K chosen by t",
		Src: 10, Args: []string{"bitsx", "bitsy", "first"}, check: func(s *Step, n func(int) int, p *Plan) error {
			for _, b := range s.Args[:2] {
				if b != 0 && (b < 2 || b > 64) {
					return fmt.Errorf("a factor of %d bits", b)
				}
			}
			return sameLen(s, n)
		}},
	StepWave: {Name: "wave", Doc: "a = m public, shares [U] [V]; C and S are cosine and sine of 2 pi/2^bits times their argument, with frac fraction bits: d = C(k*m)*[U] + S(k*m)*[V]",
		Src: 3, Args: []string{"bits", "k", "frac"}, check: func(s *Step, n func(int) int, p *Plan) error {
			if s.Args[2] < 1 || s.Args[2] > MaxWaveFrac {
				return fmt.Errorf("%d fraction bits, want 1..%d", s.Args[2], MaxWaveFrac)
			}
			return checkWave(s, n)
		}},
	StepExpo: {Name: "expo", Doc: "a = m public, shares [G0] [G1]; u = m + 2^(bits-2) mod 2^bits, t = bit bits-1 of u: d = E*[G_t], E = exp(-(2^(bits-1) - u mod 2^(bits-1)) * rate/2^48) with frac fraction bits",
		Src: 3, Args: []string{"bits", "rate", "frac"}, check: func(s *Step, n func(int) int, p *Plan) error {
			if s.Args[2] < 0 || s.Args[2] > 62 {
				return fmt.Errorf("%d fraction bits, want 0..62", s.Args[2])
			}
			return checkRate(s, n, s.Args[1])
		}},
	StepB2A: {Name: "b2a", Doc: "delta public, share [s]: d = first*delta + (1-2*delta)*[s]", Src: 2, Args: []string{"first"}},

	StepExtend: {Name: "extend", Doc: "a = m public, delta public, shares [R1] of the mask of m and [s] of that of delta: d = first*m - [R1] + 2^bits*(first*delta + (1-2*delta)*[s])",
		Src: 4, Args: []string{"bits", "first"}, check: argRange(0, 1, 63)},

	StepDPF: {Name: "dpf", Doc: "a is public, b = XOR shares of the roots of keys, c = the keys' correction words: d[i] = XOR share of lt = [a[i] < r[j]] (kind 1) or eq = [a[i] = r[j]] (kind 2), j = i / points, on the lowest bits of a and of the mask r that the keys are for. " +
		"Blocks of roots and correction words are kept in planes: for each level the lower words of all keys, then the upper ones",
		Src: 3, Args: []string{"bits", "kind", "points", "first"}, check: func(s *Step, n func(int) int, p *Plan) error {
			keys, err := checkPoints(s, n, s.Args[2])
			if err != nil {
				return err
			}
			return checkDPF(s.Args[0], s.Args[1], keys, n(s.Src[1]), n(s.Src[2]), p)
		}},

	StepDCF: {Name: "dcf", Doc: "a = m public, b = XOR shares of the roots of keys, c = the keys' correction words, in planes: d[i] = additive share mod 2^ring of max(x, 0), x = m[i] - r[j] a signed number of bits bits, j = i / points, r the mask that the keys are for. " +
		"With top bits t of m and s of r, and lt = [m < r] without them, the keys give shares of U = s + (1-2s)*lt, of V = U*r and of W = r - 2^bits*s*lt: d = m*([t = 0]*first + (2t-1)*U) - [t = 0]*W - (2t-1)*V",
		Src: 3, Args: []string{"bits", "ring", "points", "first"}, check: func(s *Step, n func(int) int, p *Plan) error {
			keys, err := checkPoints(s, n, s.Args[2])
			if err != nil {
				return err
			}
			return checkDCF(s.Args[0], s.Args[1], keys, n(s.Src[1]), n(s.Src[2]), p)
		}},

	StepValid: {Name: "valid", Doc: "a = m public, b = XOR shares of the one-hot of r's top 4 of bits bits; with p = the top 4 of the lowest bits bits of m + 2^(bits-3), element i is outside where the one-hot is none of p-1, p-2, p-3 mod 16: " +
		"d[j] = XOR share of the parity of the elements outside that are in subset j (Subset)",
		Src: 2, Args: []string{"bits", "seed"}, check: func(s *Step, n func(int) int, p *Plan) error {
			if s.Args[0] < ValidTop || s.Args[0] > 64 || n(s.Dst) != ValidSets || n(s.Src[0]) != n(s.Src[1]) {
				return fmt.Errorf("%d parities of %d and %d elements of %d bits", n(s.Dst), n(s.Src[0]), n(s.Src[1]), s.Args[0])
			}
			return nil
		}},
	StepPack: {Name: "pack", Doc: "bit j of d[i] = lowest bit of a[k*i+j] for j < k", Src: 1, Args: []string{"k"}, check: func(s *Step, n func(int) int, p *Plan) error {
		if k := s.Args[0]; k < 1 || k > MaxGroup || !product(int64(n(s.Src[0])), k, int64(n(s.Dst))) {
			return fmt.Errorf("packs %d bits of %d into %d words", k, n(s.Src[0]), n(s.Dst))
		}
		return nil
	}},

	StepPRGSum: {Name: "prgsum", Doc: "d = sum or XOR of all holders' shares of a random item, mod 2^bits", Args: []string{"item"}, Dealer: true, check: checkItem},
	StepDeal:   {Name: "deal", Doc: "d = a minus (or XOR) the shares of item that all parties but the last draw, mod 2^bits: the last party's share", Src: 1, Args: []string{"item"}, Dealer: true, check: checkItem},
	StepOneHot: {Name: "onehot", Doc: "d = word number word of HotWords(bits, chunk, from, k): one-hots of chunks of the lowest bits of a, as leaf reads them", Src: 1, Args: []string{"bits", "chunk", "from", "k", "word"}, Dealer: true,
		check: func(s *Step, n func(int) int, p *Plan) error {
			if err := checkChunks(s.Args[0], s.Args[1], s.Args[2], s.Args[3], MaxGroup); err != nil {
				return err
			}
			if words := len(HotWords(int(s.Args[0]), int(s.Args[1]), int(s.Args[2]), int(s.Args[3]))); s.Args[4] < 0 || s.Args[4] >= int64(words) {
				return fmt.Errorf("word %d of %d", s.Args[4], words)
			}
			return sameLen(s, n)
		}},
	StepMono: {Name: "mono", Doc: "d = word number word of the products of the mask bits in a, in the order of Monomials(k, kind)", Src: 1, Args: []string{"k", "kind", "word"}, Dealer: true,
		check: func(s *Step, n func(int) int, p *Plan) error {
			k, kind, w := int(s.Args[0]), int(s.Args[1]), int(s.Args[2])
			if k < 1 || k > MaxGroup || kind < 1 || kind > 3 || kind == 3 && k > 5 || w < 0 || w >= MonoWords(k, kind) {
				return fmt.Errorf("products %v are out of range", s.Args)
			}
			return sameLen(s, n)
		}},
	StepDPFKey: {Name: "dpfkey", Doc: "d = correction words, as dpf reads them, of keys for the lowest bits of a, whose roots are the two parties' shares of item roots", Src: 1, Args: []string{"roots", "bits", "kind"}, Dealer: true,
		check: func(s *Step, n func(int) int, p *Plan) error {
			roots, err := checkRoots(s.Args[0], p)
			if err != nil {
				return err
			}
			return checkDPF(s.Args[1], s.Args[2], n(s.Src[0]), roots, n(s.Dst), p)
		}},
	StepDCFKey: {Name: "dcfkey", Doc: "d = correction words, as dcf reads them, of keys for a, whose roots are the two parties' shares of item roots", Src: 1, Args: []string{"roots", "bits", "ring"}, Dealer: true,
		check: func(s *Step, n func(int) int, p *Plan) error {
			roots, err := checkRoots(s.Args[0], p)
			if err != nil {
				return err
			}
			return checkDCF(s.Args[1], s.Args[2], n(s.Src[0]), roots, n(s.Dst), p)
		}},
	StepPhase: {Name: "phase", Doc: "d = a*C(k*r) + b*S(k*r) rounded; r is the source, C and S as in wave but exact", Src: 1, Args: []string{"bits", "k", "a", "b"}, Dealer: true,
		check: func(s *Step, n func(int) int, p *Plan) error {
			if a, b := s.Args[2], s.Args[3]; a < -MaxWave || a > MaxWave || b < -MaxWave || b > MaxWave {
				return fmt.Errorf("coefficients %d and %d are out of range", a, b)
			}
			return checkWave(s, n)
		}},
	StepDecay: {Name: "decay", Doc: "d = gain * exp(-(r + (1-t)*2^(bits-1) mod 2^bits) * rate/2^48) rounded; r is the source", Src: 1, Args: []string{"bits", "t", "rate", "gain"}, Dealer: true,
		check: func(s *Step, n func(int) int, p *Plan) error {
			if t, gain := s.Args[1], s.Args[3]; t < 0 || t > 1 || gain < 0 || gain > MaxGain {
				return fmt.Errorf("reading %d with a gain of %d", t, gain)
			}
			return checkRate(s, n, s.Args[2])
		}},
	StepUnwrap: {Name: "unwrap", Doc: "d = a - 2^bits * top, top = bit bits-1 of a", Src: 1, Args: []string{"bits"}, Dealer: true, check: argRange(0, 1, 64)},
}

// ConvArgs names the arguments of a conv step.
var ConvArgs = []string{"n", "c", "h", "w", "oc", "oh", "ow", "kh", "kw", "sh", "sw", "pt", "pl", "dh", "dw", "group"}

// MaxGroup is the largest number of chunks merged at once.
const MaxGroup = 7

// Bounds of waves: the fraction bits of a cosine, its coefficient, and how often it turns in a period.
const (
	MaxWaveFrac  = 24
	MaxWave      = 1<<31 - 1
	MaxHarmonics = 1 << 16
)

// MaxGain bounds the exponential of a mask.
const MaxGain = 1<<62 - 1

// checkRate checks that exponents stay below 64.
func checkRate(s *Step, n func(int) int, rate int64) error {
	if b := s.Args[0]; b < 2 || b > 52 || rate < 1 || rate >= 1<<(54-b) {
		return fmt.Errorf("a rate of %d for %d bits", rate, b)
	}
	return sameLen(s, n)
}

// checkWave checks the period and the harmonic of a wave.
func checkWave(s *Step, n func(int) int) error {
	if s.Args[0] < 2 || s.Args[0] > 64 || s.Args[1] < 1 || s.Args[1] > MaxHarmonics {
		return fmt.Errorf("%d turns in 2^%d", s.Args[1], s.Args[0])
	}
	return sameLen(s, n)
}

// product reports whether the product of factors is exactly want, without overflow.
func product(want int64, factors ...int64) bool {
	p := int64(1)
	for _, f := range factors {
		if f < 0 || f > 1<<40 {
			return false
		}
		if f != 0 && p > (1<<40)/f {
			return false
		}
		p *= f
	}
	return p == want
}

// CheckShape checks the arguments of a step that moves or combines elements of tensors against the lengths of its slots.
func CheckShape(s *Step, n func(slot int) int) error {
	switch s.Op {
	case StepCopy, StepGather, StepSum, StepMatMul, StepConv:
		return Steps[s.Op].check(s, n, nil)
	}
	return fmt.Errorf("%s has no shapes", Steps[s.Op].Name)
}

func sameLen(s *Step, n func(int) int) error {
	for _, src := range s.Src {
		if n(src) != n(s.Dst) {
			return fmt.Errorf("slot lengths differ: %d and %d", n(src), n(s.Dst))
		}
	}
	return nil
}

// argRange checks argument i and that all slots have one length.
func argRange(i int, lo, hi int64) func(*Step, func(int) int, *Plan) error {
	return func(s *Step, n func(int) int, p *Plan) error {
		if s.Args[i] < lo || s.Args[i] > hi {
			return fmt.Errorf("argument %d is out of range %d..%d", s.Args[i], lo, hi)
		}
		return sameLen(s, n)
	}
}

// checkChunks checks that chunks from..from+k-1 of the lowest bits exist.
func checkChunks(bits, chunk, from, k, most int64) error {
	if bits < 1 || bits > 64 || chunk != 4 && chunk != 6 && chunk != 7 || from < 0 || k < 1 || k > most || from+k > (bits+chunk-1)/chunk {
		return fmt.Errorf("chunks %d..%d of %d bits out of %d are out of range", from, from+k-1, chunk, bits)
	}
	return nil
}

func checkItem(s *Step, n func(int) int, p *Plan) error {
	i := s.Args[0]
	if i < 0 || i >= int64(len(p.Items)) {
		return fmt.Errorf("item %d does not exist", i)
	}
	it := p.Items[i]
	if it.Len != n(s.Dst) {
		return fmt.Errorf("item of %d elements in a slot of %d", it.Len, n(s.Dst))
	}
	if s.Op == StepDeal != it.Dealt && s.Op != StepPRG {
		return fmt.Errorf("item %d has the wrong kind for this step", i)
	}
	return sameLen(s, n)
}

func checkCopy(s *Step, n func(int) int, p *Plan) error {
	r := int(s.Args[0])
	if r < 0 || r > 16 || len(s.Args) != 3+3*r {
		return fmt.Errorf("rank %d does not fit %d arguments", r, len(s.Args))
	}
	c := CopyOf(s)
	check := func(name string, off int64, strides []int64, length int) error {
		if off < 0 || off >= int64(length) { // also keeps the sums below from overflowing
			return fmt.Errorf("%s element %d is outside a slot of %d", name, off, length)
		}
		lo, hi := off, off
		for i, d := range c.Dims {
			if d < 0 || d > 1<<40 || strides[i] > 1<<40 || strides[i] < -(1<<40) {
				return fmt.Errorf("dimension %d is out of range", d)
			}
			if d == 0 {
				return nil
			}
			if d > 1 && (strides[i] > (1<<41)/d || strides[i] < -(1<<41)/d) {
				return fmt.Errorf("stride %d is out of range", strides[i])
			}
			if e := (d - 1) * strides[i]; e < 0 {
				lo += e
			} else {
				hi += e
			}
		}
		if lo < 0 || hi >= int64(length) {
			return fmt.Errorf("%s elements %d..%d are outside a slot of %d", name, lo, hi, length)
		}
		return nil
	}
	for _, d := range c.Dims {
		if d == 0 {
			return nil
		}
	}
	total := int64(1)
	for _, d := range c.Dims {
		if d < 0 || total > (1<<40)/max(d, 1) {
			return fmt.Errorf("dimension %d is out of range", d)
		}
		total *= d
	}
	if total > 1<<32 {
		return fmt.Errorf("copies %d elements", total)
	}
	if err := check("source", c.Src, c.SrcStrides, n(s.Src[0])); err != nil {
		return err
	}
	return check("destination", c.Dst, c.DstStrides, n(s.Dst))
}

// A Copy is the decoded form of a copy step.
type Copy struct {
	Dims, SrcStrides, DstStrides []int64
	Src, Dst                     int64 // offsets
}

// CopyOf decodes a checked copy step.
func CopyOf(s *Step) Copy {
	r := int(s.Args[0])
	a := s.Args[1:]
	return Copy{Dims: a[:r], Src: a[r], SrcStrides: a[r+1 : 2*r+1], Dst: a[2*r+1], DstStrides: a[2*r+2 : 3*r+2]}
}

// Step encodes the copy.
func (c Copy) Step(dst, src int) Step {
	a := append([]int64{int64(len(c.Dims))}, c.Dims...)
	a = append(append(a, c.Src), c.SrcStrides...)
	a = append(append(a, c.Dst), c.DstStrides...)
	return Step{Op: StepCopy, Dst: dst, Src: []int{src}, Args: a}
}

func checkConv(s *Step, n func(int) int, p *Plan) error {
	a := s.Args
	for i, v := range a {
		if v < 0 || v > 1<<30 {
			return fmt.Errorf("%s=%d is out of range", ConvArgs[i], v)
		}
	}
	if a[7] > 1<<16 || a[8] > 1<<16 || a[1] > 1<<24 {
		return fmt.Errorf("convolution %v is too large", a)
	}
	N, c, h, w, oc, oh, ow, kh, kw, sh, sw, dh, dw, g := a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[13], a[14], a[15]
	if g < 1 || c%g != 0 || oc%g != 0 || sh < 1 || sw < 1 || dh < 1 || dw < 1 || kh < 1 || kw < 1 {
		return fmt.Errorf("convolution %v is malformed", a)
	}
	if unrolled := c / g * kh * kw; unrolled > 1<<24 || unrolled*max(ow, 1) > 1<<27 { // the kernel's scratch
		return fmt.Errorf("convolution %v unrolls to too many columns", a)
	}
	if !product(int64(n(s.Src[0])), N, c, h, w) || !product(int64(n(s.Src[1])), oc, c/g, kh, kw) || !product(int64(n(s.Dst)), N, oc, oh, ow) {
		return fmt.Errorf("slot lengths %d, %d, %d do not fit convolution %v", n(s.Src[0]), n(s.Src[1]), n(s.Dst), a)
	}
	return nil
}
