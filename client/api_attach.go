// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/enarx/enarx-go/agent/api"
)

// Attach opens a raw tunnel to the Keep: the bytes of one session, through
// which the client makes its own TLS to the Keep. The connection has a
// CloseWrite method that ends the outgoing half.
func (c *Client) Attach(ctx context.Context, id, capability string) (net.Conn, error) {
	if !validID(id) {
		return nil, fmt.Errorf("client: %q is no Keep id; `enarx ps` lists them", clean(id))
	}
	in := call{method: http.MethodPost, path: "/v1/keeps/" + id + "/attach", header: map[string]string{
		api.HeaderCapability: capability,
		"Connection":         "Upgrade",
		"Upgrade":            api.UpgradeTunnel,
	}}
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, c.unreachable(err)
	}
	t, err := c.upgrade(ctx, conn, in)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}

// connect opens a connection of its own: a tunnel never goes back to the pool.
func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	conn, err := c.dial(ctx, "tcp", c.base.Host)
	if err != nil || c.tls == nil {
		return conn, err
	}
	t := tls.Client(conn, c.tls)
	hctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := t.HandshakeContext(hctx); err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}

func (c *Client) upgrade(ctx context.Context, conn net.Conn, in call) (net.Conn, error) {
	// Closing the connection is the only thing that ends a blocked read when
	// the context does.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	conn.SetDeadline(time.Now().Add(answerTimeout))
	req, err := c.request(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := req.Write(conn); err != nil {
		return nil, c.unreachable(orContext(ctx, err))
	}
	// The head of the answer is bounded; what follows the head belongs to the
	// tunnel and is not.
	head := &io.LimitedReader{R: conn, N: maxHeader}
	br := bufio.NewReader(head)
	res, err := http.ReadResponse(br, req)
	if err != nil {
		return nil, c.unreachable(orContext(ctx, fmt.Errorf("reading the answer to attach: %w", err)))
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		defer res.Body.Close()
		return nil, problemFrom(in, res)
	}
	if got := res.Header.Get("Upgrade"); got != api.UpgradeTunnel {
		return nil, fmt.Errorf("client: attach: the agent switched to %q, expected %s; is %s an enarx agent?", clean(got), api.UpgradeTunnel, c.base)
	}
	if !stop() {
		return nil, c.unreachable(ctx.Err())
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, c.unreachable(err)
	}
	early, err := br.Peek(br.Buffered())
	if err != nil {
		return nil, c.unreachable(err)
	}
	return &tunnel{Conn: conn, early: bytes.NewReader(early)}, nil
}

func orContext(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// tunnel gives out first what came in the same packet as the answer's head.
type tunnel struct {
	net.Conn
	early *bytes.Reader
}

func (t *tunnel) Read(p []byte) (int, error) {
	if t.early.Len() > 0 {
		return t.early.Read(p)
	}
	return t.Conn.Read(p)
}

// CloseWrite ends the outgoing half.
func (t *tunnel) CloseWrite() error {
	if w, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return fmt.Errorf("client: a %T cannot be closed in one direction", t.Conn)
}
