// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enarx/enarx-go/agent/api"
)

const (
	testID  = "0123456789abcdef0123456789abcdef"
	testCap = "capability-of-43-characters-0123456789abcde"
)

// hostile is an agent that answers as the test says.
func hostile(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := New(s.URL, Options{Token: "the-token"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestNewAddresses(t *testing.T) {
	for raw, want := range map[string]string{
		"https://host.example":             "https://host.example:7420",
		"https://host.example:443/":        "https://host.example:443",
		"https://[2001:db8::1]":            "https://[2001:db8::1]:7420",
		"http://127.0.0.1:7420":            "http://127.0.0.1:7420",
		"http://localhost":                 "http://localhost:7420",
		"http://[::1]:1":                   "http://[::1]:1",
		"http://host.example":              "",
		"http://10.0.0.1":                  "",
		"http://localhost.evil.example":    "",
		"ftp://localhost":                  "",
		"host.example:7420":                "",
		"":                                 "",
		"https://":                         "",
		"https://user:secret@host.example": "",
		"https://host.example/path":        "",
		"https://host.example?token=x":     "",
	} {
		c, err := New(raw, Options{})
		if want == "" {
			if err == nil {
				t.Errorf("%q was taken as %s", raw, c.URL())
			} else if strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: the error shows the password: %v", raw, err)
			}
			continue
		}
		if err != nil || c.URL() != want {
			t.Errorf("%q: %v, %v; want %s", raw, c, err, want)
		}
	}
}

func TestTokenFile(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct{ text, want string }{
		"plain":    {"abc\n", "abc"},
		"comments": {"# for host.example\n\n  abc  \nother\n", "abc"},
		"empty":    {"\n# nothing\n", ""},
		"spaces":   {"a b\n", ""},
		"huge":     {strings.Repeat("x", maxTokenFile+1), ""},
	} {
		f := filepath.Join(dir, name)
		if err := os.WriteFile(f, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := New("http://localhost", Options{TokenFile: f})
		if test.want == "" {
			if err == nil {
				t.Errorf("%s: taken", name)
			}
			continue
		}
		if err != nil || c.token != test.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New("http://localhost", Options{TokenFile: filepath.Join(dir, "absent")}); err == nil {
		t.Error("an absent token file was taken")
	}
}

// A redirect must not carry token and capability elsewhere.
func TestHostileAgent_Redirect(t *testing.T) {
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	defer thief.Close()
	c := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
	})
	var p *ProblemError
	if _, err := c.Inspect(t.Context(), testID, testCap); !errors.As(err, &p) || p.Problem.Status != 307 {
		t.Errorf("inspect: %v", err)
	}
	if err := c.Stop(t.Context(), testID, testCap); !errors.As(err, &p) {
		t.Errorf("stop: %v", err)
	}
	if _, err := c.Attach(t.Context(), testID, testCap); !errors.As(err, &p) {
		t.Errorf("attach: %v", err)
	}
	if _, err := c.Create(t.Context(), api.CreateRequest{Platform: "sim"}, ""); !errors.As(err, &p) {
		t.Errorf("create: %v", err)
	}
	if stolen.Load() != 0 {
		t.Fatalf("%d requests followed the redirect", stolen.Load())
	}
}

func TestInvariant4HostileInputIsBounded_Answers(t *testing.T) {
	endless := func(contentType string, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			chunk := []byte(strings.Repeat(" ", 1<<16))
			for range 1 << 10 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
	}
	if _, err := hostile(t, endless("application/json", 200)).List(t.Context()); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("endless list: %v", err)
	}
	if _, err := hostile(t, endless(api.TypeSealed, 200)).Spool(t.Context(), testID, testCap); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("endless record: %v", err)
	}
	var p *ProblemError
	if _, err := hostile(t, endless(api.TypeProblem, 500)).List(t.Context()); !errors.As(err, &p) {
		t.Errorf("endless problem: %v", err)
	}
	ev, err := hostile(t, endless(api.TypeEvents, 200)).Events(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ev.Close()
	if _, err := ev.Next(); err == nil || err == io.EOF {
		t.Errorf("endless event: %v", err)
	}
	if _, err := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 2000 {
			w.Header().Add("X-Long", strings.Repeat("a", 1000))
		}
	}).List(t.Context()); err == nil {
		t.Error("a huge head was taken")
	}
}

