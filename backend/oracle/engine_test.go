package oracle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/passes"
	"smpcc/runtime/engine"
	"smpcc/runtime/material"
	"smpcc/runtime/memnet"
	"smpcc/runtime/ring"
)

// A listener is a transport that keeps what its role sends.
type listener struct {
	engine.Transport
	role int
	mu   *sync.Mutex
	said map[string][]byte
}

func spoken(ph plan.Phase, round, from, to int) string {
	return fmt.Sprintf("%v round %d from role %d to %d", ph, round, from, to)
}

func (l listener) Exchange(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) ([][]byte, error) {
	l.mu.Lock()
	for to, b := range out {
		if len(b) > 0 {
			l.said[spoken(ph, round, l.role, to)] = bytes.Clone(b)
		}
	}
	l.mu.Unlock()
	return l.Transport.Exchange(ctx, ph, round, out, want)
}

// engines runs all roles of a plan on engines, with given streams, and returns the messages and what each role learns.
func engines(t *testing.T, p *plan.Plan, masters []material.Key, bound [][]uint64) (said map[string][]byte, outputs []map[string][]uint64) {
	t.Helper()
	said, outputs = map[string][]byte{}, make([]map[string][]uint64, len(p.Programs))
	var mu sync.Mutex
	models, sessions := make([]*engine.Model, len(p.Programs)), make([]*engine.Session, len(p.Programs))
	list := make([]*engine.Engine, len(p.Programs))
	own := func(role, from, to int) [][]uint64 {
		out := make([][]uint64, to-from)
		for i := range out {
			if ports(p)[from+i].Owner == p.Programs[role].Role {
				out[i] = bound[from+i]
			}
		}
		return out
	}
	phase := func(fn func(role int, tr engine.Transport) error) {
		net := memnet.New(p.Roles())
		var wg sync.WaitGroup
		for role := range p.Programs {
			wg.Go(func() {
				if err := fn(role, listener{net.Role(role), role, &mu, said}); err != nil {
					net.Fail(role, err)
				}
			})
		}
		wg.Wait()
		if err := net.Cause(); err != nil {
			t.Fatal(err)
		}
	}
	inputs := len(p.Manifest.Inputs)
	phase(func(role int, tr engine.Transport) (err error) {
		if list[role], err = engine.New(p, role); err != nil {
			return err
		}
		models[role], err = list[role].Setup(context.Background(), tr, streams(t, p, masters, role, "setup"), own(role, inputs, len(bound)))
		return err
	})
	phase(func(role int, tr engine.Transport) (err error) {
		sessions[role], err = list[role].Offline(context.Background(), tr, models[role], streams(t, p, masters, role, "session"))
		return err
	})
	phase(func(role int, tr engine.Transport) (err error) {
		outputs[role], err = sessions[role].Online(context.Background(), tr, own(role, 0, inputs))
		return err
	})
	return said, outputs
}

