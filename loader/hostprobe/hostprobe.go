// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostprobe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/loader"
)

// Host is what a probe may look at.
type Host struct {
	// FS is the machine's file tree from its root.
	FS fs.FS
	// TryOpen opens a device node ("/dev/kvm") for reading and writing and
	// closes it again. The kernel alone knows whether this user may.
	TryOpen func(path string) error
	// LookPath finds a program.
	LookPath func(name string) (string, error)
	// Arch is the CPU architecture in Go's words ("amd64").
	Arch string
}

// This is the machine that the program runs on.
func This() Host {
	return Host{
		FS: os.DirFS("/"),
		TryOpen: func(path string) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			return f.Close()
		},
		LookPath: exec.LookPath,
		Arch:     runtime.GOARCH,
	}
}

// Reports are those of the platforms that this build cannot start: sgx. The
// first check of each is the missing loader; the further ones say what this
// machine could do with one.
func (h Host) Reports() []loader.Report {
	return []loader.Report{{Platform: attest.PlatformSGX, Checks: h.sgx(h.cpu()),
		Visible: "nobody but the CPU and its firmware can see inside"}}
}

// notBuilt is the first check of a platform without a loader.
func notBuilt(platform string) loader.Check {
	return loader.Check{
		Name: "loader", OK: false,
		Seen:   "this build of enarx has no loader for " + platform,
		Remedy: "use another platform with this build; " + platform + " needs a build that has its loader",
	}
}

// cpuInfo is what /proc/cpuinfo says of the first CPU.
type cpuInfo struct {
	vendor string
	flags  map[string]bool
	err    error
}

// maxCPUInfo bounds what is read of /proc/cpuinfo: the first CPU's entry has
// about 2 KiB, and only that one is used.
const maxCPUInfo = 64 << 10

func (h Host) cpu() cpuInfo {
	f, err := h.FS.Open("proc/cpuinfo")
	if err != nil {
		return cpuInfo{err: err}
	}
	defer f.Close()
	c := cpuInfo{flags: map[string]bool{}}
	s := bufio.NewScanner(io.LimitReader(f, maxCPUInfo))
	s.Buffer(nil, maxCPUInfo)
	for s.Scan() {
		if s.Text() == "" {
			break
		}
		key, value, _ := strings.Cut(s.Text(), ":")
		switch strings.TrimSpace(key) {
		case "vendor_id":
			c.vendor = strings.TrimSpace(value)
		case "flags":
			for _, f := range strings.Fields(value) {
				c.flags[f] = true
			}
		}
	}
	return c
}

// vendorCheck demands a CPU vendor by its CPUID name.
func (h Host) vendorCheck(c cpuInfo, id, people string) loader.Check {
	k := loader.Check{Name: "CPU vendor", Remedy: "needs a machine with an " + people + " CPU"}
	switch {
	case h.Arch != "amd64":
		k.Seen = "architecture " + h.Arch
	case c.err != nil:
		k.Seen = "/proc/cpuinfo cannot be read: " + c.err.Error()
	case c.vendor == id:
		k.OK, k.Seen, k.Remedy = true, c.vendor, ""
	case c.vendor == "":
		k.Seen = "/proc/cpuinfo names no vendor"
	default:
		k.Seen = fmt.Sprintf("%.32q", c.vendor)
	}
	return k
}

// flagCheck demands a flag of /proc/cpuinfo.
func flagCheck(c cpuInfo, flag, remedy string) loader.Check {
	k := loader.Check{Name: "CPU flag " + flag, Seen: "not in /proc/cpuinfo", Remedy: remedy}
	if c.flags[flag] {
		k.OK, k.Seen, k.Remedy = true, "in /proc/cpuinfo", ""
	} else if c.flags["hypervisor"] {
		k.Seen = "not in /proc/cpuinfo; this machine is itself a virtual machine"
	}
	return k
}

// paramCheck demands that a kernel module parameter is on.
func (h Host) paramCheck(path, remedy string) loader.Check {
	k := loader.Check{Name: "kernel " + strings.TrimPrefix(path, "sys/module/"), Remedy: remedy}
	b, err := h.readSmall(path)
	v := strings.TrimSpace(string(b))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.Seen = "/" + path + " does not exist"
	case err != nil:
		k.Seen = err.Error()
	case v == "Y" || v == "1":
		k.OK, k.Seen, k.Remedy = true, v, ""
	default:
		k.Seen = fmt.Sprintf("%.16q", v)
	}
	return k
}

// readSmall reads the beginning of a file of one value.
func (h Host) readSmall(path string) ([]byte, error) {
	f, err := h.FS.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 256))
}

// deviceCheck demands a device node that this user may open.
func (h Host) deviceCheck(path, absent string) loader.Check {
	k := loader.Check{Name: "device " + path}
	err := h.TryOpen(path)
	switch {
	case err == nil:
		k.OK, k.Seen = true, "can be opened"
	case errors.Is(err, fs.ErrNotExist):
		k.Seen, k.Remedy = "does not exist", absent
	case errors.Is(err, fs.ErrPermission):
		k.Seen, k.Remedy = "no permission to open it", "add this user to the group that owns "+path
	default:
		k.Seen, k.Remedy = "cannot be opened: "+err.Error(), absent
	}
	return k
}

// programCheck demands a program on the path.
func (h Host) programCheck(name, remedy string) loader.Check {
	k := loader.Check{Name: "program " + name, Seen: "not found", Remedy: remedy}
	if p, err := h.LookPath(name); err == nil {
		k.OK, k.Seen, k.Remedy = true, p, ""
	}
	return k
}
