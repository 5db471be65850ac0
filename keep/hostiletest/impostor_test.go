// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/hostiletest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/sallyport"
)

// evidenceOf takes evidence from a genuine Keep, as any stranger may, together
// with the session that it was made for.
func evidenceOf(t testing.TB, k *keeptest.Keep) *attest.EvidenceMessage {
	t.Helper()
	c, err := session.Client(k.Tunnel(t))
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { c.Close() })
	if !hostiletest.Send(c, session.TypeHello, &session.Hello{Version: session.Version}) {
		t.Error("the genuine keep took no request")
		return nil
	}
	m, err := attest.DecodeEvidenceMessage(bytes.Clone(hostiletest.Await(c, session.TypeEvidence)))
	if err != nil {
		t.Error(err)
		return nil
	}
	return m
}

// offer has an impostor answer a request for evidence with m and appraises it.
// However that ends, it then tries to deploy and demands that nothing leaves.
func offer(t *testing.T, f *hostiletest.Fake, d client.Demand, make func(c *session.Conn) *attest.EvidenceMessage) error {
	t.Helper()
	got := 0
	tunnel := f.Serve(t, func(c *session.Conn) {
		if hostiletest.Await(c, session.TypeHello) == nil || !hostiletest.Send(c, session.TypeEvidence, make(c)) {
			t.Error("the impostor could not answer")
			return
		}
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
			got++
		}
	})
	wire, tunnel := hostiletest.Tap(tunnel, nil)
	s := connect(t, tunnel)
	_, err := s.Appraise(d)
	before := wire.Sent(hostiletest.Client)
	if _, _, derr := s.Deploy(context.Background(), small(t), d); derr == nil || !strings.Contains(derr.Error(), "nothing is sent") {
		t.Errorf("deploy after a refusal: %v", derr)
	}
	if after := wire.Sent(hostiletest.Client); after != before {
		t.Errorf("%d bytes left the client after the refusal", after-before)
	}
	s.Close()
	wire.Wait()
	return err
}

// The evidence of an earlier session proves nothing in a later one.
func TestAttackReplayedEvidence(t *testing.T) {
	k := keeptest.Start(t, keeptest.Config{})
	old := evidenceOf(t, k)
	f := hostiletest.NewFake(t, attest.PlatformSim)
	err := offer(t, f, k.Demand(t), func(*session.Conn) *attest.EvidenceMessage { return old })
	wantRow(t, err, "sim.report-data")
	wantError(t, err, "made for another session or another Keep")
}

// An attacker who ends the client's TLS himself and asks a genuine Keep for
// evidence in this very moment is refused as well: the binding is the wrong
// connection's, and the channel key is his.
func TestAttackRelayedSession(t *testing.T) {
	k := keeptest.Start(t, keeptest.Config{})
	f := hostiletest.NewFake(t, attest.PlatformSim)
	wantRow(t, offer(t, f, k.Demand(t), func(*session.Conn) *attest.EvidenceMessage { return evidenceOf(t, k) }), "sim.report-data")
}

// Every field of the leaf is under the hardware's signature: an impostor who
// changes one in evidence for a session that he relays gains nothing, and
// neither does one who only swaps a key.
func TestAttackSwappedKeysAndFields(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&other.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	f := owned(t, attest.PlatformSim)
	for name, change := range map[string]func(m *attest.EvidenceMessage){
		"IdentityKey":    func(m *attest.EvidenceMessage) { m.IdentityKey = spki },
		"RuntimeVersion": func(m *attest.EvidenceMessage) { m.RuntimeVersion = "9.9.9" },
		"LeafCount":      func(m *attest.EvidenceMessage) { m.Index, m.Count, m.Path = 1, 2, [][64]byte{{1}} },
	} {
		t.Run(name, func(t *testing.T) {
			wantRow(t, offer(t, f, demand(t, attest.PlatformSim), func(c *session.Conn) *attest.EvidenceMessage {
				m := f.Empty(t)
				f.Attest(t, c, m)
				change(m)
				return m
			}), "sim.report-data")
		})
	}
	t.Run("ChannelKey", func(t *testing.T) {
		// Evidence for this binding and everything else right, but with the
		// channel key of another handshake.
		g := owned(t, attest.PlatformSim)
		g.ChannelSPKI = hostiletest.NewFake(t, attest.PlatformSim).ChannelSPKI
		wantRow(t, offer(t, g, demand(t, attest.PlatformSim), func(c *session.Conn) *attest.EvidenceMessage {
			m := g.Empty(t)
			g.Attest(t, c, m)
			return m
		}), "sim.report-data")
	})
	t.Run("IdentityKeyIsTheChannelKey", func(t *testing.T) {
		err := offer(t, f, demand(t, attest.PlatformSim), func(c *session.Conn) *attest.EvidenceMessage {
			m := f.Empty(t)
			f.Attest(t, c, m)
			m.IdentityKey = f.ChannelSPKI
			return m
		})
		wantError(t, err, "channel key and identity key are the same")
	})
}

