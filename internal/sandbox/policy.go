// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"slices"

	"golang.org/x/sys/unix"
)

// The system call policies, as data. Whatever is not in a table kills the
// process. To allow a call more, add a line here with its reason; the tests
// take the tables as they are and try every call of the architecture against
// them.

// policy is one named allow list.
type policy struct {
	name  string
	rules []rule
}

// rule is one line of a policy. Several rules of one name are alternatives;
// the first whose conditions all hold decides, and if none does, the call
// kills.
type rule struct {
	call  string // name as in package x/sys/unix, lower case; see numbers_*.go
	when  []cond // all must hold; none means always
	errno uint32 // 0 allows; otherwise the call is not made and returns this
	why   string
}

// cond is a condition on the low 32 bits of an argument: masked with mask they
// equal value. Every argument used here is an int in the kernel, or flags that
// all lie in the low half, so that the upper half cannot change the meaning.
type cond struct {
	arg    int
	mask   uint32
	value  uint32
	ownPID bool // value is the process's own ID, known when the filter is made
}

// allowed counts the calls of which at least one form is allowed.
func (p policy) allowed() int {
	seen := map[string]bool{}
	for _, r := range p.rules {
		if r.errno == 0 {
			seen[r.call] = true
		}
	}
	return len(seen)
}

func is(arg int, value uint32) []cond { return []cond{{arg: arg, mask: ^uint32(0), value: value}} }

// socketOption allows getsockopt(2) to read one option of the socket itself.
// The options that are about its peer stay out of reach: SO_PEERPIDFD makes a
// descriptor of the process at the other end, with which it can be signalled.
func socketOption(name uint32) []cond {
	return append(is(1, unix.SOL_SOCKET), is(2, name)...)
}

func without(arg int, bits uint32) []cond { return []cond{{arg: arg, mask: bits}} }

// threadFlags are the flags of clone(2) that make a thread of this process,
// and otherFlags all that must not be there: no process, no namespace, no
// tracing.
const (
	threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM
	otherFlags  = ^uint32(threadFlags | unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID)
)

// prSetVMA is PR_SET_VMA of linux/prctl.h: it names a mapping.
const prSetVMA = 0x53564d41

// runtimeRules are what a Go program with open stream descriptors cannot do
// without. The most frequent calls come first: the filter is searched in order.
var runtimeRules = []rule{
	{call: "futex", why: "Go scheduler and locks"},
	{call: "read", why: "descriptors held"},
	{call: "write", why: "descriptors held"},
	{call: "epoll_pwait", why: "Go network poller"},
	{call: "epoll_wait", why: "Go network poller, amd64"},
	{call: "recvmsg", why: "control socket, with descriptors"},
	{call: "sendmsg", why: "control socket, with descriptors"},
	{call: "recvfrom", why: "sockets held"},
	{call: "sendto", why: "sockets held"},
	{call: "nanosleep", why: "Go scheduler"},
	{call: "madvise", why: "Go memory allocator"},
	{call: "munmap", why: "Go memory allocator"},
	{call: "close", why: "descriptors held"},
	{call: "fstat", why: "descriptors held"},
	{call: "lseek", why: "descriptors held"},
	{call: "readv", why: "descriptors held"},
	{call: "writev", why: "descriptors held"},
	{call: "pread64", why: "descriptors held"},
	{call: "pwrite64", why: "descriptors held"},
	{call: "shutdown", why: "sockets held"},
	{call: "getsockname", why: "net.FileConn on a received socket"},
	{call: "getpeername", why: "net.FileConn on a received socket"},
	{call: "getsockopt", when: socketOption(unix.SO_TYPE), why: "net.FileConn on a received socket"},
	{call: "getsockopt", when: socketOption(unix.SO_ERROR), why: "why a socket held has failed"},
	{call: "getsockopt", when: socketOption(unix.SO_DOMAIN), why: "what kind of socket a descriptor is"},
	{call: "getsockopt", when: socketOption(unix.SO_PROTOCOL), why: "what kind of socket a descriptor is"},
	{call: "epoll_create1", why: "Go network poller, at first use"},
	{call: "epoll_ctl", why: "Go network poller"},
	{call: "eventfd2", why: "Go network poller, at first use"},
	{call: "poll", why: "waiting for one descriptor, amd64"},
	{call: "ppoll", why: "waiting for one descriptor"},
	{call: "clock_gettime", why: "where the vDSO does not answer"},
	{call: "clock_getres", why: "resolution of the guest's clocks"},
	{call: "clock_nanosleep", why: "sleeping until a time"},
	{call: "gettimeofday", why: "where the vDSO does not answer, amd64"},
	{call: "getrandom", why: "randomness of the Keep"},
	{call: "sched_yield", why: "Go scheduler"},
	{call: "sched_getaffinity", why: "Go scheduler counts its CPUs"},
	{call: "getpid", why: "Go preemption signals itself"},
	{call: "gettid", why: "Go preemption signals itself"},
	{call: "tgkill", when: []cond{{arg: 0, mask: ^uint32(0), ownPID: true}}, why: "Go preemption signals own threads"},
	{call: "rt_sigaction", why: "Go signal handling"},
	{call: "rt_sigprocmask", why: "Go signal handling"},
	{call: "rt_sigreturn", why: "Go signal handling"},
	{call: "sigaltstack", why: "Go signal stacks of new threads"},
	{call: "restart_syscall", why: "the kernel resumes a sleep with it"},
	{call: "exit", why: "a thread ends"},
	{call: "exit_group", why: "the process ends"},
	{call: "clone", when: []cond{
		{arg: 0, mask: threadFlags | otherFlags, value: threadFlags},
	}, why: "new threads of this process, nothing else"},
	{call: "clone3", errno: uint32(unix.ENOSYS), why: "its flags lie in memory where no filter sees them; C libraries fall back to clone"},
	{call: "prctl", when: is(0, prSetVMA), why: "Go names its mappings"},
	{call: "fcntl", when: is(1, unix.F_GETFL), why: "blocking mode of a descriptor"},
	{call: "fcntl", when: is(1, unix.F_SETFL), why: "blocking mode of a descriptor"},
	{call: "fcntl", when: is(1, unix.F_GETFD), why: "close-on-exec flag"},
	{call: "fcntl", when: is(1, unix.F_SETFD), why: "close-on-exec flag"},
	{call: "fcntl", when: is(1, unix.F_DUPFD_CLOEXEC), why: "os.File and net.Conn copy a descriptor held"},
	{call: "splice", errno: uint32(unix.EINVAL), why: "io.Copy tries it and falls back to read and write"},
	{call: "sendfile", errno: uint32(unix.EINVAL), why: "io.Copy tries it and falls back to read and write"},
	{call: "copy_file_range", errno: uint32(unix.ENOSYS), why: "io.Copy tries it and falls back to read and write"},
}

