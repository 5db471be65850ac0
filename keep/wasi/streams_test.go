// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair is two connected sockets of the given type.
func pair(t testing.TB, typ int) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

// peer is the test's end of a stream; it is closed at the end of the test,
// unless the test has done so.
type peer int

func (p *peer) close() {
	if *p >= 0 {
		unix.Close(int(*p))
		*p = -1
	}
}

func (p *peer) send(t testing.TB, s string) {
	t.Helper()
	if n, err := unix.Write(int(*p), []byte(s)); err != nil || n != len(s) {
		t.Fatalf("sending: %d, %v", n, err)
	}
}

// streamPair is a guest's stream on a socket and its other end.
func streamPair(t testing.TB) (Stream, *peer) {
	t.Helper()
	a, b := pair(t, unix.SOCK_STREAM)
	s, err := NewFDStream(a)
	if err != nil {
		t.Fatal(err)
	}
	p := peer(b)
	t.Cleanup(p.close)
	return s, &p
}

func TestStreamReadWaitsAndEnds(t *testing.T) {
	s, p := streamPair(t)
	g := newGuest(t, Config{FDs: []Descriptor{Stdin(s)}})
	go func() {
		time.Sleep(20 * time.Millisecond)
		unix.Write(int(*p), []byte("late"))
		unix.Shutdown(int(*p), unix.SHUT_WR)
	}()
	if got, rc := g.read(0, 100); got != "late" || rc != errnoSuccess {
		t.Errorf("read %q, errno %d", got, rc)
	}
	if got, rc := g.read(0, 100); got != "" || rc != errnoSuccess {
		t.Errorf("read %q, errno %d at the end", got, rc)
	}
	if _, rc := g.write(0, "x"); rc != errnoNotCapable {
		t.Errorf("writing to stdin: errno %d", rc)
	}
	g.want(errnoSPipe, "fd_seek", 0, 0, 1, 0)
	g.want(errnoSPipe, "fd_tell", 0, 0)
	g.want(errnoSPipe, "fd_advise", 0, 0, 0, 0)
}

func TestStreamNonblocking(t *testing.T) {
	s, p := streamPair(t)
	g := newGuest(t, Config{FDs: []Descriptor{Socket(s)}})
	g.want(errnoSuccess, "fd_fdstat_set_flags", 0, int(flagNonblock))
	g.want(errnoInval, "fd_fdstat_set_flags", 0, int(flagAppend))
	if _, rc := g.read(0, 10); rc != errnoAgain {
		t.Errorf("reading nothing: errno %d, want %d", rc, errnoAgain)
	}
	p.send(t, "x")
	if got, rc := g.read(0, 10); got != "x" || rc != errnoSuccess {
		t.Errorf("read %q, errno %d", got, rc)
	}
	chunk := strings.Repeat("y", 60000)
	total := 0
	for range 1000 {
		g.next = 0
		n, rc := g.write(0, chunk)
		total += n
		if rc == errnoAgain {
			break
		}
		if rc != errnoSuccess {
			t.Fatalf("writing: errno %d", rc)
		}
	}
	if total == 0 || total == 1000*len(chunk) {
		t.Errorf("wrote %d bytes to a socket that nobody reads, without waiting", total)
	}
}

// TestStreamWriteWritesAll: a blocking write takes all of several buffers,
// however slowly the other side reads.
func TestStreamWriteWritesAll(t *testing.T) {
	s, p := streamPair(t)
	g := newGuest(t, Config{FDs: []Descriptor{Stdout(s)}})
	const size, buffers = 50000, 20
	iov := g.alloc(8 * buffers)
	data := g.alloc(size)
	for i := range buffers {
		put32(g.mem[iov+8*i:], uint32(data))
		put32(g.mem[iov+8*i+4:], size)
	}
	got := make(chan int)
	go func() {
		total, buf := 0, make([]byte, 10000)
		for total < size*buffers {
			n, err := unix.Read(int(*p), buf)
			if n <= 0 || err != nil {
				break
			}
			total += n
		}
		got <- total
	}()
	out := g.alloc(4)
	g.want(errnoSuccess, "fd_write", 0, iov, buffers, out)
	if g.u32(out) != size*buffers {
		t.Errorf("wrote %d bytes, want %d", g.u32(out), size*buffers)
	}
	if n := <-got; n != size*buffers {
		t.Errorf("received %d bytes", n)
	}
	p.close()
	if _, rc := g.write(0, "x"); rc != errnoPipe {
		t.Errorf("writing to a closed socket: errno %d, want %d", rc, errnoPipe)
	}
}

