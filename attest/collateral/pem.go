// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"fmt"

	"github.com/enarx/enarx-go/attest/collateral/item"
	"github.com/enarx/enarx-go/attest/internal/dcap"
)

// splitPEM gives the DER of each certificate of a chain, as strictly as the
// verifier that will read it.
func splitPEM(b []byte) ([][]byte, error) {
	if len(b) > item.MaxPart {
		return nil, fmt.Errorf("chain of %d bytes, expected at most %d", len(b), item.MaxPart)
	}
	return dcap.SplitPEM(b)
}
