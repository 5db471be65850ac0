// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package hostprobe looks at a machine and says, for each platform that this
// build cannot start, what the machine has of it and what is missing: CPU
// features, kernel support, device nodes, programs and firmware.
//
// It is for people who plan ("would this machine do?"), and a loader of such a
// platform can use it for its own Probe. A machine describes itself here, and
// whoever owns it can make it say anything: no decision may rest on a report.
// What a Keep runs on is proved by evidence and by nothing else.
//
// [This] describes the machine that the program runs on; a [Host] over another
// file tree describes that one, which is how the tests probe machines we do
// not have. [Host.Reports] gives the platforms in the order of strength.
package hostprobe
