// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package hostprobe looks at a machine and says what it has of what a platform
// needs and what is missing: CPU features, kernel support, device nodes and
// programs. Loaders add to it what they alone know, such as the version of QEMU;
// of platforms that this build cannot start it is all that there is.
//
// It is for people who plan ("would this machine do?"). A machine describes
// itself here, and whoever owns it can make it say anything: no decision may
// rest on a report. What a Keep runs on is proved by evidence and by nothing
// else.
//
// [This] describes the machine that the program runs on; a [Host] over another
// file tree describes that one, which is how the tests probe machines we do
// not have.
package hostprobe
