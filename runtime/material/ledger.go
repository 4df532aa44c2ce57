package material

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"smpcc/runtime/disk"
)

// ErrUsed is wrapped by the refusal of a session id that is not above all earlier ones.
var ErrUsed = errors.New("session id has been used")

var sessions = []byte("sessions")

// A Ledger records, on disk, the highest session id used with each plan. Ids strictly increase; an id counts as used from
// before its material is touched, so that after any crash the material of a session in progress is dead. It may be used by
// several goroutines.
//
// The file is as precious as the key: material derived under one key with a ledger deleted, or restored from a backup, is
// used a second time. Whoever loses a ledger needs a new master key.
type Ledger struct {
	db *bbolt.DB
	// Synced, if not nil, is called for each sync of the file that a record takes. It is set before the ledger is used, by tests that slow it down.
	Synced func()
}

// syncsOfCommit is how often the table's library syncs its file for a transaction: once for data, once for what names them.
const syncsOfCommit = 2

// update changes the table, on disk when it returns.
func (l *Ledger) update(f func(b *bbolt.Bucket) error) error {
	err := guarded(func() error {
		return l.db.Update(func(tx *bbolt.Tx) error { return f(tx.Bucket(sessions)) }) // returns after the file is synced
	})
	for range syncsOfCommit {
		if l.Synced != nil {
			l.Synced()
		}
	}
	return err
}

// lockWait is how long OpenLedger waits for another process to let go of the file.
const lockWait = 2 * time.Second

// OpenLedger opens the ledger file, or makes it. Only one process may have it open, so that none can use an id that
// another has just recorded.
func OpenLedger(path string) (*Ledger, error) {
	st, statErr := os.Stat(path)
	if statErr == nil && st.Size() == 0 { // would be taken for a new one, with every id free again
		return nil, fmt.Errorf("ledger %s is empty: if sessions have run with this master key, take a new ledger together with a new key; if none has, delete it", path)
	}
	if errors.Is(statErr, fs.ErrNotExist) {
		if err := newLedger(path); err != nil {
			return nil, fmt.Errorf("ledger %s: %w", path, err)
		}
	}
	db, err := open(path)
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("ledger %s is open in another process: stop that server, or give this one its own ledger and its own master key", path)
	case err != nil:
		return nil, fmt.Errorf("ledger %s: %w; if it is damaged, do not delete it alone: take a new ledger together with a new master key", path, err)
	}
	return &Ledger{db: db}, nil
}

// open opens a file with the table of sessions in it, and reads all of it: damage is an error here.
func open(path string) (db *bbolt.DB, err error) {
	err = guarded(func() error {
		if db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait}); err != nil {
			return err
		}
		err := db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(sessions)
			if b == nil {
				return bbolterrors.ErrBucketNotFound
			}
			return b.ForEach(func(_, _ []byte) error { return nil })
		})
		if errors.Is(err, bbolterrors.ErrBucketNotFound) {
			err = db.Update(func(tx *bbolt.Tx) error {
				_, err := tx.CreateBucketIfNotExists(sessions)
				return err
			})
		}
		return err
	})
	if err != nil && db != nil {
		_ = guarded(db.Close) // the first error says more
	}
	return db, err
}

// guarded calls f, and makes an error of what the table's library does when it meets a damaged file: panic, or read where the file has ended.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the file is damaged: %v", p)
		}
	}()
	return f()
}

// CheckLedger reads a whole ledger, if there is one, and changes nothing. One that is open in another process is in use, and taken for good.
func CheckLedger(path string) error {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if st.Size() == 0 {
		return fmt.Errorf("ledger %s is empty", path)
	}
	err = guarded(func() error {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 100 * time.Millisecond, ReadOnly: true, PreLoadFreelist: true})
		if errors.Is(err, bbolterrors.ErrTimeout) {
			return nil
		} else if err != nil {
			return err
		}
		defer db.Close()
		return db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(sessions)
			if b == nil {
				return bbolterrors.ErrBucketNotFound
			}
			return b.ForEach(func(_, _ []byte) error { return nil })
		})
	})
	if err != nil {
		return fmt.Errorf("ledger %s: %w; do not delete it alone: take a new ledger together with a new master key", path, err)
	}
	return nil
}

// newLedger makes an empty ledger: whole under its name, or not at all. Should another process have made one meanwhile, that is the one.
func newLedger(path string) error {
	f, made, err := disk.Begin(disk.Machine, path, 0o600)
	if err != nil {
		return err
	}
	err = f.Close()
	if err == nil {
		var db *bbolt.DB
		if db, err = open(made); err == nil {
			err = db.Close()
		}
	}
	if err == nil {
		if err = os.Link(made, path); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	return errors.Join(err, os.Remove(made), disk.Machine.SyncDir(filepath.Dir(path)))
}

// Use records session for the plan. When it returns nil the record is on disk, and this call alone may touch the session's
// material. An id at or below the last one is refused with ErrUsed; the first is 1. After any other error the id may or may
// not be recorded: take the next one.
func (l *Ledger) Use(digest [32]byte, session uint64) error {
	return l.UseAll(Record{digest, session})
}

// A Record is a session id of a plan.
type Record struct {
	Digest  [32]byte
	Session uint64
}

// UseAll does what Use does for several records at once: all of them are recorded, or none.
func (l *Ledger) UseAll(records ...Record) error {
	return l.update(func(b *bbolt.Bucket) error { return record(b, records) })
}

// record puts records above the last ones of their plans.
func record(b *bbolt.Bucket, records []Record) error {
	for _, r := range records {
		last, err := lastOf(b, r.Digest)
		if err != nil {
			return err
		}
		if r.Session <= last {
			return fmt.Errorf("%w: session %d, the last one of this plan was %d; using its material twice would reveal inputs: start a new session with id %d or above",
				ErrUsed, r.Session, last, last+1)
		}
		if err := b.Put(r.Digest[:], binary.BigEndian.AppendUint64(nil, r.Session)); err != nil {
			return err
		}
	}
	return nil
}

// lastOf returns the last session id of the plan, 0 for none. A record of another form is not taken for none.
func lastOf(b *bbolt.Bucket, digest [32]byte) (uint64, error) {
	v := b.Get(digest[:])
	switch len(v) {
	case 0:
		return 0, nil
	case 8:
		return binary.BigEndian.Uint64(v), nil
	}
	return 0, fmt.Errorf("the ledger's record of plan %x has %d bytes, want 8: take a new ledger together with a new master key", digest[:4], len(v))
}

// Last returns the last session id used with the plan, 0 for none.
func (l *Ledger) Last(digest [32]byte) (last uint64, err error) {
	err = guarded(func() error {
		return l.db.View(func(tx *bbolt.Tx) error {
			last, err = lastOf(tx.Bucket(sessions), digest)
			return err
		})
	})
	return last, err
}

// Close closes the file.
func (l *Ledger) Close() error { return l.db.Close() }
