// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/dcaptest"
	"github.com/enarx/enarx-go/attest/attesttest/verdicttest"
)

// made appraises a set of a throw-away vendor.
func made(v *dcaptest.Vendor, s dcaptest.Spec, edit func(*dcaptest.Set), at time.Time, cache *Cache, t testing.TB) (bool, attest.Verdict) {
	t.Helper()
	set := v.Make(s)
	if edit != nil {
		edit(&set)
	}
	p := params(TDX)
	if s.SGX {
		p = params(SGX)
	}
	p.Root, p.Cache = NewRoot(&v.Root.PublicKey, "the test"), cache
	return appraise(p, set.Quote, set.Collateral, at)
}

var kinds = map[string]dcaptest.Spec{
	"SGX3": dcaptest.SGX(), "SGX4": {SGX: true, Version: 4}, "SGX5": {SGX: true, Version: 5},
	"TD4": {}, "TD5-1.0": {Version: 5, BodyType: 2}, "TD5-1.5": dcaptest.TD15(),
}

func TestMadeQuotes(t *testing.T) {
	v := dcaptest.New(t)
	for name, s := range kinds {
		ok, verdict := made(v, s, nil, dcaptest.Made, nil, t)
		if !ok {
			t.Errorf("%s refused: %v", name, verdict.Err())
		}
		padded := s
		padded.Trailing = make([]byte, 3000)
		if ok, verdict := made(v, padded, nil, dcaptest.Made, nil, t); !ok {
			t.Errorf("%s refused with padding: %v", name, verdict.Err())
		}
		// The other root, and the other platform's verifier.
		set := v.Make(s)
		if ok, verdict := appraise(params(TDX), set.Quote, set.Collateral, dcaptest.Made); ok || !strings.HasPrefix(failures(verdict), map[bool]string{true: "format", false: "chain"}[s.SGX]) {
			t.Errorf("%s under Intel's root: failed rows %q", name, failures(verdict))
		}
	}
	if ok, _ := appraise(Params{Platform: "tdx", TEE: TDX, MediaType: attest.MediaTypeTDX}, v.Make(kinds["TD4"]).Quote, nil, dcaptest.Made); ok {
		t.Error("accepted without a root")
	}
}

