package web

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"smpcc/backend/plan"
	"smpcc/runtime/share"
)

// TestLibrary: for random shapes, widths and numbers the library in a browser encodes, expands, shares and packs as Go does, to the bit, and puts outputs together as Go does.
func TestLibrary(t *testing.T) {
	b := newBrowser(t)
	p := program(t, "parties p0, p1\nguests g\ninput x: int[1] from g in 0..9\nreveal x to g as out\n")
	f := newFakes(t, p, nil)
	b.open(f.servers["p0"])
	b.Eval(strings.ReplaceAll("\n"+Library, "\nexport ", "\n") + "\ntrue")
	for n, c := range sharings(t) {
		got := fmt.Sprint(b.Eval(`(async (c) => {
			const w = encode(c.plan.inputs[1], c.data);
			const s = await shares(c.plan, [new BigUint64Array(1), w], c.seeds.map((x) => new Uint8Array(x)));
			const y = decode(c.plan, c.given.map((x) => new Uint8Array(x))).y;
			return [[...w].join(","), [...s[s.length - 1].subarray(1)].join(","), y.map(String).join(",")].join(";");
		})(` + c.text + `)`))
		if got != c.want {
			t.Fatalf("case %d, %s: the browser says\n%s\nwant\n%s", n, c.text, got, c.want)
		}
	}
	for _, c := range []struct{ port, data, want string }{
		{`{name: "x", elem: "real", shape: [2], bits: 8, scale: 4, lo: 0, hi: 9}`, `[1]`, "has 1 elements, want 2"},
		{`{name: "x", elem: "real", shape: [2], bits: 8, scale: 4, lo: 0, hi: 9}`, `[1, NaN]`, "element 1 is not a number"},
		{`{name: "x", elem: "real", shape: [2], bits: 8, scale: 4, lo: 0, hi: 9}`, `[1, 9.01]`, "element 1 is outside 0..9"},
		{`{name: "x", elem: "int", shape: [1], bits: 8, scale: 0, lo: 0, hi: 9}`, `[1.5]`, "not a whole number"},
		{`{name: "x", elem: "bool", shape: [1], bits: 1, scale: 0}`, `[2]`, "is not 0 or 1"},
		{`{name: "x", elem: "int", shape: [1], bits: 8, scale: 0, lo: 0, hi: 9}`, `undefined`, "has 0 elements"},
	} {
		if got := fmt.Sprint(b.Eval(`(() => { try { encode(` + c.port + `, ` + c.data + `); return "encoded"; } catch (e) { return e.name + ": " + e.message; } })()`)); !strings.Contains(got, c.want) || !strings.HasPrefix(got, "SmpccError") {
			t.Errorf("%s: %s, want %s", c.data, got, c.want)
		}
	}
	if got := b.Eval(`(async () => { const stop = new AbortController(); stop.abort(); try { await connect({servers: {p0: location.origin, p1: location.origin}, plan: {parties: ["p0", "p1"], inputs: [], outputs: []}, token: "x"}).predict({}, {signal: stop.signal}); return "ran"; } catch (e) { return e.message; } })()`); got != "p0: the request was given up" {
		t.Errorf("a request that is given up: %v", got)
	}
}

func ints(b []byte) []int {
	out := make([]int, len(b))
	for i, x := range b {
		out[i] = int(x)
	}
	return out
}

func joinInts(words []uint64) string {
	var out []string
	for _, w := range words {
		out = append(out, strconv.FormatUint(w, 10))
	}
	return strings.Join(out, ",")
}

// A sharing is numbers of a port, as JSON, and what becomes of them: words, the packed share of the last party, and the outputs that other shares make.
type sharing struct{ text, want string }

