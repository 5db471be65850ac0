// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/cmw"
)

const formatCMW = "cmw"

// findCMW takes a conceptual message wrapper in CBOR: a record, a tag or a
// collection. What only might be one is left to others.
func findCMW(b []byte, depth int) (*Found, error) {
	if cmw.Sniff(b) != cmw.CBOR {
		return nil, nil
	}
	if f, err := findBundle(b, depth); f != nil || err != nil {
		return f, err
	}
	n, err := cmw.ParseCBOR(b)
	if err != nil {
		return nil, nil
	}
	return fromCMW(n, depth)
}

// findCMWJSON takes one in JSON: a record or a collection.
func findCMWJSON(t []byte, depth int) (*Found, error) {
	n, err := cmw.ParseJSON(t)
	if err == nil {
		return fromCMW(n, depth)
	}
	if bytes.HasPrefix(t, []byte(`["application/`)) || bytes.Contains(t, []byte(`"__cmwc_t"`)) {
		return nil, malformed(formatCMW, "%w", err)
	}
	return nil, nil
}

// fromCMW takes the evidence out of a wrapper; endorsements beside it are
// collateral of every piece. That they lie in one wrapper proves nothing.
func fromCMW(n *cmw.Node, depth int) (*Found, error) {
	f := &Found{Format: formatCMW}
	var col attest.Collateral
	for leaf := range n.Records() {
		where := "the record"
		if w := leaf.Where(); w != "" {
			where = fmt.Sprintf("record %q", shown(w))
		}
		more, err := f.record(leaf.Record, where, depth)
		if err != nil {
			return nil, err
		}
		if col = append(col, more...); len(col) > maxCollateral {
			return nil, tooLarge(formatCMW, fmt.Sprintf("%d entries of collateral", len(col)), maxCollateral)
		}
	}
	if len(f.Pieces) == 0 {
		return nil, malformed(formatCMW, "no evidence among its records")
	}
	for i := range f.Pieces {
		f.Pieces[i].Collateral = append(f.Pieces[i].Collateral, col...)
	}
	return f, nil
}

// record adds one record: evidence to f, collateral as the result. The content
// says what it is; a media type of ours has to agree with it.
func (f *Found) record(r *cmw.Record, where string, depth int) (attest.Collateral, error) {
	name := r.Type.String()
	if r.Ind != 0 && r.Ind&(cmw.Evidence|cmw.Endorsements) == 0 {
		f.notRead(where+" of type "+name, "evidence or endorsements; it is marked as "+r.Ind.String())
		return nil, nil
	}
	if r.Ind == 0 || r.Ind&cmw.Evidence != 0 {
		g, err := find(r.Value, depth+1)
		switch {
		case err == nil:
			if evidenceType(r.Type.Name()) && (len(g.Pieces) != 1 || g.Pieces[0].Evidence.MediaType != r.Type.Name()) {
				return nil, malformed(formatCMW, "%s of type %s holds %s", where, name, g.Format)
			}
			f.add(g.wrapped(formatCMW, where))
			return nil, nil
		case !errors.Is(err, ErrUnknown):
			return nil, err
		}
	}
	col, err := findCollateral(r.Value, 0)
	if err == nil {
		return col, nil
	}
	if evidenceType(r.Type.Name()) {
		return nil, malformed(formatCMW, "%s of type %s holds nothing of this kind", where, name)
	}
	f.notRead(where+" of type "+name, "a format that this program knows")
	return nil, nil
}

// evidenceType says whether name is one of our media types of raw evidence.
func evidenceType(name string) bool {
	switch name {
	case attest.MediaTypeSNP, attest.MediaTypeTDX, attest.MediaTypeSGX, attest.MediaTypeNitro, attest.MediaTypeTPM, attest.MediaTypeTPMQuote:
		return true
	}
	return false
}

// cmwExtension adds what the extension id-pe-cmw holds.
func (f *Found) cmwExtension(der []byte, depth int) error {
	n, _, err := cmw.ParseExtension(der)
	if err != nil {
		return malformed(formatRATLS, "extension %v: %w", oidCMW, err)
	}
	return f.inCertificate(n, fmt.Sprintf("extension %v", oidCMW), depth)
}

// cmwBytes adds what the extension of TCG DICE holds, if it is no tagged
// evidence of RA-TLS.
func (f *Found) cmwBytes(b []byte, depth int) error {
	n, err := cmw.ParseCBOR(b)
	if err != nil {
		return malformed(formatRATLS, "extension %v: neither tagged evidence nor a wrapper: %w", oidTaggedEvidence, err)
	}
	return f.inCertificate(n, fmt.Sprintf("extension %v", oidTaggedEvidence), depth)
}

func (f *Found) inCertificate(n *cmw.Node, where string, depth int) error {
	g, err := fromCMW(n, depth)
	if err != nil {
		return err
	}
	f.add(g.wrapped(f.Format, where))
	f.notRead("how the evidence in "+where+" is bound to the key of the certificate", "a binding: RFC 9999 leaves it to others")
	return nil
}
