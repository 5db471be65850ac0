// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/hostiletest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/workload"
)

// observed is a deployment with everything that its host saw.
type observed struct {
	k       *keeptest.Keep
	wire    *hostiletest.Wire
	host    *hostiletest.Host
	channel *hostiletest.Channel
	exit    *session.Exit
	code    loader.Exit // of the Keep's process
	err     error
	out     bytes.Buffer
	log     bytes.Buffer

	clientFlight, keepFlight int // records up to and with the evidence
}

// observe deploys j to a real Keep through a host that keeps a copy of
// everything.
func observe(t *testing.T, platform string, j job, change func(*client.Deployment)) *observed {
	t.Helper()
	o := &observed{host: &hostiletest.Host{}, channel: &hostiletest.Channel{}}
	o.k = keeptest.Start(t, keeptest.Config{Platform: platform, Handler: o.host.Wrap, Channel: o.channel.Wrap, NoCache: true})
	var tunnel = o.k.Tunnel(t)
	o.wire, tunnel = hostiletest.Tap(tunnel, nil)
	s := connect(t, tunnel)
	d := j.deployment(t)
	d.Stdout, d.Stderr = &o.out, &o.log
	if change != nil {
		change(&d)
	}
	if _, err := s.Appraise(o.k.Demand(t)); err != nil {
		t.Fatalf("appraise: %v; the keep said: %s", err, o.k.Stderr)
	}
	o.clientFlight, o.keepFlight = len(o.wire.Records(hostiletest.Client)), len(o.wire.Records(hostiletest.Keep))
	_, o.exit, o.err = s.Deploy(context.Background(), d, o.k.Demand(t))
	if o.err != nil {
		t.Fatalf("deploy: %v; the keep said: %s", o.err, o.k.Stderr)
	}
	s.Close()
	wantGone(t, o.k)
	if o.code, o.err = o.k.Wait(context.Background()); o.err != nil {
		t.Fatal(o.err)
	}
	o.wire.Wait()
	return o
}

func (o *observed) seen() hostiletest.Seen {
	return slices.Concat(hostiletest.Seen(o.wire.Bytes()), o.host.Seen(), o.channel.Seen(), hostiletest.Seen(o.k.Stderr.String()), o.k.Spooled())
}

func marked(code int, fill int) job {
	return job{
		module: "MODULE-4f1c9e", arg: "ARGUMENT-88ab02", env: "ENVIRON-17d3c5",
		file: "FILE-d00df1", secret: "SECRET-5ca1ab", stdin: "STDIN-0ddba1", code: code, fill: fill,
	}
}

// calls are a Keep's requests in an order of their own: a quote may overtake a
// lifecycle code.
func calls(o *observed) []string {
	c := o.host.Calls()
	slices.Sort(c)
	return c
}

// Workloads that differ in everything but their size classes, and in how they
// end, must look the same to the host from the first byte to the last, and what is planted in them
// must be nowhere in what the host saw.
func TestInvariant3HostSeesCiphertext(t *testing.T) {
	a := marked(0, 0)
	b := job{
		module: "other.. 9a7e", arg: "x", env: "y", file: strings.Repeat("z", 20), secret: "0", stdin: "......", code: 77, fill: 3,
	}
	c := a
	c.code = trap
	oa, ob, oc := observe(t, attest.PlatformSim, a, nil), observe(t, attest.PlatformSim, b, nil), observe(t, attest.PlatformSim, c, nil)
	if oc.exit.End != session.EndTrap || oc.exit.Trace == "" || oc.exit.Pad != nil {
		t.Fatalf("the workload ended with %+v, expected a trap with a trace", oc.exit)
	}
	for _, o := range []struct {
		*observed
		j job
	}{{oa, a}, {ob, b}} {
		if o.exit.End != session.EndExit || o.exit.Code != uint64(o.j.code) || o.out.String() != o.j.shown() {
			t.Fatalf("the workload ended with %+v and wrote %q, expected exit %d and %q", o.exit, o.out.String(), o.j.code, o.j.shown())
		}
		if o.log.Len() != 64 {
			t.Errorf("stderr has %d bytes, expected 64", o.log.Len())
		}
	}
	markers := append(a.markers(), a.shown()[:16], "main.wasm", "data/file.txt", "secrets/file", "FD_COUNT", "\x00asm")
	if found := oa.seen().Find(markers...); len(found) > 0 {
		t.Errorf("the host saw %q", found)
	}
	for _, o := range []*observed{ob, oc} {
		for _, side := range []hostiletest.Side{hostiletest.Client, hostiletest.Keep} {
			if x, y := oa.wire.Shape(side), o.wire.Shape(side); !slices.Equal(x, y) {
				t.Errorf("two workloads look different:\n%s\n%s", strings.Join(x, "\n"), strings.Join(y, "\n"))
			}
		}
		if x, y := calls(oa), calls(o); !slices.Equal(x, y) {
			t.Errorf("two Keeps asked their host for different things:\n%q\n%q", x, y)
		}
		if x, y := oa.host.Exits(), o.host.Exits(); len(x) != 1 || !slices.Equal(x, y) {
			t.Errorf("the host was told %v and %v about two ends", x, y)
		}
		if x, y := oa.code, o.code; x != y {
			t.Errorf("two Keeps ended as processes with %+v and %+v", x, y)
		}
	}
}

