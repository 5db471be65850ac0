// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"context"
	"net"
)

// StartConfig is what the host tells a Keep at start, the first message on a
// sallyport. It is hostile until its digest is found in the evidence.
type StartConfig struct {
	// Mode is "push" (the client brings the bundle) or "pull".
	Mode string
	// Platform is the platform that the host claims to have started. A Keep
	// takes its evidence source from it and nothing else.
	Platform string
	// BundleDigest, Steward and StewardKeyHash are set in pull mode only.
	BundleDigest   []byte
	Steward        string
	StewardKeyHash []byte
	// MaxSessions bounds the sessions that the Keep serves at once; 0 means
	// the Keep's own default.
	MaxSessions uint32
}

// Endpoint is a host and port as the workload named it ("tcp" always; TLS is
// made inside the Keep and never visible here).
type Endpoint struct {
	Host string
	Port uint16
}

// DialPurpose tells the Keep's own connections from the workload's.
type DialPurpose uint8

// Purposes of a dial.
const (
	DialWorkload DialPurpose = 1 // the workload's connect
	DialKeep     DialPurpose = 2 // the Keep's own: Steward, registry
)

// LogCode is one of a fixed set of lifecycle events that a Keep may show its
// host. It carries no text: what a workload does stays inside. The codes are
// in code.go and in SPEC.md.
type LogCode uint16

// ExitCode says how a Keep ended; exit codes and panics of a workload stay
// inside the attested channel.
type ExitCode uint8

// The two ways a Keep ends.
const (
	ExitEnded ExitCode = 1
	ExitFault ExitCode = 2
)

// Handler is what a host offers to one Keep. Every argument comes from a Keep
// that the host does not trust; names and addresses are ASCII without spaces
// and bounded, no more. Each method is called on its own goroutine and must
// return soon after ctx ends, which is after 45 s, when the session ends, or
// when the method has returned: nothing that it returns may depend on ctx.
//
// An error travels to the Keep as a code and a short text. An error that is or
// wraps a [*RemoteError] chooses both; of others the code is found from the
// system's error number, a timeout or a name that does not exist, and is
// [CodeInternal] otherwise. The text is the error's: it must hold no secret.
type Handler interface {
	// Dial opens a TCP connection for the Keep, if the host's policy allows.
	// The connection is relayed and closed here; it should have CloseWrite,
	// as *net.TCPConn has, or an end of the Keep's direction closes it whole.
	Dial(ctx context.Context, to Endpoint, purpose DialPurpose) (net.Conn, error)
	// Listen opens a TCP listener for the guest's endpoint at; publish, if
	// not empty, is where the owner would like it to be on the host
	// ("[addr:]port").
	Listen(ctx context.Context, at Endpoint, publish string) (net.Listener, error)
	// Quote plays the hardware on sim: it signs reportData under the
	// throw-away root. Every other platform returns an error.
	Quote(ctx context.Context, reportData [64]byte) ([]byte, error)
	// Spool keeps the sealed record of the Keep's end (opaque bytes).
	Spool(ctx context.Context, sealed []byte) error
	// Log takes a lifecycle code; codes arrive one at a time, in order.
	Log(code LogCode)
	// Exit takes the Keep's last word; the channel closes after it.
	Exit(code ExitCode)
}

// Hint is one stapled certificate or revocation list: untrusted.
type Hint struct {
	MediaType string
	Value     []byte
}
