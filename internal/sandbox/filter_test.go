// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// simulate runs a filter as the kernel would, for the instructions we emit.
func simulate(t *testing.T, prog []unix.SockFilter, arch, nr uint32, args [6]uint64) uint32 {
	t.Helper()
	var a uint32
	for pc := 0; pc < len(prog); pc++ {
		in := prog[pc]
		switch in.Code {
		case opLoad:
			switch {
			case in.K == dataNumber:
				a = nr
			case in.K == dataArch:
				a = arch
			case in.K >= dataArgs && (in.K-dataArgs)%8 == 0 && in.K < dataArgs+48:
				a = uint32(args[(in.K-dataArgs)/8])
			default:
				t.Fatalf("instruction %d loads offset %d", pc, in.K)
			}
		case opAnd:
			a &= in.K
		case opEqual:
			if a == in.K {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		case opRet:
			return in.K
		default:
			t.Fatalf("instruction %d has code %#x", pc, in.Code)
		}
	}
	t.Fatal("the filter runs past its end")
	return 0
}

// rulesOf gives the rules for a call number.
func rulesOf(p policy, nr uint32) []rule {
	var rs []rule
	for _, r := range p.rules {
		if n, ok := numbers[r.call]; ok && n == nr {
			rs = append(rs, r)
		}
	}
	return rs
}

func TestEveryRuleHasAReasonAndANumber(t *testing.T) {
	for _, p := range policies() {
		for _, r := range p.rules {
			if r.why == "" {
				t.Errorf("%s: %s has no reason", p.name, r.call)
			}
			if _, ok := numbers[r.call]; !ok && !absent[r.call] {
				t.Errorf("%s: %s has no number", p.name, r.call)
			}
		}
		if _, err := assemble(p, 1); err != nil {
			t.Error(err)
		}
	}
}

// TestInvariant11UnlistedCallsKill_Simulated checks the filters' decision on
// every number there is, and on the numbers of other call conventions.
func TestInvariant11UnlistedCallsKill_Simulated(t *testing.T) {
	for _, p := range policies() {
		prog, err := assemble(p, 7)
		if err != nil {
			t.Fatal(err)
		}
		denied := 0
		for nr := range uint32(1024) {
			got := simulate(t, prog, auditArch, nr, [6]uint64{})
			if len(rulesOf(p, nr)) == 0 {
				denied++
				if got != unix.SECCOMP_RET_KILL_PROCESS {
					t.Errorf("%s: call %d returns %#x, expected kill", p.name, nr, got)
				}
			}
			if r := simulate(t, prog, auditArch, nr|0x40000000, [6]uint64{}); r != unix.SECCOMP_RET_KILL_PROCESS {
				t.Errorf("%s: x32 call %d returns %#x, expected kill", p.name, nr, r)
			}
			if r := simulate(t, prog, unix.AUDIT_ARCH_I386, nr, [6]uint64{}); r != unix.SECCOMP_RET_KILL_PROCESS {
				t.Errorf("%s: 32-bit call %d returns %#x, expected kill", p.name, nr, r)
			}
		}
		if denied < 900 {
			t.Errorf("%s: only %d of 1024 numbers are denied", p.name, denied)
		}
	}
}

// TestInvariant11NeverAllowed names the calls that no policy may ever contain,
// whatever is added to the tables.
func TestInvariant11NeverAllowed(t *testing.T) {
	never := strings.Fields(`execve execveat ptrace process_vm_readv process_vm_writev process_madvise kill tkill
		rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_getfd socket connect bind listen accept accept4 io_uring_setup
		io_uring_enter io_uring_register bpf keyctl add_key request_key userfaultfd perf_event_open mount umount2
		pivot_root chroot open_tree move_mount fsopen fsmount mount_setattr setns unshare fork vfork
		memfd_secret open openat2 creat open_by_handle_at name_to_handle_at capset setuid setresuid prlimit64
		setrlimit ioctl init_module finit_module delete_module kexec_load reboot swapon acct quotactl
		personality modify_ldt process_mrelease inotify_init1 fanotify_init mq_open shmget shmat msgget semget
		sched_setscheduler sched_setattr setpriority setsockopt mknodat arch_prctl kcmp vmsplice`)
	byName := map[string]uint32{}
	for _, c := range allCalls(t) {
		byName[c.name] = c.nr
	}
	for _, p := range policies() {
		for _, name := range never {
			nr, ok := byName[name]
			if ok && len(rulesOf(p, nr)) > 0 && !ofFirstProcess(p, name) {
				t.Errorf("%s allows %s", p.name, name)
			}
		}
	}
	for _, p := range []policy{runPolicy(false, false), engineRunPolicy(false, false)} {
		for _, name := range []string{"pipe2", "socketpair", "memfd_create", "openat", "mkdirat", "seccomp", "landlock_restrict_self"} {
			for _, r := range rulesOf(p, byName[name]) {
				if r.errno == 0 {
					t.Errorf("%s: guest code without directories may call %s", p.name, name)
				}
			}
		}
	}
}

// ofFirstProcess says whether the call is what the first process of a machine is
// there for. It runs nobody's code.
func ofFirstProcess(p policy, call string) bool {
	return strings.HasPrefix(p.name, "first process") && (call == "reboot" || call == "ioctl" && strings.HasSuffix(p.name, "reports"))
}

type condCase struct {
	call string
	args [6]uint64
	want uint32
}

const (
	allow = unix.SECCOMP_RET_ALLOW
	kill  = unix.SECCOMP_RET_KILL_PROCESS
)

func TestInvariant11ArgumentsDecide(t *testing.T) {
	const pid = 4242
	goThread := uint64(threadFlags)
	libcThread := goThread | unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID
	cases := []condCase{
		{"clone", [6]uint64{goThread}, allow},
		{"clone", [6]uint64{libcThread}, allow},
		{"clone", [6]uint64{uint64(unix.SIGCHLD)}, kill},
		{"clone", [6]uint64{unix.CLONE_VM | unix.CLONE_VFORK | uint64(unix.SIGCHLD)}, kill},
		{"clone", [6]uint64{goThread &^ unix.CLONE_THREAD}, kill},
		{"clone3", [6]uint64{}, unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{"mmap", [6]uint64{0, 4096, unix.PROT_READ | unix.PROT_WRITE}, allow},
		{"mmap", [6]uint64{0, 4096, unix.PROT_READ | unix.PROT_EXEC}, kill},
		{"mmap", [6]uint64{0, 4096, 1<<32 | unix.PROT_EXEC}, kill},
		{"mprotect", [6]uint64{0, 4096, unix.PROT_READ}, allow},
		{"mprotect", [6]uint64{0, 4096, unix.PROT_EXEC}, kill},
		{"tgkill", [6]uint64{pid, 1, 23}, allow},
		{"tgkill", [6]uint64{pid + 1, 1, 9}, kill},
		{"tgkill", [6]uint64{0, 1, 9}, kill},
		{"prctl", [6]uint64{prSetVMA}, allow},
		{"prctl", [6]uint64{unix.PR_SET_DUMPABLE, 1}, kill},
		{"prctl", [6]uint64{unix.PR_SET_PDEATHSIG}, kill},
		{"prctl", [6]uint64{unix.PR_SET_SECCOMP}, kill},
		{"fcntl", [6]uint64{3, unix.F_GETFL}, allow},
		{"fcntl", [6]uint64{3, unix.F_DUPFD_CLOEXEC}, allow},
		{"fcntl", [6]uint64{3, unix.F_DUPFD}, kill},
		{"fcntl", [6]uint64{3, unix.F_SETOWN, 1}, kill},
		{"fcntl", [6]uint64{3, unix.F_SETLEASE}, kill},
		{"splice", [6]uint64{}, unix.SECCOMP_RET_ERRNO | uint32(unix.EINVAL)},
	}
	cases = append(cases, socketOptionCases()...)
	for f := range 32 { // every other flag of clone, one by one
		if bit := uint64(1) << f; bit&^libcThread != 0 {
			cases = append(cases, condCase{"clone", [6]uint64{goThread | bit}, kill})
		}
	}
	for _, p := range []policy{runPolicy(false, false), runPolicy(true, true)} {
		checkCases(t, p, pid, cases)
	}
	checkCases(t, parentPolicy(), pid, append(cases,
		condCase{"socketpair", [6]uint64{unix.AF_UNIX}, allow},
		condCase{"socketpair", [6]uint64{unix.AF_INET}, kill},
		condCase{"socketpair", [6]uint64{unix.AF_NETLINK}, kill}))
	checkFirstProcess(t)
	checkCases(t, compilePolicy(false, true), pid, []condCase{
		{"mprotect", [6]uint64{0, 4096, unix.PROT_READ | unix.PROT_EXEC}, allow},
		{"mmap", [6]uint64{0, 4096, unix.PROT_EXEC | unix.PROT_WRITE}, kill},
		{"seccomp", [6]uint64{unix.SECCOMP_SET_MODE_FILTER}, allow},
		{"seccomp", [6]uint64{unix.SECCOMP_GET_NOTIF_SIZES}, kill},
		{"prctl", [6]uint64{unix.PR_SET_NO_NEW_PRIVS, 1}, allow},
	})
}

// checkFirstProcess: of reboot(2) only the two ends of a machine, of AMD's device
// only reports. (With the kernel as judge this would end the tester's machine.)
func checkFirstProcess(t *testing.T) {
	t.Helper()
	const magic1, magic2 = unix.LINUX_REBOOT_MAGIC1, unix.LINUX_REBOOT_MAGIC2
	var cases []condCase
	for _, c := range []struct {
		command uint64
		want    uint32
	}{
		{unix.LINUX_REBOOT_CMD_POWER_OFF, allow}, {unix.LINUX_REBOOT_CMD_RESTART, allow}, {unix.LINUX_REBOOT_CMD_KEXEC, kill},
		{unix.LINUX_REBOOT_CMD_CAD_ON, kill}, {unix.LINUX_REBOOT_CMD_HALT, kill}, {unix.LINUX_REBOOT_CMD_RESTART2, kill},
		{unix.LINUX_REBOOT_CMD_SW_SUSPEND, kill}, {unix.LINUX_REBOOT_CMD_CAD_OFF + 1, kill},
	} {
		cases = append(cases, condCase{"reboot", [6]uint64{magic1, magic2, c.command}, c.want})
	}
	checkCases(t, firstPolicy(First{}), 1, append(cases, condCase{"openat", [6]uint64{}, kill}, condCase{"ioctl", [6]uint64{3, 0xc0205300}, kill}))
	checkCases(t, firstPolicy(First{Files: []string{"/sys"}, Reports: true}), 1, append(cases,
		condCase{"openat", [6]uint64{}, allow},
		condCase{"ioctl", [6]uint64{3, 0xc0205300}, allow}, condCase{"ioctl", [6]uint64{3, 0xc0205302}, allow},
		condCase{"ioctl", [6]uint64{3, 0xc0205301}, kill}, condCase{"ioctl", [6]uint64{0, unix.TIOCSTI}, kill}))
}

// socketOptionCases try every option of a socket at several levels. Four
// options of the socket itself may be read, none of its peer.
func socketOptionCases() []condCase {
	var cases []condCase
	for option := range uint64(256) {
		want := uint32(kill)
		switch option {
		case unix.SO_TYPE, unix.SO_ERROR, unix.SO_DOMAIN, unix.SO_PROTOCOL:
			want = allow
		}
		cases = append(cases, condCase{"getsockopt", [6]uint64{3, unix.SOL_SOCKET, option}, want})
		for _, level := range []uint64{unix.SOL_IP, unix.SOL_TCP, unix.SOL_NETLINK, 1 << 31} {
			cases = append(cases, condCase{"getsockopt", [6]uint64{3, level, option}, kill})
		}
	}
	return cases
}

func checkCases(t *testing.T, p policy, pid int, cases []condCase) {
	t.Helper()
	prog, err := assemble(p, pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if got := simulate(t, prog, auditArch, numbers[c.call], c.args); got != c.want {
			t.Errorf("%s: %s%#x gives %#x, expected %#x", p.name, c.call, c.args, got, c.want)
		}
	}
}

// unfiltered are calls that newer kernels hide from every filter: they work
// only when made from the trampoline of a probe that the kernel itself put
// there, and otherwise end in ENXIO or SIGILL (Linux 6.13 to 6.18,
// kernel/seccomp.c and arch/x86/kernel/uprobes.c).
var unfiltered = map[string]bool{"uprobe": true, "uretprobe": true}

func harmless(o outcome) bool {
	return o.out == fmt.Sprintf("sealed\nreturned %d\n", unix.ENXIO) || o.out == "sealed\n" && o.code != 0
}

// TestInvariant11UnlistedCallsKill_Victims has the kernel decide: for each
// policy and each system call that it does not list, a process dies of it.
func TestInvariant11UnlistedCallsKill_Victims(t *testing.T) {
	calls := allCalls(t)
	for _, p := range policies() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			killed, lived := 0, 0
			each(calls, func(c sysCall) {
				if len(rulesOf(p, c.nr)) > 0 {
					return
				}
				o := runVictim(t, p.name, strconv.Itoa(int(c.nr)))
				if unfiltered[c.name] && o.sealed && (o.sigsys || harmless(o)) {
					return
				}
				if !o.sealed || !o.sigsys {
					t.Errorf("%s was not killed: %+v", c.name, o)
				}
			})
			for _, c := range calls {
				if len(rulesOf(p, c.nr)) > 0 {
					lived++
				} else {
					killed++
				}
			}
			t.Logf("%d calls kill, %d are listed", killed, lived)
		})
	}
}

