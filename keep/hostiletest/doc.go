// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package hostiletest is the adversary of the trust model (docs/threat-model.md)
// as code: the host that a client and a Keep meet in the tests of this
// directory. It holds everything that a host holds and nothing more.
//
//   - [Tap] stands in a session's tunnel. It sees TLS records, keeps a copy of
//     each, and forwards, changes, drops, repeats or holds them as a test likes.
//   - [Host] stands in for the host's side of a sallyport. It keeps every
//     request of the Keep and may answer each in its own way. [Channel] keeps
//     the sallyport's raw bytes.
//   - [Fake] is a TLS server that wants to be taken for a Keep: it has a channel
//     key of its own, and may own the throw-away root that a client named.
//
// What the host learnt is [Tap.Shape], the sizes and directions of all records,
// and [Seen], all bytes that passed. Two runs with different workloads must have
// the same shape up to the verdict, and no marker that was planted in a
// workload may ever be among the bytes.
//
// The attacks themselves are the tests of this directory, named for the
// invariant that they attack (DESIGN, section 6). Real Keeps in them are the
// real keep program in its real sandbox (package keeptest). On platform sim the
// host owns the root of all evidence; where a test lets it use that power, it
// stands for a Keep that is genuine and wrong.
package hostiletest
