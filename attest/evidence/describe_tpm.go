// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"encoding/hex"
	"fmt"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/tpm"
	"github.com/enarx/enarx-go/attest/internal/tpmquote"
)

const specVTPM = "attest/vtpm/SPEC.md"

// describeKeepTPM describes what a Keep on platform vtpm sends.
func describeKeepTPM(b []byte) (*Description, error) {
	e, err := attest.DecodeTPMEvidence(b)
	if err != nil {
		return nil, malformed(formatKeepTPM, "%w", err)
	}
	d := &Description{Kind: formatKeepTPM, Title: "TPM evidence of a Keep"}
	var pcrs []byte
	for _, v := range e.PCRs {
		pcrs = append(pcrs, v[:]...)
	}
	d.tpmQuote(e.AK, nil, e.Quote, e.Signature, tpm.AlgSHA256, pcrs, e.EventLog)
	for i, k := range e.Endorsements {
		c, padding, err := tpm.ParseCertificate(k.Certificate)
		if err != nil {
			d.note("The endorsement certificate %d cannot be read: %v.", i+1, err)
			continue
		}
		f := certificateField(Field{Name: fmt.Sprintf("endorsement certificate %d", i+1), Spec: specVTPM}, c.Raw,
			"Certificate of the TPM's endorsement key, from its maker; not checked here.")
		if padding > 0 {
			f.Meaning += fmt.Sprintf(" %d bytes of padding follow it.", padding)
		}
		d.Fields = append(d.Fields, f)
	}
	return d, nil
}

// describeForeignTPM describes a quote that is not a Keep's.
func describeForeignTPM(b []byte) (*Description, error) {
	q, err := tpmquote.DecodeForeign(b)
	if err != nil {
		return nil, malformed(formatForeignTPM, "%w", err)
	}
	d := &Description{Kind: formatTPMQuote, Title: "quote of a TPM"}
	d.tpmQuote(q.Public, q.Key, q.Quote, q.Signature, tpm.Alg(q.Bank), q.PCRs, q.EventLog)
	return d, nil
}

func (d *Description) tpmQuote(public, key, quote, signature []byte, bank tpm.Alg, pcrs, log []byte) {
	d.Fields = append(d.Fields, attestationKeyField(public, key))
	inner := describeTPM(quote)
	d.Fields = append(d.Fields, Field{Name: "quote", Size: len(quote), Value: fmt.Sprintf("%d bytes", len(quote)), Meaning: "What the TPM signed.", Spec: specTPMS, Fields: inner.Fields})
	d.Notes = append(d.Notes, inner.Notes...)
	sig := Field{Name: "signature", Size: len(signature), Value: hex.EncodeToString(signature), Meaning: "By the attestation key; not checked here.", Spec: "TCG TPM 2.0 Library, part 2, section 11.3.4"}
	if s, err := tpm.ParseSignature(signature); err == nil {
		sig.Meaning = fmt.Sprintf("By the attestation key, %v with %v; not checked here.", s.Alg, s.Hash)
		if _, err := s.Hash.Hash(); err != nil {
			d.note("A verifier will refuse it: signature with %v.", err)
		}
	} else {
		d.note("A verifier will refuse it: %v.", err)
	}
	regs := Field{Name: "registers", Size: len(pcrs), Value: fmt.Sprintf("bank %v", bank), Meaning: "What was measured, each a chain of digests; the quote has a digest of all.", Spec: specVTPM}
	for i, n := 0, len(pcrs)/tpm.PCRs; i < tpm.PCRs; i++ {
		regs.Fields = append(regs.Fields, Field{Name: fmt.Sprintf("PCR%d", i), Size: n, Value: hex.EncodeToString(pcrs[i*n : (i+1)*n])})
	}
	d.Fields = append(d.Fields, sig, regs, Field{
		Name: "event log", Size: len(log), Value: fmt.Sprintf("%d bytes", len(log)), Meaning: "What the firmware says that it measured; it counts as far as it leads to the registers.", Spec: specVTPM,
	})
}

func attestationKeyField(public, key []byte) Field {
	f := Field{Name: "attestation key", Size: len(public), Value: hex.EncodeToString(public), Spec: "TCG TPM 2.0 Library, part 2, section 12.2.4"}
	if len(public) == 0 {
		f.Size, f.Value, f.Spec, f.Meaning = len(key), hex.EncodeToString(key), "RFC 5280, section 4.1.2.7", "The key alone, without the TPM's own description of it."
		return f
	}
	p, err := tpm.ParsePublic(public)
	if err != nil {
		f.Meaning = "Cannot be read: " + shown(err.Error())
		return f
	}
	f.Meaning = fmt.Sprintf("%s, %v.", p.KeyText(), p.Attributes)
	return f
}
