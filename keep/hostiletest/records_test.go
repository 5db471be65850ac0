// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/hostiletest"
	"github.com/enarx/enarx-go/keep/keeptest"
)

// Records of application data, counted from the handshake on: the client's
// first is its Finished, the Keep's first four are the rest of its flight.
const (
	clientHello  = 1 // the request for evidence
	clientClaim  = 2
	clientHeader = 3 // of the bundle
	clientData   = 4 // the first one; a large frame takes four records

	keepEvidence = 4
	keepClaimed  = 5
	keepAccepted = 6
	keepRunning  = 7
	keepOutput   = 8 // credit, output, the end
)

// at makes a hook that does something to one record of one side.
func at(from hostiletest.Side, n int, change func(w *hostiletest.Wire, b []byte) [][]byte) hostiletest.Hook {
	return func(w *hostiletest.Wire, r hostiletest.Record) [][]byte {
		if r.From == from && r.Type == hostiletest.RecordData && r.N == n {
			return change(w, r.Bytes)
		}
		return [][]byte{r.Bytes}
	}
}

// swapped holds one record back until the next has passed.
func swapped(from hostiletest.Side, n int) hostiletest.Hook {
	var held []byte
	return func(_ *hostiletest.Wire, r hostiletest.Record) [][]byte {
		switch {
		case r.From != from || r.Type != hostiletest.RecordData:
		case r.N == n:
			held = r.Bytes
			return nil
		case r.N == n+1:
			return [][]byte{r.Bytes, held}
		}
		return [][]byte{r.Bytes}
	}
}

func flipped(i int) func(*hostiletest.Wire, []byte) [][]byte {
	return func(_ *hostiletest.Wire, b []byte) [][]byte {
		b[(i+len(b))%len(b)] ^= 1
		return [][]byte{b}
	}
}

func twice(_ *hostiletest.Wire, b []byte) [][]byte { return [][]byte{b, bytes.Clone(b)} }

func dropped(*hostiletest.Wire, []byte) [][]byte { return nil }

func replaced(by ...byte) func(*hostiletest.Wire, []byte) [][]byte {
	return func(*hostiletest.Wire, []byte) [][]byte { return [][]byte{by} }
}

// replayed sends record n of the Keep once more, in place of another.
func replayed(n int) func(*hostiletest.Wire, []byte) [][]byte {
	return func(w *hostiletest.Wire, _ []byte) [][]byte {
		for _, r := range w.Records(hostiletest.Keep) {
			if r.Type == hostiletest.RecordData && r.N == n {
				return [][]byte{r.Bytes}
			}
		}
		return nil
	}
}

// cut forwards the first part of a record and closes the tunnel.
func cut(from hostiletest.Side, part int) func(*hostiletest.Wire, []byte) [][]byte {
	return func(w *hostiletest.Wire, b []byte) [][]byte {
		w.Forward(from, b[:len(b)*part/2])
		w.Cut()
		return nil
	}
}

// deployThrough connects, appraises and deploys through a hook and returns the
// first error.
func deployThrough(t *testing.T, k *keeptest.Keep, hook hostiletest.Hook, d client.Deployment) error {
	t.Helper()
	wire, tunnel := hostiletest.Tap(k.Tunnel(t), hook)
	defer wire.Wait()
	return toTheEnd(t, k, tunnel, func(c *client.Deployment) { *c = d })
}

// toTheEnd connects through a tunnel, appraises and deploys, and returns the
// first error, which there must be.
func toTheEnd(t *testing.T, k *keeptest.Keep, tunnel net.Conn, change func(*client.Deployment)) error {
	t.Helper()
	d := large(t)
	change(&d)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := client.Connect(ctx, tunnel)
	if err != nil {
		return err
	}
	defer s.Close()
	defer tunnel.Close()
	if _, err := s.Appraise(k.Demand(t)); err != nil {
		return err
	}
	_, exit, err := s.Deploy(ctx, d, client.Demand{})
	if err == nil {
		t.Fatalf("the deployment was a success: %+v", exit)
	}
	return err
}

// large is a workload whose bundle takes many records.
func large(t testing.TB) client.Deployment { return job{module: "hello", fill: 800_000}.deployment(t) }

type recordAttack struct {
	name string
	hook hostiletest.Hook
	step string   // where the client says it happened
	what []string // one of these is what it says happened
}

const mac = "bad record MAC"

