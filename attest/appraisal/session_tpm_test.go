// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/softtpm"
	"github.com/enarx/enarx-go/attest/internal/tpm"
	"github.com/enarx/enarx-go/attest/vtpm"
)

var sessionAt = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// authority is a certification authority of the tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string, by *authority) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: sessionAt.AddDate(-1, 0, 0), NotAfter: sessionAt.AddDate(10, 0, 0)}
	if by == nil {
		by = &authority{tmpl, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by.cert, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{c, key}
}

func (a *authority) list(t testing.TB, serials ...*big.Int) attest.Evidence {
	t.Helper()
	tmpl := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: sessionAt.AddDate(0, 0, -1), NextUpdate: sessionAt.AddDate(0, 0, 30)}
	for _, s := range serials {
		tmpl.RevokedCertificateEntries = append(tmpl.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: s, RevocationTime: sessionAt.AddDate(0, 0, -2)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, tmpl, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return attest.Evidence{MediaType: attest.MediaTypeCRL, Value: der}
}

// However much collateral of other machines the client has, and however much
// the host staples, a session finds the issuer of its Keep's TPM, wherever that
// is, and a list that revokes the TPM: neither is crowded out.
func TestInvariant4HostileInputIsBounded_NothingIsCrowdedOutOfSessions(t *testing.T) {
	root := newAuthority(t, "TPM root", nil)
	issuer := newAuthority(t, "TPM issuer", root)
	ek, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ak, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p, err := softtpm.New(rand.Reader, ek, ak)
	if err != nil {
		t.Fatal(err)
	}
	device := tpm.Device{Manufacturer: "id:54455354", Model: "soft", Version: "id:00010002"}
	if err := p.Certify(issuer.cert, issuer.key, device, sessionAt.AddDate(0, -1, 0), sessionAt.AddDate(5, 0, 0)); err != nil {
		t.Fatal(err)
	}
	made, err := p.Evidence([64]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	b, err := made.Encode()
	if err != nil {
		t.Fatal(err)
	}
	ev := attest.Evidence{MediaType: attest.MediaTypeTPM, Value: b}
	leaf, _, err := vtpm.ParseCertificate(made.Endorsements[0].Certificate)
	if err != nil {
		t.Fatal(err)
	}
	cert := func(a *authority) attest.Evidence {
		return attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: a.cert.Raw}
	}
	var fleet, junk attest.Collateral
	for range 2 * attest.MaxHints {
		other := newAuthority(t, "another maker", nil)
		fleet = append(fleet, cert(other), other.list(t))
	}
	for range attest.MaxHints {
		// A host's own, under the names of the real ones.
		junk = append(junk, cert(newAuthority(t, "TPM issuer", nil)))
	}
	revoking := issuer.list(t, leaf.SerialNumber)
	join := func(cols ...attest.Collateral) (out attest.Collateral) {
		for _, c := range cols {
			out = append(out, c...)
		}
		return out
	}
	one := func(e attest.Evidence) attest.Collateral { return attest.Collateral{e} }
	for name, x := range map[string]struct {
		col      attest.Collateral
		chain    attest.Outcome
		revoking attest.Outcome
	}{
		"stapled by the host, after a fleet's":       {join(fleet, one(cert(issuer))), attest.Pass, attest.Skipped},
		"among a fleet's own, before what is forged": {join(fleet, one(cert(issuer)), junk), attest.Pass, attest.Skipped},
		"revoked by the last list":                   {join(one(cert(issuer)), fleet, one(revoking)), attest.Pass, attest.Fail},
		"revoked, and the host staples lists":        {join(fleet, one(cert(issuer)), one(revoking), junk), attest.Pass, attest.Fail},
		"nowhere":                                    {join(fleet, junk), attest.Fail, attest.Fail},
	} {
		c, v := TPMSession(vtpm.Options{Roots: []*x509.Certificate{root.cert}, RootSource: "the test"}, x.col, sessionAt, rand.Reader)
		if err := attest.Converse(c, ev, p.Respond); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, rows := v.Verify(ev, x.col, attest.Expected{}, sessionAt)
		if got := rowOf(rows, "vtpm.chain"); got.Outcome != x.chain {
			t.Errorf("%s: the chain %s: %s", name, got.Outcome, got.Seen)
		}
		if got := rowOf(rows, "vtpm.revocation"); got.Outcome != x.revoking {
			t.Errorf("%s: the revocation %s: %s", name, got.Outcome, got.Seen)
		}
		if got := rowOf(rows, "vtpm.activation"); (got.Outcome == attest.Pass) != (x.chain == attest.Pass) {
			t.Errorf("%s: the activation %s: %s", name, got.Outcome, got.Seen)
		}
		if _, rows := TPMVerifier(vtpm.Options{Roots: []*x509.Certificate{root.cert}}).Verify(ev, x.col, attest.Expected{}, sessionAt); rowOf(rows, "vtpm.chain").Outcome != x.chain {
			t.Errorf("%s: saved: the chain %s", name, rowOf(rows, "vtpm.chain").Outcome)
		}
		// Without a conversation nothing is activated.
		_, v = TPMSession(vtpm.Options{Roots: []*x509.Certificate{root.cert}}, x.col, sessionAt, rand.Reader)
		if claims, rows := v.Verify(ev, x.col, attest.Expected{}, sessionAt); claims != nil || rowOf(rows, "vtpm.activation").Outcome != attest.Fail {
			t.Errorf("%s: activated without a conversation", name)
		}
	}
}
