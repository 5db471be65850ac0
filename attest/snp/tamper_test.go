// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

func checkBuiltIn(t *testing.T, ls []snpreport.Line, roots map[string]string) {
	t.Helper()
	for i, l := range ls {
		sum := sha256.Sum256(l.Root.RawSubjectPublicKeyInfo)
		if got := hex.EncodeToString(sum[:]); got != roots[l.Name] {
			t.Errorf("%s: root key %s", l.Name, got)
		}
		if err := snpreport.CheckRoot(l.Root); err != nil {
			t.Errorf("%s: %v", l.Name, err)
		}
		base := int64(i+1) << 16
		serial := map[*x509.Certificate]int64{l.Root: base, l.ASK[0]: base + 1, l.ASVK[0]: base + 0x101}
		if l.Name == "Genoa" {
			serial[l.ASK[0]]++ // the first one was revoked
		}
		for c, want := range serial {
			if c.SerialNumber.Int64() != want {
				t.Errorf("%s: %s has serial %#x, expected %#x", l.Name, c.Subject.CommonName, c.SerialNumber, want)
			}
			if err := snpreport.CheckIssued(c, l.Root); err != nil {
				t.Errorf("%s: %v", l.Name, err)
			}
		}
		if l.Root.Subject.CommonName != "ARK-"+l.Name || l.ASK[0].Subject.CommonName != l.ASKName || l.ASVK[0].Subject.CommonName != l.ASVKName {
			t.Errorf("%s: names", l.Name)
		}
	}
}

// One bit of each byte of real evidence, or every bit with -attest.everybit:
// report, leaf, and, once per product line, list, intermediate and root where
// they are stapled.
func TestInvariant4HostileInputIsBounded_DamagedRealEvidence(t *testing.T) {
	lines := map[string]bool{}
	for _, x := range vectors {
		first := !lines[x.line+x.leaf]
		lines[x.line+x.leaf] = true
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			certs := pemCerts(t, strings.ToLower(x.line)+"-"+x.leaf+"-chain.pem")
			ev := x.evidence(t)
			exp := attesttest.ExpectedOf(bytes.Clone(ev.Value))
			col := append(x.collateral(t), attesttest.Cert(certs[0].Raw), attesttest.Cert(certs[1].Raw))
			o := x.options()
			o.Cache = NewCache(64) // as in production; the cache must not help the attacker
			v := New(o)
			if c, verdict := v.Verify(ev, col, exp, x.at); c == nil {
				t.Fatal(verdict.Err())
			}
			parts := [][]byte{ev.Value}
			for i, e := range col {
				if i == 0 || first || attesttest.EveryBit() {
					parts = append(parts, e.Value)
				}
			}
			n := 0
			for p, b := range parts {
				for i := range b {
					low, high := i%8, i%8
					if attesttest.EveryBit() {
						low, high = 0, 7
					}
					for bit := low; bit <= high; bit++ {
						b[i] ^= 1 << bit
						if c, verdict := v.Verify(ev, col, exp, x.at); c != nil || verdict.OK() {
							t.Errorf("part %d: accepted with bit %d of byte %#x flipped", p, bit, i)
						}
						b[i] ^= 1 << bit
						n++
					}
				}
			}
			t.Logf("%d damaged, none accepted", n)
			if n < 1184+1289 {
				t.Fatal("too little was damaged")
			}
		})
	}
}

// Parts of siblings in each other's place: report, leaf, list, signature, and
// the fields that bind a report to chip, level and guest.
func TestSplicedRealEvidence(t *testing.T) {
	fields := []struct{ from, to int }{
		{0x000, 0x2a0}, {0x2a0, 0x4a0}, {0x2a0, 0x2e8}, {0x2e8, 0x330}, {0x008, 0x010}, {0x050, 0x090}, {0x090, 0x0c0},
		{0x0c0, 0x0e0}, {0x140, 0x160}, {0x180, 0x188}, {0x1a0, 0x1e0}, {0x1f0, 0x1f8},
	}
	n := 0
	for i, a := range vectors {
		o := a.options()
		o.Waive, o.Cache = attest.WaiveHostData|attest.WaiveMeasurement|attest.WaiveReportData, NewCache(64) // so that only the cryptography can refuse
		v := New(o)
		for j, b := range vectors {
			if i == j {
				continue
			}
			refuse := func(what string, report []byte, col attest.Collateral) {
				n++
				ev := attest.Evidence{MediaType: attest.MediaTypeSNP, Value: report}
				if c, verdict := v.Verify(ev, col, attest.Expected{}, a.at); c != nil || verdict.OK() {
					t.Errorf("%s with the %s of %s: accepted", a.name, what, b.name)
				}
			}
			ra, rb := a.evidence(t).Value, b.evidence(t).Value
			ca, cb := a.collateral(t), b.collateral(t)
			refuse("report", rb, ca)
			refuse("leaf", ra, append(attest.Collateral{cb[0]}, ca[1:]...))
			if a.line != b.line && len(ca) > 1 {
				refuse("list", ra, append(attest.Collateral{ca[0]}, cb[1:]...))
			}
			for _, f := range fields {
				spliced := bytes.Clone(ra)
				if copy(spliced[f.from:f.to], rb[f.from:f.to]); !bytes.Equal(spliced, ra) {
					refuse("bytes", spliced, ca)
				}
			}
		}
	}
	if n < 500 {
		t.Fatalf("only %d splices", n)
	}
}
