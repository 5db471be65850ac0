// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/workload"
)

// Deployment is what is sent to a Keep that has passed, and how its streams
// are connected.
type Deployment struct {
	// Bundle in canonical form, and its digest.
	Bundle []byte
	Digest workload.Digest
	// Secrets are the values of the declared secrets.
	Secrets map[string][]byte
	// Owner is this deployment's own key.
	Owner *session.OwnerKey
	// Run says how: detached, where listeners should be, names for the
	// identity certificate.
	Run session.Run
	// Stdin may be nil: the workload then reads end of file. Stdout and
	// Stderr may be nil: output is dropped.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Signals are passed on to the workload, which they end.
	Signals <-chan syscall.Signal
	// OnStep, if not nil, hears how long each step took.
	OnStep func(step string, took time.Duration)
	// OnRunning, if not nil, is called when the workload runs.
	OnRunning func(*Started)
	// Evidence asks for evidence of the running Keep, for a receipt.
	Evidence bool
}

// Started is a workload that runs.
type Started struct {
	// Certificate is the workload's identity certificate: it is in the hands
	// of the key that the evidence named.
	Certificate *x509.Certificate
	Ports       []session.Port // the host's word
	Engine      string
	Steps       []session.Step
	// Running is the appraisal of the running Keep, if it was asked for.
	Running *Appraisal
}

// Deploy claims the Keep that s has appraised, sends the workload and follows
// it: to its end, or with Run.Detached until it runs. The error is about this
// client, the channel or the Keep; how the workload ended is in Exit, which is
// nil after a detached start.
func (s *Session) Deploy(ctx context.Context, d Deployment, post Demand) (*Started, *session.Exit, error) {
	if s.admitted == nil {
		return nil, nil, errNotAppraised
	}
	if s.state != attest.StateEmpty {
		return nil, nil, errNotEmpty
	}
	defer context.AfterFunc(ctx, func() { s.tunnel.Close() })()
	step := stepper(d.OnStep)
	key, err := s.claim(d)
	if err != nil {
		return nil, nil, err
	}
	step("claim")
	if err := s.sendBundle(d); err != nil {
		return nil, nil, err
	}
	step("send bundle")
	if err := s.sendSecrets(d, key); err != nil {
		return nil, nil, err
	}
	d.Run.Evidence = d.Evidence
	if err := s.send(session.TypeRun, &d.Run); err != nil {
		return nil, nil, broke("while the workload was being sent", err)
	}
	// From here on the Keep's own signs of life and the context are the bounds.
	if err := s.within(0); err != nil {
		return nil, nil, broke("while the workload was being sent", err)
	}
	st, exit, err := s.awaitStart(ctx)
	if err != nil || exit != nil {
		return nil, exit, err
	}
	step("start")
	if d.Evidence {
		if st.Running, err = s.reappraise(d, post); err != nil {
			return nil, nil, err
		}
		step("evidence of the running keep")
	}
	if d.OnRunning != nil {
		d.OnRunning(st)
	}
	if d.Run.Detached {
		return st, nil, nil
	}
	exit, err = s.follow(ctx, d)
	step("run")
	return st, exit, err
}

func stepper(f func(string, time.Duration)) func(string) {
	last := time.Now()
	return func(name string) {
		now := time.Now()
		if f != nil {
			f(name, now.Sub(last))
		}
		last = now
	}
}

func (s *Session) send(t session.Type, v any) error {
	b, err := session.Encode(v)
	if err != nil {
		return err
	}
	return s.sayWhy(s.conn.WriteMessage(t, b))
}

// sayWhy looks for the Keep's own words when a write fails: it sends its
// reason before it closes.
func (s *Session) sayWhy(err error) error {
	if err == nil {
		return nil
	}
	s.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	t, p, rerr := s.conn.ReadMessage()
	if rerr == nil && t == session.TypeRefused {
		var r session.Refused
		if session.Decode(p, &r) == nil {
			return &r
		}
	}
	return err
}

// claim takes the Keep. Its answer is the first message that could tell a
// Keep that was empty from one that no longer is.
func (s *Session) claim(d Deployment) (secretsKey []byte, err error) {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	c := session.Claim{Owner: d.Owner.Public(), TimeNS: uint64(time.Now().UnixNano()), SecretsKey: key}
	if err := s.within(session.ExchangeTimeout); err != nil {
		return nil, broke("while the keep was being claimed", err)
	}
	if err := s.send(session.TypeClaim, &c); err != nil {
		return nil, broke("while the keep was being claimed", err)
	}
	if _, err := s.conn.Expect(session.TypeClaimed); err != nil {
		return nil, broke("while the keep was being claimed", err)
	}
	return key, nil
}

