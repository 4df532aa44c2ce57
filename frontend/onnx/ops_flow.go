package onnx

import (
	"errors"
	"fmt"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// What decides which nodes run.

// dropout is the identity in inference.
func dropout(n *node) ([]*ir.Value, error) {
	if n.given(2) {
		t, err := n.public(2, "training_mode")
		if err != nil {
			return nil, err
		}
		if t.Len() != 1 || t.At(0) != 0 {
			return nil, errors.New("training_mode is not supported")
		}
	}
	return one(n.in(0), nil)
}

// choose lowers If: the condition is public, so one branch takes the node's place.
func choose(n *node) ([]*ir.Value, error) {
	c := n.data(0)
	switch {
	case c == nil:
		return nil, diag.Errorf(n.at, "a branch on a value that is not known when compiling is not supported: which branch runs would be seen").
			WithHint("compute both and choose with Where, or give the condition as public data: --public NAME=FILE")
	case c.Elem != ir.Bool || c.Len() != 1:
		return nil, fmt.Errorf("condition is %v%v, want one bool", c.Elem, c.Shape)
	case c.I[0] != 0:
		return n.branch(n.attrs["then_branch"].GetG())
	}
	return n.branch(n.attrs["else_branch"].GetG())
}

func init() {
	add("If", "The branch that a public condition chooses.", choose, version{since: 1, in: 1, max: 1, attrs: "then_branch:g! else_branch:g!"})
	add("Identity", "The input itself.", func(n *node) ([]*ir.Value, error) { return one(n.in(0), nil) }, version{since: 1, in: 1, max: 1})
	add("Dropout", "The input itself, as in inference.", dropout,
		version{since: 6, in: 1, max: 1, attrs: "is_test:i ratio:f"},
		version{since: 7, in: 1, max: 1, attrs: "ratio:f"},
		version{since: 12, in: 1, max: 3, attrs: "seed:i"})
}
