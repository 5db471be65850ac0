// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/policy"
)

// maxRootFile bounds the file of a sim root, one certificate.
const maxRootFile = 64 << 10

// trust turns the trust flags into what an empty Keep must show. The platform
// itself is set by the caller.
func (a *app) trust(f *trustFlags) (client.Demand, error) {
	d, err := a.verifiers(f)
	if err != nil || f.noTEE {
		return d, err
	}
	if d.Measurements, err = a.references(f, d.At); err != nil {
		return d, err
	}
	d.Decide = f.rule().Hook()
	return d, nil
}

// verifiers are those that the flags allow.
func (a *app) verifiers(f *trustFlags) (client.Demand, error) {
	d := client.Demand{State: attest.StateEmpty, At: time.Now(), InsecureNoTEE: f.noTEE}
	if f.noTEE && f.policy != "" {
		return d, failf(exitUsage, "leave --policy out, or deploy to snp, tdx or sgx",
			"--policy with --insecure-no-tee: without evidence there is nothing to hold against a policy")
	}
	policy, err := readPolicy(f.policy)
	if err != nil {
		return d, err
	}
	if d.Collateral, err = a.collateralFor(f.collateral); err != nil {
		return d, err
	}
	f.accepted, f.engines, f.unproven, d.TCB = policy.Platforms, policy.Engines, policy.VTPM.AcceptUnprovenActivation, policy.TCB
	d.Verifiers = appraisal.KeepVerifiers(policy)
	if len(f.tpmRoot) > 0 {
		o, err := f.tpmOptions(policy.VTPM)
		if err != nil {
			return d, err
		}
		acceptTPM(&d, o)
	}
	if f.simRoot == "" {
		return d, nil
	}
	b, err := readLimited(f.simRoot, "the sim root", maxRootFile, exitUsage)
	if err != nil {
		return d, err
	}
	root, err := sim.ParseRoot(b)
	if err != nil {
		return d, fail(exitUsage, "name the sim-root.pem of an agent's state directory", fmt.Errorf("--insecure-sim-root %s: %w", f.simRoot, err))
	}
	// No other verifier counts on a command that names a sim root.
	d.Verifiers = []attest.Verifier{sim.New(root)}
	return d, nil
}

// references are the accepted launch measurements: those of --reference, or
// without it the ones that belong to this enarx and those that were added with
// enarx reference add. The first never adds to the others: who names reference
// values means these and no others. All are read anew for every check, so that
// what was removed, or has ended, no longer counts. Of all of them, only those of
// an engine that the policy file accepts are left.
func (a *app) references(f *trustFlags, at time.Time) ([]attest.ReferenceValue, error) {
	refs, err := a.allReferences(f, at)
	p := appraisal.Policy{Engines: f.engines}
	accepted := p.References(refs)
	if err == nil && len(refs) > 0 && len(accepted) == 0 {
		return nil, failf(exitAttest, "name reference values of a Keep with an accepted engine, or accept another one in the policy; nothing has left this machine",
			"--policy %s: none of the %d reference values says that it is of an engine that engines accepts", f.policy, len(refs))
	}
	return accepted, err
}

func (a *app) allReferences(f *trustFlags, at time.Time) ([]attest.ReferenceValue, error) {
	if len(f.reference) > 0 {
		return readReferences(f.reference, f.referenceKey, at)
	}
	if len(f.referenceKey) > 0 {
		return nil, failf(exitUsage, "name the reference values with --reference FILE", "--reference-key without --reference")
	}
	refs, err := storedReferences(at)
	if err != nil {
		return nil, err
	}
	digest, ok := keepSHA256()
	if !ok && len(refs) == 0 {
		return nil, failf(exitUsage, "build it with make build, or name reference values with --reference FILE --reference-key FILE",
			"this enarx does not know which Keep runtime to expect: it was built without its digest")
	}
	own, err := builtin(digest)
	if err != nil {
		return nil, err
	}
	return append(own, refs...), nil
}

// rule is what policy demands: hardware, unless a root of simulated hardware or
// of TPMs was named, and of it what the policy file accepts.
func (f *trustFlags) rule() policy.Demand {
	if f.simRoot != "" {
		if f.accepted != nil && !slices.Contains(f.accepted, attest.PlatformSim) {
			return policy.Demand{Platforms: []string{}}
		}
		return policy.Demand{Platforms: []string{attest.PlatformSim}, AllowSimulated: true}
	}
	if len(f.tpmRoot) > 0 {
		if f.accepted != nil && !slices.Contains(f.accepted, attest.PlatformVTPM) {
			return policy.Demand{Platforms: []string{}}
		}
		return policy.Demand{Platforms: []string{attest.PlatformVTPM}}
	}
	if f.accepted != nil {
		return policy.Demand{Platforms: slices.DeleteFunc(slices.Clone(hardware), func(p string) bool { return !slices.Contains(f.accepted, p) })}
	}
	return policy.Demand{}
}
