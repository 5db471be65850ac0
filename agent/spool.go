// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/agent/relay"
)

// spoolMeta is spool/ID.json. With it a sealed record outlives the agent: the
// owner's capability is checked against its hash after a restart as before.
type spoolMeta struct {
	ID             string     `json:"id"`
	Platform       string     `json:"platform"`
	Caller         string     `json:"caller"`
	CapabilityHash string     `json:"capability_sha256"`
	VCPUs          int        `json:"vcpus"`
	MemoryClass    uint64     `json:"memory_class"`
	Created        time.Time  `json:"created"`
	Ended          *time.Time `json:"ended,omitempty"`
	EndedBy        string     `json:"ended_by,omitempty"`
	Reason         string     `json:"reason,omitempty"`
	Expires        time.Time  `json:"expires"`
	Bytes          int        `json:"bytes"`
}

// keepSpool stores a Keep's sealed record. It is the relay's Spool function.
func (a *Agent) keepSpool(k *keep, sealed []byte) error {
	err := a.storeSpool(k, sealed)
	if err != nil {
		a.log.Warn("sealed record not kept", "keep", k.id, "bytes", len(sealed), "err", err)
		k.mu.Lock()
		k.spoolLost = "the host could not keep it"
		if errors.Is(err, errSpoolFull) {
			k.spoolLost = err.Error()
		}
		k.mu.Unlock()
	}
	return err
}

var errSpoolFull = errors.New("the host has no room for more sealed records")

func (a *Agent) storeSpool(k *keep, sealed []byte) error {
	k.mu.Lock()
	old := 0
	if k.spool != nil {
		old = k.spool.Bytes
	}
	k.mu.Unlock()
	grow := int64(len(sealed) - old)
	if !a.reserveSpool(grow, old == 0) {
		return errSpoolFull
	}
	// The expiry is provisional, so that a crash of the agent now leaves a
	// record that can be fetched and will be removed.
	sp := &api.Spool{Bytes: len(sealed), Expires: a.now().Add(a.cfg.Limits.Spool).UTC()}
	if err := a.state.write(a.state.path(dirSpool, k.id+".sealed"), sealed, 0o600); err != nil {
		a.releaseSpool(grow, old == 0)
		return err
	}
	k.mu.Lock()
	late := !k.ended.IsZero() && k.spool == nil
	if !late {
		k.spool, k.spoolLost = sp, ""
	}
	k.mu.Unlock()
	if late {
		// The Keep was killed meanwhile, and its accounts are closed.
		a.releaseSpool(grow, true)
		return errors.Join(errors.New("the Keep has ended"), remove(a.state.path(dirSpool, k.id+".sealed")))
	}
	return a.writeMeta(k)
}

func (a *Agent) reserveSpool(n int64, first bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n > 0 && a.spoolBytes+n > a.cfg.Limits.SpoolBytes || first && a.spoolCount >= maxEnded {
		return false
	}
	a.spoolBytes += n
	if first {
		a.spoolCount++
	}
	return true
}

func (a *Agent) releaseSpool(n int64, last bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spoolBytes -= n
	if last {
		a.spoolCount--
	}
}

// writeMeta stores what is known of a Keep that has a sealed record.
func (a *Agent) writeMeta(k *keep) error {
	k.mu.Lock()
	if k.spool == nil {
		k.mu.Unlock()
		return nil
	}
	m := spoolMeta{
		ID: k.id, Platform: k.platform, Caller: k.caller, CapabilityHash: hex.EncodeToString(k.capHash[:]), VCPUs: k.vcpus, MemoryClass: k.memory,
		Created: k.created, EndedBy: k.endedBy, Reason: k.reason, Expires: k.spool.Expires, Bytes: k.spool.Bytes,
	}
	if !k.ended.IsZero() {
		m.Ended = &k.ended
	}
	b, err := json.Marshal(m)
	k.mu.Unlock()
	if err != nil {
		return err
	}
	return a.state.write(a.state.path(dirSpool, k.id+".json"), b, 0o600)
}

func (a *Agent) readSpool(k *keep) ([]byte, error) {
	return readFile(a.state.path(dirSpool, k.id+".sealed"), relay.MaxSpool)
}

// dropSpool removes a Keep's record from the disk and the accounts.
func (a *Agent) dropSpool(k *keep) error {
	k.mu.Lock()
	sp := k.spool
	k.spool = nil
	k.mu.Unlock()
	if sp == nil {
		return nil
	}
	a.releaseSpool(int64(sp.Bytes), true)
	return errors.Join(remove(a.state.path(dirSpool, k.id+".sealed")), remove(a.state.path(dirSpool, k.id+".json")))
}

// loadSpool finds the sealed records of former lives of the agent. What is
// damaged or incomplete is removed: nobody could open or claim it.
func (a *Agent) loadSpool() error {
	err := a.state.each(dirSpool, ".json", func(id string, b []byte) error {
		k, err := a.keepFromMeta(id, b)
		if err != nil {
			a.log.Warn("removed a sealed record that cannot be used", "keep", id, "err", err)
			return errors.Join(remove(a.state.path(dirSpool, id+".sealed")), remove(a.state.path(dirSpool, id+".json")))
		}
		a.spoolBytes += int64(k.spool.Bytes)
		a.spoolCount++
		a.keeps[id] = k
		return nil
	})
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(a.state.path(dirSpool))
	if err != nil {
		return fmt.Errorf("agent: state directory: %w", err)
	}
	for _, e := range entries {
		if id, ok := cutID(e.Name(), ".sealed"); ok && a.keeps[id] == nil {
			if err := remove(a.state.path(dirSpool, e.Name())); err != nil {
				return fmt.Errorf("agent: state directory: %w", err)
			}
		}
	}
	return nil
}

func (a *Agent) keepFromMeta(id string, b []byte) (*keep, error) {
	var m spoolMeta
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, err
	}
	h, err := hex.DecodeString(m.CapabilityHash)
	if err != nil || len(h) != 32 || m.ID != id {
		return nil, errors.New("not the description of this record")
	}
	fi, err := os.Lstat(a.state.path(dirSpool, id+".sealed"))
	if err != nil || !fi.Mode().IsRegular() || fi.Size() != int64(m.Bytes) || m.Bytes <= 0 || m.Bytes > relay.MaxSpool {
		return nil, fmt.Errorf("the record is not there with its %d bytes", m.Bytes)
	}
	k := &keep{
		id: id, platform: m.Platform, caller: m.Caller, created: m.Created, vcpus: m.VCPUs, memory: m.MemoryClass,
		state: api.StateEnded, endedBy: m.EndedBy, reason: m.Reason, gone: make(chan struct{}),
		spool: &api.Spool{Bytes: m.Bytes, Expires: m.Expires},
	}
	copy(k.capHash[:], h)
	close(k.gone)
	if m.Ended != nil {
		k.ended = *m.Ended
	} else {
		// The agent died between the record and the Keep's end, and the
		// Keep with it.
		k.ended, k.endedBy = a.now().UTC(), api.EndedByLoss
	}
	return k, nil
}
