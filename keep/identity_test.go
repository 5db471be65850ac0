// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"bytes"
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

func TestIdentityKeysAreFreshAndApart(t *testing.T) {
	a, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	b, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a.channelSPKI, b.channelSPKI) || bytes.Equal(a.spki, b.spki) || bytes.Equal(a.channelSPKI, a.spki) {
		t.Error("two keys are the same")
	}
	leaf, err := x509.ParseCertificate(a.channelCert.Certificate[0])
	if err != nil || !bytes.Equal(leaf.RawSubjectPublicKeyInfo, a.channelSPKI) {
		t.Errorf("the channel certificate does not carry the channel key: %v", err)
	}
}

func TestIdentityCertificate(t *testing.T) {
	id, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(0, BuildTime).Add(time.Hour)
	c, err := id.certificate([]string{"example.test", "*.example.test", "192.0.2.1", "2001:db8::1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(c.Leaf.RawSubjectPublicKeyInfo, id.spki) || c.Leaf.IsCA || c.Leaf.SerialNumber.Sign() <= 0 {
		t.Errorf("key, CA flag %v or serial %v is wrong", c.Leaf.IsCA, c.Leaf.SerialNumber)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.Leaf)
	verify := func(name string, at time.Time, use x509.ExtKeyUsage) error {
		_, err := c.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{use}})
		return err
	}
	for _, name := range []string{"example.test", "www.example.test", "192.0.2.1", "2001:db8::1"} {
		if err := verify(name, now, x509.ExtKeyUsageServerAuth); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verify("example.test", now, x509.ExtKeyUsageClientAuth); err != nil {
		t.Errorf("as a client: %v", err)
	}
	for what, err := range map[string]error{
		"another name":    verify("other.test", now, x509.ExtKeyUsageServerAuth),
		"localhost":       verify("localhost", now, x509.ExtKeyUsageServerAuth),
		"before its time": verify("example.test", now.Add(-certSkew-time.Second), x509.ExtKeyUsageServerAuth),
		"after its time":  verify("example.test", now.Add(certLife+time.Second), x509.ExtKeyUsageServerAuth),
		"code signing":    verify("example.test", now, x509.ExtKeyUsageCodeSigning),
	} {
		if err == nil {
			t.Errorf("the certificate is good for %s", what)
		}
	}
	local, err := id.certificate(nil, now)
	if err != nil || local.Leaf.VerifyHostname("localhost") != nil || local.Leaf.VerifyHostname("127.0.0.1") != nil {
		t.Errorf("without names: %v", err)
	}
	for _, bad := range []string{"", ".", "a b", "-x", ".x", "x\x00", "exämple.test", "a/b", "*", "*.", "a*b", "fe80::1%eth0", strings.Repeat("é", 9), "x\n"} {
		if _, err := id.certificate([]string{bad}, now); err == nil {
			t.Errorf("%q was taken for a name", bad)
		}
	}
}