// What is signed by the right keys and must be refused all the same, or signed
// by a wrong one, and the row that must say so first.
func TestMadeRefused(t *testing.T) {
	v, other := dcaptest.New(t), dcaptest.New(t)
	td, sgx, td15 := dcaptest.Spec{}, dcaptest.SGX(), dcaptest.TD15()
	with := func(s dcaptest.Spec, f func(*dcaptest.Spec)) dcaptest.Spec { f(&s); return s }
	key := func(name string, k *ecdsa.PrivateKey) dcaptest.Spec {
		return with(td, func(s *dcaptest.Spec) { s.Keys = map[string]*ecdsa.PrivateKey{name: k} })
	}
	cert := func(name string, f func(*x509.Certificate)) dcaptest.Spec {
		return with(td, func(s *dcaptest.Spec) {
			s.Cert = func(n string, c *x509.Certificate) {
				if n == name {
					f(c)
				}
			}
		})
	}
	crl := func(name string, f func(*x509.RevocationList)) dcaptest.Spec {
		return with(td, func(s *dcaptest.Spec) {
			s.CRL = func(n string, l *x509.RevocationList) {
				if n == name {
					f(l)
				}
			}
		})
	}
	info := func(s dcaptest.Spec, f func(map[string]any)) dcaptest.Spec {
		return with(s, func(s *dcaptest.Spec) { s.Info = f })
	}
	identity := func(f func(map[string]any)) dcaptest.Spec {
		return with(td, func(s *dcaptest.Spec) { s.Identity = f })
	}
	body := func(s dcaptest.Spec, at int, b ...byte) dcaptest.Spec {
		return with(s, func(s *dcaptest.Spec) { s.Body = func(q []byte) { copy(q[at:], b) } })
	}
	qe := func(at int, b ...byte) dcaptest.Spec {
		return with(td, func(s *dcaptest.Spec) { s.QE = func(q []byte) { copy(q[at:], b) } })
	}
	revoke := func(list string, serial int64) dcaptest.Spec {
		return crl(list, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(serial), RevocationTime: dcaptest.Made.AddDate(1, 0, 0)}}
		})
	}
	for _, x := range []struct {
		name, row string
		reason    attest.Reason
		words     string
		s         dcaptest.Spec
	}{
		{"trailing byte", "format", attest.ReasonTrailingBytes, "1 bytes after", with(td, func(s *dcaptest.Spec) { s.Trailing = []byte{1} })},
		{"trailing far away", "format", attest.ReasonTrailingBytes, "", with(td, func(s *dcaptest.Spec) { s.Trailing = append(make([]byte, 3000), 1) })},
		{"foreign vendor of the QE", "format", attest.ReasonFormat, "vendor", with(td, func(s *dcaptest.Spec) { s.Header = func(b []byte) { b[12]++ } })},
		{"attestation key type 3", "format", attest.ReasonFormat, "key type 3", with(td, func(s *dcaptest.Spec) { s.Header = func(b []byte) { b[2] = 3 } })},
		{"version 6", "format", attest.ReasonFormat, "version 6", with(td, func(s *dcaptest.Spec) { s.Header = func(b []byte) { b[0] = 6 } })},
		{"TD in version 3", "format", attest.ReasonFormat, "version 3", with(td, func(s *dcaptest.Spec) { s.Header = func(b []byte) { b[0] = 3 } })},
		{"unknown TEE", "format", attest.ReasonFormat, "unknown TEE", with(td, func(s *dcaptest.Spec) { s.Header = func(b []byte) { b[4] = 0x82 } })},
		{"body type 4", "format", attest.ReasonFormat, "type 4", with(td15, func(s *dcaptest.Spec) { s.BodyType = 4 })},
		{"certification data 1, short", "format", attest.ReasonFormat, "type 1", with(td, func(s *dcaptest.Spec) { s.CertType, s.CertData = 1, make([]byte, 35) })},
		{"certification data 9", "format", attest.ReasonFormat, "type 9", with(td, func(s *dcaptest.Spec) { s.CertType = 9 })},
		{"certification data 6 twice", "format", attest.ReasonFormat, "type 6", with(td, func(s *dcaptest.Spec) { s.CertType = 6 })},
		{"a chain called a leaf", "chain", attest.ReasonChain, "type 4 with 3 certificates", with(td, func(s *dcaptest.Spec) { s.CertType = 4 })},
		{"no PCK in the quote", "chain", attest.ReasonChain, "no PCK", with(td, func(s *dcaptest.Spec) { s.CertType, s.CertData = 7, []byte("manifest") })},
		{"no certificate in PEM", "chain", attest.ReasonChain, "no certificate", with(td, func(s *dcaptest.Spec) { s.CertData = []byte{0} })},
		{"text between PEM", "chain", attest.ReasonChain, "", with(td, func(s *dcaptest.Spec) { s.CertData = []byte("hello") })},

		{"root by another key", "chain", attest.ReasonRoot, "not signed by the root", key("root", other.Root)},
		{"intermediate of another root", "chain", attest.ReasonRoot, "not signed by the root", key("ca", other.Root)},
		{"PCK of another intermediate", "chain", attest.ReasonChain, "not signed by any", key("pck", other.CA)},
		{"PCK straight from the root", "chain", attest.ReasonChain, "not signed by any", key("pck", v.Root)},
		{"TCB signer of another root", "chain", attest.ReasonRoot, "not signed by the root", key("signer", other.Root)},
		{"TCB signer of the intermediate", "chain", attest.ReasonRoot, "not signed by the root", key("signer", v.CA)},
		{"PCK that is an authority", "chain", attest.ReasonChain, "authority", cert("pck", func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		})},
		{"intermediate that is none", "chain", attest.ReasonChain, "authority: false", cert("ca", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })},
		{"intermediate that may not sign", "chain", attest.ReasonChain, "may not sign", cert("ca", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })},
		{"PCK that may not sign", "chain", attest.ReasonChain, "may not sign", cert("pck", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })},
		{"unknown critical extension", "chain", attest.ReasonChain, "critical", cert("pck", func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
		})},
		{"PCK of a foreign name", "chain", attest.ReasonChain, "expected one of Intel's", cert("pck", func(c *x509.Certificate) { c.Subject.CommonName = "PCK" })},
		{"PCK without the SGX extension", "chain", attest.ReasonChain, "SGX extension", cert("pck", func(c *x509.Certificate) { c.ExtraExtensions = nil })},
		{"component of 256", "chain", attest.ReasonChain, "component 3", with(td, func(s *dcaptest.Spec) { s.Platform = func(p *dcaptest.Platform) { p.Components[2] = 256 } })},
		{"negative component", "chain", attest.ReasonChain, "component 3", with(td, func(s *dcaptest.Spec) { s.Platform = func(p *dcaptest.Platform) { p.Components[2] = -1 } })},
		{"PCESVN of 65536", "chain", attest.ReasonChain, "PCESVN", with(td, func(s *dcaptest.Spec) { s.Platform = func(p *dcaptest.Platform) { p.PCESVN = 65536 } })},

		{"revoked PCK", "revocation", attest.ReasonRevoked, "PCK certificate, serial number 4", revoke("ca-crl", 4)},
		{"revoked intermediate", "revocation", attest.ReasonRevoked, "serial number 2, is revoked", revoke("root-crl", 2)},
		{"revoked TCB signer", "revocation", attest.ReasonRevoked, "serial number 3, is revoked", revoke("root-crl", 3)},
		{"root's list by another root", "revocation", attest.ReasonListForeign, "root: not signed", key("root-crl", other.Root)},
		{"root's list by the intermediate", "revocation", attest.ReasonListForeign, "root: not signed", key("root-crl", v.CA)},
		{"intermediate's list by the root", "revocation", attest.ReasonListForeign, "not signed", key("ca-crl", v.Root)},
		{"list of changes only", "revocation", attest.ReasonListFormat, "not understood", crl("ca-crl", func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
		})},
		{"entry with a critical extension", "revocation", attest.ReasonListFormat, "not understood", crl("ca-crl", func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(99), RevocationTime: dcaptest.Made,
				ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{48, 0}}}}}
		})},

		{"list of some certificates only, not critical", "revocation", attest.ReasonListFormat, "not understood", crl("root-crl", func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Value: []byte{48, 0}}}
		})},
		{"name constraints", "chain", attest.ReasonChain, "name constraints", cert("ca", func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"intel.com"}
		})},

		{"QE report by another PCK", "qe-signature", attest.ReasonSignature, "does not verify", key("qe", other.PCK)},
		{"another attestation key", "attestation-key", attest.ReasonSignature, "", qe(dcaptest.EnclaveReportData, 0, 0, 0)},
		{"something after the key's hash", "attestation-key", attest.ReasonSignature, "", qe(dcaptest.EnclaveReportData+32, 1)},
		{"quote by another key", "signature", attest.ReasonSignature, "does not verify", key("quote", other.Attestation)},
		{"quote by the PCK", "signature", attest.ReasonSignature, "does not verify", key("quote", v.PCK)},

		{"TCB info by another signer", "tcb-info", attest.ReasonCollateralSignature, "not signed", key("info", other.Signer)},
		{"TCB info by the PCK", "tcb-info", attest.ReasonCollateralSignature, "not signed", key("info", v.PCK)},
		{"QE identity by the root", "qe-identity", attest.ReasonCollateralSignature, "not signed", key("identity", v.Root)},
		{"QE of another signer", "qe-identity", attest.ReasonQuotingEnclave, "MRSIGNER", qe(dcaptest.EnclaveSigner, 1)},
		{"QE of another product", "qe-identity", attest.ReasonQuotingEnclave, "ISVPRODID 9", qe(dcaptest.EnclaveProdID, 9)},
		{"QE with a debug bit", "qe-identity", attest.ReasonQuotingEnclave, "attributes", qe(dcaptest.EnclaveAttributes, 0x17)},
		{"QE with a debug bit that the mask hides", "qe-identity", attest.ReasonQuotingEnclave, "debug", with(qe(dcaptest.EnclaveAttributes, 0x17), func(s *dcaptest.Spec) {
			s.Identity = func(m map[string]any) {
				m["attributesMask"] = strings.Repeat("00", 16)
				m["attributes"] = strings.Repeat("00", 16)
			}
		})},
		{"QE with a MISCSELECT", "qe-identity", attest.ReasonQuotingEnclave, "MISCSELECT", qe(16, 1)},
		{"QE identity of SGX for TDX", "qe-identity", attest.ReasonCollateralForeign, "QE", identity(func(m map[string]any) { m["id"] = "QE" })},
		{"QE identity of version 1", "qe-identity", attest.ReasonCollateralFormat, "version 1", identity(func(m map[string]any) { m["version"] = 1 })},
		{"QE identity without levels", "qe-identity", attest.ReasonCollateralFormat, "0 levels", identity(func(m map[string]any) { m["tcbLevels"] = []any{} })},
		{"QE identity of an unknown status", "qe-identity", attest.ReasonCollateralFormat, "status", identity(func(m map[string]any) {
			m["tcbLevels"].([]any)[0].(map[string]any)["tcbStatus"] = "Fine"
		})},
		{"QE identity without MRSIGNER", "qe-identity", attest.ReasonCollateralFormat, "without", identity(func(m map[string]any) { delete(m, "mrsigner") })},
		{"TCB info of SGX for TDX", "tcb-info", attest.ReasonCollateralForeign, "expected one of TDX", info(td, func(m map[string]any) { m["id"] = "SGX" })},
		{"TCB info of TDX for SGX", "tcb-info", attest.ReasonCollateralForeign, "expected one of SGX", info(sgx, func(m map[string]any) { m["id"] = "TDX" })},
		{"TCB info of version 2 for TDX", "tcb-info", attest.ReasonCollateralForeign, "version 2", info(td, func(m map[string]any) { m["version"] = 2; delete(m, "id") })},
		{"TCB info of version 4", "tcb-info", attest.ReasonCollateralFormat, "version 4", info(sgx, func(m map[string]any) { m["version"] = 4 })},
		{"TCB info of type 1", "tcb-info", attest.ReasonCollateralFormat, "type 0", info(td, func(m map[string]any) { m["tcbType"] = 1 })},
		{"another FMSPC", "tcb-info", attest.ReasonCollateralForeign, "not those of the PCK", info(td, func(m map[string]any) { m["fmspc"] = "b0c06f000001" })},
		{"another PCEID", "tcb-info", attest.ReasonCollateralForeign, "not those of the PCK", info(td, func(m map[string]any) { m["pceId"] = "0001" })},
		{"TCB info without levels", "tcb-info", attest.ReasonCollateralFormat, "0 levels", info(td, func(m map[string]any) { m["tcbLevels"] = []any{} })},
		{"TCB level of an unknown status", "tcb-info", attest.ReasonCollateralFormat, "status", info(td, func(m map[string]any) { firstLevel(m)["tcbStatus"] = "Fine" })},
		{"TCB level advised to relaunch", "tcb-info", attest.ReasonCollateralFormat, "status", info(td, func(m map[string]any) { firstLevel(m)["tcbStatus"] = "TDRelaunchAdvised" })},
		{"TCB level without a PCESVN", "tcb-info", attest.ReasonCollateralFormat, "PCESVN", info(td, func(m map[string]any) { delete(firstLevel(m)["tcb"].(map[string]any), "pcesvn") })},
		{"TCB level of 15 components", "tcb-info", attest.ReasonCollateralFormat, "15 components", info(td, func(m map[string]any) {
			tcb := firstLevel(m)["tcb"].(map[string]any)
			tcb["tdxtcbcomponents"] = tcb["tdxtcbcomponents"].([]any)[:15]
		})},
		{"TCB component without a number", "tcb-info", attest.ReasonCollateralFormat, "without a number", info(td, func(m map[string]any) {
			firstLevel(m)["tcb"].(map[string]any)["sgxtcbcomponents"].([]any)[4] = map[string]any{}
		})},
		{"TCB info without a module", "tcb-info", attest.ReasonCollateralFormat, "TDX module", info(td, func(m map[string]any) { delete(m, "tdxModule") })},

		{"foreign TDX module", "module", attest.ReasonSigner, "MRSIGNERSEAM", body(td, dcaptest.TDSignerSEAM, 1)},
		{"TDX module with attributes", "module", attest.ReasonGuestPolicy, "SEAM attributes", body(td, dcaptest.TDSEAMAttributes, 1)},
		{"TDX module of an unknown version", "module", attest.ReasonTCBUnknown, "version 2", body(td, dcaptest.TDSVN, 6, 2)},
		{"TDX module 1.5 without identities", "module", attest.ReasonTCBUnknown, "version 1", info(td, func(m map[string]any) { delete(m, "tdxModuleIdentities") })},
	} {
		ok, verdict := made(v, x.s, nil, dcaptest.Made, nil, t)
		first, _, _ := strings.Cut(failures(verdict), " ")
		r := row(verdict, x.row)
		if ok || first != x.row || !strings.Contains(r.Seen, x.words) && !strings.Contains(r.Expected, x.words) {
			t.Errorf("%s: failed rows %q, expected %q first; it says %q, expected %q", x.name, failures(verdict), x.row, r.Seen, x.words)
		}
		if verdict.Reason() != x.reason {
			t.Errorf("%s: reason %q, expected %q", x.name, verdict.Reason(), x.reason)
		}
		verdicttest.Check(t, verdict)
	}
}

