// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/enarx/enarx-go/sallyport"
)

// Pattern is one entry of a dial allow list. See [ParsePattern].
type Pattern struct {
	name   string       // lower case, without the leading "*" of a suffix
	suffix bool         // name begins with a dot and matches what ends in it
	prefix netip.Prefix // valid for an address or network
	any    bool         // every name
	low    uint16       // first port
	high   uint16       // last port
}

// ParsePattern reads one allow-list entry, HOST:PORT. HOST is
//
//   - a name: "db.example.com",
//   - a suffix: "*.example.com" (any name below example.com, not itself),
//   - an address or network: "192.0.2.7", "10.0.0.0/8", "[2001:db8::1]", "[fd00::]/8", or
//   - "*": everything that the address rules let through.
//
// PORT is a number, a range "8000-8099" or "*".
//
// A name never lifts the address rules, because whoever controls the name
// controls its addresses. An address or network does: the operator meant it.
func ParsePattern(s string) (Pattern, error) {
	bad := func(why string) (Pattern, error) {
		return Pattern{}, fmt.Errorf("relay: dial pattern %q: %s; write HOST:PORT, such as db.example.com:5432, *.example.com:443, 10.0.0.0/8:* or [2001:db8::]/32:443", s, why)
	}
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || len(s) > MaxHostLen+16 {
		return bad("no port")
	}
	p := Pattern{}
	var err error
	if p.low, p.high, err = parsePorts(s[i+1:]); err != nil {
		return bad(err.Error())
	}
	host := s[:i]
	bare := strings.Replace(strings.TrimPrefix(host, "["), "]", "", 1)
	switch {
	case host == "*":
		p.any = true
	case strings.Contains(bare, "/"):
		if p.prefix, err = netip.ParsePrefix(bare); err != nil {
			return bad("not a network")
		}
		if p.prefix != p.prefix.Masked() {
			return bad("the network has bits set after its prefix, did you mean " + p.prefix.Masked().String() + "?")
		}
	case strings.HasPrefix(host, "[") || isAddr(bare):
		a, err := netip.ParseAddr(bare)
		if err != nil || a.Zone() != "" {
			return bad("not an address")
		}
		p.prefix = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
	case strings.HasPrefix(host, "*."):
		p.suffix, p.name = true, strings.ToLower(host[1:])
		if err := checkName(p.name[1:]); err != nil {
			return bad(err.Error())
		}
	default:
		p.name = strings.ToLower(strings.TrimSuffix(host, "."))
		if err := checkName(p.name); err != nil {
			return bad(err.Error())
		}
	}
	return p, nil
}

func isAddr(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

func parsePorts(s string) (low, high uint16, err error) {
	if s == "*" {
		return 1, 65535, nil
	}
	a, b, isRange := strings.Cut(s, "-")
	if !isRange {
		b = a
	}
	lo, err1 := strconv.ParseUint(a, 10, 16)
	hi, err2 := strconv.ParseUint(b, 10, 16)
	if err1 != nil || err2 != nil || lo == 0 || lo > hi {
		return 0, 0, fmt.Errorf("port %q is not a number from 1 to 65535, a range or *", s)
	}
	return uint16(lo), uint16(hi), nil
}

// checkName accepts what a resolver may be asked for. It is deliberately
// narrow: a name with a control character or a space can only be an attempt to
// confuse a log or a resolver.
func checkName(s string) error {
	if s == "" || len(s) > MaxHostLen {
		return fmt.Errorf("a host name has 1 to %d characters", MaxHostLen)
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return fmt.Errorf("character %q cannot be in a host name; write international names in their xn-- form", c)
		}
	}
	return nil
}

func (p Pattern) port(port uint16) bool { return p.low <= port && port <= p.high }

func (p Pattern) matchName(host string, port uint16) bool {
	switch {
	case !p.port(port) || p.prefix.IsValid():
		return false
	case p.any:
		return true
	case p.suffix:
		return strings.HasSuffix(host, p.name) && len(host) > len(p.name)
	}
	return host == p.name
}

func (p Pattern) matchAddr(a netip.Addr, port uint16) bool {
	return p.prefix.IsValid() && p.port(port) && p.prefix.Contains(a)
}

// DialPolicy says where a Keep may connect. The zero value allows every name
// and every address but those that lead back into the host or its local
// network plumbing; see the package comment.
type DialPolicy struct {
	// Allow, if not empty, is the whole list of allowed targets.
	Allow []Pattern
	// AllowHost lifts the ban on the host's loopback and its own interface
	// addresses. It is for local runs, where the host is the user's own
	// machine.
	AllowHost bool
	// Deny refuses everything.
	Deny bool
}

// Refusal is a request of a Keep that the host's rules do not allow.
type Refusal struct {
	What string // what was asked for
	Why  string // the rule
	Todo string // what to do
	// Code is what the Keep is told; the zero value means
	// sallyport.CodePolicy.
	Code sallyport.Code
}

