// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package release makes the reference values of an image: it reads the image's
// directory, predicts what it measures to for given launches, and words the
// result as entries of a signed file (package measure) or as reference values
// that a verifier takes at once.
//
//	img, err := image.Open(ctx, dir)
//	entries, err := release.Entries(img, []release.Launch{release.VTPM()}, from, to)
//	refs, err := release.ReferenceValues(img, release.VTPM())   // of this very image
package release

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/image"
	"github.com/enarx/enarx-go/measure"
	"github.com/enarx/enarx-go/measure/predict"
)

// Launch is one way to start an image.
type Launch struct {
	// Platform is "vtpm", "snp" or "tdx".
	Platform string
	predict.Params
	// TDX is what a TD's measurement needs besides.
	TDX predict.TDXOptions
}

// VTPM is the launch of platform vtpm that enarx uses: the UKI, from the
// image's disk. Memory and processors do not matter to its measurement.
func VTPM() Launch {
	return Launch{Platform: attest.PlatformVTPM, Params: predict.Params{VCPUs: 1, Boot: predict.BootUKI}}
}

// VTPMSecureBoot is VTPM on a machine whose Secure Boot is on. Whether it is
// stands in PCR 7, which is for a verifier to judge.
func VTPMSecureBoot() Launch {
	return Launch{Platform: attest.PlatformVTPM, Params: predict.Params{VCPUs: 1, Boot: predict.BootUKISecure}}
}

// SNP is the launch of platform snp: the files of the image over fw_cfg, with
// the given firmware.
func SNP(vcpus int, cpu string, firmware []byte) Launch {
	return Launch{Platform: attest.PlatformSNP, Params: predict.Params{VCPUs: vcpus, CPU: cpu, Firmware: firmware, Boot: predict.BootDirect}}
}

// Files reads what of an image a launch needs.
func Files(img *image.Image, l Launch) (predict.Image, error) {
	var out predict.Image
	read := func(name string, to *[]byte) error {
		b, err := img.Read(name)
		if err != nil {
			return fmt.Errorf("reading the image: %w", err)
		}
		*to = b
		return nil
	}
	if l.Platform != attest.PlatformSNP && l.Boot != predict.BootDirect {
		return out, read(image.FileUKI, &out.UKI)
	}
	if err := read(image.FileKernel, &out.Kernel); err != nil {
		return out, err
	}
	if err := read(image.FileInitrd, &out.Initrd); err != nil {
		return out, err
	}
	out.Cmdline = img.Manifest.Cmdline
	if l.Platform == attest.PlatformSNP {
		out.Cmdline = img.Manifest.CmdlineSNP
	}
	return out, nil
}

// Predict says what an image measures to.
func Predict(img *image.Image, l Launch) (*predict.Prediction, error) {
	files, err := Files(img, l)
	if err != nil {
		return nil, err
	}
	switch l.Platform {
	case attest.PlatformVTPM:
		return predict.TPM(files, l.Params)
	case attest.PlatformSNP:
		return predict.SNP(files, l.Params)
	case attest.PlatformTDX:
		return predict.TDX(files, l.Params, l.TDX)
	default:
		return nil, fmt.Errorf("platform %.20q: what it measures cannot be predicted; expected vtpm, snp or tdx", l.Platform)
	}
}

// Entry is the reference value of one launch.
func Entry(img *image.Image, l Launch, from, to time.Time) (measure.Entry, error) {
	p, err := Predict(img, l)
	if err != nil {
		return measure.Entry{}, err
	}
	if p.Measurement == nil {
		return measure.Entry{}, fmt.Errorf("%s: not all of the measurement can be predicted; see enarx measure", l.Platform)
	}
	manifest, err := img.Manifest.Encode()
	if err != nil {
		return measure.Entry{}, err
	}
	e := measure.Entry{
		Platform: l.Platform, Measurement: p.Measurement, Release: img.Manifest.Release, SourceCommit: img.Manifest.Commit,
		Engine: img.Manifest.Engine, NotBefore: from, NotAfter: to, Debug: img.Manifest.Debug,
		Image:  &measure.Image{ManifestSHA256: sha256.Sum256(manifest)},
		Launch: &measure.Launch{Boot: string(l.Boot)}, Components: p.Components(),
	}
	if e.SourceCommit == "" {
		e.SourceCommit = "unknown"
	}
	if l.Platform != attest.PlatformVTPM || l.Boot == predict.BootDirect {
		e.Launch.VCPUs, e.Launch.MemoryMiB, e.Launch.CPU = l.VCPUs, l.MemoryMiB, l.CPU
	}
	if len(l.Firmware) != 0 {
		e.Launch.FirmwareSHA256 = sha256.Sum256(l.Firmware)
	}
	keep, err := hex.DecodeString(img.KeepDigest())
	if err != nil || len(keep) != sha256.Size {
		return measure.Entry{}, fmt.Errorf("image %s: its manifest names no Keep runtime", img.Dir)
	}
	e.Image.KeepSHA256 = [32]byte(keep)
	return e, nil
}

// Entries are the reference values of several launches.
func Entries(img *image.Image, launches []Launch, from, to time.Time) ([]measure.Entry, error) {
	var out []measure.Entry
	for _, l := range launches {
		e, err := Entry(img, l, from, to)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// ReferenceValues are those of an image that the caller trusts because he has
// it: he built it, or checked where it comes from. A debug image has them, too.
func ReferenceValues(img *image.Image, launches ...Launch) ([]attest.ReferenceValue, error) {
	entries, err := Entries(img, launches, time.Time{}, time.Time{})
	if err != nil {
		return nil, err
	}
	var out []attest.ReferenceValue
	for _, e := range entries {
		out = append(out, e.ReferenceValue("predicted from the image "+img.Dir))
	}
	return out, nil
}
