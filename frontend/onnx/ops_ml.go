package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Classical models: the domain ai.onnx.ml. It keeps what a model has learned in attributes; numbers there become weights of the
// owner of the weights, as if they were initialisers, and only their count, class labels and the structure of trees are public.

// learned is a tensor of a node's own numbers.
func (c *calc) learned(what string, t *ir.Tensor) *ir.Value {
	if c.err != nil {
		return nil
	}
	r := c.n.r
	if r.opt.PublicWeights {
		return c.got(c.n.constant(t))
	}
	base := c.n.p.GetOpType()
	if name := c.n.p.GetName(); name != "" {
		base = short(name)
	} else if len(c.n.p.Output) > 0 && c.n.p.Output[0] != "" {
		base = short(c.n.p.Output[0])
	}
	return c.got(r.weight(c.n.at, base+"."+what, r.opt.WeightOwner, t))
}

// floats returns a list of numbers from an attribute, or from the tensor that stands for it in NAME_as_tensor.
func (n *node) floats(name string) ([]float64, error) {
	var out []float64
	if a := n.attrs[name+"_as_tensor"]; a != nil {
		t, err := n.held(a.GetT())
		if err != nil {
			return nil, fmt.Errorf("%s_as_tensor: %w", name, err)
		}
		for i := range t.Len() {
			out = append(out, t.At(i))
		}
	} else if a := n.attrs[name]; a != nil {
		for _, f := range a.Floats {
			out = append(out, float64(f))
		}
	}
	for i, x := range out {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("entry %d of %s is not a finite number", i, name)
		}
	}
	return out, nil
}

// samples returns the first input as reals [N, features].
func (c *calc) samples() (x *ir.Value, rows, features int) {
	x = c.to(c.n.in(0), ir.Real)
	if c.err != nil {
		return nil, 0, 0
	}
	switch s := x.Type.Shape; len(s) {
	case 1:
		return c.reshape(x, 1, s[0]), 1, s[0]
	case 2:
		return x, s[0], s[1]
	default:
		return c.fail("input %v is not a list of samples", s), 0, 0
	}
}

// turned arranges a list of rows*cols learned numbers, turned over.
func (c *calc) turned(what string, list []float64, rows, cols int) *ir.Value {
	if c.err == nil && (rows < 1 || cols < 1 || len(list) != rows*cols) {
		return c.fail("%s has %d entries, want %d times %d", what, len(list), rows, cols)
	}
	t := c.table(ir.Real, cols, rows)
	if t == nil {
		return nil
	}
	for i := range rows {
		for j := range cols {
			t.F[j*rows+i] = list[i*cols+j]
		}
	}
	return c.learned(what, t)
}

// vector is a list of size learned numbers, or one for all.
func (c *calc) vector(what string, list []float64, size int) *ir.Value {
	if c.err == nil && len(list) != 1 && len(list) != size {
		return c.fail("%s has %d entries, want %d", what, len(list), size)
	}
	t := c.table(ir.Real, len(list))
	if t == nil {
		return nil
	}
	copy(t.F, list)
	return c.learned(what, t)
}

// linear returns x times learned coefficients [outs, features] plus intercepts.
func (c *calc) linear(outs int) *ir.Value {
	x, _, features := c.samples()
	w, err := c.n.floats("coefficients")
	b, err2 := c.n.floats("intercepts")
	if err = errors.Join(err, err2); err != nil {
		return c.got(nil, err)
	}
	y := c.e(ir.OpMatMul, nil, x, c.turned("coefficients", w, outs, features))
	if len(b) > 0 {
		y = c.add(y, c.vector("intercepts", b, outs))
	}
	return y
}

// transform applies post_transform to scores [N, E].
func (c *calc) transform(x *ir.Value) *ir.Value {
	return c.transformed(x, c.n.str("post_transform", "NONE"))
}

