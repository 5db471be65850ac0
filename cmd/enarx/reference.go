// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/measure"
)

const (
	// maxKeyFile bounds a file of public or private keys.
	maxKeyFile = 64 << 10
	// maxReferenceFile bounds a file of signed reference values, which says
	// less than 300 bytes of each.
	maxReferenceFile = 8 << 20
	// referenceYears is how long fresh reference values count unless the
	// command says otherwise: a Keep release must be replaced in that time.
	referenceYears = 1
)

func newReferenceCmd(a *app) *cobra.Command {
	c := group("reference", "Make, check and trust signed reference values",
		`Reference values say what a known-good Keep release measures to. Whoever signs
them decides which Keep runtime the holders of the public key accept, so keep the
signing key off the machines that run Keeps.`)
	c.AddCommand(newReferenceKeyCmd(), newReferenceCreateCmd(a), newReferenceMakeCmd(a), newReferenceVerifyCmd(a),
		newReferenceAddCmd(a), newReferenceListCmd(a), newReferenceRemoveCmd(a),
		newReferenceExportCmd(a), newReferenceImportCmd(a))
	return c
}

func newReferenceKeyCmd() *cobra.Command {
	return &cobra.Command{
		Use: "key NAME", Short: "Make a signing key: NAME.key and NAME.pub",
		Long: `Make an Ed25519 key that signs reference values: NAME.key, the private half (mode
0600), and NAME.pub, which goes to those who use enarx deploy --reference-key.`,
		Args: oneArg("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			private, public, err := measure.GenerateKey()
			if err != nil {
				return failf(exitInternal, "", "making the key: %w", err)
			}
			if err := writeFile(args[0]+".key", "the private key", private, 0o600, true); err != nil {
				return err
			}
			return writeFile(args[0]+".pub", "the public key", public, 0o644, true)
		},
	}
}

// referenceFlags are the flags of `reference create`.
type referenceFlags struct {
	key, keep, output         string
	release, commit, engine   string
	notBefore, notAfter       string
	platform, measurementText string
}

func newReferenceCreateCmd(a *app) *cobra.Command {
	var f referenceFlags
	c := &cobra.Command{
		Use: "create --key FILE [flags]", Short: "Sign the reference values of a Keep release",
		Long: `Sign the reference values of one Keep release. Without --measurement the Keep
runtime on this machine is measured, for platform sim; a measurement of another
platform is given in hexadecimal.`,
		Example: "  enarx reference key release\n  enarx reference create --key release.key --release v0.1.0 --commit $(git rev-parse HEAD) -o keep.ref",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return a.createReference(&f) },
	}
	fs := c.Flags()
	fs.StringVar(&f.key, "key", "", "`FILE` of the private key (enarx reference key)")
	fs.StringVarP(&f.output, "output", "o", "", "write to `FILE` instead of stdout")
	fs.StringVar(&f.release, "release", "", "`NAME` of the release (default: this enarx's version)")
	fs.StringVar(&f.commit, "commit", "", "git `COMMIT` that it is built from (default: this enarx's)")
	fs.StringVar(&f.engine, "engine", measure.UnknownEngine, "`NAME` and version of its engine, as keep version prints them; policies may go by it")
	fs.StringVar(&f.notBefore, "not-before", "", "first `TIME` at which it counts, RFC 3339 (default: now)")
	fs.StringVar(&f.notAfter, "not-after", "", "last `TIME` at which it counts, RFC 3339 (default: in one year)")
	fs.StringVar(&f.platform, "platform", attest.PlatformSim, "`NAME` of the platform of --measurement")
	fs.StringVar(&f.measurementText, "measurement", "", "launch measurement in `HEX`")
	addKeepFlag(c, &f.keep)
	return c
}

func (a *app) createReference(f *referenceFlags) error {
	key, err := signingKey(f.key)
	if err != nil {
		return err
	}
	e, err := a.referenceEntry(f)
	if err != nil {
		return err
	}
	signed, err := measure.Sign([]measure.Entry{e}, key)
	if err != nil {
		return fail(exitUsage, "", err)
	}
	if f.output != "" {
		return writeFile(f.output, "the reference values", signed, 0o644, false)
	}
	return a.emit("%s\n", signed)
}

