package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/backend/verify"
	"smpcc/runtime/attest"
	"smpcc/runtime/control"
	"smpcc/runtime/disk"
)

// The inbox holds plans that others ask this organisation to run. Each is a folder in the state: the plan's file, what was signed about it, and a record, which comes
// last, so that a crash leaves a request or nothing. A member approves with a signature that was made at another machine.

// Names in the state folder.
const (
	inboxName     = "requests"
	requestName   = "request.json"
	approvalsName = "approvals" // what members have signed, by plan
)

// An inbox are the requests of a host.
type inbox struct {
	judging latch // one plan is read at a time
	mu      sync.Mutex
	list    []*control.Request     // by number
	tried   map[string][]time.Time // attempts of each requester in the last 24 hours
}

// triesPerRequest is how many attempts a requester has for each request that it may send in a day.
const triesPerRequest = 4

func (s *Server) inboxFolder() string { return filepath.Join(s.cfg.State, inboxName) }

func (s *Server) requestFolder(id uint64) string {
	return filepath.Join(s.inboxFolder(), strconv.FormatUint(id, 10))
}

// planFileOf is where the plan of a request is kept.
func (s *Server) planFileOf(id uint64) string {
	return filepath.Join(s.requestFolder(id), control.PlanFile)
}

// approvalsOf is where the server keeps what its members have signed about a plan.
func (c *Config) approvalsOf(digest string) string {
	return filepath.Join(c.State, approvalsName, digest[:16]+".sigs")
}

// loadInbox reads the requests, and removes what a crash has left.
func (s *Server) loadInbox() error {
	s.inbox.judging, s.inbox.tried = make(latch, 1), map[string][]time.Time{}
	for _, dir := range []string{s.inboxFolder(), filepath.Join(s.cfg.State, approvalsName)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := disk.Sweep(s.files(), dir); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(s.inboxFolder())
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := filepath.Join(s.inboxFolder(), e.Name())
		r, err := readRequest(dir)
		if errors.Is(err, fs.ErrNotExist) { // it has not come whole, or is being removed
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			continue
		}
		if err == nil {
			err = disk.Sweep(s.files(), dir)
		}
		if err != nil { // others are worth as much
			s.log.Error("a request cannot be read", "folder", dir, "error", err.Error())
			s.metrics.Failed("request")
			continue
		}
		s.inbox.list = append(s.inbox.list, r)
	}
	slices.SortFunc(s.inbox.list, func(a, b *control.Request) int { return int(int64(a.ID) - int64(b.ID)) })
	return nil
}

