// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"crypto/rsa"
	"encoding/json"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/tpm"
	"github.com/enarx/enarx-go/attest/internal/tpmquote"
)

// checkQuotes: what a wrapping of a TPM's quote gives can be read again, has
// all the registers of its bank, and the parts that the TPM or the log made
// are bytes of the file.
func checkQuotes(t *testing.T, found *Found, err error) {
	t.Helper()
	if (found == nil) == (err == nil) {
		t.Fatalf("%v and %v", found, err)
	}
	if err != nil {
		return
	}
	quotes := 0
	for _, p := range found.Pieces {
		if p.Evidence.MediaType != attest.MediaTypeTPMQuote {
			continue
		}
		quotes++
		q, err := tpmquote.DecodeForeign(p.Evidence.Value)
		if err != nil {
			t.Fatalf("a piece that is not read again: %v", err)
		}
		alg, err := bankOf(len(q.PCRs) / tpm.PCRs)
		if err != nil || uint16(alg) != q.Bank || len(q.PCRs)%tpm.PCRs != 0 {
			t.Fatalf("%d bytes of registers of bank %#x: %v", len(q.PCRs), q.Bank, err)
		}
	}
	if quotes != 1 {
		t.Fatalf("%d quotes", quotes)
	}
}

// FuzzTPMTools: the protobuf of go-tpm-tools gives one quote or an error.
func FuzzTPMTools(f *testing.F) {
	b := vector(f, "tpm/gcp-cos85-nonce.pb")
	f.Add(b)
	// The same with one quote each: other banks are chosen then.
	var fields [][2][]byte // tag, value
	if err := protobuf(b, func(field, _ uint64, value []byte) error {
		fields = append(fields, [2][]byte{{byte(field)<<3 | 2}, value})
		return nil
	}); err != nil {
		f.Fatal(err)
	}
	seeds := 0
	for keep, x := range fields {
		if x[0][0] != 2<<3|2 {
			continue
		}
		var one []byte
		for i, y := range fields {
			if y[0][0] != x[0][0] || i == keep {
				one = append(varint(append(one, y[0]...), len(y[1])), y[1]...)
			}
		}
		if _, err := findTPMTools(one); err != nil {
			f.Fatalf("quote alone: %v", err)
		}
		f.Add(one)
		seeds++
	}
	if seeds != 3 {
		f.Fatalf("%d quotes in the vector", seeds)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		isTPMToolsMessage(b)
		found, err := findTPMTools(b)
		checkQuotes(t, found, err)
		if !bytes.Equal(before, b) {
			t.Fatal("the file was changed")
		}
		if err == nil {
			q, _ := tpmquote.DecodeForeign(found.Pieces[0].Evidence.Value)
			for _, part := range [][]byte{q.Quote, q.Signature, q.Public, q.EventLog} {
				if !bytes.Contains(b, part) {
					t.Fatal("a part that is not in the file")
				}
			}
		}
	})
}

// varint appends a number as protobuf has it.
func varint(b []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// FuzzTPMJSON: each reader of JSON with a TPM's quote in it gives one, or an
// error, whichever of the kinds of JSON it is given.
func FuzzTPMJSON(f *testing.F) {
	for _, name := range []string{"gcp-amd-ecc.json", "aws-nitrotpm-ecc.json", "gcp-windows-sha1.json"} {
		b := vector(f, "tpm/"+name)
		if _, err := Find(b); err != nil {
			f.Fatalf("%s: %v", name, err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := parseObject(b)
		if err != nil {
			return
		}
		found, err := findVaporTPM(o, 0)
		checkQuotes(t, found, err)
		found, err = findGoAttestation(o, 0)
		checkQuotes(t, found, err)
	})
}

// FuzzAttestationKey: the runtime data of an HCL report give a key that is
// strong enough and can be put into evidence, or an error.
func FuzzAttestationKey(f *testing.F) {
	for _, name := range []string{"tpm/azure-snp-milan-vtpm.hcl.bin", "tdx/v4-90c06f-azure-vtpm.hcl.bin"} {
		h, err := parseHCL(vector(f, name))
		if err != nil {
			f.Fatalf("%s: %v", name, err)
		}
		if _, err := h.attestationKey(); err != nil {
			f.Fatalf("%s: %v", name, err)
		}
		f.Add(h.runtime)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := (&hcl{runtime: b}).attestationKey()
		if (key == nil) == (err == nil) {
			t.Fatalf("%v and %v", key, err)
		}
		if err != nil {
			return
		}
		k, ok := key.(*rsa.PublicKey)
		if !ok || k.E != 65537 || k.N.BitLen() < 2048 || k.N.BitLen() > 4096 {
			t.Fatalf("key %v", key)
		}
		if err := new(tpmParts).setKey(key); err != nil {
			t.Fatal(err)
		}
		if !json.Valid(b) || !bytes.Contains(b, []byte("keys")) && !bytes.Contains(b, []byte(`\u`)) {
			t.Fatal("a key out of nothing")
		}
	})
}
