// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
	"github.com/enarx/enarx-go/attest/evidence"
	"github.com/enarx/enarx-go/attest/evidencebundle"
	"github.com/enarx/enarx-go/measure"
	"github.com/enarx/enarx-go/policy/policytoml"
)

// Source is what a bundle is made of. See [appraisal.Request] for fields of
// the same name.
type Source struct {
	File       []byte
	Collateral attest.Collateral
	// References are signed files of reference values. Each must be signed by
	// one of ReferenceKeys and have an entry that counts at At.
	References    [][]byte
	ReferenceKeys []ed25519.PublicKey
	ReportData    *[64]byte
	HostData      *[32]byte
	// Policy is the policy file; nil for none.
	Policy []byte
	// At is the time of the appraisal; what is less than a second is cut off.
	At time.Time
	// Verifiers gives the verifiers of a request, as in [appraisal.Request],
	// which see for its waivers; nil means those of real hardware.
	Verifiers func(*appraisal.Request) ([]attest.Verifier, error)
	// TPMRoots are the roots of the makers of TPMs that platform vtpm is to
	// be under; without one no TPM is genuine. They do not go into the bundle.
	TPMRoots []*x509.Certificate
	Caches   appraisal.Caches
	// LogProofs go into the bundle as they are.
	LogProofs [][]byte
	// Maker is the name and version of the program, for people.
	Maker string
}

// Options are the caller's part of a replay.
type Options struct {
	// At is another time to appraise at; zero takes the bundle's.
	At time.Time
	// ReferenceKeys are the keys whose signature makes reference values of
	// the bundle count.
	ReferenceKeys []ed25519.PublicKey
	// Verifiers gives the verifiers of a request, as in [appraisal.Request],
	// which see for its waivers; nil means those of real hardware.
	Verifiers func(*appraisal.Request) ([]attest.Verifier, error)
	// TPMRoots are the roots of the makers of TPMs that platform vtpm is to
	// be under; without one no TPM is genuine, whatever the bundle was made
	// with.
	TPMRoots []*x509.Certificate
	// OwnPolicy says that the caller holds the policy in the bundle for his
	// own, having compared it. Without it the policy cannot take the word of
	// whoever saved evidence for a TPM's activation: that would be the
	// bundle's word for itself.
	OwnPolicy bool
	Caches    appraisal.Caches
}

// Outcome is what came of a replay.
type Outcome struct {
	// Result is the verdict of now.
	Result *appraisal.Result
	// Verdict is Result in JSON.
	Verdict []byte
	// Same says that Verdict is the recorded one byte for byte or, at
	// another time, except for the time itself.
	Same bool
	// Changes are the differences; empty if and only if Same.
	Changes []Change
	// Recorded is the time of the recorded verdict, Bundle the digest that
	// names the bundle, Maker who made it, by its own word, and Policy the
	// digest of the policy in it; nil for none.
	Recorded time.Time
	Bundle   [32]byte
	Maker    string
	Policy   *[32]byte
	// NotCounted says for people which of the bundle's files of reference
	// values did not count, and why.
	NotCounted []string
}

// Make appraises src and gives the bundle that replays to the same verdict. The
// result may be a refusal: that is worth keeping, too. Only the collateral
// that the appraisal used goes into the bundle.
func Make(src Source) (*evidencebundle.Bundle, *appraisal.Result, error) {
	if _, err := evidencebundle.Open(src.File); !errors.Is(err, evidencebundle.ErrNotBundle) {
		return nil, nil, fmt.Errorf("making an evidence bundle: the file is an evidence bundle already")
	}
	for i, f := range src.References {
		if _, err := measure.Verify(f, src.ReferenceKeys, src.At); err != nil {
			return nil, nil, fmt.Errorf("making an evidence bundle: file %d of reference values: %w", i+1, err)
		}
	}
	b := &evidencebundle.Bundle{
		Evidence: attest.Evidence{MediaType: evidencebundle.MediaTypeFile, Value: src.File}, Collateral: src.Collateral,
		References: src.References, LogProofs: src.LogProofs, Policy: src.Policy,
		Request: evidencebundle.Request{At: src.At.UTC().Truncate(time.Second), ReportData: src.ReportData, HostData: src.HostData, Maker: src.Maker},
	}
	if found, err := evidence.Find(src.File); err == nil && len(found.Pieces) == 1 && bytes.Equal(found.Pieces[0].Evidence.Value, src.File) {
		b.Evidence.MediaType = found.Pieces[0].Evidence.MediaType
	}
	if len(src.References) > 0 {
		sums, err := keyDigests(src.ReferenceKeys)
		if err != nil {
			return nil, nil, err
		}
		b.Request.ReferenceKeys = sums
	}
	o := Options{ReferenceKeys: src.ReferenceKeys, Verifiers: src.Verifiers, TPMRoots: src.TPMRoots, OwnPolicy: true, Caches: src.Caches}
	all, _, err := appraise(b, o)
	if err != nil {
		return nil, nil, err
	}
	// Appraised once more with what was used: this is what a replay will
	// see, down to the row that counts what was left out. Where less than
	// all does not lead to the same verdict, all is kept.
	b.Collateral = used(src.File, all)
	res, _, err := appraise(b, o)
	if err != nil {
		return nil, nil, err
	}
	if res.Accepted != all.Accepted || res.Reason != all.Reason {
		b.Collateral, res = src.Collateral, all
	}
	if b.Verdict, err = res.JSON(); err != nil {
		return nil, nil, err
	}
	return b, res, nil
}

