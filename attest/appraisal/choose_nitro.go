// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
)

// nitro picks for a document, which brings its own chain: for each certificate
// in it the newest list that its issuer keeps for it. Lists of other vendors
// and regions would only be in the way.
func (s *selection) nitro(document []byte, items []item, at time.Time) []item {
	doc, err := nitrodoc.Parse(document)
	if err != nil {
		return nil // the verifier says so
	}
	var picked []item
	for _, der := range append(slices.Clone(doc.CABundle), doc.Certificate) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			continue
		}
		s.dates = append(s.dates, c.NotBefore, c.NotAfter)
		lists := pick(items, func(x item) bool { return x.list != nil && nitrodoc.SpeaksFor(x.Value, c) })
		if x, ok := newest(s.noteAll(lists), listValidity, at); ok {
			picked = append(picked, x)
		}
	}
	return append(unique(picked), pick(items, func(x item) bool { return unread(x) && x.MediaType == attest.MediaTypeCRL })...)
}
