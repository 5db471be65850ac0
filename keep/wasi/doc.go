// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package wasi is the system interface of a workload: WASI preview 1, all
// functions of module wasi_snapshot_preview1, written against package engine
// alone.
//
// A workload has what its [Config] gives it and nothing else: no host file,
// clock, random source, environment or socket exists by default.
//
//	sys, err := wasi.New(wasi.Config{
//		Args:     []string{"main.wasm"},
//		FDs:      []wasi.Descriptor{wasi.Stdin(in), wasi.Stdout(out), wasi.Stderr(errs)},
//		Preopens: []wasi.Preopen{{Path: "/", FS: tree}},
//		Clock:    clock,
//		Random:   random,
//	})
//	defer sys.Close()
//	inst, err := module.Instantiate(ctx, sys.HostFuncs())
//	err = inst.Call(ctx, "_start") // *engine.ExitError carries the exit code
//
// # Descriptors
//
// Config.FDs come first, the index is the number. Pre-opened directories
// follow, from number 3 on at the earliest, because that is where C libraries
// begin to look for them. They look until the first EBADF; so that they find
// directories behind sockets, fd_prestat_get says of any other descriptor that
// lies below a pre-opened directory that it is pre-opened and no directory
// (tag 1), which they skip.
//
// A stream ([Stream]) is a kernel descriptor ([NewFDStream]) or, for tests and
// simple runs, a Go reader or writer. A [Listener] hands out streams;
// [NewFDListener] gets each one as a descriptor over a Unix socket.
//
// # Files
//
// [NewBundleFS] is a read-only tree over the bytes it was given,
// [NewScratchFS] a bounded tree in memory that can be written, [NewDeviceFS]
// the tree that programs know as /dev, and [NewDirFS] a directory of the host
// for local runs. All of them share one path
// walk, done here and never by the kernel: every component is looked up alone
// and without following links, so that neither "..", nor a symbolic link, nor
// a rename at the wrong moment leads out of a directory. A path that would
// lead out gives EPERM, an absolute one and a link to an absolute one as well.
//
// # What is not there
//
// Of wasi_snapshot_preview1 nothing is missing; clocks of CPU time are
// EINVAL, as the specification demands of clocks that do not exist. The
// older module wasi_unstable is not offered: its layouts differ.
//
// # Security
//
// Every number, address and length from the guest is hostile. It is checked
// before anything is allocated or done, the guest cannot make a call allocate
// more than the limits of limits.go, and no input panics. A guest that breaks
// out of its sandbox has what this process has; see package keep for what
// that is.
//
// System calls on the way of a running guest: read, write, ppoll, recvfrom,
// recvmsg, getsockopt, fstat, fcntl, shutdown and close for streams and
// listeners; openat, newfstatat, readlinkat, pread64, pwrite64, ftruncate,
// fallocate, fsync, fdatasync, utimensat, mkdirat, unlinkat, renameat2,
// linkat, symlinkat, getdents64 for directories of the host.
//
// Source: the witx description of wasi_snapshot_preview1
// (https://github.com/WebAssembly/WASI, legacy/preview1/witx).
package wasi
