// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Hello says hello from wherever it runs. It is ordinary Go without a word
// about Enarx: the same file built for the machine at hand prints the same.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

func main() {
	name := "world"
	if len(os.Args) > 1 {
		name = strings.Join(os.Args[1:], " ")
	}
	fmt.Printf("Hello, %s!\n", name)
	if os.Getenv("COUNT_STDIN") != "" {
		lines := 0
		for s := bufio.NewScanner(os.Stdin); s.Scan(); lines++ {
		}
		fmt.Printf("%d lines on stdin\n", lines)
	}
	if code := os.Getenv("EXIT"); code != "" {
		var n int
		if _, err := fmt.Sscan(code, &n); err != nil {
			fmt.Fprintln(os.Stderr, "hello: EXIT is no number:", code)
			os.Exit(2)
		}
		os.Exit(n)
	}
}