// used are the entries that some piece of evidence was verified with, in their
// order and each once, without what the file brings along.
func used(file []byte, res *appraisal.Result) attest.Collateral {
	seen := map[[32]byte]bool{}
	if found, err := evidence.Find(file); err == nil {
		for _, p := range found.Pieces {
			for _, e := range p.Collateral {
				seen[key(e)] = true
			}
		}
	}
	var out attest.Collateral
	for _, p := range res.Pieces {
		for _, e := range p.Collateral {
			if k := key(e); !seen[k] {
				seen[k] = true
				out = append(out, e)
			}
		}
	}
	return out
}

func key(e attest.Evidence) [32]byte {
	return sha256.Sum256(slices.Concat([]byte(e.MediaType), []byte{0}, e.Value))
}

func keyDigests(keys []ed25519.PublicKey) ([][32]byte, error) {
	var sums [][32]byte
	for _, k := range keys {
		der, err := x509.MarshalPKIXPublicKey(k)
		if err != nil {
			return nil, fmt.Errorf("making an evidence bundle: key of reference values: %w", err)
		}
		sums = append(sums, sha256.Sum256(der))
	}
	return evidencebundle.KeyDigests(sums), nil
}

// Run appraises a bundle again.
func Run(b *evidencebundle.Bundle, o Options) (*Outcome, error) {
	res, notCounted, err := appraise(b, o)
	if err != nil {
		return nil, err
	}
	out := &Outcome{Result: res, NotCounted: notCounted, Recorded: b.Request.At, Maker: b.Request.Maker}
	if b.Policy != nil {
		sum := sha256.Sum256(b.Policy)
		out.Policy = &sum
	}
	if out.Bundle, err = b.Digest(); err != nil {
		return nil, err
	}
	if out.Verdict, err = res.JSON(); err != nil {
		return nil, err
	}
	out.Changes = changes(b.Verdict, out.Verdict, res.At.Equal(b.Request.At))
	out.Same = len(out.Changes) == 0
	return out, nil
}

// appraise answers the question of a bundle, whoever made it.
func appraise(b *evidencebundle.Bundle, o Options) (*appraisal.Result, []string, error) {
	r := appraisal.Request{
		File: b.Evidence.Value, Collateral: b.Collateral, ReportData: b.Request.ReportData, HostData: b.Request.HostData,
		At: b.Request.At, Caches: o.Caches,
	}
	if !o.At.IsZero() {
		r.At = o.At.UTC().Truncate(time.Second)
	}
	if b.Policy != nil {
		var err error
		if r.Policy, err = policytoml.Parse("the policy in the evidence bundle", b.Policy); err != nil {
			return nil, nil, err
		}
	}
	if !o.OwnPolicy {
		r.Policy.VTPM.AcceptUnprovenActivation = false
	}
	r.Policy.VTPM.Name(o.TPMRoots)
	var notCounted []string
	if len(b.References) > 0 {
		r.References = []attest.ReferenceValue{} // not nil: they were demanded
	}
	for i, f := range b.References {
		if len(o.ReferenceKeys) == 0 {
			notCounted = append(notCounted, fmt.Sprintf("reference values %d: no key was named that they must be signed with", i+1))
			continue
		}
		refs, err := measure.Verify(f, o.ReferenceKeys, r.At)
		if err != nil {
			notCounted = append(notCounted, fmt.Sprintf("reference values %d: %v", i+1, err))
			continue
		}
		r.References = append(r.References, refs...)
	}
	if o.Verifiers != nil {
		vs, err := o.Verifiers(&r)
		if err != nil {
			return nil, nil, err
		}
		r.Verifiers = vs
	}
	res, err := appraisal.Appraise(r)
	if err != nil {
		return nil, nil, fmt.Errorf("appraising the evidence bundle: %w", err)
	}
	return res, notCounted, nil
}
