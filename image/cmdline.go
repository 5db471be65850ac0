// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"strings"

	"github.com/enarx/enarx-go/internal/guestport"
)

// word is one word of the kernel command line, with its reason. The command
// line is measured, so it never depends on the host.
type word struct{ text, why string }

// commonWords are in every image's command line.
var commonWords = []word{
	{"panic=-1", "a panic ends the machine at once; nobody is there to read it"},
	{"oops=panic", "a kernel that has gone wrong does not run on with secrets"},
	{"reboot=t", "restart by triple fault: it needs no ACPI, no keyboard controller, no EFI"},
	{"lsm=landlock,lockdown,yama", "what the Keep uses; no second policy language and no BPF hooks"},
	{"lockdown=confidentiality", "from the start on, even root reads and writes no kernel memory"},
	{"initcall_blacklist=init_ima", "IMA has no policy here and would extend PCR 10, which is to stay zero"},
	{"initcall_blacklist=nvme_init", "built in, and no Keep has a disk: no driver for one that the host plugs in"},
	{"initcall_blacklist=virtio_fs_init", "nor for a file system of the host's"},
	{"initcall_blacklist=packet_init", "no raw packets: there is no network"},
	{"module.sig_enforce=1", "only modules that the kernel's maker has signed, also if lockdown is not there"},
	{"random.trust_cpu=on", "RDRAND counts as entropy: it is inside the TEE"},
	{"random.trust_bootloader=off", "a seed in setup_data comes from the host"},
	{"init_on_alloc=1", "no page or object is handed out with what was in it before"},
	{"init_on_free=1", "what is freed is wiped then, not when it is used again"},
	{"slab_nomerge", "objects of different kinds do not share slabs"},
	{"page_alloc.shuffle=1", "the order of free pages is not the host's to know"},
	{"randomize_kstack_offset=on", "stack frames of system calls lie elsewhere each time"},
	{"vsyscall=none", "no code at a fixed address; nothing static needs it"},
	{"ia32_emulation=off", "no second set of system calls (from 6.7 on; ignored before)"},
	{"debugfs=off", "not even mountable"},
	{"ipv6.disable=1", "there is no network device; do not start a stack for one"},
	{"audit=0", "nobody reads the log"},
	{"cryptomgr.notests", "no self-tests of ciphers that are not used: they take a second under emulation"},
}

// quietWords are for images that people rely on. There is no console= on
// purpose: what the kernel prints is for nobody.
var quietWords = []word{
	{"quiet", "no messages"},
	{"loglevel=0", "no messages of errors either"},
}

// debugWords are for debug images.
var debugWords = []word{
	{"console=ttyS0", "the serial port, which the loader shows"},
	{"earlyprintk=ttyS0", "also what is said before the console is there"},
	{"loglevel=7", "all messages but debugging ones"},
	{guestport.DebugWord, "the mark by which guest and verdict know"},
}

// snpWords follow on snp only. ACPI tables are neither measured there nor
// signed, and AML in them is code that runs in the kernel.
var snpWords = []word{
	{"acpi=off", "code of the host's is not run"},
}

// Cmdlines are the command lines of an image: the first for vm, vtpm and tdx,
// the second for snp.
func Cmdlines(debug bool) (cmdline, snp string) {
	words := quietWords
	if debug {
		words = debugWords
	}
	cmdline = join(commonWords, words)
	return cmdline, cmdline + " " + join(snpWords)
}

func join(lists ...[]word) string {
	var texts []string
	for _, l := range lists {
		for _, w := range l {
			texts = append(texts, w.text)
		}
	}
	return strings.Join(texts, " ")
}
