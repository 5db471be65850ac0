// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"context"
	"time"

	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/sallyport"
)

// lastWords is how long sessions that wait for the end have to receive it
// before the Keep is gone.
const lastWords = 2 * time.Second

// finish tells everyone who may know how the workload ended, leaves the sealed
// record with the host, wipes and says goodbye.
func (k *Keep) finish(ctx context.Context, c *claimant, w *work, e session.Exit) {
	k.mu.Lock()
	r := k.running
	if r == nil { // it never got that far
		r = &running{log: newOutputLog()}
		r.log.close()
		k.running = r
	}
	k.exit = e
	k.mu.Unlock()

	told := false
	if !w.run.Detached {
		told = writeExit(c.conn, e) == nil && c.awaitGoodbye() && e.Reason != sessionLost.Reason
		c.conn.Close()
	} else if e.End == session.EndSetup {
		writeExit(c.conn, e) // the client still waits for "running"
	}
	close(k.ended)
	if !told {
		k.spool(ctx, w, r, e)
	}
	k.port.Log(sallyport.LogEnded)
	k.drainSessions()
	clear(k.id.channel)
	k.port.Log(sallyport.LogWiped)
	bye, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	k.port.Exit(bye, sallyport.ExitEnded)
}

// awaitGoodbye lets a client that has been told the end close first, for a
// bounded time, and says whether it did. Input may still be on its way here; a
// tunnel that is closed over unread bytes is reset, and a reset takes the end
// from a client that has not read it yet. That the end was written proves
// nothing: the host may have cut the session before it arrived.
func (c *claimant) awaitGoodbye() bool {
	if c.gone == nil {
		return false
	}
	t := time.NewTimer(lastWords)
	defer t.Stop()
	select {
	case <-c.gone:
		return c.bye
	case <-t.C:
		return false
	}
}

// spool leaves the end record with the host, which can lose it but not read,
// change or replace it.
func (k *Keep) spool(ctx context.Context, w *work, r *running, e session.Exit) {
	rec := &session.EndRecord{
		Digest: k.bundleD[:], Exit: e,
		StartedNS: r.started, EndedNS: uint64(k.clock.Now().UnixNano()),
	}
	rec.Log, rec.Lost = r.log.end()
	sealed, err := session.SealRecord(rec, k.id.channel, k.owner)
	if err != nil {
		return // the owner will see that there is no record
	}
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	if k.port.Spool(ctx, sealed) == nil {
		k.port.Log(sallyport.LogSpooled)
	}
}

// drainSessions waits, for a bounded time, until the sessions that are being
// told the end have been told.
func (k *Keep) drainSessions() {
	k.mu.Lock()
	k.parting = true
	k.mu.Unlock()
	done := make(chan struct{})
	go func() { k.telling.Wait(); close(done) }()
	t := time.NewTimer(lastWords)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}
