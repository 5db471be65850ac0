// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/dcap"
)

// document is what a TCB info or QE identity says of itself.
type document struct {
	id    string // "TDX", "SGX", "TD_QE", "QE"
	fmspc string // of a TCB info, lower case
	validity
}

// openDocument reads the little that choosing needs, unchecked.
func openDocument(e attest.Evidence) *document {
	type body struct {
		ID         string    `json:"id"`
		FMSPC      string    `json:"fmspc"`
		Issued     time.Time `json:"issueDate"`
		NextUpdate time.Time `json:"nextUpdate"`
		Evaluation uint32    `json:"tcbEvaluationDataNumber"`
	}
	var doc struct {
		Info     *body `json:"tcbInfo"`
		Identity *body `json:"enclaveIdentity"`
	}
	if json.Unmarshal(e.Value, &doc) != nil {
		return nil
	}
	b := doc.Info
	if e.MediaType == attest.MediaTypeIntelQEIdentity {
		b = doc.Identity
	}
	if b == nil {
		return nil
	}
	if b.ID == "" {
		b.ID = "SGX" // version 2 of the TCB info knows nothing else
	}
	return &document{b.ID, strings.ToLower(b.FMSPC), validity{b.Issued, b.NextUpdate, uint64(b.Evaluation)}}
}

func documentValidity(x item) validity { return x.doc.validity }

// intel picks for a quote: its PCK certificate, Intel's authorities, one list
// of each issuer, and TCB info and QE identity of its model.
func (s *selection) intel(quote []byte, items []item, at time.Time) []item {
	q, err := dcap.ParseQuote(quote)
	if err != nil {
		return nil // the verifier says so
	}
	var picked []item
	for _, c := range q.Certificates() {
		s.dates = append(s.dates, c.NotBefore, c.NotAfter)
	}
	pck := q.PCK()
	if pck == nil {
		// No certificate in the quote: one that stands alone is taken for
		// this machine's; the verifier finds out.
		if some := pick(items, func(x item) bool { return x.cert != nil && dcap.IsPCK(x.cert) }); len(some) == 1 {
			picked, pck = some, some[0].cert
		}
	}
	if pck != nil {
		s.fmspc, _, _ = dcap.Model(pck)
		s.pckCA = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(pck.Issuer.CommonName, "Intel SGX PCK "), " CA"))
	}
	cas := pick(items, func(x item) bool {
		return x.cert != nil && !dcap.IsPCK(x.cert) && isIntel(x.cert.Subject.CommonName)
	})
	picked = append(picked, cas[:min(len(cas), maxChosen)]...)
	issuers := []string{"Intel SGX Root CA"}
	if pck != nil {
		issuers = append(issuers, pck.Issuer.CommonName)
	}
	for _, issuer := range issuers {
		lists := pick(items, func(x item) bool { return x.list != nil && x.list.Issuer.CommonName == issuer })
		if x, ok := newest(s.noteAll(lists), listValidity, at); ok {
			picked = append(picked, x)
		}
	}
	info, identity := "SGX", "QE"
	if q.TEE == dcap.TDX {
		info, identity = "TDX", "TD_QE"
	}
	for _, kind := range []struct {
		mediaType string
		fits      func(*document) bool
	}{
		{attest.MediaTypeIntelTCBInfo, func(d *document) bool { return d.id == info && d.fmspc == s.fmspc }},
		{attest.MediaTypeIntelQEIdentity, func(d *document) bool { return d.id == identity }},
	} {
		picked = append(picked, s.newestDocument(items, kind.mediaType, kind.fits, at)...)
	}
	picked = append(picked, eventLogs(items)...)
	return append(picked, pick(items, unread)...)
}

// eventLogs are those that the file brings, or else the one of the relying
// party's: of several there is no telling which is this machine's.
func eventLogs(items []item) []item {
	logs := pick(items, func(x item) bool {
		return x.MediaType == attest.MediaTypeEventLog || x.MediaType == attest.MediaTypeDstackLog
	})
	if brought := pick(logs, func(x item) bool { return !x.own }); len(brought) > 0 {
		return brought
	}
	if len(logs) == 1 {
		return logs
	}
	return nil
}

// newestDocument picks the one of a kind. Where none fits, one that stands alone is
// given to the verifier, which says what is wrong with it.
func (s *selection) newestDocument(items []item, mediaType string, fits func(*document) bool, at time.Time) []item {
	all := pick(items, func(x item) bool { return x.doc != nil && x.MediaType == mediaType })
	some := pick(all, func(x item) bool { return fits(x.doc) })
	if x, ok := newest(s.noteAll(some), documentValidity, at); ok {
		return []item{x}
	}
	if len(all) == 1 {
		return all
	}
	return nil
}
