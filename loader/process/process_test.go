// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/loadertest"
)

// testKeep is the path of the test Keep.
var testKeep string

// keepFDEnv says that a test process of another user has the test Keep open as
// descriptor 3, since it may not walk the way to it.
const keepFDEnv = "ENARX_TEST_KEEP_FD"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	switch {
	case loadertest.Crashing():
	case os.Getenv(keepFDEnv) != "":
		testKeep = "/proc/self/fd/3"
	default:
		dir, err := os.MkdirTemp("", "enarx-process-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if testKeep, err = loadertest.Build(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return loadertest.Main(m, func() loader.Loader { return New() })
}

// harness bounds memory well above the 40 MiB or so that a Go process has for
// its runtime's tables alone, which RLIMIT_DATA counts where there is no cgroup.
func harness() loadertest.Harness {
	return loadertest.Harness{Loader: func() loader.Loader { return New() }, Keep: testKeep, MemoryBytes: 1 << 27}
}

// bare behaves as on a host that refuses namespaces.
func bare() loader.Loader {
	l := New()
	l.noNamespaces = true
	return l
}

func TestSuite(t *testing.T) { loadertest.Run(t, harness()) }

func TestSuiteWithoutNamespaces(t *testing.T) {
	h := harness()
	h.Loader = bare
	loadertest.Run(t, h)
}

// TestSuiteAsOrdinaryUser runs the suite and the attacks again as user 65534.
func TestSuiteAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: the other tests have run as an ordinary user already")
		return
	}
	keep, err := os.Open(testKeep)
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	c := exec.Command("/proc/self/exe", "-test.run=^(TestSuite|TestSuiteWithoutNamespaces|TestInvariant11.*|TestLentDirectories|TestCacheDirectory)$", "-test.v")
	c.Env = []string{keepFDEnv + "=3", "PATH=" + os.Getenv("PATH"), "TMPDIR=/tmp"}
	c.Dir = "/"
	c.ExtraFiles = []*os.File{keep}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestSuite ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// eachWay runs f with and without namespaces.
func eachWay(t *testing.T, f func(t *testing.T, l loader.Loader, namespaces bool)) {
	t.Run("namespaces", func(t *testing.T) { f(t, New(), true) })
	t.Run("bare", func(t *testing.T) { f(t, bare(), false) })
}

// TestInvariant11NativeCodeInTheChildGetsNothing gives the engine child any
// system call that it wants, as if the workload's code had taken it over.
// Every attempt must fail or kill.
func TestInvariant11NativeCodeInTheChildGetsNothing(t *testing.T) {
	nr := func(n uintptr, args string) string { return fmt.Sprintf("child syscall %d %s", n, args) }
	attacks := map[string]string{
		"open /proc":         "child read /proc/self/environ",
		"open parent memory": "child read /proc/1/mem",
		"open /dev":          "child read /dev/urandom",
		"open /etc":          "child read /etc/passwd",
		"list root":          "child list /",
		"write":              "child write /tmp/x",
		"tcp socket":         nr(unix.SYS_SOCKET, "2 1 0"),
		"unix socket":        nr(unix.SYS_SOCKET, "1 1 0"),
		"netlink socket":     nr(unix.SYS_SOCKET, "16 3 0"),
		"vsock":              nr(unix.SYS_SOCKET, "40 1 0"),
		"socket pair":        nr(unix.SYS_SOCKETPAIR, "1 1 0 &"),
		"connect":            nr(unix.SYS_CONNECT, "3 & 16"),
		"trace parent":       nr(unix.SYS_PTRACE, "16 1 0 0"),
		"seize parent":       nr(unix.SYS_PTRACE, "0x4206 1 0 0"),
		"read parent":        nr(unix.SYS_PROCESS_VM_READV, "1 & 1 & 1 0"),
		"kill parent":        nr(unix.SYS_KILL, "1 9"),
		"kill all":           nr(unix.SYS_KILL, "-1 9"),
		"signal a thread":    nr(unix.SYS_TGKILL, "2 2 9"),
		"queue a signal":     nr(unix.SYS_RT_SIGQUEUEINFO, "1 9 &"),
		"pidfd":              nr(unix.SYS_PIDFD_OPEN, "1 0"),
		"steal descriptor":   nr(unix.SYS_PIDFD_GETFD, "3 3 0"),
		"execute":            nr(unix.SYS_EXECVE, "@/proc/self/exe 0 0"),
		"execute a file":     nr(unix.SYS_EXECVEAT, "3 @ 0 0 0x1000"),
		"fork":               nr(unix.SYS_CLONE, "17 0"),
		"user namespace":     nr(unix.SYS_UNSHARE, "0x10000000"),
		"join namespace":     nr(unix.SYS_SETNS, "3 0"),
		"mount":              nr(unix.SYS_MOUNT, "@proc @/ @proc 0 0"),
		"chroot":             nr(unix.SYS_CHROOT, "@/"),
		"code memory":        nr(unix.SYS_MMAP, "0 4096 7 0x22 -1 0"),
		"memory file":        nr(unix.SYS_MEMFD_CREATE, "@x 0"),
		"io_uring":           nr(unix.SYS_IO_URING_SETUP, "8 &"),
		"bpf":                nr(unix.SYS_BPF, "0 & 64"),
		"keyring":            nr(unix.SYS_KEYCTL, "0 -3"),
		"userfault":          nr(unix.SYS_USERFAULTFD, "0"),
		"perf":               nr(unix.SYS_PERF_EVENT_OPEN, "& 0 -1 -1 0"),
		"dumpable":           nr(unix.SYS_PRCTL, "4 1"),
		"death signal":       nr(unix.SYS_PRCTL, "1 0"),
		"capabilities":       nr(unix.SYS_CAPSET, "& &"),
		"raise limit":        nr(unix.SYS_PRLIMIT64, "0 7 & 0"),
		"device control":     nr(unix.SYS_IOCTL, "0 0x5401 &"),
		"new filter":         nr(unix.SYS_SECCOMP, "1 0 &"),
		"open by handle":     nr(unix.SYS_OPEN_BY_HANDLE_AT, "3 & 0"),
		"pipe":               nr(unix.SYS_PIPE2, "& 0"),
		"new session":        nr(unix.SYS_SETSID, ""),
	}
	eachWay(t, func(t *testing.T, l loader.Loader, _ bool) {
		for name, attack := range attacks {
			k := loadertest.Start(t, l, loadertest.Spec(t, harness()))
			got := k.Say(t, attack)
			if !strings.HasPrefix(got, "child died of SIGSYS") && !strings.HasPrefix(got, "error ") {
				t.Errorf("%s: %q", name, got)
			}
			t.Logf("%-18s %s", name, got)
			if after := k.Say(t, "echo alive"); after != "alive" {
				t.Errorf("%s: the parent is gone: %q", name, after)
			}
			k.Kill()
			k.Channel().Close()
		}
	})
}

