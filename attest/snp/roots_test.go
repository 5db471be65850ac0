// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"testing"

	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

func checkBuiltIn(t *testing.T, ls []snpreport.Line, roots map[string]string) {
	t.Helper()
	for i, l := range ls {
		sum := sha256.Sum256(l.Root.RawSubjectPublicKeyInfo)
		if got := hex.EncodeToString(sum[:]); got != roots[l.Name] {
			t.Errorf("%s: root key %s", l.Name, got)
		}
		if err := snpreport.CheckRoot(l.Root); err != nil {
			t.Errorf("%s: %v", l.Name, err)
		}
		base := int64(i+1) << 16
		serial := map[*x509.Certificate]int64{l.Root: base, l.ASK[0]: base + 1, l.ASVK[0]: base + 0x101}
		if l.Name == "Genoa" {
			serial[l.ASK[0]]++ // the first one was revoked
		}
		for c, want := range serial {
			if c.SerialNumber.Int64() != want {
				t.Errorf("%s: %s has serial %#x, expected %#x", l.Name, c.Subject.CommonName, c.SerialNumber, want)
			}
			if err := snpreport.CheckIssued(c, l.Root); err != nil {
				t.Errorf("%s: %v", l.Name, err)
			}
		}
		if l.Root.Subject.CommonName != "ARK-"+l.Name || l.ASK[0].Subject.CommonName != l.ASKName || l.ASVK[0].Subject.CommonName != l.ASVKName {
			t.Errorf("%s: names", l.Name)
		}
	}
}
