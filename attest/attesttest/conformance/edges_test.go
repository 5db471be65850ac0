// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
	"github.com/enarx/enarx-go/attest/attesttest/dcaptest"
	"github.com/enarx/enarx-go/attest/attesttest/nitrotest"
	"github.com/enarx/enarx-go/attest/attesttest/verdicttest"
	"github.com/enarx/enarx-go/attest/internal/dcap"
	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

// What real vectors cannot show is shown with throw-away vendors: their keys in
// the roots' place, and everything else as in the verifiers.
type vendors struct {
	amd   *attesttest.AMD
	intel *dcaptest.Vendor
	other *dcaptest.Vendor // uses the same names
	aws   *nitrotest.Vendor
	rival *nitrotest.Vendor
}

func newVendors(t testing.TB) vendors {
	return vendors{attesttest.AMDVendor(t, "Milan"), dcaptest.New(t), dcaptest.New(t), nitrotest.New(t), nitrotest.New(t)}
}

// given is what a verifier is given.
type given struct {
	evidence   []byte
	collateral attest.Collateral
	at         time.Time
	policy     attest.TCBPolicy
	forged     bool // the verifier trusts the root of the same names
}

// snp is a proper report and its collateral: VCEK, ASK, list.
func (w vendors) snp(edit func([]byte), more func(*given)) func() attest.Verdict {
	return func() attest.Verdict {
		c := w.amd.Case("", "", false, edit)
		g := given{evidence: c.Evidence.Value, collateral: c.Collateral, at: c.At}
		if more != nil {
			more(&g)
		}
		line := snpreport.Line{Name: w.amd.Line, Root: w.amd.Root, ASKName: "SEV-Milan", ASVKName: "SEV-VLEK-Milan",
			CPUs: []snpreport.CPUs{{Family: 0x19, First: 0, Last: 0x0f}}, ListURL: "the list's address"}
		if g.forged {
			line.Root = w.amd.ForgedRoot
		}
		p := snpreport.Params{Platform: attest.PlatformSNP, Lines: []snpreport.Line{line}, RootSource: "the test", Demands: snpreport.Demands{Waive: waived}}
		_, v := snpreport.Verify(p, attest.Evidence{MediaType: attest.MediaTypeSNP, Value: g.evidence}, g.collateral, attest.Expected{TCB: g.policy}, g.at)
		return v
	}
}

// intelOf is a proper quote and its collateral, before what edit makes of it.
func (w vendors) intelOf(s dcaptest.Spec, edit func(*dcaptest.Spec), more func(*given)) func() attest.Verdict {
	return func() attest.Verdict {
		if edit != nil {
			edit(&s)
		}
		set := w.intel.Make(s)
		g := given{evidence: set.Quote, collateral: set.Collateral, at: dcaptest.Made}
		if more != nil {
			more(&g)
		}
		p := dcap.Params{Platform: attest.PlatformTDX, TEE: dcap.TDX, MediaType: attest.MediaTypeTDX, Root: dcap.NewRoot(&w.intel.Root.PublicKey, "the test")}
		if s.SGX {
			p.Platform, p.TEE, p.MediaType = attest.PlatformSGX, dcap.SGX, attest.MediaTypeSGX
		}
		if g.forged {
			p.Root = dcap.NewRoot(&w.other.Root.PublicKey, "the test")
		}
		_, v := dcap.Appraise(p, attest.Evidence{MediaType: p.MediaType, Value: g.evidence}, g.collateral, g.policy, g.at).Finish(attest.Claims{})
		return v
	}
}

// nitro is a proper document with current lists.
func (w vendors) nitro(s nitrotest.Spec, more func(*given)) func() attest.Verdict {
	return func() attest.Verdict {
		g := given{evidence: w.aws.Document(s), collateral: w.aws.Lists(), at: nitrotest.Made.Add(time.Minute)}
		if more != nil {
			more(&g)
		}
		p := nitrodoc.Params{Platform: attest.PlatformNitro, Root: w.aws.Root.Cert, RootSource: "the test", Demands: nitrodoc.Demands{RequireCRL: true, Waive: waived}}
		if g.forged {
			p.Root = w.rival.Root.Cert
		}
		_, v := nitrodoc.Verify(p, attest.Evidence{MediaType: attest.MediaTypeNitro, Value: g.evidence}, g.collateral, attest.Expected{}, g.at)
		return v
	}
}