// TestInvariant11ChildInheritsNothing looks at the child's descriptors: the
// three standard ones and the control socket.
func TestInvariant11ChildInheritsNothing(t *testing.T) {
	eachWay(t, func(t *testing.T, l loader.Loader, _ bool) {
		spec := loadertest.Spec(t, harness())
		spec.CacheDir = t.TempDir()
		spec.Dirs = []loader.Dir{{Host: t.TempDir(), Guest: "/d"}}
		// A Keep that is handed more than it should must not pass it on.
		k := loadertest.Start(t, l, spec)
		got := k.Say(t, "child descriptors")
		want := fmt.Sprintf("0:device 1:device 2:device 3:socket%d", unix.SOCK_SEQPACKET)
		for _, d := range strings.Fields(strings.TrimPrefix(got, want)) {
			if _, kind, _ := strings.Cut(d, ":"); kind != "other" { // the Go runtime's poller
				t.Errorf("the child holds %s", d)
			}
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("the child holds %q, expected %q", got, want)
		}
	})
}

// TestInvariant11ParentIsSealed checks that the Keep's parent keeps no power
// either, once it serves the sallyport.
func TestInvariant11ParentIsSealed(t *testing.T) {
	eachWay(t, func(t *testing.T, l loader.Loader, namespaces bool) {
		for _, attack := range []string{
			fmt.Sprintf("self syscall %d 2 1 0", unix.SYS_SOCKET),
			fmt.Sprintf("self syscall %d @/bin/sh 0 0", unix.SYS_EXECVE),
			fmt.Sprintf("self syscall %d 17 0", unix.SYS_CLONE),
			"self read /etc/passwd",
		} {
			k := loadertest.Start(t, l, loadertest.Spec(t, harness()))
			if got := k.Say(t, attack); got != "" {
				t.Errorf("%s: %q", attack, got)
			}
			if e := loadertest.Gone(t, k); e.Signal != "SIGSYS" {
				t.Errorf("%s: %+v", attack, e)
			}
		}
		k := loadertest.Start(t, l, loadertest.Spec(t, harness()))
		if k.Say(t, "echo a") != "a" {
			t.Fatal("no answer")
		}
		checkStatus(t, k.PID())
		if namespaces {
			checkNamespaces(t, k.PID())
		}
	})
}

// checkStatus reads from outside what the kernel says about a sealed process.
func checkStatus(t *testing.T, pid int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	status := map[string]string{}
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(line, ":")
		status[k] = strings.TrimSpace(v)
	}
	const none = "0000000000000000"
	for k, want := range map[string]string{"Seccomp": "2", "NoNewPrivs": "1", "CapEff": none, "CapPrm": none, "CapInh": none, "CapAmb": none} {
		if status[k] != want {
			t.Errorf("%s is %s, expected %s", k, status[k], want)
		}
	}
	if uid := strings.Fields(status["Uid"]); len(uid) != 4 || uid[1] != fmt.Sprint(nobody) {
		t.Errorf("the Keep is user %v, expected %d", uid, nobody)
	}
}

