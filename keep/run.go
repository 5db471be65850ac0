// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/keep/child"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/keep/socket"
	"github.com/enarx/enarx-go/sallyport"
	"github.com/enarx/enarx-go/workload"
)

// running is what owner sessions may ask about while the workload runs.
type running struct {
	started uint64 // trusted time, nanoseconds
	ports   []session.Port
	cert    []byte // identity certificate, DER
	log     *outputLog
}

// descriptors are the two ends of everything the child is given.
type descriptors struct {
	child  []int                 // handed over, then closed here
	std    map[workload.Kind]int // the child's end of each standard stream, one of child
	stdin  *os.File
	stdout *os.File
	stderr *os.File
}

func (d *descriptors) closeChild() {
	for _, fd := range d.child {
		unix.Close(fd)
	}
	d.child, d.std = nil, nil
}

func (d *descriptors) close() {
	d.closeChild()
	for _, f := range []*os.File{d.stdin, d.stdout, d.stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// run runs the workload to its end and says how it ended.
func (k *Keep) run(ctx context.Context, c *claimant, w *work) session.Exit {
	k.steps.reset()
	cert, err := k.id.certificate(w.run.Names, k.clock.Now())
	if err != nil {
		return setupError(err)
	}
	sockets := socket.New(k.port, cert, func() (*x509.CertPool, error) { return roots(w.parsed) }, k.clock.Now)
	defer sockets.Close()
	fds := &descriptors{}
	defer fds.close()
	r := &running{cert: cert.Certificate[0], log: newOutputLog()}
	if err := k.open(w, sockets, fds, r); err != nil {
		return setupError(err)
	}
	asks, theirs, err := k.newBroker(w.config, cert.Certificate)
	if err != nil {
		return setupError(err)
	}
	fds.child = append(fds.child, theirs)
	go asks.serve()
	defer asks.close()
	k.steps.mark("open sockets")

	job, err := k.job(w)
	if err != nil {
		return setupError(err)
	}
	// From here on evidence says "running": the bundle is accepted and goes
	// to the child whatever happens next.
	k.mu.Lock()
	k.state, k.running = attest.StateRunning, r
	k.mu.Unlock()
	var timeout <-chan time.Time
	if ms := w.config.Limits.TimeoutMS; ms > 0 {
		t := time.NewTimer(time.Duration(ms) * time.Millisecond)
		defer t.Stop()
		timeout = t.C
	}
	over := make(chan struct{})
	defer close(over)
	go k.watch(timeout, over, c.conn)
	go k.keepAlive(c.conn, over)
	in := k.attend(c, w, fds)
	defer in.close()
	compiled, done, err := k.engine.start(fds.child, job)
	fds.closeChild()
	k.steps.mark("compile")
	if err != nil || done != nil {
		return k.end(done, err)
	}
	if err := k.announce(ctx, c, w, r, compiled); err != nil {
		k.requestStop(sessionLost)
	}
	k.port.Log(sallyport.LogRunning)
	done, err = k.pump(c, w, fds, r, in)
	return k.end(done, err)
}

// roots are the CA certificates that outgoing TLS connections are judged by:
// the bundle's own, or Mozilla's as they were when this Keep was built; never
// the host's.
func roots(b *workload.Bundle) (*x509.CertPool, error) {
	pemBytes := b.CARoots()
	if len(pemBytes) == 0 {
		return mozillaRoots()
	}
	pool := x509.NewCertPool()
	for n := 1; len(bytes.TrimSpace(pemBytes)) > 0; n++ {
		var block *pem.Block
		if block, pemBytes = pem.Decode(pemBytes); block == nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("entry %d of the bundle's CA roots is no certificate", n)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("entry %d of the bundle's CA roots: %w", n, err)
		}
		pool.AddCert(c)
	}
	return pool, nil
}

func setupError(err error) session.Exit {
	return session.Exit{End: session.EndSetup, Reason: clip(err.Error())}
}

// clip makes a text fit for a message.
func clip(s string) string { return session.Text(s) }

// open makes a descriptor for each entry of the configuration's files, in
// order.
func (k *Keep) open(w *work, sockets *socket.Set, d *descriptors, r *running) error {
	d.child = append(d.child, dup(w.bundle.fd), dup(w.secrets.fd))
	for i, f := range w.config.Files {
		var fd int
		var err error
		switch f.Kind {
		case workload.KindNull:
			continue
		case workload.KindStdin, workload.KindStdout, workload.KindStderr:
			fd, err = d.stdPipe(f.Kind)
		case workload.KindConnect:
			fd, err = sockets.Connect(f)
		case workload.KindListen:
			var bound string
			fd, bound, err = sockets.Listen(f, publishWish(w.run.Publish, f.Port))
			r.ports = append(r.ports, session.Port{Name: f.Name, Guest: f.Port, Bound: clip(bound)})
		default:
			err = fmt.Errorf("kind %q of descriptor %d is not known", f.Kind, i)
		}
		if err != nil {
			return err
		}
		d.child = append(d.child, fd)
	}
	return nil
}

func dup(fd int) int {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1 // sending it fails with a clear error
	}
	return n
}

