// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/tcbpolicy"
)

// Demands are what a relying party asks for beyond what every verification
// insists on. A nil list or zero number demands nothing and is named in the
// verdict as not checked; a list that is empty but not nil accepts nothing.
type Demands struct {
	VMPL             uint32 // the level that must have asked for the report
	Features         Feature
	MinABI           [2]uint8 // major, minor
	MinGuestSVN      uint32
	Providers        []string
	IDKeys           [][48]byte
	AuthorKeys       [][48]byte
	Mitigations      uint64
	Images           []Image // of the ID block
	AcceptMissingCRL bool
	Waive            attest.Waiver
}

// Image is what an ID block says it is for.
type Image struct{ Family, Image [16]byte }

// Feature is a property of guest policy or platform that can be demanded.
type Feature uint32

// The features, in the order of their rows.
const (
	NoSMT Feature = 1 << iota
	SingleSocket
	NoCXL
	MemoryXTS
	NoRAPL
	CiphertextHiding
	NoPageSwap
	AliasCheck
	featuresEnd
)

// features say where each feature stands (document 56860, tables of the guest
// policy and of PLATFORM_INFO).
var features = []struct {
	feature  Feature
	check    string
	platform bool // in PLATFORM_INFO, not in the guest policy
	bit      int
	value    bool // what the bit must be
	want     string
}{
	{NoSMT, "smt", false, 16, false, "no other thread on the guest's cores (policy bit 16 clear)"},
	{SingleSocket, "single-socket", false, 20, true, "one socket only (policy bit 20 set)"},
	{NoCXL, "cxl", false, 21, false, "no memory on CXL devices (policy bit 21 clear)"},
	{MemoryXTS, "memory-xts", false, 22, true, "memory encrypted with AES-256-XTS (policy bit 22 set)"},
	{NoRAPL, "rapl", false, 23, true, "power metering off (policy bit 23 set)"},
	{CiphertextHiding, "ciphertext-hiding", false, 24, true, "ciphertext of memory hidden from the host (policy bit 24 set)"},
	{NoPageSwap, "page-swap", false, 25, true, "no swapping of guest pages by the host (policy bit 25 set)"},
	{AliasCheck, "alias-check", true, 5, true, "memory checked for aliases since reset (platform info bit 5 set; AMD-SB-3015)"},
}

const (
	relying     = "the relying party"
	notDemanded = "nothing was demanded"
)

// demand adds the row of an optional demand. A sim Keep has rows only for what
// was demanded: what made-up hardware says of itself is of no interest.
func (v *verification) demand(demanded, ok bool, why attest.Reason, check, seen, expected, todo string) {
	switch {
	case demanded:
		v.row(ok, why, check, seen, expected, relying, todo)
	case !v.p.Simulated:
		v.note(attest.Skipped, check, seen, notDemanded, relying)
	}
}

// policy checks what the guest's owner allowed the host to do.
func (v *verification) policy() {
	p := v.report.Policy
	seen := hexNumber(uint64(p))
	v.row(!p.Debug(), attest.ReasonDebug, "debug", seen, "no debugging by the host (bit 19 clear)", ours, "the host can read this Keep's memory; do not use it")
	v.row(!p.MigrationAgent(), attest.ReasonMigration, "migration", seen, "no migration agent (bit 18 clear)", ours, "another guest may move this Keep's memory; do not use it")
	want := v.p.Demands.VMPL
	v.row(v.report.VMPL == want && want <= maxVMPL, attest.ReasonVMPL, "vmpl", number(v.report.VMPL), number(want), ours,
		"the report was asked for at another privilege level than the Keep's")
	v.features()
	abi := p.ABI()
	d := v.p.Demands.MinABI
	v.demand(d != [2]uint8{}, abi[0] > d[0] || abi[0] == d[0] && abi[1] >= d[1], attest.ReasonGuestPolicy, "abi",
		fmt.Sprintf("the guest demands firmware ABI %d.%d", abi[0], abi[1]), fmt.Sprintf("at least %d.%d", d[0], d[1]),
		"start the Keep with a policy that demands this ABI")
}

