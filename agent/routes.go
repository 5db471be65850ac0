// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	_ "embed"
	"errors"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enarx/enarx-go/agent/api"
)

// OpenAPI is the description of the API (OpenAPI 3.1), as served at
// /v1/openapi.yaml.
//
//go:embed openapi.yaml
var OpenAPI []byte

// handler serves one route. It returns a problem, or has answered.
type handler func(a *Agent, w http.ResponseWriter, r *http.Request, id string) *problem

// route is one operation of the API. A path has at most one {id}.
type route struct {
	method, path string
	open         bool // no authentication: says nothing that matters
	stream       bool // not timed, not bounded by answerTime
	serve        handler
}

var routes = []route{
	{method: "POST", path: "/v1/keeps", serve: (*Agent).serveCreate},
	{method: "GET", path: "/v1/keeps", serve: (*Agent).serveList},
	{method: "GET", path: "/v1/keeps/{id}", serve: (*Agent).serveInspect},
	{method: "DELETE", path: "/v1/keeps/{id}", serve: (*Agent).serveStop},
	{method: "POST", path: "/v1/keeps/{id}/attach", stream: true, serve: (*Agent).serveAttach},
	{method: "GET", path: "/v1/keeps/{id}/spool", serve: (*Agent).serveSpool},
	{method: "GET", path: "/v1/keeps/{id}/ports", serve: (*Agent).servePorts},
	{method: "GET", path: "/v1/events", stream: true, serve: (*Agent).serveEvents},
	{method: "GET", path: "/v1/health", open: true, serve: (*Agent).serveHealth},
	{method: "GET", path: "/v1/openapi.yaml", open: true, serve: (*Agent).serveOpenAPI},
	{method: "GET", path: "/metrics", serve: (*Agent).serveMetrics},
}

// find matches a path exactly: no cleaning, no redirects, no trailing slash.
func find(method, path string) (rt *route, id string, prob *problem) {
	var allow []string
	for i := range routes {
		got, ok := matchPath(routes[i].path, path)
		if !ok {
			continue
		}
		if routes[i].method == method {
			return &routes[i], got, nil
		}
		allow = append(allow, routes[i].method)
	}
	if len(allow) > 0 {
		slices.Sort(allow)
		p := fail(api.CodeMethodNotAllowed, "this path does not take this method").saw(shorten(method), strings.Join(allow, ", "))
		p.allow = strings.Join(allow, ", ")
		return nil, "", p
	}
	return nil, "", fail(api.CodeNotFound, "the API has no such path").saw(strconv.Quote(shorten(path)), "a path of /v1/openapi.yaml")
}

func matchPath(pattern, path string) (id string, ok bool) {
	head, tail, wild := strings.Cut(pattern, "{id}")
	if !wild {
		return "", pattern == path
	}
	rest, ok1 := strings.CutPrefix(path, head)
	id, ok2 := strings.CutSuffix(rest, tail)
	return id, ok1 && ok2 && id != "" && !strings.Contains(id, "/")
}

// ServeHTTP implements http.Handler: the order of its checks is that of who
// may learn what.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	sw := &statusWriter{ResponseWriter: w}
	rt, id, prob := a.gate(r)
	label := "none"
	defer func() {
		// A bug in one request must not end the agent and every Keep with
		// it; http.Server would do this too, but print to stderr.
		if v := recover(); v != nil {
			a.log.Error("request handler failed", "route", label, "panic", v, "stack", string(debug.Stack()))
			if sw.status == 0 {
				fail(api.CodeInternal, "the agent failed in this request").do("report it to the host's operator").write(sw)
			}
		}
		a.metrics.requests.WithLabelValues(label, strconv.Itoa(sw.code())).Inc()
		if rt != nil && !rt.stream {
			a.metrics.seconds.WithLabelValues(label).Observe(time.Since(begin).Seconds())
		}
		a.log.Debug("request", "method", r.Method, "route", label, "status", sw.code(), "took", time.Since(begin))
	}()
	if prob == nil {
		label = rt.method + " " + rt.path
		http.NewResponseController(w).SetWriteDeadline(begin.Add(answerTime))
		prob = rt.serve(a, sw, r, id)
	}
	if prob != nil {
		prob.write(sw)
	}
}

