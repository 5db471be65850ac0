// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/hostiletest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
)

// ask opens a session to k, sends one message and returns all that came back,
// decrypted, up to the end of the session or to an answer that ends nothing.
func ask(t *testing.T, k *keeptest.Keep, typ session.Type, v any, last session.Type) (got []byte, answer []byte, c *session.Conn) {
	t.Helper()
	c, err := session.Client(k.Tunnel(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if !hostiletest.Send(c, typ, v) {
		t.Fatalf("the keep took no message of type %d", typ)
	}
	if typ == session.TypeOwner {
		hostiletest.Send(c, session.TypeVerb, &session.Verb{Verb: session.VerbStatus})
	}
	for {
		typ, p, err := c.ReadMessage()
		if err != nil {
			return got, nil, c
		}
		got = append(binary.BigEndian.AppendUint16(got, uint16(typ)), p...)
		if typ == last {
			return got, slices.Clone(p), c
		}
	}
}

// strangersView is all that a stranger's sessions get out of a Keep that has
// an owner, whatever they send, and its evidence.
func strangersView(t *testing.T, k *keeptest.Keep) (hostiletest.Seen, *attest.EvidenceMessage, *session.Conn) {
	t.Helper()
	stranger := keeptest.NewOwner(t)
	seen, p, c := ask(t, k, session.TypeHello, &session.Hello{Version: session.Version}, session.TypeEvidence)
	m, err := attest.DecodeEvidenceMessage(p)
	if err != nil {
		t.Fatalf("a stranger gets no evidence: %v", err)
	}
	for typ, v := range map[session.Type]any{
		session.TypeClaim:     &session.Claim{Owner: stranger.Public(), SecretsKey: make([]byte, 32)},
		session.TypeOwner:     &session.OwnerProof{Signature: make([]byte, 64)},
		session.TypeChallenge: &session.Challenge{MediaType: "a/b", Value: []byte{1}},
		session.TypeVerb:      &session.Verb{Verb: session.VerbStatus},
		session.TypeRun:       &session.Run{Evidence: true},
		session.TypeHello:     []byte("no hello"),
	} {
		got, answer, _ := ask(t, k, typ, v, session.TypeRefused)
		if answer == nil {
			t.Errorf("message %d of a stranger was not refused; it got %x", typ, got)
		}
		seen = append(seen, got...)
	}
	return seen, m, c
}

// wantSecret demands that neither what a stranger got nor what the host saw
// holds the digest or the owner, and that the evidence tells nothing to who
// does not know the owner.
func wantSecret(t *testing.T, k *keeptest.Keep, host hostiletest.Seen, state attest.State, d client.Deployment) {
	t.Helper()
	owner := d.Owner.Public()
	hash, err := owner.Hash()
	if err != nil {
		t.Fatal(err)
	}
	seen, m, c := strangersView(t, k)
	if m.State != state {
		t.Fatalf("the keep is %s, expected %s", m.State, state)
	}
	secrets := map[string]string{
		"bundle digest": string(d.Digest[:]), "bundle digest as text": d.Digest.String(),
		"owner-key hash": string(hash[:]), "owner key": string(owner.Sign), "owner sealing key": string(owner.Seal[:32]),
	}
	for name, secret := range secrets {
		for who, s := range map[string]hostiletest.Seen{"a stranger": seen, "the host": append(host, k.Stderr.String()...)} {
			if len(s) == 0 {
				t.Fatalf("nothing of what %s saw was kept", who)
			}
			if len(s.Find(secret)) > 0 {
				t.Errorf("state %s: %s learns the %s", state, who, name)
			}
		}
	}

	// Offline: everything but the owner is known, the right digest too.
	cs := c.State()
	binding, err := attest.Binding(&cs, attest.KeepServer)
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.ChannelKeyOf(cs)
	if err != nil {
		t.Fatal(err)
	}
	signed := string(m.Evidence.Value[0x50:0x90]) // REPORT_DATA of an SNP report
	digest := [32]byte(d.Digest)
	stranger := keeptest.NewOwner(t).Public()
	other, err := stranger.Hash()
	if err != nil {
		t.Fatal(err)
	}
	guess := func(owner *[32]byte) (string, error) {
		known := attest.Known{OwnerKeyHash: owner}
		if state == attest.StateRunning {
			known.BundleDigest = &digest
		}
		rd, err := m.ReportDataFor(binding, key, attest.KeepServer, known)
		return string(rd[:]), err
	}
	if rd, err := guess(&hash); err != nil || rd != signed {
		t.Fatalf("who knows the owner does not find the report data (%v): the guesses below show nothing", err)
	}
	for name, o := range map[string]*[32]byte{"no owner": nil, "an owner of zeroes": {}, "another owner": &other, "the digest as the owner": &digest} {
		if rd, err := guess(o); err == nil && rd == signed {
			t.Errorf("state %s: with the right digest and %s the report data is found", state, name)
		}
	}
}

// Anybody may open a session to a Keep, the host first of all. It says that it
// is taken, and not for whom or what.
func TestInvariant3HostSeesCiphertext_DigestStaysInside(t *testing.T) {
	t.Run("Claimed", func(t *testing.T) {
		channel, host := &hostiletest.Channel{}, &hostiletest.Host{}
		k := keeptest.Start(t, keeptest.Config{Channel: channel.Wrap, Handler: host.Wrap})
		d := small(t)
		c, err := session.Client(k.Tunnel(t))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		hostiletest.Send(c, session.TypeClaim, &session.Claim{Owner: d.Owner.Public(), SecretsKey: make([]byte, 32)})
		if hostiletest.Await(c, session.TypeClaimed) == nil {
			t.Fatal("the keep took no claim")
		}
		wantSecret(t, k, slices.Concat(channel.Seen(), host.Seen()), attest.StateClaimed, d)
	})
	t.Run("Running", func(t *testing.T) {
		channel, host := &hostiletest.Channel{}, &hostiletest.Host{}
		k := keeptest.Start(t, keeptest.Config{Channel: channel.Wrap, Handler: host.Wrap})
		d := small(t)
		d.Stdin, d.Evidence = blocked{t.Context()}, true
		started, failed := make(chan *client.Started, 1), make(chan error, 1)
		d.OnRunning = func(st *client.Started) { started <- st }
		s := k.Admit(t)
		go func() {
			_, _, err := s.Deploy(t.Context(), d, k.Demand(t))
			failed <- err
		}()
		select {
		case st := <-started:
			// What the owner is shown names both, as part of what was compared.
			for _, check := range []string{"owner key", "bundle digest"} {
				i := slices.IndexFunc(st.Running.Verdict, func(r attest.Row) bool { return r.Check == check })
				if i < 0 || st.Running.Verdict[i].Outcome != attest.Simulated {
					t.Errorf("the owner of a running sim keep is not shown a simulated row %q: %+v", check, st.Running.Verdict)
				}
			}
		case err := <-failed:
			t.Fatal(err)
		}
		wantSecret(t, k, slices.Concat(channel.Seen(), host.Seen()), attest.StateRunning, d)
	})
}
