// Command asm writes the assembly of packages ring, material and dpf with avo: go generate in their folders runs it. It is a module of its own,
// so that nobody who builds smpcc needs its dependencies.
package main

import (
	"flag"
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	set := flag.String("set", "ring", "the assembly to write: ring; aes, of package material; or dpf")
	flag.Parse()
	if *set == "aes" {
		ConstraintExpr("amd64")
		expandKey()
		for _, width := range []int{1, 2, 4, 8} {
			fill512(width)
		}
		Generate()
		return
	}
	if *set == "dpf" {
		ConstraintExpr("amd64")
		dpf()
		Generate()
		return
	}
	ConstraintExpr("amd64")
	for _, r := range []int{8, 4, 2, 1} {
		for _, c := range []int{3, 2, 1} {
			for _, bits := range []int{64, 52, 32} {
				tile512(r, c, bits)
			}
		}
	}
	narrow512()
	rows512(8)
	rows512(1)
	dot512()
	head := GLOBL("head", RODATA|NOPTR) // head[8-n:] begins with n words of ones
	for i := range 16 {
		w := uint64(0)
		if i < 8 {
			w = ^w
		}
		DATA(8*i, U64(w))
	}
	for _, r := range []int{4, 2, 1} {
		tile256(r, head)
		for _, c := range []int{3, 2, 1} {
			tile256low32(r, c, head)
		}
	}
	narrow256()
	rows256(8, head)
	rows256(1, head)
	dot256(head)
	elementwise()
	Generate()
}

