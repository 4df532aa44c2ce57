package verify

import (
	"fmt"
	"math/bits"
	"slices"

	"smpcc/backend/plan"
)

// At value level there are no parties: shares are replaced by what they sum to, and what opening j yields by T_j + mask,
// where T_j names what was opened. Steps that combine masks with opened values are replaced by what their equations give,
// provided that the material is the one the equation needs. What is computed correctly holds no mask then.

// A clash is a step whose material does not fit, found when its result is used.
type clash struct {
	code, what string
}

// whole returns what a term of a party stands for at value level.
func (c *checker) whole(id termID) value {
	if v, ok := c.wholes[id]; ok {
		return v
	}
	t := c.table
	x := t.terms[id]
	var v value
	switch x.kind {
	case kShare:
		v = c.wholeShare(x.par, x.n)
	case kGiven:
		v = c.given(x.par, x.n)
	case kPub:
		o := c.opened[x.par]
		mask := t.single(c.mask(x.par))
		v = t.single(o.truth)
		if o.mode == plan.Xor {
			v = t.xor(v, mask)
		} else {
			v = t.sum(v, mask, 1)
			v.w = o.bits
		}
		v.e = o.bits
	case kLin:
		v = c.map1(x, c.whole(x.a))
	case kBil:
		l := addOnly
		if t.params[x.par].op == plan.StepAnd {
			l = xorOnly
		}
		v = t.bilinear(x.par, c.whole(x.a), c.whole(x.b), x.n, l)
	case kWord:
		w := c.wholeValue(t.values[x.par])
		if w.free && len(w.form) == 1 && w.w == 64 {
			v = w
		} else {
			v = t.single(t.word(w))
			if w.e > w.w {
				v.w = w.w
			}
		}
	case kRule:
		v = c.rule(x)
	case kDrop: // sum reads it, where it stands alone in a message: there its parties' shifts add up to one of the value
		panic(clash{NotShares, "a share is shifted, and what comes of it is more than masked"})
	default:
		v = t.single(id)
	}
	c.wholes[id] = v
	return v
}

// map1 applies the linear map of a term to a value.
func (c *checker) map1(x term, v value) value {
	t := c.table
	switch p := t.params[x.par]; p.op {
	case plan.StepBits:
		return t.cut(v, int(p.args[0]), int(p.args[1]))
	case plan.StepShl:
		u := t.as(v, plan.Xor)
		out := t.linear(x.par, u, x.n, x.e, xorOnly)
		out.w = min(64, u.w+int(p.args[0]))
		return out
	case plan.StepSum, plan.StepMatMul, plan.StepConv:
		return t.linear(x.par, v, x.n, x.e, addOnly)
	case plan.StepPack:
		return t.linear(x.par, t.as(v, plan.Xor), x.n, x.e, xorOnly)
	}
	return t.linear(x.par, v, x.n, v.e, both)
}

// wholeValue returns what a value of a party stands for. The word stays the same.
func (c *checker) wholeValue(v value) value {
	t := c.table
	if v.free && len(v.form) == 1 {
		u := c.whole(v.form[0].t)
		u.w, u.e = min(u.w, v.w), min(u.e, v.e)
		return u
	}
	if v.free { // either addition will do: that of bits, if one part is bits
		for _, m := range v.form {
			if u := c.whole(m.t); u.mode == plan.Xor && !u.free {
				v.mode = plan.Xor
			}
		}
	}
	out := value{mode: v.mode, w: v.w, e: v.e, n: v.n, free: v.free}
	var list []mono
	for _, m := range v.form {
		u := t.as(c.whole(m.t), v.mode)
		out.free = out.free && (u.free || u.mode == v.mode)
		out.w = min(out.w, u.w+shift(m.c))
		for _, k := range u.form {
			list = append(list, mono{k.t, k.c * m.c})
		}
	}
	out.form = t.collect(list, v.mode)
	out.free = len(out.form) == 0 || len(out.form) == 1 && out.form[0].c == 1 || out.free && len(out.form) == len(v.form)
	return out
}

func shift(c uint64) int { return min(63, bits.TrailingZeros64(c)) }

// mask returns the term of a random item as a whole.
func (c *checker) mask(item int) termID {
	it := &c.p.Items[item]
	return c.table.atom(kMask, item, it.Len, func() term { return term{e: it.Bits, masked: true, ready: c.openedAt[item]} })
}

// wholeShare returns what the shares of an item combine to.
func (c *checker) wholeShare(item, n int) value {
	t, it := c.table, &c.p.Items[item]
	if !it.Dealt {
		v := t.single(c.mask(item))
		if it.Mode == plan.Add {
			v.w = it.Bits
		}
		return v
	}
	d := c.dealt[item]
	if d == nil {
		return t.single(t.atom(kFn, t.param(plan.StepDeal, []int64{int64(item)}, nil), n, func() term { return term{e: 64, masked: true, ready: never} }))
	}
	if it.Mode == plan.Xor {
		return t.cut(t.as(*d, plan.Xor), 0, it.Bits)
	}
	v := t.as(*d, plan.Add)
	if it.Bits > v.w {
		if f, ok := t.exactForm(v); ok {
			return value{form: f, w: it.Bits, e: v.e, n: n}
		}
	}
	v.w, v.exact = min(v.w, it.Bits), nil
	return v
}

