package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/runtime/attest"
	"smpcc/runtime/control"
	"smpcc/runtime/disk"
)

// A host serves the plan of its configuration, those of a folder that the configuration names, and those that are deployed while it runs. The last are kept in
// its state, a folder for each digest, until they are withdrawn.

// plansName is the folder of deployed plans in the state folder, and recordName the file in each plan's folder that says how it is served.
const (
	plansName  = "plans"
	recordName = "deployment.json"
)

// maxClients bounds the clients of one plan.
const maxClients = 1024

// A deployRecord says how a plan is served.
type deployRecord struct {
	Plan      string    `json:"plan"` // its digest
	By        string    `json:"by"`
	At        time.Time `json:"at"`
	Sessions  int       `json:"sessions,omitempty"`
	Clients   []string  `json:"clients,omitempty"`   // of the plan, in place of the server's
	Weights   string    `json:"weights,omitempty"`   // file beside this one
	Withdrawn bool      `json:"withdrawn,omitempty"` // of a plan that lies in the configuration's folder: it is not served
}

// plansFolder is where deployed plans are kept.
func (s *Server) plansFolder() string { return filepath.Join(s.cfg.State, plansName) }

// folderOf is where a deployed plan is kept.
func (s *Server) folderOf(digest string) string { return filepath.Join(s.plansFolder(), digest[:16]) }

// readRecord reads how a deployed plan is served.
func readRecord(dir string) (r deployRecord, err error) {
	data, err := os.ReadFile(filepath.Join(dir, recordName))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("%s: %w", filepath.Join(dir, recordName), err)
	}
	if len(r.Plan) != 64 || r.Weights != "" && (filepath.Base(r.Weights) != r.Weights || !strings.HasPrefix(r.Weights, control.WeightsFile)) {
		return r, fmt.Errorf("%s: malformed", filepath.Join(dir, recordName))
	}
	return r, nil
}

// writeRecord writes how a deployed plan is served.
func (s *Server) writeRecord(dir string, r deployRecord) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return disk.Replace(s.files(), filepath.Join(dir, recordName), 0o600, func(w io.Writer) error { _, err := w.Write(data); return err })
}

// A planFile is a plan that a configuration or a state folder holds.
type planFile struct {
	source  string
	file    string
	weights string // "" if there are none
	record  deployRecord
	plan    *plan.Plan // if it has been read already, for its digest
	err     error      // why it is not read
}

// read returns the plan.
func (f *planFile) read() (*plan.Plan, error) {
	if f.plan != nil {
		return f.plan, nil
	}
	return typed.ReadFile(f.file)
}

