// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/vtpm"
	"github.com/enarx/enarx-go/audit"
	"github.com/enarx/enarx-go/measure"
	"github.com/enarx/enarx-go/sallyport"
)

func vtpmFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The receipt of a real deployment to a Keep with a TPM is checked anew in all
// but the activation, which only its owner could see: the claims say so, and
// each thing that is not the reader's refuses it.
func TestReceiptOfMeasuredBoot(t *testing.T) {
	signed := vtpmFile(t, "testdata/vtpm/receipt.json")
	keys, err := measure.ParsePublicKeys(vtpmFile(t, "testdata/vtpm/release.pub"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(vtpmFile(t, "../attest/evidence/testdata/tpm/keep-swtpm.root.pem"))
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	type question struct {
		o     vtpm.Options
		start sallyport.StartConfig
		refs  []attest.ReferenceValue
		edit  func(*audit.Receipt)
	}
	for name, x := range map[string]struct {
		change func(*question)
		fails  string // the row that leads; "" if none fails
	}{
		"as it is":     {func(*question) {}, ""},
		"no root":      {func(q *question) { q.o.Roots = nil }, "before/vtpm.chain"},
		"no release":   {func(q *question) { q.refs = nil }, "before/vtpm.measurement"},
		"Secure Boot":  {func(q *question) { q.o.SecureBoot = true }, "before/vtpm.secure-boot"},
		"another mode": {func(q *question) { q.start.Mode = sallyport.ModePull }, "receipt.before-start-configuration"},
		"another bundle": {func(q *question) {
			q.edit = func(r *audit.Receipt) { r.Bundle = "bundle:sha256:" + strings.Repeat("ab", 32) }
		}, "after/vtpm.report-data"},
		"another owner": {func(q *question) {
			q.edit = func(r *audit.Receipt) { r.Owner.Sign = slices.Clone(r.Owner.Sign); r.Owner.Sign[0] ^= 1 }
		}, "after/vtpm.claim"},
		"the empty Keep twice": {func(q *question) {
			q.edit = func(r *audit.Receipt) { b := r.Before; r.After = &b }
		}, "receipt.after-state"},
		"the claimed Keep as an empty one": {func(q *question) {
			q.edit = func(r *audit.Receipt) { r.Before = *r.After }
		}, "receipt.before-state"},
		"another connection": {func(q *question) {
			q.edit = func(r *audit.Receipt) { r.Before.Binding = slices.Clone(r.Before.Binding); r.Before.Binding[0] ^= 1 }
		}, "before/vtpm.report-data"},
	} {
		r, err := audit.Open(signed)
		if err != nil {
			t.Fatal(err)
		}
		refs, err := measure.Verify(vtpmFile(t, "testdata/vtpm/keep.ref"), keys, r.Time)
		if err != nil {
			t.Fatal(err)
		}
		q := question{o: vtpm.Options{Roots: []*x509.Certificate{root}}, start: sallyport.StartConfig{Mode: sallyport.ModePush, Platform: attest.PlatformVTPM}, refs: refs}
		x.change(&q)
		if q.edit != nil {
			q.edit(r)
		}
		res := r.Recheck(vtpm.New(q.o), q.start.Digest(), q.refs, attest.TCBPolicy{})
		if x.fails == "" {
			if res.Before == nil || res.After == nil || !slices.Equal(res.Before.Waived, []string{"activation"}) || !slices.Equal(res.After.Waived, []string{"activation"}) {
				t.Errorf("%s: %+v, %+v, %v", name, res.Before, res.After, res.Rows.Err())
			}
			continue
		}
		if lead := res.Rows.Lead(); res.Before != nil || res.After != nil || lead == nil || lead.Check != x.fails {
			t.Errorf("%s: %+v leads, expected %s", name, lead, x.fails)
		}
	}
}
