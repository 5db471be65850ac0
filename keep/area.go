// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// area is memory that is filled once, then sealed against every change for
// every process, and handed to the engine child as a descriptor: the bundle is
// in memory once, and what was checked is what runs.
type area struct {
	fd   int
	size uint64
	mem  []byte // read-only, once sealed
}

// newArea makes an area of size bytes, which is at least 1, to be filled with
// write.
func newArea(name string, size uint64) (*area, error) {
	if size == 0 || size > math.MaxInt {
		return nil, fmt.Errorf("memory for the %s: %d bytes cannot be had", name, size)
	}
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memory for the %s: %w", name, err)
	}
	a := &area{fd: fd, size: size}
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		a.close()
		return nil, fmt.Errorf("memory for the %s: %d bytes: %w", name, size, err)
	}
	return a, nil
}

// write puts p at off; all of it lies inside. It goes through the descriptor
// and not through a mapping: the kernel then makes the pages as it fills them,
// instead of one fault each, and memory that it does not have is an error here
// and not a signal.
func (a *area) write(off uint64, p []byte) error {
	if off > a.size || uint64(len(p)) > a.size-off {
		return fmt.Errorf("memory of %d bytes has no room for %d at %d", a.size, len(p), off)
	}
	for len(p) > 0 {
		n, err := unix.Pwrite(a.fd, p, int64(off))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("fill memory: %w", err)
		}
		off, p = off+uint64(n), p[n:]
	}
	return nil
}

// seal makes the area immutable and readable.
func (a *area) seal() error {
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(a.fd), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal memory: %w", err)
	}
	mem, err := unix.Mmap(a.fd, 0, int(a.size), unix.PROT_READ, unix.MAP_SHARED)
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
