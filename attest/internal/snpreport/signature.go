// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"fmt"
	"math/big"
	"slices"
)

// sigWord is the width of r and of s: 72 bytes little-endian, of which a P-384
// number fills 48 (document 56860, "Signature Format").
const (
	sigWord  = 72
	p384Size = 48
)

// CheckSignature says whether key signed the report.
func (r *Report) CheckSignature(key *ecdsa.PublicKey) error {
	if key == nil || key.Curve != elliptic.P384() {
		return fmt.Errorf("signing key is not on P-384")
	}
	rr, err := sigNumber("r", r.signature[:sigWord])
	if err != nil {
		return err
	}
	ss, err := sigNumber("s", r.signature[sigWord:2*sigWord])
	if err != nil {
		return err
	}
	digest := sha512.Sum384(r.signed[:])
	if !ecdsa.Verify(key, digest[:], rr, ss) {
		return fmt.Errorf("the report's signature was not made by this key")
	}
	return nil
}

func sigNumber(name string, le []byte) (*big.Int, error) {
	for _, c := range le[p384Size:] {
		if c != 0 {
			return nil, fmt.Errorf("signature: %s is wider than %d bytes", name, p384Size)
		}
	}
	be := slices.Clone(le[:p384Size])
	slices.Reverse(be)
	return new(big.Int).SetBytes(be), nil
}

// PutSignature writes r and s into a report of [Size] bytes, in the
// hardware's format.
func PutSignature(report []byte, r, s *big.Int) error {
	if len(report) != Size {
		return fmt.Errorf("report of %d bytes, expected %d", len(report), Size)
	}
	clear(report[offSignature:])
	for i, n := range []*big.Int{r, s} {
		if n.Sign() <= 0 || n.BitLen() > p384Size*8 {
			return fmt.Errorf("signature number of %d bits, expected 1 to %d", n.BitLen(), p384Size*8)
		}
		w := report[offSignature+i*sigWord:][:p384Size]
		n.FillBytes(w)
		slices.Reverse(w)
	}
	return nil
}
