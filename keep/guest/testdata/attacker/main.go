// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Command attacker is a Keep that was taken over before it sealed itself: its
// parent process has the machine's namespaces around it and no system call
// filter, no Landlock and all capabilities of its own user namespace. It tries
// whatever would reach the machine, and tells on the sallyport how each went.
//
// Started as /init with the argument crash, its first process panics.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/sandbox"
	"github.com/enarx/enarx-go/keep/guest"
)

func main() {
	if guest.IsInit() {
		if len(os.Args) > 1 && os.Args[1] == "crash" {
			go func() {
				time.Sleep(2 * time.Second)
				panic("as asked")
			}()
		}
		guest.Main()
	}
	if _, err := sandbox.ReadSpec(sandbox.SpecFD); err != nil {
		fmt.Fprintln(os.Stderr, "attacker:", err)
		os.Exit(1)
	}
	port := os.NewFile(sandbox.SallyportFD, "sallyport")
	for s := bufio.NewScanner(port); s.Scan(); {
		switch s.Text() {
		case "attack":
			for _, a := range attacks() {
				fmt.Fprintf(port, "%s\t%s\n", a.name, result(a.try))
			}
			fmt.Fprintln(port, "done\t")
		case "remember":
			remember()
			fmt.Fprintln(port, "remembered")
		case "exit":
			os.Exit(0)
		}
	}
}

// memory holds a secret, many times over.
var memory []byte

// remember computes the secret, so that it is in no file and on no port.
func remember() {
	secret := sha256.Sum256([]byte("a Keep's secret"))
	memory = bytes.Repeat(secret[:], 8<<20/len(secret))
}

type attack struct {
	name string
	try  func() (string, error)
}

func result(try func() (string, error)) string {
	s, err := try()
	var e unix.Errno
	if err != nil {
		if pe, ok := err.(*os.PathError); ok {
			err = pe.Err
		}
		if se, ok := err.(*os.SyscallError); ok {
			err = se.Err
		}
		var ok bool
		if e, ok = err.(unix.Errno); ok {
			return unix.ErrnoName(e)
		}
		return "error " + err.Error()
	}
	return "ok " + strings.ReplaceAll(s, "\n", "|")
}

func call(nr uintptr, args ...uintptr) (string, error) {
	var a [6]uintptr
	copy(a[:], args)
	r, _, e := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if e != 0 {
		return "", e
	}
	return fmt.Sprint(r), nil
}

func read(name string) func() (string, error) {
	return func() (string, error) {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		b := make([]byte, 4096)
		n, err := f.Read(b)
		return string(b[:n]), err
	}
}

func open(name string) func() (string, error) {
	return func() (string, error) {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err == nil {
			f.Close()
		}
		return "", err
	}
}

func list(name string) func() (string, error) {
	return func() (string, error) {
		es, err := os.ReadDir(name)
		var names []string
		for _, e := range es {
			names = append(names, e.Name())
		}
		return strings.Join(names, " "), err
	}
}

func write(name, value string) func() (string, error) {
	return func() (string, error) {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return "", err
		}
		defer f.Close()
		_, err = f.WriteString(value)
		return "", err
	}
}

func mount(kind string) func() (string, error) {
	return func() (string, error) { return "", unix.Mount("x", "/proc", kind, 0, "") }
}
