// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

// fakeLine is the line of a throw-away vendor, as New would have it.
func fakeLine(a *attesttest.AMD, builtIn bool) snpreport.Line {
	l := snpreport.Line{Name: a.Line, Root: a.Root, ASKName: "SEV-" + a.Line, ASVKName: "SEV-VLEK-" + a.Line, ListURL: "https://list.example"}
	for _, p := range products {
		if p.name == a.Line {
			l.HasFMC, l.CPUs = p.hasFMC, p.cpus
		}
	}
	if builtIn {
		l.ASK, l.ASVK = []*x509.Certificate{a.ASK}, []*x509.Certificate{a.ASVK}
	}
	return l
}

// fake is a verifier under a throw-away root.
func fake(o Options, a *attesttest.AMD, builtIn bool) attest.Verifier {
	return newVerifier(o, []snpreport.Line{fakeLine(a, builtIn)}, "the test")
}

// foreign trusts the forged root in place of the real one.
func foreign(a *attesttest.AMD) attest.Verifier {
	l := fakeLine(a, false)
	l.Root = a.ForgedRoot
	return newVerifier(Options{}, []snpreport.Line{l}, "the test")
}

// put makes an edit of a report.
func put(off int, b ...byte) func([]byte) { return func(r []byte) { copy(r[off:], b) } }

// bad is evidence that is signed well and must be refused.
func bad(t *testing.T, a *attesttest.AMD, vlek bool) []attesttest.Case {
	t.Helper()
	key := put(0x48, 0)
	if vlek {
		key = put(0x48, 1<<2)
	}
	make := func(name, check string, why attest.Reason, edit func([]byte)) attesttest.Case {
		c := a.Case(name, check, vlek, func(b []byte) { key(b); edit(b) })
		c.Reason = why
		return c
	}
	tcb, other := a.TCB(), a.TCB()
	other[7]--
	reserved := tcb
	reserved[5] = 1
	stranger, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cases := []attesttest.Case{
		make("Debug", "debug", attest.ReasonDebug, put(0x0a, 0x0b)),
		make("MigrationAgent", "migration", attest.ReasonMigration, put(0x0a, 0x07)),
		make("UnknownPolicyBit", "format", attest.ReasonFormat, put(0x0e, 1)),
		make("VMPL1", "vmpl", attest.ReasonVMPL, put(0x30, 1)),
		make("AskedByHost", "vmpl", attest.ReasonVMPL, put(0x30, 0xff, 0xff, 0xff, 0xff)),
		make("Unsigned", "signature", attest.ReasonSignature, put(0x48, 7<<2)),
		make("UnknownKey", "signature", attest.ReasonKey, put(0x48, 2<<2)),
		make("HigherTCBThanEndorsed", "tcb", attest.ReasonTCBMismatch, put(0x187, 0xff)),
		make("LowerTCBThanEndorsed", "tcb", attest.ReasonTCBMismatch, put(0x180, other[:]...)),
		make("ReservedTCB", "tcb", attest.ReasonFormat, put(0x180, reserved[:]...)),
		make("CPUOfOtherLine", "product", attest.ReasonKey, put(0x188, map[bool][]byte{true: {0x1a, 2}, false: {0x19, 0x11}}[a.Line == "Milan"]...)),
		make("NoCPU", "product", attest.ReasonKey, put(0x188, 0, 0, 0)),
		make("OtherMeasurement", "measurement", attest.ReasonMeasurement, put(0x90, 0)),
		make("OtherHostData", "host-data", attest.ReasonHostData, put(0xc0, 0)),
		make("OtherReportData", "report-data", attest.ReasonReportData, put(0x50, 0)),
		make("Version6", "format", attest.ReasonFormat, put(0, 6)),
		make("Version1", "format", attest.ReasonFormat, put(0, 1)),
		make("OtherAlgorithm", "format", attest.ReasonFormat, put(0x34, 2)),
		make("Reserved", "format", attest.ReasonFormat, put(0x29f, 1)),
	}
	c := make("SignedByStranger", "signature", attest.ReasonSignature, func([]byte) {})
	c.Evidence.Value = a.SignReport(c.Evidence.Value, stranger)
	cases = append(cases, c)
	c = make("ListOfForger", "revocation", attest.ReasonListForeign, func([]byte) {})
	c.Collateral[2] = attesttest.CRL(a.ForgedList())
	cases = append(cases, c)
	c = make("ForgedIntermediate", "chain", attest.ReasonRoot, func([]byte) {})
	c.Collateral[1] = attesttest.Cert(a.ForgedASK().Raw)
	return append(cases, c)
}

