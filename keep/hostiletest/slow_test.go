// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/hostiletest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
)

// hasty is a connection on which time passes faster: every deadline that is set
// on it and is farther away than spare comes speed times sooner. It is how these
// tests wait for limits of minutes without changing the code that has them.
type hasty struct {
	net.Conn
	speed, spare time.Duration
}

func (h hasty) sooner(t time.Time) time.Time {
	if t.IsZero() || time.Until(t) <= h.spare {
		return t
	}
	return time.Now().Add(time.Until(t) / h.speed)
}

func (h hasty) SetDeadline(t time.Time) error      { return h.Conn.SetDeadline(h.sooner(t)) }
func (h hasty) SetReadDeadline(t time.Time) error  { return h.Conn.SetReadDeadline(h.sooner(t)) }
func (h hasty) SetWriteDeadline(t time.Time) error { return h.Conn.SetWriteDeadline(h.sooner(t)) }

// dribbled writes b one byte at a time, for as long as somebody reads.
func dribbled(c net.Conn, b []byte, pause time.Duration) {
	for i := range b {
		if _, err := c.Write(b[i : i+1]); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

// A host that is slow at any step of a session holds its client for a known
// time, whether it is silent, says one byte at a time, or does not listen.
func TestInvariant4HostileInputIsBounded_SlowKeep(t *testing.T) {
	const speed = 400 // 120 s become 0.3 s
	type script func(t *testing.T, f *hostiletest.Fake, c *session.Conn)
	admit := func(t *testing.T, f *hostiletest.Fake, c *session.Conn) {
		hostiletest.Await(c, session.TypeHello)
		m := f.Empty(t)
		f.Attest(t, c, m)
		hostiletest.Send(c, session.TypeEvidence, m)
	}
	for _, a := range []struct {
		name, step string
		raw        func(c net.Conn) // in place of TLS
		script     script
		speed      time.Duration
	}{
		{name: "SilentFromTheStart", step: "handshake", raw: func(c net.Conn) { c.Read(make([]byte, 4096)); <-t.Context().Done() }, speed: 50},
		{name: "HandshakeNotTaken", step: "handshake", raw: func(net.Conn) { <-t.Context().Done() }, speed: 50},
		{name: "HandshakeDribbles", step: "handshake", raw: func(c net.Conn) {
			c.Read(make([]byte, 4096))
			dribbled(c, append([]byte{22, 3, 3, 0x10, 0}, make([]byte, 4096)...), time.Millisecond)
		}, speed: 50},
		{name: "NoEvidence", step: "before its evidence came", script: func(_ *testing.T, _ *hostiletest.Fake, c *session.Conn) { hold(c) }, speed: speed},
		{name: "EvidenceInEndlessPings", step: "before its evidence came", script: func(_ *testing.T, _ *hostiletest.Fake, c *session.Conn) {
			hostiletest.Await(c, session.TypeHello)
			for hostiletest.Send(c, session.TypePing, nil) {
				time.Sleep(time.Millisecond)
			}
		}, speed: speed},
		{name: "NoAnswerToTheClaim", step: "while the keep was being claimed", script: func(t *testing.T, f *hostiletest.Fake, c *session.Conn) {
			admit(t, f, c)
			hostiletest.Await(c, session.TypeClaim)
			hold(c)
		}, speed: speed},
		{name: "BundleNotTaken", step: "while the bundle was being sent", script: func(t *testing.T, f *hostiletest.Fake, c *session.Conn) {
			admit(t, f, c)
			hostiletest.Await(c, session.TypeClaim)
			hostiletest.Send(c, session.TypeClaimed, nil)
			hold(nil)
		}, speed: 5 * speed},
		{name: "BundleNotAccepted", step: "while the keep was checking the bundle", script: func(t *testing.T, f *hostiletest.Fake, c *session.Conn) {
			admit(t, f, c)
			hostiletest.Await(c, session.TypeClaim)
			hostiletest.Send(c, session.TypeClaimed, nil)
			hold(c)
		}, speed: 5 * speed},
	} {
		t.Run(a.name, func(t *testing.T) {
			f := owned(t, attest.PlatformSim)
			var tunnel net.Conn
			if a.raw != nil {
				inner, outer := net.Pipe()
				t.Cleanup(func() { inner.Close() })
				go a.raw(inner)
				tunnel = outer
			} else {
				tunnel = f.Serve(t, func(c *session.Conn) { a.script(t, f, c) })
			}
			spare := session.HandshakeTimeout
			if a.raw != nil {
				spare = 0 // the handshake itself is slow
			}
			begin := time.Now()
			err := func() error {
				s, err := client.Connect(context.Background(), hasty{tunnel, a.speed, spare})
				if err != nil {
					return err
				}
				defer s.Close()
				defer tunnel.Close()
				if _, err := s.Appraise(demand(t, attest.PlatformSim)); err != nil {
					return err
				}
				_, _, err = s.Deploy(context.Background(), large(t), client.Demand{})
				return err
			}()
			wantError(t, err, a.step)
			if !errors.Is(err, os.ErrDeadlineExceeded) && a.name != "EvidenceInEndlessPings" {
				t.Errorf("got %v, expected a deadline that has passed", err)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// hold takes what comes and says nothing; with nil it does not even take it.
func hold(c *session.Conn) {
	if c == nil {
		time.Sleep(time.Second)
		return
	}
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			return
		}
	}
}

// The Keep's side of the handshake is bounded in the same way. (The limit is
// inside another process in the tests of real Keeps, so it is shown here.)
func TestInvariant4HostileInputIsBounded_SlowClient(t *testing.T) {
	for name, act := range map[string]func(c net.Conn){
		"Silent": func(net.Conn) {},
		"Dribbles": func(c net.Conn) {
			dribbled(c, append([]byte{22, 3, 1, 0x10, 0}, make([]byte, 4096)...), time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inner, outer := net.Pipe()
			defer outer.Close()
			go act(outer)
			begin := time.Now()
			_, err := session.Server(hasty{inner, 50, 0}, session.ServerTLS(hostiletest.NewFake(t, attest.PlatformSim).Cert))
			wantError(t, err, "attested channel: handshake")
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// Hundreds of strangers who open tunnels and stop at some step do not keep an
// honest client from its Keep.
func TestInvariant4HostileInputIsBounded_Strangers(t *testing.T) {
	k := keeptest.Start(t, keeptest.Config{})
	for i := range 300 {
		c := k.Tunnel(t)
		defer c.Close()
		switch i % 3 {
		case 1:
			c.Write([]byte{22, 3, 1, 2})
		case 2:
			if i < 100 { // a handshake costs both sides
				tc := tls.Client(c, session.ClientTLS())
				if err := tc.Handshake(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	d := small(t)
	var out bytes.Buffer
	d.Stdout = &out
	begin := time.Now()
	s := k.Admit(t)
	_, exit, err := s.Deploy(context.Background(), d, client.Demand{})
	s.Close()
	if err != nil || exit.End != session.EndExit || out.Len() == 0 {
		t.Fatalf("the honest client got %+v, %v", exit, err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	wantGone(t, k)
}
