// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// publishedTPM reads testdata/VECTORS-TPM.tsv: the files of tpm/ that were
// collected. They are in no vector of this package: a quote of a TPM comes
// wrapped, and what is to be said of it depends on the root that is named or on
// the evidence beside it. The tests of other packages say it.
func publishedTPM(t testing.TB) map[string]string {
	t.Helper()
	b, err := os.ReadFile("testdata/VECTORS-TPM.tsv")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		f := strings.Split(line, "\t")
		if len(f) != 6 || len(f[1]) != 64 || f[2] == "" || f[4] == "" || !strings.HasPrefix(f[0], "tpm/") {
			t.Fatalf("VECTORS-TPM.tsv: %q", line)
		}
		files[f[0]] = f[1]
	}
	if len(files) < 70 {
		t.Fatalf("VECTORS-TPM.tsv lists %d files", len(files))
	}
	return files
}

// judged says of published files what is to be said of them, and which test says
// so; the first line that fits counts. A name ends in "*" for all that begin so.
var judged = []struct{ file, verdict, test string }{
	{"tpm/aws-nitrotpm-ecc.json", "accepted on the word of the NitroTPM document in it, until that ends", "attest/appraisal/tpm_test.go"},
	{"tpm/aws-nitrotpm-ecc.*", "quote of the registers beside it by the key in the document; in no other order, by no other key", "attest/internal/tpm/published_test.go"},
	{"tpm/azure-snp-milan-vtpm.json", "accepted on the word of the SNP report in it; its nonce is none", "attest/appraisal/tpm_test.go"},
	{"tpm/azure-snp-milan-vtpm.report.bin", "report inside the runtime data, taken out of them", "attest/evidence/vectors_test.go"},
	{"tpm/azure-snp-milan-vtpm.vcek.der", "certificate of the report's key, found in the JSON beside it", "attest/evidence/wrappers_test.go"},
	{"tpm/azure-snp-milan-vtpm.*", "quote of the registers beside it by the key in the runtime data", "attest/internal/tpm/published_test.go"},
	{"tpm/gcp-amd-ecc.json", "accepted under Google's root from the day of its certificate; otherwise refused", "attest/appraisal/tpm_test.go"},
	{"tpm/gcp-amd-ecc.*", "quote of the registers beside it by the key of the first certificate, and of none above it", "attest/internal/tpm/published_test.go"},
	{"tpm/gcp-cos85-nonce.pb", "accepted under Google's intermediate by its quotes with SHA-256 and SHA-384; by SHA-1 refused", "attest/appraisal/tpm_azure_test.go"},
	{"tpm/gcp-cos85-nonce.eventlog.bin", "replays to the registers of all three banks", "attest/internal/eventlog/log_test.go"},
	{"tpm/gcp-cos85-nonce.*", "three quotes, each of the registers of its bank, by the key of the certificate", "attest/internal/tpm/published_test.go"},
	{"tpm/gcp-windows-sha1.json", "refused: key, signature and bank with SHA-1, and no certificate", "attest/appraisal/tpm_test.go"},
	{"tpm/gcp-windows-sha1.eventlog.bin", "replays to the registers of SHA-1, which prove nothing", "attest/internal/eventlog/log_test.go"},
	{"tpm/gcp-windows-sha1.ak-creation.attest.bin", "no quote, but a statement about the creation of a key: refused", "attest/internal/tpm/structures_test.go"},
	{"tpm/gcp-windows-sha1.ak-creation.sig.bin", "signature with SHA-1 over that statement: good for nothing", "attest/internal/tpm/structures_test.go"},
	{"tpm/gcp-windows-sha1.*", "quote of SHA-1, refused for that", "attest/internal/tpm/published_test.go"},
	{"tpm/ca/azure-virtual-tpm-root-2023.pem", "root of Azure's certificates of attestation keys", "attest/internal/tpm/published_test.go"},
	{"tpm/ca/gcp_ek_ak_ca_root.crt", "root of Google's quotes", "attest/appraisal/tpm_test.go"},
	{"tpm/ca/*", "issuer under which the keys of TPMs verify, and those of no other maker", "attest/internal/tpm/certificate_test.go"},
	{"tpm/certs/nuvoton-root-ca-2110-nonder.der", "root not in strict DER: taken as the bytes that it is", "attest/vtpm/roots_test.go"},
	{"tpm/certs/*", "key of a TPM: verifies under its issuer on its days, for what its key is for", "attest/internal/tpm/certificate_test.go"},
	{"tpm/eventlogs/short-no-action-eventlog.bin", "no log: refused", "attest/internal/eventlog/log_test.go"},
	{"tpm/eventlogs/*", "log of a real machine: replays to what is published of it", "attest/internal/eventlog/log_test.go"},
}

// Every published file of a TPM lies in a package below attest/, byte for byte,
// and the test that says what is to be said of it names it.
func TestEveryPublishedFileOfATPMIsJudged(t *testing.T) {
	root := Root(t)
	have, used := copies(t, root), map[int]bool{}
	for name, sum := range publishedTPM(t) {
		if !have[sum] {
			t.Errorf("%s: no copy of it is here", name)
		}
		found := false
		for i, j := range judged {
			begin, star := strings.CutSuffix(j.file, "*")
			if name != j.file && (!star || !strings.HasPrefix(name, begin)) {
				continue
			}
			found, used[i] = true, true
			src := read(t, root, j.test)
			if !bytes.Contains(src, []byte(path.Base(name))) {
				t.Errorf("%s does not name %s, of which it is to say: %s", j.test, name, j.verdict)
			}
			break
		}
		if !found {
			t.Errorf("nothing says what is to be said of %s", name)
		}
	}
	for i, j := range judged {
		if !used[i] || j.verdict == "" {
			t.Errorf("%s names no published file", j.file)
		}
	}
}

// The list is that of the collection itself, where it lies beside the module.
func TestListOfPublishedFilesOfTPMsIsComplete(t *testing.T) {
	dir := filepath.Join(Root(t), "..", "shared", "vectors")
	b, err := os.ReadFile(filepath.Join(dir, "MANIFEST.tsv"))
	if err != nil {
		t.Skipf("the collection is not beside this checkout: %v", err)
	}
	have, n := publishedTPM(t), 0
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		f := strings.Split(line, "\t")
		if !strings.HasPrefix(f[0], "tpm/") {
			continue
		}
		n++
		file, err := os.ReadFile(filepath.Join(dir, f[0]))
		sum := sha256.Sum256(file)
		if have[f[0]] != f[2] || err != nil || hex.EncodeToString(sum[:]) != f[2] {
			t.Errorf("%s is not in VECTORS-TPM.tsv, or with another digest: %v", f[0], err)
		}
	}
	if n != len(have) {
		t.Errorf("%d files in the collection, %d in VECTORS-TPM.tsv", n, len(have))
	}
}