func (a *app) referenceEntry(f *referenceFlags) (measure.Entry, error) {
	w, err := window(f.notBefore, f.notAfter)
	e := measure.Entry{
		Platform: f.platform, Release: or(f.release, version), SourceCommit: or(f.commit, commit), Engine: f.engine, NotBefore: w.from, NotAfter: w.to,
	}
	if err != nil {
		return e, err
	}
	if f.measurementText != "" {
		if e.Measurement, err = hex.DecodeString(f.measurementText); err != nil {
			return e, failf(exitUsage, "", "--measurement is not hexadecimal")
		}
		return e, nil
	}
	if f.platform != attest.PlatformSim {
		return e, failf(exitUsage, "give the launch measurement with --measurement HEX", "this build cannot measure for platform %s", f.platform)
	}
	k, err := a.openKeep(f.keep)
	if err != nil {
		return e, err
	}
	k.File.Close()
	if err := k.demandGenuine(); err != nil {
		return e, err // a signature says more than "whatever lay there"
	}
	if o := k.own(); o != nil && o.Engine != "" && f.engine == measure.UnknownEngine {
		e.Engine = o.Engine
	}
	m := sim.Measurement(k.Digest)
	e.Measurement = m[:]
	return e, nil
}

// referenceInfo is one entry of `reference verify --json`.
type referenceInfo struct {
	Platform    string `json:"platform"`
	Measurement string `json:"measurement"`
	Release     string `json:"release"`
	Commit      string `json:"source_commit"`
	Engine      string `json:"engine"`
	NotBefore   string `json:"not_before"`
	NotAfter    string `json:"not_after"`
	Counts      bool   `json:"counts"` // now
	Debug       bool   `json:"debug,omitempty"`
	Launch      string `json:"launch,omitempty"`
	Manifest    string `json:"image_manifest_sha256,omitempty"`
	Components  int    `json:"components,omitempty"`
}

// describeEntries words entries for --json and for people.
func describeEntries(entries []measure.Entry, now time.Time) []referenceInfo {
	infos := []referenceInfo{}
	for _, e := range entries {
		i := referenceInfo{
			Platform: e.Platform, Measurement: hex.EncodeToString(e.Measurement), Release: e.Release, Commit: e.SourceCommit, Engine: e.Engine,
			NotBefore: e.NotBefore.UTC().Format(time.RFC3339), NotAfter: e.NotAfter.UTC().Format(time.RFC3339),
			Counts: !e.Debug && !now.Before(e.NotBefore) && !now.After(e.NotAfter),
			Debug:  e.Debug, Launch: launchText(e.Launch), Components: len(e.Components),
		}
		if e.Image != nil {
			i.Manifest = hex.EncodeToString(e.Image.ManifestSHA256[:])
		}
		infos = append(infos, i)
	}
	return infos
}

