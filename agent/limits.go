// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import "time"

// Fixed bounds on what a caller or a Keep can make the agent hold or wait for.
// Those that an operator may want to change are in [Limits].
const (
	// maxCreateBody is the most bytes of a create request: three short
	// fields have fewer than 200.
	maxCreateBody = 4 << 10
	// maxKeepFile is the largest Keep runtime, in bytes: the agent holds a copy
	// in memory. Ours has about 10 MiB; test programs have some times that.
	maxKeepFile = 256 << 20
	// maxMemoryName is the longest name that memfd_create(2) takes, in bytes.
	maxMemoryName = 249
	// maxHeader bounds a request's head. A token and a capability are short.
	maxHeader = 16 << 10
	// headTime and bodyTime end a request whose head or body dribbles in
	// (slow-loris).
	headTime = 5 * time.Second
	bodyTime = 10 * time.Second
	// idleTime closes a connection that waits for its next request, so that
	// idle ones cannot use up MaxConns for long.
	idleTime = 30 * time.Second
	// answerTime bounds the writing of an ordinary answer, the work included.
	answerTime = 2 * time.Minute

	// Bounds of an idempotency key. The short end is 128 bits in hexadecimal:
	// who guesses the key gets the capability.
	minIdempotencyKey = 32
	maxIdempotencyKey = 128

	// maxTokens and maxTokenFile bound the token file; minToken refuses what
	// can be guessed.
	maxTokens    = 64
	maxTokenFile = 64 << 10
	minToken     = 32

	// attachTime is how long a Keep may take to take a new session.
	attachTime = 10 * time.Second
	// tunnelGrace is how long a tunnel whose one direction has ended may go
	// without a byte in the other.
	tunnelGrace = 60 * time.Second
	// tunnelBuffer is the copy buffer per direction, at first: two TLS
	// records. A thousand tunnels hold 64 MiB of them.
	tunnelBuffer = 32 << 10
	// tunnelBulk is the copy buffer of a direction that has once filled
	// tunnelBuffer: half of what a stream of the sallyport holds unread, so
	// that one write to the network moves what came meanwhile.
	tunnelBulk = 256 << 10

	// leaveTime is how long a Keep that said it ended may take to be gone
	// before it is killed.
	leaveTime = 2 * time.Second
	// waitStep is how long the agent waits for a killed Keep before it kills
	// it again and says so.
	waitStep = 10 * time.Second
	// stopTime is how long a stop request waits until nothing is left.
	stopTime = 20 * time.Second

	// maxEvents is the length of the event buffer. A reader that is further
	// behind is told how many it lost.
	maxEvents = 4096
	// maxSubscribers is the most event streams at a time: schedulers, few.
	maxSubscribers = 16
	// aliveTime is how often an idle event stream says that it lives.
	aliveTime = 15 * time.Second

	// maxEnded is how many ended Keeps are remembered; the oldest without a
	// sealed record is forgotten first, and past this many sealed records no
	// more are taken.
	maxEnded = 4096
	// endedFor is how long an ended Keep without a sealed record can be
	// inspected.
	endedFor = 10 * time.Minute
	// sweepEvery is how often what has expired is removed.
	sweepEvery = time.Minute

	// maxStateFile bounds each file that is read back from the state
	// directory; the agent wrote them, the disk is not trusted to be sane.
	maxStateFile = 1 << 20
	// maxReason bounds text of a loader that is shown to callers.
	maxReason = 512

	// minMemoryClass and maxMemoryClass bound a Keep's memory: the first
	// holds a Keep runtime, the second is the largest guest of today.
	minMemoryClass = 32 << 20
	maxMemoryClass = 1 << 44
)

// Limits are the bounds that an operator sets. A zero field means its default.
type Limits struct {
	// Keeps is the most Keeps alive at a time; default 256.
	Keeps int
	// Memory is the most bytes that the memory classes of all living Keeps
	// may add up to; default 16 times the machine's memory. A class is a
	// ceiling that the platform enforces and most Keeps stay far below.
	Memory uint64
	// DefaultMemory is the class of a Keep whose create names none; default
	// 512 MiB. A power of two.
	DefaultMemory uint64
	// VCPUs is the most virtual CPUs of one Keep; default the machine's.
	VCPUs int
	// Tunnels and TunnelsPerKeep bound attach; defaults 2,048 and
	// sallyport.MaxAttach.
	Tunnels, TunnelsPerKeep int
	// Conns is the most connections of the HTTP API at a time, tunnels not
	// counted; default 1,024. Further ones wait in the kernel's queue.
	Conns int
	// RelayConns is the most TCP connections that all Keeps together have
	// through the agent; default 8,192.
	RelayConns int
	// CreateRate is how many creates per second are served in the long run,
	// after a burst of CreateBurst; defaults 20 and the larger of 64 and Keeps,
	// so that an empty host can be filled at once.
	CreateRate  float64
	CreateBurst int
	// SpoolBytes is the most bytes of sealed records; default 1 GiB.
	SpoolBytes int64
	// Unclaimed is how long a Keep may wait for a client; default 2 minutes.
	Unclaimed time.Duration
	// Lifetime ends a Keep that old, whatever it does; 0 means never.
	Lifetime time.Duration
	// Start is how long a Keep may take to answer; default 60 seconds.
	Start time.Duration
	// Drain is how long Keeps may go on after the agent was told to end;
	// default 30 seconds.
	Drain time.Duration
	// Spool is how long a sealed record is kept after the Keep's end; default
	// 24 hours.
	Spool time.Duration
}
