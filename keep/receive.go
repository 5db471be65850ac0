// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/sallyport"
	"github.com/enarx/enarx-go/workload"
)

// work is what the owner wants run.
type work struct {
	bundle  *area
	parsed  *workload.Bundle
	config  workload.Config
	sealed  []byte // secret values as they came, under the claim's secrets key
	secrets *area  // the values, as the engine child reads them; never empty
	run     session.Run
}

func (w *work) close() {
	if w != nil {
		w.parsed = nil // points into bundle
		w.bundle.close()
		w.secrets.close()
	}
}

// receive takes the bundle, the secret values and the order to run from the
// session that claimed the Keep. One bundle is accepted, once.
func (k *Keep) receive(ctx context.Context, c *claimant) (*work, error) {
	if err := within(c.conn, session.BundleTimeout); err != nil {
		return nil, errClaimLost
	}
	w := &work{}
	if err := k.receiveAll(ctx, c, w); err != nil {
		refuse(c.conn, err)
		w.close()
		if !errors.As(err, new(*session.Refused)) {
			err = errClaimLost
		}
		return nil, err
	}
	return w, nil
}

func (k *Keep) receiveAll(ctx context.Context, c *claimant, w *work) error {
	for {
		t, p, err := c.conn.ReadMessage()
		if err != nil {
			return err
		}
		switch {
		case t == session.TypeHello:
			if c.asked++; c.asked > session.MaxEvidenceRequests {
				return refused(session.CodeBadRequest, "more than %d requests for evidence in one session", session.MaxEvidenceRequests)
			}
			if err := k.evidence(ctx, c.conn, p); err != nil {
				return err
			}
		case t == session.TypeBundle && w.bundle == nil:
			k.steps.reset()
			if err := k.receiveBundle(c.conn, p, w); err != nil {
				return err
			}
			k.steps.mark("receive bundle")
		case t == session.TypeSecrets && w.bundle != nil && w.sealed == nil:
			w.sealed = bytes.Clone(p)
		case t == session.TypeRun && w.bundle != nil:
			if err := session.Decode(p, &w.run); err != nil {
				return refused(session.CodeBadRequest, "%v", err)
			}
			w.run = cloneRun(w.run)
			return within(c.conn, 0)
		default:
			return refused(session.CodeBadRequest, "message type %d has no place here", t)
		}
	}
}

// cloneRun cuts r loose from the connection's buffer.
func cloneRun(r session.Run) session.Run {
	for i := range r.Publish {
		r.Publish[i].Host = strings.Clone(r.Publish[i].Host)
	}
	for i := range r.Names {
		r.Names[i] = strings.Clone(r.Names[i])
	}
	return r
}

// receiveBundle reads the announced bytes into memory that is sealed before
// anything in it is believed.
func (k *Keep) receiveBundle(conn *session.Conn, head []byte, w *work) error {
	var h session.BundleHeader
	if err := session.Decode(head, &h); err != nil {
		return refused(session.CodeBadRequest, "%v", err)
	}
	if h.Size == 0 || h.Size > workload.MaxBundleSize {
		return refused(session.CodeBadBundle, "a bundle of %d bytes; from 1 to %d are accepted", h.Size, uint64(workload.MaxBundleSize))
	}
	want := workload.Digest(h.Digest)
	a, err := newArea("bundle", h.Size)
	if err != nil {
		return refused(session.CodeSetup, "%v", err)
	}
	w.bundle = a
	total := workload.PadmeSize(h.Size)
	for got := uint64(0); got < total; {
		p, err := conn.Expect(session.TypeData)
		if err != nil {
			return err
		}
		if len(p) == 0 || uint64(len(p)) > total-got {
			return refused(session.CodeBadBundle, "the bundle's frames hold more than its padded size of %d bytes", total)
		}
		pad := p
		if got < h.Size {
			n := min(uint64(len(p)), h.Size-got)
			if err := a.write(got, p[:n]); err != nil {
				return refused(session.CodeSetup, "%v", err)
			}
			pad = p[n:]
		}
		for _, b := range pad {
			if b != 0 {
				return refused(session.CodeBadBundle, "the bundle's padding is not zero")
			}
		}
		got += uint64(len(p))
	}
	if err := a.seal(); err != nil {
		return refused(session.CodeSetup, "%v", err)
	}
	if w.parsed, err = workload.Parse(a.mem); err != nil {
		return refused(session.CodeBadBundle, "%v", err)
	}
	if got := w.parsed.Digest(); got != want {
		return refused(session.CodeBadBundle, "the bundle's digest is %v, announced was %v", got, want)
	}
	w.config = w.parsed.Config()
	b, err := session.Encode(&session.Accepted{Digest: want[:]})
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.bundleD = want
	k.mu.Unlock()
	k.port.Log(sallyport.LogAccepted)
	return conn.WriteMessage(session.TypeAccepted, b)
}

// check is everything that must hold before a byte of the workload is run.
func (k *Keep) check(c *claimant, w *work) error {
	err := k.checkAll(c, w)
	if err != nil {
		refuse(c.conn, err)
	}
	return err
}

func (k *Keep) checkAll(c *claimant, w *work) error {
	if err := w.config.Validate(); err != nil {
		return refused(session.CodeBadBundle, "%v", err)
	}
	if w.config.Confidential && !confidentialOn(k.start.Platform) {
		return refused(session.CodeConfidential, "the workload asks for confidentiality (confidential = true) and platform %s has none: the host sees inside", k.start.Platform)
	}
	values := map[string][]byte{}
	if w.sealed != nil {
		var err error
		if values, err = session.OpenSecrets(c.secretsKey, w.parsed.Digest(), w.sealed); err != nil {
			return refused(session.CodeBadRequest, "%v", err)
		}
	}
	clear(c.secretsKey)
	var names []string
	for _, s := range w.config.Secrets {
		names = append(names, s.Name)
		if _, ok := values[s.Name]; !ok {
			return refused(session.CodeBadRequest, "no value came for the declared secret %q", s.Name)
		}
	}
	for n := range values {
		if !slices.Contains(names, n) {
			return refused(session.CodeBadRequest, "a value came for secret %q, which the workload does not declare", n)
		}
	}
	return k.storeSecrets(w, values)
}

// confidentialOn is the whole list of platforms on which the host does not see
// inside. A platform that is not on it runs no workload that asks for
// confidentiality (invariant 1).
func confidentialOn(platform string) bool {
	switch platform {
	case attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX:
		return true
	}
	return false
}

func (k *Keep) storeSecrets(w *work, values map[string][]byte) error {
	b, err := session.Encode(values)
	if err != nil {
		return err
	}
	a, err := newArea("secrets", uint64(len(b)))
	if err != nil {
		return refused(session.CodeSetup, "%v", err)
	}
	w.secrets = a
	err = a.write(0, b)
	clear(b)
	for _, v := range values {
		clear(v)
	}
	if err == nil {
		err = a.seal()
	}
	if err != nil {
		return refused(session.CodeSetup, "%v", err)
	}
	return nil
}
