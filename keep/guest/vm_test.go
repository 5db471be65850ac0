// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/image/imagetest"
	"github.com/enarx/enarx-go/internal/guestport"
)

func testKeep(t *testing.T) string {
	return imagetest.Program(t, filepath.Join(imagetest.Root(t), "loader/loadertest/testdata/testkeep"))
}

func attacker(t *testing.T) string { return imagetest.Program(t, "testdata/attacker") }

func checkGoodbye(t *testing.T, e ending, status byte, reason, shutdown string) {
	t.Helper()
	if e.goodbye == nil || e.goodbye.Status != status || e.goodbye.Reason != reason || e.reason != shutdown {
		t.Errorf("the machine ended with %+v and %s (%v), expected %d %q and %s; it said %q", e.goodbye, e.reason, e.events, status, reason, shutdown, e.words)
	}
}

// TestInvariant11ProofAndCodeLiveApart_Machine: even a Keep that was taken over
// before it sealed itself reaches nothing of its machine: no device, no kernel,
// no other process; and the machine has nothing but the Keep in it. At its end
// nothing of the Keep is left in its memory.
func TestInvariant11ProofAndCodeLiveApart_Machine(t *testing.T) {
	i := imagetest.Image(t, imagetest.Options{Init: attacker(t)})
	m := start(t, options{image: i, args: append(tpm(t), "-action", "shutdown=pause")})
	got := map[string]string{}
	for line := m.say("attack"); ; {
		name, result, ok := strings.Cut(line, "\t")
		if !ok || name == "done" {
			break
		}
		got[name] = result
		next, err := m.lines.ReadString('\n')
		if err != nil {
			t.Fatalf("after %d attacks: %v", len(got), err)
		}
		line = strings.TrimSuffix(next, "\n")
	}
	for name, want := range outcomes {
		if r, ok := got[name]; !ok || !slices.Contains(strings.Split(want, " or "), r) {
			t.Errorf("%s: %q, expected %q", name, r, want)
		}
		delete(got, name)
	}
	if r := got["command line"]; r != "ok "+i.Manifest.Cmdline+"|" {
		t.Errorf("command line: %q", r)
	}
	delete(got, "command line")
	// What parses what the host's devices say. Kernels differ in harmless ones.
	for name, want := range map[string]string{"PCI drivers": "virtio-pci", "virtio drivers": "virtio_console"} {
		drivers := strings.Fields(got[name])
		if !slices.Contains(drivers, want) || slices.ContainsFunc(drivers, func(d string) bool { return d == "nvme" || d == "virtiofs" || d == "virtio_net" }) {
			t.Errorf("%s: %v", name, drivers)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("no outcome is expected of %v", got)
	}
	checkWiped(t, m)
	checkGoodbye(t, m.gone(), 0, guestport.ReasonExited, "guest-shutdown")
	// A released image says nothing on a console.
	if s := m.serial.String(); s != "" {
		t.Errorf("the serial port said %q", s)
	}
}

// outcomes of the attacks. EACCES is a file of root's to a process that is
// nobody; EPERM a power that is not there, or that lockdown has taken.
var outcomes = map[string]string{
	"lockdown":        "ok none integrity [confidentiality]|",
	"modules":         "ok 1|",
	"network devices": "ok lo",
	"root":            "ok dev proc sys",
	"devices":         "ok null tpmrm0 vport0p1 vport0p2 or ok null tpmrm0 vport1p1 vport1p2",
	"autoprobe":       "ok 0|",
	"processes":       "ok /init, keep vm tpm,eventlog",
	// CAP_SYS_BOOT alone, a filter, no new privileges; its user is shown as
	// nobody to a namespace that does not know it.
	"first process": "ok Uid=65534,65534,65534,65534 CapPrm=0000000000400000 CapEff=0000000000400000 NoNewPrivs=1 Seccomp=2",

	"open /dev/mem":                         "ENOENT",
	"open /dev/vport sallyport":             "EACCES",
	"open /dev/vport words":                 "EACCES",
	"open /dev/tpmrm0":                      "EACCES",
	"open /dev/tpm0":                        "ENOENT",
	"read /proc/kcore":                      "EACCES",
	"read event log by name":                "EACCES",
	"read memory of the first process":      "EACCES",
	"list root of the first process":        "EACCES",
	"read environment of the first process": "EACCES",
	"sysrq crash":                           "EACCES",
	"allow modules":                         "EACCES",
	"lift lockdown":                         "EACCES",
	"allow user namespaces":                 "ok ", // of its own namespace, which is bounded by the machine's; see below
	"set core pattern":                      "EACCES",
	"bind drivers again":                    "EACCES",
	"exempt itself from out of memory":      "EACCES",
	"make a file":                           "EACCES",

	"load a module":              "EPERM",
	"remove a module":            "EPERM",
	"kexec":                      "EPERM",
	"reboot into another kernel": "EINVAL",
	"BPF":                        "EPERM",
	"io_uring":                   "EPERM",
	"performance counters":       "EACCES",
	"tracing":                    "EPERM",
	"I/O ports":                  "EPERM",
	"kernel log":                 "EPERM",
	"swap":                       "EPERM",
	"clock":                      "EPERM",
	"user namespace":             "ENOSPC",
	"network namespace":          "ENOSPC",
	"debugfs":                    "EPERM or ENODEV",
	"securityfs":                 "EPERM",
	"configfs":                   "EPERM",
	"devtmpfs":                   "EPERM",
	"ext4":                       "EPERM or ENODEV",
	"device node":                "EPERM",
	"packet socket":              "EAFNOSUPPORT",
	"connection":                 "ENETUNREACH",
}

// checkWiped looks for a Keep's secret in the memory of its machine, once while
// it runs and once when the machine has powered off.
func checkWiped(t *testing.T, m *machine) {
	t.Helper()
	const size = 256 << 20
	if got := m.say("remember"); got != "remembered" {
		t.Fatal(got)
	}
	secret := sha256.Sum256([]byte("a Keep's secret"))
	if n := bytes.Count(m.memory(size), secret[:]); n < 8<<20/len(secret)/2 {
		t.Errorf("the secret is %d times in a running Keep, expected that this test finds it", n)
	}
	fmt.Fprintln(m.port, "exit")
	select {
	case <-m.down:
	case <-time.After(lifeTime):
		t.Fatal("the machine does not power off")
	}
	if n := bytes.Count(m.memory(size), secret[:]); n > 0 {
		t.Errorf("the secret is %d times in the memory of a machine that has powered off", n)
	}
	fmt.Fprintln(m.qmp, `{"execute":"quit"}`)
}

// TestRefusedMachineSaysWhy: a machine that cannot hold a Keep, here for a kernel
// without Landlock, tells its host in words, and that is no Keep that has ended
// well.
func TestRefusedMachineSaysWhy(t *testing.T) {
	i := imagetest.Image(t, imagetest.Options{Init: attacker(t)})
	m := start(t, options{image: i, append: "lsm=lockdown,yama"})
	const why = "the image's kernel has Landlock version 0, seccomp true, mount API true; a Keep needs all three"
	e := m.gone()
	checkGoodbye(t, e, 1, "the machine did not start the Keep: "+why, "guest-shutdown")
	if !strings.Contains(e.words, why) {
		t.Errorf("its words: %q", e.words)
	}
}

// TestPanicIsReported: the end of the first process is a kernel panic, and no
// host can take it for the Keep's end.
func TestPanicIsReported(t *testing.T) {
	i := imagetest.Image(t, imagetest.Options{Init: attacker(t)})
	m := start(t, options{image: i, append: "crash"})
	e := m.gone()
	if e.goodbye != nil || !slices.Contains(e.events, "GUEST_PANICKED") || e.reason == "guest-shutdown" {
		t.Errorf("%+v", e)
	}
}

// TestOutOfMemoryIsReported: the kernel ends the engine child, not its parent,
// which lives to say so. The machine boots as a debug image does, which shows on
// its console and which it tells its host at once.
func TestOutOfMemoryIsReported(t *testing.T) {
	i := imagetest.Image(t, imagetest.Options{Init: testKeep(t)})
	m := start(t, options{image: i, memory: "128", append: "console=ttyS0 " + guestport.DebugWord})
	if got := m.say("child descriptors"); got != "0:device 1:device 2:pipe 3:socket5" {
		t.Errorf("the engine child has %s", got)
	}
	if got := m.say("child eat 500"); !strings.HasPrefix(got, "child died of SIGKILL") {
		t.Errorf("an engine child that takes more memory than there is: %s", got)
	}
	if got := m.say("echo alive"); got != "alive" {
		t.Errorf("its parent afterwards: %s", got)
	}
	m.say("exit 3")
	e := m.gone()
	checkGoodbye(t, e, 3, guestport.ReasonMemory, "guest-shutdown")
	if !strings.Contains(e.words, "DEBUG image") {
		t.Errorf("a debug image's words: %q", e.words)
	}
}

// TestWithoutACPI boots with the command line of platform snp, in a machine of 96
// MiB: the kernel needs none of the host's tables. QEMU before 9.1 offers no other
// way to power off, so that the end is a restart, announced.
func TestWithoutACPI(t *testing.T) {
	i := imagetest.Image(t, imagetest.Options{Init: testKeep(t)})
	m := start(t, options{image: i, cmdline: i.Manifest.CmdlineSNP, memory: "96"})
	if got := m.say("echo hello"); got != "hello" {
		t.Fatal(got)
	}
	// And a workload that has broken out of its engine dies of its first try.
	if got := m.say("child syscall 257 -100 @/dev/tpmrm0 2"); !strings.HasPrefix(got, "child died of SIGSYS") { // openat
		t.Errorf("an engine child that opens a device: %s", got)
	}
	m.say("exit 7")
	e := m.gone()
	want := "guest-reset"
	if slices.Contains(e.events, "GUEST_PVSHUTDOWN") {
		want = "guest-shutdown"
	}
	checkGoodbye(t, e, 7, guestport.ReasonExited, want)
}

// TestOlderKernel boots the kernel that has its drivers as modules.
func TestOlderKernel(t *testing.T) {
	i := imagetest.Image(t, imagetest.Options{Kernel: imagetest.Kernel61, Init: testKeep(t)})
	m := start(t, options{image: i})
	if got := m.say("self syscall 41 2 1 0"); got != "" { // socket(AF_INET, SOCK_STREAM)
		t.Errorf("a socket: %s", got)
	}
	checkGoodbye(t, m.gone(), 128+31, guestport.ReasonForbidden, "guest-shutdown")
}