func checkNamespaces(t *testing.T, pid int) {
	t.Helper()
	if os.Geteuid() != 0 {
		return // an ordinary user may not look into a process that hides its memory
	}
	for _, n := range []string{"user", "pid", "net", "mnt", "ipc", "uts", "cgroup"} {
		ours, err := os.Readlink("/proc/self/ns/" + n)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, n))
		if err != nil || ours == theirs {
			t.Errorf("%s namespace: %q and %q, %v", n, ours, theirs, err)
		}
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil || strings.Count(string(mounts), "\n") != 1 || !strings.Contains(string(mounts), " / / ro,") {
		t.Errorf("mounts of the Keep: %v\n%s", err, mounts)
	}
}

func TestLentDirectories(t *testing.T) {
	eachWay(t, func(t *testing.T, l loader.Loader, namespaces bool) {
		rw, ro, other := t.TempDir(), t.TempDir(), t.TempDir()
		for _, d := range []string{rw, ro, other} {
			if err := os.WriteFile(filepath.Join(d, "f"), []byte("content"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(filepath.Join(other, "f"), filepath.Join(rw, "out")); err != nil {
			t.Fatal(err)
		}
		spec := loadertest.Spec(t, harness())
		spec.Dirs = []loader.Dir{{Host: rw, Guest: "/rw"}, {Host: ro, Guest: "/ro", ReadOnly: true}}
		spec.CacheDir = t.TempDir()
		k := loadertest.Start(t, l, spec)
		a, b, c := rw, ro, spec.CacheDir
		if namespaces {
			a, b, c = "/dirs/0", "/dirs/1", "/cache"
		}
		for _, step := range []struct{ do, want string }{
			{"read " + a + "/f", "read content"},
			{"write " + a + "/new", "wrote"},
			{"mkdir " + a + "/sub", "made"},
			{"rename " + a + "/new " + a + "/sub/new", "renamed"},
			{"read " + b + "/f", "read content"},
			{"write " + b + "/new", "error"},
			{"write " + b + "/f", "error"},
			{"mkdir " + b + "/sub", "error"},
			{"read " + a + "/out", "error"},
			{"read " + a + "/../../etc/passwd", "error"},
			{"read " + other + "/f", "error"},
			{"read /etc/passwd", "error"},
			{"read /proc/self/status", "error"},
			{"read " + c + "/code", "error"}, // out of reach in StageRun
			{"write " + c + "/poison", "error"},
		} {
			if got := k.Say(t, "child "+step.do); !strings.HasPrefix(got, step.want) {
				t.Errorf("%s: %q, expected %q", step.do, got, step.want)
			}
		}
		if b, err := os.ReadFile(filepath.Join(rw, "sub", "new")); err != nil || string(b) != "written" {
			t.Errorf("on the host: %q, %v", b, err)
		}
	})
}

func TestCacheDirectory(t *testing.T) {
	eachWay(t, func(t *testing.T, l loader.Loader, _ bool) {
		spec := loadertest.Spec(t, harness())
		spec.CacheDir = t.TempDir()
		k := loadertest.Start(t, l, spec)
		if k.Say(t, "echo a") != "a" {
			t.Fatal("no answer")
		}
		if b, err := os.ReadFile(filepath.Join(spec.CacheDir, "code")); err != nil || string(b) != "compiled" {
			t.Errorf("the compiled code: %q, %v", b, err)
		}
	})
}

// BenchmarkStart measures a start up to the sealed Keep's first answer, split
// by step in the Keep. The fastest of all runs is reported as well: on a busy
// machine it says more than the mean.
func BenchmarkStart(b *testing.B) {
	b.Run("rlimits", func(b *testing.B) { benchmarkStart(b, New(), 0) })
	b.Run("cgroups", func(b *testing.B) { benchmarkStart(b, New(), 1<<28) })
	b.Run("no namespaces", func(b *testing.B) { benchmarkStart(b, bare(), 0) })
}

func benchmarkStart(b *testing.B, l loader.Loader, memory uint64) {
	spec := loadertest.Spec(b, harness())
	spec.MemoryBytes = memory
	steps := []string{"start", "spec", "child", "root", "seal", "child-sealed", "sum"}
	least := make([]time.Duration, len(steps))
	for b.Loop() {
		took := make([]time.Duration, len(steps))
		begin := time.Now()
		k, err := l.Start(b.Context(), spec, nil)
		if err != nil {
			b.Fatal(err)
		}
		took[0] = time.Since(begin)
		buf := make([]byte, 200)
		fmt.Fprintln(k.Channel(), "times")
		n, err := k.Channel().Read(buf)
		took[len(took)-1] = time.Since(begin)
		if err != nil {
			b.Fatal(err)
		}
		for i, f := range strings.Fields(string(buf[:n])) {
			us, err := strconv.Atoi(f)
			if err != nil {
				b.Fatal(err)
			}
			took[i+1] = time.Duration(us) * time.Microsecond
		}
		k.Kill()
		k.Channel().Close()
		b.StopTimer()
		loadertest.Gone(b, k)
		b.StartTimer()
		for i := range least {
			if least[i] == 0 || took[i] < least[i] {
				least[i] = took[i]
			}
		}
	}
	for i, name := range steps {
		b.ReportMetric(float64(least[i].Microseconds()), "min-"+name+"-us")
	}
}
