// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest/evidencebundle"
	"github.com/enarx/enarx-go/attest/replay"
	"github.com/enarx/enarx-go/policy/policytoml"
)

// exitChanged is the code of a replay that accepts the evidence, but not in the
// words that were recorded: something is not as it was.
const exitChanged = 71

// replayFlags are the flags of `evidence replay`.
type replayFlags struct {
	at           string
	referenceKey []string
	policy       string
	tpmRoot      []string
	simRoot      string
	json         bool
}

func newEvidenceReplayCmd(a *app) *cobra.Command {
	var f replayFlags
	c := &cobra.Command{
		Use:   "replay [flags] BUNDLE|-",
		Short: "Appraise an evidence bundle again, offline, under your own roots, and say what changed",
		Long: fmt.Sprintf(`Appraise the evidence in BUNDLE, or on standard input, again: with the collateral in the
bundle, at its time, under the roots in this program. The verdict is the recorded one byte
for byte, or what changed is told row by row. With --at TIME it says what the verdict
would be then.

Reference values in the bundle count only if you name the key that signed them; if it has
some and none counts, the verdict is a refusal. TPMs count only under the roots that you
name with --tpm-root. Policy, report data and host data are the word of whoever made the
bundle: --policy FILE makes sure that the policy is yours, and enarx verify BUNDLE
appraises the same evidence under demands of your own. That a policy takes somebody's word
for the activation of a TPM counts only with --policy.

The exit code is that of enarx verify, or %d if the evidence is accepted but the verdict
is not the recorded one.`, exitChanged),
		Example: "  enarx evidence replay machine.bundle\n  enarx evidence replay --at 2027-01-31 --json machine.bundle",
		Args:    oneArg("BUNDLE"),
		RunE: func(_ *cobra.Command, args []string) error {
			a.ui.jsonErrors = f.json
			return a.replayEvidence(args[0], &f)
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.at, "at", "", "appraise at this `TIME`, 2025-02-05 or 2025-02-05T12:00:00Z (default: the bundle's)")
	fs.StringArrayVar(&f.referenceKey, "reference-key", nil, "`FILE` of the public keys that reference values in the bundle may be signed with (repeatable)")
	fs.StringVar(&f.policy, "policy", "", "refuse unless the policy in the bundle is this `FILE`, byte for byte")
	fs.StringArrayVar(&f.tpmRoot, "tpm-root", nil, "accept TPMs whose keys are certified under the roots in `FILE`; none is in the bundle (repeatable)")
	fs.StringVar(&f.simRoot, "insecure-sim-root", "", "take the evidence as a sim Keep's, under the throw-away root in `FILE`; it proves nothing")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	return c
}

func (a *app) replayEvidence(path string, f *replayFlags) error {
	file, err := a.readEvidence(path)
	if err != nil {
		return err
	}
	b, err := evidencebundle.Open(file)
	switch {
	case errors.Is(err, evidencebundle.ErrNotBundle):
		return fail(exitUsage, "make one with enarx evidence bundle, or appraise the file with enarx verify", fmt.Errorf("%s: %w", path, err))
	case err != nil:
		return fail(exitAttest, "do not believe this file; get it anew", fmt.Errorf("%s: %w", path, err))
	}
	if err := f.checkPolicy(path, b); err != nil {
		return err
	}
	o, err := a.replayOptions(f)
	if err != nil {
		return err
	}
	out, err := replay.Run(b, o)
	if err != nil {
		return fail(exitAttest, "use the enarx that made it, or appraise the file with enarx verify", fmt.Errorf("%s: %w", path, err))
	}
	text := []byte(out.Text(a.ui.width))
	if f.json {
		if text, err = out.JSON(); err != nil {
			return fail(exitInternal, "", err)
		}
	}
	if err := a.emit("%s", text); err != nil {
		return err
	}
	a.exit = reasonCode(out.Result.Reason)
	if a.exit == exitOK && !out.Yes() {
		a.exit = exitChanged
	}
	return nil
}

func (a *app) replayOptions(f *replayFlags) (o replay.Options, err error) {
	if f.at != "" {
		if o.At, err = parseTime("--at", f.at); err != nil {
			return o, err
		}
	}
	var keys []ed25519.PublicKey
	if len(f.referenceKey) > 0 {
		if keys, err = publicKeys(f.referenceKey, "--reference-key"); err != nil {
			return o, err
		}
	}
	o.ReferenceKeys = keys
	o.OwnPolicy = f.policy != "" // which is that of the bundle: checkPolicy
	if o.TPMRoots, _, err = tpmRoots(f.tpmRoot); err != nil {
		return o, err
	}
	o.Verifiers, err = a.verifiersFor(f.simRoot)
	return o, err
}

// checkPolicy compares the policy in the bundle with the one that was named.
func (f *replayFlags) checkPolicy(path string, b *evidencebundle.Bundle) error {
	if f.policy == "" {
		return nil
	}
	mine, err := readLimited(f.policy, "the policy", policytoml.MaxSize, exitUsage)
	if err != nil {
		return err
	}
	if !bytes.Equal(mine, b.Policy) {
		return failf(exitAttest, "appraise the evidence under your policy with enarx verify --policy "+f.policy,
			"%s: the policy in the evidence bundle is not %s", path, f.policy)
	}
	return nil
}
