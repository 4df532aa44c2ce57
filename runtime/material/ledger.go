package material

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// ErrUsed is wrapped by the refusal of a session id that is not above all earlier ones.
var ErrUsed = errors.New("session id has been used")

var sessions = []byte("sessions")

// A Ledger records, on disk, the highest session id used with each plan. Ids strictly increase; an id counts as used from
// before its material is touched, so that after any crash the material of a session in progress is dead.
type Ledger struct{ db *bbolt.DB }

// OpenLedger opens or makes the ledger file. Only one process may have it open.
func OpenLedger(path string) (*Ledger, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 2 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w (is another server using it?)", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(sessions)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Ledger{db}, nil
}

// Use records session for the plan. When it returns nil the record is on disk; an id at or below the last one is refused.
func (l *Ledger) Use(digest [32]byte, session uint64) error {
	return l.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(sessions)
		if last := lastOf(b, digest); session <= last {
			return fmt.Errorf("%w: session %d of this plan, the last one was %d; its material would reveal inputs: start a new session", ErrUsed, session, last)
		}
		return b.Put(digest[:], binary.BigEndian.AppendUint64(nil, session))
	})
}

func lastOf(b *bbolt.Bucket, digest [32]byte) uint64 {
	if v := b.Get(digest[:]); len(v) == 8 {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// Last returns the last session id used with the plan, 0 for none.
func (l *Ledger) Last(digest [32]byte) (last uint64, err error) {
	err = l.db.View(func(tx *bbolt.Tx) error {
		last = lastOf(tx.Bucket(sessions), digest)
		return nil
	})
	return last, err
}

// Close closes the file.
func (l *Ledger) Close() error { return l.db.Close() }
