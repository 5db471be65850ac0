// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package sandbox is what stands between the two processes of a Keep and the
// kernel under them: a root directory with nothing in it, Landlock, a seccomp
// allow list, no capabilities.
//
// It guards two borders at once. The host is protected from the Keep, and the
// Keep's parent process, which holds the keys and the power to prove, is
// protected from the engine child, which runs the workload's code and is
// assumed to be under the workload's full control once guest code runs
// (invariant 11).
//
// # Order
//
// The loader starts the Keep in fresh namespaces with the sallyport as
// descriptor 3 and the write side of its [Spec] as descriptor 4. The Keep's
// parent then does, before it reads a byte of the sallyport:
//
//	spec, err := sandbox.ReadSpec(4)            // blocks until the loader is ready
//	child, err := sandbox.StartChild(spec, ...) // the same ELF, re-executed; it waits
//	err = sandbox.PrepareRoot(spec)             // new root for both of them
//	layers, err := sandbox.SealParent(spec)     // no capability, Landlock, seccomp
//
// The child is started first because only then is there a /proc through which
// the running ELF can be executed again; it must touch no file until its
// parent's first control message. [PrepareRoot] moves the child's root along
// with the parent's, since both share one mount namespace. The child then does:
//
//	spec, err := sandbox.ChildSpec(arg)
//	layers, err := sandbox.SealChild(spec, sandbox.StageCompile)
//	... compile, make the host trampolines ...
//	layers, err := sandbox.SealChild(spec, sandbox.StageRun)
//	... guest code, only now ...
//
// Stages stack: a later one can take away and never give back.
//
// # In a machine of its own
//
// There the loader's part is played by the machine's first process (package
// keep/guest), with the same descriptors and a Spec of all layers. It seals itself
// with [SealFirst] before it lets the Keep go: whoever takes it over can wait, speak
// and end the machine, and in a TEE have the CPU report, which is why nobody but the
// Keep's parent can talk to it. Spec.ChildFirst makes the engine child the first
// that the kernel ends when memory runs out.
//
// # What is promised
//
// A layer that the Spec asks for either is in force when the function returns
// nil, or the function returns an error and the Keep must end: nothing here
// goes on without a layer it was told to apply. What the host cannot offer is
// left out of the Spec by the loader, which says so to its user. System calls
// outside the allow list kill the process, so an attack leaves a trace instead
// of a retry; a few that libraries try for speed return an error number
// instead (see the table in policy.go).
//
// # What is not promised
//
// A child under a workload's control can use up the memory and processor time
// that the Keep has, and so end it. Threads are different: a quarter of those
// that the Spec allows are out of the child's reach, so that its parent
// outlives it and reports. That quarter is missing where the Spec has no limit
// on threads (a host without process namespaces, where only the control group
// counts, for both together) and where the Keep runs as the host's root, whom
// Linux exempts: there a hostile child can end its parent, and the host sees a
// Keep that died without a last word.
//
// The kernel itself is trusted to keep these promises, and so is the host's
// administrator: a process Keep hides nothing from root on its host. Timing
// and cache side channels between parent and child are not closed here. On a
// host that refuses namespaces the file system is guarded by Landlock alone,
// which does not cover metadata calls such as stat and chmod, so a lent
// directory makes the existence of other paths visible there.
//
// Programs that use this package are built with CGO_ENABLED=0: the layers
// must reach every thread, and with cgo in the program that takes a view of
// /proc that no longer exists after PrepareRoot.
package sandbox
