// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import "time"

// Every bound that keeps one end from making the other work, wait or store
// without end. Both ends apply the same numbers, so that an honest peer never
// meets one.
const (
	// maxFrame is the largest body of one mux frame, in bytes. It bounds what
	// a reader has to swallow before it can notice that the peer has begun
	// anew, and so the length of the filler (see preamble.go). Every frame
	// costs a handful of changes between goroutines and processes, which at
	// 64 KiB took more time than moving the bytes; a session's bulk data come
	// as two frames of 64 KiB in eight TLS records, which fit.
	maxFrame = 132 << 10

	// readSize is how much is read from the channel at once, at most. Two such
	// buffers exist per channel; they take memory as far as they were ever
	// filled.
	readSize = maxFrame + muxHeader

	// streamWindow is the most that one stream may hold unread, in bytes:
	// room for three full frames, so that the writer does not wait for the
	// reader of each. More was not faster and only raises what a hostile peer
	// can make us store.
	streamWindow = 512 << 10

	// maxBuffered is the most that all streams of one session may hold unread
	// together, in bytes. Past it the stream that holds most is reset: slow
	// readers lose their own stream, not the channel.
	maxBuffered = 64 << 20

	// maxUnfinished is the most that the messages of one session that have not
	// arrived whole announce together, in bytes; what holds them while they
	// grow takes at most twice as much. Nothing counts up to it: a message is
	// read only in a place of its kind, so the limits by kind and the sizes
	// of messages add up to less. A test adds them up.
	maxUnfinished = 6 << 20

	// maxStreams bounds the streams that one end has opened and that have not
	// ended. It is above the sum of the limits per kind.
	maxStreams = 2048

	// maxGarbage is how much input a preamble is searched for in, in bytes.
	// What can be left over from an earlier life is what fits into the
	// buffers of a socket or of a virtio-serial port, far below this.
	maxGarbage = 8 << 20

	// writeSize is the largest piece that is written to a stream at once.
	writeSize = maxFrame
)

// Limits on streams by kind, per session. A stream past its limit is refused
// with [CodeLimit] when its header has come, and never queued; no byte of its
// message is read.
const (
	// MaxAttach is the number of tunnels to one Keep. Clients wait in it
	// while a shared quote is made; an unclaimed Keep may have many.
	MaxAttach = 1024
	// MaxDial is the number of connections that one Keep may have opened.
	MaxDial = 256
	// MaxAccepted is the number of accepted connections of one Keep, over all
	// its listeners. Beyond it the host stops accepting, and the kernel's
	// backlog holds the rest.
	MaxAccepted = 256
	// MaxListeners is the number of listeners of one Keep.
	MaxListeners = 32

	maxQuotes   = 4  // the hardware's queue is not ours to fill
	maxControls = 16 // start, hints, listen, close-listener, log, exit, heartbeat
	maxSpools   = 1  // each may take MaxSpool bytes of the host's memory
)

// Sizes of messages, in bytes.
const (
	maxMessage  = 4 << 10   // every message not named below
	maxHints    = 256 << 10 // certificates and revocation lists of one machine
	maxEvidence = 64 << 10  // the largest quotes are TDX's, near 8 KiB
	maxText     = 256       // words of an error
	maxHost     = 255       // longest name of DNS, with room for an address
	maxPublish  = 280       // "[addr]:port"

	// MaxSpool is the largest sealed record that a Keep may leave with its
	// host, in bytes: exit status and bounded logs, padded and encrypted.
	MaxSpool = 2 << 20
	// MaxHints is the number of hints.
	MaxHints = 16
	// maxSteward is the length of the Steward's address.
	maxSteward = 2048
	// maxLogs is how often each lifecycle code is told in one session. Most
	// come once; those of sessions come as often as clients do, and would
	// flood the host's event stream or push out the others.
	maxLogs = 16
)

// Times.
const (
	// connectTime is how long a preamble may take when the caller's context
	// has no deadline of its own. A VM under emulation boots in 5 s or more.
	connectTime = 60 * time.Second
	// helloEvery is how often an unanswered preamble is repeated. A port of a
	// VM drops or delays what is written while nobody is connected.
	helloEvery = 100 * time.Millisecond
	// fillerEvery is after how many unanswered preambles a filler is sent.
	fillerEvery = 10

	// lastWordTime is how long a Keep waits for its host to take its end.
	lastWordTime = 5 * time.Second
	// lingerBytes bounds what a stream that was closed here still takes from a
	// peer that goes on writing; then it is reset.
	lingerBytes = 64 << 10
)

// timing is what a session waits for. Tests shorten it.
type timing struct {
	header  time.Duration // from a stream's first byte to the end of its message (slow-loris)
	handler time.Duration // for the host's handler to serve one request
	reply   time.Duration // for an answer, where the caller's context has no earlier deadline
	linger  time.Duration // for the peer to end a stream that was closed here
	pulse   time.Duration // between heartbeats, and the unit in which silence is counted
	// patience is the number of pulses without a frame after which an end
	// gives up. Pulses are counted, not the clock, so that an end that was
	// itself stopped for an hour does not blame the other.
	patience int
}

func hostTiming() timing {
	return timing{
		header: 10 * time.Second, handler: 45 * time.Second, reply: 60 * time.Second,
		linger: 60 * time.Second, pulse: 15 * time.Second, patience: 6,
	}
}

// keepTiming is more patient: a Keep loses nothing by waiting ten minutes for
// a host that somebody has suspended.
func keepTiming() timing {
	t := hostTiming()
	t.patience = 40
	return t
}
