// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/image"
)

// boot is what machines of one loader start from: copies in sealed memory, so
// that every Keep is started from what the manifest names even if somebody
// builds a new image into the directory meanwhile.
type boot struct {
	keep    string // SHA-256 of the Keep runtime in the image, hexadecimal
	cmdline string
	debug   bool
	kernel  *os.File
	initrd  *os.File
	disk    *os.File // instead of kernel and initrd

	firmware  *os.File
	variables []byte // of which every Keep gets a copy of its own
}

// errNoImage says that there is nothing to start machines from.
var errNoImage = errors.New("no image was named")

// openBoot reads the image and the firmware that a platform needs.
func (l *Loader) openBoot() (*boot, error) {
	if l.o.Image == "" {
		return nil, fmt.Errorf("%w: build one with enarx image build, and name it with --image DIR", errNoImage)
	}
	b, err := l.readImage()
	if err == nil {
		err = l.readFirmware(b)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (l *Loader) readImage() (*boot, error) {
	b := &boot{}
	i, err := image.Open(context.Background(), l.o.Image, image.FileCmdline, image.FileCmdlineSNP)
	if err != nil {
		return b, fmt.Errorf("%w; build one with enarx image build", err)
	}
	b.keep, b.debug, b.cmdline = i.KeepDigest(), i.Manifest.Debug, i.Manifest.Cmdline
	if l.o.Platform == attest.PlatformSNP {
		b.cmdline = i.Manifest.CmdlineSNP
	}
	files := map[string]**os.File{image.FileKernel: &b.kernel, image.FileInitrd: &b.initrd}
	if l.o.Platform == attest.PlatformVTPM && !l.o.Direct {
		files = map[string]**os.File{image.FileDisk: &b.disk}
	}
	for name, to := range files {
		data, err := i.Read(name)
		if err == nil {
			*to, err = sealed(name, data)
		}
		if err != nil {
			return b, fmt.Errorf("%w; build the image again with enarx image build", err)
		}
	}
	return b, nil
}

func (l *Loader) readFirmware(b *boot) error {
	if l.o.Platform == attest.PlatformVM {
		return nil
	}
	fw, err := l.firmware()
	if err != nil {
		return err
	}
	code, err := readLimited(fw.Code)
	if err != nil {
		return fmt.Errorf("firmware: %w", err)
	}
	if b.firmware, err = sealed("firmware", code); err != nil {
		return err
	}
	if fw.Variables == "" {
		return nil
	}
	if b.variables, err = readLimited(fw.Variables); err != nil {
		return fmt.Errorf("firmware variables: %w", err)
	}
	return nil
}

func (b *boot) close() {
	if b == nil {
		return
	}
	for _, f := range []*os.File{b.kernel, b.initrd, b.disk, b.firmware} {
		if f != nil {
			f.Close()
		}
	}
}

// checkKeep refuses a Keep runtime that is not the one in the image: the
// machine would start another one than the caller means.
func (b *boot) checkKeep(f *os.File, dir string) error {
	h := sha256.New()
	// Not by the file's own position, which others share.
	n, err := io.Copy(h, io.NewSectionReader(f, 0, maxELF+1))
	if err != nil {
		return fmt.Errorf("read the Keep runtime: %w", err)
	}
	if n > maxELF {
		return fmt.Errorf("the Keep runtime has more than %d bytes", maxELF)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != b.keep {
		return fmt.Errorf("the image in %s was built with the Keep runtime sha256:%s, and sha256:%s is to be started; build the image again with enarx image build",
			dir, b.keep, got)
	}
	return nil
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFirmware+1))
	if err == nil && len(b) > maxFirmware {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFirmware)
	}
	return b, err
}

// sealed puts data into memory that everybody may read and nobody change, and
// that is gone with its last descriptor. QEMU opens it by that number, as
// whatever user it runs.
func sealed(name string, data []byte) (*os.File, error) {
	f, err := memory(name, data, 0o444)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("seal the copy of %s: %w", name, err)
	}
	// QEMU's block layer demands a descriptor that can do what it was told,
	// and no more.
	return os.Open("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
}

// memory is a file in memory with data in it.
func memory(name string, data []byte, mode uint32) (*os.File, error) {
	fd, err := unix.MemfdCreate("enarx "+name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make memory for %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err = f.Write(data); err == nil {
		err = unix.Fchmod(fd, mode)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("copy %s into memory: %w", name, err)
	}
	return f, nil
}
