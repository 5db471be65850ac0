// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import "time"

// Sizes of a Keep.
const (
	// defaultMemory is a vm Keep's size unless the Spec names one: hello boots
	// in 96 MiB, a large module needs more.
	defaultMemory = 256 << 20
	// defaultFirmwareMemory is the same where UEFI firmware boots first, which
	// takes some 100 MiB for itself.
	defaultFirmwareMemory = 512 << 20
	// minMemory and minFirmwareMemory are the smallest powers of two in which
	// the kernel and an initrd of a few MiB boot.
	minMemory         = 128 << 20
	minFirmwareMemory = 256 << 20
	// maxVCPUs is what q35 can have without further devices.
	maxVCPUs = 255

	// translated is QEMU's buffer of translated code under TCG. Its default
	// is up to 1 GiB, which would count against every Keep's limit.
	translated = 96 << 20
	// qemuMemory is what QEMU needs beside the guest's memory and translated
	// code: heap, device models, page tables, the image while it is copied
	// into the guest. Measured: 60 to 90 MiB.
	qemuMemory = 192 << 20
	// tpmMemory is for the software TPM, in the same control group: some
	// 10 MiB.
	tpmMemory = 32 << 20
	// maxTasks bounds the threads of QEMU (its own, workers for disk and
	// start) beside one per virtual CPU, and those of the software TPM.
	maxTasks = 64
	// maxOpenFiles bounds QEMU's descriptors. It holds some 40.
	maxOpenFiles = 256
)

// What is read from the guest and from QEMU, both hostile.
const (
	// maxStderr bounds the Keep runtime's words that are passed on, as on
	// platform process.
	maxStderr = 64 << 10
	// maxWords bounds what a guest may say on port enarx.words in its life.
	// What is passed on is far less; a guest that goes on has gone wrong and
	// costs the host a processor.
	maxWords = 64 << 20
	// maxComplaints is how much of QEMU's and swtpm's own words is kept, the
	// last of them: the error is at the end.
	maxComplaints = 4 << 10
	// maxMessage is the longest line of QMP. Events have some 200 bytes, the
	// greeting 300.
	maxMessage = 64 << 10
	// maxMessages bounds the messages of QEMU in a Keep's life. A guest can
	// cause some (a port opened and closed), at most one per second and kind.
	maxMessages = 1 << 20
	// maxELF bounds the Keep runtime that is hashed.
	maxELF = 512 << 20
	// maxFirmware bounds firmware and its variables: flash of q35 is at most
	// 8 MiB, TDX images have 4.
	maxFirmware = 16 << 20
)

// Times.
const (
	// bootTCG and bootKVM are how long the guest may take until it opens the
	// sallyport; firmware comes on top. Under TCG a quiet machine takes 3 to
	// 5 s and one with four boots per core four times that.
	bootTCG     = 90 * time.Second
	bootKVM     = 20 * time.Second
	firmwareTCG = 90 * time.Second
	firmwareKVM = 20 * time.Second
	// goodbyeTime is how long power-off may take after the goodbye: the guest
	// wipes its memory in between.
	goodbyeTimeTCG = 30 * time.Second
	goodbyeTimeKVM = 10 * time.Second
	// leaveTime is how long a guest may take to say goodbye once its
	// sallyport is closed.
	leaveTimeTCG = 15 * time.Second
	leaveTimeKVM = 5 * time.Second
	// workTCG is how many times slower emulated code is, at the worst of what
	// was measured (compiling a large module).
	workTCG = 30
	// answerTime bounds QEMU's answer to one command, and the start of the
	// program itself on a busy machine.
	answerTime = 30 * time.Second
	// describeTime bounds a program that describes itself (-version).
	describeTime = 20 * time.Second
	// setupTime bounds the making of a TPM: it searches for primes.
	setupTime = 90 * time.Second
)

// nobody is the user and group that owns nothing, by convention of Linux
// distributions and the kernel's own overflow ID.
const nobody = 65534
