// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package agent is the daemon on the untrusted host: it starts Keeps, and
// relays ciphertext between them and their clients.
//
// # Use
//
//	a, err := agent.New(agent.Config{StateDir: dir, Keep: "bin/keep", Loaders: loaders})
//	err = a.Run(ctx, nil)
//
// [Config] says what every field means and what it is when left zero; a zero
// field is always the strict choice. The API is described in openapi.yaml
// (served at /v1/openapi.yaml); its types are in package api, its client in
// package client, the host's side of one Keep in package relay.
//
// # What the agent learns
//
// Nobody trusts the agent, and nothing here makes it trustworthy: whoever owns
// the host can replace it. What it is told is what an adversary knows:
//
//   - when a Keep is asked for, on which platform, with how many vCPUs and which
//     power-of-two memory class; never the workload, its name, size or
//     configuration, which have no field in the API;
//   - when tunnels open and close, and the timing, direction and padded size of
//     the ciphertext in them; it copies these bytes and neither logs nor keeps
//     them;
//   - the Keep's lifecycle codes ("claimed", "running", …), which carry no text;
//   - names and addresses that the workload connects to and ports that it
//     listens on, because the host's network stack is what connects;
//   - one sealed record per Keep, which only the owner's key opens.
//
// An attacker who owns the agent, its state directory or its API token can
// start, starve and kill Keeps, and lie about all of them. It cannot make a
// client believe in a Keep, nor read what the client sends to one: that
// depends on evidence alone. On platform sim the agent plays the hardware and
// can forge evidence at will, which is why a sim verdict never says
// "verified".
//
// # Who may call
//
// On loopback without configuration: every user of the machine, over plain
// HTTP. Requests must name a loopback host and must not come from a browser
// page. Everywhere else the agent refuses to start without TLS 1.3 and either
// bearer tokens (Config.TokenFile) or client certificates (Config.ClientCA).
// Only /v1/health and /v1/openapi.yaml need no authentication, and say nothing.
//
// The list of Keeps and the event stream show a caller the Keeps that it made
// itself. A caller is a token, or a client certificate (a renewed one is another
// caller), or, without authentication, everybody on the machine. Callers still
// share one host: limits are for all of them together, and /metrics and the
// gaps in the numbers of events tell each how busy the host is.
//
// Every operation on one Keep also needs its capability: 32 bytes that create
// returned and of which the agent keeps the SHA-256. It stands for the right to
// reach and to stop a Keep, not for any right to its contents. A create that is
// repeated with the same idempotency key returns the same capability, so that
// key is a secret like it.
//
// # Limits
//
// What an operator may set is in [Limits]; the rest is in limits.go. Past a limit
// a caller gets a problem (RFC 9457) that names what was seen, what is allowed
// and what to do, with Retry-After where waiting helps. Slow requests are cut
// off. Tunnels have a limit of their own, so that they cannot keep out health
// checks or stop requests.
//
// # Life and death
//
// A Keep that nobody claims ends after Limits.Unclaimed. The agent hears of a
// claim through a lifecycle code only, and takes the Keep's word for it: a Keep
// runtime that lies about it gains a place on the host, no more. When Run's
// context ends or SIGTERM arrives, no more Keeps are made, empty ones are
// stopped, the others may go on for Limits.Drain. A second signal ends
// everything at once.
//
// Before a Keep starts, what its loader needs to remove it is on disk (fsync,
// rename). An agent that was killed therefore finds and removes its orphans
// when it starts again. A lock file keeps two agents from sharing a state
// directory. Sealed records and the hash of the capability that opens them
// survive restarts; living Keeps do not.
package agent