func (c *calc) transformed(x *ir.Value, t string) *ir.Value {
	switch t {
	case "NONE":
		return x
	case "LOGISTIC":
		return c.fn(ir.OpSigmoid, x)
	case "SOFTMAX":
		return c.e(ir.OpSoftmax, ir.Attrs{ir.I("axis", 1)}, x)
	default:
		return c.fail("post_transform=%s is not supported, want NONE, LOGISTIC or SOFTMAX", short(t))
	}
}

// labels returns a classifier's class labels: integers, or the places of strings.
func (n *node) labels(name string) ([]int, error) {
	if n.textLabels() {
		places, err := n.places(n.attrs["classlabels_strings"].Strings)
		list := make([]int, len(places))
		for i, p := range places {
			list[i] = int(p)
		}
		if len(list) == 1 {
			return nil, diag.Errorf(n.at, "one class label that is a string is not supported: the other class has no name").WithHint("export the model with the labels of both classes")
		}
		return list, err
	}
	list := n.ints(name)
	if len(list) == 0 {
		return nil, fmt.Errorf("%s is missing", name)
	}
	return list, nil
}

// textLabels reports whether a classifier's labels are strings.
func (n *node) textLabels() bool {
	a := n.attrs["classlabels_strings"]
	return a != nil && len(a.Strings) > 0
}

// label returns the label of an index [N] of a class, which is text where the labels are.
func (c *calc) label(idx *ir.Value, labels []int) *ir.Value {
	y := c.labelled(idx, labels)
	if c.err != nil || !c.n.textLabels() {
		return y
	}
	if y == idx || y.Op == ir.OpConst {
		y = c.got(c.n.renamed(y))
	}
	return c.n.r.asText(y, false)
}

func (c *calc) labelled(idx *ir.Value, labels []int) *ir.Value {
	if c.err != nil {
		return nil
	}
	first, step := labels[0], 1
	if len(labels) > 1 {
		step = labels[1] - first
	}
	even := true
	for i, l := range labels {
		even = even && l == first+i*step
	}
	if even {
		return c.plus(c.scale(idx, float64(step)), float64(first))
	}
	list := c.table(ir.Int, len(labels), 1)
	if list == nil {
		return nil
	}
	for i, l := range labels {
		list.I[i] = int64(l)
	}
	n := idx.Type.Shape.Size()
	hot := c.to(c.e(ir.OpEq, nil, c.reshape(idx, n, 1), c.iota(len(labels))), ir.Int)
	return c.reshape(c.e(ir.OpMatMul, nil, hot, c.data(list, false)), n)
}

// top returns the index [N] of the largest of scores [N, E], the first on ties.
func (c *calc) top(scores *ir.Value) *ir.Value {
	if c.err != nil {
		return nil
	}
	if scores.Type.Shape[1] == 2 { // one comparison tells them apart
		n := scores.Type.Shape[0]
		return c.reshape(c.to(c.e(ir.OpLt, nil, c.cut(scores, 1, 0, 1), c.cut(scores, 1, 1, 2)), ir.Int), n)
	}
	return c.e(ir.OpArgMax, ir.Attrs{ir.I("axis", 1)}, scores)
}

// mirrored returns the scores [first(s), s] of two classes from the one of the second.
func (c *calc) mirrored(s *ir.Value, first func(s *ir.Value) *ir.Value) *ir.Value {
	return c.concat(1, first(s), s)
}

func linearRegressor(n *node) ([]*ir.Value, error) {
	c := n.calc()
	return c.one(c.transform(c.linear(n.int("targets", 1))))
}

func linearClassifier(n *node) ([]*ir.Value, error) {
	c := n.calc()
	labels, err := n.labels("classlabels_ints")
	if err != nil {
		return nil, err
	}
	outs := len(labels)
	if _, _, features := c.samples(); outs == 2 && len(n.attrs["coefficients"].GetFloats()) == features {
		outs = 1
	}
	scores := c.linear(outs)
	switch {
	case c.err != nil:
		return nil, c.err
	case len(labels) == 1 && n.str("post_transform", "") == "SOFTMAX":
		return nil, errors.New("post_transform=SOFTMAX of one class is not supported")
	case len(labels) == 1: // the label, or zero
		above := c.reshape(c.to(c.e(ir.OpGe, nil, scores, c.num(scores, 0)), ir.Int), scores.Type.Shape[0])
		return []*ir.Value{c.scale(above, float64(labels[0])), c.transform(scores)}, c.err
	case outs == 1:
		scores = c.mirrored(scores, c.neg)
	}
	// the transforms keep the order of scores
	return []*ir.Value{c.label(c.top(scores), labels), c.transform(scores)}, c.err
}

