// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// transport carries commands to a TPM and its answers back, one at a time. It
// is a transport.TPM of go-tpm. That library's own one trusts the length of an
// answer and sleeps without a bound.
type transport struct {
	rw  io.ReadWriter
	ctx context.Context // of the operation that holds the TPM's lock
	err error           // once set, what the device would say belongs to another command
}

const (
	tpmHeader       = 10 // tag, size, code (TPM 2.0 part 1, 18.9)
	tpmRetry        = 0x922
	tpmYielded      = 0x908
	tpmTesting      = 0x90a
	errTPMAbandoned = "tpm: a command before was given up without an answer"
)

// during runs f with ctx as the bound of its commands.
func (t *transport) during(ctx context.Context, f func() error) error {
	t.ctx = ctx
	return f()
}

// Send sends a command and returns the answer.
func (t *transport) Send(command []byte) ([]byte, error) {
	for try := 0; ; try++ {
		answer, err := t.exchange(command)
		if err != nil {
			return nil, err
		}
		switch binary.BigEndian.Uint32(answer[6:]) {
		case tpmRetry, tpmYielded, tpmTesting:
			if try == busyTries {
				return nil, fmt.Errorf("the TPM says that it is busy, %d times in a row", busyTries)
			}
		default:
			return answer, nil
		}
		select {
		case <-time.After(busyWait):
		case <-t.ctx.Done():
			return nil, context.Cause(t.ctx)
		}
	}
}

// exchange is one command and one answer. A device that does not answer
// leaves its goroutine behind and is never asked again: its answer could come
// later and would be taken for that to another question.
func (t *transport) exchange(command []byte) ([]byte, error) {
	if t.err != nil {
		return nil, t.err
	}
	if err := t.ctx.Err(); err != nil {
		return nil, context.Cause(t.ctx)
	}
	type answer struct {
		b   []byte
		err error
	}
	done := make(chan answer, 1)
	go func() {
		b, err := roundTrip(t.rw, command)
		done <- answer{b, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			t.err = a.err
		}
		return a.b, a.err
	case <-t.ctx.Done():
		t.err = errors.New(errTPMAbandoned)
		return nil, fmt.Errorf("no answer from the TPM: %w", context.Cause(t.ctx))
	}
}

func roundTrip(rw io.ReadWriter, command []byte) ([]byte, error) {
	if _, err := rw.Write(command); err != nil {
		return nil, fmt.Errorf("send a command to the TPM: %w", err)
	}
	buf := make([]byte, maxTPMResponse)
	for n := 0; ; {
		m, err := rw.Read(buf[n:])
		n += m
		if n >= tpmHeader {
			size := binary.BigEndian.Uint32(buf[2:])
			if size < tpmHeader || size > maxTPMResponse || uint32(n) > size {
				return nil, fmt.Errorf("read the TPM's answer: %d bytes that say they are %d, expected %d to %d", n, size, tpmHeader, maxTPMResponse)
			}
			if uint32(n) == size {
				return buf[:n], nil
			}
		}
		if err == nil && m == 0 {
			err = io.ErrNoProgress
		}
		if err != nil {
			return nil, fmt.Errorf("read the TPM's answer after %d bytes: %w", n, err)
		}
	}
}