func firstLevel(m map[string]any) map[string]any {
	return m["tcbLevels"].([]any)[0].(map[string]any)
}

// The collateral as a whole: missing, doubled, swapped, too much.
func TestMadeCollateral(t *testing.T) {
	v, other := dcaptest.New(t), dcaptest.New(t)
	foreign := other.Make(dcaptest.Spec{}).Collateral
	revoking := v.Make(dcaptest.Spec{CRL: func(_ string, l *x509.RevocationList) {
		l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(4), RevocationTime: dcaptest.Made}}
	}}).Collateral
	drop := func(i int) func(*dcaptest.Set) {
		return func(s *dcaptest.Set) { s.Collateral = append(s.Collateral[:i:i], s.Collateral[i+1:]...) }
	}
	put := func(i int, e attest.Evidence) func(*dcaptest.Set) {
		return func(s *dcaptest.Set) { s.Collateral[i] = e }
	}
	more := func(e ...attest.Evidence) func(*dcaptest.Set) {
		return func(s *dcaptest.Set) { s.Collateral = append(s.Collateral, e...) }
	}
	for _, x := range []struct {
		name, row string
		reason    attest.Reason
		edit      func(*dcaptest.Set)
	}{
		{"none", "revocation", attest.ReasonListMissing, func(s *dcaptest.Set) { s.Collateral = nil }},
		{"no TCB signer", "qe-identity", attest.ReasonCollateralMissing, drop(0)}, {"no root list", "revocation", attest.ReasonListMissing, drop(1)}, {"no PCK list", "revocation", attest.ReasonListMissing, drop(2)},
		{"no TCB info", "tcb-info", attest.ReasonCollateralMissing, drop(3)}, {"no QE identity", "qe-identity", attest.ReasonCollateralMissing, drop(4)},
		{"foreign signer", "chain", attest.ReasonRoot, put(0, foreign[0])}, {"foreign root list", "revocation", attest.ReasonListForeign, put(1, foreign[1])},
		{"foreign PCK list", "revocation", attest.ReasonListForeign, put(2, foreign[2])}, {"foreign TCB info", "tcb-info", attest.ReasonCollateralSignature, put(3, foreign[3])},
		{"foreign QE identity", "qe-identity", attest.ReasonCollateralSignature, put(4, foreign[4])},
		{"a foreign certificate more", "chain", attest.ReasonRoot, more(foreign[0])},
		{"a second PCK list, of nobody's", "revocation", attest.ReasonListForeign, more(foreign[2])}, {"a second PCK list that revokes", "revocation", attest.ReasonRevoked, more(revoking[2])},
		{"a second TCB info, of nobody's", "tcb-info", attest.ReasonCollateralSignature, more(foreign[3])},
		{"lists of others only", "revocation", attest.ReasonListForeign, func(s *dcaptest.Set) {
			s.Collateral[2] = attest.Evidence{MediaType: attest.MediaTypeCRL, Value: file(t, "tdx/collateral/50806f000000-2023-06/pck-platform.crl.der")}
		}},
		{"QE identity as TCB info", "tcb-info", attest.ReasonCollateralFormat, func(s *dcaptest.Set) { s.Collateral[3].Value = s.Collateral[4].Value }},
		{"TCB info in the frame of a QE identity", "qe-identity", attest.ReasonCollateralFormat, func(s *dcaptest.Set) {
			s.Collateral[4].Value = bytes.Replace(s.Collateral[3].Value, []byte("tcbInfo"), []byte("enclaveIdentity"), 1)
		}},
		{"QE identity in the frame of a TCB info", "tcb-info", attest.ReasonCollateralFormat, func(s *dcaptest.Set) {
			s.Collateral[3].Value = bytes.Replace(s.Collateral[4].Value, []byte("enclaveIdentity"), []byte("tcbInfo"), 1)
		}},
		{"upper-case signature", "tcb-info", attest.ReasonCollateralFormat, func(s *dcaptest.Set) {
			b := s.Collateral[3].Value
			copy(b[len(b)-130:], bytes.ToUpper(b[len(b)-130:]))
		}},
		{"something after the TCB info", "tcb-info", attest.ReasonCollateralFormat, func(s *dcaptest.Set) { s.Collateral[3].Value = append(s.Collateral[3].Value, ' ') }},
		{"TCB info twice over", "tcb-info", attest.ReasonCollateralSignature, func(s *dcaptest.Set) { s.Collateral[3].Value = bytes.Repeat(s.Collateral[3].Value, 2) }},
		{"a huge TCB info", "tcb-info", attest.ReasonTooLarge, func(s *dcaptest.Set) { s.Collateral[3].Value = make([]byte, maxEntry+1) }},
		{"a huge list", "revocation", attest.ReasonTooLarge, func(s *dcaptest.Set) { s.Collateral[2].Value = make([]byte, maxEntry+1) }},
		{"a huge chain", "chain", attest.ReasonTooLarge, func(s *dcaptest.Set) { s.Collateral[0].Value = make([]byte, maxEntry+1) }},
		{"a cut list", "revocation", attest.ReasonListFormat, func(s *dcaptest.Set) { s.Collateral[2].Value = s.Collateral[2].Value[1:] }},
		{"too many entries", "chain", attest.ReasonTooLarge, func(s *dcaptest.Set) {
			for range 1000 {
				s.Collateral = append(s.Collateral, s.Collateral[0])
			}
		}},
		{"too many certificates", "chain", attest.ReasonTooLarge, func(s *dcaptest.Set) {
			for range maxCertificates {
				s.Collateral = append(s.Collateral, attest.Evidence{MediaType: attest.MediaTypePEMChain, Value: v.Make(dcaptest.Spec{}).Collateral[0].Value})
			}
		}},
	} {
		ok, verdict := made(v, dcaptest.Spec{}, x.edit, dcaptest.Made, nil, t)
		first, _, _ := strings.Cut(failures(verdict), " ")
		if ok || first != x.row || verdict.Reason() != x.reason {
			t.Errorf("%s: failed rows %q for %q, expected %q first for %q: %v", x.name, failures(verdict), verdict.Reason(), x.row, x.reason, verdict.Err())
		}
		verdicttest.Check(t, verdict)
	}
	for name, edit := range map[string]func(*dcaptest.Set){
		"another order": func(s *dcaptest.Set) {
			for i, j := 0, len(s.Collateral)-1; i < j; i, j = i+1, j-1 {
				s.Collateral[i], s.Collateral[j] = s.Collateral[j], s.Collateral[i]
			}
		},
		"the same twice": func(s *dcaptest.Set) { s.Collateral = append(s.Collateral, s.Collateral...) },
		"a second list":  more(v.Make(dcaptest.Spec{}).Collateral[2]),
		"line ends":      func(s *dcaptest.Set) { s.Collateral[3].Value = append(s.Collateral[3].Value, '\r', '\n') },
		"something else": more(attest.Evidence{MediaType: "text/plain", Value: []byte("hello")}),
	} {
		if ok, verdict := made(v, dcaptest.Spec{}, edit, dcaptest.Made, nil, t); !ok {
			t.Errorf("%s: refused: %v", name, verdict.Err())
		}
	}
}

