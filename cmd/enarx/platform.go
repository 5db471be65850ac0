// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/hostprobe"
)

func newPlatformCmd(a *app) *cobra.Command {
	var asJSON bool
	var imageDir string
	c := &cobra.Command{
		Use:   "platform [NAME]",
		Short: "List the platforms and what each one lacks here",
		Long: `List every platform, strongest first: whether a Keep of it can be started on this
machine by this build, who could see inside, and for those that cannot be
started exactly what is missing and how to get it.

The machine describes itself here. What a Keep really runs on is proved by its
evidence (enarx deploy) and by nothing else.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneArg("NAME")(c, args)
		},
		ValidArgs: platformNames,
		RunE: func(c *cobra.Command, args []string) error {
			a.ui.jsonErrors = asJSON
			return a.platform(c.Context(), args, imageDir, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	addImageFlag(c, &imageDir)
	return c
}

// platformNames are all platforms, strongest first.
var platformNames = []string{
	attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX, attest.PlatformVTPM,
	attest.PlatformVM, attest.PlatformProcess, attest.PlatformSim,
}

func (a *app) platform(ctx context.Context, args []string, imageDir string, asJSON bool) error {
	reports := probeAll(ctx, imageDir)
	if len(args) == 1 {
		i := slices.IndexFunc(reports, func(r loader.Report) bool { return r.Platform == args[0] })
		if i < 0 {
			return failf(exitUsage, "platforms are "+strings.Join(platformNames, ", "), "unknown platform %q", args[0])
		}
		reports = reports[i : i+1]
	}
	if asJSON {
		return a.writeJSON(map[string]any{"platforms": reports})
	}
	return a.emit("%s", formatPlatforms(reports, len(args) == 1))
}

// probeAll asks the loaders of this build and describes the machine for the
// platforms that have none.
func probeAll(ctx context.Context, imageDir string) []loader.Report {
	sgx := hostprobe.This().Reports()
	var reports []loader.Report
	for _, name := range []string{attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX, attest.PlatformVTPM, attest.PlatformVM} {
		if name == attest.PlatformSGX {
			reports = append(reports, sgx...)
			continue
		}
		reports = append(reports, probeMachine(ctx, name, imageDir))
	}
	process := probeProcess(ctx)
	sim := process
	sim.Platform = attest.PlatformSim
	sim.Visible = "the host can see inside: evidence is simulated, for trying out the protocol"
	return append(reports, process, sim)
}

// formatPlatforms shows a line per platform and below it what is missing; with
// all it shows what is there too.
func formatPlatforms(reports []loader.Report, all bool) string {
	var b strings.Builder
	for _, r := range reports {
		state := "not usable here"
		if r.Usable {
			state = "usable"
		}
		fmt.Fprintf(&b, "%-9s%-17s%s\n", r.Platform, state, r.Visible)
		for _, c := range r.Checks {
			if c.OK && !all {
				continue
			}
			mark := "lacks"
			if c.OK {
				mark = "has"
			}
			fmt.Fprintf(&b, "         %-6s %s: %s\n", mark, oneLine(c.Name), oneLine(c.Seen))
			if c.Remedy != "" {
				fmt.Fprintf(&b, "                %s\n", oneLine(c.Remedy))
			}
		}
	}
	return b.String()
}
