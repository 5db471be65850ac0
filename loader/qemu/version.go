// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// Version is a version of QEMU.
type Version struct{ Major, Minor int }

func (v Version) less(major, minor int) bool {
	return v.Major < major || v.Major == major && v.Minor < minor
}

// String gives the version as QEMU writes it, without the third number.
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

var versionPattern = regexp.MustCompile(`version (\d{1,3})\.(\d{1,3})`)

// parseVersion reads what qemu -version prints: "QEMU emulator version 7.2.22
// (Debian …)".
func parseVersion(text string) (Version, error) {
	m := versionPattern.FindStringSubmatch(text)
	if m == nil {
		return Version{}, fmt.Errorf("%q names no version of QEMU", clean(text))
	}
	// Three digits at most: neither can fail.
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return Version{major, minor}, nil
}

// program is a QEMU that was asked about itself.
type program struct {
	path    string
	version Version
	sandbox bool
	err     error
}

// findProgram looks for QEMU and asks what it is.
func findProgram(name string) program {
	p := program{}
	if p.path, p.err = exec.LookPath(name); p.err != nil {
		p.err = fmt.Errorf("QEMU (%s) is not installed: apt-get install qemu-system-x86", name)
		return p
	}
	// A QEMU without sandbox ends at that option, one with it goes on to
	// the next.
	text, err := describe(p.path, "-sandbox", sandboxRules, "-version")
	if p.sandbox = err == nil; !p.sandbox {
		text, err = describe(p.path, "-version")
	}
	if err != nil {
		p.err = fmt.Errorf("asking %s for its version: %w", p.path, err)
		return p
	}
	p.version, p.err = parseVersion(text)
	return p
}

// describe runs a program that prints something short and ends.
func describe(path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), describeTime)
	defer cancel()
	c := exec.CommandContext(ctx, path, args...)
	c.Env = []string{}
	c.Dir = "/"
	var out, complaint tail
	c.Stdout, c.Stderr = io.MultiWriter(&out), &complaint
	if err := c.Run(); err != nil {
		if said := complaint.lastLine(); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return "", err
	}
	if out.len() == 0 {
		return "", errors.New("it says nothing")
	}
	return out.String(), nil
}

// tail keeps the last maxComplaints bytes of what is written to it. It is for
// one writer; readers come after it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p[max(0, len(p)-maxComplaints):]...)
	if over := len(t.b) - maxComplaints; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }
func (t *tail) len() int       { return len(t.b) }

// lastLine is the last line that is not empty, fit to be shown.
func (t *tail) lastLine() string {
	lines := strings.Split(string(bytes.TrimSpace(t.b)), "\n")
	return strings.TrimSpace(clean(lines[len(lines)-1]))
}
