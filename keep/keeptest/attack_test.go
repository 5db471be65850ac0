// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keeptest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/vtpm"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/internal/swtpmtest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/sallyport"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "enarx-attack-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := buildAttacker(dir); err != nil {
		fmt.Fprintln(os.Stderr, "build the attacker:", err)
		return 1
	}
	// From here on this package's Keeps are attackers'.
	os.Setenv("ENARX_TEST_KEEP", filepath.Join(dir, "keep"))
	return m.Run()
}

// buildAttacker builds cmd/keep as it is, but for the engine: in its place is
// testdata/attack.
func buildAttacker(dir string) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	main := filepath.Join(root, "cmd", "keep", "engine_wazero.go")
	src, err := os.ReadFile(main)
	if err != nil {
		return err
	}
	engine := []byte("wazero.New(wazero.Options{CacheDir: cacheDir, Limits: limits})")
	if n := bytes.Count(src, engine); n != 1 {
		return fmt.Errorf("%s makes its engine %d times as this test expects, not once", main, n)
	}
	patched := filepath.Join(dir, "main.go")
	if err := os.WriteFile(patched, bytes.Replace(src, engine, []byte("attackEngine{}, nil"), 1), 0o600); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		main: patched,
		filepath.Join(root, "cmd", "keep", "attack.go"): filepath.Join(root, "keep", "keeptest", "testdata", "attack", "attack_unsafe.go"),
	}})
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-overlay", file, "-o", filepath.Join(dir, "keep"), "./cmd/keep")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// counting counts what the Keep asks of its host.
type counting struct {
	sallyport.Handler
	quotes, others *atomic.Int64
}

func (c counting) Quote(ctx context.Context, rd [64]byte) ([]byte, error) {
	c.quotes.Add(1)
	return c.Handler.Quote(ctx, rd)
}

func (c counting) Dial(ctx context.Context, to sallyport.Endpoint, p sallyport.DialPurpose) (net.Conn, error) {
	c.others.Add(1)
	return c.Handler.Dial(ctx, to, p)
}

func (c counting) Listen(ctx context.Context, at sallyport.Endpoint, publish string) (net.Listener, error) {
	c.others.Add(1)
	return c.Handler.Listen(ctx, at, publish)
}

type result struct {
	exit *session.Exit
	out  []string
}

// attack runs one attack in a Keep of its own and checks what must hold
// whatever the attack is: the parent lives to tell the owner, and was asked
// for nothing in the child's name.
func attack(t *testing.T, name string, dirs ...loader.Dir) result {
	t.Helper()
	var quotes, others atomic.Int64
	k := keeptest.Start(t, keeptest.Config{NoCache: true, Dirs: dirs, Handler: func(h sallyport.Handler) sallyport.Handler {
		return counting{h, &quotes, &others}
	}})
	s := k.Admit(t)
	before := quotes.Load()
	b, digest := keeptest.Bundle(t, []byte(name), nil)
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, exit, err := s.Deploy(ctx, client.Deployment{Bundle: b, Digest: digest, Owner: keeptest.NewOwner(t), Stdout: &out}, client.Demand{})
	if err != nil {
		t.Fatalf("%s: the owner was not told the end: %v; the keep said: %s", name, err, k.Stderr)
	}
	s.Close() // the keep waits for it
	if _, err := k.Wait(ctx); err != nil {
		t.Fatalf("%s: the keep did not end: %v", name, err)
	}
	if n := quotes.Load() - before; n != 0 || before != 1 {
		t.Errorf("%s: %d quotes before and %d after the claim, expected 1 and none", name, before, n)
	}
	if n := others.Load(); n != 0 {
		t.Errorf("%s: the host was asked for %d connections or listeners", name, n)
	}
	if !strings.HasPrefix(out.String(), "trying "+name+"\n") || strings.Contains(out.String(), "no such attack") {
		t.Fatalf("%s: the attack did not run: %q, %+v", name, out.String(), exit)
	}
	return result{exit, strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")[1:]}
}

// singleCalls are the names in calls of testdata/attack.
func singleCalls(t *testing.T) (names []string) {
	t.Helper()
	src, err := os.ReadFile("testdata/attack/attack_unsafe.go")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(src)) {
		if name, rest, ok := strings.Cut(strings.TrimSpace(line), `":`); ok && strings.HasPrefix(strings.TrimSpace(rest), "call(unix.SYS_") {
			names = append(names, strings.TrimPrefix(name, `"`))
		}
	}
	if len(names) < 40 {
		t.Fatalf("only %d attacks were found in testdata", len(names))
	}
	return names
}

// The engine child, with native code of the attacker's choice in it, reaches
// no file, process, socket or device: the system call that would ends it.
func TestInvariant11ProofAndCodeLiveApart_SystemCalls(t *testing.T) {
	for _, name := range singleCalls(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := attack(t, name)
			if r.exit.End != session.EndKilled || !strings.Contains(r.exit.Reason, "sandbox denies") || len(r.out) != 0 {
				t.Errorf("it ended with %+v after %q, expected that the sandbox ends it", r.exit, r.out)
			}
		})
	}
}

