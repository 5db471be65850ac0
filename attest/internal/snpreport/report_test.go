// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"path/filepath"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

func TestInvariant4HostileInputIsBounded_Parse(t *testing.T) {
	good := file(t, "genoa-v5.report.bin")
	for n := range len(good) {
		if r, err := Parse(good[:n]); err == nil || r != nil {
			t.Fatalf("cut to %d bytes: taken", n)
		}
	}
	for name, b := range map[string][]byte{
		"published as truncated":  file(t, "milan-v2-lit-novcek.report-truncated.bin"),
		"published with bad size": file(t, "milan-v2-lit-novcek.report-badsig.bin"),
		"trailing byte":           append(bytes.Clone(good), 0),
		"zeroes":                  make([]byte, Size),
		"ones":                    bytes.Repeat([]byte{0xff}, Size),
	} {
		if r, err := Parse(b); err == nil || r != nil {
			t.Errorf("%s: taken", name)
		}
	}
	// Every byte that the versions reserve.
	for _, x := range []struct {
		name     string
		from, to int
	}{
		{"genoa-v5", offReserved4C, offReportData}, {"genoa-v5", offReserved18B, offChipID}, {"genoa-v5", offReserved208, offSignature},
		{"genoa-v5", offSignature + 2*sigWord, Size}, {"genoa-v5", offReserved1EB, offReserved1EB + 1}, {"genoa-v5", offReserved1EF, offReserved1EF + 1},
		{"milan-v2-azure", offCPUID, offReserved18B}, {"milan-v2-azure", offLaunchMit, offReserved208}, {"milan-v3-oak", offLaunchMit, offReserved208},
	} {
		b := file(t, x.name+".report.bin")
		for i := x.from; i < x.to; i++ {
			b[i] ^= 0x10
			if _, err := Parse(b); err == nil {
				t.Errorf("%s: reserved byte %#x set and taken", x.name, i)
			}
			b[i] ^= 0x10
		}
	}
}

func TestSignatureNumbers(t *testing.T) {
	good := file(t, "genoa-v5.report.bin")
	vcek, err := parseCert(file(t, "genoa-v5.vcek.der"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := leafKey(vcek)
	if err != nil {
		t.Fatal(err)
	}
	check := func(b []byte) error {
		r, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		return r.CheckSignature(key)
	}
	if err := check(good); err != nil {
		t.Fatal(err)
	}
	one, wide := big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), p384Size*8)
	for name, edit := range map[string]func([]byte){
		"zero":         func(b []byte) { clear(b[offSignature:]) },
		"r of zero":    func(b []byte) { clear(b[offSignature : offSignature+sigWord]) },
		"s of zero":    func(b []byte) { clear(b[offSignature+sigWord : offSignature+2*sigWord]) },
		"r too wide":   func(b []byte) { b[offSignature+p384Size] = 1 },
		"s too wide":   func(b []byte) { b[offSignature+2*sigWord-1] = 1 },
		"all ones":     func(b []byte) { copy(b[offSignature:], bytes.Repeat([]byte{0xff}, p384Size)) },
		"r plus order": func(b []byte) { addOrder(b[offSignature:]) },
	} {
		b := bytes.Clone(good)
		edit(b)
		if check(b) == nil {
			t.Errorf("%s: taken", name)
		}
	}
	r, err := Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	if r.CheckSignature(nil) == nil {
		t.Error("no key: taken")
	}
	for name, n := range map[string]*big.Int{"zero": new(big.Int), "negative": big.NewInt(-1), "wide": wide} {
		if PutSignature(bytes.Clone(good), n, one) == nil || PutSignature(bytes.Clone(good), one, n) == nil {
			t.Errorf("%s: written", name)
		}
	}
	if PutSignature(good[:10], one, one) == nil {
		t.Error("written into a short report")
	}
}

