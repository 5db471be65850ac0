// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-sev-guest/abi"
	sevpb "github.com/google/go-sev-guest/proto/sevsnp"
	sev "github.com/google/go-sev-guest/verify"
	"github.com/google/go-sev-guest/verify/trust"
	tdx "github.com/google/go-tdx-guest/verify"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
)

// oracle is a verifier that others have written. It gets the same bytes, the
// vendor's roots and the time; nothing is fetched.
type oracle struct {
	name      string
	platforms []string
	// ask gives its verdict: nil is yes.
	ask func(t testing.TB, v corpus.Vector) error
	// rows are those of ours that answer the same question; nil is all. The
	// question is then of the evidence alone.
	rows []string
}

// ours says whether our verdict on the oracle's question is yes.
func (o oracle) ours(verdict attest.Verdict) bool {
	for _, f := range strings.Fields(corpus.Failed(verdict)) {
		if o.rows == nil || slices.Contains(o.rows, f) {
			return false
		}
	}
	return true
}

// asked says whether the question makes sense for v: a status that a relying
// party excuses is not what a library knows of.
func (o oracle) asked(v corpus.Vector) bool {
	return slices.Contains(o.platforms, v.Platform) && (v.Options.Statuses == nil || o.rows != nil)
}

// goOracles are those that are asked on mutations too.
var goOracles = []oracle{
	{"go-sev-guest v0.15.0", []string{attest.PlatformSNP}, askSEV, nil},
	{"go-tdx-guest v0.3.1", []string{attest.PlatformTDX}, func(t testing.TB, v corpus.Vector) error { return askTDX(t, v, true) }, nil},
	// Without collateral, the question is of signatures and certificates.
	{"go-tdx-guest v0.3.1, quote and chain", []string{attest.PlatformTDX}, func(t testing.TB, v corpus.Vector) error { return askTDX(t, v, false) },
		[]string{"format", "chain", "qe-signature", "attestation-key", "signature", "dates"}},
}

// question is v as the oracle sees it.
func (o oracle) question(v corpus.Vector) corpus.Vector {
	if o.rows != nil {
		v.Parts = v.Parts[:1]
	}
	return v
}

// answer calls an oracle and makes an error of a panic.
func (o oracle) answer(t testing.TB, v corpus.Vector) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panics: %v", r)
		}
	}()
	return o.ask(t, v)
}

// part is the first entry of collateral of a media type.
func part(v corpus.Vector, mediaType string) []byte {
	for _, p := range v.Parts[1:] {
		if p.MediaType == mediaType {
			return p.Value
		}
	}
	return nil
}

// sevRoots are AMD's roots as attest/snp has them built in.
var sevRoots = sync.OnceValues(func() (map[string][]*trust.AMDRootCerts, error) {
	out := map[string][]*trust.AMDRootCerts{}
	for _, line := range []string{"Milan", "Genoa", "Turin"} {
		for _, kind := range []string{"vcek", "vlek"} {
			r := trust.AMDRootCertsProduct(line)
			chain, err := os.ReadFile(filepath.Join("../../snp/roots", strings.ToLower(line)+"-"+kind+"-chain.pem"))
			if err != nil {
				return nil, err
			}
			if err := r.FromKDSCertBytes(append(bytes.TrimSpace(chain), '\n')); err != nil {
				return nil, err
			}
			out[line] = append(out[line], r)
		}
	}
	return out, nil
})

// listGetter serves a revocation list from memory.
type listGetter []byte

func (l listGetter) Get(string) ([]byte, error) {
	if l == nil {
		return nil, fmt.Errorf("no list")
	}
	return l, nil
}