// split takes the masks of an opened value apart from what it hides.
func (c *checker) split(v value) (truth, mask value) {
	truth, mask = v, v
	truth.form, mask.form, truth.exact, mask.exact = nil, nil, nil, nil
	for _, m := range v.form {
		if c.table.terms[m.t].masked {
			mask.form = append(mask.form, m)
		} else {
			truth.form = append(truth.form, m)
		}
	}
	return truth, mask
}

// operand returns the value of an operand that must be shares which combine by mode, the same combination at every party.
func (c *checker) operand(num int, mode plan.Mode) value {
	out, bad := c.joint(slices.Repeat([]value{c.table.values[num]}, c.n), mode, true)
	if bad != nil {
		panic(*bad)
	}
	return out
}

// material returns what was dealt for an operand that must be the additive shares of one item, and the item's width.
func (c *checker) material(num int) (value, int, bool) {
	v := c.table.values[num]
	if len(v.form) != 1 || v.form[0].c != 1 || c.table.terms[v.form[0].t].kind != kShare {
		return value{}, 0, false
	}
	item := c.table.terms[v.form[0].t].par
	d := c.dealt[item]
	if !c.p.Items[item].Dealt || c.p.Items[item].Mode != plan.Add || d == nil {
		return value{}, 0, false
	}
	return *d, min(c.p.Items[item].Bits, v.w), true
}

// fn returns the term of a function of values.
func (c *checker) fn(op plan.StepOp, args []int64, e int, masked bool, of ...value) termID {
	t := c.table
	var kids []int
	x := term{e: e}
	for _, v := range of {
		v.exact = nil
		kids = append(kids, t.number(v))
		o := t.over(term{}, v, true)
		x.owners |= o.owners
		x.ready = max(x.ready, o.ready)
		x.depth = max(x.depth, o.depth)
		x.masked = x.masked || o.masked || o.taint
	}
	x.masked = x.masked || masked
	return t.atom(kFn, t.param(op, args, nil, kids...), of[0].n, func() term { return x })
}

// isMask reports whether d is the mask of an opened value of n bits: a number in 0..2^n-1 that agrees with it mod 2^n.
func (c *checker) isMask(d, mask value, n int) bool {
	return d.w >= n && d.e <= n && mask.w >= n && same(c.table.as(d, mask.mode).form, mask.form, n)
}

// isTop reports whether d is the top bits of the mask of an opened value of n bits.
func (c *checker) isTop(d, mask value, n, top int) bool {
	t := c.table
	if len(d.form) != 1 || d.form[0].c != 1 || d.w < top {
		return false
	}
	x := &t.terms[d.form[0].t]
	if x.kind != kLin || x.par != t.param(plan.StepBits, []int64{int64(n - top), int64(top)}, nil) {
		return false
	}
	u := t.single(x.a)
	if y := t.terms[x.a]; y.kind == kWord {
		u = t.values[y.par]
	}
	return u.w >= n && mask.w >= n && same(t.as(u, mask.mode).form, mask.form, n) // these bits are those of all numbers that agree mod 2^n
}

// isFn returns the value a function was applied to, if v is such a function with these arguments.
func (c *checker) isFn(v value, op plan.StepOp, args ...int64) (value, bool) {
	under, has, ok := c.anyFn(v, op)
	return under, ok && slices.Equal(has, args)
}

// anyFn returns the value a function was applied to and its arguments, if v is such a function.
func (c *checker) anyFn(v value, op plan.StepOp) (under value, args []int64, ok bool) {
	t := c.table
	if len(v.form) != 1 || v.form[0].c != 1 || t.terms[v.form[0].t].kind != kFn {
		return value{}, nil, false
	}
	p := t.params[t.terms[v.form[0].t].par]
	if p.op != op || len(p.kids) != 1 || v.w < t.terms[v.form[0].t].e { // all of its bits
		return value{}, nil, false
	}
	return t.values[p.kids[0]], p.args, true
}

