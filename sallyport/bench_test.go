// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"io"
	"testing"
)

// The raw socket pair is the yardstick: what the channel could do with nothing
// on it.

func benchRoundTrip(b *testing.B, near, far io.ReadWriter) {
	go func() { _, _ = io.CopyBuffer(struct{ io.Writer }{far}, struct{ io.Reader }{far}, make([]byte, 64)) }()
	buf := make([]byte, 64)
	b.ResetTimer()
	for range b.N {
		if _, err := near.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(near, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func benchOneWay(b *testing.B, near, far io.ReadWriter, size int) {
	done := make(chan error, 1)
	total := int64(b.N) * int64(size)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(far, total), make([]byte, 64<<10))
		done <- err
	}()
	buf := make([]byte, size)
	b.SetBytes(int64(size))
	b.ResetTimer()
	for range b.N {
		if _, err := near.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

func BenchmarkRoundTrip64(b *testing.B) {
	b.Run("socketpair", func(b *testing.B) {
		h, k := socketPair(b)
		benchRoundTrip(b, h, k)
	})
	b.Run("sallyport", func(b *testing.B) {
		h, k := socketPair(b)
		host, keep := startedPair(b, h, k, &testHandler{})
		near, far := attach(b, host, keep)
		benchRoundTrip(b, near, far)
	})
}

func BenchmarkOneWay(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"16KiB", 16 << 10}, {"64KiB", 64 << 10}} {
		b.Run("socketpair/"+size.name, func(b *testing.B) {
			h, k := socketPair(b)
			benchOneWay(b, k, h, size.n)
		})
		b.Run("sallyport/"+size.name, func(b *testing.B) {
			h, k := socketPair(b)
			host, keep := startedPair(b, h, k, &testHandler{})
			near, far := attach(b, host, keep)
			benchOneWay(b, far, near, size.n)
		})
	}
}

// BenchmarkConnect is the preamble, the mux and the start configuration.
func BenchmarkConnect(b *testing.B) {
	for range b.N {
		h, k := socketPair(b)
		host, keep := startedPair(b, h, k, &testHandler{})
		host.Close()
		keep.Close()
	}
}

// BenchmarkAttach is one tunnel, opened and closed.
func BenchmarkAttach(b *testing.B) {
	h, k := socketPair(b)
	host, keep := startedPair(b, h, k, &testHandler{})
	for range b.N {
		x, y := attach(b, host, keep)
		x.Close()
		y.Close()
	}
}
