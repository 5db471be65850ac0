// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/sallyport"
)

func TestLimits(t *testing.T) {
	ctx := t.Context()
	t.Run("keeps", func(t *testing.T) {
		cfg := testConfig(t, &fakeLoader{})
		cfg.Limits.Keeps = 2
		r := serve(t, cfg)
		c := r.client(client.Options{})
		k := r.create(c)
		r.create(c)
		_, err := c.Create(ctx, api.CreateRequest{Platform: "process"}, "")
		if p := wantProblem(t, err, api.CodeTooManyKeeps); p.RetryAfter == 0 || p.Advice() == "" {
			t.Fatalf("%+v", p)
		}
		if err := c.Stop(ctx, k.ID, k.Capability); err != nil {
			t.Fatal(err)
		}
		r.create(c) // at once: stop returns when the place is free
	})
	t.Run("memory", func(t *testing.T) {
		cfg := testConfig(t, &fakeLoader{})
		cfg.Limits.Memory = 1 << 30
		r := serve(t, cfg)
		c := r.client(client.Options{})
		if _, err := c.Create(ctx, api.CreateRequest{Platform: "process", MemoryClass: 1 << 30}, ""); err != nil {
			t.Fatal(err)
		}
		for _, m := range []uint64{32 << 20, 1 << 44} {
			_, err := c.Create(ctx, api.CreateRequest{Platform: "process", MemoryClass: m}, "")
			wantProblem(t, err, api.CodeTooMuchMemory)
		}
	})
	t.Run("rate", func(t *testing.T) {
		cfg := testConfig(t, &fakeLoader{})
		cfg.Limits.CreateBurst, cfg.Limits.CreateRate = 2, 0.01
		r := serve(t, cfg)
		c := r.client(client.Options{})
		r.create(c)
		r.create(c)
		_, err := c.Create(ctx, api.CreateRequest{Platform: "process"}, "")
		if p := wantProblem(t, err, api.CodeCreateRate); p.RetryAfter < 90*time.Second {
			t.Fatalf("retry after %s", p.RetryAfter)
		}
	})
	t.Run("tunnels", func(t *testing.T) {
		cfg := testConfig(t, &fakeLoader{})
		cfg.Limits.Tunnels, cfg.Limits.TunnelsPerKeep = 3, 2
		r := serve(t, cfg)
		c := r.client(client.Options{})
		a, b := r.create(c), r.create(c)
		attach := func(k *api.Created) net.Conn {
			t.Helper()
			conn, err := c.Attach(ctx, k.ID, k.Capability)
			if err != nil {
				t.Fatal(err)
			}
			// Held until the end: a connection that nobody refers to is
			// closed by the garbage collector.
			t.Cleanup(func() { conn.Close() })
			return conn
		}
		first := attach(a)
		attach(a)
		_, err := c.Attach(ctx, a.ID, a.Capability)
		if p := wantProblem(t, err, api.CodeTooManyTunnels); !strings.Contains(p.Problem.Detail, "this Keep") {
			t.Fatalf("%+v", p)
		}
		attach(b)
		_, err = c.Attach(ctx, b.ID, b.Capability)
		if p := wantProblem(t, err, api.CodeTooManyTunnels); !strings.Contains(p.Problem.Detail, "this host") {
			t.Fatalf("%+v", p)
		}
		first.Close()
		eventually(t, "the closed tunnel's place is free", func() bool { return r.tunnels.Used() == 2 })
		attach(b)
	})
	t.Run("subscribers", func(t *testing.T) {
		r := serve(t, testConfig(t, &fakeLoader{}))
		c := r.client(client.Options{})
		for range maxSubscribers {
			ev, err := c.Events(ctx, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer ev.Close()
		}
		_, err := c.Events(ctx, 0)
		wantProblem(t, err, api.CodeTooManySubscribers)
	})
}

func TestBadRequests(t *testing.T) {
	r := serve(t, testConfig(t, &fakeLoader{}))
	k := r.create(r.client(client.Options{}))
	big := `{"platform":"` + strings.Repeat("p", maxCreateBody) + `"}`
	for _, test := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		code                     api.Code
	}{
		{"no JSON", "POST", "/v1/keeps", "platform=process", nil, 400, api.CodeBadRequest},
		{"unknown field", "POST", "/v1/keeps", `{"platform":"process","workload":"mine"}`, nil, 400, api.CodeBadRequest},
		{"other case", "POST", "/v1/keeps", `{"Platform":"process"}`, nil, 400, api.CodeBadRequest},
		{"twice", "POST", "/v1/keeps", `{"platform":"sim","platform":"process"}`, nil, 400, api.CodeBadRequest},
		{"trailing", "POST", "/v1/keeps", `{"platform":"process"}{}`, nil, 400, api.CodeBadRequest},
		{"negative", "POST", "/v1/keeps", `{"platform":"process","vcpus":-1}`, nil, 400, api.CodeBadRequest},
		{"too many CPUs", "POST", "/v1/keeps", `{"platform":"process","vcpus":100000}`, nil, 400, api.CodeBadRequest},
		{"no class", "POST", "/v1/keeps", `{"platform":"process","memory_class":100000000}`, nil, 400, api.CodeBadRequest},
		{"small class", "POST", "/v1/keeps", `{"platform":"process","memory_class":1048576}`, nil, 400, api.CodeBadRequest},
		{"fraction", "POST", "/v1/keeps", `{"platform":"process","memory_class":0.5}`, nil, 400, api.CodeBadRequest},
		{"no platform", "POST", "/v1/keeps", `{}`, nil, 422, api.CodePlatformUnusable},
		{"other platform", "POST", "/v1/keeps", `{"platform":"snp"}`, nil, 422, api.CodePlatformUnusable},
		{"too large", "POST", "/v1/keeps", big, nil, 413, api.CodeBodyTooLarge},
		{"a form", "POST", "/v1/keeps", `{"platform":"process"}`, []string{"Content-Type", "text/plain"}, 415, api.CodeUnsupportedMedia},
		{"short key", "POST", "/v1/keeps", `{"platform":"process"}`, []string{"Idempotency-Key", "1"}, 400, api.CodeBadRequest},
		{"long key", "POST", "/v1/keeps", `{"platform":"process"}`, []string{"Idempotency-Key", strings.Repeat("k", 129)}, 400, api.CodeBadRequest},
		{"no path", "GET", "/v1", "", nil, 404, api.CodeNotFound},
		{"trailing slash", "GET", "/v1/keeps/", "", nil, 404, api.CodeNotFound},
		{"dots", "GET", "/v1/../v1/keeps", "", nil, 404, api.CodeNotFound},
		{"no Keep", "GET", "/v1/keeps/" + strings.Repeat("0", 32), "", nil, 404, api.CodeNotFound},
		{"no id", "GET", "/v1/keeps/..%2f..%2fetc", "", nil, 404, api.CodeNotFound},
		{"wrong method", "PUT", "/v1/keeps", "", nil, 405, api.CodeMethodNotAllowed},
		{"no upgrade", "POST", "/v1/keeps/" + k.ID + "/attach", "", []string{"Enarx-Capability", k.Capability}, 426, api.CodeUpgradeRequired},
		{"other upgrade", "POST", "/v1/keeps/" + k.ID + "/attach", "", []string{"Enarx-Capability", k.Capability, "Connection", "Upgrade", "Upgrade", "websocket"}, 426, api.CodeUpgradeRequired},
		{"attach with body", "POST", "/v1/keeps/" + k.ID + "/attach", "x", []string{"Enarx-Capability", k.Capability, "Connection", "Upgrade", "Upgrade", "enarx-tunnel"}, 400, api.CodeBadRequest},
		{"spool too early", "GET", "/v1/keeps/" + k.ID + "/spool", "", []string{"Enarx-Capability", k.Capability}, 409, api.CodeNotEnded},
		{"bad after", "GET", "/v1/events?after=-1", "", nil, 400, api.CodeBadRequest},
	} {
		t.Run(test.name, func(t *testing.T) {
			header := append([]string{"Content-Type", "application/json"}, test.header...)
			res := r.raw(test.method, test.path, strings.NewReader(test.body), header...)
			checkProblem(t, res, test.status, test.code)
			if test.status == 405 && res.Header.Get("Allow") != "GET, POST" {
				t.Errorf("Allow: %q", res.Header.Get("Allow"))
			}
		})
	}
	if n := r.count(); n != 1 {
		t.Fatalf("%d Keeps after bad requests, want 1", n)
	}
}

