// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/hostiletest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
)

// fullLoad says whether the load tests run at full size: 200 Keeps in waves of
// 20. ENARX_TEST_LOAD=full asks for it; otherwise they run at a tenth.
func fullLoad() bool { return os.Getenv("ENARX_TEST_LOAD") == "full" }

// Keeps in waves: every one attested and correct, and nothing left of them.
func TestLoadWavesOfKeeps(t *testing.T) {
	waves, each := 2, 10
	if fullLoad() {
		waves, each = 10, 20
	}
	for _, platform := range []string{attest.PlatformProcess, attest.PlatformSim} {
		before := leftovers(t)
		begin := time.Now()
		for w := range waves {
			t.Run(fmt.Sprintf("%s/%d", platform, w), func(t *testing.T) { wave(t, platform, w, each) })
		}
		wantNothingLeft(t, before)
		t.Logf("%d Keeps of platform %s in waves of %d: %v", waves*each, platform, each, time.Since(begin))
	}
}

func wave(t *testing.T, platform string, w, n int) {
	var all sync.WaitGroup
	keeps := make([]*keeptest.Keep, n)
	for i := range n {
		all.Go(func() {
			k := keeptest.Start(t, keeptest.Config{Platform: platform, NoCache: true})
			keeps[i] = k
			j := job{module: fmt.Sprintf("keep %d of wave %d", i, w), stdin: "in", code: (w*n + i) % 200}
			d := j.deployment(t)
			var out bytes.Buffer
			d.Stdout = &out
			s := k.Connect(t)
			a, err := s.Appraise(k.Demand(t))
			if err != nil {
				t.Errorf("keep %d: %v", i, err)
				return
			}
			if platform == attest.PlatformSim && !a.Claims.Verified() {
				t.Errorf("keep %d: not attested", i)
			}
			_, exit, err := s.Deploy(context.Background(), d, client.Demand{})
			s.Close()
			if err != nil || exit.End != session.EndExit || exit.Code != uint64(j.code) || out.String() != j.shown() {
				t.Errorf("keep %d: %+v, %v, wrote %q", i, exit, err, out.String())
			}
		})
	}
	all.Wait()
	for _, k := range keeps {
		if k != nil {
			wantGone(t, k)
		}
	}
}

// Two hundred sessions that wait at once share a handful of quotes, on a
// platform whose quotes are slow.
func TestLoadSessionsShareQuotes(t *testing.T) {
	const sessions, most = 200, 10
	h := &hostiletest.Host{}
	h.OnQuote = func(ctx context.Context, rd [64]byte) ([]byte, error) {
		time.Sleep(500 * time.Millisecond)
		return h.Honest.Quote(ctx, rd)
	}
	k := keeptest.Start(t, keeptest.Config{Handler: h.Wrap})
	open := make([]*client.Session, sessions)
	for i := range open {
		open[i] = k.Connect(t)
	}
	d := k.Demand(t)
	var all sync.WaitGroup
	begin := time.Now()
	counts := make([]uint32, sessions)
	for i, s := range open {
		all.Go(func() {
			a, err := s.Appraise(d)
			if err != nil {
				t.Errorf("session %d: %v", i, err)
				return
			}
			counts[i] = a.Message.Count
		})
	}
	all.Wait()
	if n := h.Quotes(); n == 0 || n > most {
		t.Errorf("%d sessions took %d quotes, expected at most %d", sessions, n, most)
	}
	largest := uint32(0)
	for _, c := range counts {
		largest = max(largest, c)
	}
	t.Logf("%d sessions, %d quotes of 500 ms, largest batch %d, %v", sessions, h.Quotes(), largest, time.Since(begin))
}

// An unclaimed Keep on platform process takes at most 20 MiB, counted as the
// proportional set size of all its processes: what it shares with other Keeps
// counts once.
func TestLoadMemoryOfUnclaimedKeep(t *testing.T) {
	const keeps, most = 5, 20 << 20
	var all []*keeptest.Keep
	for range keeps {
		all = append(all, keeptest.Start(t, keeptest.Config{Platform: attest.PlatformProcess}))
	}
	all[0].Admit(t) // a stranger has looked at it
	total := uint64(0)
	for i, k := range all {
		n, processes := pss(t, k.PID())
		if processes < 2 {
			t.Fatalf("keep %d has %d processes, expected a parent and its engine child", i, processes)
		}
		if n > most {
			t.Errorf("keep %d takes %d KiB, expected at most %d", i, n>>10, most>>10)
		}
		total += n
	}
	t.Logf("%d unclaimed Keeps take %d KiB (PSS) each", keeps, total>>10/keeps)
}

// pss adds up the proportional set sizes of a process and its descendants.
func pss(t *testing.T, pid int) (bytes uint64, processes int) {
	t.Helper()
	for _, p := range append(descendants(t, pid), pid) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p))
		if errors.Is(err, os.ErrPermission) {
			t.Skip("reading the memory of a Keep of another user needs to be root")
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) >= 2 && f[0] == "Pss:" {
				n, err := strconv.ParseUint(f[1], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				bytes += n << 10
				processes++
			}
		}
	}
	return bytes, processes
}

func descendants(t *testing.T, pid int) []int {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatalf("the keep has ended: %v", err)
	}
	var all []int
	var b []byte
	for _, task := range tasks {
		c, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err == nil {
			b = append(b, c...)
		}
	}
	for f := range strings.FieldsSeq(string(b)) {
		child, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(append(all, child), descendants(t, child)...)
	}
	return all
}
