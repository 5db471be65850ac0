// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// The exit codes of enarx itself. A workload's own code (0 to 255) passes
// through unchanged, so a script that must tell the two apart asks for --json
// and reads exit.by. The range lies below 128 because shells give codes from
// there on to signals, and above what programs commonly use.
const (
	exitOK = 0

	exitInternal = 120 // a defect of enarx, or this machine refused a file or memory
	exitUsage    = 121 // the command line is wrong, or refused as it stands
	exitWorkload = 122 // the module, bundle or Enarx.toml is not usable, or a socket it names cannot be had
	exitPlatform = 123 // the platform does not work here, the Keep runtime is not this build's, or the Keep did not start
	exitTimeout  = 124 // the time limit of the run has passed
	exitAttest   = 125 // attestation, policy or a signature said no
	exitAgent    = 126 // the agent or the network, or something that only the host says and nobody proves
	exitKeep     = 127 // the Keep failed or was lost while the workload ran

	// exitTrap is the code of a workload that trapped (out of bounds,
	// unreachable, …): what a shell shows for a native program that ended by
	// SIGABRT. It counts as the workload's own.
	exitTrap = 134
	// exitSignalBase plus N is the code when enarx received signal N, as in a
	// shell. With exit.by "workload" the Keep says that the signal ended the
	// workload. With "enarx" this side ended without that word (before the
	// workload ran, on the second signal, detaching from it, or because the
	// reader of its output went away): that is the user's doing and no failure
	// of enarx, so it is not one of 120 to 127. A workload that exits by itself
	// before that keeps its own code.
	exitSignalBase = 128
	// exitMax stands for workload codes above 255, which no process on this
	// system can return: cutting them to eight bits could turn a failure
	// into 0.
	exitMax = 255
)

// exitTable explains the codes, in the order of help and man pages.
var exitTable = []struct {
	code int
	text string
}{
	{exitInternal, "enarx itself failed, or this machine refused it a file or memory"},
	{exitUsage, "the command line is wrong, or refused as it stands"},
	{exitWorkload, "the module, bundle, Enarx.toml or a socket it names is not usable"},
	{exitPlatform, "the platform does not work here, or the Keep did not start"},
	{exitTimeout, "the time limit of the run has passed"},
	{exitAttest, "attestation, policy or a signature said no"},
	{exitAgent, "agent, network or a vendor's service failed, or the host's word is all there is"},
	{exitKeep, "the Keep failed or was lost while the workload ran"},
}

// exitHelp is the paragraph on exit codes in the help of commands that run
// workloads.
func exitHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n  0-255    the workload's own code passes through; a trap is 134\n" +
		"  128+N    signal N ended the workload, or enarx without waiting for it\n")
	for _, e := range exitTable {
		fmt.Fprintf(&b, "  %d      %s\n", e.code, e.text)
	}
	b.WriteString("With --json the last line on stderr says whose code it is.")
	return b.String()
}

// cliError is an error with the exit code and the next step that belong to it.
type cliError struct {
	code int
	err  error
	hint string // what to do next, one line; empty if err already says it
}

func (e *cliError) Error() string { return e.err.Error() }
func (e *cliError) Unwrap() error { return e.err }

// failf makes a cliError. hint may be empty.
func failf(code int, hint, format string, args ...any) error {
	return &cliError{code: code, err: fmt.Errorf(format, args...), hint: hint}
}

// fail gives err a code and a hint, unless it already carries them.
func fail(code int, hint string, err error) error {
	return &cliError{code: code, err: err, hint: hint}
}
