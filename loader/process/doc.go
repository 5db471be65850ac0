// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package process is the loader of platform "process": a Keep that is a child
// process of the host's kernel.
//
// It protects the host from the Keep, and Keeps from one another. It protects
// nothing inside the Keep from the host: whoever administers the host reads
// the Keep's memory. That is why the platform yields no evidence.
//
// # How a Keep starts
//
// The loader makes a Unix stream socket pair, the sallyport, and starts the
// Keep ELF from the open file it was given, with argv "keep process":
//
//	fd 0, 1  /dev/null
//	fd 2     Spec.Stderr through a pipe (bounded), or /dev/null
//	fd 3     the Keep's end of the sallyport
//	fd 4     the read end of a pipe: the sandbox.Spec, then end of file
//	fd 5 …   mounts of lent and cache directories, on a privileged host
//
// The Keep begins in namespaces of its own and waits for the Spec. Control
// groups and the record for Cleanup are in place before the Spec is written,
// so a Keep never runs unlimited or unrecorded; if the loader dies before
// that, the Keep sees the pipe's end and ends. The Keep itself then lowers its
// resource limits and applies the layers that the Spec names, or ends (see
// internal/sandbox): that is why [loader.Keep.Layers] can list them when Start
// returns.
//
// # As which user
//
// A loader that runs as root maps the Keep to user 65534 ("nobody"), which
// owns nothing. Where the user lends directories with --dir, or the Keep ELF
// cannot be executed by others, it maps the Keep to the loader's own user, as
// an unprivileged loader always does, and a layer row says so.
//
// # How a Keep ends
//
// Killing the first process of a process namespace kills all of it, so one
// signal through a pidfd ends parent and engine child. Where namespaces are
// refused, the Keep is a session of its own: its process group and its control
// groups are killed, and the engine child asked for the parent-death signal
// that its filters then keep it from giving back. Besides, a Keep ends by
// itself when its sallyport closes.
//
// # What it leaves to others
//
// The caller owns and closes the host's end of the sallyport, and removes
// StateDir and CacheDir; the loader makes no files in StateDir.
package process
