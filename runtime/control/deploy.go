package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"smpcc/runtime/grpcnet"
	"smpcc/runtime/keys"
)

// PartBytes is how much of a file one request carries.
const PartBytes = 1 << 20

// An UploadHead says of which file of a plan to come the bytes behind it are, and where they belong. The first part of the file of the plan begins an upload, and ends
// one that the same caller has begun before.
type UploadHead struct {
	File string `json:"file"` // PlanFile, ApprovalsFile, or WeightsFile with an ending
	At   int64  `json:"at"`
}

// Names of the files of an upload.
const (
	PlanFile      = "plan"
	ApprovalsFile = "plan.sigs"
	WeightsFile   = "weights"
)

// uploadForm is what names of files look like.
var uploadForm = regexp.MustCompile(`^(plan|plan\.sigs|weights(\.[a-z0-9]{1,8})?)$`)

// CheckUpload returns an error unless a text names a file of an upload.
func CheckUpload(file string) error {
	if !uploadForm.MatchString(file) {
		return fmt.Errorf("file %.40q: want %s, %s or %s", file, PlanFile, ApprovalsFile, WeightsFile)
	}
	return nil
}

// A DeployRequest has a plan served whose files have been uploaded.
type DeployRequest struct {
	Plan     string            `json:"plan"`               // its digest
	Sums     map[string]string `json:"sums"`               // of the files, SHA-256 in hexadecimal
	Sessions int               `json:"sessions,omitempty"` // of the plan at once; no limit of its own if 0
	Clients  []string          `json:"clients,omitempty"`  // of the plan, in place of the server's
}

// A PlanStatus says how a plan is at a server.
type PlanStatus struct {
	Plan     string    `json:"plan"` // its digest
	Name     string    `json:"name"`
	Source   string    `json:"source"` // what has the server serve it
	State    string    `json:"state"`
	Why      string    `json:"why,omitempty"` // what a plan that is not serving waits for, or was refused for
	Lead     string    `json:"lead,omitempty"`
	By       string    `json:"by,omitempty"` // who has deployed it
	Since    time.Time `json:"since,omitzero"`
	Running  int       `json:"running"`
	Queued   int       `json:"queued"`
	Sessions int       `json:"sessions"` // at once
	Memory   int64     `json:"memory"`   // bytes of one session
	Setup    uint64    `json:"setup"`    // number of the setup; 0 for none yet
	Material int       `json:"material"` // sessions in store
}

// What has a server serve a plan.
const (
	FromConfiguration = "configuration" // plan: FILE
	FromFolder        = "folder"        // plans: DIR
	FromDeployment    = "deployed"      // smpcc plan deploy
)

// States of a plan at a server.
const (
	Preparing   = "preparing"   // checked here, and not set up yet
	Serving     = "serving"     // takes sessions
	Withdrawing = "withdrawing" // takes none; those that run may end
	Refused     = "refused"     // found, and not served
)

// A PlansReply lists the plans of a server.
type PlansReply struct {
	Name  string       `json:"name"`
	Plans []PlanStatus `json:"plans"`
}

// A Deployment is a plan that a server is to serve.
type Deployment struct {
	Digest    string
	Plan      string   // file
	Approvals string   // file of signatures; "" for none
	Weights   string   // file of the weights that the server's party owns; "" for none
	Ending    string   // of the name of that file, such as .npz
	Sessions  int      // of the plan at once; no limit of its own if 0
	Clients   []string // of the plan, in place of the server's; those if there are none
}

// An Operator looks after the plans of servers, those of one worker. Requesters and members use it too: what a caller may, its certificate decides.
type Operator struct {
	cfg  *Config
	node *grpcnet.Node
}

// NewOperator returns an operator with the certificate of a configuration.
func NewOperator(cfg *Config) (*Operator, error) {
	cfg, err := cfg.Resolved()
	if err != nil {
		return nil, err
	}
	conf, name, err := keys.Load(cfg.TLS)
	if err != nil {
		return nil, err
	}
	o := &Operator{cfg: cfg, node: grpcnet.NewNode(conf, name, nil)}
	o.node.Worker, o.node.Patience, o.node.Replies = cfg.Worker, cfg.timeout, longReplies
	return o, nil
}

// Waiting has f told again and again of a server that is not reached yet, and why.
func (o *Operator) Waiting(f func(name, addr, why string)) { o.node.Waiting = f }

// Close ends the operator's connections.
func (o *Operator) Close() { o.node.Close() }

func (o *Operator) call(ctx context.Context, role, method string, req, reply any, within time.Duration) error {
	data, err := json.Marshal(req)
	if err != nil {
		return err
	}
	return o.send(ctx, role, method, data, reply, within)
}

func (o *Operator) send(ctx context.Context, role, method string, req []byte, reply any, within time.Duration) error {
	out, err := o.exchange(ctx, role, method, req, within)
	if err != nil || reply == nil {
		return err
	}
	return json.Unmarshal(out, reply)
}

// exchange sends a request to a server and returns its reply.
func (o *Operator) exchange(ctx context.Context, role, method string, req []byte, within time.Duration) ([]byte, error) {
	addr := o.cfg.Servers[role]
	if addr == "" {
		return nil, fmt.Errorf("servers has no address of %q", role)
	}
	if within == promptly {
		within = o.cfg.timeout
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return o.node.Call(ctx, role, addr, method, req)
}

// Plans lists the plans at a server.
func (o *Operator) Plans(ctx context.Context, role string) (r PlansReply, err error) {
	return r, o.call(ctx, role, "Plans", struct{}{}, &r, promptly)
}

// Withdraw has a server take no more sessions of a plan. Those that run may end.
func (o *Operator) Withdraw(ctx context.Context, role, digest string) (r PlanStatus, err error) {
	return r, o.call(ctx, role, "Withdraw", PlanRequest{digest}, &r, promptly)
}

// Deploy sends a plan to a server and has it served. sent, if not nil, is told how many bytes have been sent.
func (o *Operator) Deploy(ctx context.Context, role string, d Deployment, sent func(int64)) (r PlanStatus, err error) {
	req := DeployRequest{Plan: d.Digest, Sums: map[string]string{}, Sessions: d.Sessions, Clients: d.Clients}
	for _, f := range []struct{ name, path string }{{PlanFile, d.Plan}, {ApprovalsFile, d.Approvals}, {WeightsFile + d.Ending, d.Weights}} {
		if f.path == "" {
			continue
		}
		if req.Sums[f.name], err = o.upload(ctx, role, f.name, f.path, sent); err != nil {
			return r, err
		}
	}
	return r, o.call(ctx, role, "Deploy", req, &r, eventually)
}

// upload sends a file in parts, and returns its SHA-256.
func (o *Operator) upload(ctx context.Context, role, name, path string, sent func(int64)) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h, part, at := sha256.New(), make([]byte, PartBytes), int64(0)
	for {
		n, err := io.ReadFull(f, part)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return "", err
		}
		if n > 0 || at == 0 {
			req, err := Seal(UploadHead{name, at}, part[:n])
			if err != nil {
				return "", err
			}
			if err := o.send(ctx, role, "Upload", req, nil, o.cfg.timeout+PartBytes/Slowest*time.Second); err != nil {
				return "", err
			}
			h.Write(part[:n])
			if at += int64(n); sent != nil {
				sent(int64(n))
			}
		}
		if last {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
	}
}
