// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"context"
	"encoding/binary"

	"github.com/enarx/enarx-go/attest"
)

// SimHost is the part of a sallyport that the sim source uses: the host plays
// the hardware.
type SimHost interface {
	Quote(ctx context.Context, reportData [64]byte) ([]byte, error)
}

// Sim is the evidence source of platform sim: evidence of the shape of its
// choice that the host signs under its throw-away root. Chain, if not nil, gives
// the collateral that the host stapled.
type Sim struct {
	Host  SimHost
	Chain func(ctx context.Context) attest.Collateral
}

// Quote asks the host for evidence.
func (s Sim) Quote(ctx context.Context, reportData [64]byte) (attest.Evidence, attest.Collateral, error) {
	v, err := s.Host.Quote(ctx, reportData)
	if err != nil {
		return attest.Evidence{}, nil, err
	}
	var hints attest.Collateral
	if s.Chain != nil {
		hints = s.Chain(ctx)
	}
	return attest.Evidence{MediaType: shape(v), Value: v}, hints, nil
}

// shape is the media type of what the host signed, by its first bytes: the
// sallyport carries no type, because hardware has one kind of evidence only. A
// host that makes them lie gains nothing, since the type chooses among the
// verifiers of one root.
func shape(b []byte) string {
	const quotes = 0x2_0000 // bytes 2 and 3: ECDSA P-256, after a version of 3 or 4
	switch {
	case len(b) >= 2 && b[0] == 0x84 && b[1] == 0x44: // COSE_Sign1
		return attest.MediaTypeNitro
	case len(b) >= 2 && b[0] == 0x87 && b[1] == 0x01: // CBOR array of seven, version 1
		return attest.MediaTypeTPM
	case len(b) >= 8 && binary.LittleEndian.Uint32(b)&^7 == quotes && b[4] == 0x81:
		return attest.MediaTypeTDX
	case len(b) >= 8 && binary.LittleEndian.Uint32(b)&^7 == quotes && b[4] == 0:
		return attest.MediaTypeSGX
	}
	return attest.MediaTypeSNP
}