// edge is one way to be refused: the first row that fails, and its reason.
type edge struct {
	name    string
	verdict func() attest.Verdict
	row     string
	reason  attest.Reason
}

// Every way to be refused that the vendors' rules know, each with its row and
// its reason.
func TestEveryRefusalHasItsRowAndReason(t *testing.T) {
	w := newVendors(t)
	for name, good := range map[string]func() attest.Verdict{
		"snp": w.snp(nil, nil), "tdx": w.intelOf(dcaptest.Spec{}, nil, nil), "tdx 1.5": w.intelOf(dcaptest.TD15(), nil, nil),
		"sgx": w.intelOf(dcaptest.SGX(), nil, nil), "nitro": w.nitro(nitrotest.Spec{}, nil),
	} {
		if v := good(); !v.OK() {
			t.Fatalf("%s: proper evidence is refused: %v", name, v.Err())
		}
	}
	edges := slices.Concat(snpEdges(w), intelEdges(w, "tdx", dcaptest.Spec{}), intelEdges(w, "sgx", dcaptest.SGX()), relaunchEdges(w), nitroEdges(t, w), realEdges(t))
	if len(edges) < 100 {
		t.Fatalf("%d edges", len(edges))
	}
	names := map[string]bool{}
	for _, e := range edges {
		if names[e.name] {
			t.Errorf("two edges are called %s", e.name)
		}
		names[e.name] = true
		v := e.verdict()
		first, _, _ := strings.Cut(corpus.Failed(v), " ")
		if first != e.row || v.Reason() != e.reason {
			t.Errorf("%s: row %q for %q, expected %q for %q: %v", e.name, first, v.Reason(), e.row, e.reason, v.Err())
		}
		verdicttest.Check(t, v)
	}
	t.Logf("%d ways to be refused", len(edges))
}

// put makes an edit.
func put(at int, b ...byte) func([]byte) { return func(r []byte) { copy(r[at:], b) } }

func snpEdges(w vendors) []edge {
	a := w.amd
	entry := func(i int, value []byte) func(*given) {
		return func(g *given) { g.collateral[i].Value = value }
	}
	later := func(l *x509.RevocationList) { l.ThisUpdate = attesttest.Made.Add(2 * time.Hour) }
	ended := func(l *x509.RevocationList) { l.NextUpdate = attesttest.Made }
	return []edge{
		{"snp, forged root", w.snp(nil, func(g *given) { g.forged = true }), "chain", attest.ReasonRoot},
		{"snp, intermediate of the forged root", w.snp(nil, entry(1, a.ForgedASK().Raw)), "chain", attest.ReasonRoot},
		{"snp, lookalike list", w.snp(nil, entry(2, a.ForgedList())), "revocation", attest.ReasonListForeign},
		{"snp, list of the intermediate only", w.snp(nil, entry(2, a.ListByASK(nil))), "revocation", attest.ReasonListMissing},
		{"snp, no list", w.snp(nil, func(g *given) { g.collateral = g.collateral[:2] }), "revocation", attest.ReasonListMissing},
		{"snp, list has ended", w.snp(nil, entry(2, a.List(ended))), "revocation", attest.ReasonListExpired},
		{"snp, list of a later day", w.snp(nil, entry(2, a.List(later))), "revocation", attest.ReasonListNotYetValid},
		{"snp, revoked intermediate", w.snp(nil, entry(2, a.List(attesttest.Revoke(0x90001)))), "revocation", attest.ReasonRevoked},
		{"snp, no leaf", w.snp(nil, func(g *given) { g.collateral = g.collateral[1:] }), "chain", attest.ReasonChain},
		{"snp, downgraded report", w.snp(put(0x187, 1), nil), "tcb", attest.ReasonTCBMismatch},
		{"snp, below the floor", w.snp(nil, func(g *given) { g.policy.Floors = []attest.TCBFloor{{Min: map[string]uint64{"microcode": 255}}} }), "tcb-floor", attest.ReasonTCBFloor},
		{"snp, debug", w.snp(put(0x0a, 0x0b), nil), "debug", attest.ReasonDebug},
		{"snp, migration agent", w.snp(put(0x0a, 0x07), nil), "migration", attest.ReasonMigration},
		{"snp, asked for at VMPL 1", w.snp(put(0x30, 1), nil), "vmpl", attest.ReasonVMPL},
		{"snp, CPU of another line", w.snp(put(0x188, 0x19, 0x11), nil), "product", attest.ReasonKey},
		{"snp, another chip", w.snp(put(0x1a0, 'X'), nil), "chip", attest.ReasonKey},
		{"snp, changed after signing", w.snp(nil, func(g *given) { g.evidence[0x90] ^= 1 }), "signature", attest.ReasonSignature},
		{"snp, a byte too many", w.snp(nil, func(g *given) { g.evidence = append(g.evidence, 0) }), "format", attest.ReasonTrailingBytes},
		{"snp, twice", w.snp(nil, func(g *given) { g.evidence = append(g.evidence, g.evidence...) }), "format", attest.ReasonTrailingBytes},
		{"snp, a byte too few", w.snp(nil, func(g *given) { g.evidence = g.evidence[:1183] }), "format", attest.ReasonFormat},
		{"snp, leaf with a byte too many", w.snp(nil, func(g *given) { g.collateral[0].Value = append(g.collateral[0].Value, 0) }), "chain", attest.ReasonChain},
		{"snp, list with a byte too many", w.snp(nil, func(g *given) { g.collateral[2].Value = append(g.collateral[2].Value, 0) }), "revocation", attest.ReasonListFormat},
	}
}

