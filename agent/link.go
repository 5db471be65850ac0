// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"io"
	"net"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/sallyport"
)

// hostEnd is what the agent needs of a sallyport's host end.
type hostEnd interface {
	Start(ctx context.Context, cfg sallyport.StartConfig) error
	Attach(ctx context.Context) (net.Conn, error)
	SendHints(ctx context.Context, hints []sallyport.Hint) error
	Done() <-chan struct{}
	Err() error
	Close() error
}

// connectHost is the real sallyport; tests put their own in its place.
func connectHost(ctx context.Context, ch io.ReadWriteCloser, h sallyport.Handler) (hostEnd, error) {
	return sallyport.ConnectHost(ctx, ch, h, sallyport.HostOptions{})
}

func logName(code sallyport.LogCode) string { return code.String() }

// stateFor says which state a lifecycle code puts a Keep into; "" means none.
func stateFor(code sallyport.LogCode) api.State {
	switch code {
	case sallyport.LogReady:
		return api.StateEmpty
	case sallyport.LogClaimed, sallyport.LogAccepted:
		return api.StateClaimed
	case sallyport.LogRunning:
		return api.StateRunning
	}
	return ""
}
