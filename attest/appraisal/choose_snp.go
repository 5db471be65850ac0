// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"slices"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

// snp picks for a report: the key of this machine at this firmware level,
// intermediates and lists of its product line.
func (s *selection) snp(report []byte, items []item, at time.Time) []item {
	r, err := snpreport.Parse(report)
	if err != nil {
		return nil // the verifier says so
	}
	s.machine = r.ChipID[:]
	leaves := pick(items, func(x item) bool {
		if x.cert == nil {
			return false
		}
		kind, ok := snpreport.Leaf(x.cert)
		return ok && kind == r.SigningKey
	})
	var picked []item
	leaf, ok := s.machineKey(r, leaves, at)
	if ok {
		picked = append(picked, leaf)
		s.line = productLine(leaf.cert.Issuer.CommonName)
	} else if len(leaves) == 0 {
		s.key = missingKey(report)
	}
	ark := "ARK-" + s.line
	// Of the relying party's own, only one that signed the key counts: in a
	// directory an intermediate may lie that AMD has taken back long since.
	cas := pick(items, func(x item) bool {
		return x.cert != nil && x.cert.IsCA && s.line != "" && x.cert.Issuer.CommonName == ark &&
			(!x.own || leaf.cert.CheckSignatureFrom(x.cert) == nil)
	})
	picked = append(picked, cas[:min(len(cas), maxChosen)]...)
	lists := pick(items, func(x item) bool { return x.list != nil && s.line != "" && x.list.Issuer.CommonName == ark })
	s.noteAll(lists)
	// Also one that is out of date still revokes: the newest few are given.
	for range min(len(lists), maxLists) {
		x, _ := newest(lists, listValidity, at)
		picked = append(picked, x)
		lists = slices.DeleteFunc(lists, func(y item) bool { return string(y.Value) == string(x.Value) })
	}
	return append(picked, pick(items, func(x item) bool {
		return unread(x) && (x.MediaType == attest.MediaTypeCertificate || x.MediaType == attest.MediaTypeCRL)
	})...)
}

// machineKey finds the certificate of the key that signed r. Where none fits,
// one that stands alone is given to the verifier, which says what is wrong
// with it; of several that do not fit none is better than another.
func (s *selection) machineKey(r *snpreport.Report, leaves []item, at time.Time) (item, bool) {
	fits := func(level bool) []item {
		return pick(leaves, func(x item) bool {
			machine, same := r.Fits(x.cert)
			return machine && (same || !level)
		})
	}
	for _, some := range [][]item{fits(true), fits(false)} {
		if x, ok := newest(s.noteAll(some), certValidity, at); ok {
			return x, true
		}
	}
	if len(leaves) == 1 {
		return leaves[0], true
	}
	return item{}, false
}

// productLine is "Milan" for an issuer "SEV-Milan" or "SEV-VLEK-Milan".
func productLine(issuer string) string {
	name, ok := strings.CutPrefix(issuer, "SEV-")
	if !ok {
		return ""
	}
	return strings.TrimPrefix(name, "VLEK-")
}
