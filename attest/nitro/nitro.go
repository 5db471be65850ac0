// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitro

import (
	"bytes"
	"crypto/x509"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
)

// Options are what a relying party asks for beyond [attest.Expected]. The zero
// Options demand every expectation and no revocation list.
type Options struct {
	// Cache remembers good signatures between calls; nil remembers none.
	Cache *Cache

	// RequireCRL refuses a document unless the collateral has a current
	// revocation list of each issuer of its chain that keeps one (AWS: the
	// root's and the region's).
	RequireCRL bool

	// PCRs are registers that must have the given value, by index: of an
	// enclave for example 8, the certificate that signed the image, 3, the
	// IAM role of the parent instance, or 4, the parent instance. A register
	// that is not in the document, or an empty value, fails.
	PCRs map[uint][]byte

	// Waive names expectations that need not be given: an expectation that
	// is missing and waived reads skipped in the verdict. Claims say what was
	// waived, and package policy refuses them.
	Waive attest.Waiver
}

// Cache remembers good signatures of certificates and revocation lists, by
// their exact bytes and those of the issuer, and nothing else. One cache may
// serve any number of verifiers and goroutines.
type Cache = nitrodoc.Cache

// NewCache makes a cache of at most entries signatures, some 100 bytes each.
func NewCache(entries int) *Cache { return nitrodoc.NewCache(entries) }

// MeasurementEnclave combines what an enclave was started from into the 48
// bytes that stand in reference values and claims: SHA-384 over the 32 bytes
// "enarx-nitro-enclave-launch-v1" with zeroes after it, PCR0, PCR1 and PCR2, 48
// bytes each.
//
// PCR0 measures the whole image, PCR1 kernel and boot file system, PCR2 the
// application. PCR0 alone would do; the three are combined so that a reference
// value says all that the build tools print, in the length that the other
// platforms have.
func MeasurementEnclave(pcr0, pcr1, pcr2 [48]byte) [48]byte {
	return measurement(nitrodoc.Enclave, pcr0, pcr1, pcr2)
}

// MeasurementTPM does the same for an instance with a NitroTPM: SHA-384 over
// the 32 bytes "enarx-nitro-tpm-launch-v1" with zeroes after it, PCR4, PCR7 and
// PCR12.
//
// Those are the registers that AWS names for an attestable image: PCR4 measures
// what the firmware loads (of a unified kernel image all of kernel, initial file
// system and its command line), PCR7 the secure boot policy, PCR12 a command
// line from outside. PCR0 to PCR3 are the same on all instances.
func MeasurementTPM(pcr4, pcr7, pcr12 [48]byte) [48]byte {
	return measurement(nitrodoc.TPM, pcr4, pcr7, pcr12)
}

func measurement(kind nitrodoc.Kind, values ...[48]byte) [48]byte {
	d := nitrodoc.Document{Kind: kind, PCRs: map[uint][]byte{}}
	for n, i := range kind.Measured() {
		d.PCRs[i] = values[n][:]
	}
	return d.Measurement()
}

type verifier struct{ p nitrodoc.Params }

// New makes the verifier of platform nitro. Its root is AWS's and cannot be
// changed. It keeps no reference to the map in o.
func New(o Options) attest.Verifier {
	root, err := awsRoot()
	if err != nil {
		return newVerifier(o, nil, "nothing: "+err.Error())
	}
	return newVerifier(o, root, "AWS's root G1 of Nitro attestation, built in")
}

// newVerifier is New with another root: only tests have one.
func newVerifier(o Options, root *x509.Certificate, source string) attest.Verifier {
	d := nitrodoc.Demands{RequireCRL: o.RequireCRL, Waive: o.Waive}
	if o.PCRs != nil {
		d.PCRs = make(map[uint][]byte, len(o.PCRs))
		for i, value := range o.PCRs {
			d.PCRs[i] = bytes.Clone(value)
		}
	}
	return verifier{nitrodoc.Params{Platform: attest.PlatformNitro, Root: root, RootSource: source, Demands: d, Cache: o.Cache}}
}

func (verifier) Platform() string { return attest.PlatformNitro }

func (verifier) MediaTypes() []string { return []string{attest.MediaTypeNitro} }

func (v verifier) Verify(ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	return nitrodoc.Verify(v.p, ev, col, exp, at)
}