// A second genuine Keep of the same host vouches for itself only.
func TestAttackEvidenceOfAnotherKeep(t *testing.T) {
	a, b := keeptest.Start(t, keeptest.Config{}), keeptest.Start(t, keeptest.Config{})
	// The host serves b's quotes with what a asked for: b's report data is
	// then in nobody's evidence.
	var stolen []byte
	ma := evidenceOf(t, a)
	stolen = ma.Evidence.Value
	h := &hostiletest.Host{OnQuote: func(context.Context, [64]byte) ([]byte, error) { return stolen, nil }}
	c := keeptest.Start(t, keeptest.Config{Handler: h.Wrap})
	_, err := connect(t, c.Tunnel(t)).Appraise(c.Demand(t))
	wantRow(t, err, "sim.report-data")

	// And an impostor who holds the leaf's fields of b with a's evidence.
	f := hostiletest.NewFake(t, attest.PlatformSim)
	mb := evidenceOf(t, b)
	mb.Evidence = ma.Evidence
	wantRow(t, offer(t, f, a.Demand(t), func(*session.Conn) *attest.EvidenceMessage { return mb }), "sim.report-data")
}

// A report with any one byte changed is refused, by the whole of the client's
// appraisal, on one connection for which the unchanged report is good.
func TestInvariant1NoSilentDowngrade_ReportAlteredByteByByte(t *testing.T) {
	f := owned(t, attest.PlatformSim)
	const size = 1184
	tunnel := f.Serve(t, func(c *session.Conn) {
		m := f.Empty(t)
		f.Attest(t, c, m)
		good := m.Evidence.Value
		for i := 0; hostiletest.Await(c, session.TypeHello) != nil; i++ {
			m.Evidence.Value = bytes.Clone(good)
			if i < size {
				m.Evidence.Value[i] ^= 1 << (i % 8)
			}
			hostiletest.Send(c, session.TypeEvidence, m)
		}
	})
	s := connect(t, tunnel)
	d := demand(t, attest.PlatformSim)
	for i := range size {
		_, err := s.Appraise(d)
		var r *client.RefusedError
		if !errors.As(err, &r) {
			t.Fatalf("byte %d changed: got %v, expected a refusal", i, err)
		}
		if _, _, err := s.Deploy(context.Background(), client.Deployment{}, d); err == nil {
			t.Fatalf("byte %d changed: the keep was deployed to", i)
		}
	}
	if _, err := s.Appraise(d); err != nil {
		t.Fatalf("the unchanged report is refused (%v): the test above shows nothing", err)
	}
}

// Some of the same through a real Keep, whose host changes what the hardware
// signed; shortened and lengthened reports too.
func TestInvariant1NoSilentDowngrade_QuoteChangedOnTheSallyport(t *testing.T) {
	var change func([]byte) []byte
	h := &hostiletest.Host{}
	h.OnQuote = func(ctx context.Context, rd [64]byte) ([]byte, error) {
		b, err := h.Honest.Quote(ctx, rd)
		if err != nil {
			return nil, err
		}
		return change(b), nil
	}
	k := keeptest.Start(t, keeptest.Config{Handler: h.Wrap})
	flip := func(i int) func([]byte) []byte { return func(b []byte) []byte { b[i] ^= 0x80; return b } }
	garbage := make([]byte, 1184)
	rand.Read(garbage)
	for _, c := range []struct {
		name, row string
		change    func([]byte) []byte
	}{
		{"Version", "sim.format", flip(0x03)},
		{"Debug", "sim.signature", func(b []byte) []byte { b[0x0a] |= 0x08; return b }},
		{"ReportData", "sim.report-data", flip(0x50)},
		{"Measurement", "sim.measurement", flip(0x90)},
		{"HostData", "sim.host-data", flip(0xc0)},
		{"ChipID", "sim.chip", flip(0x1a0)},
		{"Signature", "sim.signature", flip(0x2a0)},
		{"Short", "sim.format", func(b []byte) []byte { return b[:1183] }},
		{"Long", "sim.format", func(b []byte) []byte { return append(b, 0) }},
		{"OneByte", "sim.format", func(b []byte) []byte { return b[:1] }},
		{"Random", "sim.format", func([]byte) []byte { return garbage }},
	} {
		t.Run(c.name, func(t *testing.T) {
			change = c.change
			_, err := k.Connect(t).Appraise(k.Demand(t))
			wantRow(t, err, c.row)
		})
	}
	change = func(b []byte) []byte { return b }
	if _, err := k.Connect(t).Appraise(k.Demand(t)); err != nil {
		t.Fatalf("the keep is of no use any more after false quotes: %v", err)
	}
}