func normalizer(n *node) ([]*ir.Value, error) {
	c := n.calc()
	x, _, _ := c.samples()
	var y *ir.Value
	switch norm := n.str("norm", "MAX"); norm {
	case "MAX":
		y = c.div(x, c.reduce(ir.OpReduceMax, c.fn(ir.OpAbs, x), 1))
	case "L1":
		y = c.div(x, c.reduce(ir.OpReduceSum, c.fn(ir.OpAbs, x), 1))
	case "L2":
		y = c.mul(x, c.fn(ir.OpRsqrt, c.reduce(ir.OpReduceSum, c.mul(x, x), 1)))
	default:
		return nil, fmt.Errorf("norm=%s is not supported, want MAX, L1 or L2", short(norm))
	}
	return c.one(c.reshape(y, n.in(0).Type.Shape...))
}

func scaler(n *node) ([]*ir.Value, error) {
	c := n.calc()
	x, _, features := c.samples()
	offset, err := n.floats("offset")
	if err != nil {
		return nil, err
	}
	scale, err := n.floats("scale")
	if err != nil {
		return nil, err
	}
	if len(offset) > 0 {
		x = c.sub(x, c.vector("offset", offset, features))
	}
	if len(scale) > 0 {
		x = c.mul(x, c.vector("scale", scale, features))
	}
	return c.one(c.reshape(x, n.in(0).Type.Shape...))
}

// extract lowers ArrayFeatureExtractor: columns at public or secret indices.
func extract(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := x.Type.Shape
	if len(s) == 0 {
		return nil, c.wrongInput(x)
	}
	at, err := n.positions(1, s[len(s)-1])
	if err != nil {
		return nil, err
	}
	if at == nil { // rows [M, K] times one-hot [K, I]
		k, list := s[len(s)-1], n.in(1)
		count, rows := list.Type.Shape.Size(), max(1, s[:len(s)-1].Size())
		if x.Type.Elem == ir.Bool || k == 0 {
			return nil, fmt.Errorf("secret indices into %v are not supported, want numbers or strings", x.Type)
		}
		n.names(list, k)
		hot := c.transpose(c.oneHot(c.reshape(list, count), k, x.Type.Elem), 1, 0)
		y := c.e(ir.OpMatMul, nil, c.reshape(x, rows, k), hot)
		if len(s) == 1 {
			return c.one(c.reshape(y, 1, count))
		}
		return c.one(c.reshape(y, append(slices.Clone(s[:len(s)-1]), count)...))
	}
	idx, err := n.indices(at.Len())
	if err != nil {
		return nil, err
	}
	for i, k := range at.I {
		idx[i] = int(k)
	}
	y := c.pick(x, len(s)-1, idx)
	if len(s) == 1 {
		y = c.reshape(y, 1, len(idx))
	}
	return c.one(y)
}

// zipMap names the places of a list of scores for each sample.
func zipMap(n *node) ([]*ir.Value, error) {
	var names []string
	for _, s := range n.attrs["classlabels_strings"].GetStrings() {
		names = append(names, string(s))
	}
	for _, k := range n.attrs["classlabels_int64s"].GetInts() {
		names = append(names, strconv.FormatInt(k, 10))
	}
	x := n.in(0)
	s := x.Type.Shape
	if len(names) == 0 {
		return one(x, nil)
	}
	if len(s) == 0 || s[len(s)-1] != len(names) || len(names) > maxWords {
		return nil, fmt.Errorf("%d names for scores %v", len(names), s)
	}
	y, err := n.reshape(x, append(slices.Clone(s), 1)) // a value of its own
	if err == nil {
		y, err = n.reshape(y, s)
	}
	if err == nil {
		n.r.classes[y] = names
	}
	return one(y, err)
}