func (s *Session) sendBundle(d Deployment) error {
	if err := s.within(session.BundleTimeout); err != nil {
		return broke("while the bundle was being sent", err)
	}
	h := session.BundleHeader{Size: uint64(len(d.Bundle)), Digest: d.Digest[:]}
	if err := s.send(session.TypeBundle, &h); err != nil {
		return broke("while the bundle was being sent", err)
	}
	total := workload.PadmeSize(uint64(len(d.Bundle)))
	zero := make([]byte, session.StreamBatch)
	for off := uint64(0); off < total; {
		// Frames are full but for the last, so that sizes tell no more than
		// the padded total does.
		n := min(session.StreamBatch, total-off)
		var p []byte
		if off+n <= uint64(len(d.Bundle)) {
			p = d.Bundle[off : off+n]
		} else {
			clear(zero[:n])
			if off < uint64(len(d.Bundle)) {
				copy(zero, d.Bundle[off:])
			}
			p = zero[:n]
		}
		if err := s.conn.WriteStream(session.TypeData, p); err != nil {
			return broke("while the bundle was being sent", s.sayWhy(err))
		}
		off += n
	}
	p, err := s.conn.Expect(session.TypeAccepted)
	if err != nil {
		return broke("while the keep was checking the bundle", err)
	}
	var acc session.Accepted
	if err := session.Decode(p, &acc); err != nil {
		return err
	}
	if !bytes.Equal(acc.Digest, d.Digest[:]) {
		return fmt.Errorf("the keep says it accepted %x, sent was %v: do not trust it", acc.Digest, d.Digest)
	}
	return nil
}

func (s *Session) sendSecrets(d Deployment, key []byte) error {
	defer clear(key)
	if len(d.Secrets) == 0 {
		return nil
	}
	sealed, err := session.SealSecrets(key, d.Digest, d.Secrets)
	if err != nil {
		return err
	}
	return broke("while the secrets were being sent", s.sayWhy(s.conn.WriteMessage(session.TypeSecrets, sealed)))
}

// awaitStart waits for "running", or for an end that came before it. How long
// a module compiles is the workload's affair, but a Keep that compiles speaks.
func (s *Session) awaitStart(ctx context.Context) (*Started, *session.Exit, error) {
	for {
		if err := s.conn.SetReadDeadline(time.Now().Add(session.Silence)); err != nil {
			return nil, nil, broke("before the workload ran", err)
		}
		t, p, err := s.conn.ReadMessage()
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, nil, broke("before the workload ran", err)
		}
		switch t {
		case session.TypePing:
		case session.TypeRunning:
			st, err := s.started(p)
			return st, nil, err
		case session.TypeExit:
			e, err := decodeExit(p)
			return nil, e, err
		case session.TypeRefused:
			return nil, nil, refusalOf(p)
		default:
			return nil, nil, fmt.Errorf("attested channel: seen a message of type %d, expected that the workload runs", t)
		}
	}
}

func (s *Session) started(p []byte) (*Started, error) {
	var r session.Running
	if err := session.Decode(p, &r); err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(bytes.Clone(r.IdentityCert))
	if err != nil {
		return nil, fmt.Errorf("identity certificate: %w", err)
	}
	// The certificate is worth what the evidence said about its key.
	if !bytes.Equal(cert.RawSubjectPublicKeyInfo, s.admitted.Message.IdentityKey) {
		return nil, errors.New("identity certificate: its key is not the identity key of the evidence; do not trust this keep")
	}
	return &Started{Certificate: cert, Ports: r.Ports, Engine: r.Engine, Steps: r.Steps}, nil
}

// reappraise takes the evidence that the Keep now runs this bundle for this
// owner, which follows "running" before any output.
func (s *Session) reappraise(d Deployment, post Demand) (*Appraisal, error) {
	owner := d.Owner.Public()
	h, err := owner.Hash()
	if err != nil {
		return nil, err
	}
	digest := [32]byte(d.Digest)
	post.State, post.OwnerKeyHash, post.BundleDigest = attest.StateRunning, &h, &digest
	post.ChannelKey = s.admitted.ChannelKey
	a, err := s.receiveEvidence(post, "before the evidence of the running keep came")
	if err != nil {
		s.admitted = nil // it is not what it was taken for
		return nil, err
	}
	return a, nil
}

func decodeExit(p []byte) (*session.Exit, error) {
	var e session.Exit
	if err := session.Decode(p, &e); err != nil {
		return nil, err
	}
	e.Pad = nil // it has done its work on the wire
	return &e, nil
}

