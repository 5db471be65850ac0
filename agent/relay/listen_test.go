// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/enarx/enarx-go/sallyport"
)

func TestListenPlace(t *testing.T) {
	agent := ListenPolicy{}
	wide := ListenPolicy{Bind: netip.MustParseAddr("0.0.0.0"), MinPort: 30000, MaxPort: 30099}
	local := ListenPolicy{AsAsked: true}
	mapped := ListenPolicy{AsAsked: true, Publish: map[uint16]string{443: "127.0.0.1:8443", 80: "0"}}
	for _, test := range []struct {
		policy  ListenPolicy
		host    string
		port    uint16
		publish string
		want    string // address, or part of the refusal
	}{
		{agent, "::", 8443, "", "127.0.0.1:8443"},
		{agent, "0.0.0.0", 8443, "", "127.0.0.1:8443"},
		{agent, "", 8443, "", "127.0.0.1:8443"},
		{agent, "10.1.1.1", 8443, "", "127.0.0.1:8443"},
		{agent, "::", 443, "", "--publish HOSTPORT:443"},
		{agent, "::", 443, "8443", "127.0.0.1:8443"},
		{agent, "::", 443, "0", "127.0.0.1:0"},
		{agent, "::", 443, "127.0.0.1:8443", "127.0.0.1:8443"},
		{agent, "::", 443, "0.0.0.0:8443", "127.0.0.1 only"},
		{agent, "::", 443, "[::]:8443", "127.0.0.1 only"},
		{agent, "::", 443, "22", "outside 1024-65535"},
		{agent, "::", 443, "x", "not [ADDR:]PORT"},
		{agent, "::", 443, "70000", "not [ADDR:]PORT"},
		{agent, "::", 443, "-1", "not [ADDR:]PORT"},
		{agent, "::", 443, "1:2:3", "not [ADDR:]PORT"},
		{agent, "::", 443, ":8443", "not [ADDR:]PORT"},
		{agent, "::", 443, strings.Repeat("9", 300), "not [ADDR:]PORT"},
		{agent, "evil.example", 8443, "", "not an IP address"},
		{wide, "::", 443, "30001", "0.0.0.0:30001"},
		{wide, "::", 443, "30100", "outside 30000-30099"},
		{local, "::", 443, "", "[::]:443"},
		{local, "127.0.0.1", 80, "", "127.0.0.1:80"},
		{local, "localhost", 80, "", "127.0.0.1:80"},
		{local, "::", 443, "[::1]:8443", "[::1]:8443"},
		{mapped, "::", 443, "", "127.0.0.1:8443"},
		{mapped, "::", 443, "9999", "127.0.0.1:8443"}, // the user's own word comes first
		{mapped, "::1", 80, "", "[::1]:0"},
		{ListenPolicy{Deny: true}, "::", 8443, "", "may not listen"},
	} {
		got, err := test.policy.place(sallyport.Endpoint{Host: test.host, Port: test.port}, test.publish)
		if err != nil {
			refused(t, err, sallyport.CodePolicy)
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s:%d as %q: %v, want %s", test.host, test.port, test.publish, err, test.want)
			}
			continue
		}
		if got.String() != test.want {
			t.Errorf("%s:%d as %q: %s, want %s", test.host, test.port, test.publish, got, test.want)
		}
	}
}

func TestListen(t *testing.T) {
	r := New(Config{})
	ln, err := r.Listen(t.Context(), sallyport.Endpoint{Host: "::", Port: 443}, "0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if ports := r.Ports(); len(ports) != 1 || ports[0] != (Port{Guest: "[::]:443", Host: addr}) || !strings.HasPrefix(addr, "127.0.0.1:") {
		t.Fatalf("ports %v", ports)
	}
	go net.Dial("tcp", addr)
	c, err := ln.Accept()
	if err != nil || r.Conns() != 1 {
		t.Fatalf("%v, %d connections", err, r.Conns())
	}
	// Busy, with the way out.
	busy, err := New(Config{}).Listen(t.Context(), sallyport.Endpoint{Host: "::", Port: ln.Addr().(*net.TCPAddr).AddrPort().Port()}, "")
	if err == nil {
		busy.Close()
		t.Fatal("a busy port was given away twice")
	}
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "--publish") {
		t.Fatalf("busy port: %v", err)
	}
	r.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("a connection outlived its Keep")
	}
	if _, err := ln.Accept(); err == nil || len(r.Ports()) != 0 {
		t.Fatal("a listener outlived its Keep")
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Fatal("the port is still open")
	}
}

