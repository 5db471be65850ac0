// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpmquote

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/derform"
	"github.com/enarx/enarx-go/attest/internal/fault"
	"github.com/enarx/enarx-go/attest/internal/tpm"
)

// endorsed is an endorsement key that leads to a root.
type endorsed struct {
	index  int
	public *tpm.Public
	chain  []*x509.Certificate // leaf first
	device tpm.Device
}

// endorse finds the first endorsement key of the evidence that leads to a root,
// or with only >= 0 looks at that one alone.
func (p *Params) endorse(keys []attest.TPMEndorsement, col attest.Collateral, at time.Time, only int) (*endorsed, error) {
	others := certificates(col)
	var all error
	for i, k := range keys {
		if only >= 0 && i != only {
			continue
		}
		e, err := p.endorseOne(k, others, at)
		if err == nil {
			e.index = i
			return e, nil
		}
		if len(keys) > 1 {
			err = fmt.Errorf("key %d: %w", i+1, err)
		}
		all = errors.Join(all, err)
	}
	if all == nil {
		return nil, fault.New(attest.ReasonChain, "no endorsement key")
	}
	// One line for people; the first cause leads.
	return nil, fault.New(fault.Reason(all, attest.ReasonChain), "%s", strings.ReplaceAll(all.Error(), "\n", "; "))
}

func (p *Params) endorseOne(k attest.TPMEndorsement, others []*x509.Certificate, at time.Time) (*endorsed, error) {
	c, padding, err := tpm.ParseCertificate(k.Certificate)
	if err != nil {
		return nil, fault.New(attest.ReasonChain, "endorsement certificate: %w", err)
	}
	if err := derform.Signed(k.Certificate[:len(k.Certificate)-padding]); err != nil {
		return nil, fault.New(attest.ReasonChain, "endorsement certificate: %w", err)
	}
	public, err := tpm.ParsePublic(k.Public)
	if err == nil {
		err = public.CheckEndorsementKey()
	}
	if err != nil {
		return nil, fault.New(attest.ReasonKey, "endorsement key: %w", err)
	}
	if !public.Is(c.PublicKey) {
		return nil, fault.New(attest.ReasonKey, "the endorsement key is not the one of its certificate")
	}
	chain, err := tpm.Chain(c, p.Roots, others, true, at)
	if err != nil {
		return nil, fmt.Errorf("endorsement certificate: %w", err)
	}
	device, err := tpm.DeviceOf(c)
	return &endorsed{public: public, chain: chain, device: device}, err
}

// certificates reads the certificates among the collateral. What cannot be
// read helps no chain.
func certificates(col attest.Collateral) []*x509.Certificate {
	var out []*x509.Certificate
	add := func(der []byte) {
		if c, err := x509.ParseCertificate(der); err == nil && len(out) < attest.MaxHints {
			out = append(out, c)
		}
	}
	for _, e := range col {
		switch {
		case len(e.Value) > attest.MaxHint:
		case e.MediaType == attest.MediaTypeCertificate:
			add(e.Value)
		case e.MediaType == attest.MediaTypePEMChain:
			for rest := e.Value; len(out) < attest.MaxHints; {
				var b *pem.Block
				if b, rest = pem.Decode(rest); b == nil {
					break
				}
				add(b.Bytes)
			}
		}
	}
	return out
}

func (v *verification) checkChain() {
	if !v.in.keep && v.p.VouchedKey != nil {
		v.vouch()
		return
	}
	want := "a certificate of the endorsement key of a TPM that leads to a root that was named"
	var err error
	if v.in.keep && !v.p.CertifiedAK {
		only := -1
		if v.act.state == activated {
			only = v.act.endorsement
		}
		var e *endorsed
		if e, err = v.p.endorse(v.in.endorsements, v.col, v.at, only); err == nil {
			v.chain, v.device = e.chain, e.device
		}
	} else {
		want, v.byAK = "a certificate of the attestation key that leads to a root that was named", true
		err = v.attestationChain()
	}
	if err != nil {
		v.chain = nil
		todo := "name the root certificate of this TPM's maker with --tpm-root FILE, if you trust it"
		reason := fault.Reason(err, attest.ReasonChain)
		if reason != attest.ReasonRoot {
			todo = "ask the host for this TPM's certificate with its issuers; if it gives none, do not use this Keep"
		}
		v.row(false, reason, "chain", err.Error(), want, v.p.RootSource, todo)
		v.row(false, attest.ReasonUnchecked, "dates", "no proven chain", "valid at "+stamp(v.at), "time of the appraisal", "see the row of the chain")
		return
	}
	v.row(true, "", "chain", fmt.Sprintf("%s; %s", chainText(v.chain), v.device), want, v.p.RootSource, "")
	from, to := v.chain[0].NotBefore, v.chain[0].NotAfter
	for _, c := range v.chain {
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if c.NotAfter.Before(to) {
			to = c.NotAfter
		}
	}
	v.row(true, "", "dates", fmt.Sprintf("all certificates valid from %s to %s", stamp(from), stamp(to)), "valid at "+stamp(v.at), "time of the appraisal", "")
}

