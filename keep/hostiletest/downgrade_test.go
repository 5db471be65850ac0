// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/hostiletest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
)

var platforms = []string{
	attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX, attest.PlatformVTPM,
	attest.PlatformVM, attest.PlatformProcess, attest.PlatformSim,
}

// answers are what a host may answer to a request for evidence. honest says
// that it is what an honest empty Keep of platform sim would answer.
var answers = []struct {
	name   string
	honest bool
	none   bool // an answer without evidence, in order otherwise
	answer func(t *testing.T, f *hostiletest.Fake, c *session.Conn) any
}{
	{name: "GoodSimEvidence", honest: true, answer: func(t *testing.T, f *hostiletest.Fake, c *session.Conn) any {
		m := f.Empty(t)
		f.Attest(t, c, m)
		return m
	}},
	{name: "NoEvidence", none: true, answer: func(t *testing.T, f *hostiletest.Fake, c *session.Conn) any { return f.Empty(t) }},
	{name: "NoEvidenceAndClaimed", answer: func(t *testing.T, f *hostiletest.Fake, c *session.Conn) any {
		m := f.Empty(t)
		m.State = attest.StateClaimed
		return m
	}},
	{name: "NoEvidenceAndOtherStart", answer: func(t *testing.T, f *hostiletest.Fake, c *session.Conn) any {
		m := f.Empty(t)
		m.StartConfigDigest[0] ^= 1
		return m
	}},
	{name: "Unsigned", answer: func(t *testing.T, f *hostiletest.Fake, c *session.Conn) any {
		m := f.Empty(t)
		f.Attest(t, c, m)
		clear(m.Evidence.Value[0x2a0:])
		return m
	}},
	{name: "UnknownType", answer: func(t *testing.T, f *hostiletest.Fake, c *session.Conn) any {
		m := f.Empty(t)
		m.Evidence = attest.Evidence{MediaType: "application/vnd.enarx.believe-me", Value: []byte("yes")}
		return m
	}},
	{name: "OtherType", answer: func(t *testing.T, f *hostiletest.Fake, c *session.Conn) any {
		m := f.Empty(t)
		f.Attest(t, c, m)
		m.Evidence.MediaType = "application/vnd.enarx.tdx-quote"
		return m
	}},
	{name: "NoHints", answer: func(t *testing.T, f *hostiletest.Fake, c *session.Conn) any {
		m := f.Empty(t)
		f.Attest(t, c, m)
		m.Hints = nil
		return m
	}},
	{name: "Refused", answer: func(*testing.T, *hostiletest.Fake, *session.Conn) any {
		return &session.Refused{Code: session.CodeEvidence, Text: "no quote today"}
	}},
	{name: "Garbage", answer: func(*testing.T, *hostiletest.Fake, *session.Conn) any { return []byte("garbage") }},
	{name: "Empty", answer: func(*testing.T, *hostiletest.Fake, *session.Conn) any { return []byte{} }},
}

