// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// Descriptors of a Keep's parent process, as the loader leaves them.
const (
	SallyportFD = 3 // one end of a Unix stream socket pair
	SpecFD      = 4 // the read end of a pipe with the Spec
)

// Spec says how to sandbox one Keep. The loader makes it from what the host
// can do and what the user lends; the Keep obeys it or ends. It comes from
// the host and is as untrusted as the host: a false Spec can weaken the
// host's protection from the Keep, which is the host's own to weaken, and on
// platform process the host sees inside the Keep anyway.
type Spec struct {
	// MountNS says that the Keep runs in a mount namespace of its own, and
	// therefore that PrepareRoot must build an empty root.
	MountNS bool `json:"mount_ns"`
	// PIDNS says that the Keep is alone in a process namespace and may make
	// another one for its child.
	PIDNS bool `json:"pid_ns"`
	// LandlockABI is the Landlock version to enforce, 1 or higher; 0 means
	// that the host has none.
	LandlockABI int `json:"landlock_abi"`
	// Seccomp says whether to load the system call filters. It is false
	// only where the kernel has no seccomp.
	Seccomp bool `json:"seccomp"`
	// DropTo is the user and group ID that both processes switch to when
	// they seal themselves, or 0 to stay. It is set where the Keep needs
	// real root to build its root directory.
	DropTo int `json:"drop_to,omitempty"`
	// ChildFirst says that the kernel shall end the engine child before its
	// parent when memory runs out, so that the parent can report it. It is
	// set in a machine of the Keep's own, where /proc is the Keep's to use.
	ChildFirst bool `json:"child_first,omitempty"`
	// Limits are resource limits that StartChild sets on the Keep, and that
	// the child inherits. The Keep lowers them itself because that needs no
	// privilege, where the loader would need one.
	Limits []Limit `json:"limits,omitempty"`
	// Dirs are the lent directories. Inside they are /dirs/0, /dirs/1, …
	Dirs []Mount `json:"dirs,omitempty"`
	// Cache is the directory for compiled code, /cache inside; nil means
	// that there is none.
	Cache *Mount `json:"cache,omitempty"`
}

// Limit is one resource limit, soft and hard (getrlimit(2)).
type Limit struct {
	Resource int    `json:"resource"` // RLIMIT_ number
	Name     string `json:"name"`     // for people
	Value    uint64 `json:"value"`
}

// Mount is one host directory that the Keep sees.
type Mount struct {
	// Guest is the name under which the workload sees a lent directory. It
	// is not used by this package; the Keep reads it.
	Guest string `json:"guest,omitempty"`
	// Host is the absolute path on the host.
	Host string `json:"host"`
	// FD, if not 0, is an inherited descriptor of a detached mount of the
	// directory (open_tree(2) with OPEN_TREE_CLONE), used instead of Host
	// because the Keep's user may not walk Host's parents.
	FD int `json:"fd,omitempty"`
	// ReadOnly makes the directory read-only for the Keep.
	ReadOnly bool `json:"read_only,omitempty"`
}

// DirPath is the path of the i-th lent directory as the Keep's processes see
// it after PrepareRoot.
func (s *Spec) DirPath(i int) string {
	if s.MountNS {
		return fmt.Sprintf("/dirs/%d", i)
	}
	return s.Dirs[i].Host
}

// CachePath is the path of the cache directory as the Keep's processes see it
// after PrepareRoot, or "" if there is none.
func (s *Spec) CachePath() string {
	switch {
	case s.Cache == nil:
		return ""
	case s.MountNS:
		return "/cache"
	}
	return s.Cache.Host
}

// Encode gives the Spec as the loader sends it: one JSON object.
func (s *Spec) Encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode sandbox spec: %w", err)
	}
	if len(b) > maxSpecBytes {
		return nil, fmt.Errorf("sandbox spec is %d bytes, at most %d fit; lend fewer directories or shorter paths", len(b), maxSpecBytes)
	}
	return b, nil
}

// ReadSpec reads the Spec from descriptor fd until its end and closes it. It
// blocks until the loader has written it, which the loader does when the
// Keep's limits are in place; a loader that dies first shows as an error.
func ReadSpec(fd int) (*Spec, error) {
	f := os.NewFile(uintptr(fd), "spec")
	if f == nil {
		return nil, fmt.Errorf("read sandbox spec: %d is no descriptor; a loader starts Keeps, not a person", fd)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSpecBytes+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("read sandbox spec from descriptor %d: %w", fd, err)
	}
	return decode(b)
}

// ChildSpec decodes the Spec that [StartChild] put into the engine child's
// last argument.
func ChildSpec(arg string) (*Spec, error) { return decode([]byte(arg)) }

func decode(b []byte) (*Spec, error) {
	if len(b) == 0 {
		return nil, errors.New("sandbox spec is empty: the loader ended before it was ready")
	}
	if len(b) > maxSpecBytes {
		return nil, fmt.Errorf("sandbox spec is longer than %d bytes", maxSpecBytes)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var s Spec
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("decode sandbox spec: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("decode sandbox spec: more than one JSON object")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return &s, nil
}

func (s *Spec) check() error {
	if len(s.Dirs) > maxDirs {
		return fmt.Errorf("sandbox spec lends %d directories, at most %d can be", len(s.Dirs), maxDirs)
	}
	if s.LandlockABI < 0 {
		return fmt.Errorf("sandbox spec asks for Landlock version %d, which cannot be", s.LandlockABI)
	}
	if s.DropTo < 0 {
		return fmt.Errorf("sandbox spec asks for user ID %d, which cannot be", s.DropTo)
	}
	if len(s.Limits) > maxLimits {
		return fmt.Errorf("sandbox spec has %d resource limits, at most %d can be", len(s.Limits), maxLimits)
	}
	for i, d := range s.Dirs {
		if err := d.check(); err != nil {
			return fmt.Errorf("lent directory %d: %w", i, err)
		}
	}
	if s.Cache != nil {
		if err := s.Cache.check(); err != nil {
			return fmt.Errorf("cache directory: %w", err)
		}
	}
	return nil
}

func (m Mount) check() error {
	switch {
	case !path.IsAbs(m.Host):
		return fmt.Errorf("path %q is not absolute", m.Host)
	case len(m.Host) >= maxPath || len(m.Guest) >= maxPath:
		return fmt.Errorf("path is longer than %d bytes", maxPath-1)
	case strings.ContainsRune(m.Host, 0) || strings.ContainsRune(m.Guest, 0):
		return fmt.Errorf("path %q contains a zero byte", m.Host)
	case m.FD < 0 || m.FD > 0 && m.FD <= SpecFD:
		return fmt.Errorf("descriptor %d cannot be a directory's", m.FD)
	}
	return nil
}

// Layer is one mechanism that isolates the Keep, applied or not.
type Layer struct {
	Name    string `json:"name"`
	Applied bool   `json:"applied"`
	Detail  string `json:"detail"`
}

// writable says whether any lent directory may be written.
func (s *Spec) writable() bool {
	for _, d := range s.Dirs {
		if !d.ReadOnly {
			return true
		}
	}
	return false
}
