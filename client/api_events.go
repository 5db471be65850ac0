// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/enarx/enarx-go/agent/api"
)

// Events is an open event stream of an agent.
type Events struct {
	body io.Closer
	scan *bufio.Scanner
}

// Events opens the agent's event stream after the event numbered after; 0
// begins with the oldest event that the agent still has. The stream ends with
// ctx.
func (c *Client) Events(ctx context.Context, after uint64) (*Events, error) {
	in := call{method: http.MethodGet, path: "/v1/events?after=" + strconv.FormatUint(after, 10)}
	req, err := c.request(ctx, in)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		return nil, problemFrom(in, res)
	}
	s := bufio.NewScanner(res.Body)
	s.Buffer(nil, maxEvent)
	return &Events{body: res.Body, scan: s}, nil
}

// Next waits for the next event. io.EOF says that the agent ended the stream.
// An event of type api.EventLost says how many were missed.
func (e *Events) Next() (*api.Event, error) {
	if !e.scan.Scan() {
		if err := e.scan.Err(); err != nil {
			return nil, fmt.Errorf("client: reading events: %w", err)
		}
		return nil, io.EOF
	}
	var ev api.Event
	if err := json.Unmarshal(e.scan.Bytes(), &ev); err != nil {
		return nil, fmt.Errorf("client: a line of the event stream is not an event: %s", clean(err.Error()))
	}
	for _, s := range []*string{&ev.Type, &ev.Boot, &ev.Keep, &ev.Platform, &ev.Reason} {
		*s = clean(*s)
	}
	ev.State = api.State(clean(string(ev.State)))
	return &ev, nil
}

// Close ends the stream.
func (e *Events) Close() error { return e.body.Close() }