// rule returns the value whose shares a step computes, or fails if its operands are not what its equation needs.
func (c *checker) rule(x term) value {
	t := c.table
	p := t.params[x.par]
	name := plan.Steps[p.op].Name
	wrong := func(format string, args ...any) {
		panic(clash{WrongMaterial, name + ": " + fmt.Sprintf(format, args...)})
	}
	opened := func(i int) (all, truth, mask value) { // operand i: an opened value
		all = c.wholeValue(t.values[p.kids[i]])
		truth, mask = c.split(all)
		return all, truth, mask
	}
	shares := func(v value, w int) value { v.w = w; return v }
	switch p.op {
	case plan.StepLeaf:
		n, chunk, from, k := int(p.args[0]), int(p.args[1]), int(p.args[2]), int(p.args[3])
		all, _, mask := opened(0)
		if all.w < n {
			wrong("compares %d bits of a value of %d", n, all.w)
		}
		for i, hot := range plan.HotWords(n, chunk, from, k) {
			d, ok := c.isFn(c.operand(p.kids[1+i], plan.Xor), plan.StepOneHot, int64(n), int64(chunk), int64(hot.First), int64(hot.Count), int64(hot.Base))
			if !ok || d.w < n || !same(t.as(d, mask.mode).form, mask.form, n) {
				wrong("word %d is not the one-hot of the mask of the opened value", i)
			}
		}
		args := append(slices.Clone(p.args), int64(p.kids[0]))
		return t.single(c.fn(p.op, args, 2*k, true, all))
	case plan.StepDPF:
		n, kind, per := int(p.args[0]), p.args[1], int(p.args[2])
		all, truth, mask := opened(0)
		if all.w < n {
			wrong("compares %d bits of a value of %d", n, all.w)
		}
		key := c.keys(p, plan.StepDPFKey, wrong)
		if key.args[1] != int64(n) || key.args[2] != kind {
			wrong("the keys are of kind %d for %d bits, it compares %d with kind %d", key.args[2], key.args[1], n, kind)
		}
		c.keysOf(key, mask, n, per, wrong)
		if kind == plan.DPFEqual {
			truth.w, truth.e = n, n
			return t.single(c.fn(fnZero, []int64{int64(n)}, 1, false, truth))
		}
		return t.single(c.fn(fnLow, []int64{int64(n), int64(p.kids[0])}, 1, true, all))
	case plan.StepDCF:
		n, ring, per := int(p.args[0]), int(p.args[1]), int(p.args[2])
		all, truth, mask := opened(0)
		if all.w < n {
			wrong("chooses by %d bits of a value of %d", n, all.w)
		}
		key := c.keys(p, plan.StepDCFKey, wrong)
		if key.args[1] != int64(n) || key.args[2] != int64(ring) {
			wrong("the keys are for %d bits with results of %d, it reads %d with results of %d", key.args[1], key.args[2], n, ring)
		}
		c.keysOf(key, mask, n, per, wrong)
		truth.w, truth.e = n, n
		return shares(t.single(c.fn(p.op, []int64{int64(n)}, 64, false, truth)), ring)
	case plan.StepGroup:
		var parts []value
		for i, kid := range p.kids {
			v := c.operand(kid, plan.Xor)
			if len(v.form) != 1 || !c.isPart(v.form[0].t) || v.w < t.terms[v.form[0].t].e {
				wrong("operand %d is not the comparison of a group of chunks", i)
			}
			parts = append(parts, v)
		}
		return t.single(c.fn(p.op, p.args, 2*len(parts), true, parts...))
	case plan.StepMerge:
		k, kind := p.args[0], p.args[1]
		all, truth, mask := opened(0)
		mask = t.as(mask, plan.Xor)
		a := c.operand(p.kids[1], plan.Xor)
		nb := plan.Vars(int(k), int(kind))
		if all.mode != plan.Xor && !all.free || all.w < nb || a.w < nb || !same(a.form, mask.form, 64) {
			wrong("its second operand is not the mask of the opened bits")
		}
		for i, kid := range p.kids[2:] {
			d, ok := c.isFn(c.operand(kid, plan.Xor), plan.StepMono, k, kind, int64(i))
			if !ok || d.w < nb || !same(t.as(d, plan.Xor).form, mask.form, 64) {
				wrong("word %d is not the products of the masks of the opened bits", i)
			}
		}
		return t.single(c.merged(int(k), int(kind), truth))
	case plan.StepFinish, plan.StepReluSel:
		n := int(p.args[0])
		all, truth, mask := opened(0)
		if all.e > n || all.w < n {
			wrong("the opened value is not %d bits wide", n)
		}
		at := 1
		if p.op == plan.StepReluSel {
			at = 3
		}
		r0, w0, ok0 := c.material(p.kids[at])
		r1, w1, ok1 := c.material(p.kids[at+1])
		under, isUnwrap := c.isFn(r0, plan.StepUnwrap, int64(n))
		if !ok1 || !c.isMask(r1, mask, n) {
			wrong("[R1] is not the mask of the opened value")
		}
		if !ok0 || !isUnwrap || !c.isMask(under, mask, n) {
			wrong("[R0] is not the mask of the opened value less 2^%d times its top bit", n)
		}
		w := min(w0, w1)
		truth.w, truth.e = n, n
		if p.op == plan.StepFinish {
			return shares(t.single(c.fn(p.op, p.args, 64, false, truth)), w)
		}
		delta, ds, s := c.bit(p.kids[1], p.kids[2], wrong)
		for i, r := range []value{r0, r1} {
			d, wd, ok := c.material(p.kids[5+i])
			if !ok || !c.isProduct(d, s, r, wd) {
				wrong("[sR%d] is not the product of the masks of the bit and of the value", i)
			}
			w = min(w, wd)
		}
		w = min(w, ds)
		return shares(t.single(c.fn(p.op, p.args, 64, !c.isPositive(delta, truth, n), truth, delta)), w)
	case plan.StepWireMul:
		w := 64
		// factor returns the hidden value of a factor and the two readings of its mask.
		factor := func(at, n int) (truth value, r [2]value) {
			all, truth, mask := opened(at)
			if n == 0 {
				for i := range r {
					r[i] = c.operand(p.kids[at+1+i], plan.Add)
					w = min(w, all.w, r[i].w)
					if !same(t.as(r[i], plan.Add).form, t.as(mask, plan.Add).form, min(all.w, r[i].w)) {
						wrong("a share of a mask is not that of the opened value")
					}
					r[i] = mask
				}
				truth.w = min(truth.w, w)
				return truth, r
			}
			if all.e > n || all.w < n {
				wrong("the opened value is not %d bits wide", n)
			}
			for i := range r {
				d, wd, ok := c.material(p.kids[at+1+i])
				w = min(w, wd)
				under := d
				if i == 0 {
					under, ok = c.isFn(d, plan.StepUnwrap, int64(n))
				}
				if !ok || !c.isMask(under, mask, n) {
					wrong("[R%d] is not a reading of the mask of the opened value", i)
				}
				r[i] = d
			}
			truth.w, truth.e = n, n
			return truth, r
		}
		x, rx := factor(0, int(p.args[0]))
		y, ry := factor(3, int(p.args[1]))
		for i := range rx {
			for j := range ry {
				if p.kids[0] == p.kids[3] && p.args[0] == p.args[1] && i != j { // a square reads its mask one way only
					continue
				}
				d, wd, ok := c.material(p.kids[6+2*i+j])
				if w = min(w, wd); !ok || !c.isMaskProduct(d, rx[i], ry[j], wd) {
					wrong("[K_%d%d] is not the product of the masks of the factors", i, j)
				}
			}
		}
		return shares(t.single(c.fn(p.op, p.args, 64, false, x, y)), w)
	case plan.StepWave: // a*C(x) + b*S(x) = C(m)*(a*C(r) - b*S(r)) + S(m)*(a*S(r) + b*C(r)) for x = m - r
		n, k := int(p.args[0]), p.args[1]
		all, truth, mask := opened(0)
		if all.w < n {
			wrong("its period has %d bits, the opened value %d", n, all.w)
		}
		part := func(name string, at int) (a, b int64, w int) {
			d, w, ok := c.material(p.kids[at])
			under, args, isPhase := c.anyFn(d, plan.StepPhase)
			if !ok || !isPhase || args[0] != p.args[0] || args[1] != k || under.w < n || mask.w < n || !same(t.as(under, mask.mode).form, mask.form, n) {
				wrong("[%s] is not a wave of the mask of the opened value", name)
			}
			return args[2], args[3], w
		}
		a, minusB, w0 := part("U", 1)
		b, a1, w1 := part("V", 2)
		if a1 != a || b != -minusB {
			wrong("[U] and [V] are not the parts of one wave")
		}
		truth.w = min(truth.w, n)
		return shares(t.single(c.fn(p.op, append(slices.Clone(p.args), a, b), 64, false, truth)), min(w0, w1))
	case plan.StepExpo: // exp(x) = exp(m)*exp(-r) for x = m - r, r read by the top bit of m
		n, rate := int(p.args[0]), p.args[1]
		all, truth, mask := opened(0)
		if all.w < n {
			wrong("it reads %d bits of an opened value of %d", n, all.w)
		}
		w, gain := 64, int64(0)
		for i := range int64(2) {
			d, wd, ok := c.material(p.kids[1+i])
			under, args, isDecay := c.anyFn(d, plan.StepDecay)
			if !ok || !isDecay || args[0] != p.args[0] || args[1] != i || args[2] != rate || i > 0 && args[3] != gain || under.w < n || mask.w < n || !same(t.as(under, mask.mode).form, mask.form, n) {
				wrong("[G%d] is not the exponential of the mask of the opened value", i)
			}
			w, gain = min(w, wd), args[3]
		}
		truth.w = min(truth.w, n)
		return shares(t.single(c.fn(p.op, append(slices.Clone(p.args), gain), 64, false, truth)), w)
	case plan.StepValid: // whether the value lies in an interval that the public part decides
		n := int(p.args[0])
		all, truth, mask := opened(0)
		if all.w < n {
			wrong("it checks %d bits of an opened value of %d", n, all.w)
		}
		d, ok := c.isFn(c.operand(p.kids[1], plan.Xor), plan.StepOneHot, plan.ValidTop, plan.ValidTop, 0, 1, 0)
		if !ok || !c.isTop(d, mask, n, plan.ValidTop) {
			wrong("[hot] is not the one-hot of the top bits of the opened value's mask")
		}
		truth.w, truth.e, truth.exact = n, n, nil
		over := t.over(term{}, truth, true)
		id := t.atom(kFn, t.param(p.op, p.args, nil, t.number(truth)), x.n, func() term {
			return term{e: 1, owners: over.owners, ready: over.ready, depth: over.depth, masked: over.masked || over.taint}
		})
		return t.single(id)
	case plan.StepMulBit:
		all, truth, mask := opened(0)
		delta, w, s := c.bit(p.kids[1], p.kids[2], wrong)
		r := c.operand(p.kids[3], plan.Add)
		w = min(w, all.w, r.w)
		if !same(t.as(r, plan.Add).form, t.as(mask, plan.Add).form, w) {
			wrong("[r] is not the mask of the opened value")
		}
		d, wd, ok := c.material(p.kids[4])
		if w = min(w, wd); !ok || !c.isProduct(d, s, mask, w) {
			wrong("[sr] is not the product of the masks of the bit and of the value")
		}
		truth.w = w
		return shares(t.single(c.fn(p.op, nil, 64, false, truth, delta)), w)
	case plan.StepExtend: // x = m - r + 2^n [m < r] for x in 0..2^n-1
		n := int(p.args[0])
		all, truth, mask := opened(0)
		if all.e > n || all.w < n {
			wrong("the opened value is not %d bits wide", n)
		}
		delta, ds, _ := c.bit(p.kids[1], p.kids[3], wrong)
		r, w, ok := c.material(p.kids[2])
		if !ok || !c.isMask(r, mask, n) {
			wrong("[R1] is not the mask of the opened value")
		}
		if !c.isWrap(delta, p.kids[0], n) {
			wrong("the bit is not whether this value wraps")
		}
		truth.w, truth.e = n, n
		return shares(t.single(c.fn(p.op, p.args, 64, false, truth)), min(w, ds+n, 64))
	case plan.StepB2A:
		delta, w, _ := c.bit(p.kids[0], p.kids[1], wrong)
		return shares(t.single(c.fn(p.op, nil, 1, false, delta)), w)
	}
	panic(clash{WrongMaterial, name + ": the verifier has no equation for it"})
}

