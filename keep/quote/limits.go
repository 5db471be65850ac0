// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import "time"

// Limits on what devices say. On platform vtpm the TPM is the host's.
const (
	// maxTPMResponse is what the Linux driver hands over at most for one
	// command (TPM_BUFSIZE).
	maxTPMResponse = 4096
	// nvChunk is how much one read of that memory asks for: every TPM allows
	// 512 (TPM_PT_NV_BUFFER_MAX of the PC Client profile).
	nvChunk = 512
	// activationTimeout bounds one answer to a challenge: a TPM decrypts with
	// RSA in a fraction of a second.
	activationTimeout = 30 * time.Second
	// quoteTries is how often a quote is made anew because a PCR changed
	// between the quote and the reading of the PCRs. After boot nothing
	// extends any but the Keep itself.
	quoteTries = 4
	// busyTries is how often a command is repeated that the TPM is too busy
	// for, with busyWait in between.
	busyTries = 50
	busyWait  = 20 * time.Millisecond

	// maxReport is the most that the kernel gives as outblob, manifestblob or
	// auxblob (TSM_REPORT_OUTBLOB_MAX; 16 MiB for certificates from 6.16 on,
	// of which no more than this is passed on).
	maxReport = 32 << 10
	// maxRefusal bounds the text with which a request for a report fails.
	maxRefusal = 1024
	// reportTries is how often a report is asked for anew because something
	// else used the same entry in between.
	reportTries = 4
	// maxTable bounds the rows of a certificate table: three certificates and
	// a revocation list are what hosts give.
	maxTable = 16
)
