// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// This file is laid into cmd/keep by TestInvariant11ProofAndCodeLiveApart, in
// place of the WebAssembly engine: the engine child of that Keep is sealed like
// every other and then runs what is here, native code of an attacker's choice.
// The module's bytes name the attack.
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/keep/engine"
)

type attackEngine struct{}

func (attackEngine) Name() string { return "attack" }
func (attackEngine) Compile(_ context.Context, b []byte) (engine.Module, error) {
	shared = b
	return attackModule(strings.Clone(string(b))), nil
}
func (attackEngine) Close() error { return nil }

var shared []byte // the module, in the memory that is the parent's too

type attackModule string

func (attackModule) Imports() []engine.Import                         { return nil }
func (attackModule) HasExport(string) bool                            { return true }
func (attackModule) Prepare(context.Context, []engine.HostFunc) error { return nil }
func (m attackModule) Instantiate(_ context.Context, host []engine.HostFunc) (engine.Instance, error) {
	return &attacker{name: string(m), host: host}, nil
}

type attacker struct {
	name string
	host []engine.HostFunc
}

func (a *attacker) Close() error { return nil }

// memory is what the host functions take for a guest's.
type memory []byte

func (m memory) Size() uint64 { return uint64(len(m)) }
func (m memory) Bytes(off, n uint32) ([]byte, bool) {
	if uint64(off)+uint64(n) > uint64(len(m)) {
		return nil, false
	}
	return m[off : off+n], true
}

// say writes to the workload's standard output, through the front door.
func (a *attacker) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...) + "\n"
	m := make(memory, 16+len(text))
	binary.LittleEndian.PutUint32(m, 16)
	binary.LittleEndian.PutUint32(m[4:], uint32(len(text)))
	copy(m[16:], text)
	for _, f := range a.host {
		if f.Name == "fd_write" {
			f.Call(context.Background(), m, []uint64{1, 0, 1, 8})
		}
	}
}

func (a *attacker) Call(context.Context, string) error {
	a.say("trying %s", a.name)
	if f, ok := tricks[a.name]; ok {
		f(a)
	} else if c, ok := calls[a.name]; ok {
		r, e := c()
		a.say("returned %d, %v", int(r), e)
	} else {
		a.say("no such attack")
	}
	a.say("survived")
	return nil
}

func call(nr uintptr, args ...uintptr) func() (uintptr, unix.Errno) {
	return func() (uintptr, unix.Errno) {
		var p [6]uintptr
		copy(p[:], args)
		r, _, e := unix.Syscall6(nr, p[0], p[1], p[2], p[3], p[4], p[5])
		return r, e
	}
}

