// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/workload"
)

// Whoever carries the bytes can end the stream below TLS wherever it likes. To
// the workload that is a reset; only the peer's own close_notify is an end.
func TestTruncatedTLSStreamIsAReset(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(t *testing.T, peer *tls.Conn, raw *net.TCPConn)
		want error
	}{
		{"close_notify", func(t *testing.T, peer *tls.Conn, _ *net.TCPConn) { peer.CloseWrite() }, io.EOF},
		{"close_notify and end", func(t *testing.T, peer *tls.Conn, _ *net.TCPConn) { peer.Close() }, io.EOF},
		{"cut between records", func(t *testing.T, _ *tls.Conn, raw *net.TCPConn) { raw.Close() }, unix.ECONNRESET},
		{"cut in one direction", func(t *testing.T, _ *tls.Conn, raw *net.TCPConn) { raw.CloseWrite() }, unix.ECONNRESET},
		{"cut in a record", func(t *testing.T, _ *tls.Conn, raw *net.TCPConn) {
			raw.Write([]byte{23, 3, 3, 0, 100, 1, 2, 3})
			raw.Close()
		}, unix.ECONNRESET},
		{"reset", func(t *testing.T, _ *tls.Conn, raw *net.TCPConn) { raw.SetLinger(0); raw.Close() }, unix.ECONNRESET},
		{"garbage", func(t *testing.T, _ *tls.Conn, raw *net.TCPConn) {
			raw.Write(bytes.Repeat([]byte{23, 3, 3, 0, 50}, 20))
		}, unix.ECONNRESET},
	} {
		t.Run(c.name, func(t *testing.T) {
			pairs(t, workload.ProtTLS, func(t *testing.T, g guest, peer net.Conn, raw *net.TCPConn) {
				mustWrite(t, peer, "all there is")
				wantRead(t, g, "all there is")
				c.end(t, peer.(*tls.Conn), raw)
				wantEnd(t, g, c.want)
				wantEnd(t, g, c.want)
			})
		})
	}
}

// The same while the workload writes: both directions of the connection find
// the cut at once, and the one that writes must not turn it into an end.
func TestTruncationShowsToAWorkloadThatWrites(t *testing.T) {
	s := testSet(t, nil)
	l, at := listen(t, s, workload.ProtTLS)
	block := make([]byte, 64<<10)
	for range 40 {
		_, raw := dial(t, at, workload.ProtTLS)
		g := accept(t, l)
		g.Write([]byte("x"))
		raw.SetLinger(0)
		go raw.Close()
		for {
			if _, err := g.Write(block); err != nil {
				break
			}
		}
		wantEnd(t, g, unix.ECONNRESET)
		g.Close()
	}
}

func TestPlainStreamEndsAndResets(t *testing.T) {
	pairs(t, workload.ProtTCP, func(t *testing.T, g guest, peer net.Conn, raw *net.TCPConn) {
		mustWrite(t, peer, "x")
		wantRead(t, g, "x")
		raw.CloseWrite()
		wantEnd(t, g, io.EOF)
		mustWrite(t, g, "answer after the peer's end")
		wantRead(t, peer, "answer after the peer's end")
	})
	pairs(t, workload.ProtTCP, func(t *testing.T, g guest, peer net.Conn, raw *net.TCPConn) {
		raw.SetLinger(0)
		raw.Close()
		wantEnd(t, g, unix.ECONNRESET)
	})
}

