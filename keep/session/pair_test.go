// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

func certFor(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func ed25519Key(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ecdsaKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func channelCert(t testing.TB) tls.Certificate {
	k := ed25519Key(t)
	return tls.Certificate{Certificate: [][]byte{certFor(t, k)}, PrivateKey: k}
}

// tcpPair is a connection over loopback.
func tcpPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ch := make(chan net.Conn, 1)
	go func() { c, _ := l.Accept(); ch <- c }()
	a, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b = <-ch
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// recorder counts what is written, call by call: what the host sees.
type recorder struct {
	net.Conn
	mu     sync.Mutex
	writes []int
	bytes  bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	r.writes = append(r.writes, len(p))
	r.bytes.Write(p)
	r.mu.Unlock()
	return r.Conn.Write(p)
}

func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes, r.bytes = nil, bytes.Buffer{}
}

// sessions is a client's and a Keep's end of a session, and what lies below.
func sessions(t testing.TB) (client, keep *Conn, rc, rk *recorder) {
	t.Helper()
	a, b := tcpPair(t)
	rc, rk = &recorder{Conn: a}, &recorder{Conn: b}
	type end struct {
		c   *Conn
		err error
	}
	ch := make(chan end, 1)
	go func() { c, err := Server(rk, ServerTLS(channelCert(t))); ch <- end{c, err} }()
	client, err := Client(rc)
	k := <-ch
	if err != nil || k.err != nil {
		t.Fatalf("handshake: client %v, keep %v", err, k.err)
	}
	rc.reset()
	rk.reset()
	return client, k.c, rc, rk
}

// plain is a Conn over plain bytes, without TLS.
func plain(rw io.ReadWriter) *Conn { return &Conn{rw: rw, out: &gather{}} }

// frames are the bytes of messages as a Conn writes them.
func frames(t testing.TB, msgs ...message) []byte {
	t.Helper()
	var b bytes.Buffer
	c := plain(&b)
	for _, m := range msgs {
		if err := c.WriteMessage(m.t, m.p); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

type message struct {
	t Type
	p []byte
}