// gate finds the route and checks the caller. An unauthenticated caller does
// not even learn which paths there are.
func (a *Agent) gate(r *http.Request) (*route, string, *problem) {
	if prob := checkBrowser(r, a.tls == nil); prob != nil {
		return nil, "", prob
	}
	rt, id, missing := find(r.Method, r.URL.Path)
	if rt != nil && rt.open {
		return rt, id, nil
	}
	if _, prob := a.auth.caller(r); prob != nil {
		return nil, "", prob
	}
	return rt, id, missing
}

// statusWriter remembers the status for the metrics.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(s int) {
	if w.status == 0 {
		w.status = s
	}
	w.ResponseWriter.WriteHeader(s)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// authorize finds a Keep and checks the capability for it.
func (a *Agent) authorize(r *http.Request, id string) (*keep, *problem) {
	a.mu.Lock()
	k := a.keeps[id]
	a.mu.Unlock()
	if k == nil {
		return nil, fail(api.CodeNotFound, "there is no such Keep, or it is no longer remembered").saw(strconv.Quote(shorten(id)), "an id of GET /v1/keeps")
	}
	text := r.Header.Values(api.HeaderCapability)
	if len(text) == 0 || text[0] == "" {
		return nil, fail(api.CodeCapabilityMissing, "this needs the Keep's capability").
			saw("none", api.HeaderCapability+" with what create returned")
	}
	if len(text) != 1 || !k.holds(text[0]) {
		return nil, fail(api.CodeCapabilityWrong, "the capability is not this Keep's").
			saw(strconv.Itoa(len(text[0]))+" characters", strconv.Itoa(capabilityLen)+" that create returned for this Keep")
	}
	return k, nil
}

func (a *Agent) serveCreate(w http.ResponseWriter, r *http.Request, _ string) *problem {
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/json" {
		return fail(api.CodeUnsupportedMedia, "a create request is JSON").saw(strconv.Quote(shorten(r.Header.Get("Content-Type"))), "application/json")
	}
	keys := r.Header.Values(api.HeaderIdempotencyKey)
	key := ""
	if len(keys) > 0 {
		key = keys[0]
		if prob := checkIdempotencyKey(key); prob != nil {
			return prob
		}
	}
	if len(keys) > 1 {
		return fail(api.CodeBadRequest, "there are two idempotency keys").do("send one")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCreateBody))
	if err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			return fail(api.CodeBodyTooLarge, "the request body is too large").saw("more than "+strconv.Itoa(maxCreateBody)+" bytes", "three short fields")
		}
		return fail(api.CodeBadRequest, "the request body did not arrive whole and in time").do("send it again")
	}
	req, err := parseCreate(body)
	if err != nil {
		return fail(api.CodeBadRequest, "the create request cannot be read").saw(err.Error(), `{"platform": …, "vcpus": …, "memory_class": …}`)
	}
	caller, prob := a.auth.caller(r)
	if prob != nil {
		return prob
	}
	created, prob := a.create(r.Context(), caller, req, key)
	if prob != nil {
		return prob
	}
	w.Header().Set("Location", "/v1/keeps/"+created.ID)
	writeJSON(w, http.StatusCreated, created)
	return nil
}

