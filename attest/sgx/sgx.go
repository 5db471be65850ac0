// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sgx

import (
	"bytes"
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
	params  dcap.Params
	demands Options
}

// New makes the verifier of platform sgx. Its root is Intel's and cannot be
// changed.
func New(o Options) attest.Verifier { return newVerifier(o, dcap.IntelRoot()) }

func newVerifier(o Options, root dcap.Root) verifier {
	return verifier{demands: o.clone(), params: dcap.Params{
		Platform:  attest.PlatformSGX,
		TEE:       dcap.SGX,
		MediaType: attest.MediaTypeSGX,
		Root:      root,
		Waive:     o.Waive,
		Cache:     o.Cache,
	}}
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
	v.demands.checkSigner(a, e)
	checkAttributes(a, e)
	waived := v.params.Waive&attest.WaiveHostData != 0 && exp.HostData == [32]byte{}
	checkKSS(a, e, !waived)
	a.HostData("CONFIGID", e.ConfigID[:], exp.HostData)
	a.ReportData(e.ReportData, exp.ReportData)
	v.demands.check(a, e)
	return a.Finish(attest.Claims{
		Measurement: bytes.Clone(e.MREnclave[:]),
		HostData:    bytes.Clone(e.ConfigID[:32]),
		ReportData:  e.ReportData,
	})
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
