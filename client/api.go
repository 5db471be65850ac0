// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/enarx/enarx-go/agent/api"
)

// Options say how to reach an agent and as whom. The zero value is right for
// an agent on this machine's loopback without authentication.
type Options struct {
	// Token, or the first line of TokenFile that is not a comment, is sent as
	// the bearer token.
	Token     string
	TokenFile string
	// RootCAs verify the agent's certificate; nil means those of CAFile (PEM)
	// and, if that is empty, the system's. The agent's certificate keeps
	// other people on the network out of the API. It says nothing about the
	// Keep.
	RootCAs *x509.CertPool
	CAFile  string
	// ClientCert and ClientKey are PEM files of a client certificate.
	ClientCert, ClientKey string
	// DialContext replaces the TCP dial; for tests.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Client calls one agent's API. It is safe for use by many goroutines.
//
// Everything that it returns was said by the agent, whom nobody trusts. Text is
// made safe to print, sizes are bounded, redirects are not followed; beyond
// that, believe evidence only.
type Client struct {
	base  *url.URL
	token string
	tls   *tls.Config // nil for http
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	http  *http.Client
}

// New makes a client for the agent at rawURL: https://HOST[:PORT], or
// http://LOOPBACK[:PORT] for an agent on this machine. The port is 7420 unless
// given. It makes no connection.
func New(rawURL string, opt Options) (*Client, error) {
	base, err := parseBase(rawURL)
	if err != nil {
		return nil, err
	}
	c := &Client{base: base, token: opt.Token, dial: opt.DialContext}
	if c.dial == nil {
		c.dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	if opt.TokenFile != "" {
		if c.token, err = readToken(opt.TokenFile); err != nil {
			return nil, err
		}
	}
	if strings.ContainsFunc(c.token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("client: the token has a space or a character outside ASCII")
	}
	if base.Scheme == "https" {
		if c.tls, err = tlsConfig(base.Hostname(), opt); err != nil {
			return nil, err
		}
	} else if opt.ClientCert != "" {
		return nil, fmt.Errorf("client: a client certificate needs an https:// address, seen %s", base)
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			// No proxy from the environment: the token would pass through it.
			DialContext:            c.dial,
			TLSClientConfig:        c.tls,
			TLSHandshakeTimeout:    dialTimeout,
			ResponseHeaderTimeout:  answerTimeout,
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        20 * time.Second,
			DisableCompression:     true,
		},
		// A redirect would carry token and capability to an address of the
		// agent's choosing.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// DefaultPort is the agent's port.
const DefaultPort = "7420"

func parseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("client: agent address %q: expected https://HOST[:PORT], such as https://host.example:7420", raw)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("client: agent address %q: expected scheme, host and port only; tokens come from a file", u.Redacted())
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), DefaultPort)
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, fmt.Errorf("client: agent address %q: plain http is for this machine's loopback only; use https://", raw)
	}
	u.Path = ""
	return u, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func readToken(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("client: token file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return "", fmt.Errorf("client: token file %s: %w", file, err)
	}
	if len(b) > maxTokenFile {
		return "", fmt.Errorf("client: token file %s is larger than %d bytes", file, maxTokenFile)
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line, nil
		}
	}
	return "", fmt.Errorf("client: token file %s holds no token", file)
}