// intelEdges are the same for quotes of either TEE.
func intelEdges(w vendors, tee string, s dcaptest.Spec) []edge {
	make := func(edit func(*dcaptest.Spec)) func() attest.Verdict { return w.intelOf(s, edit, nil) }
	with := func(more func(*given)) func() attest.Verdict { return w.intelOf(s, nil, more) }
	key := func(name string, k *ecdsa.PrivateKey) func() attest.Verdict {
		return make(func(s *dcaptest.Spec) { s.Keys = map[string]*ecdsa.PrivateKey{name: k} })
	}
	revoke := func(list string, serial int64) func() attest.Verdict {
		return make(func(s *dcaptest.Spec) {
			s.CRL = func(name string, l *x509.RevocationList) {
				if name == list {
					l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(serial), RevocationTime: dcaptest.Made}}
				}
			}
		})
	}
	drop := func(i int) func(*given) { return func(g *given) { g.collateral = slices.Delete(g.collateral, i, i+1) } }
	foreign := func(i int) func(*given) {
		return func(g *given) { g.collateral[i] = w.other.Make(s).Collateral[i] }
	}
	info := func(f func(map[string]any)) func() attest.Verdict {
		return make(func(s *dcaptest.Spec) { s.Info = f })
	}
	level := func(m map[string]any) map[string]any { return m["tcbLevels"].([]any)[0].(map[string]any) }
	status := func(name string) func() attest.Verdict {
		return info(func(m map[string]any) { level(m)["tcbStatus"] = name })
	}
	qe := func(svn byte) func() attest.Verdict {
		return make(func(s *dcaptest.Spec) { s.QE = put(dcaptest.EnclaveSVN, svn, 0) })
	}
	edges := []edge{
		{"forged root", with(func(g *given) { g.forged = true }), "chain", attest.ReasonRoot},
		{"root of the same names by another key", key("root", w.other.Root), "chain", attest.ReasonRoot},
		{"intermediate of the forged root", key("ca", w.other.Root), "chain", attest.ReasonRoot},
		{"TCB signer of the forged root", key("signer", w.other.Root), "chain", attest.ReasonRoot},
		{"PCK of another intermediate", key("pck", w.other.CA), "chain", attest.ReasonChain},
		{"lookalike root list", key("root-crl", w.other.Root), "revocation", attest.ReasonListForeign},
		{"lookalike list of the PCK's issuer", key("ca-crl", w.other.CA), "revocation", attest.ReasonListForeign},
		{"revoked PCK", revoke("ca-crl", 4), "revocation", attest.ReasonRevoked},
		{"revoked intermediate", revoke("root-crl", 2), "revocation", attest.ReasonRevoked},
		{"revoked TCB signer", revoke("root-crl", 3), "revocation", attest.ReasonRevoked},
		{"no root list", with(drop(1)), "revocation", attest.ReasonListMissing},
		{"no list of the PCK's issuer", with(drop(2)), "revocation", attest.ReasonListMissing},
		{"another vendor's root list", with(foreign(1)), "revocation", attest.ReasonListForeign},
		{"another vendor's list for the PCK", with(foreign(2)), "revocation", attest.ReasonListForeign},
		{"no TCB info", with(drop(3)), "tcb-info", attest.ReasonCollateralMissing},
		{"no QE identity", with(drop(4)), "qe-identity", attest.ReasonCollateralMissing},
		{"TCB info of another signer", key("info", w.other.Signer), "tcb-info", attest.ReasonCollateralSignature},
		{"QE identity of another signer", key("identity", w.other.Signer), "qe-identity", attest.ReasonCollateralSignature},
		{"another FMSPC", info(func(m map[string]any) { m["fmspc"] = "00906ED50000" }), "tcb-info", attest.ReasonCollateralForeign},
		{"another PCEID", info(func(m map[string]any) { m["pceId"] = "0001" }), "tcb-info", attest.ReasonCollateralForeign},
		{"QE of another signer", make(func(s *dcaptest.Spec) { s.QE = put(dcaptest.EnclaveSigner, 0) }), "qe-identity", attest.ReasonQuotingEnclave},
		{"QE report by another PCK", key("qe", w.other.PCK), "qe-signature", attest.ReasonSignature},
		{"quote by another key", key("quote", w.other.Attestation), "signature", attest.ReasonSignature},
		{"OutOfDate", status("OutOfDate"), "tcb", attest.ReasonTCBOutOfDate},
		{"ConfigurationNeeded", status("ConfigurationNeeded"), "tcb", attest.ReasonTCBConfiguration},
		{"SWHardeningNeeded", status("SWHardeningNeeded"), "tcb", attest.ReasonTCBSWHardening},
		{"ConfigurationAndSWHardeningNeeded", status("ConfigurationAndSWHardeningNeeded"), "tcb", attest.ReasonTCBConfigurationAndSW},
		{"OutOfDateConfigurationNeeded", status("OutOfDateConfigurationNeeded"), "tcb", attest.ReasonTCBOutOfDateConfiguration},
		{"Revoked", status("Revoked"), "tcb", attest.ReasonTCBRevoked},
		{"a status that nobody knows", status("Fine"), "tcb-info", attest.ReasonCollateralFormat},
		{"below every level", make(func(s *dcaptest.Spec) { s.Platform = func(p *dcaptest.Platform) { p.PCESVN = 1 } }), "tcb", attest.ReasonTCBUnknown},
		{"downgraded PCE", make(func(s *dcaptest.Spec) { s.Platform = func(p *dcaptest.Platform) { p.PCESVN = 10 } }), "tcb", attest.ReasonTCBRevoked},
		{"downgraded SGX component", make(func(s *dcaptest.Spec) { s.Platform = func(p *dcaptest.Platform) { p.Components[7] = 3 } }), "tcb", attest.ReasonTCBOutOfDate},
		{"QE out of date", qe(7), "tcb", attest.ReasonTCBOutOfDate},
		{"QE revoked", qe(5), "tcb", attest.ReasonTCBRevoked},
		{"QE below every level", qe(4), "tcb", attest.ReasonTCBUnknown},
		{"below the floor", with(func(g *given) { g.policy.Floors = []attest.TCBFloor{{Min: map[string]uint64{"pcesvn": 12}}} }), "tcb-floor", attest.ReasonTCBFloor},
		{"trailing byte", make(func(s *dcaptest.Spec) { s.Trailing = []byte{1} }), "format", attest.ReasonTrailingBytes},
		{"trailing byte after padding", make(func(s *dcaptest.Spec) { s.Trailing = append(bytes.Repeat([]byte{0}, 3000), 1) }), "format", attest.ReasonTrailingBytes},
		{"twice", with(func(g *given) { g.evidence = append(g.evidence, g.evidence...) }), "format", attest.ReasonTrailingBytes},
		{"cut", with(func(g *given) { g.evidence = g.evidence[:len(g.evidence)-1] }), "format", attest.ReasonFormat},
		{"two TCB infos", with(func(g *given) { g.collateral = append(g.collateral, w.other.Make(s).Collateral[3]) }), "tcb-info", attest.ReasonCollateralSignature},
		{"PCK with more inside", make(func(s *dcaptest.Spec) { s.CertData = dcaptest.PEM(inside(w.intel, s)...) }), "chain", attest.ReasonChain},
		{"list with more inside", with(func(g *given) { g.collateral[2].Value = oneMore(g.collateral[2].Value) }), "revocation", attest.ReasonListFormat},
		{"list with a byte too many", with(func(g *given) { g.collateral[2].Value = append(g.collateral[2].Value, 0) }), "revocation", attest.ReasonListFormat},
	}
	for i := range edges {
		edges[i].name = tee + ", " + edges[i].name
	}
	return edges
}

