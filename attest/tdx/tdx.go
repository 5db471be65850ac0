// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tdx

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/dcap"
)

// Cache remembers good signatures, and nothing else, between calls. One cache
// may serve verifiers of tdx and sgx and any number of goroutines.
type Cache = dcap.Cache

// NewCache makes a cache of at most entries signatures (64 bytes each).
func NewCache(entries int) *Cache { return dcap.NewCache(entries) }

// TD attributes (Intel TDX Module ABI specification, TD_ATTRIBUTES).
const (
	attrUntrusted  = 0xff    // bits 0 to 7: debugging and profiling by the host
	attrLASS       = 1 << 27 // linear address space separation
	attrSEPTVEOff  = 1 << 28 // no #VE when the host takes a page away
	attrMigratable = 1 << 29 // a migration TD may move the TD
	attrPKS        = 1 << 30 // supervisor protection keys
	attrKL         = 1 << 31 // key locker
	attrTPA        = 1 << 62 // the TD is a TDX Connect provisioning agent
	attrPerfmon    = 1 << 63 // performance monitoring by the TD itself
	attrKnown      = attrUntrusted | attrLASS | attrSEPTVEOff | attrMigratable | attrPKS | attrKL | attrTPA | attrPerfmon
)

// measurementDomain keeps our combined measurement apart from every other hash.
const measurementDomain = "enarx-tdx-launch-measurement-v1\x00"

// Measurement combines what a TD was started as into the 48 bytes that stand in
// reference values and claims: SHA-384 over the 32 bytes
// "enarx-tdx-launch-measurement-v1\0", MRTD and RTMR0 to RTMR2, 48 bytes each.
//
// MRTD alone measures the firmware only; RTMR0 measures its configuration, and
// RTMR1 and RTMR2 the kernel, its command line and the initial file system. A
// reference value of less would accept any Keep runtime under known firmware.
// RTMR3 is not part of it: the Keep extends it while it runs.
func Measurement(mrtd, rtmr0, rtmr1, rtmr2 [48]byte) [48]byte {
	b := make([]byte, 0, 32+4*48)
	b = append(b, measurementDomain...)
	for _, m := range [][48]byte{mrtd, rtmr0, rtmr1, rtmr2} {
		b = append(b, m[:]...)
	}
	return sha512.Sum384(b)
}

type verifier struct {
	params  dcap.Params
	demands Options
}

// New makes the verifier of platform tdx. Its root is Intel's and cannot be
// changed.
func New(o Options) attest.Verifier { return newVerifier(o, dcap.IntelRoot()) }

func newVerifier(o Options, root dcap.Root) verifier {
	return verifier{demands: o.clone(), params: dcap.Params{
		Platform:  attest.PlatformTDX,
		TEE:       dcap.TDX,
		MediaType: attest.MediaTypeTDX,
		Root:      root,
		Waive:     o.Waive,
		Cache:     o.Cache,
	}}
}

func (verifier) Platform() string { return attest.PlatformTDX }

func (verifier) MediaTypes() []string { return []string{attest.MediaTypeTDX} }

func (v verifier) Verify(ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	a := dcap.Appraise(v.params, ev, col, exp.TCB, at)
	q := a.Quote()
	if q == nil || q.TD == nil {
		return a.Finish(attest.Claims{})
	}
	td := q.TD
	m := Measurement(td.MRTD, td.RTMR[0], td.RTMR[1], td.RTMR[2])
	detail := fmt.Sprintf("MRTD %x, RTMR0 %x, RTMR1 %x, RTMR2 %x", td.MRTD, td.RTMR[0], td.RTMR[1], td.RTMR[2])
	a.Measurement(m[:], detail, exp.Measurements)
	checkEventLogs(a, td, col)
	v.demands.checkAttributes(a, td)
	a.HostData("MRCONFIGID", td.MRConfigID[:], exp.HostData)
	checkClaim(a, td, exp.Claim)
	a.ReportData(td.ReportData, exp.ReportData)
	v.demands.check(a, td)
	return a.Finish(attest.Claims{
		Measurement: m[:],
		HostData:    bytes.Clone(td.MRConfigID[:32]),
		ReportData:  td.ReportData,
	})
}