func TestSocketRecvSendShutdown(t *testing.T) {
	s, p := streamPair(t)
	g := newGuest(t, Config{FDs: []Descriptor{Socket(s), Null()}})
	p.send(t, "hello")
	buf, size, flags := g.alloc(10), g.alloc(4), g.alloc(2)
	iov := g.iovec(buf, 3)
	recv := func(ri int, want string) {
		t.Helper()
		g.want(errnoSuccess, "sock_recv", 0, iov, 1, ri, size, flags)
		if got := string(g.mem[buf:][:g.u32(size)]); got != want {
			t.Errorf("received %q with flags %d, want %q", got, ri, want)
		}
	}
	recv(recvPeek, "hel")
	recv(recvPeek, "hel")
	recv(0, "hel")
	go func() {
		time.Sleep(20 * time.Millisecond)
		unix.Write(int(*p), []byte("!"))
	}()
	recv(recvWaitAll, "lo!")
	g.want(errnoInval, "sock_recv", 0, iov, 1, 4, size, flags)
	g.want(errnoInval, "sock_send", 0, iov, 1, 1, size)
	g.want(errnoSuccess, "sock_send", 0, iov, 1, 0, size)
	b := make([]byte, 10)
	if n, err := unix.Read(int(*p), b); err != nil || string(b[:n]) != "lo!" {
		t.Errorf("peer received %q, %v", b[:n], err)
	}
	g.want(errnoInval, "sock_shutdown", 0, 0)
	g.want(errnoInval, "sock_shutdown", 0, 4)
	g.want(errnoSuccess, "sock_shutdown", 0, shutdownWr)
	if n, err := unix.Read(int(*p), b); n != 0 || err != nil {
		t.Errorf("peer read %d, %v after the guest's shutdown", n, err)
	}
	if _, rc := g.write(0, "x"); rc != errnoPipe {
		t.Errorf("writing after shutdown: errno %d", rc)
	}
	for _, f := range []string{"sock_recv", "sock_send", "sock_shutdown", "sock_accept"} {
		params := map[string][]any{
			"sock_recv": {1, iov, 1, 0, size, flags}, "sock_send": {1, iov, 1, 0, size},
			"sock_shutdown": {1, 3}, "sock_accept": {1, 0, size},
		}[f]
		g.want(errnoNotSock, f, params...)
		params[0] = 77
		g.want(errnoBadf, f, params...)
	}
	g.want(errnoInval, "sock_accept", 0, 0, size)
}

// pass sends descriptors over a listener's socket.
func (p *peer) pass(t testing.TB, payload string, fds ...int) {
	t.Helper()
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(int(*p), []byte(payload), oob, nil, 0); err != nil {
		t.Fatal(err)
	}
}

func TestListenerAcceptsPassedDescriptors(t *testing.T) {
	a, b := pair(t, unix.SOCK_SEQPACKET)
	l, err := NewFDListener(a)
	if err != nil {
		t.Fatal(err)
	}
	p := peer(b)
	defer p.close()
	g := newGuest(t, Config{FDs: []Descriptor{Listen(l)}})
	out := g.alloc(4)
	g.want(errnoSuccess, "fd_fdstat_set_flags", 0, int(flagNonblock))
	g.want(errnoAgain, "sock_accept", 0, 0, out)
	g.want(errnoSuccess, "fd_fdstat_set_flags", 0, 0)
	x, y := pair(t, unix.SOCK_STREAM)
	other := peer(y)
	defer other.close()
	go func() {
		time.Sleep(20 * time.Millisecond)
		unix.Sendmsg(b, []byte("c"), unix.UnixRights(x), nil, 0)
		unix.Close(x)
	}()
	g.want(errnoSuccess, "sock_accept", 0, int(flagNonblock), out)
	fd := int(g.u32(out))
	if _, rc := g.read(fd, 5); rc != errnoAgain {
		t.Errorf("an accepted non-blocking socket: errno %d", rc)
	}
	other.send(t, "hi")
	if got, _ := g.read(fd, 5); got != "hi" {
		t.Errorf("read %q from the accepted socket", got)
	}
	if _, rc := g.read(0, 5); rc != errnoNotConn {
		t.Errorf("reading from a listener: errno %d", rc)
	}
	g.want(errnoInval, "sock_accept", 0, 1, out)
	g.sys.limits.OpenFDs = 2
	g.want(errnoMFile, "sock_accept", 0, 0, out)
	g.sys.limits.OpenFDs = 10
	p.close()
	g.want(errnoInval, "sock_accept", 0, 0, out)
}

