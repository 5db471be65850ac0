// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/quote"
	"github.com/enarx/enarx-go/keep/session"
)

// talker is an evidence source that must be asked before it is believed, as a
// TPM is.
type talker struct{ quote.None }

func (talker) Respond(c attest.Evidence) (attest.Evidence, error) {
	if string(c.Value) == "refuse" {
		return attest.Evidence{}, errors.New("wrong credential")
	}
	return attest.Evidence{MediaType: "text/plain", Value: append([]byte("answer to "), c.Value...)}, nil
}

// asker asks rounds times and remembers the answers.
type asker struct {
	rounds int
	ask    string
	heard  [][]byte
}

func (a *asker) Next(answer attest.Evidence) (attest.Evidence, bool, error) {
	a.heard = append(a.heard, bytes.Clone(answer.Value))
	if a.rounds == 0 {
		return attest.Evidence{}, true, nil
	}
	a.rounds--
	return attest.Evidence{MediaType: "text/plain", Value: []byte(a.ask)}, false, nil
}

// exchangeWith runs the Keep's side of the exchange over loopback with the
// given source, and the client's with the given challenger.
func exchangeWith(t *testing.T, src quote.Source, c attest.Challenger) error {
	t.Helper()
	id, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	k := &Keep{id: id, state: attest.StateEmpty, quotes: quote.NewBatcher(src), waiting: map[*session.Conn]struct{}{}}
	k.start.Mode, k.start.Platform = "push", attest.PlatformProcess
	k.digest = k.start.Digest()
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
		conn, err := session.Server(raw, session.ServerTLS(tls.Certificate(id.channelCert)))
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := k.exchange(context.Background(), conn); err != nil {
			refuse(conn, err)
		}
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := client.Connect(context.Background(), raw)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Appraise(client.Demand{
		Platform: attest.PlatformProcess, InsecureNoTEE: true, State: attest.StateEmpty, At: time.Now(),
		Challenger: func(attest.Collateral) (attest.Challenger, attest.Verifier) { return c, nil },
	})
	return err
}

func TestChallengeRounds(t *testing.T) {
	a := &asker{rounds: attest.MaxChallengeRounds, ask: "this"}
	if err := exchangeWith(t, talker{}, a); err != nil {
		t.Fatal(err)
	}
	if len(a.heard) != attest.MaxChallengeRounds+1 || string(a.heard[1]) != "answer to this" {
		t.Errorf("heard %q", a.heard)
	}
	for name, c := range map[string]struct {
		src  quote.Source
		ask  *asker
		want string
	}{
		"too many rounds":   {talker{}, &asker{rounds: 100, ask: "this"}, "challenge rounds"},
		"a wrong answer":    {talker{}, &asker{rounds: 1, ask: "refuse"}, "wrong credential"},
		"a platform of one": {quote.None{}, &asker{rounds: 1, ask: "this"}, "needs no challenge"},
	} {
		t.Run(name, func(t *testing.T) {
			err := exchangeWith(t, c.src, c.ask)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, expected a refusal that speaks of %q", err, c.want)
			}
		})
	}
}

// register is a platform's runtime register that keeps what it was told, or
// fails.
type register struct {
	quote.None
	fail   error
	events [][]byte
}

func (r *register) Start(context.Context, []byte) error { return nil }

func (r *register) Claim(_ context.Context, event []byte) error {
	r.events = append(r.events, event)
	return r.fail
}

// TestAClaimThatCannotBeRecordedIsNone holds that nobody is told of a claim
// that the platform's register does not show, and that the Keep ends then.
func TestAClaimThatCannotBeRecordedIsNone(t *testing.T) {
	r := &register{fail: errors.New("the register is stuck")}
	id, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	k := &Keep{
		id: id, state: attest.StateEmpty, quotes: quote.NewBatcher(r), waiting: map[*session.Conn]struct{}{},
		claims: make(chan *claimant, 1), broken: make(chan error, 1),
	}
	ours, theirs := net.Pipe()
	go func() {
		conn, err := session.Server(ours, session.ServerTLS(id.channelCert))
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := k.exchange(context.Background(), conn); err != nil {
			refuse(conn, err)
		}
	}()
	conn, err := session.Client(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	owner, err := session.NewOwnerKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := session.Encode(&session.Claim{Owner: owner.Public(), TimeNS: uint64(time.Now().UnixNano()), SecretsKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteMessage(session.TypeClaim, b); err != nil {
		t.Fatal(err)
	}
	_, err = conn.Expect(session.TypeClaimed)
	var refusal *session.Refused
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Text, "stuck") {
		t.Errorf("the claimant is told %v", err)
	}
	select {
	case err := <-k.broken:
		if !errors.Is(err, r.fail) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the Keep goes on")
	}
	if len(k.claims) != 0 {
		t.Error("the Keep takes the session for its claimant")
	}
	pub := owner.Public()
	h, err := pub.Hash()
	if err != nil {
		t.Fatal(err)
	}
	if len(r.events) != 1 || !bytes.Equal(r.events[0], attest.ClaimEvent(h, id.channelSPKI)) {
		t.Errorf("the register was told %x", r.events)
	}
}