// A machine is what the two SVM operators share.
type machine struct {
	c       *calc
	x       *ir.Value
	kernel  string
	gamma   float64
	coef0   float64
	degree  float64
	support []float64 // vectors
	count   int
	width   int
}

func (n *node) machine(c *calc, count int) (*machine, error) {
	m := &machine{c: c, count: count}
	m.x, _, m.width = c.samples()
	if c.err != nil {
		return nil, c.err
	}
	switch kind := strings.ToUpper(n.str("kernel_type", "LINEAR")); kind {
	case "LINEAR", "RBF", "POLY", "SIGMOID":
		m.kernel = kind
	default:
		return nil, fmt.Errorf("kernel_type=%s is not supported, want LINEAR, POLY, RBF or SIGMOID", short(kind))
	}
	params, err := n.floats("kernel_params")
	if err != nil {
		return nil, err
	}
	if m.support, err = n.floats("support_vectors"); err != nil {
		return nil, err
	}
	m.degree = 3
	for i, p := range []*float64{&m.gamma, &m.coef0, &m.degree} {
		if i < len(params) {
			*p = params[i]
		}
	}
	if m.kernel == "POLY" && (m.degree < 1 || m.degree != math.Trunc(m.degree) || m.degree > maxProductPower) {
		return nil, fmt.Errorf("degree %g of a polynomial kernel is not supported, want 1 to %d", m.degree, maxProductPower)
	}
	if count < 0 || count > 1<<20 || len(m.support) != count*m.width || m.kernel != "LINEAR" && count == 0 || m.kernel == "RBF" && m.gamma < 0 {
		return nil, fmt.Errorf("%d support vectors of %d features, %d numbers and gamma %g do not fit", count, m.width, len(m.support), m.gamma)
	}
	return m, nil
}

// sums returns for each row of coefs [outs, count] the sum of its entries times the kernels of x and the support vectors.
func (m *machine) sums(coefs []float64, outs int) *ir.Value {
	c := m.c
	if len(coefs) != outs*m.count {
		return c.fail("coefficients have %d entries, want %d", len(coefs), outs*m.count)
	}
	if err := c.n.r.left.take(0, float64(outs)*float64(m.count)*float64(m.width)); err != nil {
		return c.got(nil, err)
	}
	if m.kernel == "LINEAR" { // the owner sums the support vectors before the run
		w := c.table(ir.Real, outs*m.width)
		if w == nil {
			return nil
		}
		for o := range outs {
			for k := range m.count {
				for j := range m.width {
					w.F[o*m.width+j] += float64(coefs[o*m.count+k] * m.support[k*m.width+j])
				}
			}
		}
		return c.e(ir.OpMatMul, nil, m.x, c.turned("coefficients", w.F, outs, m.width))
	}
	if m.kernel != "RBF" { // gamma x v + coef0
		near := make([]float64, len(m.support))
		for i, v := range m.support {
			near[i] = m.gamma * v
		}
		z := c.add(c.e(ir.OpMatMul, nil, m.x, c.turned("support_vectors", near, m.count, m.width)), c.vector("coef0", []float64{m.coef0}, 1))
		if m.kernel == "POLY" {
			z = c.powPublic(z, m.degree)
		} else {
			z = c.fn(ir.OpTanh, z)
		}
		return c.e(ir.OpMatMul, nil, z, c.turned("coefficients", coefs, outs, m.count))
	}
	kernel := c.fn(ir.OpExp, c.neg(m.distances(math.Sqrt(m.gamma))))
	return c.e(ir.OpMatMul, nil, kernel, c.turned("coefficients", coefs, outs, m.count))
}

