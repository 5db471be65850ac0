// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// emptyVariables is OVMF's configuration volume as it is built.
func emptyVariables(t testing.TB) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(testFile(t, "OVMF_VARS_4M.fd.gz")))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tdxLayout are the sections of OVMF for TDX of edk2-stable202211 to 202505, in
// the order of its metadata. The first is shorter: what is in it only counts for
// MRTD.
func tdxLayout(cfv int) []Section {
	return []Section{
		{Offset: uint32(cfv), RawSize: 0x3000, GPA: fourGiB - 0x4000, Size: 0x3000, Type: 0, Attributes: tdvfExtend},
		{Offset: 0, RawSize: uint32(cfv), GPA: 0xffc00000, Size: uint64(cfv), Type: tdvfCFV},
		{GPA: 0x810000, Size: 0x10000, Type: tdvfTempMem},
		{GPA: 0x80b000, Size: 0x2000, Type: tdvfTempMem},
		{GPA: 0x809000, Size: 0x2000, Type: tdvfHOB},
		{GPA: 0x800000, Size: 0x6000, Type: tdvfTempMem},
	}
}

// madeTDVF is a firmware of these sections: the configuration volume, three
// pages of code, and the page with the tables.
func madeTDVF(t testing.TB) []byte {
	t.Helper()
	le := binary.LittleEndian
	cfv := emptyVariables(t)
	b := append(slices.Clone(cfv), bytes.Repeat([]byte("code"), 0x3000/4)...)
	page := make([]byte, pageSize)
	sections := tdxLayout(len(cfv))
	at := 0x100
	copy(page[at:], "TDVF")
	le.PutUint32(page[at+4:], uint32(16+32*len(sections)))
	le.PutUint32(page[at+8:], 1)
	le.PutUint32(page[at+12:], uint32(len(sections)))
	for i, s := range sections {
		d := page[at+16+32*i:]
		le.PutUint32(d, s.Offset)
		le.PutUint32(d[4:], s.RawSize)
		le.PutUint64(d[8:], s.GPA)
		le.PutUint64(d[16:], s.Size)
		le.PutUint32(d[24:], s.Type)
		le.PutUint32(d[28:], s.Attributes)
	}
	end := pageSize - footerGap
	copy(page[end-16:], guidFooter[:])
	le.PutUint16(page[end-18:], 18+22)
	copy(page[end-18-16:], guidTDXMetadata[:])
	le.PutUint16(page[end-18-18:], 22)
	le.PutUint32(page[end-18-22:], uint32(pageSize-at))
	return append(b, page...)
}

type loggedEvent struct {
	IMR    int    `json:"imr"`
	Digest string `json:"digest"`
}

// What a TD of dstack measured in a direct boot by QEMU: 64 GiB of memory, its
// firmware's variables empty and without Secure Boot. What its log says of ACPI
// tables, kernel, command line and initrd, which are not published, is taken
// from there; everything else is predicted, in its order, and replays to the
// registers in its quote.
func TestPublishedTD(t *testing.T) {
	var log []loggedEvent
	if err := json.Unmarshal(testFile(t, "v4-90c06f-dstack.eventlog.json"), &log); err != nil {
		t.Fatal(err)
	}
	logged := make([][]string, 4)
	for _, e := range log {
		logged[e.IMR] = append(logged[e.IMR], e.Digest)
	}
	img, p := madeBoot(BootDirect)
	p.Firmware, p.MemoryMiB, p.PatchedKernel = madeTDVF(t), 64<<10, false
	got, err := TDX(img, p, TDXOptions{SecureBoot: -1, ACPI: [][]byte{{1}, {2}, {3}}})
	if err != nil {
		t.Fatal(err)
	}
	fromOutside := map[string]bool{"ACPI tables": true, "kernel": true, "command line": true, "initrd": true}
	for i, want := range []string{
		"2e3843265f8ecdd4e2282694747f6f2f111605c33f2a8882f5734ee6f3a6ce63d8f34aeef06093dcda76fa5f9d33d8d6",
		"a1b79d76021970f57c45c4a7c395f780bab37011a4df27fe44e8559bd1abb4d6e52f12f866d1d08405448eb797a5970f",
		"1e31b59d605df7ee8160cf7966be9bafa6d0e1905de7e09695a24cd9748e71a603a51fae1297619fa0c30517addbcd07",
	} {
		r := got.Registers[1+i]
		if len(r.Events) != len(logged[i]) {
			t.Fatalf("%s: %d events, the log has %d", r.Name, len(r.Events), len(logged[i]))
		}
		predicted := 0
		for n := range r.Events {
			if fromOutside[r.Events[n].Component] {
				r.Events[n].Digest, _ = hex.DecodeString(logged[i][n])
				continue
			}
			predicted++
			if d := hex.EncodeToString(r.Events[n].Digest); d != logged[i][n] {
				t.Errorf("%s, %s (%s): %s, the log has %s", r.Name, r.Events[n].Component, r.Events[n].Detail, d, logged[i][n])
			}
		}
		if r.replay384(); hex.EncodeToString(r.Value) != want {
			t.Errorf("%s: %x, the quote has %s", r.Name, r.Value, want)
		}
		if least := []int{10, 4, 0}[i]; predicted != least {
			t.Errorf("%s: %d events were predicted, expected %d", r.Name, predicted, least)
		}
	}
}

