package exact

import (
	"math"
	"math/big"

	"smpcc/ir"
)

// meanings holds the meaning of every op that frontends emit, by name.
var meanings = map[ir.Op]meaning{
	ir.OpAdd: pairwise(binary{
		real: func(x, y float64) float64 { return x + y }, small: func(x, y int64) int64 { return x + y }, large: (*big.Int).Add,
		bound: func(x, y float64) float64 { return x + y }}),
	ir.OpSub: pairwise(binary{
		real: func(x, y float64) float64 { return x - y }, small: func(x, y int64) int64 { return x - y }, large: (*big.Int).Sub,
		bound: func(x, y float64) float64 { return x + y }}),
	ir.OpMul: pairwise(binary{
		real: func(x, y float64) float64 { return x * y }, small: func(x, y int64) int64 { return x * y }, large: (*big.Int).Mul,
		bound: func(x, y float64) float64 { return x * y }}),
	ir.OpMax: pairwise(binary{
		real: math.Max, small: func(x, y int64) int64 { return max(x, y) }, bound: math.Max,
		large: func(z, x, y *big.Int) *big.Int { return z.Set(greater(x, y)) }}),
	ir.OpMin: pairwise(binary{
		real: math.Min, small: func(x, y int64) int64 { return min(x, y) }, bound: math.Max,
		large: func(z, x, y *big.Int) *big.Int { return z.Neg(greater(new(big.Int).Neg(x), new(big.Int).Neg(y))) }}),
	ir.OpDiv: pairwise(binary{real: func(x, y float64) float64 { return x / y }}),

	ir.OpIntDiv: quotient(func(q, r *big.Int) *big.Int { return q }),
	ir.OpIntMod: quotient(func(q, r *big.Int) *big.Int { return r }),
	ir.OpWrap:   wrap,

	ir.OpNeg: single(func(x float64) float64 { return -x }, (*big.Int).Neg),
	ir.OpAbs: single(math.Abs, (*big.Int).Abs),
	ir.OpRelu: single(func(x float64) float64 { return math.Max(x, 0) }, func(z, x *big.Int) *big.Int {
		if x.Sign() < 0 {
			return z.SetInt64(0)
		}
		return z.Set(x)
	}),
	ir.OpLeaky: leaky,
	ir.OpClip:  clip,

	ir.OpLt:  comparison(func(order int) bool { return order < 0 }),
	ir.OpLe:  comparison(func(order int) bool { return order <= 0 }),
	ir.OpGt:  comparison(func(order int) bool { return order > 0 }),
	ir.OpGe:  comparison(func(order int) bool { return order >= 0 }),
	ir.OpEq:  comparison(func(order int) bool { return order == 0 }),
	ir.OpNe:  comparison(func(order int) bool { return order != 0 }),
	ir.OpLtz: withZero(func(order int) bool { return order < 0 }),
	ir.OpEqz: withZero(func(order int) bool { return order == 0 }),

	ir.OpNot: func(v *ir.Value, args []*Tensor) (*Tensor, error) {
		return logic(v, args[0], args[0], func(x, _ bool) bool { return !x }), nil
	},
	ir.OpAnd: func(v *ir.Value, args []*Tensor) (*Tensor, error) {
		return logic(v, args[0], args[1], func(x, y bool) bool { return x && y }), nil
	},
	ir.OpOr: func(v *ir.Value, args []*Tensor) (*Tensor, error) {
		return logic(v, args[0], args[1], func(x, y bool) bool { return x || y }), nil
	},
	ir.OpXor: func(v *ir.Value, args []*Tensor) (*Tensor, error) {
		return logic(v, args[0], args[1], func(x, y bool) bool { return x != y }), nil
	},

	ir.OpSelect: choice,
	ir.OpCast:   cast,
	ir.OpFormat: format,
	ir.OpWave:   wave,
	ir.OpExpo:   expo,

	ir.OpMatMul: matmul,
	ir.OpConv:   conv,

	ir.OpReshape:   view(reshaped),
	ir.OpTranspose: view(transposed),
	ir.OpSlice:     view(sliced),
	ir.OpExpand:    view(expanded),
	ir.OpPad:       view(padded),
	ir.OpGather:    view(gathered),
	ir.OpConcat:    concat,

	ir.OpReduceSum:  sum,
	ir.OpReduceMean: mean,
	ir.OpReduceMax:  largest,
	ir.OpArgMax:     firstLargest,
	ir.OpSoftmax:    softmax(false),
	ir.OpLogSoftmax: softmax(true),
	ir.OpMaxPool:    maxPool,
	ir.OpAvgPool:    avgPool,
	ir.OpBatchNorm:  batchNorm,

	ir.OpSigmoid:  function(sigmoid),
	ir.OpTanh:     function(math.Tanh),
	ir.OpErf:      function(math.Erf),
	ir.OpGelu:     function(gelu),
	ir.OpGeluTanh: function(geluTanh),
	ir.OpSilu:     function(func(x float64) float64 { return x * sigmoid(x) }),
	ir.OpSoftplus: function(softplus),
	ir.OpMish:     function(mish),
	ir.OpElu:      function(elu),
	ir.OpExp:      function(math.Exp),
	ir.OpLog:      function(math.Log),
	ir.OpSqrt:     function(math.Sqrt),
	ir.OpRsqrt:    function(func(x float64) float64 { return 1 / math.Sqrt(x) }),
	ir.OpRecip:    function(func(x float64) float64 { return 1 / x }),
	ir.OpSin:      function(math.Sin),
	ir.OpCos:      function(math.Cos),
	ir.OpFloor:    function(math.Floor),
}
