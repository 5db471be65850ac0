// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"errors"
	"fmt"
	"io"

	"github.com/enarx/enarx-go/internal/guestport"
)

// errFlood says that a guest said more on port enarx.words than any Keep
// runtime has to say.
var errFlood = errors.New("it flooded the port of its last words")

// readWords passes a guest's words on to w, up to maxStderr, and returns its
// goodbye. Without one it returns io.EOF when the port ends, or what is wrong
// with the guest's frames.
func readWords(r io.Reader, w io.Writer) (guestport.Goodbye, error) {
	passed, total := 0, 0
	for {
		f, err := guestport.ReadFrame(r)
		if err != nil {
			if err == io.EOF {
				return guestport.Goodbye{}, err
			}
			return guestport.Goodbye{}, fmt.Errorf("its last words cannot be read: %w", err)
		}
		if f.Type == guestport.TypeGoodbye {
			return f.Goodbye()
		}
		if total += len(f.Payload); total > maxWords {
			return guestport.Goodbye{}, errFlood
		}
		if n := min(len(f.Payload), maxStderr-passed); n > 0 && w != nil {
			passed += n
			_, _ = w.Write(f.Payload[:n]) // the Keep's words are best effort
		}
	}
}
