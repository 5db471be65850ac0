// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// everyCommand calls f with each command of the program that is our own.
func everyCommand(t *testing.T, f func(t *testing.T, c *cobra.Command)) {
	t.Helper()
	a := &app{stdin: strings.NewReader(""), stdout: &bytes.Buffer{}, ui: newUI(&bytes.Buffer{})}
	n := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		n++
		t.Run(strings.ReplaceAll(c.CommandPath(), " ", "-"), func(t *testing.T) { f(t, c) })
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(a))
	if n < 20 {
		t.Fatalf("only %d commands", n)
	}
}

// TestEveryCommandExplainsItself runs each command with --help: it works, goes
// to stdout, and keeps to the voice.
func TestEveryCommandExplainsItself(t *testing.T) {
	everyCommand(t, func(t *testing.T, c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("short help %q: expected one line without a full stop", c.Short)
		}
		if c.Long == "" && !c.Hidden {
			t.Error("no long help")
		}
		var stdout, stderr bytes.Buffer
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		if code := run(args, strings.NewReader(""), &stdout, &stderr); code != exitOK {
			t.Errorf("--help ends with code %d: %s", code, &stderr)
		}
		if stderr.Len() > 0 {
			t.Errorf("--help writes to stderr: %s", &stderr)
		}
		help := stdout.String()
		if !strings.Contains(help, "Usage:") {
			t.Errorf("--help has no usage: %s", help)
		}
		for line := range strings.Lines(c.Long) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 90 {
				t.Errorf("%d characters in %q: they do not fit on a terminal", n, line)
			}
		}
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" {
				return
			}
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("--%s: help %q: expected words without a full stop", f.Name, f.Usage)
			}
		})
	})
}

// TestEveryCommandIsInTheDocs holds docs/cli.md to the program.
func TestEveryCommandIsInTheDocs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	everyCommand(t, func(t *testing.T, c *cobra.Command) {
		if c.Hidden || c.HasSubCommands() {
			return
		}
		if !strings.Contains(string(doc), "`"+c.CommandPath()) {
			t.Errorf("docs/cli.md does not mention %s", c.CommandPath())
		}
	})
}

// Every code of exitcodes.go is explained where workloads run.
func TestExitCodesAreInTheHelp(t *testing.T) {
	for _, command := range []string{"run", "deploy", "attach"} {
		var stdout bytes.Buffer
		run([]string{command, "--help"}, strings.NewReader(""), &stdout, &bytes.Buffer{})
		for _, e := range exitTable {
			if !strings.Contains(stdout.String(), e.text) {
				t.Errorf("%s --help does not explain %d: %s", command, e.code, e.text)
			}
		}
	}
}

// TestInvariant1WeakeningComesFromTheCommandLine looks at all flags: those that
// weaken are named for it, and nothing but the command line can set one. The
// environment of this test names all of them.
func TestInvariant1WeakeningComesFromTheCommandLine(t *testing.T) {
	found := map[string]bool{}
	everyCommand(t, func(t *testing.T, c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.HasPrefix(f.Name, "insecure-") {
				return
			}
			found[f.Name] = true
			for _, v := range []string{f.Name, "enarx-" + f.Name} {
				t.Setenv(strings.ToUpper(strings.ReplaceAll(v, "-", "_")), "true")
			}
			if f.DefValue != "" && f.DefValue != "false" {
				t.Errorf("--%s is on by default: %q", f.Name, f.DefValue)
			}
		})
		a := &app{stdin: strings.NewReader(""), stdout: &bytes.Buffer{}, ui: newUI(&bytes.Buffer{})}
		fresh, _, err := newRoot(a).Find(strings.Fields(c.CommandPath())[1:])
		if err != nil {
			t.Fatal(err)
		}
		fresh.Flags().VisitAll(func(f *pflag.Flag) {
			if strings.HasPrefix(f.Name, "insecure-") && (f.Changed || f.Value.String() != f.DefValue) {
				t.Errorf("--%s was set by the environment", f.Name)
			}
		})
	})
	if !found["insecure-sim-root"] || !found["insecure-no-tee"] {
		t.Errorf("flags that weaken: %v", found)
	}
}

// TestInvariant1PlatformsNeedTheirFlag goes through every combination of
// platform and weakening flag: no TEE is not accepted but by its own flag, and
// TPMs under roots that were named only.
func TestInvariant1PlatformsNeedTheirFlag(t *testing.T) {
	for _, p := range append([]string{"auto", "", "SIM", "amiga"}, platformNames...) {
		for _, root := range []string{"", "root.pem"} {
			for bits := range 4 {
				f := &trustFlags{simRoot: root, noTEE: bits&1 != 0}
				if bits&2 != 0 {
					f.tpmRoot = []string{"maker.pem"}
				}
				noTEE, tpm := f.noTEE, len(f.tpmRoot) > 0
				got, err := f.checkPlatform(p)
				want := false
				switch p {
				case "auto", "snp", "tdx", "sgx":
					want = root == "" && !noTEE && !tpm
				case "vtpm":
					want = root == "" && !noTEE && tpm
				case "process", "vm":
					want = root == "" && noTEE && !tpm
				case "sim":
					want = root != "" && !noTEE && !tpm
				}
				if (err == nil) != want {
					t.Errorf("%q, sim root %q, no TEE %v, TPM root %v: %v, %v", p, root, noTEE, tpm, got, err)
				}
				for _, g := range got {
					if p == "auto" && g != "snp" && g != "tdx" && g != "sgx" {
						t.Errorf("auto asks for %s", g)
					}
				}
			}
		}
	}
}
