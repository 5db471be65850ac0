// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package evidence finds evidence in whatever it comes wrapped in, and says
// field by field what it holds.
//
//	found, err := evidence.Find(file)
//	for _, p := range found.Pieces {
//		d, err := evidence.Describe(p)
//	}
//
// The wrapping proves nothing, and neither does anything here: what [Find]
// returns is for a verifier. What the wrapping claims to be bound to (the key
// of a certificate, the runtime data of a paravisor) comes back as an
// expectation, so that a verifier can hold it against what the hardware signed.
//
// # Formats
//
// Formats are recognised by content, never by name. [Found.Format] is one of:
//
//	snp-report              ATTESTATION_REPORT of AMD SEV-SNP (document 56860)
//	snp-report-response     the same in MSG_REPORT_RSP, as the firmware answers
//	snp-extended-report     the same, followed by the certificate table of an
//	                        extended guest request (GHCB, document 56421)
//	sgx-quote, tdx-quote    Intel ECDSA quote, version 3, 4 or 5
//	nitro-document          AWS attestation document (COSE_Sign1)
//	azure-hcl-report        SNP report with the runtime data of Azure's paravisor
//	azure-snp-vtpm-json     that in JSON with VCEK and TPM quote
//	azure-tdx-vtpm-json     TD quote with HCL report and TPM quote in JSON
//	ra-tls-certificate      X.509 certificate with evidence for its own key
//	certificate-request     PKCS #10 with evidence for its own key
//	enarx-request           PKCS #10 of a Keep of the original Enarx
//	trustee-snp-json        SNP report as members of a JSON object
//	quote-json              JSON with a quote as text, with or without event log
//	evidence-json           evidence and endorsements as text (ravl, CCF)
//	openenclave-report      quote behind the header of an Open Enclave report
//	vaportpm-json           TPM quote, with certificates of its key (Google) or
//	                        beside the Nitro document of the same NitroTPM
//	go-tpm-tools-attestation
//	                        TPM quotes of go-tpm-tools (protobuf)
//	go-attestation-json     TPM quote of go-attestation
//	tpm-evidence            what a Keep on platform vtpm sends (attest/vtpm)
//	tpm-quote-cbor          a TPM quote in the form that verifiers take
//	cmw                     conceptual message wrapper (RFC 9999), any form
//	evidence-bundle         evidence saved with all that its appraisal used
//
// with "+hex", "+base64", "+pem" after it if the file is text that has to be
// decoded first. Formats that are known and hold nothing that could be verified
// (a TPM's statement without its signature, a TD report) give an [Error] that
// wraps [ErrUnsupported] and names them; they are not called unknown.
//
// # Strictness
//
// Evidence itself is cut out byte for byte and left to its verifier, which
// refuses padding and trailing bytes as it must. Wrappings are read strictly:
// lengths have to fit, nothing may follow, no member of a JSON object may occur
// twice. Members that nobody here reads are not dropped in silence: a row with
// outcome skipped names them.
//
// The package is pure: no network, no file, no clock. Everything is bounded
// before it is allocated (limits.go), and what is returned shares memory with
// the file where nothing had to be decoded.
package evidence

