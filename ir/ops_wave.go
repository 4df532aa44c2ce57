package ir

import (
	"fmt"
	"math"
)

// Functions of a masked wire that need nothing but its opening: they are sums of products of a function of the public part and one of
// the mask.
const (
	OpWave Op = "wave"
	OpExpo Op = "expo"
)

func init() {
	register(
		&Row{Op: OpWave, Doc: "Elementwise sum over rows k, a, b of data of a*cos(k*t) + b*sin(k*t), t = 2*pi*x / 2^period; of a ring value with 2*frac fraction bits.", Level: CoreOp, Args: 1, Range: rangeWave, Opens: opensPeriod, Eval: evalWave,
			Attrs: append([]AttrSpec{{"data", AttrTensor, true}, {"period", AttrInt, true}, {"frac", AttrInt, true}}, dropBits...),
			Type: func(v *Value) (Type, error) {
				w := v.Attrs.Tensor("data")
				if w == nil || w.Elem != Real || len(w.Shape) != 2 || w.Shape[1] != 3 || w.Shape[0] == 0 {
					return Type{}, fmt.Errorf("data is not rows of three reals")
				}
				frac := v.Attrs.Int("frac", 0)
				if frac < 1 || frac > 24 {
					return Type{}, fmt.Errorf("frac=%d, want 1..24", frac)
				}
				for i := range w.Shape[0] {
					if k, most := w.At(3*i), max(math.Abs(w.At(3*i+1)), math.Abs(w.At(3*i+2))); k != math.Trunc(k) || k < 1 || k > 1<<16 || !(most < math.Ldexp(1, 30-frac)) {
						return Type{}, fmt.Errorf("row %d is out of range", i+1)
					}
				}
				return ofWire(v, 2*frac, v.Attrs.Int("period", 0))
			}},
		&Row{Op: OpExpo, Doc: "Elementwise exp(rate*x + offset) for |x| < 2^(reach-1); of a ring value with 2*frac fraction bits and as many as the least result is below 1.", Level: CoreOp, Args: 1, Range: monotone(func(v *Value, x []float64) float64 { return exponential(v)(x[0]) }), Opens: opensPeriod, Eval: evalExpo,
			Attrs: append([]AttrSpec{{"rate", AttrFloat, true}, {"offset", AttrFloat, true}, {"reach", AttrInt, true}, {"frac", AttrInt, true}}, dropBits...),
			Type: func(v *Value) (Type, error) {
				rate, reach, frac := v.Attrs.Float("rate", 0), v.Attrs.Int("reach", 0), v.Attrs.Int("frac", 0)
				span := math.Ldexp(rate, reach)
				if frac < 1 || frac > 24 || !(rate > 0) || !(span <= 31) || !(math.Abs(v.Attrs.Float("offset", 0)) <= 64) {
					return Type{}, fmt.Errorf("rate, offset, reach or frac is out of range")
				}
				return ofWire(v, 2*frac+ExpoSpan(span), reach+1)
			}},
	)
}

// ExpoSpan returns how many bits an exponential falls over a range of exponents.
func ExpoSpan(exponents float64) int { return int(math.Ceil(exponents * math.Log2E)) }

func evalExpo(v *Value, args []*Tensor) (*Tensor, error) {
	return evalOfWire(v, args[0], exponential(v))
}

// exponential is what an expo computes of one element.
func exponential(v *Value) func(x float64) float64 {
	rate, offset := v.Attrs.Float("rate", 0), v.Attrs.Float("offset", 0)
	return func(x float64) float64 { return math.Exp(float64(rate*x) + offset) }
}

// evalOfWire evaluates a function of a real, or of a ring value that stands for one.
func evalOfWire(v *Value, x *Tensor, f func(float64) float64) (*Tensor, error) {
	drop, scale := v.Attrs.Int("drop", 0), v.Args[0].Type.Scale-v.Attrs.Int("drop", 0)
	return each(v, x, f, func(x int64) int64 {
		return int64(math.Round(math.Ldexp(f(math.Ldexp(float64(x>>drop), -scale)), v.Type.Scale)))
	})
}

// ofWire types a function of a real that its wire's opening decides: a ring value with the given fraction bits, whose argument
// matters mod 2^period.
func ofWire(v *Value, scale, period int) (Type, error) {
	t, err := dropping(v)
	if err != nil || t.Elem == Real {
		return t, err
	}
	if t.Elem != Ring {
		return Type{}, fmt.Errorf("needs a real argument, got %v", v.Args[0].Type)
	}
	n := period + t.Scale
	if n < 2 || n > widest {
		return Type{}, fmt.Errorf("a period of 2^%d is %d bits of %v", period, n, v.Args[0].Type)
	}
	t.Scale = scale
	switch t.Form {
	case None:
	case Masked:
		if n > v.Args[0].Type.Bits {
			return Type{}, fmt.Errorf("a period of 2^%d is %d bits of %v", period, n, v.Args[0].Type)
		}
		t.Form = Additive
	default:
		return Type{}, fmt.Errorf("needs a masked wire, got %v", t.Form)
	}
	return t, nil
}

func evalWave(v *Value, args []*Tensor) (*Tensor, error) {
	w, turn := v.Attrs.Tensor("data"), math.Ldexp(2*math.Pi, -v.Attrs.Int("period", 0))
	rows := make([][3]float64, w.Shape[0])
	for i := range rows {
		rows[i] = [3]float64{w.At(3 * i), w.At(3*i + 1), w.At(3*i + 2)}
	}
	f := func(x float64) float64 {
		y := 0.0
		for _, r := range rows {
			s, c := math.Sincos(math.Mod(r[0]*x*turn, 2*math.Pi))
			y += float64(r[1]*c) + float64(r[2]*s)
		}
		return y
	}
	return evalOfWire(v, args[0], f)
}