// inside are the certificates of a quote, the PCK's with an element after the
// signature.
func inside(v *dcaptest.Vendor, s *dcaptest.Spec) (ders [][]byte) {
	q := v.Make(dcaptest.Spec{SGX: s.SGX}).Quote
	for block, rest := pem.Decode(q[bytes.Index(q, []byte("-----BEGIN")):]); block != nil; block, rest = pem.Decode(rest) {
		ders = append(ders, block.Bytes)
	}
	ders[0] = oneMore(ders[0])
	return ders
}

// oneMore adds one more element, which nobody signed, to the outer sequence of
// a certificate or list.
func oneMore(der []byte) []byte {
	b := append(bytes.Clone(der), 5, 0)
	binary.BigEndian.PutUint16(b[2:], binary.BigEndian.Uint16(b[2:])+2)
	return b
}

// relaunchEdges are those of TDs of TDX 1.5.
func relaunchEdges(w vendors) []edge {
	old := func(now ...byte) func(*dcaptest.Spec) {
		return func(s *dcaptest.Spec) {
			s.Body = func(b []byte) { copy(b, []byte{5, 1, 6}); copy(b[dcaptest.TDSVN2:], now) }
		}
	}
	return []edge{
		{"tdx, started under an old module", w.intelOf(dcaptest.TD15(), old(6, 1, 6), nil), "tcb", attest.ReasonTCBRelaunch},
		{"tdx, still under an old module", w.intelOf(dcaptest.TD15(), old(5, 1, 6), nil), "tcb", attest.ReasonTCBOutOfDate},
		{"tdx, module that Intel does not list", w.intelOf(dcaptest.TD15(), func(s *dcaptest.Spec) { s.Body = put(dcaptest.TDSVN, 6, 2) }, nil), "module", attest.ReasonTCBUnknown},
		{"tdx, module of another signer", w.intelOf(dcaptest.Spec{}, func(s *dcaptest.Spec) { s.Body = put(dcaptest.TDSignerSEAM, 1) }, nil), "module", attest.ReasonSigner},
	}
}

