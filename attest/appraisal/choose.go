// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/dcap"
)

// selection is the collateral that one piece of evidence needs, out of all that
// is at hand, and what is known of the machine from choosing.
type selection struct {
	col     attest.Collateral
	left    int    // entries that belong to something else
	line    string // product line of snp, as "Milan"; empty if not known
	fmspc   string // of tdx and sgx, 12 hexadecimal digits
	pckCA   string // "platform" or "processor", of tdx and sgx
	key     string // of snp, where there is no key of the report's kind: what to do about it
	machine []byte // CHIP_ID of snp
	// dates are when something that could be chosen begins or ends.
	dates []time.Time
}

// item is one entry of collateral, looked into as far as choosing needs.
type item struct {
	attest.Evidence
	own  bool // of the relying party, not of the file
	cert *x509.Certificate
	list *x509.RevocationList
	doc  *document
}

// choose picks what evidence of the platform needs. A sim Keep brings what it
// needs: there, all counts.
func choose(platform string, ev attest.Evidence, own []item, brought attest.Collateral, at time.Time) selection {
	items := own
	if len(brought) > 0 {
		items = unique(append(slices.Clone(own), open(brought, false)...))
	}
	var s selection
	var picked []item
	switch platform {
	case attest.PlatformSNP:
		picked = s.snp(ev.Value, items, at)
	case attest.PlatformTDX, attest.PlatformSGX:
		picked = s.intel(ev.Value, items, at)
	case attest.PlatformVTPM:
		picked = s.vtpm(ev, items)
	case attest.PlatformNitro:
		picked = s.nitro(ev.Value, items, at)
	default:
		picked = items
	}
	for _, x := range picked {
		s.col = append(s.col, x.Evidence)
		s.note(x)
	}
	s.left = len(items) - len(picked)
	return s
}

// rows say that something was left out.
func (s *selection) rows(platform string) attest.Verdict {
	if s.left == 0 {
		return nil
	}
	return attest.Verdict{{
		Check: platform + ".collateral", Seen: fmt.Sprintf("%d entries of collateral left out, %d used", s.left, len(s.col)),
		Expected: "what belongs to this machine, the newest that is valid", Source: ours, Outcome: attest.Skipped,
	}}
}

// open looks into every entry. What cannot be read stays as it is: where it
// matters, the verifier says what is wrong with it.
func open(col attest.Collateral, own bool) []item {
	var items []item
	for _, e := range col {
		x := item{Evidence: e, own: own}
		if len(e.Value) > maxEntry {
			items = append(items, x)
			continue
		}
		switch e.MediaType {
		case attest.MediaTypePEMChain:
			if certs, ok := splitChain(e.Value, own); ok {
				items = append(items, certs...)
				continue
			}
		case attest.MediaTypeCertificate:
			x.cert, _ = x509.ParseCertificate(e.Value)
		case attest.MediaTypeCRL:
			x.list, _ = x509.ParseRevocationList(e.Value)
		case attest.MediaTypeIntelTCBInfo, attest.MediaTypeIntelQEIdentity:
			x.doc = openDocument(e)
		}
		items = append(items, x)
	}
	return items
}

// splitChain makes one entry of each certificate, so that those of several
// machines in one file can be told apart.
func splitChain(b []byte, own bool) ([]item, bool) {
	ders, err := dcap.SplitPEM(b)
	if err != nil {
		return nil, false
	}
	var items []item
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, false
		}
		items = append(items, item{Evidence: attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: der}, own: own, cert: c})
	}
	return items, true
}

// unique drops entries that are there twice, keeping the first.
func unique(items []item) []item {
	seen := map[string]bool{}
	return slices.DeleteFunc(items, func(x item) bool {
		key := x.MediaType + "\x00" + string(x.Value)
		twice := seen[key]
		seen[key] = true
		return twice
	})
}

// validity is the time in which an entry counts, by its own word.
type validity struct {
	from, to time.Time
	number   uint64 // the higher of two is the newer, where there is a number
}

func (v validity) at(t time.Time) bool { return !t.Before(v.from) && !t.After(v.to) }

// newest picks of several entries that are all about the same thing: one that
// is valid, of the relying party before the file's, of the higher number, of
// the later date, and at last of the smaller bytes, so that the order of files
// in a directory changes nothing.
func newest(items []item, of func(item) validity, t time.Time) (item, bool) {
	if len(items) == 0 {
		return item{}, false
	}
	no := func(b bool) int {
		if b {
			return 0
		}
		return 1
	}
	return slices.MinFunc(items, func(a, b item) int {
		va, vb := of(a), of(b)
		return cmp.Or(cmp.Compare(no(va.at(t)), no(vb.at(t))), cmp.Compare(no(a.own), no(b.own)),
			cmp.Compare(vb.number, va.number), vb.from.Compare(va.from), bytes.Compare(a.Value, b.Value))
	}), true
}

// note remembers when an entry begins and ends.
func (s *selection) note(x item) {
	switch {
	case x.cert != nil:
		s.dates = append(s.dates, x.cert.NotBefore, x.cert.NotAfter)
	case x.list != nil:
		s.dates = append(s.dates, x.list.ThisUpdate, x.list.NextUpdate)
	case x.doc != nil:
		s.dates = append(s.dates, x.doc.from, x.doc.to)
	}
}

// noteAll does so for entries of which one is chosen: at another time it may
// be another.
func (s *selection) noteAll(items []item) []item {
	for _, x := range items {
		s.note(x)
	}
	return items
}

// pick gives the entries of items for which keep says yes.
func pick(items []item, keep func(item) bool) []item {
	var out []item
	for _, x := range items {
		if keep(x) {
			out = append(out, x)
		}
	}
	return out
}

func listValidity(x item) validity {
	v := validity{from: x.list.ThisUpdate, to: x.list.NextUpdate}
	if n := x.list.Number; n != nil && n.IsUint64() {
		v.number = n.Uint64()
	}
	return v
}

func certValidity(x item) validity { return validity{from: x.cert.NotBefore, to: x.cert.NotAfter} }

// unread are entries of a kind that could not be read; there is no telling
// whose they are.
func unread(x item) bool {
	switch x.MediaType {
	case attest.MediaTypePEMChain:
		return true
	case attest.MediaTypeCertificate:
		return x.cert == nil
	case attest.MediaTypeCRL:
		return x.list == nil
	case attest.MediaTypeIntelTCBInfo, attest.MediaTypeIntelQEIdentity:
		return x.doc == nil
	}
	return false
}

func isIntel(issuer string) bool { return strings.HasPrefix(issuer, "Intel SGX ") }
