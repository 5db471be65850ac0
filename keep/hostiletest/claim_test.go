// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/hostiletest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
)

// Of fifty clients that have all accepted the same empty Keep exactly one gets
// it; the others are told, and nothing of theirs is anywhere.
func TestAttackClaimTwice_RaceOfFifty(t *testing.T) {
	const n = 50
	h := &hostiletest.Host{}
	k := keeptest.Start(t, keeptest.Config{Handler: h.Wrap})
	var (
		wg      sync.WaitGroup
		start   = make(chan struct{})
		sess    [n]*client.Session
		deploys [n]client.Deployment
		exits   [n]*session.Exit
		errs    [n]error
		outs    [n]bytes.Buffer
	)
	for i := range n {
		sess[i] = k.Admit(t)
		deploys[i] = job{module: fmt.Sprintf("WORKLOAD-%02d", i), code: i}.deployment(t)
		deploys[i].Stdout = &outs[i]
	}
	for i := range n {
		wg.Go(func() {
			<-start
			_, exits[i], errs[i] = sess[i].Deploy(context.Background(), deploys[i], client.Demand{})
			sess[i].Close()
		})
	}
	close(start)
	wg.Wait()
	winner := -1
	for i := range n {
		if errs[i] == nil {
			if winner >= 0 {
				t.Fatalf("clients %d and %d both got the keep", winner, i)
			}
			winner = i
			continue
		}
		wantCode(t, errs[i], session.CodeAlreadyClaimed, "ask for a new one")
	}
	if winner < 0 {
		t.Fatal("nobody got the keep")
	}
	if e := exits[winner]; e.End != session.EndExit || e.Code != uint64(winner) || !strings.HasPrefix(outs[winner].String(), fmt.Sprintf("WORKLOAD-%02d", winner)) {
		t.Errorf("the winner's workload ended with %+v and wrote %q", e, outs[winner].String())
	}
	for i := range n {
		if i != winner && outs[i].Len() > 0 {
			t.Errorf("client %d got output of another's workload: %q", i, outs[i].String())
		}
	}
	wantGone(t, k)
}

// A second claim on the session that has won is no claim either, and neither is
// a second bundle: one bundle is accepted, once.
func TestAttackClaimTwice_OnOneSession(t *testing.T) {
	for name, again := range map[string]session.Type{"Claim": session.TypeClaim, "Owner": session.TypeOwner} {
		t.Run(name, func(t *testing.T) {
			k := keeptest.Start(t, keeptest.Config{})
			c := rawClaim(t, k)
			owner := keeptest.NewOwner(t).Public()
			if !hostiletest.Send(c, again, &session.Claim{Owner: owner, SecretsKey: make([]byte, 32)}) {
				t.Fatal("the keep hung up before it was asked")
			}
			_, err := c.Expect(session.TypeClaimed)
			wantCode(t, err, session.CodeBadRequest, "has no place here")
			wantGone(t, k)
		})
	}
	t.Run("Bundle", func(t *testing.T) {
		k := keeptest.Start(t, keeptest.Config{})
		c := rawClaim(t, k)
		d := small(t)
		sendBundle(t, c, d)
		if hostiletest.Await(c, session.TypeAccepted) == nil {
			t.Fatal("the first bundle was not accepted")
		}
		hostiletest.Send(c, session.TypeBundle, &session.BundleHeader{Size: 100, Digest: make([]byte, 32)})
		_, err := c.Expect(session.TypeAccepted)
		wantCode(t, err, session.CodeBadRequest, "has no place here")
		wantGone(t, k)
	})
}

