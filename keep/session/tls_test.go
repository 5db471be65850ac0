// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Each of these clients is refused by the Keep, before a byte of the protocol.
func TestKeepRefusesWeakHandshakes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*tls.Config)
		want   string
	}{
		"TLS 1.2":       {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, "version"},
		"plain X25519":  {func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }, "key"},
		"plain P-256":   {func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256} }, "key"},
		"wrong ALPN":    {func(c *tls.Config) { c.NextProtos = []string{"h2"} }, "application protocol"},
		"no ALPN":       {func(c *tls.Config) { c.NextProtos = nil }, "the peer speaks"},
		"other version": {func(c *tls.Config) { c.NextProtos = []string{"enarx-keep/2"} }, "application protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := tcpPair(t)
			cfg := ClientTLS()
			cfg.VerifyConnection = nil
			c.change(cfg)
			go func() {
				tc := tls.Client(a, cfg)
				tc.Handshake()
				io.Copy(io.Discard, tc)
			}()
			k, err := Server(b, ServerTLS(channelCert(t)))
			if err == nil || !strings.Contains(err.Error(), c.want) || k != nil {
				t.Errorf("err = %v, expected one with %q", err, c.want)
			}
		})
	}
}

// Each of these servers is refused by the client.
func TestClientRefusesOtherServers(t *testing.T) {
	with := func(certs [][]byte, key any) tls.Certificate {
		return tls.Certificate{Certificate: certs, PrivateKey: key}
	}
	ed, ec, rs := ed25519Key(t), ecdsaKey(t), rsaKey(t)
	for name, c := range map[string]struct {
		cert   tls.Certificate
		change func(*tls.Config)
		want   string
	}{
		"ECDSA channel key": {with([][]byte{certFor(t, ec)}, ec), nil, "expected Ed25519"},
		"RSA channel key":   {with([][]byte{certFor(t, rs)}, rs), nil, "expected Ed25519"},
		"two certificates":  {with([][]byte{certFor(t, ed), certFor(t, ec)}, ed), nil, "seen 2 certificates"},
		"no ALPN":           {channelCert(t), func(c *tls.Config) { c.NextProtos = nil }, "is this the port of a workload?"},
		"wrong ALPN":        {channelCert(t), func(c *tls.Config) { c.NextProtos = []string{"h2"} }, "application protocol"},
		"plain X25519":      {channelCert(t), func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }, "handshake"},
		"TLS 1.2":           {channelCert(t), func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, "version"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := tcpPair(t)
			cfg := ServerTLS(c.cert)
			cfg.VerifyConnection = nil
			if c.change != nil {
				c.change(cfg)
			}
			go tls.Server(b, cfg).Handshake()
			s, err := Client(a)
			if err == nil || !strings.Contains(err.Error(), c.want) || s != nil {
				t.Errorf("err = %v, expected one with %q", err, c.want)
			}
		})
	}
}

// A server that would resume, and a client that asks for it, both have to make
// a whole handshake.
func TestNoResumption(t *testing.T) {
	cache := tls.NewLRUClientSessionCache(4)
	dial := func(server func(net.Conn) error) (tls.ConnectionState, error) {
		a, b := tcpPair(t)
		go server(b)
		cfg := ClientTLS()
		cfg.ClientSessionCache, cfg.ServerName = cache, "keep"
		c := tls.Client(a, cfg)
		err := c.Handshake()
		if err == nil {
			c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			c.Read(make([]byte, 1)) // takes a ticket if there is one
		}
		return c.ConnectionState(), err
	}
	cert := channelCert(t)
	keep := ServerTLS(cert)
	for range 2 {
		cs, err := dial(func(b net.Conn) error { _, err := Server(b, keep); return err })
		if err != nil || cs.DidResume {
			t.Fatalf("resumed = %v, %v", cs.DidResume, err)
		}
	}
	if _, ok := cache.Get("keep"); ok {
		t.Error("the keep handed out a ticket")
	}
	willing := ServerTLS(cert)
	willing.SessionTicketsDisabled, willing.VerifyConnection = false, nil
	serve := func(b net.Conn) error {
		c := tls.Server(b, willing)
		c.Handshake()
		_, err := c.Write([]byte{0})
		return err
	}
	if _, err := dial(serve); err != nil {
		t.Fatal(err)
	}
	if _, ok := cache.Get("keep"); !ok {
		t.Fatal("the willing server handed out no ticket: this test attacks nothing")
	}
	if _, err := dial(serve); err == nil || !strings.Contains(err.Error(), "was resumed") {
		t.Errorf("err = %v, expected that resumption is refused", err)
	}
}

// A peer that stalls or drips in the handshake is cut off at the bound. The
// time is that of a bubble: nobody waits.
func TestHandshakeSlowLorisEnds(t *testing.T) {
	cert := channelCert(t)
	for name, drip := range map[string]time.Duration{"silent": 0, "dripping": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := net.Pipe()
				var dripper sync.WaitGroup
				defer dripper.Wait()
				defer a.Close()
				if drip > 0 {
					// A record with a client hello of 508 bytes, never whole.
					hello := append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252}, make([]byte, 500)...)
					dripper.Go(func() {
						for _, b := range hello {
							if _, err := a.Write([]byte{b}); err != nil {
								return
							}
							time.Sleep(drip)
						}
					})
				}
				begin := time.Now()
				_, err := Server(b, ServerTLS(cert))
				if err == nil {
					t.Fatal("the handshake succeeded")
				}
				if d := time.Since(begin); d > HandshakeTimeout {
					t.Errorf("it ended after %v, expected at most %v", d, HandshakeTimeout)
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("err = %v, expected that the deadline has passed", err)
				}
				b.Close()
			})
		})
	}
}

func TestChannelKeyIsTheHandshakesOwn(t *testing.T) {
	a, b := tcpPair(t)
	cert := channelCert(t)
	go Server(b, ServerTLS(cert))
	c, err := Client(a)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ChannelKeyOf(c.State())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(cert.Certificate[0], key) {
		t.Error("the channel key is not the one in the certificate")
	}
	if _, err := ChannelKeyOf(tls.ConnectionState{}); err == nil {
		t.Error("a connection that does not exist has a channel key")
	}
}
