package exact

import "math"

// Functions of one variable, in forms that neither overflow nor cancel.

// sigmoid is 1 / (1 + e^-x).
func sigmoid(x float64) float64 {
	if x < 0 {
		return math.Exp(x) / (1 + math.Exp(x))
	}
	return 1 / (1 + math.Exp(-x))
}

// gelu is x Phi(x), Phi the normal distribution function.
func gelu(x float64) float64 {
	if x < 0 { // the tail, where 1 + erf cancels
		return x * math.Erfc(-x*math.Sqrt(0.5)) / 2
	}
	return x * (1 + math.Erf(x*math.Sqrt(0.5))) / 2
}

// geluTanh is x (1 + tanh u) / 2, u = sqrt(2/pi) (x + 0.044715 x^3); that is x times the sigmoid of 2 u.
func geluTanh(x float64) float64 {
	return x * sigmoid(2*math.Sqrt(2/math.Pi)*(x+0.044715*math.Pow(x, 3)))
}

// softplus is log(1 + e^x).
func softplus(x float64) float64 {
	if x > 0 {
		return x + math.Log1p(math.Exp(-x))
	}
	return math.Log1p(math.Exp(x))
}

// mish is x tanh(log(1 + e^x)); with n = e^x (e^x + 2) that is x n / (n + 2).
func mish(x float64) float64 {
	if x > 20 { // 1 - 2/(n + 2) is 1
		return x
	}
	n := math.Exp(x) * (math.Exp(x) + 2)
	return x * n / (n + 2)
}

// elu is x above zero and e^x - 1 below.
func elu(x float64) float64 {
	if x < 0 {
		return math.Expm1(x)
	}
	return x
}