func subject(t *testing.T, line string, vlek, builtIn bool, o Options) attesttest.Subject {
	a := attesttest.AMDVendor(t, line)
	edit := put(0x48, 0)
	if vlek {
		edit = put(0x48, 1<<2)
	}
	good := a.Case("Good", "", vlek, edit)
	if builtIn {
		good.Collateral = attest.Collateral{good.Collateral[0], good.Collateral[2]}
	}
	return attesttest.Subject{
		Verifier: fake(o, a, builtIn), Foreign: foreign(a), Good: good,
		NotBefore: attesttest.Made, NotAfter: attesttest.Made.AddDate(7, 0, 0), Pass: attest.Pass,
		Bad: bad(t, a, vlek),
	}
}

func TestInvariant4HostileInputIsBounded_VerifierSuite(t *testing.T) {
	t.Run("MilanVCEK", func(t *testing.T) { attesttest.RunVerifierSuite(t, subject(t, "Milan", false, false, Options{})) })
	t.Run("TurinVLEKBuiltInCached", func(t *testing.T) {
		attesttest.RunVerifierSuite(t, subject(t, "Turin", true, true, Options{Cache: NewCache(64)}))
	})
}

// rowOf finds a row by the end of its name.
func rowOf(v attest.Verdict, check string) attest.Row {
	for _, r := range v {
		if strings.HasSuffix(r.Check, "."+check) {
			return r
		}
	}
	return attest.Row{}
}

// failed are the checks that failed.
func failed(v attest.Verdict) string {
	var f []string
	for _, r := range v {
		if r.Outcome == attest.Fail {
			f = append(f, strings.TrimPrefix(r.Check, "snp."))
		}
	}
	return strings.Join(f, " ")
}

// Certificates that the right authority signed and that say something else
// than a leaf of this kind may say.
func TestLeavesThatSayTooMuchOrTooLittle(t *testing.T) {
	for _, line := range []string{"Milan", "Turin"} {
		a := attesttest.AMDVendor(t, line)
		v := fake(Options{}, a, true)
		ext := func(id []int, der []byte) func(*x509.Certificate) {
			return func(c *x509.Certificate) { attesttest.AddExtension(c, id, der) }
		}
		seven := []byte{2, 1, 7}
		for name, x := range map[string]struct {
			edit func(*x509.Certificate)
			want string
		}{
			"unchanged":             {func(*x509.Certificate) {}, ""},
			"no hardware id":        {ext(snpreport.OIDHardwareID, nil), "chain signature"},
			"and a provider":        {ext(snpreport.OIDProvider, []byte{0x16, 1, 'x'}), "chain signature"},
			"short hardware id":     {ext(snpreport.OIDHardwareID, []byte{1, 2, 3}), "chain signature"},
			"wrong structure":       {ext(snpreport.OIDStructVersion, seven), "chain signature"},
			"no product":            {ext(snpreport.OIDProduct, nil), "chain signature"},
			"other product":         {ext(snpreport.OIDProduct, []byte{0x16, 5, 'G', 'e', 'n', 'o', 'a'}), "product"},
			"no microcode":          {ext(snpreport.OIDMicrocode, nil), "chain signature"},
			"microcode of 9 bits":   {ext(snpreport.OIDMicrocode, []byte{2, 2, 1, 0}), "chain signature"},
			"negative microcode":    {ext(snpreport.OIDMicrocode, []byte{2, 1, 0xff}), "chain signature"},
			"other microcode":       {ext(snpreport.OIDMicrocode, seven), "tcb"},
			"reserved component":    {ext(attesttest.TCBExtension(5), seven), "chain signature"},
			"unknown component":     {ext(attesttest.TCBExtension(12), seven), "chain signature"},
			"authority":             {func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, "chain signature"},
			"hash of another kind":  {func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA256WithRSAPSS }, "chain signature"},
			"padding of older kind": {func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA384WithRSA }, "chain signature"},
		} {
			c := a.Case(name, "", false, nil)
			c.Collateral[0] = attesttest.Cert(a.Leaf(false, x.edit))
			claims, verdict := v.Verify(c.Evidence, c.Collateral, c.Expected, c.At)
			if failed(verdict) != x.want || (claims != nil) != (x.want == "") {
				t.Errorf("%s, %s: failed %q, expected %q: %v", line, name, failed(verdict), x.want, verdict.Err())
			}
		}
	}
}

