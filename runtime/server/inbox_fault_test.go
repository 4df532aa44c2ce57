package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"smpcc/runtime/attest"
	"smpcc/runtime/control"
	"smpcc/runtime/disk/faulty"
)

// TestInboxOnAFaultyDisk sends a request and approves it at a party whose disk fails from one place on, for places of steps and of bytes, all of the steps at night. After a restart there is the whole request or none,
// what was answered well is there, numbers are not given twice, a signature is there if the approval was answered well, and the log verifies.
func TestInboxOnAFaultyDisk(t *testing.T) {
	h := newOffice(t, credit())
	h.cfg["p0"].Requests.PerDay, h.cfg["p0"].Requests.Keep, h.cfg["p0"].Requests.Waiting = 1000, 1000, 1000
	analyst, approver := h.operator("analyst"), h.operator("approver")
	step, each, least := int64(4001), int64(3), 5
	if os.Getenv("SMPCC_NIGHTLY") != "" {
		step, each, least = 97, 1, 30
	}
	used, failed := map[uint64]bool{}, 0
	n := 0
	for name, kind := range map[string]struct {
		make func(int64) *faulty.Disk
		step int64
	}{"full": {faulty.Full, step}, "sick": {faulty.Sick, each}, "crash": {faulty.CrashAt, each}} {
		for at := int64(0); ; at += kind.step {
			n++
			wanted := credit().variant(fmt.Sprint("f", n))
			d := kind.make(at)
			h.cfg["p0"].Disk = d
			if err := h.start("p0"); err != nil { // it fails before
				continue
			}
			r, err := analyst.Send(limited(t), "p0", wanted.files(t, "nobody"), "to know", nil)
			x, _ := signedBy(t, wanted.plan.Digest())
			var derr error
			if err == nil {
				_, derr = approver.Decide(limited(t), "p0", control.DecideRequest{ID: r.ID, State: control.Approved, Plan: r.Plan, Statement: &x})
			}
			if err != nil || derr != nil {
				failed++
			}
			h.stop("p0")
			h.cfg["p0"].Disk = nil
			h.must("p0")
			l, lerr := analyst.Requests(limited(t), "p0")
			if lerr != nil {
				t.Fatal(lerr)
			}
			var found *control.Request
			for i := range l.Requests {
				if l.Requests[i].Plan == wanted.plan.Digest() {
					found = &l.Requests[i]
				}
			}
			switch {
			case err == nil && (found == nil || found.ID != r.ID):
				t.Errorf("%s at %d: request %d was answered well and is not there", name, at, r.ID)
			case err == nil && derr == nil && found.State != control.Approved:
				t.Errorf("%s at %d: it is %s, and was approved", name, at, found.State)
			}
			if found != nil {
				if used[found.ID] {
					t.Errorf("%s at %d: number %d is given twice", name, at, found.ID)
				}
				used[found.ID] = true
				if data, err := analyst.File(limited(t), "p0", control.FileRequest{Plan: found.Plan, ID: found.ID, File: control.PlanFile}); err != nil || len(data) == 0 {
					t.Errorf("%s at %d: the plan of request %d: %v", name, at, found.ID, err)
				}
				if found.State == control.Approved {
					list, err := attest.Read(filepath.Join(h.cfg["p0"].State, "approvals", found.Plan[:16]+".sigs"))
					if err != nil || len(list) != 1 || list[0].Verify() != nil {
						t.Errorf("%s at %d: approved with %d signatures, %v", name, at, len(list), err)
					}
				} else { // it can be decided about still
					if _, err := approver.Decide(limited(t), "p0", control.DecideRequest{ID: found.ID, State: control.Approved, Plan: found.Plan, Statement: &x}); err != nil {
						t.Errorf("%s at %d: once more: %v", name, at, err)
					}
				}
			}
			h.logOf("p0")
			left, rerr := os.ReadDir(filepath.Join(h.cfg["p0"].State, "requests"))
			if rerr != nil {
				t.Fatal(rerr)
			}
			for _, e := range left {
				if id, err := strconv.ParseUint(e.Name(), 10, 64); err != nil || !used[id] {
					t.Errorf("%s at %d: %s is left of a request that is not there", name, at, e.Name())
				}
			}
			h.stop("p0")
			if !d.Failed() {
				break
			}
		}
	}
	t.Logf("%d places, %d requests or decisions failed", n, failed)
	if failed < least {
		t.Errorf("only %d failed", failed)
	}
}
