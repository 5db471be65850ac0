// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/keep/session"
)

func TestStepsFitTheTerminal(t *testing.T) {
	for _, width := range []int{minWidth, 60, 80, maxWidth} {
		u := &ui{w: &bytes.Buffer{}, terminal: true, width: width}
		for _, name := range []string{"pack", "attested channel", strings.Repeat("long", 9)} {
			for _, detail := range []string{"", "bundle:sha256:0123456789abcdef…  1.2 MiB", strings.Repeat("ü", 200)} {
				for _, d := range []time.Duration{0, 999 * time.Microsecond, 1234567 * time.Nanosecond, 12 * time.Second} {
					line := u.formatStep(name, detail, d)
					n := utf8.RuneCountInString(line)
					// Only an endless name may push the time to the right.
					if n != width && (len(name) < 20 || width >= 80) {
						t.Errorf("width %d: %d characters: %q", width, n, line)
					}
					if !strings.HasSuffix(line, formatDuration(d)) || !strings.HasPrefix(line, "enarx: ") {
						t.Errorf("width %d: %q", width, line)
					}
				}
			}
		}
	}
}

// In a pipe there are neither steps nor colours; on a terminal there are.
func TestProgressIsForTerminals(t *testing.T) {
	var pipe, screen bytes.Buffer
	newUI(&pipe).step("pack", "x", time.Millisecond)
	(&ui{w: &screen, terminal: true, width: 80}).step("pack", "x", time.Millisecond)
	if pipe.Len() != 0 {
		t.Errorf("in a pipe: %q", &pipe)
	}
	if want := "enarx: pack                x" + strings.Repeat(" ", 44) + "  1.0 ms\n"; screen.String() != want {
		t.Errorf("on a terminal:\n%q, want\n%q", screen.String(), want)
	}
	var quiet bytes.Buffer
	(&ui{w: &quiet, terminal: true, quiet: true, width: 80}).step("pack", "x", time.Millisecond)
	if quiet.Len() != 0 {
		t.Errorf("quiet: %q", &quiet)
	}
}

// What comes from elsewhere cannot act on the terminal or begin a line of its
// own that looks like ours.
func TestInvariant4TextFromElsewhereIsHarmless(t *testing.T) {
	var b bytes.Buffer
	u := newUI(&b)
	u.warningf("%s", "a\x1b[2J\r\nenarx: all is well\u202eb\u0085\x7f\x00")
	got := b.String()
	if strings.Count(got, "\n") != 1 || strings.ContainsAny(strings.TrimSuffix(got, "\n"), "\x1b\r\x00\x7f\u202e\u0085") {
		t.Errorf("%q", got)
	}
	a := &app{ui: newUI(&b)}
	b.Reset()
	a.report(failf(exitAgent, "x\ny", "one\ntwo\x1b"))
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "enarx: ") || strings.Contains(line, "\x1b") {
			t.Errorf("%q", line)
		}
	}
}

// A line of ours never continues one of the workload's, and the result is the
// last thing written.
func TestResultHasALineOfItsOwn(t *testing.T) {
	var b bytes.Buffer
	u := newUI(&b)
	u.workloadStream().Write([]byte(`{"exit":{"by":"workload","code":0}}` + "\nno end"))
	u.result(resultLine{Exit: exitResult{By: "enarx", Code: 127}})
	if !strings.HasSuffix(b.String(), "no end\n{\"exit\":{\"by\":\"enarx\",\"code\":127}}\n") {
		t.Errorf("%q", &b)
	}
}

// Whatever still has something to say after the result has come too late: a
// workload that was given up, a warning of cleaning up.
func TestResultIsTheLastLine(t *testing.T) {
	var b bytes.Buffer
	a := &app{stdout: &bytes.Buffer{}, ui: newUI(&b)}
	a.ui.result(resultLine{Exit: exitResult{By: "enarx", Code: 143}})
	want := b.String()
	if n, err := a.ui.workloadStream().Write([]byte(`{"exit":{"by":"workload","code":0}}` + "\n")); n != 0 || err == nil {
		t.Errorf("the workload could still write %d bytes", n)
	}
	a.ui.warningf("ending the Keep: too late")
	a.ui.result(resultLine{Exit: exitResult{By: "workload"}})
	if b.String() != want {
		t.Errorf("%q follows the result", strings.TrimPrefix(b.String(), want))
	}
}

