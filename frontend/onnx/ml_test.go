package onnx

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// A forest is an ensemble of trees as the test draws it, walked node by node.
type forest struct {
	tree, id, feature, yes, no []int64
	value                      []float32
	mode                       []string
	leafTree, leafID, leafOut  []int64
	weight                     []float32
}

// grow adds a tree of the given depth, whose left half is deeper, and returns its root.
func (f *forest) grow(tree int64, depth int, outs int64) int64 {
	at := len(f.tree)
	id := int64(100 - at) // identities need not be in order
	f.tree, f.id = append(f.tree, tree), append(f.id, id)
	f.feature, f.value = append(f.feature, int64(at)%3), append(f.value, float32(at*7%5)-1.75)
	f.yes, f.no, f.mode = append(f.yes, 0), append(f.no, 0), append(f.mode, "LEAF")
	if depth == 0 {
		for o := range outs {
			f.leafTree, f.leafID, f.leafOut = append(f.leafTree, tree), append(f.leafID, id), append(f.leafOut, o)
			f.weight = append(f.weight, float32(at)/2-float32(o))
		}
		return id
	}
	f.mode[at] = []string{"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE", "BRANCH_EQ", "BRANCH_NEQ"}[at%6]
	if f.mode[at] == "BRANCH_EQ" || f.mode[at] == "BRANCH_NEQ" {
		f.value[at] = 1
	}
	f.yes[at] = f.grow(tree, depth-1, outs)
	f.no[at] = f.grow(tree, depth/2, outs)
	return id
}

// scores walks the trees for one sample.
func (f *forest) scores(x []float64, outs int) []float64 {
	sum := make([]float64, outs)
	for i, t := range f.tree {
		if slices.Contains(f.tree[:i], t) {
			continue
		}
		for f.mode[i] != "LEAF" { // the first node of a tree is its root
			a, b := x[f.feature[i]], float64(f.value[i])
			next := f.no[i]
			if map[string]bool{"BRANCH_LEQ": a <= b, "BRANCH_LT": a < b, "BRANCH_GT": a > b, "BRANCH_GTE": a >= b, "BRANCH_EQ": a == b, "BRANCH_NEQ": a != b}[f.mode[i]] {
				next = f.yes[i]
			}
			i = slices.IndexFunc(f.id, func(id int64) bool { return id == next })
		}
		for k := range f.weight {
			if f.leafTree[k] == t && f.leafID[k] == f.id[i] {
				sum[f.leafOut[k]] += float64(f.weight[k])
			}
		}
	}
	return sum
}

// attrs are the node attributes and those of the leaves, under the names of one of the two operators.
func (f *forest) attrs(prefix string, more ...*pb.AttributeProto) []*pb.AttributeProto {
	return append([]*pb.AttributeProto{ais("nodes_treeids", f.tree...), ais("nodes_nodeids", f.id...), ais("nodes_featureids", f.feature...), afs("nodes_values", f.value...), ass("nodes_modes", f.mode...),
		ais("nodes_truenodeids", f.yes...), ais("nodes_falsenodeids", f.no...), ais(prefix+"_treeids", f.leafTree...), ais(prefix+"_nodeids", f.leafID...), ais(prefix+"_ids", f.leafOut...), afs(prefix+"_weights", f.weight...)}, more...)
}

// grid holds samples on and beside every threshold of a forest.
func grid() *ir.Tensor {
	t := ir.NewTensor(ir.Real, dims(48, 3))
	for i := range t.F {
		t.F[i] = float64(i*5%23)/4 - 2.75
		if i%7 == 0 {
			t.F[i] = 1
		}
	}
	return t
}

// table applies f to each sample.
func rowsOf(x *ir.Tensor, outs int, f func(row []float64) []float64) *ir.Tensor {
	y := ir.NewTensor(ir.Real, dims(x.Shape[0], outs))
	for i := range x.Shape[0] {
		copy(y.F[i*outs:], f(x.F[i*x.Shape[1]:][:x.Shape[1]]))
	}
	return y
}

// best is the label of the largest score of each row, the first on ties.
func best(scores *ir.Tensor, labels ...int64) *ir.Tensor {
	y := ints(dims(scores.Shape[0]))
	for i := range scores.Shape[0] {
		row := scores.F[i*scores.Shape[1]:][:scores.Shape[1]]
		y.I = append(y.I, labels[slices.Index(row, slices.Max(row))])
	}
	return y
}

func softmaxed(x []float64) []float64 {
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(v)
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = math.Exp(v) / sum
	}
	return y
}