func text(s string) uintptr {
	b := append([]byte(s), 0)
	kept = append(kept, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

var kept [][]byte // what the kernel is given the address of

const (
	atCWD = ^uintptr(99)     // AT_FDCWD
	init1 = uintptr(1)       // process 1: in its namespace the child itself, else the machine's
	write = uintptr(1 | 2)   // PROT_READ | PROT_WRITE
	exec  = uintptr(1 | 4)   // PROT_READ | PROT_EXEC
	anon  = uintptr(2 | 040) // MAP_PRIVATE | MAP_ANONYMOUS
)

// calls are single system calls, each by its own name. None of them may come
// back.
var calls = map[string]func() (uintptr, unix.Errno){
	"open a descriptor of its own anew": call(unix.SYS_OPENAT, atCWD, text("/proc/self/fd/3"), unix.O_RDWR),
	"open a parent's memory":            call(unix.SYS_OPENAT, atCWD, text("/proc/1/mem"), unix.O_RDWR),
	"open SGX":                          call(unix.SYS_OPENAT, atCWD, text("/dev/sgx_enclave"), unix.O_RDWR),
	"open SEV":                          call(unix.SYS_OPENAT, atCWD, text("/dev/sev-guest"), unix.O_RDWR),
	"open TDX":                          call(unix.SYS_OPENAT, atCWD, text("/dev/tdx_guest"), unix.O_RDWR),
	"open the TPM":                      call(unix.SYS_OPENAT, atCWD, text("/dev/tpmrm0"), unix.O_RDWR),
	"open configfs":                     call(unix.SYS_OPENAT, atCWD, text("/sys/kernel/config/tsm/report"), unix.O_RDONLY),
	"openat2":                           call(unix.SYS_OPENAT2, atCWD, text("/"), text(strings.Repeat("\x00", 24)), 24),
	"open_by_handle_at":                 call(unix.SYS_OPEN_BY_HANDLE_AT, 3, 0, 0),
	"ptrace":                            call(unix.SYS_PTRACE, unix.PTRACE_ATTACH, init1),
	"process_vm_readv":                  call(unix.SYS_PROCESS_VM_READV, init1),
	"process_vm_writev":                 call(unix.SYS_PROCESS_VM_WRITEV, init1),
	"kill":                              call(unix.SYS_KILL, ^uintptr(0), 9),
	"tgkill another process":            call(unix.SYS_TGKILL, 2, 2, 9),
	"tkill":                             call(unix.SYS_TKILL, 2, 9),
	"pidfd_open":                        call(unix.SYS_PIDFD_OPEN, init1),
	"pidfd_getfd":                       call(unix.SYS_PIDFD_GETFD, 3, 3),
	"pidfd_send_signal":                 call(unix.SYS_PIDFD_SEND_SIGNAL, 3, 9),
	"kcmp":                              call(unix.SYS_KCMP, init1, init1),
	"internet socket":                   call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM),
	"unix socket":                       call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM),
	"netlink socket":                    call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW),
	"vsock":                             call(unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM),
	"socketpair":                        call(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM),
	"connect":                           call(unix.SYS_CONNECT, 3, 0, 0),
	"bind":                              call(unix.SYS_BIND, 3, 0, 0),
	"ioctl":                             call(unix.SYS_IOCTL, 3, 0xc0105300),
	"execve":                            call(unix.SYS_EXECVE, text("/proc/self/exe"), 0, 0),
	"execveat":                          call(unix.SYS_EXECVEAT, 3, text(""), 0, 0, unix.AT_EMPTY_PATH),
	"a process of its own":              call(unix.SYS_CLONE, uintptr(unix.SIGCHLD)),
	"a namespace of its own":            call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER),
	"setns":                             call(unix.SYS_SETNS, 3, 0),
	"mount":                             call(unix.SYS_MOUNT, 0, 0, 0, 0),
	"chroot":                            call(unix.SYS_CHROOT, text("/")),
	"dumpable again":                    call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1),
	"outlive the parent":                call(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0),
	"seccomp":                           call(unix.SYS_SECCOMP, 0),
	"executable memory":                 call(unix.SYS_MMAP, 0, 4096, exec, anon, ^uintptr(0)),
	"memfd_create":                      call(unix.SYS_MEMFD_CREATE, text("x")),
	"userfaultfd":                       call(unix.SYS_USERFAULTFD),
	"io_uring":                          call(unix.SYS_IO_URING_SETUP, 8, 0),
	"bpf":                               call(unix.SYS_BPF),
	"perf_event_open":                   call(unix.SYS_PERF_EVENT_OPEN),
	"keyctl":                            call(unix.SYS_KEYCTL),
	"system V memory":                   call(unix.SYS_SHMGET, 1, 4096, 0o1600),
	"getppid":                           call(unix.SYS_GETPPID),
	"setrlimit":                         call(unix.SYS_PRLIMIT64, init1, unix.RLIMIT_NOFILE),
}

// tricks are attacks of more than one step.
var tricks = map[string]func(*attacker){
	"list":            list,
	"write to all":    writeToAll,
	"ask for a quote": func(a *attacker) { a.control([]byte("Q" + strings.Repeat("\x00", 64))) },
	"a job back":      func(a *attacker) { a.control([]byte("J\xa0")) },
	"flood":           flood,
	"oversize":        func(a *attacker) { a.control(make([]byte, 100<<10)) },
	"descriptors":     descriptors,
	"open everything": openEverything,
	"shared memory":   writeShared,
}

