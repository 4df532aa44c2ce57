package invite

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// revokedName is the file in a server's state folder that lists what has been taken back, one name of an invitation a line.
const revokedName = "invitations.revoked"

// maxList bounds files that list invitations.
const maxList = 64 << 20

// Revoked returns the invitations that have been taken back at a server, by its state folder.
func Revoked(state string) (map[string]bool, error) {
	out := map[string]bool{}
	return out, lines(filepath.Join(state, revokedName), func(line string) error {
		out[line] = true
		return nil
	})
}

// Revoke takes an invitation back at a server, by its state folder: from the next request on it is refused.
func Revoke(state, id string) error {
	if !idForm.MatchString(id) {
		return fmt.Errorf("%q is no name of an invitation; smpcc invites list shows them", id)
	}
	if info, err := os.Stat(state); err != nil || !info.IsDir() {
		return fmt.Errorf("%s is no state folder of a server", state)
	}
	return add(filepath.Join(state, revokedName), id)
}

// File is where the invitations to a plan are listed, beside it.
func File(plan string) string { return plan + ".invites" }

// Note lists an invitation beside its plan. The token is not a part of it.
func Note(plan string, v Invitation) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return add(File(plan), string(line))
}

// Noted returns the invitations that are listed beside a plan.
func Noted(plan string) (out []Invitation, err error) {
	return out, lines(File(plan), func(line string) error {
		var v Invitation
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			return fmt.Errorf("%s holds what is no invitation", File(plan))
		}
		out = append(out, v)
		return nil
	})
}

// add appends a line, which is on disk when it returns.
func add(file, line string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// lines shows the lines of a file; of one that is not there, none.
func lines(file string, show func(line string) error) error {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() > maxList {
		return fmt.Errorf("%s is too long", file)
	}
	in := bufio.NewScanner(f)
	for in.Scan() {
		if line := strings.TrimSpace(in.Text()); line != "" {
			if err := show(line); err != nil {
				return err
			}
		}
	}
	return in.Err()
}