// options are the demands of a client; ok says whether evidence that is good
// can be enough for it.
var options = []struct {
	name   string
	ok     bool
	change func(d *client.Demand)
}{
	{"Full", true, func(*client.Demand) {}},
	{"NoVerifier", false, func(d *client.Demand) { d.Verifiers = nil }},
	{"NoMeasurement", false, func(d *client.Demand) { d.Measurements = nil }},
	{"OtherMeasurement", false, func(d *client.Demand) { d.Measurements[0].Measurement = bytes.Repeat([]byte{1}, 48) }},
	{"EmptyMeasurement", false, func(d *client.Demand) { d.Measurements[0].Measurement = nil }},
	{"MeasurementOfOtherPlatform", false, func(d *client.Demand) { d.Measurements[0].Platform = attest.PlatformSNP }},
	{"TCBFloor", false, func(d *client.Demand) { d.TCB.Floors = []attest.TCBFloor{{Min: map[string]uint64{"microcode": 255}}} }},
	{"UnknownTCBFloor", false, func(d *client.Demand) { d.TCB.Floors = []attest.TCBFloor{{Min: map[string]uint64{"nosuchpart": 0}}} }},
	{"DecidesNo", false, func(d *client.Demand) {
		d.Decide = func(*attest.Claims, attest.Verdict) error { return errors.New("policy says no") }
	}},
	{"NoDecision", false, func(d *client.Demand) { d.Decide = nil }},
	{"BeforeTheCertificates", false, func(d *client.Demand) { d.At = d.At.AddDate(-1, 0, 0) }},
	{"AfterTheCertificates", false, func(d *client.Demand) { d.At = d.At.AddDate(20, 0, 0) }},
	{"WantsRunning", false, func(d *client.Demand) {
		d.State, d.OwnerKeyHash, d.BundleDigest = attest.StateRunning, &[32]byte{1}, &[32]byte{2}
	}},
	{"WantsRunningAndPins", false, func(d *client.Demand) {
		d.State, d.OwnerKeyHash, d.BundleDigest, d.ChannelKey = attest.StateRunning, &[32]byte{1}, &[32]byte{2}, []byte("another keep")
	}},
	{"WantsNoState", false, func(d *client.Demand) { d.State = "" }},
	{"PinsAnotherKeep", false, func(d *client.Demand) { d.ChannelKey = []byte("another keep") }},
	{"ZeroDemand", false, func(d *client.Demand) { *d = client.Demand{Platform: d.Platform} }},
	{"NothingAtAll", false, func(d *client.Demand) { *d = client.Demand{} }},
}

// For every platform, every answer and every demand: a Keep is admitted only
// where the demand is full and the answer is its platform's, or where the user
// has named a platform without evidence together with the danger. After
// everything else no method of the session sends one byte.
func TestInvariant1NoSilentDowngrade(t *testing.T) {
	admitted, refused := 0, 0
	for _, platform := range platforms {
		for _, o := range options {
			for _, insecure := range []bool{false, true} {
				d := demand(t, platform)
				o.change(&d)
				d.InsecureNoTEE = insecure
				noTEE := platform == attest.PlatformProcess || platform == attest.PlatformVM
				for _, a := range answers {
					want := o.ok && platform == attest.PlatformSim && a.honest
					if a.none && noTEE && insecure && d.Platform == platform && d.ChannelKey == nil && d.State == attest.StateEmpty {
						want = true
					}
					got := downgrade(t, platform, d, a.answer, fmt.Sprintf("%s/%s/%s/insecure=%v", platform, o.name, a.name, insecure))
					if got != want {
						t.Errorf("%s, demand %s, insecure %v, answer %s: admitted is %v, expected %v", platform, o.name, insecure, a.name, got, want)
					}
					if got {
						admitted++
					} else {
						refused++
					}
				}
			}
		}
	}
	t.Logf("%d combinations refused, %d admitted", refused, admitted)
	if admitted == 0 || refused < 2000 {
		t.Errorf("%d admitted, %d refused: this test shows nothing", admitted, refused)
	}
}

// downgrade appraises one answer, and says whether it was enough. If not, every
// method is tried, and not a byte may leave.
func downgrade(t *testing.T, platform string, d client.Demand, answer func(*testing.T, *hostiletest.Fake, *session.Conn) any, name string) bool {
	t.Helper()
	f := impostors(t, platform)
	tunnel := f.Serve(t, func(c *session.Conn) {
		if hostiletest.Await(c, session.TypeHello) == nil {
			return
		}
		typ, v := session.TypeEvidence, answer(t, f, c)
		if _, ok := v.(*session.Refused); ok {
			typ = session.TypeRefused
		}
		hostiletest.Send(c, typ, v)
		c.ReadMessage()
	})
	wire, tunnel := hostiletest.Tap(tunnel, nil)
	s, err := client.Connect(context.Background(), tunnel)
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Wait()
	defer s.Close()
	a, err := s.Appraise(d)
	if err == nil {
		if (a.Claims == nil) == (a.Unattested == nil) {
			t.Errorf("%s: admitted with claims %v and unattested %v, expected exactly one", name, a.Claims, a.Unattested)
		}
		wantHonestWords(t, name, a)
		return true
	}
	if a != nil {
		t.Errorf("%s: both an appraisal and an error", name)
	}
	tryEverything(t, name, s, wire)
	return false
}

