// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/enarx/enarx-go/agent/relay"
	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/workload"
)

// wasm is a Go program whose first argument says what to do, built once: a
// module of its own for each test would cost a second each.
var wasm struct {
	sync.Once
	b []byte
}

const actor = `package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"time"
)

func main() {
	switch os.Args[1] {
	case "exit":
		n, _ := strconv.Atoi(os.Args[2])
		os.Exit(n)
	case "spin":
		fmt.Println("spinning")
		for {
		}
	case "sleep":
		fmt.Println("sleeping")
		time.Sleep(time.Hour)
	case "panic":
		var p *int
		*p = 1
	case "grow":
		debug.SetGCPercent(-1)
		var all [][]byte
		for {
			all = append(all, make([]byte, 1<<20))
			all[len(all)-1][0] = 1
		}
	case "cat":
		io.Copy(os.Stdout, os.Stdin)
	case "count":
		n, _ := io.Copy(io.Discard, os.Stdin)
		fmt.Println(n)
	case "flood":
		n, _ := strconv.Atoi(os.Args[2])
		line := make([]byte, 1000)
		for i := range line {
			line[i] = 'x'
		}
		for i := 0; i < n; i++ {
			os.Stdout.Write(line)
		}
		fmt.Fprintln(os.Stderr, "flooded")
	case "time":
		fmt.Println(time.Now().UnixNano())
	case "secrets":
		b, err := os.ReadFile("/run/secrets/file")
		fmt.Println(os.Getenv("FROM_SECRET"), string(b), err)
	case "files":
		b, err := os.ReadFile("/data/a.txt")
		fmt.Println(string(b), err)
		fmt.Println(os.WriteFile("/data/b.txt", nil, 0o600) != nil)
	case "env":
		for _, e := range os.Environ() {
			fmt.Println(e)
		}
	case "serve":
		l, err := net.FileListener(os.NewFile(3, "listener"))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("listening")
		for {
			c, err := l.Accept()
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			line, err := bufio.NewReader(c).ReadString('\n')
			fmt.Fprintf(c, "you said %s", line)
			c.Close()
		}
	case "dial":
		c, err := net.FileConn(os.NewFile(3, "conn"))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Fprintf(c, "hello\n")
		b, err := io.ReadAll(c)
		fmt.Printf("%q %v\n", b, err)
	}
}
`

func actorModule(t testing.TB) []byte {
	wasm.Do(func() { wasm.b = goWasm(t, actor) })
	if wasm.b == nil {
		t.Fatal("the test program did not build")
	}
	return wasm.b
}

// job is one deployment of the actor.
type job struct {
	platform string
	args     []string
	change   func(*workload.Package)
	relay    relay.Config
	deploy   func(*client.Deployment)
}

type outcome struct {
	k        *keeptest.Keep
	s        *client.Session
	owner    *session.OwnerKey
	digest   workload.Digest
	started  *client.Started
	exit     *session.Exit
	err      error
	out, log keeptest.Buffer
}

func run(t *testing.T, j job) *outcome {
	t.Helper()
	if j.platform == "" {
		j.platform = attest.PlatformProcess
	}
	o := &outcome{}
	o.k = keeptest.Start(t, keeptest.Config{Platform: j.platform, Relay: j.relay})
	o.s = o.k.Admit(t)
	b, digest := keeptest.Bundle(t, actorModule(t), func(p *workload.Package) {
		p.Config.Args = j.args
		if j.change != nil {
			j.change(p)
		}
	})
	o.owner, o.digest = keeptest.NewOwner(t), digest
	d := client.Deployment{Bundle: b, Digest: digest, Owner: o.owner, Stdout: &o.out, Stderr: &o.log}
	if j.deploy != nil {
		j.deploy(&d)
	}
	o.started, o.exit, o.err = o.s.Deploy(context.Background(), d, o.k.Demand(t))
	return o
}

func (o *outcome) want(t *testing.T, end string, code uint64) {
	t.Helper()
	if o.err != nil {
		t.Fatalf("deploy: %v; the keep said: %s", o.err, o.k.Stderr)
	}
	if o.exit.End != end || o.exit.Code != code {
		t.Fatalf("the workload ended with %+v, expected %s %d; the keep said: %s", *o.exit, end, code, o.k.Stderr)
	}
}

func TestExitCodes(t *testing.T) {
	for _, code := range []uint64{0, 1, 125, 255} {
		o := run(t, job{args: []string{"exit", fmt.Sprint(code)}})
		o.want(t, session.EndExit, code)
	}
}