func tlsConfig(name string, opt Options) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: name, RootCAs: opt.RootCAs, NextProtos: []string{"http/1.1"}}
	if opt.CAFile != "" && cfg.RootCAs == nil {
		pem, err := os.ReadFile(opt.CAFile)
		if err != nil {
			return nil, fmt.Errorf("client: CA file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("client: CA file %s holds no PEM certificate", opt.CAFile)
		}
	}
	if opt.ClientCert != "" || opt.ClientKey != "" {
		pair, err := tls.LoadX509KeyPair(opt.ClientCert, opt.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("client: client certificate %s with key %s: %w", opt.ClientCert, opt.ClientKey, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// URL is the agent's address.
func (c *Client) URL() string { return c.base.String() }

// Close drops idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// NewIdempotencyKey makes a key for Create: 256 random bits.
func NewIdempotencyKey() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Create asks for an empty Keep. With an empty idempotencyKey a fresh one is
// made. If the connection breaks before the answer is read, Create asks again
// with the same key, so that no Keep is left that nobody knows of.
func (c *Client) Create(ctx context.Context, req api.CreateRequest, idempotencyKey string) (*api.Created, error) {
	if idempotencyKey == "" {
		idempotencyKey = NewIdempotencyKey()
	}
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	var out api.Created
	for try := 1; ; try++ {
		err = c.call(ctx, call{
			method: http.MethodPost, path: "/v1/keeps", body: body,
			header: map[string]string{api.HeaderIdempotencyKey: idempotencyKey},
		}, &out)
		var lost *UnreachableError
		if err == nil || !errors.As(err, &lost) || try == createTries || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if !validID(out.ID) || len(out.Capability) > maxCapability || out.Capability == "" {
		return nil, fmt.Errorf("client: create: the agent answered without a proper id and capability; is %s an enarx agent?", c.base)
	}
	if out.Platform != req.Platform {
		return nil, fmt.Errorf("client: create: asked for platform %s, the agent answered %s; use another agent", req.Platform, clean(out.Platform))
	}
	return &out, nil
}

// List gives every Keep of the agent.
func (c *Client) List(ctx context.Context) ([]api.Keep, error) {
	var out api.List
	if err := c.call(ctx, call{method: http.MethodGet, path: "/v1/keeps"}, &out); err != nil {
		return nil, err
	}
	for i := range out.Keeps {
		cleanKeep(&out.Keeps[i])
	}
	return out.Keeps, nil
}

// Inspect gives what the agent knows of one Keep.
func (c *Client) Inspect(ctx context.Context, id, capability string) (*api.Inspect, error) {
	var out api.Inspect
	if err := c.keepCall(ctx, http.MethodGet, id, capability, "", &out); err != nil {
		return nil, err
	}
	cleanKeep(&out.Keep)
	for _, s := range []*string{&out.KeepDigest, &out.EndedBy, &out.Reason, &out.SpoolLost} {
		*s = clean(*s)
	}
	for i := range out.Layers {
		out.Layers[i].Name, out.Layers[i].Detail = clean(out.Layers[i].Name), clean(out.Layers[i].Detail)
	}
	for i := range out.Log {
		out.Log[i].Name = clean(out.Log[i].Name)
	}
	return &out, nil
}

// Stop ends the Keep at once, whatever it is doing, and returns when nothing
// of it is left on the host. A Keep that has ended already is no error.
func (c *Client) Stop(ctx context.Context, id, capability string) error {
	return c.keepCall(ctx, http.MethodDelete, id, capability, "", nil)
}

// Ports gives the Keep's listeners and where they are bound on the host.
func (c *Client) Ports(ctx context.Context, id, capability string) ([]api.Port, error) {
	var out api.Ports
	if err := c.keepCall(ctx, http.MethodGet, id, capability, "/ports", &out); err != nil {
		return nil, err
	}
	for i := range out.Ports {
		out.Ports[i].Guest, out.Ports[i].Host = clean(out.Ports[i].Guest), clean(out.Ports[i].Host)
	}
	return out.Ports, nil
}

// Spool gives the sealed record that the Keep left when it ended. Only the
// owner key opens it.
func (c *Client) Spool(ctx context.Context, id, capability string) ([]byte, error) {
	var out []byte
	if err := c.keepCall(ctx, http.MethodGet, id, capability, "/spool", &out); err != nil {
		return nil, err
	}
	return out, nil
}

// Health asks whether the agent is there and takes Keeps. It needs no
// authentication.
func (c *Client) Health(ctx context.Context) (*api.Health, error) {
	var out api.Health
	if err := c.call(ctx, call{method: http.MethodGet, path: "/v1/health"}, &out); err != nil {
		return nil, err
	}
	out.Status = clean(out.Status)
	return &out, nil
}

func cleanKeep(k *api.Keep) {
	k.ID, k.Platform, k.State = clean(k.ID), clean(k.Platform), api.State(clean(string(k.State)))
}

// validID says that an id can be put into a path.
func validID(id string) bool {
	return id != "" && len(id) <= maxID && strings.Trim(id, "0123456789abcdef") == ""
}

type call struct {
	method, path string
	body         []byte
	header       map[string]string
}

func (c *Client) keepCall(ctx context.Context, method, id, capability, tail string, out any) error {
	if !validID(id) {
		return fmt.Errorf("client: %q is no Keep id; `enarx ps` lists them", clean(id))
	}
	return c.call(ctx, call{
		method: method, path: "/v1/keeps/" + id + tail,
		header: map[string]string{api.HeaderCapability: capability},
	}, out)
}

// request makes the HTTP request of a call.
func (c *Client) request(ctx context.Context, in call) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, in.method, c.base.String()+in.path, bytes.NewReader(in.body))
	if err != nil {
		return nil, err
	}
	if in.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for k, v := range in.header {
		req.Header.Set(k, v)
	}
	return req, nil
}

// call makes one exchange. out is nil, *[]byte for raw bytes, or a value for
// JSON.
func (c *Client) call(ctx context.Context, in call, out any) error {
	// The head of an answer has a bound of its own; this one ends an answer
	// that dribbles.
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := c.request(ctx, in)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return problemFrom(in, res)
	}
	limit := int64(maxJSON)
	raw, isRaw := out.(*[]byte)
	if isRaw {
		limit = maxSpool
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return c.unreachable(err)
	}
	switch {
	case int64(len(b)) > limit:
		return fmt.Errorf("client: %s %s: the agent's answer is larger than %d bytes", in.method, in.path, limit)
	case out == nil:
		return nil
	case isRaw:
		*raw = b
		return nil
	}
	if mt, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); mt != "application/json" {
		return fmt.Errorf("client: %s %s: the answer is %q, expected application/json; is %s an enarx agent?", in.method, in.path, clean(mt), c.base)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("client: %s %s: the agent's answer is not what the API says: %s", in.method, in.path, clean(err.Error()))
	}
	return nil
}
