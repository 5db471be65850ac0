// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"crypto/x509"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/softtpm"
	"github.com/enarx/enarx-go/attest/internal/tpmquote"
)

// PCRMeasurement is the register whose one event has the measurement.
const PCRMeasurement = 11

// EventMeasurement is the type of that event, EV_IPL.
const EventMeasurement = 0xd

// verifyTPM checks a quote of the TPM shape. Its attestation key has a
// certificate of its own, so that no credential has to be activated; a sim Keep
// has no runtime register, so that the claim is not looked at.
func (v verifier) verifyTPM(source string, ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	p := tpmquote.Params{
		Platform: attest.PlatformSim, Simulated: true, RootSource: source, CertifiedAK: true, MeasureLog: tpmMeasurement,
		Demands: tpmquote.Demands{Waive: v.waive},
	}
	if v.root.tpm != nil {
		p.Roots = []*x509.Certificate{v.root.tpm}
	}
	exp.Claim = nil
	return tpmquote.Verify(p, ev, col, exp, at)
}

// tpmMeasurement is the event of 48 bytes, if the log has it and nothing else.
func tpmMeasurement(log []byte, events func(pcr uint32) [][]byte) []byte {
	e := events(PCRMeasurement)
	if len(e) == 1 && len(e[0]) == 48 && bytes.Equal(log, softtpm.Log(PCRMeasurement, EventMeasurement, e[0])) {
		return e[0]
	}
	return nil
}