// dataMemory allows memory that is not executable.
var dataMemory = []rule{
	{call: "mmap", when: without(2, unix.PROT_EXEC), why: "Go memory allocator"},
	{call: "mprotect", when: without(2, unix.PROT_EXEC), why: "Go memory allocator"},
}

// codeMemory allows executable memory that is mapped writable first: what a
// compiler does.
var codeMemory = []rule{
	{call: "mmap", when: without(2, unix.PROT_EXEC), why: "Go memory allocator, code under construction"},
	{call: "mprotect", why: "compiled code becomes executable"},
}

// brokerRules are what the Keep's parent needs to serve and outlive its child.
var brokerRules = []rule{
	{call: "pipe2", why: "streams between sessions and the child; io.Copy asks for one as well"},
	{call: "socketpair", when: is(0, unix.AF_UNIX), why: "sockets handed to the child"},
	{call: "memfd_create", why: "sealed memory for the bundle and the secret values"},
	{call: "ftruncate", why: "size of that memory"},
	{call: "fcntl", when: is(1, unix.F_ADD_SEALS), why: "sealing that memory"},
	{call: "fcntl", when: is(1, unix.F_SETPIPE_SZ), why: "room in the output pipes"},
	{call: "waitid", why: "the child's end"},
	{call: "wait4", why: "the child's end, where there are no pidfds"},
	{call: "pidfd_send_signal", why: "ending the child, whose pidfd is held"},
}

// noPipe keeps io.Copy from dying over the pipe that it wants for splice.
var noPipe = []rule{
	{call: "pipe2", errno: uint32(unix.EPERM), why: "io.Copy asks for one before splice and goes on without"},
}

// libraryRules are what the C library of an engine's own program needs beside
// the rules for Go.
var libraryRules = []rule{
	{call: "set_robust_list", why: "each new thread of the C library"},
	{call: "rseq", why: "each new thread of the C library"},
	{call: "brk", why: "the C library's memory allocator"},
	{call: "mremap", why: "the C library's memory allocator grows large blocks; it keeps their protection"},
	{call: "membarrier", when: is(0, membarrierSyncCore), why: "new code becomes visible to all cores, arm64"},
	{call: "membarrier", when: is(0, membarrierRegister), why: "the same, once"},
}

// The commands of membarrier(2) for code that was written by this process.
const (
	membarrierSyncCore = 1 << 5 // MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE
	membarrierRegister = 1 << 6 // MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE
)

// compilerRules are what a compiler that is written in Rust needs beside that.
var compilerRules = []rule{
	{call: "prctl", when: is(0, unix.PR_SET_NAME), why: "Rust names its threads"},
}

// engineLayeringRules let the engine's own program put StageRun on top.
var engineLayeringRules = []rule{
	{call: "seccomp", when: is(0, unix.SECCOMP_SET_MODE_FILTER), why: "the next stage's filter, which can only take away"},
}

