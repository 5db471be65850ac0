// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
	"github.com/enarx/enarx-go/attest/ear"
	"github.com/enarx/enarx-go/attest/ear/earjwt"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/policy/policytoml"
)

// verifyFlags are what a relying party says to an appraisal; `enarx verify`
// and `enarx tcb forecast` share most of them.
type verifyFlags struct {
	at           string
	collateral   []string
	reference    []string
	referenceKey []string
	policy       string
	reportData   string
	workload     workloadProof
	hostData     string
	simRoot      string
	tpmRoot      []string
	json         bool
	ear          bool
	earKey       string
	explain      bool
}

func newVerifyCmd(a *app) *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify [flags] FILE|-",
		Short: "Verify evidence of real hardware, offline, and say why",
		Long: `Appraise the evidence in FILE, or on standard input, at a stated time: who signed it,
on which machine and firmware level, what runs there and whom it was made for. The
format is recognised by its content. No network is used.

Certificates, revocation lists and Intel's signed documents come from the file itself
and from --collateral, or without it from the cache that enarx collateral fetch fills.
What you demand is checked: measurements with --reference, the binding with
--report-data and --host-data, everything else with --policy. What you do not demand is
named as not checked; a policy can say what must be given.

Evidence that a workload has asked for itself (evidence = true in its Enarx.toml) is bound
to its bundle, its owner and 64 bytes of its choice: name all three with --workload,
--owner-key-hash and --workload-data.

` + verifyExitHelp(),
		Example: `  enarx verify --collateral saved/ report.bin
  enarx verify --at 2025-02-05 --collateral saved/ --policy policy.toml quote.bin
  enarx verify --reference keep.json --reference-key keep.pub --report-data HEX --json - < quote.bin`,
		Args: oneArg("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			a.ui.jsonErrors = f.json || f.ear
			if err := oneOf(c, "json", "ear", "explain"); err != nil {
				return err
			}
			return a.verify(args[0], &f)
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.at, "at", "", "verify at this `TIME`, 2025-02-05 or 2025-02-05T12:00:00Z (default: now)")
	fs.StringArrayVar(&f.reference, "reference", nil, "accept only the measurements in this `FILE` of signed reference values (repeatable)")
	fs.StringArrayVar(&f.referenceKey, "reference-key", nil, "`FILE` of the public keys that may sign them (repeatable)")
	fs.StringVar(&f.reportData, "report-data", "", "demand this report data, 64 bytes in `HEX`; fewer are filled with zeroes")
	fs.StringVar(&f.hostData, "host-data", "", "demand this host data, 32 bytes in `HEX`")
	f.workload.add(fs)
	f.addCommon(c)
	fs.BoolVar(&f.json, "json", false, "print the result as JSON")
	fs.BoolVar(&f.ear, "ear", false, "print an EAT attestation result (EAR): unsigned JSON claims, or with --ear-key a token")
	fs.StringVar(&f.earKey, "ear-key", "", "sign the attestation result with the private key in `FILE` (PKCS #8; P-256, P-384 or Ed25519)")
	fs.BoolVar(&f.explain, "explain", false, "say for each check, and each field of the evidence, what it means")
	return c
}

// oneOf refuses flags that contradict one another.
func oneOf(c *cobra.Command, names ...string) error {
	var given []string
	for _, n := range names {
		if c.Flags().Changed(n) {
			given = append(given, "--"+n)
		}
	}
	if len(given) > 1 {
		return failf(exitUsage, "leave all but one of them out", "%s contradict one another", strings.Join(given, " and "))
	}
	return nil
}

// addCommon adds the flags that a forecast has as well.
func (f *verifyFlags) addCommon(c *cobra.Command) {
	fs := c.Flags()
	fs.StringArrayVar(&f.collateral, "collateral", nil, "directory or file `PATH` of certificates, revocation lists and Intel's documents, in place of the collateral cache (repeatable)")
	fs.StringVar(&f.policy, "policy", "", "hold the evidence against the policy in this `FILE` (TOML)")
	fs.StringArrayVar(&f.tpmRoot, "tpm-root", nil, "accept TPMs whose keys are certified under the roots in `FILE` (repeatable)")
	fs.StringVar(&f.simRoot, "insecure-sim-root", "", "take the evidence as a sim Keep's, under the throw-away root in `FILE`; it proves nothing")
}

func (a *app) verify(path string, f *verifyFlags) error {
	if f.earKey != "" && !f.ear {
		return failf(exitUsage, "add --ear", "--ear-key without --ear: there is nothing to sign")
	}
	r, err := a.request(f)
	if err != nil {
		return err
	}
	if r.File, err = a.readEvidence(path); err != nil {
		return err
	}
	res, err := appraisal.Appraise(r)
	if err != nil {
		return fail(exitUsage, "", err)
	}
	if err := a.showResult(res, r.File, f); err != nil {
		return err
	}
	a.exit = reasonCode(res.Reason)
	return nil
}

func (a *app) showResult(res *appraisal.Result, file []byte, f *verifyFlags) error {
	switch {
	case f.ear:
		b, err := a.attestationResult(res, f)
		if err != nil {
			return err
		}
		return a.emit("%s", b)
	case f.json:
		b, err := res.JSON()
		if err != nil {
			return fail(exitInternal, "", err)
		}
		return a.emit("%s", b)
	case f.explain:
		return a.emit("%s%s", res.Explain(a.ui.width), explainFields(file, a.ui.width))
	}
	return a.emit("%s", res.Text(a.ui.width))
}