// rawClaim claims a Keep without looking at it, message by message, as a
// hostile client would.
func rawClaim(t testing.TB, k *keeptest.Keep) *session.Conn {
	t.Helper()
	c, err := session.Client(k.Tunnel(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if !hostiletest.Send(c, session.TypeClaim, &session.Claim{Owner: keeptest.NewOwner(t).Public(), SecretsKey: make([]byte, 32)}) {
		t.Fatal("the keep took no claim")
	}
	if _, err := c.Expect(session.TypeClaimed); err != nil {
		t.Fatal(err)
	}
	return c
}

func sendBundle(t testing.TB, c *session.Conn, d client.Deployment) {
	t.Helper()
	if !hostiletest.Send(c, session.TypeBundle, &session.BundleHeader{Size: uint64(len(d.Bundle)), Digest: d.Digest[:]}) {
		t.Fatal("the keep took no bundle header")
	}
	b := make([]byte, padme(len(d.Bundle)))
	copy(b, d.Bundle)
	for len(b) > 0 {
		n := min(len(b), session.MaxPayload)
		if !hostiletest.Send(c, session.TypeData, b[:n]) {
			t.Fatal("the keep took no data")
		}
		b = b[n:]
	}
}

// A client that came between evidence and claim of another finds the Keep
// taken: whether it has asked for evidence before or asks now, it is told.
func TestAttackClaimTwice_LateClient(t *testing.T) {
	k := keeptest.Start(t, keeptest.Config{})
	early, late := k.Admit(t), k.Connect(t)
	rawClaim(t, k)
	_, _, err := early.Deploy(context.Background(), small(t), client.Demand{})
	wantCode(t, err, session.CodeAlreadyClaimed, "claimed")
	_, err = late.Appraise(k.Demand(t))
	var refused *client.RefusedError
	if errors.As(err, &refused) {
		wantRow(t, err, "keep state")
	} else {
		wantCode(t, err, session.CodeAlreadyClaimed, "claimed")
	}
	_, err = k.Connect(t).Appraise(k.Demand(t))
	wantRow(t, err, "keep state")
}

// A Keep that accepts another bundle than was sent, or runs another, or runs it
// for another owner, is not believed: the deployment ends with what it said.
func TestAttackBundleDigest(t *testing.T) {
	other := [32]byte{7}
	type lie struct {
		accepted []byte
		running  func(m *attest.EvidenceMessage, known *attest.Known)
		cert     func() []byte
	}
	play := func(t *testing.T, l lie) error {
		d := small(t)
		d.Evidence = true
		f := owned(t, attest.PlatformSim)
		owner := d.Owner.Public()
		ownerHash, err := owner.Hash()
		if err != nil {
			t.Fatal(err)
		}
		tunnel := f.Serve(t, func(c *session.Conn) {
			hostiletest.Await(c, session.TypeHello)
			m := f.Empty(t)
			f.Attest(t, c, m)
			hostiletest.Send(c, session.TypeEvidence, m)
			hostiletest.Await(c, session.TypeClaim)
			hostiletest.Send(c, session.TypeClaimed, nil)
			hostiletest.Await(c, session.TypeBundle)
			for left := padme(len(d.Bundle)); left > 0; {
				left -= len(hostiletest.Await(c, session.TypeData))
			}
			accepted := d.Digest[:]
			if l.accepted != nil {
				accepted = l.accepted
			}
			hostiletest.Send(c, session.TypeAccepted, &session.Accepted{Digest: accepted})
			if hostiletest.Await(c, session.TypeRun) == nil {
				return
			}
			cert := f.IdentityCert(t)
			if l.cert != nil {
				cert = l.cert()
			}
			hostiletest.Send(c, session.TypeRunning, &session.Running{IdentityCert: cert, Engine: "none"})
			digest := [32]byte(d.Digest)
			m = f.Empty(t)
			m.State = attest.StateRunning
			known := attest.Known{BundleDigest: &digest, OwnerKeyHash: &ownerHash}
			if l.running != nil {
				l.running(m, &known)
			}
			f.AttestAs(t, c, m, known)
			hostiletest.Send(c, session.TypeEvidence, m)
			hostiletest.Send(c, session.TypeExit, &session.Exit{End: session.EndExit})
		})
		s := connect(t, tunnel)
		if _, err := s.Appraise(demand(t, attest.PlatformSim)); err != nil {
			t.Fatal(err)
		}
		_, _, err = s.Deploy(context.Background(), d, demand(t, attest.PlatformSim))
		return err
	}
	if err := play(t, lie{}); err != nil {
		t.Fatalf("an impostor that owns the root and does not lie is refused: %v; the tests below show nothing", err)
	}
	t.Run("Accepted", func(t *testing.T) {
		wantError(t, play(t, lie{accepted: other[:]}), "the keep says it accepted")
	})
	t.Run("Running", func(t *testing.T) {
		err := play(t, lie{running: func(_ *attest.EvidenceMessage, k *attest.Known) { k.BundleDigest = &other }})
		wantRow(t, err, "sim.report-data")
		wantError(t, err, "runs something else")
	})
	t.Run("Owner", func(t *testing.T) {
		err := play(t, lie{running: func(_ *attest.EvidenceMessage, k *attest.Known) { k.OwnerKeyHash = &other }})
		wantRow(t, err, "sim.report-data")
		wantError(t, err, "belongs to somebody else")
	})
	t.Run("State", func(t *testing.T) {
		wantRow(t, play(t, lie{running: func(m *attest.EvidenceMessage, k *attest.Known) { m.State, k.BundleDigest = attest.StateClaimed, nil }}), "keep state")
	})
	t.Run("IdentityCertificate", func(t *testing.T) {
		wantError(t, play(t, lie{cert: func() []byte { return hostiletest.NewFake(t, attest.PlatformSim).IdentityCert(t) }}),
			"its key is not the identity key of the evidence")
	})
}
