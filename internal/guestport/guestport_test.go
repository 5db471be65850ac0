// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guestport

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestFramesComeBack(t *testing.T) {
	long := bytes.Repeat([]byte("word "), 2000)
	b := AppendWords(nil, long)
	b = AppendGoodbye(b, Goodbye{Status: 7, Reason: "exited\n" + strings.Repeat("x", 300)})
	r := bytes.NewReader(b)
	var words []byte
	for {
		f, err := ReadFrame(r)
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == TypeWords {
			words = append(words, f.Payload...)
			continue
		}
		g, err := f.Goodbye()
		if err != nil || g.Status != 7 || len(g.Reason) != MaxReason || !strings.HasPrefix(g.Reason, "exitedxxx") {
			t.Errorf("%+v, %v", g, err)
		}
		break
	}
	if !bytes.Equal(words, long) {
		t.Errorf("%d bytes of words came back, expected %d", len(words), len(long))
	}
	if _, err := ReadFrame(r); err != io.EOF {
		t.Errorf("after the last frame: %v", err)
	}
}

func TestInvariant4HostileInputIsBounded_BadFrames(t *testing.T) {
	for name, b := range map[string]string{
		"unknown type": "x\x00\x01a", "empty words": "w\x00\x00", "long words": "w\x10\x01" + strings.Repeat("a", 4097),
		"empty goodbye": "g\x00\x00", "long goodbye": "g\x01\x02" + strings.Repeat("a", 258),
		"no length": "w\x00", "cut": "w\x00\x05abc",
	} {
		if f, err := ReadFrame(strings.NewReader(b)); err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if _, err := (Frame{Type: TypeWords, Payload: []byte{0}}).Goodbye(); err == nil {
		t.Error("words pass for a goodbye")
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(AppendGoodbye(AppendWords(nil, []byte("keep: boot: …")), Goodbye{1, "exited"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			fr, err := ReadFrame(r)
			if err != nil {
				return
			}
			if len(fr.Payload) == 0 || len(fr.Payload) > MaxWords {
				t.Fatalf("frame of %d bytes", len(fr.Payload))
			}
		}
	})
}
