// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/vtpm"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/image"
	"github.com/enarx/enarx-go/loader/qemu"
	"github.com/enarx/enarx-go/measure/release"
)

// maxTPMRoots bounds a file of the roots of TPM makers, of which there are some
// hundred.
const maxTPMRoots = 1 << 20

// tpmOptions are what the flags ask of a TPM.
func (f *trustFlags) tpmOptions() (vtpm.Options, error) {
	o := vtpm.Options{RootSource: "--tpm-root " + strings.Join(f.tpmRoot, ", ")}
	for _, path := range f.tpmRoot {
		b, err := readLimited(path, "the root of TPMs", maxTPMRoots, exitUsage)
		if err != nil {
			return o, err
		}
		roots, err := vtpm.ParseRoots(b)
		if err != nil {
			return o, fail(exitUsage, "name the root of the TPM's maker, or the vtpm-root.pem of an agent's state directory", fmt.Errorf("--tpm-root %s: %w", path, err))
		}
		o.Roots = append(o.Roots, roots...)
	}
	return o, nil
}

// acceptTPM has a demand take the evidence of TPMs, with a conversation of each
// session's own. A software TPM is made when its Keep starts, so its certificate
// is younger than the command.
func acceptTPM(d *client.Demand, o vtpm.Options) {
	own := d.Collateral
	d.Verifiers = append(d.Verifiers, vtpm.New(o)) // for what was saved
	d.Challenger = func(hints attest.Collateral) (attest.Challenger, attest.Verifier) {
		s := vtpm.NewSession(o, append(append(attest.Collateral{}, own...), hints...), time.Now(), rand.Reader)
		return s, s
	}
}

// demandTPM is what a local Keep on platform vtpm must show: a TPM of this
// user's own authority that has measured the image which it was started from.
func (r *localRun) demandTPM(ctx context.Context, d client.Demand) (client.Demand, error) {
	state, err := stateDir()
	if err != nil {
		return d, err
	}
	authority, err := qemu.OpenTPMAuthority(filepath.Join(state, tpmAuthorityDir))
	if err != nil {
		return d, fail(exitPlatform, "", err)
	}
	root, err := x509.ParseCertificate(authority.Root)
	if err != nil {
		return d, fail(exitPlatform, "", err)
	}
	dir, err := imageDir(r.f.image)
	if err != nil {
		return d, err
	}
	img, err := image.Open(ctx, dir)
	if err != nil {
		return d, fail(exitPlatform, "enarx image build makes one", err)
	}
	if d.Measurements, err = release.ReferenceValues(img, release.VTPM()); err != nil {
		return d, fail(exitPlatform, "", err)
	}
	acceptTPM(&d, vtpm.Options{
		Roots: []*x509.Certificate{root}, RootSource: "this user's authority of software TPMs", AcceptDebug: true,
	})
	// Nothing to decide: it is this machine's own Keep, and says that its host
	// sees inside.
	d.Decide = func(*attest.Claims, attest.Verdict) error { return nil }
	return d, nil
}
