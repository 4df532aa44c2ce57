package onnx

import (
	"slices"
	"strconv"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// Text. A tensor of strings is one of integers, the places of its elements in a list of all strings that the model names: the categories of its
// encoders, its class labels, its constants. The list is public, and inputs and outputs of text carry it: an owner's client turns the text of an
// input into places, where -1 stands for everything that the model does not name, and a receiver's turns places into text.

// maxWords bounds the strings that a model names.
const maxWords = 1 << 18

// A textList is the list of a model's strings.
type textList struct {
	words []string
	code  map[string]int64
	open  map[*ir.Value]bool // text that may be none of the model's: places of -1
	plain map[*ir.Value]bool // integers that are text in decimal, and no places
	sure  map[*ir.Value]bool // inputs whose text must be one of the model's
}

func newTextList() textList {
	return textList{code: map[string]int64{}, open: map[*ir.Value]bool{}, plain: map[*ir.Value]bool{}, sure: map[*ir.Value]bool{}}
}

// place returns the place of a string, which it enters if it is new.
func (l *textList) place(s string) int64 {
	k, ok := l.code[s]
	if !ok {
		k = int64(len(l.words))
		l.words = append(l.words, s)
		l.code[s] = k
	}
	return k
}

// intern turns text as a file holds it into places; numbers stay as they are.
func (r *reader) intern(t *ir.Tensor) (*ir.Tensor, error) {
	if t.Words == nil {
		return t, nil
	}
	if len(r.text.words)+len(t.Words) > maxWords {
		return nil, diag.Errorf(diag.Pos{}, "the model names more than %d strings", maxWords).WithHint("map strings to numbers before the model")
	}
	codes := make([]int64, len(t.Words))
	for i, w := range t.Words {
		codes[i] = r.text.place(w)
	}
	out := ir.NewTensor(ir.Int, t.Shape)
	for i, k := range t.I {
		out.I[i] = codes[k]
	}
	return out, nil
}

// places returns the places of strings of an attribute.
func (n *node) places(list [][]byte) ([]int64, error) {
	t := &ir.Tensor{Elem: ir.Int, Shape: ir.Shape{len(list)}, Words: []string{}}
	for i, s := range list {
		t.I, t.Words = append(t.I, int64(i)), append(t.Words, string(s))
	}
	t, err := n.r.intern(t)
	if err != nil {
		return nil, err
	}
	return t.I, nil
}

// isText reports whether a value is text.
func (r *reader) isText(v *ir.Value) bool {
	return v != nil && v.Type.Elem == ir.Int && r.typeOf(v) == pb.TensorProto_STRING
}

// asText notes that new integers are text.
func (r *reader) asText(v *ir.Value, open bool) *ir.Value {
	if v != nil {
		r.types[v] = pb.TensorProto_STRING
		r.text.open[v] = open
	}
	return v
}

// movers lists the operators that only move elements, and so take text too.
var movers = []string{"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Concat", "Split", "Expand", "Tile", "Gather", "GatherElements", "GatherND", "ArrayFeatureExtractor", "Shape", "Size", "If"}

// textReaders lists those that read text for what it is.
var textReaders = []string{"Equal", "Where", "LabelEncoder", "OneHotEncoder", "CategoryMapper", "Cast"}

// textual refuses text where an operator takes numbers.
func (n *node) textual() error {
	op := n.p.GetOpType()
	for i := range n.p.Input {
		if !n.given(i) || !n.r.isText(n.in(i)) {
			continue
		}
		plain := n.r.text.plain[n.in(i)]
		if slices.Contains(movers, op) || !plain && slices.Contains(textReaders, op) {
			continue
		}
		return textual.of(n.at, "operator "+short(op)+" on strings")
	}
	return n.alike()
}

// alike refuses text beside numbers where an operator takes values of one type, and comparisons of text that the model may not know with each other.
func (n *node) alike() error {
	from := 0
	switch n.p.GetOpType() {
	case "Where":
		from = 1
	case "Equal", "Concat":
	default:
		return nil
	}
	texts, open, values := 0, 0, 0
	for i := from; i < len(n.p.Input); i++ {
		values++
		if n.r.isText(n.in(i)) {
			texts++
			if n.r.text.open[n.in(i)] {
				open++
			}
		}
	}
	if texts > 0 && texts < values {
		return diag.Errorf(n.at, "some inputs are strings and others are not").WithHint("export the model again: an ONNX checker refuses this node too")
	}
	if open > 1 && n.p.GetOpType() == "Equal" {
		e := diag.Errorf(n.at, "compares strings of inputs with each other, and strings that the model does not name are all the same to it").WithHint("compare them before the model, and pass the result as an input")
		e.Refusal = textual.kind
		return e
	}
	return nil
}

// carried notes of moved text what was noted of it.
func (n *node) carried(v *ir.Value) {
	for i := range n.p.Input {
		if n.given(i) && n.r.isText(n.in(i)) {
			n.r.text.open[v] = n.r.text.open[v] || n.r.text.open[n.in(i)]
			n.r.text.plain[v] = n.r.text.plain[v] || n.r.text.plain[n.in(i)]
		}
	}
}

// closed notes that the text of an input must be one of the model's, as far as v is an input of which all is read.
func (r *reader) closed(v *ir.Value) {
	for v.Op == ir.OpReshape || v.Op == ir.OpTranspose || v.Op == ir.OpExpand || v.Op == ir.OpFormat {
		v = v.Args[0]
	}
	if v.Op == ir.OpInput && r.branches == 0 {
		r.text.sure[v] = true
	}
}

// boundText gives inputs of text the list, and the range of its places.
func (r *reader) boundText() {
	for _, v := range r.f.Body {
		if v.Op != ir.OpInput || !r.isText(v) {
			continue
		}
		lo := -1.0
		if r.text.sure[v] {
			lo = 0
		}
		words := r.text.words
		if len(words) == 0 { // nothing tells its elements apart
			words = []string{""}
		}
		v.Attrs = v.Attrs.With(ir.F("lo", lo)).With(ir.F("hi", float64(len(words)-1))).With(ir.Ss("words", words...))
	}
}

// revealed returns what a reveal says of text.
func (r *reader) revealed(at diag.Pos, v *ir.Value) (ir.Attrs, error) {
	switch {
	case len(r.classes[v]) > 0:
		return ir.Attrs{ir.Ss("classes", r.classes[v]...)}, nil
	case !r.isText(v):
		return nil, nil
	case r.text.plain[v]:
		return ir.Attrs{ir.I("decimal", 1)}, nil
	case r.text.open[v]:
		e := diag.Errorf(at, "is text of an input, which may be text that the model does not know").WithHint("give such outputs to their owner without the model; map the text to numbers first (LabelEncoder)")
		e.Refusal = textual.kind
		return nil, e
	}
	return ir.Attrs{ir.Ss("words", r.text.words...)}, nil
}

// toText lowers Cast to strings: of integers, in decimal.
func (n *node) toText(x *ir.Value) (*ir.Value, error) {
	switch {
	case n.r.isText(x):
		return x, nil
	case x.Op == ir.OpConst && x.Type.Elem == ir.Int:
		t := x.Attrs.Tensor("data")
		list := make([][]byte, len(t.I))
		for i, k := range t.I {
			list[i] = strconv.AppendInt(nil, k, 10)
		}
		codes, err := n.places(list)
		if err != nil {
			return nil, err
		}
		v, err := n.constant(ir.Ints(t.Shape, codes...))
		return n.r.asText(v, false), err
	case x.Type.Elem == ir.Int:
		v, err := n.renamed(x)
		if err != nil {
			return nil, err
		}
		n.r.text.plain[v] = true
		return n.r.asText(v, false), nil
	}
	e := diag.Errorf(n.at, "text of %v numbers is not supported: it has as many digits as they need", x.Type.Elem).WithHint("cut the graph before this node (smpcc compile --outputs %s), and print numbers after they are revealed", short(n.p.Input[0]))
	e.Refusal = textual.kind
	return nil, e
}
