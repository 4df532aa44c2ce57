package onnx

import (
	"fmt"
	"math/bits"

	"smpcc/ir"
)

// maxDet bounds the order of a determinant: its minors are 2^order.
const maxDet = 12

// determinant lowers Det of [..., m, m] without division: the minors of the first k rows, for each choice of k columns, are
// expanded along row k from those of k-1 rows. m 2^(m-1) products in m-1 levels; cofactors of pivots that are near zero are exact
// where elimination would divide by them.
func determinant(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := x.Type.Shape
	rank := len(s)
	if rank < 2 || s[rank-1] != s[rank-2] || x.Type.Elem != ir.Real {
		return nil, fmt.Errorf("input is %v%v, want square matrices of reals", x.Type.Elem, s)
	}
	m, out := s[rank-1], s[:rank-2]
	if m == 0 || m > maxDet {
		return nil, fmt.Errorf("matrices are %d x %d, at most %d x %d are supported", m, m, maxDet, maxDet)
	}
	rows := out.Size()
	flat := c.reshape(x, rows, m*m)
	minors := c.pick(flat, 1, span(m)) // of the first row
	order := make([]int, 1<<m)         // of a set of columns among those of its size
	for j := range m {
		order[1<<j] = j
	}
	for k := 2; k <= m && c.err == nil; k++ {
		var entry, minor []int
		var sign []float64
		count := 0
		for set := range uint(1 << m) {
			if bits.OnesCount(set) != k {
				continue
			}
			order[set] = count
			count++
			for j, i := 0, 0; j < m; j++ {
				if set>>j&1 == 0 {
					continue
				}
				entry = append(entry, (k-1)*m+j)
				minor = append(minor, order[set&^(1<<j)])
				sign = append(sign, float64(1-2*((k-1+i)&1)))
				i++
			}
		}
		signs := c.table(ir.Real, len(sign))
		if signs == nil {
			break
		}
		copy(signs.F, sign)
		terms := c.mul(c.mul(c.pick(flat, 1, entry), c.data(signs, true)), c.pick(minors, 1, minor))
		minors = c.reshape(c.reduce(ir.OpReduceSum, c.reshape(terms, rows, count, k), 2), rows, count)
	}
	return c.one(c.reshape(minors, out...))
}

func init() {
	add("Det", "Determinants of matrices up to 12 x 12, from minors.", determinant, version{since: 11, in: 1, max: 1})
}
