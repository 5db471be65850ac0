// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Command nodes is the workload of keep's tests that uses what a program finds
// in its tree beside its files.
package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

func main() {
	switch args := os.Args[2:]; os.Args[1] {
	case "devices":
		devices()
	case "cat":
		for _, name := range args {
			b, err := os.ReadFile(name)
			if err != nil {
				fmt.Println(err)
				continue
			}
			fmt.Println(string(b))
		}
	case "evidence":
		evidence(args)
	default:
		fmt.Fprintln(os.Stderr, "unknown:", os.Args[1])
		os.Exit(1)
	}
}

func devices() {
	b, _ := os.ReadFile("/dev/null")
	fmt.Printf("null: %d bytes, write %v\n", len(b), os.WriteFile("/dev/null", []byte("x"), 0o600))
	for _, name := range []string{"zero", "random", "urandom"} {
		b := make([]byte, 32)
		f, err := os.Open("/dev/" + name)
		if err == nil {
			_, err = io.ReadFull(f, b)
			f.Close()
		}
		ok := err == nil && bytes.Equal(b, make([]byte, 32)) == (name == "zero")
		fmt.Printf("%s: %t, write %v\n", name, ok, os.WriteFile("/dev/"+name, []byte("x"), 0o600))
	}
	fmt.Println("create in /dev:", os.WriteFile("/dev/new", nil, 0o600) != nil)

	for _, name := range []string{"/tmp/a", "/tmp/b", "/tmp/c"} {
		os.WriteFile(name, []byte("written back"), 0o600)
	}
	b, _ = os.ReadFile("/tmp/b")
	full := os.WriteFile("/tmp/d", nil, 0o600) != nil && os.WriteFile("/tmp/a", make([]byte, 1001), 0o600) != nil
	var names []string
	entries, _ := os.ReadDir("/tmp")
	for _, e := range entries {
		names = append(names, e.Name())
	}
	fmt.Printf("/tmp: %s, then full: %t, names %v\n", b, full, names)

	b, _ = os.ReadFile("/data/in.txt")
	fmt.Printf("/data: %s, read-only %t\n", b, os.WriteFile("/data/new", nil, 0o600) != nil)
	err := os.WriteFile("/data/cache/x", []byte("0123456789"), 0o600)
	b, _ = os.ReadFile("/data/cache/x")
	fmt.Printf("/data/cache: %s, then full: %t\n", b, err == nil && os.WriteFile("/data/cache/x", make([]byte, 11), 0o600) != nil)
}

// evidence asks for evidence over each argument, hexadecimal, and prints it; an
// argument N* asks N times for the same and prints the seconds that it took.
func evidence(args []string) {
	for _, arg := range args {
		f, err := os.OpenFile("/dev/enarx/evidence", os.O_RDWR, 0)
		if err != nil {
			fmt.Println(err)
			continue
		}
		times := 1
		if n, data, ok := bytes.Cut([]byte(arg), []byte("*")); ok {
			times, _ = strconv.Atoi(string(n))
			arg = string(data)
		}
		data, err := hex.DecodeString(arg)
		begin := time.Now()
		var doc []byte
		for i := 0; i < times && err == nil; i++ {
			if _, err = f.Write(data); err == nil {
				doc, err = io.ReadAll(f)
			}
		}
		switch {
		case err != nil:
			fmt.Println(err)
		case times > 1:
			fmt.Println(int(time.Since(begin).Seconds()))
		default:
			fmt.Println(hex.EncodeToString(doc))
		}
		f.Close()
	}
}
