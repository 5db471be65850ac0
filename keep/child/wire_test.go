// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/detcbor"
)

// controls are the two ends of a control socket; the raw one is a hostile
// child's.
func controls(t testing.TB) (parent *Control, raw int) {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	parent = NewControl(p[0])
	raw = p[1]
	t.Cleanup(func() { parent.Close(); unix.Close(raw) })
	return parent, raw
}

func openFDs(t testing.TB) int {
	t.Helper()
	e, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(e)
}

func encode(t testing.TB, kind byte, v any) []byte {
	t.Helper()
	b, err := detcbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{kind}, b...)
}

func TestParentTakesGoodMessages(t *testing.T) {
	p, raw := controls(t)
	for _, v := range []any{&Compiled{US: 5, Engine: "wazero v1"}, &Done{End: DoneTrap, Code: 1, Reason: "r", Trace: "t"}} {
		kind := byte(kindDone)
		if _, ok := v.(*Compiled); ok {
			kind = kindCompiled
		}
		if err := unix.Sendmsg(raw, encode(t, kind, v), nil, nil, 0); err != nil {
			t.Fatal(err)
		}
		got, err := p.Next()
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("got %+v, %v, expected %+v", got, err, v)
		}
	}
}

// A hostile child's messages are errors, and none of them leaves a descriptor
// in the parent.
func TestInvariant11ProofAndCodeLiveApart_HostileMessages(t *testing.T) {
	done := encode(t, kindDone, &Done{End: DoneExit})
	for name, c := range map[string]struct {
		msg  []byte
		fds  int
		want string
	}{
		"descriptor with a good message":     {done, 1, "descriptors"},
		"many descriptors":                   {done, 250, "descriptors"},
		"descriptors and nothing else":       {[]byte{kindFDs}, 3, "descriptors"},
		"oversized":                          {bytes.Repeat([]byte{kindDone}, maxMessage+1), 0, "larger than"},
		"far oversized":                      {bytes.Repeat([]byte{kindDone}, 2*maxMessage), 0, "larger than"},
		"empty":                              {nil, 0, "closed"},
		"unknown kind":                       {[]byte{'Q', 1, 2}, 0, "unexpected message"},
		"the parent's own job":               {encode(t, kindJob, &Job{}), 0, "unexpected message"},
		"the parent's own root":              {[]byte{kindRoot}, 0, "unexpected message"},
		"no value":                           {[]byte{kindDone}, 0, "malformed"},
		"trailing bytes":                     {append(bytes.Clone(done), 0), 0, "malformed"},
		"unknown end":                        {encode(t, kindDone, &Done{End: "quote"}), 0, "unknown kind of end"},
		"code out of range":                  {encode(t, kindDone, &Done{End: DoneExit, Code: 1 << 32}), 0, "out of range"},
		"long reason":                        {encode(t, kindDone, &Done{End: DoneTrap, Reason: strings.Repeat("x", maxText+1)}), 0, "out of range"},
		"long trace":                         {encode(t, kindDone, &Done{End: DoneTrap, Trace: strings.Repeat("x", maxText+1)}), 0, "out of range"},
		"long engine name":                   {encode(t, kindCompiled, &Compiled{Engine: strings.Repeat("x", maxEngine+1)}), 0, "engine's name"},
		"engine name that drives a terminal": {encode(t, kindCompiled, &Compiled{Engine: "wazero\x1b[2J"}), 0, "printable"},
	} {
		t.Run(name, func(t *testing.T) {
			p, raw := controls(t)
			var oob []byte
			if c.fds > 0 {
				fds := make([]int, c.fds)
				for i := range fds {
					fds[i] = raw
				}
				oob = unix.UnixRights(fds...)
			}
			before := openFDs(t)
			if err := unix.Sendmsg(raw, c.msg, oob, nil, unix.MSG_NOSIGNAL); err != nil {
				t.Fatal(err)
			}
			v, err := p.Next()
			if err == nil || !strings.Contains(err.Error(), c.want) || v != nil {
				t.Errorf("got %+v, %v, expected an error with %q", v, err, c.want)
			}
			if after := openFDs(t); after != before {
				t.Errorf("%d descriptors are open in the parent, %d were", after, before)
			}
		})
	}
}

// A child that floods fills the socket's own buffer and then waits: nothing of
// it is read before the parent asks.
func TestFloodIsBounded(t *testing.T) {
	p, raw := controls(t)
	msg := encode(t, kindDone, &Done{End: DoneExit, Reason: strings.Repeat("x", 10_000)})
	total := 0
	for range 10_000 {
		err := unix.Sendmsg(raw, msg, nil, nil, unix.MSG_NOSIGNAL)
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		total += len(msg)
	}
	if total > 8<<20 {
		t.Errorf("the parent's socket took %d bytes", total)
	}
	if _, err := p.Next(); err != nil {
		t.Error(err)
	}
}

