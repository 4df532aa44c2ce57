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
	name     string
	doc      string
	versions []version // oldest first
	lower    func(n *node) ([]*ir.Value, error)
}

// A version is one revision of an operator, valid from an opset on until the next revision.
type version struct {
	since int
	in    int    // least number of inputs
	max   int    // most; -1 for any
	attrs string // name:kind, separated by blanks; kinds are i, f, s, t, is, fs, ss, g; a kind ends in ! if the attribute is required
	kinds map[string]attrKind
}

// An attrKind is the parsed kind of an attribute.
type attrKind struct {
	typ      pb.AttributeProto_AttributeType
	required bool
}

var kindNames = map[string]pb.AttributeProto_AttributeType{"i": pb.AttributeProto_INT, "f": pb.AttributeProto_FLOAT, "s": pb.AttributeProto_STRING,
	"t": pb.AttributeProto_TENSOR, "is": pb.AttributeProto_INTS, "fs": pb.AttributeProto_FLOATS, "g": pb.AttributeProto_GRAPH, "ss": pb.AttributeProto_STRINGS}

// An Operator is what `smpcc ops` shows of a row.
type Operator struct {
	Name   string
	Domain string
	Since  int // the first opset that has it
	Doc    string
}

// operators is the table by name, with the domain in front if it is not the standard one; the files of lowerings fill it.
var operators = map[string]*operator{}

// Operators lists the supported operators by name.
func Operators() []Operator {
	var out []Operator
	for _, k := range slices.Sorted(maps.Keys(operators)) {
		o := operators[k]
		name, dom := o.name, standard
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			dom, name = name[:i], name[i+1:]
		}
		out = append(out, Operator{name, dom, o.versions[0].since, o.doc})
	}
	return out
}

// add enters a row.
func add(name, doc string, lower func(n *node) ([]*ir.Value, error), versions ...version) {
	if operators[name] != nil || len(versions) == 0 {
		ir.Bug("operator %s has two rows or no version", name)
	}
	for i := range versions {
		v := &versions[i]
		if i > 0 && v.since <= versions[i-1].since {
			ir.Bug("row %s: versions are not in order", name)
		}
		v.kinds = map[string]attrKind{}
		for _, a := range strings.Fields(v.attrs) {
			n, k, _ := strings.Cut(a, ":")
			k, required := strings.CutSuffix(k, "!")
			typ, ok := kindNames[k]
			if !ok {
				ir.Bug("row %s: attribute %s has no kind", name, a)
			}
			v.kinds[n] = attrKind{typ, required}
		}
	}
	operators[name] = &operator{name: name, doc: doc, versions: versions, lower: lower}
}

// at returns the version that holds in an opset, or nil if the operator is younger.
func (o *operator) at(opset int) *version {
	for i := len(o.versions) - 1; i >= 0; i-- {
		if o.versions[i].since <= opset {
			return &o.versions[i]
		}
	}
	return nil
}
