// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package imagetest

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/image/deb"
)

// Unpacked returns a directory with the files of a downloaded package, without
// its links. Every file can be executed; nothing is installed.
func Unpacked(t testing.TB, pattern string) string {
	t.Helper()
	path := Package(t, pattern)
	dir := filepath.Join(cacheDir(t, "unpacked"), strings.TrimSuffix(filepath.Base(path), ".deb"))
	defer lock(t, dir+".lock")()
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	p, err := deb.Open(read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".unpack-*")
	if err != nil {
		t.Fatal(err)
	}
	err = p.Files(func(name string, _ int64, r io.Reader) error {
		if !filepath.IsLocal(name) {
			return nil
		}
		to := filepath.Join(tmp, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o755)
	})
	if err == nil {
		err = os.Rename(tmp, dir)
	}
	if err != nil {
		os.RemoveAll(tmp)
		t.Fatal(err)
	}
	return dir
}

// SEVFirmware returns the path of an OVMF with a table of kernel hashes, which
// SEV-SNP needs to measure kernel, initrd and command line.
func SEVFirmware(t testing.TB) string {
	t.Helper()
	return filepath.Join(Unpacked(t, "ovmf-amdsev"), "usr/share/ovmf/OVMF.amdsev.fd")
}

// SNPQEMU returns the path of a QEMU that has the object sev-snp-guest. It runs
// with the libraries of an installed older one.
func SNPQEMU(t testing.TB) string {
	t.Helper()
	return filepath.Join(Unpacked(t, "qemu-system-x86"), "usr/bin/qemu-system-x86_64")
}
