// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

// allReasons reads the reasons out of the source of package attest, so that one
// which somebody adds is missed here and not by a user.
func allReasons(t *testing.T) []attest.Reason {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), "../../attest/reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []attest.Reason
	ast.Inspect(tree, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		lit, ok := v.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		s, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, attest.Reason(s))
		return true
	})
	if len(out) < 45 {
		t.Fatalf("only %d reasons found", len(out))
	}
	return out
}

// Every reason has exactly one exit code, and no code two reasons.
func TestEveryReasonHasOneExitCode(t *testing.T) {
	codes := map[int]attest.Reason{exitForecast: "the forecast"}
	for _, e := range reasonTable {
		if other, taken := codes[e.code]; taken {
			t.Errorf("code %d is of %q and of %q", e.code, other, e.reason)
		}
		codes[e.code] = e.reason
		if e.code < 10 || e.code >= exitInternal {
			t.Errorf("%s has code %d, outside of 10 to %d", e.reason, e.code, exitInternal-1)
		}
	}
	reasons := allReasons(t)
	for _, r := range reasons {
		n := 0
		for _, e := range reasonTable {
			if e.reason == r {
				n++
			}
		}
		if n != 1 || codes[reasonCode(r)] != r {
			t.Errorf("reason %q stands %d times in the table, with code %d", r, n, reasonCode(r))
		}
	}
	if len(reasons) != len(reasonTable) {
		t.Errorf("%d reasons, %d codes", len(reasons), len(reasonTable))
	}
	if reasonCode("") != exitOK || reasonCode("never heard of") == exitOK {
		t.Error("no reason is success, and an unknown one is not")
	}
}

// Help and docs/exit-codes.md say what the table says.
func TestReasonCodesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	var help bytes.Buffer
	run([]string{"verify", "--help"}, strings.NewReader(""), &help, &bytes.Buffer{})
	for _, e := range reasonTable {
		if line := fmt.Sprintf("| %d | `%s` | %s |", e.code, e.reason, e.text); !strings.Contains(string(doc), line) {
			t.Errorf("docs/exit-codes.md has no line %s", line)
		}
		if !strings.Contains(help.String(), fmt.Sprintf("%d  %s", e.code, e.text)) {
			t.Errorf("verify --help does not explain %d", e.code)
		}
	}
}
