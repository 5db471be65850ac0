// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !js

package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/enarx/enarx-go/attest/call"
	"github.com/enarx/enarx-go/attest/evidencebundle"
)

// Exit codes, as enarx has them.
const (
	exitYes   = 0
	exitUsage = 121
	exitNo    = 125
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		fmt.Fprintln(stderr, "enarx-verify: takes no arguments, but an evidence bundle or a request in JSON on standard input")
		return exitUsage
	}
	in, err := io.ReadAll(io.LimitReader(stdin, call.MaxRequest+1))
	if err != nil {
		fmt.Fprintln(stderr, "enarx-verify: reading standard input:", err)
		return exitUsage
	}
	r := &call.Request{Evidence: in, Replay: true}
	if _, err := evidencebundle.Open(in); errors.Is(err, evidencebundle.ErrNotBundle) {
		if r, err = call.Parse(in); err != nil {
			fmt.Fprintln(stderr, "enarx-verify:", err)
			return exitUsage
		}
	}
	answer, yes, err := r.Answer()
	if err != nil {
		fmt.Fprintln(stderr, "enarx-verify:", err)
		return exitUsage
	}
	if _, err := stdout.Write(answer); err != nil {
		fmt.Fprintln(stderr, "enarx-verify: writing standard output:", err)
		return exitUsage
	}
	if !yes {
		return exitNo
	}
	return exitYes
}