// The search itself must be able to find something: on prot "tcp" and in a
// sallyport's dial request the host does see what the docs say it sees.
func TestInvariant3HostSeesCiphertext_TheSearchFinds(t *testing.T) {
	s := hostiletest.Seen("..PLAIN-MARKER.. 4845582d4d41524b4552 ..QkFTRTY0LU1BUktFUg== /0JBU0U2NC1NQVJLRVI=")
	if got := s.Find("PLAIN-MARKER", "HEX-MARKER", "BASE64-MARKER", "ABSENT-MARKER"); len(got) != 3 {
		t.Errorf("found %q, expected three of four", got)
	}
}

// frameRecords are the sizes that TLS records of the attached channel may have
// once the evidence is out: a frame class in records of at most 16 KiB, and 17
// bytes of TLS on each (content type and tag); 19 is a close_notify.
var frameRecords = []int{256 + 17, 1<<10 + 17, 4<<10 + 17, 16<<10 + 17, 2 + 17}

// Sizes fall into a few classes whatever the workload writes, and the bundle
// shows as its Padmé size.
func TestInvariant3HostSeesCiphertext_SizesFallIntoClasses(t *testing.T) {
	var streams []string
	for _, c := range []struct{ fill, stdin int }{{100, 1}, {100_000, 300}, {100_001, 299}, {700_000, 70_000}} {
		j := job{module: "m", fill: c.fill, stdin: strings.Repeat("s", c.stdin)}
		o := observe(t, attest.PlatformSim, j, nil)
		var sent, data int
		for _, side := range []hostiletest.Side{hostiletest.Client, hostiletest.Keep} {
			skip := o.clientFlight
			if side == hostiletest.Keep {
				skip = o.keepFlight
			}
			for i, r := range o.wire.Records(side)[skip:] {
				if r.Cut {
					continue // the end of the tunnel struck inside a goodbye
				}
				if r.Type != hostiletest.RecordData || !slices.Contains(frameRecords, len(r.Bytes)-5) {
					t.Errorf("record %d of the %v after the verdict has type %d and %d bytes, expected application data of one of %v",
						i, side, r.Type, len(r.Bytes)-5, frameRecords)
				}
			}
		}
		rs := o.wire.Records(hostiletest.Client)[o.clientFlight:]
		// claim (4 KiB), header, data…, run, stdin…, end of stdin, close_notify
		for _, r := range rs[2:] {
			if len(r.Bytes)-5 == 256+17 {
				break // run
			}
			sent += len(r.Bytes) - 5 - 17
			data++
		}
		size := len(j.deployment(t).Bundle)
		want := 0
		for left := int(workload.PadmeSize(uint64(size))); left > 0; left -= session.MaxPayload {
			want += classSize(min(left, session.MaxPayload))
		}
		if sent != want {
			t.Errorf("a bundle of %d bytes travelled as %d bytes in %d records, expected %d for its Padmé size", size, sent, data, want)
		}
		streams = append(streams, strings.Join(o.wire.Shape(hostiletest.Client), "\n"))
	}
	if streams[1] != streams[2] {
		t.Errorf("two bundles of one Padmé size look different:\n%s\n\n%s", streams[1], streams[2])
	}
	if streams[1] == streams[3] {
		t.Error("a bundle seven times as large looks the same: this test measures nothing")
	}
}

// classSize is the frame that n bytes of payload travel in.
func classSize(n int) int {
	for _, c := range []int{256, 1 << 10, 4 << 10, 16 << 10} {
		if n+8 <= c {
			return c
		}
	}
	return 64 << 10
}

