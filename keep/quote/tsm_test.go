// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/faketsm"
	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/attest"
)

func vector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "tsm", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// kernel imitates one entry of configfs: a report is made when it is read after
// its input was written, and every write counts.
type kernel struct {
	provider   string
	report     []byte // a real one; the report data are put in where they belong
	at         int    // where
	along      []byte // nil: the platform has no such attribute
	generation int
	inblob     []byte
	rivals     int // so many times another process writes between our write and our read
	busy       int // so many reads end with EWOULDBLOCK
	fail       map[string]error
}

func (k *kernel) Write(name string, b []byte) error {
	if name != "inblob" || len(b) != 64 {
		return unix.EINVAL
	}
	k.inblob = bytes.Clone(b)
	k.generation++
	return k.fail[name]
}

func (k *kernel) Read(name string, limit int) ([]byte, error) {
	if err := k.fail[name]; err != nil {
		return nil, err
	}
	var b []byte
	switch name {
	case "provider":
		b = []byte(k.provider + "\n")
	case "generation":
		b = []byte(strconv.Itoa(k.generation) + "\n")
	case "auxblob":
		if k.along == nil {
			return nil, fs.ErrNotExist
		}
		b = k.along
	case "outblob":
		if k.rivals > 0 {
			k.rivals--
			k.Write("inblob", bytes.Repeat([]byte{0xee}, 64))
		}
		if k.busy > 0 {
			k.busy--
			return nil, unix.EWOULDBLOCK
		}
		b = bytes.Clone(k.report)
		copy(b[k.at:], k.inblob)
	}
	if len(b) > limit {
		return nil, errors.New("too long")
	}
	return b, nil
}

// served is a source whose device is k, with the socket pair and the server in
// between.
func served(t testing.TB, r Reports, platform string) *TSM {
	t.Helper()
	parent, first := net.Pipe()
	t.Cleanup(func() { parent.Close(); first.Close() })
	go ServeReports(first, r)
	return &TSM{Device: parent, Platform: platform}
}

func reportData() (rd [64]byte) { return sha512.Sum512([]byte("this session")) }

func TestReportsOfRealShapes(t *testing.T) {
	vcek, crl := vector(t, "genoa-v5.vcek.der"), vector(t, "genoa-2024-10-23.crl.der")
	for name, c := range map[string]struct {
		platform, mediaType string
		k                   *kernel
		hints               int
	}{
		"SEV-SNP, with certificates": {attest.PlatformSNP, attest.MediaTypeSNP,
			&kernel{report: vector(t, "genoa-v5.report.bin"), at: 0x50, along: table(vcek, crl)}, 2},
		"SEV-SNP, the host gives nothing along": {attest.PlatformSNP, attest.MediaTypeSNP,
			&kernel{report: vector(t, "genoa-v5.report.bin"), at: 0x50, along: []byte{}}, 0},
		"SEV-SNP, the host gives nonsense along": {attest.PlatformSNP, attest.MediaTypeSNP,
			&kernel{report: vector(t, "genoa-v5.report.bin"), at: 0x50, along: []byte("nonsense")}, 0},
		"TD quote version 4": {attest.PlatformTDX, attest.MediaTypeTDX,
			&kernel{report: vector(t, "v4-00806f-gcp-cos113.quote.bin"), at: 568}, 0},
		"TD quote version 5": {attest.PlatformTDX, attest.MediaTypeTDX,
			&kernel{report: vector(t, "v5-90c06f-td15.quote.bin"), at: 574}, 0},
		"a rival once": {attest.PlatformSNP, attest.MediaTypeSNP,
			&kernel{report: vector(t, "genoa-v5.report.bin"), at: 0x50, along: []byte{}, rivals: 1}, 0},
		"busy once": {attest.PlatformSNP, attest.MediaTypeSNP,
			&kernel{report: vector(t, "genoa-v5.report.bin"), at: 0x50, along: []byte{}, busy: 1}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			src := served(t, &configfs{files: c.k}, c.platform)
			src.Hints = func(context.Context) attest.Collateral {
				return attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: []byte("stapled")}}
			}
			for range 2 {
				ev, hints, err := src.Quote(t.Context(), reportData())
				if err != nil {
					t.Fatal(err)
				}
				rd := reportData()
				if ev.MediaType != c.mediaType || len(ev.Value) != len(c.k.report) || !bytes.Equal(ev.Value[c.k.at:c.k.at+64], rd[:]) {
					t.Errorf("%s of %d bytes", ev.MediaType, len(ev.Value))
				}
				if len(hints) != c.hints+1 || c.hints > 0 && (!bytes.Equal(hints[0].Value, vcek) || hints[1].MediaType != attest.MediaTypeCRL) {
					t.Errorf("%d hints, expected %d", len(hints), c.hints+1)
				}
			}
		})
	}
}

