// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that are passed on to the workload. WASI programs
// have no handlers: the Keep ends the workload and says by which signal.
var forwarded = []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}

// endsAnyway is how long an end that was forced, by a second signal or by the
// time limit, may take to clean up and to say why.
const endsAnyway = releaseTimeout + 2*time.Second

// endAnyway ends the process with code when that time has passed: whoever does
// not read our output, or holds open a pipe that we read, must not keep us
// alive. A local Keep ends with this process, and the next run sweeps up.
func endAnyway(code int) { time.AfterFunc(endsAnyway, func() { os.Exit(code) }) }

// relaySignals passes signals on once the workload runs. Before that, and on
// the second one, it ends ctx: then this side does not wait for the Keep. stop
// must be called when the run is over.
func relaySignals(ctx context.Context) (_ context.Context, out <-chan syscall.Signal, running, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	force := func(sig syscall.Signal) {
		cancel(errForced{sig})
		endAnyway(exitSignalBase + int(sig))
	}
	in := make(chan os.Signal, 4)
	signal.Notify(in, forwarded...)
	// Writing to a pipe without a reader is an error to report, not an end
	// that leaves the Keep to clean up after itself.
	// Notify and not Ignore: a child would inherit that.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, unix.SIGPIPE)
	pass := make(chan syscall.Signal, 1)
	started, done := make(chan struct{}), make(chan struct{})
	go func() {
		passed := false
		for {
			select {
			case s := <-in:
				sig := s.(syscall.Signal)
				select {
				case <-started:
				default:
					force(sig)
					continue
				}
				if passed {
					force(sig)
					continue
				}
				passed = true
				pass <- sig
			case <-done:
				return
			}
		}
	}()
	return ctx, pass, func() { close(started) }, func() {
		signal.Stop(in)
		signal.Stop(pipes)
		close(done)
		cancel(nil)
	}
}
