// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/agent/relay"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/workload"
)

// peerCert is a TLS server's certificate for 127.0.0.1, and as PEM.
func peerCert(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// A program in a Keep reads from a TLS peer until the end. If the host cuts
// the stream, the program sees an error and not an end.
func TestTruncatedTLSStreamIsAReset(t *testing.T) {
	cert, roots := peerCert(t)
	for name, c := range map[string]struct {
		end  func(*tls.Conn)
		want string
	}{
		"ended by the peer": {func(c *tls.Conn) { c.Close() }, "\"half of it\" <nil>\n"},
		"cut by the host":   {func(c *tls.Conn) { c.NetConn().Close() }, "Connection reset"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				raw, err := l.Accept()
				if err != nil {
					return
				}
				s := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}})
				io.ReadFull(s, make([]byte, len("hello\n")))
				io.WriteString(s, "half of it")
				c.end(s)
			}()
			o := run(t, job{args: []string{"dial"}, relay: relay.Config{Dial: relay.DialPolicy{AllowHost: true}}, change: func(p *workload.Package) {
				p.CARoots = roots
				p.Config.Files = append(p.Config.Files, workload.File{
					Kind: workload.KindConnect, Name: "out", Prot: workload.ProtTLS, Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port),
				})
			}})
			o.want(t, session.EndExit, 0)
			if got := o.out.String(); !strings.Contains(got, c.want) || !strings.HasPrefix(got, "\"half of it\"") {
				t.Errorf("the program saw %s, expected %s", got, c.want)
			}
		})
	}
}

// A client that stops reading does not keep a Keep alive past its timeout.
func TestStalledClientDoesNotHoldAKeep(t *testing.T) {
	k := keeptest.Start(t, keeptest.Config{})
	s := k.Admit(t)
	b, digest := keeptest.Bundle(t, actorModule(t), func(p *workload.Package) {
		p.Config.Args = []string{"flood", "1000000"}
		p.Config.Limits.TimeoutMS = 3000
	})
	stalled := make(chan struct{})
	defer close(stalled)
	go s.Deploy(t.Context(), client.Deployment{
		Bundle: b, Digest: digest, Owner: keeptest.NewOwner(t), Stdout: stall(stalled),
	}, client.Demand{})
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	if _, err := k.Wait(ctx); err != nil {
		t.Fatalf("the keep still lives: %v", err)
	}
	if len(k.Spooled()) == 0 {
		t.Error("the owner could not be told the end, and there is no record of it")
	}
}

// stall takes one write and blocks in it.
type stall chan struct{}

func (s stall) Write(p []byte) (int, error) { <-s; return len(p), nil }

// What a refusal says to the owner does not reach the host.
func TestRefusalStaysInside(t *testing.T) {
	o := run(t, job{args: []string{"exit", "0"}, change: func(p *workload.Package) {
		p.Config.Secrets = []workload.Secret{{Name: "the-name-of-a-secret", Env: "X"}}
	}})
	wantRefusal(t, o.err, session.CodeBadRequest)
	if !strings.Contains(o.err.Error(), "the-name-of-a-secret") {
		t.Errorf("the owner was told %v", o.err)
	}
	if s := o.k.Stderr.String(); bytes.Contains([]byte(s), []byte("the-name-of-a-secret")) {
		t.Errorf("the host was told %q", s)
	}
}