// A PCK from the collateral, for quotes that carry none.
func TestMadePCKFromCollateral(t *testing.T) {
	v := dcaptest.New(t)
	chain := func(s dcaptest.Spec) []byte {
		q, err := ParseQuote(v.Make(s).Quote)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(q.certData)
	}
	for certType, size := range map[uint16]int{certPPIDClear: 36, certPPIDRSA2048: 276, certPPIDRSA3072: 404, certManifest: 5000} {
		s := dcaptest.SGX()
		pck := chain(s)
		s.CertType, s.CertData = certType, make([]byte, size)
		add := func(set *dcaptest.Set) {
			set.Collateral = append(set.Collateral, attest.Evidence{MediaType: attest.MediaTypePEMChain, Value: pck})
		}
		// The chain was made by an earlier call: its certificates have other
		// signatures but the same keys, so the set still fits together.
		if ok, verdict := made(v, s, add, dcaptest.Made, nil, t); !ok {
			t.Errorf("type %d refused: %v", certType, verdict.Err())
		}
		if ok, verdict := made(v, s, nil, dcaptest.Made, nil, t); ok || !strings.Contains(row(verdict, "chain").Seen, "no PCK") {
			t.Errorf("type %d without a PCK: %v", certType, verdict.Err())
		}
	}
	// A second PCK beside the quote's own is one too many.
	pck := chain(dcaptest.Spec{})
	add := func(set *dcaptest.Set) {
		set.Collateral = append(set.Collateral, attest.Evidence{MediaType: attest.MediaTypePEMChain, Value: pck})
	}
	if ok, verdict := made(v, dcaptest.Spec{}, add, dcaptest.Made, nil, t); ok || !strings.Contains(row(verdict, "chain").Seen, "2 different PCK") {
		t.Errorf("two PCKs: %v", verdict.Err())
	}
}

