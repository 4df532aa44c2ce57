package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"smpcc/runtime/attest"
)

// A requester sends a plan to another organisation's server and says what for; a member of that organisation looks at it, and approves or denies it. What is here are the
// messages of that, and those that say what a host offers, what has run and what budgets have left.

// MaxWords bounds each text of a person in a request or a decision, in bytes.
const MaxWords = 1 << 10

// CheckWords refuses a text that no line of a log or page should hold.
func CheckWords(what, text string) error {
	if len(text) > MaxWords || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		return fmt.Errorf("the %s is longer than %d bytes, or has characters that are none of text", what, MaxWords)
	}
	return nil
}

// States of a request.
const (
	Waiting  = "waiting"  // for a member of the organisation
	Approved = "approved" // with a signature
	Denied   = "denied"
	Taken    = "taken back" // by who has sent it
	Lapsed   = "lapsed"     // nobody has decided in time
)

// A SendRequest puts a plan, whose file has been uploaded, in front of a server's organisation.
type SendRequest struct {
	Plan string            `json:"plan"` // its digest
	Sums map[string]string `json:"sums"` // of the files, SHA-256 in hexadecimal
	Why  string            `json:"why"`
}

// A Request is a plan that somebody asks an organisation to run.
type Request struct {
	ID        uint64    `json:"id"`
	Plan      string    `json:"plan"` // its digest
	Name      string    `json:"name"`
	By        string    `json:"by"` // certificate that has sent it
	At        time.Time `json:"at"`
	Why       string    `json:"why"`
	State     string    `json:"state"`
	Bytes     int64     `json:"bytes"`
	Receivers []string  `json:"receivers"`
	Lacks     []string  `json:"lacks,omitempty"` // why the server would not serve the plan as it was when it came

	Decider string    `json:"decider,omitempty"`
	Decided time.Time `json:"decided,omitzero"`
	Reason  string    `json:"reason,omitempty"`
	Key     string    `json:"key,omitempty"`     // that has approved it
	Gone    bool      `json:"gone,omitempty"`    // its plan has made room for others
	Against string    `json:"against,omitempty"` // digest of a plan that is served or approved already and that it can be compared with
}

// A DecideRequest decides about a request. An approval carries a statement that has been signed elsewhere: no private key comes here.
type DecideRequest struct {
	ID        uint64            `json:"id"`
	State     string            `json:"state"`
	Reason    string            `json:"reason,omitempty"`
	Statement *attest.Statement `json:"statement,omitempty"`
	Plan      string            `json:"plan"` // its digest, which who decides has looked at
}

// Kept reports whether the plan of a request is kept, so that it can be looked at.
func (r *Request) Kept() bool { return (r.State == Waiting || r.State == Approved) && !r.Gone }

// A RequestsReply lists requests, the latest first.
type RequestsReply struct {
	Name     string    `json:"name"`
	Requests []Request `json:"requests"`
}

// A FileRequest asks for a part of a plan's file, or of what has been signed about it.
type FileRequest struct {
	Plan string `json:"plan"`         // digest of a plan that is served, or of one of a request
	ID   uint64 `json:"id,omitempty"` // of that request
	File string `json:"file"`         // PlanFile or ApprovalsFile
	At   int64  `json:"at"`
}

// A FileHead says how long the file is whose part follows.
type FileHead struct {
	Bytes int64 `json:"bytes"`
}

// MaxPlanFile bounds the plan files that a requester may send, whatever a configuration says, and that who decides reads.
const MaxPlanFile = 1 << 30

// A PortSchema says what a plan's input or output is.
type PortSchema struct {
	Name  string   `json:"name"`
	Owner string   `json:"owner,omitempty"`
	To    []string `json:"to,omitempty"`
	Type  string   `json:"type"`
	Shape []int    `json:"shape"`
	Range string   `json:"range,omitempty"`
}

// A CataloguePlan says what a plan at a server is for, who learns what, and what a run costs.
type CataloguePlan struct {
	Plan     string       `json:"plan"`
	Name     string       `json:"name"`
	State    string       `json:"state"`
	Parties  []string     `json:"parties"`
	Dealer   string       `json:"dealer"`
	Purpose  []string     `json:"purpose,omitempty"` // as owners' policies have it
	Inputs   []PortSchema `json:"inputs"`
	Outputs  []PortSchema `json:"outputs"`
	Rounds   int          `json:"rounds"`      // online
	Bytes    int64        `json:"bytes"`       // sent online, by all
	Dealt    int64        `json:"dealt_bytes"` // offline, by all
	Memory   int64        `json:"memory"`      // of a session here
	Policies []PolicyRef  `json:"policies"`
	Clients  []string     `json:"clients,omitempty"` // that may use it here, where the plan has a list of its own
}

// A PolicyRef names a policy of an owner.
type PolicyRef struct {
	Owner  string `json:"owner"`
	Digest string `json:"digest"`
}

// A Catalogue says what a server's organisation offers: no data, and nothing that derives from data but what their owner has written down.
type Catalogue struct {
	Name     string          `json:"name"`
	Plans    []CataloguePlan `json:"plans"`
	Datasets []Dataset       `json:"datasets"`
}

// A HistoryRequest asks for jobs of a server's log, the latest first.
type HistoryRequest struct {
	Plan   string `json:"plan,omitempty"`   // start of a digest
	Client string `json:"client,omitempty"` // that opened it
	Before uint64 `json:"before,omitempty"` // entries of the log below this number
	Most   int    `json:"most,omitempty"`
}

// MaxRuns is how many jobs a server tells of at once.
const MaxRuns = 500

