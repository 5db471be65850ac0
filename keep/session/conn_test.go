// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMessagesOfEverySizeArrive(t *testing.T) {
	c, k, _, _ := sessions(t)
	sizes := []int{0, 1, 247, 248, 249, 1015, 1016, 1017, 4088, 4089, 16376, 16377, MaxPayload - 1, MaxPayload, MaxPayload + 1, 2 * MaxPayload, maxControl}
	go func() {
		for _, n := range sizes {
			c.WriteMessage(TypeStdin, bytes.Repeat([]byte{byte(n)}, n))
		}
	}()
	for _, n := range sizes {
		typ, p, err := k.ReadMessage()
		if err != nil || typ != TypeStdin || !bytes.Equal(p, bytes.Repeat([]byte{byte(n)}, n)) {
			t.Fatalf("%d bytes: type %d, %d bytes, %v", n, typ, len(p), err)
		}
	}
}

// recordOverhead is what TLS 1.3 adds to each record of at most 16 KiB: header,
// content type, AEAD tag (RFC 8446, section 5.2).
const recordOverhead = 5 + 1 + 16

// The host sees one write for each frame, and frames have five sizes, whatever
// is in them.
func TestInvariant3HostSeesCiphertext_FrameSizes(t *testing.T) {
	allowed := map[int]bool{}
	for _, s := range frameClasses {
		allowed[s+recordOverhead*((s+16<<10-1)/(16<<10))] = true
	}
	c, k, rc, rk := sessions(t)
	secret := []byte("MARKER-of-the-workload")
	go io.Copy(io.Discard, readerOf(k))
	seen := map[int]int{}
	for n := 0; n < 3*maxFrame; n += 1009 {
		if err := c.WriteMessage(TypeStdin, bytes.Repeat(secret, n/len(secret)+1)[:n]); err != nil {
			t.Fatal(err)
		}
	}
	big := bytes.Repeat([]byte{1}, 5000)
	go io.Copy(io.Discard, readerOf(c))
	for n := 0; n < len(big); n += 13 {
		if err := k.WriteMessage(TypeStdout, big[:n]); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []*recorder{rc, rk} {
		r.mu.Lock()
		for _, n := range r.writes {
			seen[n]++
			if !allowed[n] {
				t.Fatalf("a write of %d bytes reached the wire, expected one of %v", n, allowed)
			}
		}
		if bytes.Contains(r.bytes.Bytes(), secret) {
			t.Error("the wire carries plain text")
		}
		r.mu.Unlock()
	}
	if len(seen) != len(frameClasses) {
		t.Errorf("sizes on the wire: %v, expected all %d classes", seen, len(frameClasses))
	}
}

// A stream leaves in writes of one frame, or of a full one and another.
func TestInvariant3HostSeesCiphertext_StreamSizes(t *testing.T) {
	wire := func(frame int) int { return frame + recordOverhead*((frame+16<<10-1)/(16<<10)) }
	allowed := map[int]bool{}
	for _, s := range frameClasses {
		allowed[wire(s)], allowed[wire(maxFrame)+wire(s)] = true, true
	}
	c, k, _, rk := sessions(t)
	sizes := []int{0, 1, 248, 249, MaxPayload - 1, MaxPayload, MaxPayload + 1, StreamBatch - 1, StreamBatch, StreamBatch + 1, 5*MaxPayload + 17}
	go func() {
		for i, n := range sizes {
			k.WriteStream(TypeStdout, bytes.Repeat([]byte{byte(i)}, n))
		}
		k.WriteMessage(TypeExit, nil)
	}()
	got := make([]int, len(sizes))
	for last := 0; ; {
		typ, p, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if typ == TypeExit {
			break
		}
		if len(p) == 0 || int(p[0]) < last || !bytes.Equal(p, bytes.Repeat(p[:1], len(p))) {
			t.Fatalf("a message of %d bytes is out of order or mixed", len(p))
		}
		last = int(p[0])
		got[last] += len(p)
	}
	if !slices.Equal(got, sizes) {
		t.Errorf("bytes received: %v, sent: %v", got, sizes)
	}
	rk.mu.Lock()
	defer rk.mu.Unlock()
	for _, n := range rk.writes {
		if !allowed[n] {
			t.Errorf("a write of %d bytes reached the wire", n)
		}
	}
}

// readerOf takes messages until an error.
func readerOf(c *Conn) io.Reader { return messageReader{c} }

type messageReader struct{ c *Conn }

func (r messageReader) Read(p []byte) (int, error) {
	_, m, err := r.c.ReadMessage()
	return min(len(m), len(p)), err
}

func header(t Type, flags byte, reserved uint16, n uint32) []byte {
	h := make([]byte, headerSize)
	h[0], h[1] = byte(t), flags
	binary.BigEndian.PutUint16(h[2:], reserved)
	binary.BigEndian.PutUint32(h[4:], n)
	return h
}

func padded(h, p []byte, size int) []byte {
	f := make([]byte, size)
	copy(f[copy(f, h):], p)
	return f
}

func TestInvariant4HostileInputIsBounded_Frames(t *testing.T) {
	full := bytes.Repeat([]byte{7}, MaxPayload)
	first := padded(header(TypeHello, flagMore, 0, MaxPayload), full, maxFrame)
	endless := bytes.Repeat(first, maxControl/MaxPayload+2)
	dirty := padded(header(TypeHello, 0, 0, 3), []byte("abc"), 256)
	dirty[255] = 1
	for name, c := range map[string]struct {
		wire []byte
		want string
	}{
		"oversized length":          {header(TypeHello, 0, 0, MaxPayload+1), "malformed frame header"},
		"largest length":            {header(TypeHello, 0, 0, 0xffffffff), "malformed frame header"},
		"unknown flag":              {header(TypeHello, 2, 0, 0), "malformed frame header"},
		"reserved bytes":            {header(TypeHello, 0, 1, 0), "malformed frame header"},
		"continued frame not full":  {header(TypeHello, flagMore, 0, 100), "not full"},
		"padding":                   {dirty, "padding is not zero"},
		"interrupted message":       {slices.Concat(first, padded(header(TypeStdin, 0, 0, 1), []byte{1}, 256)), "interrupted by type 14"},
		"empty last frame":          {slices.Concat(first, padded(header(TypeHello, 0, 0, 0), nil, 256)), "last frame of a message is empty"},
		"message larger than 1 MiB": {endless, "larger than 1048576"},
		"nothing":                   {nil, "EOF"},
		"cut header":                {[]byte{1, 0, 0}, "unexpected EOF"},
		"cut frame":                 {padded(header(TypeHello, 0, 0, 3), []byte("abc"), 255), "unexpected EOF"},
		"cut message":               {first, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, p, err := plain(readWriter{bytes.NewReader(c.wire), nil}).ReadMessage()
			if err == nil || !strings.Contains(err.Error(), c.want) || p != nil {
				t.Errorf("got %d bytes, %v, expected an error with %q", len(p), err, c.want)
			}
		})
	}
}

