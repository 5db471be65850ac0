// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
)

// qvlAnswer is what @phala/dcap-qvl says: a status and advisories, or an error.
type qvlAnswer struct {
	Status     string
	Advisories []string
	Error      string
}

// verdict makes an error of everything that the vector does not excuse: the
// library leaves statuses to its caller.
func (a qvlAnswer) verdict(v corpus.Vector) error {
	switch {
	case a.Error != "":
		return fmt.Errorf("%s", a.Error)
	case a.Status != "UpToDate" && !slices.Contains(v.Options.Statuses, a.Status):
		return fmt.Errorf("status %s", a.Status)
	}
	return nil
}

// qvl asks @phala/dcap-qvl, an npm package that is pinned with all that it needs
// by their digests in testdata/dcap-qvl/package-lock.json, about all vectors at
// once.
func qvl(t *testing.T, vs []corpus.Vector) []qvlAnswer {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "ask.js"} {
		b, err := os.ReadFile(filepath.Join("testdata/dcap-qvl", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	npm, node := tool(t, "npm"), tool(t, "node")
	cmd := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		unavailable(t, "npm ci: %v\n%s", err, out)
	}
	var in bytes.Buffer
	for _, v := range vs {
		if err := json.NewEncoder(&in).Encode(qvlQuestion(v)); err != nil {
			t.Fatal(err)
		}
	}
	cmd = exec.Command(node, "ask.js")
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, &in, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	var answers []qvlAnswer
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var a qvlAnswer
		if err := dec.Decode(&a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(vs) {
		t.Fatalf("%d answers on %d vectors", len(answers), len(vs))
	}
	return answers
}

// qvlQuestion puts a vector into the library's form. What a vector lacks is an
// empty string.
func qvlQuestion(v corpus.Vector) map[string]any {
	p := pcs{v}
	chain := string(p.named("tcb-signing-chain.pem"))
	info, infoSig := document(part(v, attest.MediaTypeIntelTCBInfo))
	identity, identitySig := document(part(v, attest.MediaTypeIntelQEIdentity))
	if chain == "" { // the set of 2020 keeps its chains elsewhere
		chain = string(part(v, attest.MediaTypePEMChain))
	}
	return map[string]any{
		"quote": hex.EncodeToString(v.Parts[0].Value), "now": v.At.Unix(),
		"collateral": map[string]string{
			"pck_crl": hex.EncodeToString(p.named("pck-*.crl.der")), "root_ca_crl": hex.EncodeToString(p.named("*root.crl.der")),
			"pck_crl_issuer_chain": string(p.named("pck-*-ca-chain.pem")),
			"tcb_info":             info, "tcb_info_signature": infoSig, "tcb_info_issuer_chain": chain,
			"qe_identity": identity, "qe_identity_signature": identitySig, "qe_identity_issuer_chain": chain,
		},
	}
}

// document takes the body and the signature out of a document's frame.
func document(b []byte) (body, signature string) {
	_, rest, _ := bytes.Cut(b, []byte(`":`))
	i := bytes.LastIndex(rest, []byte(`,"signature":"`))
	if i < 0 {
		return "", ""
	}
	return string(rest[:i]), string(bytes.TrimRight(rest[i+len(`,"signature":"`):], "\"}\n"))
}

// tool returns the path of a program, or ends the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		unavailable(t, "%s is not installed; make deps installs it", name)
	}
	return path
}

// unavailable skips a test that needs something the machine does not have, and
// fails it where everything is meant to be there.
func unavailable(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("ENARX_REQUIRE_TOOLS") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