func TestPanicStaysInside(t *testing.T) {
	o := run(t, job{args: []string{"panic"}})
	o.want(t, session.EndExit, 2) // Go's own panic handler
	if !strings.Contains(o.log.String(), "nil pointer") {
		t.Errorf("stderr = %q, expected Go's panic message", o.log.String())
	}
	if s := o.k.Stderr.String(); s != "" {
		t.Errorf("the host saw %q, expected nothing", s)
	}
}

func TestTimeoutEndsASpinningWorkload(t *testing.T) {
	begin := time.Now()
	o := run(t, job{args: []string{"spin"}, change: func(p *workload.Package) { p.Config.Limits.TimeoutMS = 200 }})
	// The limit may strike before or after the module is compiled.
	o.want(t, session.EndTimeout, 0)
	if d := time.Since(begin); d > 20*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestMemoryLimit(t *testing.T) {
	o := run(t, job{args: []string{"grow"}, change: func(p *workload.Package) { p.Config.Limits.MemoryBytes = 64 << 20 }})
	o.want(t, session.EndExit, 2)
	if !strings.Contains(o.log.String(), "out of memory") {
		t.Errorf("stderr = %.200q, expected Go to run out of memory", o.log.String())
	}
}

func TestSignalEndsTheWorkload(t *testing.T) {
	sig := make(chan syscall.Signal, 1)
	o := run(t, job{args: []string{"sleep"}, deploy: func(d *client.Deployment) {
		d.Signals = sig
		d.OnRunning = func(*client.Started) { sig <- syscall.SIGTERM }
	}})
	o.want(t, session.EndSignal, uint64(syscall.SIGTERM))
}

func TestStdinIsPassedOnWhole(t *testing.T) {
	in := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB, four windows
	o := run(t, job{args: []string{"cat"}, platform: attest.PlatformSim, deploy: func(d *client.Deployment) { d.Stdin = bytes.NewReader(in) }})
	o.want(t, session.EndExit, 0)
	if o.out.String() != string(in) {
		t.Errorf("got %d bytes back, expected the %d sent", len(o.out.String()), len(in))
	}
}

// A workload that never reads its input must not keep signals from arriving.
func TestSignalOvertakesStdin(t *testing.T) {
	sig := make(chan syscall.Signal, 1)
	o := run(t, job{args: []string{"sleep"}, deploy: func(d *client.Deployment) {
		d.Stdin = endless{}
		d.Signals = sig
		d.OnRunning = func(*client.Started) {
			time.AfterFunc(300*time.Millisecond, func() { sig <- syscall.SIGINT })
		}
	}})
	o.want(t, session.EndSignal, uint64(syscall.SIGINT))
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestInvariant5UntrustedClock(t *testing.T) {
	o := run(t, job{args: []string{"time"}})
	o.want(t, session.EndExit, 0)
	var ns int64
	fmt.Sscan(o.out.String(), &ns)
	if d := time.Since(time.Unix(0, ns)); d < 0 || d > time.Minute {
		t.Errorf("the workload's time is %v away from the claim's", d)
	}
}

func TestSecrets(t *testing.T) {
	declare := func(p *workload.Package) {
		p.Config.Secrets = []workload.Secret{{Name: "a", Env: "FROM_SECRET"}, {Name: "b", Path: "/run/secrets/file"}}
	}
	values := map[string][]byte{"a": []byte("in-env"), "b": []byte("in-file")}
	o := run(t, job{args: []string{"secrets"}, change: declare, deploy: func(d *client.Deployment) { d.Secrets = values }})
	o.want(t, session.EndExit, 0)
	if got := o.out.String(); got != "in-env in-file <nil>\n" {
		t.Errorf("stdout = %q", got)
	}

	o = run(t, job{args: []string{"secrets"}, change: declare, deploy: func(d *client.Deployment) {
		d.Secrets = map[string][]byte{"a": []byte("x")}
	}})
	wantRefusal(t, o.err, session.CodeBadRequest)

	o = run(t, job{args: []string{"exit", "0"}, deploy: func(d *client.Deployment) { d.Secrets = values }})
	wantRefusal(t, o.err, session.CodeBadRequest)
}

func wantRefusal(t *testing.T, err error, code string) {
	t.Helper()
	var r *session.Refused
	if !errors.As(err, &r) || r.Code != code {
		t.Fatalf("got %v, expected a refusal with code %s", err, code)
	}
}

func TestBundleFilesAreReadOnly(t *testing.T) {
	o := run(t, job{args: []string{"files"}, change: func(p *workload.Package) {
		p.Files = []workload.BundleFile{{Path: "/data", Dir: true}, {Path: "/data/a.txt", Data: []byte("content")}}
	}})
	o.want(t, session.EndExit, 0)
	if got := o.out.String(); got != "content <nil>\ntrue\n" {
		t.Errorf("stdout = %q", got)
	}
}

func TestEnvironment(t *testing.T) {
	o := run(t, job{args: []string{"env"}, change: func(p *workload.Package) {
		p.Config.Env = map[string]string{"B": "2", "A": "1", "FD_COUNT": "shadowed"}
	}})
	o.want(t, session.EndExit, 0)
	if got, want := o.out.String(), "FD_COUNT=shadowed\nFD_NAMES=stdin:stdout:stderr\nA=1\nB=2\n"; got != want {
		t.Errorf("environment = %q, want %q", got, want)
	}
}

// A workload that asks for confidentiality runs nowhere that has none,
// whatever its client accepted.
func TestInvariant1NoSilentDowngrade_Confidential(t *testing.T) {
	for _, platform := range []string{attest.PlatformProcess, attest.PlatformSim} {
		o := run(t, job{platform: platform, args: []string{"exit", "0"}, change: func(p *workload.Package) { p.Config.Confidential = true }})
		wantRefusal(t, o.err, session.CodeConfidential)
	}
}

func TestBadModules(t *testing.T) {
	for name, module := range map[string][]byte{
		"not wasm":   []byte("hello, world"),
		"truncated":  actorModule(t)[:1000],
		"no _start":  []byte("\x00asm\x01\x00\x00\x00"),
		"bad import": []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x02\x07\x01\x01e\x01f\x00\x00\x03\x02\x01\x00\x07\x0a\x01\x06_start\x00\x01\x0a\x04\x01\x02\x00\x0b"),
	} {
		t.Run(name, func(t *testing.T) {
			o := run(t, job{change: func(p *workload.Package) { p.Module = module }})
			o.want(t, session.EndSetup, 0)
			if o.exit.Reason == "" {
				t.Error("no reason was given")
			}
			t.Log(o.exit.Reason)
		})
	}
}

func TestListenTLS(t *testing.T) {
	started := make(chan *client.Started, 1)
	sig := make(chan syscall.Signal, 1)
	done := make(chan *outcome, 1)
	go func() {
		done <- run(t, job{platform: attest.PlatformSim, args: []string{"serve"}, change: func(p *workload.Package) {
			p.Config.Files = append(p.Config.Files, workload.File{Kind: workload.KindListen, Name: "web", Prot: workload.ProtTLS, Addr: "127.0.0.1", Port: 443})
		}, deploy: func(d *client.Deployment) {
			d.Run.Publish = []session.Publish{{Guest: 443, Host: "127.0.0.1:0"}}
			d.Run.Names = []string{"example.test", "127.0.0.1"}
			d.Signals = sig
			d.Evidence = true
			d.OnRunning = func(s *client.Started) { started <- s }
		}})
	}()
	var st *client.Started
	select {
	case st = <-started:
	case o := <-done:
		t.Fatalf("it did not start: %+v %v; the keep said: %s", o.exit, o.err, o.k.Stderr)
	}
	if st.Running == nil || st.Running.Message.State != attest.StateRunning {
		t.Fatalf("no evidence of the running keep: %+v", st.Running)
	}
	pool := x509.NewCertPool()
	pool.AddCert(st.Certificate)
	for i := range 3 {
		c, err := tls.Dial("tcp", st.Ports[0].Bound, &tls.Config{RootCAs: pool, ServerName: "example.test"})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "number %d\n", i)
		b, err := io.ReadAll(c)
		if want := fmt.Sprintf("you said number %d\n", i); string(b) != want || err != nil {
			t.Errorf("answer = %q, %v, want %q", b, err, want)
		}
		c.Close()
	}
	sig <- syscall.SIGTERM
	(<-done).want(t, session.EndSignal, uint64(syscall.SIGTERM))
}

func TestConnectTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 6)
			io.ReadFull(c, b)
			fmt.Fprintf(c, "got %s", b)
			c.Close()
		}
	}()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	connect := func(p *workload.Package) {
		p.Config.Files = append(p.Config.Files, workload.File{Kind: workload.KindConnect, Name: "out", Prot: workload.ProtTCP, Host: "127.0.0.1", Port: port})
	}
	o := run(t, job{args: []string{"dial"}, change: connect, relay: relay.Config{Dial: relay.DialPolicy{AllowHost: true}}})
	o.want(t, session.EndExit, 0)
	if got := o.out.String(); got != "\"got hello\\n\" <nil>\n" {
		t.Errorf("stdout = %q", got)
	}
	// The default policy of a host keeps its own loopback to itself.
	o = run(t, job{args: []string{"dial"}, change: connect})
	o.want(t, session.EndSetup, 0)
	t.Log(o.exit.Reason)
}

