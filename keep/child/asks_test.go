// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/attest"
)

// asksPair are the parent's end of the socket for questions and the child's,
// raw.
func asksPair(t testing.TB) (*Asks, int) {
	t.Helper()
	a, theirs, err := NewAsks()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a, theirs
}

// A hostile child's questions are errors, and none of them leaves a descriptor
// in the parent.
func TestInvariant4HostileInputIsBounded_Questions(t *testing.T) {
	good := encode(t, kindAsk, &Ask{What: AskIdentity})
	for name, c := range map[string]struct {
		msg  []byte
		fds  int
		want string
	}{
		"descriptor with a good question": {good, 1, "descriptors"},
		"empty":                           {nil, 0, "closed"},
		"another kind":                    {[]byte{kindJob}, 0, "expected a question"},
		"an answer":                       {encode(t, kindAnswer, &answer{Size: 1}), 0, "expected a question"},
		"no value":                        {[]byte{kindAsk}, 0, "malformed"},
		"trailing bytes":                  {append(bytes.Clone(good), 0), 0, "malformed"},
		"oversized":                       {encode(t, kindAsk, &Ask{What: strings.Repeat("x", maxAsk)}), 0, "at most 1024"},
		"far oversized":                   {bytes.Repeat([]byte{kindAsk}, maxMessage+1), 0, "larger than"},
		"unknown":                         {encode(t, kindAsk, &Ask{What: "quote"}), 0, "unknown question"},
		"nothing":                         {encode(t, kindAsk, &Ask{}), 0, "unknown question"},
		"identity with data":              {encode(t, kindAsk, &Ask{What: AskIdentity, Data: []byte{1}}), 0, "with data"},
		"evidence over nothing":           {encode(t, kindAsk, &Ask{What: AskEvidence}), 0, "over 0 bytes"},
		"evidence over too little":        {encode(t, kindAsk, &Ask{What: AskEvidence, Data: make([]byte, 63)}), 0, "over 63 bytes"},
		"evidence over too much":          {encode(t, kindAsk, &Ask{What: AskEvidence, Data: make([]byte, 65)}), 0, "over 65 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			p, raw := asksPair(t)
			defer unix.Close(raw)
			var oob []byte
			if c.fds > 0 {
				oob = unix.UnixRights(raw)
			}
			before := openFDs(t)
			if err := unix.Sendmsg(raw, c.msg, oob, nil, unix.MSG_NOSIGNAL); err != nil {
				t.Fatal(err)
			}
			q, err := p.Next()
			if err == nil || !strings.Contains(err.Error(), c.want) || q != nil {
				t.Errorf("got %+v, %v, expected an error with %q", q, err, c.want)
			}
			if after := openFDs(t); after != before {
				t.Errorf("%d descriptors are open in the parent, %d were", after, before)
			}
		})
	}
}

// FuzzQuestions: whatever a child asks, the parent gets a checked question or
// an error, and what it accepts has one encoding.
func FuzzQuestions(f *testing.F) {
	f.Add(encode(f, kindAsk, &Ask{What: AskIdentity}))
	f.Add(encode(f, kindAsk, &Ask{What: AskEvidence, Data: make([]byte, askData)}))
	f.Add([]byte{kindAsk})
	f.Add([]byte{})
	p, raw := asksPair(f)
	f.Cleanup(func() { unix.Close(raw) })
	f.Fuzz(func(t *testing.T, msg []byte) {
		if err := unix.Sendmsg(raw, msg, nil, nil, unix.MSG_NOSIGNAL); err != nil {
			t.Skip() // larger than the socket takes
		}
		q, err := p.Next()
		if err != nil {
			return
		}
		if q.check() != nil || !bytes.Equal(encode(t, kindAsk, q), msg) {
			t.Fatalf("%x was accepted as %+v", msg, q)
		}
	})
}

// The child's end: what it asks arrives, and each answer is what the parent
// said, or an error number.
func TestQuestionsAndAnswers(t *testing.T) {
	p, theirs := asksPair(t)
	a := &asker{c: NewControl(theirs)}
	defer a.c.Close()
	content := bytes.Repeat([]byte("content"), 100_000)
	memory, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(memory)
	if n, err := unix.Write(memory, content); n != len(content) || err != nil {
		t.Fatal(n, err)
	}
	size := uint64(len(content))
	data := bytes.Repeat([]byte{7}, askData)
	answered := func(fd int, size uint64) func() error { return func() error { return p.Answer(fd, size) } }
	refused := func(r Refusal) func() error { return func() error { return p.Refuse(r) } }
	for name, c := range map[string]struct {
		answer func() error
		err    error
	}{
		"content":              {answered(memory, size), nil},
		"shorter than it says": {answered(memory, size+1), unix.EIO},
		"too large":            {answered(memory, maxContent+1), unix.EFBIG},
		"denied":               {refused(RefusedDenied), unix.EACCES},
		"unsupported":          {refused(RefusedUnsupported), unix.EOPNOTSUPP},
		"failed":               {refused(RefusedFailed), unix.EIO},
		"an unknown refusal":   {refused(99), unix.EIO},
		"neither":              {refused(RefusedNot), unix.EIO},
		"two descriptors": {func() error {
			return p.c.send(kindAnswer, encode(t, kindAnswer, &answer{})[1:], memory, memory)
		}, unix.EIO},
		"not an answer": {func() error { return p.c.send(kindDone, nil) }, unix.EIO},
	} {
		before := openFDs(t)
		done := make(chan error, 1)
		go func() {
			q, err := p.Next()
			if err == nil && !reflect.DeepEqual(q, &Ask{What: AskEvidence, Data: data}) {
				err = errors.New("another question arrived")
			}
			done <- errors.Join(err, c.answer())
		}()
		b, err := a.evidence(data)
		if perr := <-done; perr != nil {
			t.Fatalf("%s: %v", name, perr)
		}
		if !errors.Is(err, c.err) || (err == nil) != bytes.Equal(b, content) {
			t.Errorf("%s: %d bytes, %v, want %v", name, len(b), err, c.err)
		}
		if after := openFDs(t); after != before {
			t.Errorf("%s: %d descriptors are open, %d were", name, after, before)
		}
	}
	// A parent that gives no more answers.
	p.Close()
	if b, err := a.identity(); !errors.Is(err, unix.EIO) || b != nil {
		t.Errorf("after the end: %d bytes, %v", len(b), err)
	}
}

func TestAskDataIsThatOfEvidence(t *testing.T) {
	if askData != attest.WorkloadDataSize || maxContent < attest.MaxMessage {
		t.Errorf("questions of %d bytes and answers of %d, evidence is over %d and has up to %d", askData, maxContent, attest.WorkloadDataSize, attest.MaxMessage)
	}
}
