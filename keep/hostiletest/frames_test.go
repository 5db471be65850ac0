// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/hostiletest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/workload"
)

// frame is a frame of the attached channel as its bytes, padded to size.
func frame(typ session.Type, flags byte, announced, size int) []byte {
	b := make([]byte, size)
	b[0], b[1] = byte(typ), flags
	binary.BigEndian.PutUint32(b[4:], uint32(announced))
	return b
}

// badFrames are frames that no honest end sends, and what a client says of
// each.
var badFrames = []struct {
	name, says string
	bytes      []byte
}{
	{"Oversized", "malformed frame header", frame(session.TypeEvidence, 0, session.MaxPayload+1, 256)},
	{"LargestNumber", "malformed frame header", frame(session.TypeEvidence, 0, 0xffffffff, 256)},
	{"UnknownFlag", "malformed frame header", frame(session.TypeEvidence, 2, 0, 256)},
	{"Reserved", "malformed frame header", func() []byte { b := frame(session.TypeEvidence, 0, 0, 256); b[3] = 1; return b }()},
	{"Padding", "padding is not zero", func() []byte { b := frame(session.TypeEvidence, 0, 0, 256); b[255] = 1; return b }()},
	{"ContinuedNotFull", "a continued frame is not full", frame(session.TypeEvidence, 1, 10, 256)},
	{"Interrupted", "is interrupted by type", append(frame(session.TypeEvidence, 1, session.MaxPayload, 64<<10), frame(session.TypePing, 0, 0, 256)...)},
	{"Endless", "is larger than 1048576 bytes", func() []byte {
		var b []byte
		for range 17 {
			b = append(b, frame(session.TypeEvidence, 1, session.MaxPayload, 64<<10)...)
		}
		return b
	}()},
	{"Half", "EOF", frame(session.TypeEvidence, 0, 100, 256)[:128]},
	{"OtherType", "expected 2", frame(session.TypeExit, 0, 0, 256)},
	{"UnknownType", "expected 2", frame(200, 0, 0, 256)},
}

// A Keep that breaks the rules of frames gets nothing from its client but an
// end.
func TestInvariant4HostileInputIsBounded_FramesOfTheKeep(t *testing.T) {
	for _, f := range badFrames {
		t.Run(f.name, func(t *testing.T) {
			fake := hostiletest.NewFake(t, attest.PlatformSim)
			inner, outer := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer inner.Close()
				c := tls.Server(inner, session.ServerTLS(fake.Cert))
				c.Read(make([]byte, 4096)) // the request
				c.Write(f.bytes)
			}()
			_, err := connect(t, outer).Appraise(demand(t, attest.PlatformSim))
			wantError(t, err, f.says)
			wantError(t, err, "before its evidence came")
			outer.Close()
			<-done
		})
	}
}

// A client that breaks them is hung up on, and the Keep goes on.
func TestInvariant4HostileInputIsBounded_FramesOfTheClient(t *testing.T) {
	k := keeptest.Start(t, keeptest.Config{})
	hello, err := session.Encode(&session.Hello{Version: session.Version})
	if err != nil {
		t.Fatal(err)
	}
	more := []struct {
		name  string
		bytes []byte
	}{
		{"OtherVersion", append(frame(session.TypeHello, 0, 3, 8), append([]byte{0xa1, 1, 9}, make([]byte, 245)...)...)},
		{"TrailingByte", append(frame(session.TypeHello, 0, len(hello)+1, 8), append(hello, make([]byte, 248-len(hello))...)...)},
	}
	for _, f := range badFrames {
		if f.name != "Half" {
			more = append(more, struct {
				name  string
				bytes []byte
			}{f.name, f.bytes})
		}
	}
	for _, f := range more {
		t.Run(f.name, func(t *testing.T) {
			c := tls.Client(k.Tunnel(t), session.ClientTLS())
			defer c.Close()
			c.Write(f.bytes) // the Keep may hang up before it has all
			b := make([]byte, 4096)
			n, err := c.Read(b)
			if err == nil && session.Type(b[0]) != session.TypeRefused {
				t.Fatalf("the keep answered with type %d (%d bytes), expected a refusal or an end", b[0], n)
			}
			for err == nil {
				_, err = c.Read(b)
			}
		})
	}
	k.Admit(t)
}

