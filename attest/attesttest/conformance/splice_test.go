// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
)

// TestCrossSplices puts every part of every vector into the place of its
// siblings in all others: fields and signatures of evidence, the evidence
// itself, leaves, chains, revocation lists, TCB info and QE identity, also
// those of the other TEE. Whatever comes of it fails a row that did not fail
// before, unless the part may stand there: Intel's chains, lists and
// identities serve all machines of a kind while they are valid, and so does a
// TCB info for those of its model.
func TestCrossSplices(t *testing.T) {
	// Where the dates fail already, a part of another day goes unnoticed.
	list := slices.DeleteFunc(subjects(t, NewCaches()), func(s subject) bool { return slices.Contains(s.fails, "dates") })
	tried, harmless := 0, 0
	try := func(a subject, what string, b subject, part int, value []byte, innocent bool) {
		old := a.Parts[part].Value
		if bytes.Equal(old, value) {
			return
		}
		a.Parts[part].Value = value
		defer func() { a.Parts[part].Value = old }()
		tried++
		switch fresh := a.fresh(); {
		case len(fresh) > 0:
		case innocent:
			harmless++
		default:
			t.Errorf("%s with the %s of %s: not noticed", a.Name, what, b.Name)
		}
	}
	for _, a := range list {
		for _, b := range list {
			if a.File == b.File || a.Platform != b.Platform && !(isIntel(a) && isIntel(b)) {
				continue
			}
			if a.Platform == b.Platform {
				for name, value := range splices(t, a, b) {
					// One enclave had its report signed twice.
					try(a, name, b, 0, value, name == "QE signature" && sameQE(t, a, b))
				}
			}
			for i, p := range a.Parts[1:] {
				for _, o := range b.Parts[1:] {
					if o.MediaType == p.MediaType {
						try(a, path.Base(o.File), b, i+1, o.Value, mayStand(a, p, o))
					}
				}
			}
		}
	}
	t.Logf("%d splices, %d of them harmless, none of the others accepted", tried, harmless)
	if tried < 10_000 || harmless > tried/3 {
		t.Errorf("%d splices, %d harmless", tried, harmless)
	}
}

func isIntel(s subject) bool {
	return s.Platform == attest.PlatformTDX || s.Platform == attest.PlatformSGX
}

// mayStand says whether a part of Intel's collateral may take the place of
// another if it is valid at the time.
func mayStand(a subject, p, o corpus.Part) bool {
	role := func(p corpus.Part) string { return path.Base(p.File) }
	model := func(p corpus.Part) string { return strings.Split(path.Base(path.Dir(p.File)), "-")[0] }
	switch {
	case a.Platform == attest.PlatformSNP:
		return false
	case p.MediaType == attest.MediaTypePEMChain:
		// Both chains hold genuine certificates, and the quote has its own.
		return part(a.Vector, attest.MediaTypePEMChain) != nil
	case p.MediaType == attest.MediaTypeCRL:
		return role(p) == role(o)
	case p.MediaType == attest.MediaTypeIntelQEIdentity:
		return tee(p) == tee(o)
	default:
		return tee(p) == tee(o) && model(p) == model(o)
	}
}

func tee(p corpus.Part) string {
	return strings.Split(strings.TrimPrefix(p.File, "attest/internal/dcap/testdata/"), "/")[0]
}

