// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package guest is the first process of a Keep's own machine: /init of an
// image, on every platform that is a virtual machine.
//
// # What it does
//
// It makes a bare kernel fit for a Keep, and then plays the part inside that
// the loader of platform process plays outside:
//
//	boot   a root directory of its own, modules, then no more modules, lockdown,
//	       settings, a seeded random generator, the two ports
//	start  the same ELF again, as the Keep's parent process, in namespaces, with
//	       the sallyport as descriptor 3 and a sandbox.Spec on 4
//	seal   itself: it can only wait, speak and end the machine
//	wait   and pass on what the parent process says
//	end    wipe, say goodbye with the exit status and a reason, power off
//
// The parent process is thus started in the same way, in the same sandbox, by
// the same code as everywhere; what it can do beyond, on this platform, are the
// devices that this package opened for it. A workload meets the sandbox of
// platform process first, and a kernel without network, disk and files behind it.
//
// # What is in the machine
//
// The kernel, its modules named in the image, this program. There is no shell, no
// other program, no network device, no file system on a disk. There is no devtmpfs:
// device nodes are made one by one for what is used (null, two virtio ports), so
// that /dev/mem and its like have no name, and lockdown refuses them besides.
//
// # What is taken from the kernel
//
// Most is on the image's command line, which is measured (package image has it with
// reasons). The rest is here, in harden.go, each setting with its reason: a boot in
// which one of them cannot be made ends. After the boot no module can be loaded,
// no other kernel started, no user namespace made, and what the host plugs in is
// driven by nothing. A machine with a network device is refused.
//
// # In a TEE
//
// The kernel's own reports (configfs-tsm, or AMD's device) are asked by this process
// on the parent process's behalf, because each report opens files anew, which a
// sealed process cannot; its system call filter and Landlock then allow that and no
// more. Whoever could speak to it could have anything reported, and only the parent
// process has the socket.
//
// On snp a kernel that uses ACPI is refused: the host writes those tables, nothing
// measures them, and they hold code. Linux 6.12 boots without them (acpi=off) on
// q35, on one virtual CPU whatever the machine has, without a local APIC: the old
// interrupt controller (8259) delivers virtio's interrupts, the PIT the ticks. That
// was seen under emulation, with SeaBIOS, OVMF and the SEV-capable OVMF; it is
// unverified on hardware. On tdx the tables are measured into RTMR0.
//
// In a TEE the kernel's clock source is the TSC, or the Keep does not start: the
// alternatives are a page that the host writes and timers that are devices of its.
// On tdx the CPU keeps the host from counter and rate. On snp that takes Secure TSC,
// which Linux uses from 6.14 on; before, the host has told the rate and can scale
// the counter, so time may go faster or slower there, as the machine can be
// stopped. The Keep's clock never goes backwards in either case.
//
// Before the first key the kernel's generator is seeded, or the Keep does not start;
// package keep then demands RDRAND and RDSEED on top. Mitigations of side channels
// are the kernel's default (mitigations=auto).
//
// # How the machine ends
//
// By power-off after a goodbye ([guestport.Goodbye]), and in no other good way. A
// kernel panic, also by the end of this process, restarts the machine (panic=-1
// reboot=t); a loader runs it with -no-reboot and sees the difference, and is told
// of the panic itself if the image has pvpanic and the machine its device.
//
// When memory runs out the kernel ends the engine child first, then the parent
// process; this process is exempt and reports it.
//
// # What is wiped
//
// When the Keep's processes are gone the kernel has overwritten the memory that
// they had (init_on_free=1 on the command line), as well as the pipes and sockets
// between them; a test looks for a secret in the memory of a machine that
// has powered off. Dropping caches frees what files have used. Not wiped are the
// registers of the virtual CPU, the kernel's own stacks and whatever it holds
// until power-off, and what the host has seen: ciphertext, the machine's size,
// times. After a panic or a kill nothing is wiped. On a TEE the CPU's key for this
// memory ends with the machine.
//
// # Debug images
//
// An image whose command line has the word enarx.debug=1 ([guestport.DebugWord])
// keeps its console, tells the kernel's log what the boot does, and tells its host
// that it is one. It has no shell either. That word is in the command line, which
// every platform measures: it has another measurement than the release.
package guest
