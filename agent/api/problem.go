// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package api

// Code names one kind of problem; clients decide by it and nothing else.
type Code string

// The problem codes. Each is documented in openapi.yaml.
const (
	CodeBadRequest         Code = "bad-request"
	CodeBodyTooLarge       Code = "body-too-large"
	CodeUnsupportedMedia   Code = "unsupported-media-type"
	CodeNotFound           Code = "not-found"
	CodeMethodNotAllowed   Code = "method-not-allowed"
	CodeUnauthenticated    Code = "unauthenticated"
	CodeBrowserRefused     Code = "browser-refused"
	CodeHostRefused        Code = "host-refused"
	CodeCapabilityMissing  Code = "capability-missing"
	CodeCapabilityWrong    Code = "capability-wrong"
	CodeUpgradeRequired    Code = "upgrade-required"
	CodePlatformUnusable   Code = "platform-unusable"
	CodeIdempotencyReused  Code = "idempotency-key-reused"
	CodeTooManyKeeps       Code = "too-many-keeps"
	CodeTooMuchMemory      Code = "too-much-memory"
	CodeCreateRate         Code = "create-rate"
	CodeTooManyTunnels     Code = "too-many-tunnels"
	CodeTooManySubscribers Code = "too-many-subscribers"
	CodeDraining           Code = "draining"
	CodeKeepNotReady       Code = "keep-not-ready"
	CodeKeepEnded          Code = "keep-ended"
	CodeKeepSilent         Code = "keep-silent"
	CodeNotEnded           Code = "keep-not-ended"
	CodeNoSpool            Code = "no-spool"
	CodeStartFailed        Code = "start-failed"
	CodeStateWrite         Code = "state-write"
	CodeInternal           Code = "internal"
)

// Codes is every problem code, in the order of the documentation.
var Codes = []Code{
	CodeBadRequest, CodeBodyTooLarge, CodeUnsupportedMedia, CodeNotFound, CodeMethodNotAllowed,
	CodeUnauthenticated, CodeBrowserRefused, CodeHostRefused, CodeCapabilityMissing, CodeCapabilityWrong,
	CodeUpgradeRequired, CodePlatformUnusable, CodeIdempotencyReused, CodeTooManyKeeps, CodeTooMuchMemory,
	CodeCreateRate, CodeTooManyTunnels, CodeTooManySubscribers, CodeDraining, CodeKeepNotReady, CodeKeepEnded,
	CodeKeepSilent, CodeNotEnded, CodeNoSpool, CodeStartFailed, CodeStateWrite, CodeInternal,
}

// Problem is an error as the agent sends it: RFC 9457 problem details with the
// project's own members code, seen, expected and todo.
type Problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Code     Code   `json:"code"`
	Seen     string `json:"seen,omitempty"`
	Expected string `json:"expected,omitempty"`
	Todo     string `json:"todo,omitempty"`
}
