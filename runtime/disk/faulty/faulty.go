// Package faulty is a disk for tests that is full from a given byte on, or ends there as in a crash, or is slow.
package faulty

import (
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"smpcc/runtime/disk"
)

// ErrCrash is returned by everything after a crash.
var ErrCrash = errors.New("the process has ended")

// A Disk is the machine's disk until a number of bytes has been written or of steps been made; then it fails. It may be used by
// several goroutines.
type Disk struct {
	mu     sync.Mutex
	left   int64 // bytes that may still be written; negative for no limit
	steps  int64 // syncs, renames, links, removals and truncations that still work; negative for no limit
	crash  bool  // the first failure is the end
	failed bool

	spindle sync.Mutex // one sync at a time
	each    time.Duration
	syncs   atomic.Int64
}

// Full returns a disk on which no write succeeds after the given number of bytes; a write that crosses it is cut short. Files can be removed.
func Full(bytes int64) *Disk { return &Disk{left: bytes, steps: -1} }

// Crash returns a disk on which nothing succeeds after the given number of bytes: what a process leaves that is killed there.
func Crash(bytes int64) *Disk { return &Disk{left: bytes, steps: -1, crash: true} }

// CrashAt returns a disk on which nothing succeeds after the given number of syncs, renames, links, removals and truncations.
func CrashAt(steps int64) *Disk { return &Disk{left: -1, steps: steps, crash: true} }

// Sick returns a disk on which no sync, rename, link, removal and truncation succeeds after the given number of them, and writes do.
func Sick(steps int64) *Disk { return &Disk{left: -1, steps: steps} }

// Slow returns the machine's disk with syncs that take a time, one after another as on one spindle.
func Slow(each time.Duration) *Disk { return &Disk{left: -1, steps: -1, each: each} }

// Synced waits as long as a sync takes, and counts it. What syncs a file by itself calls it.
func (d *Disk) Synced() {
	d.spindle.Lock()
	defer d.spindle.Unlock()
	d.syncs.Add(1)
	if d.each > 0 {
		time.Sleep(d.each)
	}
}

// Syncs returns how many there have been.
func (d *Disk) Syncs() int64 { return d.syncs.Load() }

// Fill lets no write succeed from now on.
func (d *Disk) Fill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = 0
}

// Heal lets everything succeed from now on.
func (d *Disk) Heal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.steps, d.crash = -1, -1, false
}

// Failed reports whether something has failed.
func (d *Disk) Failed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// write returns how many of n bytes may be written, and why not more.
func (d *Disk) write(n int) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.crash && d.failed:
		return 0, ErrCrash
	case d.left < 0:
		return n, nil
	case int64(n) <= d.left:
		d.left -= int64(n)
		return n, nil
	}
	n, d.left, d.failed = int(d.left), 0, true
	if d.crash {
		return n, ErrCrash
	}
	return n, syscall.ENOSPC
}

// step returns whether an operation that writes nothing succeeds.
func (d *Disk) step() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.crash && d.failed:
		return ErrCrash
	case d.steps < 0:
		return nil
	case d.steps > 0:
		d.steps--
		return nil
	}
	d.failed = true
	if d.crash {
		return ErrCrash
	}
	return syscall.EIO
}

// alive returns ErrCrash after a crash.
func (d *Disk) alive() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.crash && d.failed {
		return ErrCrash
	}
	return nil
}

// OpenFile implements disk.Disk.
func (d *Disk) OpenFile(name string, flag int, mode fs.FileMode) (disk.File, error) {
	if err := d.alive(); err != nil {
		return nil, err
	}
	f, err := disk.Machine.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	return &file{f, d}, nil
}

// Rename implements disk.Disk.
func (d *Disk) Rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	return disk.Machine.Rename(from, to)
}

// Link implements disk.Disk.
func (d *Disk) Link(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	return disk.Machine.Link(from, to)
}

// Remove implements disk.Disk.
func (d *Disk) Remove(name string) error {
	if err := d.step(); err != nil {
		return err
	}
	return disk.Machine.Remove(name)
}

// SyncDir implements disk.Disk.
func (d *Disk) SyncDir(name string) error {
	d.Synced()
	if err := d.step(); err != nil {
		return err
	}
	return disk.Machine.SyncDir(name)
}

// A file counts what is written to it.
type file struct {
	disk.File
	d *Disk
}

// Write implements io.Writer.
func (f *file) Write(b []byte) (int, error) {
	n, err := f.d.write(len(b))
	if n > 0 {
		m, werr := f.File.Write(b[:n])
		return m, errors.Join(err, werr)
	}
	return 0, err
}

// WriteAt implements io.WriterAt.
func (f *file) WriteAt(b []byte, at int64) (int, error) {
	n, err := f.d.write(len(b))
	if n > 0 {
		m, werr := f.File.WriteAt(b[:n], at)
		return m, errors.Join(err, werr)
	}
	return 0, err
}

// Sync implements disk.File. The test's machine keeps what was written: syncing it would only take time.
func (f *file) Sync() error {
	f.d.Synced()
	return f.d.step()
}

// Truncate implements disk.File.
func (f *file) Truncate(size int64) error {
	if err := f.d.step(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}
