// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package attesttest holds the one suite that every verifier of evidence must
// pass, a throw-away vendor to run it with, and the corpus of bad evidence.
//
//	func TestVerifier(t *testing.T) {
//		attesttest.RunVerifierSuite(t, attesttest.Sim(t).Subject())
//	}
//
// The suite attacks: it damages every byte of evidence and certificates, cuts
// and extends them, moves the clock to one second beyond every edge, takes
// every expectation away, and checks after each attack that there are no
// claims, that a row says why, and that nothing panics. With the flag
// -attest.everybit it damages every bit instead of one bit per byte.
package attesttest

import (
	"bytes"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/verdicttest"
)

var everyBit = flag.Bool("attest.everybit", false, "damage every bit of evidence and certificates, not one per byte")

// EveryBit says whether to damage every bit, for tests that attack more than
// this suite does.
func EveryBit() bool { return *everyBit }

// Subject is a verifier with evidence that it must accept.
type Subject struct {
	Verifier attest.Verifier
	// Foreign is a verifier of the same platform under another root.
	Foreign attest.Verifier
	// ForeignReason is what Foreign's row of the chain must fail for: the
	// root, unless Good brings none; empty is any.
	ForeignReason attest.Reason
	// Good is what must pass.
	Good Case
	// NotBefore and NotAfter are the first and last second at which Good
	// passes: the validity that all its certificates share.
	NotBefore, NotAfter time.Time
	// Pass is the outcome that passed rows must have: attest.Pass, or
	// attest.Simulated for sim.
	Pass attest.Outcome
	// WithoutCollateral is the check that fails if all collateral is taken
	// away or there is too much of it: empty is "chain", and "revocation" is
	// for evidence that brings its chain.
	WithoutCollateral string
	// Bad is evidence that is signed well and must be refused.
	Bad []Case
}

// Case is one set of inputs of a verifier.
type Case struct {
	Name       string
	Evidence   attest.Evidence
	Collateral attest.Collateral
	Expected   attest.Expected
	At         time.Time
	// Check is the end of the name of the row that must fail ("debug" for
	// "snp.debug"); empty for a case that must pass.
	Check string
	// Reason is what the row must fail for; empty is any.
	Reason attest.Reason
}

// clone copies c so that a test can damage it.
func (c Case) clone() Case {
	c.Evidence.Value = bytes.Clone(c.Evidence.Value)
	col := make(attest.Collateral, len(c.Collateral))
	for i, e := range c.Collateral {
		col[i] = attest.Evidence{MediaType: e.MediaType, Value: bytes.Clone(e.Value)}
	}
	c.Collateral = col
	c.Expected.Measurements = append([]attest.ReferenceValue(nil), c.Expected.Measurements...)
	return c
}

// RunVerifierSuite runs every attack on s.
func RunVerifierSuite(t *testing.T, s Subject) {
	t.Helper()
	if len(s.Bad) == 0 || len(s.Good.Evidence.Value) == 0 || len(s.Good.Collateral) == 0 {
		t.Fatal("the subject has no evidence or no bad cases; the suite would test nothing")
	}
	t.Run("Good", func(t *testing.T) { s.testGood(t) })
	t.Run("WellSignedButBad", func(t *testing.T) {
		for _, c := range s.Bad {
			t.Run(c.Name, func(t *testing.T) { refused(t, s.Verifier, c) })
		}
	})
	t.Run("ForeignRoot", func(t *testing.T) {
		c := s.Good.clone()
		c.Check, c.Reason = "chain", s.ForeignReason
		refused(t, s.Foreign, c)
	})
	t.Run("Expectations", func(t *testing.T) { s.testExpectations(t) })
	t.Run("Dates", func(t *testing.T) { s.testDates(t) })
	t.Run("Sizes", func(t *testing.T) { s.testSizes(t) })
	t.Run("Collateral", func(t *testing.T) { s.testCollateral(t) })
	t.Run("Damage", func(t *testing.T) { s.testDamage(t) })
}

func (s Subject) testGood(t *testing.T) {
	claims, v := run(t, s.Verifier, s.Good)
	if claims == nil || v.Err() != nil {
		t.Fatalf("good evidence refused: %v", v.Err())
	}
	if !claims.Verified() || claims.Platform != s.Verifier.Platform() {
		t.Errorf("claims for %q, verified %v", claims.Platform, claims.Verified())
	}
	if claims.ReportData != s.Good.Expected.ReportData || !claims.VerifiedAt.Equal(s.Good.At) {
		t.Error("claims do not repeat report data and time")
	}
	if sim := claims.Platform == attest.PlatformSim; claims.Simulated != sim {
		t.Errorf("claims say simulated = %v on platform %s", claims.Simulated, claims.Platform)
	}
	passed := 0
	for _, r := range v {
		if !strings.HasPrefix(r.Check, s.Verifier.Platform()+".") {
			t.Errorf("row %q does not begin with the platform", r.Check)
		}
		switch r.Outcome {
		case s.Pass:
			passed++
		case attest.Warn, attest.Skipped:
		default:
			t.Errorf("row %s reads %q, expected %q", r.Check, r.Outcome, s.Pass)
		}
	}
	if passed < 5 {
		t.Errorf("only %d checks passed; a verifier makes more", passed)
	}
}