func streams(t *testing.T, p *plan.Plan, masters []material.Key, role int, purpose string) engine.Streams {
	s := make(engine.Streams, len(masters))
	for i, k := range masters {
		if role != i && role != len(masters) {
			continue
		}
		var err error
		if s[i], err = material.NewStream(material.Derive(k, purpose, [32]byte{}, 1, i)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// masters returns keys of all parties that are always the same.
func masters(t *testing.T, n int) (out []material.Key) {
	for i := range n {
		h := sha256.Sum256([]byte{byte(i)})
		k, err := material.KeyOf(h[:])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, k)
	}
	return out
}

// TestMeaning: the oracle's machine and the engine send the same messages and learn the same outputs if they draw the same. Where a plan has keys, the
// machine's are ideal: shares differ, what they add up to does not. Waves and exponentials may differ in the last bits.
func TestMeaning(t *testing.T) {
	for name, p := range meanings(t) {
		t.Run(name, func(t *testing.T) {
			keys := masters(t, p.NumParties())
			var bound [][]uint64
			for i, port := range ports(p) {
				lo, hi := span(port)
				w := make([]uint64, port.Len())
				for e := range w {
					w[e] = uint64(lo) + hash(7, uint64(i), uint64(e))%uint64(hi-lo+1)
				}
				bound = append(bound, w)
			}
			said, outputs := engines(t, p, keys, bound)
			approximate, rounds, exact := false, false, true
			for i := range p.Programs {
				for ph := plan.Setup; ph <= plan.Online; ph++ {
					for _, r := range p.Programs[i].Rounds(ph) {
						for _, s := range r.Steps {
							approximate = approximate || s.Op == plan.StepWave || s.Op == plan.StepExpo
							rounds = rounds || s.Op == plan.StepDrop
							exact = exact && s.Op != plan.StepDPF && s.Op != plan.StepDCF
						}
					}
				}
			}
			approximate = approximate || rounds && !exact // by how shares happen to be
			m := newMachine(p, 3, make([]bool, p.NumParties()))
			all := [2]engine.Streams{streams(t, p, keys, p.NumParties(), "session"), streams(t, p, keys, p.NumParties(), "setup")}
			drawn := map[[2]int][]uint64{}
			m.source = func(s site) uint64 {
				it := p.Items[s.item]
				d := drawn[[2]int{s.party, s.item}]
				if d == nil {
					d = make([]uint64, it.Len)
					all[it.Scope][s.party].Fill(d, it.Offset, it.Width(), it.Bits)
					drawn[[2]int{s.party, s.item}] = d
				}
				return d[s.element]
			}
			sent := map[string][]byte{}
			m.post = func(ph plan.Phase, round, from, opening int, b buffer) {
				o := &p.Programs[from].Rounds(ph)[round].Opens[opening]
				for _, to := range o.To {
					if to != from {
						packed := make([]byte, o.Bytes())
						ring.Pack(packed, b.words, o.Bits)
						name := spoken(ph, round, from, to)
						sent[name] = append(sent[name], packed...)
					}
				}
			}
			m.inputs = bound
			if err := m.try(); err != nil {
				t.Fatal(err)
			}
			if len(sent) != len(said) {
				t.Errorf("%d messages, the engine sends %d", len(sent), len(said))
			}
			differ := 0
			for name, b := range said {
				if !approximate && exact && !bytes.Equal(b, sent[name]) {
					if differ++; differ < 4 {
						t.Errorf("%s: %x, the engine sends %x", name, clip(sent[name]), clip(b))
					}
				}
			}
			count := 0
			for role := range p.NumParties() {
				for name, want := range outputs[role] {
					got := m.outputs[name+"\x00"+p.Programs[role].Role]
					if got == nil {
						t.Fatalf("role %d does not learn %s", role, name)
					}
					i := slices.IndexFunc(p.Manifest.Outputs, func(o plan.Port) bool { return o.Name == name })
					bits := p.Manifest.Outputs[i].Bits
					for e, w := range want {
						count++
						d := int64((got.words[0][e]-w)<<(64-bits)) >> (64 - bits)
						if d != 0 && !approximate || d > 64 || d < -64 {
							t.Fatalf("%s[%d] at role %d is %d, the engine says %d", name, e, role, int64(got.words[0][e]), int64(w))
						}
					}
				}
			}
			if count == 0 {
				t.Error("no output was compared")
			}
		})
	}
}

func clip(b []byte) []byte { return b[:min(len(b), 24)] }

// meanings are plans that have every step between them.
func meanings(t *testing.T) map[string]*plan.Plan {
	out := map[string]*plan.Plan{}
	dir := t.TempDir()
	wan := passes.Network{RTT: 10, Bandwidth: 1e12}
	for name, src := range map[string]string{
		"products": "input x: int[2,2] from a in -1000..1000\ninput y: int[2,2] from b in -1000..1000\nlet p = x * y\nlet q = (x + y) * (x - y)\nreveal p * q to a, b as out\nreveal p * p to b as square\nreveal p @ q to b as matrix\n",
		"compare":  "input x: int[5] from a in -1000..1000\ninput y: int[5] from b in -1000..1000\nreveal where(x < y, x * y, 2) to a, b as less\nreveal where(x == y, 1, 2) to b as same\nreveal max(x, y) to a as larger\nreveal argmax(x - y) to a as at\n",
		"wide":     "input x: int[3] from a in -1000000000000..1000000000000\ninput y: int[3] from b in -1000000000000..1000000000000\nreveal x < y to a, b as less\nreveal x == y to b as same\nreveal (x < y) and not (x == y) or x > 7 to b as logic\n",
		"reals":    "input u: real[4] from a in -4..4\ninput v: real[4] from b in -4..4\nreveal u * v * u + v to b as chain\nreveal relu(u * v) to b as hinge\n",
		"curves":   "input u: real[4] from a in -4..4\ninput v: real[4] from b in -4..4\nreveal sigmoid(u * v) to b as out\n",
		"views":    "input x: int[2,3] from a in -1000..1000\ninput y: int[2,3] from b in -1000..1000\nreveal sum(where(reshape(x, [6, 1]) < [-7, 0, 99], 1, 2)) + sum(x * y) to a, b as out\nreveal relu(reshape(x - y, [6, 1]) - [-7, 0, 99]) to a as hinges\n",
	} {
		for _, parties := range []string{"a, b", "a, b, c"} {
			for _, net := range []passes.Network{{}, wan} {
				if net == wan && parties == "a, b, c" {
					continue
				}
				path := filepath.Join(dir, name+".smp")
				if err := os.WriteFile(path, []byte("parties "+parties+"\n"+src), 0o600); err != nil {
					t.Fatal(err)
				}
				c, err := smpcc.Compile(path, smpcc.Options{Net: net})
				if err != nil {
					t.Fatal(name, err)
				}
				out[fmt.Sprintf("%s/%s/%v", name, parties, net.RTT)] = c.Plan
			}
		}
	}
	path := filepath.Join(dir, "exponential.ir")
	if err := os.WriteFile(path, []byte(exponential), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := smpcc.Compile(path, smpcc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out["exponential"] = c.Plan
	for _, parties := range []int{2, 3} {
		for _, path := range []string{"credit/model.onnx", "mnist/model.onnx"} {
			if path == "mnist/model.onnx" && parties > 2 && !nightly {
				continue
			}
			opt := smpcc.Options{Parties: parties, Dims: map[string]int{"N": 1}}
			if path == "mnist/model.onnx" {
				opt.Ranges = map[string][2]float64{"input": {0, 1}}
			}
			c, err := smpcc.Compile("../../examples/"+path, opt)
			if err != nil {
				t.Fatal(path, err)
			}
			out[fmt.Sprintf("%s/%d", path, parties)] = c.Plan
		}
	}
	return out
}

// exponential is a module of a function that the language of programs has not.
const exponential = `module "curves" {
  parties p0 p1
  dealer d
  func main {
    v0 = input name="x" owner="p0" elem="real" shape=[4] lo=-4 hi=4 : private(p0) real[4] @ "curves" node "input"
    v1 = input name="y" owner="p1" elem="real" shape=[4] lo=-12 hi=-4 : private(p1) real[4] @ "curves" node "input"
    v2 = add v0 v1 : secret{p0,p1} real[4] @ "curves" node "add"
    v3 = exp v2 : secret{p0,p1} real[4] @ "curves" node "exp"
    v4 = reveal v3 name="out" to=["p0","p1"] : private(p0,p1) real[4] @ "curves" node "reveal"
  }
}
`
