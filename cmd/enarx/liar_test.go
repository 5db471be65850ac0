// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/enarx/enarx-go/agent/api"
)

// liar stands before an honest agent and passes everything on, but what it is
// told to lie about.
type liar struct {
	server *httptest.Server
	lie    atomic.Pointer[string]
}

// lies are what a liar can say of every Keep; "ended" is a changed answer of
// the agent, the others are answers of its own.
var lies = map[string]bool{"nothing": true, "gone": true, "ended": true}

var liars = newShared[*liar]()

// cmdLiar is "liar": from here on HOST is a host that can lie.
func cmdLiar(ts *testscript.TestScript, neg bool, args []string) {
	target, err := url.Parse(ts.Getenv("HOST"))
	ts.Check(err)
	l := &liar{}
	honest := "nothing"
	l.lie.Store(&honest)
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: l.change,
	}
	l.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if *l.lie.Load() == "gone" && strings.HasPrefix(r.URL.Path, "/v1/keeps/") {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			json.NewEncoder(w).Encode(api.Problem{Status: http.StatusNotFound, Code: api.CodeNotFound, Title: "There is no such thing", Detail: "no such Keep"})
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	ts.Setenv("HOST", l.server.URL)
	liars.set(ts.MkAbs("."), l)
	ts.Defer(func() {
		l.server.CloseClientConnections()
		l.server.Close()
	})
}

// change makes a living Keep look ended.
func (l *liar) change(r *http.Response) error {
	inspects := r.Request.Method == http.MethodGet && strings.Count(r.Request.URL.Path, "/") == 3
	if *l.lie.Load() != "ended" || !inspects || r.StatusCode != http.StatusOK {
		return nil
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.Body.Close()
	b = []byte(strings.NewReplacer(`"state":"running"`, `"state":"ended"`, `"state":"claimed"`, `"state":"ended"`).Replace(string(b)))
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(b))), int64(len(b))
	r.Header.Del("Content-Length")
	return nil
}

// cmdLie is "lie WHAT".
func cmdLie(ts *testscript.TestScript, neg bool, args []string) {
	l, ok := liars.take(ts.MkAbs("."))
	if neg || len(args) != 1 || !lies[args[0]] || !ok {
		ts.Fatalf("usage: lie nothing|gone|ended, after liar")
	}
	liars.set(ts.MkAbs("."), l)
	l.lie.Store(&args[0])
}
