package onnx

import (
	"math"
	"slices"
	"testing"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// A flatTree is an ensemble as TreeEnsemble holds it, walked node by node.
type flatTree struct {
	roots, feature, mode, yes, no, yesLeaf, noLeaf, tracks, target []int64
	split, weight, sets                                            []float64
}

// values returns what the leaf of each tree weighs for each output; NaN is a missing value.
func (f *flatTree) values(x []float64, outs int) [][]float64 {
	var sets [][]float64
	set := []float64{}
	for _, v := range f.sets {
		if math.IsNaN(v) {
			sets, set = append(sets, set), []float64{}
			continue
		}
		set = append(set, v)
	}
	of := map[int64][]float64{} // the set of a node
	for i, m := range f.mode {
		if m == 6 {
			of[int64(i)] = sets[len(of)]
		}
	}
	var out [][]float64
	for _, at := range f.roots {
		for {
			a, b := x[f.feature[at]], f.split[at]
			holds := []bool{a <= b, a < b, a >= b, a > b, a == b, a != b, slices.Contains(of[at], a)}[f.mode[at]]
			if math.IsNaN(a) {
				holds = f.tracks[at] != 0
			}
			next, leaf := f.no[at], f.noLeaf[at]
			if holds {
				next, leaf = f.yes[at], f.yesLeaf[at]
			}
			if leaf != 0 {
				row := make([]float64, outs)
				row[f.target[next]] = f.weight[next]
				out = append(out, row)
				break
			}
			at = next
		}
	}
	return out
}

// node builds the operator.
func (f *flatTree) node(more ...*pb.AttributeProto) *pb.NodeProto {
	whole := func(list []int64) *ir.Tensor { return list8(list) }
	return ml("TreeEnsemble", "x", "y", append([]*pb.AttributeProto{ais("tree_roots", f.roots...), ais("nodes_featureids", f.feature...), at("nodes_modes", whole(f.mode)), at("nodes_splits", reals(dims(len(f.split)), f.split...)),
		ais("nodes_truenodeids", f.yes...), ais("nodes_falsenodeids", f.no...), ais("nodes_trueleafs", f.yesLeaf...), ais("nodes_falseleafs", f.noLeaf...), ais("leaf_targetids", f.target...), at("leaf_weights", reals(dims(len(f.weight)), f.weight...)),
		at("membership_values", reals(dims(len(f.sets)), f.sets...)), ais("nodes_missing_value_tracks_true", f.tracks...)}, more...)...)
}

func list8(x []int64) *ir.Tensor { return ints(ir.Shape{len(x)}, x...) }

// woods is two trees that have every mode.
func woods() *flatTree {
	return &flatTree{roots: []int64{0, 4}, feature: []int64{0, 1, 2, 0, 2, 1, 0}, mode: []int64{0, 6, 1, 4, 2, 6, 5}, split: []float64{0.5, 0, 1, 1, 0.25, 0, -2},
		yes: []int64{1, 0, 3, 2, 5, 6, 1}, yesLeaf: []int64{0, 1, 0, 1, 0, 0, 1}, no: []int64{2, 1, 0, 3, 2, 3, 0}, noLeaf: []int64{0, 1, 1, 1, 1, 1, 1},
		target: []int64{0, 1, 0, 1}, weight: []float64{5, -7, 0.5, 2}, sets: []float64{1, 2.25, math.NaN(), -1, 1, 0, math.NaN()}, tracks: []int64{0, 0, 0, 0, 0, 0, 0}}
}

func init() {
	f := woods()
	x := grid()
	x.F = append(x.F, 1, 2.25, 1, 0.5, -1, 0.25)
	x.Shape = dims(50, 3)
	per := func(fold func(a, b float64) float64) *ir.Tensor {
		return rowsOf(x, 2, func(r []float64) []float64 {
			v := f.values(r, 2)
			return []float64{fold(v[0][0], v[1][0]), fold(v[0][1], v[1][1])}
		})
	}
	sum := func(a, b float64) float64 { return a + b }
	two := func(more ...*pb.AttributeProto) []*pb.NodeProto {
		return nodes(f.node(append(more, ai("n_targets", 2))...))
	}
	one := &flatTree{roots: []int64{0, 1}, feature: []int64{0, 1}, mode: []int64{0, 3}, split: []float64{0.5, 0}, yes: []int64{0, 2}, no: []int64{1, 3}, yesLeaf: []int64{1, 1}, noLeaf: []int64{1, 1}, target: []int64{0, 0, 0, 0}, weight: []float64{5, -7, 0.5, 2}, tracks: []int64{0, 0}}
	extreme := func(fold func(a, b float64) float64) *ir.Tensor {
		return rowsOf(x, 1, func(r []float64) []float64 { v := one.values(r, 1); return []float64{fold(v[0][0], v[1][0])} })
	}
	opCases = append(opCases,
		opCase{name: "TreeEnsemble", since: 5, nodes: two(), x: tensors{"x": x}, y: out(per(sum))},
		opCase{name: "TreeEnsemble, average", since: 5, nodes: two(ai("aggregate_function", 0)), x: tensors{"x": x}, y: out(per(func(a, b float64) float64 { return (a + b) / 2 }))},
		opCase{name: "TreeEnsemble, softmax", since: 5, nodes: two(ai("post_transform", 1)), x: tensors{"x": x}, y: out(rowsOf(per(sum), 2, softmaxed))},
		opCase{name: "TreeEnsemble, least", since: 5, nodes: nodes(one.node(ai("aggregate_function", 2))), x: tensors{"x": x}, y: out(extreme(math.Min))},
		opCase{name: "TreeEnsemble, largest", since: 5, nodes: nodes(one.node(ai("aggregate_function", 3))), x: tensors{"x": x}, y: out(extreme(math.Max))},
	)
	vectors := []float32{1, 0, 0, 2, -1, -1}
	rows := reals(dims(2, 2), 1, 2, -3, 1)
	kernels := func(f func(dot float64) float64) *ir.Tensor {
		return rowsOf(rows, 1, func(r []float64) []float64 {
			k := func(i int) float64 { return f(r[0]*float64(vectors[2*i]) + r[1]*float64(vectors[2*i+1])) }
			return []float64{2*k(0) - 1*k(1) + 0.5*k(2) + 0.125}
		})
	}
	svm := func(kernel string) []*pb.NodeProto {
		return nodes(ml("SVMRegressor", "x", "y", as("kernel_type", kernel), afs("kernel_params", 0.25, 0.5, 3), ai("n_supports", 3), afs("support_vectors", vectors...), afs("coefficients", 2, -1, 0.5), afs("rho", 0.125)))
	}
	prob := func(s float64) float64 { return 1 / (1 + math.Exp(-1.5*s+0.25)) }
	opCases = append(opCases,
		opCase{name: "SVMRegressor, polynomial", nodes: svm("POLY"), x: tensors{"x": rows}, y: out(kernels(func(d float64) float64 { return math.Pow(0.25*d+0.5, 3) }))},
		opCase{name: "SVMRegressor, sigmoid", nodes: svm("SIGMOID"), x: tensors{"x": rows}, y: out(kernels(func(d float64) float64 { return math.Tanh(0.25*d + 0.5) }))},
		opCase{name: "SVMClassifier with probabilities", nodes: nodes(ml("SVMClassifier", "x", "y0 y1", ais("vectors_per_class", 1, 2), afs("support_vectors", vectors...), afs("coefficients", 2, -1, 0.5), afs("rho", 5), ais("classlabels_ints", 0, 1), afs("prob_a", -1.5), afs("prob_b", 0.25))), x: tensors{"x": rows},
			y: out(list(0, 1), reals(dims(2, 2), prob(1.5), 1-prob(1.5), prob(-2), 1-prob(-2)))},
	)
}

// TestMissingTracks: a missing feature passes the nodes that track it and fails the others, also where imputers stand beside the trees.
func TestMissingTracks(t *testing.T) {
	f := woods()
	f.tracks = []int64{1, 0, 1, 0, 0, 1, 1}
	x := reals(dims(12, 3))
	for i := range 36 {
		v := float64(i*5%23)/4 - 2.75
		if i%7 == 3 || i%5 == 1 {
			v = math.NaN()
		}
		x.F = append(x.F, v)
	}
	want := rowsOf(x, 2, func(r []float64) []float64 {
		v := f.values(r, 2)
		return []float64{v[0][0] + v[1][0], v[0][1] + v[1][1]}
	})
	c := textCase{nodes: nodes(f.node(ai("n_targets", 2))), x: tensors{"x": x}}
	m := c.model()
	five := int64(5)
	m.OpsetImport[1].Version = &five
	loaded, err := LoadBytes("trees.onnx", encode(t, m), Options{})
	if err != nil {
		t.Fatal(err)
	}
	filled, absent := reals(x.Shape, slices.Clone(x.F)...), ir.NewTensor(ir.Bool, x.Shape)
	for i, v := range x.F {
		if math.IsNaN(v) {
			filled.F[i], absent.I[i] = 0.75, 1
		}
	}
	if a := loaded.Main().Body[0].Attrs; a.Str("missing") != "x.missing" || a.Has("given") {
		t.Fatalf("input is %v", a)
	}
	got, err := ir.Run(loaded, tensors{"x": filled, "x.missing": absent})
	if err != nil {
		t.Fatal(err)
	}
	if err := near(got["y"], want, 1e-9); err != nil {
		t.Error(err)
	}
}