// keys returns the dealer's step that made the keys which a step evaluates, if it is of kind op and the roots are those of the keys.
func (c *checker) keys(p param, op plan.StepOp, wrong func(string, ...any)) param {
	t := c.table
	item := t.terms[t.values[p.kids[2]].form[0].t].par // correction words, as eval has seen
	if c.keyed[item] == nil {
		wrong("its correction words are those of no keys")
	}
	key := t.params[t.terms[c.keyed[item].form[0].t].par]
	if key.op != op {
		wrong("its correction words are of %s", plan.Steps[key.op].Name)
	}
	root := t.values[p.kids[1]]
	if len(root.form) != 1 || root.form[0].c != 1 || root.w < 64 || t.terms[root.form[0].t].kind != kShare || int64(t.terms[root.form[0].t].par) != key.args[0] {
		wrong("its roots are not those of the keys")
	}
	return key
}

// keysOf checks that keys are those of the mask of an opened value, of which each element is evaluated at per points.
func (c *checker) keysOf(key param, mask value, n, per int, wrong func(string, ...any)) {
	if r := c.table.values[key.kids[0]]; r.w < n || !c.repeated(mask, c.table.as(r, mask.mode), n, per) {
		wrong("the keys are not those of the mask of the opened value")
	}
}

// repeated reports whether every element of r stands per times in mask, one behind the other, mod 2^w.
func (c *checker) repeated(mask, r value, w, per int) bool {
	t := c.table
	form := slices.Clone(mask.form)
	for i := range form {
		for left := per; left > 1; {
			x := &t.terms[form[i].t]
			if x.kind != kLin || t.params[x.par].op != plan.StepCopy {
				return false
			}
			times := repeats(t.params[x.par].copy, x.n)
			if times < 1 || left%times != 0 || x.n/times != t.terms[x.a].n {
				return false
			}
			form[i].t, left = x.a, left/times
		}
	}
	return same(t.collect(form, mask.mode), r.form, w)
}