// param loads a parameter into a register.
func param(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// words turns a count of words into bytes.
func words(name string) reg.GPVirtual {
	r := param(name)
	SHLQ(Imm(3), r)
	return r
}

// firstBits returns a mask of the n lowest bits.
func firstBits(n reg.GPVirtual) reg.OpmaskVirtual {
	ones, k := GP32(), K()
	MOVL(U32(0xffffffff), ones)
	BZHIL(n.As32(), ones, ones)
	KMOVW(ones, k)
	return k
}

// rowsOf returns the addresses of r rows, r <= 8, that begin stride bytes apart.
func rowsOf(base, stride reg.GPVirtual, r int) []Mem {
	odd := func(k int, from reg.GPVirtual, scale uint8) reg.GPVirtual { // k * stride
		if r <= k {
			return nil
		}
		x := GP64()
		LEAQ(Mem{Base: from, Index: stride, Scale: scale}, x)
		return x
	}
	s3 := odd(3, stride, 2)
	s5 := odd(5, stride, 4)
	var s7 reg.GPVirtual
	if r > 7 {
		s7 = odd(7, s3, 4)
	}
	at := func(i reg.Register, s uint8) Mem { return Mem{Base: base, Index: i, Scale: s} }
	all := []Mem{{Base: base}, at(stride, 1), at(stride, 2), at(s3, 1), at(stride, 4), at(s5, 1), at(s3, 2), at(s7, 1)}
	return all[:r]
}

// tile512 is the micro-kernel of r rows and c vectors in the ring of so many bits: d += a x b, a row of b being c whole vectors. In
// the ring of 52 bits one instruction multiplies and adds; bits above are garbage, in operands too. In that of 32 bits vectors have
// 16 columns and not 8, b is of words of 32 bits, and of a the low halves are read; sums are widened once, when they are added to d.
func tile512(r, c, bits int) {
	name, what, width, elem := fmt.Sprintf("tile512r%dc%d", r, c), "adds", 8, ""
	switch bits {
	case 52:
		name, what = fmt.Sprintf("tile52r%dc%d", r, c), "adds mod 2^52"
	case 32:
		name, what, width, elem = fmt.Sprintf("tile512low32r%dc%d", r, c), "adds mod 2^32", 16, " of 32 bits"
	}
	p := tileParams(name, what, elem, r, c, width)
	acc := zeros(r, c, ZMM)
	y := make([]reg.VecVirtual, c)
	for j, at := range p.loop(c, uint8(8*8/width)) {
		y[j] = ZMM()
		VMOVDQU64(at, y[j])
	}
	for i := range r {
		x := ZMM()
		if bits == 32 {
			VPBROADCASTD(p.rows[i], x)
		} else {
			VPBROADCASTQ(p.rows[i], x)
		}
		for j := range c {
			switch t := ZMM(); bits {
			case 52:
				VPMADD52LUQ(y[j], x, acc[i][j])
			case 32:
				VPMULLD(y[j], x, t)
				VPADDD(t, acc[i][j], acc[i][j])
			default:
				VPMULLQ(y[j], x, t)
				VPADDQ(t, acc[i][j], acc[i][j])
			}
		}
	}
	d, ldd := p.next()
	masks := func(name string) []reg.OpmaskVirtual { // of the columns of a vector
		m := []reg.OpmaskVirtual{firstBits(param(name))}
		if bits == 32 {
			m = append(m, K())
			KSHIFTRW(Imm(8), m[0], m[1])
		}
		return m
	}
	tail := masks("tail")
	head, apart := tail, reg.GPVirtual(nil)
	if c > 1 {
		head, apart = masks("head"), words("apart")
	}
	addOrWrite(func(add bool) {
		for i := range r {
			for j, at := range vectorsOf(d, apart, c) {
				sums, mask := []reg.VecVirtual{acc[i][j]}, head
				if bits == 32 {
					sums = widened(acc[i][j])
				}
				if j == c-1 {
					mask = tail
				}
				for h, sum := range sums {
					if add {
						t := ZMM()
						VMOVDQU64_Z(at.Offset(64*h), mask[h], t)
						VPADDQ(t, sum, sum)
					}
					VMOVDQU64(sum, mask[h], at.Offset(64*h))
				}
			}
			if i < r-1 {
				ADDQ(ldd, d)
			}
		}
	})
}

// addOrWrite ends a micro-kernel: store writes the sums to d, or adds them.
func addOrWrite(store func(add bool)) {
	old := param("add")
	TESTQ(old, old)
	JNZ(LabelRef("add"))
	store(false)
	VZEROUPPER()
	RET()
	Label("add")
	store(true)
	VZEROUPPER()
	RET()
}

// vectorsOf returns where c vectors are that begin stride bytes apart, c <= 3.
func vectorsOf(base, stride reg.GPVirtual, c int) []Mem {
	return []Mem{{Base: base}, {Base: base, Index: stride, Scale: 1}, {Base: base, Index: stride, Scale: 2}}[:c]
}

// widened returns the words of 32 bits of z as words, in two vectors.
func widened(z reg.VecVirtual) []reg.VecVirtual {
	low, high, half := ZMM(), ZMM(), YMM()
	VEXTRACTI64X4(Imm(1), z, half)
	VPMOVZXDQ(z.AsY(), low)
	VPMOVZXDQ(half, high)
	return []reg.VecVirtual{low, high}
}

// A tile is the parameters of a micro-kernel.
type tile struct {
	a, b, at, k, step reg.GPVirtual
	rows              []Mem // of a: the elements that the rows of d are multiplied with next
}

// tileParams begins the micro-kernel of r rows and c vectors of so many columns and loads its parameters.
func tileParams(name, what, elem string, r, c, width int) tile {
	kind := "uint64"
	if elem != "" {
		kind = "uint32"
	}
	TEXT(name, NOSPLIT, fmt.Sprintf("func(d, a *uint64, b *%s, at *int, k, ldd, lda, step, apart, from, head, tail, add int)", kind))
	Pragma("noescape")
	columns, of := "tail columns", ""
	if c > 1 {
		columns, of = fmt.Sprintf("%d vectors of head columns, of tail the last, apart words apart", c), ", from elements apart"
	}
	Doc(fmt.Sprintf("%s %s to d, %d rows ldd words apart of %s, the product of a, %d rows of k words, rows lda and columns step words apart, and b, k rows of %s of %d words%s%s, the row p beginning at b[at[p]]; 1 <= head, tail <= %d. d is added to if add is not 0, else written.", name, what, r, columns, r, vectorsText(c), width, elem, of, width))
	t := tile{a: param("a"), b: param("b"), at: param("at"), k: param("k"), step: words("step")}
	t.rows = rowsOf(t.a, words("lda"), r)
	return t
}

func vectorsText(c int) string {
	if c == 1 {
		return "a vector"
	}
	return fmt.Sprintf("%d vectors", c)
}

// loop begins the loop over the columns of a and returns where the c vectors of a row of b, of elements of scale bytes, are.
func (t tile) loop(c int, scale uint8) []Mem {
	from := reg.GPVirtual(nil)
	if c > 1 {
		from = param("from")
		if scale == 4 {
			SHLQ(Imm(2), from)
		} else {
			SHLQ(Imm(3), from)
		}
	}
	TESTQ(t.k, t.k)
	JZ(LabelRef("store"))
	Label("loop")
	row := GP64()
	MOVQ(Mem{Base: t.at}, row)
	if c == 1 {
		return []Mem{{Base: t.b, Index: row, Scale: scale}}
	}
	LEAQ(Mem{Base: t.b, Index: row, Scale: scale}, row)
	return vectorsOf(row, from, c)
}

// next ends the loop and returns where d is and how many bytes its rows are apart.
func (t tile) next() (d, ldd reg.GPVirtual) {
	PREFETCHT0(Mem{Base: t.a, Disp: 4096}) // of packed weights what is multiplied 64 columns on: they come from memory
	ADDQ(t.step, t.a)
	ADDQ(Imm(8), t.at)
	DECQ(t.k)
	JNZ(LabelRef("loop"))
	Label("store")
	return param("d"), words("ldd")
}

// zeros returns r rows of c vectors of zeros.
func zeros(r, c int, vector func() reg.VecVirtual) [][]reg.VecVirtual {
	z := make([][]reg.VecVirtual, r)
	for i := range z {
		for range c {
			v := vector()
			if v.Size() == 64 {
				VPXORQ(v, v, v)
			} else {
				VPXOR(v, v, v)
			}
			z[i] = append(z[i], v)
		}
	}
	return z
}

// narrow512 takes the low halves of words.
func narrow512() {
	TEXT("narrow512", NOSPLIT, "func(d *uint32, a *uint64, n int)")
	Pragma("noescape")
	Doc("narrow512 writes the low 32 bits of the n words of a to d.")
	d, a, n := param("d"), param("a"), param("n")
	x := ZMM()
	SUBQ(Imm(8), n)
	JLT(LabelRef("rest"))
	Label("loop")
	VMOVDQU64(Mem{Base: a}, x)
	VPMOVQD(x, Mem{Base: d})
	ADDQ(Imm(32), d)
	ADDQ(Imm(64), a)
	SUBQ(Imm(8), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(Imm(8), n)
	JZ(LabelRef("done"))
	mask := firstBits(n)
	VMOVDQU64_Z(Mem{Base: a}, mask, x)
	VPMOVQD(x, mask, Mem{Base: d})
	Label("done")
	VZEROUPPER()
	RET()
}

// rows512 adds multiples of r rows to one row.
func rows512(r int) {
	TEXT(fmt.Sprintf("rows512r%d", r), NOSPLIT, "func(d, x, b *uint64, n, ldb int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("rows512r%d adds to d, n words, x[i] times row i of b for i < %d, rows of n words ldb apart.", r, r))
	d, x, b, n := param("d"), param("x"), param("b"), param("n")
	ldb := words("ldb")
	rows := rowsOf(b, ldb, r)
	xs := make([]reg.VecVirtual, r)
	for i := range xs {
		xs[i] = ZMM()
		VPBROADCASTQ(Mem{Base: x, Disp: 8 * i}, xs[i])
	}
	line := func(mask reg.OpmaskVirtual) {
		s := [2]reg.VecVirtual{ZMM(), ZMM()}
		if mask == nil {
			VMOVDQU64(Mem{Base: d}, s[0])
		} else {
			VMOVDQU64_Z(Mem{Base: d}, mask, s[0])
		}
		for i := range r {
			t := ZMM()
			switch {
			case mask != nil:
				VMOVDQU64_Z(rows[i], mask, t)
				VPMULLQ(t, xs[i], t)
			default:
				VPMULLQ(rows[i], xs[i], t)
			}
			if i == 1 {
				VMOVDQA64(t, s[1])
				continue
			}
			VPADDQ(t, s[i%2], s[i%2])
		}
		if r > 1 {
			VPADDQ(s[1], s[0], s[0])
		}
		if mask == nil {
			VMOVDQU64(s[0], Mem{Base: d})
		} else {
			VMOVDQU64(s[0], mask, Mem{Base: d})
		}
	}
	SUBQ(Imm(8), n)
	JLT(LabelRef("rest"))
	Label("loop")
	line(nil)
	ADDQ(Imm(64), d)
	ADDQ(Imm(64), b)
	SUBQ(Imm(8), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(Imm(8), n)
	JZ(LabelRef("done"))
	line(firstBits(n))
	Label("done")
	VZEROUPPER()
	RET()
}

// dot512 is the inner product.
func dot512() {
	TEXT("dot512", NOSPLIT, "func(a, b *uint64, n int) uint64")
	Pragma("noescape")
	Doc("dot512 returns the inner product of a and b, n words each.")
	a, b, n := param("a"), param("b"), param("n")
	var s []reg.VecVirtual
	for range 4 {
		z := ZMM()
		VPXORQ(z, z, z)
		s = append(s, z)
	}
	SUBQ(Imm(32), n)
	JLT(LabelRef("few"))
	Label("loop")
	for i := range s {
		t := ZMM()
		VMOVDQU64(Mem{Base: a, Disp: 64 * i}, t)
		VPMULLQ(Mem{Base: b, Disp: 64 * i}, t, t)
		VPADDQ(t, s[i], s[i])
	}
	ADDQ(U32(256), a)
	ADDQ(U32(256), b)
	SUBQ(Imm(32), n)
	JGE(LabelRef("loop"))
	Label("few")
	ADDQ(Imm(32-8), n)
	JLT(LabelRef("rest"))
	Label("loop8")
	t := ZMM()
	VMOVDQU64(Mem{Base: a}, t)
	VPMULLQ(Mem{Base: b}, t, t)
	VPADDQ(t, s[0], s[0])
	ADDQ(Imm(64), a)
	ADDQ(Imm(64), b)
	SUBQ(Imm(8), n)
	JGE(LabelRef("loop8"))
	Label("rest")
	ADDQ(Imm(8), n)
	JZ(LabelRef("done"))
	mask := firstBits(n)
	u, v := ZMM(), ZMM()
	VMOVDQU64_Z(Mem{Base: a}, mask, u)
	VMOVDQU64_Z(Mem{Base: b}, mask, v)
	VPMULLQ(u, v, u)
	VPADDQ(u, s[1], s[1])
	Label("done")
	VPADDQ(s[1], s[0], s[0])
	VPADDQ(s[3], s[2], s[2])
	VPADDQ(s[2], s[0], s[0])
	half := YMM()
	VEXTRACTI64X4(Imm(1), s[0], half)
	VPADDQ(half, s[0].AsY(), half)
	fold(half)
}

// fold returns the sum of the four words of y.
func fold(y reg.VecVirtual) {
	x := XMM()
	VEXTRACTI128(Imm(1), y, x)
	VPADDQ(x, y.AsX(), x)
	h := XMM()
	VPSHUFD(Imm(0xee), x, h)
	VPADDQ(h, x, x)
	out := GP64()
	VMOVQ(x, out)
	VZEROUPPER()
	Store(out, ReturnIndex(0))
	RET()
}

// A sum256 is a sum of products in four lanes: the products of low halves, and apart the cross products, both in one vector
// of 32-bit lanes that are added and shifted once at the end.
type sum256 struct{ low, cross reg.VecVirtual }

func newSum() sum256 {
	s := sum256{YMM(), YMM()}
	VPXOR(s.low, s.low, s.low)
	VPXOR(s.cross, s.cross, s.cross)
	return s
}

// add adds x*y, where swapped is y with its halves exchanged.
func (s sum256) add(x, y, swapped reg.VecVirtual) {
	t, u := YMM(), YMM()
	VPMULUDQ(y, x, t)
	VPADDQ(t, s.low, s.low)
	VPMULLD(swapped, x, u)
	VPADDD(u, s.cross, s.cross)
}

func swap(y reg.VecVirtual) reg.VecVirtual {
	s := YMM()
	VPSHUFD(Imm(0xb1), y, s)
	return s
}

// total folds the sum into its low part.
func (s sum256) total() reg.VecVirtual {
	t := YMM()
	VPSRLQ(Imm(32), s.cross, t)
	VPADDQ(t, s.cross, s.cross)
	VPSLLQ(Imm(32), s.cross, s.cross)
	VPADDQ(s.cross, s.low, s.low)
	return s.low
}

// firstWords returns masks of the n lowest words of each vector of 4 together, 0 <= n <= 4*vectors <= 8.
func firstWords(n reg.GPVirtual, head Mem, vectors int) []reg.VecVirtual {
	m := make([]reg.VecVirtual, vectors)
	for i, at := range firstWordsAt(n, head, vectors) {
		m[i] = YMM()
		VMOVDQU(at, m[i])
	}
	return m
}

// firstWordsAt returns where in memory the masks of firstWords are.
func firstWordsAt(n reg.GPVirtual, head Mem, vectors int) []Mem {
	at := GP64()
	LEAQ(head.Offset(64), at)
	SHLQ(Imm(3), n)
	SUBQ(n, at)
	m := make([]Mem, vectors)
	for i := range m {
		m[i] = Mem{Base: at, Disp: 32 * i}
	}
	return m
}

// tile256 is the micro-kernel of r rows and 4 columns.
func tile256(r int, head Mem) {
	p := tileParams(fmt.Sprintf("tile256r%d", r), "adds", "", r, 1, 4)
	acc := make([]sum256, r)
	for i := range acc {
		acc[i] = newSum()
	}
	y := YMM()
	VMOVDQU(p.loop(1, 8)[0], y)
	s := swap(y)
	for i := range r {
		x := YMM()
		VPBROADCASTQ(p.rows[i], x)
		acc[i].add(x, y, s)
	}
	d, ldd := p.next()
	mask := firstWords(param("tail"), head, 1)[0]
	addOrWrite(func(add bool) {
		for i := range r {
			sum := acc[i].total()
			if add {
				t := YMM()
				VPMASKMOVQ(Mem{Base: d}, mask, t)
				VPADDQ(t, sum, sum)
			}
			VPMASKMOVQ(sum, mask, Mem{Base: d})
			if i < r-1 {
				ADDQ(ldd, d)
			}
		}
	})
}

// tile256low32 is tile512 in the ring of 32 bits for r rows and c vectors of 8 columns. Four rows of three vectors leave two registers for b: the third
// vector is an operand in memory.
func tile256low32(r, c int, head Mem) {
	p := tileParams(fmt.Sprintf("tile256low32r%dc%d", r, c), "adds mod 2^32", " of 32 bits", r, c, 8)
	acc := zeros(r, c, YMM)
	y := make([]Op, c)
	for j, at := range p.loop(c, 4) {
		if j == 2 {
			y[j] = at
			continue
		}
		v := YMM()
		VMOVDQU(at, v)
		y[j] = v
	}
	for i := range r {
		x := YMM()
		VPBROADCASTD(p.rows[i], x)
		for j := range c {
			t := YMM()
			VPMULLD(y[j], x, t)
			VPADDD(t, acc[i][j], acc[i][j])
		}
	}
	d, ldd := p.next()
	tail := firstWordsAt(param("tail"), head, 2)
	first, apart := tail, reg.GPVirtual(nil)
	if c > 1 {
		first, apart = firstWordsAt(param("head"), head, 2), words("apart")
	}
	addOrWrite(func(add bool) {
		for i := range r {
			for j, at := range vectorsOf(d, apart, c) {
				mask := first
				if j == c-1 {
					mask = tail
				}
				for h := range 2 {
					s, t, m, at := acc[i][j].AsX(), YMM(), YMM(), at.Offset(32*h) // masks stay in memory: sums take twelve registers
					if h == 1 {
						x := XMM()
						VEXTRACTI128(Imm(1), acc[i][j], x)
						s = x
					}
					VPMOVZXDQ(s, t)
					VMOVDQU(mask[h], m)
					if add {
						u := YMM()
						VPMASKMOVQ(at, m, u)
						VPADDQ(u, t, t)
					}
					VPMASKMOVQ(t, m, at)
				}
			}
			if i < r-1 {
				ADDQ(ldd, d)
			}
		}
	})
}

// narrow256 takes the low halves of words.
func narrow256() {
	TEXT("narrow256", NOSPLIT, "func(d *uint32, a *uint64, n int)")
	Pragma("noescape")
	Doc("narrow256 writes the low 32 bits of the n words of a to d.")
	d, a, n := param("d"), param("a"), param("n")
	SUBQ(Imm(8), n)
	JLT(LabelRef("few"))
	Label("loop")
	x := YMM()
	VMOVDQU(Mem{Base: a}, x)
	VSHUFPS(Imm(0x88), Mem{Base: a, Disp: 32}, x, x) // words 0, 1, 4, 5, 2, 3, 6, 7
	VPERMQ(Imm(0xd8), x, x)
	VMOVDQU(x, Mem{Base: d})
	ADDQ(Imm(32), d)
	ADDQ(Imm(64), a)
	SUBQ(Imm(8), n)
	JGE(LabelRef("loop"))
	Label("few")
	ADDQ(Imm(8), n)
	JZ(LabelRef("done"))
	Label("rest")
	w := GP64()
	MOVQ(Mem{Base: a}, w)
	MOVL(w.As32(), Mem{Base: d})
	ADDQ(Imm(4), d)
	ADDQ(Imm(8), a)
	DECQ(n)
	JNZ(LabelRef("rest"))
	Label("done")
	VZEROUPPER()
	RET()
}

// rows256 adds multiples of r rows to one row.
func rows256(r int, head Mem) {
	TEXT(fmt.Sprintf("rows256r%d", r), NOSPLIT, "func(d, x, b *uint64, n, ldb int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("rows256r%d adds to d, n words, x[i] times row i of b for i < %d, rows of n words ldb apart.", r, r))
	d, x, b, n := param("d"), param("x"), param("b"), param("n")
	ldb := words("ldb")
	rows := rowsOf(b, ldb, r)
	line := func(mask reg.VecVirtual) {
		s := newSum()
		for i := range r {
			f, y := YMM(), YMM()
			VPBROADCASTQ(Mem{Base: x, Disp: 8 * i}, f)
			if mask == nil {
				VMOVDQU(rows[i], y)
			} else {
				VPMASKMOVQ(rows[i], mask, y)
			}
			s.add(f, y, swap(y))
		}
		sum, t := s.total(), YMM()
		if mask == nil {
			VPADDQ(Mem{Base: d}, sum, sum)
			VMOVDQU(sum, Mem{Base: d})
			return
		}
		VPMASKMOVQ(Mem{Base: d}, mask, t)
		VPADDQ(t, sum, sum)
		VPMASKMOVQ(sum, mask, Mem{Base: d})
	}
	SUBQ(Imm(4), n)
	JLT(LabelRef("rest"))
	Label("loop")
	line(nil)
	ADDQ(Imm(32), d)
	ADDQ(Imm(32), b)
	SUBQ(Imm(4), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(Imm(4), n)
	JZ(LabelRef("done"))
	line(firstWords(n, head, 1)[0])
	Label("done")
	VZEROUPPER()
	RET()
}

// dot256 is the inner product.
func dot256(head Mem) {
	TEXT("dot256", NOSPLIT, "func(a, b *uint64, n int) uint64")
	Pragma("noescape")
	Doc("dot256 returns the inner product of a and b, n words each.")
	a, b, n := param("a"), param("b"), param("n")
	s := [2]sum256{newSum(), newSum()}
	step := func(s sum256, disp int, mask reg.VecVirtual) {
		x, y := YMM(), YMM()
		if mask == nil {
			VMOVDQU(Mem{Base: a, Disp: disp}, x)
			VMOVDQU(Mem{Base: b, Disp: disp}, y)
		} else {
			VPMASKMOVQ(Mem{Base: a}, mask, x)
			VPMASKMOVQ(Mem{Base: b}, mask, y)
		}
		s.add(x, y, swap(y))
	}
	SUBQ(Imm(8), n)
	JLT(LabelRef("few"))
	Label("loop")
	step(s[0], 0, nil)
	step(s[1], 32, nil)
	ADDQ(Imm(64), a)
	ADDQ(Imm(64), b)
	SUBQ(Imm(8), n)
	JGE(LabelRef("loop"))
	Label("few")
	ADDQ(Imm(8-4), n)
	JLT(LabelRef("rest"))
	step(s[0], 0, nil)
	ADDQ(Imm(32), a)
	ADDQ(Imm(32), b)
	SUBQ(Imm(4), n)
	Label("rest")
	ADDQ(Imm(4), n)
	JZ(LabelRef("done"))
	step(s[1], 0, firstWords(n, head, 1)[0])
	Label("done")
	sum := s[0].total()
	VPADDQ(s[1].total(), sum, sum)
	fold(sum)
}
