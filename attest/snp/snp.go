// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"slices"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

// Options are what a relying party asks for beyond [attest.Expected]. The zero
// Options are strict where a check can be missing (a revocation list is
// required, VMPL must be 0, every expectation must be met) and demand nothing
// of what depends on the machine. For each list, nil demands nothing and a list
// that is empty but not nil accepts nothing.
type Options struct {
	// Cache remembers good signatures between calls; nil remembers none.
	Cache *Cache

	// AcceptMissingCRL accepts evidence without a current revocation list
	// of the product line's root, with a warning in the verdict: a revoked
	// intermediate may then go unnoticed until this program is updated. It
	// applies only if the collateral brings no intermediate of its own;
	// and lists that are there, current or not, still revoke.
	AcceptMissingCRL bool

	// VMPL is the privilege level, 0 to 3, that the report must have been
	// asked for at. Anything but 0 means that more privileged software in
	// the guest, such as a paravisor, is trusted along with the Keep.
	VMPL uint32

	// Require names features that guest policy or platform must have.
	Require Feature
	// MinABI is the lowest firmware ABI that the guest policy must demand.
	MinABI ABI
	// Mitigations are the bits that must be set in both mitigation vectors
	// (launch and current) of a report of version 5 or later.
	Mitigations uint64

	// Providers are the accepted providers of a VLEK, by CSP id as in its
	// certificate (extension 1.3.6.1.4.1.3704.1.5), for example
	// "CN=cc-us-east-2.amazonaws.com". A VCEK has no provider.
	Providers []string

	// IDKeyDigests and AuthorKeyDigests are the accepted signers of the
	// guest's ID block and of the key that signed it.
	IDKeyDigests, AuthorKeyDigests [][48]byte
	// Images are the accepted names of the guest in its ID block. Like its
	// version they need IDKeyDigests: without, they fail.
	Images []Image
	// MinGuestSVN is the lowest accepted version of the guest. It comes
	// from the ID block and so needs IDKeyDigests: without, it fails.
	MinGuestSVN uint32

	// Waive names expectations that need not be given; see [attest.Waiver].
	Waive attest.Waiver
}

// Image is what an ID block says it is for: FAMILY_ID and IMAGE_ID, 16 bytes
// each of the guest's owner's choice.
type Image = snpreport.Image

// ABI is a version of AMD's SNP firmware ABI.
type ABI struct{ Major, Minor uint8 }

// Feature is a property of guest policy or platform; features are joined with
// "|". Bits are those of document 56860, tables of the guest policy and of
// PLATFORM_INFO.
type Feature uint32

// The features that can be required.
const (
	// NoSMT: the host runs nothing on the other thread of the guest's
	// cores, because SMT is off (policy bit 16 clear).
	NoSMT = Feature(snpreport.NoSMT)
	// SingleSocket: the guest stays on one socket (policy bit 20 set).
	SingleSocket = Feature(snpreport.SingleSocket)
	// NoCXL: no guest memory on CXL devices (policy bit 21 clear).
	NoCXL = Feature(snpreport.NoCXL)
	// MemoryXTS: memory encryption is AES-256-XTS (policy bit 22 set).
	MemoryXTS = Feature(snpreport.MemoryXTS)
	// NoRAPL: power metering is off (policy bit 23 set).
	NoRAPL = Feature(snpreport.NoRAPL)
	// CiphertextHiding: the host cannot read ciphertext of guest memory
	// (policy bit 24 set).
	CiphertextHiding = Feature(snpreport.CiphertextHiding)
	// NoPageSwap: the host cannot swap guest pages (policy bit 25 set).
	NoPageSwap = Feature(snpreport.NoPageSwap)
	// AliasCheck: the firmware has looked for aliased memory since reset
	// (platform info bit 5 set; security bulletin AMD-SB-3015).
	AliasCheck = Feature(snpreport.AliasCheck)
)

// Cache remembers which signatures of certificates and revocation lists were
// found good, by the SHA-256 digest of the exact bytes of issuer and signed, so
// that repeated verifications need not compute them again. It remembers no
// dates, no revocation, no decision and nothing of reports. One Cache may serve
// several verifiers and goroutines.
type Cache struct{ signatures *snpreport.Signatures }

// NewCache makes a cache of at most limit signatures, some 100 bytes each; the
// oldest goes first. A machine takes one, a revocation list one. A limit below
// 1 counts as 1.
func NewCache(limit int) *Cache { return &Cache{snpreport.NewSignatures(limit)} }

// Len is the number of signatures remembered.
func (c *Cache) Len() int {
	if c == nil {
		return 0
	}
	return c.signatures.Len()
}

type verifier struct{ p snpreport.Params }

// New makes a verifier of platform snp under AMD's roots. It may be used by
// several goroutines at once, and keeps no reference to the slices and maps of
// o.
func New(o Options) attest.Verifier {
	ls, err := lines()
	if err != nil {
		return newVerifier(o, nil, "nothing: "+err.Error())
	}
	return newVerifier(o, ls, "AMD's roots for Milan, Genoa and Turin, built in")
}

// newVerifier is New with other roots: only tests have them.
func newVerifier(o Options, ls []snpreport.Line, source string) attest.Verifier {
	p := snpreport.Params{Platform: attest.PlatformSNP, Lines: ls, RootSource: source, Demands: o.demands()}
	if o.Cache != nil {
		p.Signatures = o.Cache.signatures
	}
	return verifier{p}
}

func (o Options) demands() snpreport.Demands {
	return snpreport.Demands{
		VMPL:             o.VMPL,
		Features:         snpreport.Feature(o.Require),
		MinABI:           [2]uint8{o.MinABI.Major, o.MinABI.Minor},
		MinGuestSVN:      o.MinGuestSVN,
		Providers:        slices.Clone(o.Providers),
		IDKeys:           slices.Clone(o.IDKeyDigests),
		AuthorKeys:       slices.Clone(o.AuthorKeyDigests),
		Mitigations:      o.Mitigations,
		Images:           slices.Clone(o.Images),
		AcceptMissingCRL: o.AcceptMissingCRL,
		Waive:            o.Waive,
	}
}

func (verifier) Platform() string { return attest.PlatformSNP }

func (verifier) MediaTypes() []string { return []string{attest.MediaTypeSNP} }

func (v verifier) Verify(ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	return snpreport.Verify(v.p, ev, col, exp, at)
}