func (a *Agent) serveList(w http.ResponseWriter, r *http.Request, _ string) *problem {
	caller, prob := a.auth.caller(r)
	if prob != nil {
		return prob
	}
	list := api.List{Keeps: []api.Keep{}}
	a.mu.Lock()
	for _, k := range a.keeps {
		if k.caller == caller {
			list.Keeps = append(list.Keeps, k.entry())
		}
	}
	a.mu.Unlock()
	slices.SortFunc(list.Keeps, func(x, y api.Keep) int {
		if c := x.Created.Compare(y.Created); c != 0 {
			return c
		}
		return strings.Compare(x.ID, y.ID)
	})
	writeJSON(w, http.StatusOK, list)
	return nil
}

func (a *Agent) serveInspect(w http.ResponseWriter, r *http.Request, id string) *problem {
	k, prob := a.authorize(r, id)
	if prob != nil {
		return prob
	}
	writeJSON(w, http.StatusOK, k.inspect(digestText(a.keepDigest)))
	return nil
}

func (a *Agent) serveStop(w http.ResponseWriter, r *http.Request, id string) *problem {
	k, prob := a.authorize(r, id)
	if prob != nil {
		return prob
	}
	if k.alive() {
		a.log.Info("Keep is stopped", "keep", k.id)
		k.kill(api.EndedByStop, "stopped through the API")
	}
	select {
	case <-k.gone:
		w.WriteHeader(http.StatusNoContent)
		return nil
	case <-time.After(stopTime):
		return fail(api.CodeKeepSilent, "the Keep was killed and is not gone yet").after(5).do("ask again; the agent goes on trying")
	case <-r.Context().Done():
		return fail(api.CodeKeepSilent, "the Keep was killed and is not gone yet").after(5).do("ask again; the agent goes on trying")
	}
}

func (a *Agent) serveSpool(w http.ResponseWriter, r *http.Request, id string) *problem {
	k, prob := a.authorize(r, id)
	if prob != nil {
		return prob
	}
	if st := k.entry().State; st != api.StateEnded {
		return fail(api.CodeNotEnded, "the Keep leaves its sealed record when it ends").
			saw(string(st), string(api.StateEnded)).after(5).do("wait for its end")
	}
	k.mu.Lock()
	sp, lost := k.spool, k.spoolLost
	k.mu.Unlock()
	if sp == nil || a.now().After(sp.Expires) {
		p := fail(api.CodeNoSpool, "there is no sealed record of this Keep")
		if lost != "" {
			return p.saw(lost, "a record")
		}
		return p.do("a Keep leaves one only if its workload ran detached, and it is kept for a limited time")
	}
	sealed, err := a.readSpool(k)
	if err != nil {
		a.log.Error("could not read a sealed record", "keep", k.id, "err", err)
		return fail(api.CodeInternal, "the sealed record cannot be read from the host's disk").do("ask the host's operator to look at the agent's log")
	}
	h := w.Header()
	h.Set("Content-Type", api.TypeSealed)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(sealed)))
	w.Write(sealed)
	return nil
}

func (a *Agent) servePorts(w http.ResponseWriter, r *http.Request, id string) *problem {
	k, prob := a.authorize(r, id)
	if prob != nil {
		return prob
	}
	out := api.Ports{Ports: []api.Port{}}
	k.mu.Lock()
	rl := k.relay
	k.mu.Unlock()
	if rl != nil {
		for _, p := range rl.Ports() {
			out.Ports = append(out.Ports, api.Port(p))
		}
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (a *Agent) serveHealth(w http.ResponseWriter, _ *http.Request, _ string) *problem {
	h := api.Health{Status: "ok"}
	a.mu.Lock()
	if a.draining {
		h.Status = "draining"
	}
	a.mu.Unlock()
	writeJSON(w, http.StatusOK, h)
	return nil
}

func (a *Agent) serveOpenAPI(w http.ResponseWriter, _ *http.Request, _ string) *problem {
	w.Header().Set("Content-Type", "application/yaml")
	w.Write(OpenAPI)
	return nil
}

func (a *Agent) serveMetrics(w http.ResponseWriter, r *http.Request, _ string) *problem {
	a.metrics.handler().ServeHTTP(w, r)
	return nil
}
