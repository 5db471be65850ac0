// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/attest/sim/simhw"
	"github.com/enarx/enarx-go/image"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/process"
	"github.com/enarx/enarx-go/loader/qemu"
	"github.com/enarx/enarx-go/sallyport"
)

// probeProcess reports on platform process.
func probeProcess(ctx context.Context) loader.Report { return process.New().Probe(ctx) }

// addImageFlag is --image, the same for every command that looks at machines.
func addImageFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "image", "", "`DIR` of the Keep image for the platforms that are virtual machines (default: where enarx image build puts it)")
}

// addMachineFlags are the flags of commands that start machines.
func addMachineFlags(c *cobra.Command, dir, accel *string) {
	addImageFlag(c, dir)
	c.Flags().StringVar(accel, "accel", qemu.AccelAuto, "how the code of virtual machines runs: `NAME` auto, kvm or tcg (emulation)")
	c.RegisterFlagCompletionFunc("accel", cobra.FixedCompletions([]string{qemu.AccelAuto, qemu.AccelKVM, qemu.AccelTCG}, cobra.ShellCompDirectiveNoFileComp))
}

// imageDir is the directory of the Keep image: as named, or where enarx image
// build puts it.
func imageDir(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	exe, err := os.Executable()
	if err == nil {
		flag, err = image.DefaultDir(exe)
	}
	if err != nil {
		return "", failf(exitPlatform, "name it with --image DIR", "finding the Keep image: %w", err)
	}
	return flag, nil
}

// tpmAuthorityDir is where an agent, or this user, keeps the authority of its
// software TPMs, below the state directory.
const tpmAuthorityDir = "tpm-authority"

// machineLoader starts Keeps in virtual machines.
func machineLoader(platform, image, accel, authority string) (*qemu.Loader, error) {
	dir, err := imageDir(image)
	if err != nil {
		return nil, err
	}
	l, err := qemu.New(qemu.Options{Platform: platform, Image: dir, Accel: accelFor(platform, accel), TPMAuthority: authority})
	if err != nil {
		return nil, fail(exitUsage, "", err)
	}
	return l, nil
}

// accelFor has confidential machines start by the one accelerator that they
// have, whatever the others use.
func accelFor(platform, accel string) string {
	if platform == attest.PlatformSNP || platform == attest.PlatformTDX {
		return qemu.AccelAuto
	}
	return accel
}

// localMachineLoader is the one of this user's own runs.
func localMachineLoader(platform, image, accel string) (*qemu.Loader, error) {
	state, err := stateDir()
	if err != nil {
		return nil, err
	}
	return machineLoader(platform, image, accel, filepath.Join(state, tpmAuthorityDir))
}

// tpmHints are what goes with the evidence of a software TPM: the certificate
// between its own and the root that users name.
func tpmHints(authority string) ([]sallyport.Hint, error) {
	a, err := qemu.OpenTPMAuthority(authority)
	if err != nil {
		return nil, err
	}
	return []sallyport.Hint{{MediaType: attest.MediaTypeCertificate, Value: a.Issuer}}, nil
}

// localTPMHints are those of this user's own runs.
func localTPMHints() ([]sallyport.Hint, error) {
	state, err := stateDir()
	if err != nil {
		return nil, err
	}
	hints, err := tpmHints(filepath.Join(state, tpmAuthorityDir))
	if err != nil {
		return nil, fail(exitPlatform, "", err)
	}
	return hints, nil
}

// probeMachine reports on a platform that is a virtual machine.
func probeMachine(ctx context.Context, platform, image string) loader.Report {
	l, err := localMachineLoader(platform, image, "")
	if err != nil {
		return loader.Report{Platform: platform, Visible: "unknown", Checks: []loader.Check{{
			Name: "Keep image", Seen: err.Error(), Remedy: "name it with --image DIR",
		}}}
	}
	return l.Probe(ctx)
}

// lacks are the failed checks of a report without which a platform does not
// work, in one line.
func lacks(r loader.Report) string {
	var out []string
	for _, c := range r.Checks {
		if !c.OK && !strings.HasSuffix(c.Name, "(optional)") {
			out = append(out, c.Name+": "+c.Seen)
		}
	}
	return strings.Join(out, "; ")
}

// localSim plays the TEE for `enarx run --platform sim`, under a throw-away
// root of this user.
type localSim struct {
	authority   *simhw.Authority
	measurement [48]byte
}

// Quote implements relay.Hardware.
func (s *localSim) Quote(reportData [64]byte, hostData [32]byte) ([]byte, error) {
	return s.authority.Report(reportData, s.measurement, hostData)
}

func (s *localSim) hints() []sallyport.Hint {
	var hints []sallyport.Hint
	for _, c := range s.authority.Chain() {
		hints = append(hints, sallyport.Hint{MediaType: c.MediaType, Value: c.Value})
	}
	return hints
}

// verifier takes what this very simulation signs, and nothing else.
func (s *localSim) verifier() (attest.Verifier, error) {
	root, err := sim.ParseRoot(s.authority.RootPEM())
	if err != nil {
		return nil, failf(exitInternal, "", "reading the sim root: %w", err)
	}
	return sim.New(root), nil
}

// openLocalSim loads this user's throw-away root or makes one, which takes a
// second or two. The Keep runtime must have been measured.
func openLocalSim(keep *keepRuntime) (*localSim, error) {
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "sim-authority.pem")
	saved, err := os.ReadFile(path)
	var auth *simhw.Authority
	switch {
	case errors.Is(err, os.ErrNotExist):
		if auth, err = simhw.NewAuthority(time.Now()); err != nil {
			return nil, failf(exitInternal, "", "making the throw-away root of sim: %w", err)
		}
		if saved, err = auth.Save(); err != nil {
			return nil, failf(exitInternal, "", "making the throw-away root of sim: %w", err)
		}
		if err := writeFile(path, "the throw-away root of sim", saved, 0o600, false); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fileError(exitInternal, "the throw-away root of sim", path, err)
	default:
		if auth, err = simhw.Load(saved); err != nil {
			return nil, failf(exitInternal, "remove the file to have a new one made", "reading the throw-away root of sim in %s: %w", path, err)
		}
	}
	return &localSim{authority: auth, measurement: sim.Measurement(keep.Digest)}, nil
}

// stateDir is this user's directory for what enarx keeps between runs.
func stateDir() (string, error) { return userDir("XDG_STATE_HOME", ".local/state") }

// configDir is this user's directory for owner files.
func configDir() (string, error) { return userDir("XDG_CONFIG_HOME", ".config") }

// userDir follows the XDG base directory specification.
func userDir(variable, fallback string) (string, error) {
	base := os.Getenv(variable)
	if !filepath.IsAbs(base) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", failf(exitInternal, "set HOME", "finding the user's directory: %w", err)
		}
		base = filepath.Join(home, fallback)
	}
	dir := filepath.Join(base, "enarx")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", failf(exitInternal, "check the permissions there, or set "+variable, "making enarx's directory: %w", err)
	}
	return dir, nil
}
