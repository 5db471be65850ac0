// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/vtpm"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/internal/swtpmtest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/quote"
	"github.com/enarx/enarx-go/keep/session"
)

// These are the refusals of a client that asks for platform vtpm, with real TPMs
// (in software) and the Keep's and the client's own code on both ends of the
// session. What a machine's firmware would do to its TPM is done from the log of
// a real boot, so that no machine has to boot.

// makers of TPMs for the tests of this package.
var tpms struct {
	sync.Once
	ours, another *swtpmtest.Maker
	a, b, foreign *swtpmtest.TPM
}

func makeTPMs(t testing.TB) {
	t.Helper()
	tpms.Do(func() {
		dir, err := os.MkdirTemp("", "enarx-keep-tpm-")
		if err != nil {
			t.Fatal(err)
		}
		keeptest.AtRemove(dir)
		for _, d := range []string{"/ours", "/another"} {
			if err := os.Mkdir(dir+d, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		tpms.ours, tpms.another = swtpmtest.NewMaker(t, dir+"/ours"), swtpmtest.NewMaker(t, dir+"/another")
		tpms.a, tpms.b, tpms.foreign = tpms.ours.Make(t), tpms.ours.Make(t), tpms.another.Make(t)
	})
	if tpms.foreign == nil {
		t.Fatal("no TPMs could be made, see the first test that needed them")
	}
}

// uefiMachine is a TPM after the boot of some firmware, and what the firmware says
// that it has measured.
type uefiMachine struct {
	tpm io.ReadWriter
	log []byte
}

// bootUEFI makes a machine of a TPM whose firmware does what events say.
func bootUEFI(t testing.TB, p *swtpmtest.TPM, events []keeptest.Event) uefiMachine {
	t.Helper()
	m := uefiMachine{p.PowerOn(t), keeptest.Log(keeptest.BootLog, events)}
	keeptest.Boot(t, m.tpm, events)
	return m
}

// source is the Keep's evidence source in a machine, ready for sessions.
func (m uefiMachine) source(t testing.TB) *quote.TPM {
	t.Helper()
	src, err := quote.NewTPM(t.Context(), m.tpm, bytes.NewReader(m.log))
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Start(t.Context(), attest.StartEvent(vtpmStart())); err != nil {
		t.Fatal(err)
	}
	return src
}

func vtpmStart() [32]byte {
	var k Keep
	k.start.Mode, k.start.Platform = "push", attest.PlatformVTPM
	return k.start.Digest()
}

// parts are the events of keeptest.BootLog that an image decides.
var parts = []struct {
	name  string
	event int
}{
	{"UKI", 22}, {"kernel", 24}, {"os release", 26}, {"command line", 28}, {"initrd", 30},
}

// release is the reference value of the image that keeptest.BootLog is of.
func release(t testing.TB, debug bool, events []keeptest.Event) attest.ReferenceValue {
	t.Helper()
	var pcrs [attest.TPMPCRs][32]byte
	ref := attest.ReferenceValue{Platform: attest.PlatformVTPM, Release: "test", Source: "this test", Debug: debug}
	for i, e := range events {
		if e.Type == keeptest.NoAction {
			continue
		}
		pcrs[e.PCR] = sha256.Sum256(append(pcrs[e.PCR][:], e.Digest[:]...))
		name := "other"
		for _, p := range parts {
			if p.event == i {
				name = p.name
			}
		}
		if e.PCR == 4 || e.PCR == 9 || e.PCR == 11 {
			ref.Components = append(ref.Components, attest.Component{Name: name, Register: fmt.Sprintf("PCR%d", e.PCR), Digest: e.Digest[:]})
		}
	}
	m := vtpm.Measurement(&pcrs)
	ref.Measurement = m[:]
	return ref
}

// demand is what a client asks of a Keep on platform vtpm.
func demand(t testing.TB, refs ...attest.ReferenceValue) client.Demand {
	t.Helper()
	o := vtpm.Options{Roots: []*x509.Certificate{tpms.ours.Root(t)}, RootSource: "this test"}
	col := attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: tpms.ours.Issuer(t).Raw}}
	return client.Demand{
		Platform: attest.PlatformVTPM, State: attest.StateEmpty, At: time.Now(), Measurements: refs, Collateral: col,
		Decide: func(*attest.Claims, attest.Verdict) error { return nil },
		Challenger: func(attest.Collateral) (attest.Challenger, attest.Verifier) {
			s := vtpm.NewSession(o, col, time.Now(), rand.Reader)
			return s, s
		},
	}
}