// A detached workload leaves a sealed record: one of a few sizes, whatever it
// wrote and however it ended.
func TestInvariant3HostSeesCiphertext_DetachedRecord(t *testing.T) {
	sizes := map[int]bool{}
	for _, j := range []job{{module: "quiet"}, marked(77, 0), marked(trap, 0)} {
		o := observe(t, attest.PlatformSim, j, func(d *client.Deployment) { d.Run.Detached, d.Stdin, d.Evidence = true, nil, true })
		sealed := o.k.Spooled()
		if len(sealed) == 0 {
			t.Fatal("there is no record")
		}
		sizes[len(sealed)] = true
		if found := o.seen().Find(j.markers()...); len(found) > 0 {
			t.Errorf("the host saw %q", found)
		}
	}
	if len(sizes) != 1 {
		t.Errorf("three short records have sizes %v, expected one size", sizes)
	}
}

// What a host sees up to the verdict must not depend on the workload: here the
// client refuses a Keep that is no good, twice, on its way to deploy two
// workloads that differ in everything a host could look for.
func TestInvariant2NothingLeavesBeforeAppraisal(t *testing.T) {
	jobs := []job{
		{module: "tiny"},
		{module: strings.Repeat("LARGE", 100), arg: "ARGUMENT", env: "ENV", file: strings.Repeat("FILE", 1000), secret: "SECRET", stdin: "STDIN", code: 200, fill: 900_000},
	}
	attacks := map[string]func(t *testing.T) (*keeptest.Keep, *hostiletest.Host, client.Demand){
		"GenuineKeepIsRefusedByPolicy": func(t *testing.T) (*keeptest.Keep, *hostiletest.Host, client.Demand) {
			h := &hostiletest.Host{}
			k := keeptest.Start(t, keeptest.Config{Handler: h.Wrap})
			d := k.Demand(t)
			d.Measurements = nil
			return k, h, d
		},
		"ProcessWhereSimWasAsked": func(t *testing.T) (*keeptest.Keep, *hostiletest.Host, client.Demand) {
			h := &hostiletest.Host{}
			k := keeptest.Start(t, keeptest.Config{Platform: attest.PlatformProcess, Handler: h.Wrap})
			d := k.Demand(t)
			d.Platform, d.InsecureNoTEE = attest.PlatformSim, false
			return k, h, d
		},
		"GarbageQuote": func(t *testing.T) (*keeptest.Keep, *hostiletest.Host, client.Demand) {
			h := &hostiletest.Host{OnQuote: func(context.Context, [64]byte) ([]byte, error) { return make([]byte, 1184), nil }}
			k := keeptest.Start(t, keeptest.Config{Handler: h.Wrap})
			return k, h, k.Demand(t)
		},
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			var shapes [2][]string
			for i, j := range jobs {
				k, h, want := attack(t)
				wire, tunnel := hostiletest.Tap(k.Tunnel(t), nil)
				s := connect(t, tunnel)
				d := j.deployment(t)
				if _, err := s.Appraise(want); err == nil {
					t.Fatal("the keep was accepted")
				}
				before := wire.Sent(hostiletest.Client)
				if _, _, err := s.Deploy(context.Background(), d, want); err == nil {
					t.Fatal("a refused keep was deployed to")
				}
				if after := wire.Sent(hostiletest.Client); after != before {
					t.Errorf("%d bytes left the client after the refusal", after-before)
				}
				s.Close()
				wire.Wait()
				shapes[i] = slices.Concat(wire.Shape(hostiletest.Client), wire.Shape(hostiletest.Keep), beforeEnd(h.Calls()))
				if found := append(hostiletest.Seen(wire.Bytes()), h.Seen()...).Find(j.markers()...); len(found) > 0 {
					t.Errorf("the host saw %q", found)
				}
			}
			if !slices.Equal(shapes[0], shapes[1]) {
				t.Errorf("what the host saw depends on the workload:\n%s\n\n%s", strings.Join(shapes[0], "\n"), strings.Join(shapes[1], "\n"))
			}
		})
	}
}

// beforeEnd leaves out what a Keep says about sessions, which comes a moment
// earlier or later than the test looks.
func beforeEnd(calls []string) []string {
	return slices.DeleteFunc(calls, func(c string) bool { return c == "log session-open" })
}
