// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/sallyport"
)

func loadAPI(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Fatalf("OpenAPI %s", doc.OpenAPI)
	}
	return doc
}

// Every route is documented, and every documented operation has a route.
func TestOpenAPIMatchesRoutes(t *testing.T) {
	doc := loadAPI(t)
	handled := map[string]bool{}
	for _, rt := range routes {
		handled[rt.method+" "+rt.path] = true
		item := doc.Paths.Value(rt.path)
		if item == nil || item.GetOperation(rt.method) == nil {
			t.Errorf("%s %s is not documented", rt.method, rt.path)
			continue
		}
		op := item.GetOperation(rt.method)
		if open := op.Security != nil && len(*op.Security) == 0; open != rt.open {
			t.Errorf("%s %s: documented as open: %v, handled as open: %v", rt.method, rt.path, open, rt.open)
		}
		params := append(slices.Clone(item.Parameters), op.Parameters...)
		needsCap := strings.Contains(rt.path, "{id}")
		if got := params.GetByInAndName("header", api.HeaderCapability) != nil; got != needsCap {
			t.Errorf("%s %s: documented with a capability: %v", rt.method, rt.path, got)
		}
		if op.Responses.Default() == nil {
			t.Errorf("%s %s: no problem documented", rt.method, rt.path)
		}
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if !handled[method+" "+path] {
				t.Errorf("%s %s is documented and not handled", method, path)
			}
		}
	}
}

// The codes of the documentation, of the types and of the agent are the same.
func TestOpenAPIMatchesCodes(t *testing.T) {
	doc := loadAPI(t)
	var documented []api.Code
	for _, v := range doc.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
		documented = append(documented, api.Code(v.(string)))
	}
	if !slices.Equal(documented, api.Codes) {
		t.Errorf("documented: %v\nin the code: %v", documented, api.Codes)
	}
	if len(known) != len(api.Codes) {
		t.Errorf("%d codes have a status, there are %d", len(known), len(api.Codes))
	}
	for _, code := range api.Codes {
		k := known[code]
		row := "| " + string(code) + " | " + string(rune('0'+k.status/100)) + string(rune('0'+k.status/10%10)) + string(rune('0'+k.status%10)) + " |"
		if k.title == "" || !strings.Contains(doc.Info.Description, row) {
			t.Errorf("code %s: no title, or no row %q in the description", code, row)
		}
	}
}

// The types that the agent writes have exactly the documented fields.
func TestOpenAPIMatchesTypes(t *testing.T) {
	doc := loadAPI(t)
	for name, typ := range map[string]reflect.Type{
		"CreateRequest": reflect.TypeFor[api.CreateRequest](), "Created": reflect.TypeFor[api.Created](), "Keep": reflect.TypeFor[api.Keep](),
		"List": reflect.TypeFor[api.List](), "Inspect": reflect.TypeFor[api.Inspect](), "Layer": reflect.TypeFor[api.Layer](),
		"Spool": reflect.TypeFor[api.Spool](), "LogEntry": reflect.TypeFor[api.LogEntry](), "Ports": reflect.TypeFor[api.Ports](),
		"Health": reflect.TypeFor[api.Health](), "Event": reflect.TypeFor[api.Event](), "Problem": reflect.TypeFor[api.Problem](),
	} {
		schema := doc.Components.Schemas[name]
		if schema == nil {
			t.Errorf("%s is not documented", name)
			continue
		}
		optional := map[string]bool{}
		var have []string
		for _, f := range reflect.VisibleFields(typ) {
			tag, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
			if tag == "" {
				continue // embedded
			}
			have, optional[tag] = append(have, tag), opts == "omitempty"
		}
		slices.Sort(have)
		var want []string
		for p := range schema.Value.Properties {
			want = append(want, p)
		}
		slices.Sort(want)
		if !slices.Equal(have, want) {
			t.Errorf("%s has the fields %v, documented are %v", name, have, want)
		}
		for _, p := range schema.Value.Required {
			if optional[p] {
				t.Errorf("%s.%s is documented as required and may be left out", name, p)
			}
		}
	}
}

