// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/enarx/enarx-go/attest"
)

// minWidth and maxWidth bound the lines of progress: below the first the
// columns would not fit, beyond the second the eye loses the line.
const (
	minWidth = 40
	maxWidth = 100
)

// ui writes everything that is not data. It is safe for concurrent use.
type ui struct {
	mu sync.Mutex
	w  io.Writer
	// terminal says that a person watches: progress is shown.
	terminal bool
	width    int
	colour   bool
	// jsonErrors says that errors are reported as one line of JSON.
	jsonErrors bool
	// quiet silences progress also on a terminal (with --json).
	quiet bool
	// midLine says that the last thing written (by the workload) did not end
	// its line, so that ours must not be glued to it.
	midLine bool
	// over says that the result line has been written, which is the last.
	over bool
}

// newUI looks at the stream: only a terminal gets progress and colour.
func newUI(w io.Writer) *ui {
	u := &ui{w: w, width: 80}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return u
	}
	u.terminal = true
	if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
		u.width = min(max(n, minWidth), maxWidth)
	}
	u.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return u
}

// line writes one whole line in a single write, so that lines of other
// processes on the same terminal do not get mixed into it.
func (u *ui) line(s string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.write(s)
}

// write is line for who holds the lock.
func (u *ui) write(s string) {
	if u.over {
		return
	}
	if u.midLine {
		s = "\n" + s
		u.midLine = false
	}
	io.WriteString(u.w, s+"\n")
}

func (u *ui) errorf(format string, args ...any)   { u.say("error", "31", format, args...) }
func (u *ui) hintf(format string, args ...any)    { u.say("hint", "36", format, args...) }
func (u *ui) warningf(format string, args ...any) { u.say("warning", "33", format, args...) }

// notef says something that is neither: a line of state a user must see.
func (u *ui) notef(format string, args ...any) { u.say("", "", format, args...) }

func (u *ui) say(kind, colour, format string, args ...any) {
	text := oneLine(fmt.Sprintf(format, args...))
	if kind != "" {
		if u.colour {
			kind = "\x1b[" + colour + "m" + kind + ":\x1b[0m"
		} else {
			kind += ":"
		}
		text = kind + " " + text
	}
	u.line("enarx: " + text)
}

// oneLine keeps text from elsewhere (an agent, a module's name) from acting on
// the terminal: control characters are shown, not obeyed.
func oneLine(s string) string {
	clean := func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || isBidi(r) }
	if strings.IndexFunc(s, clean) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if clean(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// isBidi says that r changes the direction of text, which can make a line read
// as something else.
func isBidi(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f
}

// step shows one finished step with its time, on a terminal only.
func (u *ui) step(name, detail string, d time.Duration) {
	if !u.terminal || u.quiet {
		return
	}
	u.line(u.formatStep(oneLine(name), oneLine(detail), d))
}

// formatStep lays a step out: name, detail cut to fit, time at the right edge.
func (u *ui) formatStep(name, detail string, d time.Duration) string {
	const nameWidth = 18
	took := formatDuration(d)
	room := u.width - len("enarx: ") - nameWidth - 2 - utf8.RuneCountInString(took) - 1
	left := fmt.Sprintf("%-*s  ", nameWidth, name)
	if extra := len([]rune(left)) - nameWidth - 2; extra > 0 {
		room -= extra
	}
	room = max(room, 0)
	r := []rune(detail)
	if len(r) > room {
		if room > 1 {
			r = append(r[:room-1], '…')
		} else {
			r = nil
		}
	}
	pad := strings.Repeat(" ", room-len(r)+1)
	if u.colour {
		took = "\x1b[2m" + took + "\x1b[0m"
	}
	return "enarx: " + left + string(r) + pad + took
}

// formatDuration gives three significant places and a fixed width of 8.
func formatDuration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%5d µs", d.Microseconds())
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%5.1f ms", float64(d)/1e6)
	case d < 10*time.Second:
		return fmt.Sprintf("%5d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%5.1f s ", d.Seconds())
}

// formatBytes words a size for people, in powers of 1,024.
func formatBytes(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/unit, 0
	for v >= unit && i < len("KMGTPE")-1 {
		v, i = v/unit, i+1
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTPE"[i])
}

// workloadStream wraps the stream on which the workload's stderr goes, so that
// a line of ours never continues one of the workload's.
func (u *ui) workloadStream() io.Writer { return (*workloadStderr)(u) }

type workloadStderr ui

func (w *workloadStderr) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return 0, os.ErrClosed // of a workload that was given up
	}
	if len(p) > 0 {
		w.midLine = p[len(p)-1] != '\n'
	}
	return w.w.Write(p)
}

// exitResult says whose exit code it is and why.
type exitResult struct {
	By     string `json:"by"` // "workload" or "enarx"
	Code   int    `json:"code"`
	Reason string `json:"reason,omitempty"`
	Hint   string `json:"hint,omitempty"`
}

// resultLine is the last line on stderr with --json.
type resultLine struct {
	Exit     exitResult `json:"exit"`
	Platform string     `json:"platform,omitempty"`
	// Bundle is the workload's digest, Keep that of the Keep runtime (the
	// local file's, or the one that a deployment demanded), Engine what it
	// says runs the module.
	Bundle string `json:"bundle,omitempty"`
	Keep   string `json:"keep,omitempty"`
	Engine string `json:"engine,omitempty"`
	// Steps follow one another and add up to the run; KeepSteps are the
	// Keep's own and lie within them.
	Steps     []stepResult `json:"steps,omitempty"`
	KeepSteps []stepResult `json:"keep_steps,omitempty"`
	Ports     []portResult `json:"ports,omitempty"`
	// Owner is the file that gives access to a deployment.
	Owner     string         `json:"owner,omitempty"`
	Detached  bool           `json:"detached,omitempty"`
	Verdict   attest.Verdict `json:"verdict,omitempty"`
	Statement []attest.Layer `json:"statement,omitempty"`
}

// stepResult is one step with its time in microseconds.
type stepResult struct {
	Name  string `json:"name"`
	Micro int64  `json:"us"`
}

// portResult is a listener of the workload and where the host says it is.
type portResult struct {
	Name  string `json:"name"`
	Guest uint16 `json:"guest"`
	Bound string `json:"bound"`
}

// progress shows the steps of one run and keeps them for --json.
type progress struct {
	ui    *ui
	last  time.Time
	steps []stepResult
}

func (u *ui) begin() *progress { return &progress{ui: u, last: time.Now()} }

// done ends a step that began where the last one ended.
func (p *progress) done(name, detail string) {
	now := time.Now()
	p.took(name, detail, now.Sub(p.last))
	p.last = now
}

// took is a step whose time somebody else has measured.
func (p *progress) took(name, detail string, d time.Duration) {
	p.steps = append(p.steps, stepResult{name, d.Microseconds()})
	p.ui.step(name, detail, d)
	p.last = time.Now()
}

// result writes the line of --json. It is the last thing that is written, so a
// workload that prints such a line itself cannot pass for it.
func (u *ui) result(r resultLine) {
	b, err := json.Marshal(r)
	if err != nil {
		b = []byte(`{"exit":{"by":"enarx","code":120,"reason":"result could not be encoded"}}`)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.write(string(b))
	u.over = true
}

// writeJSON prints v as data.
func (a *app) writeJSON(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return failf(exitInternal, "", "encoding the result: %w", err)
	}
	return a.emit("%s\n", b)
}
