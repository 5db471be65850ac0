// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-sev-guest/abi"
	sevpb "github.com/google/go-sev-guest/proto/sevsnp"
	sev "github.com/google/go-sev-guest/verify"
	"github.com/google/go-sev-guest/verify/trust"
	tdx "github.com/google/go-tdx-guest/verify"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
)

// part is the first entry of collateral of a media type.
func part(v corpus.Vector, mediaType string) []byte {
	for _, p := range v.Parts[1:] {
		if p.MediaType == mediaType {
			return p.Value
		}
	}
	return nil
}

// list serves a revocation list from memory.
type list []byte

func (l list) Get(string) ([]byte, error) { return l, nil }

// goSevGuest asks go-sev-guest about a report, with a revocation list or
// without. Roots and options are made once: like our built-in ones. It keeps
// the list that it has read in the roots, so they are new for every call that
// has one, without reading the certificates again.
func goSevGuest(t testing.TB, v corpus.Vector, revocation bool) func() error {
	t.Helper()
	roots := map[string][]*trust.AMDRootCerts{}
	for _, line := range []string{"Milan", "Genoa"} {
		r := trust.AMDRootCertsProduct(line)
		chain, err := os.ReadFile(filepath.Join(corpus.Root(t), "attest/snp/roots", strings.ToLower(line)+"-vcek-chain.pem"))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.FromKDSCertBytes(append(bytes.TrimSpace(chain), '\n')); err != nil {
			t.Fatal(err)
		}
		roots[line] = []*trust.AMDRootCerts{r}
	}
	o := sev.Options{CheckRevocations: revocation, DisableCertFetching: true, Now: v.At, Getter: list(part(v, attest.MediaTypeCRL))}
	leaf := part(v, attest.MediaTypeCertificate)
	return func() error {
		report, err := abi.ReportToProto(v.Parts[0].Value)
		if err != nil {
			return err
		}
		product := &sevpb.SevProduct{Name: sevpb.SevProduct_SEV_PRODUCT_MILAN} // it cannot tell for version 2
		if report.Version >= 3 {
			product = abi.SevProductFromCpuid1Eax(report.Cpuid1EaxFms)
		}
		o := o
		o.TrustedRoots = map[string][]*trust.AMDRootCerts{}
		for line, rs := range roots {
			c := trust.AMDRootCertsProduct(line)
			c.ProductCerts, c.ProductLine = rs[0].ProductCerts, rs[0].ProductLine
			o.TrustedRoots[line] = []*trust.AMDRootCerts{c}
		}
		certs := roots["Milan"][0].ProductCerts // it insists on both being there, and does not trust them
		return sev.SnpAttestation(&sevpb.Attestation{
			Report: report, Product: product,
			CertificateChain: &sevpb.CertificateChain{VcekCert: leaf, ArkCert: certs.Ark.Raw, AskCert: certs.Ask.Raw},
		}, &o)
	}
}

// goTDXGuest asks go-tdx-guest about a quote, with collateral and revocation
// or without both.
func goTDXGuest(t testing.TB, v corpus.Vector, collateral bool) func() error {
	t.Helper()
	certs := certificates(t, part(v, attest.MediaTypePEMChain))
	pool := x509.NewCertPool()
	pool.AddCert(certs[len(certs)-1])
	pcs := newPCS(t, v)
	return func() error {
		return tdx.RawTdxQuote(v.Parts[0].Value, &tdx.Options{
			CheckRevocations: collateral, GetCollateral: collateral, Getter: pcs, Now: v.At, TrustedRoots: pool,
		})
	}
}

// answer is one of Intel's service.
type answer struct {
	header map[string][]string
	body   []byte
}

// pcs answers as Intel's service would, from memory.
type pcs map[string]answer

func newPCS(t testing.TB, v corpus.Vector) pcs {
	t.Helper()
	named := func(pattern string) []byte {
		for _, x := range v.Parts[1:] {
			if ok, _ := filepath.Match(pattern, filepath.Base(x.File)); ok {
				return x.Value
			}
		}
		t.Fatalf("%s has no %s", v.Name, pattern)
		return nil
	}
	chain := func(header, pattern string) map[string][]string {
		return map[string][]string{header: {url.QueryEscape(string(named(pattern)))}}
	}
	return pcs{
		"/tcb?":        {chain("Tcb-Info-Issuer-Chain", "tcb-signing-chain.pem"), named("tcbinfo.json")},
		"/qe/identity": {chain("Sgx-Enclave-Identity-Issuer-Chain", "tcb-signing-chain.pem"), named("qeidentity.json")},
		"/pckcrl":      {chain("Sgx-Pck-Crl-Issuer-Chain", "pck-*-ca-chain.pem"), named("pck-*.crl.der")},
		"RootCA":       {nil, named("*root.crl.der")},
	}
}

func (p pcs) Get(address string) (map[string][]string, []byte, error) {
	for word, a := range p {
		if strings.Contains(address, word) {
			return a.header, a.body, nil
		}
	}
	return nil, nil, fmt.Errorf("404 Not Found: %s", address)
}

// certificates reads PEM.
func certificates(t testing.TB, b []byte) (certs []*x509.Certificate) {
	t.Helper()
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		t.Fatal("no certificate")
	}
	return certs
}