// TestAReportOfSomebodyElseIsNoAnswer holds that a race for the kernel's one
// report ends in an error, never in evidence over other report data.
func TestAReportOfSomebodyElseIsNoAnswer(t *testing.T) {
	fresh := func() *kernel {
		return &kernel{report: vector(t, "genoa-v5.report.bin"), at: 0x50, along: []byte{}}
	}
	rival, busy, other, short, long := fresh(), fresh(), fresh(), fresh(), fresh()
	rival.rivals, busy.busy = reportTries, reportTries
	other.at = 0
	short.report = short.report[:100]
	long.report = make([]byte, maxReport+1)
	refusing := fresh()
	refusing.fail = map[string]error{"outblob": unix.ENXIO}
	for name, c := range map[string]struct {
		k    *kernel
		want string
	}{
		"always a rival": {rival, "at the same time"}, "always busy": {busy, "resource temporarily unavailable"},
		"other report data": {other, "not about the report data"}, "short": {short, "not about the report data"},
		"long": {long, "too long"}, "the kernel refuses": {refusing, "no such device"},
	} {
		src := served(t, &configfs{files: c.k}, attest.PlatformSNP)
		ev, _, err := src.Quote(t.Context(), reportData())
		if err == nil || !strings.Contains(err.Error(), c.want) || ev.Value != nil {
			t.Errorf("%s: %d bytes, %v; expected an error that speaks of %q", name, len(ev.Value), err, c.want)
		}
		if name == "always a rival" {
			c.k.rivals = 0
			if _, _, err := src.Quote(t.Context(), reportData()); err != nil {
				t.Errorf("after a refusal: %v", err)
			}
		}
	}
}

// entry is an entry of somebody else's imitation of configfs.
type entry struct {
	c   configfsi.Client
	dir string
}

func (e entry) Read(name string, limit int) ([]byte, error) {
	return e.c.ReadFile(filepath.Join(e.dir, name))
}
func (e entry) Write(name string, b []byte) error {
	return e.c.WriteFile(filepath.Join(e.dir, name), b)
}

// TestSecondOpinion runs our side against the imitation of the kernel that
// google/go-configfs-tsm is tested with.
func TestSecondOpinion(t *testing.T) {
	for name, subsystem := range map[string]configfsi.Client{"Linux 6.7": faketsm.ReportV7(0), "Linux 6.11": faketsm.Report611(0)} {
		c := &faketsm.Client{Subsystems: map[string]configfsi.Client{"report": subsystem}}
		dir, err := c.MkdirTemp(configfsi.TsmPrefix+"/report", "enarx")
		if err != nil {
			t.Fatal(err)
		}
		r := &configfs{files: entry{c, dir}}
		rd := reportData()
		for range 2 {
			report, _, err := r.Report(rd)
			if err != nil || !bytes.Contains(report, []byte(hex.EncodeToString(rd[:]))) {
				t.Errorf("%s: %q, %v", name, report, err)
			}
		}
	}
}