func (v *verification) features() {
	policy, info := uint64(v.report.Policy), v.report.PlatformInfo
	policySeen, infoSeen := "policy "+hexNumber(policy), "platform info "+hexNumber(info)
	for _, f := range features {
		word, seen := policy, policySeen
		if f.platform {
			word, seen = info, infoSeen
		}
		v.demand(v.p.Demands.Features&f.feature != 0, (word>>f.bit&1 != 0) == f.value, attest.ReasonGuestPolicy, f.check,
			seen, f.want, "the Keep was started without it, or the host cannot do it; use another host")
	}
	if unknown := v.p.Demands.Features &^ (featuresEnd - 1); unknown != 0 {
		v.row(false, attest.ReasonPolicy, "features", fmt.Sprintf("demand %#x", uint32(unknown)), "demands that this verifier knows", relying, "correct the options of the verifier")
	}
}

// Words for rows; most rows of a good verdict are made of these, and package fmt
// would cost more than all checks but the signatures.

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func hexNumber(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

func oneOf(n int, what string) string { return "one of " + strconv.Itoa(n) + " " + what }

// identity checks the ID block: who signed for this guest, and which version
// of it (document 56860, ID Block). Without a demanded key anybody can sign an
// ID block, so a version alone says nothing.
func (v *verification) identity() {
	r, d := v.report, &v.p.Demands
	v.demand(d.IDKeys != nil, slices.Contains(d.IDKeys, r.IDKeyDigest), attest.ReasonSigner, "id-key", hex.EncodeToString(r.IDKeyDigest[:]),
		oneOf(len(d.IDKeys), "keys"), "the guest was signed by somebody else, or by nobody")
	author := "no author key"
	if r.AuthorKey {
		author = hex.EncodeToString(r.AuthorKeyDigest[:])
	}
	v.demand(d.AuthorKeys != nil, r.AuthorKey && slices.Contains(d.AuthorKeys, r.AuthorKeyDigest), attest.ReasonSigner, "author-key", author,
		oneOf(len(d.AuthorKeys), "keys"), "the key that signed the guest was vouched for by somebody else, or by nobody")
	expected := "at least " + number(d.MinGuestSVN) + ", under a demanded ID key"
	v.demand(d.MinGuestSVN != 0, d.IDKeys != nil && r.GuestSVN >= d.MinGuestSVN, attest.ReasonPolicy, "guest-svn", number(r.GuestSVN), expected,
		"use a newer guest; and demand its ID key, without which anybody can state a version")
	v.image()
	mit := "launch " + hexNumber(r.LaunchMit) + ", current " + hexNumber(r.CurrentMit)
	if r.Version < 5 {
		mit = "none in version " + number(r.Version)
	}
	v.demand(d.Mitigations != 0, r.LaunchMit&r.CurrentMit&d.Mitigations == d.Mitigations, attest.ReasonGuestPolicy, "mitigations", mit,
		"all of "+hexNumber(d.Mitigations)+", since launch", "the host must update its firmware and start the Keep anew")
}

// image checks the names in the ID block; like its version they are anybody's
// unless its key is demanded.
func (v *verification) image() {
	r, d := v.report, &v.p.Demands
	v.demand(d.Images != nil, d.IDKeys != nil && slices.Contains(d.Images, Image{r.FamilyID, r.ImageID}), attest.ReasonSigner, "image",
		"family "+hex.EncodeToString(r.FamilyID[:])+", image "+hex.EncodeToString(r.ImageID[:]), oneOf(len(d.Images), "images, under a demanded ID key"),
		"this is not an image that you accept; and demand the ID key, without which anybody can name an image")
}

// named makes the rows of what nobody can demand and somebody may want to know.
func (v *verification) named() {
	if v.p.Simulated || v.end == nil {
		return // the chain has failed already, or it is of no interest
	}
	r := v.report
	v.note(attest.Skipped, "platform-info", hexNumber(r.PlatformInfo)+"; "+platformText(r.PlatformInfo), notDemanded, relying)
	// Firmware reports at most what it has committed to, and commits to at
	// most what it runs (document 56860, SNP_CONFIG and SNP_COMMIT).
	fmc := v.end.tcb.hasFMC
	reported, err1 := r.ReportedTCB.decode(fmc)
	committed, err2 := r.CommittedTCB.decode(fmc)
	current, err3 := r.CurrentTCB.decode(fmc)
	seen := "reported " + reported.String() + "; committed " + committed.String() + "; current " + current.String()
	if err1 == nil && err2 == nil && err3 == nil && reported.atMost(committed) && committed.atMost(current) {
		v.row(true, "", "tcb-versions", seen, "reported at most committed, committed at most current", specABI, "")
		return
	}
	v.note(attest.Warn, "tcb-versions", seen, "reported at most committed, committed at most current", specABI)
}

// platformText says what PLATFORM_INFO says (document 56860, table
// "PLATFORM_INFO").
func platformText(info uint64) string {
	var on []string
	names := []string{"SMT", "TSME", "ECC", "RAPL off", "ciphertext hiding", "alias check"}
	for i := range 64 {
		switch {
		case info>>i&1 == 0:
		case i < len(names):
			on = append(on, names[i])
		default:
			on = append(on, fmt.Sprintf("bit %d", i))
		}
	}
	if len(on) == 0 {
		return "nothing on"
	}
	return strings.Join(on, ", ")
}

// product checks that certificate and report speak of one product line.
func (v *verification) product() {
	if v.end == nil || len(v.line.CPUs) == 0 {
		return // the chain has failed already, or the line names no CPU
	}
	r := v.report
	name, _, _ := strings.Cut(v.end.product, "-")
	ok := name == v.line.Name
	cpu := fmt.Sprintf("version %d of the report does not name the CPU", r.Version)
	if r.Version >= 3 {
		cpu = fmt.Sprintf("CPU family %#x, model %#x, stepping %d", r.Family, r.Model, r.Stepping)
		ok = ok && slices.ContainsFunc(v.line.CPUs, func(c CPUs) bool {
			return r.Family == c.Family && r.Model >= c.First && r.Model <= c.Last
		})
	}
	v.row(ok, attest.ReasonKey, "product", shown(v.end.product)+"; "+cpu, v.line.Name, "the root of the chain",
		"the certificate is of another product line; get this machine's")
}

// chip checks that the certificate was made for the chip of the report, and
// the lists of accepted chips and providers.
func (v *verification) chip() {
	if v.end == nil {
		return // the chain has failed already
	}
	r, d := v.report, &v.p.Demands
	id := hex.EncodeToString(r.ChipID[:])
	masked := r.ChipID == [64]byte{}
	if r.SigningKey == KeyVLEK {
		if masked {
			id = "a chip that the report does not name"
		}
		v.row(true, "", "chip", id+", of provider "+shown(v.end.provider), "a provider, in place of a chip", "the VLEK's certificate", "")
	} else {
		v.row(!masked && r.ChipID == v.end.chipID, attest.ReasonKey, "chip", id, hex.EncodeToString(v.end.chipID[:]),
			"the VCEK's certificate", "the certificate is of another machine, or the host masks its chip; get this machine's certificate")
	}
	if row := tcbpolicy.Chips(v.exp.TCB, id, r.ChipID[:]); row.Outcome != attest.Skipped || !v.p.Simulated {
		v.add(row)
	}
	provider := v.end.provider
	if provider == "" {
		provider = "none: a VCEK names no provider"
	}
	v.demand(d.Providers != nil, v.end.provider != "" && slices.Contains(d.Providers, v.end.provider), attest.ReasonPolicy, "provider", shown(provider),
		oneOf(len(d.Providers), "providers"), "this provider is not among those you accept")
}

// level checks that the certificate was made for the firmware level that the
// report names, and the floor.
func (v *verification) level() {
	if v.end == nil {
		return // the chain has failed already
	}
	want, source := v.end.tcb, "the "+keyName(v.report.SigningKey)+"'s certificate"
	got, err := v.report.ReportedTCB.decode(want.hasFMC)
	if err != nil {
		v.row(false, attest.ReasonFormat, "tcb", err.Error(), want.String(), source, "the evidence is damaged or forged")
	} else {
		v.row(got == want, attest.ReasonTCBMismatch, "tcb", got.String(), want.String(), source, "get the certificate for the reported firmware level")
	}
	v.floors(want)
}

// floors compares the endorsed level, and the level at which the guest was
// launched, with the lowest accepted ones: firmware can be updated below a
// running guest, which then has seen the old one.
func (v *verification) floors(have TCB) {
	v.add(tcbpolicy.Floors(v.exp.TCB, tcbpolicy.Level{
		Check: "tcb-floor", Line: v.line.Name, Have: have.Map(), Text: have.String(), Todo: "the host must update its firmware",
	}, v.at)...)
	if len(v.exp.TCB.Floors) == 0 {
		return
	}
	launch, err := v.report.LaunchTCB.decode(have.hasFMC)
	if err != nil {
		v.row(false, attest.ReasonFormat, "tcb-launch", err.Error(), "a level", specABI, "the evidence is damaged or forged")
		return
	}
	v.add(tcbpolicy.Floors(v.exp.TCB, tcbpolicy.Level{
		Check: "tcb-launch", Line: v.line.Name, Have: launch.Map(), Text: launch.String(),
		Todo: "the host must update its firmware; if it has since, start the Keep anew",
	}, v.at)...)
}

// waived says whether an expectation is missing and waived; if so it makes the
// row that names it and remembers it for the claims.
func (v *verification) waived(w attest.Waiver, missing bool, check, seen string) bool {
	if v.p.Demands.Waive&w == 0 || !missing {
		return false
	}
	v.note(attest.Skipped, check, seen, notDemanded, relying)
	v.waivers = append(v.waivers, check)
	return true
}

func (v *verification) measurement() {
	got := v.report.Measurement[:]
	seen := hex.EncodeToString(got)
	if v.waived(attest.WaiveMeasurement, len(v.exp.Measurements) == 0, "measurement", seen) {
		return
	}
	n := 0
	for _, ref := range v.exp.Measurements {
		if ref.Platform != v.p.Platform {
			continue
		}
		n++
		if len(ref.Measurement) == len(got) && bytes.Equal(ref.Measurement, got) {
			v.row(true, "", "measurement", seen, "Keep release "+shown(ref.Name()), shown(ref.Source), "")
			return
		}
	}
	v.row(false, attest.ReasonMeasurement, "measurement", seen, fmt.Sprintf("one of %d reference values for %s", n, v.p.Platform),
		"the reference values given", "this is not a Keep release you accept; name its reference values if you trust them")
}

// bound checks the two fields that tie the report to the session. A zero
// expectation is a missing one.
func (v *verification) bound() {
	hd, rd := v.report.HostData, v.report.ReportData
	seen := hex.EncodeToString(hd[:])
	if !v.waived(attest.WaiveHostData, v.exp.HostData == [32]byte{}, "host-data", seen) {
		v.row(v.exp.HostData != [32]byte{} && hd == v.exp.HostData, attest.ReasonHostData, "host-data",
			seen, hex.EncodeToString(v.exp.HostData[:]), "digest of the start configuration",
			"the Keep was started with another configuration than it says")
	}
	seen = hex.EncodeToString(rd[:])
	if !v.waived(attest.WaiveReportData, v.exp.ReportData == [64]byte{}, "report-data", seen) {
		v.row(v.exp.ReportData != [64]byte{} && rd == v.exp.ReportData, attest.ReasonReportData, "report-data",
			seen, hex.EncodeToString(v.exp.ReportData[:]), session,
			"the evidence was made for another session or another Keep; somebody may stand in between")
	}
}