// sharings are random ones, of all widths and kinds of ports.
func sharings(t *testing.T) (out []sharing) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 19))
	cases := 60
	if os.Getenv("SMPCC_NIGHTLY") != "" {
		cases = 2000
	}
	for n := range cases {
		parties := 2 + n%3
		port := plan.Port{Name: "x", Shape: []int{1 + r.IntN(5), 1 + r.IntN(4)}, Shares: true}
		var data []float64
		var words []uint64
		switch n % 4 {
		case 0:
			port.Elem, port.Bits = "bool", 1
		case 1:
			port.Elem, port.Lo = "int", float64(r.IntN(2000)-1000)
			port.Hi = port.Lo + 1 + math.Floor(math.Exp(r.Float64()*34))
		default:
			port.Elem, port.Scale, port.Lo = "real", r.IntN(20), -math.Round(r.Float64()*1000)/8
			port.Hi = port.Lo + 1 + math.Round(math.Exp(r.Float64()*14))
			if n%4 == 3 {
				for range port.Shape[1] {
					lo := port.Lo + math.Round(r.Float64()*8)/16
					port.Columns = append(port.Columns, plan.Column{Lo: lo, Hi: lo + 0.5 + math.Round(r.Float64()*(port.Hi-port.Lo)), Shift: r.IntN(5) - 2})
					port.Hi = max(port.Hi, lo+0.5+port.Hi-port.Lo+1)
				}
			}
		}
		for i := range max(1, len(port.Columns)) {
			lo, hi := port.Range(i)
			if port.Elem != "bool" {
				k, err := plan.GuestBits(lo, hi, port.ScaleOf(i))
				if err != nil {
					t.Fatal(err)
				}
				port.Bits = max(port.Bits, k)
			}
		}
		for i := range port.Len() {
			lo, hi := port.Range(i)
			x := lo + r.Float64()*(hi-lo)
			switch {
			case port.Elem == "bool":
				x = float64(r.IntN(2))
			case port.Elem == "int":
				x = min(hi, math.Floor(x))
			case r.IntN(4) == 0: // halves of the last bit, and the ends
				x = math.Max(lo, math.Min(hi, math.Ldexp(math.Floor(math.Ldexp(x, port.ScaleOf(i)))+0.5, -port.ScaleOf(i))))
			case r.IntN(8) == 0:
				x = hi
			}
			w, err := port.Word(i, x)
			if err != nil {
				t.Fatal(err)
			}
			data, words = append(data, x), append(words, w)
		}
		seeds := make([]share.Seed, parties-1)
		var others [][]uint64
		var seedBytes [][]int
		for k := range seeds {
			list := make([]int, len(seeds[k]))
			for i := range seeds[k] {
				seeds[k][i] = byte(r.Uint32())
				list[i] = int(seeds[k][i])
			}
			seedBytes = append(seedBytes, list)
			others = append(others, share.Expand(seeds[k], 1, &port))
		}
		last, err := share.Last(&port, words, others)
		if err != nil {
			t.Fatal(err)
		}
		// the port stands second, so that the number of the input counts
		y := plan.Port{Name: "y", Elem: port.Elem, Bits: port.Bits, Scale: port.Scale, Shape: port.Shape}
		given := append([][]uint64{last}, others...)
		var packed [][]int
		for _, g := range given {
			packed = append(packed, ints(plan.Pack(nil, g, port.Bits)))
		}
		first := plan.Port{Name: "first", Elem: "bool", Bits: 1, Shape: []int{1}}
		manifest := Manifest{Parties: make([]string, parties), Inputs: []Port{portOf(&first), portOf(&port)}, Outputs: []Port{portOf(&y)}}
		args, err := json.Marshal(map[string]any{"plan": manifest, "data": data, "seeds": seedBytes, "given": packed})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, w := range share.Join(&y, given) {
			x := float64(int64(w))
			if y.Elem == "real" {
				x = math.Ldexp(x, -y.Scale)
			}
			want = append(want, strconv.FormatFloat(x, 'f', -1, 64))
		}
		wanted := joinInts(words) + ";" + strings.Trim(strings.ReplaceAll(fmt.Sprint(ints(plan.Pack(nil, last, port.Bits))), " ", ","), "[]") + ";" + strings.Join(want, ",")
		out = append(out, sharing{string(args), wanted})
	}
	return out
}
