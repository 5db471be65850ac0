// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"encoding/pem"
	"fmt"
)

const pemCertificate = "CERTIFICATE"

// normalRoots gives the canonical form of CA roots: the certificates of the
// PEM text in their order, without headers and without the words between
// them. A block that is not a certificate is an error, first of all a private
// key that would otherwise travel in every bundle.
func normalRoots(text []byte) ([]byte, error) {
	var out bytes.Buffer
	blocks := 0
	for rest := text; ; blocks++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != pemCertificate {
			return nil, fmt.Errorf("PEM block %d is %q; expected nothing but %s", blocks+1, clip(block.Type), pemCertificate)
		}
		// A certificate is a DER SEQUENCE (RFC 5280, section 4.1).
		if len(block.Bytes) == 0 || block.Bytes[0] != 0x30 {
			return nil, fmt.Errorf("PEM block %d holds no certificate", blocks+1)
		}
		block.Headers = nil
		if err := pem.Encode(&out, block); err != nil {
			return nil, fmt.Errorf("PEM block %d: %s", blocks+1, err)
		}
	}
	// The standard library steps over a block that it cannot read, and a
	// root that is silently missing is a connection that fails much later.
	if begun := bytes.Count(text, []byte("-----BEGIN ")); begun != blocks || blocks == 0 {
		return nil, fmt.Errorf("%d PEM blocks begin and %d are readable; expected at least one certificate and no damaged block", begun, blocks)
	}
	return out.Bytes(), nil
}