// repeats returns how often each element of its source a copy writes, one behind the other, over all n elements of its destination; 0
// if it writes anything else.
func repeats(c plan.Copy, n int) int {
	if c.Src != 0 || !covers(c, n) {
		return 0
	}
	times, stride, last := int64(1), int64(1), int64(0)
	for i := len(c.Dims) - 1; i >= 0; i-- {
		d := c.Dims[i]
		switch {
		case d == 1:
			continue
		case c.DstStrides[i] < last: // not from left to right
			return 0
		case c.SrcStrides[i] == 0 && stride == 1:
			times *= d
		case c.SrcStrides[i] == stride:
			stride *= d
		default:
			return 0
		}
		last = c.DstStrides[i]
	}
	return int(times)
}

// bit checks an opened bit and the shares of its mask as a number. It returns the hidden bit, the width of the shares and the mask.
func (c *checker) bit(open, share int, wrong func(string, ...any)) (truth value, w int, mask value) {
	t := c.table
	all := c.wholeValue(t.values[open])
	if all.e > 1 || all.w < 1 || all.mode != plan.Xor && !all.free {
		wrong("the opened bit is not one bit")
	}
	truth, mask = c.split(all)
	mask.free = len(mask.form) == 1 || all.free // what is the same under both additions
	s := c.operand(share, plan.Add)
	if len(mask.form) > 1 && !t.values[open].free {
		wrong("the mask of the opened bit has several parts")
	}
	if !slices.Equal(s.form, mask.form) {
		wrong("[s] is not the mask of the opened bit")
	}
	mask.mode, mask.e = plan.Add, 1
	return truth, s.w, mask
}

