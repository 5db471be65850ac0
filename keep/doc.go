// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package keep is the life of a Keep inside its TEE. Read keep.go first: it
// tells the whole of it in order.
//
//	boot      seal the process, meet the host, check the entropy
//	identity  make the channel key and the identity key
//	attest    serve sessions; prove to each what this Keep is
//	receive   the session that claims the Keep sends its bundle
//	check     digest, confidentiality, secrets, configuration
//	run       the engine child runs the workload, this process moves its bytes
//	exit      tell the owner how it ended, seal the record, wipe, end
//
// A Keep runs one workload and then ends. It believes nobody: the host can
// stop it but not change it, a client proves nothing and is asked for nothing
// until it claims, and the engine child is treated as the workload's own.
//
// Two processes share this life (invariant 11). The parent, this package, holds
// the keys, the evidence source, TLS, the sallyport and the session. The engine
// child, package child, is the same ELF executed again with nothing to prove
// with; it compiles and runs the workload's code behind seccomp and Landlock
// and reaches the world only through descriptors that the parent made for it.
package keep