func newReferenceVerifyCmd(a *app) *cobra.Command {
	var keys []string
	var asJSON bool
	c := &cobra.Command{
		Use: "verify [--key FILE REFERENCE]", Short: "Check signed reference values and show them",
		Long: `Check that a file of reference values is signed by one of the given keys and show
its entries. That none of them counts at this time is an error. Without an argument
all that were added (enarx reference add) are checked in this way.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneArg("REFERENCE")(c, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			a.ui.jsonErrors = asJSON
			if len(args) == 0 && len(keys) == 0 {
				return a.verifyStored(asJSON)
			}
			if len(args) == 0 {
				return failf(exitUsage, "see enarx reference verify --help", "REFERENCE is missing: which file the key is for")
			}
			return a.verifyReference(args[0], keys, asJSON)
		},
	}
	c.Flags().StringArrayVar(&keys, "key", nil, "`FILE` of accepted public keys (repeatable)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) verifyReference(path string, keyFiles []string, asJSON bool) error {
	keys, err := publicKeys(keyFiles, "--key")
	if err != nil {
		return err
	}
	signed, err := readLimited(path, "the reference values", maxReferenceFile, exitUsage)
	if err != nil {
		return err
	}
	entries, _, err := measure.Read(signed, keys)
	if err != nil {
		return fail(exitAttest, "do not use these reference values", fmt.Errorf("%s: %w", path, err))
	}
	now := time.Now()
	infos := describeEntries(entries, now)
	if asJSON {
		err = a.writeJSON(map[string]any{"entries": infos})
	} else {
		err = a.emit("%s", referenceText(infos))
	}
	if err != nil {
		return err
	}
	if _, err := measure.Verify(signed, keys, now); err != nil {
		return fail(exitAttest, "get current ones from whoever signs them", fmt.Errorf("%s: %w", path, err))
	}
	return nil
}

func referenceText(infos []referenceInfo) string {
	var b strings.Builder
	for _, i := range infos {
		state := "counts now"
		if !i.Counts {
			state = "does not count now"
		}
		fmt.Fprintf(&b, "%s\n", oneLine(fmt.Sprintf("%-6s %s  %s", i.Platform, i.Measurement, state)))
		fmt.Fprintf(&b, "%s\n", oneLine(fmt.Sprintf("       release %s, commit %s, engine %s", i.Release, i.Commit, i.Engine)))
		fmt.Fprintf(&b, "       from %s to %s\n", i.NotBefore, i.NotAfter)
		if i.Debug {
			fmt.Fprintf(&b, "       DEBUG image: never counts\n")
		}
		if i.Launch != "" {
			fmt.Fprintf(&b, "%s\n", oneLine("       launch: "+i.Launch))
		}
		if i.Manifest != "" {
			fmt.Fprintf(&b, "       image sha256:%s\n", i.Manifest)
		}
	}
	return b.String()
}

// publicKeys reads key files. No key at all is an error: what nobody signed is
// not checked.
func publicKeys(files []string, flag string) ([]ed25519.PublicKey, error) {
	if len(files) == 0 {
		return nil, failf(exitUsage, "name the public key of whoever signed them with "+flag+" FILE", "the key that reference values must be signed with is missing")
	}
	var keys []ed25519.PublicKey
	for _, f := range files {
		text, err := readLimited(f, "the public key", maxKeyFile, exitUsage)
		if err != nil {
			return nil, err
		}
		ks, err := measure.ParsePublicKeys(text)
		if err != nil {
			return nil, fail(exitUsage, "name the .pub file of enarx reference key", fmt.Errorf("%s: %w", f, err))
		}
		keys = append(keys, ks...)
	}
	return keys, nil
}

// readReferences reads the files of --reference; every one must be signed.
func readReferences(files, keyFiles []string, at time.Time) ([]attest.ReferenceValue, error) {
	keys, err := publicKeys(keyFiles, "--reference-key")
	if err != nil {
		return nil, err
	}
	var all []attest.ReferenceValue
	var entries []measure.Entry
	for _, f := range files {
		signed, err := readLimited(f, "the reference values", maxReferenceFile, exitUsage)
		if err != nil {
			return nil, err
		}
		refs, err := measure.Verify(signed, keys, at)
		if err != nil {
			return nil, fail(exitAttest, "get current ones from whoever signs them; nothing has left this machine", fmt.Errorf("--reference %s: %w", f, err))
		}
		all = append(all, refs...)
		said, _, err := measure.Read(signed, keys)
		if err != nil {
			return nil, fail(exitAttest, "do not use these reference values", fmt.Errorf("--reference %s: %w", f, err))
		}
		entries = append(entries, said...)
	}
	if all = measure.WithoutDebug(all, entries); len(all) == 0 {
		return nil, failf(exitAttest, "get reference values of a release image; nothing has left this machine", "--reference: another of the files says of all that count that they are of debug images")
	}
	return all, nil
}
