// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/sallyport"
)

// serveAttach turns a request into a tunnel to the Keep.
func (a *Agent) serveAttach(w http.ResponseWriter, r *http.Request, id string) *problem {
	k, prob := a.authorize(r, id)
	if prob != nil {
		return prob
	}
	if !headerHas(r.Header, "Connection", "upgrade") || !strings.EqualFold(r.Header.Get("Upgrade"), api.UpgradeTunnel) {
		return fail(api.CodeUpgradeRequired, "attach is an upgrade of the connection to a tunnel").
			saw("Upgrade: "+strconv.Quote(shorten(r.Header.Get("Upgrade"))), "Connection: Upgrade and Upgrade: "+api.UpgradeTunnel)
	}
	if r.ContentLength != 0 {
		return fail(api.CodeBadRequest, "an attach request has no body").do("send the session's bytes after the 101 answer")
	}
	host, prob := a.enterTunnel(k)
	if prob != nil {
		return prob
	}
	defer a.leaveTunnel(k)
	ctx, cancel := context.WithTimeout(r.Context(), attachTime)
	inner, err := host.Attach(ctx)
	cancel()
	if err != nil {
		return attachProblem(err)
	}
	defer inner.Close()
	outer, br, prob := upgrade(w)
	if outer == nil {
		return prob
	}
	defer outer.Close()
	a.pump(outer, br, inner)
	return nil
}

func headerHas(h http.Header, name, token string) bool {
	for _, v := range h.Values(name) {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// enterTunnel takes a tunnel's share of the limits and gives the Keep's end.
func (a *Agent) enterTunnel(k *keep) (hostEnd, *problem) {
	full := func(scope string, limit int) *problem {
		return fail(api.CodeTooManyTunnels, "there are as many tunnels "+scope+" as allowed").
			saw(strconv.Itoa(limit), "fewer").after(5).do("close one, or try again later")
	}
	if !a.tunnels.Take() {
		return nil, full("on this host", a.cfg.Limits.Tunnels)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var prob *problem
	switch {
	case k.state == api.StateEnded || k.endedBy != "":
		prob = fail(api.CodeKeepEnded, "the Keep has ended").saw(k.endedBy, "a living Keep").do("look for its sealed record with GET spool")
	case k.state == api.StateStarting || k.host == nil:
		prob = fail(api.CodeKeepNotReady, "the Keep is still starting").after(1).do("try again")
	case k.tunnels >= a.cfg.Limits.TunnelsPerKeep:
		prob = full("to this Keep", a.cfg.Limits.TunnelsPerKeep)
	default:
		k.tunnels++
		return k.host, nil
	}
	a.tunnels.Give()
	return nil, prob
}

func (a *Agent) leaveTunnel(k *keep) {
	k.mu.Lock()
	k.tunnels--
	k.mu.Unlock()
	a.tunnels.Give()
}

func attachProblem(err error) *problem {
	var re *sallyport.RemoteError
	if errors.As(err, &re) && re.Code == sallyport.CodeLimit {
		return fail(api.CodeTooManyTunnels, "the Keep serves as many sessions as it allows").after(5).do("close one, or try again later")
	}
	return fail(api.CodeKeepSilent, "the Keep did not take the session").
		saw(shorten(err.Error()), fmt.Sprintf("an answer within %s", attachTime)).after(5).do("try again; if it persists, stop the Keep")
}

// upgrade takes the connection from the HTTP server and answers 101.
func upgrade(w http.ResponseWriter) (net.Conn, *bufio.Reader, *problem) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, fail(api.CodeInternal, "the connection cannot become a tunnel").do("use HTTP/1.1")
	}
	conn.SetDeadline(time.Now().Add(headTime))
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+api.UpgradeTunnel+"\r\n\r\n")
	if err != nil {
		conn.Close()
		return nil, nil, nil // the caller went away: nobody is left to tell
	}
	conn.SetDeadline(time.Time{})
	return conn, rw.Reader, nil
}

// pump copies both ways until both have ended, or one has and the other is
// silent for tunnelGrace. It looks at no byte.
func (a *Agent) pump(outer net.Conn, early *bufio.Reader, inner net.Conn) {
	var moved atomic.Int64
	ends := make(chan struct{}, 2)
	go func() {
		a.copyTunnel(inner, early, "in", &moved)
		ends <- struct{}{}
	}()
	go func() {
		a.copyTunnel(outer, inner, "out", &moved)
		ends <- struct{}{}
	}()
	<-ends
	grace := time.NewTicker(tunnelGrace)
	defer grace.Stop()
	for seen := moved.Load(); ; {
		select {
		case <-ends:
			return
		case <-a.closing:
			// Closing both, which the caller does, ends the other copy.
			return
		case <-grace.C:
			now := moved.Load()
			if now == seen {
				return
			}
			seen = now
		}
	}
}

// copyTunnel copies one direction and then tells its destination that no more
// will come. After an error it closes the destination: a tunnel that lost
// bytes must not look like one that ended.
func (a *Agent) copyTunnel(dst net.Conn, src io.Reader, direction string, moved *atomic.Int64) {
	counter := a.metrics.tunnelBytes.WithLabelValues(direction)
	buf := make([]byte, tunnelBuffer)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			moved.Add(int64(n))
			counter.Add(float64(n))
			if _, werr := dst.Write(buf[:n]); werr != nil {
				dst.Close()
				return
			}
		}
		if n == len(buf) && n < tunnelBulk {
			buf = make([]byte, tunnelBulk)
		}
		if err == io.EOF {
			if w, ok := dst.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
				return
			}
		}
		if err != nil {
			dst.Close()
			return
		}
	}
}