// TestOpenAPIResponses checks what the agent really answers against the
// schemas, for every operation.
func TestOpenAPIResponses(t *testing.T) {
	doc := loadAPI(t)
	r := serve(t, testConfig(t, &fakeLoader{script: func(ctx context.Context, k *sallyport.Keep) {
		k.StartConfig(ctx)
		k.Log(sallyport.LogReady)
		k.Listen(ctx, sallyport.Endpoint{Host: "::", Port: 8080}, "0")
		k.Spool(ctx, []byte("sealed"))
		k.Log(sallyport.LogSpooled)
		<-ctx.Done()
	}}))
	seen := map[string]bool{}
	do := func(method, pattern, id, capability string, header ...string) []byte {
		t.Helper()
		var body io.Reader
		if method == "POST" && id == "" {
			body = strings.NewReader(`{"platform":"process"}`)
		}
		header = append(header, "Content-Type", "application/json")
		if capability != "" {
			header = append(header, api.HeaderCapability, capability)
		}
		res := r.raw(method, strings.Replace(pattern, "{id}", id, 1), body, header...)
		seen[method+" "+pattern] = true
		return validate(t, doc.Paths.Value(pattern).GetOperation(method), res)
	}
	var k api.Created
	if err := json.Unmarshal(do("POST", "/v1/keeps", "", ""), &k); err != nil {
		t.Fatal(err)
	}
	c := r.client(client.Options{})
	eventually(t, "it has spooled", func() bool {
		in, err := c.Inspect(t.Context(), k.ID, k.Capability)
		return err == nil && in.Spool != nil && len(in.Log) == 2
	})
	do("GET", "/v1/keeps", "", "")
	do("GET", "/v1/keeps/{id}", k.ID, k.Capability)
	if ports := do("GET", "/v1/keeps/{id}/ports", k.ID, k.Capability); !bytes.Contains(ports, []byte(`"[::]:8080"`)) {
		t.Errorf("ports: %s", ports)
	}
	do("GET", "/v1/keeps/{id}/spool", k.ID, k.Capability) // too early: a problem
	do("POST", "/v1/keeps/{id}/attach", k.ID, k.Capability)
	res := r.raw("POST", "/v1/keeps/"+k.ID+"/attach", nil, api.HeaderCapability, k.Capability, "Connection", "Upgrade", "Upgrade", api.UpgradeTunnel)
	if res.StatusCode != 101 || doc.Paths.Value("/v1/keeps/{id}/attach").Post.Responses.Value("101") == nil {
		t.Errorf("attach: %d", res.StatusCode)
	}
	do("DELETE", "/v1/keeps/{id}", k.ID, k.Capability)
	if sealed := do("GET", "/v1/keeps/{id}/spool", k.ID, k.Capability); string(sealed) != "sealed" {
		t.Errorf("sealed record: %q", sealed)
	}
	do("GET", "/v1/keeps/{id}", k.ID, k.Capability)
	do("GET", "/v1/keeps/{id}", k.ID, "")
	do("GET", "/v1/health", "", "")
	do("GET", "/v1/openapi.yaml", "", "")
	do("GET", "/metrics", "", "")
	seen["GET /v1/events"] = true // TestEvents reads it; a stream has no end to validate
	for _, rt := range routes {
		if !seen[rt.method+" "+rt.path] {
			t.Errorf("%s %s was not tried", rt.method, rt.path)
		}
	}
}

// validate checks one answer: its status, media type and body are documented.
func validate(t *testing.T, op *openapi3.Operation, res *http.Response) []byte {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	ref := op.Responses.Status(res.StatusCode)
	if ref == nil {
		ref = op.Responses.Default()
	}
	if len(ref.Value.Content) == 0 {
		if len(body) != 0 {
			t.Errorf("%s: status %d has a body that is not documented", op.OperationID, res.StatusCode)
		}
		return body
	}
	media := ref.Value.Content.Get(res.Header.Get("Content-Type"))
	if media == nil {
		t.Errorf("%s: status %d came as %q", op.OperationID, res.StatusCode, res.Header.Get("Content-Type"))
		return body
	}
	if strings.Contains(res.Header.Get("Content-Type"), "json") {
		validateJSON(t, op.OperationID, media.Schema, body)
	}
	return body
}

func validateJSON(t *testing.T, what string, schema *openapi3.SchemaRef, body []byte) {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if err := schema.Value.VisitJSON(v, openapi3.EnableFormatValidation(), openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("%s: %s: %v", what, body, err)
	}
}

// checkProblem checks that an answer is a documented problem.
func checkProblem(t *testing.T, res *http.Response, status int, code api.Code) {
	t.Helper()
	body, _ := io.ReadAll(res.Body)
	var p api.Problem
	if err := json.Unmarshal(body, &p); err != nil || res.Header.Get("Content-Type") != api.TypeProblem {
		t.Fatalf("status %d with %q: %s", res.StatusCode, res.Header.Get("Content-Type"), body)
	}
	if res.StatusCode != status || p.Status != status || p.Code != code {
		t.Errorf("status %d, %+v; want %d %s", res.StatusCode, p, status, code)
	}
	validateJSON(t, string(code), loadAPI(t).Components.Schemas["Problem"], body)
}