// follow moves the standard streams until the workload ends.
func (s *Session) follow(ctx context.Context, d Deployment) (*session.Exit, error) {
	in := &credit{cond: sync.NewCond(&sync.Mutex{})}
	defer in.close()
	go s.feed(d.Stdin, in)
	if d.Signals != nil {
		done := make(chan struct{})
		defer close(done)
		go func() {
			for {
				select {
				case sig := <-d.Signals:
					s.conn.WriteMessage(session.TypeSignal, []byte{byte(sig)})
				case <-done:
					return
				}
			}
		}()
	}
	return s.receive(ctx, d.Stdout, d.Stderr, in, nil)
}

// receive takes output until the exit message. A Keep that is silent for
// session.Silence is given up: an honest one speaks more often.
func (s *Session) receive(ctx context.Context, stdout, stderr io.Writer, in *credit, lost func(uint64)) (*session.Exit, error) {
	out := newOutlet()
	exit, err := s.receiveAll(ctx, out, stdout, stderr, in, lost)
	if ferr := out.finish(ctx); ferr != nil && (err == nil || errors.Is(err, errStatus)) {
		err = ferr
	}
	return exit, err
}

func (s *Session) receiveAll(ctx context.Context, out *outlet, stdout, stderr io.Writer, in *credit, lost func(uint64)) (*session.Exit, error) {
	for {
		if err := s.conn.SetReadDeadline(time.Now().Add(session.Silence)); err != nil {
			return nil, broke("while the workload ran", err)
		}
		t, p, err := s.conn.ReadMessage()
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, broke("while the workload ran", err)
		}
		switch t {
		case session.TypeStdout:
			err = out.put(ctx, stdout, "stdout", p)
		case session.TypeStderr:
			err = out.put(ctx, stderr, "stderr", p)
		case session.TypeCredit:
			if in == nil || len(p) != 4 {
				return nil, errors.New("attested channel: a credit message has no place here")
			}
			in.add(binary.BigEndian.Uint32(p))
		case session.TypeLoss:
			if len(p) == 8 && lost != nil {
				lost(binary.BigEndian.Uint64(p))
			}
		case session.TypeExit:
			return decodeExit(p)
		case session.TypePing:
		case session.TypeStatus:
			return nil, errStatus // the end of a log that is not followed
		case session.TypeRefused:
			return nil, refusalOf(p)
		default:
			return nil, fmt.Errorf("attested channel: a message of type %d has no place here", t)
		}
		if err != nil {
			return nil, err
		}
	}
}

// refusalOf is the Keep's refusal as an error.
func refusalOf(p []byte) error {
	var r session.Refused
	if err := session.Decode(p, &r); err != nil {
		return err
	}
	return &r
}

// OutputError says that the workload's output could not be passed on here.
type OutputError struct {
	Stream string
	Err    error
}

func (e *OutputError) Error() string {
	return "write the workload's " + e.Stream + ": " + e.Err.Error()
}
func (e *OutputError) Unwrap() error { return e.Err }

// credit is how much of stdin the Keep has room for.
type credit struct {
	cond   *sync.Cond
	n      int
	closed bool
}

func (c *credit) add(n uint32) {
	c.cond.L.Lock()
	defer c.cond.L.Unlock()
	c.n = min(c.n+int(n), session.StdinWindow)
	c.cond.Signal()
}

// take waits for credit and takes at most most bytes of it; 0 means closed.
func (c *credit) take(most int) int {
	c.cond.L.Lock()
	defer c.cond.L.Unlock()
	for c.n == 0 && !c.closed {
		c.cond.Wait()
	}
	if c.closed {
		return 0
	}
	n := min(c.n, most)
	c.n -= n
	return n
}

func (c *credit) give(n int) {
	c.cond.L.Lock()
	defer c.cond.L.Unlock()
	c.n += n
}

func (c *credit) close() {
	c.cond.L.Lock()
	defer c.cond.L.Unlock()
	c.closed = true
	c.cond.Broadcast()
}

// feed sends stdin, no faster than the workload reads.
func (s *Session) feed(r io.Reader, c *credit) {
	if r == nil {
		s.conn.WriteMessage(session.TypeStdin, nil)
		return
	}
	buf := make([]byte, 32<<10)
	for {
		n := c.take(len(buf))
		if n == 0 {
			return
		}
		m, err := r.Read(buf[:n])
		c.give(n - m)
		if m > 0 && s.conn.WriteMessage(session.TypeStdin, buf[:m]) != nil {
			return
		}
		if err != nil {
			// End of file, or an input that cannot be read any more: the
			// workload sees the end either way.
			s.conn.WriteMessage(session.TypeStdin, nil)
			return
		}
	}
}
