// Package control is what servers are asked and answer: the messages, a client's configuration and its connection. Clients, pages and consoles use it without any of what
// makes a server.
package control

import (
	"encoding/json"
	"errors"
	"time"

	"smpcc/runtime/transport"
)

// An OpenRequest asks for a session.
type OpenRequest struct {
	Plan    string   `json:"plan"`
	Request string   `json:"request,omitempty"` // the client's name of it
	Find    bool     `json:"find,omitempty"`    // only if it has come before
	For     []string `json:"for,omitempty"`     // the parties that the client acts for
}

// An InputHead says for which session the inputs behind it are: those of one party, packed, in the order of the manifest.
type InputHead struct {
	Plan    string `json:"plan,omitempty"`
	Ticket  Ticket `json:"ticket"`
	Request string `json:"request,omitempty"`
}

// A ResultRequest asks for the outputs of a session.
type ResultRequest struct {
	Plan    string `json:"plan,omitempty"`
	Ticket  Ticket `json:"ticket"`
	Request string `json:"request,omitempty"`
}

// A ResultHead says which outputs follow, and what the role measured.
type ResultHead struct {
	Outputs []int                `json:"outputs"` // by their places in the manifest
	Setup   transport.PhaseStats `json:"setup"`
	Offline transport.PhaseStats `json:"offline"`
	Online  transport.PhaseStats `json:"online"`
}

// A PlanRequest asks about a plan.
type PlanRequest struct {
	Plan string `json:"plan,omitempty"`
}

// A Status says what a server is.
type Status struct {
	Name  string               `json:"name"`
	Plan  string               `json:"plan"`
	Setup uint64               `json:"setup"`
	Stats transport.PhaseStats `json:"stats"`

	Software string `json:"software"`
	Protocol int    `json:"protocol"`
	Format   int    `json:"format"`   // of plans
	Time     int64  `json:"time"`     // nanoseconds since 1970
	Capacity int    `json:"capacity"` // sessions at once
	Running  int    `json:"running"`
	Queued   int    `json:"queued"`
	Material int    `json:"material"` // sessions in store
	Stopping bool   `json:"stopping"`
	Worker   int    `json:"worker"`
	Workers  int    `json:"workers"`
}

// A GenerateRequest asks for material.
type GenerateRequest struct {
	Plan     string `json:"plan,omitempty"`
	Sessions int    `json:"sessions"`
}

// A Stock says what a party has stored.
type Stock struct {
	Sessions int       `json:"sessions"` // whose material is there and not used
	Bytes    int64     `json:"bytes"`
	First    uint64    `json:"first"` // numbers; 0 for none
	Last     uint64    `json:"last"`
	Oldest   time.Time `json:"oldest"` // when the oldest was made
	Expires  time.Time `json:"expires"`
	Limit    int64     `json:"limit"` // of bytes
	Each     int64     `json:"each"`  // bytes of one session
}

// Decode reads a control request.
func Decode[T any](req []byte) (T, error) {
	var x T
	if err := json.Unmarshal(req, &x); err != nil {
		return x, errors.New("malformed request")
	}
	return x, nil
}
