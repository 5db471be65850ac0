// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package item

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
	"github.com/enarx/enarx-go/attest/nitro"
)

// nitroAddress is every address at which AWS is known to publish the lists of
// Nitro's root and regions: buckets of its own, one for all and one for each
// region.
var nitroAddress = regexp.MustCompile(`^https://(aws-nitro-enclaves-crl\.s3\.amazonaws\.com` +
	`|crl-([a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2})-aws-nitro-enclaves\.s3\.([a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2})\.amazonaws\.com)` +
	`/crl/([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\.crl$`)

// nitroList takes an address apart. In that of a region, bucket and host must
// name the same one.
func nitroList(address string) (id string, ok bool) {
	m := nitroAddress.FindStringSubmatch(address)
	if m == nil || m[2] != m[4] {
		return "", false
	}
	return m[6], true
}

// issuers reads Item.Issuers.
func issuers(text string) ([][]byte, bool) {
	if text == "" {
		return nil, true
	}
	var list [][]byte
	for _, s := range strings.Split(text, ",") {
		b, err := hex.DecodeString(s)
		if err != nil || len(b) == 0 || len(b) > maxIssuer || s != strings.ToLower(s) || len(list) == MaxParts-1 {
			return nil, false
		}
		list = append(list, b)
	}
	return list, true
}

// maxIssuer bounds one certificate of a Nitro chain (AWS's own limit).
const maxIssuer = 1024

// neededNitro are the lists of the issuers in a document's chain. The chain is
// proven first: the addresses in it become requests.
func neededNitro(ev attest.Evidence) ([]Need, error) {
	d, err := nitrodoc.Parse(ev.Value)
	if err != nil {
		return nil, err
	}
	root, err := nitro.Root()
	if err != nil {
		return nil, err
	}
	points, err := d.ListPoints(root)
	if err != nil {
		return nil, fmt.Errorf("no list is asked for: %w", err)
	}
	var needs []Need
	for _, p := range points {
		address := p.URL
		if rest, ok := strings.CutPrefix(address, "http://"); ok {
			address = "https://" + rest
		}
		var hexed []string
		for _, der := range p.Issuers {
			hexed = append(hexed, hex.EncodeToString(der))
		}
		it := Item{Kind: NitroList, URL: address, Issuers: strings.Join(hexed, ",")}
		if err := it.Valid(); err != nil {
			return nil, fmt.Errorf("the chain names a list at an address that is not known to be AWS's, and nothing is asked for: %w", err)
		}
		needs = append(needs, Need{[]Item{it}, "says whether what this issuer has signed was revoked; the verifier enforces it if it is there"})
	}
	return needs, nil
}

func checkNitro(it Item, parts attest.Collateral) (*Info, error) {
	root, err := nitro.Root()
	if err != nil {
		return nil, refuse(it, RuleProof, "%w", err)
	}
	want, ok := issuers(it.Issuers)
	if !ok || len(want) != len(parts)-1 {
		return nil, refuse(it, RuleForm, "%d issuers, expected %d", len(parts)-1, len(want))
	}
	for i, p := range parts[1:] {
		if !bytes.Equal(p.Value, want[i]) {
			return nil, refuse(it, RuleSubject, "issuer %d is another than was asked for", i+1)
		}
	}
	e, err := nitrodoc.CheckList(root, want, parts[0].Value, "http://"+strings.TrimPrefix(it.URL, "https://"))
	if err != nil {
		return nil, refuse(it, RuleProof, "%w", err)
	}
	return &Info{From: e.From, Until: e.Until, Number: e.Number}, nil
}
