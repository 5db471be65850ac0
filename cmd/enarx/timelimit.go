// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"
)

// timeoutGrace is how much longer than its time limit a Keep may take to say
// that it ended the workload, before this side gives up on it.
var timeoutGrace = 15 * time.Second // a variable for tests only

// errTimeLimit is the cause of a context that the time limit has ended at this
// side, because the Keep did not do so by itself.
var errTimeLimit = errors.New("the time limit of the run has passed and the Keep's word that it ended the workload has not come through")

// timeLimit is this side's own clock for the time limit of a workload. The
// Keep's is the one that counts; this one is for a host that holds back what
// the Keep says, and for output that nobody reads.
type timeLimit struct {
	context.Context // ends with errTimeLimit
	cancel          context.CancelCauseFunc
	after           time.Duration // 0 for no limit
	timer           *time.Timer
}

// newTimeLimit makes a clock that begin starts; end must be called. ms is the
// workload's limit in milliseconds, 0 for none.
func newTimeLimit(ctx context.Context, ms uint64) *timeLimit {
	l := &timeLimit{}
	l.Context, l.cancel = context.WithCancelCause(ctx)
	if ms > 0 {
		l.after = time.Duration(min(ms, uint64(maxLimit/time.Millisecond)))*time.Millisecond + timeoutGrace
	}
	return l
}

// maxLimit keeps a limit from overflowing a time.Duration.
const maxLimit = 100 * 365 * 24 * time.Hour

// step starts the clock when the Keep has the workload. The Keep starts its
// own a moment later, before it compiles.
func (l *timeLimit) step(name string) {
	if name != "send bundle" || l.after == 0 || l.timer != nil {
		return
	}
	l.timer = time.AfterFunc(l.after, func() {
		l.cancel(errTimeLimit)
		endAnyway(exitTimeout)
	})
}

func (l *timeLimit) end() {
	if l.timer != nil {
		l.timer.Stop()
	}
	l.cancel(nil)
}

// explain says of an error that came of the time limit that it did.
func (l *timeLimit) explain(err error) error {
	if err == nil || !errors.Is(context.Cause(l), errTimeLimit) {
		return err
	}
	return fail(exitTimeout, "the host may be holding the Keep back, or nobody reads what the workload writes", errTimeLimit)
}
