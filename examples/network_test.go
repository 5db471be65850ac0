// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestHTTPSServer runs the server natively on a plain listener and in Keeps on
// a TLS listener, and asks them the same things with curl. In the local Keep
// the certificate comes from enarx run; in the deployed one it is what the
// client has found in the Keep's evidence, relayed by an agent.
func TestHTTPSServer(t *testing.T) {
	native, wasm := goBuild(t, "https-server-go")
	tool(t, "curl")
	enarx := enarxBin(t)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain := "http://" + l.Addr().String()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	reference := exec.Command(native)
	reference.Env = append(environment(), "FD_COUNT=4", "FD_NAMES=stdin:stdout:stderr:web")
	reference.ExtraFiles = []*os.File{socket}
	serve(t, reference)
	socket.Close()

	t.Run("run", func(t *testing.T) {
		askServer(t, plain, wasm, []string{enarx, "run"})
	})
	t.Run("deploy", func(t *testing.T) {
		agent, root := startAgent(t, enarx)
		askServer(t, plain, wasm, []string{enarx, "deploy", "--host", agent, "--platform", "sim", "--insecure-sim-root", root})
	})
}

// askServer starts the server in a Keep and compares it with the one at plain.
func askServer(t *testing.T, plain, wasm string, start []string) {
	dir, port := t.TempDir(), freePort(t)
	config, cert := filepath.Join(dir, "Enarx.toml"), filepath.Join(dir, "cert.pem")
	replaceIn(t, "https-server-go/Enarx.toml", config, "port = 8443", "port = "+strconv.Itoa(port))
	keep := exec.Command(start[0], append(start[1:], "--config", config, "--cert", cert, wasm)...)
	keep.Env = environment()
	stop := serve(t, keep)
	secure := fmt.Sprintf("https://localhost:%d", port)

	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, bytes.Repeat([]byte("0123456789abcdef"), 40_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, request := range [][]string{
		{"/hello/world"},
		{"/nothing"},
		{"/count", "--data-binary", "@" + big},
		{"/hello/again", "-H", "Connection: close"},
	} {
		t.Run(strings.TrimPrefix(request[0], "/"), func(t *testing.T) {
			ask := func(base string) result {
				return command{args: append([]string{"curl", "-sS", "--max-time", "60", "--noproxy", "*", "--cacert", cert,
					"-w", "%{http_code}", base + request[0]}, request[1:]...)}.run(t)
			}
			sameAs(t, ask(secure), ask(plain))
		})
	}
	t.Run("another certificate is refused", func(t *testing.T) {
		other := filepath.Join(dir, "other.pem")
		if err := os.WriteFile(other, newAuthority(t).pem, 0o600); err != nil {
			t.Fatal(err)
		}
		got := command{args: []string{"curl", "-sS", "--max-time", "60", "--noproxy", "*", "--cacert", other, secure + "/hello/x"}}.run(t)
		if got.code != 60 { // curl: peer certificate cannot be authenticated with known CA certificates
			t.Errorf("curl ended with %d, expected 60\n%s%s", got.code, got.stdout, got.stderr)
		}
	})

	stop()
	if c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), 5*time.Second); err == nil {
		c.Close()
		t.Error("the port is still open after the Keep has ended")
	}
}

// startAgent starts an agent on loopback and returns its address and the file
// with the root of its simulated hardware.
func startAgent(t *testing.T, enarx string) (url, root string) {
	t.Helper()
	state, address := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	if err := os.Chmod(state, 0o700); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(enarx, "agent", "--listen", address, "--state", state)
	cmd.Env, cmd.Stderr = environment(), &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		defer timer.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the agent did not end well after SIGTERM: %v\n%s", err, &stderr)
		}
	})
	url = "http://" + address
	for range 500 {
		if resp, err := http.Get(url + "/v1/health"); err == nil {
			resp.Body.Close()
			return url, filepath.Join(state, "sim-root.pem")
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("the agent does not answer on %s", url)
	return "", ""
}

// serve starts a server, waits until it says that it serves, and returns a
// function that ends it by SIGTERM, which also happens when the test ends.
func serve(t *testing.T, cmd *exec.Cmd) (stop func()) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var stopped atomic.Bool
	stop = func() {
		if !stopped.CompareAndSwap(false, true) {
			return
		}
		cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(30*time.Second, func() {
			t.Errorf("%s did not end within 30 s of SIGTERM", cmd.Path)
			cmd.Process.Kill()
		})
		cmd.Wait()
		timer.Stop()
	}
	t.Cleanup(stop)
	line := make(chan string, 1)
	go func() {
		s, _ := bufio.NewReader(out).ReadString('\n')
		line <- s
	}()
	select {
	case s := <-line:
		if s != "serving\n" {
			stop() // after it the buffer is ours
			t.Fatalf("%s said %q, expected \"serving\"\n%s", cmd.Path, s, &stderr)
		}
	case <-time.After(runLimit):
		t.Fatalf("%s did not say that it serves within %v", cmd.Path, runLimit)
	}
	return stop
}