// One second inside of every validity passes, one second beyond it fails.
func TestMadeDates(t *testing.T) {
	v := dcaptest.New(t)
	// One part at a time is valid for a shorter time than the others.
	from, to := dcaptest.Made.Add(-time.Hour), dcaptest.Made.Add(time.Hour)
	cache := NewCache(1000)
	certificate := [2]attest.Reason{attest.ReasonCertNotYetValid, attest.ReasonCertExpired}
	list := [2]attest.Reason{attest.ReasonListNotYetValid, attest.ReasonListExpired}
	document := [2]attest.Reason{attest.ReasonCollateralNotYetValid, attest.ReasonCollateralExpired}
	for name, reasons := range map[string][2]attest.Reason{
		"root": certificate, "ca": certificate, "signer": certificate, "pck": certificate,
		"root-crl": list, "ca-crl": list, "info": document, "identity": document,
	} {
		s := dcaptest.Spec{Valid: map[string][2]time.Time{name: {from, to}}}
		set := v.Make(s)
		p := params(TDX)
		p.Root, p.Cache = NewRoot(&v.Root.PublicKey, "the test"), cache
		for _, x := range []struct {
			at time.Time
			ok bool
		}{
			{from, true}, {to, true}, {from.Add(-time.Second), false}, {to.Add(time.Second), false},
			{from.Add(-time.Nanosecond), false}, {to.Add(time.Nanosecond), false}, {time.Time{}, false},
		} {
			ok, verdict := appraise(p, set.Quote, set.Collateral, x.at)
			if ok != x.ok || !ok && failures(verdict) != "dates" {
				t.Errorf("%s at %v: accepted %v, failed rows %q", name, x.at, ok, failures(verdict))
			}
			// At the zero time nothing is valid yet, certificates first of all.
			why := reasons[1]
			if x.at.Before(from) {
				why = reasons[0]
			}
			if want := map[bool]attest.Reason{true: "", false: why}[x.ok]; verdict.Reason() != want && !x.at.IsZero() {
				t.Errorf("%s at %v: reason %q, expected %q", name, x.at, verdict.Reason(), want)
			}
			verdicttest.Check(t, verdict)
			if ok && !strings.Contains(row(verdict, "dates").Seen, stamp(to)) {
				t.Errorf("%s: %q does not say when it ends", name, row(verdict, "dates").Seen)
			}
		}
	}
}