// given returns what the shares of a guest's words combine to.
func (c *checker) given(input, n int) value {
	p, guest := &c.p.Manifest.Inputs[input], slices.Index(c.p.Manifest.Guests, c.p.Manifest.Inputs[input].Owner)
	v := c.table.single(c.table.atom(kInput, input, n, func() term { return term{e: 64, owners: 1 << min(c.n+guest, 63)} }))
	v.w = p.Bits
	return v
}

// isWrap reports whether a hidden bit is the comparison of all n bits of an opened value with its mask.
func (c *checker) isWrap(bit value, opened, n int) bool {
	t := c.table
	if len(bit.form) != 1 || bit.form[0].c != 1 || t.terms[bit.form[0].t].kind != kTrue {
		return false
	}
	o := c.opened[t.terms[bit.form[0].t].par]
	if len(o.def.form) != 1 || o.def.form[0].c != 1 || t.terms[o.def.form[0].t].kind != kFn {
		return false
	}
	p := t.params[t.terms[o.def.form[0].t].par]
	return p.op == fnLow && p.args[0] == int64(n) && p.args[1] == int64(opened)
}

// isPositive reports whether a hidden bit says that a hidden value of n bits is not negative. A value is read from one reading of its mask, by its top bit,
// if it is none: of a negative one that would leave a multiple of 2^n which depends on the mask.
func (c *checker) isPositive(bit, of value, n int) bool {
	t := c.table
	if len(bit.form) != 1 || bit.form[0].c != 1 {
		return false
	}
	layers, core := c.peel(bit.form[0].t)
	if t.terms[core].kind != kTrue || slices.ContainsFunc(layers, func(l layer) bool { return l.with != none }) {
		return false
	}
	o := c.opened[t.terms[core].par]
	if o.mode != plan.Xor || len(o.def.form) != 2 {
		return false
	}
	one, sign := o.def.form[0], o.def.form[1]
	if t.terms[one.t].kind != kOne {
		one, sign = sign, one
	}
	if t.terms[one.t].kind != kOne || one.c&1 == 0 || sign.c != 1 || t.terms[sign.t].kind != kFn {
		return false
	}
	p := t.params[t.terms[sign.t].par]
	if p.op != fnSign || p.args[0] != int64(n) {
		return false
	}
	var seen []mono
	for _, m := range t.values[p.kids[0]].form {
		seen = append(seen, mono{c.view(layers, m.t), m.c})
	}
	return same(t.collect(seen, plan.Add), t.as(of, plan.Add).form, n)
}

// isProduct reports whether d is the product of a mask bit and another mask, mod 2^w.
func (c *checker) isProduct(d, s, r value, w int) bool {
	s.w = 64
	return c.isMaskProduct(d, s, r, w)
}

// isMaskProduct reports whether d is the product of two masks, mod 2^w.
func (c *checker) isMaskProduct(d, s, r value, w int) bool {
	t := c.table
	mul := t.param(plan.StepMul, nil, nil)
	d = t.as(d, plan.Add)
	want := t.bilinear(mul, s, r, d.n, addOnly)
	if w <= d.w && w <= want.w {
		return same(d.form, want.form, w)
	}
	f, ok1 := t.exactForm(d)
	g, ok2 := t.exactForm(want)
	return ok1 && ok2 && same(f, g, w)
}

// Functions that exist at value level only have negative numbers.
const (
	fnPart  plan.StepOp = -1 - iota // comparison of some chunks of an opened value with those of its mask
	fnLow                           // comparison of all of them
	fnZero                          // the hidden value is zero
	fnSign                          // top bit of the hidden value
	fnTrunc                         // hidden value, shifted right
	fnAnd                           // merge of bits that are not comparisons
	fnKeep                          // what a copy leaves of its destination
)

