// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/hostiletest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/sallyport"
	"github.com/enarx/enarx-go/workload"
)

// deploy deploys d to a Keep whose host is h.
func deploy(t *testing.T, h *hostiletest.Host, d client.Deployment) (*keeptest.Keep, *client.Started, *session.Exit, error) {
	t.Helper()
	k := keeptest.Start(t, keeptest.Config{Handler: h.Wrap})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	s, err := client.Connect(ctx, k.Tunnel(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() // the Keep waits a while for it
	if _, err := s.Appraise(k.Demand(t)); err != nil {
		t.Fatal(err)
	}
	st, exit, err := s.Deploy(ctx, d, k.Demand(t))
	return k, st, exit, err
}

// A host that gives no quote, or empty or endless evidence, gets a session that
// ends with the Keep's own words, and the Keep lives on.
func TestInvariant4HostileInputIsBounded_Quotes(t *testing.T) {
	var answer func() ([]byte, error)
	h := &hostiletest.Host{}
	h.OnQuote = func(ctx context.Context, rd [64]byte) ([]byte, error) {
		if answer == nil {
			return h.Honest.Quote(ctx, rd)
		}
		return answer()
	}
	k := keeptest.Start(t, keeptest.Config{Handler: h.Wrap})
	for _, c := range []struct {
		name, says string
		answer     func() ([]byte, error)
	}{
		{"Refused", "no quote for you", func() ([]byte, error) { return nil, errors.New("no quote for you") }},
		{"RefusedWithControlCharacters", "??[31mred", func() ([]byte, error) { return nil, errors.New("\x1b\x1b[31mred") }},
		{"Empty", "empty evidence", func() ([]byte, error) { return nil, nil }},
		{"Endless", "at most 65536", func() ([]byte, error) { return make([]byte, 70_000), nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer = c.answer
			_, err := k.Connect(t).Appraise(k.Demand(t))
			wantCode(t, err, session.CodeEvidence, c.says)
		})
	}
	answer = nil
	k.Admit(t)
}

// The address of a listener is the host's word: the owner is shown it, and
// whoever believes it meets TLS with the identity certificate, which only the
// Keep can answer.
func TestAttackFalseListenAddress(t *testing.T) {
	trap := impostorListener(t)
	h := &hostiletest.Host{OnListen: func(context.Context, sallyport.Endpoint, string) (net.Listener, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		return liar{l, trap.Addr()}, err
	}}
	stop := make(chan struct{})
	d := job{module: "hello", changes: func(p *workload.Package) {
		p.Config.Files = append(p.Config.Files, workload.File{Kind: workload.KindListen, Name: "web", Prot: workload.ProtTLS, Addr: "127.0.0.1", Port: 443})
	}}.deployment(t)
	d.Stdin = untilClosed(stop)
	d.OnRunning = func(st *client.Started) {
		defer close(stop)
		if st.Ports[0].Bound != trap.Addr().String() {
			t.Errorf("the port is %+v, expected the host's lie %v", st.Ports, trap.Addr())
		}
		pool := x509.NewCertPool()
		pool.AddCert(st.Certificate)
		c, err := tls.Dial("tcp", st.Ports[0].Bound, &tls.Config{RootCAs: pool, ServerName: "localhost"})
		if err == nil {
			c.Close()
			t.Error("the impostor at the false address was believed")
			return
		}
		wantError(t, err, "certificate")
	}
	_, _, exit, err := deploy(t, h, d)
	if err != nil || exit.End != session.EndExit {
		t.Fatalf("the workload ended with %+v, %v", exit, err)
	}
}

type untilClosed chan struct{}

func (u untilClosed) Read([]byte) (int, error) {
	<-u
	return 0, io.EOF
}

type liar struct {
	net.Listener
	addr net.Addr
}

func (l liar) Addr() net.Addr { return l.addr }

// impostorListener speaks TLS with a certificate of its own.
func impostorListener(t *testing.T) net.Listener {
	t.Helper()
	f := hostiletest.NewFake(t, attest.PlatformSim)
	cert := tls.Certificate{Certificate: [][]byte{f.IdentityCert(t)}, PrivateKey: f.Identity}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(io.Discard, c)
				c.Close()
			}()
		}
	}()
	t.Cleanup(func() { l.Close() })
	return l
}