// Every status of a platform level, under the strict policy and by name.
func TestMadeStatuses(t *testing.T) {
	v := dcaptest.New(t)
	for _, status := range []Status{UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded, OutOfDate, OutOfDateConfigurationNeeded, Revoked} {
		for name, s := range map[string]dcaptest.Spec{"tdx": {}, "sgx": dcaptest.SGX()} {
			s.Info = func(m map[string]any) {
				firstLevel(m)["tcbStatus"] = string(status)
				firstLevel(m)["advisoryIDs"] = []string{"INTEL-SA-00009"}
			}
			for _, policy := range []attest.TCBPolicy{{}, accept([]Status{status}), accept([]Status{status}, "INTEL-SA-00009")} {
				set := v.Make(s)
				p := params(map[bool]TEE{true: SGX, false: TDX}[s.SGX])
				p.Root = NewRoot(&v.Root.PublicKey, "the test")
				ok, verdict := appraiseUnder(p, policy, set.Quote, set.Collateral, dcaptest.Made)
				full := len(policy.Accept) == 1 && len(policy.Accept[0].Advisories) == 1
				want, fails := status == UpToDate || status != Revoked && full, "tcb"
				reason := statusReason(status)
				switch {
				case len(policy.Accept) == 1 && status == Revoked: // never acceptable: the policy itself is wrong
					reason, fails = attest.ReasonPolicy, "tcb-policy tcb"
				case len(policy.Accept) == 1:
					reason = attest.ReasonAdvisory
				}
				if ok != want || !ok && (failures(verdict) != fails || verdict.Reason() != reason) || !strings.HasPrefix(row(verdict, "tcb").Seen, string(status)+":") {
					t.Errorf("%s, %s, policy %v: accepted %v, expected %v: %v", name, status, policy, ok, want, row(verdict, "tcb"))
				}
			}
		}
	}
}