func publishWish(wishes []session.Publish, port uint16) string {
	for _, p := range wishes {
		if p.Guest == port {
			return p.Host
		}
	}
	return ""
}

// pipeSize is the buffer of an output stream: large writes of a workload cross
// to the parent without waiting for each 64 KiB.
const pipeSize = 256 << 10

// stdPipe makes the pipe of a standard stream and returns the child's end. A
// stream that the configuration lists more than once is one stream with
// several descriptors.
func (d *descriptors) stdPipe(kind workload.Kind) (int, error) {
	if fd, ok := d.std[kind]; ok {
		return dup(fd), nil
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, fmt.Errorf("make a pipe for %s: %w", kind, err)
	}
	unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, pipeSize) // only speed depends on it
	r, w := p[0], p[1]
	theirs := w
	switch kind {
	case workload.KindStdin:
		d.stdin, theirs = os.NewFile(uintptr(w), "stdin"), r
	case workload.KindStdout:
		d.stdout = os.NewFile(uintptr(r), "stdout")
	case workload.KindStderr:
		d.stderr = os.NewFile(uintptr(r), "stderr")
	}
	if d.std == nil {
		d.std = map[workload.Kind]int{}
	}
	d.std[kind] = theirs
	return theirs, nil
}

// job is what the child is told.
func (k *Keep) job(w *work) (*child.Job, error) {
	m, err := monotonic()
	if err != nil {
		return nil, err
	}
	return &child.Job{
		WallNS:      uint64(k.clock.Now().UnixNano()),
		MonoNS:      m,
		BundleSize:  w.bundle.size,
		SecretsSize: w.secrets.size,
		Dirs:        k.launch.Dirs,
		CacheDir:    k.launch.CacheDir,
	}, nil
}

// announce tells the owner that the workload runs, and how to reach it.
func (k *Keep) announce(ctx context.Context, c *claimant, w *work, r *running, compiled *child.Compiled) error {
	k.mu.Lock()
	r.started = uint64(k.clock.Now().UnixNano())
	k.mu.Unlock()
	b, err := session.Encode(&session.Running{
		IdentityCert: r.cert, Ports: r.ports, Engine: compiled.Engine, Steps: k.steps.all(),
	})
	if err != nil {
		return err
	}
	if err := c.conn.WriteMessage(session.TypeRunning, b); err != nil || !w.run.Evidence {
		return err
	}
	return k.sendEvidence(ctx, c.conn)
}

// requestStop asks for the end of the workload; the first reason stands.
func (k *Keep) requestStop(e session.Exit) {
	k.once.Do(func() {
		k.mu.Lock()
		k.stopped = &e
		k.mu.Unlock()
		close(k.stop)
	})
}

