// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/evidence"
	"github.com/enarx/enarx-go/measure/predict"
	"github.com/enarx/enarx-go/measure/release"
)

const (
	// maxFirmwareFile bounds a firmware image; OVMF's has 4 MiB.
	maxFirmwareFile = 16 << 20
	// maxACPIFile bounds a table that QEMU makes: it reserves 128 KiB.
	maxACPIFile = 1 << 20
	// maxReportFile bounds a saved prediction.
	maxReportFile = 4 << 20
)

// launchFlags are the parameters of a launch whose measurement is asked for.
type launchFlags struct {
	platform, cpu, firmware   string
	vcpus, memory, secureBoot int
	direct, patched           bool
	acpi                      []string
}

func (f *launchFlags) add(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&f.platform, "platform", attest.PlatformVTPM, "`NAME` of the platform: vtpm, snp or tdx")
	fs.IntVar(&f.vcpus, "vcpus", 1, "`NUMBER` of virtual processors (snp, tdx)")
	fs.IntVar(&f.memory, "memory", 512, "`MIB` of memory (tdx, and with --patched-kernel)")
	fs.StringVar(&f.cpu, "cpu", "EPYC-v4", "QEMU's name of the CPU `MODEL` (snp)")
	fs.StringVar(&f.firmware, "firmware", "", "firmware image `FILE`: snp and tdx measure it whole")
	fs.BoolVar(&f.direct, "direct", false, "kernel, initrd and command line given to QEMU, instead of the UKI from a disk (vtpm, tdx)")
	fs.StringSliceVar(&f.acpi, "acpi", nil, "three `FILES` that RTMR0 needs: QEMU's etc/table-loader, etc/acpi/rsdp and etc/acpi/tables (tdx)")
	fs.IntVar(&f.secureBoot, "secure-boot", 0, "the firmware's variable SecureBoot, 0 or 1, or -1 if it has none (tdx; vtpm from a disk: 1 if it is on)")
	fs.BoolVar(&f.patched, "patched-kernel", false, "for --direct: the kernel's setup header is filled in, as by QEMU before 9.2 or for OVMF before 2025")
}

// launch turns the flags into a launch.
func (f *launchFlags) launch() (release.Launch, error) {
	l := release.Launch{Platform: f.platform, Params: predict.Params{VCPUs: f.vcpus, MemoryMiB: f.memory, Boot: predict.BootUKI}}
	switch f.platform {
	case attest.PlatformVTPM, attest.PlatformTDX:
	case attest.PlatformSNP:
		l.CPU, f.direct = f.cpu, true
	default:
		return l, failf(exitUsage, "name one of vtpm, snp or tdx with --platform", "what platform %q measures cannot be predicted", f.platform)
	}
	if f.direct {
		l.Boot, l.PatchedKernel = predict.BootDirect, f.patched && f.platform != attest.PlatformSNP
	}
	if f.platform == attest.PlatformVTPM {
		if f.secureBoot == 1 && !f.direct {
			l.Boot = predict.BootUKISecure
		}
		return l, nil // what the firmware measures of itself is not predicted
	}
	if f.firmware == "" {
		return l, failf(exitUsage, "name it with --firmware FILE: for snp one with kernel hashes, such as Debian's OVMF.amdsev.fd; for tdx such as OVMF.inteltdx.fd",
			"the firmware is missing, which %s measures", f.platform)
	}
	var err error
	if l.Firmware, err = readLimited(f.firmware, "the firmware", maxFirmwareFile, exitUsage); err != nil {
		return l, err
	}
	l.TDX.SecureBoot = f.secureBoot
	for _, name := range f.acpi {
		b, err := readLimited(name, "the ACPI table", maxACPIFile, exitUsage)
		if err != nil {
			return l, err
		}
		l.TDX.ACPI = append(l.TDX.ACPI, b)
	}
	return l, nil
}

func newMeasureCmd(a *app) *cobra.Command {
	var f launchFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "measure IMAGE [flags]", Short: "Predict what an image measures to",
		Long: `Compute what a platform will measure when it starts the image in directory IMAGE:
from its files alone, on any machine, without the hardware. Every register is
shown with the events that make it. --json prints the same to save and to compare
with enarx measure diff.`,
		Example: "  enarx measure image\n  enarx measure image --platform snp --vcpus 4 --cpu EPYC-Milan --firmware OVMF.amdsev.fd",
		Args:    oneArg("IMAGE"),
		RunE: func(c *cobra.Command, args []string) error {
			a.ui.jsonErrors = asJSON
			r, err := measureImage(c.Context(), args[0], &f)
			if err != nil {
				return err
			}
			if asJSON {
				return a.writeReport(r)
			}
			return a.emit("%s", reportText(r))
		},
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.AddCommand(newMeasureDiffCmd(a))
	return c
}

