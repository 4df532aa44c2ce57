package server

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"smpcc/backend/plan"
	"smpcc/runtime/control"
)

// maxDatasets bounds the files of schemas that a catalogue reads.
const maxDatasets = 256

// catalogueHandler tells clients, requesters and members what there is.
func (s *Server) catalogueHandler(_ context.Context, peer string, _ []byte) ([]byte, error) {
	if !s.mayLook(peer) {
		return nil, fmt.Errorf("%q may not see the catalogue: it is neither a member of %s nor a client nor in requests.from", peer, s.name)
	}
	return json.Marshal(s.catalogue(peer))
}

// catalogue says what a caller may see of what there is: the plans, and schemas of data as their owner has written them down.
func (s *Server) catalogue(peer string) control.Catalogue {
	c := control.Catalogue{Name: s.name, Plans: []control.CataloguePlan{}, Datasets: s.datasets()}
	for _, d := range s.plans.list() {
		p := cataloguePlan(d.plan)
		p.State, p.Memory = d.planStatus().State, d.gate.need
		if users, own := d.users(); own {
			if p.Clients = users; !s.isMember(peer) { // who else uses it is nobody's business
				p.Clients = slices.DeleteFunc(slices.Clone(users), func(u string) bool { return u != peer })
			}
		}
		c.Plans = append(c.Plans, p)
	}
	return c
}

// cataloguePlan says of a plan what is in its manifest, and what a run costs.
func cataloguePlan(p *plan.Plan) control.CataloguePlan {
	m := &p.Manifest
	c := control.CataloguePlan{Plan: p.Digest(), Name: m.Name, Parties: m.Parties, Dealer: m.Dealer, Inputs: []control.PortSchema{}, Outputs: []control.PortSchema{}, Policies: []control.PolicyRef{}}
	for _, t := range m.Inputs {
		c.Inputs = append(c.Inputs, control.PortSchema{Name: t.Name, Owner: t.Owner, Type: t.Elem, Shape: t.Shape, Range: fmt.Sprintf("%g..%g", t.Lo, t.Hi)})
	}
	for _, t := range m.Outputs {
		c.Outputs = append(c.Outputs, control.PortSchema{Name: t.Name, To: t.To, Type: t.Elem, Shape: t.Shape})
	}
	for _, r := range m.Policies {
		c.Policies = append(c.Policies, control.PolicyRef{Owner: r.Owner, Digest: r.Digest})
	}
	for _, g := range m.Guards {
		for _, x := range g.Purpose {
			if !slices.Contains(c.Purpose, x) {
				c.Purpose = append(c.Purpose, x)
			}
		}
	}
	cost := p.Cost()
	c.Rounds = cost.Phases[plan.Online].Rounds
	for i := range cost.Phases[plan.Online].Sent {
		c.Bytes += cost.Phases[plan.Online].Sent[i]
		c.Dealt += cost.Phases[plan.Offline].Sent[i]
	}
	return c
}

// datasets reads the schemas of data. One that cannot be read has its line in the log, and keeps no other from being shown.
func (s *Server) datasets() []control.Dataset {
	out := []control.Dataset{}
	if s.cfg.Datasets == "" {
		return out
	}
	entries, err := os.ReadDir(s.cfg.Datasets)
	if err != nil {
		s.log.Error("the schemas of data cannot be read", "error", err.Error())
		s.metrics.Failed("catalogue")
	}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".yaml") {
			continue
		}
		if len(out) == maxDatasets {
			s.log.Warn("there are more schemas of data than a catalogue shows", "shown", maxDatasets)
			break
		}
		d, err := readDataset(filepath.Join(s.cfg.Datasets, e.Name()))
		if err != nil {
			s.log.Error("a schema of data cannot be read", "error", err.Error())
			s.metrics.Failed("catalogue")
			continue
		}
		out = append(out, d)
	}
	return out
}

// readDataset reads the schema of data, and rounds what it says of rows.
func readDataset(file string) (d control.Dataset, err error) {
	f, err := control.ReadDataset(file)
	if err != nil {
		return d, err
	}
	d = control.Dataset{Name: f.Name, About: f.About, Rows: control.RoundedRows(f.Rows), Columns: f.Columns}
	if f.Policy != "" {
		if d.Policy, err = fileDigest(f.Policy); err != nil {
			return d, err
		}
	}
	return d, nil
}
