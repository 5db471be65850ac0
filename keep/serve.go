// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/sallyport"
)

// maxSessions is how many sessions a Keep serves at once when the host does
// not say: room for 200 clients that wait for one quote, and their rivals.
const maxSessions = 512

// claimant is the session that has claimed the Keep.
type claimant struct {
	conn       *session.Conn
	secretsKey []byte
	asked      int // evidence requests so far

	gone chan struct{} // closed when the attached session is over; nil if there was none
	bye  bool          // valid once gone is closed: the client closed it itself
}

// attest serves sessions until one of them has claimed the Keep, and goes on
// serving others in the background for as long as the Keep lives.
func (k *Keep) attest(ctx context.Context) (*claimant, error) {
	lost := make(chan error, 1)
	go func() { lost <- k.accept(ctx) }()
	select {
	case c := <-k.claims:
		return c, nil
	case err := <-k.broken:
		return nil, err
	case err := <-lost:
		return nil, fmt.Errorf("keep: the sallyport is gone: %w", err)
	case <-k.engine.gone:
		return nil, errors.New("keep: the engine child ended before there was a workload")
	}
}

// accept takes tunnels from the host, each a session to be.
func (k *Keep) accept(ctx context.Context) error {
	limit := int(min(uint64(k.start.MaxSessions), maxSessions))
	if limit == 0 {
		limit = maxSessions
	}
	slots := make(chan struct{}, limit)
	for {
		raw, err := k.port.AcceptAttach(ctx)
		if err != nil {
			return err
		}
		select {
		case slots <- struct{}{}:
		default:
			raw.Close() // more would be memory at a stranger's wish
			continue
		}
		go func() {
			defer func() { <-slots }()
			k.serve(ctx, raw)
		}()
	}
}

// serve runs one session up to its claim or to its end.
func (k *Keep) serve(ctx context.Context, raw net.Conn) {
	conn, err := session.Server(raw, session.ServerTLS(k.id.channelCert))
	if err != nil {
		return // nobody to tell: the handshake is where telling begins
	}
	k.port.Log(sallyport.LogSessionOpen)
	if err := within(conn, session.ExchangeTimeout); err != nil {
		conn.Close()
		return
	}
	k.mu.Lock()
	k.waiting[conn] = struct{}{}
	k.mu.Unlock()
	kept, err := k.exchange(ctx, conn)
	k.mu.Lock()
	delete(k.waiting, conn)
	k.mu.Unlock()
	if err != nil {
		refuse(conn, err)
	}
	if !kept {
		conn.Close()
	}
}

// within bounds the next reads and writes of a session, so that a peer which
// neither speaks nor listens holds its place for a known time only. Zero takes
// the bound away.
func within(conn *session.Conn, d time.Duration) error {
	var t time.Time
	if d > 0 {
		t = time.Now().Add(d)
	}
	if err := conn.SetReadDeadline(t); err != nil {
		return err
	}
	return conn.SetWriteDeadline(t)
}

// refuse sends the last frame of a session that did not go well.
func refuse(conn *session.Conn, err error) {
	var r *session.Refused
	if !errors.As(err, &r) {
		return // broken or closed: there is nobody at the other end
	}
	conn.SetWriteDeadline(time.Now().Add(farewell))
	if b, err := session.Encode(r); err == nil {
		conn.WriteMessage(session.TypeRefused, b)
	}
}

func refused(code, format string, args ...any) *session.Refused {
	return &session.Refused{Code: code, Text: clip(fmt.Sprintf(format, args...))}
}

// exchange is the part of a session that anybody may have: evidence on
// request, then a claim or an owner's proof. kept says that the connection has
// a new owner.
func (k *Keep) exchange(ctx context.Context, conn *session.Conn) (kept bool, err error) {
	for asked, rounds := 0, 0; ; {
		t, p, err := conn.ReadMessage()
		if err != nil {
			return false, err
		}
		switch t {
		case session.TypeHello:
			if asked++; asked > session.MaxEvidenceRequests {
				return false, refused(session.CodeBadRequest, "more than %d requests for evidence in one session", session.MaxEvidenceRequests)
			}
			if err := k.evidence(ctx, conn, p); err != nil {
				return false, err
			}
		case session.TypeChallenge:
			if rounds++; rounds > attest.MaxChallengeRounds {
				return false, refused(session.CodeBadRequest, "more than %d challenge rounds in one session", attest.MaxChallengeRounds)
			}
			if err := answer(conn, k.quotes.Responder(), p); err != nil {
				return false, err
			}
		case session.TypeClaim:
			c, err := k.claim(ctx, conn, p, asked)
			if err != nil {
				return false, err
			}
			k.claims <- c // room for one, and only one session gets here
			return true, nil
		case session.TypeOwner:
			return false, k.ownerSession(ctx, conn, p)
		default:
			return false, refused(session.CodeBadRequest, "message type %d has no place before a claim or an owner's proof", t)
		}
	}
}

// evidence answers one request: a leaf for this very connection, signed by the
// hardware together with those of everyone else who waits.
func (k *Keep) evidence(ctx context.Context, conn *session.Conn, hello []byte) error {
	var h session.Hello
	if err := session.Decode(hello, &h); err != nil {
		return refused(session.CodeBadRequest, "%v", err)
	}
	return k.sendEvidence(ctx, conn)
}

