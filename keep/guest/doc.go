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
// between them. Dropping caches frees what files have used. Not wiped are the
// registers of the virtual CPU, the kernel's own stacks and whatever it holds
// until power-off, and what the host has seen: ciphertext, the machine's size,
// times. On a TEE the CPU's key for this memory ends with the machine.
package guest
