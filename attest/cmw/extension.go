// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package cmw

import (
	"encoding/asn1"
	"fmt"
	"unicode/utf8"
)

// Extensions of certificates and certificate requests that hold a wrapper.
var (
	// OIDExtension is id-pe-cmw (RFC 9999, section 5.3).
	OIDExtension = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 35}
	// OIDDice is tcg-dice-conceptual-message-wrapper (TCG DICE Attestation
	// Architecture, section 6.1.8), the same but for records and tags only.
	OIDDice = asn1.ObjectIdentifier{2, 23, 133, 5, 4, 9}
)

// ParseExtension reads the value of such an extension, DER:
//
//	CMW ::= CHOICE { json UTF8String, cbor OCTET STRING }
func ParseExtension(der []byte) (*Node, Form, error) {
	if len(der) > MaxSize {
		return nil, 0, fmt.Errorf("cmw: extension of %d bytes, expected at most %d", len(der), MaxSize)
	}
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(der, &v)
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("cmw: extension is not DER: %w", err)
	case len(rest) > 0:
		return nil, 0, fmt.Errorf("cmw: %d bytes follow in the extension", len(rest))
	case v.Class != asn1.ClassUniversal || v.IsCompound:
		return nil, 0, fmt.Errorf("cmw: extension is neither a UTF8String nor an OCTET STRING")
	case v.Tag == asn1.TagUTF8String && utf8.Valid(v.Bytes):
		n, err := ParseJSON(v.Bytes)
		return n, JSON, err
	case v.Tag == asn1.TagOctetString:
		n, err := ParseCBOR(v.Bytes)
		return n, CBOR, err
	}
	return nil, 0, fmt.Errorf("cmw: extension is neither a UTF8String nor an OCTET STRING")
}