// TestInvariant4HostileInputIsBounded_ListenerMessages: anything but exactly
// one stream socket is refused, and no descriptor that came with it stays.
func TestInvariant4HostileInputIsBounded_ListenerMessages(t *testing.T) {
	a, b := pair(t, unix.SOCK_SEQPACKET)
	l, err := NewFDListener(a)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := peer(b)
	defer p.close()
	x, y := pair(t, unix.SOCK_STREAM)
	defer unix.Close(y)
	dgram, dgram2 := pair(t, unix.SOCK_DGRAM)
	defer unix.Close(dgram)
	defer unix.Close(dgram2)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])

	many := make([]int, 100)
	for i := range many {
		many[i] = x
	}
	for name, send := range map[string]func(){
		"none":     func() { p.pass(t, "c") },
		"two":      func() { p.pass(t, "c", x, x) },
		"hundred":  func() { p.pass(t, "c", many...) },
		"datagram": func() { p.pass(t, "c", dgram) },
		"pipe":     func() { p.pass(t, "c", pipe[0]) },
		"too long": func() { p.pass(t, strings.Repeat("c", 1000), x) },
	} {
		send()
		if s, err := l.Accept(); err != unix.EPROTO {
			t.Errorf("%s: accepted %v, %v, want EPROTO", name, s, err)
			if err == nil {
				s.Close()
			}
		}
	}
	// Nothing kept a copy of x: closing it ends the connection.
	unix.Close(x)
	if n, _, err := unix.Recvfrom(y, make([]byte, 1), unix.MSG_DONTWAIT); n != 0 || err != nil {
		t.Errorf("reading from the other end gave %d, %v: a refused descriptor is still open", n, err)
	}
	x, y2 := pair(t, unix.SOCK_STREAM)
	defer unix.Close(y2)
	p.pass(t, "c", x)
	unix.Close(x)
	s, err := l.Accept()
	if err != nil {
		t.Fatalf("a good message after bad ones: %v", err)
	}
	s.Close()
}

