// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/sallyport"
)

// Demand is what a Keep must be for this client to go on. There is no "not
// checked": an empty field fails, except where its comment says what empty
// means.
type Demand struct {
	// Platform is the one platform that was asked for. Evidence of any other
	// fails, however good.
	Platform string
	// Verifiers may appraise the evidence; the one for Platform is used.
	Verifiers []attest.Verifier
	// Measurements are the accepted launch measurements.
	Measurements []attest.ReferenceValue
	// TCB is asked of firmware level and chip; see attest.Expected.
	TCB attest.TCBPolicy
	// Collateral is the client's own; what the host stapled comes after it.
	Collateral attest.Collateral
	// Challenger, for platforms whose evidence needs a conversation, makes the
	// verifying side of one session: what holds the conversation, and the
	// verifier that counts its outcome, which takes the place of Verifiers. Nil
	// for all other platforms. Evidence is judged only after the conversation
	// has come to its end. It is given what the host stapled to the evidence.
	Challenger func(hints attest.Collateral) (attest.Challenger, attest.Verifier)
	// Decide is the decision hook: after verification and before anything is
	// released it may still refuse. It is called with verified claims only.
	Decide func(*attest.Claims, attest.Verdict) error
	// InsecureNoTEE lets a Keep without evidence pass, on platform process
	// or vm and on no other, as attest.Unattested and never as claims.
	InsecureNoTEE bool
	// State is empty for a deployment, running for a later session.
	State attest.State
	// OwnerKeyHash and BundleDigest go into the report data that is expected
	// of a running Keep, which does not name them; nil in state empty.
	OwnerKeyHash, BundleDigest *[32]byte
	// ChannelKey pins the Keep of an earlier session (SubjectPublicKeyInfo,
	// DER); nil in state empty, where the key is learnt, and in no other.
	ChannelKey []byte
	// At is the time to verify at.
	At time.Time
}

// Appraisal is a Keep that has passed. Either Claims or Unattested is set.
type Appraisal struct {
	Claims     *attest.Claims
	Unattested *attest.Unattested
	Verdict    attest.Verdict
	Statement  []attest.Layer
	// Message is the evidence as it came, and Binding the value of this
	// connection that it is bound to.
	Message *attest.EvidenceMessage
	Binding [attest.BindingSize]byte
	// ChannelKey is the key of the handshake (SubjectPublicKeyInfo, DER).
	ChannelKey []byte
}

// RefusedError says that a Keep was not good enough. Nothing has left the
// client. Verdict holds every row, the failed ones among them.
type RefusedError struct {
	Verdict   attest.Verdict
	Statement []attest.Layer
	Reason    error // of the decision hook, or nil
}

func (e *RefusedError) Error() string {
	if e.Reason != nil {
		return "the keep was refused: " + e.Reason.Error()
	}
	if err := e.Verdict.Err(); err != nil {
		return "the keep was refused: " + err.Error()
	}
	return "the keep was refused"
}

func (e *RefusedError) Unwrap() error { return e.Reason }

// Session is a connection to a Keep, end to end through the agent's tunnel.
type Session struct {
	conn   *session.Conn
	tunnel net.Conn    // below conn: closing it ends every read and write at once
	stop   func() bool // detaches the context

	verifier attest.Verifier // that has held this session's conversation; nil if there was none

	admitted *Appraisal   // set by Appraise alone; everything else demands it
	state    attest.State // that the admitted Keep was in
}

