// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// lines makes both ends of each kind of channel reusable.
func lines(hc, kc io.ReadWriteCloser) (*Line, *Line) {
	h, _ := lineOf(hc)
	k, _ := lineOf(kc)
	return h, k
}

func TestPreambleRoundTripAndTamper(t *testing.T) {
	p := preamble{preambleVersion, roleKeep, stepGo, nonce{1, 2, 15: 3}, nonce{4, 15: 5}}
	b := p.encode()
	if got, ok := parsePreamble(b); !ok || got != p || len(b) != preambleSize {
		t.Fatalf("round trip gives %+v, %v", got, ok)
	}
	for i := range b {
		for bit := range 8 {
			c := bytes.Clone(b)
			c[i] ^= 1 << bit
			if _, ok := parsePreamble(c); ok {
				t.Fatalf("byte %d bit %d changed and it is still taken", i, bit)
			}
		}
	}
	// Found in noise, also where the noise begins like a preamble.
	for cut := range preambleSize {
		var s scanner
		found := 0
		for _, c := range append(bytes.Clone(b[:cut]), b...) {
			if got, ok := s.push(c); ok && got == p {
				found++
			}
		}
		if found != 1 {
			t.Fatalf("after %d bytes of a broken one it is found %d times", cut, found)
		}
	}
}

func TestStalePreamblesAreNotBelieved(t *testing.T) {
	for _, step := range []step{stepHello, stepGo} {
		hc, kc := socketPair(t)
		ctx, cancel := context.WithTimeout(context.Background(), 400*time.Millisecond)
		defer cancel()
		// A recording of an earlier life, played again and again.
		go func() {
			for ctx.Err() == nil {
				if _, err := kc.Write((preamble{preambleVersion, roleKeep, step, nonce{1}, nonce{2}}).encode()); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
		if _, err := ConnectHost(ctx, hc, &testHandler{}, HostOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("step %d: %v, expected the deadline", step, err)
		}
	}
}

func TestPreambleFailures(t *testing.T) {
	short := func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	t.Run("silence", func(t *testing.T) {
		hc, _ := socketPair(t)
		_, err := ConnectHost(short(t), hc, &testHandler{}, HostOptions{})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "has not answered") {
			t.Fatal(err)
		}
	})
	t.Run("own echo", func(t *testing.T) {
		hc, kc := socketPair(t)
		go func() { _, _ = io.Copy(kc, kc) }()
		if _, err := ConnectHost(short(t), hc, &testHandler{}, HostOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
	t.Run("peer gone", func(t *testing.T) {
		hc, kc := socketPair(t)
		kc.Close()
		if _, err := ConnectHost(short(t), hc, &testHandler{}, HostOptions{}); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
	t.Run("other version", func(t *testing.T) {
		hc, kc := socketPair(t)
		_, err := kc.Write((preamble{9, roleKeep, stepHello, nonce{1}, nonce{}}).encode())
		must(t, err)
		_, err = ConnectHost(short(t), hc, &testHandler{}, HostOptions{})
		if err == nil || !strings.Contains(err.Error(), "version 9") {
			t.Fatal(err)
		}
	})
	t.Run("endless garbage", func(t *testing.T) {
		hc, kc := socketPair(t)
		go func() { _, _ = io.Copy(struct{ io.Writer }{kc}, neverEnding{}) }()
		_, err := ConnectHost(testContext(t), hc, &testHandler{}, HostOptions{})
		if err == nil || !strings.Contains(err.Error(), "8388608 bytes") {
			t.Fatal(err)
		}
	})
}

// reconnect connects both ends again, whichever of them has noticed.
func reconnect(t *testing.T, hl, kl *Line) {
	t.Helper()
	host, keep := connectPair(t, hl, kl, &testHandler{}, HostOptions{})
	must(t, host.Start(testContext(t), pushConfig))
	a, b := attach(t, host, keep)
	_, err := a.Write([]byte("again"))
	must(t, err)
	must(t, a.Close())
	got, err := io.ReadAll(b)
	if err != nil || string(got) != "again" {
		t.Fatalf("after reconnecting: %q, %v", got, err)
	}
	must(t, b.Close())
	must(t, host.Close())
	must(t, keep.Close())
}

func TestGarbageInMidStreamThenResync(t *testing.T) {
	onChannels(t, func(t *testing.T, hc, kc io.ReadWriteCloser) {
		hl, kl := lines(hc, kc)
		host, keep := startedPair(t, hl, kl, &testHandler{})
		a, b := attach(t, host, keep)
		must(t, hl.write([]byte("garbage"), hl.closed))
		<-keep.Done()
		if !errors.Is(keep.Err(), ErrGarbage) {
			t.Fatalf("the Keep's session ended with %v", keep.Err())
		}
		if _, err := b.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Fatalf("its streams ended with %v", err)
		}
		// The host has not noticed. The Keep's new preamble tells it.
		go func() {
			<-host.Done()
			_, _ = a.Read(make([]byte, 1))
		}()
		ctx := testContext(t)
		type res struct {
			k   *Keep
			err error
		}
		again := make(chan res, 1)
		go func() {
			k, err := ConnectKeep(ctx, kl)
			again <- res{k, err}
		}()
		select {
		case <-host.Done():
		case <-ctx.Done():
			t.Fatal("the host never noticed")
		}
		if !errors.Is(host.Err(), ErrGarbage) {
			t.Fatalf("the host's session ended with %v", host.Err())
		}
		host, err := ConnectHost(ctx, hl, &testHandler{}, HostOptions{})
		must(t, err)
		r := <-again
		must(t, r.err)
		// The host may repeat the start configuration and not change it.
		other := pushConfig
		other.MaxSessions++
		wantCode(t, host.Start(ctx, other), CodeAlready)
		host.started.Store(false)
		must(t, host.Start(ctx, pushConfig))
		must(t, host.Close())
		must(t, r.k.Close())
		for range 3 {
			reconnect(t, hl, kl)
		}
	})
}

// An end that dies in the middle of a frame leaves the other waiting for its
// rest; the filler gets it out of there.
func TestPeerThatDiedInMidFrameIsFoundAgain(t *testing.T) {
	onChannels(t, func(t *testing.T, hc, kc io.ReadWriteCloser) {
		hl, kl := lines(hc, kc)
		ctx := testContext(t)
		go func() {
			k, err := ConnectKeep(ctx, kl)
			for err == nil {
				<-k.Done()
				k, err = ConnectKeep(ctx, kl)
			}
		}()
		killed, err := shakeRaw(ctx, hl, roleHost)
		must(t, err)
		// The header of a frame, which promises the most, and nothing of it.
		_, err = killed.Write([]byte{0, muxData, 0, 0, 0, 0, 0, 99, 0, 1, 0, 0})
		must(t, err)
		hl.detach()
		host, err := ConnectHost(ctx, hl, &testHandler{}, HostOptions{})
		must(t, err)
		must(t, host.Start(ctx, pushConfig))
		must(t, host.Close())
		must(t, hl.Close())
		must(t, kl.Close())
	})
}
