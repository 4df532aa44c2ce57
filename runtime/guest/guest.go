// Package guest is what guests and party servers say to each other over HTTPS: one request to each party at once, which holds the party's share, and its answer,
// which holds the party's share of what the guest receives.
package guest

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"smpcc/backend/plan"
	"smpcc/runtime/share"
)

// The paths that a party's listener answers.
const (
	RunPath  = "/v1/run"
	PlanPath = "/v1/plan"
)

// ContentType is the type of a request's body: one that a page may send elsewhere without asking first.
const ContentType = "text/plain"

// MaxHead bounds the first line of a request and of an answer.
const MaxHead = 8192

// A Head is the first line of a request, as JSON. Behind it stands the share: a seed of 16 bytes for every party but the last, and for that the words of each of the guest's
// inputs, packed, in the order of the manifest.
type Head struct {
	Plan   string `json:"plan"`
	Token  string `json:"token"`
	Ticket string `json:"ticket"`
}

// An Answer is the first line of an answer. Behind it stand the party's shares of the outputs, packed, in the order of the manifest.
type Answer struct {
	Party   string   `json:"party"`
	Plan    string   `json:"plan"`
	Session uint64   `json:"session"`
	Outputs []string `json:"outputs"`
}

// A Refusal is the body of an answer that is an error.
type Refusal struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}

// Origin returns the origin of an address at which a party answers guests: https, or http on this machine.
func Origin(address string) (string, error) {
	u, err := url.Parse(address)
	if err == nil && (u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && local(u.Hostname())) || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || !hostForm.MatchString(u.Host)) {
		err = errors.New("it is none")
	}
	if err != nil {
		return "", fmt.Errorf("%q is not an address such as https://north.example:8443", address)
	}
	return u.Scheme + "://" + u.Host, nil
}

var hostForm = regexp.MustCompile(`^[A-Za-z0-9.\[\]:_-]+$`)

// local reports whether a host is this machine.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// ticketSize is that of a ticket, in bytes.
const ticketSize = 16

