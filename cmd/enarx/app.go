// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/client"
)

// app is what every command works with: the streams it was given and what the
// linker put into the program. Commands never touch os.Stdin and its like, so
// that tests can run them in-process.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	ui     *ui
	// exit is the code of a run that has gone well as far as enarx is
	// concerned: the workload's.
	exit int
	// result is the line of --json, which is written when everything else has
	// been: nothing may follow it.
	result *resultLine
	// getenv is os.Getenv, except in tests.
	getenv func(string) string
}

// run is the whole program: it takes arguments and streams and returns the
// exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, ui: newUI(stderr), getenv: os.Getenv}
	return a.execute(args)
}

func (a *app) execute(args []string) (code int) {
	defer func() {
		// A panic here is a defect of enarx. The user gets a line to report
		// and a code, not a page of goroutines.
		if r := recover(); r != nil {
			code = a.report(failf(exitInternal, "please report this line with the command that led to it", "internal defect: %v", r))
		}
	}()
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err != nil {
		return a.report(err)
	}
	if a.result != nil {
		a.ui.result(*a.result)
	}
	return a.exit
}

// report words an error for the user and returns its exit code.
func (a *app) report(err error) int {
	code, hint := exitInternal, ""
	var ce *cliError
	if errors.As(err, &ce) {
		code, hint = ce.code, ce.hint
	}
	if a.ui.jsonErrors {
		line := resultLine{Exit: exitResult{By: "enarx", Code: code, Reason: err.Error(), Hint: hint}}
		var refused *client.RefusedError
		if errors.As(err, &refused) {
			line.Verdict, line.Statement = refused.Verdict, refused.Statement
		}
		a.ui.result(line)
		return code
	}
	for line := range strings.Lines(err.Error()) {
		a.ui.errorf("%s", strings.TrimRight(line, "\n"))
	}
	if hint != "" {
		a.ui.hintf("%s", hint)
	}
	return code
}

// newRoot builds the command tree.
func newRoot(a *app) *cobra.Command {
	root := group("enarx", "Run WebAssembly on a machine you do not trust, and know that you did",
		`enarx runs an unmodified WebAssembly workload in a Keep: on this machine (run)
or on another one that you do not trust (deploy). Before a byte of the workload
leaves, the client has proof of what is at the other end.

`+exitHelp())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.DisableAutoGenTag = true
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.ui.w)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return failf(exitUsage, "see "+c.CommandPath()+" --help", "%s", lowerFirst(err.Error()))
	})
	root.AddGroup(
		&cobra.Group{ID: "here", Title: "Run and deploy:"},
		&cobra.Group{ID: "owner", Title: "Look after a deployment (needs its owner file):"},
		&cobra.Group{ID: "make", Title: "Make and show workloads:"},
		&cobra.Group{ID: "host", Title: "Hosts, platforms and trust:"},
	)
	for _, c := range []struct {
		group string
		cmd   *cobra.Command
	}{
		{"here", newRunCmd(a)},
		{"here", newDeployCmd(a)},
		{"owner", newPsCmd(a)},
		{"owner", newLogsCmd(a)},
		{"owner", newAttachCmd(a)},
		{"owner", newStopCmd(a)},
		{"owner", newInspectCmd(a)},
		{"make", newInitCmd(a)},
		{"make", newWorkloadCmd(a)},
		{"host", newAgentCmd(a)},
		{"host", newPlatformCmd(a)},
		{"host", newImageCmd(a)},
		{"host", newReferenceCmd(a)},
		{"host", newMeasureCmd(a)},
		{"host", newReceiptCmd(a)},
		{"host", newEvidenceCmd(a)},
		{"host", newVerifyCmd(a)},
		{"host", newCollateralCmd(a)},
		{"host", newTCBCmd(a)},
		{"host", newVersionCmd(a)},
	} {
		c.cmd.GroupID = c.group
		root.AddCommand(c.cmd)
	}
	root.AddCommand(newGenManCmd(a))
	return root
}

// group makes a command that only holds others: alone it prints its help, with
// an unknown word it says so and offers what is close to it.
func group(use, short, long string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := "see " + c.CommandPath() + " --help for the list"
			if s := c.SuggestionsFor(args[0]); len(s) > 0 {
				hint = "did you mean " + c.CommandPath() + " " + s[0] + "?"
			}
			return failf(exitUsage, hint, "unknown command %q of %s", args[0], c.CommandPath())
		},
		RunE:                       func(c *cobra.Command, _ []string) error { return c.Help() },
		SuggestionsMinimumDistance: 2,
	}
}

