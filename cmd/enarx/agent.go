// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/agent"
	"github.com/enarx/enarx-go/agent/relay"
	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/process"
	"github.com/enarx/enarx-go/loader/qemu"
	"github.com/enarx/enarx-go/sallyport"
	"github.com/enarx/enarx-go/workload/enarxtoml"
)

// agentFlags are the flags of `enarx agent`.
type agentFlags struct {
	cfg       agent.Config
	allowDial []string
	bind      string
	maxMemory string
	keepMem   string
	logFormat string
	verbose   bool
	keep      string
	image     string
	accel     string
}

func newAgentCmd(a *app) *cobra.Command {
	var f agentFlags
	c := &cobra.Command{
		Use:   "agent",
		Short: "Be the daemon of a host: start Keeps, relay what it cannot read",
		Long: `Be the daemon of a host: start Keeps for callers and relay bytes that it cannot
read. Nobody trusts the agent; what it protects is its own host.

On loopback it needs no authentication. Any other --listen needs --tls-cert and
--tls-key, and --token-file or --client-ca, and is refused without.

SIGTERM drains: no more Keeps are made and those at work may go on for the drain
time. A second signal ends them at once. docs/operate.md has the rest.`,
		Example: "  enarx agent --state /var/lib/enarx\n" +
			"  enarx agent --platforms vm,vtpm --image /var/lib/enarx/image\n" +
			"  enarx agent --listen 0.0.0.0:7420 --tls-cert host.pem --tls-key host-key.pem --token-file /etc/enarx/tokens",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.agent(c.Context(), &f) },
	}
	addAgentFlags(c, &f)
	return c
}

func addAgentFlags(c *cobra.Command, f *agentFlags) {
	fs := c.Flags()
	fs.StringVar(&f.cfg.Listen, "listen", agent.DefaultListen, "`ADDRESS` of the API")
	fs.StringVar(&f.cfg.StateDir, "state", "", "`DIR` for records, sealed records and the sim root (default: /var/lib/enarx as root, else below XDG_STATE_HOME)")
	fs.StringSliceVar(&f.cfg.Platforms, "platforms", nil, "`NAMES` of the platforms to offer (default: all that work here)")
	fs.StringVar(&f.cfg.SimFormat, "sim-format", attest.PlatformSNP, "shape of the made-up evidence of platform sim: `FORMAT` snp, tdx, sgx, nitro or vtpm")
	fs.StringVar(&f.cfg.TokenFile, "token-file", "", "`FILE` of accepted bearer tokens, one per line")
	fs.StringVar(&f.cfg.TLSCert, "tls-cert", "", "`FILE` of the TLS certificate (PEM)")
	fs.StringVar(&f.cfg.TLSKey, "tls-key", "", "`FILE` of its key (PEM)")
	fs.StringVar(&f.cfg.ClientCA, "client-ca", "", "`FILE` of the CAs of accepted client certificates (PEM)")
	fs.StringArrayVar(&f.allowDial, "allow-dial", nil, "let workloads connect only to `HOST:PORT` patterns such as *.example.com:443 (repeatable)")
	fs.BoolVar(&f.cfg.Dial.Deny, "deny-dial", false, "let workloads connect nowhere")
	fs.StringVar(&f.bind, "bind", "127.0.0.1", "`ADDRESS` for the listeners of workloads")
	fs.Uint16Var(&f.cfg.Ports.MinPort, "min-port", 1024, "lowest port for the listeners of workloads")
	fs.Uint16Var(&f.cfg.Ports.MaxPort, "max-port", 65535, "highest port for the listeners of workloads")
	l := &f.cfg.Limits
	fs.IntVar(&l.Keeps, "max-keeps", 0, "most Keeps at a time (default 256)")
	fs.StringVar(&f.maxMemory, "max-memory", "", "most memory of all Keeps together, `SIZE` (default 16 times the machine's)")
	fs.StringVar(&f.keepMem, "keep-memory", "", "memory class of a Keep that asks for none, `SIZE` (default 512MiB)")
	fs.IntVar(&l.Tunnels, "max-tunnels", 0, "most tunnels at a time (default 2048)")
	fs.IntVar(&l.RelayConns, "max-conns", 0, "most connections of all workloads together (default 8192)")
	fs.Float64Var(&l.CreateRate, "create-rate", 0, "creates per second in the long run (default 20)")
	fs.DurationVar(&l.Unclaimed, "unclaimed", 0, "how long a Keep waits for its client (default 2m)")
	fs.DurationVar(&l.Lifetime, "lifetime", 0, "end Keeps that are older (default: never)")
	fs.DurationVar(&l.Drain, "drain", 0, "how long Keeps may go on when the agent is told to end (default 30s)")
	fs.DurationVar(&l.Spool, "spool", 0, "how long the sealed record of an ended workload is kept (default 24h)")
	fs.StringVar(&f.logFormat, "log", "text", "`FORMAT` of the log on stderr: text or json")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "log more")
	addKeepFlag(c, &f.keep)
	addMachineFlags(c, &f.image, &f.accel)
}

