// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/detcbor"
)

// ControlFD is the descriptor of the control socket in the engine child: one
// end of a Unix SOCK_SEQPACKET pair, whose messages keep their boundaries.
const ControlFD = 3

// Kinds of messages: the first byte on the wire.
const (
	kindRoot     = 'R' // parent: the root directory is final; seal yourself
	kindFDs      = 'F' // parent: descriptors, in order
	kindJob      = 'J' // parent: Job
	kindCompiled = 'C' // child: Compiled
	kindDone     = 'D' // child: Done
	kindAsk      = 'Q' // child, on the socket for questions: Ask
	kindAnswer   = 'A' // parent, on the same: answer
)

// Job is what the parent asks of the child. Descriptors came before it, in
// this order: the sealed memory with the bundle, the one with the secret
// values, then one for each entry of the configuration's files that is not
// null, then the socket for questions.
type Job struct {
	WallNS      uint64 `cbor:"1,keyasint"` // trusted time at MonoNS, nanoseconds since 1970 UTC
	MonoNS      uint64 `cbor:"2,keyasint"` // CLOCK_MONOTONIC at WallNS
	BundleSize  uint64 `cbor:"3,keyasint"`
	SecretsSize uint64 `cbor:"4,keyasint"`
	Dirs        []Dir  `cbor:"5,keyasint,omitempty"`
	CacheDir    string `cbor:"6,keyasint,omitempty"`
}

// Dir is a lent host directory; local process Keeps only.
type Dir struct {
	Path     string `cbor:"1,keyasint"` // where the child finds it
	Guest    string `cbor:"2,keyasint"`
	ReadOnly bool   `cbor:"3,keyasint,omitempty"`
}

// Compiled says that the module is ready to run.
type Compiled struct {
	US     uint64 `cbor:"1,keyasint"` // microseconds
	Engine string `cbor:"2,keyasint"`
}

// check bounds what is shown to the owner.
func (m *Compiled) check() error {
	if len(m.Engine) > maxEngine {
		return fmt.Errorf("the engine's name has %d bytes, at most %d are expected", len(m.Engine), maxEngine)
	}
	for i := range len(m.Engine) {
		if b := m.Engine[i]; b < ' ' || b > '~' {
			return errors.New("the engine's name is not printable ASCII")
		}
	}
	return nil
}

// How the child's work ended.
const (
	DoneExit  = "exit"
	DoneTrap  = "trap"
	DoneSetup = "setup"
)

// Done is the child's last word. The parent believes it as far as it believes
// the workload itself: it says how the workload ended, nothing else.
type Done struct {
	End    string `cbor:"1,keyasint"`
	Code   uint64 `cbor:"2,keyasint"`
	Reason string `cbor:"3,keyasint,omitempty"`
	Trace  string `cbor:"4,keyasint,omitempty"`
}

func (d *Done) check() error {
	switch d.End {
	case DoneExit, DoneTrap, DoneSetup:
	default:
		return errors.New("unknown kind of end")
	}
	if d.Code > 1<<32-1 || len(d.Reason) > maxText || len(d.Trace) > maxText {
		return errors.New("a field is out of range")
	}
	return nil
}

// Control is one end of the control socket.
type Control struct{ f *os.File }

// NewControl takes over a non-blocking SOCK_SEQPACKET descriptor.
func NewControl(fd int) *Control {
	return &Control{os.NewFile(uintptr(fd), "engine child control")}
}

// Close closes this end; the other sees end of file.
func (c *Control) Close() error { return c.f.Close() }

// send sends one message with optional descriptors.
func (c *Control) send(kind byte, body []byte, fds ...int) error {
	if len(body)+1 > maxMessage {
		return fmt.Errorf("engine child: a message of %d bytes is larger than %d", len(body)+1, maxMessage)
	}
	msg := append([]byte{kind}, body...)
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	rc, err := c.f.SyscallConn()
	if err != nil {
		return fmt.Errorf("engine child: send: %w", err)
	}
	var serr error
	err = rc.Write(func(fd uintptr) bool {
		serr = unix.Sendmsg(int(fd), msg, oob, nil, unix.MSG_NOSIGNAL)
		return serr != unix.EAGAIN
	})
	if err == nil {
		err = serr
	}
	if err != nil {
		return fmt.Errorf("engine child: send: %w", err)
	}
	return nil
}

