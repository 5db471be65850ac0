// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"log/slog"
	"math/bits"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enarx/enarx-go/agent/relay"
	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/sallyport"
)

// DefaultListen is where an agent listens unless told otherwise: on loopback,
// where nobody needs to be authenticated.
const DefaultListen = "127.0.0.1:7420"

// Config says how an agent runs. Its zero value plus StateDir, Keep and Loaders
// is a safe agent: loopback only, default limits, Keeps that may dial neither
// the host nor its link-local neighbours and whose listeners are on 127.0.0.1.
type Config struct {
	// Listen is the address of the API, for Run; "" means DefaultListen.
	Listen string
	// StateDir is the agent's directory. It is made with mode 0700 if absent,
	// and refused if anyone else can look into it.
	StateDir string
	// Keep is the Keep runtime's file. It is opened once: exchanging the file
	// later changes nothing until the agent is started again.
	Keep string
	// Loaders start Keeps, by platform. The process loader also serves
	// platform sim, for which the agent plays the hardware.
	Loaders map[string]loader.Loader
	// Platforms are those offered; empty means every loader's, and sim with
	// process.
	Platforms []string
	// Hints gives, by platform, certificates and the like that go with the
	// evidence of its Keeps, for clients who have none. Clients trust none of
	// it for coming from here.
	Hints map[string]func() ([]sallyport.Hint, error)
	// SimFormat is the shape of the evidence of sim Keeps: "snp", "tdx",
	// "sgx", "nitro" or "vtpm"; "" means snp.
	SimFormat string

	// TokenFile holds the bearer tokens that are accepted, one per line,
	// at least 32 characters each; empty lines and lines that begin with #
	// are skipped. Nobody else may read or write it: it is the agent's user's
	// or root's, without permissions for group and others. The one exception
	// is a file of root that its group may read, as systemd hands credentials
	// to a service.
	TokenFile string
	// TLSCert and TLSKey are PEM files; with them the API speaks TLS 1.3.
	TLSCert, TLSKey string
	// ClientCA is a PEM file of the CAs whose client certificates are
	// accepted. With a token file too, either is enough.
	ClientCA string

	// Dial says where workloads may connect, Ports where their listeners go.
	Dial  relay.DialPolicy
	Ports relay.ListenPolicy

	Limits Limits
	// Log gets the agent's log; nil means none. It never sees a tunnel's
	// bytes, a token or a capability.
	Log *slog.Logger
}

// check fills in defaults and refuses what cannot be meant.
func (c *Config) check() error {
	if c.StateDir == "" {
		return fmt.Errorf("agent: no state directory; name one with --state DIR")
	}
	if c.Keep == "" {
		return fmt.Errorf("agent: no Keep runtime; name its file with --keep FILE")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return fmt.Errorf("agent: a TLS certificate and its key go together; seen only one of --tls-cert and --tls-key")
	}
	if c.ClientCA != "" && c.TLSCert == "" {
		return fmt.Errorf("agent: client certificates need TLS; add --tls-cert and --tls-key")
	}
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	switch c.SimFormat {
	case "":
		c.SimFormat = attest.PlatformSNP
	case attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX, attest.PlatformNitro, attest.PlatformVTPM:
	default:
		return fmt.Errorf("agent: sim format %q, expected snp, tdx, sgx, nitro or vtpm", c.SimFormat)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := c.checkPlatforms(); err != nil {
		return err
	}
	return c.Limits.fill()
}

func (c *Config) checkPlatforms() error {
	offered := make([]string, 0, len(c.Loaders)+1)
	for p := range c.Loaders {
		offered = append(offered, p)
	}
	if c.Loaders[attest.PlatformProcess] != nil && c.Loaders[attest.PlatformSim] == nil {
		offered = append(offered, attest.PlatformSim)
	}
	slices.Sort(offered)
	if len(offered) == 0 {
		return fmt.Errorf("agent: no platform to start Keeps on")
	}
	for _, p := range c.Platforms {
		if !slices.Contains(offered, p) {
			return fmt.Errorf("agent: platform %q is not one this agent can offer (%s); `enarx platform` says what each needs", p, strings.Join(offered, ", "))
		}
	}
	if len(c.Platforms) == 0 {
		c.Platforms = offered
	}
	return nil
}

// loader gives the loader that launches a platform.
func (c *Config) loader(platform string) loader.Loader {
	if l := c.Loaders[platform]; l != nil {
		return l
	}
	if platform == attest.PlatformSim {
		return c.Loaders[attest.PlatformProcess]
	}
	return nil
}

// timing is how long a platform's Keeps may take.
func (c *Config) timing(platform string) loader.Timing {
	t := loader.Timing{Start: c.Limits.Start, Leave: leaveTime, Work: 1}
	if l, ok := c.loader(platform).(loader.Timed); ok {
		own := l.Timing()
		t = loader.Timing{Start: max(t.Start, own.Start), Leave: max(t.Leave, own.Leave), Work: max(t.Work, own.Work)}
	}
	return t
}

// cost is what a Keep of a memory class takes of the host's memory, at most.
func (c *Config) cost(platform string, class uint64) uint64 {
	if l, ok := c.loader(platform).(loader.Costly); ok {
		return class + l.Overhead()
	}
	return class
}

// authenticated says that callers of the API must prove who they are.
func (c *Config) authenticated() bool { return c.TokenFile != "" || c.ClientCA != "" }

func (l *Limits) fill() error {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.Keeps, 256)
	def(&l.VCPUs, runtime.NumCPU())
	def(&l.Tunnels, 2048)
	def(&l.TunnelsPerKeep, sallyport.MaxAttach)
	def(&l.Conns, 1024)
	def(&l.RelayConns, 8192)
	def(&l.CreateBurst, max(64, l.Keeps))
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{{&l.Unclaimed, 2 * time.Minute}, {&l.Start, time.Minute}, {&l.Drain, 30 * time.Second}, {&l.Spool, 24 * time.Hour}} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	if l.CreateRate == 0 {
		l.CreateRate = 20
	}
	if l.SpoolBytes == 0 {
		l.SpoolBytes = 1 << 30
	}
	if l.DefaultMemory == 0 {
		l.DefaultMemory = 512 << 20
	}
	if l.Memory == 0 {
		l.Memory = 16 * machineMemory()
	}
	if !validClass(l.DefaultMemory) {
		return fmt.Errorf("agent: default memory class %d is not a power of two from %d to %d bytes", l.DefaultMemory, uint64(minMemoryClass), uint64(maxMemoryClass))
	}
	if l.Keeps < 0 || l.VCPUs < 0 || l.Tunnels < 0 || l.TunnelsPerKeep < 0 || l.Conns < 0 || l.RelayConns < 0 || l.CreateBurst < 0 ||
		l.CreateRate < 0 || l.SpoolBytes < 0 || l.Unclaimed < 0 || l.Lifetime < 0 || l.Start < 0 || l.Drain < 0 || l.Spool < 0 {
		return fmt.Errorf("agent: a limit is negative; leave it 0 for its default")
	}
	return nil
}

func validClass(m uint64) bool {
	return m >= minMemoryClass && m <= maxMemoryClass && bits.OnesCount64(m) == 1
}

// machineMemory is the machine's memory in bytes (proc(5), MemTotal, in KiB).
// Where it cannot be read, 4 GiB is taken, so that a limit always stands.
func machineMemory() uint64 {
	const unknown = 4 << 30
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return unknown
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == "MemTotal:" {
			if n, err := strconv.ParseUint(f[1], 10, 40); err == nil && n > 0 {
				return n << 10
			}
		}
	}
	return unknown
}