// readRequest reads the record of a request.
func readRequest(dir string) (*control.Request, error) {
	file := filepath.Join(dir, requestName)
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &control.Request{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if strconv.FormatUint(r.ID, 10) != filepath.Base(dir) || len(r.Plan) != 64 || r.Bytes < 0 {
		return nil, fmt.Errorf("%s: malformed", file)
	}
	return r, nil
}

// keepRequest writes the record of a request.
func (s *Server) keepRequest(r *control.Request) error {
	return disk.Replace(s.files(), filepath.Join(s.requestFolder(r.ID), requestName), 0o600, func(w io.Writer) error { return json.NewEncoder(w).Encode(r) })
}

// try counts an attempt of a requester, and refuses if it has made too many. What is refused here leaves nothing but a number.
func (s *Server) try(peer string, now time.Time) error {
	in, most := &s.inbox, triesPerRequest*s.cfg.Requests.PerDay
	in.mu.Lock()
	defer in.mu.Unlock()
	in.tried[peer] = slices.DeleteFunc(in.tried[peer], func(t time.Time) bool { return now.Sub(t) > 24*time.Hour })
	if len(in.tried[peer]) >= most {
		return fmt.Errorf("%q has tried %d times in 24 hours; try again later", peer, most)
	}
	in.tried[peer] = append(in.tried[peer], now)
	return nil
}

// roomFor refuses a request for which the inbox has no place. The mutex is held.
func (s *Server) roomFor(peer, digest string, size int64, now time.Time) error {
	waiting, today, used := 0, 0, size
	for _, r := range s.inbox.list {
		if r.Kept() {
			used += r.Bytes
		}
		if r.State == control.Waiting && r.Plan == digest {
			return fmt.Errorf("request %d for this plan waits already", r.ID)
		}
		if r.By != peer {
			continue
		}
		if r.State == control.Waiting {
			waiting++
		}
		if now.Sub(r.At) < 24*time.Hour {
			today++
		}
	}
	switch c := &s.cfg.Requests; {
	case waiting >= c.Waiting:
		return fmt.Errorf("%d requests of %q wait, which is the limit; wait for an answer, or take one back", waiting, peer)
	case today >= c.PerDay:
		return fmt.Errorf("%q has sent %d requests in 24 hours, which is the limit; try again later", peer, today)
	case used > s.cfg.requestDisk:
		return fmt.Errorf("the inbox of %s is full: plans take %s, the limit of requests.disk is %s", s.name, sizeText(used-size), sizeText(s.cfg.requestDisk))
	}
	return nil
}

// sendHandler takes a request for a plan whose file has been uploaded.
func (s *Server) sendHandler(ctx context.Context, peer string, req []byte) ([]byte, error) {
	if err := s.maySend(peer); err != nil {
		return nil, err
	}
	defer func() {
		s.uploads.mu.Lock()
		defer s.uploads.mu.Unlock()
		s.dropUpload(peer) // of a request that was refused before it was looked at
	}()
	q, err := control.Decode[control.SendRequest](req)
	if err != nil {
		return nil, err
	}
	if err := s.takes(); err != nil {
		return nil, err
	}
	now := s.cfg.now().UTC().Truncate(time.Second)
	switch {
	case len(q.Plan) != 64:
		return nil, errors.New("malformed request")
	case strings.TrimSpace(q.Why) == "":
		return nil, errors.New("say why the plan should run")
	}
	if err := control.CheckWords("purpose", q.Why); err != nil {
		return nil, err
	}
	if err := s.try(peer, now); err != nil {
		return nil, err
	}
	u, err := s.takeUpload(peer, q.Sums)
	if err != nil {
		return nil, err
	}
	defer s.discard(u.dir) // if it has another name by then, there is nothing
	if err := s.inbox.judging.lock(ctx); err != nil {
		return nil, err
	}
	defer s.inbox.judging.unlock()
	r := &control.Request{Plan: q.Plan, By: peer, At: now, Why: q.Why, State: control.Waiting, Bytes: u.total()}
	if err := s.judge(u, r); err != nil {
		err = errors.New(strings.ReplaceAll(err.Error(), u.dir+string(filepath.Separator), ""))
		return nil, errors.Join(err, s.noteRequest(r, "refused", bounded(err.Error())))
	}
	if err := s.accept(u, r); err != nil {
		return nil, err
	}
	s.log.Info("a request has come", "request", r.ID, "plan", r.Plan[:16], "from", peer)
	s.alerts.tell(alertRequest, r.Plan, fmt.Sprintf("request %d of %q waits", r.ID, peer), strconv.FormatUint(r.ID, 10))
	return json.Marshal(r)
}

// judge reads and verifies a plan that somebody asks for, and notes what it is and why it would not be served as it is. An error refuses the request.
func (s *Server) judge(u *upload, r *control.Request) error {
	if u.total() > s.cfg.requestPlan { // an operator's upload may be longer
		return fmt.Errorf("the plan has %s, the limit of requests.plan at %s is %s", sizeText(u.total()), s.name, sizeText(s.cfg.requestPlan))
	}
	if _, err := attest.Read(filepath.Join(u.dir, control.ApprovalsFile)); err != nil {
		return err
	}
	for name := range u.sizes {
		if strings.HasPrefix(name, control.WeightsFile) {
			return errors.New("a request has no weights: they are their owner's")
		}
	}
	p, err := typed.ReadFile(filepath.Join(u.dir, control.PlanFile))
	if err != nil {
		return err
	}
	if err := namesBounded(p); err != nil {
		return err
	}
	r.Name, r.Receivers = p.Manifest.Name, receiversOf(p)
	switch {
	case p.Digest() != r.Plan:
		return fmt.Errorf("the file is plan %.16s, want %.16s", p.Digest(), r.Plan)
	case !slices.Contains(p.Roles(), s.name):
		return fmt.Errorf("%s has no role in this plan, whose roles are %s", s.name, strings.Join(p.Roles(), ", "))
	}
	if err := verify.Check(p).Err(); err != nil {
		return fmt.Errorf("refused: the plan would not keep data private: %w; smpcc verify lists all findings", err)
	}
	r.Lacks = s.lackingOf(p)
	return nil
}

// maxNames bounds the names in a plan that lists and logs show, in bytes together.
const maxNames = 2 << 10

// namesBounded refuses a plan whose names would fill lists and logs.
func namesBounded(p *plan.Plan) error {
	n := len(p.Manifest.Name)
	for _, name := range p.Roles() {
		n += len(name)
	}
	for _, name := range receiversOf(p) {
		n += len(name)
	}
	if n > maxNames {
		return fmt.Errorf("the names of the plan, its roles and receivers have %d bytes, at most %d are taken", n, maxNames)
	}
	return nil
}

// What is kept of reasons, which may hold texts of a plan.
const (
	maxLacking = 8
	maxReason  = 1 << 10
)

// bounded cuts a text that is kept, and leaves in it what is text.
func bounded(s string) string {
	if len(s) > maxReason {
		s = s[:maxReason] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// lackingOf says why the server would not serve a plan as things are; approvals that it waits for are none of the reasons.
func (s *Server) lackingOf(p *plan.Plan) (out []string) {
	d := &deployment{Server: s, plan: p, digest: sha256.Sum256(p.Encode()), role: slices.Index(p.Roles(), s.name)}
	if s.dealer != (d.role == p.NumParties()) {
		out = append(out, otherKind(s.name, s.dealer).Error())
	}
	for _, role := range p.Roles() {
		if role != s.name && s.cfg.Servers[role] == "" {
			out = append(out, fmt.Sprintf("servers has no address of %q", role))
		}
	}
	for _, err := range []error{d.approve(), s.cfg.tooSmall(p, d.role)} {
		if err != nil {
			out = append(out, bounded(err.Error()))
		}
	}
	return out[:min(len(out), maxLacking)]
}

// accept gives a request its number and keeps it.
func (s *Server) accept(u *upload, r *control.Request) error {
	in := &s.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	s.lapse(r.At)
	if err := s.makeRoom(r.Bytes); err != nil {
		return err
	}
	if err := s.roomFor(r.By, r.Plan, r.Bytes, r.At); err != nil {
		return err
	}
	key := sha256.Sum256([]byte(inboxName))
	last, err := s.ledger.Last(key)
	if err != nil {
		return err
	}
	r.ID = last + 1 // a number is never given again: it stands in logs
	if err := s.ledger.Use(key, r.ID); err != nil {
		return err
	}
	dir := s.requestFolder(r.ID)
	if err := s.files().Rename(u.dir, dir); err != nil {
		return err
	}
	err = s.files().SyncDir(s.inboxFolder())
	if err == nil {
		err = s.noteRequest(r, "received", fmt.Sprintf("for %q", r.Why))
	}
	if err == nil {
		err = s.keepRequest(r)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	in.list = append(in.list, r)
	return nil
}

// noteRequest writes down what happens to a request.
func (s *Server) noteRequest(r *control.Request, decision, reason string) error {
	if r.ID > 0 {
		reason = fmt.Sprintf("request %d of %q: %s", r.ID, r.By, reason)
	}
	client := r.By
	if r.Decider != "" {
		client = r.Decider
	}
	e := attest.Event{What: "request", Role: s.name, Plan: r.Plan, Decision: decision, Reason: reason, Client: client, Receivers: r.Receivers}
	if r.Key != "" {
		e.Approvals = []string{r.Key}
	}
	return s.audit.Add(e)
}

// lapse ends requests that have waited too long. The mutex is held.
func (s *Server) lapse(now time.Time) {
	for _, r := range s.inbox.list {
		if r.State == control.Waiting && now.Sub(r.At) > s.cfg.lapse {
			done := *r
			done.State, done.Decided = control.Lapsed, now
			if err := s.conclude(r, &done, "lapsed", "nobody has decided in time"); err != nil {
				s.log.Error("a request cannot be ended", "request", r.ID, "error", err.Error())
				s.metrics.Failed("request")
			}
		}
	}
}

// makeRoom removes the oldest requests that are decided, if there are too many, and the plans of the oldest that are approved, if there is no room for another one of so many bytes.
// The mutex is held.
func (s *Server) makeRoom(size int64) error {
	in := &s.inbox
	for len(in.list) >= s.cfg.Requests.Keep {
		i := slices.IndexFunc(in.list, func(r *control.Request) bool { return r.State != control.Waiting })
		if i < 0 {
			return fmt.Errorf("the inbox of %s is full: %d requests wait", s.name, len(in.list))
		}
		dir := s.requestFolder(in.list[i].ID)
		if err := s.files().Remove(filepath.Join(dir, requestName)); err != nil {
			return err
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		in.list = slices.Delete(in.list, i, i+1)
	}
	used := size
	for _, r := range in.list {
		if r.Kept() {
			used += r.Bytes
		}
	}
	for _, r := range in.list {
		if used <= s.cfg.requestDisk || r.State != control.Approved || r.Gone {
			continue
		}
		gone := *r
		gone.Gone = true
		if err := s.keepRequest(&gone); err != nil {
			return err
		}
		*r = gone
		used -= r.Bytes
		s.dropFiles(r)
	}
	return nil
}

// dropFiles removes the plan of a request, and what came with it.
func (s *Server) dropFiles(r *control.Request) {
	for _, name := range []string{control.PlanFile, control.ApprovalsFile} {
		if err := s.files().Remove(filepath.Join(s.requestFolder(r.ID), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("a file of a request cannot be removed", "request", r.ID, "error", err.Error())
		}
	}
}

// conclude writes a decision down and keeps it; what is not approved is not kept as a file. The mutex is held.
func (s *Server) conclude(r, done *control.Request, decision, reason string) error {
	if err := s.noteRequest(done, decision, reason); err != nil {
		return err
	}
	if err := s.keepRequest(done); err != nil {
		return err
	}
	if *r = *done; !r.Kept() {
		s.dropFiles(r)
	}
	return nil
}

// visible reports whether a caller may see a request.
func (s *Server) visible(r *control.Request, peer string) bool {
	return s.isMember(peer) || r.By == peer
}

// requestsHandler lists requests: all of them to members, their own to requesters.
func (s *Server) requestsHandler(_ context.Context, peer string, _ []byte) ([]byte, error) {
	if !s.isMember(peer) && s.maySend(peer) != nil {
		return nil, fmt.Errorf("%q may not see requests: it is neither a member of %s nor in requests.from", peer, s.name)
	}
	return json.Marshal(control.RequestsReply{Name: s.name, Requests: s.requestsFor(peer)})
}

// requestsFor lists the requests that a caller may see, the latest first.
func (s *Server) requestsFor(peer string) []control.Request {
	in, out := &s.inbox, []control.Request{}
	in.mu.Lock()
	defer in.mu.Unlock()
	s.lapse(s.cfg.now().UTC())
	for _, r := range slices.Backward(in.list) {
		if s.visible(r, peer) {
			x := *r
			x.Against = s.against(r)
			out = append(out, x)
		}
	}
	return out
}

// against returns the digest of what a requested plan is compared with: the last one of its name that was approved, or else one of its name that is served. The mutex is held.
func (s *Server) against(r *control.Request) string {
	for _, o := range slices.Backward(s.inbox.list) {
		if o.State == control.Approved && o.Kept() && o.Name == r.Name && o.Plan != r.Plan {
			return o.Plan
		}
	}
	for _, d := range slices.Backward(s.plans.list()) {
		if d.plan.Manifest.Name == r.Name && d.planHex() != r.Plan {
			return d.planHex()
		}
	}
	return ""
}

// decideHandler decides about a request.
func (s *Server) decideHandler(ctx context.Context, peer string, req []byte) ([]byte, error) {
	q, err := control.Decode[control.DecideRequest](req)
	if err != nil {
		return nil, err
	}
	r, err := s.decide(ctx, peer, q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(r)
}

// decide approves a request with a statement, denies it, or lets who has sent it take it back.
func (s *Server) decide(ctx context.Context, peer string, q control.DecideRequest) (*control.Request, error) {
	if err := control.CheckWords("reason", q.Reason); err != nil {
		return nil, err
	}
	if err := s.takes(); err != nil {
		return nil, err
	}
	if err := s.inbox.judging.lock(ctx); err != nil { // a plan may be read
		return nil, err
	}
	defer s.inbox.judging.unlock()
	in := &s.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	i := slices.IndexFunc(in.list, func(r *control.Request) bool { return r.ID == q.ID })
	if i < 0 || !s.visible(in.list[i], peer) {
		return nil, fmt.Errorf("%s has no request %d of yours; smpcc requests list shows them", s.name, q.ID)
	}
	r := in.list[i]
	switch {
	case q.State == control.Taken && r.By != peer:
		return nil, fmt.Errorf("request %d is %q's to take back", r.ID, r.By)
	case q.State != control.Taken && s.mayDecide(peer) != nil:
		return nil, s.mayDecide(peer)
	case r.State != control.Waiting:
		return nil, fmt.Errorf("request %d is %s since %s", r.ID, r.State, r.Decided.Format(time.RFC3339))
	case q.Plan != r.Plan:
		return nil, fmt.Errorf("request %d is for plan %.16s, and the decision is about %.16s", r.ID, r.Plan, q.Plan)
	}
	done := *r
	done.State, done.Decider, done.Decided, done.Reason = q.State, peer, s.cfg.now().UTC().Truncate(time.Second), q.Reason
	what := map[string]string{control.Approved: "approved", control.Denied: "denied", control.Taken: "taken back"}[q.State]
	if what == "" {
		return nil, errors.New("malformed request")
	}
	if q.State == control.Approved {
		if err := s.sign(r, q.Statement); err != nil {
			return nil, err
		}
		done.Key = q.Statement.Key
	}
	if err := s.conclude(r, &done, what, fmt.Sprintf("%q", q.Reason)); err != nil {
		return nil, err
	}
	s.log.Info("a request is decided", "request", r.ID, "plan", r.Plan[:16], "state", r.State, "by", peer)
	out := *r
	return &out, nil
}

// tooEarly is by how much a signature's time may be ahead of this server's: a later one of the same key would not count otherwise.
const tooEarly = 5 * time.Minute

// sign keeps an approval, which counts for the plan from now on, however it is served. It must be good, stand, and be of a key that the plan's policies name, if they name any.
func (s *Server) sign(r *control.Request, x *attest.Statement) error {
	if x == nil {
		return errors.New("an approval comes with a signature; smpcc requests approve makes one, and no key leaves the machine")
	}
	now := s.cfg.now()
	if x.Purpose != attest.Approval || x.Plan != r.Plan {
		return fmt.Errorf("the signature says %.20q of plan %.16q, not that %.16s is approved", x.Purpose, x.Plan, r.Plan)
	}
	if err := errors.Join(x.Check(), x.Verify()); err != nil {
		return err
	}
	if at, err := time.Parse(time.RFC3339, x.Time); err != nil || at.After(now.Add(tooEarly)) {
		return fmt.Errorf("the signature is of %.40q, which is to come: one of the two clocks is wrong", x.Time)
	}
	if len(attest.Standing([]attest.Statement{*x}, r.Plan, now)) == 0 {
		return fmt.Errorf("the approval has ended at %.40s", x.Until)
	}
	p, err := typed.ReadFile(s.planFileOf(r.ID))
	if err != nil {
		return err
	}
	var keys []string
	for _, g := range p.Manifest.Guards {
		keys = append(keys, g.Approve...)
	}
	if len(keys) > 0 && !slices.Contains(keys, x.Key) {
		return fmt.Errorf("no policy of the plan names the key %s; they name %s", x.Key, strings.Join(keys, ", "))
	}
	file := s.cfg.approvalsOf(r.Plan)
	list, err := attest.Read(file)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(list, func(o attest.Statement) bool { return o.Signature == x.Signature && o.Key == x.Key }) {
		return nil // a crash came between the signature and the record
	}
	return attest.Append(s.files(), file, *x)
}

// fileHandler gives a part of a plan's file, or of what has been signed about it.
func (s *Server) fileHandler(_ context.Context, peer string, req []byte) ([]byte, error) {
	q, err := control.Decode[control.FileRequest](req)
	if err != nil {
		return nil, err
	}
	if !s.isKnown(peer) {
		return nil, fmt.Errorf("%q may not read plans at %s", peer, s.name)
	}
	if len(q.Plan) != 64 || q.At < 0 {
		return nil, errors.New("malformed request")
	}
	r, size, err := s.openFile(peer, q)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	part := make([]byte, max(0, min(control.PartBytes, size-q.At)))
	if _, err := r.ReadAt(part, q.At); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: the file cannot be read", s.name)
	}
	return control.Seal(control.FileHead{Bytes: size}, part)
}

// A readerAt is what parts of files and of memory are read from.
type readerAt interface {
	io.ReaderAt
	io.Closer
}

// inMemory is a file that is none.
type inMemory struct{ *bytes.Reader }

// Close implements io.Closer.
func (inMemory) Close() error { return nil }

// openFile opens a file of a plan that a caller may see.
func (s *Server) openFile(peer string, q control.FileRequest) (readerAt, int64, error) {
	if q.File != control.PlanFile && q.File != control.ApprovalsFile {
		return nil, 0, errors.New("malformed request")
	}
	if q.ID == 0 {
		d, err := s.plans.find(s.name, q.Plan)
		if err != nil {
			return nil, 0, err
		}
		if q.File == control.PlanFile {
			data := d.plan.Encode()
			return inMemory{bytes.NewReader(data)}, int64(len(data)), nil
		}
		list, err := d.approvals()
		return statements(list, err)
	}
	s.inbox.mu.Lock()
	i := slices.IndexFunc(s.inbox.list, func(r *control.Request) bool { return r.ID == q.ID })
	var r control.Request
	if i >= 0 {
		r = *s.inbox.list[i]
	}
	s.inbox.mu.Unlock()
	switch {
	case i < 0 || !s.visible(&r, peer) || r.Plan != q.Plan:
		return nil, 0, fmt.Errorf("%s has no request %d of yours for plan %.16s", s.name, q.ID, q.Plan)
	case !r.Kept():
		return nil, 0, fmt.Errorf("request %d is %s, and its plan is not kept", r.ID, r.State)
	}
	dir := s.requestFolder(r.ID)
	if q.File == control.ApprovalsFile {
		list, err := attest.Read(filepath.Join(dir, control.ApprovalsFile))
		if err != nil {
			return nil, 0, err
		}
		more, err := attest.Read(s.cfg.approvalsOf(r.Plan))
		return statements(append(list, more...), err)
	}
	f, err := s.files().OpenFile(s.planFileOf(r.ID), os.O_RDONLY, 0)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, st.Size(), nil
}

// statements returns what has been signed as a file.
func statements(list []attest.Statement, err error) (readerAt, int64, error) {
	var b bytes.Buffer
	for _, x := range list {
		if err == nil {
			err = json.NewEncoder(&b).Encode(x)
		}
	}
	return inMemory{bytes.NewReader(b.Bytes())}, int64(b.Len()), err
}

// requestsWaiting counts the requests that wait.
func (s *Server) requestsWaiting() (n int) {
	s.inbox.mu.Lock()
	defer s.inbox.mu.Unlock()
	for _, r := range s.inbox.list {
		if r.State == control.Waiting {
			n++
		}
	}
	return n
}
