package server

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"smpcc/runtime/grpcnet"
	"smpcc/runtime/material"
)

// Sessions, stored material and counted runs have numbers that are used in any order, while others are being opened, and that the ledger records by blocks. After
// a crash a role's numbers begin behind its block, and the lead skips what another role cannot use any more.
const (
	sessionBlock = 64 // numbers of sessions cost nothing
	stockBlock   = 4  // of stored material, while sessions are rare
	stockMost    = 64
	runBlock     = 16 // at most: a crash may cost a thousandth of the runs that a policy allows
)

// openNumbers reads where numbers have come to.
func (s *deployment) openNumbers() (err error) {
	workers, inFlight := uint64(s.cfg.Workers), s.inFlight()
	if s.sessions, err = s.ledger.Numbers(s.ledgerKey("session"), sessionBlock*workers, sessionBlock*workers, inFlight*workers); err != nil {
		return err
	}
	if s.stocked, err = s.ledger.Numbers(s.ledgerKey("stock"), stockBlock, stockMost, inFlight); err != nil {
		return err
	}
	for _, b := range s.policyBudgets(s.cfg.now()) {
		if _, err = s.runs.under(b, inFlight); err != nil {
			return err
		}
	}
	return nil
}

// closeNumbers records where numbers have come to, so that none of the last blocks is lost.
func (s *deployment) closeNumbers() error {
	return errors.Join(s.sessions.Close(), s.stocked.Close())
}

// useNumbers marks the numbers of a session used, at a role that joins.
func (s *deployment) useNumbers(r jobRequest) error {
	if err := s.sessions.Use(r.ID); err != nil {
		return err
	}
	return s.useStock(r.Stock)
}

// useStock marks material used, if a session uses any.
func (s *deployment) useStock(number uint64) error {
	if number == 0 {
		return nil
	}
	return s.stocked.Use(number)
}

// needMaterial begins the answer of a party whose store lacks the material of a session.
const needMaterial = "material is needed"

// errLacks is the failure of the lead to find or read its own material: another opening may have given up the segment.
var errLacks = errors.New("material is not here any more")

// lacks is that answer. It says up to where nothing is left.
func (s *deployment) lacks() error {
	if s.role == 0 {
		return errLacks
	}
	return fmt.Errorf("%s above number %d", needMaterial, s.stocked.Floor())
}

var (
	lackForm = regexp.MustCompile(`^` + needMaterial + ` above number ([0-9]+)$`)
	usedForm = regexp.MustCompile(`: number [0-9]+, and all up to ([0-9]+);`)
)

// remoteNumber returns the number in a role's answer.
func remoteNumber(err error, form *regexp.Regexp) (uint64, bool) {
	var remote *grpcnet.RemoteError
	if !errors.As(err, &remote) {
		return 0, false
	}
	m := form.FindStringSubmatch(remote.Msg)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	return n, err == nil
}

// catchUp skips numbers of sessions that another role has used up, or lost in a crash. A role that is further ahead than that knows of sessions that this one
// does not: then somebody has restored an old ledger here, and nothing must go on.
func (s *deployment) catchUp(used uint64) bool {
	if mine := s.sessions.Highest(); used > mine+2*s.sessions.Lost() {
		return false
	}
	s.log.Warn("another role has lost numbers of sessions, in a crash; they are skipped", "up_to", used)
	s.sessions.Skip(used)
	return true
}

// lend returns the lowest number of stored material that nobody uses, 0 if there is none. It is given back, used or not. What is being made is not lent: another
// party may not have stored it yet.
func (s *deployment) lend(store *material.Store) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := store.Next(s.stocked.Floor()); n != 0 && (s.making == 0 || n < s.making); n = store.Next(n) {
		if !s.lent[n] && s.stocked.Free(n) {
			s.lent[n] = true
			return n
		}
	}
	return 0
}

// setMaking notes the first number of material that is being made; 0 for none.
func (s *deployment) setMaking(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.making = number
}

func (s *deployment) giveBack(stock uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lent, stock)
}
