// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

// Waiver names expectations of [Expected] that need not be given; waivers are
// joined with "|". An expectation that is missing and waived reads skipped in
// the verdict, one that is given counts whatever is waived. It is for looking
// at evidence that is not a Keep's own: claims say what was waived, and package
// policy refuses them.
type Waiver uint8

// What can be waived.
const (
	WaiveMeasurement Waiver = 1 << iota
	WaiveHostData
	WaiveReportData
)
