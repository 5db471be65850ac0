// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package vtpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// rootFile is a file of the certificates whose origin is in the other package.
func rootFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../internal/tpm/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A maker's root that is not in strict DER is taken as the bytes that it is,
// and its signature holds over those, not over what strict DER would be.
func TestParseRootsNotInStrictDER(t *testing.T) {
	b := rootFile(t, "nuvoton-root-ca-2110-nonder.der")
	inPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b})
	for name, file := range map[string][]byte{"DER": b, "PEM": inPEM} {
		roots, err := ParseRoots(file)
		if err != nil || len(roots) != 1 {
			t.Fatalf("%s: %d roots: %v", name, len(roots), err)
		}
		c := roots[0]
		if !bytes.Equal(c.Raw, b) || c.Subject.CommonName != "Nuvoton TPM Root CA 2110" {
			t.Errorf("%s: %q", name, c.Subject)
		}
		if err := c.CheckSignatureFrom(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := sha256.Sum256(b); Fingerprints(roots) != fmt.Sprintf("%x…", d[:8]) {
			t.Errorf("%s: fingerprint %s", name, Fingerprints(roots))
		}
	}
	for name, file := range map[string][]byte{
		"a byte after it": append(bytes.Clone(b), 0), "padded": append(bytes.Clone(b), 0xff, 0xff), "cut": b[:len(b)-1],
		"a byte after it in PEM": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: append(bytes.Clone(b), 0)}),
	} {
		if roots, err := ParseRoots(file); err == nil || roots != nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Published issuers are taken, several in one file, too; a certificate of a
// TPM's own key is no root.
func TestParseRootsOfMakers(t *testing.T) {
	issuers := []string{"azure-virtual-tpm-root-2023.pem", "gcp_ek_ak_ca_root.crt", "gcp_ek_ak_ca_intermediate_v3.crt", "tpm_ek_intermediate_2.crt", "tpm_ek_intermediate_3.crt", "stm-rsa-ek-intermediate-05.pem", "stm-ecc-ek-intermediate-01.pem"}
	var all []byte
	for _, name := range issuers {
		b := rootFile(t, name)
		if roots, err := ParseRoots(b); err != nil || len(roots) != 1 {
			t.Errorf("%s: %d roots: %v", name, len(roots), err)
		}
		if block, _ := pem.Decode(b); block == nil {
			b = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b})
		}
		all = append(append(all, b...), '\n')
	}
	if roots, err := ParseRoots(all); err != nil || len(roots) != len(issuers) {
		t.Errorf("%d roots in one file: %v", len(roots), err)
	}
	for name, broken := range map[string][]byte{
		"the last is cut":        all[:len(all)-60],
		"one does not end":       bytes.Replace(all, []byte("-----END CERTIFICATE-----"), nil, 1),
		"one is not base64":      bytes.Replace(all, []byte("MII"), []byte("M!I"), 1),
		"a private key is there": append(bytes.Clone(all), []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")...),
		"only the beginning":     []byte("-----BEGIN CERTIFICATE-----\n"),
	} {
		if roots, err := ParseRoots(broken); err == nil || roots != nil {
			t.Errorf("%s: %d roots are taken", name, len(roots))
		}
	}
	if roots, err := ParseRoots(append([]byte("These are the makers' roots.\n"), all...)); err != nil || len(roots) != len(issuers) {
		t.Errorf("with words before them: %d roots: %v", len(roots), err)
	}
	for _, name := range []string{"st33-ecc-ek.der", "gce-uca-rsa-enc.pem", "gce-pca-ecc-sign.pem"} {
		b := rootFile(t, name)
		if _, err := ParseRoots(b); err == nil {
			t.Errorf("%s: taken as a root", name)
		}
		if block, _ := pem.Decode(b); block == nil {
			b = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b})
		}
		if _, err := ParseRoots(append(bytes.Clone(all), b...)); err == nil {
			t.Errorf("%s among roots: taken", name)
		}
	}
}

// FuzzParseRoots: what is taken for roots are authorities, each of the bytes that
// were given and nothing after it.
func FuzzParseRoots(f *testing.F) {
	for _, name := range []string{"azure-virtual-tpm-root-2023.pem", "gcp_ek_ak_ca_root.crt", "nuvoton-root-ca-2110-nonder.der", "stm-rsa-ek-intermediate-05.pem",
		"gcp-amd-ecc.ak-chain.pem", "st33-ecc-ek.der"} {
		f.Add(rootFile(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		roots, err := ParseRoots(b)
		if (len(roots) == 0) == (err == nil) || len(roots) > maxRoots {
			t.Fatalf("%d roots: %v", len(roots), err)
		}
		for _, c := range roots {
			if !c.IsCA || !c.BasicConstraintsValid {
				t.Fatalf("%q is no authority", c.Subject)
			}
			if !bytes.Contains(b, []byte("-----BEGIN")) && !bytes.Equal(c.Raw, b) {
				t.Fatal("a part of what was given is taken")
			}
		}
		Fingerprints(roots)
	})
}
