// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guestport

// What the guest and the builder of its image agree on.
const (
	// ModulesDir holds the kernel modules in the initial RAM file system,
	// named NN-name.ko or NN-name.ko.xz: the order of their names is the order
	// to load them in. An .xz file is given to finit_module as it is, with
	// MODULE_INIT_COMPRESSED_FILE. Modules that drive hardware which is not
	// there fail with ENODEV, and that is no failure of the boot.
	ModulesDir = "/modules"
	// DebugWord stands in the kernel command line of a debug image and in no
	// other. The kernel takes a word with a dot that it does not know for a
	// module's parameter, and hands it to nobody.
	DebugWord = "enarx.debug=1"
)