// askSEV asks go-sev-guest, with revocation where the vector has a list and
// demands one.
func askSEV(t testing.TB, v corpus.Vector) error {
	t.Helper()
	roots, err := sevRoots()
	if err != nil {
		t.Fatal(err)
	}
	report, err := abi.ReportToProto(v.Parts[0].Value)
	if err != nil {
		return err
	}
	leaf, list := part(v, attest.MediaTypeCertificate), part(v, attest.MediaTypeCRL)
	chain := &sevpb.CertificateChain{VcekCert: leaf}
	if report.SignerInfo>>2&7 == 1 {
		chain = &sevpb.CertificateChain{VlekCert: leaf}
	}
	// It insists on root and intermediate being there, and does not trust them.
	chain.ArkCert = roots["Milan"][0].ProductCerts.Ark.Raw
	chain.AskCert = roots["Milan"][0].ProductCerts.Ask.Raw
	product := &sevpb.SevProduct{Name: sevpb.SevProduct_SEV_PRODUCT_MILAN} // it cannot tell for version 2
	if report.Version >= 3 {
		product = abi.SevProductFromCpuid1Eax(report.Cpuid1EaxFms)
	}
	return sev.SnpAttestation(&sevpb.Attestation{Report: report, CertificateChain: chain, Product: product}, &sev.Options{
		CheckRevocations: list != nil && !v.Options.AcceptMissingCRL, DisableCertFetching: true, Now: v.At,
		TrustedRoots: copied(roots), Getter: listGetter(list),
	})
}

// copied are the roots without the lists that the library remembers in them.
func copied(roots map[string][]*trust.AMDRootCerts) map[string][]*trust.AMDRootCerts {
	out := map[string][]*trust.AMDRootCerts{}
	for line, rs := range roots {
		for _, r := range rs {
			c := trust.AMDRootCertsProduct(line)
			c.ProductCerts, c.ProductLine = r.ProductCerts, r.ProductLine
			out[line] = append(out[line], c)
		}
	}
	return out
}

// intelRoot is the certificate of Intel's root, as every set of collateral has
// it.
var intelRoot = sync.OnceValues(func() (*x509.CertPool, error) {
	b, err := os.ReadFile("../../internal/dcap/testdata/tdx/collateral/b0c06f000000-2025-06/tcb-signing-chain.pem")
	if err != nil {
		return nil, err
	}
	_, rest := pem.Decode(b)
	block, _ := pem.Decode(rest)
	if block == nil {
		return nil, fmt.Errorf("no root in the chain")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return pool, nil
})

// pcs answers as Intel's service would with the collateral of a vector.
type pcs struct{ v corpus.Vector }

func (p pcs) Get(address string) (map[string][]string, []byte, error) {
	body := func(value []byte, header, chain string) (map[string][]string, []byte, error) {
		pem := p.named(chain)
		if value == nil || header != "" && pem == nil {
			return nil, nil, fmt.Errorf("404 Not Found: %s", address)
		}
		return map[string][]string{header: {url.QueryEscape(string(pem))}}, value, nil
	}
	switch {
	case strings.Contains(address, "/tcb?"):
		return body(part(p.v, attest.MediaTypeIntelTCBInfo), "Tcb-Info-Issuer-Chain", "tcb-signing-chain.pem")
	case strings.Contains(address, "/qe/identity"):
		return body(part(p.v, attest.MediaTypeIntelQEIdentity), "Sgx-Enclave-Identity-Issuer-Chain", "tcb-signing-chain.pem")
	case strings.Contains(address, "/pckcrl"):
		return body(p.named("pck-*.crl.der"), "Sgx-Pck-Crl-Issuer-Chain", "pck-*-ca-chain.pem")
	default:
		return body(p.named("*root.crl.der"), "", "")
	}
}

// named is the first part whose file matches a pattern.
func (p pcs) named(pattern string) []byte {
	for _, x := range p.v.Parts[1:] {
		if ok, _ := filepath.Match(pattern, filepath.Base(x.File)); ok {
			return x.Value
		}
	}
	return nil
}

// askTDX asks go-tdx-guest, with collateral and revocation or without.
func askTDX(t testing.TB, v corpus.Vector, collateral bool) error {
	t.Helper()
	roots, err := intelRoot()
	if err != nil {
		t.Fatal(err)
	}
	return tdx.RawTdxQuote(v.Parts[0].Value, &tdx.Options{
		CheckRevocations: collateral, GetCollateral: collateral, Getter: pcs{v}, Now: v.At, TrustedRoots: roots,
	})
}
