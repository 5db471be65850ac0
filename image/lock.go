// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Lock says which packages an image is built from, by digest.
type Lock struct {
	Version  int     `json:"version"`
	Packages []Input `json:"packages"` // the kernel, then the UEFI stub
}

// LockVersion is the version of the format of lock files.
const LockVersion = 1

//go:embed lock.json
var locked []byte

// Locked is what images of this source are built from.
func Locked() (*Lock, error) { return ParseLock(locked) }

// ParseLock reads a lock file strictly.
func ParseLock(b []byte) (*Lock, error) {
	l := new(Lock)
	if err := strictJSON(b, maxLock, l); err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	if l.Version != LockVersion {
		return nil, fmt.Errorf("lock file: version %d, expected %d", l.Version, LockVersion)
	}
	if err := checkInputs(l.Packages, []string{InputKernel, InputStub}, 2); err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	return l, nil
}

// Encode returns the lock file as it is stored.
func (l *Lock) Encode() ([]byte, error) {
	if err := checkInputs(l.Packages, []string{InputKernel, InputStub}, 2); err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	b, err := json.MarshalIndent(l, "", "  ")
	return append(b, '\n'), err
}

// Package returns the pin of a role.
func (l *Lock) Package(role string) (Input, bool) {
	i := slices.IndexFunc(l.Packages, func(in Input) bool { return in.Name == role })
	if i < 0 {
		return Input{}, false
	}
	return l.Packages[i], true
}

// Pin describes a package file as an input of a role, after a look at whether
// it can be one.
func Pin(role string, b []byte) (Input, error) {
	in := Input{Name: role, SHA256: Digest(b)}
	switch role {
	case InputKernel:
		k, err := readKernel(b)
		if err != nil {
			return in, fmt.Errorf("kernel: %w", err)
		}
		if _, err := k.loadOrder(); err != nil {
			return in, err
		}
		in.Package, in.Version = k.control.Package, k.control.Version
	case InputStub:
		control, _, err := readStub(b)
		if err != nil {
			return in, fmt.Errorf("UEFI stub: %w", err)
		}
		in.Package, in.Version = control.Package, control.Version
	default:
		return in, fmt.Errorf("%q is no role of a package", role)
	}
	return in, nil
}

// ErrNotPinned says that a file is not the package that is pinned.
var ErrNotPinned = errors.New("not the pinned package")

// CheckPin compares a package file with its pin.
func CheckPin(want Input, b []byte) error {
	if got := Digest(b); got != want.SHA256 {
		return fmt.Errorf("%w: it has sha256:%s, %s version %s is pinned with sha256:%s", ErrNotPinned, got, want.Package, want.Version, want.SHA256)
	}
	return nil
}
