// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpmquote

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/eventlog"
	"github.com/enarx/enarx-go/attest/internal/tpm"
)

// attestationKey checks that the key signs nothing but what a TPM itself has
// composed, and that it is the key which the quote names.
func (v *verification) attestationKey() {
	const check = "attestation-key"
	const want = "a restricted signing key that was made in its TPM and never leaves it"
	if v.ak == nil {
		v.note(attest.Skipped, check, "only the key is known, not its attributes: whoever vouches for the key vouches for them", "not demanded", relying, "")
		return
	}
	if err := v.ak.CheckAttestationKey(); err != nil {
		v.row(false, attest.ReasonKey, check, err.Error(), want, specTPM+", 8.3", "such a key could sign a quote that no TPM has made; do not use this Keep")
		return
	}
	if v.in.keep {
		qn, err := v.ak.QualifiedName(tpm.HierarchyEndorsement)
		if err != nil || !bytes.Equal(qn, v.quote.QualifiedSigner) {
			v.row(false, attest.ReasonKey, check, fmt.Sprintf("the quote is by the key with qualified name %x", v.quote.QualifiedSigner),
				fmt.Sprintf("%x: this key, made under the endorsement hierarchy", qn), specTPM+", 10.12.12", forged)
			return
		}
	}
	v.row(true, "", check, v.ak.KeyText()+", "+v.ak.Attributes.String(), want, specTPM+", 8.3", "")
}

// activation says what binds the attestation key to the certificate.
func (v *verification) activation(ev attest.Evidence) {
	const check = "activation"
	const want = "the attestation key lives in the TPM of the certificate"
	const source = "credential activation, TPM 2.0 Library, Part 1, 24"
	const lies = "the attestation key is of another TPM than the certificate says, or of none; do not use this Keep"
	switch {
	case v.vouched: // whoever vouches for the key says where it lives
	case v.byAK && v.chain != nil:
		v.row(true, "", check, "the certificate is that of the attestation key itself", want, v.p.RootSource, "")
	case v.byAK:
		v.row(false, attest.ReasonUnchecked, check, "no proven chain", want, source, "see the row of the chain")
	case v.act.state == notAsked:
		v.note(attest.Skipped, check, "activation not transferable", want, source,
			"ask the Keep itself; or take the word of whoever saved this for it: accept_unproven_activation in [vtpm] of the policy")
		v.waivers = append(v.waivers, check)
	case v.act.keys != keysOf(ev):
		v.row(false, attest.ReasonKey, check, "a conversation about other keys", want, source, "ask the Keep again")
	case v.act.state == noCredential && v.act.err != nil:
		v.row(false, attest.ReasonUnchecked, check, v.act.err.Error(), want, source, "see the rows before")
	case v.act.state == noAnswer:
		v.row(false, attest.ReasonKey, check, "the Keep gave no answer to the credential", want, source, lies)
	case v.act.state == wrongAnswer:
		v.row(false, attest.ReasonKey, check, "the Keep answered with another secret than the credential's", want, source, lies)
	case v.act.state == activated:
		v.row(true, "", check, "the TPM gave back the secret of this session's credential", want, source, "")
	default:
		v.row(false, attest.ReasonUnchecked, check, "no credential was made", want, source, "see the rows before")
	}
}

func (v *verification) signature() {
	const want, source = "by the attestation key over the quote, with SHA-256 or better", "the attestation key"
	if err := v.sig.Verify(v.key, v.in.quote); err != nil {
		v.row(false, attest.ReasonSignature, "signature", err.Error(), want, source, forged)
		return
	}
	if v.ak != nil && v.ak.Scheme != tpm.AlgNull && (v.ak.Scheme != v.sig.Alg || v.ak.SchemeHash != v.sig.Hash) {
		v.row(false, attest.ReasonSignature, "signature", fmt.Sprintf("%v with %v", v.sig.Alg, v.sig.Hash),
			fmt.Sprintf("%v with %v, to which the key is bound", v.ak.Scheme, v.ak.SchemeHash), source, forged)
		return
	}
	v.row(true, "", "signature", fmt.Sprintf("good: %v with %v", v.sig.Alg, v.sig.Hash), want, source, "")
}

