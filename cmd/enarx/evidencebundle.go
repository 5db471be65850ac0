// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
	"github.com/enarx/enarx-go/attest/evidencebundle"
	"github.com/enarx/enarx-go/attest/replay"
	"github.com/enarx/enarx-go/policy/policytoml"
)

// maxLogProofFile bounds a proof of a transparency log.
const maxLogProofFile = 64 << 10

// bundledEvidence is what `enarx evidence bundle --json` prints.
type bundledEvidence struct {
	Bundle   string        `json:"bundle"` // the digest that names it, SHA-256
	Bytes    int           `json:"bytes"`
	At       string        `json:"at"`
	Accepted bool          `json:"accepted"`
	Reason   attest.Reason `json:"reason,omitempty"`
}

func newEvidenceBundleCmd(a *app) *cobra.Command {
	var f verifyFlags
	var output string
	var proofs []string
	c := &cobra.Command{
		Use:   "bundle [flags] FILE|- -o OUT",
		Short: "Appraise evidence and keep everything that it took in one file",
		Long: `Appraise the evidence in FILE, or on standard input, as enarx verify does, and write an
evidence bundle: the evidence, the collateral that was used, signed reference values,
policy, the time, what was demanded, and the verdict. enarx evidence replay appraises it
again, without the internet. A refusal is kept as well as an acceptance, and the exit code
is that of enarx verify. attest/evidencebundle/SPEC.md has the format.

Evidence and certificates name the machine: whoever gets the bundle learns which it was.`,
		Example: "  enarx evidence bundle --collateral saved/ --policy policy.toml report.bin -o machine.bundle\n  enarx evidence replay machine.bundle",
		Args:    oneArg("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			a.ui.jsonErrors = f.json
			return a.bundleEvidence(args[0], output, proofs, &f)
		},
	}
	fs := c.Flags()
	fs.StringVarP(&output, "output", "o", "", "write the evidence bundle to `FILE`")
	fs.StringVar(&f.at, "at", "", "appraise at this `TIME`, 2025-02-05 or 2025-02-05T12:00:00Z (default: now)")
	fs.StringArrayVar(&f.reference, "reference", nil, "accept only the measurements in this `FILE` of signed reference values (repeatable)")
	fs.StringArrayVar(&f.referenceKey, "reference-key", nil, "`FILE` of the public keys that may sign them (repeatable)")
	fs.StringVar(&f.reportData, "report-data", "", "demand this report data, 64 bytes in `HEX`; fewer are filled with zeroes")
	fs.StringVar(&f.hostData, "host-data", "", "demand this host data, 32 bytes in `HEX`")
	fs.StringArrayVar(&proofs, "log-proof", nil, "keep this `FILE`, a proof of a transparency log (c2sp.org/tlog-proof), too (repeatable)")
	f.addCommon(c)
	fs.BoolVar(&f.json, "json", false, "print digest and verdict in a few words as JSON")
	return c
}

func (a *app) bundleEvidence(path, output string, proofs []string, f *verifyFlags) error {
	if output == "" {
		return failf(exitUsage, "name it with -o FILE", "the file for the evidence bundle is missing")
	}
	src, err := a.source(f)
	if err != nil {
		return err
	}
	for _, p := range proofs {
		b, err := readLimited(p, "the log proof", maxLogProofFile, exitUsage)
		if err != nil {
			return err
		}
		src.LogProofs = append(src.LogProofs, b)
	}
	if src.File, err = a.readEvidence(path); err != nil {
		return err
	}
	b, res, err := replay.Make(src)
	if err != nil {
		return fail(exitUsage, "", err)
	}
	enc, err := b.Encode()
	if err != nil {
		return fail(exitUsage, "", err)
	}
	digest, err := b.Digest()
	if err != nil {
		return fail(exitInternal, "", err)
	}
	if err := writeFile(output, "the evidence bundle", enc, 0o644, false); err != nil {
		return err
	}
	a.exit = reasonCode(res.Reason)
	if f.json {
		return a.writeJSON(bundledEvidence{
			Bundle: hex.EncodeToString(digest[:]), Bytes: len(enc), At: res.At.Format(time.RFC3339), Accepted: res.Accepted, Reason: res.Reason,
		})
	}
	verdict := "accepted"
	if !res.Accepted {
		verdict = fmt.Sprintf("refused (%s)", res.Reason)
	}
	return a.emit("%s\n%s, %d bytes, sha256:%x\n", oneLine(fmt.Sprintf("%s at %s", verdict, res.At.Format(time.RFC3339))), oneLine(output), len(enc), digest)
}

// source turns the flags into what an evidence bundle is made of, without the
// evidence. Files go into the bundle as they are and are read by package replay.
func (a *app) source(f *verifyFlags) (replay.Source, error) {
	src := replay.Source{At: time.Now(), Maker: maker()}
	var err error
	if f.at != "" {
		if src.At, err = parseTime("--at", f.at); err != nil {
			return src, err
		}
	}
	src.At = src.At.UTC().Truncate(time.Second)
	if src.Collateral, err = a.collateralFor(f.collateral); err != nil {
		return src, err
	}
	if f.policy != "" {
		if src.Policy, err = readLimited(f.policy, "the policy", policytoml.MaxSize, exitUsage); err != nil {
			return src, err
		}
	}
	if len(f.reference) == 0 && len(f.referenceKey) > 0 {
		return src, failf(exitUsage, "name the reference values with --reference FILE", "--reference-key without --reference")
	}
	if len(f.reference) > 0 {
		if src.ReferenceKeys, err = publicKeys(f.referenceKey, "--reference-key"); err != nil {
			return src, err
		}
		// Asked once here for the words; Make checks them, too.
		if _, err = readReferences(f.reference, f.referenceKey, src.At); err != nil {
			return src, err
		}
	}
	for _, p := range f.reference {
		b, err := readLimited(p, "the reference values", maxReferenceFile, exitUsage)
		if err != nil {
			return src, err
		}
		src.References = append(src.References, b)
	}
	if src.ReportData, err = bytesFlag[[64]byte]("--report-data", f.reportData); err != nil {
		return src, err
	}
	if src.HostData, err = bytesFlag[[32]byte]("--host-data", f.hostData); err != nil {
		return src, err
	}
	if src.TPMRoots, _, err = tpmRoots(f.tpmRoot); err != nil {
		return src, err
	}
	src.Verifiers, err = a.verifiersFor(f.simRoot)
	return src, err
}

// verifiersFor gives the verifiers of a sim root that was named on this very
// command, or nil for those of real hardware.
func (a *app) verifiersFor(simRoot string) (func(*appraisal.Request) ([]attest.Verifier, error), error) {
	if simRoot == "" {
		return nil, nil
	}
	if _, err := a.simVerifier(simRoot, new(appraisal.Request)); err != nil {
		return nil, err
	}
	return func(r *appraisal.Request) ([]attest.Verifier, error) {
		v, err := a.simVerifier(simRoot, r)
		return []attest.Verifier{v}, err
	}, nil
}

// maker names this program in a bundle.
func maker() string {
	s := "enarx " + version
	if commit != "" {
		s += " (" + commit + ")"
	}
	return s[:min(len(s), evidencebundle.MaxMaker)]
}