type readWriter struct {
	io.Reader
	io.Writer
}

// A reader that gives one byte at a time makes no difference.
func TestFramesByteByByte(t *testing.T) {
	want := []message{{TypeHello, []byte("abc")}, {TypeStdin, bytes.Repeat([]byte{9}, 70000)}, {TypePing, nil}}
	c := plain(readWriter{oneByte{bytes.NewReader(frames(t, want...))}, nil})
	for _, m := range want {
		typ, p, err := c.ReadMessage()
		if err != nil || typ != m.t || !bytes.Equal(p, m.p) {
			t.Fatalf("type %d, %d bytes, %v", typ, len(p), err)
		}
	}
}

type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

// FuzzReadMessage: whatever a peer sends, what is read is bounded, and what
// was read whole is what a Conn would have written.
func FuzzReadMessage(f *testing.F) {
	seeds := [][]byte{
		frames(f, message{TypeHello, []byte{0xa1, 1, 1}}),
		frames(f, message{TypeStdout, bytes.Repeat([]byte("x"), 300)}, message{TypeExit, []byte{1}}),
		frames(f, message{TypeEvidence, make([]byte, MaxPayload+5)}),
		header(TypeClaim, flagMore, 0, MaxPayload),
		{},
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := plain(readWriter{bytes.NewReader(in), nil})
		var again bytes.Buffer
		w := plain(&again)
		for {
			typ, p, err := c.ReadMessage()
			if err != nil {
				break
			}
			if len(p) > maxControl {
				t.Fatalf("a message of %d bytes", len(p))
			}
			if err := w.WriteMessage(typ, p); err != nil {
				t.Fatal(err)
			}
		}
		if len(c.rbuf) > maxFrame {
			t.Fatalf("%d bytes are buffered", len(c.rbuf))
		}
		if !bytes.HasPrefix(in, again.Bytes()) {
			t.Fatal("what was read is not what would have been written")
		}
	})
}

