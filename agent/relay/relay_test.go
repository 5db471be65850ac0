// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/enarx/enarx-go/sallyport"
)

func pattern(t testing.TB, s string) Pattern {
	t.Helper()
	p, err := ParsePattern(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// server accepts on a loopback address, greets and closes.
func server(t testing.TB, addr string) sallyport.Endpoint {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "reached")
			c.Close()
		}
	}()
	a := ln.Addr().(*net.TCPAddr)
	return sallyport.Endpoint{Host: a.IP.String(), Port: uint16(a.Port)}
}

func refused(t testing.TB, err error, code sallyport.Code) {
	t.Helper()
	var ref *Refusal
	if !errors.As(err, &ref) {
		t.Fatalf("got %v, want a refusal", err)
	}
	var re *sallyport.RemoteError
	if !errors.As(err, &re) || re.Code != code {
		t.Fatalf("the Keep is told %v, want %s", re, code)
	}
}

// TestDialPolicyDefault is the table of what the zero policy bans, in every
// spelling of it that a resolver or a Keep could use.
func TestDialPolicyDefault(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	for addr, ok := range map[string]bool{
		"198.51.100.7": true, "2001:db8::7": true, "10.1.2.3": true, "fd00::1": true,
		"127.0.0.1": false, "127.255.255.254": false, "::1": false,
		"::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "::127.0.0.1": false,
		"169.254.169.254": false, "169.254.0.1": false, "fe80::1": false, "fe80::1%eth0": false, "febf::1": false, "fec0::1": false,
		"0.0.0.0": false, "0.1.2.3": false, "::": false, "::ffff:0.0.0.0": false,
		"224.0.0.1": false, "239.1.1.1": false, "ff02::1": false, "255.255.255.255": false,
		"64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b::c000:201": false, "64:ff9b::c633:6407": true,
		"2002:7f00:1::": false, "2002:a9fe:a9fe::1": false, "2002:c633:6407::1": true,
		"fd00:ec2::254": false, "fd20:ce::254": false, "100.100.100.200": false,
		"192.0.2.1": false, "::ffff:192.0.2.1": false, "2001:db8::1": false, "192.0.2.2": true,
	} {
		var p DialPolicy
		err := p.checkAddr(netip.MustParseAddr(addr), 443, true, own)
		if (err == nil) != ok {
			t.Errorf("%s: %v, want allowed: %v", addr, err, ok)
		}
		if err != nil {
			refused(t, err, sallyport.CodePolicy)
		}
		// A local run may reach the host itself and nothing else more.
		local := DialPolicy{AllowHost: true}
		host := strings.Contains(addr, "127.") || strings.Contains(addr, "7f00:1") || addr == "::1" || strings.Contains(addr, "192.0.2.1") || addr == "2001:db8::1" || strings.Contains(addr, "c000:201")
		if err := local.checkAddr(netip.MustParseAddr(addr), 443, true, own); (err == nil) != (ok || host) {
			t.Errorf("local run: %s: %v", addr, err)
		}
	}
}

func TestDialPolicyList(t *testing.T) {
	list := DialPolicy{Allow: []Pattern{
		pattern(t, "db.example.com:5432"), pattern(t, "*.example.org:443"), pattern(t, "10.0.0.0/8:8000-8099"),
		pattern(t, "127.0.0.1:9"), pattern(t, "[2001:db8::]/32:*"), pattern(t, "[::1]:7"),
	}}
	for _, test := range []struct {
		host     string
		port     uint16
		addr     string
		ok       bool
		wantSeen string
	}{
		{"db.example.com", 5432, "198.51.100.1", true, ""},
		{"DB.Example.COM.", 5432, "198.51.100.1", true, ""},
		{"db.example.com", 5433, "198.51.100.1", false, "allow list"},
		{"xdb.example.com", 5432, "198.51.100.1", false, "allow list"},
		{"a.example.org", 443, "198.51.100.1", true, ""},
		{"a.b.example.org", 443, "198.51.100.1", true, ""},
		{"example.org", 443, "198.51.100.1", false, "allow list"},
		{"evilexample.org", 443, "198.51.100.1", false, "allow list"},
		{"a.example.org.evil.net", 443, "198.51.100.1", false, "allow list"},
		// A listed name does not open the host.
		{"db.example.com", 5432, "127.0.0.1", false, "loopback"},
		{"a.example.org", 443, "169.254.169.254", false, "link-local"},
		// A number does, for that number and port.
		{"127.0.0.1", 9, "127.0.0.1", true, ""},
		{"127.0.0.1", 10, "127.0.0.1", false, "allow list"},
		{"whatever.test", 9, "127.0.0.1", true, ""},
		{"whatever.test", 9, "127.0.0.2", false, "allow list"},
		{"::1", 7, "::1", true, ""},
		{"10.9.9.9", 8080, "10.9.9.9", true, ""},
		{"10.9.9.9", 80, "10.9.9.9", false, "allow list"},
		{"internal.test", 8099, "10.9.9.9", true, ""},
		{"2001:db8::5", 1, "2001:db8::5", true, ""},
		{"2001:db9::5", 1, "2001:db9::5", false, "allow list"},
	} {
		listed, err := list.checkTarget(test.host, test.port)
		if err == nil {
			err = list.checkAddr(netip.MustParseAddr(test.addr), test.port, listed, nil)
		}
		if (err == nil) != test.ok || err != nil && !strings.Contains(err.Error(), test.wantSeen) {
			t.Errorf("%s:%d at %s: %v, want allowed: %v", test.host, test.port, test.addr, err, test.ok)
		}
	}
}