// A report over other data that is signed all the same.
func TestAttackQuoteOverOtherData(t *testing.T) {
	h := &hostiletest.Host{}
	h.OnQuote = func(ctx context.Context, rd [64]byte) ([]byte, error) {
		rd[63] ^= 1
		return h.Honest.Quote(ctx, rd)
	}
	k := keeptest.Start(t, keeptest.Config{Handler: h.Wrap})
	_, err := k.Connect(t).Appraise(k.Demand(t))
	wantRow(t, err, "sim.report-data")
}

// The user named one root, the host has another.
func TestAttackForeignSimRoot(t *testing.T) {
	f := hostiletest.NewFake(t, attest.PlatformSim)
	a := foreignAuthority(t)
	f.Hints = a.Chain()
	f.Sign = func(rd [64]byte, hd [32]byte) ([]byte, error) { return a.Report(rd, measured, hd) }
	answer := func(c *session.Conn) *attest.EvidenceMessage {
		m := f.Empty(t)
		f.Attest(t, c, m)
		return m
	}
	err := offer(t, f, demand(t, attest.PlatformSim), answer)
	wantRow(t, err, "sim.chain")

	// Hints that mix both chains, and a stapled root of the host's own.
	f.Hints = append(f.Hints, keeptest.Authority(t).Chain()...)
	wantRow(t, offer(t, f, demand(t, attest.PlatformSim), answer), "sim.chain")
	f.Hints = keeptest.Authority(t).Chain()
	wantRow(t, offer(t, f, demand(t, attest.PlatformSim), answer), "sim.signature")
}