// Levels of platform, module and quoting enclave, and how they merge.
func TestMadeLevels(t *testing.T) {
	v := dcaptest.New(t)
	body := func(s dcaptest.Spec, tcb ...byte) dcaptest.Spec {
		s.Body = func(b []byte) { copy(b, tcb) }
		return s
	}
	body2 := func(now []byte, tcb ...byte) dcaptest.Spec {
		s := dcaptest.TD15()
		s.Body = func(b []byte) { copy(b, tcb); copy(b[dcaptest.TDSVN2:], now) }
		return s
	}
	qe := func(s dcaptest.Spec, svn byte) dcaptest.Spec {
		s.QE = func(b []byte) { b[dcaptest.EnclaveSVN] = svn }
		return s
	}
	platform := func(s dcaptest.Spec, f func(*dcaptest.Platform)) dcaptest.Spec { s.Platform = f; return s }
	config := func(s dcaptest.Spec) dcaptest.Spec {
		s.Info = func(m map[string]any) { firstLevel(m)["tcbStatus"] = "ConfigurationNeeded" }
		return s
	}
	for _, x := range []struct {
		name string
		s    dcaptest.Spec
		want string // how the row of the TCB begins, or contains
	}{
		{"old microcode", platform(dcaptest.Spec{}, func(p *dcaptest.Platform) { p.Components[7] = 4 }), "OutOfDate: platform OutOfDate"},
		{"old microcode, SGX", platform(dcaptest.SGX(), func(p *dcaptest.Platform) { p.Components[7] = 4 }), "OutOfDate: platform OutOfDate"},
		{"last component", platform(dcaptest.SGX(), func(p *dcaptest.Platform) { p.Components = [16]int{1, 1}; p.PCESVN = 5 }), "Revoked: platform Revoked"},
		{"old PCE", platform(dcaptest.SGX(), func(p *dcaptest.Platform) { p.PCESVN = 10 }), "Revoked: platform Revoked"},
		{"very old PCE", platform(dcaptest.SGX(), func(p *dcaptest.Platform) { p.PCESVN = 4 }), "NotSupported: platform NotSupported"},
		{"TDX component 2", body(dcaptest.Spec{}, 6, 1, 5), "Revoked: platform Revoked"},
		{"TDX component 2, too low", body(dcaptest.Spec{}, 6, 1, 1), "NotSupported: platform NotSupported"},
		{"module 1.0: component 0 counts", body(dcaptest.Spec{}, 5, 0, 6), "Revoked: platform Revoked"},
		{"module 1.0: new enough", body(dcaptest.Spec{}, 6, 0, 6), "UpToDate: platform UpToDate (level of 2025-11-11), quoting"},
		{"module of the third version", body(dcaptest.Spec{}, 3, 3, 6), "UpToDate: platform UpToDate (level of 2025-11-11), TDX module UpToDate"},
		{"old module", body(dcaptest.Spec{}, 5, 1, 6), "OutOfDate: platform UpToDate (level of 2025-11-11), TDX module OutOfDate, quoting enclave UpToDate; advisories INTEL-SA-00003"},
		{"revoked module", body(dcaptest.Spec{}, 3, 1, 6), "Revoked: platform UpToDate (level of 2025-11-11), TDX module Revoked"},
		{"module below every level", body(dcaptest.Spec{}, 1, 1, 6), "NotSupported: platform UpToDate (level of 2025-11-11), TDX module NotSupported"},
		{"old QE", qe(dcaptest.Spec{}, 7), "OutOfDate: platform UpToDate (level of 2025-11-11), TDX module UpToDate, quoting enclave OutOfDate; advisories INTEL-SA-00005"},
		{"old QE, SGX", qe(dcaptest.SGX(), 6), "OutOfDate: platform UpToDate (level of 2025-11-11), quoting enclave OutOfDate; advisories INTEL-SA-00005"},
		{"revoked QE", qe(dcaptest.SGX(), 5), "Revoked: "},
		{"QE below every level", qe(dcaptest.SGX(), 4), "NotSupported: "},
		{"configuration and old QE", config(qe(dcaptest.SGX(), 6)), "OutOfDateConfigurationNeeded: platform ConfigurationNeeded"},
		{"configuration and old module", config(body(dcaptest.Spec{}, 5, 1, 6)), "OutOfDateConfigurationNeeded: platform ConfigurationNeeded"},

		{"relaunch", body2([]byte{6, 1, 6}, 5, 1, 6), "TDRelaunchAdvised: platform UpToDate"},
		{"relaunch to another version", body2([]byte{3, 3, 6}, 5, 1, 6), "TDRelaunchAdvised: "},
		{"relaunch to module 1.0", body2([]byte{6, 0, 6}, 5, 1, 6), "TDRelaunchAdvised: "},
		{"relaunch with configuration", config(body2([]byte{6, 1, 6}, 5, 1, 6)), "TDRelaunchAdvisedConfigurationNeeded: "},
		{"no relaunch: the module is old now too", body2([]byte{5, 1, 6}, 5, 1, 6), "OutOfDate: "},
		{"no relaunch: component 2 is old", body2([]byte{6, 1, 5}, 5, 1, 6), "OutOfDate: "},
		{"no relaunch: unknown version now", body2([]byte{6, 2, 6}, 5, 1, 6), "NotSupported: "},
		{"no relaunch: module 1.0 is old", body2([]byte{5, 0, 6}, 5, 1, 6), "OutOfDate: "},
		{"no relaunch: the QE is old", qe(body2([]byte{6, 1, 6}, 5, 1, 6), 7), "OutOfDate: "},
		{"no relaunch: revoked", body2([]byte{6, 1, 6}, 3, 1, 6), "Revoked: "},
		{"no relaunch: the platform is old", platform(body2([]byte{6, 1, 6}, 5, 1, 6), func(p *dcaptest.Platform) { p.Components[7] = 4 }), "OutOfDate: platform OutOfDate"},
		{"nothing to relaunch", body2([]byte{6, 3, 6}, 6, 1, 6), "UpToDate: "},
	} {
		ok, verdict := made(v, x.s, nil, dcaptest.Made, nil, t)
		seen := row(verdict, "tcb").Seen
		if ok != strings.HasPrefix(x.want, "UpToDate:") || !strings.HasPrefix(seen, x.want) || !ok && failures(verdict) != "tcb" {
			t.Errorf("%s: accepted %v, failed rows %q, TCB %q, expected %q", x.name, ok, failures(verdict), seen, x.want)
		}
	}
}