// It holds nothing but its control socket, the one for questions, and the
// workload's own streams.
func TestInvariant11ProofAndCodeLiveApart_Descriptors(t *testing.T) {
	r := attack(t, "list")
	pipes, sockets := 0, 0
	for _, line := range r.out[:len(r.out)-1] {
		var fd int
		var kind string
		if _, err := fmt.Sscanf(line, "fd %d %s", &fd, &kind); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		switch {
		case kind == "socket":
			sockets++
			if !strings.HasSuffix(line, "socket domain 1 type 5") {
				t.Errorf("%s: expected no socket but those to its parent, AF_UNIX SOCK_SEQPACKET", line)
			}
		case kind == "010000":
			pipes++
		case kind == "020000" && fd < 2: // the null device
		case kind == "0": // anonymous: the Go runtime's epoll and event descriptors
		default:
			t.Errorf("%s: no such descriptor has a place in an engine child", line)
		}
	}
	// Standard error, and the three streams of this bundle; control, 3, and
	// questions.
	if pipes != 4 || sockets != 2 {
		t.Errorf("%d pipes and %d sockets, expected 4 and 2:\n%s", pipes, sockets, strings.Join(r.out, "\n"))
	}
}

// proven starts a Keep on a TPM that has booted and takes part in a session in
// which it has proven that.
func proven(t *testing.T, maker *swtpmtest.Maker, tpm *swtpmtest.TPM) (*keeptest.Keep, *client.Session, client.Demand) {
	t.Helper()
	conn := tpm.PowerOn(t)
	keeptest.Boot(t, conn, keeptest.Events(t, keeptest.BootLog))
	device, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	k := keeptest.Start(t, keeptest.Config{Platform: attest.PlatformVTPM, TPM: device, EventLog: keeptest.BootLog})
	s := k.Connect(t)
	o := vtpm.Options{Roots: []*x509.Certificate{maker.Issuer(t)}, Waive: attest.WaiveMeasurement}
	d := client.Demand{
		Platform: attest.PlatformVTPM, State: attest.StateEmpty, At: time.Now(),
		Decide: func(*attest.Claims, attest.Verdict) error { return nil },
		Challenger: func(attest.Collateral) (attest.Challenger, attest.Verifier) {
			v := vtpm.NewSession(o, nil, time.Now(), rand.Reader)
			return v, v
		},
	}
	if a, err := s.Appraise(d); err != nil || a.Claims == nil {
		t.Fatalf("%v; the keep said: %s", err, k.Stderr)
	}
	return k, s, d
}

// On platform vtpm the parent holds a TPM and the firmware's event log; its
// child holds neither, and what it writes to everything that it has does not
// reach the TPM.
func TestInvariant11ProofAndCodeLiveApart_Devices(t *testing.T) {
	maker := swtpmtest.NewMaker(t, t.TempDir())
	tpm := maker.Make(t)
	for _, name := range []string{"list", "write to all"} {
		k, s, d := proven(t, maker, tpm)
		b, digest := keeptest.Bundle(t, []byte(name), nil)
		var out bytes.Buffer
		// The running Keep proves itself once more: its registers show the
		// claim and nothing that the child has done.
		_, exit, err := s.Deploy(t.Context(), client.Deployment{
			Bundle: b, Digest: digest, Owner: keeptest.NewOwner(t), Stdout: &out, Run: session.Run{Evidence: true},
		}, d)
		if err != nil {
			t.Fatalf("%s: %v; the keep said: %s", name, err, k.Stderr)
		}
		if !strings.HasPrefix(out.String(), "trying "+name+"\n") {
			t.Fatalf("%s: the attack did not run: %q, %+v", name, out.String(), exit)
		}
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, "socket") && !strings.HasSuffix(strings.TrimSpace(line), "socket domain 1 type 5") || strings.HasPrefix(line, "fd ") && strings.Contains(line, "0100000") {
				t.Errorf("%s: the engine child holds a device: %s", name, line)
			}
		}
	}
}

// What it says on its control socket gets it nothing, and ends it.
func TestInvariant11ProofAndCodeLiveApart_ControlSocket(t *testing.T) {
	for _, name := range []string{"ask for a quote", "a job back", "flood", "oversize", "descriptors", "write to all"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := attack(t, name)
			for _, line := range r.out {
				if strings.HasPrefix(line, "answer") && !strings.HasPrefix(line, "answer of 0 bytes and 0 of") && !strings.HasPrefix(line, "answer of -1 bytes and 0 of") {
					t.Errorf("the parent answered: %s", line)
				}
				if strings.Contains(line, "read ") && !strings.Contains(line, "read -1") && !strings.Contains(line, "read 0") {
					t.Errorf("something answered: %s", line)
				}
			}
			if r.exit.End != session.EndKilled {
				t.Errorf("it ended with %+v, expected that the parent ends it; it said %q", r.exit, r.out)
			}
		})
	}
}

// Where lent directories allow openat, there is nothing else to open.
func TestInvariant11ProofAndCodeLiveApart_Files(t *testing.T) {
	lent := t.TempDir()
	r := attack(t, "open everything", loader.Dir{Host: lent, Guest: "/lent", ReadOnly: true})
	for _, line := range r.out {
		// A descriptor of a place is no way into it: what counts is reading.
		if strings.HasPrefix(line, "opened") && !strings.HasSuffix(line, "read -1 is a directory") && !strings.HasSuffix(line, "read -1 bad file descriptor") {
			t.Error(line)
		}
	}
	t.Log(r.out)
	if r.exit.End != session.EndExit || r.out[len(r.out)-1] != "survived" {
		t.Errorf("it ended with %+v", r.exit)
	}
}

func TestInvariant11ProofAndCodeLiveApart_SharedMemory(t *testing.T) {
	r := attack(t, "shared memory")
	if r.exit.End != session.EndExit || r.out[0] != "mprotect: permission denied" {
		t.Fatalf("it ended with %+v after %q", r.exit, r.out)
	}
}