// TestTLSClient lets the client ask a plain server natively and a TLS server
// from a Keep, and then TLS servers that the Keep must refuse.
func TestTLSClient(t *testing.T) {
	native, wasm := goBuild(t, "tls-client")
	enarx, good := enarxBin(t), newAuthority(t)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/secret" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintln(w, strings.Repeat("the answer is 42\n", 5_000))
	})
	plain := httptest.NewServer(handler)
	defer plain.Close()

	for _, in := range []input{
		{name: "found", args: []string{"/secret"}},
		{name: "not found", args: []string{"/else"}, code: 5},
	} {
		t.Run(in.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", plain.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			socket, err := conn.(*net.TCPConn).File()
			conn.Close()
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			want := command{
				args: append([]string{native}, in.args...), files: []*os.File{socket},
				env: []string{"FD_COUNT=4", "FD_NAMES=stdin:stdout:stderr:server"},
			}.run(t)
			if want.code != in.code {
				t.Fatalf("the native run ended with %d, the test expects %d\n%s", want.code, in.code, want.stderr)
			}
			port, _ := tlsServer(t, good.issue(t, "localhost", time.Hour), handler)
			got := runInKeep(t, enarx, []string{"--config", clientConfig(t, good, port)}, wasm, in)
			sameAs(t, got, want)
		})
	}

	for _, bad := range []struct {
		name string
		cert tls.Certificate
	}{
		{"foreign CA", newAuthority(t).issue(t, "localhost", time.Hour)},
		{"another name", good.issue(t, "elsewhere.example", time.Hour)},
		{"expired", good.issue(t, "localhost", -time.Hour)},
	} {
		t.Run(bad.name+" is refused", func(t *testing.T) {
			port, requests := tlsServer(t, bad.cert, handler)
			got := runInKeep(t, enarx, []string{"--config", clientConfig(t, good, port)}, wasm, input{args: []string{"/secret"}})
			if got.code == 0 || got.stdout != "" || requests.Load() != 0 {
				t.Errorf("exit code %d, stdout %q, %d requests reached the server; expected a failure before a request",
					got.code, got.stdout, requests.Load())
			}
			if got.stderr == "" {
				t.Error("nothing on stderr says why")
			}
		})
	}
}

// clientConfig writes the example's Enarx.toml for another port, with the CA
// that it names beside it.
func clientConfig(t *testing.T, a *authority, port int) string {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "Enarx.toml")
	replaceIn(t, "tls-client/Enarx.toml", config, "port = 8443", "port = "+strconv.Itoa(port))
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), a.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

// tlsServer serves h on loopback with that certificate and counts requests.
func tlsServer(t *testing.T, cert tls.Certificate, h http.Handler) (port int, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		h.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what some tests want
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port, requests
}

// authority is a CA of one test.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA of one test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue makes a server certificate that ends a time from now.
func (a *authority) issue(t *testing.T, name string, left time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(left),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// freePort finds a port that nothing listens on. Another process may take it
// before it is used; the test then fails with "address in use", and says so.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func replaceIn(t *testing.T, from, to, old, new string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), old); n != 1 {
		t.Fatalf("%s has %q %d times, expected once", from, old, n)
	}
	if err := os.WriteFile(to, []byte(strings.Replace(string(b), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}
