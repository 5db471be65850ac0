// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keeptest_test

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/vtpm"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/internal/swtpmtest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/workload"
)

// A Keep with a TPM that has proven what it has booted still refuses a workload
// that asks for confidentiality, and says why to a client that sent it all the
// same.
func TestInvariant1NoSilentDowngrade_ConfidentialOnVTPM(t *testing.T) {
	maker := swtpmtest.NewMaker(t, t.TempDir())
	conn := maker.Make(t).PowerOn(t)
	keeptest.Boot(t, conn, keeptest.Events(t, keeptest.BootLog))
	device, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
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
	b, digest := keeptest.Bundle(t, []byte("list"), func(p *workload.Package) { p.Config.Confidential = true })
	_, exit, err := s.Deploy(t.Context(), client.Deployment{Bundle: b, Digest: digest, Owner: keeptest.NewOwner(t)}, d)
	var refused *session.Refused
	if !errors.As(err, &refused) || refused.Code != session.CodeConfidential {
		t.Errorf("%v, %+v; expected a refusal with code %s", err, exit, session.CodeConfidential)
	}
}