// NewTicket returns a fresh ticket: what ties the shares of one request together, and the right to its answer.
func NewTicket() (string, error) {
	var b [ticketSize]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// CheckTicket returns an error unless a text is a ticket.
func CheckTicket(s string) error {
	if b, err := base64.RawURLEncoding.Strict().DecodeString(s); err != nil || len(b) != ticketSize {
		return errors.New("the ticket is not 16 bytes in base64url")
	}
	return nil
}

// Serves returns the one guest whose requests run a plan, or why there is none: it gives all inputs and receives all outputs.
func Serves(m *plan.Manifest) (string, error) {
	if len(m.Guests) != 1 {
		return "", fmt.Errorf("the plan has %d guests; one request is the shares of one guest", len(m.Guests))
	}
	g := m.Guests[0]
	for _, p := range m.Inputs {
		if p.Owner != g {
			return "", fmt.Errorf("input %q of the plan is given by %s, who takes no part in a request of %s", p.Name, p.Owner, g)
		}
	}
	for _, p := range m.Outputs {
		if !slices.Equal(p.To, []string{g}) {
			return "", fmt.Errorf("output %q of the plan goes to others than %s, who do not ask for it", p.Name, g)
		}
	}
	if len(m.Inputs) == 0 || len(m.Outputs) == 0 {
		return "", errors.New("the plan has no inputs, or no outputs")
	}
	return g, nil
}

// ShareBytes returns the length of the share that a party is given.
func ShareBytes(m *plan.Manifest, party int) int {
	if party < len(m.Parties)-1 {
		return share.SeedSize
	}
	n := 0
	for _, p := range m.Inputs {
		n += plan.PackedBytes(p.Len(), p.Bits)
	}
	return n
}

// Shares returns what each party is given of the words of all inputs.
func Shares(m *plan.Manifest, words [][]uint64) ([][]byte, error) {
	n := len(m.Parties)
	seeds := make([]share.Seed, n-1)
	out := make([][]byte, n)
	for i := range seeds {
		if _, err := rand.Read(seeds[i][:]); err != nil {
			return nil, err
		}
		out[i] = seeds[i][:]
	}
	for k := range m.Inputs {
		p := &m.Inputs[k]
		others := make([][]uint64, n-1)
		for i := range others {
			others[i] = share.Expand(seeds[i], k, p)
		}
		last, err := share.Last(p, words[k], others)
		if err != nil {
			return nil, err
		}
		out[n-1] = plan.Pack(out[n-1], last, p.Bits)
	}
	return out, nil
}

// Words returns a party's shares of all inputs of what it was given.
func Words(m *plan.Manifest, party int, data []byte) ([][]uint64, error) {
	if want := ShareBytes(m, party); len(data) != want {
		return nil, fmt.Errorf("the share has %d bytes, want %d", len(data), want)
	}
	out := make([][]uint64, len(m.Inputs))
	var seed share.Seed
	if party < len(m.Parties)-1 {
		copy(seed[:], data)
	}
	for k := range m.Inputs {
		p := &m.Inputs[k]
		if party < len(m.Parties)-1 {
			out[k] = share.Expand(seed, k, p)
			continue
		}
		size := plan.PackedBytes(p.Len(), p.Bits)
		out[k] = make([]uint64, p.Len())
		plan.Unpack(out[k], data[:size], p.Bits)
		data = data[size:]
	}
	return out, nil
}

// Framed returns a first line and what stands behind it.
func Framed(head any, data []byte) ([]byte, error) {
	line, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	return append(append(line, '\n'), data...), nil
}

// Unframed reads a first line, and returns what stands behind it.
func Unframed(msg []byte, head any) ([]byte, error) {
	line, data, ok := bytes.Cut(msg, []byte("\n"))
	if !ok || len(line) > MaxHead {
		return nil, errors.New("malformed: there is no first line")
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(head); err != nil {
		return nil, errors.New("malformed first line")
	}
	return data, nil
}

// Joined puts the outputs together from what each party answered.
func Joined(m *plan.Manifest, shares [][]byte) (map[string][]uint64, error) {
	out := map[string][]uint64{}
	for i := range m.Outputs {
		p := &m.Outputs[i]
		size := plan.PackedBytes(p.Len(), p.Bits)
		parts := make([][]uint64, len(shares))
		for k := range shares {
			if len(shares[k]) < size {
				return nil, fmt.Errorf("the answer of %s is too short", m.Parties[k])
			}
			parts[k] = make([]uint64, p.Len())
			plan.Unpack(parts[k], shares[k][:size], p.Bits)
			shares[k] = shares[k][size:]
		}
		out[p.Name] = share.Join(p, parts)
	}
	for k, rest := range shares {
		if len(rest) > 0 {
			return nil, fmt.Errorf("the answer of %s is too long", m.Parties[k])
		}
	}
	return out, nil
}

// Given packs a party's shares of the outputs.
func Given(m *plan.Manifest, kept map[string][]uint64) (names []string, data []byte) {
	for i := range m.Outputs {
		p := &m.Outputs[i]
		names, data = append(names, p.Name), plan.Pack(data, kept[p.Name], p.Bits)
	}
	return names, data
}

// Costs says what each guest of a plan sends to each party, and is sent back.
func Costs(m *plan.Manifest) (out []string) {
	for _, g := range m.Guests {
		gives, takes := 0, 0
		for _, p := range m.Inputs {
			if p.Owner == g {
				gives += plan.PackedBytes(p.Len(), p.Bits)
			}
		}
		for _, p := range m.Outputs {
			if slices.Contains(p.To, g) {
				takes += plan.PackedBytes(p.Len(), p.Bits)
			}
		}
		text := "guest " + g + ":"
		if last := len(m.Parties) - 1; gives > 0 {
			text += fmt.Sprintf(" gives %d B to each of %s and %s to %s;", share.SeedSize, strings.Join(m.Parties[:last], ", "), plan.Bytes(int64(gives)), m.Parties[last])
		}
		out = append(out, text+fmt.Sprintf(" is given %s by each party", plan.Bytes(int64(takes))))
	}
	return out
}
