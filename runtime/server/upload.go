package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"smpcc/runtime/control"
	"smpcc/runtime/disk"
)

// Plans that are deployed at a running server come in parts: what a request holds is bounded, whatever a plan or its weights take. Parts go to a folder
// that has the name of nothing else, and that a start removes.

// Limits of uploads.
const (
	maxUploads = 4           // of those who may deploy, and of those who may only ask
	uploadIdle = time.Minute // after which one makes room for another
)

// uploadMark begins names of folders of uploads, and goneMark those of what is being removed.
const (
	uploadMark = ".upload-"
	goneMark   = ".gone-"
)

// uploads are plans on their way, one of a caller.
type uploads struct {
	mu sync.Mutex
	of map[string]*upload
}

// An upload is a folder of files, as far as they have come.
type upload struct {
	dir     string
	sizes   map[string]int64
	last    time.Time
	deploys bool // its caller may deploy; or else it may only ask that the plan be run
}

// total returns the bytes of all files.
func (u *upload) total() (n int64) {
	for _, size := range u.sizes {
		n += size
	}
	return n
}

// uploadHandler takes a part of a file.
func (s *Server) uploadHandler(_ context.Context, peer string, req []byte) ([]byte, error) {
	if err := s.mayUpload(peer); err != nil {
		return nil, err
	}
	h, data, err := control.Unseal[control.UploadHead](req)
	if err != nil {
		return nil, err
	}
	if err := s.takes(); err != nil {
		return nil, err
	}
	s.uploads.mu.Lock()
	defer s.uploads.mu.Unlock()
	if err := s.addPart(peer, h, data); err != nil {
		s.dropUpload(peer) // the caller begins again
		return nil, err
	}
	return []byte("{}"), nil
}

// addPart writes a part of a caller's upload. The lock of uploads is held.
func (s *Server) addPart(peer string, h control.UploadHead, data []byte) (err error) {
	if err := control.CheckUpload(h.File); err != nil {
		return err
	}
	u := s.uploads.of[peer]
	if h.File == control.PlanFile && h.At == 0 {
		if u, err = s.beginUpload(peer); err != nil {
			return err
		}
	}
	switch {
	case u == nil:
		return errors.New("the plan's file comes first; or the upload has been given up: begin again")
	case h.At < 0 || u.sizes[h.File] != h.At:
		return fmt.Errorf("%s: %d bytes have come, not %d", h.File, u.sizes[h.File], h.At)
	case u.total()+int64(len(data)) > s.cfg.upload:
		return fmt.Errorf("the files have more than %s; raise limits.upload", sizeText(s.cfg.upload))
	case !u.deploys && strings.HasPrefix(h.File, control.WeightsFile):
		return errors.New("a request has no weights: they are their owner's")
	case !u.deploys && u.total()+int64(len(data)) > s.cfg.requestPlan:
		return fmt.Errorf("the plan has more than %s, the limit of requests.plan at %s", sizeText(s.cfg.requestPlan), s.name)
	}
	f, err := s.files().OpenFile(filepath.Join(u.dir, h.File), os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil {
		_, err = f.WriteAt(data, h.At)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	u.sizes[h.File] += int64(len(data))
	u.last = time.Now()
	return nil
}

// beginUpload makes a folder for a caller's files. The lock of uploads is held.
func (s *Server) beginUpload(peer string) (*upload, error) {
	s.dropUpload(peer)
	deploys, same := s.mayDeploy(peer) == nil, 0 // so that those who ask keep nobody from deploying
	for other, u := range s.uploads.of {
		if time.Since(u.last) > uploadIdle {
			s.dropUpload(other)
		} else if u.deploys == deploys {
			same++
		}
	}
	if same >= maxUploads {
		return nil, fmt.Errorf("%d plans are being uploaded to %s; try again later", maxUploads, s.name)
	}
	u := &upload{dir: filepath.Join(s.plansFolder(), uploadMark+rand.Text()), sizes: map[string]int64{}, last: time.Now(), deploys: deploys}
	if err := os.MkdirAll(u.dir, 0o700); err != nil {
		return nil, err
	}
	if s.uploads.of == nil {
		s.uploads.of = map[string]*upload{}
	}
	s.uploads.of[peer] = u
	return u, nil
}

// dropUpload removes what a caller has uploaded, if anything. The lock of uploads is held.
func (s *Server) dropUpload(peer string) {
	if u := s.uploads.of[peer]; u != nil {
		delete(s.uploads.of, peer)
		s.discard(u.dir)
	}
}

// discard removes a folder, and says if it cannot.
func (s *Server) discard(dir string) {
	if err := os.RemoveAll(dir); err != nil {
		s.log.Warn("a folder cannot be removed", "folder", dir, "error", err.Error())
	}
}

// takeUpload ends a caller's upload and returns its folder, whose files are whole, on disk, and have the sums that the caller says.
func (s *Server) takeUpload(peer string, sums map[string]string) (*upload, error) {
	s.uploads.mu.Lock()
	u := s.uploads.of[peer]
	delete(s.uploads.of, peer)
	s.uploads.mu.Unlock()
	if u == nil {
		return nil, errors.New("no plan has been uploaded; or the upload has been given up: begin again")
	}
	if err := s.arrived(u, sums); err != nil {
		s.discard(u.dir)
		return nil, err
	}
	return u, nil
}

// arrived returns why an upload is not what its caller has sent, and on disk, nil if it is.
func (s *Server) arrived(u *upload, sums map[string]string) error {
	if len(sums) != len(u.sizes) {
		return fmt.Errorf("%d files have come, %d are named", len(u.sizes), len(sums))
	}
	for name := range u.sizes {
		f, err := s.files().OpenFile(filepath.Join(u.dir, name), os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
		if !strings.EqualFold(hex.EncodeToString(h.Sum(nil)), sums[name]) {
			return fmt.Errorf("%s did not arrive as it was sent", name)
		}
	}
	return s.files().SyncDir(u.dir)
}

// sweepPlans removes what a crash has left of uploads, deployments and removals.
func (s *Server) sweepPlans() error {
	entries, err := os.ReadDir(s.plansFolder())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		dir := filepath.Join(s.plansFolder(), e.Name())
		if !strings.HasPrefix(e.Name(), uploadMark) && !strings.HasPrefix(e.Name(), goneMark) && exists(filepath.Join(dir, recordName)) {
			err = errors.Join(err, disk.Sweep(s.files(), dir))
			continue
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}
