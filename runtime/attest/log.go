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
	What     string   `json:"what"` // start, setup, session, ended, refused, recovered, deploy, withdraw, request, head
	Role     string   `json:"role"`
	Plan     string   `json:"plan"`
	Parties  []string `json:"parties,omitempty"`
	Session  uint64   `json:"session,omitempty"`
	Decision string   `json:"decision,omitempty"` // allowed or refused, done or failed
	Reason   string   `json:"reason,omitempty"`

	Client    string     `json:"client,omitempty"`    // that opened the session, sent the request or decided about it
	Receivers []string   `json:"receivers,omitempty"` // parties that learn an output
	Rows      int        `json:"rows,omitempty"`      // of the largest input
	Left      []RunsLeft `json:"left,omitempty"`      // behind this run
	Approvals []string   `json:"approvals,omitempty"` // keys whose approval of the plan stands
	Revoked   []string   `json:"revoked,omitempty"`   // keys that have taken theirs back
}

// RunsLeft says how many runs an owner's policy allows still, of all plans under it.
type RunsLeft struct {
	Owner string `json:"owner"`
	Runs  uint64 `json:"runs"`
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
//
// Entries of several goroutines that come while the file is being synced are written and synced together.
type Log struct {
	f    disk.File
	path string
	now  func() time.Time

	queue   sync.Mutex // guards what follows
	waiting []*adding
	writing bool        // a goroutine writes, and will look at waiting when done
	idle    sync.Cond   // writing has become false
	timer   *time.Timer // of what waits for company
	failing bool        // the last attempt to write has failed

	mu      sync.Mutex // held while entries are written
	disk    disk.Disk
	name    string    // of the file: path, or that of a closed file where no new one could be made
	longest int64     // size at which a file is closed
	retry   time.Time // when it may be tried to
	begins  bool      // the next entry is the first of a file that follows another
	role    string
	last    Entry
	size    int64 // of the entries that are whole
	torn    bool  // something that is no entry may follow them
}

// An adding is an event on its way into the file.
type adding struct {
	ev     Event
	err    error
	done   chan struct{}
	failed func(error) // told of a failure, if nobody waits
}

// maxTogether is how many entries are written at once.
const maxTogether = 256

// OpenLog opens a log and checks the file that it goes on in, which follows the one before. A line that a crash has cut short is removed, and that is written
// down; nothing relied on it, because Add returns only after its line is on disk.
func OpenLog(d disk.Disk, path, role string) (*Log, error) {
	first, err := before(d, path)
	if err != nil {
		return nil, err
	}
	f, err := d.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := &Log{disk: d, f: f, path: path, name: path, role: role, longest: longest, now: time.Now}
	l.idle.L = &l.queue
	fail := func(err error) (*Log, error) { return nil, errors.Join(err, f.Close()) }
	last, good, err := check(f, path, start{entry: first, any: first.Seq == 0, known: first.Seq > 0}, func(Entry) {})
	if err != nil {
		return fail(fmt.Errorf("%w: move it away and keep it, somebody has to look into this", err))
	}
	l.begins = good == 0 && first.Seq > 0 // nothing is in it yet
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
func (l *Log) Add(ev Event) error { return l.Begin(ev)() }

// Begin appends an event while the caller goes on, and returns what waits for Add's answer.
func (l *Log) Begin(ev Event) (wait func() error) {
	a := &adding{ev: ev, done: make(chan struct{})}
	l.queue.Lock()
	defer l.queue.Unlock()
	l.waiting = append(l.waiting, a)
	l.write()
	return func() error {
		<-a.done
		return a.err
	}
}

// later is how long an event may wait for company that need not be on disk soon.
const later = 50 * time.Millisecond

// Later appends an event soon, together with others if some come; failed is told if that fails.
func (l *Log) Later(ev Event, failed func(error)) {
	l.queue.Lock()
	defer l.queue.Unlock()
	l.waiting = append(l.waiting, &adding{ev: ev, done: make(chan struct{}), failed: failed})
	if l.timer == nil {
		l.timer = time.AfterFunc(later, func() {
			l.queue.Lock()
			defer l.queue.Unlock()
			if l.timer = nil; len(l.waiting) > 0 {
				l.write()
			}
		})
	}
}

// Failing reports whether the last attempt to write has failed.
func (l *Log) Failing() bool {
	l.queue.Lock()
	defer l.queue.Unlock()
	return l.failing
}

// write has what waits written, now or when what is being written is done. The queue is locked.
func (l *Log) write() {
	if l.writing {
		return
	}
	l.writing = true
	go func() {
		l.queue.Lock()
		defer l.queue.Unlock()
		for len(l.waiting) > 0 {
			n := min(len(l.waiting), maxTogether)
			list := l.waiting[:n:n]
			l.waiting = l.waiting[n:]
			l.queue.Unlock()
			err := l.addAll(list)
			for _, a := range list {
				if close(a.done); a.err != nil && a.failed != nil {
					a.failed(a.err)
				}
			}
			l.queue.Lock()
			l.failing = err != nil
		}
		l.writing = false
		l.idle.Broadcast()
	}()
}

// addAll appends events with one write and one sync. One that is not to be written is an error of its own, a failure to write is everybody's.
func (l *Log) addAll(list []*adding) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rotate()
	last, lines := l.last, []byte(nil)
	var written []*adding
	if l.begins {
		list = append([]*adding{{ev: Event{What: follows, Role: l.role, Reason: fmt.Sprintf("follows entry %d of the file before", last.Seq)}}}, list...)
	}
	for _, a := range list {
		e := Entry{Seq: last.Seq + 1, Time: l.now().UTC().Format(time.RFC3339Nano), Event: a.ev, Prev: last.Hash}
		var line []byte
		if e.Hash, a.err = e.sum(); a.err != nil {
			continue
		}
		if line, a.err = json.Marshal(e); a.err != nil {
			continue
		}
		if len(line) > maxEntry {
			a.err = fmt.Errorf("log %s: entry of %d bytes", l.path, len(line))
			continue
		}
		lines = append(append(lines, line...), '\n')
		last, written = e, append(written, a)
	}
	if len(written) == 0 {
		return nil
	}
	err := l.put(lines)
	if err != nil {
		err = fmt.Errorf("log %s: %w", l.path, err)
		for _, a := range written {
			a.err = err
		}
		return err
	}
	l.last, l.begins = last, false
	return nil
}

// put writes lines behind the whole entries and syncs them. What a failure leaves of them is cut off, now or before the next ones.
func (l *Log) put(line []byte) error {
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

// Last returns the last entry, of number 0 if there is none.
func (l *Log) Last() Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Close writes what waits and closes the file.
func (l *Log) Close() error {
	l.queue.Lock()
	defer l.queue.Unlock()
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if len(l.waiting) > 0 {
		l.write()
	}
	for l.writing {
		l.idle.Wait()
	}
	return l.f.Close()
}

// follows is what the first entry of a file says that another one precedes.
const follows = "follows"

// A start says what a file of a log must follow.
type start struct {
	entry Entry // the one before; of number 0 for none
	known bool  // it is known
	any   bool  // the first entry may have any number, if it says that a file precedes
}

// check reads entries and returns the last one, or the one before if there is none, and the size of what is complete.
func check(r io.Reader, path string, from start, seen func(Entry)) (last Entry, size int64, err error) {
	last = from.entry
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
		if size == 0 && from.any && e.Seq > 1 && e.What == follows {
			if last.Seq = e.Seq - 1; !from.known {
				last.Hash = e.Prev
			}
		}
		switch {
		case size == 0 && e.Seq > 1 && e.What == follows && last.Seq == 0:
			return last, size, fmt.Errorf("%s: begins with entry %d: the files before it are not here; put them beside it, or say with --after what hash their last entry has", path, e.Seq)
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
		seen(e)
		last, size = e, size+int64(len(line))
	}
}

// ErrCut is wrapped by the finding that a log ends with less than an entry, which the next start mends.
var ErrCut = errors.New("the line is cut short")