// addOrder turns r into r + n, another name of the same number in a sloppy
// verifier; it does not fit into 48 bytes unless r is tiny, and then the
// check must be the range.
func addOrder(word []byte) {
	n, _ := new(big.Int).SetString("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16)
	le := bytes.Clone(word[:sigWord])
	for i, j := 0, len(le)-1; i < j; i, j = i+1, j-1 {
		le[i], le[j] = le[j], le[i]
	}
	sum := new(big.Int).Add(new(big.Int).SetBytes(le), n)
	be := sum.FillBytes(make([]byte, sigWord))
	for i := range be {
		word[i] = be[len(be)-1-i]
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range reports(f) {
		f.Add(file(f, filepath.Base(name)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			if r != nil {
				t.Fatal("a report and an error")
			}
			return
		}
		if again := encode(r); !bytes.Equal(again, b) {
			t.Fatal("not the same bytes again")
		}
		_, _ = r.ReportedTCB.decode(true)
		_, _ = r.ReportedTCB.decode(false)
	})
}

// encode writes a report again from its fields; what no field holds is zero,
// but for the firmware's versions, which nothing asks for.
func encode(r *Report) []byte {
	b := make([]byte, Size)
	le := binary.LittleEndian
	le.PutUint32(b[offVersion:], r.Version)
	le.PutUint32(b[offGuestSVN:], r.GuestSVN)
	le.PutUint64(b[offPolicy:], uint64(r.Policy))
	le.PutUint32(b[offVMPL:], r.VMPL)
	le.PutUint32(b[offSignatureAlgo:], sigAlgoP384)
	le.PutUint64(b[offPlatformInfo:], r.PlatformInfo)
	info := uint32(r.SigningKey) << 2
	if r.AuthorKey {
		info |= 1
	}
	if r.MaskChipKey {
		info |= 2
	}
	le.PutUint32(b[offKeyInfo:], info)
	for at, field := range map[int][]byte{
		offFamilyID: r.FamilyID[:], offImageID: r.ImageID[:], offCurrentTCB: r.CurrentTCB[:], offReportData: r.ReportData[:],
		offMeasurement: r.Measurement[:], offHostData: r.HostData[:], offIDKeyDigest: r.IDKeyDigest[:], offAuthorKeyDigest: r.AuthorKeyDigest[:],
		offReportID: r.ReportID[:], offReportIDMA: r.ReportIDMA[:], offReportedTCB: r.ReportedTCB[:], offChipID: r.ChipID[:],
		offCommittedTCB: r.CommittedTCB[:], offLaunchTCB: r.LaunchTCB[:], offSignature: r.signature[:],
		offCurrentVersion: r.signed[offCurrentVersion:offReserved1EB], offCommittedVer: r.signed[offCommittedVer:offReserved1EF],
	} {
		copy(b[at:], field)
	}
	if r.Version >= 3 {
		b[offCPUID], b[offCPUID+1], b[offCPUID+2] = r.Family, r.Model, r.Stepping
	}
	if r.Version >= 5 {
		le.PutUint64(b[offLaunchMit:], r.LaunchMit)
		le.PutUint64(b[offCurrentMit:], r.CurrentMit)
	}
	return b
}

// FuzzVerify throws bytes at report and certificates together. No claims can
// come out: there is no revocation list.
func FuzzVerify(f *testing.F) {
	seeds := 0
	var lines []Line
	for _, r := range reals {
		p, ev, col, _ := r.inputs(f)
		lines = append(lines, p.Lines...)
		f.Add(ev.Value, col[0].Value, col[1].Value)
		seeds++
	}
	f.Add(file(f, "milan-v3-aws-vlek.report.bin"), file(f, "milan-v3-aws-vlek.vlek.der"), file(f, "genoa-ask-20001-revoked.der"))
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, report, leaf, ca []byte) {
		col := attest.Collateral{
			{MediaType: attest.MediaTypeCertificate, Value: leaf}, {MediaType: attest.MediaTypeCertificate, Value: ca},
		}
		claims, v := Verify(Params{Platform: "snp", Lines: lines, RootSource: "the test"},
			attest.Evidence{MediaType: attest.MediaTypeSNP, Value: report}, col, attest.Expected{}, mid2025)
		if claims != nil || v.OK() || len(v) == 0 {
			t.Fatalf("claims %v, verdict %v", claims, v)
		}
	})
}
