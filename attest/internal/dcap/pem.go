// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"encoding/base64"
	"fmt"
)

var (
	pemBegin = []byte("-----BEGIN CERTIFICATE-----")
	pemEnd   = []byte("-----END CERTIFICATE-----")
)

// splitPEM gives the DER of each certificate in b. It is stricter than
// encoding/pem, which ignores text between blocks and stray bits at the end of
// base64: here only line ends stand between and within blocks, and NULs after
// the last (quotes have them). So no byte of a chain can change unnoticed.
func splitPEM(b []byte) ([][]byte, error) {
	b = bytes.TrimRight(b, "\x00")
	var ders [][]byte
	for {
		b = bytes.TrimLeft(b, "\r\n")
		if len(b) == 0 {
			break
		}
		if len(ders) == maxCertificates {
			return nil, fmt.Errorf("more than %d certificates in PEM", maxCertificates)
		}
		rest, ok := bytes.CutPrefix(b, pemBegin)
		text, after, found := bytes.Cut(rest, pemEnd)
		if !ok || !found {
			return nil, fmt.Errorf("certificate %d in PEM does not begin and end as one", len(ders)+1)
		}
		der, err := decodePEMBody(text)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in PEM: %w", len(ders)+1, err)
		}
		ders, b = append(ders, der), after
	}
	if len(ders) == 0 {
		return nil, fmt.Errorf("no certificate in PEM")
	}
	return ders, nil
}

func decodePEMBody(text []byte) ([]byte, error) {
	if len(text) > 2*maxCertificate {
		return nil, fmt.Errorf("%d characters, expected at most %d", len(text), 2*maxCertificate)
	}
	if inner := bytes.Trim(text, "\r\n"); len(inner) == 0 || text[len(text)-1] != '\n' || text[0] != '\n' && text[0] != '\r' {
		return nil, fmt.Errorf("not on lines of its own")
	}
	// The decoder skips line ends by itself; nothing else is skipped.
	der := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(der, text)
	if err != nil {
		return nil, fmt.Errorf("not in canonical base64: %w", err)
	}
	return der[:n], nil
}
