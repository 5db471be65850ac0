// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
)

// rawPeer is a hostile end: it has done an honest preamble and then sends what
// it likes.
type rawPeer struct{ line *Line }

func (p rawPeer) Read(b []byte) (int, error) {
	if err := p.line.fill(p.line.closed, nil); err != nil {
		return 0, err
	}
	n := copy(b, p.line.rest)
	p.line.rest = p.line.rest[n:]
	return n, nil
}
func (p rawPeer) Write(b []byte) (int, error) { return len(b), p.line.write(b, p.line.closed) }
func (p rawPeer) Close() error                { return p.line.Close() }

// shakeRaw does the preamble as one end.
func shakeRaw(ctx context.Context, ch io.ReadWriteCloser, r role) (rawPeer, error) {
	l, _ := lineOf(ch)
	if err := l.attach(ctx); err != nil {
		return rawPeer{}, err
	}
	return rawPeer{l}, shake(ctx, l, r)
}

var quick = timing{
	header: 300 * time.Millisecond, handler: 2 * time.Second, reply: 2 * time.Second,
	linger: 300 * time.Millisecond, pulse: 10 * time.Second, patience: 2,
}

// hostileKeep connects a host to a hostile Keep.
func hostileKeep(t testing.TB, h Handler, opt HostOptions, tm timing) (*Host, rawPeer) {
	t.Helper()
	hc, kc := socketPair(t)
	ctx := testContext(t)
	got := make(chan rawPeer, 1)
	go func() {
		p, err := shakeRaw(ctx, kc, roleKeep)
		if err != nil {
			t.Error(err)
		}
		got <- p
	}()
	host, err := connectHost(ctx, hc, h, opt, tm)
	must(t, err)
	t.Cleanup(func() { host.Close() })
	p := <-got
	t.Cleanup(func() { p.Close() })
	return host, p
}

// hostileHost connects a Keep to a hostile host.
func hostileHost(t testing.TB, tm timing) (*Keep, rawPeer) {
	t.Helper()
	hc, kc := socketPair(t)
	ctx := testContext(t)
	got := make(chan rawPeer, 1)
	go func() {
		p, err := shakeRaw(ctx, hc, roleHost)
		if err != nil {
			t.Error(err)
		}
		got <- p
	}()
	keep, err := connectKeep(ctx, kc, tm)
	must(t, err)
	t.Cleanup(func() { keep.Close() })
	p := <-got
	t.Cleanup(func() { p.Close() })
	return keep, p
}

// mux gives the hostile end an ordinary mux.
func (p rawPeer) mux(t testing.TB, r role) *yamux.Session {
	t.Helper()
	cfg := yamux.DefaultConfig()
	cfg.LogOutput, cfg.EnableKeepAlive = io.Discard, false
	f := yamux.Server
	if r == roleHost {
		f = yamux.Client
	}
	ys, err := f(p, cfg)
	must(t, err)
	t.Cleanup(func() { ys.Close() })
	return ys
}

// ask sends bytes on a new stream and reads the answer's code.
func ask(t testing.TB, ys *yamux.Session, b []byte) (Code, *yamux.Stream) {
	t.Helper()
	st, err := ys.OpenStream()
	must(t, err)
	_, err = st.Write(b)
	must(t, err)
	return replyCode(t, st), st
}

func replyCode(t testing.TB, st *yamux.Stream) Code {
	t.Helper()
	_ = st.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, body, err := readMessage(st, func(k kind) bool { return k&kindReply != 0 })
	must(t, err)
	m, err := decode[replyMessage](body)
	must(t, err)
	return Code(m.Code)
}

