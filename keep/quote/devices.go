// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/attest"
)

// Devices are what the first process of a virtual machine hands to the Keep's
// parent process: all that the platform has to prove with, already open. The
// parent can open nothing itself, and its engine child inherits none of them
// (invariant 11). A nil field is a device that the machine does not have.
type Devices struct {
	// TPM is /dev/tpmrm0, open for reading and writing, in blocking mode.
	TPM io.ReadWriter
	// EventLog is the firmware's event log, securityfs
	// tpm0/binary_bios_measurements; nil if there is none.
	EventLog io.Reader
	// TSM is one end of a socket pair; the first process serves the other
	// end with [ServeReports].
	TSM io.ReadWriter
}

// DeviceFD is the descriptor of the first device in the Keep's parent process;
// the others follow in the order of their names.
const DeviceFD = 5

// Names of devices in the argument that says which descriptors are handed
// over, and in the order of the descriptors.
const (
	DeviceTPM      = "tpm"
	DeviceEventLog = "eventlog"
	DeviceTSM      = "tsm"
	noDevices      = "none"
)

// HandOver gives the argument that names the devices which are not nil, and
// their files in the order in which they become descriptors from [DeviceFD] on.
func HandOver(tpm, eventLog, tsm *os.File) (arg string, files []*os.File) {
	var names []string
	for _, d := range []struct {
		name string
		file *os.File
	}{{DeviceTPM, tpm}, {DeviceEventLog, eventLog}, {DeviceTSM, tsm}} {
		if d.file != nil {
			names, files = append(names, d.name), append(files, d.file)
		}
	}
	if names == nil {
		return noDevices, nil
	}
	return strings.Join(names, ","), files
}

// Inherited takes over the descriptors that arg names, as [HandOver] made it.
func Inherited(arg string) (Devices, error) {
	var d Devices
	if arg == noDevices {
		return d, nil
	}
	names := strings.Split(arg, ",")
	order := map[string]int{DeviceTPM: 1, DeviceEventLog: 2, DeviceTSM: 3}
	last := 0
	for _, name := range names {
		if order[name] <= last {
			return d, fmt.Errorf("devices %q: expected %q or some of %q, %q, %q in this order", arg, noDevices, DeviceTPM, DeviceEventLog, DeviceTSM)
		}
		last = order[name]
	}
	for i, name := range names {
		fd := DeviceFD + i
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return Devices{}, fmt.Errorf("device %s: descriptor %d: %w", name, fd, err)
		}
		unix.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), name)
		switch name {
		case DeviceTPM:
			d.TPM = f
		case DeviceEventLog:
			d.EventLog = f
		case DeviceTSM:
			d.TSM = f
		}
	}
	return d, nil
}

// Platforms are the platforms that a virtual machine with these devices can
// be; the start configuration names one of them. All can be sim. That it may say vm where
// there is a TPM costs nobody anything: both see inside, and a client that asks
// for vtpm gets no evidence and refuses.
func (d Devices) Platforms() ([]string, error) {
	switch {
	case d.TSM != nil:
		provider, err := provider(d.TSM)
		if err != nil {
			return nil, err
		}
		return []string{provider, attest.PlatformSim}, nil
	case d.TPM != nil:
		return []string{attest.PlatformVTPM, attest.PlatformVM, attest.PlatformSim}, nil
	}
	return []string{attest.PlatformVM, attest.PlatformSim}, nil
}