// What a claimed Keep is sent as a bundle is bounded and checked before it is
// believed.
func TestInvariant4HostileInputIsBounded_Bundles(t *testing.T) {
	d := small(t)
	for fill := 1; padme(len(d.Bundle)) == len(d.Bundle); fill++ {
		d = job{module: "hello", fill: fill}.deployment(t) // one that has padding
	}
	header := func(size uint64, digest []byte) func(c *session.Conn) {
		return func(c *session.Conn) {
			hostiletest.Send(c, session.TypeBundle, &session.BundleHeader{Size: size, Digest: digest})
		}
	}
	bundle := func(change func(b []byte) []byte) func(c *session.Conn) {
		return func(c *session.Conn) {
			header(uint64(len(d.Bundle)), d.Digest[:])(c)
			b := make([]byte, padme(len(d.Bundle)))
			copy(b, d.Bundle)
			hostiletest.Send(c, session.TypeData, change(b))
		}
	}
	for _, a := range []struct {
		name, code, says string
		send             func(c *session.Conn)
	}{
		{"SizeZero", session.CodeBadBundle, "from 1 to", header(0, d.Digest[:])},
		{"SizeTooLarge", session.CodeBadBundle, "from 1 to", header(workload.MaxBundleSize+1, d.Digest[:])},
		{"SizeLargestNumber", session.CodeBadBundle, "from 1 to", header(1<<64-1, d.Digest[:])},
		{"ShortDigest", session.CodeBadRequest, "digest of 31 bytes", header(100, d.Digest[:31])},
		{"MoreThanAnnounced", session.CodeBadBundle, "more than its padded size", bundle(func(b []byte) []byte { return append(b, 0) })},
		{"EmptyFrame", session.CodeBadBundle, "more than its padded size", bundle(func(b []byte) []byte { return nil })},
		{"PaddingNotZero", session.CodeBadBundle, "padding is not zero", bundle(func(b []byte) []byte { b[len(b)-1] = 1; return b })},
		{"Altered", session.CodeBadBundle, "", bundle(func(b []byte) []byte { b[len(d.Bundle)/2] ^= 1; return b })},
		{"OtherDigest", session.CodeBadBundle, "announced was", func(c *session.Conn) {
			e := d
			e.Digest[0] ^= 1
			sendBundle(t, c, e)
		}},
		{"RunBeforeBundle", session.CodeBadRequest, "has no place here", func(c *session.Conn) {
			hostiletest.Send(c, session.TypeRun, &session.Run{})
		}},
		{"SecretsBeforeBundle", session.CodeBadRequest, "has no place here", func(c *session.Conn) {
			hostiletest.Send(c, session.TypeSecrets, []byte("x"))
		}},
	} {
		t.Run(a.name, func(t *testing.T) {
			h := &hostiletest.Host{}
			k := keeptest.Start(t, keeptest.Config{Handler: h.Wrap})
			c := rawClaim(t, k)
			a.send(c)
			_, err := c.Expect(session.TypeAccepted)
			wantCode(t, err, a.code, a.says)
			wantGone(t, k)
			for _, call := range h.Calls() {
				if call == "log accepted" || call == "log running" {
					t.Errorf("the host was told %q", call)
				}
			}
		})
	}
}

// Seventeen requests for evidence are one too many: a session cannot have the
// hardware sign without end.
func TestInvariant4HostileInputIsBounded_EvidenceRequests(t *testing.T) {
	h := &hostiletest.Host{}
	k := keeptest.Start(t, keeptest.Config{Handler: h.Wrap})
	s := k.Connect(t)
	var err error
	n := 0
	for ; n < 100 && err == nil; n++ {
		_, err = s.Appraise(k.Demand(t))
	}
	wantCode(t, err, session.CodeBadRequest, "requests for evidence")
	if n != session.MaxEvidenceRequests+1 || h.Quotes() != session.MaxEvidenceRequests {
		t.Errorf("request %d was refused and %d quotes were made, expected %d and %d", n, h.Quotes(), session.MaxEvidenceRequests+1, session.MaxEvidenceRequests)
	}
	// The refusal took the last verdict back.
	_, _, err = s.Deploy(context.Background(), small(t), client.Demand{})
	wantError(t, err, "nothing is sent")
}
