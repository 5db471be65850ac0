// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/enarx/enarx-go/sallyport"
)

// Hardware plays the TEE for platform sim: it signs a report over report data
// that the Keep chose and host data that the host chose. Which Keep runtime it
// says was measured is settled when the value is made.
type Hardware interface {
	Quote(reportData [64]byte, hostData [32]byte) ([]byte, error)
}

// Config says what a relay allows and whom it tells. The zero value is the
// strictest: no hardware, no spool, the zero policies.
type Config struct {
	// Dial is for the workload's connections, KeepDial for those of the Keep
	// itself (Steward, registry). KeepDial nil refuses them: a Keep that was
	// started in push mode has nobody of its own to call.
	Dial     DialPolicy
	KeepDial *DialPolicy
	// Listen is for the workload's listeners.
	Listen ListenPolicy
	// Hardware signs quotes; nil on every platform but sim.
	Hardware Hardware
	// HostData is the digest of the start configuration that the Keep got
	// from this host. It goes into every quote of Hardware.
	HostData [32]byte
	// Spool keeps the sealed record; nil refuses it. It is called by one
	// goroutine at a time.
	Spool func(sealed []byte) error
	// OnLog and OnExit, if not nil, see the Keep's lifecycle codes and its
	// last word. They must not block.
	OnLog  func(sallyport.LogCode)
	OnExit func(sallyport.ExitCode)
	// Budget, if not nil, is shared by all relays of this process and bounds
	// the connections of all Keeps together.
	Budget *Budget
	// Resolver looks names up; nil means the host's own.
	Resolver *net.Resolver
}

// Relay serves one Keep. Its methods may be called by many goroutines.
type Relay struct {
	cfg Config

	// quotes are made one at a time, as real hardware does: a Keep that asks
	// for a thousand must not keep a thousand goroutines signing.
	quoting sync.Mutex
	spool   struct {
		sync.Mutex
		writes int
	}

	mu        sync.Mutex
	closed    bool
	listeners map[*listener]struct{}
	conns     map[*conn]struct{}
}

var _ sallyport.Handler = (*Relay)(nil)

var errClosed = errors.New("relay: the Keep is gone")

// New makes the relay of one Keep.
func New(cfg Config) *Relay {
	return &Relay{cfg: cfg, listeners: map[*listener]struct{}{}, conns: map[*conn]struct{}{}}
}

// Port is a listener of the Keep: the endpoint as the workload named it, and
// where it is bound.
type Port struct {
	Guest string
	Host  string
}

// Ports are the listeners that are open now, in order of their host ends.
func (r *Relay) Ports() []Port {
	r.mu.Lock()
	defer r.mu.Unlock()
	ports := make([]Port, 0, len(r.listeners))
	for l := range r.listeners {
		ports = append(ports, Port{Guest: l.guest, Host: l.Addr().String()})
	}
	slices.SortFunc(ports, func(a, b Port) int {
		switch {
		case a.Host < b.Host:
			return -1
		case a.Host > b.Host:
			return 1
		}
		return 0
	})
	return ports
}

// Conns is the number of connections that are open now.
func (r *Relay) Conns() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// Close ends every listener and connection of the Keep and refuses new ones.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.closed = true
	lns := make([]*listener, 0, len(r.listeners))
	for l := range r.listeners {
		lns = append(lns, l)
	}
	conns := make([]*conn, 0, len(r.conns))
	for c := range r.conns {
		conns = append(conns, c)
	}
	r.mu.Unlock()
	for _, l := range lns {
		l.Close()
	}
	for _, c := range conns {
		c.Close()
	}
	return nil
}

// Dial implements sallyport.Handler.
func (r *Relay) Dial(ctx context.Context, to sallyport.Endpoint, purpose sallyport.DialPurpose) (net.Conn, error) {
	policy, err := r.dialPolicy(to, purpose)
	if err != nil {
		return nil, err
	}
	listed, err := policy.checkTarget(to.Host, to.Port)
	if err != nil {
		return nil, err
	}
	// Take the place before the work: a Keep must not have more dials under
	// way than connections it may have.
	slot, err := r.reserve()
	if err != nil {
		return nil, err
	}
	own := hostAddrs()
	ctx, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	d := net.Dialer{
		Resolver: r.cfg.Resolver,
		// Control runs on the socket that is about to connect, with the
		// address it will connect to. Nothing can change in between.
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return &Refusal{What: "dial " + printable(address), Why: "not an IP address and port"}
			}
			return policy.checkAddr(ap.Addr(), ap.Port(), listed, own)
		},
	}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		r.release(slot)
		return nil, dialError(to, err)
	}
	if err := policy.checkOwn(c, to.Port); err != nil {
		c.Close()
		r.release(slot)
		return nil, err
	}
	return r.fill(slot, c)
}

