// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package examples holds programs that run in a Keep, one directory per
// language and story. None of them contains a word about Enarx: each is what a
// programmer of that language would write anyway, built for WASI by that
// language's ordinary compiler.
//
// The tests of this package build every example twice, for WASI and for the
// machine at hand, run the one with enarx and the other as it is, and compare
// standard output and exit code. They also run the commands in each README.
// What they need besides Go is installed by make deps; a tool that is missing
// skips its tests, or fails them where ENARX_REQUIRE_TOOLS is set, as make
// test does.
package examples
