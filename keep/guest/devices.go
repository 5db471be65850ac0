// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/sandbox"
	"github.com/enarx/enarx-go/keep/quote"
)

// devices are what the machine has to prove with. The first process opens them
// and hands them to the Keep's parent process; nobody else ever has them.
type devices struct {
	tpm      *os.File // /dev/tpmrm0
	eventLog *os.File // of its firmware
	tsm      *os.File // the parent's end of the socket pair
	reports  *reports // what answers at the other end
}

// reports are the kernel's reports of a confidential machine, and this
// process's end of the socket pair over which the parent process asks for them.
type reports struct {
	source quote.Reports
	port   *os.File
}

// openDevices looks for all of them. A device that is there and cannot be
// opened is an error: a Keep that has it would be taken for one without.
func openDevices() (devices, error) {
	var d devices
	var err error
	if d.tpm, d.eventLog, err = openTPM(); err != nil {
		return d, fmt.Errorf("open the TPM: %w", err)
	}
	if d.reports, d.tsm, err = openReports(); err != nil {
		return d, fmt.Errorf("open the CPU's reports: %w", err)
	}
	if d.reports == nil {
		return d, nil
	}
	if d.reports.source.Provider() == providerSNP {
		if err := checkNoACPI("/sys/firmware/acpi"); err != nil {
			return d, err
		}
	}
	return d, useTSC("/sys")
}

// providerSNP is the kernel's name for AMD's reports.
const providerSNP = "sev_guest"

func openTPM() (tpm, eventLog *os.File, err error) {
	const dir = "/sys/class/tpmrm/tpmrm0"
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	path, err := nodeOf(dir)
	if err != nil {
		return nil, nil, err
	}
	if tpm, err = openBlocking(path, unix.O_RDWR); err != nil {
		return nil, nil, err
	}
	eventLog, err = openBlocking(securityfs+"/tpm0/binary_bios_measurements", unix.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) { // no measured boot: the verifier will say so
		return tpm, nil, nil
	}
	return tpm, eventLog, err
}

// openBlocking opens a device that has no use for the runtime's poller.
func openBlocking(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openReports finds the kernel's way to make reports. A machine whose kernel
// has none is no confidential one.
func openReports() (*reports, *os.File, error) {
	if err := mountConfigfs(); err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat("/sys/class/misc/sev-guest"); err == nil {
		if _, err := nodeOf("/sys/class/misc/sev-guest"); err != nil {
			return nil, nil, err
		}
	}
	source, err := quote.OpenReports("/")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make the socket pair for them: %w", err)
	}
	return &reports{source, os.NewFile(uintptr(pair[0]), "reports")}, os.NewFile(uintptr(pair[1]), "reports of the Keep"), nil
}

// mountConfigfs mounts configfs where the kernel has it and something in it.
func mountConfigfs() error {
	err := unix.Mount("configfs", "/sys/kernel/config", "configfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	switch {
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOENT): // neither built in nor loaded
		return nil
	case err != nil:
		return fmt.Errorf("mount configfs: %w", err)
	}
	return nil
}

// checkNoACPI refuses a machine of platform snp whose kernel uses ACPI: the
// host writes its tables, nothing measures them, and they hold programs (AML)
// that the kernel runs.
func checkNoACPI(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("this is platform snp and the kernel uses the host's ACPI tables, which nothing measures; start it with the image's cmdline.snp (acpi=off)")
	}
	return nil
}

// handOver gives the argument and the files for the parent process.
func (d *devices) handOver() (arg string, files []*os.File) {
	return quote.HandOver(d.tpm, d.eventLog, d.tsm)
}

// close closes what the parent process has now.
func (d *devices) close() {
	for _, f := range []*os.File{d.tpm, d.eventLog, d.tsm} {
		if f != nil {
			f.Close()
		}
	}
}

// first is what serving reports takes, in the first process's own sandbox.
func (d *devices) first() sandbox.First {
	if d.reports == nil {
		return sandbox.First{}
	}
	return sandbox.First{Files: []string{quote.TSMReports, quote.TDXRegisters}, Reports: true}
}

// serve answers the parent process's questions until its end.
func (d *devices) serve(logf func(string, ...any)) {
	if d.reports == nil {
		return
	}
	go func() {
		if err := quote.ServeReports(d.reports.port, d.reports.source); err != nil {
			logf("%v", err)
		}
		// The parent process sees the end of it and has no more evidence.
		d.reports.port.Close()
	}()
}