import (
	"errors"
	"fmt"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// Found is what a file holds.
type Found struct {
	// Format names the outermost wrapping, for people and for JSON; see the
	// package comment.
	Format string
	// Pieces are the pieces of evidence in it, in order; at least one.
	Pieces []Piece
	// Rows are checks of the wrapping itself, such as the self-signature of
	// a certificate request. They are part of the verdict.
	Rows attest.Verdict
	// Valid are the dates that the wrapping itself has, such as those of a
	// RA-TLS certificate. There is no clock here: whoever appraises makes
	// the rows, with [Window.Row].
	Valid []Window
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
	// Vouch says that another piece vouches for the key that signed this one;
	// nil for evidence that stands by itself.
	Vouch *Vouch
}

// Window is when something is valid, both ends included.
type Window struct {
	// What is valid, for people, such as "the RA-TLS certificate".
	What                string
	NotBefore, NotAfter time.Time
}

// Row checks the window at the given time.
func (w Window) Row(at time.Time) attest.Row {
	r := attest.Row{
		Check:    "wrapper.dates",
		Seen:     fmt.Sprintf("%s is valid from %s to %s", w.What, w.NotBefore.UTC().Format(time.RFC3339), w.NotAfter.UTC().Format(time.RFC3339)),
		Expected: "valid at " + at.UTC().Format(time.RFC3339),
		Source:   "the time of the appraisal",
		Outcome:  attest.Pass,
	}
	switch {
	case at.Before(w.NotBefore):
		r.Outcome, r.Reason, r.Todo = attest.Fail, attest.ReasonCertNotYetValid, "check the clocks of both sides"
	case at.After(w.NotAfter):
		r.Outcome, r.Reason, r.Todo = attest.Fail, attest.ReasonCertExpired, "ask the other side for a fresh certificate; this one has ended"
	}
	return r
}

// Errors that are told apart with errors.Is.
var (
	// ErrUnknown says that no known format was recognised.
	ErrUnknown = errors.New("no evidence of a known format")
	// ErrUnsupported says that the format is known and no verifier for it
	// exists yet, or that it holds nothing that could be verified.
	ErrUnsupported = errors.New("no verifier")
)

// Error says what is wrong with a file whose format was recognised.
type Error struct {
	// Format as in [Found.Format], or the name of one that is not supported.
	Format string
	// Reason for programs, never empty.
	Reason attest.Reason
	// Todo says for people what to do next; may be empty.
	Todo string
	Err  error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("reading %s: %v", e.Format, e.Err)
	if e.Todo != "" {
		s += "; " + e.Todo
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// malformed is the error for what was recognised and cannot be read.
func malformed(format, msg string, args ...any) error {
	return &Error{Format: format, Reason: attest.ReasonFormat, Err: fmt.Errorf(msg, args...)}
}

// unsupported is the error for what is known and cannot be verified.
func unsupported(format, why, todo string) error {
	return &Error{Format: format, Reason: attest.ReasonPlatform, Todo: todo, Err: fmt.Errorf("%w: %s", ErrUnsupported, why)}
}

// Find recognises the format of file by its content and takes it apart. The
// error is [ErrUnknown], or an [Error] for a format that was recognised.
func Find(file []byte) (*Found, error) {
	if err := checkSize(file); err != nil {
		return nil, err
	}
	f, err := find(file, 0)
	if err != nil {
		return nil, explainUnknown(file, err)
	}
	switch n := len(f.Pieces); {
	case n == 0:
		return nil, malformed(f.Format, "no evidence in it")
	case n > maxPieces:
		return nil, tooLarge(f.Format, fmt.Sprintf("%d pieces of evidence", n), maxPieces)
	}
	for _, p := range f.Pieces {
		if n := len(p.Evidence.Value); n > attest.MaxEvidence {
			return nil, tooLarge(f.Format, fmt.Sprintf("a piece of evidence of %d bytes", n), attest.MaxEvidence)
		}
	}
	return f, nil
}

func checkSize(file []byte) error {
	switch {
	case len(file) > MaxFile:
		return tooLarge("the file", fmt.Sprintf("%d bytes", len(file)), MaxFile)
	case len(file) == 0:
		return fmt.Errorf("%w: the file is empty", ErrUnknown)
	}
	return nil
}

func tooLarge(format, seen string, limit int) error {
	return &Error{Format: format, Reason: attest.ReasonTooLarge, Err: fmt.Errorf("%s, expected at most %d", seen, limit)}
}

// explainUnknown says of a file that is no evidence whether it is collateral.
func explainUnknown(file []byte, err error) error {
	if !errors.Is(err, ErrUnknown) {
		return err
	}
	if col, colErr := findCollateral(file, 0); colErr == nil {
		return fmt.Errorf("%w: the file holds collateral (%s); give it beside the evidence", ErrUnknown, kinds(col))
	}
	return err
}

// find is Find without the limits of the whole, for one level of wrapping.
func find(b []byte, depth int) (*Found, error) {
	if depth > maxDepth {
		return nil, tooLarge("the file", fmt.Sprintf("%d wrappings within each other", depth), maxDepth)
	}
	// Binary formats first: each begins with bytes that are no text. The
	// length of a report is all that a damaged one has left, so it is last.
	for _, recognise := range []func([]byte, int) (*Found, error){
		findHCL, findQuote, findOpenEnclave, findNitro, findTPM, findDER, findSNP, findCMW, findText, findDamaged,
	} {
		f, err := recognise(b, depth)
		if f != nil || err != nil {
			return f, err
		}
	}
	return nil, ErrUnknown
}

// one is a file that is one piece of evidence.
func one(format, platform, mediaType string, value []byte) *Found {
	return &Found{Format: format, Pieces: []Piece{{
		Where: "the whole file", Platform: platform, Evidence: attest.Evidence{MediaType: mediaType, Value: value},
	}}}
}

// wrapped says that f was found in something else.
func (f *Found) wrapped(format, where string) *Found {
	f.Format = format
	for i := range f.Pieces {
		if f.Pieces[i].Where == "the whole file" {
			f.Pieces[i].Where = where
		} else {
			f.Pieces[i].Where += " of " + where
		}
	}
	return f
}

// add takes over what another part of the same file holds.
func (f *Found) add(g *Found) {
	f.Pieces = append(f.Pieces, g.Pieces...)
	f.Rows = append(f.Rows, g.Rows...)
	f.Valid = append(f.Valid, g.Valid...)
}

// notRead adds the row for what is there and was not looked at.
func (f *Found) notRead(what, why string) {
	f.Rows = append(f.Rows, attest.Row{
		Check: "wrapper.not-read", Seen: shown(what), Expected: why, Source: "this program", Outcome: attest.Skipped,
	})
}

// check adds a row on the wrapping itself.
func (f *Found) check(ok bool, check, seen, expected, source, todo string) {
	r := attest.Row{Check: "wrapper." + check, Seen: seen, Expected: expected, Source: source, Outcome: attest.Pass}
	if !ok {
		r.Outcome, r.Reason, r.Todo = attest.Fail, attest.ReasonBinding, todo
	}
	f.Rows = append(f.Rows, r)
}

// shown bounds text from outside; package attest escapes what a terminal must
// not see.
func shown(s string) string {
	if len(s) > maxShown {
		return s[:maxShown] + "…"
	}
	return s
}