// distances returns the squares of the distances of g*x from the support vectors times g, [rows, count], as the sum of (g x - g v)^2: in the sum of |g x|^2,
// -2 g x g v and |g v|^2, which one product of matrices would give, the digits of far points would be all that is left near a support vector.
// g is the root of a kernel's gamma, which keeps more of its places than gamma. Cost: rows*count*width products.
func (m *machine) distances(g float64) *ir.Value {
	c := m.c
	near := c.table(ir.Real, m.count, m.width)
	if near == nil || !c.dim(m.x, 1) {
		return nil
	}
	for i, v := range m.support {
		near.F[i] = g * v
	}
	rows := m.x.Type.Shape[0]
	x := c.reshape(c.mul(m.x, c.vector("gamma", []float64{g}, 1)), rows, 1, m.width)
	d := c.sub(x, c.learned("support_vectors", near))
	return c.reshape(c.reduce(ir.OpReduceSum, c.mul(d, d), 2), rows, m.count)
}

func svmRegressor(n *node) ([]*ir.Value, error) {
	c := n.calc()
	coefs, err := n.floats("coefficients")
	if err != nil {
		return nil, err
	}
	rho, err := n.floats("rho")
	if err != nil {
		return nil, err
	}
	m, err := n.machine(c, n.int("n_supports", 0))
	if err != nil {
		return nil, err
	}
	if len(rho) != 1 {
		return nil, fmt.Errorf("rho has %d entries, want one", len(rho))
	}
	var y *ir.Value
	if m.count == 0 {
		y = c.e(ir.OpMatMul, nil, m.x, c.turned("coefficients", coefs, 1, m.width))
	} else {
		y = m.sums(coefs, 1)
	}
	y = c.add(y, c.vector("rho", rho, 1))
	if n.int("one_class", 0) != 0 { // 1 inside, -1 outside
		return c.one(c.plus(c.scale(c.to(c.e(ir.OpGt, nil, y, c.num(y, 0)), ir.Real), 2), -1))
	}
	return c.one(c.transform(y))
}

// svmClassifier lowers SVMClassifier: one machine for each pair of classes, whose votes decide.
func svmClassifier(n *node) ([]*ir.Value, error) {
	c := n.calc()
	labels, err := n.labels("classlabels_ints")
	if err != nil {
		return nil, err
	}
	probA, err := n.floats("prob_a")
	probB, err2 := n.floats("prob_b")
	if err = errors.Join(err, err2); err != nil {
		return nil, err
	}
	if len(probA) > 0 && len(labels) != 2 {
		return nil, diag.Errorf(n.at, "probabilities of an SVM with %d classes, which take an iteration, are not supported", len(labels)).WithHint("train it without probabilities (probability=False), or cut the graph after its scores")
	}
	if len(probA) > 0 && (len(probA) != 1 || len(probB) != 1) {
		return nil, fmt.Errorf("%d entries of prob_a and %d of prob_b, want one", len(probA), len(probB))
	}
	coefs, err := n.floats("coefficients")
	if err != nil {
		return nil, err
	}
	rho, err := n.floats("rho")
	if err != nil {
		return nil, err
	}
	per := n.ints("vectors_per_class")
	k, total := len(labels), 0
	start := make([]int, len(per))
	for i, p := range per {
		if p < 0 || p > 1<<20 {
			return nil, fmt.Errorf("vectors_per_class has the entry %d", p)
		}
		start[i] = total
		total += p
	}
	if slices.IndexFunc(coefs, func(f float64) bool { return f < 0 }) < 0 && k == 2 {
		return nil, errors.New("two classes with coefficients that are all positive are not supported")
	}
	m, err := n.machine(c, total)
	if err != nil {
		return nil, err
	}
	if total == 0 { // scores of the classes themselves
		if k != 2 || len(rho) != 1 {
			return nil, fmt.Errorf("%d classes without support vectors and %d entries of rho are not supported, want 2 and 1", k, len(rho))
		}
		s := c.add(c.e(ir.OpMatMul, nil, m.x, c.turned("coefficients", coefs, k, m.width)), c.vector("rho", rho, 1))
		return []*ir.Value{c.label(c.top(s), labels), c.transform(s)}, c.err
	}
	pairs := k * (k - 1) / 2
	if k < 2 || k > 1<<8 || len(per) != k || len(rho) != pairs || len(coefs) != (k-1)*total {
		return nil, fmt.Errorf("%d classes, %d vectors, %d coefficients and %d entries of rho do not fit", k, total, len(coefs), len(rho))
	}
	if err := n.r.left.take(float64(pairs)*float64(total), 0); err != nil {
		return nil, err
	}
	w := make([]float64, pairs*total)
	p := 0
	votes := c.table(ir.Int, pairs, k) // of a positive score
	base := c.table(ir.Int, k)
	if base == nil {
		return nil, c.err
	}
	for i := range k {
		for j := i + 1; j < k; j++ {
			copy(w[p*total+start[i]:][:per[i]], coefs[(j-1)*total+start[i]:])
			copy(w[p*total+start[j]:][:per[j]], coefs[i*total+start[j]:])
			votes.I[p*k+i], votes.I[p*k+j] = 1, -1
			base.I[j]++
			p++
		}
	}
	s := c.add(m.sums(w, pairs), c.vector("rho", rho, pairs))
	won := c.to(c.e(ir.OpGt, nil, s, c.num(s, 0)), ir.Int)
	count := c.add(c.e(ir.OpMatMul, nil, won, c.data(votes, false)), c.data(base, false))
	if len(probA) > 0 { // of the first class 1/(1 + exp(a s + b))
		first := c.fn(ir.OpSigmoid, c.neg(c.add(c.mul(s, c.vector("prob_a", probA, 1)), c.vector("prob_b", probB, 1))))
		return []*ir.Value{c.label(c.top(count), labels), c.concat(1, first, c.plus(c.neg(first), 1))}, c.err
	}
	if pairs == 1 {
		s = c.mirrored(s, c.neg)
	}
	return []*ir.Value{c.label(c.top(count), labels), c.transform(s)}, c.err
}