// vouch takes the word of other evidence for the attestation key.
func (v *verification) vouch() {
	const want = "the attestation key that verified evidence vouches for"
	v.vouched = sameKey(v.key, v.p.VouchedKey)
	v.row(v.vouched, attest.ReasonKey, "chain", "a key of type "+tpm.KeyText(v.key), want, v.p.VouchedBy,
		"the quote is of another TPM than the evidence beside it; do not use them")
}

func sameKey(a, b crypto.PublicKey) bool {
	switch k := a.(type) {
	case *rsa.PublicKey:
		return k.Equal(b)
	case *ecdsa.PublicKey:
		return k.Equal(b)
	}
	return false
}

// attestationChain is for clouds that certify their TPMs' attestation keys.
func (v *verification) attestationChain() error {
	others := certificates(v.col)
	err := fault.New(attest.ReasonChain, "no certificate of the attestation key came along")
	for _, c := range others {
		if !sameKey(v.key, c.PublicKey) {
			continue
		}
		if e := derform.Signed(c.Raw); e != nil {
			err = fault.New(attest.ReasonChain, "attestation certificate: %w", e)
			continue
		}
		chain, e := tpm.Chain(c, v.p.Roots, others, false, v.at)
		if e != nil {
			err = fmt.Errorf("attestation certificate: %w", e)
			continue
		}
		if v.device, e = tpm.DeviceOf(c); e != nil {
			return e
		}
		if v.in.keep { // with a certified attestation key: it stands for the endorsement key
			k := v.in.endorsements
			if len(k) != 1 || !bytes.Equal(k[0].Certificate, c.Raw) || !bytes.Equal(k[0].Public, v.in.public) {
				return fault.New(attest.ReasonChain, "the endorsement key is not the certified attestation key")
			}
		}
		v.chain = chain
		return nil
	}
	return err
}

func chainText(chain []*x509.Certificate) string {
	var names []string
	for i, c := range chain {
		n := c.Subject.CommonName
		if i == 0 && (n == "" || n == "unknown") { // the second is swtpm's
			names = append(names, "the TPM's key")
			continue
		}
		names = append(names, shown(n))
	}
	return strings.Join(names, " by ")
}

// keyID names a TPM by the certificate of its key: the digest of the key.
func keyID(c *x509.Certificate) []byte {
	d := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return d[:]
}

// revocation looks at the lists that came along. Makers of TPMs keep lists at
// addresses in their certificates; nobody fetches them here.
func (v *verification) revocation() {
	const check, want = "revocation", "no certificate of the chain is revoked"
	if v.vouched {
		return // no chain of its own
	}
	if v.chain == nil {
		v.row(false, attest.ReasonUnchecked, check, "no proven chain", want, "the issuers' lists", "see the row of the chain")
		return
	}
	checked, missing := 0, 0
	for i := range len(v.chain) - 1 {
		found, err := v.revoked(v.chain[i], v.chain[i+1])
		if err != nil {
			v.row(false, fault.Reason(err, attest.ReasonListFormat), check, err.Error(), want, "the issuer's list", "do not use this TPM, or give the issuer's current list")
			return
		}
		if found {
			checked++
		} else {
			missing++
		}
	}
	switch {
	case missing == 0 && checked > 0:
		v.row(true, "", check, fmt.Sprintf("%d lists, none names a certificate of the chain", checked), want, "the issuers' lists", "")
	case v.p.Demands.RequireCRL:
		v.row(false, attest.ReasonListMissing, check, fmt.Sprintf("no list of %d issuers", missing), want, relying, "give the lists of this TPM's maker with --collateral")
	default:
		v.note(attest.Skipped, check, fmt.Sprintf("NOT CHECKED: no list of %d issuers came along", missing), "not demanded", relying, "")
	}
}

// revoked looks for c in the lists of its issuer; found says that there was a
// good one.
func (v *verification) revoked(c, issuer *x509.Certificate) (found bool, err error) {
	lists := 0
	for _, e := range v.col {
		if e.MediaType != attest.MediaTypeCRL || lists == maxLists {
			continue
		}
		lists++
		if len(e.Value) > maxList {
			continue
		}
		l, err := x509.ParseRevocationList(e.Value)
		if err != nil || !bytes.Equal(l.RawIssuer, issuer.RawSubject) || l.CheckSignatureFrom(issuer) != nil {
			continue // of somebody else
		}
		for _, x := range l.Extensions {
			if x.Critical || derform.Narrows(x.Id) {
				return false, fault.New(attest.ReasonListFormat, "a list with extension %v, which is not understood", x.Id)
			}
		}
		for _, r := range l.RevokedCertificateEntries {
			if r.SerialNumber.Cmp(c.SerialNumber) == 0 {
				return true, fault.New(attest.ReasonRevoked, "%s is revoked since %s", shown(c.Subject.CommonName), stamp(r.RevocationTime))
			}
		}
		if v.at.Before(l.ThisUpdate) || v.at.After(l.NextUpdate) {
			continue // says nothing of now
		}
		found = true
	}
	return found, nil
}