// watch ends the child when the owner, the session's loss or the clock says
// so. From then on the session's other end has a bounded time to take what is
// left: a stalled one would otherwise keep the Keep alive.
func (k *Keep) watch(timeout <-chan time.Time, over <-chan struct{}, conn *session.Conn) {
	select {
	case <-k.stop:
	case <-timeout:
		k.requestStop(session.Exit{End: session.EndTimeout, Reason: "the wall-time limit was reached"})
	case <-k.port.Done():
		// The host has gone; nothing of the workload shall outlive it.
		k.requestStop(session.Exit{End: session.EndStopped, Reason: "the host closed the sallyport"})
	case <-over:
		return
	}
	k.engine.kill()
	// A peer that does not read must not keep the end from coming: not the
	// limit's, not the owner's, not the wipe.
	conn.SetWriteDeadline(time.Now().Add(farewell))
}

// end turns what is known into the end that the owner is told. The child's own
// word comes first: a workload that ended by itself was not stopped.
func (k *Keep) end(d *child.Done, err error) session.Exit {
	k.engine.kill()
	if d != nil {
		e := session.Exit{End: session.EndExit, Code: d.Code, Reason: clip(d.Reason), Trace: clip(d.Trace)}
		switch d.End {
		case child.DoneTrap:
			e.End = session.EndTrap
		case child.DoneSetup:
			e.End = session.EndSetup
		}
		return e
	}
	k.mu.Lock()
	stopped := k.stopped
	k.mu.Unlock()
	if stopped != nil {
		return *stopped
	}
	reason := "the engine child ended without a word"
	switch sig := k.engine.signal(); sig {
	case 0:
		if err != nil {
			reason += ": " + err.Error()
		}
	case unix.SIGSYS:
		reason = "the engine child made a system call that its sandbox denies"
	case unix.SIGKILL:
		reason = "the engine child was killed from outside: out of memory, or by the host"
	default:
		reason = "the engine child was ended by signal " + sig.String()
	}
	return session.Exit{End: session.EndKilled, Reason: clip(reason), Trace: clip(k.engine.lastWords())}
}

// sessionLost is the end of a workload whose attached session broke: nobody is
// there to hear it, and its owner did not ask for it to stay.
var sessionLost = session.Exit{End: session.EndStopped, Reason: "the session it was attached to was lost"}

// pump moves the standard streams until the child has said how it ended and
// everything it wrote has been passed on.
func (k *Keep) pump(c *claimant, w *work, d *descriptors, r *running, in *stdin) (*child.Done, error) {
	sink := func(t session.Type, p []byte) { r.log.write(t == session.TypeStderr, p) }
	if w.run.Detached {
		go k.afterDetach(c)
	} else {
		in.open()
		// A slow reader at the other end holds the workload back. What went
		// there is in no log, and the record says so.
		sink = func(t session.Type, p []byte) {
			r.log.passed(len(p))
			if err := c.conn.WriteStream(t, p); err != nil {
				k.requestStop(sessionLost)
			}
		}
	}
	var out sync.WaitGroup
	if d.stdout != nil {
		out.Go(func() { copyOut(d.stdout, session.TypeStdout, sink) })
	}
	if d.stderr != nil {
		out.Go(func() { copyOut(d.stderr, session.TypeStderr, sink) })
	}
	done, err := k.engine.wait()
	// Whatever the child would still do after its last word, or after a
	// breach of its protocol, it shall not.
	k.engine.kill()
	out.Wait()
	r.log.close()
	return done, err
}

// copyOut reads one output stream to its end.
func copyOut(f *os.File, t session.Type, sink func(session.Type, []byte)) {
	buf := make([]byte, session.StreamBatch)
	for {
		n, err := f.Read(buf)
		if n > 0 {
			sink(t, buf[:n])
		}
		if err != nil {
			return
		}
	}
}
