// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"testing"

	"github.com/enarx/enarx-go/attest/attesttest"
)

func TestInvariant4HostileInputIsBounded_VerifierSuite(t *testing.T) {
	attesttest.RunVerifierSuite(t, attesttest.Sim(t).Subject())
}
