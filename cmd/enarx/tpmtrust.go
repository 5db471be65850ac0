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
	"github.com/enarx/enarx-go/attest/appraisal"
	"github.com/enarx/enarx-go/attest/vtpm"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/image"
	"github.com/enarx/enarx-go/loader/qemu"
	"github.com/enarx/enarx-go/measure/release"
)

// maxTPMRoots bounds a file of the roots of TPM makers, of which there are some
// hundred.
const maxTPMRoots = 1 << 20

// tpmRoots reads the files of --tpm-root, and says for people where the roots
// came from.
func tpmRoots(paths []string) (roots []*x509.Certificate, source string, err error) {
	for _, path := range paths {
		b, err := readLimited(path, "the root of TPMs", maxTPMRoots, exitUsage)
		if err != nil {
			return nil, "", err
		}
		some, err := vtpm.ParseRoots(b)
		if err != nil {
			return nil, "", fail(exitUsage, "name the root of the TPM's maker, or the vtpm-root.pem of an agent's state directory", fmt.Errorf("--tpm-root %s: %w", path, err))
		}
		roots = append(roots, some...)
	}
	if len(paths) > 0 {
		source = "--tpm-root " + strings.Join(paths, ", ")
	}
	return roots, source, nil
}

// tpmOptions are what flags and policy ask of a TPM.
func (f *trustFlags) tpmOptions(p appraisal.VTPMPolicy) (o vtpm.Options, err error) {
	if p.Roots, p.RootSource, err = tpmRoots(f.tpmRoot); err != nil {
		return o, err
	}
	if o = p.Options(); len(o.Roots) == 0 {
		return o, failf(exitUsage, "name a root that is in the policy's list; the list holds SHA-256 digests of certificates in DER (openssl x509 -outform DER | sha256sum)",
			"--tpm-root %s: none of its %d certificates is among the roots in [vtpm] of %s", strings.Join(f.tpmRoot, ", "), len(p.Roots), f.policy)
	}
	return o, nil
}

// acceptTPM has a demand take the evidence of TPMs, with a conversation of each
// session's own. A software TPM is made when its Keep starts, so its certificate
// is younger than the command.
func acceptTPM(d *client.Demand, o vtpm.Options) {
	own := d.Collateral
	d.Verifiers = append(d.Verifiers, appraisal.TPMVerifier(o)) // for what was saved
	d.Challenger = func(hints attest.Collateral) (attest.Challenger, attest.Verifier) {
		return appraisal.TPMSession(o, append(append(attest.Collateral{}, own...), hints...), time.Now(), rand.Reader)
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
