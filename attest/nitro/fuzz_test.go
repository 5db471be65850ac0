// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitro

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
)

func seeds(f *testing.F) [][]byte {
	f.Helper()
	names, err := filepath.Glob(filepath.Join(vectorDir, "*.cbor"))
	if err != nil || len(names) < 9 {
		f.Fatalf("%d vectors: %v", len(names), err)
	}
	var all [][]byte
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, b)
	}
	return append(all, file(f, "enclave-2025-12.framed.bin"))
}

// What parses comes back as the same bytes.
func FuzzParse(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := nitrodoc.Parse(b)
		if err != nil {
			return
		}
		if !bytes.Equal(d.Encode(), b) {
			t.Fatalf("comes back as %x", d.Encode())
		}
		if d.ModuleID == "" || len(d.PCRs) == 0 || len(d.CABundle) == 0 || d.Timestamp.IsZero() {
			t.Fatalf("parsed without a mandatory field: %+v", d)
		}
	})
}

// No document but AWS's own is accepted, whatever lists come along.
func FuzzVerify(f *testing.F) {
	genuine := map[string]bool{}
	for _, b := range seeds(f) {
		f.Add(b, []byte(nil))
		genuine[string(b)] = true
	}
	m := newMade(f)
	for _, l := range m.Lists() {
		f.Add(file(f, "enclave-2025-12.cbor"), l.Value)
	}
	when := at(f, "2025-12-25T13:15:37Z")
	v := New(Options{Waive: waiveAll, Cache: NewCache(64)})
	f.Fuzz(func(t *testing.T, b, list []byte) {
		var col attest.Collateral
		if len(list) != 0 {
			col = attest.Collateral{{MediaType: attest.MediaTypeCRL, Value: list}}
		}
		c, verdict := v.Verify(document(b), col, attest.Expected{}, when)
		if (c != nil) != verdict.OK() || len(verdict) == 0 {
			t.Fatal("claims and verdict do not agree")
		}
		if c != nil && !genuine[string(b)] {
			t.Fatal("a document of the fuzzer's was accepted")
		}
		if c == nil && verdict.Reason() == attest.ReasonUnspecified {
			t.Fatalf("refused without a reason: %v", verdict.Err())
		}
		for _, r := range verdict {
			if strings.ContainsAny(r.Seen, "\x00\n\x1b") {
				t.Fatalf("row %q shows control characters", r.Check)
			}
		}
	})
}
