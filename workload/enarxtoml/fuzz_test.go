// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarxtoml

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/workload"
)

// FuzzParse: no text makes Parse panic; on an error there is no Doc and every
// error has a place inside the text; what is accepted can be packed.
func FuzzParse(f *testing.F) {
	seeds, err := filepath.Glob("testdata/published/*.toml")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds in testdata/published: %v", err)
	}
	for _, s := range seeds {
		data, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(Template()))
	f.Add([]byte("files=[{kind='listen'},1]\n[[mounts]]\nguest=1\n[secrets]\na.b.c=1\n[limits]\nmemory='9GiB'\n"))
	f.Add([]byte(strings.Repeat("a.", 1000) + "b=1"))
	f.Add([]byte("args=" + strings.Repeat("[", 1000) + strings.Repeat("]", 1000)))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse("f", data)
		if err != nil {
			var all Errors
			if d != nil || !errors.As(err, &all) || len(all) == 0 || err.Error() == "" {
				t.Fatalf("%v with %v", d, err)
			}
			lines := strings.Count(string(data), "\n") + 1
			for _, e := range all {
				if e.Line < 1 || e.Line > lines || e.Col < 1 || e.Col > len(data)+1 {
					t.Fatalf("%v is outside the text", e)
				}
			}
			return
		}
		if _, err := workload.Pack(workload.Package{Config: d.Config(), Module: emptyModule}); err != nil {
			t.Fatalf("accepted, but cannot be packed: %v", err)
		}
	})
}

// TestHostileTextIsBounded: texts that are built to take time or stack.
func TestHostileTextIsBounded(t *testing.T) {
	for name, text := range map[string]string{
		"deep arrays":  "a=" + strings.Repeat("[", MaxSize-10),
		"closed":       "args=" + strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"deep keys":    strings.Repeat("a.", MaxSize/2-10) + "b=1",
		"deep table":   "[" + strings.Repeat("a.", MaxSize/2-10) + "b]",
		"many keys":    manyKeys(80_000),
		"many tables":  strings.ReplaceAll(strings.ReplaceAll(manyKeys(80_000), "k", "[k"), "=1", "]"),
		"most keys":    manyKeys(MaxKeys),
		"many files":   strings.Repeat("[[files]]\n", MaxSize/10),
		"inline":       "a=" + strings.Repeat("{a=", MaxSize/3-1),
		"wrong inside": "args=[" + strings.Repeat("1,", MaxSize/2-10) + "]",
	} {
		if _, err := Parse("E", []byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("k" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26)) + string(rune('a'+i/17576)) + "=1\n")
	}
	return b.String()
}