func mlCases() []opCase {
	x := reals(dims(2, 2), 1, 2, -3, 1)
	big := grid()
	var one, two, leaf forest
	one.grow(0, 4, 1)
	one.grow(3, 2, 1)
	two.grow(1, 3, 2)
	two.grow(2, 3, 2)
	two.grow(7, 0, 2)
	leaf.grow(0, 0, 1)
	sum := rowsOf(big, 1, func(r []float64) []float64 { return one.scores(r, 1) })
	halved := rowsOf(big, 1, func(r []float64) []float64 { return []float64{one.scores(r, 1)[0]/2 + 0.5} })
	two3 := rowsOf(big, 3, func(r []float64) []float64 { s := two.scores(r, 2); return []float64{s[0] - 2, s[1] + 1, 3} })
	prob3 := rowsOf(two3, 3, softmaxed)
	mirror := rowsOf(sum, 2, func(r []float64) []float64 { return []float64{logistic(4 - r[0]), logistic(r[0] - 4)} })
	rest1 := rowsOf(sum, 2, func(r []float64) []float64 { return []float64{1 - r[0], r[0]} })
	// support vectors (1,0), (0,2), (-1,-1)
	vectors := []float32{1, 0, 0, 2, -1, -1}
	rbf := func(r []float64, k int) float64 {
		d := 0.0
		for j, v := range r {
			d += (v - float64(vectors[2*k+j])) * (v - float64(vectors[2*k+j]))
		}
		return math.Exp(-0.25 * d)
	}
	svr := rowsOf(x, 1, func(r []float64) []float64 { return []float64{2*rbf(r, 0) - 1*rbf(r, 1) + 0.5*rbf(r, 2) + 0.125} })
	svc := func(r []float64, kernel func(r []float64, k int) float64) []float64 { // pairs 01, 02, 12 of one vector each
		k0, k1, k2 := kernel(r, 0), kernel(r, 1), kernel(r, 2)
		return []float64{1*k0 - 2*k1 + 0.25, 3*k0 - 4*k2 - 0.5, 5*k1 - 6*k2 + 0.125}
	}
	coefs := []float32{1, -2, -4, 3, 5, -6}
	pairs := rowsOf(x, 3, func(r []float64) []float64 { return svc(r, rbf) })
	votes := rowsOf(pairs, 3, func(s []float64) []float64 {
		v := make([]float64, 3)
		for p, c := range [][2]int{{0, 1}, {0, 2}, {1, 2}} {
			if s[p] > 0 {
				v[c[0]]++
			} else {
				v[c[1]]++
			}
		}
		return v
	})
	return []opCase{
		{name: "LinearRegressor", nodes: nodes(ml("LinearRegressor", "x", "y", afs("coefficients", 10, 1), afs("intercepts", 100))), x: tensors{"x": x}, y: out(reals(dims(2, 1), 112, 71))},
		{name: "LinearRegressor targets", nodes: nodes(ml("LinearRegressor", "x", "y", ai("targets", 2), afs("coefficients", 10, 1, 2, 3))), x: tensors{"x": list2(1, 2)}, y: out(reals(dims(1, 2), 12, 8))},
		{name: "LinearRegressor logistic", nodes: nodes(ml("LinearRegressor", "x", "y", afs("coefficients", 0, 1), as("post_transform", "LOGISTIC"))), x: tensors{"x": x}, y: out(reals(dims(2, 1), logistic(2), logistic(1)))},
		{name: "LinearClassifier", nodes: nodes(ml("LinearClassifier", "x", "y0 y1", ais("classlabels_ints", 4, 9, 5), afs("coefficients", 1, 0, 0, 1, 1, 1), afs("intercepts", 0, 0, -2.5))), x: tensors{"x": x},
			y: out(list(9, 9), reals(dims(2, 3), 1, 2, 0.5, -3, 1, -4.5))},
		{name: "LinearClassifier softmax", nodes: nodes(ml("LinearClassifier", "x", "y0 y1", ais("classlabels_ints", 0, 1, 2), afs("coefficients", 1, 0, 0, 1, 1, 1), as("post_transform", "SOFTMAX"))), x: tensors{"x": x},
			y: out(list(2, 1), rowsOf(reals(dims(2, 3), 1, 2, 3, -3, 1, -2), 3, softmaxed))},
		{name: "LinearClassifier two classes", nodes: nodes(ml("LinearClassifier", "x", "y0 y1", ais("classlabels_ints", 7, 3), afs("coefficients", 1, 1, -1, -1), as("post_transform", "LOGISTIC"))), x: tensors{"x": x},
			y: out(list(7, 3), reals(dims(2, 2), logistic(3), logistic(-3), logistic(-2), logistic(2)))},
		{name: "LinearClassifier one row of two", nodes: nodes(ml("LinearClassifier", "x", "y0 y1", ais("classlabels_ints", 0, 1), afs("coefficients", 1, 1))), x: tensors{"x": x}, y: out(list(1, 0), reals(dims(2, 2), -3, 3, 2, -2))},
		{name: "LinearClassifier one class", nodes: nodes(ml("LinearClassifier", "x", "y0 y1", ais("classlabels_ints", 6), afs("coefficients", 1, 1))), x: tensors{"x": x}, y: out(list(6, 0), reals(dims(2, 1), 3, -2))},
		{name: "Normalizer MAX", nodes: nodes(ml("Normalizer", "x", "y", as("norm", "MAX"))), x: tensors{"x": x}, y: out(reals(dims(2, 2), 0.5, 1, -1, 1.0/3))},
		{name: "Normalizer L1", nodes: nodes(ml("Normalizer", "x", "y", as("norm", "L1"))), x: tensors{"x": x}, y: out(reals(dims(2, 2), 1.0/3, 2.0/3, -0.75, 0.25))},
		{name: "Normalizer L2", nodes: nodes(ml("Normalizer", "x", "y", as("norm", "L2"))), x: tensors{"x": reals(dims(2), 3, -4)}, y: out(reals(dims(2), 0.6, -0.8))},
		{name: "Scaler", nodes: nodes(ml("Scaler", "x", "y", afs("offset", 1, -1), afs("scale", 2, 10))), x: tensors{"x": x}, y: out(reals(dims(2, 2), 0, 30, -8, 20))},
		{name: "Scaler of integers, one for all", nodes: nodes(ml("Scaler", "x", "y", afs("offset", 1), afs("scale", 0.5))), x: tensors{"x": ints(dims(1, 2), 4, -3)}, y: out(reals(dims(1, 2), 1.5, -2))},
		{name: "ArrayFeatureExtractor", nodes: nodes(ml("ArrayFeatureExtractor", "x i", "y")), x: tensors{"x": mat23}, w: tensors{"i": ints(dims(1, 2), 2, 0)}, y: out(reals(dims(2, 2), 3, 1, 6, 4))},
		{name: "ArrayFeatureExtractor of a vector", nodes: nodes(ml("ArrayFeatureExtractor", "x i", "y")), x: tensors{"x": row3}, w: tensors{"i": list(2)}, y: out(reals(dims(1, 1), 2))},
		{name: "ZipMap", nodes: nodes(ml("ZipMap", "x", "y", ais("classlabels_int64s", 3, 5))), x: tensors{"x": x}, y: out(x)},

		{name: "TreeEnsembleRegressor", nodes: nodes(ml("TreeEnsembleRegressor", "x", "y", one.attrs("target", ai("n_targets", 1))...)), x: tensors{"x": big}, y: out(sum)},
		{name: "TreeEnsembleRegressor average and base", nodes: nodes(ml("TreeEnsembleRegressor", "x", "y", one.attrs("target", ai("n_targets", 1), as("aggregate_function", "AVERAGE"), afs("base_values", 0.5))...)), x: tensors{"x": big}, y: out(halved)},
		{name: "TreeEnsembleRegressor of a leaf", nodes: nodes(ml("TreeEnsembleRegressor", "x", "y", leaf.attrs("target")...)), x: tensors{"x": x}, y: out(reals(dims(2, 1), 0, 0))},
		{name: "TreeEnsembleRegressor logistic, integers", nodes: nodes(ml("TreeEnsembleRegressor", "x", "y", ais("nodes_treeids", 0, 0, 0), ais("nodes_nodeids", 0, 1, 2), ais("nodes_featureids", 0, 0, 0), ass("nodes_modes", "BRANCH_LT", "LEAF", "LEAF"), ais("nodes_truenodeids", 1, 0, 0), ais("nodes_falsenodeids", 2, 0, 0),
			at("nodes_values_as_tensor", reals(dims(3), 3, 0, 0)), at("target_weights_as_tensor", reals(dims(2), -1, 2)), at("base_values_as_tensor", reals(dims(1), 1)), ais("target_treeids", 0, 0), ais("target_nodeids", 1, 2), ais("target_ids", 0, 0), as("post_transform", "LOGISTIC"))),
			x: tensors{"x": ints(dims(2, 1), 2, 3)}, y: out(reals(dims(2, 1), 0.5, logistic(3)))},
		{name: "TreeEnsembleClassifier", nodes: nodes(ml("TreeEnsembleClassifier", "x", "y0 y1", two.attrs("class", ais("classlabels_int64s", 2, 9, 4), afs("base_values", -2, 1, 3))...)), x: tensors{"x": big}, y: out(best(two3, 2, 9, 4), two3)},
		{name: "TreeEnsembleClassifier softmax", nodes: nodes(ml("TreeEnsembleClassifier", "x", "y0 y1", two.attrs("class", ais("classlabels_int64s", 1, 2, 3), afs("base_values", -2, 1, 3), as("post_transform", "SOFTMAX"))...)), x: tensors{"x": big}, y: out(best(two3, 1, 2, 3), prob3)},
		{name: "TreeEnsembleClassifier two classes, one score", nodes: nodes(ml("TreeEnsembleClassifier", "x", "y0 y1", one.attrs("class", ais("classlabels_int64s", 0, 1), afs("base_values", -4), as("post_transform", "LOGISTIC"))...)), x: tensors{"x": big}, y: out(best(mirror, 0, 1), mirror)},
		{name: "TreeEnsembleClassifier one label", nodes: nodes(ml("TreeEnsembleClassifier", "x", "y0 y1", one.attrs("class", ais("classlabels_int64s", 1))...)), x: tensors{"x": big}, y: out(best(rest1, 0, 1), rest1)},

		{name: "SVMRegressor", nodes: nodes(ml("SVMRegressor", "x", "y", as("kernel_type", "RBF"), afs("kernel_params", 0.25, 0, 3), ai("n_supports", 3), afs("support_vectors", vectors...), afs("coefficients", 2, -1, 0.5), afs("rho", 0.125))), x: tensors{"x": x}, y: out(svr)},
		{name: "SVMRegressor linear", nodes: nodes(ml("SVMRegressor", "x", "y", ai("n_supports", 3), afs("support_vectors", vectors...), afs("coefficients", 2, -1, 0.5), afs("rho", 0.125))), x: tensors{"x": x},
			y: out(reals(dims(2, 1), -3.375, -6.875))}, // 2*1 - 1*4 + 0.5*-3, 2*-3 - 1*2 + 0.5*2
		{name: "SVMRegressor without vectors", nodes: nodes(ml("SVMRegressor", "x", "y", afs("coefficients", 2, -1), afs("rho", 0.5))), x: tensors{"x": x}, y: out(reals(dims(2, 1), 0.5, -6.5))},
		{name: "SVMRegressor one class", nodes: nodes(ml("SVMRegressor", "x", "y", ai("one_class", 1), afs("coefficients", 2, -1), afs("rho", 0.5))), x: tensors{"x": x}, y: out(reals(dims(2, 1), 1, -1))},
		{name: "SVMClassifier", nodes: nodes(ml("SVMClassifier", "x", "y0 y1", as("kernel_type", "RBF"), afs("kernel_params", 0.25, 0, 3), ais("vectors_per_class", 1, 1, 1), afs("support_vectors", vectors...), afs("coefficients", coefs...), afs("rho", 0.25, -0.5, 0.125), ais("classlabels_ints", 3, 1, 2))),
			x: tensors{"x": x}, y: out(best(votes, 3, 1, 2), pairs)},
		{name: "SVMClassifier two classes", nodes: nodes(ml("SVMClassifier", "x", "y0 y1", ais("vectors_per_class", 1, 2), afs("support_vectors", vectors...), afs("coefficients", 2, -1, 0.5), afs("rho", 5), ais("classlabels_ints", 0, 1))), x: tensors{"x": x},
			y: out(list(0, 1), reals(dims(2, 2), -1.5, 1.5, 2, -2))},
		{name: "SVMClassifier without vectors", nodes: nodes(ml("SVMClassifier", "x", "y0 y1", afs("coefficients", 1, 0, -1, 1), afs("rho", 0.5), ais("classlabels_ints", 8, 6), as("post_transform", "LOGISTIC"))), x: tensors{"x": x},
			y: out(list(8, 6), reals(dims(2, 2), logistic(1.5), logistic(1.5), logistic(-2.5), logistic(4.5)))},
	}
}