// A dial that the host leads to another place ends in the Keep's own TLS: the
// workload never runs, and the impostor gets no byte of it.
func TestAttackDialToAnotherPlace(t *testing.T) {
	trap := impostorListener(t)
	h := &hostiletest.Host{OnDial: func(context.Context, sallyport.Endpoint) (net.Conn, error) {
		return net.Dial("tcp", trap.Addr().String())
	}}
	connects := func(p *workload.Package) {
		p.Config.Files = append(p.Config.Files, workload.File{Kind: workload.KindConnect, Name: "bank", Prot: workload.ProtTLS, Host: "bank.example", Port: 443})
	}
	k, _, exit, err := deploy(t, h, job{module: "hello", changes: connects}.deployment(t))
	if err != nil || exit.End != session.EndSetup {
		t.Fatalf("the workload ended with %+v, %v, expected that it does not start", exit, err)
	}
	wantError(t, errors.New(exit.Reason), "connect bank to bank.example:443: TLS: ")
	wantError(t, errors.New(exit.Reason), "certificate")
	if !slices.Contains(h.Calls(), "dial bank.example:443") {
		t.Errorf("the host was asked for %q", h.Calls())
	}
	wantGone(t, k)

	// One that is led to nowhere, and one that answers with anything but TLS.
	for name, c := range map[string]struct {
		dial func(context.Context, sallyport.Endpoint) (net.Conn, error)
		says string
	}{
		"Nowhere": {func(context.Context, sallyport.Endpoint) (net.Conn, error) {
			return nil, &sallyport.RemoteError{Code: sallyport.CodeRefused, Text: "go away"}
		}, "go away"},
		"NoConnection": {func(context.Context, sallyport.Endpoint) (net.Conn, error) { return nil, nil }, "gave no connection"},
		"Echo": {func(context.Context, sallyport.Endpoint) (net.Conn, error) {
			a, b := net.Pipe()
			go func() { io.Copy(b, b); b.Close() }()
			return a, nil
		}, "TLS: "},
		"Silence": {func(context.Context, sallyport.Endpoint) (net.Conn, error) {
			a, b := net.Pipe()
			b.Close()
			return a, nil
		}, "TLS: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, exit, err := deploy(t, &hostiletest.Host{OnDial: c.dial}, job{module: "hello", changes: connects}.deployment(t))
			if err != nil || exit.End != session.EndSetup {
				t.Fatalf("the workload ended with %+v, %v, expected that it does not start", exit, err)
			}
			wantError(t, errors.New(exit.Reason), c.says)
		})
	}
}

// A host that wants to start a Keep twice, or another Keep than it started,
// changes nothing in what the Keep says of itself.
func TestAttackSecondStart(t *testing.T) {
	k := keeptest.Start(t, keeptest.Config{})
	err := k.Host.Start(context.Background(), sallyport.StartConfig{Mode: sallyport.ModePush, Platform: attest.PlatformProcess})
	wantError(t, err, "has started its Keep")
	k.Admit(t)
}

// What a Keep tells its host comes in one order, whatever the workload does:
// each step at most once, the last word last.
func TestAttackLifecycleOrder(t *testing.T) {
	h := &hostiletest.Host{}
	k, _, _, err := deploy(t, h, small(t))
	if err != nil {
		t.Fatal(err)
	}
	wantGone(t, k)
	want := []string{"log boot", "log ready", "log session-open", "quote", "log claimed", "log accepted", "log running", "log ended", "log wiped", "exit ended"}
	got := h.Calls()
	// The quote is a request of its own and may overtake a log.
	slices.SortFunc(got, func(a, b string) int { return slices.Index(want, a) - slices.Index(want, b) })
	if !slices.Equal(got, want) || h.Calls()[len(want)-1] != "exit ended" {
		t.Errorf("the host was told %q, expected %q", h.Calls(), want)
	}
}

// later is what an owner demands of the Keep that runs a deployment.
func later(t *testing.T, k *keeptest.Keep, d client.Deployment, channelKey []byte) client.Demand {
	t.Helper()
	owner := d.Owner.Public()
	hash, err := owner.Hash()
	if err != nil {
		t.Fatal(err)
	}
	digest := [32]byte(d.Digest)
	want := k.Demand(t)
	want.State, want.OwnerKeyHash, want.BundleDigest, want.ChannelKey = attest.StateRunning, &hash, &digest, channelKey
	return want
}