// Connect runs the TLS handshake on a raw tunnel. It sends nothing that
// depends on the workload. The session ends when ctx does.
func Connect(ctx context.Context, tunnel net.Conn) (*Session, error) {
	stop := context.AfterFunc(ctx, func() { tunnel.Close() })
	conn, err := session.Client(tunnel)
	if err != nil {
		stop()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return &Session{conn: conn, tunnel: tunnel, stop: stop}, nil
}

// Close ends the session.
func (s *Session) Close() error {
	s.stop()
	return s.conn.Close()
}

// errNotAppraised guards invariant 2 where the order of calls could break it.
var errNotAppraised = errors.New("client: internal error: the keep has not been appraised; nothing is sent")

// errNotEmpty is the same for a session that was appraised for another purpose
// than a deployment.
var errNotEmpty = errors.New("client: internal error: the keep was not appraised as an empty one; nothing is sent")

// broke says during which step a session came to its end. What the Keep itself
// has said stands alone: the session was in order.
func broke(step string, err error) error {
	if err == nil || errors.As(err, new(*session.Refused)) {
		return err
	}
	return fmt.Errorf("the session with the keep broke off %s: %w", step, err)
}

// within bounds the next reads and writes, so that a host which holds bytes
// back ends a step instead of making it last for ever. Zero takes the bound
// away.
func (s *Session) within(d time.Duration) error {
	var t time.Time
	if d > 0 {
		t = time.Now().Add(d)
	}
	if err := s.conn.SetReadDeadline(t); err != nil {
		return err
	}
	return s.conn.SetWriteDeadline(t)
}

// Appraise asks the Keep for evidence bound to this very connection and checks
// it. Only after it has returned without error does any method of s send
// something that depends on the workload or its owner.
func (s *Session) Appraise(d Demand) (*Appraisal, error) {
	// An earlier verdict does not outlive this one, nor does a conversation.
	s.admitted, s.verifier = nil, nil
	b, err := session.Encode(&session.Hello{Version: session.Version})
	if err != nil {
		return nil, err
	}
	if err := s.within(session.ExchangeTimeout); err != nil {
		return nil, broke(stepEvidence, err)
	}
	if err := s.conn.WriteMessage(session.TypeHello, b); err != nil {
		return nil, broke(stepEvidence, s.sayWhy(err))
	}
	a, err := s.receiveEvidence(d, stepEvidence)
	if err != nil {
		return nil, err
	}
	if err := s.within(0); err != nil {
		return nil, broke(stepEvidence, err)
	}
	s.admitted, s.state = a, d.State
	return a, nil
}

// stepEvidence is the step from the handshake to the evidence.
const stepEvidence = "before its evidence came"

func (s *Session) receiveEvidence(d Demand, step string) (*Appraisal, error) {
	p, err := s.conn.Expect(session.TypeEvidence)
	if err != nil {
		return nil, broke(step, err)
	}
	m, err := attest.DecodeEvidenceMessage(bytes.Clone(p))
	if err != nil {
		return nil, err
	}
	if d.Challenger != nil && s.verifier == nil {
		c, v := d.Challenger(m.Hints)
		if err := attest.Converse(c, m.Evidence, s.challenge); err != nil {
			return nil, broke(step, err)
		}
		s.verifier = v
	}
	if s.verifier != nil {
		// Later evidence of the same session is judged by whom the
		// conversation was held with: it must be of the same keys.
		d.Verifiers = []attest.Verifier{s.verifier}
	}
	return s.judge(m, d)
}

// challenge is one round of the platform's own conversation.
func (s *Session) challenge(c attest.Evidence) (attest.Evidence, error) {
	b, err := session.Encode(&session.Challenge{MediaType: c.MediaType, Value: c.Value})
	if err != nil {
		return attest.Evidence{}, err
	}
	if err := s.conn.WriteMessage(session.TypeChallenge, b); err != nil {
		return attest.Evidence{}, err
	}
	p, err := s.conn.Expect(session.TypeResponse)
	if err != nil {
		return attest.Evidence{}, err
	}
	var r session.Challenge
	if err := session.Decode(p, &r); err != nil {
		return attest.Evidence{}, err
	}
	return attest.Evidence{MediaType: r.MediaType, Value: bytes.Clone(r.Value)}, nil
}

// judge is the whole decision about one piece of evidence.
func (s *Session) judge(m *attest.EvidenceMessage, d Demand) (*Appraisal, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	cs := s.conn.State()
	// Both come from this connection and from nothing that arrived on it.
	binding, err := attest.Binding(&cs, attest.KeepServer)
	if err != nil {
		return nil, err
	}
	key, err := session.ChannelKeyOf(cs)
	if err != nil {
		return nil, err
	}
	a := &Appraisal{Message: m, Binding: binding, ChannelKey: key}
	start := sallyport.StartConfig{Mode: "push", Platform: d.Platform}
	startDigest := start.Digest()
	rows := keepRows(m, d, key, startDigest)
	if m.State != d.State {
		// No report data can be expected of a Keep in a state of which this
		// client knows neither owner nor bundle: this is the end.
		return nil, refusal(d.Platform, nil, nil, rows, nil)
	}
	if m.Evidence.MediaType == attest.MediaTypeNone {
		return a.unattested(d, rows)
	}
	reportData, err := m.ReportDataFor(binding, key, attest.KeepServer,
		attest.Known{BundleDigest: d.BundleDigest, OwnerKeyHash: d.OwnerKeyHash})
	if err != nil {
		return nil, err
	}
	v, row := pick(d.Verifiers, d.Platform, m.Evidence.MediaType)
	rows = append(rows, row)
	if v == nil {
		return nil, refusal(d.Platform, nil, nil, rows, nil)
	}
	col := append(append(attest.Collateral{}, d.Collateral...), m.Hints...)
	claims, verdict := v.Verify(m.Evidence, col, attest.Expected{
		ReportData: reportData, Measurements: d.Measurements, HostData: startDigest, TCB: d.TCB, Claim: claimOf(d, key),
	}, d.At)
	rows = append(append(rows, foreign(verdict, d)...), deploymentRows(verdict, d)...)
	if !claims.Verified() || !rows.OK() || claims.Platform != d.Platform {
		return nil, refusal(d.Platform, claims, nil, failed(rows), nil)
	}
	if d.Decide == nil {
		return nil, errors.New("client: internal error: no decision hook; nothing is released without a decision")
	}
	if err := d.Decide(claims, rows); err != nil {
		return nil, refusal(d.Platform, claims, nil, rows, err)
	}
	a.Claims, a.Verdict = claims, rows
	a.Statement = attest.TrustStatement(d.Platform, claims, nil, rows)
	return a, nil
}

// claimOf is what the platform's register must show of a claim: none on an empty
// Keep, and on a running one that of its owner for this channel key.
func claimOf(d Demand, channelKey []byte) *attest.ClaimState {
	if d.OwnerKeyHash == nil {
		return &attest.ClaimState{}
	}
	return &attest.ClaimState{Event: attest.ClaimEvent(*d.OwnerKeyHash, channelKey)}
}

// failed makes sure that a verdict which did not lead to claims reads as a
// failure, whatever its rows say.
func failed(rows attest.Verdict) attest.Verdict {
	if !rows.OK() {
		return rows
	}
	return append(rows, attest.Row{
		Check: "appraisal", Seen: "no claims for the platform that was asked for", Expected: "verified claims",
		Source: "this client", Outcome: attest.Fail, Reason: attest.ReasonUnchecked, Todo: "report this: a verifier returned neither claims nor a failed check",
	})
}

func refusal(platform string, c *attest.Claims, un *attest.Unattested, rows attest.Verdict, reason error) error {
	return &RefusedError{Verdict: rows, Statement: attest.TrustStatement(platform, c, un, rows), Reason: reason}
}

// unattested is the way of a Keep without evidence: it never becomes claims.
func (a *Appraisal) unattested(d Demand, rows attest.Verdict) (*Appraisal, error) {
	un := &attest.Unattested{Platform: d.Platform}
	ok := d.InsecureNoTEE && (d.Platform == attest.PlatformProcess || d.Platform == attest.PlatformVM)
	row := attest.Row{
		Check: "evidence", Seen: "none", Expected: "evidence of platform " + d.Platform,
		Source: "--platform", Outcome: attest.Fail, Reason: attest.ReasonPlatform,
		Todo: "deploy to a host with a TEE; to run where the host sees everything, ask for --platform process --insecure-no-tee",
	}
	if ok {
		row.Expected, row.Source, row.Outcome, row.Reason = "none", "--insecure-no-tee", attest.Warn, ""
		row.Todo = "nothing about this keep is proven and its host sees everything; use it for tests only"
	}
	rows = append(append(rows, row), deploymentRows(nil, d)...)
	if !ok || !rows.OK() {
		return nil, refusal(d.Platform, nil, un, rows, nil)
	}
	a.Unattested, a.Verdict = un, rows
	a.Statement = attest.TrustStatement(d.Platform, nil, un, rows)
	return a, nil
}

// pick finds the verifier for what was asked. That evidence of another
// platform came is the host's answer to a different question.
func pick(vs []attest.Verifier, platform, mediaType string) (attest.Verifier, attest.Row) {
	row := attest.Row{
		Check: "platform", Seen: "evidence of type " + mediaType, Expected: "platform " + platform,
		Source: "--platform", Outcome: attest.Fail, Reason: attest.ReasonPlatform,
	}
	for _, v := range vs {
		if v.Platform() != platform {
			continue
		}
		if slices.Contains(v.MediaTypes(), mediaType) {
			row.Outcome, row.Reason = attest.Pass, ""
			if platform == attest.PlatformSim {
				row.Outcome = attest.Simulated
			}
			return v, row
		}
		row.Todo = "the host answered with another platform's evidence; do not deploy there"
		return nil, row
	}
	row.Reason, row.Todo = attest.ReasonUnchecked, "this client has no verifier for platform "+platform
	if platform == attest.PlatformSim {
		row.Todo = "name the sim root with --insecure-sim-root FILE on this command line; it proves nothing about the host"
	}
	return nil, row
}

// check refuses a demand that would leave a check out.
func (d *Demand) check() error {
	switch d.State {
	case attest.StateEmpty:
		if d.OwnerKeyHash != nil || d.BundleDigest != nil {
			return errors.New("client: internal error: an owner or a bundle is demanded of an empty keep")
		}
		return nil
	case attest.StateRunning:
		if len(d.ChannelKey) == 0 {
			return errors.New("client: internal error: nothing pins the keep: the channel key of its deployment is missing")
		}
		if d.OwnerKeyHash == nil || d.BundleDigest == nil {
			return errors.New("client: internal error: owner or bundle of the deployment is missing")
		}
		return nil
	}
	return fmt.Errorf("client: internal error: state %q is demanded, expected empty or running", d.State)
}

// keepRows checks what the Keep says about itself. It is worth what the
// evidence is worth, which covers every one of these fields.
func keepRows(m *attest.EvidenceMessage, d Demand, key []byte, startDigest [32]byte) attest.Verdict {
	pass := attest.Pass
	switch {
	case d.Platform == attest.PlatformSim:
		pass = attest.Simulated
	case m.Evidence.MediaType == attest.MediaTypeNone:
		pass = attest.Warn // nothing vouches for what it says
	}
	var rows attest.Verdict
	check := func(name, seen, want, source string, why attest.Reason, todo string, ok bool) {
		r := attest.Row{Check: name, Seen: seen, Expected: want, Source: source, Outcome: pass}
		if !ok {
			r.Outcome, r.Reason, r.Todo = attest.Fail, why, todo
		}
		rows = append(rows, r)
	}
	check("keep state", string(m.State), string(d.State), "this command",
		attest.ReasonPolicy, stateTodo(m.State, d.State), m.State == d.State)
	check("start configuration", hex.EncodeToString(m.StartConfigDigest[:8])+"…", hex.EncodeToString(startDigest[:8])+"…",
		"push deployment on "+d.Platform, attest.ReasonHostData, "the host started this keep for another purpose; ask for a new one", m.StartConfigDigest == startDigest)
	if d.ChannelKey != nil {
		check("channel key", short(key), short(d.ChannelKey), "the deployment", attest.ReasonBinding,
			"this is not the keep that was deployed to; the host put another in its place", bytes.Equal(key, d.ChannelKey))
	}
	return rows
}

// reportDataCheck ends the name of the row in which a verifier compares the
// report data.
const reportDataCheck = ".report-data"

// deploymentRows says whether owner and bundle are those of the deployment. A
// Keep names neither; this client has put both into the report data, so the
// two rows come out as that one comparison did. Where it failed, nobody can
// tell which part of it differs: there are no rows then, and its own says what
// it may mean. Without evidence nothing has been compared.
func deploymentRows(verdict attest.Verdict, d Demand) attest.Verdict {
	if d.State == attest.StateEmpty {
		return nil
	}
	seen, outcome, todo := "nothing: this keep has no evidence", attest.Skipped, "nothing proves whose keep this is and what it runs; use it for tests only"
	if len(verdict) > 0 {
		i := slices.IndexFunc(verdict, func(r attest.Row) bool { return strings.HasSuffix(r.Check, reportDataCheck) })
		if i < 0 || verdict[i].Outcome == attest.Fail {
			return nil
		}
		seen, outcome, todo = "part of the report data", verdict[i].Outcome, verdict[i].Todo
	}
	row := func(name string, want *[32]byte, source string) attest.Row {
		return attest.Row{Check: name, Seen: seen, Expected: hex.EncodeToString(want[:8]) + "…", Source: source, Outcome: outcome, Todo: todo}
	}
	return attest.Verdict{row("owner key", d.OwnerKeyHash, "the owner file"), row("bundle digest", d.BundleDigest, "the deployment")}
}

// foreign adds to a failed comparison of report data what else it can mean
// where a deployment went into it.
func foreign(verdict attest.Verdict, d Demand) attest.Verdict {
	verdict = slices.Clone(verdict)
	for i, r := range verdict {
		if d.State == attest.StateEmpty || r.Outcome != attest.Fail || !strings.HasSuffix(r.Check, reportDataCheck) {
			continue
		}
		verdict[i].Todo = "this keep is not the one that was deployed to, belongs to somebody else, or runs something else; do not trust it"
	}
	return verdict
}

func stateTodo(seen, want attest.State) string {
	if want == attest.StateEmpty && seen != attest.StateEmpty {
		return "somebody has already claimed this keep; ask for a new one"
	}
	return "the keep is not where this command needs it; look at it with enarx inspect"
}

func short(b []byte) string {
	if len(b) > 8 {
		b = b[len(b)-8:]
	}
	return "…" + hex.EncodeToString(b)
}

// channelEd25519 is the channel key as a signature key.
func channelEd25519(spki []byte) (ed25519.PublicKey, error) {
	k, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("channel key: %w", err)
	}
	e, ok := k.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("channel key: seen a %T, expected Ed25519", k)
	}
	return e, nil
}
