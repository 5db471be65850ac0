// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package eventlog reads logs of measurements and replays them: what was
// extended into which register, in order. A log proves nothing; a register that
// hardware signed proves the log that replays to it.
//
// Three forms are known:
//
//   - crypto-agile logs (TCG PC Client Platform Firmware Profile, section
//     10.2.2: TCG_PCR_EVENT2 after a Spec ID event of version 3), which TPMs and,
//     in the table that CCEL points to, TDs have;
//   - TCG 1.2 logs (the same, section 10.2.1: TCG_PCR_EVENT, SHA-1 only), with or
//     without a Spec ID event at their head;
//   - the log of dstack, JSON, of SHA-384 digests for a TD's four registers.
//
// [Parse] takes a binary log whole: every event, to the last byte, within its
// limits. Only a firmware's unused buffer, all 0xff, may follow. Events of type
// EV_NO_ACTION are kept and never extended; one of them, StartupLocality, says
// where PCR0 starts. What the other events say of themselves (their data) is not
// looked at: a digest is of a boot loader as often as of the data beside it.
//
// Index 1 to 4 of a TD's log are RTMR0 to RTMR3; index 0 is MRTD, which is not
// extended but built (Intel TDX Virtual Firmware Design Guide, section 8.2).
package eventlog
