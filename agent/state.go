// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/enarx/enarx-go/loader"
)

// The state directory:
//
//	lock                 flock(2)ed by the one agent that uses the directory
//	records/ID.json      what a loader needs to remove a Keep; from before its start until nothing is left of it
//	keeps/ID/            the Keep's own directory, for its loader
//	spool/ID.json        whose sealed record it is and until when it is kept
//	spool/ID.sealed      the record, bytes that only the owner can open
//	sim-authority.pem    the keys of the throw-away root of platform sim, mode 0600
//	sim-root.pem         its certificate, for clients
//
// enarx agent has beside it, where platform vtpm is offered:
//
//	tpm-authority/       what certifies the software TPMs (loader/qemu), keys with mode 0600
//	vtpm-root.pem        its root, for clients
//
// An attacker who reads it learns which Keeps ran when, and can forge evidence
// of this agent's sim Keeps, which prove nothing anyway. One who writes it can
// destroy records and make a starting agent kill processes of its own user.
type state struct {
	dir  string
	lock *os.File
	// write replaces writeFile in tests that take the disk away.
	write func(path string, data []byte, perm fs.FileMode) error
}

const (
	dirRecords = "records"
	dirKeeps   = "keeps"
	dirSpool   = "spool"
)

// openState makes or checks the directory and locks it.
func openState(dir string) (*state, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("agent: state directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("agent: state directory: %w", err)
	}
	if err := checkPrivate(dir); err != nil {
		return nil, err
	}
	s := &state{dir: dir, write: writeFile}
	if s.lock, err = lockFile(filepath.Join(dir, "lock")); err != nil {
		return nil, err
	}
	for _, d := range []string{dirRecords, dirKeeps, dirSpool} {
		if err := os.Mkdir(s.path(d), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			s.close()
			return nil, fmt.Errorf("agent: state directory: %w", err)
		}
	}
	return s, nil
}

func checkPrivate(dir string) error {
	fi, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("agent: state directory: %w", err)
	}
	if !fi.IsDir() {
		return fmt.Errorf("agent: state directory %s is a %s, expected a directory", dir, fi.Mode().Type())
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("agent: state directory %s belongs to user %d, expected %d; choose another or change its owner", dir, st.Uid, os.Geteuid())
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("agent: state directory %s has mode %04o, expected 0700; run chmod 700 on it", dir, fi.Mode().Perm())
	}
	return nil
}

func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("agent: lock file: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("agent: another agent uses %s; end it or choose another directory with --state", filepath.Dir(path))
		}
		return nil, fmt.Errorf("agent: lock %s: %w", path, err)
	}
	return f, nil
}

func (s *state) close() {
	s.lock.Close() // which unlocks
}

func (s *state) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// keepDir is the directory of one Keep, as loader.Spec wants it.
func (s *state) keepDir(id string) string { return s.path(dirKeeps, id) }

func (s *state) makeKeepDir(id string) error { return os.Mkdir(s.keepDir(id), 0o700) }

// record is records/ID.json: what the loader needs, and whose Keep it was.
type record struct {
	loader.Record
	Caller string `json:"caller,omitempty"`
}

// recorder gives what a loader stores the record of a caller's Keep with.
func (s *state) recorder(caller string) func(loader.Record) error {
	return func(r loader.Record) error { return s.record(record{r, caller}) }
}

// record stores what Cleanup needs, durably, before the Keep may exist.
func (s *state) record(r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.write(s.path(dirRecords, r.ID+".json"), b, 0o600)
}

// forget removes a Keep's directory and then its record, so that a crash in
// between leaves a record that leads to the directory.
func (s *state) forget(id string) error {
	return errors.Join(os.RemoveAll(s.keepDir(id)), remove(s.path(dirRecords, id+".json")))
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// records reads back what a former life of the agent left. A record that
// cannot be read is an error: it may be the only trace of a living Keep.
func (s *state) records() ([]record, error) {
	var out []record
	err := s.each(dirRecords, ".json", func(id string, b []byte) error {
		var r record
		if err := json.Unmarshal(b, &r); err != nil || r.ID != id {
			return fmt.Errorf("agent: %s is not the record of Keep %s: %v; make sure that nothing of that Keep runs, then remove the file", s.path(dirRecords, id+".json"), id, err)
		}
		out = append(out, r)
		return nil
	})
	return out, err
}

// each calls f with every file of a directory that is named for a Keep.
// Temporary files of an interrupted write are removed.
func (s *state) each(dir, suffix string, f func(id string, b []byte) error) error {
	entries, err := os.ReadDir(s.path(dir))
	if err != nil {
		return fmt.Errorf("agent: state directory: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), tempSuffix) {
			if err := remove(s.path(dir, e.Name())); err != nil {
				return fmt.Errorf("agent: state directory: %w", err)
			}
			continue
		}
		id, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok || !validID(id) {
			continue
		}
		b, err := readFile(s.path(dir, e.Name()), maxStateFile)
		if err != nil {
			return fmt.Errorf("agent: state directory: %w", err)
		}
		if err := f(id, b); err != nil {
			return err
		}
	}
	return nil
}

// strays removes the directories of Keeps that no record in kept explains: a
// crash came before their record, so nothing was started in them.
func (s *state) strays(kept map[string]bool) error {
	entries, err := os.ReadDir(s.path(dirKeeps))
	if err != nil {
		return fmt.Errorf("agent: state directory: %w", err)
	}
	for _, e := range entries {
		if !kept[e.Name()] {
			if err := os.RemoveAll(s.path(dirKeeps, e.Name())); err != nil {
				return fmt.Errorf("agent: state directory: %w", err)
			}
		}
	}
	return nil
}

// readFile reads a regular file of at most limit bytes, following no symlink.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, nil
}

const tempSuffix = ".tmp"

// writeFile replaces a file so that after a power cut either the old or the
// new one is there, whole.
func writeFile(path string, data []byte, perm fs.FileMode) error {
	tmp := path + tempSuffix
	if err := writeSynced(tmp, data, perm); err != nil {
		os.Remove(tmp)
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return syncDir(filepath.Dir(path))
}

func writeSynced(path string, data []byte, perm fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|syscall.O_NOFOLLOW, perm)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