func (s Subject) testExpectations(t *testing.T) {
	for _, x := range []struct {
		name, check string
		reason      attest.Reason
		edit        func(*attest.Expected)
	}{
		{"OtherReportData", "report-data", attest.ReasonReportData, func(e *attest.Expected) { e.ReportData[63] ^= 1 }},
		{"NoReportData", "report-data", attest.ReasonReportData, func(e *attest.Expected) { e.ReportData = [64]byte{} }},
		{"OtherHostData", "host-data", attest.ReasonHostData, func(e *attest.Expected) { e.HostData[0] ^= 0x80 }},
		{"NoHostData", "host-data", attest.ReasonHostData, func(e *attest.Expected) { e.HostData = [32]byte{} }},
		{"NoMeasurements", "measurement", attest.ReasonMeasurement, func(e *attest.Expected) { e.Measurements = nil }},
		{"EmptyMeasurement", "measurement", attest.ReasonMeasurement, func(e *attest.Expected) { e.Measurements[0].Measurement = nil }},
		{"ShortMeasurement", "measurement", attest.ReasonMeasurement, func(e *attest.Expected) {
			e.Measurements[0].Measurement = e.Measurements[0].Measurement[:47]
		}},
		{"OtherMeasurement", "measurement", attest.ReasonMeasurement, func(e *attest.Expected) {
			m := bytes.Clone(e.Measurements[0].Measurement)
			m[47] ^= 1
			e.Measurements[0].Measurement = m
		}},
		{"MeasurementOfOtherPlatform", "measurement", attest.ReasonMeasurement, func(e *attest.Expected) { e.Measurements[0].Platform = "other" }},
		{"HigherTCB", "tcb-floor", attest.ReasonTCBFloor, func(e *attest.Expected) { e.TCB = atLeast("microcode", 256) }},
		{"UnknownTCBComponent", "tcb-floor", attest.ReasonTCBFloor, func(e *attest.Expected) { e.TCB = atLeast("nonsense", 0) }},
		{"Nothing", "report-data", attest.ReasonReportData, func(e *attest.Expected) { *e = attest.Expected{} }},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := s.Good.clone()
			x.edit(&c.Expected)
			c.Check, c.Reason = x.check, x.reason
			refused(t, s.Verifier, c)
		})
	}
}

// atLeast is a policy with one floor.
func atLeast(component string, n uint64) attest.TCBPolicy {
	return attest.TCBPolicy{Floors: []attest.TCBFloor{{Min: map[string]uint64{component: n}}}}
}

func (s Subject) testDates(t *testing.T) {
	for _, x := range []struct {
		name string
		at   time.Time
		ok   bool
	}{
		{"FirstSecond", s.NotBefore, true},
		{"LastSecond", s.NotAfter, true},
		{"SecondBefore", s.NotBefore.Add(-time.Second), false},
		{"SecondAfter", s.NotAfter.Add(time.Second), false},
		{"ZeroTime", time.Time{}, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := s.Good.clone()
			c.At = x.at
			if x.ok {
				if claims, v := run(t, s.Verifier, c); claims == nil {
					t.Fatalf("refused within the validity: %v", v.Err())
				}
				return
			}
			c.Check, c.Reason = "dates", attest.ReasonCertExpired
			if x.at.Before(s.NotBefore) {
				c.Reason = attest.ReasonCertNotYetValid
			}
			refused(t, s.Verifier, c)
		})
	}
}

func (s Subject) testSizes(t *testing.T) {
	good := s.Good.Evidence.Value
	for name, x := range map[string]struct {
		value  []byte
		reason attest.Reason
	}{
		"Nil":       {nil, attest.ReasonFormat},
		"Empty":     {[]byte{}, attest.ReasonFormat},
		"OneByte":   {good[:1], attest.ReasonFormat},
		"Half":      {good[:len(good)/2], attest.ReasonFormat},
		"OneShort":  {good[:len(good)-1], attest.ReasonFormat},
		"OneLong":   {append(bytes.Clone(good), 0), attest.ReasonTrailingBytes},
		"Twice":     {append(bytes.Clone(good), good...), attest.ReasonTrailingBytes},
		"Huge":      {make([]byte, 4<<20), attest.ReasonTooLarge},
		"AllOnes":   {bytes.Repeat([]byte{0xff}, len(good)), attest.ReasonFormat},
		"AllZeroes": {make([]byte, len(good)), attest.ReasonFormat},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.Good.clone()
			c.Evidence.Value, c.Check, c.Reason = x.value, "format", x.reason
			refused(t, s.Verifier, c)
		})
	}
	t.Run("OtherMediaType", func(t *testing.T) {
		for _, mt := range []string{"", "application/octet-stream", attest.MediaTypeNone} {
			c := s.Good.clone()
			c.Evidence.MediaType, c.Check, c.Reason = mt, "format", attest.ReasonPlatform
			refused(t, s.Verifier, c)
		}
	})
}

