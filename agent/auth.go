// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/enarx/enarx-go/agent/api"
)

// auth decides who may call the API.
type auth struct {
	tokens [][32]byte // SHA-256 of each accepted token
	certs  bool       // client certificates are accepted
}

// loadTokens reads a token file; see Config.TokenFile. Everything is checked
// on the file that is open, so that none can be put in its place in between.
func loadTokens(path string) ([][32]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not hold the agent up
	if err != nil {
		return nil, fmt.Errorf("agent: token file: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("agent: token file: %w", err)
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("agent: token file %s is a %s, expected a regular file", path, fi.Mode().Type())
	}
	if err := checkTokenFile(fi.Mode().Perm(), int(st.Uid), os.Geteuid()); err != nil {
		return nil, fmt.Errorf("agent: token file %s %w", path, err)
	}
	b := make([]byte, maxTokenFile+1)
	n, err := readFull(f, b)
	if err != nil {
		return nil, fmt.Errorf("agent: token file %s: %w", path, err)
	}
	if n > maxTokenFile {
		return nil, fmt.Errorf("agent: token file %s is larger than %d bytes", path, maxTokenFile)
	}
	return parseTokens(path, string(b[:n]))
}

// checkTokenFile judges mode and owner of a token file: who can write it can
// call the agent, and who can read it too. One bit is let through: systemd
// hands credentials to a service's user in files of root with an access list,
// whose mask shows as read permission of the group.
func checkTokenFile(mode fs.FileMode, owner, self int) error {
	if owner != self && owner != 0 {
		return fmt.Errorf("belongs to user %d, expected %d or root; change its owner", owner, self)
	}
	denied := fs.FileMode(0o077)
	if owner == 0 && self != 0 {
		denied &^= 0o040
	}
	if mode&denied != 0 {
		return fmt.Errorf("has mode %04o and so can be used by others on this machine; run chmod 600 on it", mode)
	}
	return nil
}

func parseTokens(path, text string) ([][32]byte, error) {
	var tokens [][32]byte
	line := 0
	for l := range strings.Lines(text) {
		line++
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		if len(l) < minToken {
			return nil, fmt.Errorf("agent: token file %s, line %d: the token has %d characters, expected at least %d; make one with: openssl rand -hex 32", path, line, len(l), minToken)
		}
		if strings.ContainsFunc(l, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, fmt.Errorf("agent: token file %s, line %d: a token is one word of ASCII characters", path, line)
		}
		tokens = append(tokens, sha256.Sum256([]byte(l)))
	}
	if len(tokens) == 0 || len(tokens) > maxTokens {
		return nil, fmt.Errorf("agent: token file %s holds %d tokens, expected 1 to %d, one per line", path, len(tokens), maxTokens)
	}
	return tokens, nil
}

// caller says who makes the request, as a name for the agent's own use, or
// refuses it.
func (au *auth) caller(r *http.Request) (string, *problem) {
	if len(au.tokens) == 0 && !au.certs {
		return "local", nil // loopback only; see checkListen
	}
	if au.certs && r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		h := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
		return "cert:" + hex.EncodeToString(h[:]), nil
	}
	values := r.Header.Values("Authorization")
	if len(values) == 1 && len(au.tokens) > 0 {
		scheme, token, _ := strings.Cut(values[0], " ")
		if strings.EqualFold(scheme, "bearer") {
			if name, ok := au.match(token); ok {
				return name, nil
			}
		}
	}
	want := "a bearer token from the agent's token file"
	switch {
	case au.certs && len(au.tokens) > 0:
		want += " or a client certificate that its CA signed"
	case au.certs:
		want = "a client certificate that the agent's CA signed"
	}
	seen := "none"
	if len(values) > 0 {
		seen = "one that is not accepted"
	}
	return "", fail(api.CodeUnauthenticated, "callers of this agent must be authenticated").saw(seen, want).
		do("ask the host's operator for one")
}

// match compares with every token, all of each, whatever matches: the time it
// takes says nothing about them.
func (au *auth) match(token string) (string, bool) {
	h := sha256.Sum256([]byte(token))
	found := 0
	for _, t := range au.tokens {
		found |= subtle.ConstantTimeCompare(h[:], t[:])
	}
	if found != 1 {
		return "", false
	}
	id := sha256.Sum256(h[:])
	return "token:" + hex.EncodeToString(id[:]), true
}

// checkBrowser keeps web pages out: a page in a browser on this machine could
// otherwise create Keeps, or read the API through a name that it has rebound to
// the loopback address. No part of the API is made for browsers.
func checkBrowser(r *http.Request, local bool) *problem {
	if o := r.Header.Get("Origin"); o != "" {
		return fail(api.CodeBrowserRefused, "the request comes from a web page").saw("Origin: "+strconv.Quote(shorten(o)), "no Origin header").do("use enarx or another program that is no browser")
	}
	if s := r.Header.Get("Sec-Fetch-Site"); s != "" && s != "none" {
		return fail(api.CodeBrowserRefused, "the request comes from a web page").saw("Sec-Fetch-Site: "+strconv.Quote(shorten(s)), "none").do("use enarx or another program that is no browser")
	}
	if local && !loopbackHost(r.Host) {
		return fail(api.CodeHostRefused, "the Host header does not name this machine's loopback").
			saw(strconv.Quote(shorten(r.Host)), "localhost or a loopback address").do("use the address that the agent listens on")
	}
	return nil
}

// loopbackHost reads a Host header: host or host:port.
func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// ErrExposed is the error of an agent that would serve strangers without TLS
// or without knowing its callers: its configuration has to change.
var ErrExposed = errors.New("the agent needs TLS and must know its callers: add --tls-cert and --tls-key, and --token-file or --client-ca")

// checkListen refuses an address that strangers can reach without TLS and
// authentication.
func (c *Config) checkListen(addr net.Addr) error {
	t, ok := addr.(*net.TCPAddr)
	if !ok {
		return fmt.Errorf("agent: cannot listen on %s %s, expected a TCP address", addr.Network(), addr)
	}
	if t.IP.IsLoopback() {
		return nil
	}
	if c.TLSCert == "" || !c.authenticated() {
		return fmt.Errorf("agent: %s can be reached by others, so %w; or listen on %s", addr, ErrExposed, DefaultListen)
	}
	return nil
}

// serverTLS makes the API's TLS configuration, nil for plain HTTP.
func (c *Config) serverTLS() (*tls.Config, error) {
	if c.TLSCert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("agent: TLS certificate %s with key %s: %w", c.TLSCert, c.TLSKey, err)
	}
	t := &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{pair},
		// Attach takes the connection over, which HTTP/2 has no way for.
		NextProtos: []string{"http/1.1"},
		// A ticket would carry a client's identity past the life of its
		// certificate.
		SessionTicketsDisabled: true,
	}
	if c.ClientCA != "" {
		pem, err := os.ReadFile(c.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("agent: client CA: %w", err)
		}
		t.ClientCAs = x509.NewCertPool()
		if !t.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("agent: client CA %s holds no PEM certificate", c.ClientCA)
		}
		// A caller without a certificate gets as far as an error that says
		// so; see auth.caller.
		t.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return t, nil
}
