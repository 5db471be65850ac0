// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/collateral/item"
)

// Entry is one item of the cache.
type Entry struct {
	Item item.Item
	// Parts are the item's bytes: what a verifier takes as collateral.
	Parts attest.Collateral
	// URL is where they came from.
	URL string
	// Fetched is when these bytes came, Checked when a source last confirmed
	// that they are the present ones.
	Fetched, Checked time.Time
	// Info is what the item says of itself. Its dates were read from the
	// item, after its signature had been checked.
	Info item.Info
}

// Size is the number of bytes of all parts.
func (e *Entry) Size() int {
	n := 0
	for _, p := range e.Parts {
		n += len(p.Value)
	}
	return n
}

// State is how an entry stands to a time.
type State string

// The states.
const (
	Current  State = "current"
	EndsSoon State = "ends soon"
	Ended    State = "ended"
	NotYet   State = "not yet valid"
)

// State says how e stands at the time. within is how long before its end an
// item ends soon; a negative one stands for the default of its kind.
func (e *Entry) State(at time.Time, within time.Duration) State {
	if within < 0 {
		within = schedules[e.Item.Kind].announce
	}
	switch {
	case at.After(e.Info.Until):
		return Ended
	case at.Before(e.Info.From):
		return NotYet
	case at.Add(within).After(e.Info.Until):
		return EndsSoon
	}
	return Current
}

// DaysLeft is the number of whole days until the end; negative after it.
func (e *Entry) DaysLeft(at time.Time) int {
	left := e.Info.Until.Sub(at)
	if left < 0 {
		return -int((-left + day - 1) / day)
	}
	return int(left / day)
}

// Announcement words what is to be done about e at the time, or is empty.
func (e *Entry) Announcement(at time.Time, within time.Duration) string {
	date := e.Info.Until.UTC().Format("2006-01-02 15:04 MST")
	switch e.State(at, within) {
	case Ended:
		return fmt.Sprintf("%v ended on %s: refresh it; evidence that needs it is refused", e.Item, date)
	case EndsSoon:
		left := fmt.Sprintf("in %d days", e.DaysLeft(at))
		switch e.DaysLeft(at) {
		case 0:
			left = fmt.Sprintf("in %d hours", int(e.Info.Until.Sub(at)/time.Hour))
		case 1:
			left = "in 1 day"
		}
		return fmt.Sprintf("%v ends %s (%s): refresh it before then", e.Item, left, date)
	case NotYet:
		return fmt.Sprintf("%v is valid from %s on: check this machine's clock", e.Item, e.Info.From.UTC().Format("2006-01-02 15:04 MST"))
	}
	return ""
}

// due says whether e is to be asked for again.
func (e *Entry) due(at time.Time) bool {
	switch state := e.State(at, -1); {
	case state == Ended || state == NotYet:
		return true
	case e.Item.Immutable() || at.Sub(e.Checked) < minAge && !e.Checked.After(at):
		return false
	case state == EndsSoon:
		return true
	}
	return at.Sub(e.Checked) >= schedules[e.Item.Kind].ask || e.Checked.After(at)
}

// record is an entry's file, and an entry of a manifest.
type record struct {
	Version int       `json:"version,omitempty"`
	Item    item.Item `json:"item"`
	URL     string    `json:"url"`
	Fetched time.Time `json:"fetched"`
	Checked time.Time `json:"checked"`
	// ValidFrom and ValidUntil are for people who read the file; they are
	// read from the item itself whenever it is used.
	ValidFrom  time.Time    `json:"valid_from"`
	ValidUntil time.Time    `json:"valid_until"`
	Parts      []partRecord `json:"parts"`
}

type partRecord struct {
	Type   string `json:"type"`
	File   string `json:"file"`
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"`
}

const recordVersion = 1

func newRecord(e *Entry) *record {
	r := &record{
		Version: recordVersion, Item: e.Item, URL: e.URL, Fetched: e.Fetched.UTC().Truncate(time.Second), Checked: e.Checked.UTC().Truncate(time.Second),
		ValidFrom: e.Info.From.UTC(), ValidUntil: e.Info.Until.UTC(),
	}
	for _, p := range e.Parts {
		sum := sha256.Sum256(p.Value)
		digest := hex.EncodeToString(sum[:])
		r.Parts = append(r.Parts, partRecord{Type: p.MediaType, File: digest, Size: len(p.Value), SHA256: digest})
	}
	return r
}

// decodeStrict reads JSON of one form only.
func decodeStrict(b []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("something follows the end")
	}
	return nil
}

// check holds a record's own fields to their bounds; what is in the files is
// another question.
func (r *record) check() error {
	if err := r.Item.Valid(); err != nil {
		return err
	}
	if len(r.Parts) == 0 || len(r.Parts) > item.MaxParts {
		return fmt.Errorf("%d parts, expected 1 to %d", len(r.Parts), item.MaxParts)
	}
	if len(r.URL) > maxText {
		return fmt.Errorf("address of %d characters, expected at most %d", len(r.URL), maxText)
	}
	for i, p := range r.Parts {
		sum, err := hex.DecodeString(p.SHA256)
		switch {
		case err != nil || len(sum) != sha256.Size:
			return fmt.Errorf("part %d: digest is not SHA-256 in hexadecimal", i)
		case p.Size <= 0 || p.Size > item.MaxPart:
			return fmt.Errorf("part %d: %d bytes, expected 1 to %d", i, p.Size, item.MaxPart)
		case len(p.Type) > attest.MaxMediaType:
			return fmt.Errorf("part %d: media type of %d characters", i, len(p.Type))
		}
	}
	return nil
}

// entry makes the entry of a record from the bytes of its parts.
func (r *record) entry(read func(partRecord) ([]byte, error)) (*Entry, error) {
	e := &Entry{Item: r.Item, URL: r.URL, Fetched: r.Fetched, Checked: r.Checked}
	e.Info.From, e.Info.Until = r.ValidFrom, r.ValidUntil
	for i, p := range r.Parts {
		b, err := read(p)
		if err != nil {
			return nil, fmt.Errorf("part %d: %w", i, err)
		}
		if sum := sha256.Sum256(b); len(b) != p.Size || hex.EncodeToString(sum[:]) != p.SHA256 {
			return nil, fmt.Errorf("part %d: %d bytes with SHA-256 %x, expected %d with %s", i, len(b), sum[:4], p.Size, bounded(p.SHA256, 8))
		}
		e.Parts = append(e.Parts, attest.Evidence{MediaType: p.Type, Value: b})
	}
	return e, nil
}
