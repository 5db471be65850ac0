// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/client"
)

// healthTimes asks for the agent's health n times and gives the sorted times.
func healthTimes(t testing.TB, c *client.Client, n int) []time.Duration {
	t.Helper()
	times := make([]time.Duration, n)
	for i := range times {
		begin := time.Now()
		if _, err := c.Health(t.Context()); err != nil {
			t.Fatal(err)
		}
		times[i] = time.Since(begin)
	}
	slices.Sort(times)
	return times
}

// BenchmarkHealthUnderTunnels reports the p99 of /v1/health while 1,000
// tunnels are open and 50 of them carry as much as they can.
func BenchmarkHealthUnderTunnels(b *testing.B) {
	r := serve(b, testConfig(b, &fakeLoader{}))
	c := r.client(client.Options{})
	k := r.create(c)
	conns := make([]net.Conn, 1000)
	for i := range conns {
		conn, err := c.Attach(b.Context(), k.ID, k.Capability)
		if err != nil {
			b.Fatal(err)
		}
		conns[i] = conn
	}
	var wg sync.WaitGroup
	for _, conn := range conns[:50] {
		wg.Go(func() { io.Copy(io.Discard, conn) })
		wg.Go(func() {
			buf := make([]byte, 16<<10)
			for {
				if _, err := conn.Write(buf); err != nil {
					return
				}
			}
		})
	}
	b.ResetTimer()
	times := healthTimes(b, c, max(b.N, 200))
	b.StopTimer()
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
	for _, conn := range conns {
		conn.Close()
	}
	wg.Wait()
}

// BenchmarkTunnel measures one tunnel there and back, in MiB of each.
func BenchmarkTunnel(b *testing.B) {
	r := serve(b, testConfig(b, &fakeLoader{}))
	c := r.client(client.Options{})
	k := r.create(c)
	conn, err := c.Attach(b.Context(), k.ID, k.Capability)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 1<<20)
	b.SetBytes(int64(len(buf)))
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.CopyN(io.Discard, conn, int64(b.N)*int64(len(buf)))
	}()
	for range b.N {
		if _, err := conn.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	<-done
}