// list says what each inherited descriptor is.
func list(a *attacker) {
	for fd := range 1024 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil {
			continue
		}
		kind := fmt.Sprintf("%#o", st.Mode&unix.S_IFMT)
		if st.Mode&unix.S_IFMT == unix.S_IFSOCK {
			domain, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
			typ, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
			kind = fmt.Sprintf("socket domain %d type %d", domain, typ)
		}
		a.say("fd %d %s", fd, kind)
	}
}

// writeToAll sends what a sallyport's host would take for a request, and what
// a parent might, to every descriptor but the ones that show the results.
func writeToAll(a *attacker) {
	for fd := 3; fd < 1024; fd++ {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT == unix.S_IFIFO {
			continue
		}
		n, err := unix.Write(fd, []byte("\x00\x01\x00\x00quote"))
		r, rerr := unix.Read(fd, make([]byte, 64))
		a.say("fd %d wrote %d %v, read %d %v", fd, n, err, r, rerr)
	}
}

func (a *attacker) control(msg []byte) {
	err := unix.Sendmsg(3, msg, nil, nil, unix.MSG_NOSIGNAL)
	a.say("sent: %v", err)
	a.answer()
}

// answer waits for anything that the parent might send.
func (a *attacker) answer() {
	p := []unix.PollFd{{Fd: 3, Events: unix.POLLIN}}
	unix.Poll(p, 3000)
	buf := make([]byte, 1<<16)
	n, oobn, _, _, err := unix.Recvmsg(3, buf, make([]byte, 256), unix.MSG_DONTWAIT)
	a.say("answer of %d bytes and %d of descriptors, %v", n, oobn, err)
}

func flood(a *attacker) {
	for range 100_000 {
		if unix.Sendmsg(3, []byte{'C', 0xa2, 1, 0, 2, 0x60}, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT) != nil {
			break
		}
	}
	a.answer()
}

// descriptors tries to give the parent descriptors, with a message that it
// would otherwise take.
func descriptors(a *attacker) {
	fds := make([]int, 200)
	for i := range fds {
		fds[i] = 3
	}
	err := unix.Sendmsg(3, []byte{'D', 0xa2, 1, 0x64, 'e', 'x', 'i', 't', 2, 0}, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
	a.say("sent: %v", err)
	a.answer()
}

// openEverything runs where lent directories allow openat at all.
func openEverything(a *attacker) {
	paths := []string{
		"/", "..", "/..", "/proc", "/proc/self/mem", "/proc/self/maps", "/proc/self/fd", "/proc/1/mem", "/proc/1/environ", "/dev",
		"/dev/sgx_enclave", "/dev/sgx_provision", "/dev/sev-guest", "/dev/sev", "/dev/tdx_guest", "/dev/tpm0", "/dev/tpmrm0",
		"/dev/mem", "/dev/kvm", "/dev/vsock", "/dev/virtio-ports", "/sys/kernel/config/tsm/report", "/sys", "/etc/passwd", "/run", "/tmp",
	}
	for fd := range 64 {
		paths = append(paths, fmt.Sprintf("/proc/self/fd/%d", fd), fmt.Sprintf("/dev/fd/%d", fd))
	}
	for _, p := range paths {
		for _, flags := range []int{unix.O_RDONLY, unix.O_RDWR, unix.O_PATH} {
			if fd, err := unix.Openat(unix.AT_FDCWD, p, flags, 0); err == nil {
				b := make([]byte, 16)
				n, rerr := unix.Read(fd, b)
				a.say("opened %s with %#x: read %d %v", p, flags, n, rerr)
				unix.Close(fd)
			}
		}
	}
}

// writeShared tries to change the bundle that the parent has checked, through
// the mapping that both share; the descriptor is gone by now.
func writeShared(a *attacker) {
	page := uintptr(unsafe.Pointer(unsafe.SliceData(shared))) &^ 4095
	_, _, e := unix.Syscall(unix.SYS_MPROTECT, page, 4096, write)
	a.say("mprotect: %v", e)
}
