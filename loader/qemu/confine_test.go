// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/sandbox"
)

// takenOver is the first argument of a process that plays a QEMU which its guest
// has taken over.
const takenOver = "taken-over"

// misbehave tries what such a QEMU would, and writes what has worked to
// descriptor 3: arguments are a secret of the host, a directory that everybody
// may write to, and the process of another Keep.
func misbehave(args []string) int {
	out := os.NewFile(3, "out")
	if len(args) == 0 { // another Keep, until its end
		fmt.Fprintln(out, "ready")
		time.Sleep(time.Minute)
		return 0
	}
	other, err := strconv.Atoi(args[2])
	if err != nil {
		return 2
	}
	worked := func(what string, err error) {
		if err == nil {
			fmt.Fprintln(out, what)
		}
	}
	_, err = os.ReadFile(args[0])
	worked("read a secret", err)
	_, err = os.ReadFile("/etc/passwd")
	worked("read /etc", err)
	_, err = os.ReadDir("/")
	worked("list /", err)
	worked("write", os.WriteFile(filepath.Join(args[1], "mark"), []byte("x"), 0o600))
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", other), os.O_RDWR, 0)
	worked("open the memory of another", err)
	f.Close()
	local, remote := make([]byte, 1), make([]byte, 1)
	_, err = unix.ProcessVMReadv(other, []unix.Iovec{{Base: &local[0], Len: 1}}, []unix.RemoteIovec{{Base: 0x400000, Len: len(remote)}}, 0)
	if errors.Is(err, unix.EFAULT) { // it was allowed to look there
		err = nil
	}
	worked("read the memory of another", err)
	worked("signal another", unix.Kill(other, 0))
	worked("trace another", unix.PtraceAttach(other))
	fmt.Fprintln(out, "done")
	return 0
}

// testProgram is this test's binary where everybody may execute it.
func testProgram(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "enarx-qemu-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	path := filepath.Join(dir, "program")
	if err == nil {
		err = os.WriteFile(path, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// told is what a child writes to its descriptor 3 up to a line, and the end of
// it.
func told(t *testing.T, r *os.File, last string) []string {
	t.Helper()
	if err := r.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var all []byte
	for b := make([]byte, 256); ; {
		n, err := r.Read(b)
		all = append(all, b[:n]...)
		lines := strings.Split(strings.TrimSpace(string(all)), "\n")
		if lines[len(lines)-1] == last {
			return lines[:len(lines)-1]
		}
		if err != nil {
			t.Fatalf("%q instead of %q: %v", all, last, err)
		}
	}
}

// A QEMU that its guest has taken over reaches no file of its host's, and
// neither the QEMU nor the software TPM of another Keep, though they are the same
// user. Without Landlock it would: the same attempts, made by a process that
// differs in nothing else, work.
func TestQEMUThatWasTakenOver(t *testing.T) {
	version := sandbox.Probe().LandlockABI
	if version == 0 {
		t.Fatal("this kernel has no Landlock: what is tested here cannot be seen")
	}
	path := testProgram(t)
	// Below the program's own directory: that is where an operator may have put
	// all that is the agent's.
	state, public := filepath.Join(filepath.Dir(path), "state"), filepath.Join(filepath.Dir(path), "public")
	secret := filepath.Join(state, "secret")
	if err := errors.Join(os.Mkdir(state, 0o755), os.WriteFile(secret, []byte("x"), 0o644), os.Mkdir(public, 0o777), os.Chmod(public, 0o777)); err != nil {
		t.Fatal(err)
	}
	start := func(args ...string) (*child, *os.File) {
		t.Helper()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		c, err := spawn(path, append([]string{takenOver}, args...), []*os.File{w}, nil, state)
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			c.kill()
			<-c.ended
		})
		return c, r
	}
	other, ready := start()
	told(t, ready, "ready")
	args := []string{secret, public, strconv.Itoa(other.proc.Pid)}

	c, r := start(args...)
	if got := told(t, r, "done"); len(got) > 0 && (version >= 6 || !slices.Equal(got, []string{"signal another"})) {
		t.Errorf("under Landlock version %d this has worked: %q", c.landlock, got)
	}
	if c.landlock != version || other.landlock != version {
		t.Errorf("Landlock versions %d and %d, expected %d", c.landlock, other.landlock, version)
	}

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	bare, err := launch(path, append([]string{takenOver}, args...), &os.ProcAttr{Env: []string{}, Dir: "/", Files: []*os.File{nil, nil, nil, w}, Sys: attributes(false)})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Wait()
	got := told(t, r, "done")
	for _, want := range []string{"read a secret", "read /etc", "list /", "write", "signal another"} {
		if !slices.Contains(got, want) {
			t.Errorf("without Landlock %q does not work, so that above says nothing", want)
		}
	}
}

// What came with a QEMU is within its reach, and a directory that holds the
// loader's own beside it is not.
func TestWhatLiesBesideAProgram(t *testing.T) {
	top := t.TempDir()
	for _, name := range []string{"own/qemu", "prefix/bin/qemu", "state/tpm-authority/key"} {
		path := filepath.Join(top, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(top, "state"), filepath.Join(top, "link")); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ program, apart, want string }{
		{"own/qemu", "state", "own own/qemu"},
		{"own/qemu", "own/state", "own/qemu"},
		{"own/qemu", "own", "own/qemu"},
		{"own/qemu", "owner", "own own/qemu"},
		{"prefix/bin/qemu", "state", "prefix/bin prefix/bin/qemu prefix/lib prefix/lib64 prefix/libexec prefix/share"},
		{"prefix/bin/qemu", "prefix/share/state", "prefix/bin prefix/bin/qemu prefix/lib prefix/lib64 prefix/libexec"},
		{"state/qemu", "link/tpm-authority", "state/qemu"},
	} {
		var got []string
		for _, dir := range beside(filepath.Join(top, x.program), []string{filepath.Join(top, x.apart)}) {
			rel, err := filepath.Rel(top, dir)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, rel)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != x.want {
			t.Errorf("%s apart from %s: %v, expected %s", x.program, x.apart, got, x.want)
		}
	}
}

// The threads that start confined processes end with them: nothing else runs in
// their domain, and none is left.
func TestNothingOfALoaderIsConfined(t *testing.T) {
	path := testProgram(t)
	for range 3 {
		c, err := spawn(path, []string{"-test.run=^$"}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		<-c.ended
	}
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) == 0 {
		t.Fatalf("%d threads: %v", len(tasks), err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for left := 1; left > 0; time.Sleep(10 * time.Millisecond) {
		left = 0
		tasks, err = filepath.Glob("/proc/self/task/*/status")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			if b, err := os.ReadFile(task); err == nil && strings.Contains(string(b), "NoNewPrivs:\t1") {
				left++
			}
		}
		if left > 0 && time.Now().After(deadline) {
			t.Fatalf("%d threads are left in a domain", left)
		}
	}
}

// A program that cannot be started leaves no thread behind, and says why.
func TestSpawnOfWhatIsNotThere(t *testing.T) {
	if _, err := spawn("/nonexistent/qemu", nil, nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