// Invariant 2: there is no field in which a client could tell the agent more.
func TestInvariant2NothingLeavesBeforeAppraisal_CreateRequest(t *testing.T) {
	got := reflect.TypeFor[api.CreateRequest]()
	want := map[string]string{"platform": "string", "vcpus": "int", "memory_class": "uint64"}
	if got.NumField() != len(want) {
		t.Fatalf("a create request has %d fields, want %d: everything here is told to the host", got.NumField(), len(want))
	}
	for f := range got.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if want[name] != f.Type.String() {
			t.Errorf("field %s is a %s", name, f.Type)
		}
	}
	var spec loader.Spec
	r := serve(t, testConfig(t, &fakeLoader{onStart: func(s loader.Spec) error { spec = s; return nil }}))
	r.create(r.client(client.Options{}))
	if spec.CacheDir != "" || spec.Dirs != nil || spec.MemoryBytes != 512<<20 {
		t.Fatalf("spec %+v", spec)
	}
}

// TestInvariant4HostileInputIsBounded_SlowLoris: connections that dribble are
// cut off, and do not keep honest callers out meanwhile.
func TestInvariant4HostileInputIsBounded_SlowLoris(t *testing.T) {
	r := serve(t, testConfig(t, &fakeLoader{}))
	const n = 200
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		switch i % 3 {
		case 0: // nothing at all
		case 1: // half a head
			io.WriteString(c, "GET /v1/health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
		case 2: // half a body
			io.WriteString(c, "POST /v1/keeps HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		}
		conns[i] = c
	}
	begin := time.Now()
	if _, err := r.client(client.Options{}).Health(t.Context()); err != nil || time.Since(begin) > 2*time.Second {
		t.Fatalf("health among slow connections: %v after %s", err, time.Since(begin))
	}
	for i, c := range conns {
		c.SetReadDeadline(begin.Add(bodyTime + headTime + 5*time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Fatalf("connection %d was not cut off: %v", i, err)
		}
	}
}

func TestInvariant4HostileInputIsBounded_Head(t *testing.T) {
	r := serve(t, testConfig(t, &fakeLoader{}))
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		io.WriteString(c, "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n")
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(c, "X-%d: %s\r\n", i, strings.Repeat("a", 1000)); err != nil {
				return
			}
		}
	}()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 431 {
		t.Fatalf("an endless head: %v, %v", res, err)
	}
}

// TestThousandTunnels holds 1,000 tunnels open, moves bytes through all of
// them, and asks the agent for its health meanwhile.
func TestThousandTunnels(t *testing.T) {
	const n, keeps = 1000, 10
	cfg := testConfig(t, &fakeLoader{})
	r := serve(t, cfg)
	c := r.client(client.Options{})
	made := make([]*api.Created, keeps)
	for i := range made {
		made[i] = r.create(c)
	}
	conns := make([]net.Conn, n)
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() {
			k := made[i%keeps]
			conn, err := c.Attach(t.Context(), k.ID, k.Capability)
			if err != nil {
				t.Errorf("tunnel %d: %v", i, err)
				return
			}
			conns[i] = conn
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if got := r.tunnels.Used(); got != n {
		t.Fatalf("%d tunnels are open", got)
	}
	ctx, stop := context.WithCancel(t.Context())
	var moved sync.WaitGroup
	for i, conn := range conns {
		moved.Go(func() {
			msg := []byte(fmt.Sprintf("tunnel %06d", i))
			got := make([]byte, len(msg))
			for ctx.Err() == nil {
				conn.Write(msg)
				if _, err := io.ReadFull(conn, got); err != nil || string(got) != string(msg) {
					t.Errorf("tunnel %d gave %q, %v", i, got, err)
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	times := healthTimes(t, c, 200)
	stop()
	moved.Wait()
	p99 := times[len(times)*99/100]
	t.Logf("/v1/health under %d busy tunnels: median %s, p99 %s", n, times[len(times)/2], p99)
	// Generous, since other tests may run beside this one; the benchmark
	// measures.
	if p99 > 5*time.Second {
		t.Errorf("p99 of /v1/health is %s", p99)
	}
	for _, conn := range conns {
		conn.Close()
	}
	eventually(t, "every tunnel's place is free", func() bool { return r.tunnels.Used() == 0 })
}

// A Keep that stalls a session ties up nothing but that session.
func TestSilentKeep(t *testing.T) {
	r := serve(t, testConfig(t, &fakeLoader{script: func(ctx context.Context, k *sallyport.Keep) {
		k.StartConfig(ctx)
		c, _ := k.AcceptAttach(ctx)
		_ = c // never read
		<-ctx.Done()
	}}))
	c := r.client(client.Options{})
	k := r.create(c)
	conn, err := c.Attach(t.Context(), k.ID, k.Capability)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetWriteDeadline(time.Now().Add(time.Second))
	n, err := conn.Write(make([]byte, 64<<20))
	if err == nil {
		t.Fatal("64 MiB went into a Keep that reads nothing: something queues without bound")
	}
	t.Logf("%d bytes were taken before the back-pressure held", n)
	if _, err := c.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context(), k.ID, k.Capability); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("the tunnel outlived its Keep")
	}
}
