// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sim/simhw"
)

// hardware signs nothing: its evidence is the report data itself.
type hardware struct {
	takes time.Duration
	err   error

	mu     sync.Mutex
	at     []time.Time
	active int
	most   int
}

func (h *hardware) Quote(ctx context.Context, rd [64]byte) (attest.Evidence, attest.Collateral, error) {
	h.mu.Lock()
	h.at = append(h.at, time.Now())
	h.active++
	h.most = max(h.most, h.active)
	h.mu.Unlock()
	defer func() { h.mu.Lock(); h.active--; h.mu.Unlock() }()
	select {
	case <-time.After(h.takes):
	case <-ctx.Done():
		return attest.Evidence{}, nil, ctx.Err()
	}
	if h.err != nil {
		return attest.Evidence{}, nil, h.err
	}
	return attest.Evidence{MediaType: "application/test", Value: rd[:]}, nil, nil
}

func leafOf(i int) [64]byte {
	return sha512.Sum512(binary.BigEndian.AppendUint32([]byte("leaf"), uint32(i)))
}

// check walks from a leaf to the report data that the hardware has signed, as
// a verifier does.
func check(leaf [64]byte, q Quoted) error {
	root, err := attest.RootFromPath(leaf, q.Index, q.Count, q.Path)
	if err != nil {
		return err
	}
	rd := attest.ReportData(q.Count, root)
	if string(rd[:]) != string(q.Evidence.Value) {
		return fmt.Errorf("leaf %d of %d does not lead to what was signed", q.Index, q.Count)
	}
	return nil
}

// ask has n sessions wait at once and checks what each gets.
func ask(t *testing.T, b *Batcher, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			leaf := leafOf(i)
			q, err := b.Quote(t.Context(), leaf)
			if err == nil {
				err = check(leaf, q)
			}
			if err != nil {
				t.Errorf("session %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

func TestTwoHundredSessionsShareQuotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hardware{takes: time.Second}
		b := NewBatcher(h)
		begin := time.Now()
		ask(t, b, 200)
		t.Logf("200 sessions took %d quotes and %v", b.Quotes(), time.Since(begin))
		if n := b.Quotes(); n > 2 || uint64(len(h.at)) != n {
			t.Errorf("%d quotes for 200 sessions, the hardware made %d", n, len(h.at))
		}
		if d := time.Since(begin); d > 2*time.Second {
			t.Errorf("they waited %v, expected two quotes of 1 s", d)
		}
		if h.most != 1 {
			t.Errorf("%d quotes were made at once, expected one after the other", h.most)
		}
	})
}

func TestMoreThanATreeHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hardware{takes: time.Second}
		b := NewBatcher(h)
		n := 2*attest.MaxLeaves + 500
		ask(t, b, n)
		// One may have gone alone before the others came.
		if q := b.Quotes(); q < 3 || q > 4 {
			t.Errorf("%d quotes for %d sessions, expected 3 or 4", q, n)
		}
	})
}

// A session gets evidence that was made after it asked, not what is being made
// already: its leaf cannot be in that.
func TestEvidenceIsMadeAfterTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hardware{takes: time.Second}
		b := NewBatcher(h)
		go b.Quote(t.Context(), leafOf(0))
		synctest.Wait()
		time.Sleep(500 * time.Millisecond)
		asked := time.Now()
		q, err := b.Quote(t.Context(), leafOf(1))
		if err != nil || check(leafOf(1), q) != nil {
			t.Fatal(err)
		}
		if len(h.at) != 2 || h.at[1].Before(asked) {
			t.Errorf("quotes began at %v, asked was at %v", h.at, asked)
		}
	})
}

func TestErrorReachesEveryone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("the hardware is on fire")
		h := &hardware{takes: time.Second, err: broken}
		b := NewBatcher(h)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				if q, err := b.Quote(t.Context(), leafOf(i)); !errors.Is(err, broken) || q.Evidence.Value != nil {
					t.Errorf("session %d: %v, %v", i, q, err)
				}
			})
		}
		wg.Wait()
		// And the next question is asked anew.
		h.err = nil
		ask(t, b, 3)
	})
}

func TestSessionThatLeavesHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hardware{takes: time.Second}
		b := NewBatcher(h)
		go b.Quote(t.Context(), leafOf(0))
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("it left"))
		defer cancel()
		begin := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			q, err := b.Quote(t.Context(), leafOf(2))
			if err != nil || check(leafOf(2), q) != nil {
				t.Error(err)
			}
		}()
		if _, err := b.Quote(ctx, leafOf(1)); err == nil || time.Since(begin) > 100*time.Millisecond {
			t.Errorf("%v after %v, expected that it left", err, time.Since(begin))
		}
		<-done
	})
}

// A host that never answers ends a quote at the bound, and the one after it
// is tried.
func TestHangingSourceIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBatcher(&hardware{takes: 24 * time.Hour})
		begin := time.Now()
		if _, err := b.Quote(t.Context(), leafOf(0)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v", err)
		}
		if d := time.Since(begin); d != quoteTimeout {
			t.Errorf("it took %v, expected %v", d, quoteTimeout)
		}
	})
}

