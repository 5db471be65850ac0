// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package vtpm

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/tpm"
	"github.com/enarx/enarx-go/attest/internal/tpmquote"
)

// Options are what a relying party asks for beyond [attest.Expected]. The zero
// Options name no root, and so nothing verifies.
type Options struct {
	// Roots end the chains of endorsement certificates: those of the makers
	// of TPMs that the relying party trusts, or the CA of its own software
	// TPMs. There is no built-in list.
	Roots []*x509.Certificate
	// RootSource says for people where the roots came from.
	RootSource string

	// SecureBoot demands that Secure Boot was on.
	SecureBoot bool
	// PCRs demands values of single registers, by number from 0 to 23, in the
	// bank that was quoted (SHA-256 of a Keep's). PCR 0 is the firmware, by its
	// own word, and PCR 7 the state and the keys of Secure Boot: what no
	// reference value of a Keep release says.
	PCRs map[uint][]byte
	// RequireCRL refuses a chain unless the collateral has a current
	// revocation list of each issuer in it.
	RequireCRL bool
	// AcceptDebug takes reference values that are marked as those of a debug
	// image. Claims say Debug then, and package policy refuses them.
	AcceptDebug bool

	// VouchedKey is the attestation key of a quote that is not a Keep's
	// ([attest.MediaTypeTPMQuote]), as other evidence names it that the caller
	// has verified before (Azure's HCL runtime data, a NitroTPM's document). A
	// quote by this key needs no certificate and no root. VouchedBy says for
	// people what vouches. Evidence of Keeps is not concerned.
	VouchedKey crypto.PublicKey
	VouchedBy  string

	// Waive names expectations that need not be given: an expectation that
	// is missing and waived reads skipped in the verdict. Claims say what was
	// waived, and package policy refuses them.
	Waive attest.Waiver
}

// simMarker is how the names of all roots of simulated hardware begin (package
// attest/sim). They are for platform sim, which says so in every row, and for
// no other.
const simMarker = "ENARX SIM - NOT A TEE"

func simulated(c *x509.Certificate) bool {
	return strings.HasPrefix(c.Subject.CommonName, simMarker) || slices.ContainsFunc(c.Subject.Organization, func(s string) bool { return strings.HasPrefix(s, simMarker) })
}

func (o Options) params() tpmquote.Params {
	o.Roots = slices.DeleteFunc(slices.Clone(o.Roots), simulated)
	source := o.RootSource
	switch {
	case source != "":
	case len(o.Roots) == 0:
		source = "no root of a TPM's maker was named"
	default:
		source = "the roots given"
	}
	return tpmquote.Params{
		Platform: attest.PlatformVTPM, Roots: o.Roots, RootSource: source, Measure: measure, VouchedKey: o.VouchedKey, VouchedBy: o.VouchedBy,
		Demands: tpmquote.Demands{SecureBoot: o.SecureBoot, RequireCRL: o.RequireCRL, AcceptDebug: o.AcceptDebug, PCRs: o.PCRs, Waive: o.Waive},
	}
}

type verifier struct{ p tpmquote.Params }

// New makes a verifier that takes evidence by itself, as it was saved. What a
// conversation has proven, it cannot see again: the row of the activation reads
// skipped, the claims say that it was waived, and package policy refuses them for
// a deployment. For a Keep at the other end of a connection, use [NewSession].
func New(o Options) attest.Verifier { return verifier{o.params()} }

func (verifier) Platform() string { return attest.PlatformVTPM }

func (verifier) MediaTypes() []string { return []string{attest.MediaTypeTPM, attest.MediaTypeTPMQuote} }

func (v verifier) Verify(ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	return tpmquote.Verify(v.p, ev, col, exp, at)
}

// Session is the conversation with one Keep about its TPM, and the verifier that
// counts its outcome: give it to [attest.Converse] first and verify with it then.
// It belongs to one session, is used once, and is not safe for several goroutines.
type Session = tpmquote.Session

// NewSession makes a session. The endorsement certificate is checked with the
// issuers in col at the given time before a secret is sent. random gives the
// secret and must be the operating system's randomness (crypto/rand.Reader).
func NewSession(o Options, col attest.Collateral, at time.Time, random io.Reader) *Session {
	return tpmquote.NewSession(o.params(), slices.Clone(col), at, random)
}

// Limits on files of roots.
const (
	// maxRoots bounds a file of roots in bytes: the makers of TPMs have some
	// hundred roots, about 1.5 KiB each.
	maxRootFile = 1 << 20
	maxRoots    = 1024
)

// ParseRoots reads the certificates of roots that a user names: PEM, any number
// in one file, or one in DER. Whoever is named here says which TPMs are genuine.
// A certificate need not be self-signed: naming an issuer trusts what is below
// it and nothing above.
//
// Some makers' roots are not in strict DER: Nuvoton's of number 2110 has a set in
// another order than DER's. Package x509 reads over that, and so does this: the
// user has named these very bytes, and its signature and the names below it are
// compared as bytes, so nothing is concluded from their form. Bytes after a
// certificate refuse, in DER and in a block of PEM, and so does a block of PEM
// that cannot be read: a root that was named must not be missing silently.
func ParseRoots(b []byte) ([]*x509.Certificate, error) {
	if len(b) > maxRootFile {
		return nil, fmt.Errorf("TPM roots: %d bytes, expected at most %d", len(b), maxRootFile)
	}
	ders := [][]byte{b}
	if n := bytes.Count(b, []byte("-----BEGIN")); n != 0 {
		ders = nil
		for rest := b; ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if block.Type != "CERTIFICATE" {
				return nil, fmt.Errorf("TPM roots: PEM of type %.40q, expected certificates and nothing else", block.Type)
			}
			if ders = append(ders, block.Bytes); len(ders) > maxRoots {
				return nil, fmt.Errorf("TPM roots: more than %d certificates", maxRoots)
			}
		}
		if n != len(ders) {
			return nil, fmt.Errorf("TPM roots: %d blocks of PEM begin, of which %d can be read; repair the file", n, len(ders))
		}
	}
	var roots []*x509.Certificate
	for i, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("TPM roots: certificate %d: %w", i+1, err)
		}
		if !c.IsCA || !c.BasicConstraintsValid {
			return nil, fmt.Errorf("TPM roots: certificate %d of %q is no certification authority; name the root of the TPM's maker, not the TPM's own certificate", i+1, c.Subject)
		}
		if simulated(c) {
			return nil, fmt.Errorf("TPM roots: certificate %d of %q is of simulated hardware; name it as a sim root, for platform sim", i+1, c.Subject)
		}
		roots = append(roots, c)
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("TPM roots: no certificate in PEM or DER")
	}
	return roots, nil
}

// Fingerprints are the SHA-256 digests of roots in hexadecimal, for people: cut
// short, each once and in their own order, so that the same roots give the same.
func Fingerprints(roots []*x509.Certificate) string {
	var out []string
	for _, c := range roots {
		d := sha256.Sum256(c.Raw)
		out = append(out, hex.EncodeToString(d[:8])+"…")
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return strings.Join(out, ", ")
}

// Device is what an endorsement certificate says about its TPM.
type Device = tpm.Device

// ParseCertificate reads an endorsement certificate as it comes out of a TPM,
// padded or not, and what it says about the TPM. Nothing is checked.
func ParseCertificate(b []byte) (*x509.Certificate, Device, error) {
	c, _, err := tpm.ParseCertificate(b)
	if err != nil {
		return nil, Device{}, err
	}
	d, err := tpm.DeviceOf(c)
	return c, d, err
}