// sendEvidence tells anybody who asks, the host's own sessions included. So
// what a leaf says of the owner and the bundle is not in the message: it is in
// the report data, where only who knows it already can find it.
func (k *Keep) sendEvidence(ctx context.Context, conn *session.Conn) error {
	cs := conn.State()
	binding, err := attest.Binding(&cs, attest.KeepServer)
	if err != nil {
		return err
	}
	leaf := k.leaf(binding)
	hash, err := leaf.Hash()
	if err != nil {
		return err
	}
	q, err := k.quotes.Quote(ctx, hash)
	if err != nil {
		return refused(session.CodeEvidence, "%v", err)
	}
	m := attest.EvidenceMessage{
		Evidence:          q.Evidence,
		Hints:             q.Hints,
		IdentityKey:       leaf.IdentityKey,
		State:             leaf.State,
		StartConfigDigest: leaf.StartConfigDigest,
		RuntimeVersion:    leaf.RuntimeVersion,
		Index:             q.Index,
		Count:             q.Count,
		Path:              q.Path,
	}
	b, err := m.Encode()
	if err != nil {
		return refused(session.CodeEvidence, "what the host gave makes no message: %v", err)
	}
	return conn.WriteMessage(session.TypeEvidence, b)
}

// answer answers one challenge of a platform whose evidence needs a
// conversation. r is nil where it does not.
func answer(conn *session.Conn, r attest.Responder, p []byte) error {
	var c session.Challenge
	if err := session.Decode(p, &c); err != nil {
		return refused(session.CodeBadRequest, "%v", err)
	}
	if r == nil {
		return refused(session.CodeBadRequest, "evidence of this platform needs no challenge, and none is answered")
	}
	a, err := r.Respond(attest.Evidence{MediaType: c.MediaType, Value: c.Value})
	if err != nil {
		return refused(session.CodeEvidence, "%v", err)
	}
	b, err := session.Encode(&session.Challenge{MediaType: a.MediaType, Value: a.Value})
	if err != nil {
		return err
	}
	return conn.WriteMessage(session.TypeResponse, b)
}

// leaf is what this Keep says about itself on the connection with the given
// binding. Every field comes from the Keep's own state, none from a message.
func (k *Keep) leaf(binding [attest.BindingSize]byte) *attest.Leaf {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := &attest.Leaf{
		Role:              attest.KeepServer,
		Binding:           binding,
		ChannelKey:        k.id.channelSPKI,
		IdentityKey:       k.id.spki,
		State:             k.state,
		StartConfigDigest: k.digest,
		RuntimeVersion:    Version,
	}
	if k.state != attest.StateEmpty {
		h := k.ownerH
		l.OwnerKeyHash = &h
	}
	if k.state == attest.StateRunning {
		d := k.bundleD
		l.BundleDigest = &d
	}
	return l
}

// claim takes the Keep for the owner on conn, if it is still empty. It is the
// one place where a Keep gets an owner, and it is atomic: everyone else who
// waits is turned away.
func (k *Keep) claim(ctx context.Context, conn *session.Conn, p []byte, asked int) (*claimant, error) {
	var m session.Claim
	if err := session.Decode(p, &m); err != nil {
		return nil, refused(session.CodeBadRequest, "%v", err)
	}
	h, err := m.Owner.Hash()
	if err != nil {
		return nil, refused(session.CodeBadRequest, "%v", err)
	}
	clock, err := newClock(m.TimeNS)
	if err != nil {
		return nil, err
	}
	owner := session.Owner{Sign: bytes.Clone(m.Owner.Sign), Seal: bytes.Clone(m.Owner.Seal)}
	secrets := bytes.Clone(m.SecretsKey)

	k.mu.Lock()
	if k.state != attest.StateEmpty {
		k.mu.Unlock()
		return nil, refused(session.CodeAlreadyClaimed, "this keep already has an owner; ask for a new one")
	}
	k.state, k.owner, k.ownerH, k.clock = attest.StateClaimed, &owner, h, clock
	delete(k.waiting, conn)
	var rivals []*session.Conn
	for c := range k.waiting {
		rivals = append(rivals, c)
	}
	k.mu.Unlock()

	if err := k.record(ctx, h); err != nil {
		k.broken <- err // room for one, and only one session gets here
		return nil, refused(session.CodeEvidence, "%v", err)
	}
	k.port.Log(sallyport.LogClaimed)
	for _, c := range rivals {
		go func() {
			refuse(c, refused(session.CodeAlreadyClaimed, "this keep was claimed by another session; ask for a new one"))
			c.Close()
		}()
	}
	// An error here shows again when the bundle is awaited, where it ends the
	// Keep: it has an owner now and is of no use to anybody else.
	conn.WriteMessage(session.TypeClaimed, nil)
	return &claimant{conn: conn, secretsKey: secrets, asked: asked}, nil
}

// record enters the claim into the platform's register, before anybody is told
// of it: hardware then shows that this Keep is no longer empty, even if it is
// emptied out. A Keep that cannot do so has an owner that it cannot prove, and
// ends.
func (k *Keep) record(ctx context.Context, ownerKeyHash [32]byte) error {
	r := k.quotes.Register()
	if r == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	if err := r.Claim(ctx, attest.ClaimEvent(ownerKeyHash, k.id.channelSPKI)); err != nil {
		return fmt.Errorf("keep: the claim cannot be recorded by the platform: %w", err)
	}
	return nil
}
