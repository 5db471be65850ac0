// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// published reads testdata/VECTORS.tsv: the files of snp/, tdx/, sgx/ and
// nitro/ that were collected, each with its digest and origin.
func published(t testing.TB) map[string]string {
	t.Helper()
	b, err := os.ReadFile("testdata/VECTORS.tsv")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		f := strings.Split(line, "\t")
		if len(f) != 6 || len(f[1]) != 64 || f[2] == "" || f[4] == "" {
			t.Fatalf("VECTORS.tsv: %q", line)
		}
		files[f[0]] = f[1]
	}
	if len(files) < 180 {
		t.Fatalf("VECTORS.tsv lists %d files", len(files))
	}
	return files
}

// elsewhere are the files that no vector uses, with where they are looked at.
// A name ends in "*" for all that begin so.
var elsewhere = map[string]string{
	"snp/genoa-v3-azure.hcl.bin":                    "wrapping; attest/evidence takes the report out of it, which is here",
	"snp/milan-v2-aci.thim.json":                    "wrapping of certificates; attest/evidence",
	"snp/milan-v2-aci.vcek.pem":                     "the VCEK that is here as DER; attest/evidence reads PEM",
	"snp/milan-v2-aci.uvm-endorsement.cose":         "reference value of a cloud, not evidence of hardware",
	"snp/milan-v2-aci.security-policy.base64":       "preimage of host data; attest/evidence",
	"snp/milan-v2-enarx.csr.der":                    "wrapping; attest/evidence takes the report out of it, which is here",
	"snp/milan-v2-lit-novcek.msg-report-rsp.bin":    "wrapping of another report without VCEK; attest/evidence",
	"snp/siena-a0-v3.evidence.json":                 "wrapping; attest/evidence takes the report out of it, which is here",
	"snp/certs/*":                                   "built into attest/snp, whose tests check every signature and the keys of the roots",
	"tdx/v4-00806f-gcp-cos113.ccel-*":               "event log; attest/internal/eventlog",
	"tdx/v4-90c06f-dstack.eventlog.json":            "event log",
	"tdx/v4-preproduction-root.ccel-data.bin":       "event log of a TD whose quote is refused",
	"tdx/v4-90c06f-azure-vtpm.*":                    "vTPM of an Azure TD: no evidence of TDX; attest/evidence reads the HCL report, attest/appraisal the TPM's quote, and attest/internal/tpm the chain of its key",
	"sgx/v3-00606a-enarx-xeon.csr.der":              "wrapping; attest/evidence takes the quote out of it, which is here",
	"sgx/v3-ppid-certdata-debug.encrypted-ppid.bin": "384 bytes of the quote that is here",
	"nitro/aws-nitro-root-g1.pem":                   "built into attest/nitro",
	"nitro/bad-root-*":                              "no root; attest/nitro tries to load it as one",
	"nitro/enclave-2023-09-debug-userdata.cert.der": "what a document vouches for; attest/nitro",
}

// reason finds the line of elsewhere that names a file.
func reason(name string) string {
	for pattern := range elsewhere {
		if begin, star := strings.CutSuffix(pattern, "*"); name == pattern || star && strings.HasPrefix(name, begin) {
			return pattern
		}
	}
	return ""
}

// notHere are the files that no package of this module has a copy of: they are
// part of another file, or nobody's evidence needs them.
var notHere = []string{
	"sgx/v3-ppid-certdata-debug.encrypted-ppid.bin",
}

// copies are the digests of all files below attest/.
func copies(t *testing.T, root string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(root, "attest"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".go" {
			return err
		}
		b, err := os.ReadFile(path)
		sum := sha256.Sum256(b)
		found[hex.EncodeToString(sum[:])] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Every published file is part of a vector, byte for byte, or is named with the
// reason why it is not; then it lies where that reason says that it is used.
func TestEveryPublishedFileIsUsed(t *testing.T) {
	root := Root(t)
	used := map[string]bool{}
	for _, v := range Vectors(t) {
		if len(v.Parts[0].Value) == 0 {
			t.Errorf("%s: no evidence", v.Name)
		}
		for _, p := range v.Parts {
			sum := sha256.Sum256(read(t, root, p.File))
			used[hex.EncodeToString(sum[:])] = true
		}
	}
	count, matched, have := 0, map[string]bool{}, copies(t, root)
	for name, sum := range published(t) {
		pattern := reason(name)
		switch {
		case used[sum]:
			count++
		case pattern == "":
			t.Errorf("%s is part of no vector, and nothing says why", name)
		default:
			matched[pattern] = true
			if have[sum] == slices.Contains(notHere, name) {
				t.Errorf("%s: a copy of it is here: %v", name, have[sum])
			}
		}
	}
	t.Logf("%d files used", count)
	if count < 140 {
		t.Errorf("%d files used", count)
	}
	for pattern := range elsewhere {
		if !matched[pattern] {
			t.Errorf("%s names no file that no vector uses", pattern)
		}
	}
}

// The list is that of the collection itself, where it lies beside the module.
func TestListOfPublishedFilesIsComplete(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(Root(t), "..", "shared", "vectors", "MANIFEST.tsv"))
	if err != nil {
		t.Skipf("the collection is not beside this checkout: %v", err)
	}
	have, n := published(t), 0
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		f := strings.Split(line, "\t")
		switch dir, _, _ := strings.Cut(f[0], "/"); dir {
		case "snp", "tdx", "sgx", "nitro":
			if n++; have[f[0]] != f[2] {
				t.Errorf("%s is not in VECTORS.tsv, or with another digest", f[0])
			}
		}
	}
	if n != len(have) {
		t.Errorf("%d files in the collection, %d in VECTORS.tsv", n, len(have))
	}
}
