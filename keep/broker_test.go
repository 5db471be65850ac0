// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/keep/child"
	"github.com/enarx/enarx-go/keep/quote"
	"github.com/enarx/enarx-go/workload"
)

// signer counts what it was asked to sign.
type signer struct {
	asked [][64]byte
	err   error
}

func (s *signer) Quote(_ context.Context, rd [64]byte) (attest.Evidence, attest.Collateral, error) {
	s.asked = append(s.asked, rd)
	return attest.Evidence{MediaType: attest.MediaTypeSNP, Value: rd[:]}, nil, s.err
}

// The parent grants evidence by the bundle that it has read itself, whatever an
// engine child that is the attacker's asks for.
func TestInvariant11EvidenceNeedsAGrant(t *testing.T) {
	s := &signer{}
	k := &Keep{ctx: t.Context(), quotes: quote.NewBatcher(s), bundleD: [32]byte{1}, ownerH: [32]byte{2}}
	b, theirs, err := k.newBroker(workload.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	defer func() { child.NewControl(theirs).Close() }()
	if _, err := b.evidence([64]byte{3}); !errors.Is(err, errDenied) || len(s.asked) != 0 {
		t.Errorf("without a grant: %v, %d quotes", err, len(s.asked))
	}
	b.cfg.Evidence = true
	if _, err := b.evidence([64]byte{3}); err != nil {
		t.Error(err)
	}
	if want := attest.WorkloadReportData(k.bundleD, k.ownerH, [64]byte{3}); len(s.asked) != 1 || s.asked[0] != want {
		t.Errorf("signed %x, want %x", s.asked, want)
	}
	s.err = errors.New("broken")
	if _, err := b.evidence([64]byte{3}); refusal(err) != child.RefusedFailed {
		t.Errorf("a broken source: %v", err)
	}
	// After the end nothing is quoted any more.
	n := len(s.asked)
	b.close()
	b.pace = pace{burst: 0, every: time.Hour}
	if _, err := b.evidence([64]byte{3}); err == nil || len(s.asked) != n {
		t.Errorf("after the end: %v, %d quotes more", err, len(s.asked)-n)
	}
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pace{burst: 3, every: time.Second}
		begin := time.Now()
		wait := func(want time.Duration) {
			t.Helper()
			if err := p.wait(t.Context()); err != nil || time.Since(begin) != want {
				t.Errorf("%v after %v, want %v", err, time.Since(begin), want)
			}
		}
		for _, want := range []time.Duration{0, 0, 0, 1, 2} {
			wait(want * time.Second)
		}
		// A rest gives the burst back, and no more than it.
		time.Sleep(time.Hour)
		begin = time.Now()
		for _, want := range []time.Duration{0, 0, 0, 1} {
			wait(want * time.Second)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := p.wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