func TestHalfClose(t *testing.T) {
	for _, prot := range []workload.Prot{workload.ProtTLS, workload.ProtTCP} {
		t.Run(string(prot), func(t *testing.T) {
			pairs(t, prot, func(t *testing.T, g guest, peer net.Conn, _ *net.TCPConn) {
				mustWrite(t, g, "question")
				g.Shutdown(false, true)
				wantRead(t, peer, "question")
				wantEnd(t, peer, io.EOF)
				// Longer than some pauses between checks for a hang-up.
				time.Sleep(100 * time.Millisecond)
				mustWrite(t, peer, "answer")
				wantRead(t, g, "answer")
				peer.(interface{ CloseWrite() error }).CloseWrite()
				wantEnd(t, g, io.EOF)
			})
			pairs(t, prot, func(t *testing.T, g guest, peer net.Conn, _ *net.TCPConn) {
				peer.(interface{ CloseWrite() error }).CloseWrite()
				wantEnd(t, g, io.EOF)
				mustWrite(t, g, "late")
				g.Close()
				wantRead(t, peer, "late")
				wantEnd(t, peer, io.EOF)
			})
		})
	}
}

// Writing to a peer that has gone is EPIPE, after what was on its way.
func TestWriteToAPeerThatIsGone(t *testing.T) {
	pairs(t, workload.ProtTLS, func(t *testing.T, g guest, peer net.Conn, raw *net.TCPConn) {
		peer.Close()
		for {
			if _, err := g.Write(make([]byte, 4096)); err != nil {
				if !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("err = %v, expected EPIPE or ECONNRESET", err)
				}
				return
			}
		}
	})
}

// A workload that closes with input unread has still sent what it wrote.
func TestCloseWithUnreadInput(t *testing.T) {
	pairs(t, workload.ProtTLS, func(t *testing.T, g guest, peer net.Conn, _ *net.TCPConn) {
		mustWrite(t, peer, "never read")
		g.wait(unix.POLLIN)
		mustWrite(t, g, "answer")
		g.Close()
		wantRead(t, peer, "answer")
		wantEnd(t, peer, io.EOF)
	})
}

// When the workload ends, what it wrote leaves; a peer that does not take it
// holds nothing up for long and can see that something is missing.
func TestLinger(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
	t.Run("taken", func(t *testing.T) {
		s := testSet(t, func(l *limits) { l.linger = 20 * time.Second })
		g, peer, _ := connect(t, s, workload.ProtTLS)
		got := make(chan []byte, 1)
		go func() { b, _ := io.ReadAll(peer); peer.Close(); got <- b }()
		mustWrite(t, g, string(data))
		g.Close()
		s.Close()
		if b := <-got; !bytes.Equal(b, data) {
			t.Errorf("%d bytes arrived, %d were written", len(b), len(data))
		}
	})
	t.Run("not taken", func(t *testing.T) {
		s := testSet(t, func(l *limits) { l.linger = 200 * time.Millisecond })
		l, at := listen(t, s, workload.ProtTLS)
		raw, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		w := &wire{Conn: raw}
		peer := tls.Client(w, &tls.Config{InsecureSkipVerify: true})
		if err := peer.Handshake(); err != nil {
			t.Fatal(err)
		}
		g := accept(t, l)
		for stop := time.Now().Add(300 * time.Millisecond); time.Now().Before(stop); {
			if _, err := g.Stream.Write(data); err != nil {
				time.Sleep(10 * time.Millisecond)
			}
		}
		g.Close()
		begin := time.Now()
		s.Close()
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("closing took %v", d)
		}
		raw.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, peer); err == nil && !w.ended.Load() {
			t.Error("the peer got a close_notify, though bytes are missing")
		}
	})
}

// A peer cannot hold a connection that the workload has closed.
func TestClosedConnectionIsGivenBack(t *testing.T) {
	for _, prot := range []workload.Prot{workload.ProtTLS, workload.ProtTCP} {
		s := testSet(t, func(l *limits) { l.linger = 100 * time.Millisecond })
		g, _, _ := connect(t, s, prot)
		half, _, _ := connect(t, s, prot)
		half.Shutdown(false, true)
		g.Close()
		until(t, "the closed connection is given back", func() bool { return len(s.conns) == 1 })
		half.Close()
		until(t, "the half-closed connection is given back", func() bool { return len(s.conns) == 0 })
	}
}
