// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package relay

import "time"

// Limits on what one Keep can make its host do.
const (
	// MaxListeners is the most listeners a Keep has at a time. A workload's
	// descriptors are few; more would only use up the host's ports.
	MaxListeners = 64
	// MaxConns is the most TCP connections, dialled and accepted together,
	// that a Keep has at a time: enough for a busy server, and a small part
	// of a process's descriptors.
	MaxConns = 1024
	// MaxHostLen is the longest name in an endpoint: a DNS name has at most
	// 253 characters (RFC 1035, section 2.3.4), an IPv6 literal with a zone
	// fewer.
	MaxHostLen = 253
	// MaxSpool is the largest sealed record, in bytes. It holds an exit
	// status and the bounded logs of a detached workload.
	MaxSpool = 4 << 20
	// MaxSpoolWrites bounds how often a Keep may replace its record, since
	// each one is a synchronous write to the host's disk.
	MaxSpoolWrites = 64
	// MaxLog is the most lifecycle codes that are kept of a Keep; a whole
	// life has about ten.
	MaxLog = 64
	// DialTimeout ends a dial, name resolution included, that nobody
	// answers.
	DialTimeout = 20 * time.Second
)