func (a *app) agent(ctx context.Context, f *agentFlags) error {
	if err := a.agentConfig(f); err != nil {
		return err
	}
	ag, err := agent.New(f.cfg)
	if err != nil {
		return fail(exitUsage, "", err)
	}
	if slices.Contains(ag.Platforms(), attest.PlatformVTPM) {
		if err := exportTPMRoot(f.cfg.StateDir); err != nil {
			ag.Close()
			return err
		}
	}
	err = ag.Run(ctx, func(addr net.Addr) {
		scheme := "http"
		if f.cfg.TLSCert != "" {
			scheme = "https"
		}
		// Data, so that a script that asked for port 0 learns it.
		a.emit("%s://%s\n", scheme, addr)
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, agent.ErrExposed):
		return fail(exitUsage, "", err)
	}
	return fail(exitAgent, "", err)
}

// agentConfig completes the configuration from the flags.
func (a *app) agentConfig(f *agentFlags) error {
	k, err := a.openKeep(f.keep)
	if err != nil {
		return err
	}
	defer k.File.Close()
	f.cfg.Keep = k.Path
	if f.cfg.StateDir == "" {
		if f.cfg.StateDir, err = defaultAgentState(); err != nil {
			return err
		}
	}
	if err := f.loaders(k); err != nil {
		return err
	}
	for _, s := range f.allowDial {
		p, err := relay.ParsePattern(s)
		if err != nil {
			return failf(exitUsage, "", "--allow-dial: %w", err)
		}
		f.cfg.Dial.Allow = append(f.cfg.Dial.Allow, p)
	}
	if f.cfg.Ports.Bind, err = netip.ParseAddr(f.bind); err != nil {
		return failf(exitUsage, "name an address of this machine, or 0.0.0.0 or :: for all", "--bind %q is not an address", f.bind)
	}
	for _, s := range []struct {
		flag, text string
		to         *uint64
	}{{"--max-memory", f.maxMemory, &f.cfg.Limits.Memory}, {"--keep-memory", f.keepMem, &f.cfg.Limits.DefaultMemory}} {
		if s.text == "" {
			continue
		}
		if *s.to, err = enarxtoml.ParseSize(s.text); err != nil {
			return failf(exitUsage, "", "%s: %w", s.flag, err)
		}
	}
	f.cfg.Log, err = a.agentLog(f)
	return err
}

// loaders gives the agent a loader for every platform that it can start, and
// says which are offered: those that were named, or those that work here. The
// others' loaders stay, for what a former life of the agent has left.
func (f *agentFlags) loaders(k *keepRuntime) error {
	f.cfg.Loaders = map[string]loader.Loader{attest.PlatformProcess: process.New()}
	offered := []string{attest.PlatformProcess, attest.PlatformSim}
	for _, p := range qemu.Platforms {
		l, err := machineLoader(p, f.image, f.accel, filepath.Join(f.cfg.StateDir, tpmAuthorityDir))
		if err != nil {
			return err
		}
		f.cfg.Loaders[p] = l
		named := slices.Contains(f.cfg.Platforms, p)
		if len(f.cfg.Platforms) > 0 && !named {
			continue
		}
		if r := l.Probe(context.Background()); !r.Usable {
			if named {
				return failf(exitPlatform, "enarx platform "+p+" shows what this machine lacks", "platform %s cannot be started here: %s", p, lacks(r))
			}
			continue
		}
		if err := l.Check(k.File); err != nil {
			if named {
				return failf(exitPlatform, "", "platform %s cannot be started here: %w", p, err)
			}
			continue
		}
		offered = append(offered, p)
	}
	if len(f.cfg.Platforms) == 0 {
		f.cfg.Platforms = offered
	}
	dir := filepath.Join(f.cfg.StateDir, tpmAuthorityDir)
	f.cfg.Hints = map[string]func() ([]sallyport.Hint, error){
		attest.PlatformVTPM: func() ([]sallyport.Hint, error) { return tpmHints(dir) },
	}
	return nil
}

// vtpmRootFile is the file in the agent's state directory that clients name to
// accept its software TPMs.
const vtpmRootFile = "vtpm-root.pem"

// exportTPMRoot puts the root of the software TPMs where clients' users find it,
// and makes it where there is none.
func exportTPMRoot(state string) error {
	a, err := qemu.OpenTPMAuthority(filepath.Join(state, tpmAuthorityDir))
	if err != nil {
		return fail(exitAgent, "", err)
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Root})
	return writeFile(filepath.Join(state, vtpmRootFile), "the root of software TPMs", b, 0o644, false)
}

func defaultAgentState() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/enarx", nil
	}
	dir, err := stateDir()
	return filepath.Join(dir, "agent"), err
}

// agentLog is the agent's log on stderr. As text its lines begin like all of
// ours; as JSON they are for machines.
func (a *app) agentLog(f *agentFlags) (*slog.Logger, error) {
	opt := &slog.HandlerOptions{Level: slog.LevelInfo}
	if f.verbose {
		opt.Level = slog.LevelDebug
	}
	switch f.logFormat {
	case "json":
		return slog.New(slog.NewJSONHandler(a.ui.w, opt)), nil
	case "text":
		return slog.New(slog.NewTextHandler(prefixed{a.ui.w}, opt)), nil
	}
	return nil, failf(exitUsage, "formats are text and json", "--log %q is not known", f.logFormat)
}

// prefixed marks each write, which slog makes one line, as ours.
type prefixed struct{ w io.Writer }

func (p prefixed) Write(b []byte) (int, error) {
	if _, err := p.w.Write(bytes.Join([][]byte{[]byte("enarx: "), b}, nil)); err != nil {
		return 0, err
	}
	return len(b), nil
}
