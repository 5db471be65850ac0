// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/enarx/enarx-go/internal/guestport"
)

// words is the guest's side of port enarx.words. A host that does not read
// loses words and holds up nothing. Its zero value says nothing to nobody.
type words struct {
	mu    sync.Mutex
	port  *os.File
	deaf  bool   // the host did not take a frame whole: no more can follow it
	frame []byte // reused
}

func (w *words) send(frame []byte, timeout time.Duration) {
	if w.port == nil || w.deaf {
		return
	}
	if err := w.port.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		w.deaf = true
		return
	}
	if _, err := w.port.Write(frame); err != nil {
		w.deaf = true
	}
}

// Write passes words on.
func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frame = guestport.AppendWords(w.frame[:0], p)
	w.send(w.frame, wordTimeout)
	return len(p), nil
}

// copyFrom passes on what the Keep's parent process says, until its last
// holder has closed it.
func (w *words) copyFrom(r io.Reader) {
	buf := make([]byte, guestport.MaxWords)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			_, _ = w.Write(buf[:n]) // never fails
		}
		if err != nil {
			return
		}
	}
}

// goodbye says the last word and gives the host time to note it: it shows that
// it has by closing its end.
func (w *words) goodbye(g guestport.Goodbye) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.send(guestport.AppendGoodbye(nil, g), byeTimeout)
	if w.port == nil || w.deaf {
		return
	}
	if err := w.port.SetReadDeadline(time.Now().Add(byeTimeout)); err != nil {
		return
	}
	var b [64]byte
	for {
		if _, err := w.port.Read(b[:]); err != nil {
			return
		}
	}
}
