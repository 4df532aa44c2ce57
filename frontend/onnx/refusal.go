package onnx

import (
	"fmt"
	"strings"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir/diag"
)

// A refusal is a kind of operator or data that is known and refused for what it is, and not for want of a row.
type refusal struct {
	kind string // one or two words: docs/conformance.md groups by it
	why  string // what such operators do, as in "it draws random numbers"
	hint string // what to try
	ops  string // their names in any domain, separated by blanks
}

// The kinds of refusals.
var (
	random = &refusal{"random", "it draws random numbers, and a plan computes the same from the same inputs", "sample before compiling and pass the numbers as an input",
		"Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike"}
	training = &refusal{"training", "it belongs to training", "export the model for inference",
		"Adagrad Adam Gradient Momentum"}
	quantised = &refusal{"quantised", "it computes on quantised data", "export the model before quantisation: smpcc chooses fixed-point formats itself",
		"DynamicQuantizeLSTM QAttention QEmbedLayerNormalization QLinearSoftmax"}
	textual = &refusal{"string", "it works on strings", "map strings to numbers before the model",
		"CategoryMapper DictVectorizer RegexFullMatch StringConcat StringNormalizer StringSplit Tokenizer"}
	sequences = &refusal{"sequence", "it makes or reads a sequence of tensors, which a plan of fixed shapes does not have", "export without sequences: use Concat, Split and Gather",
		"ConcatFromSequence SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap SplitToSequence"}
	optional = &refusal{"optional", "it makes or reads an optional value, and whether a secret is there would be seen", "export with the value always there, and a flag beside it",
		"Optional OptionalGetElement OptionalHasElement"}
	imageFile = &refusal{"image decoding", "it decodes image files", "decode images before the model: inputs may be PNG or JPEG files (--input NAME=FILE)",
		"ImageDecoder"}
	outside = &refusal{"extreme values", "it may be infinite or not a number, and fixed point has nothing else than numbers", "cut the graph before it (smpcc compile --outputs NAME), or ask for the output that follows",
		""}
	rawBits = &refusal{"extreme values", "it reads the bits of a floating-point number, and fixed point has others", "cut the graph before it (smpcc compile --outputs NAME), and take numbers apart after they are revealed",
		""}
	dataShape = &refusal{"data-dependent shape", "its result has a shape that depends on secret data", "rewrite the model with Where and Mul",
		"Compress NonMaxSuppression NonZero Unique"}
)

// refusals are the kinds by operator.
var refusals = map[string]*refusal{}

func init() {
	for _, k := range []*refusal{random, training, quantised, textual, sequences, optional, imageFile, dataShape} {
		for _, op := range strings.Fields(k.ops) {
			refusals[op] = k
		}
	}
}

// of returns the refusal of something; what says what it is.
func (k *refusal) of(at diag.Pos, what string) *diag.Error {
	e := diag.Errorf(at, "%s is not supported: %s", what, k.why).WithHint("%s", k.hint)
	e.Refusal = k.kind
	return e
}

// advice says what to do about operators that have no row, by domain.
var advice = map[string]string{
	"com.microsoft":            "save the model without onnxruntime's optimisations (graph_optimization_level = ORT_ENABLE_BASIC), or export it again",
	"ai.onnx.contrib":          "leave tokenisers and other processing of text out of the model: give it what they make as inputs",
	"ai.onnx.ml":               "convert the pipeline without this step (skl2onnx: pass the steps one by one), and do it before the model",
	"com.microsoft.nchwc":      "save the model without onnxruntime's optimisations (graph_optimization_level = ORT_ENABLE_BASIC)",
	"org.pytorch.aten":         "export the model with operators of ONNX (operator_export_type=ONNX)",
	"ai.onnx.preview.training": "export the model for inference",
}

// refusedTypes are the kinds by data type.
var refusedTypes = map[pb.TensorProto_DataType]*refusal{
	pb.TensorProto_STRING:       textual,
	pb.TensorProto_FLOAT8E4M3FN: quantised, pb.TensorProto_FLOAT8E4M3FNUZ: quantised, pb.TensorProto_FLOAT8E5M2: quantised, pb.TensorProto_FLOAT8E5M2FNUZ: quantised,
	pb.TensorProto_FLOAT8E8M0: quantised, pb.TensorProto_FLOAT4E2M1: quantised,
	pb.TensorProto_UINT4: quantised, pb.TensorProto_INT4: quantised, pb.TensorProto_UINT2: quantised, pb.TensorProto_INT2: quantised,
}

// badType is the error of a data type that no element kind stands for.
func badType(t pb.TensorProto_DataType) error {
	e := diag.Errorf(diag.Pos{}, "data type %v is not supported", t)
	if k := refusedTypes[t]; k != nil {
		e.Refusal = k.kind
		return e.WithHint("%s", k.hint)
	}
	return e.WithHint("there are floats of 16 to 64 bits, integers of 8 to 64 bits and bools")
}

// notTensor is the error of an input or output of a type other than tensor.
func notTensor(at diag.Pos, t *pb.TypeProto) *diag.Error {
	what, k := "nothing known", (*refusal)(nil)
	switch t.GetValue().(type) {
	case nil:
		return diag.Errorf(at, "has no type").WithHint("export the model with the types of its inputs and outputs")
	case *pb.TypeProto_SequenceType:
		what, k = "a sequence", sequences
	case *pb.TypeProto_OptionalType:
		what, k = "an optional value", optional
	case *pb.TypeProto_MapType:
		what = "a map"
	case *pb.TypeProto_SparseTensorType:
		what = "a sparse tensor"
	case *pb.TypeProto_OpaqueType:
		what = fmt.Sprintf("an opaque %q", short(t.GetOpaqueType().GetName()))
	}
	e := diag.Errorf(at, "is %s, not a tensor", what)
	if k != nil {
		e.Refusal = k.kind
		return e.WithHint("%s", k.hint)
	}
	return e.WithHint("export the model with tensors as inputs and outputs")
}
