// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Command enarx is the program that people install: it runs a WebAssembly
// workload in a Keep on this machine (run), deploys one to a machine that
// nobody trusts (deploy) and watches over it (ps, logs, attach, stop,
// inspect), is the daemon of such a machine (agent), and makes and shows
// bundles (init, workload), platforms (platform) and reference values
// (reference).
//
// The voice of the program, the same in every command:
//
//   - Data goes to stdout. Everything else goes to stderr and every line of it
//     begins with "enarx: ", so that it can be told from what the workload
//     writes there.
//   - An error is lower case and says what was being done, what was seen and
//     what was expected. What to do next follows as "enarx: hint: ".
//   - What weakens protection is said as "enarx: warning: ", always, also in a
//     pipe. Progress and timings appear on a terminal only.
//   - The exit code of a workload passes through. Failures of enarx itself have
//     the codes of exitcodes.go; --json tells the two apart.
//   - Flags that begin with --insecure- are read from the command line and from
//     nowhere else.
//
// Every command is one file, built on app (the streams), cliError (an error
// with its exit code and hint) and progress (the steps). The user stories in
// testdata/*.txt are both tests and documentation.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
