// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

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
}