// checkPCRs holds the PCRs' values against the digest in the quote.
func (v *verification) checkPCRs() {
	const check = "pcrs"
	want := fmt.Sprintf("the digest of PCR 0 to 23, bank %v", v.in.bank)
	fail := func(seen string) { v.row(false, attest.ReasonSignature, check, seen, want, "the quote", forged) }
	if _, err := v.in.bank.Hash(); err != nil {
		fail("bank of " + err.Error())
		return
	}
	if n := len(v.quote.Selected); n != 1 || v.quote.Selected[0].Bank != v.in.bank || !v.quote.Selected[0].All() {
		fail(fmt.Sprintf("a quote of %d banks, or not of all PCRs", n))
		return
	}
	h, err := v.sig.Hash.Hash()
	if err != nil {
		fail("digest with " + err.Error())
		return
	}
	w := h.New()
	for _, p := range v.in.pcrs {
		w.Write(p)
	}
	if !bytes.Equal(w.Sum(nil), v.quote.Digest) {
		fail("the values that came along are not those that were quoted")
		return
	}
	v.pcrsOK = true
	v.row(true, "", check, "the values that came along are those that were quoted", want, "the quote", "")
}

// ownPCRs are not the firmware's: they have rows of their own.
var ownPCRs = []int{10, attest.PCRStart, attest.PCRClaim, 16, 17, 18, 19, 20, 21, 22, 23}

// eventLog replays the log. It proves what the registers are made of; the log
// itself is worth nothing without them.
func (v *verification) eventLog() {
	const check = "event-log"
	const want = "each register that the firmware extends, replayed from the log, is the quote's"
	const todo = "the log is stale, changed, or of another machine; restart the Keep, and if that does not help, do not use it"
	fail := func(seen string) { v.row(false, attest.ReasonEventLog, check, seen, want, "the quoted PCRs", todo) }
	if len(v.in.log) == 0 {
		if v.in.keep {
			fail("no log")
		} else {
			v.note(attest.Skipped, check, "no log came along; the registers are proven, and what was measured into them is not told", "not demanded", relying, "")
		}
		return
	}
	l, err := readLog(v.in.log, eventlog.Alg(v.in.bank))
	if err != nil {
		fail(err.Error())
		return
	}
	if !v.pcrsOK {
		v.row(false, attest.ReasonUnchecked, check, "no proven registers", want, "the quoted PCRs", "see the row of the PCRs")
		return
	}
	v.log = l
	var bad, good []string
	for i, got := range v.in.pcrs {
		r := l.regs[uint32(i)]
		switch {
		case slices.Contains(ownPCRs, i) && (r.Events == 0 || !v.in.keep):
			continue
		case slices.Contains(ownPCRs, i):
			bad = append(bad, fmt.Sprintf("PCR %d: the log has %s, and no firmware extends it", i, l.of[uint32(i)][0].name()))
		case r.Events == 0 && allZero(got):
		case r.Events == 0 && !v.in.keep: // an operating system can extend registers without a log
		case r.Events == 0 || !bytes.Equal(r.Value, got):
			bad = append(bad, fmt.Sprintf("PCR %d is %x…, the log gives %x…: %s", i, got[:8], orZero(r.Value)[:8], l.suspect(uint32(i), got)))
		default:
			good = append(good, fmt.Sprintf("%d (%d)", i, r.Events))
		}
	}
	unproven, some := l.unproven()
	switch {
	case len(bad) != 0:
		fail(strings.Join(bad, "; "))
	case some && v.in.keep:
		fail(fmt.Sprintf("the data of %s are not what its digest is of", unproven.name()))
	case len(good) == 0:
		fail("a log without any event that was measured")
	default:
		v.logOK = true
		v.row(true, "", check, "replayed PCR (and its events): "+strings.Join(good, ", "), want, "the quoted PCRs", "")
	}
}

func orZero(b []byte) []byte {
	if b == nil {
		return make([]byte, 32)
	}
	return b
}

func allZero(b []byte) bool { return allOf(b, 0) }

func allOnes(b []byte) bool { return allOf(b, 0xff) }

func allOf(b []byte, x byte) bool {
	return !slices.ContainsFunc(b, func(y byte) bool { return y != x })
}