// planFiles returns the plans that a server of a name serves, besides that of the configuration: those of its folder, and those in its state.
func (c *Config) planFiles(name string) (out []planFile, err error) {
	away := map[string]bool{} // digests that are withdrawn
	dirs, err := os.ReadDir(filepath.Join(c.State, plansName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range dirs {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		dir := filepath.Join(c.State, plansName, e.Name())
		r, err := readRecord(dir)
		if errors.Is(err, fs.ErrNotExist) { // it is being deployed, or was when a crash came
			continue
		}
		if r.Withdrawn {
			away[r.Plan] = true
			continue
		}
		f := planFile{source: control.FromDeployment, file: filepath.Join(dir, control.PlanFile), record: r, err: err}
		if r.Weights != "" {
			f.weights = filepath.Join(dir, r.Weights)
		}
		out = append(out, f)
	}
	if c.Plans == "" {
		return out, nil
	}
	files, err := os.ReadDir(c.Plans)
	if err != nil {
		return nil, fmt.Errorf("plans: %w", err)
	}
	for _, e := range files {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".plan") {
			continue
		}
		f := planFile{source: control.FromFolder, file: filepath.Join(c.Plans, e.Name())}
		if own := f.file + "." + name + ".weights.npz"; exists(own) {
			f.weights = own
		}
		if f.plan, f.err = f.read(); f.err == nil {
			if f.record.Plan = f.plan.Digest(); away[f.record.Plan] {
				continue
			}
		}
		out = append(out, f)
	}
	return out, nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// loadPlans prepares to serve the plans besides that of the configuration. One that cannot be served is told of, and keeps no other from being served.
func (s *Server) loadPlans() error {
	if err := s.sweepPlans(); err != nil {
		return err
	}
	files, err := s.cfg.planFiles(s.name)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.source == control.FromFolder && s.serves(f.record.Plan) {
			continue
		}
		d, err := s.readPlan(f)
		if err == nil {
			err = d.load()
		}
		if err != nil {
			s.refuse(f, err)
			continue
		}
		s.plans.add(d)
	}
	return nil
}

// serves reports whether a plan is among the deployments.
func (s *Server) serves(digest string) bool {
	return slices.ContainsFunc(s.plans.list(), func(d *deployment) bool { return d.planHex() == digest })
}

// readPlan reads, verifies and checks a plan that is not the configuration's.
func (s *Server) readPlan(f planFile) (*deployment, error) {
	if f.err != nil {
		return nil, f.err
	}
	p, err := f.read()
	if err != nil {
		return nil, err
	}
	if f.record.Plan != p.Digest() {
		return nil, fmt.Errorf("%s is plan %.16s, want %.16s", f.file, p.Digest(), f.record.Plan)
	}
	if s.serves(p.Digest()) {
		return nil, fmt.Errorf("plan %.16s is served already", p.Digest())
	}
	if most := s.cfg.Limits.Plans; len(s.plans.list()) >= most {
		return nil, fmt.Errorf("%s serves %d plans, which is the limit; withdraw one, or raise limits.plans", s.name, most)
	}
	d, err := s.newDeployment(p, nil, f.weights)
	if err != nil {
		return nil, err
	}
	if d.weights, err = s.readWeights(p, f.weights); err != nil {
		return nil, err
	}
	d.source, d.file, d.by, d.since = f.source, f.file, f.record.By, f.record.At
	d.gate.limit(s.quota(f.record))
	d.clients.Store(&f.record.Clients)
	return d, nil
}

// quota is how many sessions of a plan may run at once, 0 for no limit of its own.
func (s *Server) quota(r deployRecord) int {
	if r.Sessions > 0 {
		return r.Sessions
	}
	return s.cfg.Limits.PlanSessions
}

// readWeights reads this party's weights of a plan, nil if it owns none.
func (s *Server) readWeights(p *plan.Plan, file string) ([][]uint64, error) {
	owns := ownsWeights(p, s.name)
	switch {
	case !owns && file != "":
		return nil, fmt.Errorf("%s owns no weights of this plan", s.name)
	case !owns:
		return nil, nil
	case file == "":
		return nil, fmt.Errorf("%s owns weights of this plan, and none came with it; give --weights FILE, or put them beside the plan as PLAN.%s.weights.npz", s.name, s.name)
	case s.cfg.ReadWeights == nil:
		return nil, errors.New("this program reads no weights")
	}
	return s.cfg.ReadWeights(p, file, s.name)
}

// refuse notes a plan that is found and not served.
func (s *Server) refuse(f planFile, why error) {
	s.log.Error("a plan is not served", "file", f.file, "error", why.Error())
	s.metrics.Failed("plan")
	s.plans.refused(control.PlanStatus{Plan: f.record.Plan, Name: filepath.Base(f.file), Source: f.source, State: control.Refused, Why: why.Error(), By: f.record.By, Since: f.record.At})
}

// deployHandler serves a plan whose files have been uploaded.
func (s *Server) deployHandler(ctx context.Context, peer string, req []byte) ([]byte, error) {
	if err := s.mayDeploy(peer); err != nil {
		return nil, err
	}
	r, err := control.Decode[control.DeployRequest](req)
	if err != nil {
		return nil, err
	}
	if len(r.Plan) != 64 || r.Sessions < 0 || r.Sessions > 1<<20 || len(r.Clients) > maxClients || slices.Contains(r.Clients, "") {
		return nil, errors.New("malformed request")
	}
	if err := s.takes(); err != nil {
		return nil, err
	}
	u, err := s.takeUpload(peer, r.Sums)
	if err != nil {
		return nil, err
	}
	defer s.discard(u.dir) // if it has another name by then, there is nothing
	if err := s.deploying.lock(ctx); err != nil {
		return nil, err
	}
	defer s.deploying.unlock()
	f := planFile{source: control.FromDeployment, file: filepath.Join(u.dir, control.PlanFile), record: deployRecord{Plan: r.Plan, By: peer, At: time.Now().UTC().Truncate(time.Second), Sessions: r.Sessions, Clients: r.Clients}}
	for name := range u.sizes {
		if strings.HasPrefix(name, control.WeightsFile) {
			if f.weights != "" {
				return nil, errors.New("weights came twice")
			}
			f.record.Weights, f.weights = name, filepath.Join(u.dir, name)
		}
	}
	var d *deployment
	if s.serves(r.Plan) {
		if d, err = s.plans.find(s.name, r.Plan); err == nil {
			err = s.redeploy(ctx, d, u, f)
		}
	} else {
		d, err = s.deploy(u.dir, f)
	}
	if err != nil { // the caller knows the files by their names
		return nil, errors.New(strings.ReplaceAll(err.Error(), u.dir+string(filepath.Separator), ""))
	}
	return json.Marshal(d.planStatus())
}

// deploy serves a plan from now on, and after a restart. If that fails nothing is left of it. What makes it served after a restart, the record, comes last.
func (s *Server) deploy(dir string, f planFile) (*deployment, error) {
	d, err := s.readPlan(f)
	if err != nil {
		return nil, err
	}
	home := s.folderOf(f.record.Plan)
	d.file = filepath.Join(home, control.PlanFile)
	if err := s.remove(home); err != nil { // of a withdrawal
		return nil, err
	}
	if err := s.files().Rename(dir, home); err != nil {
		return nil, err
	}
	if f.weights != "" {
		d.keptAs(filepath.Join(home, filepath.Base(f.weights)))
	}
	err = s.files().SyncDir(s.plansFolder())
	if err == nil {
		err = d.load()
	}
	if err == nil {
		err = d.note("deploy", "allowed", "by "+f.record.By+"; "+d.policyReason())
	}
	if err == nil {
		err = s.writeRecord(home, f.record)
	}
	if err != nil {
		return nil, errors.Join(err, s.remove(home))
	}
	d.begins()
	s.plans.add(d)
	s.fitRequests()
	d.log.Info("deployed", "by", f.record.By, "capacity", d.gate.capacity(), "session_bytes", d.gate.need, "setup", d.epoch)
	return d, nil
}

// redeploy takes what has changed of a plan that is served: approvals, its limit, and weights.
func (s *Server) redeploy(ctx context.Context, d *deployment, u *upload, f planFile) error {
	switch {
	case d.source != control.FromDeployment:
		return fmt.Errorf("plan %s is served from the %s: change it there", d.plan16(), d.source)
	case d.leaving():
		return fmt.Errorf("plan %s is being withdrawn at %s; try again when smpcc plan list does not show it any more", d.plan16(), s.name)
	}
	weights, err := s.readWeights(d.plan, f.weights)
	if err != nil {
		return err
	}
	home := s.folderOf(d.planHex())
	old, err := readRecord(home)
	if err != nil {
		return err
	}
	if u.sizes[control.ApprovalsFile] > 0 {
		if _, err := attest.Read(filepath.Join(u.dir, control.ApprovalsFile)); err != nil {
			return err
		}
		if err := s.files().Rename(filepath.Join(u.dir, control.ApprovalsFile), filepath.Join(home, control.ApprovalsFile)); err != nil {
			return err
		}
	}
	if len(f.record.Clients) == 0 { // nobody else gets in by leaving them out
		f.record.Clients = old.Clients
	}
	fresh := weights != nil && !slices.EqualFunc(weights, d.ownWeights(), slices.Equal[[]uint64])
	if fresh {
		if err := d.rebind(f.weights); err != nil {
			return err
		}
		// under a name of their own, so that a crash leaves the old ones or the new ones
		name := control.WeightsFile + "-" + rand.Text() + filepath.Ext(f.record.Weights)
		if err := s.files().Rename(f.weights, filepath.Join(home, name)); err != nil {
			return err
		}
		d.keptAs(filepath.Join(home, name))
		f.record.Weights = name
	} else {
		f.record.Weights = old.Weights
	}
	if err := s.writeRecord(home, f.record); err != nil {
		return err
	}
	if fresh && old.Weights != "" {
		if err := s.files().Remove(filepath.Join(home, old.Weights)); err != nil {
			d.log.Warn("the weights before cannot be removed", "error", err.Error())
		}
	}
	reason := "by " + f.record.By
	if fresh {
		reason += "; with other weights"
	}
	if err := d.note("deploy", "allowed", reason); err != nil {
		return err
	}
	d.mu.Lock()
	d.by, d.since = f.record.By, f.record.At
	d.mu.Unlock()
	d.gate.limit(s.quota(f.record))
	d.clients.Store(&f.record.Clients)
	s.fitRequests()
	if fresh {
		return d.replaceWeights(ctx, weights)
	}
	return nil
}

// remove removes a folder of a deployed plan: it has no name any more when this returns.
func (s *Server) remove(dir string) error {
	gone := filepath.Join(filepath.Dir(dir), goneMark+rand.Text())
	if err := s.files().Rename(dir, gone); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := s.files().SyncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	s.discard(gone)
	return nil
}

// withdrawHandler ends the serving of a plan.
func (s *Server) withdrawHandler(ctx context.Context, peer string, req []byte) ([]byte, error) {
	r, err := control.Decode[control.PlanRequest](req)
	if err != nil {
		return nil, err
	}
	status, err := s.withdraw(ctx, peer, r.Plan)
	if err != nil {
		return nil, err
	}
	return json.Marshal(status)
}

// withdraw ends the serving of a plan, and returns how it is.
func (s *Server) withdraw(ctx context.Context, peer, digest string) (r control.PlanStatus, err error) {
	if err := s.mayDeploy(peer); err != nil {
		return r, err
	}
	if err := s.deploying.lock(ctx); err != nil {
		return r, err
	}
	defer s.deploying.unlock()
	if len(digest) != 64 {
		return r, errors.New("malformed request")
	}
	if p, ok := s.plans.refusedOf(digest); ok && p.Source == control.FromDeployment {
		return p, s.forgetRefused(p, peer)
	}
	d, err := s.plans.find(s.name, digest)
	if err != nil {
		return r, err
	}
	home := s.folderOf(digest)
	switch {
	case d.source == control.FromConfiguration:
		return r, fmt.Errorf("plan %s stands in the configuration of %s: take the line plan: out there, and restart", d.plan16(), s.name)
	case d.leaving():
	case d.source == control.FromFolder:
		if err := os.MkdirAll(home, 0o700); err != nil {
			return r, err
		}
		if err := errors.Join(s.writeRecord(home, deployRecord{Plan: digest, By: peer, At: time.Now().UTC(), Withdrawn: true}), s.files().SyncDir(s.plansFolder())); err != nil {
			return r, err
		}
	default:
		if err := s.remove(home); err != nil {
			return r, err
		}
	}
	if !d.leaving() {
		if err := d.note("withdraw", "allowed", "by "+peer); err != nil {
			return r, err
		}
		d.retire()
		d.log.Info("withdrawn: it takes no more sessions", "by", peer)
	}
	return d.planStatus(), nil
}

// forgetRefused removes a plan that has been deployed and that a start has refused.
func (s *Server) forgetRefused(p control.PlanStatus, peer string) error {
	if err := s.remove(s.folderOf(p.Plan)); err != nil {
		return err
	}
	if err := s.audit.Add(attest.Event{What: "withdraw", Role: s.name, Plan: p.Plan, Decision: "allowed", Reason: "by " + peer}); err != nil {
		return err
	}
	s.plans.forget(p.Plan)
	return nil
}

// plansHandler lists the plans.
func (s *Server) plansHandler(_ context.Context, peer string, _ []byte) ([]byte, error) {
	if !s.isKnown(peer) {
		return nil, fmt.Errorf("%q is neither a role of the plan nor a client of %s", peer, s.name)
	}
	return json.Marshal(control.PlansReply{Name: s.name, Plans: s.planList()})
}

// planList says how each plan is, those that are found and not served last.
func (s *Server) planList() (out []control.PlanStatus) {
	for _, d := range s.plans.list() {
		out = append(out, d.planStatus())
	}
	return append(out, s.plans.turnedAway()...)
}

// planStatus says how the plan is.
func (s *deployment) planStatus() control.PlanStatus {
	running, queued := s.gate.counts()
	r := control.PlanStatus{Plan: s.planHex(), Name: s.plan.Manifest.Name, Source: s.source, Lead: s.plan.Manifest.Parties[0], Running: running, Queued: queued, Sessions: s.gate.capacity(), Memory: s.gate.need,
		Material: s.stockNow().Sessions}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.By, r.Since, r.Setup = s.by, s.since, s.epoch
	switch {
	case s.leaving():
		r.State = control.Withdrawing
	case s.prepared:
		r.State = control.Serving
		if err := s.fitness.found(); err != nil {
			r.Why = err.Error()
		}
	default:
		r.State, r.Why = control.Preparing, s.lacking()
	}
	return r
}