// recv receives one message. Descriptors are taken only if wantFDs: the parent
// must never hold one that the child chose. It gives the kernel no room for
// any, so that the kernel closes those that come and says so, and it takes the
// message for the breach that it is.
func (c *Control) recv(wantFDs bool) (kind byte, body []byte, fds []int, err error) {
	buf := make([]byte, maxMessage+1)
	var oob []byte
	if wantFDs {
		oob = make([]byte, unix.CmsgSpace(4*fdsPerMessage))
	}
	rc, err := c.f.SyscallConn()
	if err != nil {
		return 0, nil, nil, fmt.Errorf("engine child: receive: %w", err)
	}
	var n, oobn, flags int
	var rerr error
	err = rc.Read(func(fd uintptr) bool {
		n, oobn, flags, _, rerr = unix.Recvmsg(int(fd), buf, oob, unix.MSG_CMSG_CLOEXEC)
		return rerr != unix.EAGAIN
	})
	switch {
	case err != nil:
		return 0, nil, nil, fmt.Errorf("engine child: receive: %w", err)
	case rerr != nil:
		return 0, nil, nil, fmt.Errorf("engine child: receive: %w", rerr)
	case n == 0:
		return 0, nil, nil, errClosed
	case n > maxMessage:
		return 0, nil, nil, fmt.Errorf("engine child: a message is larger than %d bytes", maxMessage)
	}
	if oobn > 0 {
		if fds, err = parseRights(oob[:oobn]); err != nil {
			return 0, nil, nil, err
		}
	}
	if flags&unix.MSG_CTRUNC != 0 {
		closeAll(fds)
		return 0, nil, nil, errors.New("engine child: a message came with descriptors that have no place here")
	}
	return buf[0], buf[1:n], fds, nil
}

// errClosed says that the other end is gone.
var errClosed = errors.New("engine child: the control socket is closed")

func parseRights(oob []byte) ([]int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("engine child: control message: %w", err)
	}
	var fds []int
	for i := range msgs {
		f, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return nil, fmt.Errorf("engine child: control message: %w", err)
		}
		fds = append(fds, f...)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

func (c *Control) sendValue(kind byte, v any) error {
	b, err := detcbor.Marshal(v)
	if err != nil {
		return fmt.Errorf("engine child: %w", err)
	}
	return c.send(kind, b)
}

// SendJob hands descriptors and job to the child. The parent keeps its own
// copies of the descriptors and closes them itself.
func (c *Control) SendJob(fds []int, j *Job) error {
	if len(fds) > MaxFDs {
		return fmt.Errorf("engine child: %d descriptors are more than %d", len(fds), MaxFDs)
	}
	for len(fds) > 0 {
		n := min(len(fds), fdsPerMessage)
		if err := c.send(kindFDs, nil, fds[:n]...); err != nil {
			return err
		}
		fds = fds[n:]
	}
	return c.sendValue(kindJob, j)
}

// RootReady tells the child that it may touch files: the root directory that
// both processes share is final.
func (c *Control) RootReady() error { return c.send(kindRoot, nil) }

func (c *Control) waitRoot() error {
	kind, _, _, err := c.recv(false)
	if err == nil && kind != kindRoot {
		err = fmt.Errorf("engine child: unexpected message %q", kind)
	}
	return err
}

// recvJob is the child's side of SendJob.
func (c *Control) recvJob() ([]int, *Job, error) {
	var all []int
	for {
		kind, body, fds, err := c.recv(true)
		if err != nil {
			return nil, nil, err
		}
		switch kind {
		case kindFDs:
			if all = append(all, fds...); len(all) > MaxFDs {
				closeAll(all)
				return nil, nil, fmt.Errorf("engine child: more than %d descriptors", MaxFDs)
			}
		case kindJob:
			var j Job
			if err := detcbor.Unmarshal(body, &j); err != nil {
				return nil, nil, fmt.Errorf("engine child: %w", err)
			}
			return all, &j, nil
		default:
			return nil, nil, fmt.Errorf("engine child: unexpected message %q", kind)
		}
	}
}

// Next receives the child's next message: *Compiled, *Done, or an error. The
// parent calls it.
func (c *Control) Next() (any, error) {
	kind, body, _, err := c.recv(false)
	if err != nil {
		return nil, err
	}
	switch kind {
	case kindCompiled:
		var m Compiled
		if err := detcbor.Unmarshal(body, &m); err != nil {
			return nil, fmt.Errorf("engine child: %w", err)
		}
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("engine child: %w", err)
		}
		return &m, nil
	case kindDone:
		var m Done
		if err := detcbor.Unmarshal(body, &m); err != nil {
			return nil, fmt.Errorf("engine child: %w", err)
		}
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("engine child: %w", err)
		}
		return &m, nil
	}
	return nil, fmt.Errorf("engine child: unexpected message %q", kind)
}
