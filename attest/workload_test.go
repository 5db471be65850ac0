// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"testing"
)

// A workload that chooses its bytes freely tries to have the report data of a
// session signed. Its own part comes after 96 bytes that it does not choose,
// and even a Keep that took digest and hash from it would not help.
func TestInvariant11WorkloadBytesCannotBeReportData(t *testing.T) {
	root := testLeaves(1)[0]
	want := ReportData(1, root)
	preimage := append(append(append([]byte{}, reportDomain[:]...), 0, 0, 0, 1), root[:]...)
	if got := sha512.Sum512(preimage); got != want {
		t.Fatal("the preimage of the test is wrong, it would show nothing")
	}
	padded := append(bytes.Clone(preimage), make([]byte, 200)...)
	for cut := range len(preimage) {
		for _, at := range [][3]int{{cut, cut + 32, cut + 64}, {0, 32, cut}, {cut, 0, 32}} {
			if WorkloadReportData([32]byte(padded[at[0]:]), [32]byte(padded[at[1]:]), [64]byte(padded[at[2]:])) == want {
				t.Errorf("cut at %v, a workload had report data of a session made", at)
			}
		}
	}
	// Bytes that are a report data, a leaf or a root themselves stay inside
	// the hash.
	leaf := testLeaves(1)[0]
	for _, data := range [][64]byte{want, leaf, root, ReportData(1, leaf)} {
		if got := WorkloadReportData([32]byte{1}, [32]byte{2}, data); got == data || got == want {
			t.Error("the workload's bytes came out as they were")
		}
	}
	if reportDomain == workloadDomain || reportDomain[31] != 0 || workloadDomain[31] != 0 {
		t.Error("domains are equal or were cut")
	}
}

func TestWorkloadReportDataCoversEverything(t *testing.T) {
	digest, owner, data := [32]byte{1}, [32]byte{2}, [64]byte{3}
	base := WorkloadReportData(digest, owner, data)
	for bit := range (32 + 32 + 64) * 8 {
		d, o, x := digest, owner, data
		switch at := bit / 8; {
		case at < 32:
			d[at] ^= 1 << (bit % 8)
		case at < 64:
			o[at-32] ^= 1 << (bit % 8)
		default:
			x[at-64] ^= 1 << (bit % 8)
		}
		if WorkloadReportData(d, o, x) == base {
			t.Fatalf("bit %d is not covered", bit)
		}
	}
}

func TestEncodeWorkloadEvidence(t *testing.T) {
	ev := Evidence{MediaType: "application/x", Value: []byte("ev")}
	got, err := EncodeWorkloadEvidence(ev, Collateral{{MediaType: "a/b", Value: []byte("h")}, {MediaType: "bad", Value: []byte("h")},
		{MediaType: "a/b"}, {MediaType: "a/b", Value: make([]byte, MaxHint+1)}})
	if err != nil {
		t.Fatal(err)
	}
	// By hand: RFC 8949, the map's keys ordered by their encoding.
	tag := "tag:github.com,2026:enarx/enarx-go/workload-evidence/1"
	want := "\xa3" +
		"\x65hints\xa1\x00\x83\x63a/b\x41h\x02" +
		"\x68__cmwc_t\x78" + string(rune(len(tag))) + tag +
		"\x68evidence\x83\x6dapplication/x\x42ev\x04"
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", hex.EncodeToString(got), hex.EncodeToString([]byte(want)))
	}
	for name, ev := range map[string]Evidence{
		"none":      {MediaType: MediaTypeNone},
		"empty":     {MediaType: MediaTypeSNP},
		"too large": {MediaType: MediaTypeSNP, Value: make([]byte, MaxEvidence+1)},
	} {
		if b, err := EncodeWorkloadEvidence(ev, nil); err == nil || b != nil {
			t.Errorf("%s: encoded", name)
		}
	}
	full := make(Collateral, MaxHints+1)
	for i := range full {
		full[i] = Evidence{MediaType: "a/" + string(bytes.Repeat([]byte("b"), MaxMediaType-2)), Value: make([]byte, MaxHint)}
	}
	b, err := EncodeWorkloadEvidence(Evidence{MediaType: MediaTypeTPM, Value: make([]byte, MaxEvidence)}, full)
	if err != nil || len(b) > MaxMessage || len(b) < MaxMessage-MaxHint-workloadOverhead {
		t.Errorf("%d bytes, %v, expected at most %d, and almost so many", len(b), err, MaxMessage)
	}
}
