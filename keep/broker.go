// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"context"
	"encoding/pem"
	"errors"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/keep/child"
	"github.com/enarx/enarx-go/keep/quote"
	"github.com/enarx/enarx-go/workload"
)

// A workload may have evidenceBurst pieces of evidence at once and one more in
// each evidenceEvery; past that it waits. Quotes take up to a second of
// hardware that on some hosts serves all guests, and owner sessions need it
// too.
const (
	evidenceBurst = 8
	evidenceEvery = time.Second
)

// broker answers the questions of a running workload (see child.Ask). It
// believes nothing that a question says: what may be had is in the bundle that
// this process has parsed, and whose evidence it is are this Keep's own values.
type broker struct {
	ctx    context.Context // ends with the workload
	cancel context.CancelFunc
	asks   *child.Asks
	cfg    workload.Config
	chain  []byte // identity certificates, PEM
	quotes *quote.Batcher
	bundle [32]byte
	owner  [32]byte
	pace   pace
}

// newBroker makes the broker of a workload that is about to run, and the
// descriptor for the engine child, which the caller closes.
func (k *Keep) newBroker(cfg workload.Config, chain [][]byte) (*broker, int, error) {
	asks, theirs, err := child.NewAsks()
	if err != nil {
		return nil, -1, err
	}
	b := &broker{
		asks: asks, cfg: cfg, quotes: k.quotes,
		pace: pace{burst: evidenceBurst, every: evidenceEvery},
	}
	b.ctx, b.cancel = context.WithCancel(k.ctx)
	for _, der := range chain {
		b.chain = append(b.chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	k.mu.Lock()
	b.bundle, b.owner = k.bundleD, k.ownerH
	k.mu.Unlock()
	return b, theirs, nil
}

// serve answers until the workload has ended or has broken the rules of the
// socket, after which it gets no answer any more.
func (b *broker) serve() {
	defer b.asks.Close()
	for {
		q, err := b.asks.Next()
		if err == nil {
			err = b.answer(q)
		}
		if err != nil {
			return // it is the workload's word, and the host hears none of those
		}
	}
}

// close ends the broker. The caller has ended the workload.
func (b *broker) close() {
	b.cancel()
	b.asks.Close()
}

func (b *broker) answer(q *child.Ask) error {
	var content []byte
	var err error
	switch q.What {
	case child.AskIdentity:
		content = b.chain
	case child.AskEvidence:
		content, err = b.evidence([attest.WorkloadDataSize]byte(q.Data))
	default:
		err = errDenied
	}
	if err != nil {
		return b.asks.Refuse(refusal(err))
	}
	a, err := newArea("answer", uint64(len(content)))
	if err != nil {
		return b.asks.Refuse(child.RefusedFailed)
	}
	defer a.close()
	if err := errors.Join(a.write(0, content), a.seal()); err != nil {
		return b.asks.Refuse(child.RefusedFailed)
	}
	return b.asks.Answer(a.fd, a.size)
}

// errDenied says that the bundle does not allow it.
var errDenied = errors.New("the bundle does not allow it")

func refusal(err error) child.Refusal {
	switch {
	case errors.Is(err, errDenied):
		return child.RefusedDenied
	case errors.Is(err, quote.ErrNoEvidence):
		return child.RefusedUnsupported
	}
	return child.RefusedFailed
}

// evidence has the platform sign the workload's bytes, in the domain that is
// the workload's.
func (b *broker) evidence(data [attest.WorkloadDataSize]byte) ([]byte, error) {
	if !b.cfg.Evidence {
		return nil, errDenied
	}
	if err := b.pace.wait(b.ctx); err != nil {
		return nil, err
	}
	ev, hints, err := b.quotes.Workload(b.ctx, b.bundle, b.owner, data)
	if err != nil {
		return nil, err
	}
	return attest.EncodeWorkloadEvidence(ev, hints)
}

// pace lets a burst through and then one in each interval. It is used by one
// goroutine.
type pace struct {
	burst int
	every time.Duration
	free  time.Time // when all of the burst can be had again
}

// wait returns when it is the caller's turn.
func (p *pace) wait(ctx context.Context) error {
	now := time.Now() // durations only: Go's monotonic reading
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(p.every)
	t := time.NewTimer(p.free.Sub(now) - time.Duration(p.burst)*p.every)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
