// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Timing bounds what a [Client] waits for. A zero field stands for the default.
type Timing struct {
	// Connect, Header and Body bound one attempt: until there is a
	// connection, until the header of the answer is there, and then until
	// its last byte. A body that trickles ends with Body like any other.
	Connect, Header, Body time.Duration
	// Total bounds one item with all attempts and pauses between them.
	Total time.Duration
	// Attempts is how often an item is asked for at most.
	Attempts int
	// Pause is the first pause between attempts; it doubles, and half of it
	// is left to chance, so that a fleet does not ask in step.
	Pause time.Duration
	// MaxPause bounds a pause, also one that the service asks for: where it
	// asks for more, the client gives up and says so.
	MaxPause time.Duration
}

// DefaultTiming is for services beyond the internet: a healthy one answers in
// less than a second, and a person waits for the whole.
var DefaultTiming = Timing{
	Connect: 5 * time.Second, Header: 10 * time.Second, Body: 10 * time.Second, Total: 45 * time.Second,
	Attempts: 4, Pause: 500 * time.Millisecond, MaxPause: 30 * time.Second,
}

func (t Timing) filled() Timing {
	for _, f := range []struct {
		to  *time.Duration
		def time.Duration
	}{
		{&t.Connect, DefaultTiming.Connect}, {&t.Header, DefaultTiming.Header}, {&t.Body, DefaultTiming.Body},
		{&t.Total, DefaultTiming.Total}, {&t.Pause, DefaultTiming.Pause}, {&t.MaxPause, DefaultTiming.MaxPause},
	} {
		if *f.to <= 0 {
			*f.to = f.def
		}
	}
	if t.Attempts <= 0 {
		t.Attempts = DefaultTiming.Attempts
	}
	return t
}

// ClientOptions are for [NewClient]. The zero value is the strict one.
type ClientOptions struct {
	// Transport carries requests; nil means one that follows HTTPS_PROXY,
	// HTTP_PROXY and NO_PROXY as operators expect. What is fetched is signed,
	// so a proxy can withhold it and not change it.
	Transport http.RoundTripper
	// Roots are accepted for TLS in the place of the system's; for mirrors
	// with a certificate of their own. nil means the system's.
	Roots *x509.CertPool
	// PlainHTTP allows http to hosts other than this one. Nothing that is
	// fetched becomes trusted by TLS, but who listens learns which chips and
	// models are asked about, and can withhold a new list.
	PlainHTTP bool
	Timing    Timing
	// UserAgent names the program; empty means "enarx".
	UserAgent string
	// Now is the clock for dates in Retry-After; nil means the system's.
	Now func() time.Time
}

// Client asks services over HTTP: bounded in time and size, with pauses that
// respect what a service asks for, never across hosts. It is safe for
// concurrent use.
type Client struct {
	o    ClientOptions
	http *http.Client

	mu    sync.Mutex
	gates map[string]time.Time // by host: not to be asked before
}

// NewClient makes a client.
func NewClient(o ClientOptions) *Client {
	o.Timing = o.Timing.filled()
	if o.UserAgent == "" {
		o.UserAgent = "enarx"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: o.Timing.Connect}).DialContext,
			TLSHandshakeTimeout:    o.Timing.Connect,
			TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // a bounded answer stays bounded
			MaxResponseHeaderBytes: maxHeaders,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        30 * time.Second,
		}
	}
	return &Client{o: o, gates: map[string]time.Time{}, http: &http.Client{
		Transport:     o.Transport,
		CheckRedirect: sameHost,
	}}
}

// sameHost follows a few redirects within one host and hands back the others
// as what they are.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > 3 || req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// StatusError is an answer that is not 200.
type StatusError struct {
	URL    string
	Status int
	// RetryAfter is how long the service asks to wait; 0 if it does not say.
	RetryAfter time.Duration
	// Location is where a redirect that was not followed leads to.
	Location string
	// Says is the service's own word on it, as Intel's and its caching
	// services give in headers, with the id that their support asks for.
	Says string
}

func (e *StatusError) Error() string {
	s := e.words()
	if e.Says != "" {
		s += ", saying " + e.Says
	}
	return s
}

