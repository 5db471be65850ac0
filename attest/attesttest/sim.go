// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attesttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/attest/sim/simhw"
)

// Made is the time at which the throw-away vendors of this package begin.
var Made = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// authorities makes two throw-away vendors once per test binary; RSA keys are
// slow to make.
var authorities = sync.OnceValues(func() ([2]*simhw.Authority, error) {
	var a [2]*simhw.Authority
	for i := range a {
		var err error
		if a[i], err = simhw.NewAuthority(Made); err != nil {
			return a, err
		}
	}
	return a, nil
})

// SimVendor is a throw-away vendor with good inputs for one session.
type SimVendor struct {
	// HW signs; Other is a second vendor, foreign to the first.
	HW, Other *simhw.Authority
	// Spec is a proper Keep's report.
	Spec simhw.Spec
	// Root is HW's.
	Root sim.Root

	t testing.TB
}

// Sim gives the throw-away vendor of this test binary.
func Sim(t testing.TB) *SimVendor {
	t.Helper()
	a, err := authorities()
	if err != nil {
		t.Fatal(err)
	}
	s := &SimVendor{HW: a[0], Other: a[1], t: t}
	s.Root = s.root(s.HW)
	s.Spec.ReportData = attest.ReportData(1, [64]byte{1})
	s.Spec.Measurement = sim.Measurement(sha256.Sum256([]byte("a Keep runtime")))
	s.Spec.HostData = sha256.Sum256([]byte("a start configuration"))
	return s
}

func (s *SimVendor) root(a *simhw.Authority) sim.Root {
	s.t.Helper()
	r, err := sim.ParseRoot(a.RootPEM())
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// Expected are the expectations that the report of s.Spec meets.
func (s *SimVendor) Expected() attest.Expected {
	return attest.Expected{
		ReportData: s.Spec.ReportData,
		HostData:   s.Spec.HostData,
		Measurements: []attest.ReferenceValue{{
			Platform: attest.PlatformSim, Measurement: s.Spec.Measurement[:], Release: "test", Source: "the test",
		}},
	}
}

// Case signs the report of spec and pairs it with the expectations of s.Spec.
func (s *SimVendor) Case(name, check string, why attest.Reason, spec simhw.Spec) Case {
	s.t.Helper()
	report, err := s.HW.ReportFor(spec)
	if err != nil {
		s.t.Fatal(err)
	}
	return Case{
		Name:       name,
		Evidence:   attest.Evidence{MediaType: attest.MediaTypeSNP, Value: report},
		Collateral: s.HW.Chain(),
		Expected:   s.Expected(),
		At:         Made,
		Check:      check,
		Reason:     why,
	}
}

// Subject is the subject that platform sim is tested with.
func (s *SimVendor) Subject() Subject {
	s.t.Helper()
	from := Made.Add(-time.Hour)
	return Subject{
		Verifier: sim.New(s.Root),
		Foreign:  sim.New(s.root(s.Other)), ForeignReason: attest.ReasonRoot,
		Good:      s.Case("Good", "", "", s.Spec),
		NotBefore: from,
		NotAfter:  from.AddDate(7, 0, 0),
		Pass:      attest.Simulated,
		Bad:       s.Bad(),
	}
}

// Bad is the corpus of evidence that is signed by the right key and must be
// refused all the same, or signed by a wrong one.
func (s *SimVendor) Bad() []Case {
	s.t.Helper()
	mod := func(f func(*simhw.Spec)) simhw.Spec {
		spec := s.Spec
		f(&spec)
		return spec
	}
	byte0 := func(off int, v byte) simhw.Spec {
		return mod(func(p *simhw.Spec) { p.Edit = func(b []byte) { b[off] = v } })
	}
	foreign, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	cases := []Case{
		s.Case("Debug", "debug", attest.ReasonDebug, mod(func(p *simhw.Spec) { p.PolicyBits = 1 << 19 })),
		s.Case("MigrationAgent", "migration", attest.ReasonMigration, mod(func(p *simhw.Spec) { p.PolicyBits = 1 << 18 })),
		s.Case("UnknownPolicyBit", "format", attest.ReasonFormat, mod(func(p *simhw.Spec) { p.PolicyBits = 1 << 40 })),
		s.Case("VMPL1", "vmpl", attest.ReasonVMPL, mod(func(p *simhw.Spec) { p.VMPL = 1 })),
		s.Case("VMPL3", "vmpl", attest.ReasonVMPL, mod(func(p *simhw.Spec) { p.VMPL = 3 })),
		s.Case("AskedByHost", "vmpl", attest.ReasonVMPL, mod(func(p *simhw.Spec) { p.VMPL = ^uint32(0) })),
		s.Case("VLEK", "signature", attest.ReasonUnchecked, mod(func(p *simhw.Spec) { p.SigningKey = 1 })),
		s.Case("Unsigned", "signature", attest.ReasonSignature, mod(func(p *simhw.Spec) { p.SigningKey = 7 })),
		s.Case("ForeignKey", "signature", attest.ReasonSignature, mod(func(p *simhw.Spec) { p.Sign = foreign })),
		s.Case("OtherChip", "chip", attest.ReasonKey, mod(func(p *simhw.Spec) { p.ChipID = &[64]byte{1} })),
		s.Case("MaskedChip", "chip", attest.ReasonKey, mod(func(p *simhw.Spec) { p.ChipID = &[64]byte{} })),
		s.Case("HigherTCBThanEndorsed", "tcb", attest.ReasonTCBMismatch, mod(func(p *simhw.Spec) { p.TCB = &[8]byte{0: 9, 1: 9, 6: 9, 7: 99} })),
		s.Case("LowerTCBThanEndorsed", "tcb", attest.ReasonTCBMismatch, mod(func(p *simhw.Spec) { p.TCB = &[8]byte{} })),
		s.Case("ReservedTCB", "tcb", attest.ReasonFormat, mod(func(p *simhw.Spec) { p.TCB = &[8]byte{0: 1, 1: 1, 3: 1, 6: 1, 7: 1} })),
		s.Case("OtherReportData", "report-data", attest.ReasonReportData, mod(func(p *simhw.Spec) { p.ReportData[0] ^= 1 })),
		s.Case("ZeroReportData", "report-data", attest.ReasonReportData, mod(func(p *simhw.Spec) { p.ReportData = [64]byte{} })),
		s.Case("OtherHostData", "host-data", attest.ReasonHostData, mod(func(p *simhw.Spec) { p.HostData[0] ^= 1 })),
		s.Case("OtherMeasurement", "measurement", attest.ReasonMeasurement, mod(func(p *simhw.Spec) { p.Measurement[0] ^= 1 })),
		s.Case("Version1", "format", attest.ReasonFormat, byte0(0x00, 1)),
		s.Case("Version6", "format", attest.ReasonFormat, byte0(0x00, 6)),
		s.Case("OtherAlgorithm", "format", attest.ReasonFormat, byte0(0x34, 2)),
		s.Case("ReservedKeyInfo", "format", attest.ReasonFormat, byte0(0x49, 1)),
		s.Case("Reserved", "format", attest.ReasonFormat, byte0(0x29f, 1)),
		s.Case("PolicyBit17Clear", "format", attest.ReasonFormat, byte0(0x0a, 0x01)),
	}
	mixed := s.Case("ChainOfOtherVendor", "chain", attest.ReasonRoot, s.Spec)
	mixed.Collateral = s.Other.Chain()
	two := s.Case("TwoVCEKs", "chain", attest.ReasonChain, s.Spec)
	two.Collateral = append(two.Collateral, s.Other.Chain()...)
	return append(cases, mixed, two)
}