func list2(x ...float64) *ir.Tensor { return reals(dims(1, len(x)), x...) }

func init() { opCases = append(opCases, mlCases()...) }

// TestTreeSecrets checks what a plan shows of trees: structure, but neither thresholds nor weights; and that comparisons take one
// op and the paths a logarithmic number.
func TestTreeSecrets(t *testing.T) {
	var f forest
	f.grow(0, 8, 1)
	f.grow(1, 8, 1)
	c := opCase{nodes: nodes(ml("TreeEnsembleRegressor", "x", "y", f.attrs("target")...)), x: tensors{"x": grid()}, y: out(num(0))}
	model, _ := c.model()
	m, err := LoadBytes("tree.onnx", encode(t, model), Options{})
	if err != nil {
		t.Fatal(err)
	}
	count := map[ir.Op]int{}
	for _, v := range m.Main().Body {
		count[v.Op]++
		if v.Op == ir.OpConst {
			t.Errorf("a constant is left: %v", v)
		}
	}
	if count[ir.OpLt] != 1 || count[ir.OpEq] != 1 || count[ir.OpAnd] != 3 || count[ir.OpWeight] != 4 {
		t.Errorf("operations are %v, want one comparison of each kind and three products for paths of 8", count)
	}
}

// TestMLMistakes checks refusals.
func TestMLMistakes(t *testing.T) {
	tree := func(change func(f *forest), more ...*pb.AttributeProto) *pb.NodeProto {
		var f forest
		f.grow(0, 2, 1)
		change(&f)
		return ml("TreeEnsembleRegressor", "x", "y", f.attrs("target", more...)...)
	}
	for _, c := range []struct {
		node *pb.NodeProto
		want string
	}{
		{tree(func(f *forest) { f.yes[0] = 7 }), "tree 0 has no node 7"},
		{tree(func(f *forest) { f.yes[0] = f.id[0] }), "have no way from a root"},
		{tree(func(f *forest) { f.yes[0] = f.no[0] }), "reached in two ways"},
		{tree(func(f *forest) { f.id[1] = f.id[0] }), "appears twice"},
		{tree(func(f *forest) { f.feature[0] = 3 }), "looks at feature 3 of 3"},
		{tree(func(f *forest) { f.mode[0] = "BRANCH_MEMBER" }), "has no set of values"},
		{tree(func(f *forest) { f.value = f.value[1:] }), "attributes of nodes have"},
		{tree(func(f *forest) { f.leafOut[0] = 1 }), "not a leaf or not an output"},
		{tree(func(f *forest) { f.leafID[0] = f.id[0] }), "not a leaf or not an output"},
		{tree(func(f *forest) { f.weight[0] = float32(math.NaN()) }), "not a finite number"},
		{tree(func(f *forest) {}, as("aggregate_function", "MEDIAN")), "want SUM, AVERAGE, MIN or MAX"},
		{tree(func(f *forest) {}, as("post_transform", "PROBIT")), "want NONE, LOGISTIC or SOFTMAX"},
		{ml("LinearClassifier", "x", "y", afs("coefficients", 1, 2, 3), ass("classlabels_strings", "a")), "one class label that is a string is not supported"},
		{ml("LinearClassifier", "x", "y", afs("coefficients", 1, 2, 3, 4), ais("classlabels_ints", 1, 2)), "want 2 times 3"},
		{ml("SVMClassifier", "x", "y", afs("coefficients", 1, -2), afs("rho", 0), ais("classlabels_ints", 1, 2), ais("vectors_per_class", 1, 1), afs("support_vectors", 1, 2, 3, 4, 5, 6), afs("prob_a", 1, 2)), "2 entries of prob_a"},
		{ml("SVMClassifier", "x", "y", afs("coefficients", 1, -2, 3, -4, 5, -6), afs("rho", 0, 0, 0), ais("classlabels_ints", 1, 2, 3), ais("vectors_per_class", 1, 1, 1), afs("support_vectors", 1, 2, 3, 4, 5, 6, 7, 8, 9), afs("prob_a", 1, 1, 1)), "probabilities of an SVM with 3 classes"},
		{ml("SVMRegressor", "x", "y", afs("coefficients", 1, 2, 3), afs("rho", 0), as("kernel_type", "CUBIC")), "want LINEAR, POLY, RBF or SIGMOID"},
		{ml("SVMRegressor", "x", "y", afs("coefficients", 1), afs("rho", 0), ai("n_supports", 1), afs("support_vectors", 1, 2, 3), as("kernel_type", "POLY"), afs("kernel_params", 1, 0, 2.5)), "degree 2.5"},
		{ml("ArrayFeatureExtractor", "x x", "y"), "indices are real, want integers"},
	} {
		model, _ := opCase{nodes: nodes(c.node), x: tensors{"x": reals(dims(2, 3), 0, 0, 0, 0, 0, 0)}, y: out(num(0))}.model()
		_, err := LoadBytes("ml.onnx", encode(t, model), Options{})
		if err == nil || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: got %v, want %q", c.node.GetOpType(), err, c.want)
		}
	}
}
