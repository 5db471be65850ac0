// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Tcb prints what the Keep runtime is made of: every package in it with its
// lines of Go and assembly, by module, and compares that with the file
// cmd/keep/tcb.txt. The file is in the repository so that a change of the
// trusted computing base is a line in a diff that somebody has to defend
// (invariant 8).
//
//	go run ./scripts/tcb          print, compare, fail if different
//	go run ./scripts/tcb -write   write the file
//
// Lines include comments and blank lines. For the project's own packages the
// file holds a ceiling, the next multiple of 250, so that a comment does not
// change it and a new mechanism does. Foreign modules are pinned, so
// their lines are exact. Packages of the standard library are listed by name
// only: they change with the toolchain, which go.mod names.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// file is where the committed list lives.
const file = "cmd/keep/tcb.txt"

// step is what lines of own packages are rounded up to.
const step = 250

// pkg is what go list says of a package.
type pkg struct {
	ImportPath, Dir string
	Standard        bool
	Module          *struct{ Path, Version string }
	GoFiles, SFiles []string
	CgoFiles        []string
}

func main() {
	write := flag.Bool("write", false, "write "+file)
	flag.Parse()
	if err := run(*write, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tcb:", err)
		os.Exit(1)
	}
}

func run(write bool, out io.Writer) error {
	packages, err := list()
	if err != nil {
		return err
	}
	want, err := summarise(packages, out)
	if err != nil {
		return err
	}
	if write {
		return os.WriteFile(file, want, 0o644)
	}
	have, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%w; make tcb-update writes it", err)
	}
	if d := difference(have, want); d != "" {
		return errors.New("the Keep is not what " + file + " says:\n" + d +
			"if that is meant, run make tcb-update and say in the commit why")
	}
	return nil
}

// list asks the go command for everything that goes into the Keep, always for
// the same system and without cgo, so that the answer is the same everywhere.
func list() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,Standard,Module,GoFiles,SFiles,CgoFiles", "./cmd/keep")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	cmd.Stderr = os.Stderr
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -deps ./cmd/keep: %w", err)
	}
	var packages []pkg
	for dec := json.NewDecoder(bytes.NewReader(b)); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}

// summarise prints every package to out and returns the text of the file.
func summarise(packages []pkg, out io.Writer) ([]byte, error) {
	var own, std []string
	foreign := map[string]int{}
	ownLines, foreignLines := 0, 0
	for _, p := range packages {
		if p.Standard {
			std = append(std, "std "+p.ImportPath)
			continue
		}
		if len(p.CgoFiles) > 0 {
			return nil, fmt.Errorf("%s uses cgo; the Keep is one static ELF made from Go source", p.ImportPath)
		}
		n := 0
		for _, f := range append(p.GoFiles, p.SFiles...) {
			b, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				return nil, err
			}
			n += bytes.Count(b, []byte("\n"))
		}
		fmt.Fprintf(out, "%7d  %s\n", n, p.ImportPath)
		if p.Module.Version == "" {
			ownLines += n
			own = append(own, fmt.Sprintf("own %s at most %d lines", p.ImportPath, (n+step-1)/step*step))
		} else {
			foreignLines += n
			foreign[p.Module.Path+" "+p.Module.Version] += n
		}
	}
	fmt.Fprintf(out, "%7d  lines of our own, in %d packages\n%7d  lines of %d foreign modules\n        and %d packages of the standard library\n",
		ownLines, len(own), foreignLines, len(foreign), len(std))
	var mods []string
	for m, n := range foreign {
		mods = append(mods, fmt.Sprintf("module %s %d lines", m, n))
	}
	sort.Strings(own)
	sort.Strings(mods)
	sort.Strings(std)
	head := "# What the Keep runtime is made of (linux/amd64), written by make tcb-update.\n# A change here is a change of the trusted computing base: say why in the commit.\n"
	return []byte(head + strings.Join(append(append(own, mods...), std...), "\n") + "\n"), nil
}

// difference lists the lines that only one of the two has.
func difference(have, want []byte) string {
	in := func(text []byte) map[string]bool {
		m := map[string]bool{}
		for _, l := range strings.Split(string(text), "\n") {
			m[l] = true
		}
		return m
	}
	a, b := in(have), in(want)
	var d []string
	for l := range a {
		if !b[l] {
			d = append(d, "  - "+l+"\n")
		}
	}
	for l := range b {
		if !a[l] {
			d = append(d, "  + "+l+"\n")
		}
	}
	sort.Slice(d, func(i, j int) bool { return d[i][4:] < d[j][4:] })
	return strings.Join(d, "")
}
