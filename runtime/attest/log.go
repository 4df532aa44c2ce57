package attest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"smpcc/runtime/disk"
)

// maxEntry bounds the size of one line of a log.
const maxEntry = 1 << 16

// An Event is what a server writes down about a plan: no data, and nothing that derives from data.
type Event struct {
	What     string   `json:"what"` // start, setup, session, ended, refused, recovered
	Role     string   `json:"role"`
	Plan     string   `json:"plan"`
	Parties  []string `json:"parties,omitempty"`
	Session  uint64   `json:"session,omitempty"`
	Decision string   `json:"decision,omitempty"` // allowed or refused, done or failed
	Reason   string   `json:"reason,omitempty"`
}

// An Entry is one line of a log.
type Entry struct {
	Seq  uint64 `json:"seq"` // 1, 2, ...
	Time string `json:"time"`
	Event
	Prev string `json:"prev"` // hash of the entry before; empty for the first
	Hash string `json:"hash"` // of this entry with an empty hash
}

func (e Entry) sum() (string, error) {
	e.Hash = ""
	b, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(append([]byte("smpcc log 1\n"), b...))
	return hex.EncodeToString(h[:]), nil
}

// A Log is an append-only file of entries, each of which carries the hash of the one before: changing or removing one
// breaks all that follow. Removing the last ones is seen by whoever has noted a later hash.
type Log struct {
	mu   sync.Mutex
	f    disk.File
	path string
	last Entry
	size int64 // of the entries that are whole
	torn bool  // something that is no entry may follow them
	now  func() time.Time
}

// OpenLog opens a log and checks it from its first entry. A line that a crash has cut short is removed, and that is written
// down; nothing relied on it, because Add returns only after its line is on disk.
func OpenLog(d disk.Disk, path, role string) (*Log, error) {
	f, err := d.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := &Log{f: f, path: path, now: time.Now}
	fail := func(err error) (*Log, error) { return nil, errors.Join(err, f.Close()) }
	last, good, err := check(f, path)
	if err != nil {
		return fail(fmt.Errorf("%w: move it away and keep it, somebody has to look into this", err))
	}
	l.last, l.size = last, good
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fail(err)
	}
	if l.torn = size > good; l.torn {
		if err := l.Add(Event{What: "recovered", Role: role, Reason: "a line that a crash had cut short was removed"}); err != nil {
			return fail(err)
		}
	}
	return l, nil
}

// Add appends an event. When it returns nil the entry is on disk; when it fails there is none, and the next one takes its place.
func (l *Log) Add(ev Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := Entry{Seq: l.last.Seq + 1, Time: l.now().UTC().Format(time.RFC3339Nano), Event: ev, Prev: l.last.Hash}
	var err error
	if e.Hash, err = e.sum(); err != nil {
		return err
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if len(line) > maxEntry {
		return fmt.Errorf("log %s: entry of %d bytes", l.path, len(line))
	}
	if err := l.write(append(line, '\n')); err != nil {
		return fmt.Errorf("log %s: %w", l.path, err)
	}
	l.last = e
	return nil
}

// write puts a line behind the whole entries and syncs it. What a failure leaves of it is cut off, now or before the next line.
func (l *Log) write(line []byte) error {
	if l.torn {
		if err := l.f.Truncate(l.size); err != nil {
			return err
		}
	}
	l.torn = true
	_, err := l.f.WriteAt(line, l.size)
	if err == nil {
		err = l.f.Sync()
	}
	if err != nil {
		if l.f.Truncate(l.size) == nil {
			l.torn = false
		}
		return err
	}
	l.size, l.torn = l.size+int64(len(line)), false
	return nil
}

// Head returns the hash of the last entry, which fixes all entries before.
func (l *Log) Head() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last.Hash
}

// Close closes the file.
func (l *Log) Close() error { return l.f.Close() }

// check reads entries and returns the last one and the size of what is complete.
func check(r io.Reader, path string) (last Entry, size int64, err error) {
	b := bufio.NewReaderSize(r, maxEntry+1)
	for {
		line, err := b.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return last, size, nil
		}
		if err != nil {
			return last, size, fmt.Errorf("%s: entry %d is too long or unreadable", path, last.Seq+1)
		}
		var e Entry
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			return last, size, fmt.Errorf("%s: line %d is not an entry", path, last.Seq+1)
		}
		sum, err := e.sum()
		if err != nil {
			return last, size, err
		}
		switch {
		case e.Seq != last.Seq+1:
			return last, size, fmt.Errorf("%s: entry %d follows entry %d: entries are missing or changed", path, e.Seq, last.Seq)
		case e.Prev != last.Hash:
			return last, size, fmt.Errorf("%s: entry %d does not follow the entry before it: that one was changed", path, e.Seq)
		case e.Hash != sum:
			return last, size, fmt.Errorf("%s: entry %d was changed after it was written", path, e.Seq)
		}
		again, err := json.Marshal(e) // one entry has one form: no room for a second reading of the same line
		if err != nil || !bytes.Equal(append(again, '\n'), line) {
			return last, size, fmt.Errorf("%s: entry %d is not written as logs are", path, e.Seq)
		}
		last, size = e, size+int64(len(line))
	}
}

// VerifyLog checks a log from its first entry and returns its last one. head, if not empty, is a hash noted earlier that one
// of the entries must have.
func VerifyLog(path, head string) (Entry, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Entry{}, err
	}
	last, size, err := check(bytes.NewReader(data), path)
	if err != nil {
		return last, err
	}
	if size != int64(len(data)) {
		return last, fmt.Errorf("%s: the line behind entry %d is cut short: a crash, or it is being written", path, last.Seq)
	}
	if head != "" && !bytes.Contains(data, []byte(`"hash":"`+head+`"}`)) {
		return last, fmt.Errorf("%s: no entry has the hash %s that was noted: the end of the log was removed, or the whole log replaced", path, head)
	}
	return last, nil
}
