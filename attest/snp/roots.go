// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"crypto/x509"
	"embed"
	"encoding/pem"
	"fmt"
	"sync"

	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

// chains are AMD's signing chains as its key service gives them, intermediate
// then root; roots/ORIGIN.md says where they come from. A test checks the
// signatures in them and the digests of the root keys.
//
//go:embed roots/*-chain.pem
var chains embed.FS

// products are the product lines with the CPUs that belong to them: which
// family and models are sold as which line is in AMD's revision guides (56683
// for Milan, 57095 for Genoa, 58251 for Turin). Bergamo and Siena (family 19h,
// models A0h to AFh) have keys of line Genoa.
var products = []struct {
	name   string
	file   string
	hasFMC bool
	cpus   []snpreport.CPUs
}{
	{"Milan", "milan", false, []snpreport.CPUs{{Family: 0x19, First: 0x00, Last: 0x0f}}},
	{"Genoa", "genoa", false, []snpreport.CPUs{{Family: 0x19, First: 0x10, Last: 0x1f}, {Family: 0x19, First: 0xa0, Last: 0xaf}}},
	{"Turin", "turin", true, []snpreport.CPUs{{Family: 0x1a, First: 0x00, Last: 0x11}}},
}

// lines parses what is built in, once. An error leaves no line at all, so that
// nothing verifies.
var lines = sync.OnceValues(func() ([]snpreport.Line, error) {
	var out []snpreport.Line
	for _, p := range products {
		ask, ark, err := chain(p.file + "-vcek-chain.pem")
		if err != nil {
			return nil, err
		}
		asvk, again, err := chain(p.file + "-vlek-chain.pem")
		if err != nil {
			return nil, err
		}
		if !ark.Equal(again) {
			return nil, fmt.Errorf("two roots are built in for %s", p.name)
		}
		out = append(out, snpreport.Line{
			Name:     p.name,
			Root:     ark,
			ASK:      []*x509.Certificate{ask},
			ASVK:     []*x509.Certificate{asvk},
			ASKName:  "SEV-" + p.name,
			ASVKName: "SEV-VLEK-" + p.name,
			HasFMC:   p.hasFMC,
			CPUs:     p.cpus,
			ListURL:  "https://kdsintf.amd.com/vcek/v1/" + p.name + "/crl",
		})
	}
	return out, nil
})

// chain reads one file: intermediate, then root, and nothing else.
func chain(name string) (ca, root *x509.Certificate, err error) {
	b, err := chains.ReadFile("roots/" + name)
	if err != nil {
		return nil, nil, err
	}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("built-in chain %s: %w", name, err)
		}
		certs = append(certs, c)
	}
	if len(certs) != 2 {
		return nil, nil, fmt.Errorf("built-in chain %s: %d certificates, expected 2", name, len(certs))
	}
	return certs[0], certs[1], nil
}