// wantHonestWords demands that a Keep which the host can see into says so.
func wantHonestWords(t *testing.T, name string, a *client.Appraisal) {
	t.Helper()
	for _, row := range a.Verdict {
		if row.Outcome == attest.Pass {
			t.Errorf("%s: row %s reads %q on a platform that proves nothing", name, row.Check, row.Outcome)
		}
	}
	exposed := false
	for _, l := range a.Statement {
		exposed = exposed || l.Standing == attest.StandExposed || l.Standing == attest.StandSimulated
		if l.Standing == attest.StandVerified || l.Standing == attest.StandExcluded {
			t.Errorf("%s: the trust statement says that layer %s is %s", name, l.Layer, l.Standing)
		}
	}
	if !exposed {
		t.Errorf("%s: the trust statement names nothing as exposed", name)
	}
}

var owner *session.OwnerKey

// tryEverything calls all that could send something on a session that was not
// admitted.
func tryEverything(t *testing.T, name string, s *client.Session, wire *hostiletest.Wire) {
	t.Helper()
	if owner == nil {
		owner = keeptest.NewOwner(t)
	}
	ctx := context.Background()
	before := wire.Sent(hostiletest.Client)
	for method, call := range map[string]func() error{
		"Deploy": func() error {
			_, _, err := s.Deploy(ctx, client.Deployment{Owner: owner, Bundle: []byte("bundle")}, client.Demand{})
			return err
		},
		"Status": func() error { _, err := s.Status(owner); return err },
		"Stop":   func() error { _, err := s.Stop(ctx, owner); return err },
		"Logs":   func() error { _, err := s.Logs(ctx, owner, true, nil, nil, nil); return err },
		"Attach": func() error { _, err := s.Attach(ctx, owner, nil, nil, nil); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "nothing is sent") {
			t.Errorf("%s: %s after the refusal: %v", name, method, err)
		}
	}
	if after := wire.Sent(hostiletest.Client); after != before {
		t.Errorf("%s: %d bytes left the client after the refusal", name, after-before)
	}
}

var fakes = map[string]*hostiletest.Fake{}

// impostors keeps one impostor for each platform; all own the named root.
func impostors(t *testing.T, platform string) *hostiletest.Fake {
	if fakes[platform] == nil {
		fakes[platform] = owned(t, platform)
	}
	return fakes[platform]
}

// Without an appraisal nothing is sent, and a second appraisal that fails takes
// back the first.
func TestInvariant1NoSilentDowngrade_OrderOfCalls(t *testing.T) {
	f := owned(t, attest.PlatformSim)
	tunnel := f.Serve(t, func(c *session.Conn) {
		for n := 0; hostiletest.Await(c, session.TypeHello) != nil; n++ {
			m := f.Empty(t)
			if n == 1 {
				hostiletest.Send(c, session.TypeEvidence, m)
				continue
			}
			var known attest.Known
			if n == 2 {
				m.State, known = attest.StateRunning, attest.Known{OwnerKeyHash: &[32]byte{1}, BundleDigest: &[32]byte{2}}
			}
			f.AttestAs(t, c, m, known)
			hostiletest.Send(c, session.TypeEvidence, m)
		}
	})
	wire, tunnel := hostiletest.Tap(tunnel, nil)
	s := connect(t, tunnel)
	tryEverything(t, "before any appraisal", s, wire)
	d := demand(t, attest.PlatformSim)
	if _, err := s.Appraise(d); err != nil {
		t.Fatal(err)
	}
	_, err := s.Appraise(d)
	wantRow(t, err, "evidence")
	tryEverything(t, "after an appraisal and a refusal", s, wire)

	// An appraisal for an owner's later session is none for a deployment.
	d.State, d.OwnerKeyHash, d.BundleDigest, d.ChannelKey = attest.StateRunning, &[32]byte{1}, &[32]byte{2}, f.ChannelSPKI
	if _, err := s.Appraise(d); err != nil {
		t.Fatal(err)
	}
	before := wire.Sent(hostiletest.Client)
	_, _, err = s.Deploy(context.Background(), client.Deployment{Owner: owner, Bundle: []byte("bundle")}, client.Demand{})
	wantError(t, err, "not appraised as an empty one; nothing is sent")
	if after := wire.Sent(hostiletest.Client); after != before {
		t.Errorf("%d bytes left the client", after-before)
	}
}