// registers looks at those that neither firmware nor Keep extend.
func (v *verification) registers() {
	if !v.in.keep {
		return
	}
	const check = "registers"
	const want = "PCR 10 zero or the kernel's boot aggregate, 16 and 23 zero, 17 to 22 as after a reset"
	if !v.pcrsOK {
		v.row(false, attest.ReasonUnchecked, check, "no proven registers", want, ours, "see the row of the PCRs")
		return
	}
	var bad []string
	for _, i := range ownPCRs {
		p := v.in.pcrs[i]
		ok := allZero(p)
		switch {
		case i == attest.PCRStart || i == attest.PCRClaim:
			continue // rows of their own
		case i == 10 && !ok:
			ok = slices.ContainsFunc(bootAggregate(v.in.pcrs), func(x []byte) bool { return bytes.Equal(x, p) })
		case i >= 17 && i <= 22:
			ok = ok || allOnes(p)
		}
		if !ok {
			bad = append(bad, fmt.Sprintf("PCR %d is %x…", i, p[:8]))
		}
	}
	v.row(len(bad) == 0, attest.ReasonMeasurement, check, orUntouched(bad), want, ours,
		"something was measured after the boot that is no part of a Keep; do not use it")
}

// demandedPCRs holds single registers against the values that the relying party
// names: the firmware in PCR 0, the keys of Secure Boot in PCR 7.
func (v *verification) demandedPCRs() {
	for _, i := range slices.Sorted(maps.Keys(v.p.Demands.PCRs)) {
		want := v.p.Demands.PCRs[i]
		check, text := fmt.Sprintf("pcr%d", i), cmp.Or(hex.EncodeToString(want), "a value")
		switch {
		case !v.pcrsOK:
			v.row(false, attest.ReasonUnchecked, check, "no proven registers", text, relying, "see the row of the PCRs")
		case i >= uint(len(v.in.pcrs)):
			v.row(false, attest.ReasonMeasurement, check, "a TPM has no such register", text, relying, "demand registers from 0 to 23")
		default:
			got := v.in.pcrs[i]
			v.row(bytes.Equal(got, want), attest.ReasonMeasurement, check, hex.EncodeToString(got), text, relying,
				"the machine has measured something else into this register than you demand; do not use this Keep, or demand this value if you know what it stands for")
		}
	}
}

// pcrDrivers is where firmware measures the drivers that are not its own: those
// in the memories of devices (option ROMs), and those that its variables name
// (PC Client Platform Firmware Profile, 3.3.4.3).
const pcrDrivers = 2

// drivers refuses code that ran before the image and is no part of it. Its
// register says nothing else, and what a driver has done to the kernel in memory
// no register says. Who demands a value of that register knows what it is of.
func (v *verification) drivers() {
	if _, demanded := v.p.Demands.PCRs[pcrDrivers]; !v.in.keep || demanded {
		return
	}
	const check = "drivers"
	const want = "none: PCR 2 zero, or extended once with the separator"
	if !v.pcrsOK {
		v.row(false, attest.ReasonUnchecked, check, "no proven registers", want, ours, "see the row of the PCRs")
		return
	}
	p := v.in.pcrs[pcrDrivers]
	ok := allZero(p) || bytes.Equal(p, extended(make([]byte, 4)))
	seen := "none"
	if !ok {
		seen = fmt.Sprintf("PCR %d is %x…", pcrDrivers, p[:8])
		if v.logOK {
			for _, e := range v.log.of[pcrDrivers] {
				if e.Type != evSeparator {
					seen += ", " + e.name()
					break
				}
			}
		}
	}
	v.row(ok, attest.ReasonMeasurement, check, seen, want, ours,
		"the machine ran a driver of its host's before the image, which can have changed it; start it without devices that bring drivers, and without boot variables that name some")
}

func orUntouched(bad []string) string {
	if len(bad) == 0 {
		return "untouched"
	}
	return strings.Join(bad, ", ")
}

func (v *verification) secureBoot() {
	const check, source = "secure-boot", "the event log, PCR 7"
	seen, on := "no proven log", false
	if v.logOK {
		var err error
		on, err = v.log.secureBoot()
		switch {
		case err != nil:
			seen = err.Error()
		case on:
			seen = "on"
		default:
			seen = "off"
		}
	}
	if v.p.Demands.SecureBoot {
		v.row(on, attest.ReasonGuestPolicy, check, seen, "on", source, "start the Keep's machine with Secure Boot, or take require_secure_boot out of the policy: the measurement says what booted in either case")
		return
	}
	v.note(attest.Skipped, check, seen, "not demanded", relying, "")
}

