//go:build openblas

// Package openblas is a yardstick: OpenBLAS's product of float64 matrices, beside which the product over Z_2^64 is measured. It needs
// cgo and libopenblas-dev, so it is built with the tag openblas only, and nothing but its benchmark uses it.
package openblas

// #cgo LDFLAGS: -lopenblas
// #include <cblas.h>
import "C"

// Multiply computes d = a x b on one thread for row-major matrices: a is m by k, b is k by n, none empty.
func Multiply(d, a, b []float64, m, k, n int) {
	_, _, _ = d[m*n-1], a[m*k-1], b[k*n-1]
	C.openblas_set_num_threads(1)
	C.cblas_dgemm(C.CblasRowMajor, C.CblasNoTrans, C.CblasNoTrans, C.blasint(m), C.blasint(n), C.blasint(k),
		1, (*C.double)(&a[0]), C.blasint(k), (*C.double)(&b[0]), C.blasint(n), 0, (*C.double)(&d[0]), C.blasint(n))
}