// splices are the evidence of a with each part of it taken from b.
func splices(t *testing.T, a, b subject) map[string][]byte {
	t.Helper()
	ea, eb := a.Parts[0].Value, b.Parts[0].Value
	out := map[string][]byte{}
	if a.Platform == attest.PlatformSNP {
		out["report"] = eb
		for _, f := range fields[attest.PlatformSNP] {
			e := bytes.Clone(ea)
			copy(e[f[0]:f[1]], eb[f[0]:f[1]])
			out[fmt.Sprintf("bytes %#x to %#x of the report", f[0], f[1])] = e
		}
		return out
	}
	if a.Platform == attest.PlatformNitro {
		// The last 96 bytes of a document are its signature.
		na, nb := len(ea)-96, len(eb)-96
		out["signature"], out["payload"], out["document"] = slices.Concat(ea[:na], eb[nb:]), slices.Concat(eb[:nb], ea[na:]), eb
		return out
	}
	pa, pb := quoteParts(t, ea), quoteParts(t, eb)
	for name, from := range pb {
		to, ok := pa[name]
		if !ok {
			continue
		}
		// Also where the sizes differ: certificates and what is about them
		// are then moved, and all lengths fit.
		out[name] = joined(ea, pa, name, eb[from[0]:from[1]])
		if name == "body" && to[1]-to[0] >= 584 && from[1]-from[0] >= 584 {
			for field, f := range map[string][2]int{
				"TCB": {0, 16}, "MRSEAM": {16, 64}, "attributes": {120, 128}, "MRTD": {136, 184}, "MRCONFIGID": {184, 232},
				"RTMRs": {328, 520}, "report data": {520, 584},
			} {
				e := bytes.Clone(ea)
				copy(e[to[0]+f[0]:to[0]+f[1]], eb[from[0]+f[0]:from[0]+f[1]])
				out[field] = e
			}
		}
	}
	return out
}

func sameQE(t *testing.T, a, b subject) bool {
	ra, rb := quoteParts(t, a.Parts[0].Value)["QE report"], quoteParts(t, b.Parts[0].Value)["QE report"]
	return bytes.Equal(a.Parts[0].Value[ra[0]:ra[1]], b.Parts[0].Value[rb[0]:rb[1]])
}

// quoteParts are the parts of a quote that have something to say, by name.
func quoteParts(t *testing.T, b []byte) map[string][2]int {
	t.Helper()
	le16 := func(at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
	le32 := func(at int) int { return int(binary.LittleEndian.Uint32(b[at:])) }
	parts := map[string][2]int{"header": {0, 48}}
	body, size := 48, 384
	switch le16(0) {
	case 4:
		size = 584
	case 5:
		body, size = 54, le32(50)
	}
	end := body + size
	parts["body"] = [2]int{body, end}
	at := end + 4
	parts["signature"], parts["attestation key"] = [2]int{at, at + 64}, [2]int{at + 64, at + 128}
	if at += 128; le16(0) >= 4 {
		at += 6
	}
	parts["QE report"], parts["QE signature"] = [2]int{at, at + 384}, [2]int{at + 384, at + 448}
	at += 448
	auth := le16(at)
	parts["QE authentication data"] = [2]int{at + 2, at + 2 + auth}
	at += 2 + auth
	certs := le32(at + 2)
	parts["certificates"] = [2]int{at + 6, at + 6 + certs}
	if at+6+certs > len(b) || end+4+le32(end) < at+6+certs {
		t.Fatalf("a quote of %d bytes ends at %d", len(b), at+6+certs)
	}
	return parts
}

// joined is quote b with a part replaced, and all lengths put right.
func joined(b []byte, parts map[string][2]int, name string, value []byte) []byte {
	p := parts[name]
	out := slices.Concat(b[:p[0]], value, b[p[1]:])
	d := uint32(len(value) - (p[1] - p[0]))
	add := func(at int) { binary.LittleEndian.PutUint32(out[at:], binary.LittleEndian.Uint32(out[at:])+d) }
	if d == 0 {
		return out
	}
	switch name {
	case "body":
		if binary.LittleEndian.Uint16(b) == 5 {
			add(50)
		}
		return out
	case "certificates":
		add(p[0] - 4)
	case "QE authentication data":
		binary.LittleEndian.PutUint16(out[p[0]-2:], uint16(len(value)))
	}
	end := parts["body"][1]
	add(end)
	if binary.LittleEndian.Uint16(b) >= 4 {
		add(end + 4 + 128 + 2)
	}
	return out
}
