package attest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// What is asked of a log while it is written reads few files of it, from its end. It does not verify the chain: VerifyLog does.

// A segment is a file of a log.
type segment struct {
	path  string
	first uint64 // number of its first entry; 0 if it is the current file and nothing is known of it
}

// numberForm is the number of the first entry in the name of a closed file.
var numberForm = regexp.MustCompile(`-([0-9]{12})\.log$`)

// segmentsOf returns the files of a log, the oldest first.
func segmentsOf(path string) (out []segment, err error) {
	closed, err := Segments(path)
	if err != nil {
		return nil, err
	}
	for _, c := range closed {
		n, err := strconv.ParseUint(numberForm.FindStringSubmatch(filepath.Base(c))[1], 10, 64)
		if err != nil {
			return nil, err
		}
		out = append(out, segment{c, n})
	}
	first, err := firstEntry(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil && first.Seq > 0 {
		out = append(out, segment{path, first.Seq})
	}
	return out, nil
}

// Recent shows the entries of the last files of a log that begin below a number, 0 for the end of the log, the oldest first, and of the one file behind them, which may say how
// something ended. It returns the number of the first entry it has shown of these, and whether there are files before.
func Recent(path string, below uint64, files int, show func(Entry)) (first uint64, older bool, err error) {
	list, err := segmentsOf(path)
	if err != nil {
		return 0, false, err
	}
	end := len(list)
	for end > 0 && below > 0 && list[end-1].first >= below {
		end--
	}
	begin := max(0, end-files)
	for i := begin; i < min(end+1, len(list)); i++ {
		if err := eachLine(list[i].path, func(line []byte) error {
			var e Entry
			if err := json.Unmarshal(line, &e); err != nil {
				return fmt.Errorf("%s: a line is not an entry", list[i].path)
			}
			show(e)
			return nil
		}); err != nil {
			return 0, false, err
		}
	}
	if end == begin {
		return 0, false, nil
	}
	return list[begin].first, begin > 0, nil
}

// errFound ends a search.
var errFound = errors.New("found")

// HashAt returns the hash of an entry of a log, "" if none of its files here has it.
func HashAt(path string, entry uint64) (hash string, err error) {
	list, err := segmentsOf(path)
	if err != nil {
		return "", err
	}
	i := len(list) - 1
	for i >= 0 && list[i].first > entry {
		i--
	}
	if i < 0 {
		return "", nil
	}
	begins := fmt.Appendf(nil, `{"seq":%d,`, entry)
	err = eachLine(list[i].path, func(line []byte) error {
		if !bytes.HasPrefix(line, begins) {
			return nil
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("%s: a line is not an entry", list[i].path)
		}
		hash = e.Hash
		return errFound
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return hash, err
}

// eachLine shows the whole lines of a file.
func eachLine(path string, show func(line []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b := bufio.NewReaderSize(f, maxEntry+1)
	for {
		line, err := b.ReadSlice('\n')
		if errors.Is(err, io.EOF) { // what is being written is no line yet
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: a line is too long or unreadable", path)
		}
		if err := show(line[:len(line)-1]); err != nil {
			return err
		}
	}
}