// Evidence of one kind of key is not taken for the other.
func TestKindsOfKeysAreKeptApart(t *testing.T) {
	a := attesttest.AMDVendor(t, "Milan")
	for _, builtIn := range []bool{false, true} {
		v := fake(Options{}, a, builtIn)
		both := attest.Collateral{attesttest.Cert(a.Leaf(false, nil)), attesttest.Cert(a.Leaf(true, nil)),
			attesttest.Cert(a.ASK.Raw), attesttest.Cert(a.ASVK.Raw), attesttest.CRL(a.List(nil))}
		for key, want := range map[byte]string{0: "", 1 << 2: "", 1<<2 | 2: "", 2: "signature"} {
			c := a.Case("", "", false, put(0x48, key))
			claims, verdict := v.Verify(c.Evidence, both, c.Expected, c.At)
			if failed(verdict) != want || (claims != nil) != (want == "") {
				t.Errorf("key info %#x: failed %q, expected %q", key, failed(verdict), want)
			}
			// The other kind's certificate, with the same key in it, is no substitute.
			wrong := attest.Collateral{both[1], both[2], both[3], both[4]}
			if key&4 != 0 {
				wrong[0] = both[0]
			}
			if claims, verdict := v.Verify(c.Evidence, wrong, c.Expected, c.At); claims != nil || !strings.Contains(failed(verdict), "chain") {
				t.Errorf("key info %#x with the other kind's certificate: failed %q", key, failed(verdict))
			}
		}
	}
}

// inside adds one more element, which nobody signed, to the outer sequence of a
// certificate or list.
func inside(der []byte) []byte {
	b := append(bytes.Clone(der), 5, 0)
	binary.BigEndian.PutUint16(b[2:], binary.BigEndian.Uint16(b[2:])+2)
	return b
}

func TestInvariant4HostileInputIsBounded_NothingOfTheCollateralGoesUnchecked(t *testing.T) {
	a := attesttest.AMDVendor(t, "Milan")
	v := fake(Options{}, a, true)
	good := a.Case("", "", false, nil)
	authority := attesttest.Cert(a.NewASK(0x90002, nil).Raw)
	many := func(e attest.Evidence, n int) (c attest.Collateral) {
		for range n {
			c = append(c, e)
		}
		return c
	}
	for name, x := range map[string]struct {
		more attest.Collateral
		want string
	}{
		"nothing more":           {nil, ""},
		"the root":               {attest.Collateral{attesttest.Cert(a.Root.Raw)}, ""},
		"another intermediate":   {attest.Collateral{authority}, ""},
		"same certificates":      {good.Collateral, ""},
		"an unknown type":        {attest.Collateral{{MediaType: "text/plain", Value: make([]byte, 100<<20)}}, ""},
		"forged intermediate":    {attest.Collateral{attesttest.Cert(a.ForgedASK().Raw)}, "chain signature"},
		"forged root":            {attest.Collateral{attesttest.Cert(a.ForgedRoot.Raw)}, "chain signature"},
		"text":                   {attest.Collateral{attesttest.Cert([]byte("text"))}, "chain signature"},
		"huge certificate":       {attest.Collateral{attesttest.Cert(make([]byte, 100<<20))}, "chain signature"},
		"huge list":              {attest.Collateral{attesttest.CRL(make([]byte, 100<<20))}, "revocation"},
		"five intermediates":     {many(authority, 5), "chain signature"},
		"nine lists":             {many(attesttest.CRL(a.List(nil)), 9), "revocation"},
		"leaf with more inside":  {attest.Collateral{attesttest.Cert(inside(good.Collateral[0].Value))}, "chain signature"},
		"list with more inside":  {attest.Collateral{attesttest.CRL(inside(good.Collateral[2].Value))}, "revocation"},
		"list as a certificate":  {attest.Collateral{attesttest.Cert(good.Collateral[2].Value)}, "chain signature"},
		"certificate as a list":  {attest.Collateral{attesttest.CRL(good.Collateral[0].Value)}, "revocation"},
		"a second leaf":          {attest.Collateral{attesttest.Cert(a.Leaf(false, nil))}, "chain signature"},
		"leaf of another vendor": {attest.Collateral{attesttest.Cert(attesttest.AMDVendor(t, "Milan").Leaf(false, nil))}, "chain signature"},
	} {
		start := time.Now()
		claims, verdict := v.Verify(good.Evidence, append(good.Collateral[:3:3], x.more...), good.Expected, good.At)
		if failed(verdict) != x.want || (claims != nil) != (x.want == "") {
			t.Errorf("%s: failed %q, expected %q: %v", name, failed(verdict), x.want, verdict.Err())
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
}
