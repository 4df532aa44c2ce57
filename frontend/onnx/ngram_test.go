package onnx

import (
	"strings"
	"testing"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// TestNgramsOfShortRows counts n-grams in rows that are too short for any.
func TestNgramsOfShortRows(t *testing.T) {
	g := graph("y", nd("TfIdfVectorizer", "x", "y", tfidf("TF")...))
	g.Input = []*pb.ValueInfoProto{vi("x", ir.Int, 2, 1)}
	m := loaded(t, g, Options{})
	got, err := ir.Run(m, tensors{"x": ints(dims(2, 1), 1, 2)})
	if err != nil {
		t.Fatal(err)
	}
	if err := near(got["y"], ir.NewTensor(ir.Real, dims(2, 5)), 0); err != nil {
		t.Error(err)
	}
}

// TestNgramMistakes checks pools that do not fit together.
func TestNgramMistakes(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(a []*pb.AttributeProto)
	}{
		{"counts", "do not fit a pool of 8 tokens", func(a []*pb.AttributeProto) { a[4].Ints = []int64{0, 9} }},
		{"cut entries", "do not fit a pool of 7 tokens", func(a []*pb.AttributeProto) { a[6].Ints = a[6].Ints[:7] }},
		{"indexes", "ngram_indexes are too few", func(a []*pb.AttributeProto) { a[5].Ints = a[5].Ints[:3] }},
		{"more indexes", "ngram_indexes are 6, the pool has 5 entries", func(a []*pb.AttributeProto) { a[5].Ints = append(a[5].Ints, 5) }},
		{"weights", "weights are 1, the pool has 5 entries", func(a []*pb.AttributeProto) { a[7].Floats = a[7].Floats[:1] }},
		{"mode", "mode=BM25 is not supported, want TF, IDF or TFIDF", func(a []*pb.AttributeProto) { a[0].S = []byte("BM25") }},
		{"lengths", "lengths of 3 to 2 tokens are not a range", func(a []*pb.AttributeProto) { *a[1].I = 3 }},
		{"strings", "pool_strings is not supported: it works on strings", func(a []*pb.AttributeProto) { a[6] = ass("pool_strings", "a") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			attrs := tfidf("TF")
			c.change(attrs)
			g := graph("y", nd("TfIdfVectorizer", "x", "y", attrs...))
			g.Input = []*pb.ValueInfoProto{vi("x", ir.Int, 5)}
			if _, err := LoadBytes("m.onnx", encode(t, modelOf(17, g)), Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