func (e *StatusError) words() string {
	switch {
	case e.Location != "":
		return fmt.Sprintf("%s answers %d and points to %q on another host, which is not followed", host(e.URL), e.Status, bounded(e.Location, 200))
	case e.Status == http.StatusTooManyRequests && e.RetryAfter > 0:
		return fmt.Sprintf("%s answers 429 (too many requests) and asks to wait %v", host(e.URL), e.RetryAfter)
	case e.RetryAfter > 0:
		return fmt.Sprintf("%s answers %d (%s) and asks to wait %v", host(e.URL), e.Status, strings.ToLower(http.StatusText(e.Status)), e.RetryAfter)
	}
	return fmt.Sprintf("%s answers %d (%s)", host(e.URL), e.Status, strings.ToLower(http.StatusText(e.Status)))
}

// reply is a good answer.
type reply struct {
	url    string
	header http.Header
	body   []byte
}

// errTime is what ran out.
type errTime struct {
	host, what string
	after      time.Duration
}

func (e *errTime) Error() string {
	return fmt.Sprintf("%s: %s within %v", e.host, e.what, e.after)
}

// Timeout says that it is one, for those who ask errors.
func (e *errTime) Timeout() bool { return true }

// get fetches one URL with attempts and pauses. header may be nil.
func (c *Client) get(ctx context.Context, rawURL string, header http.Header) (*reply, error) {
	u, err := c.checkURL(rawURL)
	if err != nil {
		return nil, err
	}
	t := c.o.Timing
	ctx, cancel := context.WithTimeoutCause(ctx, t.Total, &errTime{u.Host, "no good answer", t.Total})
	defer cancel()
	var last error
	for attempt := 0; ; attempt++ {
		if err := c.passGate(ctx, u.Host, last); err != nil {
			return nil, err
		}
		r, err := c.once(ctx, u, header)
		if err == nil {
			return r, nil
		}
		last = err
		if ctx.Err() != nil {
			return nil, ended(ctx, last)
		}
		if !worthAgain(err) {
			return nil, err
		}
		if attempt+1 >= t.Attempts {
			return nil, fmt.Errorf("%w; given up after %d attempts", err, attempt+1)
		}
		if err := c.pause(ctx, u.Host, attempt, err); err != nil {
			return nil, err
		}
	}
}

// checkURL parses what was configured or built from an item.
func (c *Client) checkURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("address: %w", err)
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("address %q is not one of a service: expected https://HOST", bounded(raw, 200))
	case u.Scheme == "https", u.Scheme == "http" && (c.o.PlainHTTP || loopback(u.Hostname())):
		return u, nil
	case u.Scheme == "http":
		return nil, fmt.Errorf("address %q is plain http to another host: whoever listens learns what is asked for and can withhold answers", bounded(raw, 200))
	}
	return nil, fmt.Errorf("address %q: expected https", bounded(raw, 200))
}

func loopback(name string) bool {
	if name == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.Unmap().IsLoopback()
}

func host(rawURL string) string {
	if u, err := url.Parse(rawURL); err == nil && u.Host != "" {
		return u.Host
	}
	return "the service"
}

// once asks one time.
func (c *Client) once(ctx context.Context, u *url.URL, header http.Header) (*reply, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := c.o.Timing
	clock := time.AfterFunc(t.Header, func() { cancel(&errTime{u.Host, "no answer", t.Header}) })
	defer func() { clock.Stop() }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", u.Host, err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", c.o.UserAgent)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, ended(ctx, fmt.Errorf("asking %s: %w", u.Host, bare(err)))
	}
	defer res.Body.Close()
	clock.Stop()
	if res.StatusCode != http.StatusOK {
		return nil, c.statusError(u, res)
	}
	if res.ContentLength > maxBody {
		return nil, &sizeError{u.Host, fmt.Sprintf("%d bytes", res.ContentLength)}
	}
	clock = time.AfterFunc(t.Body, func() { cancel(&errTime{u.Host, "the answer did not end", t.Body}) })
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, ended(ctx, fmt.Errorf("reading the answer of %s: %w", u.Host, err))
	}
	if len(body) > maxBody {
		return nil, &sizeError{u.Host, fmt.Sprintf("more than %d bytes", maxBody)}
	}
	return &reply{url: u.String(), header: res.Header, body: body}, nil
}