func TestEvents(t *testing.T) {
	doc := loadAPI(t)
	r := serve(t, testConfig(t, &fakeLoader{}))
	c := r.client(client.Options{})
	ev, err := c.Events(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ev.Close()
	next := func() *api.Event {
		t.Helper()
		e, err := ev.Next()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := json.Marshal(e)
		validateJSON(t, "event", doc.Components.Schemas["Event"], b)
		return e
	}
	if e := next(); e.Type != api.EventHello || e.Boot != r.boot {
		t.Fatalf("first line %+v", e)
	}
	k := r.create(c)
	if e := next(); e.Type != api.EventCreated || e.Keep != k.ID || e.Seq != 1 {
		t.Fatalf("%+v", e)
	}
	if e := next(); e.Type != api.EventState || e.State != api.StateEmpty {
		t.Fatalf("%+v", e)
	}
	if err := c.Stop(t.Context(), k.ID, k.Capability); err != nil {
		t.Fatal(err)
	}
	if e := next(); e.Type != api.EventEnded || e.Reason != api.EndedByStop {
		t.Fatalf("%+v", e)
	}
	// A reader that was away too long learns how much it missed.
	for range maxEvents + 10 {
		r.emit("local", api.Event{Type: api.EventState})
	}
	late, err := c.Events(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	late.Next()
	lost, err := late.Next()
	if err != nil || lost.Type != api.EventLost || lost.Count != 10 {
		t.Fatalf("%+v, %v", lost, err)
	}
	first, err := late.Next()
	if err != nil || first.Seq != 3+10+1 {
		t.Fatalf("%+v, %v", first, err)
	}
	r.end()
	eventually(t, "the stream ends with the agent", func() bool {
		for {
			if _, err := late.Next(); err != nil {
				return err == io.EOF
			}
		}
	})
}

func TestEventLogBounds(t *testing.T) {
	l := newEventLog()
	for i := range 3*maxEvents + 7 {
		l.add("local", api.Event{Time: time.Unix(int64(i), 0)})
	}
	for _, after := range []uint64{0, 1, 2*maxEvents + 6, 2*maxEvents + 7, 2*maxEvents + 8, 3*maxEvents + 6, 3*maxEvents + 7, 9 * maxEvents} {
		events, lost, _ := l.after(after)
		from := after
		if from > l.last {
			from = 0
		}
		if uint64(len(events))+lost != l.last-from {
			t.Errorf("after %d: %d events and %d lost, want %d together", after, len(events), lost, l.last-from)
		}
		for i, e := range events {
			if e.Seq != l.last-uint64(len(events)-1-i) {
				t.Fatalf("after %d: event %d has number %d", after, i, e.Seq)
			}
		}
	}
}

func TestMetrics(t *testing.T) {
	r := serve(t, testConfig(t, &fakeLoader{}))
	r.create(r.client(client.Options{}))
	body, _ := io.ReadAll(r.raw("GET", "/metrics", nil).Body)
	names := 0
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		names++
		if !strings.HasPrefix(line, "enarx_") {
			t.Errorf("metric %q", line)
		}
	}
	for _, want := range []string{`enarx_keeps{platform="process",state="empty"} 1`, "enarx_memory_reserved_bytes 5.36870912e+08", "enarx_tunnels 0", `enarx_keeps_started_total{platform="process"} 1`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if names < 10 {
		t.Errorf("only %d metrics", names)
	}
}

// The validation above must be able to fail.
func TestOpenAPIValidationIsReal(t *testing.T) {
	schemas := loadAPI(t).Components.Schemas
	for _, test := range []struct {
		schema, body string
		ok           bool
	}{
		{"List", `{"keeps":[]}`, true},
		{"List", `{"keeps":[{"id":"x","platform":"sim","state":"empty","created":"2026-01-01T00:00:00Z"}]}`, false},
		{"List", `{"keeps":[{"id":"00000000000000000000000000000000","platform":"sim","state":"empty","created":"2026-01-01T00:00:00Z"}]}`, true},
		{"List", `{"keeps":[{"id":"00000000000000000000000000000000","platform":"sim","state":"empty"}]}`, false},
		{"List", `{"keeps":[],"more":1}`, false},
		{"Health", `{"status":"fine"}`, false},
	} {
		var v any
		if err := json.Unmarshal([]byte(test.body), &v); err != nil {
			t.Fatal(err)
		}
		err := schemas[test.schema].Value.VisitJSON(v, openapi3.EnableFormatValidation(), openapi3.EnableJSONSchema2020())
		if (err == nil) != test.ok {
			t.Errorf("%s %s: %v", test.schema, test.body, err)
		}
	}
}
