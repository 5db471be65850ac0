// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Config is all that a workload gets to see of the world.
type Config struct {
	// Args are the arguments, the program's name first.
	Args []string
	// Env is the environment, one "NAME=value" each, in the guest's order.
	Env []string
	// FDs are the descriptors that are open from the start; the index is
	// the number. The System owns their streams and closes them.
	FDs []Descriptor
	// Preopens are the directories, on the numbers after FDs and not below
	// 3, in order. The System owns the trees and closes them.
	Preopens []Preopen
	// Clock tells the time. Nil means that of the machine, which a Keep
	// must not use: it is the host's.
	Clock Clock
	// Random is where random bytes come from; required. A request is filled
	// or fails: an error is EIO to the guest.
	Random io.Reader
	// Limits bound the guest; the zero value means the defaults.
	Limits Limits
}

// Preopen is a directory that the guest finds open under a name.
type Preopen struct {
	Path string // as the guest calls it, "/" or "/data"
	FS   FS
}

// Clock is the time as the guest sees it.
type Clock interface {
	// Realtime is the time since 1970-01-01 UTC in nanoseconds.
	Realtime() uint64
	// Monotonic is a time in nanoseconds that never goes back, from an
	// arbitrary beginning.
	Monotonic() uint64
	// Resolution is the step of both in nanoseconds, at least 1.
	Resolution() uint64
}

// machineClock is the time of the machine that this process runs on.
type machineClock struct{ start time.Time }

func (c machineClock) Realtime() uint64   { return uint64(time.Now().UnixNano()) }
func (c machineClock) Monotonic() uint64  { return uint64(time.Since(c.start)) + 1 }
func (c machineClock) Resolution() uint64 { return 1 }

// kind is the kind of an open descriptor.
type kind uint8

const (
	kindNull kind = iota
	kindStdio
	kindSocket
	kindListener
	kindNode // a device
	kindFile
	kindDir
)

// Descriptor is one descriptor that is open from the start; the functions
// [Null], [Stdin], [Stdout], [Stderr], [Socket] and [Listen] make one.
type Descriptor struct {
	kind     kind
	rights   rights
	stream   Stream
	listener Listener
	tty      bool
}

// Null is a descriptor that reads as empty and swallows what is written.
func Null() Descriptor { return Descriptor{kind: kindNull, rights: rightsNull} }

// Stdin is a descriptor that can only be read.
func Stdin(s Stream) Descriptor {
	return Descriptor{kind: kindStdio, rights: rightsStdio | rightFDRead, stream: s}
}

// Stdout is a descriptor that can only be written.
func Stdout(s Stream) Descriptor {
	return Descriptor{kind: kindStdio, rights: rightsStdio | rightFDWrite, stream: s}
}

// Stderr is the same as Stdout.
func Stderr(s Stream) Descriptor { return Stdout(s) }

// Socket is a connected stream socket.
func Socket(s Stream) Descriptor {
	return Descriptor{kind: kindSocket, rights: rightsSocket, stream: s}
}

// Listen is a socket that connections can be accepted on.
func Listen(l Listener) Descriptor {
	return Descriptor{kind: kindListener, rights: rightsListener, listener: l}
}

// TTY says that the descriptor, a Stdin, Stdout or Stderr, is a terminal:
// isatty holds for it in the guest, which then buffers by lines.
func (d Descriptor) TTY() Descriptor {
	d.tty = d.kind == kindStdio
	return d
}

// New makes the system interface of one instance. The error says what is
// wrong with cfg; then nothing of it was taken over or closed.
func New(cfg Config) (*System, error) {
	s := &System{clock: cfg.Clock, random: cfg.Random, limits: cfg.Limits.withDefaults()}
	if s.clock == nil {
		s.clock = machineClock{start: time.Now()}
	}
	s.quick = newQuick(s.clock)
	if s.random == nil {
		return nil, errors.New("a source of random bytes is needed: set Config.Random")
	}
	if err := s.setStrings(cfg); err != nil {
		return nil, err
	}
	if n := max(len(cfg.FDs), firstDir) + len(cfg.Preopens); n > s.limits.OpenFDs {
		return nil, fmt.Errorf("%d descriptors to begin with, at most %d may be open", n, s.limits.OpenFDs)
	}
	for i, d := range cfg.FDs {
		if err := d.check(); err != nil {
			return nil, fmt.Errorf("descriptor %d: %w", i, err)
		}
	}
	for _, p := range cfg.Preopens {
		if p.FS == nil || p.Path == "" || uint64(len(p.Path)) > uint64(s.limits.PathBytes) || strings.IndexByte(p.Path, 0) >= 0 {
			return nil, fmt.Errorf("directory %.80q: a tree and a path of 1 to %d bytes without zero are needed", p.Path, s.limits.PathBytes)
		}
	}
	for _, d := range cfg.FDs {
		s.inodes++
		s.fds = append(s.fds, &entry{kind: d.kind, base: d.rights, stream: d.stream, listener: d.listener, tty: d.tty, ino: s.inodes})
	}
	for len(s.fds) < firstDir && len(cfg.Preopens) > 0 {
		s.fds = append(s.fds, nil)
	}
	for _, p := range cfg.Preopens {
		p.FS.setClock(s.clock)
		s.trees = append(s.trees, p.FS)
		base, inheriting := rightsDir, rightsDirInheriting
		if p.FS.readOnly() {
			base, inheriting = base&^rightsMutating, inheriting&^rightsMutating
		}
		s.fds = append(s.fds, &entry{kind: kindDir, base: base, inheriting: inheriting, dir: p.FS.root(), fs: p.FS, preopen: p.Path})
	}
	return s, nil
}

func (d Descriptor) check() error {
	switch d.kind {
	case kindNull:
		return nil
	case kindListener:
		if d.listener == nil {
			return errors.New("a listening socket without a listener")
		}
	default:
		if d.stream == nil {
			return errors.New("a stream descriptor without a stream")
		}
	}
	return nil
}

// setStrings takes over the arguments and the environment.
func (s *System) setStrings(cfg Config) error {
	total := 0
	for _, list := range [][]string{cfg.Args, cfg.Env} {
		for _, v := range list {
			if strings.IndexByte(v, 0) >= 0 {
				return fmt.Errorf("argument or variable %.40q has a zero byte, which ends a string for the guest", v)
			}
			total += len(v) + 1
		}
	}
	if total > s.limits.ArgBytes {
		return fmt.Errorf("arguments and environment take %d bytes, at most %d are allowed", total, s.limits.ArgBytes)
	}
	s.args, s.env = newStrings(cfg.Args), newStrings(cfg.Env)
	return nil
}

// guestStrings are zero-terminated strings, one after the other, as the guest gets
// them.
type guestStrings struct {
	count int
	data  []byte
}

func newStrings(list []string) guestStrings {
	g := guestStrings{count: len(list)}
	for _, v := range list {
		g.data = append(append(g.data, v...), 0)
	}
	return g
}
