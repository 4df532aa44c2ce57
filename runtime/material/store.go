package material

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"smpcc/runtime/disk"
)

// A Store keeps a party's material of sessions to come: its key of each and the corrections it got for it, in flat files
// of one segment each. A segment is written whole, synced and then named, so that a crash leaves none that is half made. What
// may be taken from it the ledger decides: the store knows which material is there, not which has been used.
//
// A segment is a header of 128 bytes and Count records of Size bytes, each followed by its SHA-256 together with the header
// and its number. Material is tied to a setup; that of another setup is deleted.
type Store struct {
	disk   disk.Disk
	dir    string
	digest [32]byte
	epoch  uint64
	size   int // bytes of a record
	limit  int64
	expire time.Duration
	now    func() time.Time
	// Elsewhere, if not nil, returns what else counts in the limit. It is set before the store is used.
	Elsewhere func() int64

	mu       sync.Mutex
	segments []*segment // by number
}

type segment struct {
	path         string
	head         [headSize]byte
	first, count uint64
	created      time.Time
}

func (s *segment) last() uint64 { return s.first + s.count - 1 }

const (
	headSize     = 128
	sumSize      = sha256.Size
	segmentMagic = "smpccmat"
	storeVersion = 1
	segmentName  = ".segment"
)

// ErrNone is returned for material that is not in the store.
var ErrNone = errors.New("the store does not hold it")

// ErrFull is wrapped by the refusal to store more than the limit.
var ErrFull = errors.New("the store is full")

// OpenStore opens the store of a plan and setup in dir, or makes it. Its records have size bytes. It deletes what a crash has
// left half made, what belongs to another setup, and what is older than expire.
func OpenStore(d disk.Disk, dir string, digest [32]byte, epoch uint64, size int, limit int64, expire time.Duration) (*Store, error) {
	s := &Store{disk: d, dir: dir, digest: digest, epoch: epoch, size: size, limit: limit, expire: expire, now: time.Now}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := disk.Sweep(d, dir); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !strings.HasSuffix(e.Name(), segmentName) {
			continue
		}
		g, err := s.readHead(path)
		if err != nil { // damaged, or of another setup: dead either way
			if err := d.Remove(path); err != nil {
				return nil, err
			}
			continue
		}
		s.segments = append(s.segments, g)
	}
	slices.SortFunc(s.segments, func(a, b *segment) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	return s, s.Expire()
}

func (s *Store) makeHead(first, count uint64, created time.Time) (h [headSize]byte) {
	b := append(make([]byte, 0, headSize), segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, storeVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(s.size))
	b = append(b, s.digest[:]...)
	for _, x := range []uint64{s.epoch, first, count, uint64(created.Unix())} {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	sum := sha256.Sum256(b)
	copy(h[copy(h[:], b):], sum[:])
	return h
}

// readHead checks the header and the length of a segment.
func (s *Store) readHead(path string) (*segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	g := &segment{path: path}
	if _, err := io.ReadFull(f, g.head[:]); err != nil {
		return nil, err
	}
	at := len(segmentMagic) + 8 + 32 + 8
	g.first, g.count = binary.LittleEndian.Uint64(g.head[at:]), binary.LittleEndian.Uint64(g.head[at+8:])
	g.created = time.Unix(int64(binary.LittleEndian.Uint64(g.head[at+16:])), 0)
	want := s.makeHead(g.first, g.count, g.created)
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !bytes.Equal(want[:], g.head[:]) || g.count == 0 || g.first == 0 || g.count > 1<<32 || g.first > 1<<62:
		return nil, fmt.Errorf("%s: not a segment of this setup", path)
	case st.Size() != s.bytes(int(g.count)):
		return nil, fmt.Errorf("%s: has %d bytes, want %d", path, st.Size(), s.bytes(int(g.count)))
	}
	return g, nil
}

// bytes returns the size of a segment of n records.
func (s *Store) bytes(n int) int64 { return headSize + int64(n)*int64(s.size+sumSize) }

