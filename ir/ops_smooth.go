package ir

import "math"

// Smooth functions of one variable, and what is built from them. The approximate pass replaces them.
const (
	OpSigmoid    Op = "sigmoid"
	OpTanh       Op = "tanh"
	OpErf        Op = "erf"
	OpGelu       Op = "gelu"
	OpSilu       Op = "silu"
	OpSoftplus   Op = "softplus"
	OpMish       Op = "mish"
	OpElu        Op = "elu"
	OpExp        Op = "exp"
	OpLog        Op = "log"
	OpSqrt       Op = "sqrt"
	OpRsqrt      Op = "rsqrt"
	OpRecip      Op = "recip"
	OpSin        Op = "sin"
	OpCos        Op = "cos"
	OpGeluTanh   Op = "gelu_tanh"
	OpFloor      Op = "floor"
	OpDiv        Op = "div"
	OpSoftmax    Op = "softmax"
	OpLogSoftmax Op = "log_softmax"
)

// Smooth holds the exact meaning of each function of one variable that the approximate pass replaces; floor is one for
// company.
var Smooth = map[Op]func(x float64) float64{
	OpSigmoid:  sigmoid,
	OpTanh:     math.Tanh,
	OpErf:      math.Erf,
	OpGelu:     func(x float64) float64 { return x * 0.5 * math.Erfc(-x/math.Sqrt2) },
	OpSilu:     func(x float64) float64 { return x * sigmoid(x) },
	OpSoftplus: softplus,
	OpMish:     func(x float64) float64 { return x * math.Tanh(softplus(x)) },
	OpElu: func(x float64) float64 {
		if x > 0 {
			return x
		}
		return math.Expm1(x)
	},
	OpExp:   math.Exp,
	OpLog:   math.Log,
	OpSqrt:  math.Sqrt,
	OpRsqrt: func(x float64) float64 { return 1 / math.Sqrt(x) },
	OpRecip: func(x float64) float64 { return 1 / x },
	OpSin:   math.Sin,
	OpCos:   math.Cos,
	OpGeluTanh: func(x float64) float64 {
		return x * 0.5 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	},
	OpFloor: math.Floor,
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// softplus is log(1 + exp(x)) without overflow.
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func init() {
	for _, r := range []struct {
		op  Op
		doc string
	}{
		{OpSigmoid, "Elementwise 1/(1+exp(-x))."},
		{OpTanh, "Elementwise hyperbolic tangent."},
		{OpErf, "Elementwise error function."},
		{OpGelu, "Elementwise x * (1 + erf(x/sqrt(2))) / 2."},
		{OpSilu, "Elementwise x / (1+exp(-x))."},
		{OpSoftplus, "Elementwise log(1 + exp(x))."},
		{OpMish, "Elementwise x * tanh(log(1 + exp(x)))."},
		{OpElu, "Elementwise x if x > 0, exp(x) - 1 otherwise."},
		{OpExp, "Elementwise exponential."},
		{OpLog, "Elementwise natural logarithm."},
		{OpSqrt, "Elementwise square root."},
		{OpRsqrt, "Elementwise 1/sqrt(x)."},
		{OpRecip, "Elementwise 1/x."},
		{OpSin, "Elementwise sine."},
		{OpCos, "Elementwise cosine."},
		{OpGeluTanh, "Elementwise x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2."},
		{OpFloor, "Elementwise largest integer at or below x; exact."},
	} {
		f := Smooth[r.op] // tight asks for an error of 2^-tight times the usual one
		register(&Row{Op: r.op, Doc: r.doc, Level: Composite, Args: 1, Type: noForm(realOnly), Attrs: []AttrSpec{{"tight", AttrInt, false}},
			Eval: func(v *Value, args []*Tensor) (*Tensor, error) { return each(v, args[0], f, nil) }})
	}
	register(
		&Row{Op: OpDiv, Doc: "Elementwise x / y of reals, broadcasting.", Level: Composite, Args: 2,
			Eval: each2(func(x, y float64) float64 { return x / y }, nil),
			Type: noForm(func(v *Value) (Type, error) {
				if _, err := realOnly(v); err != nil {
					return Type{}, err
				}
				return broadcast(v)
			})},
		&Row{Op: OpSoftmax, Doc: "exp(x) / sum(exp(x)) along axis.", Level: Composite, Args: 1, Eval: softmaxEval(false),
			Attrs: []AttrSpec{{"axis", AttrInt, true}}, Type: noForm(alongAxis),
			Lower: func(b *Builder, v *Value) *Value {
				_, e, sum := SoftmaxParts(b, v)
				return b.E(OpDiv, nil, e, sum)
			}},
		&Row{Op: OpLogSoftmax, Doc: "x - log(sum(exp(x))) along axis.", Level: Composite, Args: 1, Eval: softmaxEval(true),
			Attrs: []AttrSpec{{"axis", AttrInt, true}}, Type: noForm(alongAxis),
			Lower: func(b *Builder, v *Value) *Value {
				below, _, sum := SoftmaxParts(b, v)
				return b.E(OpSub, nil, below, b.E(OpLog, nil, sum))
			}},
	)
}

func alongAxis(v *Value) (Type, error) {
	if _, err := NormAxes([]int{v.Attrs.Int("axis", 0)}, len(v.Args[0].Type.Shape)); err != nil {
		return Type{}, err
	}
	return realOnly(v)
}

// SoftmaxParts emits the parts of a softmax: below = x - max(x), e = exp(below) and its sum along the axis. The largest element alone contributes 1 to
// the sum, which therefore lies between 1 and the number of terms.
func SoftmaxParts(b *Builder, v *Value) (below, e, sum *Value) {
	x := v.Args[0]
	line := Attrs{Dims("axes", []int{v.Attrs.Int("axis", 0)}), I("keep", 1)}
	below = b.E(OpFormat, Attrs{F("hi", 1.0/1024)}, b.E(OpSub, nil, x, b.E(OpReduceMax, line, x)))
	terms := float64(x.Type.Shape[v.Attrs.Int("axis", 0)+len(x.Type.Shape)*btoi(v.Attrs.Int("axis", 0) < 0)])
	var exp Attrs
	if tight := int(math.Ceil(math.Log2(max(terms, 1)))) - 4; tight > 0 { // errors of many small terms add up
		exp = Attrs{I("tight", int64(tight))}
	}
	e = b.E(OpExp, exp, below)
	sum = b.E(OpReduceSum, line, e)
	return below, e, b.E(OpFormat, Attrs{F("lo", 0.99), F("hi", 1.01*terms)}, sum)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