// firmware answers demands on firmware level and chip.
func (v *verification) firmware() {
	const level = "a TPM says its own version and nothing of the machine's firmware level"
	floor := false
	for _, f := range v.exp.TCB.Floors {
		floor = floor || f.Line == "" && (f.From.IsZero() || !v.at.Before(f.From))
	}
	if floor {
		v.row(false, attest.ReasonTCBFloor, "tcb-floor", level, "the demanded floor", relying, "no TPM proves a firmware level; ask for no floor on this platform")
	}
	if v.exp.TCB.Chips != nil {
		id, ok := "no proven chain", false
		if v.chain != nil {
			k := keyID(v.chain[0])
			id = hex.EncodeToString(k)
			ok = slices.ContainsFunc(v.exp.TCB.Chips, func(c []byte) bool { return bytes.Equal(c, k) })
		}
		v.row(ok, attest.ReasonChip, "chip-list", id, fmt.Sprintf("one of %d TPMs", len(v.exp.TCB.Chips)), relying, "this is not one of your machines; add the digest of its key if it is")
	}
	if v.p.Simulated {
		return
	}
	// What a TPM says of itself proves no hardware: one in software says the
	// same, and only its maker's root tells them apart.
	v.note(attest.Skipped, "tpm-firmware", fmt.Sprintf("%v, firmware %#x, reset count %d", v.device, v.quote.FirmwareVersion, v.quote.ResetCount), "not demanded", relying, "")
}

// extended is a register of zeros after one event.
func extended(event []byte) []byte {
	d := sha256.Sum256(event)
	v := sha256.Sum256(append(make([]byte, 32), d[:]...))
	return v[:]
}

func (v *verification) hostData() {
	const check = "host-data"
	missing := v.exp.HostData == [32]byte{}
	if !v.in.keep {
		if !v.waived(attest.WaiveHostData, missing, check, "a quote that is not a Keep's has none") {
			v.row(false, attest.ReasonHostData, check, "a quote that is not a Keep's has none", hex.EncodeToString(v.exp.HostData[:]), relying, "leave out the host data for evidence that is not a Keep's")
		}
		return
	}
	p := v.in.pcrs[attest.PCRStart]
	seen := fmt.Sprintf("PCR %d %x", attest.PCRStart, p)
	if v.waived(attest.WaiveHostData, missing, check, seen) {
		return
	}
	want := extended(attest.StartEvent(v.exp.HostData))
	v.row(!missing && v.pcrsOK && bytes.Equal(p, want), attest.ReasonHostData, check, seen, fmt.Sprintf("%x: extended once with %x", want, v.exp.HostData),
		"digest of the start configuration", "the Keep was started with another configuration than it says")
}

// hostDataProven is for the claims, after all rows have passed.
func (v *verification) hostDataProven() []byte {
	if v.exp.HostData == [32]byte{} {
		return nil
	}
	return bytes.Clone(v.exp.HostData[:])
}

// claim looks at the register that a Keep extends when it is claimed.
func (v *verification) claim() {
	if !v.in.keep {
		return
	}
	p := v.in.pcrs[attest.PCRClaim]
	seen := fmt.Sprintf("PCR %d %x", attest.PCRClaim, p)
	if v.exp.Claim == nil {
		v.note(attest.Skipped, "claim", seen, "not demanded", relying, "")
		return
	}
	want, words := make([]byte, 32), "zero: never claimed"
	if v.exp.Claim.Event != nil {
		want = extended(v.exp.Claim.Event)
		words = hex.EncodeToString(want) + ": claimed once, with this owner's key and the Keep's own"
	}
	v.row(v.pcrsOK && bytes.Equal(p, want), attest.ReasonMeasurement, "claim", seen, words, session,
		"this Keep was claimed by somebody else, or not as it says; ask for a new one")
}

// reportData checks the qualifying data of the quote: of a Keep the digest of
// its report data, of others a nonce of their own.
func (v *verification) reportData() {
	const check = "report-data"
	seen := fmt.Sprintf("qualifying data %x", v.quote.ExtraData)
	missing := v.exp.ReportData == [64]byte{}
	if v.waived(attest.WaiveReportData, missing, check, seen) {
		return
	}
	want := v.exp.ReportData[:]
	got := make([]byte, 64)
	if v.in.keep {
		d := sha256.Sum256(v.exp.ReportData[:])
		want, got = d[:], v.quote.ExtraData
	} else if len(v.quote.ExtraData) <= len(got) {
		copy(got, v.quote.ExtraData)
	}
	v.row(!missing && bytes.Equal(got, want), attest.ReasonReportData, check, seen, hex.EncodeToString(want), session,
		"the evidence was made for another session or another Keep; somebody may stand in between")
}
