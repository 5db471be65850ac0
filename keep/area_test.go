// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"
)

// What was checked is what runs: nobody who holds the descriptor, nor the
// parent itself, changes a sealed area.
func TestSealedAreaCannotBeChanged(t *testing.T) {
	content := bytes.Repeat([]byte("checked "), 1000)
	a, err := newArea("test", uint64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	for off := 0; off < len(content); off += 1000 {
		if err := a.write(uint64(off), content[off:min(off+1000, len(content))]); err != nil {
			t.Fatal(err)
		}
	}
	for _, off := range []uint64{uint64(len(content)), uint64(len(content)) - 1, 1 << 63, 1<<64 - 1} {
		if err := a.write(off, []byte("xx")); err == nil {
			t.Errorf("2 bytes fit at %d of %d", off, len(content))
		}
	}
	if err := a.seal(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.mem, content) {
		t.Fatal("sealing changed the content")
	}
	seals, err := unix.FcntlInt(uintptr(a.fd), unix.F_GET_SEALS, 0)
	const all = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if err != nil || seals&all != all {
		t.Errorf("seals are %#x, %v, expected %#x", seals, err, all)
	}
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", a.fd), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for name, fd := range map[string]int{"the descriptor": a.fd, "one opened anew": int(again.Fd())} {
		for what, f := range map[string]func() error{
			"write":  func() error { _, err := unix.Pwrite(fd, []byte("x"), 0); return err },
			"shrink": func() error { return unix.Ftruncate(fd, 1) },
			"grow":   func() error { return unix.Ftruncate(fd, 1<<20) },
			"punch":  func() error { return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096) },
			"unseal": func() error { _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, 0); return err },
			"map": func() error {
				_, err := unix.Mmap(fd, 0, len(content), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
				return err
			},
		} {
			if err := f(); !errors.Is(err, unix.EPERM) {
				t.Errorf("%s, by %s: %v, expected EPERM", what, name, err)
			}
		}
	}
	if !faults(func() { a.mem[0] = 'X' }) {
		t.Error("a write to the mapping went through")
	}
	if err := unix.Mprotect(a.mem, unix.PROT_READ|unix.PROT_WRITE); err == nil {
		t.Error("the mapping was made writable")
	}
	if !bytes.Equal(a.mem, content) {
		t.Error("the content has changed")
	}
}

// faults says whether f touches memory that it must not.
func faults(f func()) (yes bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { yes = recover() != nil }()
	f()
	return false
}

func TestAreaSizes(t *testing.T) {
	if a, err := newArea("test", 0); err == nil {
		a.close()
		t.Error("an area of no bytes was made")
	}
	if a, err := newArea("test", 1<<63); err == nil {
		a.close()
		t.Error("an area of half of all bytes was made")
	}
	a, err := newArea("test", 1)
	if err != nil {
		t.Fatal(err)
	}
	a.close()
	a.close()
	(*area)(nil).close()
}
