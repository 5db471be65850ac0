// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"crypto/sha512"
	"encoding/asn1"
	"fmt"

	"github.com/enarx/enarx-go/attest"
)

// The extensions of the original Enarx hold DER (steward, crates/attestation):
//
//	SNP ::= SEQUENCE { SEQUENCE { vcek Certificate, crls Lists }, report OCTET STRING }
//	SGX ::= SEQUENCE { quote OCTET STRING, crls Lists,
//	                   SEQUENCE { SEQUENCE OF Certificate, tcbInfo OCTET STRING } }
//	Lists ::= SEQUENCE { SEQUENCE OF SEQUENCE { url UTF8String, crl CertificateList } }
//
// Older Keeps had no lists and no TCB info: vcek itself in place of the inner
// sequence, and the bare quote.

// enarxSNP adds the report, bound to the SHA-384 digest of the key.
func (f *Found) enarxSNP(der, spki []byte) error {
	parts, err := sequence(der, 2)
	if err != nil {
		return malformed(formatEnarx, "SNP extension: %w", err)
	}
	col, err := derCertificates(parts[0].FullBytes, false)
	if err != nil {
		if col, err = enarxChain(parts[0].FullBytes); err != nil {
			return malformed(formatEnarx, "SNP extension: %w", err)
		}
	}
	report, err := exact(parts[1].FullBytes, asn1.TagOctetString)
	if err != nil {
		return malformed(formatEnarx, "SNP extension: report: %w", err)
	}
	var bound [64]byte
	d := sha512.Sum384(spki)
	copy(bound[:], d[:])
	f.Pieces = append(f.Pieces, Piece{
		Where: fmt.Sprintf("extension %v", oidEnarxSNP), Platform: attest.PlatformSNP,
		Evidence:   attest.Evidence{MediaType: attest.MediaTypeSNP, Value: report.Bytes},
		Collateral: col, ReportData: &bound, ReportDataSource: "SHA-384 of the public key of the request",
	})
	return nil
}

// enarxChain reads a VCEK with revocation lists.
func enarxChain(der []byte) (attest.Collateral, error) {
	parts, err := sequence(der, 2)
	if err != nil {
		return nil, err
	}
	col, err := derCertificates(parts[0].FullBytes, false)
	if err != nil {
		return nil, fmt.Errorf("VCEK: %w", err)
	}
	lists, err := enarxLists(parts[1].FullBytes)
	if err != nil {
		return nil, err
	}
	return append(col, lists...), nil
}

// enarxSGX adds the quote, bound to the SHA-256 digest of the key.
func (f *Found) enarxSGX(der, spki []byte) error {
	p := Piece{Where: fmt.Sprintf("extension %v", oidEnarxSGX), Platform: attest.PlatformSGX}
	p.ReportData, p.ReportDataSource = keyBinding(spki)
	if _, ok := looksLikeQuote(der); ok {
		p.Evidence = attest.Evidence{MediaType: attest.MediaTypeSGX, Value: der}
		f.Pieces = append(f.Pieces, p)
		return nil
	}
	parts, err := sequence(der, 3)
	if err != nil {
		return malformed(formatEnarx, "SGX extension: %w", err)
	}
	quote, err := exact(parts[0].FullBytes, asn1.TagOctetString)
	if err != nil {
		return malformed(formatEnarx, "SGX extension: quote: %w", err)
	}
	col, err := enarxLists(parts[1].FullBytes)
	if err != nil {
		return malformed(formatEnarx, "SGX extension: %w", err)
	}
	tcb, err := sequence(parts[2].FullBytes, 2)
	if err != nil {
		return malformed(formatEnarx, "SGX extension: TCB info: %w", err)
	}
	signers, err := derCertificates(tcb[0].Bytes, false)
	if err != nil {
		return malformed(formatEnarx, "SGX extension: TCB signing chain: %w", err)
	}
	info, err := exact(tcb[1].FullBytes, asn1.TagOctetString)
	if err != nil {
		return malformed(formatEnarx, "SGX extension: TCB info: %w", err)
	}
	col = append(append(col, signers...), attest.Evidence{MediaType: attest.MediaTypeIntelTCBInfo, Value: info.Bytes})
	p.Evidence, p.Collateral = attest.Evidence{MediaType: attest.MediaTypeSGX, Value: quote.Bytes}, col
	f.Pieces = append(f.Pieces, p)
	return nil
}

// enarxLists reads revocation lists; where they were fetched from says nothing.
func enarxLists(der []byte) (attest.Collateral, error) {
	outer, err := sequence(der, 1)
	if err != nil {
		return nil, fmt.Errorf("revocation lists: %w", err)
	}
	entries, err := elements(outer[0].Bytes)
	if err != nil {
		return nil, fmt.Errorf("revocation lists: %w", err)
	}
	var col attest.Collateral
	for i, e := range entries {
		parts, err := sequence(e.FullBytes, 2)
		if err != nil {
			return nil, fmt.Errorf("revocation list %d: %w", i+1, err)
		}
		if _, err := exact(parts[0].FullBytes, asn1.TagUTF8String); err != nil {
			return nil, fmt.Errorf("address of revocation list %d: %w", i+1, err)
		}
		if err := checkList(parts[1].FullBytes); err != nil {
			return nil, fmt.Errorf("revocation list %d: %w", i+1, err)
		}
		col = append(col, attest.Evidence{MediaType: attest.MediaTypeCRL, Value: parts[1].FullBytes})
	}
	return col, nil
}

// sequence reads a DER sequence of exactly n elements, and nothing after it.
func sequence(der []byte, n int) ([]asn1.RawValue, error) {
	v, err := exact(der, asn1.TagSequence)
	if err != nil {
		return nil, err
	}
	parts, err := elements(v.Bytes)
	if err == nil && len(parts) != n {
		err = fmt.Errorf("sequence of %d elements, expected %d", len(parts), n)
	}
	return parts, err
}

// elements reads DER elements, one after the other.
func elements(der []byte) ([]asn1.RawValue, error) {
	var list []asn1.RawValue
	for len(der) > 0 {
		if len(list) == maxCollateral {
			return nil, fmt.Errorf("more than %d elements", maxCollateral)
		}
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return nil, err
		}
		list, der = append(list, v), rest
	}
	return list, nil
}
