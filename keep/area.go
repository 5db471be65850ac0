// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// area is memory that is filled once, then sealed against every change for
// every process, and handed to the engine child as a descriptor: the bundle is
// in memory once, and what was checked is what runs.
type area struct {
	fd  int
	mem []byte // read-only once sealed
}

// newArea makes a writable area of size bytes, which is at least 1.
func newArea(name string, size uint64) (*area, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memory for the %s: %w", name, err)
	}
	a := &area{fd: fd}
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		a.close()
		return nil, fmt.Errorf("memory for the %s: %d bytes: %w", name, size, err)
	}
	if a.mem, err = unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		a.close()
		return nil, fmt.Errorf("memory for the %s: map %d bytes: %w", name, size, err)
	}
	return a, nil
}

// seal makes the area immutable. The kernel refuses the write seal while a
// writable mapping exists, so the area is mapped anew; slices of the old
// mapping are invalid afterwards.
func (a *area) seal() error {
	size := len(a.mem)
	if err := unix.Munmap(a.mem); err != nil {
		return fmt.Errorf("seal memory: unmap: %w", err)
	}
	a.mem = nil
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(a.fd), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal memory: %w", err)
	}
	mem, err := unix.Mmap(a.fd, 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("seal memory: map: %w", err)
	}
	a.mem = mem
	return nil
}

// close lets go of the memory; the kernel clears pages before it gives them to
// anyone else.
func (a *area) close() {
	if a == nil {
		return
	}
	if a.mem != nil {
		unix.Munmap(a.mem)
		a.mem = nil
	}
	if a.fd >= 0 {
		unix.Close(a.fd)
		a.fd = -1
	}
}
