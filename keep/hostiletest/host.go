// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/enarx/enarx-go/sallyport"
)

// Host is the handler of a sallyport in the adversary's hands. Its zero value
// does what the honest handler does and keeps what it was asked; the functions
// that are set answer in its place.
type Host struct {
	Honest sallyport.Handler

	OnDial   func(ctx context.Context, to sallyport.Endpoint) (net.Conn, error)
	OnListen func(ctx context.Context, at sallyport.Endpoint, publish string) (net.Listener, error)
	OnQuote  func(ctx context.Context, reportData [64]byte) ([]byte, error)
	OnSpool  func(ctx context.Context, sealed []byte) error
	OnLog    func(code sallyport.LogCode)

	mu     sync.Mutex
	calls  []string
	seen   []byte
	quotes int
	exits  []sallyport.ExitCode
}

// Wrap is what keeptest.Config.Handler wants.
func (h *Host) Wrap(honest sallyport.Handler) sallyport.Handler {
	h.Honest = honest
	return h
}

// Calls are the requests so far, in the order of their arrival: names, and the
// codes of lifecycle events.
func (h *Host) Calls() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.calls...)
}

// Seen is everything that the requests carried.
func (h *Host) Seen() Seen {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(Seen(nil), h.seen...)
}

// Quotes is how many quotes the Keep has asked for.
func (h *Host) Quotes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.quotes
}

// Exits are the last words of the Keep: one at most, from an honest Keep.
func (h *Host) Exits() []sallyport.ExitCode {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]sallyport.ExitCode(nil), h.exits...)
}

func (h *Host) note(call string, content []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, call)
	h.seen = append(h.seen, call...)
	h.seen = append(h.seen, content...)
}

// Dial implements sallyport.Handler.
func (h *Host) Dial(ctx context.Context, to sallyport.Endpoint, p sallyport.DialPurpose) (net.Conn, error) {
	h.note(fmt.Sprintf("dial %s:%d", to.Host, to.Port), nil)
	if h.OnDial != nil {
		return h.OnDial(ctx, to)
	}
	return h.Honest.Dial(ctx, to, p)
}

// Listen implements sallyport.Handler.
func (h *Host) Listen(ctx context.Context, at sallyport.Endpoint, publish string) (net.Listener, error) {
	h.note(fmt.Sprintf("listen %s:%d %s", at.Host, at.Port, publish), nil)
	if h.OnListen != nil {
		return h.OnListen(ctx, at, publish)
	}
	return h.Honest.Listen(ctx, at, publish)
}

// Quote implements sallyport.Handler.
func (h *Host) Quote(ctx context.Context, reportData [64]byte) ([]byte, error) {
	h.note("quote", reportData[:])
	h.mu.Lock()
	h.quotes++
	h.mu.Unlock()
	if h.OnQuote != nil {
		return h.OnQuote(ctx, reportData)
	}
	return h.Honest.Quote(ctx, reportData)
}

// Spool implements sallyport.Handler.
func (h *Host) Spool(ctx context.Context, sealed []byte) error {
	h.note(fmt.Sprintf("spool %d", len(sealed)), sealed)
	if h.OnSpool != nil {
		return h.OnSpool(ctx, sealed)
	}
	return h.Honest.Spool(ctx, sealed)
}

// Log implements sallyport.Handler.
func (h *Host) Log(code sallyport.LogCode) {
	h.note("log "+code.String(), nil)
	if h.OnLog != nil {
		h.OnLog(code)
	}
	h.Honest.Log(code)
}

// Exit implements sallyport.Handler.
func (h *Host) Exit(code sallyport.ExitCode) {
	h.note("exit "+code.String(), nil)
	h.mu.Lock()
	h.exits = append(h.exits, code)
	h.mu.Unlock()
	h.Honest.Exit(code)
}

// Channel keeps a copy of the raw bytes of a sallyport, both ways.
type Channel struct {
	io.ReadWriteCloser
	mu   sync.Mutex
	seen []byte
}

// Wrap is what keeptest.Config.Channel wants.
func (c *Channel) Wrap(ch io.ReadWriteCloser) io.ReadWriteCloser {
	c.ReadWriteCloser = ch
	return c
}

func (c *Channel) keep(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, p...)
}

func (c *Channel) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	c.keep(p[:n])
	return n, err
}

func (c *Channel) Write(p []byte) (int, error) {
	c.keep(p)
	return c.ReadWriteCloser.Write(p)
}

// Seen is everything that went over the channel. The two directions are mixed
// as they came, so a marker that was split by the other direction's bytes
// would not be found here; the tap and the handler keep them apart.
func (c *Channel) Seen() Seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(Seen(nil), c.seen...)
}