// A real Keep of each platform, asked for every other platform.
func TestInvariant1NoSilentDowngrade_RealKeepOfAnotherPlatform(t *testing.T) {
	for _, real := range []string{attest.PlatformProcess, attest.PlatformSim} {
		k := keeptest.Start(t, keeptest.Config{Platform: real})
		for _, asked := range platforms {
			for _, insecure := range []bool{false, true} {
				if asked == real && (insecure || real == attest.PlatformSim) {
					continue
				}
				t.Run(fmt.Sprintf("%sAnswersFor%s_%v", real, asked, insecure), func(t *testing.T) {
					d := k.Demand(t)
					d.Platform, d.InsecureNoTEE = asked, insecure
					_, err := k.Connect(t).Appraise(d)
					row := "start configuration"
					if asked == real {
						row = "evidence"
					}
					wantRow(t, err, row)
				})
			}
		}
	}
}

// A demand for a running Keep that does not say which one is no demand: a Keep
// of the host's choosing would fit it, with good evidence or with none.
func TestInvariant1NoSilentDowngrade_RunningKeepIsPinned(t *testing.T) {
	hash, digest := [32]byte{1}, [32]byte{2}
	for _, platform := range []string{attest.PlatformSim, attest.PlatformProcess} {
		f := owned(t, platform)
		appraise := func(change func(*client.Demand)) (*client.Appraisal, error) {
			d := demand(t, platform)
			d.InsecureNoTEE = platform == attest.PlatformProcess
			d.State, d.OwnerKeyHash, d.BundleDigest, d.ChannelKey = attest.StateRunning, &hash, &digest, f.ChannelSPKI
			change(&d)
			wire, tunnel := hostiletest.Tap(f.Serve(t, func(c *session.Conn) {
				hostiletest.Await(c, session.TypeHello)
				m := f.Empty(t)
				m.State = attest.StateRunning
				if platform == attest.PlatformSim {
					f.AttestAs(t, c, m, attest.Known{OwnerKeyHash: &hash, BundleDigest: &digest})
				}
				hostiletest.Send(c, session.TypeEvidence, m)
				c.ReadMessage()
			}), nil)
			s := connect(t, tunnel)
			a, err := s.Appraise(d)
			if err != nil {
				tryEverything(t, "after a demand that is none", s, wire)
			}
			return a, err
		}
		a, err := appraise(func(*client.Demand) {})
		if err != nil {
			t.Fatalf("%s: the full demand is not met (%v): the refusals below show nothing", platform, err)
		}
		// Without evidence nothing was compared, and the rows say so.
		want := attest.Simulated
		if platform == attest.PlatformProcess {
			want = attest.Skipped
		}
		for _, check := range []string{"owner key", "bundle digest"} {
			i := slices.IndexFunc(a.Verdict, func(r attest.Row) bool { return r.Check == check })
			if i < 0 || a.Verdict[i].Outcome != want {
				t.Errorf("%s: row %q does not read %s: %+v", platform, check, want, a.Verdict)
			}
		}
		for words, change := range map[string]func(*client.Demand){
			"nothing pins the keep":       func(d *client.Demand) { d.ChannelKey = nil },
			"pins the keep: the channel":  func(d *client.Demand) { d.ChannelKey = []byte{} },
			"owner or bundle of the":      func(d *client.Demand) { d.OwnerKeyHash = nil },
			"bundle of the deployment is": func(d *client.Demand) { d.BundleDigest = nil },
			"state \"\" is demanded":      func(d *client.Demand) { d.State = "" },
			"state \"claimed\"":           func(d *client.Demand) { d.State = attest.StateClaimed },
			"demanded of an empty keep":   func(d *client.Demand) { d.State = attest.StateEmpty },
		} {
			_, err := appraise(change)
			wantError(t, err, words)
			wantError(t, err, "internal error")
		}
	}
}
