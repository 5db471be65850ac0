// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/attesttest/verdicttest"
)

// vectorDir holds evidence of real hardware; its ORIGIN.md says whose.
const vectorDir = "../internal/snpreport/testdata"

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectorDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

var (
	mid2025  = day(2025, 6, 1)
	late2025 = day(2025, 9, 1)
)

// vector is evidence of real hardware with the facts that its publishers and
// independent tools found.
type vector struct {
	name, leaf, line string
	at               time.Time
	version          int
	measurement      string // first bytes
	chip             string // first bytes; "" is masked
	tcb              string
	o                Options
	// strict is what fails under the zero Options, and without waivers.
	strict string
}

const noHostData = "host-data"

var vectors = []vector{
	{"milan-v2-azure", "vcek", "Milan", mid2025, 2, "a1f3930413247bb3", "c38427a30d4c7af9", "bootloader 3, microcode 115, snp 8, tee 0", Options{}, noHostData},
	{"milan-v2-aci", "vcek", "Milan", mid2025, 2, "51068107cdc7ee3d", "b12164b45a2a2742", "bootloader 3, microcode 115, snp 8, tee 0", Options{}, ""},
	{"milan-v2-enarx", "vcek", "Milan", mid2025, 2, "ff717ae719840c93", "5cb260b9c24d8a9c", "bootloader 2, microcode 93, snp 6, tee 0", Options{}, noHostData},
	{"milan-v2-virtee", "vcek", "Milan", mid2025, 2, "7a1e5c266c0108db", "d49554ec717f4e5b", "bootloader 3, microcode 115, snp 8, tee 0", Options{}, noHostData},
	{"milan-v3-oak", "vcek", "Milan", mid2025, 3, "195b01b74976a1fa", "a3fdc2c64dc299ab", "bootloader 4, microcode 219, snp 24, tee 0", Options{}, noHostData},
	{"milan-v3-aws-vlek", "vlek", "Milan", mid2025, 3, "8922ebbdd00ec2c5", "", "bootloader 4, microcode 217, snp 24, tee 0", Options{VMPL: 1}, "vmpl " + noHostData},
	{"genoa-v3-azure", "vcek", "Genoa", day(2025, 7, 1), 3, "572db4d3f521386b", "c70912d8d216bd3f", "bootloader 10, microcode 84, snp 23, tee 0", Options{}, noHostData},
	{"genoa-v5", "vcek", "Genoa", late2025, 5, "c57729018b0a6fb9", "d2421d976f95ce0b", "bootloader 10, microcode 84, snp 25, tee 0", Options{}, noHostData},
	{"siena-a0-v3", "vcek", "Genoa", late2025, 3, "6a6519d757e68c2e", "371c55d6d15cb50f", "bootloader 10, microcode 25, snp 23, tee 0", Options{}, noHostData},
	// No list of the Turin root has been published with evidence.
	{"turin-v5", "vcek", "Turin", late2025, 5, "f924dd18f168df60", "3b42092f69c656d3", "bootloader 1, fmc 0, microcode 71, snp 2, tee 0",
		Options{AcceptMissingCRL: true}, "revocation " + noHostData},
}

// lists are the newest list of each line that evidence was published with.
var lists = map[string]string{"Milan": "milan-2025-05-06.crl.der", "Genoa": "genoa-2024-10-23.crl.der"}

// options are those under which the vector passes: published guests are no
// Keeps, and most set no host data.
func (x vector) options() Options {
	o := x.o
	o.Waive = attest.WaiveHostData
	return o
}

func (x vector) evidence(t testing.TB) attest.Evidence {
	return attest.Evidence{MediaType: attest.MediaTypeSNP, Value: file(t, x.name+".report.bin")}
}

// collateral is the leaf and the list, if there is one.
func (x vector) collateral(t testing.TB) attest.Collateral {
	c := attest.Collateral{attesttest.Cert(file(t, x.name+"."+x.leaf+".der"))}
	if l := lists[x.line]; l != "" {
		c = append(c, attesttest.CRL(file(t, l)))
	}
	return c
}