// A Run is what a server's log says of a job, or of something else that it writes down.
type Run struct {
	Entry     uint64    `json:"entry"`
	Time      time.Time `json:"time"`
	What      string    `json:"what"`
	Number    uint64    `json:"number,omitempty"`
	Plan      string    `json:"plan"`
	Client    string    `json:"client,omitempty"`
	Receivers []string  `json:"receivers,omitempty"`
	Rows      int       `json:"rows,omitempty"`
	Decision  string    `json:"decision"`
	Ended     string    `json:"ended,omitempty"` // done or failed
	Left      []string  `json:"left,omitempty"`
	Reason    string    `json:"reason,omitempty"`
}

// A HistoryReply lists jobs. What is older is asked for with Before.
type HistoryReply struct {
	Name   string `json:"name"`
	Runs   []Run  `json:"runs"`
	Before uint64 `json:"before,omitempty"` // 0 if there is nothing older here
	Head   string `json:"head"`             // hash of the last entry of the log
}

// A Budget is something of which so much is allowed: by an owner's policy to all, or by a server's configuration to a client.
type Budget struct {
	Of     string `json:"of"`     // "policy" or "client"
	Who    string `json:"who"`    // the owner, or the client
	What   string `json:"what"`   // runs, rows, runs in 2027-01
	Policy string `json:"policy"` // digest; "" for clients
	Most   uint64 `json:"most"`
	Used   uint64 `json:"used"`
}

// Left returns how much is left.
func (b Budget) Left() uint64 { return b.Most - min(b.Most, b.Used) }

// Short reports whether 80 % of a budget or more are used.
func (b Budget) Short() bool { return Short(b.Used, b.Most) }

// Short reports whether 80 % of what is allowed or more are used.
func Short(used, most uint64) bool { return used >= most-most/5 }

// A BudgetsReply lists budgets.
type BudgetsReply struct {
	Name    string   `json:"name"`
	Budgets []Budget `json:"budgets"`
}

// A HeadRequest asks what hash an entry of a log has.
type HeadRequest struct {
	Entry uint64 `json:"entry,omitempty"` // 0 for the last one
}

// A Head is the place and hash of an entry of a log, which fixes all entries before it, and of the last one.
type Head struct {
	Entry uint64 `json:"entry"`
	Hash  string `json:"hash"` // "" if the entry is in no file here
	Last  uint64 `json:"last"`
	Now   string `json:"now"` // the hash of the last one
}

// longReplies are the lengths of replies to operators, requesters and members that are not short.
var longReplies = map[string]int{"Plans": 1 << 20, "Requests": 8 << 20, "Catalogue": 8 << 20, "History": 4 << 20, "Budgets": 1 << 20, "File": HeadBytes + PartBytes}

// Send puts a plan in front of a server's organisation. sent, if not nil, is told how many bytes have been sent.
func (o *Operator) Send(ctx context.Context, role string, d Deployment, why string, sent func(int64)) (r Request, err error) {
	req := SendRequest{Plan: d.Digest, Sums: map[string]string{}, Why: why}
	for _, f := range []struct{ name, path string }{{PlanFile, d.Plan}, {ApprovalsFile, d.Approvals}} {
		if f.path == "" {
			continue
		}
		if req.Sums[f.name], err = o.upload(ctx, role, f.name, f.path, sent); err != nil {
			return r, err
		}
	}
	return r, o.call(ctx, role, "Send", req, &r, eventually)
}

// Requests lists the requests at a server that the caller may see.
func (o *Operator) Requests(ctx context.Context, role string) (r RequestsReply, err error) {
	return r, o.call(ctx, role, "Requests", struct{}{}, &r, promptly)
}

// Decide decides about a request.
func (o *Operator) Decide(ctx context.Context, role string, d DecideRequest) (r Request, err error) {
	return r, o.call(ctx, role, "Decide", d, &r, promptly)
}

// Catalogue asks what a server's organisation offers.
func (o *Operator) Catalogue(ctx context.Context, role string) (r Catalogue, err error) {
	return r, o.call(ctx, role, "Catalogue", struct{}{}, &r, promptly)
}

// History asks for jobs of a server's log.
func (o *Operator) History(ctx context.Context, role string, h HistoryRequest) (r HistoryReply, err error) {
	return r, o.call(ctx, role, "History", h, &r, promptly)
}

// Budgets asks what budgets have left.
func (o *Operator) Budgets(ctx context.Context, role string) (r BudgetsReply, err error) {
	return r, o.call(ctx, role, "Budgets", struct{}{}, &r, promptly)
}

// File fetches a file of a plan that is served, or of one of a request. That a plan's file is the one of its digest is checked.
func (o *Operator) File(ctx context.Context, role string, f FileRequest) ([]byte, error) {
	var out []byte
	for {
		f.At = int64(len(out))
		req, err := json.Marshal(f)
		if err != nil {
			return nil, err
		}
		part, err := o.exchange(ctx, role, "File", req, promptly)
		if err != nil {
			return nil, err
		}
		head, data, err := Unseal[FileHead](part)
		switch {
		case err != nil || head.Bytes < 0 || head.Bytes > MaxPlanFile || len(data) == 0 && f.At < head.Bytes || f.At+int64(len(data)) > head.Bytes:
			return nil, fmt.Errorf("%s answers with a malformed part of a file", role)
		}
		if out = append(out, data...); int64(len(out)) < head.Bytes {
			continue
		}
		if sum := sha256.Sum256(out); f.File == PlanFile && hex.EncodeToString(sum[:]) != f.Plan {
			return nil, fmt.Errorf("%s has sent another plan than %.16s", role, f.Plan)
		}
		return out, nil
	}
}
