// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"encoding/hex"
	"fmt"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/vtpm"
	"github.com/enarx/enarx-go/measure/predict"
)

// eventTypes are types of events as predictions name them (TCG PC Client
// Platform Firmware Profile, 10.4.1).
var eventTypes = map[uint32]string{
	4: "EV_SEPARATOR", 6: "EV_EVENT_TAG", 13: "EV_IPL", 0x80000003: "EV_EFI_BOOT_SERVICES_APPLICATION", 0x80000007: "EV_EFI_ACTION",
}

// Measured words what evidence of platform vtpm says was measured as a report,
// to be compared with a prediction by [Diff]: the PCRs that an image decides,
// with the events of the log that came along. Nothing is verified: the values may
// be anybody's, and the log need not fit them.
func Measured(ev attest.Evidence) (*Report, error) {
	if ev.MediaType != attest.MediaTypeTPM {
		return nil, fmt.Errorf("measured: evidence of type %.64q; only that of platform vtpm, %s, can be compared with a prediction", ev.MediaType, attest.MediaTypeTPM)
	}
	tpm, err := attest.DecodeTPMEvidence(ev.Value)
	if err != nil {
		return nil, fmt.Errorf("measured: %w", err)
	}
	events, err := vtpm.LoggedEvents(tpm.EventLog)
	if err != nil {
		return nil, fmt.Errorf("measured: %w", err)
	}
	m := vtpm.Measurement(&tpm.PCRs)
	r := &Report{Version: ReportVersion, Platform: attest.PlatformVTPM, Measurement: hex.EncodeToString(m[:]), Measured: true}
	for _, n := range predict.TPMRegisters {
		g := ReportRegister{Name: fmt.Sprintf("PCR%d", n), Value: hex.EncodeToString(tpm.PCRs[n][:]), Events: []ReportEvent{}}
		for _, e := range events {
			if e.PCR != uint32(n) {
				continue
			}
			name := eventTypes[e.Type]
			if name == "" {
				name = fmt.Sprintf("type %#x", e.Type)
			}
			g.Events = append(g.Events, ReportEvent{Type: name, Digest: hex.EncodeToString(e.Digest[:]), Detail: fmt.Sprintf("event %d of the log", e.Number)})
		}
		r.Registers = append(r.Registers, g)
	}
	return r, nil
}

// alike gives the events of a measured report the components that a prediction
// has in their places, which is all that is known of them.
func alike(measured, predicted []ReportEvent) []ReportEvent {
	out := make([]ReportEvent, len(measured))
	for i, e := range measured {
		e.Component = "beyond the prediction"
		if i < len(predicted) {
			e.Component = predicted[i].Component
		}
		out[i] = e
	}
	return out
}
