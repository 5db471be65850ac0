// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keeptest_test

import (
	"errors"
	"testing"

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
	_, s, d := proven(t, maker, maker.Make(t))
	b, digest := keeptest.Bundle(t, []byte("list"), func(p *workload.Package) { p.Config.Confidential = true })
	_, exit, err := s.Deploy(t.Context(), client.Deployment{Bundle: b, Digest: digest, Owner: keeptest.NewOwner(t)}, d)
	var refused *session.Refused
	if !errors.As(err, &refused) || refused.Code != session.CodeConfidential {
		t.Errorf("%v, %+v; expected a refusal with code %s", err, exit, session.CodeConfidential)
	}
}