func measureImage(ctx context.Context, dir string, f *launchFlags) (*release.Report, error) {
	l, err := f.launch()
	if err != nil {
		return nil, err
	}
	img, err := openImage(ctx, []string{dir})
	if err != nil {
		return nil, err
	}
	r, err := release.MakeReport(img, l)
	if err != nil {
		return nil, fail(exitUsage, "", fmt.Errorf("measuring %s: %w", dir, err))
	}
	return r, nil
}

func (a *app) writeReport(r *release.Report) error {
	b, err := r.Encode()
	if err != nil {
		return fail(exitInternal, "", err)
	}
	return a.emit("%s", b)
}

func reportText(r *release.Report) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "%s\n", oneLine(fmt.Sprintf(format, args...))) }
	debug := ""
	if r.Image.Debug {
		debug = ", DEBUG"
	}
	line("platform %s, release %s%s, kernel %s", r.Platform, r.Image.Release, debug, r.Image.Kernel)
	line("command line: %s", r.Image.Cmdline)
	for _, g := range r.Registers {
		value := g.Value
		if value == "" {
			value = "not known: " + g.Open
		}
		line("%s  %s", g.Name, value)
		for _, e := range g.Events {
			line("  %-14s %s  %s (%s)", e.Component, e.Digest, e.Detail, e.Type)
		}
	}
	if r.Measurement == "" {
		line("measurement not known: some register is not")
	} else {
		line("measurement %s", r.Measurement)
	}
	return b.String()
}

func newMeasureDiffCmd(a *app) *cobra.Command {
	var f launchFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "diff A B [flags]", Short: "Say which parts of two measurements differ",
		Long: `Compare what two images measure to, or one image started in two ways: causes first
(launch, files of the initrd, words of the command line), then the registers and
events that they change. A and B are directories of images, measured with the given
flags, files saved with enarx measure --json, or files with evidence of platform
vtpm, such as evidence bundles: nothing of those is verified, and their events are
named as those in their places.`,
		Example: "  enarx measure diff old-image new-image\n  enarx measure image --platform snp --vcpus 4 --firmware OVMF.amdsev.fd --json > four.json\n  enarx measure diff four.json image --platform snp --vcpus 8 --firmware OVMF.amdsev.fd",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return failf(exitUsage, "see "+c.CommandPath()+" --help", "%d arguments, expected two: %s", len(args), c.UseLine())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			a.ui.jsonErrors = asJSON
			var reports [2]*release.Report
			for i, arg := range args {
				r, err := reportOf(c.Context(), arg, &f)
				if err != nil {
					return err
				}
				reports[i] = r
			}
			return a.showChanges(release.Diff(reports[0], reports[1]), asJSON)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// reportOf measures a directory, or reads a saved report or what was measured.
func reportOf(ctx context.Context, path string, f *launchFlags) (*release.Report, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return measureImage(ctx, path, f)
	}
	b, err := readLimited(path, "the prediction", maxReportFile, exitUsage)
	if err != nil {
		return nil, err
	}
	r, err := release.ParseReport(b)
	if err == nil {
		return r, nil
	}
	if found, ferr := evidence.Find(b); ferr == nil {
		if r, err = release.Measured(found.Pieces[0].Evidence); err == nil {
			return r, nil
		}
	}
	return nil, fail(exitUsage, "name an image's directory, a file of enarx measure --json, or evidence of platform vtpm", fmt.Errorf("%s: %w", path, err))
}

func (a *app) showChanges(changes []release.Change, asJSON bool) error {
	if asJSON {
		if changes == nil {
			changes = []release.Change{}
		}
		return a.writeJSON(map[string]any{"changes": changes})
	}
	if len(changes) == 0 {
		return a.emit("no difference: both measure to the same\n")
	}
	for _, c := range changes {
		if err := a.emit("%s\n", oneLine(c.String())); err != nil {
			return err
		}
	}
	return nil
}