// noArgs refuses arguments.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return failf(exitUsage, "see "+c.CommandPath()+" --help", "unexpected argument %q: %s takes none", args[0], c.CommandPath())
	}
	return nil
}

// oneArg demands exactly one argument, which the user knows as what.
func oneArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch len(args) {
		case 1:
			return nil
		case 0:
			return failf(exitUsage, "see "+c.CommandPath()+" --help", "%s is missing: expected %s", what, c.UseLine())
		}
		return failf(exitUsage, "see "+c.CommandPath()+" --help", "unexpected argument %q after %s %q", args[1], what, args[0])
	}
}

// lowerFirst fits the messages of libraries to our voice.
func lowerFirst(s string) string {
	if len(s) > 1 && s[0] >= 'A' && s[0] <= 'Z' && (s[1] < 'A' || s[1] > 'Z') {
		return string(s[0]+'a'-'A') + s[1:]
	}
	return s
}

// readLimited reads a file of at most limit bytes; what says in errors what the
// file is for. The size is checked before memory is taken.
func readLimited(path, what string, limit int64, code int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(code, what, path, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fileError(code, what, path, err)
	}
	if st.IsDir() {
		return nil, failf(code, "name a file in it", "reading %s: %s is a directory", what, path)
	}
	if st.Size() > limit {
		return nil, failf(code, "", "reading %s: %s has %d bytes, the most accepted is %d", what, path, st.Size(), limit)
	}
	// One byte more than allowed: a pipe or a growing file has no true size.
	var buf bytes.Buffer
	buf.Grow(int(st.Size()) + bytes.MinRead) // a module of 30 MB is read without moving it
	if _, err := buf.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, fileError(code, what, path, err)
	}
	b := buf.Bytes()
	if int64(len(b)) > limit {
		return nil, failf(code, "", "reading %s: %s has more than the accepted %d bytes", what, path, limit)
	}
	return b, nil
}

// fileError words what the file system said.
func fileError(code int, what, path string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return failf(code, "check the path", "reading %s: %s does not exist", what, path)
	case errors.Is(err, os.ErrPermission):
		return failf(code, "check the permissions of the file and of the directories above it", "reading %s: no permission to read %s", what, path)
	}
	return failf(code, "", "reading %s: %w", what, err)
}

// writeFile writes a file so that it is there whole or not at all. With
// exclusive it never replaces one that is there.
func writeFile(path, what string, data []byte, mode os.FileMode, exclusive bool) error {
	if exclusive {
		if _, err := os.Lstat(path); err == nil {
			return failf(exitUsage, "name another file, or move that one away", "writing %s: %s is already there", what, path)
		}
	}
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() && !st.IsDir() {
		return writeDevice(path, what, data)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // the file and not the link to it is replaced
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".enarx-*")
	if err != nil {
		return failf(exitInternal, "check that the directory is there and writable", "writing %s: %w", what, err)
	}
	err = func() error {
		if err := f.Chmod(mode); err != nil {
			return err
		}
		if _, err := f.Write(data); err != nil {
			return err
		}
		return f.Sync()
	}()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && exclusive {
		// Link refuses to replace, also when somebody made the file meanwhile.
		err = os.Link(f.Name(), path)
		os.Remove(f.Name())
	} else if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return failf(exitInternal, "check the free space and the permissions of "+dir, "writing %s to %s: %w", what, path, err)
	}
	return nil
}

// writeDevice writes to what is no file, such as /dev/stdout or a named pipe: a
// rename would put a file in its place.
func writeDevice(path, what string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.Write(data)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		return failf(exitInternal, "", "writing %s to %s: %w", what, path, err)
	}
	return nil
}

// emit writes data to stdout. A reader that has gone away is not an error of
// ours to explain, but it is one to return.
func (a *app) emit(format string, args ...any) error {
	if _, err := fmt.Fprintf(a.stdout, format, args...); err != nil {
		return failf(exitInternal, "", "writing to stdout: %w", err)
	}
	return nil
}
