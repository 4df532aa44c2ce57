// Package disk is where servers keep files of state: what opens, writes, syncs and names them. Tests put a disk in its place
// that is full, or ends in the middle of a write.
package disk

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// A File is an open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Seeker
	io.Closer
	Stat() (fs.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

// A Disk is a file system. Names are paths of the machine.
type Disk interface {
	OpenFile(name string, flag int, mode fs.FileMode) (File, error)
	Rename(from, to string) error
	// Link gives a file a second name, which no file may have.
	Link(from, to string) error
	Remove(name string) error
	// SyncDir makes the names in a folder outlive a crash.
	SyncDir(name string) error
}

// Machine is the machine's own file system.
var Machine Disk = machine{}

type machine struct{}

// OpenFile implements Disk.
func (machine) OpenFile(name string, flag int, mode fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Rename implements Disk.
func (machine) Rename(from, to string) error { return os.Rename(from, to) }

// Link implements Disk.
func (machine) Link(from, to string) error { return os.Link(from, to) }

// Remove implements Disk.
func (machine) Remove(name string) error { return os.Remove(name) }

// SyncDir implements Disk.
func (machine) SyncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there
	}
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// making ends the names of files that are being written. After a crash such a file is worth nothing.
const making = ".making"

// IsMaking reports whether a file is being written, or was when a crash came.
func IsMaking(name string) bool { return strings.HasSuffix(name, making) }

// Sweep removes what crashes have left of files that were being written in a folder. Nobody may be writing there.
func Sweep(d Disk, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if IsMaking(e.Name()) && e.Type().IsRegular() {
			err = errors.Join(err, d.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// Replace writes a file so that its name means the old content or the new one, whole, also after a crash.
func Replace(d Disk, path string, mode fs.FileMode, write func(w io.Writer) error) error {
	made, err := prepare(d, path, mode, write)
	if err != nil {
		return err
	}
	if err := d.Rename(made, path); err != nil {
		return errors.Join(err, d.Remove(made))
	}
	return d.SyncDir(filepath.Dir(path))
}

// Create writes a file that must not exist: its name means the whole content, or nothing, also after a crash. The error for a file that exists
// wraps fs.ErrExist.
func Create(d Disk, path string, mode fs.FileMode, write func(w io.Writer) error) error {
	made, err := prepare(d, path, mode, write)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Link(made, path), d.Remove(made)); err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(path))
}

// Begin makes a file to be written, under a name that Sweep knows and nobody else uses.
func Begin(d Disk, path string, mode fs.FileMode) (File, string, error) {
	made := path + "." + rand.Text() + making
	f, err := d.OpenFile(made, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	return f, made, err
}

// prepare writes a file under the name that files have while they are made, and returns that name.
func prepare(d Disk, path string, mode fs.FileMode, write func(w io.Writer) error) (string, error) {
	f, made, err := Begin(d, path, mode)
	if err != nil {
		return "", err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, d.Remove(made)) // it takes room where there may be none
	}
	return made, nil
}
