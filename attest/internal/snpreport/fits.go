// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"bytes"
	"crypto/x509"
)

// Leaf says of what kind a certificate claims to be, for sorting many of them:
// it proves nothing, and the chain is checked by [Verify].
func Leaf(c *x509.Certificate) (kind uint8, ok bool) {
	if !isLeaf(c) {
		return KeyNone, false
	}
	kind, err := leafKind(c)
	return kind, err == nil
}

// Fits says whether leaf claims to be the key of r's machine, and the one of
// the firmware level that r reports. A VLEK fits every machine.
func (r *Report) Fits(leaf *x509.Certificate) (machine, level bool) {
	kind, ok := Leaf(leaf)
	if !ok || kind != r.SigningKey {
		return false, false
	}
	fmc := extension(leaf, OIDFMC) != nil
	if kind == KeyVCEK {
		// Turin's ids have 8 bytes, zeroes after them in the report.
		id := extension(leaf, OIDHardwareID)
		n := min(len(id), len(r.ChipID))
		machine = n > 0 && bytes.HasSuffix(id, r.ChipID[:n])
	} else {
		machine = true
	}
	end, err := readEndorsement(leaf, kind, fmc)
	if err != nil {
		return machine, false
	}
	tcb, err := r.ReportedTCB.decode(fmc)
	return machine, err == nil && tcb == end.tcb
}