// A floor of the relying party's own, over every component.
func TestMadeFloor(t *testing.T) {
	v := dcaptest.New(t)
	set := v.Make(dcaptest.Spec{})
	p := params(TDX)
	p.Root = NewRoot(&v.Root.PublicKey, "the test")
	have := map[string]uint64{"sgx01": 3, "sgx08": 5, "sgx16": 0, "pcesvn": 11, "tdx01": 6, "tdx03": 6, "qesvn": 8, "evaluation": 18}
	for name, n := range have {
		for _, x := range []struct {
			floor map[string]uint64
			want  attest.Outcome
		}{
			{map[string]uint64{name: n}, attest.Pass}, {map[string]uint64{name: n + 1}, attest.Fail},
			{map[string]uint64{name + "x": 0}, attest.Fail}, {map[string]uint64{}, attest.Pass}, {nil, attest.Warn},
		} {
			var policy attest.TCBPolicy
			if x.floor != nil {
				policy.Floors = []attest.TCBFloor{{Line: "B0C06F000000", Min: x.floor}}
			}
			c, verdict := Appraise(p, attest.Evidence{MediaType: p.MediaType, Value: set.Quote}, set.Collateral, policy, dcaptest.Made).Finish(attest.Claims{})
			if got := row(verdict, "tcb-floor").Outcome; got != x.want || (c != nil) == (got == attest.Fail) {
				t.Errorf("floor %v: %s, expected %s", x.floor, got, x.want)
			}
			if c != nil && (c.TCB[name] != n || fmt.Sprintf("%x", c.ChipID) != "aa0000000000000000000000000000bb" || c.Platform != "tdx" || !c.VerifiedAt.Equal(dcaptest.Made)) {
				t.Errorf("claims %+v", c)
			}
		}
	}
}
