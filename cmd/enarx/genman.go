// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newGenManCmd writes the manual pages from the commands themselves, for the
// Makefile and for packagers. It is our own small writer: the one that comes
// with cobra brings a Markdown and a YAML library into the program.
func newGenManCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "gen-man DIR", Short: "Write the manual pages to DIR", Hidden: true,
		Args: oneArg("DIR"),
		RunE: func(c *cobra.Command, args []string) error { return genMan(c.Root(), args[0]) },
	}
}

func genMan(c *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return failf(exitInternal, "", "making the directory of the manual pages: %w", err)
	}
	name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
	if err := writeFile(filepath.Join(dir, name), "a manual page", []byte(manPage(c)), 0o644, false); err != nil {
		return err
	}
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" {
			continue
		}
		if err := genMan(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

// manPage renders one command in man(7) macros. There is no date in it: the
// same source gives the same page.
func manPage(c *cobra.Command) string {
	var b strings.Builder
	title := strings.ReplaceAll(c.CommandPath(), " ", "-")
	fmt.Fprintf(&b, ".TH %q 1 \"\" \"enarx %s\" \"Enarx in Go\"\n", strings.ToUpper(title), roff(version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(title), roff(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.nf\n%s\n.fi\n", roff(c.UseLine()))
	fmt.Fprintf(&b, ".SH DESCRIPTION\n.nf\n%s\n.fi\n", roff(c.Long))
	c.InitDefaultHelpFlag()
	if flags := manFlags(c.NonInheritedFlags()); flags != "" {
		b.WriteString(".SH OPTIONS\n" + flags)
	}
	if c.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(c.Example))
	}
	var also []string
	if c.HasParent() {
		also = append(also, strings.ReplaceAll(c.Parent().CommandPath(), " ", "-"))
	}
	for _, sub := range c.Commands() {
		if !sub.Hidden && sub.Name() != "help" && sub.Name() != "completion" {
			also = append(also, title+"-"+sub.Name())
		}
	}
	if len(also) > 0 {
		b.WriteString(".SH SEE ALSO\n")
		for i, s := range also {
			sep := ","
			if i == len(also)-1 {
				sep = ""
			}
			fmt.Fprintf(&b, ".BR %s (1)%s\n", roff(s), sep)
		}
	}
	return b.String()
}

func manFlags(fs *pflag.FlagSet) string {
	var b strings.Builder
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(name), roff(usage))
	})
	return b.String()
}

// roff escapes text: a backslash, a hyphen that must stay one, and a dot or
// quote that would begin a macro.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
