// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openKeep takes a copy of the Keep runtime and measures it. The copy lies in
// sealed memory: what is started later is what was measured now, even if
// somebody writes into the file, as an upgrade in place does. An open
// descriptor of the file alone would not do: it holds the name's file, not its
// contents, and platform sim would go on to report the old measurement.
func (a *Agent) openKeep() error {
	src, err := os.OpenFile(a.cfg.Keep, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO must not hold the agent up
	if err != nil {
		return fmt.Errorf("agent: Keep runtime: %w; build it with `make build`, or name it with --keep FILE", err)
	}
	defer src.Close()
	if fi, err := src.Stat(); err != nil || !fi.Mode().IsRegular() || fi.Size() > maxKeepFile {
		return fmt.Errorf("agent: Keep runtime %s is not a regular file of at most %d bytes; name another with --keep FILE", a.cfg.Keep, maxKeepFile)
	}
	if a.keepFile, err = sealedCopy(src, a.cfg.Keep); err != nil {
		return fmt.Errorf("agent: Keep runtime: %w", err)
	}
	h := sha256.New()
	if _, err := io.Copy(h, a.keepFile); err != nil {
		return fmt.Errorf("agent: Keep runtime: %w", err)
	}
	if _, err := a.keepFile.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("agent: Keep runtime: %w", err)
	}
	a.keepDigest = [32]byte(h.Sum(nil))
	return nil
}

// sealedCopy copies src into memory that can be executed and that nobody can
// change any more. The descriptor that it gives can only be read. The name of
// the memory, which /proc shows for every Keep, says where it came from.
func sealedCopy(src io.Reader, path string) (*os.File, error) {
	name := "keep from " + path
	name = name[:min(len(name), maxMemoryName)]
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, flags) // before Linux 6.3 all of them can be executed
	}
	if err != nil {
		return nil, fmt.Errorf("make executable memory for its copy: %w; if sysctl vm.memfd_noexec is 2, set it to 1", err)
	}
	w := os.NewFile(uintptr(fd), "keep")
	defer w.Close()
	n, err := io.Copy(w, io.LimitReader(src, maxKeepFile+1))
	if err == nil && n > maxKeepFile {
		err = fmt.Errorf("it grew past %d bytes while it was read", maxKeepFile)
	}
	if err == nil {
		// Everybody may execute it, and so a Keep may run as nobody.
		err = unix.Fchmod(fd, 0o555)
	}
	if err != nil {
		return nil, fmt.Errorf("copy it into memory: %w", err)
	}
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("seal its copy: %w", err)
	}
	// Linux executes nothing that is open for writing.
	return os.Open("/proc/self/fd/" + strconv.Itoa(fd))
}
