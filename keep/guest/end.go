// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/guestport"
	"github.com/enarx/enarx-go/internal/sandbox"
)

// ending is what the first process holds open to end the machine well, since
// it can open nothing any more by then.
type ending struct {
	vmstat  *os.File // /proc/vmstat
	caches  *os.File // /proc/sys/vm/drop_caches
	restart bool     // the kernel knows no way to power off
}

// prepare opens what the end needs and then takes everything else from this
// process.
func (e *ending) prepare(spec *sandbox.Spec, first sandbox.First) error {
	var err error
	if e.vmstat, err = os.Open("/proc/vmstat"); err != nil {
		return fmt.Errorf("prepare the end: %w", err)
	}
	if e.caches, err = os.OpenFile(sysctls+"/vm/drop_caches", os.O_WRONLY, 0); err != nil {
		return fmt.Errorf("prepare the end: %w", err)
	}
	e.restart = !canPowerOff("/sys")
	if _, err := sandbox.SealFirst(spec, first); err != nil {
		return fmt.Errorf("seal the first process: %w", err)
	}
	return nil
}

// shutdownEvent is PVPANIC_SHUTDOWN of linux/pvpanic.h: the host's device takes
// a notice of power-off, which ends the machine.
const shutdownEvent = 1 << 2

// canPowerOff says whether the kernel knows a way to power off: ACPI, or, without
// it, the pvpanic device of QEMU 9.1 or later. Asked to power off without a
// way, the kernel would halt and the host wait.
func canPowerOff(sys string) bool {
	if _, err := os.Stat(sys + "/firmware/acpi"); err == nil {
		return true
	}
	devices, err := filepath.Glob(sys + "/bus/pci/drivers/pvpanic-pci/*/events")
	if err != nil {
		return false
	}
	for _, d := range devices {
		s, err := readSmall(d)
		if err != nil {
			continue
		}
		if events, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 8); err == nil && events&shutdownEvent != 0 {
			return true
		}
	}
	return false
}

// wipe leaves as little as a guest can: the Keep's processes are gone, their
// memory was wiped as it became free (init_on_free=1), and so are the caches
// now.
func (e *ending) wipe() {
	_, _ = e.caches.Write([]byte("3")) // what remains is files of the image
}

// outOfMemory says whether the kernel has ended a process for want of memory.
func (e *ending) outOfMemory() bool {
	b := make([]byte, maxSmallFile)
	n, err := e.vmstat.ReadAt(b, 0)
	if n == 0 && err != nil {
		return false
	}
	return oomKills(string(b[:n])) > 0
}

// oomKills reads the counter oom_kill of /proc/vmstat.
func oomKills(vmstat string) uint64 {
	for line := range strings.Lines(vmstat) {
		if v, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(v), 10, 64)
			return n
		}
	}
	return 0
}

// of says how the Keep's parent process ended, in the words of the loader of
// platform process.
func (e *ending) of(state *os.ProcessState) guestport.Goodbye {
	ws, _ := state.Sys().(syscall.WaitStatus)
	return goodbyeOf(ws, e.outOfMemory())
}

func goodbyeOf(ws syscall.WaitStatus, oom bool) guestport.Goodbye {
	g := guestport.Goodbye{Status: byte(ws.ExitStatus()), Reason: guestport.ReasonExited}
	if ws.Signaled() {
		g = guestport.Goodbye{Status: 128 + byte(ws.Signal()), Reason: guestport.ReasonKilled}
		if ws.Signal() == unix.SIGSYS {
			g.Reason = guestport.ReasonForbidden
		}
	}
	if oom {
		g.Reason = guestport.ReasonMemory
	}
	return g
}

// powerOff ends the machine. It returns only if the kernel does not obey.
func (e *ending) powerOff() {
	how := unix.LINUX_REBOOT_CMD_POWER_OFF
	if e.restart {
		how = unix.LINUX_REBOOT_CMD_RESTART
	}
	_ = unix.Reboot(how)
}
