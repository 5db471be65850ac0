// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Reads and writes files through the Go library.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	b, err := os.ReadFile("/data/in.txt")
	check(err)
	check(os.MkdirAll("/tmp/a/b", 0o755))
	check(os.WriteFile("/tmp/a/b/out.txt", b, 0o644))
	check(os.Rename("/tmp/a/b/out.txt", "/tmp/out.txt"))
	b, err = os.ReadFile("/tmp/out.txt")
	check(err)
	names, err := os.ReadDir("/data")
	check(err)
	if os.WriteFile("/data/in.txt", nil, 0o644) == nil {
		panic("a bundle file was written")
	}
	if _, err := os.Open("/etc/passwd"); err == nil {
		panic("a file outside was opened")
	}
	time.Sleep(time.Millisecond)
	check(os.RemoveAll("/tmp/a"))
	fmt.Printf("%d names, %s", len(names), b)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