// detached starts a workload that stays: it waits for a connection that the
// test never makes.
func detached(t *testing.T, h *hostiletest.Host, owner *session.OwnerKey) (*keeptest.Keep, client.Deployment, *client.Started) {
	t.Helper()
	d := job{module: "hello", changes: func(p *workload.Package) {
		p.Module = waiting(t)
		p.Config.Files = append(workload.StdFiles(), workload.File{Kind: workload.KindListen, Name: "web", Prot: workload.ProtTCP, Addr: "127.0.0.1", Port: 80})
	}}.deployment(t)
	if owner != nil {
		d.Owner = owner
	}
	d.Stdin, d.Evidence, d.Run.Detached = nil, true, true
	h.OnListen = func(context.Context, sallyport.Endpoint, string) (net.Listener, error) {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	k, st, _, err := deploy(t, h, d)
	if err != nil {
		t.Fatalf("%v; the keep said: %s", err, k.Stderr)
	}
	return k, d, st
}

// An owner's proof is good on the connection that it was made for and nowhere
// else: neither replayed nor relayed by whoever stands between.
func TestAttackOwnerProofOfAnotherConnection(t *testing.T) {
	k, d, _ := detached(t, &hostiletest.Host{}, nil)
	raw := func() *session.Conn {
		c, err := session.Client(k.Tunnel(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	a, b := raw(), raw()
	proof, err := d.Owner.Prove(a.State())
	if err != nil {
		t.Fatal(err)
	}
	steal := func(c *session.Conn, p session.OwnerProof) error {
		hostiletest.Send(c, session.TypeOwner, &p)
		hostiletest.Send(c, session.TypeVerb, &session.Verb{Verb: session.VerbStatus})
		_, err := c.Expect(session.TypeStatus)
		return err
	}
	wantCode(t, steal(b, proof), session.CodeNotOwner, "over this connection")
	forged, err := keeptest.NewOwner(t).Prove(a.State())
	if err != nil {
		t.Fatal(err)
	}
	c := raw()
	wantCode(t, steal(c, forged), session.CodeNotOwner, "over this connection")
	wantCode(t, steal(raw(), session.OwnerProof{Signature: make([]byte, 64)}), session.CodeNotOwner, "over this connection")
	if err := steal(a, proof); err != nil {
		t.Fatalf("the owner's own proof is refused (%v): the test above shows nothing", err)
	}
}

// A man in the middle of an owner's session never gets to see a proof: the
// channel key is pinned, and evidence of the genuine Keep is none of his.
func TestAttackRelayedOwnerSession(t *testing.T) {
	k, d, st := detached(t, &hostiletest.Host{}, nil)
	want := later(t, k, d, st.Running.ChannelKey)
	f := hostiletest.NewFake(t, attest.PlatformSim)
	proofs := 0
	wire, tunnel := hostiletest.Tap(f.Serve(t, func(c *session.Conn) {
		hostiletest.Await(c, session.TypeHello)
		hostiletest.Send(c, session.TypeEvidence, evidenceOf(t, k))
		if hostiletest.Await(c, session.TypeOwner) != nil {
			proofs++
		}
	}), nil)
	s := connect(t, tunnel)
	_, err := s.Appraise(want)
	wantRow(t, err, "channel key")
	wantRow(t, err, "sim.report-data")
	tryEverything(t, "after a relayed owner session", s, wire)
	s.Close()
	wire.Wait()
	if proofs > 0 {
		t.Error("the man in the middle got a proof")
	}
	// Through an honest tunnel the same demand is met.
	good := k.Connect(t)
	if _, err := good.Appraise(want); err != nil {
		t.Fatal(err)
	}
	if _, err := good.Stop(context.Background(), d.Owner); err != nil {
		t.Fatal(err)
	}
}

// The record of a workload's end is opened by its owner only if it is this
// deployment's: not another's, not an earlier one's of the same owner, not part
// of one.
func TestAttackReplacedRecord(t *testing.T) {
	owner := keeptest.NewOwner(t)
	record := func(owner *session.OwnerKey) ([]byte, *client.Started) {
		k, d, st := detached(t, &hostiletest.Host{}, owner)
		s := k.Connect(t)
		if _, err := s.Appraise(later(t, k, d, st.Running.ChannelKey)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Stop(context.Background(), owner); err != nil {
			t.Fatal(err)
		}
		wantGone(t, k)
		return k.Spooled(), st
	}
	old, _ := record(owner)
	now, st := record(owner)
	anothers, _ := record(keeptest.NewOwner(t))
	key := st.Running.ChannelKey
	if rec, err := client.OpenRecord(now, owner, key); err != nil || rec.Exit.End != session.EndStopped {
		t.Fatalf("the right record: %+v, %v", rec, err)
	}
	for _, c := range []struct {
		name, says string
		sealed     []byte
	}{
		{"OldOne", "not signed by the channel key that was attested", old},
		{"AnotherDeployments", "does not open with this owner key", anothers},
		{"Lost", "does not open", nil},
		{"Short", "does not open", now[:len(now)-1]},
		{"Long", "does not open", append(bytes.Clone(now), 0)},
		{"Random", "does not open", bytes.Repeat([]byte{7}, len(now))},
		{"Endless", "at most", make([]byte, session.MaxSealedRecord+1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec, err := client.OpenRecord(c.sealed, owner, key)
			if rec != nil {
				t.Error("there is a record beside the error")
			}
			wantError(t, err, c.says)
		})
	}
}

// A host that refuses the record or never answers cannot keep the Keep alive.
func TestAttackSpoolRefused(t *testing.T) {
	h := &hostiletest.Host{OnSpool: func(context.Context, []byte) error { return errors.New("no room") }}
	k, d, st := detached(t, h, nil)
	s := k.Connect(t)
	if _, err := s.Appraise(later(t, k, d, st.Running.ChannelKey)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stop(context.Background(), d.Owner); err != nil {
		t.Fatal(err)
	}
	wantGone(t, k)
	if slices.Contains(h.Calls(), "log spooled") {
		t.Error("the Keep says it has spooled a record that was refused")
	}
}
