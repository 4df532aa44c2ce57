package control

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// MaxID bounds numbers of sessions and material.
const MaxID = 1 << 62

// A Ticket names an open session, and is the right to take part in it: who knows the number alone cannot. It goes from the client that opened the session to
// those of the other parties.
type Ticket struct {
	Session uint64 `json:"session"`
	Secret  string `json:"secret"` // 128 random bits
	// Request, if not empty, is the client's own name of its request: under it outputs are given again.
	Request string `json:"-"`
}

// String returns the ticket as one word.
func (t Ticket) String() string { return strconv.FormatUint(t.Session, 10) + "-" + t.Secret }

// ParseTicket reads what String has written.
func ParseTicket(s string) (Ticket, error) {
	number, secret, _ := strings.Cut(s, "-")
	id, err := strconv.ParseUint(number, 10, 64)
	if err != nil || id == 0 || id > MaxID || secret == "" || len(secret) > 2*len(rand.Text()) {
		return Ticket{}, fmt.Errorf("%q is no session; want what the client that opened it has printed, such as 17-%s", s, strings.Repeat("A", 8)+"...")
	}
	return Ticket{Session: id, Secret: secret}, nil
}

// requestForm is what the name of a request looks like.
var requestForm = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)

// CheckRequest returns an error unless a text may name a request.
func CheckRequest(id string) error {
	if !requestForm.MatchString(id) {
		return fmt.Errorf("request %.70q: want 1 to 64 of A-Z, a-z, 0-9 and _.:-", id)
	}
	return nil
}
