// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package quote asks the platform for evidence.
//
// A [Source] is one platform's way to have 64 bytes of report data signed. A
// [Batcher] stands in front of it: quotes take from 4 to 1,000 ms and some
// hosts serialise them over all their guests, so all sessions that wait while
// one quote is being made share the next one, through a tree whose root is in
// the report data (attest/SPEC.md). Nothing batches across Keeps.
//
// Only the Keep's parent process uses this package. A workload reaches no
// Source: evidence of an "empty" Keep for a key held outside would make every
// later tenant believe it. What it may ask for, [Batcher.Workload], has report
// data in a domain of its own.
package quote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// Source makes evidence on one platform.
//
// Contract: Quote returns evidence over exactly the given report data, made
// after the call, or an error; it honours ctx; it may be slow, is called by one
// goroutine at a time, and what it returns besides the evidence (collateral)
// is untrusted. A source never signs bytes that a peer or a workload chose:
// only a Batcher calls it.
type Source interface {
	Quote(ctx context.Context, reportData [64]byte) (attest.Evidence, attest.Collateral, error)
}

// Register is the part of a source whose platform has a runtime register (a PCR,
// an RTMR): an append-only record that later quotes show.
type Register interface {
	// Start binds the start configuration, once, before the first key is
	// made; platforms whose launch has bound it already do nothing.
	Start(ctx context.Context, event []byte) error
	// Claim records a claim, once, before the claimant is told that it has
	// the Keep.
	Claim(ctx context.Context, event []byte) error
}

// None is the source of a platform without evidence: it says so, in place of
// evidence, and the verifying side must treat the Keep as unattested.
type None struct{}

// Quote returns the media type that stands for "no evidence".
func (None) Quote(context.Context, [64]byte) (attest.Evidence, attest.Collateral, error) {
	return attest.Evidence{MediaType: attest.MediaTypeNone}, nil, nil
}

// Quoted is one leaf's share of a batch.
type Quoted struct {
	Evidence     attest.Evidence
	Hints        attest.Collateral
	Index, Count uint32
	Path         [][64]byte
}

// quoteTimeout bounds one quote. Platforms that serialise quotes over a host
// need about a second each.
const quoteTimeout = 60 * time.Second

// Responder is the source's side of a challenge conversation, or nil for the
// platforms that prove everything with one message.
func (b *Batcher) Responder() attest.Responder {
	r, _ := b.src.(attest.Responder)
	return r
}

// Register is the source's runtime register, or nil for platforms without one.
func (b *Batcher) Register() Register {
	r, _ := b.src.(Register)
	return r
}

// Batcher shares quotes among the sessions of one Keep.
type Batcher struct {
	src  Source
	turn chan struct{} // held while the source is asked

	mu      sync.Mutex
	waiting []waiter
	busy    bool // a goroutine is making quotes

	quotes uint64
}

type waiter struct {
	leaf [64]byte
	out  chan<- result
}

type result struct {
	q   Quoted
	err error
}

// NewBatcher puts a batcher in front of src.
func NewBatcher(src Source) *Batcher {
	return &Batcher{src: src, turn: make(chan struct{}, 1)}
}

// Quotes is how many quotes the source has been asked for.
func (b *Batcher) Quotes() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.quotes
}

// Quote returns evidence whose tree contains leaf. It waits at most for the
// quote that is being made now and the one after it.
func (b *Batcher) Quote(ctx context.Context, leaf [64]byte) (Quoted, error) {
	out := make(chan result, 1)
	b.mu.Lock()
	b.waiting = append(b.waiting, waiter{leaf, out})
	if !b.busy {
		b.busy = true
		go b.work()
	}
	b.mu.Unlock()
	select {
	case r := <-out:
		return r.q, r.err
	case <-ctx.Done():
		// The leaf stays in its batch; its answer goes nowhere.
		return Quoted{}, fmt.Errorf("evidence: %w", context.Cause(ctx))
	}
}

// work makes quotes until nobody waits.
func (b *Batcher) work() {
	for {
		b.mu.Lock()
		n := min(len(b.waiting), attest.MaxLeaves)
		if n == 0 {
			b.busy = false
			b.mu.Unlock()
			return
		}
		batch := b.waiting[:n:n]
		b.waiting = b.waiting[n:]
		b.quotes++
		b.mu.Unlock()
		b.serve(batch)
	}
}

func (b *Batcher) serve(batch []waiter) {
	fail := func(err error) {
		for _, w := range batch {
			w.out <- result{err: err}
		}
	}
	leaves := make([][64]byte, len(batch))
	for i, w := range batch {
		leaves[i] = w.leaf
	}
	tree, err := attest.NewTree(leaves)
	if err != nil {
		fail(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), quoteTimeout)
	defer cancel()
	ev, hints, err := b.ask(ctx, tree.ReportData())
	if err != nil {
		fail(err)
		return
	}
	for i, w := range batch {
		path, err := tree.Path(i)
		w.out <- result{Quoted{ev, hints, uint32(i), tree.Count(), path}, err}
	}
}

// ask asks the source, one question at a time.
func (b *Batcher) ask(ctx context.Context, reportData [64]byte) (attest.Evidence, attest.Collateral, error) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return attest.Evidence{}, nil, fmt.Errorf("evidence: %w", context.Cause(ctx))
	}
	ev, hints, err := b.src.Quote(ctx, reportData)
	if err != nil {
		return attest.Evidence{}, nil, fmt.Errorf("evidence: the platform gave no quote: %w", err)
	}
	return ev, hints, nil
}

// ErrNoEvidence says that the platform has none.
var ErrNoEvidence = errors.New("evidence: this platform has none")

// Workload returns evidence that the workload asked for, over
// attest.WorkloadReportData: bundle and owner are the Keep's own word, data is
// the workload's. It is quoted alone, takes turns with the sessions' quotes, and
// is ErrNoEvidence where there is none. It is the caller who bounds how often.
func (b *Batcher) Workload(ctx context.Context, bundleDigest, ownerKeyHash [32]byte, data [attest.WorkloadDataSize]byte) (attest.Evidence, attest.Collateral, error) {
	ctx, cancel := context.WithTimeout(ctx, quoteTimeout)
	defer cancel()
	ev, hints, err := b.ask(ctx, attest.WorkloadReportData(bundleDigest, ownerKeyHash, data))
	if err == nil && ev.MediaType == attest.MediaTypeNone {
		return attest.Evidence{}, nil, ErrNoEvidence
	}
	return ev, hints, err
}