func (s Subject) testCollateral(t *testing.T) {
	check, missing := "chain", attest.ReasonChain
	if s.WithoutCollateral != "" {
		check, missing = s.WithoutCollateral, attest.ReasonListMissing
	}
	whole := check
	edit := func(name string, reason attest.Reason, f func(*Case)) {
		t.Run(name, func(t *testing.T) {
			c := s.Good.clone()
			f(&c)
			c.Check, c.Reason = check, reason
			refused(t, s.Verifier, c)
		})
	}
	edit("None", missing, func(c *Case) { c.Collateral = nil })
	for i, e := range s.Good.Collateral {
		check, missing = "chain", attest.ReasonChain
		unreadable := attest.ReasonChain
		if e.MediaType == attest.MediaTypeCRL {
			check, missing, unreadable = "revocation", attest.ReasonListMissing, attest.ReasonListFormat
		}
		edit(fmt.Sprintf("Without%d", i), missing, func(c *Case) {
			c.Collateral = append(c.Collateral[:i:i], c.Collateral[i+1:]...)
		})
		edit(fmt.Sprintf("Cut%d", i), unreadable, func(c *Case) {
			c.Collateral[i].Value = c.Collateral[i].Value[:len(c.Collateral[i].Value)-1]
		})
		edit(fmt.Sprintf("Trailing%d", i), unreadable, func(c *Case) {
			c.Collateral[i].Value = append(c.Collateral[i].Value, 0)
		})
		edit(fmt.Sprintf("Huge%d", i), attest.ReasonTooLarge, func(c *Case) { c.Collateral[i].Value = make([]byte, 1<<20) })
	}
	check = whole
	edit("TooMany", attest.ReasonTooLarge, func(c *Case) {
		for range 1000 {
			c.Collateral = append(c.Collateral, c.Collateral[0])
		}
	})
	t.Run("AnyOrder", func(t *testing.T) {
		c := s.Good.clone()
		for i, j := 0, len(c.Collateral)-1; i < j; i, j = i+1, j-1 {
			c.Collateral[i], c.Collateral[j] = c.Collateral[j], c.Collateral[i]
		}
		if claims, v := run(t, s.Verifier, c); claims == nil {
			t.Fatalf("refused in another order: %v", v.Err())
		}
	})
}

// testDamage flips bits one at a time. Evidence that passes although a bit was
// changed would mean that something in it is not covered by a signature.
func (s Subject) testDamage(t *testing.T) {
	flip := func(name string, get func(*Case) []byte) {
		t.Run(name, func(t *testing.T) {
			c := s.Good.clone()
			b := get(&c)
			for i := range b {
				first, last := i%8, i%8
				if *everyBit {
					first, last = 0, 7
				}
				for bit := first; bit <= last; bit++ {
					b[i] ^= 1 << bit
					if claims, v := run(t, s.Verifier, c); claims != nil || v.OK() {
						t.Fatalf("accepted with bit %d of byte %#x flipped", bit, i)
					}
					b[i] ^= 1 << bit
				}
			}
		})
	}
	flip("Evidence", func(c *Case) []byte { return c.Evidence.Value })
	for i := range s.Good.Collateral {
		flip(fmt.Sprintf("Collateral%d", i), func(c *Case) []byte { return c.Collateral[i].Value })
	}
}

// run calls the verifier and holds it to the parts of its contract that every
// call must keep.
func run(t *testing.T, v attest.Verifier, c Case) (*attest.Claims, attest.Verdict) {
	t.Helper()
	claims, verdict := v.Verify(c.Evidence, c.Collateral, c.Expected, c.At)
	verdicttest.Check(t, verdict)
	if (claims != nil) != verdict.OK() {
		t.Fatalf("claims %v and verdict %v do not agree", claims != nil, verdict.Err())
	}
	return claims, verdict
}

// refused checks that c yields no claims and that the row c.Check failed.
func refused(t *testing.T, v attest.Verifier, c Case) {
	t.Helper()
	claims, verdict := run(t, v, c)
	if claims != nil {
		t.Fatal("accepted")
	}
	for _, r := range verdict {
		if r.Outcome == attest.Fail && strings.HasSuffix(r.Check, "."+c.Check) {
			if c.Reason != "" && r.Reason != c.Reason {
				t.Errorf("row %s failed for %q, expected %q: %+v", r.Check, r.Reason, c.Reason, r)
			}
			return
		}
	}
	t.Fatalf("refused, but not by the check %q: %v", c.Check, verdict.Err())
}
