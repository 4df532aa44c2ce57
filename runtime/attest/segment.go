package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"smpcc/runtime/disk"
)

// A log is a chain of files. Entries go to FILE.log; when it is long it gets the name FILE-N.log, where N is the number of its first entry in twelve digits, and a new one
// begins, whose first entry says so and carries the hash of the last of the one before. So a start reads one file, however old the log is, and files can be
// archived; Verify reads all of them.

// longest is the size at which a file of a log is closed: some twelve thousand entries, which a start reads in a tenth of a second.
const longest = 8 << 20

// segmentPath returns the name of a closed file of a log whose first entry has a number.
func segmentPath(path string, first uint64) string {
	return fmt.Sprintf("%s-%012d.log", strings.TrimSuffix(path, ".log"), first)
}

// Segments returns the closed files of a log, the oldest first.
func Segments(path string) ([]string, error) {
	list, err := filepath.Glob(strings.TrimSuffix(path, ".log") + "-" + strings.Repeat("[0-9]", 12) + ".log")
	slices.Sort(list)
	return list, err
}

// closedForm is how the name of a closed file ends.
var closedForm = regexp.MustCompile(`-[0-9]{12}\.log$`)

// firstEntry returns the first entry of a file, of number 0 if there is none.
func firstEntry(path string) (e Entry, err error) {
	f, err := os.Open(path)
	if err != nil {
		return e, err
	}
	defer f.Close()
	return e, firstLine(io.NewSectionReader(f, 0, maxEntry+1), &e)
}

func firstLine(r io.Reader, e *Entry) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	line, _, whole := bytes.Cut(data, []byte("\n"))
	if !whole {
		return nil
	}
	return json.Unmarshal(line, e)
}

// lastEntry returns the last whole entry of a closed file, from its end.
func lastEntry(path string) (e Entry, err error) {
	f, err := os.Open(path)
	if err != nil {
		return e, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return e, err
	}
	at := max(0, size-maxEntry-1)
	tail, err := io.ReadAll(io.NewSectionReader(f, at, size-at))
	if err != nil {
		return e, err
	}
	tail = tail[:bytes.LastIndexByte(tail, '\n')+1]
	if len(tail) == 0 {
		return e, fmt.Errorf("%s: holds no entry", path)
	}
	line := tail[bytes.LastIndexByte(tail[:len(tail)-1], '\n')+1:]
	if err := json.Unmarshal(line, &e); err != nil {
		return e, fmt.Errorf("%s: its end is not an entry", path)
	}
	if sum, err := e.sum(); err != nil || sum != e.Hash {
		return e, fmt.Errorf("%s: entry %d was changed after it was written", path, e.Seq)
	}
	return e, nil
}

// before returns the entry that the current file of a log follows, of number 0 if it is the first. A crash may have left a log without a current file: then the last
// closed one is it again.
func before(d disk.Disk, path string) (e Entry, err error) {
	closed, err := Segments(path)
	if err != nil || len(closed) == 0 {
		return e, err
	}
	last := closed[len(closed)-1]
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := d.Rename(last, path); err != nil {
			return e, err
		}
		if closed = closed[:len(closed)-1]; len(closed) == 0 {
			return e, nil
		}
		last = closed[len(closed)-1]
	}
	return lastEntry(last)
}

// rotate closes the current file and begins another, if it is long. If that fails, entries go on to where they went. The mutex is held.
func (l *Log) rotate() {
	if l.size < l.longest || l.torn || l.now().Before(l.retry) {
		return
	}
	l.retry = l.now().Add(time.Minute) // not with every entry, on a full disk
	first, err := firstEntry(l.name)
	if err != nil || first.Seq == 0 {
		return
	}
	to := segmentPath(l.path, first.Seq)
	if l.name == l.path { // or it has its name from an attempt before
		if l.disk.Rename(l.path, to) != nil {
			return
		}
		l.name = to
	}
	f, err := l.disk.OpenFile(l.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	if err := l.disk.SyncDir(filepath.Dir(l.path)); err != nil {
		_, _ = f.Close(), l.disk.Remove(l.path) // nothing is in it
		return
	}
	old := l.f
	l.f, l.name, l.size, l.begins = f, l.path, 0, true
	_ = old.Close() // everything in it is on disk
}

// VerifyLog checks a log from its first entry, over all its files, and returns its last one. head, if not empty, is a hash noted earlier that one of the entries must
// have; after, if not empty, is the hash of the entry before the first one that is here, whose file has been archived.
func VerifyLog(path, head, after string) (last Entry, err error) {
	return WalkLog(path, head, after, func(Entry) {})
}

// WalkLog is VerifyLog that shows every entry. What was shown counts for nothing if it fails.
func WalkLog(path, head, after string, show func(Entry)) (last Entry, err error) {
	files, err := Segments(closedForm.ReplaceAllString(path, ".log"))
	if err != nil {
		return last, err
	}
	if i := slices.Index(files, path); i >= 0 {
		files = files[:i+1] // a closed file, with those before it
	} else if _, err := os.Stat(path); err == nil || len(files) == 0 {
		files = append(files, path)
	}
	found := head == "" || head == after
	for i, file := range files {
		from := start{entry: last, known: i > 0}
		if i == 0 && after != "" {
			from = start{entry: Entry{Hash: after}, any: true, known: true}
		}
		var cut bool
		if last, cut, err = verifyFile(file, from, func(e Entry) { found = found || e.Hash == head; show(e) }); err != nil {
			return last, err
		}
		if cut {
			return last, fmt.Errorf("%s: %w behind entry %d: a crash, or it is being written", file, ErrCut, last.Seq)
		}
	}
	if !found {
		return last, fmt.Errorf("%s: no entry has the hash %s that was noted: the end of the log was removed, or the whole log replaced", path, head)
	}
	return last, nil
}

// VerifyCurrent checks the file of a log that a start reads.
func VerifyCurrent(path string) error {
	closed, err := Segments(path)
	if err != nil {
		return err
	}
	from := start{any: true}
	if len(closed) > 0 {
		e, err := lastEntry(closed[len(closed)-1])
		if err != nil {
			return err
		}
		from = start{entry: e, known: true}
	}
	_, _, err = verifyFile(path, from, func(Entry) {})
	return err
}

// verifyFile checks a file of a log, and reports whether it ends with less than an entry.
func verifyFile(path string, from start, seen func(Entry)) (last Entry, cut bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return last, false, err
	}
	defer f.Close()
	last, size, err := check(f, path, from, seen)
	if err != nil {
		return last, false, err
	}
	st, err := f.Stat()
	if err != nil {
		return last, false, err
	}
	return last, st.Size() > size, nil
}