// message is a whole, well-formed one.
func message(k kind, v any) []byte {
	var b bytes.Buffer
	if err := writeMessage(&b, k, encode(v)); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// header is one that lies about what follows.
func header(k kind, version, reserved byte, length uint32) []byte {
	b := []byte{byte(k), version, reserved, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(b[4:], length)
	return b
}

var startMsg = message(kindStart, startMessage(pushConfig))

// malformedMessages are refused by both ends, each without harm to the rest.
func malformedMessages() map[string][]byte {
	return map[string][]byte{
		"kind 0":            header(0, 1, 0, 0),
		"unknown kind":      header(99, 1, 0, 0),
		"an answer unasked": header(kindHeartbeat|kindReply, 1, 0, 0),
		"unknown version":   append(header(kindHeartbeat, 2, 0, 1), 0xa0),
		"reserved byte":     append(header(kindHeartbeat, 1, 1, 1), 0xa0),
		"oversized":         header(kindHeartbeat, 1, 0, maxMessage+1),
		"4 GiB":             header(kindHeartbeat, 1, 0, 1<<32-1),
		"no CBOR":           append(header(kindHeartbeat, 1, 0, 1), 0xff),
		"null":              append(header(kindHeartbeat, 1, 0, 1), 0xf6),
		"unknown key":       append(header(kindHeartbeat, 1, 0, 3), 0xa1, 0x07, 0x00),
		"trailing byte":     append(header(kindHeartbeat, 1, 0, 2), 0xa0, 0x00),
		"indefinite length": append(header(kindHeartbeat, 1, 0, 2), 0xbf, 0xff),
	}
}

func TestInvariant4HostileInputIsBounded_MalformedMessages(t *testing.T) {
	run := func(t *testing.T, ys *yamux.Session) {
		for name, b := range malformedMessages() {
			if code, _ := ask(t, ys, b); code != CodeProtocol {
				t.Errorf("%s: answered with %v, expected %v", name, code, CodeProtocol)
			}
		}
		st, err := ys.OpenStream()
		must(t, err)
		_, err = st.Write(append(header(kindHeartbeat, 1, 0, 100), 0xa0))
		must(t, err)
		must(t, st.Close())
		if code := replyCode(t, st); code != CodeProtocol {
			t.Errorf("truncated: answered with %v", code)
		}
		if code, _ := ask(t, ys, message(kindHeartbeat, emptyMessage{})); code != CodeOK {
			t.Errorf("an honest heartbeat afterwards: %v", code)
		}
	}
	t.Run("host", func(t *testing.T) {
		_, p := hostileKeep(t, &testHandler{}, HostOptions{}, quick)
		run(t, p.mux(t, roleKeep))
	})
	t.Run("keep", func(t *testing.T) {
		_, p := hostileHost(t, quick)
		run(t, p.mux(t, roleHost))
	})
}

// A message has one encoding; the seven rows below are the same or nearly the
// same start configuration written otherwise.
func TestStartConfigHasOneEncoding(t *testing.T) {
	good := pushConfig.Encode()
	if c, err := ParseStartConfig(good); err != nil || c.Digest() != pushConfig.Digest() {
		t.Fatalf("the encoding itself: %+v, %v", c, err)
	}
	swap := func(old, new string) []byte {
		b := bytes.Replace(good, []byte(old), []byte(new), 1)
		if bytes.Equal(b, good) {
			t.Fatalf("%q is not in the encoding", old)
		}
		return b
	}
	for name, b := range map[string][]byte{
		"empty":            {},
		"null for empty":   swap("\x03\x40", "\x03\xf6"),
		"long form number": swap("\x06\x07", "\x06\x18\x07"),
		"long form length": swap("\x01\x64push", "\x01\x78\x04push"),
		"text for bytes":   swap("\x03\x40", "\x03\x60"),
		"trailing byte":    append(bytes.Clone(good), 0),
		"missing key":      append([]byte{good[0] - 1}, good[1:len(good)-2]...),
		"unknown key":      append([]byte{good[0] + 1}, append(good[1:], 7, 0)...),
		"duplicate key":    append([]byte{good[0] + 1}, append(good[1:], 6, 7)...),
		"keys out of order": append([]byte{good[0], 6, 7},
			good[1:len(good)-2]...),
		"invalid UTF-8":             swap("\x64push", "\x64pu\xff\xff"),
		"other mode":                swap("push", "pusk"),
		"pull with nothing to pull": swap("push", "pull"),
		"other platform":            swap("\x63sim", "\x63sin"),
		"tag":                       append([]byte{0xc0}, good...),
	} {
		if _, err := ParseStartConfig(b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for i := range good {
		for bit := range 8 {
			b := bytes.Clone(good)
			b[i] ^= 1 << bit
			if c, err := ParseStartConfig(b); err == nil && c.Digest() == pushConfig.Digest() {
				t.Fatalf("byte %d bit %d changed and the digest has not", i, bit)
			}
		}
	}
}

func TestInvariant4HostileInputIsBounded_SlowLoris(t *testing.T) {
	host, p := hostileKeep(t, &testHandler{}, HostOptions{}, quick)
	ys := p.mux(t, roleKeep)
	var slow []*yamux.Stream
	for range 100 {
		st, err := ys.OpenStream()
		must(t, err)
		slow = append(slow, st)
	}
	msg := message(kindHeartbeat, emptyMessage{})
	begin := time.Now()
	var last error
	for i := 0; last == nil && time.Since(begin) < 10*time.Second; i++ {
		// One byte of a header that never ends.
		for _, st := range slow {
			if _, err := st.Write(msg[i%4 : i%4+1]); err != nil {
				last = err
			}
		}
		time.Sleep(100 * time.Millisecond)
		if i == 0 {
			if code, _ := ask(t, ys, msg); code != CodeOK {
				t.Fatalf("an honest request among slow ones: %v", code)
			}
		}
	}
	if !errors.Is(last, yamux.ErrConnectionReset) && !errors.Is(last, yamux.ErrStreamClosed) {
		t.Fatalf("dripping a header ended with %v", last)
	}
	eventually(t, "slow streams are gone", func() bool { return len(host.mc.snapshot()) == 0 })
}

func TestInvariant4HostileInputIsBounded_StreamFlood(t *testing.T) {
	tm := quick
	tm.header = time.Second
	host, p := hostileKeep(t, &testHandler{}, HostOptions{}, tm)
	go func() { _, _ = io.Copy(io.Discard, p) }()
	syn := make([]byte, muxHeader)
	syn[1], syn[3] = muxWindow, flagSYN
	var batch []byte
	for id := uint32(2); id < 2*20000; id += 2 {
		binary.BigEndian.PutUint32(syn[4:], id)
		batch = append(batch, syn...)
	}
	before := runtime.NumGoroutine()
	_, err := p.Write(batch)
	must(t, err)
	most, routines := 0, 0
	for range 50 {
		most = max(most, len(host.mc.snapshot()))
		routines = max(routines, runtime.NumGoroutine()-before)
		time.Sleep(10 * time.Millisecond)
	}
	if most > maxStreams || most < maxStreams/2 {
		t.Errorf("%d streams at once of 20000 opened, limit is %d", most, maxStreams)
	}
	if routines > maxStreams+100 {
		t.Errorf("%d goroutines for them", routines)
	}
	if host.Err() != nil {
		t.Errorf("the session failed: %v", host.Err())
	}
	eventually(t, "flooded streams are gone", func() bool { return len(host.mc.snapshot()) == 0 })
}

// rawFrames end the session at once: no honest end sends them.
func rawFrames() map[string][]byte {
	f := func(version, typ byte, flags uint16, id, length uint32) []byte {
		b := []byte{version, typ}
		b = binary.BigEndian.AppendUint16(b, flags)
		b = binary.BigEndian.AppendUint32(b, id)
		return binary.BigEndian.AppendUint32(b, length)
	}
	return map[string][]byte{
		"version":         f(1, muxWindow, 0, 2, 0),
		"type":            f(0, 4, 0, 2, 0),
		"ping":            f(0, muxPing, flagSYN, 0, 7),
		"ping answer":     f(0, muxPing, flagACK, 0, 7),
		"go away":         f(0, muxGoAway, 0, 0, 0),
		"unknown flag":    f(0, muxWindow, 16, 2, 0),
		"stream 0":        f(0, muxData, 0, 0, 0),
		"huge frame":      f(0, muxData, 0, 2, 1<<32-1),
		"our own number":  f(0, muxWindow, flagSYN, 2, 0),
		"opened by data":  f(0, muxData, flagSYN, 1, 0),
		"opened and gone": f(0, muxWindow, flagSYN|flagRST, 1, 0),
		"opened twice":    append(f(0, muxWindow, flagSYN, 5, 0), f(0, muxWindow, flagSYN, 5, 0)...),
		"opened backward": append(f(0, muxWindow, flagSYN, 5, 0), f(0, muxWindow, flagSYN, 3, 0)...),
		"ended twice": append(f(0, muxWindow, flagSYN, 5, 0), append(f(0, muxWindow, flagFIN, 5, 0),
			f(0, muxWindow, flagFIN, 5, 0)...)...),
		"window overrun": overrun(f),
	}
}

func overrun(f func(byte, byte, uint16, uint32, uint32) []byte) []byte {
	b := f(0, muxWindow, flagSYN, 5, 0)
	for range streamWindow/maxFrame + 1 {
		b = append(b, f(0, muxData, 0, 5, maxFrame)...)
		b = append(b, make([]byte, maxFrame)...)
	}
	return b
}

func TestInvariant4HostileInputIsBounded_FramesOutOfTurn(t *testing.T) {
	for name, b := range rawFrames() {
		t.Run(name, func(t *testing.T) {
			keep, p := hostileHost(t, quick)
			go func() { _, _ = p.Write(b) }()
			select {
			case <-keep.Done():
			case <-time.After(5 * time.Second):
				t.Fatal("the session goes on")
			}
			if keep.Err() == nil || !strings.HasPrefix(keep.Err().Error(), "sallyport: ") {
				t.Fatalf("it failed with %v", keep.Err())
			}
		})
	}
}

func TestInvariant4HostileInputIsBounded_PeerNeverReads(t *testing.T) {
	tm := quick
	tm.pulse, tm.patience = 100*time.Millisecond, 10
	host, p := hostileKeep(t, &testHandler{}, HostOptions{}, tm)
	before := heap()
	// Requests whose answers nobody takes, for as long as the host does.
	go func() {
		msg := message(kindHeartbeat, emptyMessage{})
		for id := uint32(2); ; id += 2 {
			b := make([]byte, muxHeader, 100)
			b[1], b[3] = muxWindow, flagSYN
			binary.BigEndian.PutUint32(b[4:], id)
			b = append(b, 0, muxData, 0, 0)
			b = binary.BigEndian.AppendUint32(b, id)
			b = binary.BigEndian.AppendUint32(b, uint32(len(msg)))
			if _, err := p.Write(append(b, msg...)); err != nil {
				return
			}
		}
	}()
	var most uint64
	for {
		select {
		case <-host.Done():
			if most > before+32<<20 {
				t.Errorf("heap grew from %d to %d bytes", before, most)
			}
			return
		case <-time.After(200 * time.Millisecond):
			most = max(most, heap())
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Readers that stall must cost no more than the budget, and only themselves.
func TestInvariant4HostileInputIsBounded_UnreadBytes(t *testing.T) {
	hc, kc := socketPair(t)
	host, keep := connectPair(t, hc, kc, &testHandler{}, HostOptions{MaxBuffered: 1 << 20})
	must(t, host.Start(testContext(t), pushConfig))
	var stalled []net.Conn
	for range 20 {
		a, b := attach(t, host, keep)
		stalled = append(stalled, a)
		go func() { _, _ = b.Write(make([]byte, 200<<10)) }()
		host.mc.mu.Lock()
		n := host.mc.buffered
		host.mc.mu.Unlock()
		if n > 1<<20 {
			t.Fatalf("%d bytes are unread, the limit is 1 MiB", n)
		}
	}
	a, b := attach(t, host, keep)
	go func() {
		_, _ = b.Write(pattern(3 << 20))
		_ = b.Close()
	}()
	got, err := io.ReadAll(a)
	if err != nil || !bytes.Equal(got, pattern(3<<20)) {
		t.Fatalf("a stream that is read: %d bytes, %v", len(got), err)
	}
	reset := 0
	for _, c := range stalled {
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := io.CopyN(io.Discard, c, 200<<10); errors.Is(err, syscall.ECONNRESET) {
			reset++
		}
	}
	if reset < 10 || reset == len(stalled) {
		t.Fatalf("%d of %d stalled streams were reset", reset, len(stalled))
	}
}

func TestStartConfigurationIsFirstAndOnce(t *testing.T) {
	keep, p := hostileHost(t, quick)
	ys := p.mux(t, roleHost)
	for name, b := range map[string][]byte{
		"attach":   message(kindAttach, emptyMessage{}),
		"accepted": message(kindAccepted, acceptedMessage{1, "192.0.2.1:1"}),
		"hints":    message(kindHints, hintsMessage{[]hintMessage{}}),
	} {
		if code, _ := ask(t, ys, b); code != CodeNotStarted {
			t.Errorf("%s before the start configuration: %v", name, code)
		}
	}
	bad := pushConfig
	bad.Mode = "later"
	if code, _ := ask(t, ys, message(kindStart, startMessage(bad))); code != CodeProtocol {
		t.Errorf("a wrong start configuration: %v", code)
	}
	if code, _ := ask(t, ys, startMsg); code != CodeOK {
		t.Fatalf("the start configuration: %v", code)
	}
	other := pushConfig
	other.Platform = "process"
	for name, c := range map[string]StartConfig{"again": pushConfig, "another": other} {
		if code, _ := ask(t, ys, message(kindStart, startMessage(c))); code != CodeAlready {
			t.Errorf("%s: %v", name, code)
		}
	}
	c, err := keep.StartConfig(testContext(t))
	must(t, err)
	if c.Digest() != pushConfig.Digest() {
		t.Errorf("the Keep believes %+v", c)
	}
	for name, b := range map[string][]byte{
		"dial":  message(kindDial, dialMessage{"a.example", 1, 1}),
		"quote": message(kindQuote, bytesMessage{make([]byte, 64)}),
		"exit":  message(kindExit, codeMessage{1}),
	} {
		if code, _ := ask(t, ys, b); code != CodeProtocol {
			t.Errorf("%s asked of a Keep: %v", name, code)
		}
	}
}

func TestHostServesNothingBeforeStartOrAfterExit(t *testing.T) {
	h := &testHandler{listen: loopbackListen}
	host, p := hostileKeep(t, h, HostOptions{}, quick)
	ys := p.mux(t, roleKeep)
	requests := map[string][]byte{
		"dial":   message(kindDial, dialMessage{"a.example", 1, 1}),
		"listen": message(kindListen, listenMessage{1, "::", 1, ""}),
		"quote":  message(kindQuote, bytesMessage{make([]byte, 64)}),
		"spool":  message(kindSpool, bytesMessage{[]byte{1}}),
	}
	for name, b := range requests {
		if code, _ := ask(t, ys, b); code != CodeNotStarted {
			t.Errorf("%s before start: %v", name, code)
		}
	}
	host.started.Store(true)
	if code, _ := ask(t, ys, message(kindExit, codeMessage{3})); code != CodeProtocol {
		t.Error("an exit code of the Keep's own invention was taken")
	}
	if code, _ := ask(t, ys, message(kindExit, codeMessage{2})); code != CodeOK {
		t.Error("exit was not taken")
	}
	if code, _ := ask(t, ys, message(kindExit, codeMessage{1})); code != CodeAlready {
		t.Error("a second exit was taken")
	}
	for name, b := range requests {
		if code, _ := ask(t, ys, b); code != CodeClosed {
			t.Errorf("%s after exit: %v", name, code)
		}
	}
	if len(h.exits) != 1 || h.exits[0] != ExitFault || len(h.spools) != 0 {
		t.Errorf("handler saw exits %v, %d spools", h.exits, len(h.spools))
	}
}

func TestHostRefusesWhatKeepsMayNotAsk(t *testing.T) {
	block, entered := make(chan struct{}), make(chan struct{}, 100)
	defer close(block)
	h := &testHandler{
		listen: loopbackListen,
		quote: func(ctx context.Context, _ [64]byte) ([]byte, error) {
			entered <- struct{}{}
			<-block
			return nil, ctx.Err()
		},
		dial: func(context.Context, Endpoint, DialPurpose) (net.Conn, error) {
			t.Error("the handler was asked to dial")
			return nil, errors.ErrUnsupported
		},
	}
	host, p := hostileKeep(t, h, HostOptions{MaxListeners: 2}, quick)
	host.started.Store(true)
	ys := p.mux(t, roleKeep)
	want := func(name string, b []byte, code Code) {
		t.Helper()
		if got, _ := ask(t, ys, b); got != code {
			t.Errorf("%s: %v, expected %v", name, got, code)
		}
	}
	want("no purpose", message(kindDial, dialMessage{"a.example", 1, 0}), CodeProtocol)
	want("no host", message(kindDial, dialMessage{"", 1, 1}), CodeProtocol)
	want("NUL in host", message(kindDial, dialMessage{"a\x00b", 1, 1}), CodeProtocol)
	want("long host", message(kindDial, dialMessage{strings.Repeat("a", maxHost+1), 1, 1}), CodeProtocol)
	want("short report data", message(kindQuote, bytesMessage{make([]byte, 63)}), CodeProtocol)
	want("empty record", message(kindSpool, bytesMessage{nil}), CodeProtocol)
	want("record over its limit", header(kindSpool, 1, 0, MaxSpool+17), CodeProtocol)
	want("path in publish", message(kindListen, listenMessage{9, "::", 1, "\n/etc"}), CodeProtocol)
	want("listener", message(kindListen, listenMessage{1, "::", 1, ""}), CodeOK)
	want("listener of the same number", message(kindListen, listenMessage{1, "::", 2, ""}), CodeAlready)
	want("second listener", message(kindListen, listenMessage{2, "::", 2, ""}), CodeOK)
	want("third listener of two", message(kindListen, listenMessage{3, "::", 3, ""}), CodeLimit)
	want("closing somebody else's", message(kindCloseListener, listenerMessage{77}), CodeNoListener)
	want("closing its own", message(kindCloseListener, listenerMessage{1}), CodeOK)
	want("closing it twice", message(kindCloseListener, listenerMessage{1}), CodeNoListener)
	want("unknown lifecycle code", message(kindLog, codeMessage{999}), CodeProtocol)
	for range maxLogs {
		want("lifecycle code", message(kindLog, codeMessage{1}), CodeOK)
	}
	want("a flood of them", message(kindLog, codeMessage{1}), CodeLimit)
	want("another code after the flood", message(kindLog, codeMessage{7}), CodeOK)
	for range maxQuotes {
		st, err := ys.OpenStream()
		must(t, err)
		_, err = st.Write(message(kindQuote, bytesMessage{make([]byte, 64)}))
		must(t, err)
	}
	for range maxQuotes {
		<-entered
	}
	want("a quote too many", message(kindQuote, bytesMessage{make([]byte, 64)}), CodeLimit)
}

func TestKeepTakesConnectionsOfItsOwnListenersOnly(t *testing.T) {
	keep, p := hostileHost(t, quick)
	ys := p.mux(t, roleHost)
	if code, _ := ask(t, ys, startMsg); code != CodeOK {
		t.Fatal(code)
	}
	got := make(chan net.Listener, 1)
	go func() {
		ln, err := keep.Listen(testContext(t), Endpoint{"::", 443}, "")
		if err != nil {
			t.Error(err)
		}
		got <- ln
	}()
	st, err := ys.AcceptStream()
	must(t, err)
	_, body, err := readMessage(st, func(k kind) bool { return k == kindListen })
	must(t, err)
	m, err := decode[listenMessage](body)
	must(t, err)
	// Before the answer, which the connection may overtake.
	if code, _ := ask(t, ys, message(kindAccepted, acceptedMessage{m.ID, "192.0.2.1:5"})); code != CodeOK {
		t.Fatalf("a connection before the answer: %v", code)
	}
	_, err = st.Write(message(kindListen|kindReply, replyMessage{Body: []byte("[::]:443\x1b[2J")}))
	must(t, err)
	ln := <-got
	if strings.ContainsRune(ln.Addr().String(), 0x1b) {
		t.Errorf("the bound address is %q", ln.Addr())
	}
	c, err := ln.Accept()
	must(t, err)
	if c.RemoteAddr().String() != "192.0.2.1:5" {
		t.Errorf("remote address is %v", c.RemoteAddr())
	}
	if code, _ := ask(t, ys, message(kindAccepted, acceptedMessage{m.ID + 1, "192.0.2.1:5"})); code != CodeNoListener {
		t.Errorf("a connection for somebody else's listener: %v", code)
	}
	if code, _ := ask(t, ys, message(kindAccepted, acceptedMessage{m.ID, "\x1b[2J"})); code != CodeProtocol {
		t.Errorf("control characters as remote address: %v", code)
	}
	for i := 1; i < MaxAccepted; i++ {
		if code, _ := ask(t, ys, message(kindAccepted, acceptedMessage{m.ID, "192.0.2.1:5"})); code != CodeOK {
			t.Fatalf("connection %d: %v", i, code)
		}
	}
	if code, _ := ask(t, ys, message(kindAccepted, acceptedMessage{m.ID, "192.0.2.1:5"})); code != CodeLimit {
		t.Errorf("a connection over the limit: %v", code)
	}
}

// What a hostile host answers must not get into the Keep as anything but a
// known code and harmless words.
func TestKeepCleansAnswers(t *testing.T) {
	keep, p := hostileHost(t, quick)
	ys := p.mux(t, roleHost)
	answer := func(b []byte) error {
		got := make(chan error, 1)
		go func() {
			_, err := keep.Dial(testContext(t), Endpoint{"a.example", 1}, DialWorkload)
			got <- err
		}()
		st, err := ys.AcceptStream()
		must(t, err)
		_, _, err = readMessage(st, func(k kind) bool { return k == kindDial })
		must(t, err)
		_, err = st.Write(b)
		must(t, err)
		must(t, st.Close())
		return <-got
	}
	err := answer(message(kindDial|kindReply, replyMessage{Code: 4242, Text: "\x1b]0;" + strings.Repeat("x", 1000)}))
	wantCode(t, err, CodeInternal)
	if strings.ContainsRune(err.Error(), 0x1b) || len(err.Error()) > 2*maxText {
		t.Errorf("words came through: %q", err)
	}
	for name, b := range map[string][]byte{
		"answer to something else": message(kindQuote|kindReply, replyMessage{}),
		"question":                 message(kindDial, dialMessage{"a", 1, 1}),
		"oversized":                header(kindDial|kindReply, 1, 0, maxMessage+1),
		"malformed":                append(header(kindDial|kindReply, 1, 0, 1), 0xa0),
		"truncated":                header(kindDial|kindReply, 1, 0, 5)[:6],
	} {
		var re *RemoteError
		if err := answer(b); err == nil || errors.As(err, &re) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSilenceEndsTheSessionAndHeartbeatsKeepIt(t *testing.T) {
	tm := quick
	tm.pulse, tm.patience = 50*time.Millisecond, 4
	silent, _ := hostileKeep(t, &testHandler{}, HostOptions{}, tm)
	hc, kc := socketPair(t)
	ctx := testContext(t)
	go func() {
		k, err := connectKeep(ctx, kc, tm)
		if err != nil {
			t.Error(err)
			return
		}
		<-k.Done()
	}()
	idle, err := connectHost(ctx, hc, &testHandler{}, HostOptions{}, tm)
	must(t, err)
	defer idle.Close()
	select {
	case <-silent.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("a silent Keep is still believed to be there")
	}
	select {
	case <-idle.Done():
		t.Fatalf("an idle session with heartbeats ended: %v", idle.Err())
	case <-time.After(500 * time.Millisecond):
	}
}

func TestRequestsHonourTheirContext(t *testing.T) {
	host, p := hostileKeep(t, &testHandler{}, HostOptions{MaxAttach: 2}, quick)
	ys := p.mux(t, roleKeep)
	host.started.Store(true)
	for i := range 5 {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		begin := time.Now()
		_, err := host.Attach(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 2*time.Second {
			t.Fatalf("attach %d without an answer: %v after %v", i, err, time.Since(begin))
		}
	}
	_ = ys
	eventually(t, "streams are gone", func() bool { return len(host.mc.snapshot()) == 0 })
}

func TestAttachLimitIsRefusedNotQueued(t *testing.T) {
	hc, kc := socketPair(t)
	host, _ := connectPair(t, hc, kc, &testHandler{}, HostOptions{MaxAttach: 3})
	ctx := testContext(t)
	must(t, host.Start(ctx, pushConfig))
	var open []net.Conn
	for range 3 {
		c, err := host.Attach(ctx)
		must(t, err)
		open = append(open, c)
	}
	_, err := host.Attach(ctx)
	wantCode(t, err, CodeLimit)
	open[0].(*Conn).abort()
	_, err = host.Attach(ctx)
	must(t, err)
}

func TestNothingIsLeftBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 5 {
		hc, kc := socketPair(t)
		host, keep := startedPair(t, hc, kc, &testHandler{listen: loopbackListen})
		attach(t, host, keep)
		_, err := keep.Listen(testContext(t), Endpoint{"", 1}, "")
		must(t, err)
		host.Close()
		keep.Close()
	}
	eventually(t, "goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+2 })
	if testing.Verbose() {
		fmt.Println("goroutines before and after:", before, runtime.NumGoroutine())
	}
}
