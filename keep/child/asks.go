// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/detcbor"
)

// What a running workload may ask of the parent. It travels over a socket of
// its own, so that the control socket's few messages stay in their order: one
// question, one answer, and no second question before the answer.
const (
	AskIdentity = "identity" // the certificates of the identity key, PEM
	AskEvidence = "evidence" // evidence over Data
)

// Ask is one question. To the parent every byte of it is hostile: the child
// checks what the workload may do only to spare it a question, and the parent
// checks it again.
type Ask struct {
	What string `cbor:"1,keyasint"`
	Data []byte `cbor:"2,keyasint,omitempty"` // evidence only, askData bytes
}

func (a *Ask) check() error {
	switch a.What {
	case AskIdentity:
		if len(a.Data) != 0 {
			return errors.New("a question about the identity with data")
		}
	case AskEvidence:
		if len(a.Data) != askData {
			return fmt.Errorf("a question for evidence over %d bytes, expected %d", len(a.Data), askData)
		}
	default:
		return errors.New("an unknown question")
	}
	return nil
}

// Refusal is why the parent did not do what it was asked for, as far as the
// workload is told.
type Refusal uint64

// The refusals. The workload sees each as an error number.
const (
	RefusedNot         Refusal = iota // not refused
	RefusedFailed                     // EIO: something else
	RefusedDenied                     // EACCES: the bundle does not allow it
	RefusedUnsupported                // EOPNOTSUPP: the platform cannot
)

var refusals = map[Refusal]unix.Errno{
	RefusedFailed: unix.EIO, RefusedDenied: unix.EACCES, RefusedUnsupported: unix.EOPNOTSUPP,
}

// answer is the parent's answer. Content comes as sealed memory, whose
// descriptor is with the message.
type answer struct {
	Refused Refusal `cbor:"1,keyasint"`
	Size    uint64  `cbor:"2,keyasint"`
}

// Asks is the parent's end of the socket for questions.
type Asks struct{ c *Control }

// NewAsks makes the socket. The second result is the child's end, a descriptor
// that the caller hands over as the last one of the job and closes.
func NewAsks() (*Asks, int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("engine child: socket for questions: %w", err)
	}
	return &Asks{&Control{os.NewFile(uintptr(pair[0]), "questions")}}, pair[1], nil
}

// Close closes this end.
func (a *Asks) Close() error { return a.c.Close() }

// Next waits for the next question. After an error there is none.
func (a *Asks) Next() (*Ask, error) {
	kind, body, _, err := a.c.recv(false)
	if err != nil {
		return nil, err
	}
	if kind != kindAsk || len(body) > maxAsk {
		return nil, fmt.Errorf("engine child: message %q of %d bytes, expected a question of at most %d", kind, len(body), maxAsk)
	}
	var q Ask
	if err := detcbor.Unmarshal(body, &q); err != nil {
		return nil, fmt.Errorf("engine child: question: %w", err)
	}
	if err := q.check(); err != nil {
		return nil, fmt.Errorf("engine child: question: %w", err)
	}
	return &q, nil
}

// Refuse answers with a refusal.
func (a *Asks) Refuse(r Refusal) error { return a.c.sendValue(kindAnswer, &answer{Refused: r}) }

// Answer answers with a descriptor of sealed memory, which stays the caller's.
// size is that of its content, in bytes.
func (a *Asks) Answer(fd int, size uint64) error {
	b, err := detcbor.Marshal(&answer{Size: size})
	if err != nil {
		return fmt.Errorf("engine child: %w", err)
	}
	return a.c.send(kindAnswer, b, fd)
}

// asker is the child's end.
type asker struct {
	mu sync.Mutex
	c  *Control
}

// ask asks one question and waits for the answer: a descriptor and the size of
// its content. An error is an error number for the workload.
func (a *asker) ask(q *Ask) (int, uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.c.sendValue(kindAsk, q); err != nil {
		return -1, 0, unix.EIO
	}
	kind, body, fds, err := a.c.recv(true)
	if err != nil {
		return -1, 0, unix.EIO
	}
	var r answer
	if kind != kindAnswer || detcbor.Unmarshal(body, &r) != nil || (r.Refused == RefusedNot) != (len(fds) == 1) {
		closeAll(fds)
		return -1, 0, unix.EIO
	}
	if r.Refused != RefusedNot {
		if e, ok := refusals[r.Refused]; ok {
			return -1, 0, e
		}
		return -1, 0, unix.EIO
	}
	return fds[0], r.Size, nil
}

// content asks for something that is read.
func (a *asker) content(q *Ask) ([]byte, error) {
	fd, size, err := a.ask(q)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if size > maxContent {
		return nil, unix.EFBIG
	}
	b := make([]byte, size)
	for at := 0; at < len(b); {
		n, err := unix.Pread(fd, b[at:], int64(at))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return nil, unix.EIO
		}
		at += n
	}
	return b, nil
}

func (a *asker) identity() ([]byte, error) { return a.content(&Ask{What: AskIdentity}) }

func (a *asker) evidence(data []byte) ([]byte, error) {
	return a.content(&Ask{What: AskEvidence, Data: data})
}