func (r *Relay) dialPolicy(to sallyport.Endpoint, purpose sallyport.DialPurpose) (*DialPolicy, error) {
	what := "dial " + net.JoinHostPort(printable(to.Host), strconv.Itoa(int(to.Port)))
	switch purpose {
	case sallyport.DialWorkload:
		return &r.cfg.Dial, nil
	case sallyport.DialKeep:
		if r.cfg.KeepDial == nil {
			return nil, &Refusal{What: what, Why: "this Keep was started without a Steward or registry to call"}
		}
		return r.cfg.KeepDial, nil
	}
	return nil, &Refusal{What: what, Why: fmt.Sprintf("purpose %d is unknown", purpose)}
}

// checkOwn catches what the list of interface addresses cannot know: an
// address that the kernel's routing delivers to this host (a local route). Such
// a connection has the same address at both ends.
func (p *DialPolicy) checkOwn(c net.Conn, port uint16) error {
	if p.AllowHost {
		return nil
	}
	local, ok1 := c.LocalAddr().(*net.TCPAddr)
	remote, ok2 := c.RemoteAddr().(*net.TCPAddr)
	if !ok1 || !ok2 || !local.IP.Equal(remote.IP) {
		return nil
	}
	a := remote.AddrPort().Addr().WithZone("").Unmap()
	for _, pat := range p.Allow {
		if pat.matchAddr(a, port) {
			return nil
		}
	}
	return &Refusal{What: "dial " + c.RemoteAddr().String(), Why: "an address of the host itself"}
}

// hostAddrs are the addresses of the host's interfaces now. They are read for
// every dial: interfaces come and go, and a stale list would be a gap.
func hostAddrs() []netip.Addr {
	ifs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // checkOwn still holds
	}
	addrs := make([]netip.Addr, 0, len(ifs))
	for _, a := range ifs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				addrs = append(addrs, ip.Unmap())
			}
		}
	}
	return addrs
}

// dialError takes the cause out of the net package's wrapping, which repeats
// the address, and keeps the chain that a caller tests with errors.Is.
func dialError(to sallyport.Endpoint, err error) error {
	var ref *Refusal
	if errors.As(err, &ref) {
		return ref
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	return fmt.Errorf("dial %s: %w", net.JoinHostPort(printable(to.Host), strconv.Itoa(int(to.Port))), err)
}

// Quote implements sallyport.Handler.
func (r *Relay) Quote(ctx context.Context, reportData [64]byte) ([]byte, error) {
	if r.cfg.Hardware == nil {
		return nil, &Refusal{What: "quote", Why: "only a sim Keep gets its evidence from the host", Code: sallyport.CodeUnsupported}
	}
	r.quoting.Lock()
	defer r.quoting.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return r.cfg.Hardware.Quote(reportData, r.cfg.HostData)
}

// Spool implements sallyport.Handler.
func (r *Relay) Spool(ctx context.Context, sealed []byte) error {
	if r.cfg.Spool == nil {
		return &Refusal{What: "spool", Why: "this host keeps no records"}
	}
	if len(sealed) == 0 || len(sealed) > MaxSpool {
		return &Refusal{What: "spool", Why: fmt.Sprintf("the record has %d bytes, it may have 1 to %d", len(sealed), MaxSpool), Code: sallyport.CodeLimit}
	}
	r.spool.Lock()
	defer r.spool.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.spool.writes >= MaxSpoolWrites {
		return &Refusal{What: "spool", Why: fmt.Sprintf("this Keep has replaced its record %d times, the most it may", MaxSpoolWrites), Code: sallyport.CodeLimit}
	}
	r.spool.writes++
	return r.cfg.Spool(sealed)
}

// Log implements sallyport.Handler.
func (r *Relay) Log(code sallyport.LogCode) {
	if r.cfg.OnLog != nil {
		r.cfg.OnLog(code)
	}
}

// Exit implements sallyport.Handler.
func (r *Relay) Exit(code sallyport.ExitCode) {
	if r.cfg.OnExit != nil {
		r.cfg.OnExit(code)
	}
}
