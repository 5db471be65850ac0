// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/internal/hostproc"
)

// child is a process of a Keep: QEMU or the software TPM.
type child struct {
	proc      *os.Process
	pidfd     *os.File
	started   uint64
	confined  bool  // in namespaces without a network
	landlock  int   // version of Landlock that it is under; 0 for none
	asNobody  bool  // user and group 65534
	user      int   // of the host
	complaint *tail // its last words; read after ended
	stderr    *os.File
	ended     chan struct{} // closed when it has been waited for
	state     *os.ProcessState
}

// spawn starts a program with files as descriptors 3 and up. It runs in a
// session of its own, as nobody where the loader is root, without a network,
// under Landlock, and it is killed when the loader's process ends, however that
// ends. state, if not nil, is a directory in which it keeps files; apart are
// directories that are none of its business.
func spawn(path string, args []string, files []*os.File, state *os.File, apart ...string) (*child, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for its complaints: %w", err)
	}
	defer w.Close()
	all := append([]*os.File{null, null, w}, files...)
	c := &child{complaint: &tail{}, ended: make(chan struct{}), user: os.Geteuid()}
	pidfd, err := c.begin(path, args, all, state, apart)
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	if os.Geteuid() == 0 {
		c.asNobody, c.user = true, nobody
	}
	if pidfd >= 0 && unix.SetNonblock(pidfd, true) == nil {
		c.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	}
	c.stderr = r
	c.started, err = hostproc.StartTime(c.proc.Pid)
	go c.reap()
	if err != nil {
		<-c.ended
		return nil, fmt.Errorf("start %s: it ended at once: %s", path, c.complaint.lastLine())
	}
	c.limit()
	return c, nil
}

// begin starts the process from a thread that is confined as the process is to
// be, and gives its pidfd, or -1. The kernel ends the process when that thread
// ends, so it stays as long.
func (c *child) begin(path string, args []string, files []*os.File, state *os.File, apart []string) (pidfd int, err error) {
	started := make(chan error)
	onThread(func() {
		version, err := confine(path, state, apart)
		if err == nil {
			c.landlock = version
			pidfd, err = c.launch(path, args, files)
		}
		started <- err
		if err == nil {
			<-c.ended
		}
	})
	err = <-started
	return pidfd, err
}

// launch starts the process from the calling thread, in namespaces if the host
// has them.
func (c *child) launch(path string, args []string, files []*os.File) (pidfd int, err error) {
	for _, confined := range []bool{true, false} {
		pidfd = -1
		attr := attributes(confined)
		attr.PidFD = &pidfd
		c.confined = confined
		c.proc, err = os.StartProcess(path, append([]string{path}, args...), &os.ProcAttr{Env: []string{}, Dir: "/", Files: files, Sys: attr})
		if err == nil || !refused(err) {
			break
		}
	}
	return pidfd, err
}

// onThread runs f on a thread of its own, which ends with it: whatever f does to
// the thread, nothing else comes to run there. The process's first thread, which
// would not end, is passed over.
func onThread(f func()) {
	locked := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			onThread(f) // while this one is held, on another
			close(locked)
			runtime.UnlockOSThread()
			return
		}
		close(locked)
		f()
	}()
	<-locked
}

// attributes are those of a child process.
func attributes(confined bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if confined {
		a.Cloneflags = unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP
	}
	if os.Geteuid() != 0 {
		if confined {
			asOneself(a)
		}
		return a
	}
	a.Credential = &syscall.Credential{Uid: nobody, Gid: nobody, Groups: kvmGroup()}
	return a
}

// asOneself adds the user namespace that anybody but root needs to make others.
func asOneself(a *syscall.SysProcAttr) {
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		return
	}
	a.Cloneflags |= unix.CLONE_NEWUSER
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
}

// kvmGroup is the group that may open /dev/kvm, the one thing of the host that
// QEMU opens by itself.
func kvmGroup() []uint32 {
	var st unix.Stat_t
	if unix.Stat("/dev/kvm", &st) != nil || st.Mode&0o006 == 0o006 || st.Gid == 0 {
		return nil
	}
	return []uint32{st.Gid}
}

// refused says that the host does not allow the namespaces, as opposed to a
// program that cannot be started.
func refused(err error) bool {
	for _, e := range []error{unix.EPERM, unix.EINVAL, unix.ENOSPC, unix.EUSERS, unix.ENOSYS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// starter is a thread that lives as long as this process. The kernel sends the
// parent-death signal when the thread that made the child ends, and Go's
// threads come and go.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// launch is os.StartProcess on the thread that stays, for the programs that make
// TPMs.
func launch(path string, args []string, attr *os.ProcAttr) (p *os.Process, err error) {
	done := make(chan struct{})
	starter() <- func() {
		defer close(done)
		p, err = os.StartProcess(path, append([]string{path}, args...), attr)
	}
	<-done
	return p, err
}

// limit lowers what the process may do to the host by accident. Limits that
// cannot be set are those of the loader itself.
func (c *child) limit() {
	for resource, value := range map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: maxOpenFiles} {
		_ = unix.Prlimit(c.proc.Pid, resource, &unix.Rlimit{Cur: value, Max: value}, nil)
	}
}

// kill ends the process; it may have ended already.
func (c *child) kill() error {
	if err := c.proc.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// reap waits for the end. Its complaints are read meanwhile, so that it never
// waits for us.
func (c *child) reap() {
	defer close(c.ended)
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer c.stderr.Close()
		_, _ = c.stderr.WriteTo(c.complaint)
	}()
	hostproc.AwaitExit(c.pidfd)
	c.state, _ = c.proc.Wait() // ours, not waited for before
	if c.pidfd != nil {
		c.pidfd.Close()
	}
	<-read
}

// how says in words how the process ended. Only after ended.
func (c *child) how() string {
	s := "ended"
	if c.state != nil {
		s = "ended with " + c.state.String()
	}
	if said := c.complaint.lastLine(); said != "" {
		s += ": " + said
	}
	return s
}

func (c *child) process() loader.Process {
	return loader.Process{PID: c.proc.Pid, StartTime: c.started}
}

// socketpair makes a connected pair: ours, in the poller, and the child's.
func socketpair(name string) (p [2]*os.File, err error) {
	if p, err = plainPair(name); err != nil {
		return p, err
	}
	ours, err := unix.FcntlInt(p[0].Fd(), unix.F_DUPFD_CLOEXEC, 0)
	p[0].Close()
	if err == nil {
		if err = unix.SetNonblock(ours, true); err != nil {
			unix.Close(ours)
		}
	}
	if err != nil {
		p[1].Close()
		return [2]*os.File{}, fmt.Errorf("make the socket pair of %s: %w", name, err)
	}
	p[0] = os.NewFile(uintptr(ours), name)
	return p, nil
}

// plainPair makes a pair for two children, who expect sockets that block.
func plainPair(name string) (p [2]*os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return p, fmt.Errorf("make the socket pair of %s: %w", name, err)
	}
	return [2]*os.File{os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name+" of the machine")}, nil
}