// each calls f for every system call, two at a time.
func each(calls []sysCall, f func(sysCall)) {
	var wg sync.WaitGroup
	work := make(chan sysCall)
	for range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for c := range work {
				f(c)
			}
		}()
	}
	for _, c := range calls {
		work <- c
	}
	close(work)
	wg.Wait()
}

// endsOrStops are allowed calls that do not return to a program that calls
// them with all arguments zero.
var endsOrStops = map[string]bool{"exit_group": true, "rt_sigreturn": true}

func TestListedCallsDoNotKill(t *testing.T) {
	for _, p := range policies() {
		args := []string{p.name, "many"}
		for _, c := range allCalls(t) {
			rs := rulesOf(p, c.nr)
			if len(rs) > 0 && len(rs[0].when) == 0 && !endsOrStops[c.name] {
				args = append(args, strconv.Itoa(int(c.nr)))
			}
		}
		o := runVictim(t, args...)
		if !o.sealed || o.sigsys || o.code != 0 {
			t.Errorf("%s: %+v", p.name, o)
		}
		if got, want := strings.Count(o.out, "\n"), len(args)-2+1; got != want {
			t.Errorf("%s: the victim made %d calls, expected %d:\n%s", p.name, got-1, want-1, o.out)
		}
		for name := range endsOrStops {
			if o := runVictim(t, p.name, fmt.Sprint(numbers[name])); !o.sealed || o.sigsys {
				t.Errorf("%s: %s: %+v", p.name, name, o)
			}
		}
	}
}