func nitroEdges(t testing.TB, w vendors) []edge {
	zero := make([]byte, 48)
	debug := nitrotest.Spec{Fields: map[string]any{"pcrs": map[uint][]byte{0: zero, 1: zero, 2: zero, 3: zero, 4: nitrotest.PCR[0][:]}}}
	lists := func(l ...attest.Evidence) func(*given) { return func(g *given) { g.collateral = l } }
	root, region := w.aws.Root, w.aws.Region
	whole := w.aws.Lists()
	ended := w.aws.List(root, func(l *x509.RevocationList) { l.NextUpdate = nitrotest.Made })
	return []edge{
		{"nitro, forged root", w.nitro(nitrotest.Spec{}, func(g *given) { g.forged = true }), "chain", attest.ReasonRoot},
		{"nitro, chain of another vendor", w.nitro(nitrotest.Spec{}, func(g *given) { g.evidence = w.rival.Document(nitrotest.Spec{}) }), "chain", attest.ReasonRoot},
		{"nitro, lookalike list", w.nitro(nitrotest.Spec{}, lists(w.rival.List(w.rival.Root, nil), whole[1])), "revocation", attest.ReasonListForeign},
		{"nitro, revoked region", w.nitro(nitrotest.Spec{}, lists(w.aws.List(root, nil, region.Cert), whole[1])), "revocation", attest.ReasonRevoked},
		{"nitro, revoked zone", w.nitro(nitrotest.Spec{}, lists(whole[0], w.aws.List(region, nil, w.aws.Zone.Cert))), "revocation", attest.ReasonRevoked},
		{"nitro, no list", w.nitro(nitrotest.Spec{}, lists()), "revocation", attest.ReasonListMissing},
		{"nitro, list has ended", w.nitro(nitrotest.Spec{}, lists(ended, whole[1])), "revocation", attest.ReasonListExpired},
		{"nitro, debug", w.nitro(debug, nil), "debug", attest.ReasonDebug},
		{"nitro, signed by a stranger", w.nitro(nitrotest.Spec{Sign: w.rival.Root.Key}, nil), "signature", attest.ReasonSignature},
		{"nitro, a byte too many", w.nitro(nitrotest.Spec{}, func(g *given) { g.evidence = append(g.evidence, 0) }), "format", attest.ReasonTrailingBytes},
		{"nitro, twice", w.nitro(nitrotest.Spec{}, func(g *given) { g.evidence = append(g.evidence, g.evidence...) }), "format", attest.ReasonTrailingBytes},
		{"nitro, a byte too few", w.nitro(nitrotest.Spec{}, func(g *given) { g.evidence = g.evidence[:len(g.evidence)-1] }), "format", attest.ReasonFormat},
	}
}

