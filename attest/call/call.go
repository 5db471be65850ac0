// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package call is the verifier as one function from JSON to JSON, for programs
// in other languages: it is what the WebAssembly builds of cmd/enarx-verify
// offer.
//
//	answer := call.JSON(request)
//
// The answer is that of package appraisal, or for a request with "replay" that
// of package replay, byte for byte what enarx prints with --json. A request that
// cannot be answered gives {"error": "…"}, and only such.
//
// The package is pure: no network, no file, no clock; the time comes with the
// request or, for a replay, with the bundle.
package call

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/enarx/enarx-go/attest/appraisal"
	"github.com/enarx/enarx-go/attest/evidence"
	"github.com/enarx/enarx-go/attest/evidencebundle"
	"github.com/enarx/enarx-go/attest/replay"
	"github.com/enarx/enarx-go/attest/vtpm"
	"github.com/enarx/enarx-go/measure"
	"github.com/enarx/enarx-go/policy/policytoml"
)

// Limits on a request. Sizes are in bytes.
const (
	// MaxRequest bounds a request in JSON, which has its files in base64.
	MaxRequest = 24 << 20
	// MaxFiles bounds the files of collateral and of reference values.
	MaxFiles = 1024
)

// Request is one question. Files are in base64 in JSON.
type Request struct {
	// Evidence is the file with the evidence, in any format that package
	// evidence knows, evidence bundles included.
	Evidence []byte `json:"evidence"`
	// Replay asks to replay Evidence, an evidence bundle, in place of
	// appraising it under the demands of this request. Collateral, Policy,
	// References, ReportData and HostData are then those of the bundle and
	// must be absent here.
	Replay bool `json:"replay,omitempty"`
	// Collateral are files with certificates, revocation lists and the like.
	Collateral [][]byte `json:"collateral,omitempty"`
	// At is the time of the appraisal, RFC 3339; of a replay it may be
	// absent.
	At string `json:"at,omitempty"`
	// TPMRoots are files with the roots of the makers of TPMs that count, PEM
	// or DER; also for a replay, since none is in a bundle.
	TPMRoots [][]byte `json:"tpm_roots,omitempty"`
	// Policy is a policy file.
	Policy []byte `json:"policy,omitempty"`
	// References are signed files of reference values, and ReferenceKeys
	// files with the public keys, PEM, that they must be signed with.
	References    [][]byte `json:"references,omitempty"`
	ReferenceKeys [][]byte `json:"reference_keys,omitempty"`
	// ReportData, 64 bytes, and HostData, 32 bytes, in hexadecimal: what the
	// evidence must be bound to.
	ReportData string `json:"report_data,omitempty"`
	HostData   string `json:"host_data,omitempty"`
}

// JSON answers a request in JSON. It never panics.
func JSON(request []byte) []byte {
	r, err := Parse(request)
	if err != nil {
		return Failure(err)
	}
	answer, _, err := r.Answer()
	if err != nil {
		return Failure(err)
	}
	return answer
}

// Parse reads a request.
func Parse(request []byte) (*Request, error) {
	if len(request) > MaxRequest {
		return nil, fmt.Errorf("request of %d bytes, expected at most %d", len(request), MaxRequest)
	}
	d := json.NewDecoder(bytes.NewReader(request))
	d.DisallowUnknownFields()
	r := new(Request)
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("request is not the JSON of package call: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the request")
	}
	return r, nil
}

// Failure is the answer to a request that cannot be answered.
func Failure(err error) []byte {
	b, encErr := json.Marshal(map[string]string{"error": err.Error()})
	if encErr != nil {
		return []byte(`{"error":"internal"}`)
	}
	return append(b, '\n')
}

// Answer gives the answer in JSON, and whether it is a yes: accepted and, for a
// replay, either the recorded verdict again or asked for at another time. The
// error is for a request that cannot be answered.
func (r *Request) Answer() (answer []byte, yes bool, err error) {
	var at time.Time
	if r.At != "" {
		if at, err = time.Parse(time.RFC3339, r.At); err != nil {
			return nil, false, fmt.Errorf("time %.40q: write it as 2027-01-31T00:00:00Z", r.At)
		}
	}
	if len(r.Collateral) > MaxFiles || len(r.References) > MaxFiles || len(r.ReferenceKeys) > MaxFiles || len(r.TPMRoots) > MaxFiles {
		return nil, false, fmt.Errorf("more than %d files", MaxFiles)
	}
	var keys []ed25519.PublicKey
	for i, f := range r.ReferenceKeys {
		ks, err := measure.ParsePublicKeys(f)
		if err != nil {
			return nil, false, fmt.Errorf("file %d of keys: %w", i+1, err)
		}
		keys = append(keys, ks...)
	}
	var roots []*x509.Certificate
	for i, f := range r.TPMRoots {
		some, err := vtpm.ParseRoots(f)
		if err != nil {
			return nil, false, fmt.Errorf("file %d of roots of TPMs: %w", i+1, err)
		}
		roots = append(roots, some...)
	}
	if r.Replay {
		return r.replay(replay.Options{At: at, ReferenceKeys: keys, TPMRoots: roots})
	}
	q, err := r.request(at, keys)
	if err != nil {
		return nil, false, err
	}
	q.Policy.VTPM.Name(roots)
	res, err := appraisal.Appraise(*q)
	if err != nil {
		return nil, false, err
	}
	answer, err = res.JSON()
	return answer, res.Accepted, err
}

func (r *Request) replay(o replay.Options) ([]byte, bool, error) {
	if r.Collateral != nil || r.Policy != nil || r.References != nil || r.ReportData != "" || r.HostData != "" {
		return nil, false, errors.New("a replay takes collateral and demands from the bundle; leave them out, or appraise the file instead")
	}
	b, err := evidencebundle.Open(r.Evidence)
	if err != nil {
		return nil, false, err
	}
	out, err := replay.Run(b, o)
	if err != nil {
		return nil, false, err
	}
	answer, err := out.JSON()
	return answer, out.Yes(), err
}

func (r *Request) request(at time.Time, keys []ed25519.PublicKey) (*appraisal.Request, error) {
	if at.IsZero() {
		return nil, errors.New("the time of the appraisal is missing: a verifier has no clock")
	}
	q := &appraisal.Request{File: r.Evidence, At: at}
	for i, f := range r.Collateral {
		col, err := evidence.FindCollateral(f)
		if err != nil {
			return nil, fmt.Errorf("file %d of collateral: %w", i+1, err)
		}
		q.Collateral = append(q.Collateral, col...)
	}
	if r.Policy != nil {
		var err error
		if q.Policy, err = policytoml.Parse("policy", r.Policy); err != nil {
			return nil, err
		}
	}
	for i, f := range r.References {
		refs, err := measure.Verify(f, keys, at)
		if err != nil {
			return nil, fmt.Errorf("file %d of reference values: %w", i+1, err)
		}
		q.References = append(q.References, refs...)
	}
	if r.ReportData != "" {
		v, err := hex.DecodeString(r.ReportData)
		if err != nil || len(v) != 64 {
			return nil, errors.New("report data is not 64 bytes in hexadecimal")
		}
		q.ReportData = (*[64]byte)(v)
	}
	if r.HostData != "" {
		v, err := hex.DecodeString(r.HostData)
		if err != nil || len(v) != 32 {
			return nil, errors.New("host data is not 32 bytes in hexadecimal")
		}
		q.HostData = (*[32]byte)(v)
	}
	return q, nil
}
