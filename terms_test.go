package smpcc_test

import (
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/attest"
	"smpcc/runtime/disk"
	"smpcc/runtime/server"
)

// signer makes a key, and returns it with its public half as policies name it.
func signer(t *testing.T) (ed25519.PrivateKey, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "k.pem")
	pub, err := attest.NewKey(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := attest.LoadKey(file)
	if err != nil {
		t.Fatal(err)
	}
	return key, attest.KeyText(pub)
}

// entries reads the whole log of a role.
func entries(t *testing.T, cl *cluster, role string) (out []attest.Entry) {
	t.Helper()
	if _, err := attest.WalkLog(filepath.Join(cl.dir, "state-"+role, "audit.log"), "", "", func(e attest.Entry) { out = append(out, e) }); err != nil {
		t.Fatal(err)
	}
	return out
}

// refusalsOf returns the refusals in a role's log.
func refusalsOf(t *testing.T, cl *cluster, role string) (out []attest.Entry) {
	t.Helper()
	for _, e := range entries(t, cl, role) {
		if e.Decision == "refused" {
			out = append(out, e)
		}
	}
	return out
}

// TestFourEyes wants two approvals of three keys, for each session anew, and none that was taken back.
func TestFourEyes(t *testing.T) {
	a, nameA := signer(t)
	b, nameB := signer(t)
	_, nameC := signer(t)
	sigs := filepath.Join(t.TempDir(), "sigs")
	cl, client, in := guarded(t, "max_runs: 100\napprove: {keys: [\""+nameA+"\", \""+nameB+"\", \""+nameC+"\"], at_least: 2}\n", func(role string, c *server.Config) { c.Approvals = sigs })
	sign := func(key ed25519.PrivateKey, purpose attest.Purpose, at time.Time) {
		t.Helper()
		s := attest.Sign(key, purpose, cl.plan.Digest(), "", at)
		if err := attest.Append(disk.Machine, sigs, s); err != nil {
			t.Fatal(err)
		}
	}
	now, refusals := time.Now(), 0
	refused := func(want string) {
		t.Helper()
		refusedWith(t, opens(t, client), want)
		refusals++
		for deadline := time.Now().Add(20 * time.Second); len(refusalsOf(t, cl, "p1")) < refusals; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the log of p1 does not have refusal %d", refusals)
			}
		}
	}
	refused("approved by its digest by at least 2 of 3 keys")
	sign(a, attest.Approval, now)
	sign(a, attest.Approval, now.Add(time.Second))
	refused("approved by its digest by at least 2 of 3 keys")
	sign(b, attest.Approval, now)
	for range 2 {
		if _, err := cl.run(client, in); err != nil {
			t.Fatal(err)
		}
	}
	sign(b, attest.Revocation, now.Add(time.Second))
	refused(nameB + " has taken its approval back")
	sign(b, attest.Approval, now.Add(2*time.Second))
	if _, err := cl.run(client, in); err != nil {
		t.Fatal(err)
	}

	// Each log says for whom, who learned, what is left and on whose approval, and every owner's has the refusals of the lead.
	for _, role := range []string{"p0", "p1"} {
		var allowed []attest.Entry
		for _, e := range entries(t, cl, role) {
			if e.What == "session" && e.Decision == "allowed" {
				allowed = append(allowed, e)
			}
		}
		refused := refusalsOf(t, cl, role)
		if len(allowed) != 3 || len(refused) != 3 {
			t.Fatalf("%s: %d sessions and %d refusals are in the log, want 3 and 3", role, len(allowed), len(refused))
		}
		for i, e := range allowed {
			if e.Client == "" || strings.Join(e.Receivers, " ") != "p1" || e.Rows != 1 || len(e.Approvals) != 2 || len(e.Left) != 1 || e.Left[0].Owner != "p1" || e.Left[0].Runs > uint64(99-i) || e.Left[0].Runs < uint64(99-i)-4 {
				b, _ := json.Marshal(e)
				t.Errorf("%s: session %d is logged as %s", role, i+1, b)
			}
		}
		for i, want := range []string{"at least 2 of 3 keys", "at least 2 of 3 keys", nameB + " has taken its approval back"} {
			if e := refused[i]; !strings.Contains(e.Reason, want) {
				t.Errorf("%s: refusal %d is logged as %q, want %q in it", role, i+1, e.Reason, want)
			}
		}
		if r := refused[2].Revoked; len(r) != 1 || r[0] != nameB {
			t.Errorf("%s: the revocation is logged as of %v", role, r)
		}
	}
}

// TestApprovalForWeights wants an approval that names weights to count only where the owner's server has compared its own with them.
func TestApprovalForWeights(t *testing.T) {
	key, name := signer(t)
	sigs := filepath.Join(t.TempDir(), "sigs")
	weights := filepath.Join(t.TempDir(), "w.npz")
	if err := os.WriteFile(weights, []byte("w"), 0o600); err != nil {
		t.Fatal(err)
	}
	mine := "weights:" + strings.Repeat("ab", 32)
	found := mine
	cl, client, in := guarded(t, "approve: [\""+name+"\"]\n", func(role string, c *server.Config) {
		c.Approvals = sigs
		if role == "p0" {
			c.Weights, c.Opening = weights, "opening"
			c.CheckWeights = func(_ *plan.Plan, file, opening, owner string) (string, error) { return found, nil }
		}
	})
	approve := func(commitment string, at time.Time) {
		t.Helper()
		s := attest.Sign(key, attest.Approval, cl.plan.Digest(), "", at)
		s.Weights = []attest.Bound{{Owner: "p0", Commitment: commitment}}
		if err := attest.Append(disk.Machine, sigs, s.Signed(key)); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	other := "weights:" + strings.Repeat("cd", 32)
	approve(other, now)
	refusedWith(t, opens(t, client), "is for weights of p0 bound by "+other+", and this server's are bound by "+mine)
	approve(mine, now.Add(time.Second))
	if _, err := cl.run(client, in); err != nil {
		t.Fatal(err)
	}
	found = other // the file is exchanged while the server runs
	if err := os.WriteFile(weights, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, opens(t, client), "is for weights of p0 bound by "+mine+", and this server's are bound by "+other)
}

// TestChangedPolicy wants a policy that is emptied, replaced or removed while servers run to count from the next session on.
func TestChangedPolicy(t *testing.T) {
	var file string
	cl, client, in := guarded(t, "", func(role string, c *server.Config) {
		if role == "p1" {
			file = c.Policy
		}
	})
	if _, err := cl.run(client, in); err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "version: 1\nowner: p1\n", string(was) + "expires: 2020-01-01\n", "junk: ["} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := opens(t, client); err == nil {
			t.Errorf("a session begins under the policy %q", text)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, opens(t, client), "the policy of p1 cannot be read")
	if err := os.WriteFile(file, was, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.run(client, in); err != nil {
		t.Fatal(err)
	}
	if refused := len(refusalsOf(t, cl, "p1")); refused != 5 {
		t.Errorf("the log of the owner whose policy refused has %d refusals, want 5", refused)
	}
}
