// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package relay is the host's side of one Keep: it does on the host what the
// Keep asks for over the sallyport and decides what it may ask for. The agent
// uses one relay per Keep; so does a local `enarx run`.
//
// # Use
//
// Make a [Relay] with [New], hand it as the Handler to sallyport.ConnectHost,
// and [Relay.Close] it when the Keep is gone. A relay never reads what passes
// through the connections that it opens.
//
// # What a Keep may ask for
//
//   - Dial: a TCP connection outward. The rules are a [DialPolicy]. They are
//     applied to the name as asked and again, inside the dial, to each address
//     just before the kernel connects to it, so that a name which resolves
//     differently the second time gains nothing. Unless an address is allowed
//     by number, these are refused: link-local (the cloud metadata services
//     live there), multicast, unspecified and broadcast addresses, the host's
//     own loopback and the host's own interface addresses. The rules see
//     through IPv4 addresses that are written as IPv6 ones (mapped, NAT64,
//     6to4).
//   - Listen: a TCP listener for a port of the workload. The rules are a
//     [ListenPolicy].
//   - Quote: on platform sim only, where [Hardware] plays the TEE. The host data
//     of every report is the digest of the start configuration that this relay
//     was made for, never a value that the Keep sent.
//   - Spool: keep one sealed record of its end.
//   - Log, Exit: lifecycle codes.
//
// # Trust
//
// Neither side trusts the other. An attacker who owns the Keep can, through
// the relay, connect where the policy lets it, occupy ports that the policy
// lets it have, and store [MaxSpool] bytes; every count and size is bounded by
// limits.go. An attacker who owns the relay is the host: it sees dialled names
// and addresses, ports, timing and ciphertext, and can deny service.
package relay
