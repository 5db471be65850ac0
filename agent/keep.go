// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/agent/relay"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/sallyport"
)

// keep is one Keep and, after its end, the memory of it.
type keep struct {
	// Set once, before the Keep is visible to anyone.
	id       string
	platform string
	caller   string // who asked for it, as auth.caller names callers
	capHash  [32]byte
	created  time.Time
	claimBy  time.Time
	vcpus    int
	memory   uint64
	cost     uint64   // what it takes of the host's memory
	attempt  [32]byte // its idempotency key, hashed

	// gone is closed when nothing of the Keep is left on the host.
	gone chan struct{}

	mu        sync.Mutex
	state     api.State
	ended     time.Time
	endedBy   string // the first cause wins
	reason    string
	log       []api.LogEntry
	logLost   int
	layers    []api.Layer
	spool     *api.Spool
	spoolLost string
	tunnels   int
	relay     *relay.Relay
	host      hostEnd
	launched  loader.Keep
	timers    []*time.Timer
}

// newID names a Keep: 128 random bits, so that no id is ever used twice on a
// host and none can be guessed before it is listed.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func validID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

func cutID(name, suffix string) (string, bool) {
	id, ok := strings.CutSuffix(name, suffix)
	return id, ok && validID(id)
}

// capabilityLen is the length of a capability's text form.
var capabilityLen = base64.RawURLEncoding.EncodedLen(32)

// holds says whether text is the Keep's capability, in time that does not
// depend on it.
func (k *keep) holds(text string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != 32 {
		return false
	}
	h := sha256.Sum256(raw)
	return subtle.ConstantTimeCompare(h[:], k.capHash[:]) == 1
}

// blame notes why the Keep ends, unless a cause is known already.
func (k *keep) blame(cause, reason string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.endedBy == "" {
		k.endedBy, k.reason = cause, shorten(reason)
	}
}

// kill ends the Keep. What follows is the supervisor's.
func (k *keep) kill(cause, reason string) {
	k.blame(cause, reason)
	k.mu.Lock()
	l := k.launched
	k.mu.Unlock()
	if l != nil {
		l.Kill()
	}
}

// noteLog keeps a lifecycle code and says whether it changes the state.
func (k *keep) noteLog(code sallyport.LogCode, now time.Time) (api.State, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.log) < relay.MaxLog {
		k.log = append(k.log, api.LogEntry{Time: now.UTC(), Code: uint16(code), Name: logName(code)})
	} else {
		k.logLost++
	}
	next := stateFor(code)
	// States only go forward: a Keep that says "claimed" after "running" is
	// confused or lying, and a claim, once said, is not taken back.
	if rank(next) <= rank(k.state) {
		return k.state, false
	}
	k.state = next
	return next, true
}

func rank(s api.State) int {
	switch s {
	case api.StateStarting:
		return 1
	case api.StateEmpty:
		return 2
	case api.StateClaimed:
		return 3
	case api.StateRunning:
		return 4
	case api.StateEnded:
		return 5
	}
	return 0
}

func (k *keep) entry() api.Keep {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.entryLocked()
}

func (k *keep) entryLocked() api.Keep {
	e := api.Keep{ID: k.id, Platform: k.platform, State: k.state, Created: k.created}
	if k.state == api.StateEnded {
		t := k.ended
		e.Ended = &t
	}
	return e
}

func (k *keep) inspect(digest string) api.Inspect {
	k.mu.Lock()
	defer k.mu.Unlock()
	in := api.Inspect{
		Keep: k.entryLocked(), VCPUs: k.vcpus, MemoryClass: k.memory, ClaimBy: k.claimBy, KeepDigest: digest,
		Layers: append([]api.Layer{}, k.layers...), Tunnels: k.tunnels, SpoolLost: k.spoolLost,
		Log: append([]api.LogEntry{}, k.log...), LogLost: k.logLost,
	}
	if k.state == api.StateEnded {
		in.EndedBy, in.Reason = k.endedBy, k.reason
	}
	if k.spool != nil {
		sp := *k.spool
		in.Spool = &sp
	}
	return in
}

// alive says that the Keep may still hold resources of the host.
func (k *keep) alive() bool {
	select {
	case <-k.gone:
		return false
	default:
		return true
	}
}

// shorten makes text of a loader fit for a caller's eyes.
func shorten(s string) string {
	if len(s) > maxReason {
		s = s[:maxReason] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
