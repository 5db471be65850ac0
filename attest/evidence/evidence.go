// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package evidence finds evidence in whatever it comes wrapped in.
//
//	found, err := evidence.Find(file)
//
// The wrapping proves nothing, and neither does anything here: what [Find]
// returns is for a verifier. What the wrapping claims to be bound to (the key
// of a certificate, the runtime data of a paravisor) comes back as an
// expectation, so that a verifier can hold it against what the hardware signed.
package evidence

import (
	"errors"

	"github.com/enarx/enarx-go/attest"
)

// Found is what a file holds.
type Found struct {
	// Format names the outermost wrapping, for people and for JSON.
	Format string
	// Pieces are the pieces of evidence in it, in order; at least one.
	Pieces []Piece
	// Rows are checks of the wrapping itself, such as the self-signature of
	// a certificate request. They are part of the verdict.
	Rows attest.Verdict
}

// Piece is one piece of evidence with what came along with it.
type Piece struct {
	// Where says for people where in the file it was.
	Where string
	// Platform is the platform that the evidence claims to be of.
	Platform string
	Evidence attest.Evidence
	// Collateral that the wrapping brings; untrusted.
	Collateral attest.Collateral
	// ReportData and HostData are what the wrapping must be bound to, or nil
	// if it says nothing; the sources say for people where they come from.
	ReportData       *[64]byte
	ReportDataSource string
	HostData         *[32]byte
	HostDataSource   string
}

// ErrUnknown says that no known format was recognised.
var ErrUnknown = errors.New("no evidence of a known format")

// Find recognises the format of file by its content and takes it apart.
func Find(file []byte) (*Found, error) {
	return nil, ErrUnknown
}
