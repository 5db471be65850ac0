// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/sallyport"
)

// Fake is an impostor: it ends sessions with keys of its own.
type Fake struct {
	// Sign, if not nil, signs evidence over report data and host data. It is
	// set where the adversary owns the named root, or where the impostor
	// stands for a genuine Keep that is wrong.
	Sign func(reportData [64]byte, hostData [32]byte) ([]byte, error)
	// Hints are stapled to evidence.
	Hints attest.Collateral
	// Start is the start configuration that it claims to have.
	Start sallyport.StartConfig

	// Cert carries the channel key, Identity is the identity key.
	Cert        tls.Certificate
	Identity    *ecdsa.PrivateKey
	ChannelSPKI []byte
}

// NewFake makes an impostor that claims to be of a platform.
func NewFake(t testing.TB, platform string) *Fake {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := &Fake{Identity: id, Start: sallyport.StartConfig{Mode: sallyport.ModePush, Platform: platform}}
	if f.ChannelSPKI, err = x509.MarshalPKIXPublicKey(pub); err != nil {
		t.Fatal(err)
	}
	f.Cert = tls.Certificate{Certificate: [][]byte{selfSigned(t, pub, key)}, PrivateKey: key}
	return f
}

func selfSigned(t testing.TB, pub, key any) []byte {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		Subject: pkix.Name{CommonName: "impostor"},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// IdentitySPKI is the public identity key, DER.
func (f *Fake) IdentitySPKI(t testing.TB) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(&f.Identity.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// IdentityCert is a certificate that says of key's owner what a Keep's own
// identity certificate says.
func (f *Fake) IdentityCert(t testing.TB) []byte {
	t.Helper()
	return selfSigned(t, &f.Identity.PublicKey, f.Identity)
}

// Serve plays script at the other end of a tunnel, which it returns. The
// tunnel is closed when the script returns, or the handshake fails.
func (f *Fake) Serve(t testing.TB, script func(c *session.Conn)) net.Conn {
	t.Helper()
	client, keep := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer keep.Close()
		c, err := session.Server(keep, session.ServerTLS(f.Cert))
		if err != nil {
			return
		}
		script(c)
	}()
	t.Cleanup(func() {
		client.Close()
		keep.Close()
		<-done
	})
	return client
}

// Empty is what an empty Keep would say about itself.
func (f *Fake) Empty(t testing.TB) *attest.EvidenceMessage {
	t.Helper()
	return &attest.EvidenceMessage{
		Evidence: attest.Evidence{MediaType: attest.MediaTypeNone}, Hints: f.Hints,
		IdentityKey: f.IdentitySPKI(t), State: attest.StateEmpty,
		StartConfigDigest: f.Start.Digest(), RuntimeVersion: "0.1.0", Count: 1,
	}
}

// Attest fills m with evidence that Sign makes for the very connection c, as an
// empty Keep would: everything about it is right but who made it.
func (f *Fake) Attest(t testing.TB, c *session.Conn, m *attest.EvidenceMessage) {
	t.Helper()
	f.AttestAs(t, c, m, attest.Known{})
}

// AttestAs is Attest for a Keep that has the owner and the bundle of known.
func (f *Fake) AttestAs(t testing.TB, c *session.Conn, m *attest.EvidenceMessage, known attest.Known) {
	t.Helper()
	cs := c.State()
	binding, err := attest.Binding(&cs, attest.KeepServer)
	if err != nil {
		t.Error(err)
		return
	}
	m.Index, m.Count, m.Path = 0, 1, nil
	rd, err := m.ReportDataFor(binding, f.ChannelSPKI, attest.KeepServer, known)
	if err != nil {
		t.Error(err)
		return
	}
	b, err := f.Sign(rd, m.StartConfigDigest)
	if err != nil {
		t.Error(err)
		return
	}
	m.Evidence = attest.Evidence{MediaType: attest.MediaTypeSNP, Value: b}
}

// Send sends a message of the attached channel and says whether it could.
func Send(c *session.Conn, typ session.Type, v any) bool {
	var b []byte
	var err error
	switch v := v.(type) {
	case nil:
	case []byte:
		b = v
	case *attest.EvidenceMessage:
		b, err = v.Encode()
	default:
		b, err = session.Encode(v)
	}
	return err == nil && c.WriteMessage(typ, b) == nil
}

// Await reads up to a message of type typ and returns it, or nil.
func Await(c *session.Conn, typ session.Type) []byte {
	p, err := c.Expect(typ)
	if err != nil {
		return nil
	}
	if p == nil {
		p = []byte{}
	}
	return p
}
