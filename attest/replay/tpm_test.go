// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package replay_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/replay"
)

func tpmRoot(t *testing.T, name string) []*x509.Certificate {
	t.Helper()
	b, err := os.ReadFile("../evidence/testdata/tpm/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(b); block != nil {
		b = block.Bytes
	}
	c, err := x509.ParseCertificate(b)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{c}
}

// A TPM is genuine by the roots that the reader names, not by those that the
// bundle was made with: without them, or under others, its replay never says
// yes.
func TestTPMsCountUnderTheReadersRootsOnly(t *testing.T) {
	file, err := os.ReadFile("../evidence/testdata/tpm/gcp-amd-ecc.json")
	if err != nil {
		t.Fatal(err)
	}
	roots := tpmRoot(t, "gcp_ek_ak_ca_root.crt")
	src := replay.Source{File: file, At: time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC), Maker: "test", TPMRoots: roots}
	b, res := makeBundle(t, src)
	if !res.Accepted || res.Claims == nil {
		t.Fatalf("refused: %v", res.Rows.Err())
	}
	b = saved(t, b)
	for _, e := range b.Collateral {
		if strings.Contains(string(e.Value), string(roots[0].Raw)) {
			t.Error("the root went into the bundle")
		}
	}
	if out := run(t, b, replay.Options{TPMRoots: roots}); !out.Same || !out.Yes() {
		t.Errorf("under the root: %+v", out.Changes)
	}
	for name, others := range map[string][]*x509.Certificate{"no root": nil, "another root": tpmRoot(t, "tpm_ek_intermediate_2.crt")} {
		out := run(t, b, replay.Options{TPMRoots: others})
		if out.Same || out.Yes() || out.Result.Accepted || out.Result.Reason != attest.ReasonRoot {
			t.Errorf("%s: same %v, accepted %v for %q", name, out.Same, out.Result.Accepted, out.Result.Reason)
		}
		for _, r := range out.Result.Rows {
			if r.Check == "vtpm.activation" && r.Outcome == attest.Pass {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if out := run(t, b, replay.Options{TPMRoots: others, At: src.At.Add(time.Minute)}); out.Yes() {
			t.Errorf("%s, later: yes", name)
		}
	}
	// A refusal for want of a root is kept as such, and is a yes under one only
	// if the reader asks anew: the replay is not what was recorded.
	src.TPMRoots = nil
	b, res = makeBundle(t, src)
	if res.Accepted || res.Reason != attest.ReasonRoot {
		t.Fatalf("without a root: accepted %v for %q", res.Accepted, res.Reason)
	}
	if out := run(t, saved(t, b), replay.Options{}); !out.Same || out.Yes() {
		t.Errorf("the refusal: %+v", out.Changes)
	}
	if out := run(t, saved(t, b), replay.Options{TPMRoots: roots}); out.Same || out.Yes() || !out.Result.Accepted {
		t.Errorf("the refusal under a root: same %v, yes %v, accepted %v", out.Same, out.Yes(), out.Result.Accepted)
	}
}

// The policy in a bundle is the word of whoever made it: that it takes the word
// of whoever saved the evidence of a Keep counts for those only who hold the
// policy for their own.
func TestInvariant1NoSilentDowngrade_NoBundleTakesItsOwnWord(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile("../evidence/testdata/tpm/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	roots := tpmRoot(t, "keep-swtpm.root.pem")
	src := replay.Source{File: read("keep-swtpm.cbor"), At: time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC), Maker: "test", TPMRoots: roots,
		Collateral: attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: read("keep-swtpm.issuer.der")}},
		Policy:     []byte("version = 1\n[vtpm]\naccept_unproven_activation = true\n")}
	b, res := makeBundle(t, src)
	if !res.Accepted {
		t.Fatalf("refused: %v", res.Rows.Err())
	}
	b = saved(t, b)
	if out := run(t, b, replay.Options{TPMRoots: roots, OwnPolicy: true}); !out.Same || !out.Yes() {
		t.Errorf("with a policy of his own: %+v", out.Changes)
	}
	for _, at := range []time.Time{{}, src.At.Add(time.Hour)} {
		if out := run(t, b, replay.Options{TPMRoots: roots, At: at}); out.Yes() || out.Result.Accepted || out.Result.Reason != attest.ReasonUnchecked {
			t.Errorf("on the bundle's own word: accepted %v for %q", out.Result.Accepted, out.Result.Reason)
		}
	}
}
