package oracle

import "fmt"

// What a coalition sees has too many values to be compared as a whole where worlds are sampled. Then single words of it are compared, and sums,
// differences and XORs of two: that is where masks that are missing, used twice or cut show.

// views are the words of what a coalition sees, in the worlds that were sampled.
type views struct {
	words   [][]uint64
	reveals []bool
	spans   []int
}

// take appends the worlds that a machine has run.
func (v *views) take(m *machine) {
	if v.words == nil {
		v.words, v.reveals, v.spans = make([][]uint64, len(m.view)), m.reveals, m.spans
	}
	for i, w := range m.view {
		v.words[i] = append(v.words[i], w...)
	}
}

// maxPairs bounds the pairs of words that are compared.
const maxPairs = 160

// sampleBits says how many worlds are sampled.
const sampleBits = 10

// far is the chi-square of 15 degrees of freedom which one in 10^12 samples of one distribution exceeds.
const far = 90

// A statistic is a function of two words of a view.
var statistics = []struct {
	name string
	of   func(a, b uint64) uint64
}{
	{"sum", func(a, b uint64) uint64 { return a + b }},
	{"difference", func(a, b uint64) uint64 { return a - b }},
	{"XOR", func(a, b uint64) uint64 { return a ^ b }},
}

// compareViews compares what runs have shown with the first run, and, if outputs are functions of the inputs, including outputs with the first one that had
// the same.
func compareViews(runs []*run, exact bool) string {
	groups := map[sum]*run{}
	for _, r := range runs {
		first := groups[r.told]
		if first == nil {
			groups[r.told], first = r, r
		}
		with, reveals := runs[0], false
		if exact && first != r {
			with, reveals = first, true
		}
		if with == r {
			continue
		}
		if what := compareTwo(r.views, with.views, reveals); what != "" {
			return fmt.Sprintf("%s is distributed differently for inputs %s and %s", what, show(with.inputs), show(r.inputs))
		}
	}
	return ""
}

func compareTwo(a, b *views, reveals bool) string {
	var words []int
	for i := range a.words {
		if reveals || !a.reveals[i] {
			words = append(words, i)
		}
	}
	for _, i := range words {
		if differs(a, b, i, i, func(x, _ uint64) uint64 { return x }) {
			return fmt.Sprintf("word %d of what is received", i)
		}
	}
	pairs := len(words) * (len(words) - 1) / 2
	count := uint64(0)
	for k, i := range words {
		for _, j := range words[:k] {
			if count++; pairs > maxPairs && hash(count)%uint64(pairs) >= maxPairs {
				continue
			}
			for _, s := range statistics {
				if differs(a, b, i, j, s.of) {
					return fmt.Sprintf("the %s of words %d and %d of what is received", s.name, j, i)
				}
			}
		}
	}
	return ""
}

// differs compares the lowest and the highest four bits of a function of two words.
func differs(a, b *views, i, j int, of func(x, y uint64) uint64) bool {
	span := min(a.spans[i], a.spans[j])
	shifts := []int{0}
	if span > 4 {
		shifts = append(shifts, span-4)
	}
	for _, by := range shifts {
		var sum, diff [16]int
		for k, v := range []*views{a, b} {
			second := v.words[j]
			for w, x := range v.words[i] {
				bin := of(x, second[w]) >> by & 15
				sum[bin]++
				diff[bin] += 1 - 2*k
			}
		}
		chi := 0.0
		for bin, n := range sum {
			if n > 0 {
				chi += float64(diff[bin]*diff[bin]) / float64(n)
			}
		}
		if chi > far {
			return true
		}
	}
	return false
}
