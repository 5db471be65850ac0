// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Where a kernel keeps what [OpenReports] looks for.
const (
	// TSMReports is where a directory is made to ask for reports, once
	// configfs is mounted (Documentation/ABI/testing/configfs-tsm-report).
	TSMReports = "/sys/kernel/config/tsm/report"
	// SEVGuest is AMD's own device, for kernels without the former.
	SEVGuest = "/dev/sev-guest"
	// TDXRegisters are the registers of a TD as files
	// (Documentation/ABI/testing/sysfs-devices-virtual-misc-tdx_guest).
	TDXRegisters = "/sys/devices/virtual/misc/tdx_guest/measurements"
)

// claimRegister is RTMR3 in TDXRegisters.
const claimRegister = "rtmr3:sha384"

// OpenReports finds the kernel's way to make reports below root, which is "/"
// but in tests. It returns an error that is fs.ErrNotExist on a machine that
// is no confidential one.
func OpenReports(root string) (Reports, error) {
	entry := filepath.Join(root, TSMReports, "enarx")
	err := os.Mkdir(entry, 0o700)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err == nil {
		return newConfigfs(diskFiles(entry), filepath.Join(root, TDXRegisters))
	}
	f, serr := os.OpenFile(filepath.Join(root, SEVGuest), os.O_RDWR, 0)
	if serr == nil {
		return &sevGuest{f}, nil
	}
	// ENXIO is configfs's word for "no driver gives reports".
	if errors.Is(err, unix.ENXIO) {
		err = fs.ErrNotExist
	}
	return nil, fmt.Errorf("no way to ask for reports: %s: %w; %w", entry, err, serr)
}

// files are the attributes of one entry. The interface is there for tests.
type files interface {
	Read(name string, limit int) ([]byte, error)
	Write(name string, b []byte) error
}

// diskFiles are attributes in a directory. Each access opens the file anew:
// configfs hands over what was written when the file is closed, and fills what
// is read once per opening.
type diskFiles string

func (d diskFiles) Read(name string, limit int) ([]byte, error) {
	f, err := os.Open(filepath.Join(string(d), name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", name, limit)
	}
	return b, err
}

func (d diskFiles) Write(name string, b []byte) error {
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// configfs is the kernel's common interface for reports.
type configfs struct {
	files     files
	provider  string
	registers files // of a TD; nil without
}

func newConfigfs(f files, registers string) (*configfs, error) {
	b, err := f.Read("provider", 64)
	if err != nil {
		return nil, fmt.Errorf("reports of the kernel: %w", err)
	}
	c := &configfs{files: f, provider: strings.TrimSpace(string(b))}
	if _, err := os.Stat(filepath.Join(registers, claimRegister)); err == nil {
		c.registers = diskFiles(registers)
	}
	return c, nil
}

func (c *configfs) Provider() string { return c.provider }

// Report writes the report data and reads what the kernel makes of them. The
// generation counts writes to the entry: if it is not as we left it, somebody
// else has written and the report may be theirs.
func (c *configfs) Report(reportData [64]byte) (report, along []byte, err error) {
	for range reportTries {
		report, along, err = c.once(reportData)
		if !errors.Is(err, errRaced) && !errors.Is(err, unix.EWOULDBLOCK) {
			return report, along, err
		}
	}
	return nil, nil, err
}

var errRaced = errors.New("something else than the Keep uses the kernel's reports at the same time")

func (c *configfs) once(reportData [64]byte) (report, along []byte, err error) {
	before, err := c.generation()
	if err != nil {
		return nil, nil, err
	}
	if err := c.files.Write("inblob", reportData[:]); err != nil {
		return nil, nil, fmt.Errorf("write report data: %w", err)
	}
	// Before the report: on SNP the first of both reads makes both.
	along, err = c.files.Read("auxblob", maxReport)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("read what comes along with the report: %w", err)
	}
	report, err = c.files.Read("outblob", maxReport)
	if err != nil {
		return nil, nil, fmt.Errorf("read the report: %w", err)
	}
	after, err := c.generation()
	if err != nil {
		return nil, nil, err
	}
	if after != before+1 {
		return nil, nil, fmt.Errorf("generation %d after %d: %w", after, before, errRaced)
	}
	return report, along, nil
}

func (c *configfs) generation() (uint64, error) {
	b, err := c.files.Read("generation", 32)
	if err != nil {
		return 0, fmt.Errorf("generation of the kernel's reports: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("generation of the kernel's reports: %w", err)
	}
	return n, nil
}

// Extend extends RTMR3 and checks that it shows.
func (c *configfs) Extend(digest [48]byte) error {
	if c.registers == nil {
		return errors.ErrUnsupported
	}
	before, err := c.registers.Read(claimRegister, len(digest))
	if err != nil {
		return err
	}
	if err := c.registers.Write(claimRegister, digest[:]); err != nil {
		return err
	}
	after, err := c.registers.Read(claimRegister, len(digest))
	if err != nil {
		return err
	}
	want := sha512.Sum384(append(before, digest[:]...))
	if !bytes.Equal(after, want[:]) {
		return fmt.Errorf("it is %x afterwards, expected %x", after, want)
	}
	return nil
}
