// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"context"

	"github.com/enarx/enarx-go/attest"
)

// SimHost is the part of a sallyport that the sim source uses: the host plays
// the hardware.
type SimHost interface {
	Quote(ctx context.Context, reportData [64]byte) ([]byte, error)
}

// Sim is the evidence source of platform sim: SNP-shaped reports that the host
// signs under its throw-away root. Chain, if not nil, gives the certificates
// that the host stapled.
type Sim struct {
	Host  SimHost
	Chain func(ctx context.Context) attest.Collateral
}

// Quote asks the host for a report.
func (s Sim) Quote(ctx context.Context, reportData [64]byte) (attest.Evidence, attest.Collateral, error) {
	v, err := s.Host.Quote(ctx, reportData)
	if err != nil {
		return attest.Evidence{}, nil, err
	}
	var hints attest.Collateral
	if s.Chain != nil {
		hints = s.Chain(ctx)
	}
	return attest.Evidence{MediaType: attest.MediaTypeSNP, Value: v}, hints, nil
}
