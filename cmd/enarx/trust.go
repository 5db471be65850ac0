// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/client"
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
	if d.Measurements, err = a.references(f); err != nil {
		return d, err
	}
	d.Decide = decide(f)
	return d, nil
}

// verifiers are those that the flags allow.
func (a *app) verifiers(f *trustFlags) (client.Demand, error) {
	d := client.Demand{State: attest.StateEmpty, At: time.Now(), InsecureNoTEE: f.noTEE}
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
	d.Verifiers = append(d.Verifiers, sim.New(root))
	return d, nil
}

// references are the accepted launch measurements: those of --reference, or
// without it the ones that belong to this enarx.
func (a *app) references(f *trustFlags) ([]attest.ReferenceValue, error) {
	digest, ok := keepSHA256()
	if !ok {
		return nil, failf(exitUsage, "build it with make build, or name reference values with --reference FILE --reference-key FILE",
			"this enarx does not know which Keep runtime to expect: it was built without its digest")
	}
	m := sim.Measurement(digest)
	return []attest.ReferenceValue{{
		Platform: attest.PlatformSim, Measurement: m[:], Release: version, Source: "built into enarx " + version,
	}}, nil
}

// decide is the decision hook: the last word before anything is released. It
// takes claims only, which a verifier alone can make.
func decide(f *trustFlags) func(*attest.Claims, attest.Verdict) error {
	return func(c *attest.Claims, _ attest.Verdict) error {
		switch {
		case !c.Verified():
			return failf(exitAttest, "", "there are no verified claims")
		case c.Simulated && f.simRoot == "":
			return failf(exitAttest, "name the root with --insecure-sim-root FILE", "the evidence is simulated")
		case c.Debug:
			return failf(exitAttest, "ask for a Keep without debugging", "the host may debug this Keep")
		}
		return nil
	}
}
