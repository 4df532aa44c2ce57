package bench

import (
	"testing"

	"smpcc/backend/plan"
	"smpcc/backend/verify"
)

// TestModels compiles the small models of the suite and checks what the larger ones rely on: the plan verifies, and a run gives the
// plaintext result with the bytes and rounds that the plan says.
func TestModels(t *testing.T) {
	m := &Machine{MACs: 1e10, Loopback: 1e9}
	for _, b := range Models() {
		if b.Name != "lenet-1" && b.Name != "matmul-512" {
			continue
		}
		t.Run(b.Name, func(t *testing.T) {
			p, err := Prepare(b, "memory")
			if err != nil {
				t.Fatal(err)
			}
			if err := verify.Check(p.Plan).Err(); err != nil {
				t.Error(err)
			}
			r, err := p.Runs(t.Context(), m, "memory", 1)
			if err != nil {
				t.Fatal(err)
			}
			cost := p.Plan.Cost().Phases[plan.Online]
			most := int64(0)
			for _, n := range cost.Sent {
				most = max(most, n)
			}
			if r.Online.Rounds != cost.Rounds || r.Online.Bytes != most {
				t.Errorf("run took %d rounds and %d bytes, the plan says %d and %d", r.Online.Rounds, r.Online.Bytes, cost.Rounds, most)
			}
			if r.Error > 2e-3 {
				t.Errorf("error %g", r.Error)
			}
			if r.Floor <= 0 {
				t.Errorf("floor %g", r.Floor)
			}
			for _, format := range []string{"svg", "png"} {
				if img, err := Draw([]*Result{r, r}, format); err != nil || len(img) < 1000 {
					t.Errorf("plot as %s: %d bytes, %v", format, len(img), err)
				}
			}
		})
	}
}
