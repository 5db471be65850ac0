// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package sim verifies the evidence of sim Keeps: reports of AMD SEV-SNP's
// shape, quotes of Intel TDX's and SGX's, documents of AWS Nitro's and quotes of TPMs, signed
// under a throw-away root that the user made (package attest/sim/simhw) instead
// of by hardware. All of them count as platform sim, whatever their shape.
//
// It exists so that everything above it (the channel, appraisal, policy,
// receipts) can be run and tested on any machine, through the very code that
// real reports go through. It proves nothing about the host: whoever holds the
// root's key signs whatever they like, and the host can see inside the Keep.
// So its rows read "simulated", its claims say Simulated, and policy refuses
// them unless a sim root was named for that very run.
//
//	root, err := sim.ParseRoot(pem)        // the file that the agent wrote
//	v := sim.New(root)
//	claims, verdict := v.Verify(evidence, collateral, expected, now)
//
// A [Root] can be made from a marked certificate only ([ParseRoot]), and no
// other verifier takes one; a vendor's certificate is no Root, and a Root's
// certificate carries a critical extension of our own that every other X.509
// verifier refuses as unknown. This package makes no evidence.
package sim

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/dcap"
	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

// Marker is the text that the common name and the organisation of every sim
// certificate begin with. It is meant to be seen.
const Marker = "ENARX SIM - NOT A TEE"

// askName is the common name of the intermediate below a sim root.
const askName = Marker + " - ASK"

// rootLimit bounds a root file in bytes: one certificate with a 4,096-bit key
// has some 2,400 in PEM.
const rootLimit = 16 << 10

// measurementDomain keeps sim measurements apart from every hash that
// hardware computes.
const measurementDomain = "enarx-sim-launch-measurement-v1"

// Measurement is the launch measurement of a sim Keep: SHA-384 over a domain
// and the SHA-256 digest of the Keep's ELF. Hardware measures memory pages;
// the sim platform "measures" the file that the agent says it started.
func Measurement(keepSHA256 [32]byte) [48]byte {
	var domain [32]byte
	copy(domain[:], measurementDomain)
	return sha512.Sum384(append(domain[:], keepSHA256[:]...))
}

// Root is a throw-away root that enables platform sim and nothing else. The
// zero Root verifies nothing.
type Root struct {
	cert *x509.Certificate
	// Of the shapes that have a root of another kind: named in the marker of
	// cert, and zero in roots of older agents.
	intel dcap.Root
	nitro *x509.Certificate
	tpm   *x509.Certificate
}

// ParseRoot reads a root from PEM: exactly one certificate, self-signed, with
// the sim marker in its names and the critical sim extension. Everything else
// is refused, vendor roots by name.
func ParseRoot(pemBytes []byte) (Root, error) {
	if len(pemBytes) > rootLimit {
		return Root{}, fmt.Errorf("sim root of %d bytes, expected at most %d", len(pemBytes), rootLimit)
	}
	block, rest := pem.Decode(pemBytes)
	if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) != 0 {
		return Root{}, fmt.Errorf("sim root: no certificate in PEM; name the sim-root.pem that the agent wrote")
	}
	if len(bytes.TrimSpace(rest)) != 0 {
		return Root{}, fmt.Errorf("sim root: something follows the certificate, expected one and nothing else")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Root{}, fmt.Errorf("sim root: not a certificate: %w", err)
	}
	if !marked(c) {
		return Root{}, fmt.Errorf("sim root: certificate of %q is no sim root; "+
			"only roots made by the agent's sim platform can be named here, never a vendor's", c.Subject.CommonName)
	}
	if err := snpreport.CheckRoot(c); err != nil {
		return Root{}, fmt.Errorf("sim root: %w", err)
	}
	r := Root{cert: c}
	for _, e := range c.Extensions {
		if e.Id.Equal(oidMarker) {
			if err := r.readShapes(e.Value); err != nil {
				return Root{}, fmt.Errorf("sim root: %w", err)
			}
		}
	}
	return r, nil
}

// oidMarker is the extension that marks a sim root, below the private
// enterprise number of the original Enarx project (58270), which uses .1.
var oidMarker = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 58270, 9, 1}

// MarkerExtension is the identifier of the critical extension in a sim root.
func MarkerExtension() asn1.ObjectIdentifier { return append(asn1.ObjectIdentifier(nil), oidMarker...) }

// marks says whether c is loudly of a simulation.
func marks(c *x509.Certificate) bool {
	return strings.HasPrefix(c.Subject.CommonName, Marker) &&
		len(c.Subject.Organization) == 1 && strings.HasPrefix(c.Subject.Organization[0], Marker)
}

// marked says whether c is loudly a sim root: names and extension both.
func marked(c *x509.Certificate) bool {
	if !marks(c) {
		return false
	}
	found := false
	for _, oid := range c.UnhandledCriticalExtensions {
		if !oid.Equal(oidMarker) {
			return false // critical for somebody, and unknown to us
		}
		found = true
	}
	return found
}

// Fingerprint is the SHA-256 digest of the root's certificate in hexadecimal:
// what a user compares between two machines.
func (r Root) Fingerprint() string {
	if r.cert == nil {
		return ""
	}
	sum := sha256.Sum256(r.cert.Raw)
	return hex.EncodeToString(sum[:])
}

// Options weaken the verifier. The zero Options are the strict ones.
type Options struct {
	// Waive names expectations that need not be given; see [attest.Waiver].
	// It is for looking at evidence, never for a deployment.
	Waive attest.Waiver
}

type verifier struct {
	root  Root
	waive attest.Waiver
}

// New makes the verifier of platform sim under root.
func New(root Root) attest.Verifier { return NewWith(root, Options{}) }

// NewWith is [New] with options.
func NewWith(root Root, o Options) attest.Verifier { return verifier{root, o.Waive} }

func (verifier) Platform() string { return attest.PlatformSim }

func (verifier) MediaTypes() []string {
	return []string{attest.MediaTypeSNP, attest.MediaTypeTDX, attest.MediaTypeSGX, attest.MediaTypeNitro, attest.MediaTypeTPM}
}

func (v verifier) Verify(ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	source := "no sim root was named"
	if v.root.cert != nil {
		source = "sim root " + v.root.Fingerprint() + ", named by the user"
	}
	switch ev.MediaType {
	case attest.MediaTypeTDX, attest.MediaTypeSGX:
		return v.verifyIntel(source, ev, col, exp, at)
	case attest.MediaTypeTPM:
		return v.verifyTPM(source, ev, col, exp, at)
	case attest.MediaTypeNitro:
		return nitrodoc.Verify(nitrodoc.Params{
			Platform: attest.PlatformSim, Simulated: true, Root: v.root.nitro, RootSource: source, Measure: nitroMeasurement,
			Demands: nitrodoc.Demands{Waive: v.waive},
		}, ev, col, exp, at)
	}
	p := snpreport.Params{Platform: attest.PlatformSim, Simulated: true, RootSource: source}
	p.Demands.Waive = v.waive
	if v.root.cert != nil {
		p.Lines = []snpreport.Line{{Name: "Sim", Root: v.root.cert, ASKName: askName}}
	}
	return snpreport.Verify(p, ev, col, exp, at)
}