func init() {
	const ml = "ai.onnx.ml."
	add(ml+"LinearRegressor", "x W + b with weights that stay private.", linearRegressor, version{since: 1, in: 1, max: 1, attrs: "coefficients:fs! intercepts:fs post_transform:s targets:i"})
	add(ml+"LinearClassifier", "Label and scores x W + b; the labels there are, as numbers, are public, the weights stay private.", linearClassifier,
		version{since: 1, in: 1, max: 1, attrs: "classlabels_ints:is classlabels_strings:ss coefficients:fs! intercepts:fs multi_class:i post_transform:s"})
	add(ml+"Normalizer", "Rows over their largest magnitude, 1- or 2-norm, approximated.", normalizer, version{since: 1, in: 1, max: 1, attrs: "norm:s"})
	add(ml+"Scaler", "(x - offset) * scale with numbers that stay private.", scaler, version{since: 1, in: 1, max: 1, attrs: "offset:fs scale:fs"})
	add(ml+"ArrayFeatureExtractor", "Columns at public indices, or secret ones, which are compared with every place.", extract, version{since: 1, in: 2, max: 2})
	add(ml+"ZipMap", "The input itself: scores in the order of the classes, whose names the output carries.", zipMap,
		version{since: 1, in: 1, max: 1, attrs: "classlabels_int64s:is classlabels_strings:ss"})
	add(ml+"SVMRegressor", "Support vector regression with a linear, polynomial, RBF or sigmoid kernel, approximated; the number of vectors is public.", svmRegressor,
		version{since: 1, in: 1, max: 1, attrs: "coefficients:fs! kernel_params:fs kernel_type:s n_supports:i one_class:i post_transform:s rho:fs! support_vectors:fs"})
	add(ml+"SVMClassifier", "Label and scores of support vector machines with a linear, polynomial, RBF or sigmoid kernel, approximated; the number of vectors of each class is public.", svmClassifier,
		version{since: 1, in: 1, max: 1, attrs: "classlabels_ints:is classlabels_strings:ss coefficients:fs! kernel_params:fs kernel_type:s post_transform:s prob_a:fs prob_b:fs rho:fs! support_vectors:fs vectors_per_class:is"})
}