// appraise runs one session between a Keep with the source src and a client
// with the demand d.
func appraise(t testing.TB, src quote.Source, d client.Demand) (*client.Appraisal, error) {
	t.Helper()
	id, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	k := &Keep{id: id, state: attest.StateEmpty, quotes: quote.NewBatcher(src), waiting: map[*session.Conn]struct{}{}}
	k.start.Mode, k.start.Platform = "push", d.Platform
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
		conn, err := session.Server(raw, session.ServerTLS(id.channelCert))
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
	s, err := client.Connect(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return s.Appraise(d)
}

// failed are the checks of the rows that failed, in order.
func failed(v attest.Verdict) (checks []string) {
	for _, r := range v {
		if r.Outcome == attest.Fail {
			checks = append(checks, strings.TrimPrefix(r.Check, "vtpm."))
		}
	}
	return checks
}

func TestVTPMIsAccepted(t *testing.T) {
	makeTPMs(t)
	events := keeptest.Events(t, keeptest.BootLog)
	src := bootUEFI(t, tpms.a, events).source(t)
	for range 2 { // a second session, with an activation of its own
		a, err := appraise(t, src, demand(t, release(t, false, events)))
		if err != nil {
			t.Fatal(err)
		}
		if a.Claims == nil || !a.Verdict.OK() {
			t.Fatalf("%+v", a.Verdict)
		}
		activated := false
		for _, r := range a.Verdict {
			if r.Outcome == attest.Fail || r.Outcome == attest.Warn {
				t.Errorf("%s: %s: %s", r.Check, r.Outcome, r.Seen)
			}
			activated = activated || r.Check == "vtpm.activation" && r.Outcome == attest.Pass
		}
		if !activated {
			t.Error("no row says that the attestation key was proven to live beside the endorsement key")
		}
	}
}

// changed is events with one of them changed.
func changed(events []keeptest.Event, i int, f func(*keeptest.Event)) []keeptest.Event {
	out := append([]keeptest.Event(nil), events...)
	f(&out[i])
	return out
}

func otherDigest(e *keeptest.Event) { e.Digest[0] ^= 1 }

// replaying gives the evidence of an earlier session again.
type replaying struct {
	*quote.TPM
	first *attest.Evidence
}

func (r *replaying) Quote(ctx context.Context, rd [64]byte) (attest.Evidence, attest.Collateral, error) {
	if r.first != nil {
		return *r.first, nil, nil
	}
	ev, col, err := r.TPM.Quote(ctx, rd)
	r.first = &ev
	return ev, col, err
}

// twoTPMs quotes with one TPM and shows the endorsement of another, which
// answers the challenge.
type twoTPMs struct {
	*quote.TPM // that quotes
	shown      *quote.TPM
	answers    attest.Responder
}

func (s twoTPMs) Quote(ctx context.Context, rd [64]byte) (attest.Evidence, attest.Collateral, error) {
	theirs, _, err := s.shown.Quote(ctx, rd)
	if err != nil {
		return attest.Evidence{}, nil, err
	}
	ev, col, err := s.TPM.Quote(ctx, rd)
	if err != nil {
		return attest.Evidence{}, nil, err
	}
	a, err := attest.DecodeTPMEvidence(ev.Value)
	if err != nil {
		return attest.Evidence{}, nil, err
	}
	b, err := attest.DecodeTPMEvidence(theirs.Value)
	if err != nil {
		return attest.Evidence{}, nil, err
	}
	a.Endorsements = b.Endorsements
	ev.Value, err = a.Encode()
	return ev, col, err
}

func (s twoTPMs) Respond(c attest.Evidence) (attest.Evidence, error) { return s.answers.Respond(c) }

// guessing answers a challenge with what it does not know.
type guessing struct{}

func (guessing) Respond(attest.Evidence) (attest.Evidence, error) {
	return attest.Evidence{MediaType: attest.MediaTypeTPMAnswer, Value: make([]byte, 32)}, nil
}

// TestInvariant1NoSilentDowngrade_VTPM is every way in which a host can try to
// have its machine taken for the one that was asked for, one at a time: the
// client refuses, and the row that failed names what is wrong.
func TestInvariant1NoSilentDowngrade_VTPM(t *testing.T) {
	makeTPMs(t)
	events := keeptest.Events(t, keeptest.BootLog)
	good := release(t, false, events)
	other := func(i int) func(testing.TB) quote.Source {
		return func(t testing.TB) quote.Source { return bootUEFI(t, tpms.a, changed(events, i, otherDigest)).source(t) }
	}
	for _, c := range []struct {
		name string
		src  func(testing.TB) quote.Source
		rows string // checks that fail, all of them; "" if the conversation breaks off
		text string // what the refusal says as well
		ask  func(*client.Demand)
	}{
		{name: "another kernel", src: other(24), rows: "kernel measurement"},
		{name: "another initrd", src: other(30), rows: "initrd measurement"},
		{name: "another command line", src: other(28), rows: "command-line measurement"},
		{name: "another UKI", src: other(22), rows: "uki measurement"},
		{name: "a debug image", rows: "debug", text: "DEBUG",
			src: func(t testing.TB) quote.Source { return bootUEFI(t, tpms.a, events).source(t) },
			ask: func(d *client.Demand) { d.Measurements = []attest.ReferenceValue{release(t, true, events)} }},
		{name: "a stale event log", rows: "event-log", text: "PCR 5", src: func(t testing.TB) quote.Source {
			m := bootUEFI(t, tpms.a, events)
			m.log = keeptest.Log(keeptest.BootLog, events[:len(events)-1])
			return m.source(t)
		}},
		{name: "an event log of another machine", rows: "event-log measurement", text: "PCR 11", src: func(t testing.TB) quote.Source {
			m := bootUEFI(t, tpms.a, changed(events, 24, otherDigest))
			m.log = keeptest.Log(keeptest.BootLog, events)
			return m.source(t)
		}},
		{name: "no event log", rows: "event-log", src: func(t testing.TB) quote.Source {
			m := bootUEFI(t, tpms.a, events)
			m.log = nil
			return m.source(t)
		}},
		{name: "a replayed quote", rows: "report-data", src: func(t testing.TB) quote.Source {
			r := &replaying{TPM: bootUEFI(t, tpms.a, events).source(t)}
			if _, err := appraise(t, r, demand(t, good)); err != nil {
				t.Fatal(err)
			}
			return r
		}},
		{name: "an attestation key of another TPM, which answers", text: "does not activate this credential", src: func(t testing.TB) quote.Source {
			a, b := bootUEFI(t, tpms.a, events).source(t), bootUEFI(t, tpms.b, events).source(t)
			return twoTPMs{a, b, a}
		}},
		{name: "an attestation key of another TPM, guessing the answer", rows: "activation", src: func(t testing.TB) quote.Source {
			a, b := bootUEFI(t, tpms.a, events).source(t), bootUEFI(t, tpms.b, events).source(t)
			return twoTPMs{a, b, guessing{}}
		}},
		{name: "a TPM of an unknown maker", rows: "chain dates revocation activation", src: func(t testing.TB) quote.Source {
			return bootUEFI(t, tpms.foreign, events).source(t)
		}},
		{name: "a PCR extended after the boot", rows: "event-log measurement", text: "PCR 12", src: func(t testing.TB) quote.Source {
			m := bootUEFI(t, tpms.a, events)
			src := m.source(t)
			if err := keeptest.Extend(m.tpm, 12, [32]byte{1}); err != nil {
				t.Fatal(err)
			}
			return src
		}},
		{name: "a debug PCR extended after the boot", rows: "registers", text: "PCR 16", src: func(t testing.TB) quote.Source {
			m := bootUEFI(t, tpms.a, events)
			src := m.source(t)
			if err := keeptest.Extend(m.tpm, 16, [32]byte{1}); err != nil {
				t.Fatal(err)
			}
			return src
		}},
		{name: "another start configuration", rows: "host-data", src: func(t testing.TB) quote.Source {
			m := bootUEFI(t, tpms.a, events)
			src, err := quote.NewTPM(t.Context(), m.tpm, bytes.NewReader(m.log))
			if err == nil {
				err = src.Start(t.Context(), attest.StartEvent([32]byte{1}))
			}
			if err != nil {
				t.Fatal(err)
			}
			return src
		}},
		{name: "a Keep that was claimed and emptied out", rows: "claim", src: func(t testing.TB) quote.Source {
			src := bootUEFI(t, tpms.a, events).source(t)
			if err := src.Claim(t.Context(), attest.ClaimEvent([32]byte{1}, []byte("a key"))); err != nil {
				t.Fatal(err)
			}
			return src
		}},
		{name: "Secure Boot is off and was demanded", rows: "secure-boot", text: "off",
			src: func(t testing.TB) quote.Source { return bootUEFI(t, tpms.a, events).source(t) },
			ask: func(d *client.Demand) {
				d.Challenger = func(attest.Collateral) (attest.Challenger, attest.Verifier) {
					o := vtpm.Options{Roots: []*x509.Certificate{tpms.ours.Root(t)}, SecureBoot: true}
					s := vtpm.NewSession(o, d.Collateral, time.Now(), rand.Reader)
					return s, s
				}
			}},
		{name: "Secure Boot claimed in the log only", rows: "event-log secure-boot", text: "PCR 7",
			src: func(t testing.TB) quote.Source {
				m := bootUEFI(t, tpms.a, events)
				m.log = keeptest.Log(keeptest.BootLog, changed(events, 3, func(e *keeptest.Event) {
					e.Data = bytes.Clone(e.Data)
					e.Data[len(e.Data)-1] = 1
					e.Digest = sha256.Sum256(e.Data)
				}))
				return m.source(t)
			},
			ask: func(d *client.Demand) {
				d.Challenger = func(attest.Collateral) (attest.Challenger, attest.Verifier) {
					o := vtpm.Options{Roots: []*x509.Certificate{tpms.ours.Root(t)}, SecureBoot: true}
					s := vtpm.NewSession(o, d.Collateral, time.Now(), rand.Reader)
					return s, s
				}
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := demand(t, good)
			if c.ask != nil {
				c.ask(&d)
			}
			a, err := appraise(t, c.src(t), d)
			if err != nil && c.rows == "" { // the Keep itself gave up
				if !strings.Contains(err.Error(), c.text) {
					t.Errorf("%v, expected an error that speaks of %q", err, c.text)
				}
				return
			}
			var refusal *client.RefusedError
			if err == nil || !errors.As(err, &refusal) {
				t.Fatalf("%+v, %v: expected a verdict that refuses", a, err)
			}
			if got := strings.Join(failed(refusal.Verdict), " "); got != c.rows {
				t.Errorf("rows %q failed, expected %q", got, c.rows)
			}
			if !strings.Contains(fmt.Sprint(refusal.Verdict), c.text) {
				t.Errorf("the verdict does not speak of %q: %v", c.text, refusal.Verdict)
			}
			for _, r := range refusal.Verdict {
				if r.Outcome == attest.Fail && (r.Reason == "" || r.Todo == "") {
					t.Errorf("row %s has reason %q and advice %q", r.Check, r.Reason, r.Todo)
				}
			}
		})
	}
}
