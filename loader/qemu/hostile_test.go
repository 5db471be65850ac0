// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/internal/guestport"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// repeated gives the same bytes for ever, or so many times.
type repeated struct {
	b     []byte
	at    int
	left  int // reads of b; negative for ever
	given int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b[r.at:])
	r.given += n
	if r.at += n; r.at == len(r.b) {
		r.at = 0
		r.left--
	}
	return n, nil
}

func TestInvariant4HostileInputIsBounded_QEMUThatTalksWithoutEnd(t *testing.T) {
	endless := &repeated{b: []byte(strings.Repeat("x", 4096)), left: -1}
	if _, err := newMonitor(endless).next(); err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") {
		t.Errorf("a line without end: %v", err)
	}
	if endless.given > 4*maxMessage {
		t.Errorf("%d bytes were read of a line that may have %d", endless.given, maxMessage)
	}
	m := newMonitor(&repeated{b: []byte(`{"event":"X"}` + "\n"), left: -1})
	n := 0
	for ; n <= maxMessages; n++ {
		if _, err := m.next(); err != nil {
			break
		}
	}
	if n != maxMessages {
		t.Errorf("%d messages were taken, at most %d may be", n, maxMessages)
	}
	for _, text := range []string{"", "\n", "[]\n", "{\n", "{}", `{"error":{}}` + "\n", `{"data":7}` + "\n", "\x00\xff\n"} {
		if err := newMonitor(strings.NewReader(text)).answered("cont", func(message) {}); err == nil {
			t.Errorf("%q passes for an answer", text)
		}
	}
}

func TestEventsBeforeAnAnswerAreNoted(t *testing.T) {
	var seen []string
	text := `{"QMP":{}}` + "\n" + `{"event":"SHUTDOWN","data":{"reason":"guest-reset"}}` + "\n" + `{"return":{}}` + "\n"
	if err := newMonitor(strings.NewReader(text)).answered("cont", func(m message) { seen = append(seen, m.Event, m.Data.Reason) }); err != nil {
		t.Fatal(err)
	}
	if strings.Join(seen, " ") != "SHUTDOWN guest-reset" {
		t.Errorf("seen %v", seen)
	}
}

func TestInvariant4HostileInputIsBounded_GuestThatFloodsItsWords(t *testing.T) {
	frame := guestport.AppendWords(nil, bytes.Repeat([]byte("w"), guestport.MaxWords))
	flood := &repeated{b: frame, left: -1}
	var heard bytes.Buffer
	if _, err := readWords(flood, &heard); !errors.Is(err, errFlood) {
		t.Errorf("a flood ends with %v", err)
	}
	if heard.Len() != maxStderr || flood.given > maxWords+maxWords/8 {
		t.Errorf("%d bytes were passed on and %d read, at most %d and %d may be", heard.Len(), flood.given, maxStderr, maxWords)
	}
	for name, text := range map[string]string{"garbage": "hello", "cut": "w\x00\x05ab", "endless frame": "w\xff\xff"} {
		if bye, err := readWords(strings.NewReader(text), io.Discard); err == nil || err == io.EOF {
			t.Errorf("%s passes: %+v, %v", name, bye, err)
		}
	}
	if _, err := readWords(strings.NewReader(""), nil); err != io.EOF {
		t.Errorf("silence: %v", err)
	}
	bye, err := readWords(bytes.NewReader(guestport.AppendGoodbye(guestport.AppendWords(nil, []byte("a")), guestport.Goodbye{Status: 3, Reason: "exited"})), nil)
	if err != nil || bye.Status != 3 || bye.Reason != "exited" {
		t.Errorf("a goodbye: %+v, %v", bye, err)
	}
}

func FuzzMonitor(f *testing.F) {
	f.Add([]byte(`{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}` + "\r\n" + `{"return": {}}` + "\r\n" +
		`{"timestamp": {"seconds": 1795611582, "microseconds": 223656}, "event": "VSERPORT_CHANGE", "data": {"open": true, "id": "words"}}` + "\r\n" +
		`{"timestamp": {"seconds": 1795611582, "microseconds": 254133}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}` + "\r\n"))
	f.Add([]byte(`{"error": {"class": "CommandNotFound", "desc": "The command x has not been found"}}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k := &keep{up: make(chan struct{})}
		m := newMonitor(bytes.NewReader(b))
		for range bytes.Count(b, []byte("\n")) + 2 {
			msg, err := m.next()
			if err != nil {
				return
			}
			k.note(msg)
			if len(k.shutdown) > 300 {
				t.Fatalf("%d bytes of a reason were kept", len(k.shutdown))
			}
		}
		t.Fatal("more messages than lines")
	})
}

func FuzzVersion(f *testing.F) {
	f.Add("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright (c) 2003-2022 Fabrice Bellard and the QEMU Project developers\n")
	f.Add("QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1)")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := parseVersion(s); err == nil && (v.Major > 999 || v.Minor > 999 || !strings.Contains(s, "version ")) {
			t.Fatalf("%q is version %v", s, v)
		}
	})
}
