// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/measure"
	"github.com/enarx/enarx-go/measure/release"
)

// referenceMakeFlags are the flags of `reference make`.
type referenceMakeFlags struct {
	key, output, firmware, commit string
	notBefore, notAfter           string
	platforms, cpus               []string
	vcpus                         []int
	link                          bool
}

func newReferenceMakeCmd(a *app) *cobra.Command {
	var f referenceMakeFlags
	c := &cobra.Command{
		Use: "make IMAGE --key FILE [flags]", Short: "Sign the reference values of an image, predicted from its files",
		Long: `Predict what the image in directory IMAGE measures to and sign it: for vtpm one
value, for snp one for each pair of --vcpus and --cpu. The entries carry the parts
that the measurement is made of, so that a verdict can name the one that differs.`,
		Example: "  enarx reference make image --key release.key -o image.ref\n  enarx reference make image --key release.key --platform vtpm,snp --vcpus 1,2,4 --cpu EPYC-v4,EPYC-Milan --firmware OVMF.amdsev.fd -o image.ref",
		Args:    oneArg("IMAGE"),
		RunE:    func(c *cobra.Command, args []string) error { return a.makeReference(c.Context(), args[0], &f) },
	}
	fs := c.Flags()
	fs.StringVar(&f.key, "key", "", "`FILE` of the private key (enarx reference key)")
	fs.StringVarP(&f.output, "output", "o", "", "write to `FILE` instead of stdout")
	fs.StringSliceVar(&f.platforms, "platform", []string{attest.PlatformVTPM}, "`NAMES` of platforms: vtpm, snp")
	fs.IntSliceVar(&f.vcpus, "vcpus", []int{1}, "`NUMBERS` of virtual processors (snp)")
	fs.StringSliceVar(&f.cpus, "cpu", []string{"EPYC-v4"}, "CPU `MODELS` in QEMU's words (snp)")
	fs.StringVar(&f.firmware, "firmware", "", "firmware image `FILE` (snp)")
	fs.StringVar(&f.commit, "commit", "", "git `COMMIT` that the image is built from (default: what its manifest says)")
	fs.StringVar(&f.notBefore, "not-before", "", "first `TIME` at which they count, RFC 3339 (default: now)")
	fs.StringVar(&f.notAfter, "not-after", "", "last `TIME` at which they count, RFC 3339 (default: in one year)")
	fs.BoolVar(&f.link, "link", false, "print what scripts/build links into enarx; nothing is signed")
	return c
}

// launches are all combinations of the flags.
func (f *referenceMakeFlags) launches() ([]release.Launch, error) {
	var out []release.Launch
	for _, p := range f.platforms {
		switch p {
		case attest.PlatformVTPM:
			out = append(out, release.VTPM(), release.VTPMSecureBoot())
		case attest.PlatformSNP:
			if f.firmware == "" {
				return nil, failf(exitUsage, "name one with kernel hashes, such as Debian's OVMF.amdsev.fd, with --firmware FILE", "the firmware is missing, which snp measures")
			}
			firmware, err := readLimited(f.firmware, "the firmware", maxFirmwareFile, exitUsage)
			if err != nil {
				return nil, err
			}
			for _, cpu := range f.cpus {
				for _, n := range f.vcpus {
					out = append(out, release.SNP(n, cpu, firmware))
				}
			}
		default:
			return nil, failf(exitUsage, "name vtpm or snp with --platform; for other platforms use enarx reference create --measurement HEX",
				"reference values of platform %q cannot be made from an image alone", p)
		}
	}
	return out, nil
}

func (a *app) makeReference(ctx context.Context, dir string, f *referenceMakeFlags) error {
	var key ed25519.PrivateKey
	var err error
	if !f.link {
		if key, err = signingKey(f.key); err != nil {
			return err
		}
	}
	entries, err := f.entries(ctx, dir)
	if err != nil {
		return err
	}
	var text []byte
	if f.link {
		var s string
		s, err = measure.Link(entries)
		text = []byte(s)
	} else {
		text, err = measure.Sign(entries, key)
	}
	if err != nil {
		return fail(exitUsage, "", err)
	}
	if f.output != "" {
		return writeFile(f.output, "the reference values", text, 0o644, false)
	}
	return a.emit("%s\n", text)
}

