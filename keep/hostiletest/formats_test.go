// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest_test

import (
	"context"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sim/simhw"
	"github.com/enarx/enarx-go/keep/hostiletest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/sallyport"
)

// The shapes of evidence besides that of SNP, with the rows that fail under the
// attacks below.
var shapes = []struct {
	format     string
	reportData int // where the report data stands, so that one bit of it is changed
	changed    string
	noHints    string // "" means that the evidence brings all it needs
}{
	{attest.PlatformTDX, 48 + 520, "sim.signature", "sim.revocation"},
	{attest.PlatformSGX, 48 + 320, "sim.signature", "sim.revocation"},
	{attest.PlatformNitro, -60, "sim.signature", ""},         // in the signature, at the end
	{attest.PlatformVTPM, 150, "sim.signature", "sim.chain"}, // in the quote, after the key of 90 bytes
}

// A Keep whose evidence has another shape is as good as one with SNP's, and its
// host can do no more: change the evidence, have other data signed, bring
// evidence of another shape, or keep back or exchange what belongs to it.
func TestInvariant1NoSilentDowngrade_EveryShapeOfEvidence(t *testing.T) {
	for _, x := range shapes {
		t.Run(x.format, func(t *testing.T) {
			var change func(context.Context, [64]byte) ([]byte, error)
			h := &hostiletest.Host{}
			h.OnQuote = func(ctx context.Context, rd [64]byte) ([]byte, error) { return change(ctx, rd) }
			k := keeptest.Start(t, keeptest.Config{Format: x.format, Handler: h.Wrap})
			honest := func(ctx context.Context, rd [64]byte) ([]byte, error) { return h.Honest.Quote(ctx, rd) }
			attack := func(row string, f func(context.Context, [64]byte) ([]byte, error)) {
				t.Helper()
				change = f
				_, err := k.Connect(t).Appraise(k.Demand(t))
				wantRow(t, err, row)
			}
			attack("sim.report-data", func(ctx context.Context, rd [64]byte) ([]byte, error) {
				rd[0] ^= 1
				return honest(ctx, rd)
			})
			attack(x.changed, func(ctx context.Context, rd [64]byte) ([]byte, error) {
				b, err := honest(ctx, rd)
				if err == nil {
					b[(x.reportData+len(b))%len(b)] ^= 1
				}
				return b, err
			})
			attack("sim.format", func(ctx context.Context, rd [64]byte) ([]byte, error) {
				b, err := honest(ctx, rd)
				return append(b, 1), err
			})
			attack("sim.chain", func(_ context.Context, rd [64]byte) ([]byte, error) {
				ev, err := foreignAuthority(t).Evidence(x.format, simhw.Spec{ReportData: rd, Measurement: measured}, time.Now())
				return ev.Value, err
			})
			change = honest
			if x.noHints != "" {
				send(t, k, nil)
				_, err := k.Connect(t).Appraise(k.Demand(t))
				wantRow(t, err, x.noHints)
			}
			// The collateral of another vendor beside genuine evidence.
			foreign, err := foreignAuthority(t).Collateral(x.format)
			if err != nil {
				t.Fatal(err)
			}
			send(t, k, foreign)
			if _, err := k.Connect(t).Appraise(k.Demand(t)); len(foreign) != 0 {
				wantRow(t, err, "sim.chain")
			}
			own, err := keeptest.Authority(t).Collateral(x.format)
			if err != nil {
				t.Fatal(err)
			}
			send(t, k, own)
			k.Admit(t)
		})
	}
}

func send(t *testing.T, k *keeptest.Keep, col attest.Collateral) {
	t.Helper()
	var hints []sallyport.Hint
	for _, e := range col {
		hints = append(hints, sallyport.Hint(e))
	}
	if err := k.Host.SendHints(t.Context(), hints); err != nil {
		t.Fatal(err)
	}
}

// Evidence of one shape under the name of another, from whoever has the root's
// own keys: it does not parse, and nothing leaves the client.
func TestAttackShapeUnderAnotherName(t *testing.T) {
	a := keeptest.Authority(t)
	media := map[string]string{"snp": attest.MediaTypeSNP, "tdx": attest.MediaTypeTDX, "sgx": attest.MediaTypeSGX, "nitro": attest.MediaTypeNitro, "vtpm": attest.MediaTypeTPM}
	for _, is := range a.Formats() {
		for _, named := range a.Formats() {
			if media[named] == "" {
				t.Fatalf("no media type for shape %s", named)
			}
			if is == named {
				continue
			}
			f := owned(t, attest.PlatformSim)
			f.Sign = func(rd [64]byte, hd [32]byte) ([]byte, error) {
				ev, err := a.Evidence(is, simhw.Spec{ReportData: rd, Measurement: measured, HostData: hd}, time.Now())
				return ev.Value, err
			}
			wantRow(t, offer(t, f, demand(t, attest.PlatformSim), func(c *session.Conn) *attest.EvidenceMessage {
				m := f.Empty(t)
				f.Attest(t, c, m)
				m.Evidence.MediaType = media[named]
				return m
			}), "sim.format")
		}
	}
}
