// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
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
	}
}

// muxFrame is one frame, whole.
func muxFrame(typ byte, flags uint16, id uint32, body []byte) []byte {
	b := []byte{0, typ}
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint32(b, id)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(body))), body...)
}

func TestInvariant4HostileInputIsBounded_WindowOverrun(t *testing.T) {
	keep, p := hostileHost(t, quick)
	go func() { _, _ = io.Copy(io.Discard, p) }()
	send := func(b ...[]byte) {
		t.Helper()
		_, err := p.Write(bytes.Join(b, nil))
		must(t, err)
	}
	send(muxFrame(muxWindow, flagSYN, 1, nil), muxFrame(muxData, 0, 1, startMsg))
	_, err := keep.StartConfig(testContext(t))
	must(t, err)
	send(muxFrame(muxWindow, flagSYN, 3, nil), muxFrame(muxData, 0, 3, message(kindAttach, emptyMessage{})))
	_, err = keep.AcceptAttach(testContext(t)) // and nobody reads it
	must(t, err)
	full := muxFrame(muxData, 0, 3, make([]byte, maxFrame))
	go func() { _, _ = p.Write(bytes.Repeat(full, streamWindow/maxFrame+1)) }()
	select {
	case <-keep.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("more than the window was taken")
	}
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
	// Enough for the stream that is read, whose window counts twice while its
	// reader is on the way to say what it took, and for some that stall.
	const limit = 4 * streamWindow
	hc, kc := socketPair(t)
	host, keep := connectPair(t, hc, kc, &testHandler{}, HostOptions{MaxBuffered: limit})
	must(t, host.Start(testContext(t), pushConfig))
	var stalled []net.Conn
	for range 24 {
		a, b := attach(t, host, keep)
		stalled = append(stalled, a)
		go func() { _, _ = b.Write(make([]byte, 200<<10)) }()
		host.mc.mu.Lock()
		n := host.mc.buffered
		host.mc.mu.Unlock()
		if n > limit {
			t.Fatalf("%d bytes are unread, the limit is %d", n, limit)
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
