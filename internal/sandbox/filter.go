// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data (linux/seccomp.h): the call's number, the
// architecture, the instruction pointer, then six 64-bit arguments, whose low
// half comes first on the two architectures that we know.
const (
	dataNumber = 0
	dataArch   = 4
	dataArgs   = 16
)

const (
	opLoad  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opAnd   = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opRet   = unix.BPF_RET | unix.BPF_K
)

// assemble turns a policy into a seccomp program for a process of ID pid. The
// program refuses every other architecture: on amd64 a 32-bit system call has
// other numbers. (x32 calls carry bit 30 in the number and so match no rule.)
func assemble(p policy, pid int) ([]unix.SockFilter, error) {
	prog := []unix.SockFilter{
		{Code: opLoad, K: dataArch},
		{Code: opEqual, K: auditArch, Jt: 1},
		{Code: opRet, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: opLoad, K: dataNumber},
	}
	done := map[string]bool{}
	for _, r := range p.rules {
		if done[r.call] {
			continue
		}
		done[r.call] = true
		nr, ok := numbers[r.call]
		if !ok {
			if absent[r.call] {
				continue
			}
			return nil, fmt.Errorf("assemble the system call filter %q: %s has no number on this architecture", p.name, r.call)
		}
		block := callBlock(p, r.call, pid)
		if len(block) > 255 {
			return nil, fmt.Errorf("assemble the system call filter %q: rules for %s take %d instructions, a jump reaches 255", p.name, r.call, len(block))
		}
		prog = append(prog, unix.SockFilter{Code: opEqual, K: nr, Jf: uint8(len(block))})
		prog = append(prog, block...)
	}
	prog = append(prog, unix.SockFilter{Code: opRet, K: unix.SECCOMP_RET_KILL_PROCESS})
	if len(prog) > maxFilter {
		return nil, fmt.Errorf("assemble the system call filter %q: %d instructions, the kernel takes %d", p.name, len(prog), maxFilter)
	}
	return prog, nil
}

// callBlock is the code for one system call. It always ends in a return.
func callBlock(p policy, call string, pid int) []unix.SockFilter {
	var block []unix.SockFilter
	for _, r := range p.rules {
		if r.call != call {
			continue
		}
		ret := unix.SockFilter{Code: opRet, K: unix.SECCOMP_RET_ALLOW}
		if r.errno != 0 {
			ret.K = unix.SECCOMP_RET_ERRNO | r.errno&unix.SECCOMP_RET_DATA
		}
		for i, c := range r.when {
			value := c.value
			if c.ownPID {
				value = uint32(pid)
			}
			// From the comparison to the next alternative: the
			// remaining conditions of three instructions each, and
			// the return.
			skip := uint8(3*(len(r.when)-1-i) + 1)
			block = append(block,
				unix.SockFilter{Code: opLoad, K: dataArgs + 8*uint32(c.arg)},
				unix.SockFilter{Code: opAnd, K: c.mask},
				unix.SockFilter{Code: opEqual, K: value, Jf: skip})
		}
		block = append(block, ret)
		if len(r.when) == 0 {
			return block // further alternatives could never be reached
		}
	}
	return append(block, unix.SockFilter{Code: opRet, K: unix.SECCOMP_RET_KILL_PROCESS})
}