func TestListenersAreBounded(t *testing.T) {
	r := New(Config{})
	defer r.Close()
	for i := range MaxListeners {
		if _, err := r.Listen(t.Context(), sallyport.Endpoint{Port: 8080}, "0"); err != nil {
			t.Fatalf("listener %d: %v", i, err)
		}
	}
	_, err := r.Listen(t.Context(), sallyport.Endpoint{Port: 8080}, "0")
	refused(t, err, sallyport.CodeLimit)
	// What is accepted past the limit is closed, not queued.
	full := New(Config{Budget: NewBudget(0)})
	defer full.Close()
	ln, err := full.Listen(t.Context(), sallyport.Endpoint{Port: 8080}, "0")
	if err != nil {
		t.Fatal(err)
	}
	go ln.Accept()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("a connection over the limit was kept")
	}
}

// A port below 1024 without the privilege for it: the advice names the way out.
// The test runs itself as an ordinary user when it is root.
func TestListenWithoutPrivilege(t *testing.T) {
	if os.Getenv("ENARX_TEST_UNPRIVILEGED") == "" && os.Geteuid() == 0 {
		exe := copyTestBinary(t)
		cmd := exec.Command(exe, "-test.run=^TestListenWithoutPrivilege$", "-test.v")
		cmd.Env = []string{"ENARX_TEST_UNPRIVILEGED=1"}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Fatalf("as an ordinary user: %v\n%s", err, out)
		}
		return
	}
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err == nil && strings.TrimSpace(string(b)) == "0" {
		// This machine lets everyone have port 1; the wording is tested all
		// the same.
		err := bindError(netip.MustParseAddrPort("127.0.0.1:443"), 443, syscall.EACCES)
		if !strings.Contains(err.Error(), "8443:443") {
			t.Fatal(err)
		}
		return
	}
	_, err = New(Config{Listen: ListenPolicy{AsAsked: true}}).Listen(t.Context(), sallyport.Endpoint{Host: "127.0.0.1", Port: 443}, "")
	if !errors.Is(err, syscall.EACCES) || !strings.Contains(err.Error(), "8443:443") {
		t.Fatalf("port 443 as an ordinary user: %v", err)
	}
}

// copyTestBinary puts the running test where an ordinary user can execute it.
func copyTestBinary(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp("/tmp", "enarx-relay-test-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(f.Name()) })
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	f.Chmod(0o755)
	f.Close()
	return f.Name()
}

var patternSeeds = []string{
	"db.example.com:5432", "*.example.org:443", "*:*", "10.0.0.0/8:8000-8099", "[2001:db8::]/32:*", "[2001:db8::1]:443",
	"[2001:db8::/32]:443", "127.0.0.1:9", "", ":", "*:", ":1", "a", "a:0", "a:65536", "a:2-1", "*.:1", "[:1", "10.0.0.1/8:1", "fe80::1%lo:1", "a b:1", "::1:7",
}

func FuzzPattern(f *testing.F) {
	if len(patternSeeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range patternSeeds {
		f.Add(s, "host.example", uint16(443), "127.0.0.1")
		f.Add(s, "127.0.0.1", uint16(9), "::ffff:169.254.1.1")
	}
	f.Fuzz(func(t *testing.T, s, host string, port uint16, addr string) {
		p, err := ParsePattern(s)
		if err != nil {
			return
		}
		policy := DialPolicy{Allow: []Pattern{p}}
		listed, err := policy.checkTarget(host, port)
		a, aerr := netip.ParseAddr(addr)
		if err != nil || aerr != nil {
			return
		}
		// Whatever a pattern by name says, it never opens the host.
		if policy.checkAddr(a, port, listed, nil) == nil && !p.prefix.IsValid() && (a.Unmap().IsLoopback() || a.Unmap().IsLinkLocalUnicast() || a.IsUnspecified()) {
			t.Fatalf("pattern %q lets a Keep reach %s", s, a)
		}
	})
}

func FuzzListenPlace(f *testing.F) {
	for _, s := range []string{"", "0", "8443", "127.0.0.1:8443", "[::1]:8443", "0.0.0.0:22", "x", ":1", "[::1", "localhost:5"} {
		f.Add("::", uint16(443), s)
		f.Add("localhost", uint16(8080), s)
	}
	f.Fuzz(func(t *testing.T, host string, port uint16, publish string) {
		var p ListenPolicy
		got, err := p.place(sallyport.Endpoint{Host: host, Port: port}, publish)
		if err == nil && (got.Addr().String() != "127.0.0.1" || got.Port() != 0 && got.Port() < 1024) {
			t.Fatalf("%q:%d as %q goes to %s", host, port, publish, got)
		}
	})
}
