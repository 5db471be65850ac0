// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/image"
	"github.com/enarx/enarx-go/image/cpio"
	"github.com/enarx/enarx-go/measure/predict"
)

// ReportVersion is the version of a report's JSON.
const ReportVersion = 1

// maxReport bounds a saved report: a guest of 256 vCPUs has some 150 KB.
const maxReport = 4 << 20

// Report is a prediction with all that it was made from, in a form to save and
// to compare: what enarx measure --json prints.
type Report struct {
	Version     int              `json:"version"`
	Platform    string           `json:"platform"`
	Measurement string           `json:"measurement"` // "" if it cannot be known
	Launch      ReportLaunch     `json:"launch"`
	Image       ReportImage      `json:"image"`
	Registers   []ReportRegister `json:"registers"`
	// Measured says that it is no prediction, see [Measured]: launch and image
	// are not known.
	Measured bool `json:"measured,omitempty"`
}

// ReportLaunch are the parameters of a launch.
type ReportLaunch struct {
	VCPUs         int    `json:"vcpus"`
	MemoryMiB     int    `json:"memory_mib,omitempty"`
	CPU           string `json:"cpu,omitempty"`
	Boot          string `json:"boot"`
	Firmware      string `json:"firmware_sha256,omitempty"`
	PatchedKernel bool   `json:"patched_kernel,omitempty"`
}

// ReportImage is what an image is made of.
type ReportImage struct {
	Release  string       `json:"release"`
	Engine   string       `json:"engine"`
	Debug    bool         `json:"debug"`
	Manifest string       `json:"manifest_sha256"`
	Kernel   string       `json:"kernel"` // version and digest
	Cmdline  string       `json:"cmdline"`
	Initrd   []ReportFile `json:"initrd"`
}

// ReportFile is an entry of an initrd.
type ReportFile struct {
	Name   string `json:"name"`
	Mode   string `json:"mode"`
	SHA256 string `json:"sha256,omitempty"`
}

// ReportRegister is a register and its events.
type ReportRegister struct {
	Name   string        `json:"name"`
	Value  string        `json:"value"` // "" if it cannot be known
	Open   string        `json:"open,omitempty"`
	Events []ReportEvent `json:"events"`
}

// ReportEvent is one event.
type ReportEvent struct {
	Component string `json:"component"`
	Type      string `json:"type"`
	Digest    string `json:"digest"`
	Detail    string `json:"detail"`
}

// MakeReport predicts and describes.
func MakeReport(img *image.Image, l Launch) (*Report, error) {
	p, err := Predict(img, l)
	if err != nil {
		return nil, err
	}
	r := &Report{Version: ReportVersion, Platform: l.Platform, Measurement: hex.EncodeToString(p.Measurement)}
	r.Launch = ReportLaunch{VCPUs: l.VCPUs, MemoryMiB: l.MemoryMiB, CPU: l.CPU, Boot: string(l.Boot), PatchedKernel: l.PatchedKernel}
	if len(l.Firmware) != 0 {
		r.Launch.Firmware = fmt.Sprintf("%x", sha256.Sum256(l.Firmware))
	}
	for _, g := range p.Registers {
		x := ReportRegister{Name: g.Name, Value: hex.EncodeToString(g.Value), Open: g.Open, Events: []ReportEvent{}}
		for _, e := range g.Events {
			x.Events = append(x.Events, ReportEvent{Component: e.Component, Type: e.Type, Digest: hex.EncodeToString(e.Digest), Detail: e.Detail})
		}
		r.Registers = append(r.Registers, x)
	}
	if r.Image, err = describe(img, l); err != nil {
		return nil, err
	}
	return r, nil
}

func describe(img *image.Image, l Launch) (ReportImage, error) {
	m := &img.Manifest
	out := ReportImage{Release: m.Release, Engine: m.Engine, Debug: m.Debug, Cmdline: m.Cmdline, Initrd: []ReportFile{}}
	if l.Platform == attest.PlatformSNP {
		out.Cmdline = m.CmdlineSNP
	}
	encoded, err := m.Encode()
	if err != nil {
		return out, err
	}
	out.Manifest = fmt.Sprintf("%x", sha256.Sum256(encoded))
	kernel, err := img.Read(image.FileKernel)
	if err != nil {
		return out, err
	}
	version, err := predict.KernelVersion(kernel)
	if err != nil {
		return out, err
	}
	out.Kernel = fmt.Sprintf("%s, sha256:%x", version, sha256.Sum256(kernel))
	initrd, err := img.Read(image.FileInitrd)
	if err != nil {
		return out, err
	}
	entries, err := cpio.Read(initrd)
	if err != nil {
		return out, fmt.Errorf("initrd: %w", err)
	}
	for _, e := range entries {
		f := ReportFile{Name: e.Name, Mode: fmt.Sprintf("%06o", e.Mode)}
		if e.Mode&cpio.TypeMask == cpio.Regular {
			f.SHA256 = fmt.Sprintf("%x", sha256.Sum256(e.Data))
		}
		out.Initrd = append(out.Initrd, f)
	}
	return out, nil
}

// Encode writes a report.
func (r *Report) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return append(b, '\n'), nil
}

// ParseReport reads what Encode wrote. Nothing of it is trusted or even
// checked against an image: a report is for comparing.
func ParseReport(b []byte) (*Report, error) {
	if len(b) > maxReport {
		return nil, fmt.Errorf("report of %d bytes, expected at most %d", len(b), maxReport)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	r := new(Report)
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("report: not the JSON of enarx measure --json: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("report: something follows the JSON")
	}
	if r.Version != ReportVersion {
		return nil, fmt.Errorf("report: version %d, expected %d", r.Version, ReportVersion)
	}
	return r, nil
}
