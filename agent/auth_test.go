// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/client"
)

const testToken = "0123456789abcdef0123456789abcdef-token"

func writeToken(t testing.TB, lines string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(f, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// pki is a CA and what it signs, as files.
type pki struct {
	t   testing.TB
	dir string
	ca  *x509.Certificate
	key *ecdsa.PrivateKey
	n   int64
}

func newPKI(t testing.TB) *pki {
	p := &pki{t: t, dir: t.TempDir()}
	p.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, p.key.Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	p.ca, _ = x509.ParseCertificate(der)
	p.write("ca.pem", "CERTIFICATE", der)
	return p
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

func (p *pki) write(name, typ string, der []byte) {
	if err := os.WriteFile(p.path(name), pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// issue signs NAME.pem with NAME.key.
func (p *pki) issue(name string, usage x509.ExtKeyUsage) (cert, key string) {
	p.n++
	k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(100 + p.n), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, p.ca, k.Public(), p.key)
	if err != nil {
		p.t.Fatal(err)
	}
	kder, _ := x509.MarshalPKCS8PrivateKey(k)
	p.write(name+".pem", "CERTIFICATE", der)
	p.write(name+".key", "PRIVATE KEY", kder)
	return p.path(name + ".pem"), p.path(name + ".key")
}

// TestAuthMatrix tries every way of proving oneself against every
// configuration that demands it.
func TestAuthMatrix(t *testing.T) {
	ours, theirs := newPKI(t), newPKI(t)
	cert, key := ours.issue("agent", x509.ExtKeyUsageServerAuth)
	goodCert, goodKey := ours.issue("client", x509.ExtKeyUsageClientAuth)
	badCert, badKey := theirs.issue("stranger", x509.ExtKeyUsageClientAuth)
	serverCert, serverKey := ours.issue("server-only", x509.ExtKeyUsageServerAuth)
	credentials := map[string]client.Options{
		"nothing":     {},
		"token":       {Token: testToken},
		"otherToken":  {Token: strings.Replace(testToken, "token", "tokem", 1)},
		"prefix":      {Token: testToken[:len(testToken)-1]},
		"cert":        {ClientCert: goodCert, ClientKey: goodKey},
		"foreignCert": {ClientCert: badCert, ClientKey: badKey},
		"serverCert":  {ClientCert: serverCert, ClientKey: serverKey},
	}
	for _, test := range []struct {
		name   string
		change func(*Config)
		accept map[string]bool
	}{
		{"token", func(c *Config) { c.TokenFile = writeToken(t, "# ours\n\n"+testToken+"\n") }, map[string]bool{"token": true}},
		{"cert", func(c *Config) { c.ClientCA = ours.path("ca.pem") }, map[string]bool{"cert": true}},
		{"either", func(c *Config) {
			c.TokenFile, c.ClientCA = writeToken(t, "another-token-another-token-another\n"+testToken), ours.path("ca.pem")
		}, map[string]bool{"token": true, "cert": true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := testConfig(t, &fakeLoader{})
			cfg.TLSCert, cfg.TLSKey = cert, key
			test.change(&cfg)
			r := serve(t, cfg)
			for name, opt := range credentials {
				opt.CAFile = ours.path("ca.pem")
				c := r.client(opt)
				_, err := c.Create(t.Context(), api.CreateRequest{Platform: "process"}, "")
				if test.accept[name] != (err == nil) {
					t.Errorf("%s: create gave %v", name, err)
				}
				if _, err := c.List(t.Context()); test.accept[name] != (err == nil) {
					t.Errorf("%s: list gave %v", name, err)
				}
				// A certificate that no CA of ours signed fails in TLS; the
				// rest gets a problem that says what is wanted.
				if !test.accept[name] && name != "foreignCert" && !(name == "serverCert" && cfg.ClientCA != "") {
					wantProblem(t, err, api.CodeUnauthenticated)
				}
			}
			if _, err := r.client(client.Options{CAFile: ours.path("ca.pem")}).Health(t.Context()); err != nil {
				t.Errorf("health without authentication: %v", err)
			}
			if n := r.count(); n != len(test.accept) {
				t.Errorf("%d Keeps were made, want %d", n, len(test.accept))
			}
		})
	}
}

// Every route but the two that say nothing refuses strangers, before it says
// whether what they ask for exists.
func TestUnauthenticatedRoutes(t *testing.T) {
	cfg := testConfig(t, &fakeLoader{})
	cfg.TokenFile = writeToken(t, testToken)
	r := serve(t, cfg)
	id := r.create(r.client(client.Options{Token: testToken})).ID
	for _, rt := range append(routes, route{method: "GET", path: "/nowhere"}, route{method: "PUT", path: "/v1/keeps"}) {
		res := r.raw(rt.method, strings.Replace(rt.path, "{id}", id, 1), nil)
		if want := 401; !rt.open && res.StatusCode != want || rt.open && res.StatusCode != 200 {
			t.Errorf("%s %s without a token: status %d", rt.method, rt.path, res.StatusCode)
		}
	}
	for _, h := range []string{"", "Bearer", "Bearer ", "Basic " + base64.StdEncoding.EncodeToString([]byte("a:"+testToken)), testToken, "Bearer  " + testToken, "Bearer " + testToken + ","} {
		if res := r.raw("GET", "/v1/keeps", nil, "Authorization", h); res.StatusCode != 401 {
			t.Errorf("Authorization %q: status %d", h, res.StatusCode)
		}
	}
	req, _ := http.NewRequest("GET", "http://"+r.addr+"/v1/keeps", nil)
	req.Header["Authorization"] = []string{"Bearer " + testToken, "Bearer " + testToken}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 401 {
		t.Errorf("two Authorization headers: status %d", res.StatusCode)
	}
}

func TestBrowsersAndReboundNamesAreRefused(t *testing.T) {
	r := serve(t, testConfig(t, &fakeLoader{}))
	for _, test := range []struct {
		header, value string
		want          int
	}{
		{"Host", r.addr, 200},
		{"Host", "localhost", 200},
		{"Host", "LOCALHOST:7420", 200},
		{"Host", "[::1]:7420", 200},
		{"Host", "127.9.9.9", 200},
		{"Host", "evil.example", 421},
		{"Host", "localhost.evil.example:7420", 421},
		{"Host", "127.0.0.1.evil.example", 421},
		{"Host", "10.0.0.1:7420", 421},
		{"Origin", "https://evil.example", 403},
		{"Origin", "null", 403},
		{"Origin", "http://127.0.0.1:7420", 403},
		{"Sec-Fetch-Site", "cross-site", 403},
		{"Sec-Fetch-Site", "same-origin", 403},
		{"Sec-Fetch-Site", "none", 200},
	} {
		for _, path := range []string{"/v1/keeps", "/v1/health", "/metrics"} {
			if res := r.raw("GET", path, nil, test.header, test.value); res.StatusCode != test.want {
				t.Errorf("%s: %q on %s: status %d, want %d", test.header, test.value, path, res.StatusCode, test.want)
			}
		}
	}
}

func TestListenRefusesStrangers(t *testing.T) {
	p := newPKI(t)
	cert, key := p.issue("agent", x509.ExtKeyUsageServerAuth)
	token := writeToken(t, testToken)
	for _, test := range []struct {
		name   string
		change func(*Config)
		addr   net.Addr
		ok     bool
	}{
		{"loopback, nothing", func(*Config) {}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, true},
		{"loopback 6, nothing", func(*Config) {}, &net.TCPAddr{IP: net.IPv6loopback}, true},
		{"everywhere, nothing", func(*Config) {}, &net.TCPAddr{IP: net.IPv6unspecified}, false},
		{"no address", func(*Config) {}, &net.TCPAddr{}, false},
		{"private, token only", func(c *Config) { c.TokenFile = token }, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, false},
		{"private, TLS only", func(c *Config) { c.TLSCert, c.TLSKey = cert, key }, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, false},
		{"private, both", func(c *Config) { c.TLSCert, c.TLSKey, c.TokenFile = cert, key, token }, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, true},
		{"private, certificates", func(c *Config) { c.TLSCert, c.TLSKey, c.ClientCA = cert, key, p.path("ca.pem") }, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, true},
		{"unix", func(*Config) {}, &net.UnixAddr{Name: "/x"}, false},
	} {
		cfg := Config{}
		test.change(&cfg)
		err := cfg.checkListen(test.addr)
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
		if err != nil && test.name != "unix" && !strings.Contains(err.Error(), "--tls-cert") {
			t.Errorf("%s: %v does not show the way out", test.name, err)
		}
	}
	// And for real.
	cfg := testConfig(t, &fakeLoader{})
	cfg.Listen = "0.0.0.0:0"
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	invited := false
	if err := a.Run(t.Context(), func(net.Addr) { invited = true }); !errors.Is(err, ErrExposed) || invited {
		t.Fatal("an agent served the world without authentication")
	}
}

func TestTokenFile(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"short", "secret", "32"},
		{"empty", "# nothing\n", "0 tokens"},
		{"two words", testToken + " " + testToken, "one word"},
		{"too many", strings.Repeat(testToken+"\n", maxTokens+1), "65 tokens"},
		{"huge", strings.Repeat("x", maxTokenFile+10), "larger"},
	} {
		if _, err := loadTokens(writeToken(t, test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, t.TempDir()} {
		if _, err := loadTokens(path); err == nil || !strings.Contains(err.Error(), "regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Whoever can write the token file, or read it, can call the agent.
func TestTokenFileOfOthersIsRefused(t *testing.T) {
	f := writeToken(t, testToken)
	if _, err := loadTokens(f); err != nil {
		t.Fatal(err)
	}
	for bit := os.FileMode(1); bit < 0o100; bit <<= 1 {
		if err := os.Chmod(f, 0o600|bit); err != nil {
			t.Fatal(err)
		}
		// Without root the one bit that root's files may have is refused
		// here as well, for the file is our own.
		if _, err := loadTokens(f); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %04o: %v", 0o600|bit, err)
		}
	}
	const us, them = 1000, 1001
	for _, c := range []struct {
		mode        os.FileMode
		owner, self int
		ok          bool
	}{
		{0o600, us, us, true}, {0o400, us, us, true}, {0o400, 0, us, true},
		{0o440, 0, us, true}, // as systemd hands credentials out
		{0o440, us, us, false}, {0o440, 0, 0, false}, {0o460, 0, us, false}, {0o420, 0, us, false}, {0o444, 0, us, false},
		{0o600, them, us, false}, {0o600, us, 0, false}, {0o440, them, us, false},
	} {
		if err := checkTokenFile(c.mode, c.owner, c.self); (err == nil) != c.ok {
			t.Errorf("mode %04o of user %d, read by user %d: %v", c.mode, c.owner, c.self, err)
		}
	}
}

// TestCapabilityAttacks: nothing but the one capability of the Keep opens any
// of its operations.
func TestCapabilityAttacks(t *testing.T) {
	r := serve(t, testConfig(t, &fakeLoader{}))
	c := r.client(client.Options{})
	mine, other := r.create(c), r.create(c)
	raw, err := base64.RawURLEncoding.DecodeString(mine.Capability)
	if err != nil || len(raw) != 32 {
		t.Fatalf("capability %q", mine.Capability)
	}
	bad := map[string]string{
		"another Keep's": other.Capability,
		"truncated":      mine.Capability[:42],
		"longer":         mine.Capability + "A",
		"padded":         mine.Capability + "=",
		"zero":           base64.RawURLEncoding.EncodeToString(make([]byte, 32)),
		"the id":         mine.ID,
		"spaces":         mine.Capability[:10] + " " + mine.Capability[10:],
		"huge":           strings.Repeat("A", 8000),
	}
	for i := range 32 {
		flipped := append([]byte{}, raw...)
		flipped[i] ^= 1 << (i % 8)
		bad["bit of byte "+string(rune('0'+i))] = base64.RawURLEncoding.EncodeToString(flipped)
	}
	// The last character carries 4 bits; others that decode alike are not it.
	last := mine.Capability[42]
	for _, ch := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if byte(ch) != last {
			bad["last "+string(ch)] = mine.Capability[:42] + string(ch)
		}
	}
	for name, capability := range bad {
		if _, err := c.Inspect(t.Context(), mine.ID, capability); err == nil {
			t.Fatalf("%s capability: inspect worked", name)
		}
		if err := c.Stop(t.Context(), mine.ID, capability); err == nil {
			t.Fatalf("%s capability: stop worked", name)
		}
		_, err := c.Attach(t.Context(), mine.ID, capability)
		wantProblem(t, err, api.CodeCapabilityWrong)
		_, err = c.Spool(t.Context(), mine.ID, capability)
		wantProblem(t, err, api.CodeCapabilityWrong)
		_, err = c.Ports(t.Context(), mine.ID, capability)
		wantProblem(t, err, api.CodeCapabilityWrong)
	}
	_, err = c.Inspect(t.Context(), mine.ID, "")
	wantProblem(t, err, api.CodeCapabilityMissing)
	// The list shows no capability, nor does the state directory.
	res := r.raw("GET", "/v1/keeps", nil)
	body := make([]byte, 64<<10)
	n, _ := readFull(res.Body, body)
	if strings.Contains(string(body[:n]), mine.Capability) || strings.Contains(string(body[:n]), "capability") {
		t.Fatal("the list shows a capability")
	}
	if in, err := c.Inspect(t.Context(), mine.ID, mine.Capability); err != nil || in.State != api.StateEmpty {
		t.Fatalf("after all that: %+v, %v", in, err)
	}
}
