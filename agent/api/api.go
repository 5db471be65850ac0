// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package api is the vocabulary of the agent's HTTP API: the JSON bodies, the
// header names and the problem codes that package agent writes and package
// client reads. It holds no behaviour, so that a client need not link the
// daemon.
//
// The interface itself is described in openapi.yaml of package agent. All
// times are RFC 3339 in UTC, all sizes bytes, all identifiers lower-case
// hexadecimal.
//
// Nothing in these types is to be believed: the agent is trusted by nobody.
// What a Keep is, only its evidence says.
package api

import "time"

// The header fields and protocol names of the API.
const (
	// HeaderCapability carries a Keep's capability: 43 characters of
	// unpadded base64url, the 32 bytes that create returned.
	HeaderCapability = "Enarx-Capability"
	// HeaderIdempotencyKey makes a create repeatable: the same key gives the
	// same Keep. Whoever knows the key can have the capability, so it is
	// random and as secret as that.
	HeaderIdempotencyKey = "Idempotency-Key"
	// UpgradeTunnel is the protocol that attach upgrades to (RFC 9110,
	// section 7.8): raw bytes of one session in both directions.
	UpgradeTunnel = "enarx-tunnel"
	// TypeProblem is the media type of errors (RFC 9457).
	TypeProblem = "application/problem+json"
	// TypeEvents is the media type of the event stream: one JSON object per
	// line.
	TypeEvents = "application/x-ndjson"
	// TypeSealed is the media type of a spooled record: opaque bytes.
	TypeSealed = "application/octet-stream"
)

// State is what the host believes about a Keep. From "empty" on it is hearsay:
// the Keep says it, and the agent cannot check it.
type State string

// The states of a Keep, in the order of its life.
const (
	StateStarting State = "starting" // the platform is launching it
	StateEmpty    State = "empty"    // it answers and has no workload
	StateClaimed  State = "claimed"  // some client took it
	StateRunning  State = "running"  // a workload runs
	StateEnded    State = "ended"    // nothing of it is left but its record
)

// The ways a Keep can have ended.
const (
	EndedByKeep      = "keep"      // the Keep said that it ended
	EndedByFault     = "fault"     // the Keep runtime said that it failed
	EndedByStop      = "stop"      // somebody with the capability stopped it
	EndedByUnclaimed = "unclaimed" // no client claimed it in time
	EndedByDrain     = "drain"     // the agent was told to end
	EndedByLoss      = "loss"      // its process or channel ended without a word
	EndedByLifetime  = "lifetime"  // it was older than the host allows
)

// CreateRequest asks for an empty Keep. These three fields are all that an
// agent may learn about a workload to come (DESIGN, invariant 2).
type CreateRequest struct {
	// Platform is the platform wanted. There is no default: an agent does
	// not choose how well a tenant is protected.
	Platform string `json:"platform"`
	// VCPUs is the number of virtual CPUs; 0 is the platform's default.
	VCPUs int `json:"vcpus,omitempty"`
	// MemoryClass is the Keep's memory in bytes, a power of two; 0 is the
	// agent's default.
	MemoryClass uint64 `json:"memory_class,omitempty"`
}

// Created answers a create.
type Created struct {
	ID string `json:"id"`
	// Capability is the right to attach to, inspect and stop this Keep. The
	// agent keeps its hash only.
	Capability  string    `json:"capability"`
	Platform    string    `json:"platform"`
	State       State     `json:"state"`
	VCPUs       int       `json:"vcpus"`
	MemoryClass uint64    `json:"memory_class"`
	Created     time.Time `json:"created"`
	// ClaimBy is when the agent ends the Keep if no client has claimed it.
	ClaimBy time.Time `json:"claim_by"`
}

// Keep is one entry of the list: what every authenticated caller may see.
type Keep struct {
	ID       string     `json:"id"`
	Platform string     `json:"platform"`
	State    State      `json:"state"`
	Created  time.Time  `json:"created"`
	Ended    *time.Time `json:"ended,omitempty"`
}

// List is the body of GET /v1/keeps.
type List struct {
	Keeps []Keep `json:"keeps"`
}

// Inspect is what the agent knows about one Keep.
type Inspect struct {
	Keep
	VCPUs       int       `json:"vcpus"`
	MemoryClass uint64    `json:"memory_class"`
	ClaimBy     time.Time `json:"claim_by"`
	// KeepDigest is the SHA-256 of the Keep runtime that the agent says it
	// started, in hexadecimal.
	KeepDigest string  `json:"keep_digest"`
	Layers     []Layer `json:"layers"`
	Tunnels    int     `json:"tunnels"`
	// EndedBy and Reason are set when State is "ended"; see the EndedBy
	// constants.
	EndedBy string `json:"ended_by,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Spool   *Spool `json:"spool,omitempty"`
	// SpoolLost says why a record that the Keep wanted to leave was not kept.
	SpoolLost string `json:"spool_lost,omitempty"`
	// Log is the Keep's lifecycle codes, oldest first; LogLost counts those
	// that were dropped for want of room.
	Log     []LogEntry `json:"log"`
	LogLost int        `json:"log_lost,omitempty"`
}

// Layer is one mechanism that isolates the Keep from its host.
type Layer struct {
	Name    string `json:"name"`
	Applied bool   `json:"applied"`
	Detail  string `json:"detail"`
}

// Spool describes a Keep's sealed record.
type Spool struct {
	Bytes   int       `json:"bytes"`
	Expires time.Time `json:"expires"`
}

// LogEntry is one lifecycle code of a Keep and when the host saw it.
type LogEntry struct {
	Time time.Time `json:"time"`
	Code uint16    `json:"code"`
	Name string    `json:"name"`
}

// Port is a listener of a Keep.
type Port struct {
	Guest string `json:"guest"` // the endpoint as the workload named it
	Host  string `json:"host"`  // where it is bound on the host
}

// Ports is the body of GET /v1/keeps/{id}/ports.
type Ports struct {
	Ports []Port `json:"ports"`
}

// Health is the body of GET /v1/health.
type Health struct {
	Status string `json:"status"` // "ok" or "draining"
}

// The types of events.
const (
	EventHello    = "hello"    // first line of every stream
	EventCreated  = "created"  // a Keep was asked for
	EventState    = "state"    // a Keep's state changed
	EventEnded    = "ended"    // a Keep has ended and nothing is left of it
	EventOrphan   = "orphan"   // a Keep of a former life of the agent was removed, or could not be
	EventDraining = "draining" // the agent takes no more Keeps
	EventLost     = "lost"     // Count events before this line are gone
	EventAlive    = "alive"    // nothing happened for a while
)

// Event is one line of the event stream, made for schedulers.
type Event struct {
	// Seq numbers the events of one life of the agent from 1. There are gaps
	// where an event is another caller's. Lines that
	// are no event of their own (hello, lost, alive) repeat the number of
	// the last event before them.
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
	Type string    `json:"type"`
	// Boot names this life of the agent; sequence numbers start again when
	// it changes. Set on hello.
	Boot     string `json:"boot,omitempty"`
	Keep     string `json:"keep,omitempty"`
	Platform string `json:"platform,omitempty"`
	State    State  `json:"state,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Count    uint64 `json:"count,omitempty"`
}
