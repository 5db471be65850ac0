// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sgx

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/dcap"
)

// Cache remembers good signatures, and nothing else, between calls. One cache
// may serve verifiers of tdx and sgx and any number of goroutines.
type Cache = dcap.Cache

// NewCache makes a cache of at most entries signatures (64 bytes each).
func NewCache(entries int) *Cache { return dcap.NewCache(entries) }

// Signer is who must have signed the enclave, beside its measurement.
type Signer struct {
	// MRSigner is SHA-256 of the modulus of the enclave's signing key.
	MRSigner [32]byte
	// ProductID is the ISVPRODID that the signer gave to the enclave.
	ProductID uint16
	// MinSVN is the lowest accepted ISVSVN.
	MinSVN uint16
}

// Options weaken, tighten or speed up the verifier. The zero Options waive and
// remember nothing.
type Options struct {
	// Signer, if not nil, is demanded beside the measurement.
	Signer *Signer
	// Waive names expectations that need not be given; see [attest.Waiver].
	Waive attest.Waiver
	// Cache may be nil.
	Cache *Cache
}

// Attribute flags of an enclave (Intel SDM volume 3D, "ATTRIBUTES").
const (
	flagInit      = 1 << 0 // initialised by EINIT
	flagDebug     = 1 << 1 // the host may read and write the enclave's memory
	flagMode64    = 1 << 2 // runs in 64-bit mode
	flagProvision = 1 << 4 // may have the provisioning key
	flagEINIT     = 1 << 5 // may have the EINIT token key
	flagCET       = 1 << 6 // control-flow enforcement
	flagKSS       = 1 << 7 // key separation and sharing: CONFIGID and others
	flagAEXNotify = 1 << 10
	flagsKnown    = flagInit | flagDebug | flagMode64 | flagProvision | flagEINIT | flagCET | flagKSS | flagAEXNotify
)

type verifier struct {
	params dcap.Params
	signer *Signer
}

// New makes the verifier of platform sgx. Its root is Intel's and cannot be
// changed.
func New(o Options) attest.Verifier { return newVerifier(o, dcap.IntelRoot()) }

func newVerifier(o Options, root dcap.Root) verifier {
	v := verifier{params: dcap.Params{
		Platform:  attest.PlatformSGX,
		TEE:       dcap.SGX,
		MediaType: attest.MediaTypeSGX,
		Root:      root,
		Waive:     o.Waive,
		Cache:     o.Cache,
	}}
	if o.Signer != nil {
		s := *o.Signer
		v.signer = &s
	}
	return v
}

func (verifier) Platform() string { return attest.PlatformSGX }

func (verifier) MediaTypes() []string { return []string{attest.MediaTypeSGX} }

func (v verifier) Verify(ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	a := dcap.Appraise(v.params, ev, col, exp.TCB, at)
	q := a.Quote()
	if q == nil || q.Enclave == nil {
		return a.Finish(attest.Claims{})
	}
	e := q.Enclave
	a.Measurement(e.MREnclave[:], "MRENCLAVE", exp.Measurements)
	v.checkSigner(a, e)
	checkAttributes(a, e)
	waived := v.params.Waive&attest.WaiveHostData != 0 && exp.HostData == [32]byte{}
	checkKSS(a, e, !waived)
	a.HostData("CONFIGID", e.ConfigID[:], exp.HostData)
	a.ReportData(e.ReportData, exp.ReportData)
	a.NotChecked("miscselect", hex.EncodeToString(e.MiscSelect[:]))
	a.NotChecked("xfrm", hex.EncodeToString(e.Attributes[8:]))
	a.NotChecked("isv", fmt.Sprintf("ISVEXTPRODID %x, ISVFAMILYID %x, CONFIGSVN %d", e.ISVExtProdID, e.ISVFamilyID, e.ConfigSVN))
	return a.Finish(attest.Claims{
		Measurement: bytes.Clone(e.MREnclave[:]),
		HostData:    bytes.Clone(e.ConfigID[:32]),
		ReportData:  e.ReportData,
	})
}

func (v verifier) checkSigner(a *dcap.Appraisal, e *dcap.EnclaveReport) {
	seen := fmt.Sprintf("MRSIGNER %x, ISVPRODID %d, ISVSVN %d", e.MRSigner, e.ISVProdID, e.ISVSVN)
	if v.signer == nil {
		a.NotChecked("signer", seen)
		return
	}
	s := v.signer
	a.Check(e.MRSigner == s.MRSigner && e.ISVProdID == s.ProductID && e.ISVSVN >= s.MinSVN, attest.ReasonSigner, "signer", seen,
		fmt.Sprintf("MRSIGNER %x, ISVPRODID %d, ISVSVN %d or higher", s.MRSigner, s.ProductID, s.MinSVN), "the relying party",
		"the enclave is of another signer, product or version than you accept")
}

// checkAttributes checks how the enclave runs. That an enclave may have keys of
// the platform's provisioning (bits 4 and 5) gives the host nothing.
func checkAttributes(a *dcap.Appraisal, e *dcap.EnclaveReport) {
	const ours = "rule of this verifier"
	flags := e.Flags()
	seen := fmt.Sprintf("attribute flags %#x", flags)
	a.Check(flags&flagDebug == 0, attest.ReasonDebug, "debug", seen, "no debugging by the host (bit 1 clear)", ours, "the host can read this Keep's memory; do not use it")
	a.Check(flags&flagInit != 0 && flags&flagMode64 != 0 && flags&^uint64(flagsKnown) == 0, attest.ReasonGuestPolicy, "attributes", seen,
		"initialised and 64-bit (bits 0 and 2 set), nothing unknown", ours, "the enclave runs in a way that this verifier does not know; do not use it")
}

// checkKSS checks that the enclave has a CONFIGID at all, if that is to bind it
// to anything.
func checkKSS(a *dcap.Appraisal, e *dcap.EnclaveReport, bound bool) {
	seen := fmt.Sprintf("attribute flags %#x", e.Flags())
	if !bound {
		a.NotChecked("kss", seen)
		return
	}
	a.Check(e.Flags()&flagKSS != 0, attest.ReasonGuestPolicy, "kss", seen, "key separation and sharing (bit 7 set)", "rule of this verifier",
		"without it the enclave cannot be bound to its start configuration; sign it with KSS")
}
