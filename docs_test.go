// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarx

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinksLeadSomewhere checks the links between the files of the repository.
func TestLinksLeadSomewhere(t *testing.T) {
	checked := 0
	for _, f := range projectFiles(t) {
		if filepath.Ext(f) != ".md" {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			to, _, _ := strings.Cut(m[1], "#")
			if to == "" || strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			checked++
			if _, err := os.Stat(filepath.Join(filepath.Dir(f), to)); err != nil {
				t.Errorf("%s links to %s: %v", f, m[1], err)
			}
		}
	}
	if checked == 0 {
		t.Fatal("no link found: nothing was checked")
	}
}

// TestExitCodesAreDocumented compares docs/exit-codes.md with the constants.
func TestExitCodesAreDocumented(t *testing.T) {
	source, err := os.ReadFile("cmd/enarx/exitcodes.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, m := range regexp.MustCompile(`(?m)^\s*exit\w+\s*=\s*(\d+)`).FindAllStringSubmatch(string(source), -1) {
		code, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if code < 120 || code > 127 {
			continue
		}
		own++
		if !strings.Contains(string(doc), fmt.Sprintf("\n| %d | ", code)) {
			t.Errorf("docs/exit-codes.md has no row for %d", code)
		}
	}
	if rows := regexp.MustCompile(`(?m)^\| 12[0-7] \|`).FindAll(doc, -1); own == 0 || len(rows) != own {
		t.Errorf("docs/exit-codes.md has %d rows for enarx's own codes, cmd/enarx/exitcodes.go has %d constants", len(rows), own)
	}
}

// TestMakeTargetsInDocsExist looks for every "make X" of the Markdown files in
// the Makefile.
func TestMakeTargetsInDocsExist(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, f := range projectFiles(t) {
		if filepath.Ext(f) != ".md" {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?:`|\\$ |    )make ([a-z-]+)").FindAllStringSubmatch(string(b), -1) {
			checked++
			if !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s says make %s, which the Makefile does not have", f, m[1])
			}
		}
	}
	if checked == 0 {
		t.Fatal("no make target found: nothing was checked")
	}
}

// TestEveryInvariantIsAttacked demands for each invariant of the threat model
// at least one test that is named for it.
func TestEveryInvariantIsAttacked(t *testing.T) {
	doc, err := os.ReadFile("docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) \| `).FindAllStringSubmatch(string(doc), -1)
	if len(rows) < 11 {
		t.Fatalf("docs/threat-model.md has %d rows of invariants, expected at least 11", len(rows))
	}
	tests := map[string]int{}
	for _, f := range projectFiles(t) {
		if !strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func TestInvariant(\d+)`).FindAllStringSubmatch(string(b), -1) {
			tests[m[1]]++
		}
	}
	for _, r := range rows {
		if tests[r[1]] == 0 {
			t.Errorf("no test named TestInvariant%s… attacks invariant %s", r[1], r[1])
		}
	}
}

// TestInvariant7Reproducible_FromTwoDirectories builds the Keep twice, in two
// places. It takes most of a minute, since nothing may come from a cache, so a
// short run leaves it out.
func TestInvariant7Reproducible_FromTwoDirectories(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: builds the Keep and the standard library twice")
	}
	if out, err := exec.Command("scripts/reproduce").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// otherFlags are flags of other programs that the docs mention.
var otherFlags = map[string]bool{"cacert": true, "no-install-recommends": true, "silent": true, "ignore-scripts": true,
	"no-audit": true, "no-fund": true, "edition": true, "target": true, "sysroot": true, "disable-gems": true, "swift-sdk": true,
	// Nim's: the last is the beginning of passC and passL.
	"cc": true, "mm": true, "exceptions": true, "threads": true, "pass": true}

// TestFlagsInDocsExist looks for every flag of the Markdown files in the source
// of the commands.
func TestFlagsInDocsExist(t *testing.T) {
	var source strings.Builder
	files, err := filepath.Glob("cmd/enarx/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	checked := 0
	for _, f := range projectFiles(t) {
		if filepath.Ext(f) != ".md" || strings.Contains(f, "testdata/") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("[ `(]--([a-z][a-z-]*[a-z])([^a-z-]|$)").FindAllStringSubmatch(string(b), -1) {
			if otherFlags[m[1]] {
				continue
			}
			checked++
			if !strings.Contains(source.String(), `"`+m[1]+`"`) {
				t.Errorf("%s mentions --%s, which no command has", f, m[1])
			}
		}
	}
	if checked == 0 {
		t.Fatal("no flag found: nothing was checked")
	}
}
