// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/sallyport"
)

// keepScript is the life of a fake Keep, over a real sallyport.
type keepScript func(ctx context.Context, k *sallyport.Keep)

// echoKeep is ready at once and echoes every session.
func echoKeep(ctx context.Context, k *sallyport.Keep) {
	if _, err := k.StartConfig(ctx); err != nil {
		return
	}
	k.Log(sallyport.LogReady)
	for {
		c, err := k.AcceptAttach(ctx)
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
			c.(interface{ CloseWrite() error }).CloseWrite()
		}()
	}
}

// fakeLoader starts Keeps that are goroutines.
type fakeLoader struct {
	script keepScript
	// hooks, all optional
	onStart   func(loader.Spec) error
	onCleanup func(loader.Record) error

	mu      sync.Mutex
	live    map[string]*fakeKeep
	cleaned []loader.Record
}

func (l *fakeLoader) Platform() string { return "process" }

func (l *fakeLoader) Probe(context.Context) loader.Report {
	return loader.Report{Platform: "process", Usable: true}
}

func (l *fakeLoader) Start(ctx context.Context, spec loader.Spec, record func(loader.Record) error) (loader.Keep, error) {
	if err := record(loader.Record{ID: spec.ID, Platform: "process", StateDir: spec.StateDir, Made: time.Now()}); err != nil {
		return nil, err
	}
	if l.onStart != nil {
		if err := l.onStart(spec); err != nil {
			return nil, err
		}
	}
	host, inner, err := socketPair()
	if err != nil {
		return nil, err
	}
	kctx, cancel := context.WithCancel(context.Background())
	k := &fakeKeep{loader: l, id: spec.ID, host: host, cancel: cancel, left: make(chan struct{})}
	l.mu.Lock()
	if l.live == nil {
		l.live = map[string]*fakeKeep{}
	}
	l.live[spec.ID] = k
	l.mu.Unlock()
	go func() {
		defer close(k.left)
		defer inner.Close()
		end, err := sallyport.ConnectKeep(kctx, inner)
		if err != nil {
			return
		}
		defer end.Close()
		// A killed process is gone at once, whatever its script does.
		stop := context.AfterFunc(kctx, func() { end.Close() })
		defer stop()
		script := l.script
		if script == nil {
			script = echoKeep
		}
		script(kctx, end)
	}()
	return k, nil
}

func (l *fakeLoader) Cleanup(_ context.Context, r loader.Record) error {
	l.mu.Lock()
	l.cleaned = append(l.cleaned, r)
	l.mu.Unlock()
	if l.onCleanup != nil {
		return l.onCleanup(r)
	}
	return nil
}

func (l *fakeLoader) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.live)
}

type fakeKeep struct {
	loader *fakeLoader
	id     string
	host   net.Conn
	cancel context.CancelFunc
	left   chan struct{}
	mu     sync.Mutex
	killed bool
}

func (k *fakeKeep) Channel() io.ReadWriteCloser { return k.host }
func (k *fakeKeep) PID() int                    { return os.Getpid() }
func (k *fakeKeep) Layers() []loader.Layer {
	return []loader.Layer{{Name: "seccomp", Applied: true, Detail: "fake"}, {Name: "landlock", Detail: "not here"}}
}

func (k *fakeKeep) Kill() error {
	k.mu.Lock()
	k.killed = true
	k.mu.Unlock()
	k.cancel()
	return nil
}

func (k *fakeKeep) Wait(ctx context.Context) (loader.Exit, error) {
	select {
	case <-k.left:
	case <-ctx.Done():
		return loader.Exit{}, ctx.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.loader.mu.Lock()
	delete(k.loader.live, k.id)
	k.loader.mu.Unlock()
	if k.killed {
		return loader.Exit{Code: -1, Signal: "killed", Reason: "killed"}, nil
	}
	return loader.Exit{Reason: "exited"}, nil
}

func socketPair() (a, b net.Conn, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	conns := [2]net.Conn{}
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		conns[i], err = net.FileConn(f)
		f.Close()
		if err != nil {
			return nil, nil, err
		}
	}
	return conns[0], conns[1], nil
}

// testConfig is an agent's configuration on a state directory of its own.
func testConfig(t testing.TB, l *fakeLoader) Config {
	t.Helper()
	dir := t.TempDir()
	keep := filepath.Join(dir, "keep")
	if err := os.WriteFile(keep, []byte("not a real Keep runtime"), 0o700); err != nil {
		t.Fatal(err)
	}
	return Config{
		StateDir: filepath.Join(dir, "state"), Keep: keep,
		Loaders: map[string]loader.Loader{"process": l}, Platforms: []string{"process"},
		Log: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
}

// testLog shows the agent's log with the test that it belongs to.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	if testing.Verbose() {
		os.Stderr.WriteString(l.t.Name() + ": " + string(p))
	}
	return len(p), nil
}

// running is an agent that serves, and a way to end it.
type running struct {
	*Agent
	t    testing.TB
	addr string
	end  context.CancelFunc
	done chan error
	once sync.Once
	err  error
}

func serve(t testing.TB, cfg Config, change ...func(*Agent)) *running {
	t.Helper()
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(a)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Agent: a, t: t, addr: ln.Addr().String(), end: cancel, done: make(chan error, 1)}
	go func() { r.done <- a.Serve(ctx, ln) }()
	t.Cleanup(func() {
		a.StopNow()
		r.stop()
	})
	return r
}

// stop ends the agent and waits.
func (r *running) stop() error {
	r.once.Do(func() {
		r.end()
		select {
		case r.err = <-r.done:
		case <-time.After(30 * time.Second):
			r.t.Error("the agent does not end")
		}
	})
	return r.err
}

func (r *running) client(opt client.Options) *client.Client {
	r.t.Helper()
	scheme := "http://"
	if r.tls != nil {
		scheme = "https://"
	}
	c, err := client.New(scheme+r.addr, opt)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

func (r *running) create(c *client.Client) *api.Created {
	r.t.Helper()
	k, err := c.Create(r.t.Context(), api.CreateRequest{Platform: "process"}, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return k
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never came true: %s", what)
}

// wantProblem checks an error's code.
func wantProblem(t testing.TB, err error, code api.Code) *client.ProblemError {
	t.Helper()
	var p *client.ProblemError
	if !errors.As(err, &p) {
		t.Fatalf("got %v, want problem %s", err, code)
	}
	if p.Problem.Code != code {
		t.Fatalf("got problem %s (%v), want %s", p.Problem.Code, err, code)
	}
	if p.Problem.Status != known[code].status {
		t.Fatalf("problem %s came with status %d, want %d", code, p.Problem.Status, known[code].status)
	}
	return p
}

// raw sends a request without the client.
func (r *running) raw(method, path string, body io.Reader, header ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.addr+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { res.Body.Close() })
	return res
}