// The list of memory of another published TD, of 2 GiB, and its configuration
// volume (cc-trusted-api's ccel_data.bin).
func TestPublishedMemoryLists(t *testing.T) {
	for mib, want := range map[uint64]string{2048: "0b8772e5b0b41b83e6044a68397e02f4", 64 << 10: "8ae1e425351df7992c444586eff99d35"} {
		b, err := tdHOB(tdxLayout(0x84000), mib<<20)
		if err != nil {
			t.Fatal(err)
		}
		if got := sha512.Sum384(b); !strings.HasPrefix(hex.EncodeToString(got[:]), want) {
			t.Errorf("%d MiB: %x, expected %s…", mib, got, want)
		}
	}
	if got := sha512.Sum384(emptyVariables(t)); !strings.HasPrefix(hex.EncodeToString(got[:]), "344bc51c980ba621aaa00da3ed7436f7") {
		t.Errorf("configuration volume %x", got)
	}
}

func TestTDXParametersCount(t *testing.T) {
	base := func() (Image, Params, TDXOptions) {
		img, p := madeBoot(BootDirect)
		p.Firmware = madeTDVF(t)
		return img, p, TDXOptions{ACPI: [][]byte{{1}, {2}, {3}}}
	}
	img, p, o := base()
	first, err := TDX(img, p, o)
	if err != nil || first.Measurement == nil {
		t.Fatalf("%v, %v", first, err)
	}
	if again, err := TDX(img, p, o); err != nil || !reflect.DeepEqual(first, again) {
		t.Errorf("a second run gives another answer: %v", err)
	}
	for _, x := range []struct {
		what, changes string
		change        func(*Image, *Params, *TDXOptions)
	}{
		{"kernel", "RTMR1", func(i *Image, _ *Params, _ *TDXOptions) { i.Kernel = madeKernel("6.12.2 test") }},
		{"initrd", "RTMR2", func(i *Image, p *Params, _ *TDXOptions) { i.Initrd = []byte("an initrD") }},
		{"command line", "RTMR2", func(i *Image, _ *Params, _ *TDXOptions) { i.Cmdline = "x" }},
		{"memory", "RTMR0", func(_ *Image, p *Params, _ *TDXOptions) { p.MemoryMiB, p.PatchedKernel = 1024, true }},
		{"ACPI tables", "RTMR0", func(_ *Image, _ *Params, o *TDXOptions) { o.ACPI[2] = []byte{4} }},
		{"Secure Boot", "RTMR0", func(_ *Image, _ *Params, o *TDXOptions) { o.SecureBoot = 1 }},
		{"firmware", "MRTD", func(_ *Image, p *Params, _ *TDXOptions) { p.Firmware[0x84000] ^= 1 }},
		{"no ACPI tables", "RTMR0", func(_ *Image, _ *Params, o *TDXOptions) { o.ACPI = nil }},
	} {
		img, p, o := base()
		x.change(&img, &p, &o)
		got, err := TDX(img, p, o)
		if err != nil {
			t.Errorf("%s: %v", x.what, err)
			continue
		}
		var changed []string
		for i, r := range first.Registers {
			if !bytes.Equal(r.Value, got.Registers[i].Value) {
				changed = append(changed, r.Name)
			}
		}
		want := x.changes
		if x.what == "memory" { // the patched kernel names where its initrd is
			want = "RTMR0 RTMR1"
		}
		if strings.Join(changed, " ") != want {
			t.Errorf("%s changes %v, expected %s", x.what, changed, want)
		}
		if open := got.Registers[1].Open != ""; open != (got.Measurement == nil) {
			t.Errorf("%s: open %v and measurement %x", x.what, open, got.Measurement)
		}
	}
	img, p, o = base()
	p.Boot = BootUKI
	if uki, err := TDX(img, p, o); err != nil || uki.Measurement != nil || uki.Register("RTMR2").Value == nil || uki.Register("RTMR1").Open == "" {
		t.Errorf("UKI: %v, %v", uki, err)
	}
}

func TestInvariant4HostileInputIsBounded_TDVF(t *testing.T) {
	fw := madeTDVF(t)
	img, p := madeBoot(BootDirect)
	for name, change := range map[string]func(*Params, *TDXOptions){
		"no memory":         func(p *Params, _ *TDXOptions) { p.MemoryMiB = 0 },
		"no vCPU":           func(p *Params, _ *TDXOptions) { p.VCPUs = 0 },
		"no firmware":       func(p *Params, _ *TDXOptions) { p.Firmware = nil },
		"no metadata":       func(p *Params, _ *TDXOptions) { p.Firmware = make([]byte, 8192) },
		"two ACPI files":    func(_ *Params, o *TDXOptions) { o.ACPI = [][]byte{{1}, {2}} },
		"no way of booting": func(p *Params, _ *TDXOptions) { p.Boot = "" },
		"damaged store":     func(p *Params, _ *TDXOptions) { p.Firmware = bytes.Clone(fw); p.Firmware[volumeSignature] = 0 },
	} {
		q, o := p, TDXOptions{}
		q.Firmware = fw
		change(&q, &o)
		if got, err := TDX(img, q, o); err == nil || got != nil {
			t.Errorf("%s: predicted", name)
		}
	}
}

func FuzzTDVF(f *testing.F) {
	fw := madeTDVF(f)
	f.Add(fw[len(fw)-pageSize:], fw[:0x1000])
	f.Fuzz(func(t *testing.T, tables, cfv []byte) {
		if len(tables) != pageSize || len(cfv) > 1<<16 {
			return
		}
		if vars, err := parseVariables(cfv); err == nil && len(vars) > 4 {
			t.Fatalf("%d variables", len(vars))
		}
		x, err := ParseFirmware(tables)
		if err != nil {
			return
		}
		sections, err := x.TDX()
		if err != nil {
			return
		}
		size := uint64(0)
		for _, s := range sections {
			size += s.Size
		}
		if size > 1<<20 {
			return
		}
		if r, err := buildMRTD(x, sections); err == nil && len(r.Value) != sha512.Size384 {
			t.Fatal("a value of another size")
		}
		_, _ = tdHOB(sections, 1<<30)
	})
}
