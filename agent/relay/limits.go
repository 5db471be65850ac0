// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"time"

	"github.com/enarx/enarx-go/sallyport"
)

// Limits on what one Keep can make its host do.
const (
	// MaxListeners is the most listeners a Keep has at a time. It is the
	// sallyport's own bound, held here too because the ports are the host's.
	MaxListeners = sallyport.MaxListeners
	// MaxConns is the most TCP connections, dialled and accepted together,
	// that a Keep has at a time: what the sallyport can carry.
	MaxConns = sallyport.MaxDial + sallyport.MaxAccepted
	// MaxHostLen is the longest name in an endpoint: a DNS name has at most
	// 253 characters (RFC 1035, section 2.3.4), an IPv6 literal with a zone
	// fewer.
	MaxHostLen = 253
	// MaxSpool is the largest sealed record, in bytes. It holds an exit
	// status and the bounded logs of a detached workload.
	MaxSpool = sallyport.MaxSpool
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
