// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/enarx/enarx-go/attest"
)

// Binding is what evidence must be bound to; nil means nothing.
type Binding struct {
	ReportData       *[64]byte
	ReportDataSource string
	HostData         *[32]byte
	HostDataSource   string
}

// FindBinding reads a file that evidence speaks of without holding it:
//
//   - an HCL report of Azure, whose runtime data the report data of the SNP
//     report or TD quote names
//   - a security policy of Azure Container Instances (Rego, in base64), whose
//     SHA-256 digest is the host data of the SNP report
//
// Anything else is [ErrUnknown].
func FindBinding(file []byte) (*Binding, error) {
	if err := checkSize(file); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(file, hclMagic) {
		h, err := parseHCL(file)
		if err != nil {
			return nil, &Error{Format: formatHCL, Reason: attest.ReasonFormat, Err: err}
		}
		b := &Binding{}
		b.ReportData, b.ReportDataSource = h.binding()
		return b, nil
	}
	if raw, ok := unbase64(bytes.TrimSpace(file)); ok && bytes.HasPrefix(raw, []byte("package policy")) {
		d := sha256.Sum256(raw)
		return &Binding{HostData: &d, HostDataSource: "SHA-256 of the container security policy"}, nil
	}
	return nil, fmt.Errorf("%w: expected an HCL report or a container security policy in base64", ErrUnknown)
}