// Size returns the bytes of a record.
func (s *Store) Size() int { return s.size }

// Room returns an error unless n more records may be stored.
func (s *Store) Room(n int) error {
	other := int64(0)
	if s.Elsewhere != nil {
		other = s.Elsewhere()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.total()
	switch {
	case have+other+s.bytes(n) <= s.limit:
		return nil
	case other > 0:
		return fmt.Errorf("%w: it holds %d bytes, and %d of other plans are beside it, %d sessions more take %d, the limit is %d; smpcc state gc removes those of other plans", ErrFull, have, other, n, s.bytes(n), s.limit)
	}
	return fmt.Errorf("%w: it holds %d bytes, %d sessions more take %d, the limit is %d", ErrFull, have, n, s.bytes(n), s.limit)
}

func (s *Store) total() (n int64) {
	for _, g := range s.segments {
		n += s.bytes(int(g.count))
	}
	return n
}

// An Adding is a segment that is being written.
type Adding struct {
	s    *Store
	f    disk.File
	made string // its name until it is whole
	g    *segment
	done uint64
	err  error
}

// Add begins a segment of count records with the numbers from first on. It must be ended with Commit or Discard.
func (s *Store) Add(first uint64, count int) (*Adding, error) {
	if first == 0 || count <= 0 {
		return nil, fmt.Errorf("a segment of %d records from number %d", count, first)
	}
	if err := s.Room(count); err != nil {
		return nil, err
	}
	created := s.now()
	g := &segment{path: filepath.Join(s.dir, fmt.Sprintf("%020d%s", first, segmentName)), first: first, count: uint64(count), created: created}
	g.head = s.makeHead(first, g.count, created)
	f, made, err := disk.Begin(s.disk, g.path, 0o600)
	if err != nil {
		return nil, err
	}
	a := &Adding{s: s, f: f, made: made, g: g}
	_, a.err = f.Write(g.head[:])
	return a, nil
}

// Put writes the next record.
func (a *Adding) Put(record []byte) error {
	switch {
	case a.err != nil:
	case len(record) != a.s.size || a.done == a.g.count:
		a.err = fmt.Errorf("record %d of %d has %d bytes, want %d", a.done, a.g.count, len(record), a.s.size)
	default:
		sum := recordSum(&a.g.head, a.g.first+a.done, record)
		if _, a.err = a.f.Write(record); a.err == nil {
			_, a.err = a.f.Write(sum[:])
		}
		a.done++
	}
	return a.err
}

func recordSum(head *[headSize]byte, number uint64, record []byte) [sumSize]byte {
	h := sha256.New()
	h.Write(head[:])
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], number)
	h.Write(n[:])
	h.Write(record)
	return [sumSize]byte(h.Sum(nil))
}

// Commit makes the segment durable and its material available.
func (a *Adding) Commit() error {
	if a.err == nil && a.done != a.g.count {
		a.err = fmt.Errorf("segment has %d of %d records", a.done, a.g.count)
	}
	if a.err != nil {
		a.Discard()
		return a.err
	}
	if err := errors.Join(a.f.Sync(), a.f.Close()); err != nil {
		return a.removed(err)
	}
	a.f = nil
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if n := len(a.s.segments); n > 0 && a.s.segments[n-1].last() >= a.g.first {
		return a.removed(fmt.Errorf("material %d is stored already", a.g.first))
	}
	if err := a.s.disk.Rename(a.made, a.g.path); err != nil {
		return a.removed(err)
	}
	a.made = a.g.path
	if err := a.s.disk.SyncDir(a.s.dir); err != nil {
		return a.removed(err)
	}
	a.s.segments = append(a.s.segments, a.g)
	return nil
}

// removed deletes the file, which nobody may use, and returns why. If it stays, the next OpenStore deletes it, or takes it for what it is: whole.
func (a *Adding) removed(why error) error {
	a.f = nil
	return errors.Join(why, a.s.disk.Remove(a.made))
}