// isPart reports whether a term is the comparison of some chunks.
func (c *checker) isPart(id termID) bool {
	x := &c.table.terms[id]
	return x.kind == kFn && c.table.params[x.par].op == fnPart
}

// merged returns what a merge of opened bits yields: truth holds the bits without their masks.
func (c *checker) merged(k, kind int, truth value) termID {
	t := c.table
	plain := func() termID { return c.fn(fnAnd, []int64{int64(k), int64(kind)}, 2, false, truth) }
	if len(truth.form) != 1 || truth.form[0].c != 1 || t.terms[truth.form[0].t].kind != kTrue {
		return plain()
	}
	opened := c.opened[t.terms[truth.form[0].t].par]
	def := opened.def
	if opened.bits < plan.Vars(k, kind) || len(def.form) != 1 || t.terms[def.form[0].t].kind != kFn {
		return plain()
	}
	fn := t.params[t.terms[def.form[0].t].par]
	var bits, chunk, from, count, num int64 // num is the opened value as the parties hold it
	var of value
	switch fn.op {
	case plan.StepLeaf: // bits, chunk, from, k, kind
		bits, chunk, from, count, num, of = fn.args[0], fn.args[1], fn.args[2], fn.args[3], fn.args[5], t.values[fn.kids[0]]
		if count != int64(k) || fn.args[4] != int64(kind) {
			return plain()
		}
	case plan.StepGroup:
		if len(fn.kids) != k || fn.args[0] != int64(kind) {
			return plain()
		}
		for i, kid := range fn.kids { // parts in order without gaps, each with what the next level reads
			p := t.params[t.terms[t.values[kid].form[0].t].par]
			b, ch, fr, co, ki := p.args[0], p.args[1], p.args[2], p.args[3], int(p.args[4])
			if i == 0 {
				bits, chunk, from, num, of = b, ch, fr, p.args[5], t.values[p.kids[0]]
			}
			need := plan.KindBoth
			if kind == plan.KindEq || i == k-1 && kind == plan.KindLt {
				need = kind
			}
			if b != bits || ch != chunk || fr != from+count || ki&need != need || p.args[5] != num {
				return plain()
			}
			count += co
		}
	default:
		return plain()
	}
	args := []int64{bits, chunk, from, count, int64(kind), num}
	if from != 0 || count != (bits+chunk-1)/chunk {
		return c.fn(fnPart, args, 2, true, of)
	}
	if kind == plan.KindEq {
		hidden, _ := c.split(of)
		hidden.w, hidden.e = int(bits), int(bits)
		return c.fn(fnZero, []int64{bits}, 2, false, hidden)
	}
	if kind == plan.KindLt {
		return c.fn(fnLow, []int64{bits, num}, 1, true, of)
	}
	return c.fn(fnPart, args, 2, true, of)
}

// signs replaces [low bits of m below those of r] XOR top(m) XOR top(r) by the top bit of what m hides.
func (c *checker) signs(v value) value {
	t := c.table
	if v.mode != plan.Xor && !v.free {
		return v
	}
	for _, m := range v.form {
		layers, core := c.peel(m.t)
		x := t.terms[core]
		if x.kind != kFn || t.params[x.par].op != fnLow {
			continue
		}
		all := t.values[t.params[x.par].kids[0]]
		low, num := int(t.params[x.par].args[0]), t.params[x.par].args[1]
		hidden, mask := c.split(all)
		if all.w < low+1 {
			continue
		}
		take := map[termID]bool{m.t: true}
		top := c.wholeValue(t.cut(t.values[num], low, 1))
		found := true
		for _, k := range top.form {
			id := c.view(layers, k.t)
			take[id] = true
			found = found && slices.ContainsFunc(v.form, func(m mono) bool { return m.t == id })
		}
		// the top bit of the mask: the terms that take this bit of a number which is the mask
		par := t.param(plan.StepBits, []int64{int64(low), 1}, nil)
		sum, exact, count := []mono{}, true, 0
		for _, k := range v.form {
			ls, id := c.peelTo(k.t, par)
			if id == none || take[k.t] || !slices.Equal(ls, layers) || !t.terms[id].masked {
				continue
			}
			y, u := t.terms[t.terms[id].a], t.single(t.terms[id].a)
			if y.kind == kWord {
				u = t.values[y.par]
			}
			if slices.ContainsFunc(u.form, func(m mono) bool { return !slices.ContainsFunc(mask.form, func(k mono) bool { return k.t == m.t }) }) {
				continue // of the mask of another comparison that this one is joined with
			}
			exact = exact && u.w >= low+1 // bit low of a number is that of all that agree with it mod 2^(low+1)
			sum = t.merge(sum, u.form, 1, plan.Add)
			take[k.t] = true
			count++
		}
		if !found || !exact || count > 1 && !t.values[num].free || !same(sum, mask.form, low+1) {
			continue
		}
		hidden.w, hidden.e = low+1, low+1
		sign := c.view(layers, c.fn(fnSign, []int64{int64(low + 1)}, 1, false, hidden))
		rest := slices.DeleteFunc(slices.Clone(v.form), func(m mono) bool { return take[m.t] })
		v.form = t.merge(rest, []mono{{sign, 1}}, 1, plan.Xor)
		v.mode = plan.Xor
		return c.signs(v)
	}
	return v
}