func TestDialRefusesOddTargets(t *testing.T) {
	r := New(Config{Dial: DialPolicy{AllowHost: true}})
	for _, to := range []sallyport.Endpoint{
		{Host: "", Port: 80}, {Host: "localhost", Port: 0}, {Host: "a b", Port: 80}, {Host: "a\x00b", Port: 80}, {Host: "a/b", Port: 80},
		{Host: strings.Repeat("a", 300), Port: 80}, {Host: "host\nname", Port: 80}, {Host: "[::1]", Port: 80}, {Host: "a:80", Port: 80},
	} {
		_, err := r.Dial(t.Context(), to, sallyport.DialWorkload)
		refused(t, err, sallyport.CodePolicy)
		if strings.ContainsAny(err.Error(), "\n\x00") || len(err.Error()) > 700 {
			t.Errorf("the error repeats hostile words: %q", err)
		}
	}
	_, err := r.Dial(t.Context(), sallyport.Endpoint{Host: "localhost", Port: 80}, 9)
	refused(t, err, sallyport.CodePolicy)
	_, err = New(Config{Dial: DialPolicy{Deny: true}}).Dial(t.Context(), sallyport.Endpoint{Host: "localhost", Port: 80}, sallyport.DialWorkload)
	refused(t, err, sallyport.CodePolicy)
}

// The Keep's own dials are apart from the workload's.
func TestDialPurposesAreApart(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	_, err := New(Config{Dial: DialPolicy{AllowHost: true}}).Dial(t.Context(), to, sallyport.DialKeep)
	refused(t, err, sallyport.CodePolicy)
	own := New(Config{Dial: DialPolicy{Deny: true}, KeepDial: &DialPolicy{AllowHost: true}})
	if _, err := own.Dial(t.Context(), to, sallyport.DialKeep); err != nil {
		t.Fatal(err)
	}
	_, err = own.Dial(t.Context(), to, sallyport.DialWorkload)
	refused(t, err, sallyport.CodePolicy)
}

func TestDial(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	for _, host := range []string{"127.0.0.1", "localhost"} {
		// The agent's policy.
		_, err := New(Config{}).Dial(t.Context(), sallyport.Endpoint{Host: host, Port: to.Port}, sallyport.DialWorkload)
		refused(t, err, sallyport.CodePolicy)
		// A local run's.
		r := New(Config{Dial: DialPolicy{AllowHost: true}})
		c, err := r.Dial(t.Context(), sallyport.Endpoint{Host: host, Port: to.Port}, sallyport.DialWorkload)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); err != nil || string(b) != "reached" || r.Conns() != 1 {
			t.Fatalf("%q, %v, %d connections", b, err, r.Conns())
		}
		c.Close()
		c.Close()
		if r.Conns() != 0 {
			t.Fatal("a closed connection is counted")
		}
	}
	// Errors of the network keep their kind, so that the Keep can tell its
	// workload.
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	_, err := New(Config{Dial: DialPolicy{AllowHost: true}}).Dial(t.Context(), sallyport.Endpoint{Host: "127.0.0.1", Port: uint16(port)}, sallyport.DialWorkload)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("a closed port: %v", err)
	}
}

// An address of the host that no interface shows is still the host: the
// kernel gives the connection the same address at both ends.
func TestDialSeesTheHostBehindARoute(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	c, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var p DialPolicy
	refused(t, p.checkOwn(c, to.Port), sallyport.CodePolicy)
	if err := (&DialPolicy{AllowHost: true}).checkOwn(c, to.Port); err != nil {
		t.Fatal(err)
	}
	listed := DialPolicy{Allow: []Pattern{pattern(t, "127.0.0.1:*")}}
	if err := listed.checkOwn(c, to.Port); err != nil {
		t.Fatal(err)
	}
}

// TestDialSurvivesRebinding: a name server that answers a good address first
// and the host's own next gains nothing, because the address is checked where
// it is used.
func TestDialSurvivesRebinding(t *testing.T) {
	target := server(t, "127.0.0.1:0")
	var asked atomic.Int32
	ns := nameServer(t, func() netip.Addr {
		if asked.Add(1) == 1 {
			return netip.MustParseAddr("198.51.100.1")
		}
		return netip.MustParseAddr("127.0.0.1")
	})
	r := New(Config{
		Dial: DialPolicy{Allow: []Pattern{pattern(t, "rebind.test:*")}},
		Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "udp", ns)
		}},
	})
	for i := range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		c, err := r.Dial(ctx, sallyport.Endpoint{Host: "rebind.test", Port: target.Port}, sallyport.DialWorkload)
		cancel()
		if err == nil {
			c.Close()
			t.Fatalf("dial %d reached %s", i, c.RemoteAddr())
		}
		if asked.Load() > 1 {
			refused(t, err, sallyport.CodePolicy)
			return
		}
	}
	t.Fatal("the name server was not asked again")
}