// TestInvariant11ArgumentsDecide_Victims repeats the dangerous arguments with
// the kernel as judge.
func TestInvariant11ArgumentsDecide_Victims(t *testing.T) {
	u := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for _, p := range []string{"run", "run with writable directories", "keep"} {
		for _, c := range [][]string{
			{u(uint64(numbers["mmap"])), "0", "4096", "5", "0x22", "0xffffffffffffffff"},
			{u(uint64(numbers["mprotect"])), "0", "4096", "4"},
			{u(uint64(numbers["clone"])), u(uint64(unix.SIGCHLD))},
			{u(uint64(numbers["clone"])), u(unix.CLONE_NEWUSER | uint64(threadFlags))},
			{u(uint64(numbers["tgkill"])), "1", "1", "0"},
			{u(uint64(numbers["prctl"])), u(unix.PR_SET_DUMPABLE), "1"},
			{u(uint64(numbers["fcntl"])), "1", u(unix.F_SETOWN), "1"},
			{u(uint64(numbers["getsockopt"])), "0", u(unix.SOL_SOCKET), u(unix.SO_PEERPIDFD)},
			{u(uint64(numbers["getsockopt"])), "0", u(unix.SOL_SOCKET), u(unix.SO_PEERCRED)},
			{u(uint64(numbers["getsockopt"])), "0", u(unix.SOL_IP), u(unix.SO_TYPE)},
		} {
			if o := runVictim(t, append([]string{p}, c...)...); !o.sealed || !o.sigsys {
				t.Errorf("%s: %v was not killed: %+v", p, c, o)
			}
		}
		if o := runVictim(t, p, u(uint64(numbers["tgkill"])), "own", "own", "0"); !o.sealed || o.sigsys {
			t.Errorf("%s: a signal to itself killed: %+v", p, o)
		}
		if o := runVictim(t, p, u(uint64(numbers["getsockopt"])), "0", u(unix.SOL_SOCKET), u(unix.SO_TYPE)); !o.sealed || o.sigsys {
			t.Errorf("%s: reading a socket's own type killed: %+v", p, o)
		}
	}
	if o := runVictim(t, "keep", u(unix.SYS_SOCKETPAIR), u(unix.AF_INET), "1"); !o.sigsys {
		t.Errorf("keep: an internet socket pair: %+v", o)
	}
}

// TestOrdinaryWorkSurvives runs threads, garbage collection, timers and copies
// between sockets under every policy.
func TestOrdinaryWorkSurvives(t *testing.T) {
	for _, p := range policies() {
		if o := runVictim(t, p.name, "work"); !o.sealed || !strings.Contains(o.out, "worked") {
			t.Errorf("%s: %+v", p.name, o)
		}
	}
}
