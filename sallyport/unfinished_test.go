// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
)

// announce opens a stream and sends the header of the largest message of a
// kind, and no byte of the message.
func announce(t *testing.T, ys *yamux.Session, k kind) *yamux.Stream {
	t.Helper()
	st, err := ys.OpenStream()
	must(t, err)
	_, err = st.Write(header(k, messageVersion, 0, uint32(k.maxSize())))
	must(t, err)
	return st
}

// A place of a kind is taken when the header has come. The attack: fill every
// place with messages that never go on, then announce one more. It must be
// refused from its header alone, while the others are still unfinished.
func TestInvariant4HostileInputIsBounded_PlaceIsTakenBeforeTheMessageIsRead(t *testing.T) {
	tm := quick
	tm.header = 20 * time.Second // the unfinished ones stay for the whole test
	run := func(t *testing.T, s *session, ys *yamux.Session, kinds []kind) {
		for _, k := range kinds {
			limit := kindLimits[k]
			if limit > 300 {
				continue // attach: the same code with a thousand streams
			}
			var held []*yamux.Stream
			for range limit {
				held = append(held, announce(t, ys, k))
			}
			eventually(t, "every place is taken", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.counts[k|served] >= limit
			})
			if code := replyCode(t, announce(t, ys, k)); code != CodeLimit {
				t.Errorf("kind %d past its limit of %d was answered with %v, expected %v", k, limit, code, CodeLimit)
			}
			// An unfinished message gives its place back when its stream ends.
			for _, st := range held {
				must(t, st.Close())
			}
			eventually(t, "every place is free again", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.counts[k|served] == 0
			})
		}
		if err := s.Err(); err != nil {
			t.Errorf("the session ended: %v", err)
		}
	}
	t.Run("host", func(t *testing.T) {
		host, p := hostileKeep(t, &testHandler{}, HostOptions{}, tm)
		run(t, host.session, p.mux(t, roleKeep), []kind{kindDial, kindListen, kindCloseListener, kindLog, kindExit, kindQuote, kindSpool})
	})
	t.Run("keep", func(t *testing.T) {
		keep, p := hostileHost(t, tm)
		run(t, keep.session, p.mux(t, roleHost), []kind{kindStart, kindAccepted, kindHints})
	})
}

// The attack in bytes: a Keep opens many streams and sends all of a sealed
// record but its last byte on each. What the host holds must not grow with the
// number of streams.
func TestInvariant4HostileInputIsBounded_UnfinishedRecordsHoldLittle(t *testing.T) {
	tm := quick
	tm.header = 20 * time.Second
	host, p := hostileKeep(t, &testHandler{}, HostOptions{}, tm)
	ys := p.mux(t, roleKeep)
	record := make([]byte, MaxSpool-1)
	var h [headerSize]byte
	h[0], h[1] = byte(kindSpool), messageVersion
	binary.BigEndian.PutUint32(h[4:], MaxSpool)
	before := heap()
	const streams = 40
	for range streams {
		st, err := ys.OpenStream()
		must(t, err)
		_ = st.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := st.Write(h[:]); err != nil {
			continue
		}
		for rest := record; len(rest) > 0; { // in frames that the mux takes
			n, err := st.Write(rest[:min(len(rest), maxFrame)])
			if err != nil {
				break // a refused stream is reset on the way
			}
			rest = rest[n:]
		}
	}
	eventually(t, "one record is being read", func() bool {
		host.mu.Lock()
		defer host.mu.Unlock()
		return host.counts[kindSpool|served] == 1
	})
	grown := int64(heap()) - int64(before)
	const most = 2*maxUnfinished + 4<<20 // the attacker lives in this process too
	if grown > most {
		t.Errorf("%d unfinished records of %d bytes hold %d bytes, expected at most %d", streams, MaxSpool, grown, most)
	}
	if err := host.Err(); err != nil {
		t.Errorf("the session ended: %v", err)
	}
	if code, _ := ask(t, ys, message(kindHeartbeat, emptyMessage{})); code != CodeOK {
		t.Errorf("an honest heartbeat afterwards: %v", code)
	}
	runtime.KeepAlive(record)
}

// What all places together can announce is what limits.go and SPEC.md say.
func TestUnfinishedMessagesAddUpToTheLimit(t *testing.T) {
	for name, kinds := range map[string][]kind{"the Keep": hostOpens, "the host": keepOpens} {
		sum := 0
		for _, k := range kinds {
			sum += kindLimits[k] * k.maxSize()
		}
		if sum == 0 || sum > maxUnfinished {
			t.Errorf("%s can be made to hold %d bytes of unfinished messages, expected 1 to %d", name, sum, maxUnfinished)
		}
	}
}

// A refusal must come before the body: the same input, with and without one.
func TestHeaderIsJudgedAlone(t *testing.T) {
	h := header(kindSpool, messageVersion, 0, MaxSpool)
	r := bytes.NewReader(append(bytes.Clone(h), 1, 2, 3))
	k, n, err := readHeader(r, func(kind) bool { return true })
	if err != nil || k != kindSpool || n != MaxSpool || r.Len() != 3 {
		t.Errorf("kind %d, %d bytes, %v, %d bytes left; expected kind %d, %d, no error and 3", k, n, err, r.Len(), kindSpool, MaxSpool)
	}
}