func TestConcurrentWriters(t *testing.T) {
	c, k, _, _ := sessions(t)
	const writers, each = 8, 40
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for n := range each {
				p := bytes.Repeat([]byte{byte(i)}, 1+n*2500)
				if err := c.WriteMessage(Type(100+i), p); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	next := [writers]int{}
	for range writers * each {
		typ, p, err := k.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		i := int(typ) - 100
		if want := bytes.Repeat([]byte{byte(i)}, 1+next[i]*2500); !bytes.Equal(p, want) {
			t.Fatalf("writer %d, message %d: torn", i, next[i])
		}
		next[i]++
	}
	wg.Wait()
}

// After a write that failed half way nothing more is sent: what follows would
// be taken for the rest of the frame.
func TestBrokenWriteStaysBroken(t *testing.T) {
	c, k, _, rk := sessions(t)
	_ = c // never reads
	if err := k.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var first error
	for first == nil {
		first = k.WriteMessage(TypeStdout, make([]byte, 1<<20))
	}
	if !errors.Is(first, os.ErrDeadlineExceeded) {
		t.Errorf("err = %v, expected that the deadline has passed", first)
	}
	k.SetWriteDeadline(time.Time{})
	rk.reset()
	if err := k.WriteMessage(TypeExit, nil); err == nil {
		t.Error("a broken session took another message")
	}
	if len(rk.writes) > 0 {
		t.Errorf("a broken session wrote %v", rk.writes)
	}
}

// Close does not wait for a write that the peer does not take.
func TestCloseEndsAStuckWrite(t *testing.T) {
	_, k, _, _ := sessions(t)
	done := make(chan error, 1)
	go func() {
		for {
			if err := k.WriteMessage(TypeStdout, make([]byte, 1<<20)); err != nil {
				done <- err
				return
			}
		}
	}()
	time.Sleep(300 * time.Millisecond)
	begin := time.Now()
	k.Close()
	if err := <-done; err == nil {
		t.Error("the write was not ended")
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("closing took %v", d)
	}
}

// Only the peer's own goodbye is an end of file, wherever the host cuts.
func TestCutSessionIsNoGoodbye(t *testing.T) {
	read := func(end func(c *Conn, below net.Conn)) error {
		c, k, rc, _ := sessions(t)
		if err := c.WriteMessage(TypePing, nil); err != nil {
			t.Fatal(err)
		}
		if _, _, err := k.ReadMessage(); err != nil {
			t.Fatal(err)
		}
		end(c, rc.Conn)
		_, _, err := k.ReadMessage()
		return err
	}
	if err := read(func(c *Conn, _ net.Conn) { c.Close() }); !errors.Is(err, io.EOF) {
		t.Errorf("closed by the peer: %v, expected io.EOF", err)
	}
	for name, end := range map[string]func(*Conn, net.Conn){
		"between records": func(_ *Conn, below net.Conn) { below.Close() },
		"one direction":   func(_ *Conn, below net.Conn) { below.(*net.TCPConn).CloseWrite() },
		"in a record":     func(_ *Conn, below net.Conn) { below.Write([]byte{23, 3, 3, 1}); below.Close() },
		"reset":           func(_ *Conn, below net.Conn) { below.(*net.TCPConn).SetLinger(0); below.Close() },
	} {
		if err := read(end); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("cut %s: %v, expected an error other than io.EOF", name, err)
		}
	}
}

func TestExpect(t *testing.T) {
	ref, err := Encode(&Refused{Code: CodeBusy, Text: "later"})
	if err != nil {
		t.Fatal(err)
	}
	read := func(m message) ([]byte, error) {
		return plain(readWriter{bytes.NewReader(frames(t, m)), nil}).Expect(TypeClaimed)
	}
	if _, err := read(message{TypeClaimed, nil}); err != nil {
		t.Error(err)
	}
	var r *Refused
	if _, err := read(message{TypeRefused, ref}); !errors.As(err, &r) || r.Code != CodeBusy || r.Text != "later" {
		t.Errorf("err = %v, expected the refusal", err)
	}
	for _, m := range []message{{TypeRefused, []byte{1}}, {TypeExit, nil}} {
		if _, err := read(m); err == nil || errors.As(err, &r) {
			t.Errorf("type %d: %v, expected an error that is no refusal", m.t, err)
		}
	}
}

// A peer that drips holds a handshake, or a read with a deadline, no longer
// than the bound.
func TestDrippingPeersEnd(t *testing.T) {
	c, k, rc, _ := sessions(t)
	_ = c
	k.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				rc.Conn.Write([]byte{23}) // never a whole record
			}
		}
	}()
	if _, _, err := k.ReadMessage(); err == nil {
		t.Error("a dripped record was read")
	} else if ne := net.Error(nil); !errors.As(err, &ne) || !ne.Timeout() {
		t.Logf("ended with %v", err) // the bytes make no header of TLS
	}
	if s := fmt.Sprint(HandshakeTimeout); HandshakeTimeout > 30*time.Second {
		t.Errorf("a handshake may take %s", s)
	}
}