// pemCerts reads a chain of this package.
func pemCerts(t testing.TB, name string) (out []*x509.Certificate) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("roots", name))
	if err != nil {
		t.Fatal(err)
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func TestVectors(t *testing.T) {
	for _, x := range vectors {
		ev, col := x.evidence(t), x.collateral(t)
		exp := attesttest.ExpectedOf(ev.Value)
		claims, v := New(x.options()).Verify(ev, col, exp, x.at)
		if claims == nil || v.Err() != nil {
			t.Errorf("%s: refused: %v", x.name, v.Err())
			continue
		}
		if !strings.HasPrefix(hex.EncodeToString(claims.Measurement), x.measurement) ||
			!strings.HasPrefix(hex.EncodeToString(claims.ChipID), x.chip) || (x.chip == "") != (claims.ChipID == nil) {
			t.Errorf("%s: measurement %x, chip %x", x.name, claims.Measurement, claims.ChipID)
		}
		if got := rowOf(v, "tcb"); got.Seen != x.tcb || got.Expected != x.tcb {
			t.Errorf("%s: TCB %+v, expected %s", x.name, got, x.tcb)
		}
		if got := rowOf(v, "format").Seen; got != fmt.Sprintf("report version %d", x.version) {
			t.Errorf("%s: %s", x.name, got)
		}
		if rowOf(v, "product").Expected != x.line || claims.Platform != "snp" || claims.Simulated || claims.Debug {
			t.Errorf("%s: %+v, %+v", x.name, rowOf(v, "product"), claims)
		}
		if want := exp.HostData == [32]byte{}; (len(claims.Waived) == 1) != want || (rowOf(v, "host-data").Outcome == attest.Skipped) != want {
			t.Errorf("%s: waived %v", x.name, claims.Waived)
		}
		// The same with the whole chain, in the order of key services and hosts.
		certs := pemCerts(t, strings.ToLower(x.line)+"-"+x.leaf+"-chain.pem")
		full := append(attest.Collateral{attesttest.Cert(certs[1].Raw), attesttest.Cert(certs[0].Raw)}, col...)
		if c, v := New(x.options()).Verify(ev, full, exp, x.at); c == nil {
			t.Errorf("%s with the whole chain: refused: %v", x.name, v.Err())
		}
		if c, v := New(Options{}).Verify(ev, full, exp, x.at); failed(v) != x.strict || (c != nil) != (x.strict == "") {
			t.Errorf("%s under the zero options: failed %q, expected %q", x.name, failed(v), x.strict)
		}
	}
	if len(vectors) < 10 {
		t.Fatal("not all vectors are here")
	}
}

// Evidence of real hardware, and what others publish as bad, that must be
// refused, and by which checks alone.
func TestVectorsRefused(t *testing.T) {
	debug := vector{name: "milan-v2-debugpolicy", leaf: "vcek", line: "Milan", at: mid2025}
	azure, aws, genoa := vectors[0], vectors[5], vectors[7]
	var genoaAzure = vectors[6]
	with := func(x vector, certs ...string) (c attest.Collateral) {
		for _, n := range certs {
			if strings.HasSuffix(n, ".crl.der") {
				c = append(c, attesttest.CRL(file(t, n)))
			} else {
				c = append(c, attesttest.Cert(file(t, n)))
			}
		}
		return c
	}
	accept := func(x vector) vector { x.o.AcceptMissingCRL = true; return x }
	at := func(x vector, at time.Time) vector { x.at = at; return x }
	bare := func(name string) vector { return vector{name: name, line: "Milan", at: mid2025} }
	for name, x := range map[string]struct {
		x    vector
		col  attest.Collateral
		want string
		why  attest.Reason
	}{
		"debug policy":                   {debug, debug.collateral(t), "debug", attest.ReasonDebug},
		"VCEK that AMD never signed":     {azure, with(azure, "milan-v2-azure.vcek-bad-legacy.der", "milan-2025-05-06.crl.der"), "chain signature", attest.ReasonChain},
		"another one":                    {azure, with(azure, "milan-v2-azure.vcek-bad-new.der", "milan-2025-05-06.crl.der"), "chain signature", attest.ReasonChain},
		"VCEK of another machine":        {azure, with(azure, "milan-v2-virtee.vcek.der", "milan-2025-05-06.crl.der"), "signature chip", attest.ReasonSignature},
		"VCEK of another level":          {azure, with(azure, "milan-vcek-only.der", "milan-2025-05-06.crl.der"), "signature chip tcb", attest.ReasonSignature},
		"VCEK of another line":           {azure, with(azure, "turin-vcek-only.der", "milan-2025-05-06.crl.der"), "signature chip tcb revocation", attest.ReasonSignature},
		"no VCEK":                        {bare("milan-v4-gcp-novcek"), with(azure, "milan-2025-05-06.crl.der"), "chain signature", attest.ReasonChain},
		"no VCEK, version 5":             {bare("milan-v5-novcek"), nil, "chain signature", attest.ReasonChain},
		"no VCEK, version 2":             {bare("milan-v2-lit-novcek"), nil, "chain signature", attest.ReasonChain},
		"VLEK, after its year":           {at(aws, day(2026, 1, 15)), aws.collateral(t), "dates", attest.ReasonCertExpired},
		"VLEK, and the VCEK's level":     {vector{name: "milan-v3-aws-vlek", leaf: "vlek", line: "Milan", at: mid2025}, aws.collateral(t), "vmpl", attest.ReasonVMPL},
		"no list":                        {azure, with(azure, "milan-v2-azure.vcek.der"), "revocation", attest.ReasonListMissing},
		"an old list":                    {azure, with(azure, "milan-v2-azure.vcek.der", "milan-2022-05-09.crl.der"), "revocation", attest.ReasonListExpired},
		"list of another line":           {azure, with(azure, "milan-v2-azure.vcek.der", "genoa-2024-10-23.crl.der"), "revocation", attest.ReasonListForeign},
		"list that is not yet":           {at(azure, day(2025, 1, 1)), azure.collateral(t), "revocation", attest.ReasonListNotYetValid},
		"revoked intermediate":           {genoa, with(genoa, "genoa-v5.vcek.der", "genoa-ask-20001-revoked.der", "genoa-2024-10-23.crl.der"), "revocation", attest.ReasonRevoked},
		"revoked by a list of 2022":      {accept(genoa), with(genoa, "genoa-v5.vcek.der", "genoa-ask-20001-revoked.der", "genoa-2022-10-31.crl.der"), "revocation", attest.ReasonRevoked},
		"revoked, and no list":           {accept(genoa), with(genoa, "genoa-v5.vcek.der", "genoa-ask-20001-revoked.der"), "revocation", attest.ReasonListMissing},
		"certificate of a later day":     {at(accept(genoaAzure), day(2025, 6, 11)), with(genoaAzure, "genoa-v3-azure.vcek.der"), "dates", attest.ReasonCertNotYetValid},
		"VCEK given as a list":           {azure, attest.Collateral{attesttest.CRL(file(t, "milan-v2-azure.vcek.der"))}, "chain signature", attest.ReasonChain},
		"intermediate of another's line": {azure, with(azure, "milan-v2-azure.vcek.der", "genoa-ask-20001-revoked.der", "milan-2025-05-06.crl.der"), "", ""},
		"two lists, one of them old":     {azure, with(azure, "milan-v2-azure.vcek.der", "milan-2022-05-09.crl.der", "milan-2025-05-06.crl.der"), "", ""},
		"lists of their own time":        {at(vectors[2], day(2022, 12, 1)), with(vectors[2], "milan-v2-enarx.vcek.der", "genoa-2022-10-31.crl.der", "milan-2022-05-09.crl.der"), "", ""},
		"lists of two lines":             {azure, with(azure, "milan-v2-azure.vcek.der", "genoa-2024-10-23.crl.der", "milan-2025-05-06.crl.der"), "", ""},
		"an old list, accepted":          {accept(azure), with(azure, "milan-v2-azure.vcek.der", "milan-2022-05-09.crl.der"), "", ""},
	} {
		ev := x.x.evidence(t)
		claims, v := New(x.x.options()).Verify(ev, x.col, attesttest.ExpectedOf(ev.Value), x.x.at)
		if failed(v) != x.want || (claims != nil) != (x.want == "") {
			t.Errorf("%s: failed %q, expected %q: %v", name, failed(v), x.want, v.Err())
		}
		if v.Reason() != x.why {
			t.Errorf("%s: reason %q, expected %q: %v", name, v.Reason(), x.why, v.Err())
		}
		verdicttest.Check(t, v)
	}
	for _, name := range []string{"milan-v2-lit-novcek.report-badsig.bin", "milan-v2-lit-novcek.report-truncated.bin"} {
		ev := attest.Evidence{MediaType: attest.MediaTypeSNP, Value: file(t, name)}
		if c, v := New(Options{}).Verify(ev, azure.collateral(t), attest.Expected{}, mid2025); c != nil || failed(v) != "format" {
			t.Errorf("%s: failed %q", name, failed(v))
		}
	}
}

// One second beyond each edge, on real certificates and lists.
func TestEdgesOfRealDates(t *testing.T) {
	azure, aws := vectors[0], vectors[5]
	window := func(der []byte) (time.Time, time.Time) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c.NotBefore, c.NotAfter
	}
	list, err := x509.ParseRevocationList(file(t, lists["Milan"]))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		vector
		row         string
		accept      bool
		first, last time.Time
	}{
		{vector: azure, row: "revocation", first: list.ThisUpdate, last: list.NextUpdate},
		{vector: azure, row: "dates", accept: true},
		{vector: aws, row: "dates", accept: true},
	} {
		if x.first.IsZero() {
			x.first, x.last = window(x.collateral(t)[0].Value)
		}
		o := x.options()
		o.AcceptMissingCRL = x.accept
		ev := x.evidence(t)
		for _, e := range []struct {
			at time.Time
			ok bool
		}{
			{x.first.Add(-time.Second), false}, {x.first.Add(-1), false}, {x.first, true},
			{x.last, true}, {x.last.Add(1), false}, {x.last.Add(time.Second), false},
		} {
			claims, v := New(o).Verify(ev, x.collateral(t), attesttest.ExpectedOf(ev.Value), e.at)
			if want := map[bool]string{true: "", false: x.row}[e.ok]; failed(v) != want || (claims != nil) != e.ok {
				t.Errorf("%s, %s at %v: failed %q", x.name, x.row, e.at, failed(v))
			}
		}
	}
}

// The chains that are built in belong together, and are those that were
// reviewed: another key in these files fails here.
func TestBuiltInRoots(t *testing.T) {
	want := map[string]string{ // SHA-256 of the root's SubjectPublicKeyInfo
		"Milan": "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
		"Genoa": "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
		"Turin": "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08",
	}
	ls, err := lines()
	if err != nil || len(ls) != len(want) {
		t.Fatalf("%d lines, %v", len(ls), err)
	}
	checkBuiltIn(t, ls, want)
	revoked, err := x509.ParseCertificate(file(t, "genoa-ask-20001-revoked.der"))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range ls {
		for _, c := range append(l.ASK, l.ASVK...) {
			if bytes.Equal(c.RawIssuer, revoked.RawIssuer) && c.SerialNumber.Cmp(revoked.SerialNumber) == 0 {
				t.Errorf("%s: a revoked intermediate is built in", l.Name)
			}
		}
	}
}