func TestDetached(t *testing.T) {
	o := run(t, job{platform: attest.PlatformSim, args: []string{"sleep"}, deploy: func(d *client.Deployment) { d.Run.Detached = true; d.Evidence = true }})
	if o.err != nil || o.exit != nil {
		t.Fatalf("detach: %v %v", o.exit, o.err)
	}
	o.s.Close()
	owner := o.owner.Public()
	h, err := owner.Hash()
	if err != nil {
		t.Fatal(err)
	}
	digest := [32]byte(o.digest)
	later := o.k.Demand(t)
	later.State, later.OwnerKeyHash, later.BundleDigest = attest.StateRunning, &h, &digest
	later.ChannelKey = o.started.Running.ChannelKey
	open := func() *client.Session {
		s := o.k.Connect(t)
		if _, err := s.Appraise(later); err != nil {
			t.Fatal(err)
		}
		return s
	}
	st, err := open().Status(o.owner)
	if err != nil || st.State != "running" {
		t.Fatalf("status = %+v, %v", st, err)
	}
	var out keeptest.Buffer
	for range 50 {
		if out = (keeptest.Buffer{}); out.String() != "" {
			break
		}
		if _, err := open().Logs(context.Background(), o.owner, false, &out, nil, nil); err != nil {
			t.Fatal(err)
		}
		if out.String() == "sleeping\n" {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if out.String() != "sleeping\n" {
		t.Errorf("log = %q", out.String())
	}

	// Somebody else's key opens nothing.
	s := open()
	_, err = s.Status(keeptest.NewOwner(t))
	wantRefusal(t, err, session.CodeNotOwner)

	exit, err := open().Stop(context.Background(), o.owner)
	if err != nil || exit.End != session.EndStopped {
		t.Fatalf("stop = %+v, %v", exit, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := o.k.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	checkRecord(t, o)
}

// checkRecord opens what the Keep left with its host, and attacks it as the
// host would.
func checkRecord(t *testing.T, o *outcome) {
	t.Helper()
	sealed := o.k.Spooled()
	key := o.started.Running.ChannelKey
	rec, err := client.OpenRecord(sealed, o.owner, key)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Exit.End != session.EndStopped || len(rec.Log) != 1 || string(rec.Log[0].Data) != "sleeping\n" {
		t.Errorf("record = %+v", rec)
	}
	if bytes.Contains(sealed, []byte("sleeping")) {
		t.Error("the spooled record is readable")
	}
	if len(sealed)%1024 == 0 || len(sealed) > 6<<10 {
		t.Logf("sealed size %d", len(sealed))
	}
	for i := 0; i < len(sealed); i += 97 {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := client.OpenRecord(bad, o.owner, key); err == nil {
			t.Fatalf("a record with byte %d changed was accepted", i)
		}
	}
	if _, err := client.OpenRecord(sealed, keeptest.NewOwner(t), key); err == nil {
		t.Error("another owner opened the record")
	}
	// The host knows no owner key, but suppose it did: it still cannot sign.
	_, forger, _ := ed25519.GenerateKey(nil)
	pub := o.owner.Public()
	forged, err := session.SealRecord(rec, forger, &pub)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.OpenRecord(forged, o.owner, key); err == nil {
		t.Error("a record signed by another key was accepted")
	}
}

func TestLogLossIsShown(t *testing.T) {
	o := run(t, job{platform: attest.PlatformSim, args: []string{"flood", "3000"}, deploy: func(d *client.Deployment) { d.Run.Detached = true; d.Evidence = true }})
	if o.err != nil {
		t.Fatal(o.err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := o.k.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	rec, err := client.OpenRecord(o.k.Spooled(), o.owner, o.started.Running.ChannelKey)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range rec.Log {
		n += len(c.Data)
	}
	if total := uint64(n) + rec.Lost; total != 3000*1000+8 || rec.Lost == 0 {
		t.Errorf("%d bytes held, %d lost, expected %d together", n, rec.Lost, 3000*1000+8)
	}
}

func TestLostSessionEndsTheWorkload(t *testing.T) {
	k := keeptest.Start(t, keeptest.Config{})
	s := k.Admit(t)
	b, digest := keeptest.Bundle(t, actorModule(t), func(p *workload.Package) { p.Config.Args = []string{"sleep"} })
	go s.Deploy(context.Background(), client.Deployment{
		Bundle: b, Digest: digest, Owner: keeptest.NewOwner(t), OnRunning: func(*client.Started) { s.Close() },
	}, client.Demand{})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := k.Wait(ctx); err != nil {
		t.Fatalf("the keep outlived its session: %v", err)
	}
}