// realEdges are those that are shown best with evidence of real hardware.
func realEdges(t testing.TB) []edge {
	real := func(name string) func() attest.Verdict {
		return func() attest.Verdict { _, v := judge(t, corpus.Named(t, name), Caches{}); return v }
	}
	return []edge{
		{"tdx, debug", real("tdx/v4-50806f-debug at 2023-06-25 with 50806f000000-2023-06"), "debug", attest.ReasonDebug},
		{"sgx, debug", real("sgx/v3-00606a-occlum-debug at 2025-09-01, excused with 00606a000000-2025-08"), "debug", attest.ReasonDebug},
		{"snp, genuine revoked intermediate", real("snp/genoa-v5 at 2025-09-01, revoked intermediate"), "revocation", attest.ReasonRevoked},
		{"tdx, lookalike list of the vendor's samples", real("tdx/v4-b0c06f-phala at 2025-06-25, lookalike list with b0c06f000000-2025-06"), "revocation", attest.ReasonListForeign},
	}
}

// Inputs of 100 MB are refused by their size, for that reason, and cost next to
// nothing.
func TestInvariant4HostileInputIsBounded_HugeInputs(t *testing.T) {
	w := newVendors(t)
	huge := make([]byte, 100<<20)
	evidence := func(g *given) { g.evidence = huge }
	entry := func(i int) func(*given) { return func(g *given) { g.collateral[i].Value = huge } }
	many := func(g *given) {
		for range 100_000 {
			g.collateral = append(g.collateral, g.collateral[0])
		}
	}
	for _, e := range []edge{
		{"snp report", w.snp(nil, evidence), "format", attest.ReasonTooLarge},
		{"snp leaf", w.snp(nil, entry(0)), "chain", attest.ReasonTooLarge},
		{"snp intermediate", w.snp(nil, entry(1)), "chain", attest.ReasonTooLarge},
		{"snp list", w.snp(nil, entry(2)), "revocation", attest.ReasonTooLarge},
		{"snp entries", w.snp(nil, many), "chain", attest.ReasonTooLarge},
		{"tdx quote", w.intelOf(dcaptest.Spec{}, nil, evidence), "format", attest.ReasonTooLarge},
		{"tdx chain", w.intelOf(dcaptest.Spec{}, nil, entry(0)), "chain", attest.ReasonTooLarge},
		{"tdx list", w.intelOf(dcaptest.Spec{}, nil, entry(1)), "revocation", attest.ReasonTooLarge},
		{"tdx TCB info", w.intelOf(dcaptest.Spec{}, nil, entry(3)), "tcb-info", attest.ReasonTooLarge},
		{"tdx QE identity", w.intelOf(dcaptest.Spec{}, nil, entry(4)), "qe-identity", attest.ReasonTooLarge},
		{"tdx entries", w.intelOf(dcaptest.Spec{}, nil, many), "chain", attest.ReasonTooLarge},
		{"sgx quote", w.intelOf(dcaptest.SGX(), nil, evidence), "format", attest.ReasonTooLarge},
		{"nitro document", w.nitro(nitrotest.Spec{}, evidence), "format", attest.ReasonTooLarge},
		{"nitro list", w.nitro(nitrotest.Spec{}, entry(0)), "revocation", attest.ReasonTooLarge},
		{"nitro entries", w.nitro(nitrotest.Spec{}, many), "revocation", attest.ReasonTooLarge},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		v := e.verdict()
		runtime.ReadMemStats(&after)
		first, _, _ := strings.Cut(corpus.Failed(v), " ")
		if first != e.row || v.Reason() != e.reason {
			t.Errorf("%s of 100 MB: row %q for %q, expected %q for %q: %v", e.name, first, v.Reason(), e.row, e.reason, v.Err())
		}
		// The list of 100,000 entries is the test's own, some 20 MB while
		// it grows.
		limit := uint64(4 << 20)
		if strings.HasSuffix(e.name, "entries") {
			limit = 40 << 20
		}
		if spent := after.TotalAlloc - before.TotalAlloc; spent > limit {
			t.Errorf("%s of 100 MB: %d bytes allocated", e.name, spent)
		}
	}
}
