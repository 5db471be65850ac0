// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
)

// deployFlags are the flags of `enarx deploy`.
type deployFlags struct {
	workloadFlags
	trustFlags
	reachFlags
	host     string
	platform string
	receipt  string
	owner    string
	publish  []string
	cert     string
	detach   bool
	json     bool
	quiet    bool
}

// trustFlags say what evidence is good enough. The insecure ones have no other
// source than the command line: neither the environment nor a file that came
// with a workload can weaken a deployment (DESIGN, invariant 1).
type trustFlags struct {
	collateral   []string
	policy       string
	accepted     []string // the platforms of the policy file, once it is read
	engines      []string // its engines, likewise
	unproven     bool     // what it says of a TPM's activation in saved evidence
	reference    []string
	referenceKey []string
	simRoot      string
	tpmRoot      []string
	noTEE        bool
}

func (f *trustFlags) add(c *cobra.Command) {
	fs := c.Flags()
	fs.StringArrayVar(&f.collateral, "collateral", nil, "directory or file `PATH` of certificates, revocation lists and Intel's documents, in place of the collateral cache (repeatable)")
	fs.StringVar(&f.policy, "policy", "", "hold the evidence against the policy in this `FILE` (TOML)")
	fs.StringArrayVar(&f.tpmRoot, "tpm-root", nil, "accept platform vtpm with TPMs under the roots in `FILE`; the host sees inside (repeatable)")
	fs.StringVar(&f.simRoot, "insecure-sim-root", "", "accept platform sim under the throw-away root in `FILE`; it proves nothing about the host")
	fs.BoolVar(&f.noTEE, "insecure-no-tee", false, "accept platform process or vm, where the host sees everything")
}

// reachFlags say how to reach an agent and as whom.
type reachFlags struct {
	tokenFile  string
	tlsCA      string
	clientCert string
	clientKey  string
}

func (f *reachFlags) add(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&f.tokenFile, "token-file", "", "`FILE` of the bearer token for the agent")
	fs.StringVar(&f.tlsCA, "tls-ca", "", "`FILE` of the CAs of the agent's own certificate (PEM; default: the system's)")
	fs.StringVar(&f.clientCert, "client-cert", "", "`FILE` of a client certificate for the agent (PEM)")
	fs.StringVar(&f.clientKey, "client-key", "", "`FILE` of its key (PEM)")
}

func newDeployCmd(a *app) *cobra.Command {
	var f deployFlags
	c := &cobra.Command{
		Use:   "deploy --host URL [flags] MODULE [-- ARGS...]",
		Short: "Run a workload in an attested Keep on a machine you do not trust",
		Long: `Ask the agent at URL for an empty Keep, have the Keep prove what it is, show the
verdict and the trust statement, and only then send MODULE to it, under keys that
nobody but this Keep holds. Streams, exit code and signals pass through.

By default only snp, tdx and sgx are accepted, the strongest that the agent has.
Anything else must be named with --platform together with the flag that accepts
its weakness; those flags work on this command line only.

The deployment gets an owner key of its own, in a file that only you can read.
With --detach the workload goes on by itself; ps, logs, attach, stop and inspect
take the name that is printed.

` + exitHelp(),
		Example: `  enarx deploy --host https://host.example:7420 hello.wasm
  enarx deploy --host http://127.0.0.1:7420 --platform sim --insecure-sim-root DIR/sim-root.pem hello.wasm
  enarx deploy --host https://host.example:7420 --platform vtpm --tpm-root tpm-root.pem hello.wasm
  enarx deploy --host https://host.example:7420 --detach --config Enarx.toml --cert cert.pem server.wasm`,
		Args:              moduleArgs,
		ValidArgsFunction: completeModule,
		RunE: func(c *cobra.Command, args []string) error {
			a.ui.jsonErrors, a.ui.quiet = f.json, f.json || f.quiet
			return a.deploy(c.Context(), &f, args[0], args[1:])
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.host, "host", "", "`URL` of the agent, https://HOST[:7420] or http:// on loopback")
	fs.StringVar(&f.platform, "platform", "auto", "`NAME` of the platform: auto (snp, tdx or sgx) or one platform")
	addWorkloadFlags(c, &f.workloadFlags)
	addSessionFlags(c, &f.workloadFlags, &f.publish, &f.cert)
	fs.StringArrayVar(&f.reference, "reference", nil, "accept only the Keep releases in this `FILE` of signed reference values (repeatable)")
	fs.StringArrayVar(&f.referenceKey, "reference-key", nil, "`FILE` of the public keys that may sign them (repeatable)")
	f.trustFlags.add(c)
	fs.StringVar(&f.receipt, "receipt", "", "write the signed receipt of this deployment to `FILE`")
	fs.BoolVarP(&f.detach, "detach", "d", false, "leave the workload running and print the deployment's name")
	fs.StringVar(&f.owner, "owner", "", "write the owner key to `FILE` (default: a fresh file below the user's configuration directory)")
	f.reachFlags.add(c)
	fs.BoolVar(&f.json, "json", false, "end with one line of JSON on stderr that says whose exit code it is")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "show neither progress nor a verdict that passed; warnings stay")
	c.RegisterFlagCompletionFunc("platform", cobra.FixedCompletions(append([]string{"auto"}, platformNames...), cobra.ShellCompDirectiveNoFileComp))
	return c
}

// hardware are the platforms that need no flag to be accepted, strongest first.
var hardware = []string{attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX}

// checkPlatform refuses what must not happen by accident. It returns the
// platforms to ask the agent for, in order.
func (f *trustFlags) checkPlatform(platform string) ([]string, error) {
	if f.simRoot != "" && platform != attest.PlatformSim {
		return nil, failf(exitUsage, "add --platform sim, or leave --insecure-sim-root out",
			"--insecure-sim-root is for platform sim and no other, and --platform is %s", platform)
	}
	if len(f.tpmRoot) > 0 && platform != attest.PlatformVTPM {
		return nil, failf(exitUsage, "add --platform vtpm, or leave --tpm-root out",
			"--tpm-root is for platform vtpm and no other, and --platform is %s", platform)
	}
	weak := platform == attest.PlatformProcess || platform == attest.PlatformVM
	if f.noTEE && !weak {
		return nil, failf(exitUsage, "add --platform process, or leave --insecure-no-tee out",
			"--insecure-no-tee is for platforms process and vm and no other, and --platform is %s", platform)
	}
	switch platform {
	case "auto":
		return hardware, nil
	case attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX:
	case attest.PlatformVTPM:
		if len(f.tpmRoot) == 0 {
			return nil, failf(exitUsage, "name the root of the TPM's maker with --tpm-root FILE; an agent with software TPMs wrote theirs to vtpm-root.pem of its state directory",
				"platform vtpm is accepted only with TPMs whose maker's root is named on this command line")
		}
	case attest.PlatformProcess, attest.PlatformVM:
		if !f.noTEE {
			return nil, failf(exitUsage, "to run where the host sees everything add --insecure-no-tee; to be protected from it use snp, tdx or sgx",
				"platform %s has no TEE and no evidence: the host can see and change everything", platform)
		}
	case attest.PlatformSim:
		if f.simRoot == "" {
			return nil, failf(exitUsage, "to try out the protocol name the root with --insecure-sim-root FILE; the agent wrote it to sim-root.pem of its state directory",
				"platform sim is accepted only under a root named on this command line: its evidence is simulated and proves nothing")
		}
	default:
		return nil, failf(exitUsage, "platforms are auto, snp, tdx, sgx, vtpm, vm, process and sim", "--platform %q is not known", platform)
	}
	return []string{platform}, nil
}