// Hints are the host's: stale, foreign, broken and useless ones make the
// evidence unusable and nothing else, and never crash or hang the Keep.
func TestAttackStaleAndForeignHints(t *testing.T) {
	k := keeptest.Start(t, keeptest.Config{})
	chain := keeptest.Authority(t).Chain()
	cert := func(b []byte) sallyport.Hint {
		return sallyport.Hint{MediaType: attest.MediaTypeCertificate, Value: b}
	}
	good := []sallyport.Hint{cert(chain[0].Value), cert(chain[1].Value)}
	for _, c := range []struct {
		name, row string // row "" means that the hint changes nothing
		hints     []sallyport.Hint
	}{
		{"None", "sim.chain", nil},
		{"Foreign", "sim.chain", []sallyport.Hint{cert(foreignAuthority(t).Chain()[0].Value), cert(foreignAuthority(t).Chain()[1].Value)}},
		{"NoIntermediate", "sim.chain", good[:1]},
		{"Garbage", "sim.chain", append([]sallyport.Hint{cert([]byte("no certificate"))}, good...)},
		{"Truncated", "sim.chain", []sallyport.Hint{cert(chain[0].Value[:100]), good[1]}},
		{"LeafTwiceFromTwoVendors", "sim.chain", append([]sallyport.Hint{cert(foreignAuthority(t).Chain()[0].Value)}, good...)},
		{"UselessButHarmless", "", append([]sallyport.Hint{{MediaType: "application/pkix-crl", Value: []byte("stale")}}, good...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := k.Host.SendHints(context.Background(), c.hints); err != nil {
				t.Fatal(err)
			}
			s := k.Connect(t)
			_, err := s.Appraise(k.Demand(t))
			if c.row != "" {
				wantRow(t, err, c.row)
			} else if err != nil {
				t.Fatalf("a useless hint did harm: %v", err)
			}
		})
	}
	t.Run("NoMessage", func(t *testing.T) {
		if err := k.Host.SendHints(context.Background(), []sallyport.Hint{{MediaType: "", Value: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		_, err := k.Connect(t).Appraise(k.Demand(t))
		wantCode(t, err, session.CodeEvidence, "what the host gave makes no message")
	})
	if err := k.Host.SendHints(context.Background(), good); err != nil {
		t.Fatal(err)
	}
	k.Admit(t)
	// In a year the certificates of the hints have not ended; in ten they have.
	d := k.Demand(t)
	d.At = d.At.AddDate(10, 0, 0)
	_, err := k.Connect(t).Appraise(d)
	wantRow(t, err, "sim.dates")
}

// A start configuration that is not the one of a push deployment on the
// platform shows in the evidence, whoever signs it.
func TestAttackWrongStartConfiguration(t *testing.T) {
	t.Run("Limits", func(t *testing.T) {
		k := keeptest.Start(t, keeptest.Config{Change: func(c *sallyport.StartConfig) { c.MaxSessions = 7 }})
		_, err := k.Connect(t).Appraise(k.Demand(t))
		wantRow(t, err, "start configuration")
	})
	t.Run("HostDataIsAnothers", func(t *testing.T) {
		h := &hostiletest.Host{}
		h.OnQuote = func(_ context.Context, rd [64]byte) ([]byte, error) {
			return keeptest.Authority(t).Report(rd, measured, [32]byte{1})
		}
		k := keeptest.Start(t, keeptest.Config{Handler: h.Wrap})
		d := k.Demand(t)
		d.Measurements[0].Measurement = measured[:]
		_, err := k.Connect(t).Appraise(d)
		wantRow(t, err, "sim.host-data")
	})
	t.Run("TheKeepLiesAboutIt", func(t *testing.T) {
		// The message claims the configuration that was asked for; the
		// hardware knows another.
		f := owned(t, attest.PlatformSim)
		sign := f.Sign
		f.Sign = func(rd [64]byte, _ [32]byte) ([]byte, error) { return sign(rd, [32]byte{2}) }
		wantRow(t, offer(t, f, demand(t, attest.PlatformSim), func(c *session.Conn) *attest.EvidenceMessage {
			m := f.Empty(t)
			f.Attest(t, c, m)
			return m
		}), "sim.host-data")
	})
	t.Run("PlatformOfTheConfiguration", func(t *testing.T) {
		f := owned(t, attest.PlatformSim)
		f.Start.Platform = attest.PlatformProcess
		wantRow(t, offer(t, f, demand(t, attest.PlatformSim), func(c *session.Conn) *attest.EvidenceMessage {
			m := f.Empty(t)
			f.Attest(t, c, m)
			return m
		}), "start configuration")
	})
}

// A Keep that is not empty any more is no place for a new workload, even if
// everything about it is genuine.
func TestAttackKeepThatIsNotEmpty(t *testing.T) {
	f := owned(t, attest.PlatformSim)
	for _, state := range []attest.State{attest.StateClaimed, attest.StateRunning} {
		t.Run(string(state), func(t *testing.T) {
			err := offer(t, f, demand(t, attest.PlatformSim), func(c *session.Conn) *attest.EvidenceMessage {
				m := f.Empty(t)
				m.State = state
				known := attest.Known{OwnerKeyHash: &[32]byte{1}}
				if state == attest.StateRunning {
					known.BundleDigest = &[32]byte{2}
				}
				f.AttestAs(t, c, m, known)
				return m
			})
			wantRow(t, err, "keep state")
			wantError(t, err, "somebody has already claimed this keep")
		})
	}
	// The same with a genuine Keep that somebody has claimed.
	k := keeptest.Start(t, keeptest.Config{})
	stranger := k.Admit(t)
	started := make(chan struct{})
	d := small(t)
	d.Stdin = blocked{t.Context()}
	d.OnRunning = func(*client.Started) { close(started) }
	go stranger.Deploy(t.Context(), d, client.Demand{})
	<-started
	_, err := k.Connect(t).Appraise(k.Demand(t))
	wantRow(t, err, "keep state")
}

// blocked is a standard input that never ends before the test does.
type blocked struct{ ctx context.Context }

func (b blocked) Read([]byte) (int, error) {
	<-b.ctx.Done()
	return 0, net.ErrClosed
}