// attestationResult is the result as an EAR, signed if a key was named.
func (a *app) attestationResult(res *appraisal.Result, f *verifyFlags) ([]byte, error) {
	claims, err := ear.Encode(res, ear.Options{Build: "enarx " + version})
	if err != nil {
		return nil, fail(exitInternal, "", err)
	}
	if f.earKey == "" {
		return claims, nil
	}
	file, err := readLimited(f.earKey, "the signing key", maxKeyFile, exitUsage)
	if err != nil {
		return nil, err
	}
	key, err := earjwt.ParseKey(file)
	if err != nil {
		return nil, fail(exitUsage, "openssl genpkey -algorithm ed25519 makes such a key", fmt.Errorf("--ear-key %s: %w", f.earKey, err))
	}
	token, err := earjwt.Sign(claims, key)
	if err != nil {
		return nil, fail(exitInternal, "", err)
	}
	return append(token, '\n'), nil
}

// request turns the flags into a request without its file.
func (a *app) request(f *verifyFlags) (appraisal.Request, error) {
	r := appraisal.Request{At: time.Now()}
	var err error
	if f.at != "" {
		if r.At, err = parseTime("--at", f.at); err != nil {
			return r, err
		}
	}
	if r.Collateral, err = a.collateralFor(f.collateral); err != nil {
		return r, err
	}
	if r.Policy, err = readPolicy(f.policy); err != nil {
		return r, err
	}
	roots, _, err := tpmRoots(f.tpmRoot)
	if err != nil {
		return r, err
	}
	r.Policy.VTPM.Name(roots)
	switch {
	case len(f.reference) > 0:
		r.References, err = readReferences(f.reference, f.referenceKey, r.At)
	case len(f.referenceKey) > 0:
		err = failf(exitUsage, "name the reference values with --reference FILE", "--reference-key without --reference")
	}
	if err != nil {
		return r, err
	}
	if r.ReportData, err = bytesFlag[[64]byte]("--report-data", f.reportData); err != nil {
		return r, err
	}
	if f.workload != (workloadProof{}) {
		if r.ReportData != nil {
			return r, failf(exitUsage, "leave --report-data out", "--report-data and --workload contradict one another")
		}
		if r.ReportData, err = f.workload.reportData(); err != nil {
			return r, err
		}
	}
	if r.HostData, err = bytesFlag[[32]byte]("--host-data", f.hostData); err != nil {
		return r, err
	}
	if f.simRoot != "" {
		v, err := a.simVerifier(f.simRoot, &r)
		if err != nil {
			return r, err
		}
		r.Verifiers = []attest.Verifier{v}
	}
	return r, nil
}

// readPolicy reads the policy file; without one the zero policy holds.
func readPolicy(path string) (appraisal.Policy, error) {
	if path == "" {
		return appraisal.Policy{}, nil
	}
	text, err := readLimited(path, "the policy", policytoml.MaxSize, exitUsage)
	if err != nil {
		return appraisal.Policy{}, err
	}
	p, err := policytoml.Parse(path, text)
	if err != nil {
		return appraisal.Policy{}, fail(exitUsage, "docs/policy.md describes every key", err)
	}
	return p, nil
}

// simVerifier is the verifier under the root that was named on this very
// command. It is the only one then, so that sim and hardware never mix.
func (a *app) simVerifier(path string, r *appraisal.Request) (attest.Verifier, error) {
	b, err := readLimited(path, "the sim root", maxRootFile, exitUsage)
	if err != nil {
		return nil, err
	}
	root, err := sim.ParseRoot(b)
	if err != nil {
		return nil, fail(exitUsage, "name the sim-root.pem of an agent's state directory", fmt.Errorf("--insecure-sim-root %s: %w", path, err))
	}
	return sim.NewWith(root, sim.Options{Waive: r.Waivers()}), nil
}

// readEvidence reads FILE or standard input. More than the limit is not read:
// the appraisal refuses it by its size.
func (a *app) readEvidence(path string) ([]byte, error) {
	in := a.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fileError(exitUsage, "the evidence", path, err)
		}
		defer f.Close()
		if st, err := f.Stat(); err == nil && st.IsDir() {
			return nil, failf(exitUsage, "name a file in it", "reading the evidence: %s is a directory", path)
		}
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, appraisal.MaxFile+1))
	if err != nil {
		return nil, fileError(exitUsage, "the evidence", path, err)
	}
	return b, nil
}

// parseTime reads a time as people write it: a day or a second, in UTC unless
// it says otherwise.
func parseTime(flag, text string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, failf(exitUsage, "write it as 2027-01-31 or 2027-01-31T00:00:00Z", "%s %q is not a time", flag, text)
}

// bytesFlag reads hexadecimal digits into a field of fixed size, zeroes after
// what was given. Zeroes alone are refused: they stand for nothing demanded.
func bytesFlag[T [32]byte | [64]byte](flag, text string) (*T, error) {
	if text == "" {
		return nil, nil
	}
	var to T
	b, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err == nil && len(b) > len(to) {
		err = fmt.Errorf("%d bytes, expected at most %d", len(b), len(to))
	}
	if err != nil {
		return nil, failf(exitUsage, "", "%s: %w", flag, err)
	}
	any := byte(0)
	for i := range b {
		to[i] = b[i]
		any |= b[i]
	}
	if any == 0 {
		return nil, failf(exitUsage, "leave it out if nothing is to be demanded", "%s is all zeroes, which binds the evidence to nothing", flag)
	}
	return &to, nil
}