// What the agent says is printed by the CLI: it must not reach the terminal as
// anything but text.
func TestHostileAgent_TerminalEscapes(t *testing.T) {
	evil := "\\u001b[2J\\u001b]0;owned\\u0007\\u202eexe.txt\\u0000\\u009b31m\\nlast line"
	c := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/keeps":
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"keeps":[{"id":"`+evil+`","platform":"`+evil+`","state":"`+evil+`"}]}`)
		default:
			w.Header().Set("Content-Type", api.TypeProblem)
			w.WriteHeader(400)
			io.WriteString(w, `{"detail":"`+evil+strings.Repeat("x", 5000)+`","code":"`+evil+`","seen":"`+evil+`","todo":"`+evil+`"}`)
		}
	})
	var p *ProblemError
	_, err := c.Inspect(t.Context(), testID, testCap)
	if !errors.As(err, &p) {
		t.Fatal(err)
	}
	keeps, err := c.List(t.Context())
	if err != nil || len(keeps) != 1 {
		t.Fatal(keeps, err)
	}
	for _, s := range []string{p.Error(), p.Advice(), string(p.Problem.Code), keeps[0].ID, keeps[0].Platform, string(keeps[0].State)} {
		if s == "" || strings.ContainsAny(s, "\x1b\x07\x00\n\u202e\u009b") || len(s) > 3*maxText {
			t.Errorf("%q", s)
		}
	}
}

func TestHostileAgent_WrongAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"no id":          `{"capability":"x","platform":"sim"}`,
		"path as id":     `{"id":"../../metrics","capability":"x","platform":"sim"}`,
		"no capability":  `{"id":"` + testID + `","platform":"sim"}`,
		"other platform": `{"id":"` + testID + `","capability":"x","platform":"process"}`,
		"no JSON":        `hello`,
		"an array":       `[]`,
	} {
		c := hostile(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, body)
		})
		if k, err := c.Create(t.Context(), api.CreateRequest{Platform: "sim"}, ""); err == nil {
			t.Errorf("%s: taken as %+v", name, k)
		}
	}
	web := hostile(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") })
	if _, err := web.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "is http") {
		t.Errorf("a web server: %v", err)
	}
	for _, id := range []string{"", "../x", "ABC", strings.Repeat("a", 65), "a/b", "a?b"} {
		if _, err := web.Inspect(t.Context(), id, testCap); err == nil || !strings.Contains(err.Error(), "no Keep id") {
			t.Errorf("id %q: %v", id, err)
		}
		if _, err := web.Attach(t.Context(), id, testCap); err == nil || !strings.Contains(err.Error(), "no Keep id") {
			t.Errorf("attach to id %q: %v", id, err)
		}
	}
}

// rawAgent answers every connection with bytes.
func rawAgent(t *testing.T, serve func(net.Conn)) *Client {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					serve(c)
				}
			}()
		}
	}()
	c, err := New("http://"+ln.Addr().String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAttach(t *testing.T) {
	t.Run("early bytes", func(t *testing.T) {
		c := rawAgent(t, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: enarx-tunnel\r\n\r\nearly")
			io.Copy(c, c)
		})
		conn, err := c.Attach(t.Context(), testID, testCap)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, " and late")
		conn.(interface{ CloseWrite() error }).CloseWrite()
		if b, err := io.ReadAll(conn); err != nil || string(b) != "early and late" {
			t.Fatalf("%q, %v", b, err)
		}
	})
	for name, answer := range map[string]string{
		"another protocol": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"plain 200":        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"garbage":          "SSH-2.0-server\r\n",
		"nothing":          "",
		"endless head":     "HTTP/1.1 101 Switching Protocols\r\nX: " + strings.Repeat("a", 2*maxHeader),
	} {
		t.Run(name, func(t *testing.T) {
			c := rawAgent(t, func(c net.Conn) { io.WriteString(c, answer) })
			if conn, err := c.Attach(t.Context(), testID, testCap); err == nil {
				conn.Close()
				t.Fatal("a tunnel through that")
			}
		})
	}
	t.Run("silence", func(t *testing.T) {
		c := rawAgent(t, func(c net.Conn) { io.Copy(io.Discard, c) })
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := c.Attach(ctx, testID, testCap); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v", err)
		}
	})
}

// A create whose answer is lost is asked again with the same key.
func TestCreateAsksAgain(t *testing.T) {
	var keys []string
	c := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get(api.HeaderIdempotencyKey))
		if len(keys) < 3 {
			conn, _, _ := http.NewResponseController(w).Hijack()
			conn.Close()
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(201)
		io.WriteString(w, `{"id":"`+testID+`","capability":"x","platform":"sim"}`)
	})
	if _, err := c.Create(t.Context(), api.CreateRequest{Platform: "sim"}, ""); err != nil {
		t.Fatal(err)
	}
	if len(keys) != 3 || keys[0] != keys[1] || keys[1] != keys[2] || len(keys[0]) != 64 {
		t.Fatalf("keys %q", keys)
	}
}

func TestDeadAgent(t *testing.T) {
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	addr := ln.Addr().String()
	ln.Close()
	c, err := New("http://"+addr, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := c.Health(t.Context())
	_, err2 := c.Attach(t.Context(), testID, testCap)
	for _, err := range []error{err1, err2} {
		var u *UnreachableError
		if !errors.As(err, &u) || !strings.Contains(u.Advice(), "enarx agent") || !strings.Contains(err.Error(), addr) {
			t.Errorf("%v", err)
		}
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	c, err = New("https://"+plain.Listener.Addr().String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var u *UnreachableError
	if _, err := c.Health(t.Context()); !errors.As(err, &u) || u.Advice() == "" {
		t.Errorf("https to http: %v", err)
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	c, err = New(secure.URL, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Health(t.Context()); !errors.As(err, &u) || !strings.Contains(u.Advice(), "--tls-ca") {
		t.Errorf("unknown CA: %v", err)
	}
}

func FuzzAnswer(f *testing.F) {
	seeds := []string{
		`{"type":"x","title":"y","status":503,"detail":"full","code":"too-many-keeps","seen":"1","expected":"0","todo":"wait"}`,
		`{"detail":""}`, `{"detail":1}`, "\x1b[2J", `{"detail":"\u001b[31m"}`, strings.Repeat("{", 1000), "",
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add([]byte(s), "5", api.TypeProblem)
		f.Add([]byte(s), "-1", "text/html; x=\x1b")
	}
	f.Fuzz(func(t *testing.T, body []byte, retry, contentType string) {
		res := &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {retry}, "Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(string(body)))}
		var p *ProblemError
		if err := problemFrom(call{method: "GET", path: "/v1/keeps"}, res); !errors.As(err, &p) {
			t.Fatalf("%v", err)
		}
		for _, s := range []string{p.Error(), p.Advice(), string(p.Problem.Code)} {
			if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f || 0x80 <= r && r < 0xa0 }) {
				t.Fatalf("control characters in %q", s)
			}
		}
		if p.Problem.Detail == "" || p.Problem.Status != 503 || p.RetryAfter < 0 || p.RetryAfter > 20*time.Hour {
			t.Fatalf("%+v", p)
		}
	})
}

func FuzzUpgradeAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: enarx-tunnel\r\n\r\nearly",
		"HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nContent-Length: 14\r\n\r\n{\"detail\":\"x\"}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "", "\x00",
	} {
		f.Add([]byte(s))
	}
	c, err := New("http://127.0.0.1:1", Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		near, far := net.Pipe()
		go func() {
			http.ReadRequest(bufio.NewReader(far))
			far.Write(answer)
			far.Close()
		}()
		conn, err := c.upgrade(t.Context(), near, call{method: "POST", path: "/v1/keeps/" + testID + "/attach"})
		if err == nil && !strings.Contains(strings.ToLower(string(answer)), "upgrade: enarx-tunnel") && !strings.Contains(string(answer), api.UpgradeTunnel) {
			t.Fatalf("%q made a tunnel", answer)
		}
		if err == nil {
			io.Copy(io.Discard, conn)
		}
		near.Close()
		far.Close()
	})
}