// Discard gives the segment up. After Commit it does nothing.
func (a *Adding) Discard() {
	if a.f != nil {
		_ = a.f.Close()             // nothing in it is needed
		_ = a.s.disk.Remove(a.made) // if it stays, OpenStore removes it
		a.f = nil
	}
}

func (s *Store) find(number uint64) *segment {
	for _, g := range s.segments {
		if number >= g.first && number <= g.last() {
			return g
		}
	}
	return nil
}

// Has reports whether the store holds the material of a number.
func (s *Store) Has(number uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(number) != nil
}

// Next returns the lowest number above after that is stored, 0 if there is none.
func (s *Store) Next(after uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.segments {
		if g.last() > after {
			return max(g.first, after+1)
		}
	}
	return 0
}

// Take returns the record of a number and destroys it in the file. The caller has marked the number used in the ledger, on
// disk, before. All numbers up to floor are dead, and their files are deleted. The caller clears the record when it has been used.
func (s *Store) Take(number, floor uint64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.find(number)
	if g == nil {
		return nil, fmt.Errorf("material %d: %w", number, ErrNone)
	}
	record, err := s.read(g, number)
	return record, errors.Join(err, s.dropTo(floor))
}

func (s *Store) read(g *segment, number uint64) ([]byte, error) {
	f, err := s.disk.OpenFile(g.path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, s.size+sumSize)
	at := s.bytes(int(number - g.first))
	if _, err := f.ReadAt(b, at); err != nil {
		clear(b) // of what a failing disk has given
		return nil, fmt.Errorf("material %d: %w", number, err)
	}
	record := b[:s.size:s.size]
	if sum := recordSum(&g.head, number, record); !bytes.Equal(sum[:], b[s.size:]) {
		clear(b)
		return nil, fmt.Errorf("material %d is damaged in %s: its checksum differs; the disk may fail", number, g.path)
	}
	_, err = f.WriteAt(make([]byte, s.size+sumSize), at)
	return record, err
}

// DropTo deletes material with numbers up to one that has been used.
func (s *Store) DropTo(number uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropTo(number)
}

func (s *Store) dropTo(number uint64) error {
	return s.drop(func(g *segment) bool { return g.last() <= number })
}

// DropSegment deletes the segment that holds a number, when another party lacks it.
func (s *Store) DropSegment(number uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drop(func(g *segment) bool { return number >= g.first && number <= g.last() })
}

// Expire deletes material that is too old.
func (s *Store) Expire() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := s.now().Add(-s.expire)
	return s.drop(func(g *segment) bool { return s.expire > 0 && g.created.Before(oldest) })
}

func (s *Store) drop(dead func(*segment) bool) error {
	var errs []error
	s.segments = slices.DeleteFunc(s.segments, func(g *segment) bool {
		if !dead(g) {
			return false
		}
		if err := s.disk.Remove(g.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		return true
	})
	return errors.Join(errs...)
}

// Stock says what a store holds.
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

// Stock counts what the store holds above the last number used.
func (s *Store) Stock(used uint64) Stock { return s.StockOf(used, func(uint64) bool { return true }) }

// StockOf counts what the store holds of numbers above a floor that are free.
func (s *Store) StockOf(used uint64, free func(number uint64) bool) Stock {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := Stock{Bytes: s.total(), Limit: s.limit, Each: int64(s.size + sumSize)}
	for _, g := range s.segments {
		if g.last() <= used {
			continue
		}
		before := k.Sessions
		for number := max(g.first, used+1); number <= g.last(); number++ {
			if !free(number) {
				continue
			}
			if k.Sessions++; k.Sessions == 1 {
				k.First = number
			}
			k.Last = number
		}
		if k.Sessions == before {
			continue
		}
		if k.Oldest.IsZero() || g.created.Before(k.Oldest) {
			k.Oldest, k.Expires = g.created, g.created.Add(s.expire)
		}
	}
	return k
}

// Clear deletes everything.
func (s *Store) Clear() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drop(func(*segment) bool { return true })
}
