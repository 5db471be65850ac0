// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func program(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i)
	}
	return b
}

// TestTables reads both partition tables as firmware does.
func TestTables(t *testing.T) {
	for _, n := range []int{1, 512, 100_001, 40 << 20} {
		d, err := New(program(n))
		if err != nil {
			t.Fatal(err)
		}
		if len(d)%(1<<20) != 0 || d[510] != 0x55 || d[511] != 0xaa || d[450] != 0xee {
			t.Errorf("%d bytes: a disk of %d bytes, or no protective MBR", n, len(d))
		}
		total := uint64(len(d) / sector)
		var parts [][]byte
		for _, at := range []uint64{1, total - 1} {
			h := bytes.Clone(d[at*sector:][:92])
			sum := le.Uint32(h[16:])
			le.PutUint32(h[16:], 0)
			tableAt := le.Uint64(h[72:])
			table := d[tableAt*sector:][:entries*entrySize]
			if string(h[:8]) != "EFI PART" || crc32.ChecksumIEEE(h) != sum || crc32.ChecksumIEEE(table) != le.Uint32(h[88:]) {
				t.Errorf("%d bytes: header at sector %d is damaged", n, at)
			}
			if le.Uint64(h[24:]) != at || le.Uint64(h[32:]) != total-at {
				t.Errorf("%d bytes: header at %d says %d and %d", n, at, le.Uint64(h[24:]), le.Uint64(h[32:]))
			}
			first, last := le.Uint64(table[32:]), le.Uint64(table[40:])
			if !bytes.Equal(table[:16], espType[:]) || first < le.Uint64(h[40:]) || last > le.Uint64(h[48:]) || first%2048 != 0 {
				t.Errorf("%d bytes: partition from %d to %d", n, first, last)
			}
			parts = append(parts, d[first*sector:(last+1)*sector])
		}
		if &parts[0][0] != &parts[1][0] || len(parts[0]) != len(parts[1]) {
			t.Errorf("%d bytes: the two tables name different partitions", n)
		}
		if got := readFAT(t, parts[0]); !bytes.Equal(got, program(n)) {
			t.Errorf("%d bytes: %d bytes came back", n, len(got))
		}
	}
}

// readFAT follows EFI/BOOT/BOOTX64.EFI through directories and both FATs.
func readFAT(t *testing.T, b []byte) []byte {
	t.Helper()
	res, fatSize := int(le.Uint16(b[14:])), int(le.Uint32(b[36:]))
	clusters := (int(le.Uint32(b[32:])) - res - 2*fatSize) / int(b[13])
	if clusters < 65525 || int(le.Uint32(b[32:]))*sector != len(b) || fatSize*sector/4 < clusters+2 {
		t.Fatalf("%d clusters, FATs of %d sectors, %d bytes: no FAT32", clusters, fatSize, len(b))
	}
	a, c := b[res*sector:][:fatSize*sector], b[(res+fatSize)*sector:][:fatSize*sector]
	if !bytes.Equal(a, c) {
		t.Error("the two FATs differ")
	}
	chain := func(n int) (out []byte) {
		for n < 0x0ffffff8 {
			if n < 2 || n >= clusters+2 {
				t.Fatalf("cluster %d", n)
			}
			out = append(out, b[(res+2*fatSize+n-2)*sector:][:sector]...)
			n = int(le.Uint32(a[4*n:]))
		}
		return out
	}
	at, size := int(le.Uint32(b[44:])), 0
	for _, name := range []string{"EFI        ", "BOOT       ", "BOOTX64 EFI"} {
		dir, found := chain(at), false
		for ; len(dir) >= 32 && dir[0] != 0; dir = dir[32:] {
			if string(dir[:11]) == name {
				at, size, found = int(le.Uint16(dir[20:]))<<16|int(le.Uint16(dir[26:])), int(le.Uint32(dir[28:])), true
			}
		}
		if !found {
			t.Fatalf("no %q", name)
		}
	}
	return chain(at)[:size]
}

// TestMtoolsReadsIt asks another implementation.
func TestMtoolsReadsIt(t *testing.T) {
	mcopy, err := exec.LookPath("mcopy")
	if err != nil {
		if os.Getenv("ENARX_REQUIRE_TOOLS") != "" {
			t.Fatal("mtools is not installed: run scripts/deps")
		}
		t.Skip("mtools is not installed")
	}
	d, err := New(program(3_000_000))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path, out := filepath.Join(dir, "disk"), filepath.Join(dir, "out")
	if err := os.WriteFile(path, d, 0o600); err != nil {
		t.Fatal(err)
	}
	if words, err := exec.Command(mcopy, "-i", fmt.Sprintf("%s@@%d", path, firstSector*sector), "::/EFI/BOOT/BOOTX64.EFI", out).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, words)
	}
	if b, err := os.ReadFile(out); err != nil || !bytes.Equal(b, program(3_000_000)) {
		t.Errorf("%d bytes came back, %v", len(b), err)
	}
}

// TestInvariant7Reproducible_Disk holds that the disk depends on its program
// and on nothing else, and on all of it.
func TestInvariant7Reproducible_Disk(t *testing.T) {
	a, err := New(program(70_000))
	b, err2 := New(program(70_000))
	if err != nil || err2 != nil || !bytes.Equal(a, b) {
		t.Errorf("the same program gave two disks: %v, %v", err, err2)
	}
	p := program(70_000)
	p[69_999] ^= 1
	c, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a[sector:2*sector], c[sector:2*sector]) {
		t.Error("another program has a disk with the same identifier")
	}
	for _, p := range [][]byte{nil, make([]byte, maxProgram+1)} {
		if _, err := New(p); err == nil {
			t.Errorf("a disk with a program of %d bytes", len(p))
		}
	}
}