// A layer is one map that bits pass through one by one: a copy, a gather, or an AND with public bits.
type layer struct {
	par, n int
	with   termID // public bits; none for maps of one operand
}

// peel takes the layers off a term, the outermost first. All of them are linear over bits, so that what holds for a sum of bits
// holds for the sum of their images under equal layers.
func (c *checker) peel(id termID) (layers []layer, core termID) {
	t := c.table
	for {
		t.spend(1)
		x := &t.terms[id]
		switch {
		case x.kind == kLin:
			if op := t.params[x.par].op; op != plan.StepCopy && op != plan.StepGather && op != fnKeep {
				return layers, id
			}
			layers, id = append(layers, layer{x.par, x.n, none}), x.a
		case x.kind == kBil && t.params[x.par].op == plan.StepAnd && t.terms[x.a].public:
			layers, id = append(layers, layer{x.par, x.n, x.a}), x.b
		case x.kind == kBil && t.params[x.par].op == plan.StepAnd && t.terms[x.b].public:
			layers, id = append(layers, layer{x.par, x.n, x.b}), x.a
		default:
			return layers, id
		}
	}
}

// peelTo takes the layers off a term down to a linear map of a kind, wherever it stands among them.
func (c *checker) peelTo(id termID, par int) (layers []layer, core termID) {
	layers, core = c.peel(id)
	if x := &c.table.terms[core]; x.kind == kLin && x.par == par {
		return layers, core
	}
	return nil, none
}

// view puts layers back on a term.
func (c *checker) view(layers []layer, id termID) termID {
	t := c.table
	for _, l := range slices.Backward(layers) {
		if l.with == none {
			id = t.lin(l.par, id, l.n, t.terms[id].e, both)
		} else {
			id = t.bil(l.par, min(id, l.with), max(id, l.with), l.n, plan.Xor)
		}
	}
	return id
}

// joint combines what the parties hold, by party, to the value that it is the sharing of. symmetric says that the values
// are the same expression everywhere because they are operands of one step.
func (c *checker) joint(held []value, mode plan.Mode, symmetric bool) (value, *clash) {
	t := c.table
	if symmetric { // terms that are no shares count once for every party
		for _, m := range held[0].form {
			if x := &t.terms[m.t]; x.deg == 0 && !x.public {
				return value{}, &clash{NotShares, "one party's own data stands where all parties' shares are needed"}
			}
		}
	}
	out := value{mode: mode, w: 64, n: held[0].n}
	at := make([]int, len(held))
	var list []mono
	for i := range held {
		held[i] = t.as(held[i], mode)
		out.w = min(out.w, held[i].w)
		out.e = max(out.e, held[i].e)
	}
	for {
		next := termID(-1)
		for i, v := range held {
			if at[i] < len(v.form) && (next < 0 || v.form[at[i]].t < next) {
				next = v.form[at[i]].t
			}
		}
		if next < 0 {
			break
		}
		t.spend(len(held))
		x := &t.terms[next]
		var sum, first uint64
		equal := true
		for i, v := range held {
			k := uint64(0)
			if at[i] < len(v.form) && v.form[at[i]].t == next {
				k = v.form[at[i]].c
				at[i]++
			}
			sum += k
			if i == 0 {
				first = k
			}
			equal = equal && k == first
		}
		switch {
		case x.deg == 0:
			if mode == plan.Xor {
				sum &= 1
			}
		case x.deg > 1 || x.smode != mode:
			return value{}, &clash{NotShares, "a party applies to its share what cannot be applied to shares"}
		case !equal:
			return value{}, &clash{NotShares, "parties treat their shares of one value differently"}
		default:
			sum = first
		}
		if sum == 0 {
			continue
		}
		u := t.as(c.whole(next), mode)
		out.w = min(out.w, u.w+shift(sum))
		t.spend(len(u.form))
		for _, k := range u.form {
			list = append(list, mono{k.t, k.c * sum})
		}
	}
	out.form = t.collect(list, mode)
	out.free = len(out.form) == 0 || len(out.form) == 1 && out.form[0].c == 1
	if mode == plan.Add {
		out.e = 64
	}
	if len(out.form) == 1 && out.free {
		out.e = t.terms[out.form[0].t].e
	}
	return c.signs(out), nil
}