// TestOpenReportsOnDisk uses real files where the kernel would have its own.
func TestOpenReportsOnDisk(t *testing.T) {
	if _, err := OpenReports(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a machine without: %v", err)
	}
	root := t.TempDir()
	put := func(path, text string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(TSMReports+"/enarx/provider", "tdx_guest\n")
	put(TSMReports+"/enarx/inblob", "")
	put(TSMReports+"/enarx/outblob", "a report")
	put(TSMReports+"/enarx/generation", "7\n")
	put(TDXRegisters+"/rtmr3:sha384", strings.Repeat("\x00", 48))
	r, err := OpenReports(root)
	if err != nil || r.Provider() != "tdx_guest" {
		t.Fatal(r, err)
	}
	// Nothing counts here, and that is an error.
	if _, _, err := r.Report(reportData()); !errors.Is(err, errRaced) {
		t.Errorf("a report whose generation stands still: %v", err)
	}
	rd := reportData()
	if b, err := os.ReadFile(filepath.Join(root, TSMReports, "enarx", "inblob")); err != nil || !bytes.Equal(b, rd[:]) {
		t.Errorf("inblob %x, %v", b, err)
	}
	// A file keeps what is written instead of extending it, and that shows.
	if err := r.Extend([48]byte{1}); err == nil || !strings.Contains(err.Error(), "afterwards") {
		t.Errorf("a register that does not extend: %v", err)
	}
}

// register imitates an RTMR.
type register struct{ value []byte }

func (r *register) Read(string, int) ([]byte, error) { return bytes.Clone(r.value), nil }
func (r *register) Write(_ string, b []byte) error {
	v := sha512.Sum384(append(r.value, b...))
	r.value = v[:]
	return nil
}

func TestAClaimExtendsRTMR3WhereTheKernelCan(t *testing.T) {
	r := &register{make([]byte, 48)}
	src := served(t, &configfs{files: &kernel{}, registers: r}, attest.PlatformTDX)
	if err := src.Start(t.Context(), []byte("start")); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.value, make([]byte, 48)) {
		t.Error("the start configuration went to a register; on tdx it is in MRCONFIGID")
	}
	if err := src.Claim(t.Context(), []byte("claim")); err != nil {
		t.Fatal(err)
	}
	event := sha512.Sum384([]byte("claim"))
	if want := sha512.Sum384(append(make([]byte, 48), event[:]...)); !bytes.Equal(r.value, want[:]) {
		t.Errorf("RTMR3 = %x, expected %x", r.value, want)
	}
	for platform, rep := range map[string]Reports{attest.PlatformTDX: &configfs{files: &kernel{}}, attest.PlatformSNP: &sevGuest{}} {
		if err := served(t, rep, platform).Claim(t.Context(), []byte("claim")); err != nil {
			t.Errorf("%s without a register: %v", platform, err)
		}
	}
}

// table makes a certificate table as hosts give it.
func table(vcek, crl []byte) []byte {
	b := make([]byte, 4096)
	at := 3 * tableEntry
	for i, e := range []struct {
		guid string
		data []byte
	}{{"63da758de6644564adc5f4b93be8accd", vcek}, {"92f81bc358114d3d97ffd19f88dc67ea", crl}} {
		id, _ := hex.DecodeString(e.guid)
		copy(b[i*tableEntry:], id)
		binary.LittleEndian.PutUint32(b[i*tableEntry+16:], uint32(at))
		binary.LittleEndian.PutUint32(b[i*tableEntry+20:], uint32(len(e.data)))
		at += copy(b[at:], e.data)
	}
	return b
}

func TestInvariant4HostileInputIsBounded_CertificateTable(t *testing.T) {
	good := table([]byte("certificate"), []byte("list"))
	change := func(at int, v byte) []byte { b := bytes.Clone(good); b[at] = v; return b }
	for name, b := range map[string][]byte{
		"no end":                 good[:2*tableEntry],
		"beyond the end":         change(18, 1),
		"huge":                   change(23, 0xff),
		"empty entry":            change(20, 0),
		"offset and length wrap": append(append(bytes.Clone(good[:16]), bytes.Repeat([]byte{0xff}, 8)...), good[24:]...),
		"too many":               bytes.Repeat(good[:tableEntry], 100),
	} {
		if col, err := certificateTable(b); err == nil {
			t.Errorf("%s: taken with %d entries", name, len(col))
		}
	}
	if col, err := certificateTable(change(0, 0)); err != nil || len(col) != 1 {
		t.Errorf("an entry of an unknown kind: %d entries, %v; expected the other one", len(col), err)
	}
}

