// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// Code says why a request was refused: the only part of an error that a
// program should look at. The set is fixed (SPEC.md, "Codes"); a code that is
// not in it is read as [CodeInternal].
type Code uint16

// The codes.
const (
	CodeOK           Code = 0
	CodeInternal     Code = 1  // the other end's own trouble
	CodeProtocol     Code = 2  // malformed, or not allowed at this time
	CodeLimit        Code = 3  // too many of this kind
	CodePolicy       Code = 4  // the host's rules forbid it
	CodeRefused      Code = 5  // connection refused
	CodeTimeout      Code = 6  // took too long
	CodeUnreachable  Code = 7  // no way to that network or host
	CodeNotFound     Code = 8  // no such name
	CodeAddrInUse    Code = 9  // address already in use
	CodeAddrNotAvail Code = 10 // address does not belong to the host
	CodePermission   Code = 11 // the host may not: a port below 1024, say
	CodeUnsupported  Code = 12 // not on this platform
	CodeNotStarted   Code = 13 // before the start configuration
	CodeAlready      Code = 14 // a second one of what there is one of
	CodeNoListener   Code = 15 // no listener of that number
	CodeReset        Code = 16 // connection reset
	CodeClosed       Code = 17 // the end is going away
)

var codeNames = map[Code]string{
	CodeOK: "ok", CodeInternal: "internal", CodeProtocol: "protocol", CodeLimit: "limit",
	CodePolicy: "policy", CodeRefused: "refused", CodeTimeout: "timeout", CodeUnreachable: "unreachable",
	CodeNotFound: "not-found", CodeAddrInUse: "address-in-use", CodeAddrNotAvail: "address-not-available",
	CodePermission: "permission", CodeUnsupported: "unsupported", CodeNotStarted: "not-started",
	CodeAlready: "already", CodeNoListener: "no-listener", CodeReset: "reset", CodeClosed: "closed",
}

// String gives the code's name, as SPEC.md lists it.
func (c Code) String() string {
	if s, ok := codeNames[c]; ok {
		return s
	}
	return fmt.Sprintf("code-%d", uint16(c))
}

// RemoteError is a refusal by the other end. Code is for programs, Text for
// people: it comes from an end that is not trusted, is at most 256 bytes of
// printable characters, and decides nothing.
type RemoteError struct {
	Code Code
	Text string
}

// Error names the code and quotes the other end's words.
func (e *RemoteError) Error() string {
	if e.Text == "" {
		return "sallyport: refused by the other end: " + e.Code.String()
	}
	return fmt.Sprintf("sallyport: refused by the other end: %s (it says %q)", e.Code, e.Text)
}

// Timeout makes a refusal for time look like one to package net.
func (e *RemoteError) Timeout() bool { return e.Code == CodeTimeout }

// Temporary is there for [net.Error] only.
func (e *RemoteError) Temporary() bool { return e.Code == CodeLimit }

// clean makes words of the other end, or words for it, harmless: printable,
// one line, bounded.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == 0xfffd || r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
	if len(s) > maxText {
		s = s[:maxText]
	}
	return s
}

// refusal turns an error of this end into what the other end may know of it.
// An error of the host's handler may be a *RemoteError of its own choice.
func refusal(err error) *RemoteError {
	var re *RemoteError
	if errors.As(err, &re) {
		return &RemoteError{re.Code, clean(re.Text)}
	}
	return &RemoteError{codeOf(err), clean(err.Error())}
}

// errnoCodes are the system's errors that a Keep can act on.
var errnoCodes = []struct {
	errno syscall.Errno
	code  Code
}{
	{syscall.ECONNREFUSED, CodeRefused},
	{syscall.ETIMEDOUT, CodeTimeout},
	{syscall.ENETUNREACH, CodeUnreachable},
	{syscall.EHOSTUNREACH, CodeUnreachable},
	{syscall.EADDRINUSE, CodeAddrInUse},
	{syscall.EADDRNOTAVAIL, CodeAddrNotAvail},
	{syscall.EACCES, CodePermission},
	{syscall.EPERM, CodePermission},
	{syscall.ECONNRESET, CodeReset},
	{syscall.EMFILE, CodeLimit},
	{syscall.ENFILE, CodeLimit},
}

func codeOf(err error) Code {
	for _, e := range errnoCodes {
		if errors.Is(err, e.errno) {
			return e.code
		}
	}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return CodeNotFound
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return CodeTimeout
	case errors.Is(err, fs.ErrPermission):
		return CodePermission
	case errors.Is(err, errors.ErrUnsupported):
		return CodeUnsupported
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return CodeTimeout
	}
	return CodeInternal
}

// The lifecycle codes, in the order in which a Keep's life reaches them.
const (
	LogBoot        LogCode = 1  // the Keep runtime runs
	LogSandboxed   LogCode = 2  // its isolation is in place
	LogReady       LogCode = 3  // keys are made; sessions are served
	LogSessionOpen LogCode = 4  // a session was accepted
	LogSessionEnd  LogCode = 5  // a session ended
	LogAttested    LogCode = 6  // evidence was given out
	LogClaimed     LogCode = 7  // an owner has claimed the Keep
	LogAccepted    LogCode = 8  // the bundle was accepted
	LogRefused     LogCode = 9  // the bundle was refused
	LogRunning     LogCode = 10 // the workload runs
	LogEnded       LogCode = 11 // the workload has ended
	LogSpooled     LogCode = 12 // the sealed record was left with the host
	LogWiped       LogCode = 13 // keys and memory are wiped
	LogNoEntropy   LogCode = 14 // no hardware randomness: the Keep does not start
	LogFault       LogCode = 15 // the Keep runtime itself failed
)

var logNames = [...]string{
	LogBoot: "boot", LogSandboxed: "sandboxed", LogReady: "ready", LogSessionOpen: "session-open",
	LogSessionEnd: "session-end", LogAttested: "attested", LogClaimed: "claimed", LogAccepted: "accepted",
	LogRefused: "refused", LogRunning: "running", LogEnded: "ended", LogSpooled: "spooled",
	LogWiped: "wiped", LogNoEntropy: "no-entropy", LogFault: "fault",
}

// Valid says whether c is one of the fixed set.
func (c LogCode) Valid() bool { return int(c) < len(logNames) && logNames[c] != "" }

// String gives the code's name, as SPEC.md lists it.
func (c LogCode) String() string {
	if c.Valid() {
		return logNames[c]
	}
	return fmt.Sprintf("log-%d", uint16(c))
}

// String gives "ended" or "fault".
func (c ExitCode) String() string {
	switch c {
	case ExitEnded:
		return "ended"
	case ExitFault:
		return "fault"
	}
	return fmt.Sprintf("exit-%d", uint8(c))
}