// FuzzNext: whatever a child sends, the parent gets a checked message or an
// error, and what it accepts has one encoding.
func FuzzNext(f *testing.F) {
	f.Add(encode(f, kindDone, &Done{End: DoneSetup, Code: 3, Reason: "r"}))
	f.Add(encode(f, kindCompiled, &Compiled{US: 1, Engine: "wazero v1.12.0"}))
	f.Add([]byte{kindJob})
	f.Add([]byte{})
	p, raw := controls(f)
	f.Fuzz(func(t *testing.T, msg []byte) {
		if err := unix.Sendmsg(raw, msg, nil, nil, unix.MSG_NOSIGNAL); err != nil {
			t.Skip() // larger than the socket takes
		}
		v, err := p.Next()
		if err != nil {
			return
		}
		kind := byte(kindDone)
		if c, ok := v.(*Compiled); ok {
			kind = kindCompiled
			if c.check() != nil {
				t.Fatalf("accepted: %+v", c)
			}
		} else if d := v.(*Done); d.check() != nil {
			t.Fatalf("accepted: %+v", d)
		}
		if !bytes.Equal(encode(t, kind, v), msg) {
			t.Fatalf("%x was accepted as %+v", msg, v)
		}
	})
}

func pipeFD(t testing.TB) int {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	unix.Close(p[0])
	t.Cleanup(func() { unix.Close(p[1]) })
	return p[1]
}

func TestJobArrivesWithItsDescriptors(t *testing.T) {
	p, raw := controls(t)
	c := NewControl(dup(t, raw))
	defer c.Close()
	want := &Job{WallNS: 1, MonoNS: 2, BundleSize: 3, SecretsSize: 4, CacheDir: "/cache", Dirs: []Dir{{"/a", "/b", true}}}
	for _, n := range []int{0, 1, fdsPerMessage, fdsPerMessage + 1, 256} {
		send := make([]int, n)
		one := pipeFD(t)
		for i := range send {
			send[i] = one
		}
		go p.SendJob(send, want)
		fds, j, err := c.recvJob()
		if err != nil || len(fds) != n || !reflect.DeepEqual(j, want) {
			t.Fatalf("%d descriptors: %d arrived, job %+v, %v", n, len(fds), j, err)
		}
		closeAll(fds)
	}
	if err := p.SendJob(make([]int, MaxFDs+1), want); err == nil {
		t.Error("too many descriptors were sent")
	}
	if err := p.SendJob([]int{-1}, want); err == nil {
		t.Error("a descriptor that does not exist was sent")
	}
	if err := p.SendJob(nil, &Job{CacheDir: strings.Repeat("x", maxMessage)}); err == nil {
		t.Error("a job larger than a message was sent")
	}
}

func dup(t testing.TB, fd int) int {
	t.Helper()
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The child's side has limits too, and keeps nothing of what it refuses.
func TestJobLimits(t *testing.T) {
	before := openFDs(t)
	p, raw := controls(t)
	c := NewControl(dup(t, raw))
	defer c.Close()
	at := openFDs(t)
	one := pipeFD(t)
	fds := make([]int, fdsPerMessage)
	for i := range fds {
		fds[i] = one
	}
	go func() {
		for range MaxFDs/fdsPerMessage + 1 {
			p.send(kindFDs, nil, fds...)
		}
	}()
	if _, _, err := c.recvJob(); err == nil || !strings.Contains(err.Error(), "more than 1024") {
		t.Errorf("err = %v, expected the limit of descriptors", err)
	}
	if after := openFDs(t); after > at+1 { // and the pipe
		t.Errorf("%d descriptors are open, %d were", after, at)
	}
	// More in one message than there is room for: none is kept.
	many := make([]int, fdsPerMessage+20)
	for i := range many {
		many[i] = one
	}
	at = openFDs(t)
	if err := p.send(kindFDs, nil, many...); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.recvJob(); err == nil || !strings.Contains(err.Error(), "descriptors") {
		t.Errorf("err = %v, expected that cut off descriptors are refused", err)
	}
	if after := openFDs(t); after != at {
		t.Errorf("%d descriptors are open, %d were (%d at first)", after, at, before)
	}
	for _, msg := range [][]byte{{kindDone}, {kindJob, 0xff}, {kindRoot}} {
		p.send(msg[0], msg[1:])
		if _, _, err := c.recvJob(); err == nil {
			t.Errorf("%x was taken for a job", msg)
		}
	}
	p.Close()
	if _, _, err := c.recvJob(); !errors.Is(err, errClosed) {
		t.Errorf("err = %v, expected that the socket is closed", err)
	}
}

func TestClip(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("é", clipText), "\xff", strings.Repeat("x", clipText-1) + "é"} {
		if got := clip(s); !utf8.ValidString(got) || len(got) > clipText+3 {
			t.Errorf("clip(%.10q): %d bytes", s, len(got))
		}
	}
}

// The child's clock is the parent's trusted time, and goes on from there.
func TestInvariant5UntrustedClock_Child(t *testing.T) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	const wall = 1_900_000_000_000_000_000
	c := newClock(&Job{WallNS: wall, MonoNS: uint64(ts.Nano())})
	last := uint64(wall)
	for range 1000 {
		now := c.Realtime()
		if now < last || now > wall+uint64(time.Minute) {
			t.Fatalf("the clock says %d after %d", now, last)
		}
		last = now
	}
	// A counter that reads less than the parent's does not turn time back.
	if now := newClock(&Job{WallNS: wall, MonoNS: 1 << 62}).Realtime(); now < wall || now > wall+uint64(time.Minute) {
		t.Errorf("the clock says %d, started at %d", now, uint64(wall))
	}
	if c.Monotonic() == 0 {
		t.Error("the monotonic clock says 0")
	}
}
