// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/hostiletest"
	"github.com/enarx/enarx-go/keep/keeptest"
)

// ways are the ways in which a host ends a Keep's usefulness.
var ways = []struct {
	name string
	end  func(k *keeptest.Keep, w *hostiletest.Wire)
}{
	{"KillTheKeep", func(k *keeptest.Keep, _ *hostiletest.Wire) { k.Kill() }},
	{"CutTheTunnel", func(_ *keeptest.Keep, w *hostiletest.Wire) { w.Cut() }},
	{"CloseTheSallyport", func(k *keeptest.Keep, _ *hostiletest.Wire) { k.Host.Close() }},
}

// moments are the steps of a deployment at which it does so. A step is reached
// when its trigger fires; says is what the client's error must contain.
var moments = []struct {
	name    string
	says    []string
	claimed bool // the Keep has an owner and must end by itself

	onRecord  func(r hostiletest.Record) bool // true: now, and this record goes nowhere
	onQuote   bool
	onRunning bool
}{
	{name: "InTheHandshake", says: []string{"attested channel: handshake"}, onRecord: record(hostiletest.Keep, 2)},
	{name: "AfterTheHandshake", says: []string{"before its evidence came"}, onRecord: record(hostiletest.Client, clientHello)},
	{name: "WhileQuoting", says: []string{"before its evidence came"}, onQuote: true},
	{name: "AfterTheEvidence", says: []string{"while the keep was being claimed"}, onRecord: record(hostiletest.Client, clientClaim)},
	{name: "AfterTheClaim", says: []string{"while the keep was being claimed"}, claimed: true, onRecord: record(hostiletest.Keep, keepClaimed)},
	{name: "BeforeTheBundle", says: []string{"while the bundle was being sent"}, claimed: true, onRecord: record(hostiletest.Client, clientHeader)},
	{name: "MidBundle", says: []string{"while the bundle was being sent"}, claimed: true, onRecord: record(hostiletest.Client, clientData+9)},
	{name: "AfterTheBundle", says: []string{"while the keep was checking the bundle"}, claimed: true, onRecord: record(hostiletest.Keep, keepAccepted)},
	{name: "BeforeTheRun", says: []string{"while the workload was being sent", "before the workload ran"}, claimed: true, onRecord: runRecord},
	{name: "WhileCompiling", says: []string{"before the workload ran"}, claimed: true, onRecord: record(hostiletest.Keep, keepRunning)},
	{name: "WhileRunning", says: []string{"while the workload ran"}, claimed: true, onRunning: true},
	{name: "AfterTheFirstOutput", says: []string{"while the workload ran"}, claimed: true, onRecord: record(hostiletest.Keep, keepOutput+2)},
	{name: "AtTheEnd", says: []string{"while the workload ran"}, claimed: true, onRecord: record(hostiletest.Keep, keepOutput+3)},
}

func record(from hostiletest.Side, n int) func(hostiletest.Record) bool {
	return func(r hostiletest.Record) bool {
		return r.From == from && r.Type == hostiletest.RecordData && r.N == n
	}
}

// runRecord is the first small record of the client after the bundle's.
func runRecord(r hostiletest.Record) bool {
	return r.From == hostiletest.Client && r.Type == hostiletest.RecordData && r.N > clientHeader && len(r.Bytes) == 5+256+17
}

// At whatever step the host kills the Keep, cuts the tunnel or closes the
// sallyport, the client has a clear error that names the step, soon, and
// nothing is left behind.
func TestInvariant12NothingHalfDone(t *testing.T) {
	before := leftovers(t)
	for _, way := range ways {
		for _, m := range moments {
			t.Run(way.name+"/"+m.name, func(t *testing.T) {
				var (
					k    *keeptest.Keep
					wire *hostiletest.Wire
				)
				now := func() { way.end(k, wire) }
				h := &hostiletest.Host{}
				h.OnQuote = func(ctx context.Context, rd [64]byte) ([]byte, error) {
					if m.onQuote {
						now()
					}
					return h.Honest.Quote(ctx, rd)
				}
				k = keeptest.Start(t, keeptest.Config{Handler: h.Wrap})
				ended := false
				tunnel := k.Tunnel(t)
				wire, tunnel = hostiletest.Tap(tunnel, func(w *hostiletest.Wire, r hostiletest.Record) [][]byte {
					if m.onRecord != nil && m.onRecord(r) && !ended {
						ended = true
						way.end(k, w)
						return nil
					}
					return [][]byte{r.Bytes}
				})
				begin := time.Now()
				err := toTheEnd(t, k, tunnel, func(d *client.Deployment) {
					if m.onRunning {
						d.OnRunning = func(*client.Started) { now() }
					}
				})
				wantOneOf(t, err, m.says)
				if took := time.Since(begin); took > 15*time.Second {
					t.Errorf("the client needed %v to notice", took)
				}
				switch {
				case way.name != "CutTheTunnel" || m.claimed:
					wantGone(t, k)
				default:
					k.Admit(t) // nobody has claimed it: it serves the next
				}
			})
		}
	}
	t.Run("BeforeTheTunnel", func(t *testing.T) {
		k := keeptest.Start(t, keeptest.Config{})
		k.Kill()
		wantGone(t, k)
		_, err := k.Host.Attach(context.Background())
		wantError(t, err, "sallyport")
	})
	wantNothingLeft(t, before)
}

func wantOneOf(t testing.TB, err error, says []string) {
	t.Helper()
	for _, s := range says {
		if err != nil && strings.Contains(err.Error(), s) {
			return
		}
	}
	t.Fatalf("got %v, expected an error that says one of %q", err, says)
}

// leftovers counts what this process holds and has started.
func leftovers(t testing.TB) (n struct{ fds, goroutines, children int }) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n.fds, n.goroutines = len(fds), runtime.NumGoroutine()
	procs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	me := fmt.Sprintf(" %d ", os.Getpid())
	for _, p := range procs {
		b, err := os.ReadFile("/proc/" + p.Name() + "/stat")
		if err != nil {
			continue // not a process, or one that has just ended
		}
		// After the name in parentheses: state, then the parent.
		if i := strings.LastIndexByte(string(b), ')'); i > 0 && len(b) > i+3 && strings.HasPrefix(string(b[i+3:]), me) {
			n.children++
		}
	}
	return n
}

// wantNothingLeft waits for what ends by itself in a moment, and then demands
// that there is no more of anything than before.
func wantNothingLeft(t testing.TB, before struct{ fds, goroutines, children int }) {
	t.Helper()
	now := leftovers(t)
	for range 100 {
		if now.fds <= before.fds && now.goroutines <= before.goroutines && now.children <= before.children {
			return
		}
		time.Sleep(50 * time.Millisecond)
		now = leftovers(t)
	}
	t.Errorf("before: %+v, now: %+v", before, now)
}
