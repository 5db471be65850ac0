// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package deb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

// tarOf makes a tar archive of names and contents, in pairs.
func tarOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		h := &tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Format: tar.FormatGNU}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, files[i+1])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// xzOf packs b in blocks of blockSize.
func xzOf(t testing.TB, b []byte, check byte, blockSize int64) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.WriterConfig{CheckSum: check, BlockSize: blockSize, DictCap: 1 << 20, NoCheckSum: check == 0}.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzOf(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// arOf makes an ar archive of names and contents, in pairs.
func arOf(members ...string) []byte {
	b := []byte(arMagic)
	for i := 0; i < len(members); i += 2 {
		b = fmt.Appendf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", members[i], 0, 0, 0, "100644", len(members[i+1]), members[i+1])
		if len(members[i+1])%2 == 1 {
			b = append(b, '\n')
		}
	}
	return b
}

const control = "Package: hello\nVersion: 1:2.3-4\nArchitecture: amd64\nDescription: says it\n more than once\n"

func sample(t testing.TB) []byte {
	t.Helper()
	return arOf("debian-binary", "2.0\n",
		"control.tar.gz", string(gzOf(t, tarOf(t, "./control", control, "./md5sums", "x"))),
		"data.tar.xz", string(xzOf(t, tarOf(t, "./usr/bin/hello", strings.Repeat("hello ", 5000), "./usr/share/doc/hello", "words"), xz.CRC64, 7000)))
}

func readAll(b []byte) (*Package, map[string]string, error) {
	p, err := Open(b)
	if err != nil {
		return nil, nil, err
	}
	files := map[string]string{}
	err = p.Files(func(name string, size int64, r io.Reader) error {
		data, err := io.ReadAll(r)
		if err == nil && int64(len(data)) != size {
			err = fmt.Errorf("%s has %d bytes, announced were %d", name, len(data), size)
		}
		files[name] = string(data)
		return err
	})
	return p, files, err
}

func TestPackageIsRead(t *testing.T) {
	p, files, err := readAll(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Control{"hello", "1:2.3-4", "amd64"}); p.Control != want {
		t.Errorf("%+v, expected %+v", p.Control, want)
	}
	if len(files) != 2 || files["usr/bin/hello"] != strings.Repeat("hello ", 5000) || files["usr/share/doc/hello"] != "words" {
		t.Errorf("read %d files: %.100q", len(files), files)
	}
}

func TestXZ(t *testing.T) {
	data := []byte(strings.Repeat("all work and no play ", 10000))
	for name, packed := range map[string][]byte{
		"CRC32":   xzOf(t, data, xz.CRC32, 1<<20),
		"CRC64":   xzOf(t, data, xz.CRC64, 50_000),
		"SHA-256": xzOf(t, data, xz.SHA256, 33_333),
		"none":    xzOf(t, data, 0, 1<<20),
	} {
		got, err := UnXZ(packed, int64(len(data)))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if _, err := UnXZ(packed, int64(len(data))-1); err == nil {
			t.Errorf("%s: unpacked beyond the limit", name)
		}
	}
	if got, err := UnXZ(xzOf(t, nil, xz.CRC32, 1<<20), 0); err != nil || len(got) != 0 {
		t.Errorf("nothing: %q, %v", got, err)
	}
}

// TestInvariant4HostileInputIsBounded_DamagedXZ flips every bit: each flip is
// found or unpacks to the same bytes, as with the packed size of a chunk, which
// the decoder takes for an upper bound.
func TestInvariant4HostileInputIsBounded_DamagedXZ(t *testing.T) {
	data := []byte(strings.Repeat("all work and no play ", 30))
	good := xzOf(t, data, xz.CRC64, 300)
	for i := range good {
		for bit := range 8 {
			b := bytes.Clone(good)
			b[i] ^= 1 << bit
			if got, err := UnXZ(b, 4096); err == nil && !bytes.Equal(got, data) {
				t.Errorf("bit %d of byte %d flipped, and %q unpacked", bit, i, got)
			}
		}
		if _, err := UnXZ(good[:i], 4096); err == nil {
			t.Errorf("cut to %d bytes, and unpacked", i)
		}
	}
	if _, err := UnXZ(append(bytes.Clone(good), 0, 0, 0, 0), 4096); err == nil {
		t.Error("bytes follow, and were not seen")
	}
}

// TestInvariant4HostileInputIsBounded_BadPackages shows what is refused.
func TestInvariant4HostileInputIsBounded_BadPackages(t *testing.T) {
	ctl := string(gzOf(t, tarOf(t, "./control", control)))
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"nothing":        {nil, "no ar archive"},
		"no members":     {arOf(), "expected the members"},
		"other version":  {arOf("debian-binary", "3.0\n", "control.tar.gz", ctl, "data.tar", ""), "expected the members"},
		"four members":   {arOf("debian-binary", "2.0\n", "control.tar.gz", ctl, "data.tar", "", "more", ""), "expected the members"},
		"five members":   {arOf("debian-binary", "2.0\n", "control.tar.gz", ctl, "data.tar", "", "more", "", "more", ""), "more members"},
		"zstd":           {arOf("debian-binary", "2.0\n", "control.tar.gz", ctl, "data.tar.zst", ""), `compressed with "zst"`},
		"no control":     {arOf("debian-binary", "2.0\n", "control.tar", string(tarOf(t, "./md5sums", "x")), "data.tar", ""), "names no package"},
		"large control":  {arOf("debian-binary", "2.0\n", "control.tar", string(tarOf(t, "./control", strings.Repeat("x", maxField+1))), "data.tar", ""), "control file of"},
		"control bomb":   {arOf("debian-binary", "2.0\n", "control.tar.gz", string(gzOf(t, tarOf(t, "./x", strings.Repeat("x", maxControl)))), "data.tar", ""), "unpacks to more"},
		"file twice":     {arOf("debian-binary", "2.0\n", "control.tar.gz", ctl, "data.tar", string(tarOf(t, "./a", "1", "a", "2"))), "is there twice"},
		"negative size":  {[]byte(arMagic + fmt.Sprintf("%-48s%-10d`\n", "debian-binary", -4)), "has a size of"},
		"size too large": {[]byte(arMagic + fmt.Sprintf("%-48s%-10d`\n", "debian-binary", 1<<31)), "is cut short"},
	} {
		if _, _, err := readAll(c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected an error with %q", name, err, c.want)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(sample(f))
	f.Add(arOf("debian-binary", "2.0\n", "control.tar", string(tarOf(f, "./control", control)), "data.tar", string(tarOf(f, "a", "b"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, files, err := readAll(b)
		if err == nil && (p.Control.Package == "" || files == nil) {
			t.Error("a package without a name was opened")
		}
	})
}

func FuzzUnXZ(f *testing.F) {
	f.Add(xzOf(f, []byte(strings.Repeat("all work ", 30)), xz.CRC32, 100))
	f.Add(xzOf(f, nil, xz.SHA256, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 16
		if got, err := UnXZ(b, limit); err == nil && len(got) > limit {
			t.Errorf("%d bytes unpacked, the limit is %d", len(got), limit)
		}
	})
}