// checkClaim looks at the register that a Keep extends when it is claimed. A
// kernel without an interface to it (before Linux 6.16) leaves it alone: a claim
// is then in the report data only, which the row says.
func checkClaim(a *dcap.Appraisal, td *dcap.TDReport, claim *attest.ClaimState) {
	if claim == nil {
		return
	}
	const source = "this session"
	seen := "RTMR3 " + hex.EncodeToString(td.RTMR[3][:])
	if claim.Event == nil {
		a.Check(td.RTMR[3] == [48]byte{}, attest.ReasonMeasurement, "claim", seen, "zero: never claimed", source,
			"this Keep was claimed before; ask for a new one")
		return
	}
	event := sha512.Sum384(claim.Event)
	want := sha512.Sum384(append(make([]byte, 48), event[:]...))
	words := hex.EncodeToString(want[:]) + ": claimed once, with this owner's key and the Keep's own"
	if td.RTMR[3] == [48]byte{} {
		a.Excused("claim", seen, words, "the Keep's kernel cannot extend the register, so that the hardware shows no claim; use an image with Linux 6.16 or later")
		return
	}
	a.Check(td.RTMR[3] == want, attest.ReasonMeasurement, "claim", seen, words, source,
		"this Keep was claimed by somebody else, or not as it says; do not use it")
}

// checkAttributes checks what the host chose about the TD beside its contents.
func (o *Options) checkAttributes(a *dcap.Appraisal, td *dcap.TDReport) {
	const ours = "rule of this verifier"
	attr := td.Attributes()
	seen := "TD attributes " + hex.EncodeToString(td.TDAttributes[:]) + " (" + attributeNames(attr) + ")"
	a.Check(attr&attrUntrusted == 0, attest.ReasonDebug, "debug", seen, "no debugging or profiling by the host (bits 0 to 7 clear)", ours,
		"the host can see into this Keep; do not use it")
	service := "TD report 1.0, which names no service TD"
	if td.V15 {
		service = "MR_SERVICETD " + hex.EncodeToString(td.MRServiceTD[:])
	}
	known := td.MRServiceTD == [48]byte{} || slices.Contains(o.ServiceTDs, td.MRServiceTD)
	a.Check(attr&attrMigratable == 0 && known, attest.ReasonMigration, "migration", seen+", "+service,
		fmt.Sprintf("not migratable (bit 29 clear) and no service TD bound, or one of %d that are accepted", len(o.ServiceTDs)), ours, "another TD may move this Keep's memory; do not use it")
	const septTodo = "the host can disturb this Keep by taking pages away; the loader must start it with sept-ve-disable"
	if attr&attrSEPTVEOff == 0 && o.AcceptPendingVE {
		a.Excused("sept-ve", seen, "SEPT_VE_DISABLE (bit 28 set), or accepted without", septTodo)
	} else {
		a.Check(attr&attrSEPTVEOff != 0, attest.ReasonGuestPolicy, "sept-ve", seen, "SEPT_VE_DISABLE (bit 28 set)", ours, septTodo)
	}
	a.Check(attr&^uint64(attrKnown) == 0 && attr&attrTPA == 0, attest.ReasonGuestPolicy, "attributes", seen, "only attributes that are known, and no provisioning agent", ours,
		"this verifier does not know what the attribute allows; do not use this Keep")
}

func attributeNames(attr uint64) string {
	var on []string
	for _, x := range []struct {
		bits uint64
		name string
	}{
		{1, "DEBUG"}, {attrUntrusted &^ 1, "profiling"}, {attrLASS, "LASS"}, {attrSEPTVEOff, "SEPT_VE_DISABLE"},
		{attrMigratable, "MIGRATABLE"}, {attrPKS, "PKS"}, {attrKL, "KL"}, {attrTPA, "TPA"}, {attrPerfmon, "PERFMON"},
		{^uint64(attrKnown), "unknown bits"},
	} {
		if attr&x.bits != 0 {
			on = append(on, x.name)
		}
	}
	if len(on) == 0 {
		return "none set"
	}
	return strings.Join(on, ", ")
}