// As lets the sallyport send the refusal to the Keep with its code.
func (e *Refusal) As(target any) bool {
	to, ok := target.(**sallyport.RemoteError)
	if !ok {
		return false
	}
	code := e.Code
	if code == sallyport.CodeOK {
		code = sallyport.CodePolicy
	}
	*to = &sallyport.RemoteError{Code: code, Text: e.Error()}
	return true
}

func (e *Refusal) Error() string {
	s := e.What + ": refused by the host: " + e.Why
	if e.Todo != "" {
		s += "; " + e.Todo
	}
	return s
}

// checkTarget applies the part of the policy that depends on the request
// alone. listed says that a name pattern matched, or that there is no list.
func (p *DialPolicy) checkTarget(host string, port uint16) (listed bool, err error) {
	what := "dial " + net.JoinHostPort(printable(host), strconv.Itoa(int(port)))
	if p.Deny {
		return false, &Refusal{What: what, Why: "this Keep may not connect anywhere"}
	}
	if port == 0 {
		return false, &Refusal{What: what, Why: "port 0 is no destination"}
	}
	if _, perr := netip.ParseAddr(host); perr != nil {
		// Go takes an empty host for this machine.
		if err := checkName(host); err != nil {
			return false, &Refusal{What: what, Why: err.Error()}
		}
	}
	if len(p.Allow) == 0 {
		return true, nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	byAddr := false
	for _, a := range p.Allow {
		if a.matchName(name, port) {
			return true, nil
		}
		byAddr = byAddr || (a.prefix.IsValid() && a.port(port))
	}
	if !byAddr {
		return false, &Refusal{What: what, Why: "it is not on the host's allow list", Todo: "the host's operator can add it with --allow-dial"}
	}
	return false, nil
}

// checkAddr applies the rest to the address that is about to be connected to.
// own are the host's interface addresses.
func (p *DialPolicy) checkAddr(a netip.Addr, port uint16, listed bool, own []netip.Addr) error {
	a = a.WithZone("").Unmap()
	for _, pat := range p.Allow {
		if pat.matchAddr(a, port) {
			return nil
		}
	}
	what := "dial " + netip.AddrPortFrom(a, port).String()
	if !listed {
		return &Refusal{What: what, Why: "the address is not on the host's allow list", Todo: "the host's operator can add it with --allow-dial"}
	}
	for _, b := range append(embedded(a), a) {
		if why := p.banned(b, own); why != "" {
			return &Refusal{What: what, Why: why, Todo: "the host's operator can allow it by number with --allow-dial"}
		}
	}
	return nil
}

// broadcast and thisNetwork have no method in net/netip. Linux connects
// 0.0.0.0 to the loopback and treats the rest of 0.0.0.0/8 as ordinary
// addresses, which no honest name resolves to (RFC 1122, section 3.2.1.3).
var (
	broadcast   = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	nat64       = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052, section 2.1
	sixToFour   = netip.MustParsePrefix("2002::/16")    // RFC 3056, section 2
	siteLocal   = netip.MustParsePrefix("fec0::/10")    // RFC 3879: deprecated, still routed by some
	compatible  = netip.MustParsePrefix("::/96")        // RFC 4291, section 2.5.5.1: deprecated
	// The metadata services of clouds that do not use a link-local address:
	// AWS and Google over IPv6 (unique-local), Alibaba (shared address space).
	metadata = []netip.Addr{
		netip.MustParseAddr("fd00:ec2::254"),
		netip.MustParseAddr("fd20:ce::254"),
		netip.MustParseAddr("100.100.100.200"),
	}
)

func (p *DialPolicy) banned(a netip.Addr, own []netip.Addr) string {
	switch {
	case !a.IsValid():
		return "not an address"
	case a.IsUnspecified() || thisNetwork.Contains(a):
		return "an unspecified address leads to the host itself"
	case a.IsMulticast() || a == broadcast:
		return "a multicast or broadcast address is no TCP destination"
	case a.IsLinkLocalUnicast() || siteLocal.Contains(a):
		return "link-local addresses reach the host's metadata services and neighbours"
	}
	for _, m := range metadata {
		if a == m {
			return "it is a metadata service of the host's cloud"
		}
	}
	if p.AllowHost {
		return ""
	}
	if a.IsLoopback() {
		return "the host's own loopback"
	}
	for _, o := range own {
		if a == o {
			return "an address of the host itself"
		}
	}
	return ""
}

// embedded gives the IPv4 address that a translator would connect to, if a is
// an IPv6 address that carries one.
func embedded(a netip.Addr) []netip.Addr {
	if !a.Is6() {
		return nil
	}
	b := a.As16()
	switch {
	case nat64.Contains(a), compatible.Contains(a) && !a.IsUnspecified() && !a.IsLoopback():
		return []netip.Addr{netip.AddrFrom4([4]byte(b[12:16]))}
	case sixToFour.Contains(a):
		return []netip.Addr{netip.AddrFrom4([4]byte(b[2:6]))}
	}
	return nil
}

// printable bounds what a Keep's words can do to a log or terminal.
func printable(s string) string {
	if len(s) > MaxHostLen {
		s = s[:MaxHostLen] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < 0x21 || r > 0x7e && r != '…' {
			return '?'
		}
		return r
	}, s)
}
