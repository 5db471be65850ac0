// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/enarx/enarx-go/agent/api"
)

// problem is an error on its way to a caller.
type problem struct {
	api.Problem
	retryAfter int    // seconds, 0 for none
	allow      string // the Allow header of a 405
}

// known gives each code its status and title.
var known = map[api.Code]struct {
	status int
	title  string
}{
	api.CodeBadRequest:         {400, "The request is malformed"},
	api.CodeBodyTooLarge:       {413, "The request body is too large"},
	api.CodeUnsupportedMedia:   {415, "The request body is not JSON"},
	api.CodeNotFound:           {404, "There is no such thing"},
	api.CodeMethodNotAllowed:   {405, "The path does not take this method"},
	api.CodeUnauthenticated:    {401, "The caller is not authenticated"},
	api.CodeBrowserRefused:     {403, "Browsers are refused"},
	api.CodeHostRefused:        {421, "The Host header names another host"},
	api.CodeCapabilityMissing:  {403, "The Keep's capability is missing"},
	api.CodeCapabilityWrong:    {403, "The capability is not this Keep's"},
	api.CodeUpgradeRequired:    {426, "Attach is an upgrade to a tunnel"},
	api.CodePlatformUnusable:   {422, "The platform is not offered here"},
	api.CodeIdempotencyReused:  {422, "The idempotency key was used for another request"},
	api.CodeTooManyKeeps:       {503, "The host has as many Keeps as it allows"},
	api.CodeTooMuchMemory:      {503, "The host has no memory left for Keeps"},
	api.CodeCreateRate:         {429, "Keeps are asked for too fast"},
	api.CodeTooManyTunnels:     {503, "There are as many tunnels as allowed"},
	api.CodeTooManySubscribers: {503, "There are as many event streams as allowed"},
	api.CodeDraining:           {503, "The agent is going down"},
	api.CodeKeepNotReady:       {409, "The Keep is still starting"},
	api.CodeKeepEnded:          {409, "The Keep has ended"},
	api.CodeKeepSilent:         {504, "The Keep does not answer"},
	api.CodeNotEnded:           {409, "The Keep has not ended"},
	api.CodeNoSpool:            {404, "The Keep left no sealed record"},
	api.CodeStartFailed:        {502, "The Keep did not start"},
	api.CodeStateWrite:         {507, "The agent cannot write its state"},
	api.CodeInternal:           {500, "The agent failed"},
}

// fail makes a problem. detail is one sentence without capital or full stop.
func fail(code api.Code, detail string) *problem {
	k := known[code]
	return &problem{Problem: api.Problem{
		Type: "/v1/openapi.yaml#" + string(code), Title: k.title, Status: k.status, Detail: detail, Code: code,
	}}
}

func (p *problem) saw(seen, expected string) *problem {
	p.Seen, p.Expected = seen, expected
	return p
}

func (p *problem) do(todo string) *problem {
	p.Todo = todo
	return p
}

func (p *problem) after(seconds int) *problem {
	p.retryAfter = max(seconds, 1)
	return p
}

func (p *problem) Error() string { return string(p.Code) + ": " + p.Detail }

func (p *problem) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", api.TypeProblem)
	h.Set("Cache-Control", "no-store")
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	switch p.Code {
	case api.CodeUnauthenticated:
		h.Set("WWW-Authenticate", `Bearer realm="enarx"`)
	case api.CodeUpgradeRequired:
		h.Set("Upgrade", api.UpgradeTunnel)
	}
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p.Problem)
}

// writeJSON writes a successful answer. Answers are never cached: one of them
// holds a capability.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
