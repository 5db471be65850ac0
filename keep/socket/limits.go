// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package socket

import "time"

const (
	// dialTimeout bounds a connect, name resolution by the host and the TLS
	// handshake included.
	dialTimeout = 30 * time.Second
	// acceptTimeout bounds the TLS handshake of an accepted connection, so
	// that a peer which sends nothing does not hold a slot.
	acceptTimeout = 15 * time.Second
	// maxHandshakes is how many accepted connections of one listener may be
	// in their handshake or waiting for the workload at once; past it the
	// listener stops accepting and the backlog is the host's.
	maxHandshakes = 256
	// maxConns bounds the open connections of a workload: two descriptors
	// each in this process would otherwise be the host's to exhaust.
	maxConns = 4096
	// copySize is the buffer of one direction of a connection.
	copySize = 32 << 10
	// linger is how long bytes that the workload wrote before it ended, or
	// before it closed a socket, may take to leave, and how long a peer may
	// keep a connection open that the workload has closed.
	linger = 5 * time.Second
	// hangupCheck is how often a connection that the workload closed in one
	// direction is checked for having been closed completely.
	hangupCheck = time.Second
	// resetRetry is the pause before another attempt to mark a reset when
	// the kernel has no room for it.
	resetRetry = 100 * time.Millisecond
)

// limits are those that tests make smaller.
type limits struct {
	conns, handshakes      int
	accept, linger, hangup time.Duration
}

var defaultLimits = limits{maxConns, maxHandshakes, acceptTimeout, linger, hangupCheck}
