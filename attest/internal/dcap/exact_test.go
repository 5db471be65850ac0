// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"encoding/asn1"
	"os"
	"strings"
	"testing"
)

// TestInvariant4HostileInputIsBounded_NothingBesideWhatIsSigned puts an element
// beside the three of a genuine certificate and of a genuine list.
func TestInvariant4HostileInputIsBounded_NothingBesideWhatIsSigned(t *testing.T) {
	const dir = "testdata/tdx/collateral/90c06f000000-2026-06/"
	more := func(der []byte) []byte {
		var outer asn1.RawValue
		if _, err := asn1.Unmarshal(der, &outer); err != nil {
			t.Fatal(err)
		}
		b, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(bytes.Clone(outer.Bytes), 5, 0)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	list := read("root.crl.der")
	if _, err := parseCRL(list); err != nil {
		t.Error(err)
	}
	if _, err := parseCRL(more(list)); err == nil || !strings.Contains(err.Error(), "after the signature") {
		t.Errorf("list: %v", err)
	}
	ders, err := splitPEM(read("tcb-signing-chain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, der := range ders {
		if err := new(pool).add(der); err != nil {
			t.Error(err)
		}
		if err := new(pool).add(more(der)); err == nil || !strings.Contains(err.Error(), "after the signature") {
			t.Errorf("certificate: %v", err)
		}
	}
}
