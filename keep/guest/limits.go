// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest

import "time"

const (
	// maxModule bounds a kernel module of the initrd. The largest that an
	// image has is 160 KiB; the file is measured, so this guards against a
	// broken build only.
	maxModule = 4 << 20
	// maxModules bounds their number: an image for the oldest kernel has ten.
	maxModules = 64
	// maxSmallFile bounds what is read from one file of proc or sysfs.
	maxSmallFile = 64 << 10
	// maxPorts bounds the virtio ports that are looked at. A Keep's machine
	// has two; a host that offers thousands gains nothing by them.
	maxPorts = 32
	// maxThreads, maxOpenFiles: as on platform process.
	maxThreads   = 256
	maxOpenFiles = 4096
	// nobody is the user and group of the Keep outside its user namespace.
	nobody = 65534
)

const (
	// portTimeout is how long the two ports may take to appear and to be
	// connected. The kernel hears of ports from the host after it has started
	// /init; a loader connects before it starts the machine, or at once.
	portTimeout = 30 * time.Second
	// seedTimeout is how long the kernel's generator may take to be seeded.
	// With RDRAND it is before /init; jitter alone takes a second or two.
	seedTimeout = 20 * time.Second
	// wordTimeout bounds one write to a host that does not read.
	wordTimeout = 5 * time.Second
	// byeTimeout is how long the host may take to note the goodbye.
	byeTimeout = time.Second
	// pause between two looks at something that will come.
	pause = 5 * time.Millisecond
)