// sizeError is an answer beyond the bound.
type sizeError struct{ host, size string }

func (e *sizeError) Error() string {
	return fmt.Sprintf("%s answers with %s, expected at most %d", e.host, e.size, maxBody)
}

// bare takes off the URL that package http puts before an error: it can have
// the whole hardware id in it. An error that quotes an answer at length, as that
// of a malformed header does, is cut.
func bare(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	if len(err.Error()) > maxQuoted {
		return &cutError{err}
	}
	return err
}

// maxQuoted bounds an error of the transport's.
const maxQuoted = 300

// cutError is an error with the beginning of its text.
type cutError struct{ err error }

func (e *cutError) Error() string { return bounded(e.err.Error(), maxQuoted) }

// Unwrap gives the whole.
func (e *cutError) Unwrap() error { return e.err }

// ended prefers the reason why a context ended to what came of it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	cause := context.Cause(ctx)
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	var t *errTime
	if errors.As(cause, &t) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w (the last attempt: %w)", cause, err)
	}
	return cause
}

func (c *Client) statusError(u *url.URL, res *http.Response) error {
	e := &StatusError{URL: u.String(), Status: res.StatusCode}
	if res.StatusCode >= 300 && res.StatusCode < 400 {
		e.Location = res.Header.Get("Location")
	}
	if res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable {
		e.RetryAfter = retryAfter(res.Header.Get("Retry-After"), c.o.Now())
	}
	e.Says = said(res.Header)
	return e
}

// said is what a service says of an error beside its status.
func said(h http.Header) string {
	var parts []string
	for _, name := range []string{"Error-Code", "Error-Message", "Request-ID"} {
		if v := h.Get(name); v != "" {
			parts = append(parts, strings.ToLower(name)+" "+strconv.Quote(bounded(v, 200)))
		}
	}
	return strings.Join(parts, ", ")
}

// worthAgain says whether the same question may have a better answer later.
func worthAgain(err error) bool {
	var status *StatusError
	var size *sizeError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &status):
		switch status.Status {
		case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	case errors.As(err, &size), errors.As(err, &cert):
		return false
	}
	return true // the network
}

// pause waits before the next attempt: longer each time, and at least as long
// as the service asks for. It does not begin a wait whose end nobody sees.
func (c *Client) pause(ctx context.Context, host string, attempt int, last error) error {
	t := c.o.Timing
	d := min(t.Pause<<min(attempt, 16), t.MaxPause)
	d = d/2 + rand.N(d/2+1)
	var status *StatusError
	if errors.As(last, &status) && status.RetryAfter > 0 {
		if status.RetryAfter > t.MaxPause {
			return fmt.Errorf("%w, longer than the %v that are waited at most; ask again later", last, t.MaxPause)
		}
		d = max(d, status.RetryAfter)
		c.mu.Lock()
		c.gates[host] = time.Now().Add(status.RetryAfter)
		c.mu.Unlock()
	}
	return sleep(ctx, d, last)
}

// passGate waits while a host has asked all of us to wait.
func (c *Client) passGate(ctx context.Context, host string, last error) error {
	c.mu.Lock()
	d := time.Until(c.gates[host])
	c.mu.Unlock()
	if d <= 0 {
		return nil
	}
	if last == nil {
		last = fmt.Errorf("%s has asked to wait", host)
	}
	return sleep(ctx, d, last)
}

func sleep(ctx context.Context, d time.Duration, last error) error {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < d {
		return fmt.Errorf("%w; the next attempt would be in %v, beyond the time limit", last, d.Round(time.Millisecond))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ended(ctx, last)
	case <-timer.C:
		return nil
	}
}

// retryAfter reads Retry-After (RFC 9110, section 10.2.3): seconds or a date.
// What cannot be read counts as not said; a date that has passed is no wait.
func retryAfter(text string, now time.Time) time.Duration {
	const most = 30 * day // beyond, the number only shows that it is refused
	text = strings.TrimSpace(text)
	if text == "" {
		return 0
	}
	seconds, digits := int64(0), true
	for _, r := range text {
		if r < '0' || r > '9' {
			digits = false
			break
		}
		seconds = min(seconds*10+int64(r-'0'), int64(most/time.Second))
	}
	if digits {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), most)
}

func bounded(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
