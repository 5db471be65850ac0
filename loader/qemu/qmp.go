// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// message is what QEMU says on its monitor (docs/interop/qmp-spec): a greeting,
// an answer or an event. Fields that nobody here needs are left out, and a
// message that is none of these is skipped.
type message struct {
	Greeting json.RawMessage `json:"QMP"`
	Return   json.RawMessage `json:"return"`
	Error    *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event string `json:"event"`
	Data  struct {
		ID     string `json:"id"`     // VSERPORT_CHANGE
		Open   bool   `json:"open"`   // VSERPORT_CHANGE
		Reason string `json:"reason"` // SHUTDOWN
	} `json:"data"`
}

// monitor reads QEMU's side of QMP. A guest that has taken QEMU over says here
// what it likes: a line and their number are bounded, and nothing of it decides
// more than what the host says about a Keep's end.
type monitor struct {
	s    *bufio.Scanner
	left int
}

func newMonitor(r io.Reader) *monitor {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 1024), maxMessage)
	return &monitor{s: s, left: maxMessages}
}

// next reads one message; io.EOF means that QEMU has closed its monitor, as it
// does at its end.
func (m *monitor) next() (message, error) {
	if m.left--; m.left < 0 {
		return message{}, fmt.Errorf("QEMU's monitor: more than %d messages", maxMessages)
	}
	if !m.s.Scan() {
		if err := m.s.Err(); err != nil {
			if errors.Is(err, bufio.ErrTooLong) {
				return message{}, fmt.Errorf("QEMU's monitor: a message of more than %d bytes", maxMessage)
			}
			return message{}, err
		}
		return message{}, io.EOF
	}
	var msg message
	if err := json.Unmarshal(m.s.Bytes(), &msg); err != nil {
		return message{}, fmt.Errorf("QEMU's monitor: a line that is no message: %w", err)
	}
	return msg, nil
}

// answered waits for the answer to a command, and gives events that come first
// to on.
func (m *monitor) answered(command string, on func(message)) error {
	for {
		msg, err := m.next()
		switch {
		case err != nil:
			return fmt.Errorf("QEMU does not answer %s: %w", command, err)
		case msg.Error != nil:
			return fmt.Errorf("QEMU refuses %s: %s", command, clean(msg.Error.Desc))
		case msg.Return != nil:
			return nil
		case msg.Event != "":
			on(msg)
		}
	}
}

// command is the text of a command without arguments.
func command(name string) string { return `{"execute":"` + name + `"}` + "\n" }

// clean keeps a stranger's text from being more than a short line.
func clean(s string) string {
	const most = 300
	out := make([]byte, 0, min(len(s), most))
	for _, c := range []byte(s) {
		if len(out) == most {
			break
		}
		if c < 0x20 || c >= 0x7f {
			c = ' '
		}
		out = append(out, c)
	}
	return string(out)
}