func FuzzCertificateTable(f *testing.F) {
	f.Add(table(vector(f, "genoa-v5.vcek.der"), vector(f, "genoa-2024-10-23.crl.der")))
	f.Fuzz(func(t *testing.T, b []byte) {
		col, err := certificateTable(b)
		if len(col) > maxTable || err != nil && col != nil {
			t.Fatalf("%d entries, %v", len(col), err)
		}
	})
}

func TestFirmwareResponse(t *testing.T) {
	b := vector(t, "milan-v2-lit-novcek.msg-report-rsp.bin")
	r, err := snpReport(b)
	if err != nil || len(r) != 1184 || binary.LittleEndian.Uint32(r) != 2 {
		t.Errorf("%d bytes, %v", len(r), err)
	}
	change := func(at int, v byte) []byte { c := bytes.Clone(b); c[at] = v; return c }
	for name, c := range map[string][]byte{
		"refused": change(0, 0x16), "too large": change(6, 1), "wraps": change(7, 0xff), "empty": change(5, 0)[:32], "short": b[:31],
	} {
		if name == "empty" {
			c[4] = 0
		}
		if r, err := snpReport(c); err == nil {
			t.Errorf("%s: %d bytes", name, len(r))
		}
	}
}

func FuzzSNPReport(f *testing.F) {
	f.Add(vector(f, "milan-v2-lit-novcek.msg-report-rsp.bin"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := snpReport(b); err == nil && (len(r) == 0 || len(r) > len(b)) {
			t.Fatalf("%d bytes of %d", len(r), len(b))
		}
	})
}

// TestInvariant4HostileInputIsBounded_ReportRequests attacks both ends of the
// socket pair.
func TestInvariant4HostileInputIsBounded_ReportRequests(t *testing.T) {
	for name, answer := range map[string]string{
		"a status of another kind": "\x07", "nothing": "", "a part beyond its limit": "\x00\x00\x00\x80\x01",
		"cut": "\x00\x00\x00\x00\x10abc", "a huge refusal": "\x01\xff\xff\xff\xff", "no second part": "\x00\x00\x00\x00\x01a",
	} {
		src := &TSM{Device: &answers{[]byte(answer)}, Platform: attest.PlatformSNP}
		src.Device = struct {
			io.Reader
			io.Writer
		}{strings.NewReader(answer), io.Discard}
		if ev, _, err := src.Quote(t.Context(), reportData()); err == nil {
			t.Errorf("%s: %d bytes", name, len(ev.Value))
		}
		// What comes next would belong to another question.
		src.Device = struct {
			io.Reader
			io.Writer
		}{strings.NewReader("\x02"), io.Discard}
		if err := src.Claim(t.Context(), nil); src.Platform == attest.PlatformTDX && err == nil {
			t.Errorf("%s: asked again", name)
		}
		if _, _, err := src.Quote(t.Context(), reportData()); err == nil || errors.Is(err, errNoRegister) {
			t.Errorf("%s: asked again: %v", name, err)
		}
	}
	for name, request := range map[string]string{"unknown": "z", "cut": "r123"} {
		err := ServeReports(struct {
			io.Reader
			io.Writer
		}{strings.NewReader(request), io.Discard}, &configfs{files: &kernel{}})
		if err == nil {
			t.Errorf("%s: served", name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	src := &TSM{Device: silent{}, Platform: attest.PlatformSNP}
	if _, _, err := src.Quote(ctx, reportData()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a silent device: %v", err)
	}
	if _, _, err := src.Quote(t.Context(), reportData()); err == nil {
		t.Error("a device that was given up is asked again")
	}
}
