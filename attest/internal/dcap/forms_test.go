// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/elliptic"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/dcaptest"
)

// Numbers that are no signature, and other spellings of one that is.
func TestInvariant4HostileInputIsBounded_SignatureNumbers(t *testing.T) {
	v := dcaptest.New(t)
	n := elliptic.P256().Params().N
	message := []byte("message")
	good := v.Raw(v.PCK, message)
	r, s := new(big.Int).SetBytes(good[:32]), new(big.Int).SetBytes(good[32:])
	raw := func(r, s *big.Int) []byte {
		b := make([]byte, 64)
		r.FillBytes(b[:32])
		s.FillBytes(b[32:])
		return b
	}
	high := new(big.Int).Sub(n, s)
	if !signed(&v.PCK.PublicKey, formRaw, message, good) {
		t.Fatal("a good signature is refused")
	}
	// Both halves of the range of s are signatures (FIPS 186-5); hardware
	// makes either. What a quote says does not depend on which it is.
	if !signed(&v.PCK.PublicKey, formRaw, message, raw(r, high)) {
		t.Error("the other half of the range of s is refused")
	}
	zero, all := new(big.Int), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	for name, b := range map[string][]byte{
		"r zero": raw(zero, s), "s zero": raw(r, zero), "both zero": raw(zero, zero), "r is n": raw(n, s), "s is n": raw(r, n),
		"r all ones": raw(all, s), "s all ones": raw(r, all), "s of one": raw(r, big.NewInt(1)), "swapped": raw(s, r), "nothing": {}, "short": good[:63], "long": append(bytes.Clone(good), 0),
	} {
		if signed(&v.PCK.PublicKey, formRaw, message, b) {
			t.Errorf("%s: taken", name)
		}
	}
	der := func(r, s *big.Int) []byte {
		b, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	strict := der(r, s)
	if !signed(&v.PCK.PublicKey, formDER, message, strict) {
		t.Fatal("a good signature in DER is refused")
	}
	long := append([]byte{0x30, 0x81}, strict[1:]...)                                                                                       // length in two bytes
	padded := append(append([]byte{0x30, strict[1] + 1, 2, strict[3] + 1, 0}, strict[4:4+int(strict[3])]...), strict[4+int(strict[3]):]...) // r with a zero more
	endless := append(append([]byte{0x30, 0x80}, strict[2:]...), 0, 0)                                                                      // length until the end
	for name, b := range map[string][]byte{
		"long length": long, "r with zeroes before it": padded, "no length": endless, "something after it": append(bytes.Clone(strict), 0),
		"negative r": der(new(big.Int).Neg(r), s), "r beyond n": der(new(big.Int).Add(r, n), s), "s beyond n": der(r, new(big.Int).Add(s, n)), "zero": der(zero, zero), "raw": good,
	} {
		if name == "r with zeroes before it" && strict[4] == 0 {
			continue // a sign byte stands there already; the next run has another signature
		}
		if signed(&v.PCK.PublicKey, formDER, message, b) {
			t.Errorf("%s: taken", name)
		}
	}
}

// Attestation keys that are no points of the curve.
func TestInvariant4HostileInputIsBounded_AttestationKeys(t *testing.T) {
	v := dcaptest.New(t)
	set := v.Make(dcaptest.Spec{})
	p := params(TDX)
	p.Root = NewRoot(&v.Root.PublicKey, "the test")
	for name, key := range map[string][]byte{"zeroes": make([]byte, 64), "ones": bytes.Repeat([]byte{0xff}, 64), "off the curve": append(make([]byte, 63), 1)} {
		q := clonedQuote(t, set.Quote)
		copy(q.key, key)
		ok, verdict := appraise(p, rebuild(q), set.Collateral, dcaptest.Made)
		if ok || row(verdict, "signature").Outcome != attest.Fail || row(verdict, "attestation-key").Reason != attest.ReasonSignature {
			t.Errorf("%s: failed rows %q", name, failures(verdict))
		}
	}
}
