// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package derform refuses what nobody signed in certificates and revocation
// lists: the standard library reads over bytes after them and over further
// elements within. It also refuses keys that are made to keep a verifier busy.
package derform

import (
	"crypto"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
)

// maxRSABits bounds an RSA key whose signatures are checked. The time grows with
// the square of the size and with the exponent: a key of 250,000 bits, which
// fits into a certificate that somebody sends, costs 5 s for each signature.
// Authorities have 4,096 bits at most; package crypto/tls has the same limit.
const maxRSABits = 8192

// maxRSAExponent is the exponent of every authority but those with 3.
const maxRSAExponent = 65537

// Checkable refuses keys with which it takes too long to check a signature. It
// is for keys out of certificates that nobody has vouched for yet.
func Checkable(key crypto.PublicKey) error {
	k, ok := key.(*rsa.PublicKey)
	if ok && (k.N.BitLen() > maxRSABits || k.E > maxRSAExponent) {
		return fmt.Errorf("RSA key of %d bits with exponent %d, expected at most %d and %d: its signatures are not checked", k.N.BitLen(), k.E, maxRSABits, maxRSAExponent)
	}
	return nil
}

// Narrows says whether an extension of a revocation list or of an entry in one
// changes what the list is about: changes since another list, some certificates
// only, entries of other issuers (RFC 5280, sections 5.2.4, 5.2.5 and 5.3.3).
// Such a list is not the whole one, whether or not its issuer made the
// extension critical.
func Narrows(id asn1.ObjectIdentifier) bool {
	const first, last = 27, 29
	return len(id) == 4 && id[0] == 2 && id[1] == 5 && id[2] == 29 && id[3] >= first && id[3] <= last
}

// Signed says whether der is one certificate or revocation list and nothing
// else (RFC 5280, sections 4.1 and 5.1): a sequence of what is signed, the
// algorithm and the signature. What is in the parts is for a parser.
func Signed(der []byte) error {
	body, rest, ok := element(der)
	if !ok || der[0] != sequence {
		return fmt.Errorf("no sequence in DER")
	}
	if len(rest) != 0 {
		return fmt.Errorf("%d bytes after the end", len(rest))
	}
	for range 3 {
		if _, body, ok = element(body); !ok {
			return fmt.Errorf("not the three parts of something signed")
		}
	}
	if len(body) != 0 {
		return fmt.Errorf("%d bytes after the signature", len(body))
	}
	return nil
}

const sequence = 0x30

// element takes the first element off b: a tag of one byte, a length in its
// shortest form, and that many bytes (ITU-T X.690, sections 8.1 and 10.1).
func element(b []byte) (content, rest []byte, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return nil, nil, false
	}
	n, at := int(b[1]), 2
	if n >= 0x80 {
		size := n & 0x7f
		if size == 0 || size > 3 || len(b) < 2+size || b[2] == 0 {
			return nil, nil, false
		}
		n = 0
		for ; at < 2+size; at++ {
			n = n<<8 | int(b[at])
		}
		if n < 0x80 {
			return nil, nil, false
		}
	}
	if len(b)-at < n {
		return nil, nil, false
	}
	return b[at : at+n], b[at+n:], true
}
