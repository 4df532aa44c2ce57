package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"smpcc/backend/plan/typed"
	"smpcc/runtime/attest"
	"smpcc/runtime/disk"
)

// A StateItem is a file or folder of a state folder that its plan does not need any more, or that can be archived.
type StateItem struct {
	Path    string
	What    string
	Bytes   int64
	Archive bool // a closed file of the audit log: it is to be kept, elsewhere
}

// Names in a state folder, behind which the start of a plan's digest stands.
const (
	setupPrefix    = "setup-"
	materialFolder = "material"
)

// abandoned is the age at which a file that was being written is so no more.
const abandoned = time.Hour

// planMark is the start of a plan's digest that names of its state carry.
func planMark(digest [32]byte) string { return fmt.Sprintf("%x", digest[:8]) }

// KeptPlans returns the digests of the plans that a configuration's server serves: its own, those of its folder, and those that have been deployed.
func (c *Config) KeptPlans() (digests []string, err error) {
	if c, err = c.resolved(); err != nil {
		return nil, err
	}
	if c.Plan != "" {
		p, err := typed.ReadFile(c.Plan)
		if err != nil {
			return nil, err
		}
		digests = append(digests, p.Digest())
	}
	files, err := c.planFiles("")
	for _, f := range files {
		if f.record.Plan == "" { // whose state it is cannot be told
			return nil, fmt.Errorf("%s: %w", f.file, f.err)
		}
		digests = append(digests, f.record.Plan)
	}
	return digests, err
}

// Garbage lists what a state folder holds besides what some plans need: setups and material of other plans, what crashes have left, and closed files of the audit log. The
// ledger keeps the numbers of all plans for ever. No server may use the folder with another plan meanwhile.
func Garbage(dir string, plans ...string) (out []StateItem, err error) {
	kept := func(mark string) bool {
		return slices.ContainsFunc(plans, func(digest string) bool { return digest[:16] == mark })
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case disk.IsMaking(e.Name()):
			if info, err := e.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > abandoned {
				out = append(out, StateItem{Path: path, What: "left by a crash"})
			}
		case strings.HasPrefix(e.Name(), setupPrefix) && !kept(strings.TrimPrefix(e.Name(), setupPrefix)):
			out = append(out, StateItem{Path: path, What: "setup of plan " + strings.TrimPrefix(e.Name(), setupPrefix)})
		case e.Name() == materialFolder && e.IsDir():
			stores, err := os.ReadDir(path)
			if err != nil {
				return nil, err
			}
			for _, s := range stores {
				if !kept(s.Name()) {
					out = append(out, StateItem{Path: filepath.Join(path, s.Name()), What: "material of plan " + s.Name()})
				}
			}
		}
	}
	closed, err := attest.Segments(filepath.Join(dir, logName))
	if err != nil {
		return nil, err
	}
	for _, path := range closed {
		out = append(out, StateItem{Path: path, What: "closed file of the audit log", Archive: true})
	}
	for i := range out {
		if out[i].Bytes, err = bytesOf(out[i].Path); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// bytesOf returns the bytes of a file, or of all files of a folder. What is removed meanwhile counts nothing.
func bytesOf(path string) (n int64, err error) {
	err = filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				n += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return n, err
}

// Collect removes what Garbage has listed, and moves closed files of the audit log to a folder; without one they stay. It returns how many bytes the state folder is
// smaller by.
func Collect(items []StateItem, archive string) (freed int64, err error) {
	var errs []error
	for _, i := range items {
		switch {
		case i.Archive && archive == "":
			continue
		case i.Archive:
			err = move(i.Path, filepath.Join(archive, filepath.Base(i.Path)))
		default:
			err = os.RemoveAll(i.Path)
		}
		if err == nil {
			freed += i.Bytes
		}
		errs = append(errs, err)
	}
	return freed, errors.Join(errs...)
}

// move moves a file to a name that no file has, on another disk too: it is whole there before it goes here.
func move(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := disk.Create(disk.Machine, to, 0o600, func(w io.Writer) error { _, err := io.Copy(w, in); return err }); err != nil {
		return err
	}
	return os.Remove(from)
}

// stateBytes returns what the state folder takes by kind: the audit log, setups, and material of all plans.
func (s *Server) stateBytes(kind string) int64 {
	var paths []string
	switch kind {
	case "log":
		paths, _ = attest.Segments(filepath.Join(s.cfg.State, logName)) // its pattern is right
		paths = append(paths, filepath.Join(s.cfg.State, logName))
	case "setup":
		paths, _ = filepath.Glob(filepath.Join(s.cfg.State, setupPrefix+"*"))
	case "material":
		paths = []string{filepath.Join(s.cfg.State, materialFolder)}
	}
	n := int64(0)
	for _, p := range slices.Compact(paths) {
		b, err := bytesOf(p)
		if err != nil {
			s.log.Warn("the size of state cannot be read", "file", p, "error", err.Error())
		}
		n += b
	}
	return n
}
