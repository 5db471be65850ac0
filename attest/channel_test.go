// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"
)

func testCert(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// handshake connects a client and a server over loopback and returns both
// states. (An in-memory pipe has no buffer: both ends may write at once.)
func handshake(t *testing.T, server, client *tls.Config) (s, c tls.ConnectionState) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, err := net.DialTimeout("tcp", l.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	deadline := time.Now().Add(10 * time.Second)
	for _, c := range []net.Conn{a, b} {
		if err := c.SetDeadline(deadline); err != nil {
			t.Fatal(err)
		}
	}
	sc, cc := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() {
		err := sc.Handshake()
		if err == nil {
			_, err = sc.Write([]byte{1}) // carries session tickets to the client
		}
		done <- err
	}()
	if err := cc.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := cc.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return sc.ConnectionState(), cc.ConnectionState()
}

func configs(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	server = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{testCert(t)}, SessionTicketsDisabled: true}
	client = &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true} // the channel key is what counts
	return server, client
}

func TestBindingIsTheExporterOfBothEnds(t *testing.T) {
	server, client := configs(t)
	s, c := handshake(t, server, client)
	for _, role := range []Role{KeepServer, KeepClient} {
		bs, err := Binding(&s, role)
		if err != nil {
			t.Fatal(err)
		}
		bc, err := Binding(&c, role)
		if err != nil {
			t.Fatal(err)
		}
		if bs != bc || bs == [32]byte{} {
			t.Fatalf("%s: ends differ: %x, %x", role, bs, bc)
		}
		// By SPEC.md, rules B2 and B3, spelt out; an empty context, not nil.
		want, err := c.ExportKeyingMaterial("EXPORTER-Enarx-Attestation-v1 "+string(role), []byte{}, 32)
		if err != nil || !bytes.Equal(want, bs[:]) {
			t.Errorf("%s: binding %x is not the exporter %x (%v)", role, bs, want, err)
		}
	}
	key, err := PeerKey(&c)
	if err != nil {
		t.Fatal(err)
	}
	want, err := x509.MarshalPKIXPublicKey(server.Certificates[0].PrivateKey.(*ecdsa.PrivateKey).Public())
	if err != nil || !bytes.Equal(key, want) {
		t.Errorf("peer key %x, expected %x (%v)", key, want, err)
	}
	if _, err := PeerKey(&s); err == nil {
		t.Error("a peer key although the client sent no certificate")
	}
}

func TestBindingDiffersBetweenRolesAndConnections(t *testing.T) {
	server, client := configs(t)
	s1, _ := handshake(t, server, client)
	s2, _ := handshake(t, server, client)
	seen := map[[32]byte]bool{}
	for _, s := range []tls.ConnectionState{s1, s2} {
		for _, r := range []Role{KeepServer, KeepClient} {
			b, err := Binding(&s, r)
			if err != nil {
				t.Fatal(err)
			}
			if seen[b] {
				t.Error("two bindings are equal")
			}
			seen[b] = true
		}
	}
}

func TestInvariant1NoSilentDowngrade_BindingRefusesWeakConnections(t *testing.T) {
	refuse := func(name string, cs *tls.ConnectionState, role Role) {
		t.Helper()
		if b, err := Binding(cs, role); err == nil || b != [32]byte{} {
			t.Errorf("%s: binding %x, %v", name, b, err)
		}
	}
	refuse("no state", nil, KeepServer)
	refuse("unfinished", &tls.ConnectionState{Version: tls.VersionTLS13, CurveID: tls.X25519MLKEM768}, KeepServer)

	server, client := configs(t)
	client.CurvePreferences = []tls.CurveID{tls.X25519}
	s, c := handshake(t, server, client)
	refuse("classical key agreement, server", &s, KeepServer)
	refuse("classical key agreement, client", &c, KeepServer)

	server, client = configs(t)
	server.MinVersion, server.MaxVersion, client.MinVersion = tls.VersionTLS12, tls.VersionTLS12, tls.VersionTLS12
	s, c = handshake(t, server, client)
	refuse("TLS 1.2, server", &s, KeepServer)
	refuse("TLS 1.2, client", &c, KeepServer)

	server, client = configs(t)
	server.SessionTicketsDisabled = false
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	client.ServerName = "keep"
	s, c = handshake(t, server, client)
	if _, err := Binding(&c, KeepServer); err != nil {
		t.Fatal(err)
	}
	refuse("no role", &c, "")
	refuse("other role", &c, "keep")
	s, c = handshake(t, server, client)
	if !c.DidResume {
		t.Fatal("the second connection did not resume; the test shows nothing")
	}
	refuse("resumed, server", &s, KeepServer)
	refuse("resumed, client", &c, KeepServer)
}

// A relay terminates TLS on both sides and passes the Keep's message on. The
// client must compute other report data than the Keep had signed.
func TestInvariant1NoSilentDowngrade_RelayedMessageDoesNotFit(t *testing.T) {
	keepCfg, toKeep := configs(t)
	relayCfg, toRelay := configs(t)
	keepSide, relayLow := handshake(t, keepCfg, toKeep)
	_, clientSide := handshake(t, relayCfg, toRelay)

	bk, err := Binding(&keepSide, KeepServer)
	if err != nil {
		t.Fatal(err)
	}
	keepKey, err := PeerKey(&relayLow)
	if err != nil {
		t.Fatal(err)
	}
	_, leaf, _ := messageVector(t)
	leaf.Binding, leaf.ChannelKey = bk, keepKey
	h, err := leaf.Hash()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := NewTree([][64]byte{h})
	if err != nil {
		t.Fatal(err)
	}
	m := messageFor(leaf, tree, 0)
	bc, err := Binding(&clientSide, KeepServer)
	if err != nil {
		t.Fatal(err)
	}
	relayKey, err := PeerKey(&clientSide)
	if err != nil {
		t.Fatal(err)
	}
	signed := tree.ReportData()
	for name, x := range map[string]struct {
		binding [32]byte
		key     []byte
		role    Role
		same    bool
	}{
		"the Keep's own connection": {bk, keepKey, KeepServer, true},
		"the relayed connection":    {bc, relayKey, KeepServer, false},
		"the key alone swapped":     {bk, relayKey, KeepServer, false},
		"the binding alone swapped": {bc, keepKey, KeepServer, false},
		"the other role":            {bk, keepKey, KeepClient, false},
	} {
		got, err := m.ReportDataFor(x.binding, x.key, x.role, knownOf(leaf))
		if err != nil {
			t.Fatal(err)
		}
		if (got == signed) != x.same {
			t.Errorf("%s: fits = %v, expected %v", name, got == signed, x.same)
		}
	}
}

func messageFor(l *Leaf, tree *Tree, i int) *EvidenceMessage {
	p, err := tree.Path(i)
	if err != nil {
		panic(err)
	}
	return &EvidenceMessage{
		Evidence:    Evidence{MediaType: MediaTypeSNP, Value: []byte{1}},
		IdentityKey: l.IdentityKey, State: l.State,
		StartConfigDigest: l.StartConfigDigest, RuntimeVersion: l.RuntimeVersion,
		Index: uint32(i), Count: tree.Count(), Path: p,
	}
}