// nameServer answers every A question with what answer gives, and every other
// question with nothing (RFC 1035, section 4).
func nameServer(t testing.TB, answer func() netip.Addr) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			end := 12
			for end < n && buf[end] != 0 {
				end += int(buf[end]) + 1
			}
			end += 5
			if end > n {
				continue
			}
			reply := append([]byte{}, buf[:end]...)
			reply[2], reply[3] = 0x84, 0 // response, authoritative, no error
			copy(reply[6:12], []byte{0, 0, 0, 0, 0, 0})
			if reply[end-3] == 1 { // type A
				ip := answer().As4()
				reply[7] = 1
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				reply = append(reply, ip[:]...)
			}
			pc.WriteTo(reply, from)
		}
	}()
	return pc.LocalAddr().String()
}

func TestConnectionsAreBounded(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	budget := NewBudget(3)
	a := New(Config{Dial: DialPolicy{AllowHost: true}, Budget: budget})
	b := New(Config{Dial: DialPolicy{AllowHost: true}, Budget: budget})
	dial := func(r *Relay) (net.Conn, error) { return r.Dial(t.Context(), to, sallyport.DialWorkload) }
	var conns []net.Conn
	for range 2 {
		c, err := dial(a)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if _, err := dial(b); err != nil {
		t.Fatal(err)
	}
	_, err := dial(b)
	refused(t, err, sallyport.CodeLimit)
	conns[0].Close()
	if _, err := dial(b); err != nil {
		t.Fatal(err)
	}
	a.Close()
	b.Close()
	if budget.Used() != 0 {
		t.Fatalf("%d places lost", budget.Used())
	}
	if _, err := dial(a); err == nil {
		t.Fatal("a closed relay dials")
	}
	one := New(Config{})
	for i := range MaxConns {
		if _, err := one.reserve(); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	_, err = one.reserve()
	refused(t, err, sallyport.CodeLimit)
	// A failed dial gives its place back.
	fails := New(Config{Dial: DialPolicy{AllowHost: true}, Budget: budget})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fails.Dial(ctx, to, sallyport.DialWorkload); err == nil {
		t.Fatal("dialled on a cancelled context")
	}
	if fails.Conns() != 0 || budget.Used() != 0 {
		t.Fatal("a failed dial keeps its place")
	}
}

// Closing while dials are under way leaves neither connections nor places.
func TestCloseDuringDials(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	budget := NewBudget(1000)
	r := New(Config{Dial: DialPolicy{AllowHost: true}, Budget: budget})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { r.Dial(t.Context(), to, sallyport.DialWorkload) })
	}
	time.Sleep(time.Millisecond)
	r.Close()
	wg.Wait()
	if r.Conns() != 0 || budget.Used() != 0 {
		t.Fatalf("%d connections, %d places left", r.Conns(), budget.Used())
	}
}

type fakeHardware struct{}

func (h *fakeHardware) Quote(reportData [64]byte, hostData [32]byte) ([]byte, error) {
	return append(reportData[:], hostData[:]...), nil
}

// The host data of a quote is the host's own, whatever the Keep says.
func TestQuoteBindsTheStartConfiguration(t *testing.T) {
	_, err := New(Config{}).Quote(t.Context(), [64]byte{})
	refused(t, err, sallyport.CodeUnsupported)
	cfg := sallyport.StartConfig{Mode: sallyport.ModePush, Platform: "sim"}
	r := New(Config{Hardware: &fakeHardware{}, HostData: cfg.Digest()})
	got, err := r.Quote(t.Context(), [64]byte{7})
	if err != nil || got[0] != 7 || [32]byte(got[64:]) != cfg.Digest() {
		t.Fatalf("%x, %v", got, err)
	}
}

func TestSpoolIsBounded(t *testing.T) {
	refused(t, New(Config{}).Spool(t.Context(), []byte("x")), sallyport.CodePolicy)
	var kept []byte
	r := New(Config{Spool: func(b []byte) error { kept = b; return nil }})
	refused(t, r.Spool(t.Context(), nil), sallyport.CodeLimit)
	refused(t, r.Spool(t.Context(), make([]byte, MaxSpool+1)), sallyport.CodeLimit)
	for i := range MaxSpoolWrites {
		if err := r.Spool(t.Context(), fmt.Appendf(nil, "record %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, r.Spool(t.Context(), []byte("one more")), sallyport.CodeLimit)
	if want := fmt.Sprintf("record %d", MaxSpoolWrites-1); string(kept) != want {
		t.Fatalf("kept %q, want %q", kept, want)
	}
}
