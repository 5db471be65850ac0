// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package item

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

const aws = "../../internal/nitrodoc/testdata/"

// Real documents name the root's list and their region's.
func TestNeededOfNitroDocuments(t *testing.T) {
	for file, region := range map[string]string{
		"enclave-2025-12.cbor": "us-east-1", "enclave-2025-12-debug.cbor": "us-east-1", "enclave-2021-09-debug.cbor": "us-west-1",
		"enclave-2024-08-debug-all-fields.cbor": "us-east-2", "nitrotpm-2026-02.cbor": "us-east-1",
	} {
		needs, err := Needed(attest.Evidence{MediaType: attest.MediaTypeNitro, Value: read(t, aws+file)}, nil, Hint{})
		if err != nil || len(needs) != 2 {
			t.Errorf("%s: %v, %v", file, needs, err)
			continue
		}
		root, regional := needs[0].Any[0], needs[1].Any[0]
		if !strings.HasPrefix(root.URL, "https://aws-nitro-enclaves-crl.s3.amazonaws.com/crl/") || root.Issuers != "" {
			t.Errorf("%s: %+v", file, root)
		}
		if !strings.HasPrefix(regional.URL, "https://crl-"+region+"-aws-nitro-enclaves.s3."+region+".amazonaws.com/crl/") || regional.Issuers == "" {
			t.Errorf("%s: %+v", file, regional)
		}
		if root.Name() == regional.Name() || !strings.Contains(regional.String(), region) {
			t.Errorf("%s: %s, %v", file, regional.Name(), regional)
		}
	}
}

// TestInvariant4HostileInputIsBounded_AddressesComeFromAWS: nothing in a
// document that AWS's root does not vouch for becomes an address.
func TestInvariant4HostileInputIsBounded_AddressesComeFromAWS(t *testing.T) {
	good := read(t, aws+"enclave-2025-12.cbor")
	for name, b := range map[string][]byte{
		"address changed": bytes.Replace(good, []byte("aws-nitro-enclaves-crl.s3.amazonaws"), []byte("aws-nitro-enclaves-crl.s3.amazonaws.evil"[:35]), 1),
		"host changed":    bytes.Replace(good, []byte("http://aws-nitro"), []byte("http://bws-nitro"), 1),
		"a certificate":   read(t, aws+"bad-2021-09-certificate.cbor"),
		"nothing":         nil,
	} {
		if name == "address changed" {
			b = bytes.Replace(good, []byte("s3.amazonaws.com/crl/ab"), []byte("s3.example.com.x/crl/ab"), 1)
		}
		needs, err := Needed(attest.Evidence{MediaType: attest.MediaTypeNitro, Value: b}, nil, Hint{})
		if err == nil || needs != nil {
			t.Errorf("%s: %v", name, needs)
		}
	}
	const id = "/crl/ab4960cc-7d63-42bd-9e9f-59338cb67f84.crl"
	for url, ok := range map[string]bool{
		"https://aws-nitro-enclaves-crl.s3.amazonaws.com" + id:                                         true,
		"https://crl-eu-central-1-aws-nitro-enclaves.s3.eu-central-1.amazonaws.com" + id:               true,
		"https://crl-us-gov-west-1-aws-nitro-enclaves.s3.us-gov-west-1.amazonaws.com" + id:             true,
		"http://aws-nitro-enclaves-crl.s3.amazonaws.com" + id:                                          false,
		"https://aws-nitro-enclaves-crl.s3.amazonaws.com.evil.example" + id:                            false,
		"https://evil.example/aws-nitro-enclaves-crl.s3.amazonaws.com" + id:                            false,
		"https://evil-aws-nitro-enclaves-crl.s3.amazonaws.com" + id:                                    false,
		"https://crl-us-east-1-aws-nitro-enclaves.s3.us-west-1.amazonaws.com" + id:                     false,
		"https://crl-us-east-1-aws-nitro-enclaves.s3.us-east-1.amazonaws.com@evil.example" + id:        false,
		"https://crl-x-aws-nitro-enclaves.s3.x.amazonaws.com" + id:                                     false,
		"https://aws-nitro-enclaves-crl.s3.amazonaws.com/crl/../secret":                                false,
		"https://aws-nitro-enclaves-crl.s3.amazonaws.com" + id + "?x=1":                                false,
		"https://aws-nitro-enclaves-crl.s3.amazonaws.com:8443" + id:                                    false,
		"https://169.254.169.254" + id:                                                                 false,
		"https://localhost" + id:                                                                       false,
		"https://aws-nitro-enclaves-crl.s3.amazonaws.com" + id + "\n":                                  false,
		"https://aws-nitro-enclaves-crl.s3.amazonaws.com/crl/AB4960CC-7D63-42BD-9E9F-59338CB67F84.crl": false,
		"":  false,
		id:  false,
		"/": false,
	} {
		if err := (Item{Kind: NitroList, URL: url}).Valid(); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
	it := Item{Kind: NitroList, URL: "https://aws-nitro-enclaves-crl.s3.amazonaws.com" + id}
	for issuers, ok := range map[string]bool{"": true, "00": true, "00,01": true, "00,01,02": false, "0": false, ",": false, "00,": false, "AB": false, strings.Repeat("00", maxIssuer+1): false} {
		it.Issuers = issuers
		if err := it.Valid(); (err == nil) != ok {
			t.Errorf("issuers %q: %v", shown(issuers), err)
		}
	}
}

// No list of AWS's has been recorded, so none can be taken; each refusal has
// its rule.
func TestNitroListsAreHeldToTheRoot(t *testing.T) {
	needs, err := Needed(attest.Evidence{MediaType: attest.MediaTypeNitro, Value: read(t, aws+"enclave-2025-12.cbor")}, nil, Hint{})
	if err != nil {
		t.Fatal(err)
	}
	root, regional := needs[0].Any[0], needs[1].Any[0]
	lists, _ := issuers(regional.Issuers)
	foreign := list(t, amd+"milan-2025-05-06.crl.der")
	own := attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: lists[0]}
	other := attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: []byte("x")}
	for name, c := range map[string]struct {
		it    Item
		parts attest.Collateral
		rule  Rule
	}{
		"another vendor's":             {root, foreign, RuleProof},
		"another vendor's, with chain": {regional, append(foreign[:1:1], own), RuleProof},
		"without its issuer":           {regional, foreign, RuleForm},
		"with an issuer too much":      {root, append(foreign[:1:1], own), RuleForm},
		"with another issuer":          {regional, append(foreign[:1:1], other), RuleSubject},
		"nothing":                      {root, nil, RuleForm},
	} {
		_, err := Check(c.it, c.parts)
		var r *RefusedError
		if !errors.As(err, &r) || r.Rule != c.rule {
			t.Errorf("%s: %v, want rule %s", name, err, c.rule)
		}
	}
	if n := regional.FileNames(2); len(n) != 2 || n[0] == n[1] {
		t.Errorf("%q", n)
	}
}