// layeringRules let the engine child put StageRun on top of StageCompile.
var layeringRules = []rule{
	{call: "seccomp", when: is(0, unix.SECCOMP_SET_MODE_FILTER), why: "the next stage's filter, which can only take away"},
	{call: "prctl", when: is(0, unix.PR_SET_NO_NEW_PRIVS), why: "the next stage sets it again"},
	{call: "landlock_create_ruleset", why: "the next stage's layer, which can only take away"},
	{call: "landlock_add_rule", why: "the next stage's layer"},
	{call: "landlock_restrict_self", why: "the next stage's layer"},
}

// readFileRules read files that Landlock and the root directory leave in reach.
var readFileRules = []rule{
	{call: "openat", why: "files of lent directories, compiled code"},
	{call: "newfstatat", why: "files of lent directories, compiled code"},
	{call: "readlinkat", why: "symbolic links in lent directories"},
	{call: "getdents64", why: "listing lent directories"},
	{call: "fadvise64", why: "fd_advise of WASI"},
}

// writeFileRules change files that Landlock and the root directory leave
// writable.
var writeFileRules = []rule{
	{call: "mkdirat", why: "directories, also of the compile cache"},
	{call: "unlinkat", why: "removal, also of the compile cache's temporary files"},
	{call: "renameat", why: "renaming, also of the compile cache's finished files"},
	{call: "fsync", why: "fd_sync, compile cache"},
	{call: "fdatasync", why: "fd_datasync"},
	{call: "ftruncate", why: "fd_filestat_set_size"},
	{call: "fallocate", why: "fd_allocate"},
	{call: "linkat", why: "path_link"},
	{call: "symlinkat", why: "path_symlink"},
	{call: "utimensat", why: "fd_filestat_set_times, path_filestat_set_times"},
}

// rebootRules end a machine, and do nothing else that reboot(2) can.
var rebootRules = []rule{
	{call: "reboot", when: is(2, unix.LINUX_REBOOT_CMD_POWER_OFF), why: "the end of the machine"},
	{call: "reboot", when: is(2, unix.LINUX_REBOOT_CMD_RESTART), why: "the end of a machine that cannot power off"},
	{call: "waitid", why: "the Keep's end"},
	{call: "wait4", why: "the Keep's end, where there are no pidfds"},
}

// fileRules open files where Landlock lets them be opened.
var fileRules = []rule{
	{call: "openat", why: "each report opens the kernel's files anew"},
	{call: "newfstatat", why: "os.Open, on some kinds of file"},
}

// reportRules are the requests of AMD's report device (linux/sev-guest.h):
// SNP_GET_REPORT and SNP_GET_EXT_REPORT. The third, for derived keys, is not
// among them.
var reportRules = []rule{
	{call: "ioctl", when: is(1, 0xc0205300), why: "a report"},
	{call: "ioctl", when: is(1, 0xc0205302), why: "a report with the host's certificates"},
}

// firstPolicy is the first process of a machine after SealFirst.
func firstPolicy(f First) policy {
	p := policy{"first process", slices.Concat(runtimeRules, dataMemory, noPipe, rebootRules)}
	if len(f.Files) > 0 {
		p.rules = slices.Concat(p.rules, fileRules)
	}
	if f.Reports {
		p.name = "first process with reports"
		p.rules = slices.Concat(p.rules, reportRules)
	}
	return p
}

// parentPolicy is the Keep's parent process after SealParent.
func parentPolicy() policy {
	return policy{"keep", slices.Concat(runtimeRules, dataMemory, brokerRules)}
}

// compilePolicy is the engine child in StageCompile.
func compilePolicy(dirs, cache bool) policy {
	p := policy{"compile", slices.Concat(runtimeRules, codeMemory, noPipe, layeringRules)}
	if dirs || cache {
		p.rules = slices.Concat(p.rules, readFileRules, writeFileRules)
	}
	return p
}

// ownProgram ends the names of the policies of an engine's own program.
const ownProgram = ", engine's own program"

// engineCompilePolicy is the engine's own program in StageCompile.
func engineCompilePolicy(dirs bool) policy {
	p := policy{"compile", slices.Concat(runtimeRules, codeMemory, noPipe, libraryRules, compilerRules, engineLayeringRules)}
	if dirs {
		// StageRun can only take away: what it needs must be here.
		p.name = "compile with directories"
		p.rules = slices.Concat(p.rules, readFileRules, writeFileRules)
	}
	p.name += ownProgram
	return p
}

// engineRunPolicy is the engine's own program in StageRun.
func engineRunPolicy(dirs, writable bool) policy {
	p := runPolicy(dirs, writable)
	p.name += ownProgram
	p.rules = slices.Concat(p.rules, libraryRules)
	return p
}

// runPolicy is the engine child in StageRun, the one that faces a hostile
// workload.
func runPolicy(dirs, writable bool) policy {
	p := policy{"run", slices.Concat(runtimeRules, dataMemory, noPipe)}
	if dirs {
		p.name = "run with directories"
		p.rules = slices.Concat(p.rules, readFileRules)
	}
	if writable {
		p.name = "run with writable directories"
		p.rules = slices.Concat(p.rules, writeFileRules)
	}
	return p
}
