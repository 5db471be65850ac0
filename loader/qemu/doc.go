// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package qemu is the loader of the platforms that are virtual machines: vm,
// vtpm, snp and tdx. A Keep is one machine of QEMU that boots a Keep image
// (package image) and nothing else.
//
//	l, err := qemu.New(qemu.Options{Platform: attest.PlatformVM, Image: dir})
//	k, err := l.Start(ctx, spec, record)
//
// On vm and vtpm whoever administers the host can see inside the machine. On
// vtpm a TPM proves what was booted, and this host owns that TPM.
//
// # What is started
//
// The image is read once and copied into sealed memory, and compared with its
// manifest while it is read. [loader.Spec.Keep] must be the Keep runtime that the
// manifest names: the machine runs the image's copy of it, and refusing every
// other file keeps the promise that a loader starts the file it was given.
//
//	vm     kernel, initrd and command line, handed over by QEMU; q35 under TCG,
//	       microvm under KVM
//	vtpm   OVMF, which boots the image's disk (with Options.Direct: the kernel),
//	       and a software TPM (swtpm) that is made for this Keep
//	snp    OVMF with kernel hashes, host data; QEMU 9.1 or later
//	tdx    TDVF, MRCONFIGID; QEMU 10.1 or later
//
// The command lines of snp and tdx are held against QEMU's own parser in tests;
// launching them is unverified on hardware.
//
// The machine has a virtio-serial device with two ports (internal/guestport), a
// pvpanic device to tell of panics, on vtpm a disk and a TPM, and no network
// device. QEMU gets everything that it opens as inherited descriptors: sockets,
// firmware, kernel, disk. It runs in a session, without a network, behind its own
// system call filter and a Landlock domain of each Keep's own, in which are the
// system's programs and neither files of the loader nor other Keeps, and as user
// 65534 where the loader is root; control groups
// bound its memory (the guest's and an overhead of some 300 MiB, see limits.go),
// its processors and its threads. Its CPU does not run before these are in place
// and the record for Cleanup is written.
//
// # When a Keep has started
//
// [Loader.Start] returns when the guest has opened its sallyport: QEMU tells of it
// by an event. A machine that ends or hangs before is started once more, and
// [loader.Keep.Layers] has a row "boot" that says so, as has a line on
// [loader.Spec.Stderr]. By AccelAuto the second try is an emulation: KVM is chosen
// where /dev/kvm opens and the CPU has vmx or svm, and even then may not boot.
//
// # How a Keep ends
//
// QEMU's exit status is 0 for a panic as for a good end. The one good end is a
// goodbye on port enarx.words followed by power-off; its status and reason become
// the [loader.Exit]. Everything else has Code -1 and a Reason in words:
//
//	the guest's kernel panicked                    QEMU's event GUEST_PANICKED
//	the guest reset without a goodbye (…)          panic or out of memory, pvpanic not loaded
//	the guest powered off without a goodbye
//	it said goodbye and did not power off          within 10 s, 30 s under TCG; killed
//	it did not end … of its sallyport being closed killed
//	it flooded the port of its last words          more than 64 MiB; killed
//	its software TPM ended …                       killed: it could prove nothing any more
//	QEMU ended …, QEMU took more memory than …     the process itself
//	killed                                         Kill
//
// A guest that hangs or spins after its start is none of these: whoever serves its
// sallyport notes the missing heartbeat and kills it.
//
// # What is left behind
//
// Nothing. QEMU and swtpm are killed with the process of the loader, whatever ends
// that; [Loader.Cleanup] removes control groups and the TPM's state after a
// crash, and would end the processes too. The one thing that a kill -9 can leave is
// an empty file /tmp/.swtpm_setup.pidfile.*, in the half second in which a TPM is
// made: swtpm_setup has that name built in. The agent's systemd unit has a /tmp of
// its own, which goes with it.
//
// # The authority of software TPMs
//
// A TPM's endorsement key has a certificate of the authority in
// Options.TPMAuthority ([OpenTPMAuthority]). Who wants to accept such TPMs names its
// root, tpm-root.pem. The issuer's key stays with the loader's user: neither QEMU,
// swtpm nor a Keep can read it; where the loader is not root, that is Landlock's
// doing.
package qemu