func TestDescriptorsOfOtherTypesAreRefused(t *testing.T) {
	fd, err := unix.Open(t.TempDir(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := NewFDStream(fd); err == nil {
		t.Error("a directory was taken for a stream")
	}
	if _, err := NewFDStream(-1); err == nil {
		t.Error("descriptor -1 was taken for a stream")
	}
	a, b := pair(t, unix.SOCK_STREAM)
	defer unix.Close(a)
	defer unix.Close(b)
	if _, err := NewFDListener(a); err == nil {
		t.Error("a stream socket was taken for a listener")
	}
	if _, err := NewFDListener(fd); err == nil {
		t.Error("a directory was taken for a listener")
	}
}

// sub writes a subscription and event names what came out.
type sub struct {
	typ     byte
	clock   uint32
	timeout uint64
	abs     bool
	fd      uint32
}

type event struct {
	userdata, nbytes uint64
	rc               errno
	typ, flags       byte
}

func (g *guest) poll(subs ...sub) ([]event, errno) {
	g.t.Helper()
	in, out, num := g.alloc(len(subs)*48), g.alloc(len(subs)*32), g.alloc(4)
	clear(g.mem[in:][:len(subs)*48])
	for i, s := range subs {
		b := g.mem[in+48*i:]
		put64(b, uint64(100+i))
		b[8] = s.typ
		if s.typ == eventClock {
			put32(b[16:], s.clock)
			put64(b[24:], s.timeout)
			if s.abs {
				b[40] = clockAbsolute
			}
		} else {
			put32(b[16:], s.fd)
		}
	}
	rc := g.call("poll_oneoff", in, out, len(subs), num)
	if rc != errnoSuccess {
		return nil, rc
	}
	var events []event
	for i := range int(g.u32(num)) {
		b := g.mem[out+32*i:]
		events = append(events, event{get64(b), get64(b[16:]), errno(uint16(b[8]) | uint16(b[9])<<8), b[10], b[24]})
	}
	return events, errnoSuccess
}

func TestPoll(t *testing.T) {
	s, p := streamPair(t)
	a, b := pair(t, unix.SOCK_SEQPACKET)
	l, err := NewFDListener(a)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(b)
	g := newGuest(t, Config{
		FDs:      []Descriptor{Socket(s), Listen(l), Null()},
		Preopens: []Preopen{{"/", scratch(t, 100, 10)}},
	})
	g.create(3, "f", "abc")
	file := uint32(g.mustOpen(3, "f", 0, openRights, 0))
	const ms = uint64(time.Millisecond)
	check := func(want []event, subs ...sub) {
		t.Helper()
		got, rc := g.poll(subs...)
		if rc != errnoSuccess || len(got) != len(want) {
			t.Errorf("poll gave %+v, errno %d, want %+v", got, rc, want)
			return
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("event %d is %+v, want %+v", i, got[i], want[i])
			}
		}
	}
	begin := time.Now()
	check([]event{{userdata: 101, typ: eventClock}},
		sub{typ: eventFDRead, fd: 0}, sub{typ: eventClock, clock: clockMonotonic, timeout: 30 * ms}, sub{typ: eventFDRead, fd: 1})
	if d := time.Since(begin); d < 30*time.Millisecond {
		t.Errorf("a timer of 30 ms fired after %v", d)
	}
	check([]event{{userdata: 100, typ: eventFDWrite, nbytes: 1}}, sub{typ: eventFDWrite, fd: 0}, sub{typ: eventFDRead, fd: 0})
	p.send(t, "x")
	check([]event{{userdata: 101, typ: eventFDRead, nbytes: 1}},
		sub{typ: eventClock, clock: clockRealtime, timeout: 1000 * ms}, sub{typ: eventFDRead, fd: 0})
	check([]event{{userdata: 100, typ: eventFDRead, nbytes: 3}, {userdata: 101, typ: eventFDWrite}, {userdata: 103, rc: errnoBadf, typ: eventFDRead}},
		sub{typ: eventFDRead, fd: file}, sub{typ: eventFDWrite, fd: 2}, sub{typ: eventClock, clock: clockMonotonic, timeout: 1000 * ms},
		sub{typ: eventFDRead, fd: 99})
	check([]event{{userdata: 100, typ: eventClock}}, sub{typ: eventClock, clock: clockRealtime, timeout: 1, abs: true})
	check([]event{{userdata: 100, rc: errnoInval, typ: eventClock}}, sub{typ: eventClock, clock: 2, timeout: 1})
	check([]event{{userdata: 100, rc: errnoNotCapable, typ: eventFDRead}}, sub{typ: eventFDRead, fd: 3})
	check([]event{{userdata: 100, typ: eventClock}},
		sub{typ: eventClock, timeout: 1}, sub{typ: eventClock, clock: clockMonotonic, timeout: ^uint64(0)})
	p.close()
	if got, _ := g.poll(sub{typ: eventFDRead, fd: 0}); len(got) != 1 || got[0].flags != eventHangup {
		t.Errorf("poll of a closed connection: %+v", got)
	}
	x, y := pair(t, unix.SOCK_STREAM)
	other := peer(b)
	other.pass(t, "c", x)
	unix.Close(x)
	defer unix.Close(y)
	check([]event{{userdata: 100, typ: eventFDRead, nbytes: 1}}, sub{typ: eventFDRead, fd: 1})
	if _, rc := g.poll(); rc != errnoInval {
		t.Errorf("poll of nothing: errno %d", rc)
	}
	if _, rc := g.poll(sub{typ: 3}); rc != errnoInval {
		t.Errorf("poll of an unknown type: errno %d", rc)
	}
}

// stepClock is a clock of the Keep's own that runs at half the speed of the
// machine's.
type stepClock struct{ start time.Time }

func (c stepClock) Realtime() uint64   { return 1_000_000 + c.Monotonic() }
func (c stepClock) Monotonic() uint64  { return uint64(time.Since(c.start)) / 2 }
func (c stepClock) Resolution() uint64 { return 2 }

// TestInvariant5UntrustedClock_GuestSeesTheKeepsClockOnly: readings, sleeps and
// file times come from Config.Clock.
func TestInvariant5UntrustedClock_GuestSeesTheKeepsClockOnly(t *testing.T) {
	clock := stepClock{time.Now()}
	g := newGuest(t, Config{Clock: clock, Preopens: []Preopen{{"/", scratch(t, 100, 10)}}})
	out := g.alloc(8)
	for id := range 2 {
		g.want(errnoSuccess, "clock_time_get", id, 0, out)
		if v := get64(g.mem[out:]); v > uint64(time.Hour) {
			t.Errorf("clock %d reads %d: not the one that was given", id, v)
		}
		g.want(errnoSuccess, "clock_res_get", id, out)
		if v := get64(g.mem[out:]); v != 2 {
			t.Errorf("clock %d has resolution %d, want 2", id, v)
		}
	}
	g.want(errnoInval, "clock_time_get", 2, 0, out)
	g.want(errnoInval, "clock_res_get", 3, out)
	begin := time.Now()
	g.poll(sub{typ: eventClock, clock: clockMonotonic, timeout: uint64(20 * time.Millisecond)})
	if d := time.Since(begin); d < 40*time.Millisecond {
		t.Errorf("20 ms of a clock at half speed passed in %v", d)
	}
	g.create(3, "f", "x")
	if s, _ := g.stat(3, "f", 0); s.mtim == 0 || s.mtim > uint64(time.Hour) {
		t.Errorf("mtime %d does not come from the clock that was given", s.mtim)
	}
}
