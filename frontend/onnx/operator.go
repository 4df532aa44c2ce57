package onnx

import (
	"maps"
	"slices"
	"strings"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// An operator is the one row that describes an ONNX operator: what it takes and what it becomes.
type operator struct {
	name   string
	domain string
	doc    string
	in     int // least number of inputs
	max    int // most; -1 for any
	attrs  map[string]pb.AttributeProto_AttributeType
	lower  func(n *node) ([]*ir.Value, error)
}

// An Operator is what `smpcc ops` shows of a row.
type Operator struct{ Name, Domain, Doc string }

// operators is the table, by domain/name; the files of lowerings fill it.
var operators = map[string]*operator{}

// Operators lists the supported operators by name.
func Operators() []Operator {
	var out []Operator
	for _, k := range slices.Sorted(maps.Keys(operators)) {
		o := operators[k]
		out = append(out, Operator{o.name, o.domain, o.doc})
	}
	return out
}

// add fills a row. attrs are "name:kind" with kinds i, f, s, t, is, fs, g.
func add(name string, in, max int, attrs, doc string, lower func(n *node) ([]*ir.Value, error)) {
	kinds := map[string]pb.AttributeProto_AttributeType{"i": pb.AttributeProto_INT, "f": pb.AttributeProto_FLOAT, "s": pb.AttributeProto_STRING,
		"t": pb.AttributeProto_TENSOR, "is": pb.AttributeProto_INTS, "fs": pb.AttributeProto_FLOATS, "g": pb.AttributeProto_GRAPH}
	o := &operator{name: name, doc: doc, in: in, max: max, attrs: map[string]pb.AttributeProto_AttributeType{}, lower: lower}
	for _, a := range strings.Fields(attrs) {
		n, k, _ := strings.Cut(a, ":")
		if _, ok := kinds[k]; !ok {
			ir.Bug("row %s: attribute %s has no kind", name, a)
		}
		o.attrs[n] = kinds[k]
	}
	if operators["/"+name] != nil {
		ir.Bug("operator %s has two rows", name)
	}
	operators["/"+name] = o
}
