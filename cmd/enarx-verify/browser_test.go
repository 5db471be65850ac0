// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !js && !wasip1

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/enarx/enarx-go/attest/evidencebundle"
)

// page is where the page lies that this program is built for.
const page = "../../web/verify"

// goButton is what starts an appraisal.
const goButton = chromedp.CSS("#go")

// site serves the page as make verify-page lays it out, and what the test
// hands to it. It notes every path that is asked for.
type site struct {
	*httptest.Server
	mu    sync.Mutex
	paths map[string]int
}

func newSite(t *testing.T, requests []byte) *site {
	t.Helper()
	s := &site{paths: map[string]int{}}
	wasm, exec := build(t, "js"), goFile(t, "wasm_exec.js")
	files := http.FileServer(http.Dir(page))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.paths[r.URL.Path]++
		s.mu.Unlock()
		switch r.URL.Path {
		case "/enarx-verify-js.wasm":
			http.ServeFile(w, r, wasm)
		case "/wasm_exec.js":
			http.ServeFile(w, r, exec)
		case "/requests.json":
			w.Header().Set("Content-Type", "application/json")
			w.Write(requests)
		default:
			files.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// browser starts a headless Chromium with a profile of its own.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		unavailable(t, "chromium is not installed; make deps installs it")
	}
	// It runs without its own sandbox because that does not work for root;
	// what it is shown is this repository's page, on the loopback interface.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(profile(t)), chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-quic", true), chromedp.WindowSize(1200, 1600))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stopTab := chromedp.NewContext(ctx)
	t.Cleanup(stopTab)
	do(t, ctx) // starts it; under a limit of time it would end with the limit
	ctx, stopTime := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(stopTime)
	return ctx
}

// profile is a fresh directory. Processes of the browser write to it for a
// moment after its end.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "enarx-verify-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 50 {
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("%s could not be removed", dir)
	})
	return dir
}

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

func get[T any](t *testing.T, ctx context.Context, action chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// askAll asks the page's own function every question, one after the other.
const askAll = `(async () => {
	const raw = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
	const answers = [];
	for (const { evidence, options } of await (await fetch("requests.json")).json()) {
		if (options.collateral) {
			options.collateral = options.collateral.map(raw);
		}
		answers.push(await verify(raw(evidence), options));
	}
	return answers;
})()`

// The build for JavaScript, in a browser behind the page's own policy, answers
// every question with the bytes of the native build.
func TestSameAnswersInABrowser(t *testing.T) {
	ctx := browser(t)
	qs := questions(t)
	s := newSite(t, scriptRequests(t, qs))
	do(t, ctx, chromedp.Navigate(s.URL), chromedp.WaitEnabled(goButton))
	compare(t, qs, get(t, ctx, chromedp.Evaluate[[]string](askAll, chromedp.EvalAwaitPromise)))

	t.Run("a bundle that is dropped in", func(t *testing.T) {
		for _, q := range qs {
			if q.request.Replay && q.yes {
				file := write(t, "machine.bundle", q.request.Evidence)
				headline, summary := s.appraise(t, ctx, file)
				if !strings.HasPrefix(headline, "Accepted: ") || !strings.Contains(summary, "The same verdict") {
					t.Errorf("%s: %q, %q", q.name, headline, summary)
				}
				screenshot(t, ctx)
				return
			}
		}
		t.Fatal("no bundle is accepted")
	})
	t.Run("what is no evidence", func(t *testing.T) {
		headline, _ := s.appraise(t, ctx, write(t, "x", []byte("nothing of the kind")))
		if !strings.HasPrefix(headline, "Refused (format)") {
			t.Errorf("%q", headline)
		}
	})
	t.Run("text that would be markup", func(t *testing.T) { s.hostile(t, ctx, qs) })

	s.mu.Lock()
	defer s.mu.Unlock()
	for path := range s.paths {
		switch path {
		case "/", "/page.css", "/page.js", "/worker.js", "/wasm_exec.js", "/enarx-verify-js.wasm", "/requests.json", "/favicon.ico":
		default:
			t.Errorf("the page asked for %s", path)
		}
	}
}

// appraise gives a file to the page as a person does and reads what it says.
func (s *site) appraise(t *testing.T, ctx context.Context, file string) (headline, summary string) {
	t.Helper()
	do(t, ctx, chromedp.Navigate(s.URL), chromedp.WaitEnabled(goButton),
		chromedp.SetUploadFiles(chromedp.CSS("#evidence"), []string{file}), chromedp.Click(goButton), chromedp.WaitVisible(chromedp.CSS("#answer")))
	return get(t, ctx, chromedp.TextContent(chromedp.CSS("#headline"))), get(t, ctx, chromedp.TextContent(chromedp.CSS("#summary")))
}

// hostile shows the page a bundle whose recorded verdict is markup and a
// script: it must come out as text.
func (s *site) hostile(t *testing.T, ctx context.Context, qs []question) {
	const markup = `<img src=x onerror="document.title='markup'"><script>document.title='script'</script>` + "\u202e\x1b[2J"
	for _, q := range qs {
		if !q.request.Replay || !q.yes {
			continue
		}
		b, err := evidencebundle.Open(q.request.Evidence)
		if err != nil {
			t.Fatal(err)
		}
		if b.Verdict, err = json.Marshal(map[string]any{markup: markup, "rows": []any{map[string]any{"check": markup, "seen": markup}}}); err != nil {
			t.Fatal(err)
		}
		file, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		_, summary := s.appraise(t, ctx, write(t, "hostile.bundle", file))
		type view struct {
			Title, Text string
			Elements    int
		}
		shown := get(t, ctx, chromedp.Evaluate[view](`({Title: document.title, Text: document.getElementById("answer").textContent,
			Elements: document.querySelectorAll("#answer img, #answer script").length})`))
		if shown.Title != "Enarx: verify evidence" || shown.Elements != 0 || strings.ContainsAny(shown.Text, "\u202e\x1b") {
			t.Errorf("%+v", shown)
		}
		if !strings.Contains(shown.Text, "<img src=x") || !strings.Contains(summary, "differences from the verdict recorded") {
			t.Errorf("the recorded verdict is not shown: %q", summary)
		}
		return
	}
	t.Fatal("no bundle is accepted")
}

// screenshot saves what the page looks like, for people, where they ask for it.
func screenshot(t *testing.T, ctx context.Context) {
	t.Helper()
	png := get(t, ctx, chromedp.FullScreenshot(100))
	if len(png) < 1000 {
		t.Errorf("the page is empty: %d bytes", len(png))
	}
	if to := os.Getenv("ENARX_SCREENSHOT"); to != "" {
		if err := os.WriteFile(to, png, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