// Ending the Keep can still warn when the workload has ended, so the result
// waits for the end of the command.
func TestResultWaitsForCleaningUp(t *testing.T) {
	var b bytes.Buffer
	a := &app{stdout: &bytes.Buffer{}, ui: newUI(&b)}
	r := &localRun{a: a, f: &runFlags{json: true}, steps: a.ui.begin(), work: &packed{}, runtime: &keepRuntime{}}
	a.ui.jsonErrors = true
	r.finish(&session.Exit{End: session.EndExit, Code: 3})
	if b.Len() != 0 || a.result == nil || a.result.Exit.Code != 3 || a.exit != 3 {
		t.Errorf("written before the end: %q, result %+v", &b, a.result)
	}
}

func TestPanicsAreExplained(t *testing.T) {
	var b bytes.Buffer
	a := &app{stdout: &bytes.Buffer{}, ui: newUI(&b)}
	code := a.execute([]string{"version"}) // asks for an environment that is not there
	if code != exitInternal || !strings.Contains(b.String(), "enarx: error: internal defect") || strings.Contains(b.String(), "goroutine") {
		t.Errorf("code %d: %s", code, &b)
	}
}

func TestOutcomeNeverTurnsAFailureIntoSuccess(t *testing.T) {
	a := &app{ui: newUI(&bytes.Buffer{})}
	for _, e := range []session.Exit{
		{End: session.EndExit, Code: 256}, {End: session.EndExit, Code: 1 << 32}, {End: session.EndExit, Code: 1<<64 - 1},
		{End: session.EndTrap}, {End: session.EndSignal}, {End: session.EndSignal, Code: 1 << 63}, {End: session.EndTimeout}, {End: session.EndStopped},
		{End: session.EndKilled}, {End: session.EndSetup}, {End: ""}, {End: "exit "}, {End: "surprise", Code: 0},
	} {
		r := a.outcome(&e)
		if r.Code <= 0 || r.Code > 255 {
			t.Errorf("%+v: code %d", e, r.Code)
		}
		if r.By == "enarx" && (r.Code < 120 || r.Code > 127) {
			t.Errorf("%+v: enarx's own code is %d", e, r.Code)
		}
	}
	for code := range uint64(256) {
		if r := a.outcome(&session.Exit{End: session.EndExit, Code: code}); r.By != "workload" || r.Code != int(code) {
			t.Errorf("exit code %d became %+v", code, r)
		}
	}
}

// Only the Keep knows who stopped a workload; nobody else is blamed for it.
func TestOutcomeSaysWhoStoppedIt(t *testing.T) {
	a := &app{ui: newUI(&bytes.Buffer{})}
	for reason, want := range map[string]string{
		"its owner stopped it":                    "stopped: its owner stopped it",
		"the host closed the sallyport":           "stopped: the host closed the sallyport",
		"the session it was attached to was lost": "stopped: the session it was attached to was lost",
		"lost\nenarx: all is well":                `stopped: lost\u000aenarx: all is well`,
		"":                                        "stopped: the Keep does not say why",
	} {
		if r := a.outcome(&session.Exit{End: session.EndStopped, Reason: reason}); r.Reason != want || r.Code != 143 {
			t.Errorf("%q: %+v, want %q", reason, r, want)
		}
	}
}

func TestWriteFileIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := writeFile(path, "x", []byte("one"), 0o600, true); err != nil {
		t.Fatal(err)
	}
	var ce *cliError
	if err := writeFile(path, "x", []byte("two"), 0o600, true); !errors.As(err, &ce) || ce.code != exitUsage {
		t.Errorf("an exclusive write over a file: %v", err)
	}
	if err := writeFile(path, "x", []byte("two"), 0o640, false); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(path)
	st, _ := os.Stat(path)
	if string(b) != "two" || st.Mode().Perm() != 0o640 {
		t.Errorf("%q, mode %o", b, st.Mode().Perm())
	}
	// A directory in the way: nothing is left beside it.
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(filepath.Join(dir, "dir"), "x", []byte("three"), 0o600, false); err == nil {
		t.Error("wrote over a directory")
	}
	// What is no file stays what it is.
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan string)
	go func() {
		b, _ := os.ReadFile(pipe)
		read <- string(b)
	}()
	if err := writeFile(pipe, "x", []byte("four"), 0o600, false); err != nil {
		t.Fatal(err)
	}
	if got := <-read; got != "four" {
		t.Errorf("the pipe got %q", got)
	}
	if st, err := os.Lstat(pipe); err != nil || st.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("the pipe became %v", st.Mode())
	}
	// A link stays one, and leads to the new content.
	link := filepath.Join(dir, "link")
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(link, "x", []byte("five"), 0o600, false); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "five" {
		t.Errorf("through the link: %q", b)
	}
	if _, err := os.Readlink(link); err != nil {
		t.Error(err)
	}
	names, _ := os.ReadDir(dir)
	if len(names) != 4 {
		t.Errorf("left behind: %v", names)
	}
}
