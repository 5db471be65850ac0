// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"encoding/binary"
	"errors"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/evidence"
	"github.com/enarx/enarx-go/attest/internal/dcap"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

// detect is [evidence.Find], and for raw evidence that it does not know yet
// the little that is needed here.
func detect(file []byte) (*evidence.Found, error) {
	found, err := evidence.Find(file)
	if !errors.Is(err, evidence.ErrUnknown) {
		return found, err
	}
	one := func(format, platform, mediaType string) (*evidence.Found, error) {
		return &evidence.Found{Format: format, Pieces: []evidence.Piece{{
			Where: "the file", Platform: platform, Evidence: attest.Evidence{MediaType: mediaType, Value: file},
		}}}, nil
	}
	if q, err := dcap.ParseQuote(file); err == nil && q.TEE == dcap.TDX {
		return one("tdx-quote", attest.PlatformTDX, attest.MediaTypeTDX)
	} else if err == nil {
		return one("sgx-quote", attest.PlatformSGX, attest.MediaTypeSGX)
	}
	if len(file) == snpreport.Size && binary.LittleEndian.Uint32(file) < 16 {
		return one("snp-report", attest.PlatformSNP, attest.MediaTypeSNP)
	}
	return nil, err
}
