package onnx

import (
	"errors"
	"fmt"

	"smpcc/ir"
)

// An ngram is one entry of the pool of TfIdfVectorizer: the tokens, and the column that counts it.
type ngram struct {
	tokens []int64
	column int
}

// pool reads the entries of TfIdfVectorizer and returns those of the lengths that count, and the number of columns.
func (n *node) pool(least, most int) (list []ngram, columns int, err error) {
	starts, cols, tokens := n.ints("ngram_counts"), n.ints("ngram_indexes"), n.attrs["pool_int64s"].GetInts()
	if n.has("pool_strings") {
		return nil, 0, textual.of(n.at, "pool_strings")
	}
	if least < 1 || most < least {
		return nil, 0, fmt.Errorf("lengths of %d to %d tokens are not a range", least, most)
	}
	i := 0
	for l := range starts {
		from, to := starts[l], len(tokens)
		if l+1 < len(starts) {
			to = starts[l+1]
		}
		if from < 0 || to < from || to > len(tokens) || (to-from)%(l+1) != 0 {
			return nil, 0, fmt.Errorf("ngram_counts %d to %d do not fit a pool of %d tokens", from, to, len(tokens))
		}
		for ; from < to; from += l + 1 {
			if i >= len(cols) || cols[i] < 0 || cols[i] > maxRange {
				return nil, 0, errors.New("ngram_indexes are too few, or out of range")
			}
			columns = max(columns, cols[i]+1)
			if l+1 >= least && l+1 <= most {
				list = append(list, ngram{tokens[from : from+l+1], cols[i]})
			}
			i++
		}
	}
	if i != len(cols) {
		return nil, 0, fmt.Errorf("ngram_indexes are %d, the pool has %d entries", len(cols), i)
	}
	return list, columns, nil
}

// ngrams lowers TfIdfVectorizer: how often each n-gram of a public pool is among the tokens, which are secret. A token is compared
// with every token of the pool, which says nothing of what matched.
func ngrams(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := x.Type.Shape
	if x.Type.Elem != ir.Int || len(s) < 1 || len(s) > 2 {
		return nil, fmt.Errorf("input is %v%v, want integers of [C] or [N, C]", x.Type.Elem, s)
	}
	least, most, skips := n.int("min_gram_length", 1), n.int("max_gram_length", 1), n.int("max_skip_count", 0)
	list, columns, err := n.pool(least, most)
	if err != nil {
		return nil, err
	}
	mode, weights := n.str("mode", ""), n.attrs["weights"].GetFloats()
	switch {
	case mode != "TF" && mode != "IDF" && mode != "TFIDF":
		return nil, fmt.Errorf("mode=%s is not supported, want TF, IDF or TFIDF", short(mode))
	case skips < 0 || skips > maxRange:
		return nil, fmt.Errorf("max_skip_count=%d is out of range", skips)
	case len(weights) != 0 && len(weights) != len(n.ints("ngram_indexes")):
		return nil, fmt.Errorf("weights are %d, the pool has %d entries", len(weights), len(n.ints("ngram_indexes")))
	}
	rows, length := s[:len(s)-1].Size(), s[len(s)-1]
	// one comparison for each place and each different token of the pool
	index := map[int64]int{}
	var values []int64
	for _, g := range list {
		for _, tok := range g.tokens {
			if _, ok := index[tok]; !ok {
				index[tok] = len(values)
				values = append(values, tok)
			}
		}
	}
	if err := ir.CheckShape(ir.Shape{rows, length, len(values)}); err != nil {
		return nil, err
	}
	// cells that are ANDed for an n-gram at a place with a skip; those of one column are summed
	perLength := map[int][][]int{} // by number of tokens: the cells of each occurrence
	sums := map[int][]int{}        // by number of tokens: the column of each occurrence
	var lengths []int
	for _, g := range list {
		k := len(g.tokens)
		if perLength[k] == nil {
			lengths = append(lengths, k)
		}
		for skip := 0; skip <= skips && (k > 1 || skip == 0); skip++ { // single tokens do not change with the skip
			places := float64(max(0, length-(k-1)*(skip+1)))
			if err := n.r.left.take(places*float64(k)*float64(1+rows), 256*places*float64(k)); err != nil { // lists of places are dear
				return nil, err
			}
			for at := 0; at+(k-1)*(skip+1) < length; at++ {
				cells := make([]int, k)
				for i, tok := range g.tokens {
					cells[i] = (at+i*(skip+1))*len(values) + index[tok]
				}
				perLength[k] = append(perLength[k], cells)
				sums[k] = append(sums[k], g.column)
			}
			if k > 1 && (k-1)*(skip+2) >= length {
				break
			}
		}
	}
	count := (*ir.Value)(nil)
	if len(values) > 0 && length > 0 && rows > 0 {
		pool := c.table(ir.Int, len(values))
		if pool == nil {
			return nil, c.err
		}
		copy(pool.I, values)
		equal := c.reshape(c.e(ir.OpEq, nil, c.reshape(x, rows, length, 1), c.data(pool, false)), rows, length*len(values))
		for _, k := range lengths {
			if len(perLength[k]) == 0 {
				continue
			}
			parts := make([]*ir.Value, k)
			for i := range parts {
				at := make([]int, len(perLength[k]))
				for j, cells := range perLength[k] {
					at[j] = cells[i]
				}
				parts[i] = c.pick(equal, 1, at)
			}
			for len(parts) > 1 { // a balanced tree: its depth is rounds
				next := parts[:0:0]
				for i := 0; i+1 < len(parts); i += 2 {
					next = append(next, c.e(ir.OpAnd, nil, parts[i], parts[i+1]))
				}
				parts = append(next, parts[len(parts)/2*2:]...)
			}
			m := c.table(ir.Real, len(sums[k]), columns)
			if m == nil {
				return nil, c.err
			}
			for j, col := range sums[k] {
				m.F[j*columns+col] = 1
			}
			if y := c.e(ir.OpMatMul, nil, c.to(parts[0], ir.Real), c.data(m, true)); count == nil {
				count = y
			} else {
				count = c.add(count, y)
			}
		}
	}
	out := append(append(ir.Shape{}, s[:len(s)-1]...), columns)
	if count == nil {
		zero := c.table(ir.Real, out...)
		if zero == nil {
			return nil, c.err
		}
		return c.one(c.data(zero, true))
	}
	if mode == "IDF" { // whether it is there
		count = c.to(c.e(ir.OpGt, nil, count, c.num(count, 0.5)), ir.Real)
	}
	if mode != "TF" && len(weights) > 0 {
		w := c.table(ir.Real, columns)
		if w == nil {
			return nil, c.err
		}
		for i, col := range n.ints("ngram_indexes") {
			w.F[col] = float64(weights[i])
		}
		count = c.mul(count, c.data(w, false))
	}
	return c.one(c.reshape(count, out...))
}

func init() {
	add("TfIdfVectorizer", "Counts of public n-grams among secret integer tokens.", ngrams, version{since: 9, in: 1, max: 1,
		attrs: "max_gram_length:i! max_skip_count:i! min_gram_length:i! mode:s! ngram_counts:is! ngram_indexes:is! pool_int64s:is pool_strings:ss weights:fs"})
}