func (f *referenceMakeFlags) entries(ctx context.Context, dir string) ([]measure.Entry, error) {
	launches, err := f.launches()
	if err != nil {
		return nil, err
	}
	img, err := openImage(ctx, []string{dir})
	if err != nil {
		return nil, err
	}
	w, err := window(f.notBefore, f.notAfter)
	if err != nil {
		return nil, err
	}
	entries, err := release.Entries(img, launches, w.from, w.to)
	if err != nil {
		return nil, fail(exitUsage, "", fmt.Errorf("measuring %s: %w", dir, err))
	}
	for i := range entries {
		if f.commit != "" {
			entries[i].SourceCommit = f.commit
		}
	}
	return entries, nil
}

// signingKey reads the private key that --key names.
func signingKey(file string) (ed25519.PrivateKey, error) {
	if file == "" {
		return nil, failf(exitUsage, "make one with enarx reference key NAME and name it with --key NAME.key", "the signing key is missing")
	}
	text, err := readLimited(file, "the private key", maxKeyFile, exitUsage)
	if err != nil {
		return nil, err
	}
	key, err := measure.ParsePrivateKey(text)
	if err != nil {
		return nil, fail(exitUsage, "name the .key file of enarx reference key", fmt.Errorf("%s: %w", file, err))
	}
	return key, nil
}

// dates are the first and the last second at which entries count.
type dates struct{ from, to time.Time }

// window reads the flags of dates: a year from now on if they are empty.
func window(notBefore, notAfter string) (dates, error) {
	now := time.Now().UTC().Truncate(time.Second)
	w := dates{now, now.AddDate(referenceYears, 0, 0)}
	for _, t := range []struct {
		flag, text string
		to         *time.Time
	}{{"--not-before", notBefore, &w.from}, {"--not-after", notAfter, &w.to}} {
		if t.text == "" {
			continue
		}
		v, err := time.Parse(time.RFC3339, t.text)
		if err != nil {
			return w, failf(exitUsage, "write it as 2027-01-31T00:00:00Z", "%s %q is not a time", t.flag, t.text)
		}
		*t.to = v.UTC()
	}
	return w, nil
}

// linkedReferences are the reference values of the image that this enarx was
// built with, as measure.Link writes them; the linker sets it
// (-X main.linkedReferences). Empty in a build without an image.
var linkedReferences string

// builtin are the reference values that belong to this enarx: its Keep runtime
// on sim, and its image on the platforms that it was measured for.
func builtin(keep [32]byte) ([]attest.ReferenceValue, error) {
	refs := measure.Builtin(keep, version)
	for i := range refs {
		refs[i].Engine = keepEngine
	}
	for _, o := range ownKeeps() {
		b, err := hex.DecodeString(o.Digest)
		if err != nil || len(b) != len(keep) {
			return nil, failf(exitInternal, "install a whole release, or build again", "this enarx was built with a Keep runtime of digest %q", o.Digest)
		}
		if d := [32]byte(b); d != keep {
			for _, r := range measure.Builtin(d, version) {
				r.Engine = o.Engine
				refs = append(refs, r)
			}
		}
	}
	entries, err := measure.Linked(linkedReferences, keep)
	if err != nil {
		return nil, fail(exitInternal, "install a whole release, or build again with make image", err)
	}
	return append(refs, measure.Counting(entries, time.Now(), "image built with enarx "+version)...), nil
}

// launchText words a launch for people.
func launchText(l *measure.Launch) string {
	if l == nil {
		return ""
	}
	var parts []string
	add := func(ok bool, format string, v any) {
		if ok {
			parts = append(parts, fmt.Sprintf(format, v))
		}
	}
	add(l.Boot != "", "boot %s", l.Boot)
	add(l.VCPUs != 0, "%d vCPUs", l.VCPUs)
	add(l.MemoryMiB != 0, "%d MiB", l.MemoryMiB)
	add(l.CPU != "", "%s", l.CPU)
	add(l.FirmwareSHA256 != [32]byte{}, "firmware sha256:%x", l.FirmwareSHA256)
	return strings.Join(parts, ", ")
}
