// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/enarx/enarx-go/agent/api"
)

// ProblemError is a refusal of the agent. Decide by Problem.Code.
type ProblemError struct {
	Problem api.Problem
	// RetryAfter is how long the agent asks to wait; 0 if it does not say.
	RetryAfter time.Duration
}

func (e *ProblemError) Error() string {
	p := e.Problem
	s := "agent: " + p.Detail
	if p.Seen != "" {
		s += ": seen " + p.Seen
	}
	if p.Expected != "" {
		s += ", expected " + p.Expected
	}
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(" (try again in %s)", e.RetryAfter)
	}
	return s
}

// Advice says what the user can do. It comes from this client where it knows
// the code, since the agent's own advice is a stranger's.
func (e *ProblemError) Advice() string {
	if s, ok := advice[e.Problem.Code]; ok {
		return s
	}
	return e.Problem.Todo
}

var advice = map[api.Code]string{
	api.CodeUnauthenticated:   "give the agent's token with --token-file, or a client certificate with --client-cert and --client-key",
	api.CodeCapabilityMissing: "use the owner file that deploy wrote for this Keep",
	api.CodeCapabilityWrong:   "use the owner file that deploy wrote for this Keep",
	api.CodeTooManyKeeps:      "try again later, or use another host",
	api.CodeTooMuchMemory:     "ask for less memory, try again later, or use another host",
	api.CodeCreateRate:        "try again in a moment",
	api.CodeTooManyTunnels:    "close other sessions of this Keep, or try again later",
	api.CodeDraining:          "the host is going down for maintenance: use another one",
	api.CodeKeepEnded:         "deploy again; `enarx logs` may still show the record of its end",
	api.CodeNotFound:          "`enarx ps` lists the Keeps of a host; records are kept for a limited time after a Keep's end",
}

// UnreachableError says that no answer came from the agent.
type UnreachableError struct {
	URL string
	Err error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("agent %s: %s", e.URL, clean(e.Err.Error()))
}

// Unwrap gives the network's error.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Advice says what the user can do.
func (e *UnreachableError) Advice() string {
	var unknown interface{ Timeout() bool }
	switch {
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return "is the agent running there? start it with `enarx agent`"
	case strings.Contains(e.Err.Error(), "HTTP response to HTTPS client"):
		return "the agent speaks plain http: use http://, on its own machine only"
	case strings.Contains(e.Err.Error(), "x509:"):
		return "check the agent's certificate, or name its CA with --tls-ca"
	case errors.Is(e.Err, os.ErrDeadlineExceeded), errors.As(e.Err, &unknown) && unknown.Timeout():
		return "check the address and that nothing between here and there drops packets"
	}
	return "check the address and the network"
}

func (c *Client) unreachable(err error) error {
	// The http package wraps errors with method and URL, which are said here.
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return &UnreachableError{URL: c.base.String(), Err: err}
}

// problemFrom reads an error answer. Anything but well-formed problem details
// becomes a plain one that names the status.
func problemFrom(in call, res *http.Response) error {
	e := &ProblemError{Problem: api.Problem{
		Status: res.StatusCode,
		Detail: fmt.Sprintf("%s %s was answered with status %d", in.method, in.path, res.StatusCode),
	}}
	if n, err := strconv.ParseUint(res.Header.Get("Retry-After"), 10, 16); err == nil {
		e.RetryAfter = time.Duration(n) * time.Second
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	mt, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	var p api.Problem
	if err == nil && mt == api.TypeProblem && json.Unmarshal(b, &p) == nil && p.Detail != "" {
		p.Status = res.StatusCode
		for _, s := range []*string{&p.Type, &p.Title, &p.Detail, &p.Seen, &p.Expected, &p.Todo} {
			*s = clean(*s)
		}
		p.Code = api.Code(clean(string(p.Code)))
		e.Problem = p
	} else {
		e.Problem.Todo = "check that the address is that of an enarx agent"
	}
	return e
}

// clean makes a string of the agent's safe to print: one line, bounded, no
// control characters, so that a hostile host cannot write to the terminal.
func clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case r < 0x20, r == 0x7f, 0x80 <= r && r < 0xa0, r == 0xfffd,
			0x200b <= r && r <= 0x200f, 0x2028 <= r && r <= 0x202e, 0x2060 <= r && r <= 0x206f, r == 0xfeff:
			return '?' // controls, and what makes text run backwards or disappear
		}
		return r
	}, s)
}
