// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidencebundle

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// The first and the last second that the request can name: years 2000 to 9999,
// as RFC 3339 has four digits and no TEE is older.
var (
	firstTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// wireRequest is the request as it is encoded (SPEC.md, rule R1).
type wireRequest struct {
	At            uint64   `cbor:"at"`
	Maker         string   `cbor:"maker"`
	ReportData    []byte   `cbor:"report-data,omitempty"`
	HostData      []byte   `cbor:"host-data,omitempty"`
	Policy        []byte   `cbor:"policy,omitempty"`
	ReferenceKeys [][]byte `cbor:"reference-keys,omitempty"`
}

type modes struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

// cborModes are constant options; an error refuses everything.
var cborModes = sync.OnceValues(func() (m modes, err error) {
	if m.enc, err = cbor.CoreDetEncOptions().EncMode(); err != nil {
		return m, fmt.Errorf("evidence bundle: %w", err)
	}
	m.dec, err = cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   4,
		MaxArrayElements:  MaxKeys,
		MaxMapPairs:       16,
		UTF8:              cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		err = fmt.Errorf("evidence bundle: %w", err)
	}
	return m, err
})

// request encodes b.Request and checks it against what else is in b.
func (b *Bundle) request() ([]byte, error) {
	r := b.Request
	if r.At.Unix() < firstTime || r.At.Unix() > lastTime || r.At.Nanosecond() != 0 {
		return nil, fmt.Errorf("evidence bundle: time is not a whole second from the year 2000 on")
	}
	if err := checkMaker(r.Maker); err != nil {
		return nil, err
	}
	if (len(r.ReferenceKeys) == 0) != (len(b.References) == 0) {
		return nil, fmt.Errorf("evidence bundle: %d files of reference values and %d keys that they may be signed with, expected both or neither",
			len(b.References), len(r.ReferenceKeys))
	}
	if len(r.ReferenceKeys) > MaxKeys {
		return nil, fmt.Errorf("evidence bundle: %d keys of reference values, expected at most %d", len(r.ReferenceKeys), MaxKeys)
	}
	w := wireRequest{At: uint64(r.At.Unix()), Maker: r.Maker}
	if r.ReportData != nil {
		w.ReportData = r.ReportData[:]
	}
	if r.HostData != nil {
		w.HostData = r.HostData[:]
	}
	if b.Policy != nil {
		sum := sha256.Sum256(b.Policy)
		w.Policy = sum[:]
	}
	for i := range r.ReferenceKeys {
		if i > 0 && bytes.Compare(r.ReferenceKeys[i-1][:], r.ReferenceKeys[i][:]) >= 0 {
			return nil, fmt.Errorf("evidence bundle: keys of reference values are not in ascending order, each once")
		}
		w.ReferenceKeys = append(w.ReferenceKeys, r.ReferenceKeys[i][:])
	}
	m, err := cborModes()
	if err != nil {
		return nil, err
	}
	out, err := m.enc.Marshal(&w)
	if err != nil {
		return nil, fmt.Errorf("evidence bundle: request: %w", err)
	}
	return out, nil
}

// readRequest decodes the request; that it is encoded in the one form shows
// when the bundle is encoded again.
func (b *Bundle) readRequest(enc []byte) error {
	if len(enc) == 0 || len(enc) > maxRequest {
		return fmt.Errorf("evidence bundle: request of %d bytes, expected 1 to %d", len(enc), maxRequest)
	}
	m, err := cborModes()
	if err != nil {
		return err
	}
	var w wireRequest
	if err := m.dec.Unmarshal(enc, &w); err != nil {
		return fmt.Errorf("evidence bundle: malformed request: %w", err)
	}
	if w.At > uint64(lastTime) {
		return fmt.Errorf("evidence bundle: time %d, expected at most %d", w.At, lastTime)
	}
	r := Request{At: time.Unix(int64(w.At), 0).UTC(), Maker: w.Maker}
	if w.ReportData != nil {
		if len(w.ReportData) != 64 {
			return fmt.Errorf("evidence bundle: report data of %d bytes, expected 64", len(w.ReportData))
		}
		r.ReportData = (*[64]byte)(w.ReportData)
	}
	if w.HostData != nil {
		if len(w.HostData) != 32 {
			return fmt.Errorf("evidence bundle: host data of %d bytes, expected 32", len(w.HostData))
		}
		r.HostData = (*[32]byte)(w.HostData)
	}
	if sum := sha256.Sum256(b.Policy); (w.Policy != nil || b.Policy != nil) && !bytes.Equal(w.Policy, sum[:]) {
		return fmt.Errorf("evidence bundle: the policy file in it is not the one that was asked for")
	}
	for _, k := range w.ReferenceKeys {
		if len(k) != 32 {
			return fmt.Errorf("evidence bundle: digest of a key of %d bytes, expected 32", len(k))
		}
		r.ReferenceKeys = append(r.ReferenceKeys, [32]byte(k))
	}
	b.Request = r
	return nil
}

func checkMaker(s string) error {
	if s == "" || len(s) > MaxMaker {
		return fmt.Errorf("evidence bundle: maker's name of %d bytes, expected 1 to %d", len(s), MaxMaker)
	}
	for _, c := range []byte(s) {
		if c < 0x20 || c > 0x7e {
			return fmt.Errorf("evidence bundle: maker's name holds byte %#x, expected printable ASCII", c)
		}
	}
	return nil
}

// KeyDigests puts digests of keys into the form of [Request.ReferenceKeys]: in
// ascending order, each once.
func KeyDigests(sums [][32]byte) [][32]byte {
	out := slices.Clone(sums)
	slices.SortFunc(out, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(out)
}