// Whatever a host does to records before the claim, TLS shows it, the client
// says at which step, and the Keep serves the next client.
func TestInvariant2NothingLeavesBeforeAppraisal_Records(t *testing.T) {
	const evidence, claim = "before its evidence came", "while the keep was being claimed"
	k := keeptest.Start(t, keeptest.Config{})
	for _, a := range []recordAttack{
		{"HandshakeFlipped", at(hostiletest.Keep, 1, flipped(50)), "handshake", []string{mac}},
		{"HandshakeCut", at(hostiletest.Keep, 1, cut(hostiletest.Keep, 1)), "handshake", []string{"EOF"}},
		{"HandshakeGarbage", at(hostiletest.Keep, 0, replaced([]byte("HTTP/1.1 200 OK\r\n\r\n")...)), "handshake", []string{"version"}},
		{"RequestFlipped", at(hostiletest.Client, clientHello, flipped(100)), evidence, []string{mac}},
		{"RequestTwice", at(hostiletest.Client, clientHello, twice), claim, []string{mac}},
		{"RequestCut", at(hostiletest.Client, clientHello, cut(hostiletest.Client, 1)), evidence, []string{"EOF", "closed"}},
		{"EvidenceFlipped", at(hostiletest.Keep, keepEvidence, flipped(100)), evidence, []string{mac}},
		{"EvidenceTagFlipped", at(hostiletest.Keep, keepEvidence, flipped(-1)), evidence, []string{mac}},
		{"EvidenceCut", at(hostiletest.Keep, keepEvidence, cut(hostiletest.Keep, 1)), evidence, []string{"EOF"}},
		{"EvidenceNever", at(hostiletest.Keep, keepEvidence, cut(hostiletest.Keep, 0)), evidence, []string{"EOF"}},
		{"PlainAlert", at(hostiletest.Keep, keepEvidence, replaced(21, 3, 3, 0, 2, 1, 0)), evidence, []string{mac}},
		{"PlainData", at(hostiletest.Keep, keepEvidence, replaced(append([]byte{23, 3, 3, 1, 0}, make([]byte, 256)...)...)), evidence, []string{mac}},
		{"OversizedRecord", at(hostiletest.Keep, keepEvidence, replaced(append([]byte{23, 3, 3, 0xff, 0xff}, make([]byte, 0xffff)...)...)), evidence, []string{"oversized record"}},
		{"EmptyRecords", at(hostiletest.Keep, keepEvidence, replaced(bytes.Repeat([]byte{23, 3, 3, 0, 0}, 1000)...)), evidence, []string{mac}},
	} {
		t.Run(a.name, func(t *testing.T) {
			err := deployThrough(t, k, a.hook, small(t))
			a.check(t, err)
		})
	}
	k.Admit(t) // after all that it is still there, empty
}

func (a recordAttack) check(t *testing.T, err error) {
	t.Helper()
	wantError(t, err, a.step)
	for _, w := range a.what {
		if strings.Contains(err.Error(), w) {
			return
		}
	}
	t.Errorf("got %v, expected one of %q", err, a.what)
}

// After the claim a session that is meddled with ends, and the Keep with it:
// it has an owner and is of no use to anybody else.
func TestInvariant3HostSeesCiphertext_Records(t *testing.T) {
	const claim, bundle, before, running = "while the keep was being claimed", "the bundle", "before the workload ran", "while the workload ran"
	// The client of a bundle that was damaged on the way hears of it from the
	// Keep, or finds that nobody listens any more.
	gone := []string{mac, "EOF", "closed", "reset"}
	for _, a := range []recordAttack{
		{"EvidenceTwice", at(hostiletest.Keep, keepEvidence, twice), claim, []string{mac}},
		{"ClaimedFlipped", at(hostiletest.Keep, keepClaimed, flipped(77)), claim, []string{mac}},
		{"BundleFlipped", at(hostiletest.Client, clientData+9, flipped(1000)), bundle, gone},
		{"BundleHeaderTwice", at(hostiletest.Client, clientHeader, twice), bundle, gone},
		{"BundleRecordTwice", at(hostiletest.Client, clientData+9, twice), bundle, gone},
		{"BundleRecordDropped", at(hostiletest.Client, clientData+9, dropped), bundle, gone},
		{"BundleRecordsSwapped", swapped(hostiletest.Client, clientData+9), bundle, gone},
		{"BundleCut", at(hostiletest.Client, clientData+9, cut(hostiletest.Client, 1)), bundle, gone},
		{"AcceptedReplayedClaimed", at(hostiletest.Keep, keepAccepted, replayed(keepClaimed)), bundle, []string{mac}},
		{"AcceptedTwice", at(hostiletest.Keep, keepAccepted, twice), before, []string{mac}},
		{"RunningFlipped", at(hostiletest.Keep, keepRunning, flipped(9)), before, []string{mac}},
		{"OutputFlipped", at(hostiletest.Keep, keepOutput, flipped(9)), running, []string{mac}},
		{"OutputTwice", at(hostiletest.Keep, keepOutput, twice), running, []string{mac}},
		{"OutputsSwapped", swapped(hostiletest.Keep, keepOutput+1), running, []string{mac}},
		{"OutputCut", at(hostiletest.Keep, keepOutput+1, cut(hostiletest.Keep, 1)), running, []string{"EOF"}},
		{"OutputEndsEarly", at(hostiletest.Keep, keepOutput+1, cut(hostiletest.Keep, 0)), running, []string{"EOF"}},
	} {
		t.Run(a.name, func(t *testing.T) {
			k := keeptest.Start(t, keeptest.Config{})
			a.check(t, deployThrough(t, k, a.hook, large(t)))
			wantGone(t, k)
		})
	}
}
