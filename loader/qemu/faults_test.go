// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/image/imagetest"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/loadertest"
)

// gone says whether a process has ended.
func gone(t *testing.T, pid int) bool {
	t.Helper()
	for range 200 {
		if err := syscall.Kill(pid, 0); err == syscall.ESRCH {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// leftNothing checks that a Keep's directory and control groups are gone.
func leftNothing(t *testing.T, spec loader.Spec) {
	t.Helper()
	if entries, err := os.ReadDir(spec.StateDir); err != nil || len(entries) > 0 {
		t.Errorf("left in the Keep's directory: %v, %v", entries, err)
	}
	if groups, _ := filepath.Glob("/sys/fs/cgroup/*/enarx-keep-" + spec.ID); len(groups) > 0 {
		t.Errorf("left: %v", groups)
	}
}

func faultLoader(t *testing.T) (*Loader, loadertest.Harness) {
	t.Helper()
	keep, dir := testKeep(t)
	l := testLoader(t, Options{Platform: attest.PlatformVM, Image: dir})
	return l, loadertest.Harness{Loader: func() loader.Loader { return l }, Keep: keep}
}

// TestInvariant12NothingHalfDone_QEMUIsKilled: somebody kills QEMU, and an agent
// that was restarted cleans up after a Keep that still runs.
func TestInvariant12NothingHalfDone_QEMUIsKilled(t *testing.T) {
	l, h := faultLoader(t)
	spec := loadertest.Spec(t, h)
	k := loadertest.Start(t, l, spec)
	if err := syscall.Kill(k.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := loadertest.Gone(t, k); e.Code != -1 || e.Signal != "SIGKILL" || !strings.HasPrefix(e.Reason, "QEMU ended with signal: killed") {
		t.Errorf("%+v", e)
	}
	leftNothing(t, spec)

	spec = loadertest.Spec(t, h)
	var last loader.Record
	live, err := l.Start(t.Context(), spec, func(r loader.Record) error { last = r; return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer live.Channel().Close()
	if err := l.Cleanup(t.Context(), last); err != nil {
		t.Error(err)
	}
	if !gone(t, last.PID) {
		t.Error("the machine lives on after Cleanup")
	}
	if e := loadertest.Gone(t, live); e.Code == 0 {
		t.Errorf("a Keep that Cleanup has ended: %+v", e)
	}
	leftNothing(t, spec)
}

// TestInvariant12NothingHalfDone_TPMIsLost takes away the TPM's state and then
// the TPM itself.
func TestInvariant12NothingHalfDone_TPMIsLost(t *testing.T) {
	keep, dir := testKeep(t)
	imagetest.Tool(t, "swtpm")
	l := testLoader(t, Options{Platform: attest.PlatformVTPM, Image: dir, TPMAuthority: t.TempDir() + "/authority"})
	spec := loadertest.Spec(t, loadertest.Harness{Keep: keep})
	var last loader.Record
	k, err := l.Start(t.Context(), spec, func(r loader.Record) error { last = r; return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer k.Channel().Close()
	if len(last.Helpers) != 1 || last.Helpers[0].StartTime == 0 {
		t.Fatalf("record %+v names no TPM", last)
	}
	if err := os.RemoveAll(filepath.Join(spec.StateDir, tpmDirName, "state")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(last.Helpers[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := loadertest.Gone(t, k); e.Code == 0 || !strings.Contains(e.Reason, "its software TPM ended with signal: killed") {
		t.Errorf("%+v", e)
	}
	if !gone(t, last.PID) {
		t.Error("the machine lives on without its TPM")
	}
	leftNothing(t, spec)
}

// TestInvariant12NothingHalfDone_KilledWhileTheTPMIsMade kills the loader's
// process at every step of the making of a TPM, which takes a second and three
// programs, of which the first starts the others: nobody else would end those.
func TestInvariant12NothingHalfDone_KilledWhileTheTPMIsMade(t *testing.T) {
	h := harness(t, attest.PlatformVTPM)
	for _, program := range []string{"swtpm_setup", "swtpm socket", "swtpm_localca"} {
		hit := false
		for try := 0; try < 5 && !hit; try++ {
			dir, r := loadertest.KillWhen(t, h, func(dir string) bool {
				// Asked too seldom, on a busy machine, we see it too late only.
				return uses(dir, program) || exists(dir, "state") && !exists(dir, "work")
			})
			hit = exists(dir, "work")
			if left := awaitUsers(dir); len(left) > 0 {
				t.Errorf("killed beside %s: still at work: %v", program, left)
			}
			if err := h.Loader().Cleanup(t.Context(), r); err != nil {
				t.Error(err)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("killed beside %s: left beside the record: %v, %v", program, entries, err)
			}
		}
		if !hit {
			t.Errorf("the loader was never killed while %s ran: this test proves nothing", program)
		}
	}
}

// exists says whether the TPM's directory has something of this name.
func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, tpmDirName, name))
	return err == nil
}

// uses says whether a program runs that has a path below dir as an argument.
func uses(dir, program string) bool {
	return slices.ContainsFunc(users(dir), func(s string) bool { return strings.Contains(s, "/"+program+" ") })
}

// awaitUsers gives the processes that have not gone within some seconds.
func awaitUsers(dir string) (left []string) {
	for range 500 {
		if left = users(dir); len(left) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return left
}

// users are processes that have a path below dir among their arguments.
func users(dir string) []string {
	var out []string
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range lines {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte(dir)) {
			out = append(out, string(bytes.ReplaceAll(b, []byte{0}, []byte(" "))))
		}
	}
	return out
}

// TestInvariant4HostileInputIsBounded_RealGuestFloods has a guest say more than
// any Keep has to say.
func TestInvariant4HostileInputIsBounded_RealGuestFloods(t *testing.T) {
	l, h := faultLoader(t)
	spec := loadertest.Spec(t, h)
	var heard lockedBuffer
	spec.Stderr = &heard
	k := loadertest.Start(t, l, spec)
	for range 20 { // until it is ended
		if k.Say(t, "say 5000000") == "" && ended(k) {
			break
		}
	}
	if e := loadertest.Gone(t, k); e.Code == 0 || e.Reason != errFlood.Error() {
		t.Errorf("%+v", e)
	}
	if heard.Len() != maxStderr {
		t.Errorf("%d bytes were passed on, expected %d", heard.Len(), maxStderr)
	}
	leftNothing(t, spec)
}

func ended(k loader.Keep) bool {
	select {
	case <-k.(*loadertest.Running).Keep.(*keep).gone:
		return true
	case <-time.After(time.Second):
		return false
	}
}

// lockedBuffer is a buffer that a loader may write to while a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) Len() int { return len(l.String()) }

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestAHungBootIsTriedOnceMoreAndReported: the first machine is given no time,
// the second all that it needs; then neither.
func TestAHungBootIsTriedOnceMoreAndReported(t *testing.T) {
	l, h := faultLoader(t)
	l.hurry = []time.Duration{100 * time.Millisecond}
	spec := loadertest.Spec(t, h)
	var heard lockedBuffer
	spec.Stderr = &heard
	k := loadertest.Start(t, l, spec)
	const why = "the machine has not opened its sallyport within 100ms (by tcg)"
	i := slices.IndexFunc(k.Layers(), func(l loader.Layer) bool { return l.Name == "boot" })
	if i < 0 || k.Layers()[i].Detail != "second try; the first: "+why {
		t.Errorf("the second try is not reported: %+v", k.Layers())
	}
	if !strings.Contains(heard.String(), "loader: the machine did not boot and is started once more, by tcg: "+why) {
		t.Errorf("whoever hears the Keep was told %q", heard.String())
	}
	k.Say(t, "exit 0")
	if e := loadertest.Gone(t, k); e.Code != 0 {
		t.Errorf("%+v", e)
	}

	l.hurry = []time.Duration{100 * time.Millisecond, 200 * time.Millisecond}
	spec = loadertest.Spec(t, h)
	if _, err := l.Start(t.Context(), spec, nil); err == nil || !strings.Contains(err.Error(), "within 200ms") {
		t.Errorf("two machines that hang: %v", err)
	}
	leftNothing(t, spec)
}

// TestAnotherProgramIsNoKeep boots an image whose first process ends the machine
// without ever opening the sallyport.
func TestAnotherProgramIsNoKeep(t *testing.T) {
	imagetest.QEMU(t)
	init := imagetest.Program(t, filepath.Join(imagetest.Root(t), "image/imagetest/testdata/init"))
	l := testLoader(t, Options{Platform: attest.PlatformVM, Image: imagetest.Image(t, imagetest.Options{Init: init}).Dir})
	l.hurry = []time.Duration{time.Minute, time.Millisecond}
	spec := loadertest.Spec(t, loadertest.Harness{Keep: init})
	var heard lockedBuffer
	spec.Stderr = &heard
	if _, err := l.Start(t.Context(), spec, nil); err == nil {
		t.Error("a machine without a Keep was started")
	}
	if !strings.Contains(heard.String(), "while booting, the guest powered off without a goodbye") && !strings.Contains(heard.String(), "while booting, the guest reset without a goodbye") {
		t.Errorf("of the first try was said: %q", heard.String())
	}
	leftNothing(t, spec)
}

// TestMicroVMStartsKeeps: KVM is not everywhere, the machine that it gets is. The
// kernel's clock is given by hand, which the real thing measures.
func TestMicroVMStartsKeeps(t *testing.T) {
	l, h := faultLoader(t)
	l.micro = true
	l.boot.cmdline += " tsc_early_khz=2600000"
	k := loadertest.Start(t, l, loadertest.Spec(t, h))
	if got := k.Say(t, "echo there"); got != "there" {
		t.Errorf("%q", got)
	}
	k.Say(t, "exit 9")
	if e := loadertest.Gone(t, k); e.Code != 9 || e.Reason != "exited" {
		t.Errorf("%+v", e)
	}
}

// TestInvariant7Reproducible_OnlyTheImagesKeepIsStarted: the loader starts the file that it is
// given, or none.
func TestInvariant7Reproducible_OnlyTheImagesKeepIsStarted(t *testing.T) {
	l, h := faultLoader(t)
	b, err := os.ReadFile(h.Keep)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	other := filepath.Join(t.TempDir(), "keep")
	if err := os.WriteFile(other, b, 0o755); err != nil {
		t.Fatal(err)
	}
	spec := loadertest.Spec(t, loadertest.Harness{Keep: other})
	recorded := 0
	_, err = l.Start(t.Context(), spec, func(loader.Record) error { recorded++; return nil })
	if err == nil || !strings.Contains(err.Error(), "was built with the Keep runtime sha256:") || recorded != 0 {
		t.Errorf("one bit of another Keep runtime: %v, %d records", err, recorded)
	}
	if err := l.Check(spec.Keep); err == nil {
		t.Error("Check accepts it")
	}
	l2, _ := New(Options{Platform: attest.PlatformVM, Image: t.TempDir()})
	if _, err := l2.Start(t.Context(), loadertest.Spec(t, h), nil); err == nil || !strings.Contains(err.Error(), "enarx image build") {
		t.Errorf("without an image: %v", err)
	}
}