func TestNoneSaysThatThereIsNone(t *testing.T) {
	q, err := NewBatcher(None{}).Quote(t.Context(), leafOf(0))
	if err != nil || q.Evidence.MediaType != attest.MediaTypeNone || len(q.Evidence.Value) != 0 {
		t.Errorf("%+v, %v", q.Evidence, err)
	}
}

type simHost struct {
	seen [64]byte
	err  error
}

func (h *simHost) Quote(_ context.Context, rd [64]byte) ([]byte, error) {
	h.seen = rd
	return []byte("report"), h.err
}

func TestSimAsksItsHost(t *testing.T) {
	h := &simHost{}
	stapled := attest.Collateral{{MediaType: "application/cert", Value: []byte("c")}}
	q, err := NewBatcher(Sim{Host: h, Chain: func(context.Context) attest.Collateral { return stapled }}).Quote(t.Context(), leafOf(7))
	if err != nil || q.Evidence.MediaType != attest.MediaTypeSNP || string(q.Evidence.Value) != "report" || len(q.Hints) != 1 {
		t.Fatalf("%+v, %v", q, err)
	}
	q.Evidence.Value = h.seen[:]
	if err := check(leafOf(7), q); err != nil {
		t.Error(err)
	}
	h.err = errors.New("no")
	if _, err := NewBatcher(Sim{Host: h}).Quote(t.Context(), leafOf(7)); !errors.Is(err, h.err) {
		t.Errorf("err = %v", err)
	}
}

// What the host signed is of the type that its first bytes say; whatever else
// they are, it is evidence of the SNP shape, which then does not parse.
func TestSimShape(t *testing.T) {
	hw, err := simhw.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"snp": attest.MediaTypeSNP, "tdx": attest.MediaTypeTDX, "sgx": attest.MediaTypeSGX, "nitro": attest.MediaTypeNitro, "vtpm": attest.MediaTypeTPM}
	for _, format := range hw.Formats() {
		made, err := hw.Evidence(format, simhw.Spec{ReportData: [64]byte{1}}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		ev, _, err := Sim{Host: fixed(made.Value)}.Quote(t.Context(), [64]byte{1})
		if err != nil || ev.MediaType != want[format] || ev.MediaType != made.MediaType || !bytes.Equal(ev.Value, made.Value) {
			t.Errorf("%s: type %s, %v", format, ev.MediaType, err)
		}
		delete(want, format)
	}
	if len(want) != 0 {
		t.Errorf("not looked at: %v", want)
	}
	for _, b := range [][]byte{nil, {0x84}, {3, 0, 2, 0}, {3, 0, 2, 0, 7, 0, 0, 0}, {3, 0, 3, 0, 0, 0, 0, 0}, make([]byte, 1184)} {
		if ev, _, err := (Sim{Host: fixed(b)}).Quote(t.Context(), [64]byte{}); err != nil || ev.MediaType != attest.MediaTypeSNP {
			t.Errorf("%x: type %s, %v", b[:min(len(b), 8)], ev.MediaType, err)
		}
	}
}

// fixed is a host that signs nothing and says the same always.
type fixed []byte

func (f fixed) Quote(context.Context, [64]byte) ([]byte, error) { return f, nil }

// A workload's evidence is over its own domain, one quote at a time with those
// of sessions, and never over bytes as the workload gave them.
func TestInvariant11WorkloadEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hardware{takes: time.Second}
		b := NewBatcher(h)
		digest, owner := [32]byte{1}, [32]byte{2}
		// What a forger would like to have signed: the report data of a tree.
		tree, err := attest.NewTree([][64]byte{leafOf(0)})
		if err != nil {
			t.Fatal(err)
		}
		forged := tree.ReportData()
		var wg sync.WaitGroup
		wg.Go(func() { ask(t, b, 20) })
		for range 3 {
			wg.Go(func() {
				ev, _, err := b.Workload(t.Context(), digest, owner, forged)
				want := attest.WorkloadReportData(digest, owner, forged)
				if err != nil || string(ev.Value) != string(want[:]) || string(ev.Value) == string(forged[:]) {
					t.Errorf("signed %x, %v", ev.Value, err)
				}
			})
		}
		wg.Wait()
		if h.most != 1 {
			t.Errorf("%d quotes were made at once, expected one after the other", h.most)
		}
	})
}

func TestWorkloadEvidenceThatIsNone(t *testing.T) {
	if _, _, err := NewBatcher(None{}).Workload(t.Context(), [32]byte{}, [32]byte{}, [64]byte{}); !errors.Is(err, ErrNoEvidence) {
		t.Errorf("got %v", err)
	}
	failing := errors.New("broken")
	if ev, _, err := NewBatcher(&hardware{err: failing}).Workload(t.Context(), [32]byte{}, [32]byte{}, [64]byte{}); !errors.Is(err, failing) || ev.Value != nil {
		t.Errorf("got %v, %v", ev, err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b := NewBatcher(&hardware{takes: time.Minute})
		go b.Quote(t.Context(), leafOf(1))
		synctest.Wait()
		if _, _, err := b.Workload(ctx, [32]byte{}, [32]byte{}, [64]byte{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v while another quote took its minute", err)
		}
		time.Sleep(2 * time.Minute)
	})
}
