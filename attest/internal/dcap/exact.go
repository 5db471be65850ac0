// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"encoding/asn1"
	"fmt"
)

// exactlySigned refuses bytes beside the three parts of a certificate or list
// (RFC 5280, sections 4.1 and 5.1): what is signed, the algorithm, the
// signature. The standard library reads over further elements, which nobody
// would have signed.
func exactlySigned(der []byte) error {
	var outer asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) != 0 {
		return fmt.Errorf("bytes after the end")
	}
	rest := outer.Bytes
	for range 3 {
		var part asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &part); err != nil {
			return fmt.Errorf("not the three parts of something signed")
		}
	}
	if len(rest) != 0 {
		return fmt.Errorf("%d bytes after the signature", len(rest))
	}
	return nil
}
