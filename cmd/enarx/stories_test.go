// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary stand in for enarx, so that each story runs
// the real program in a process of its own. The linker's flag is played by a
// variable that only this test binary reads.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"enarx": func() {
			keepDigest = os.Getenv("ENARX_TEST_KEEP_DIGEST")
			if d, err := time.ParseDuration(os.Getenv("ENARX_TEST_GRACE")); err == nil {
				timeoutGrace = d
			}
			if now, err := time.Parse(time.RFC3339, os.Getenv("ENARX_TEST_NOW")); err == nil {
				collateralNow = func() time.Time { return now }
			}
			main()
		},
	})
}

// builtKeep is the real Keep runtime, built once for all stories as the
// Makefile builds it.
var builtKeep = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "enarx-stories-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "keep")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, "../keep")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	// The Keep runs as nobody where it can, who must be able to reach it.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	return path, cmd.Run()
})

// TestStories runs the user stories of testdata.
func TestStories(t *testing.T) {
	stories, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(stories) < 10 {
		t.Fatalf("%d stories in testdata: %v", len(stories), err)
	}
	keep, err := builtKeep()
	if err != nil {
		t.Fatalf("building the Keep runtime: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(keep)) })
	vectors, err := filepath.Abs("../../attest/internal")
	if err != nil {
		t.Fatal(err)
	}
	elf, err := os.ReadFile(keep)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(elf)
	attestDir, err := filepath.Abs("../../attest")
	if err != nil {
		t.Fatal(err)
	}
	var count atomic.Int32
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			// A name of the Keep runtime for each story, so that it can look
			// for Keeps of its own.
			keep := fmt.Sprintf("%s-%d", keep, count.Add(1))
			if err := os.Link(filepath.Join(filepath.Dir(keep), "keep"), keep); err != nil {
				return err
			}
			// Nothing of the developer's own configuration shows through.
			home := filepath.Join(e.WorkDir, "home")
			for k, v := range map[string]string{
				"HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, "config"), "XDG_STATE_HOME": filepath.Join(home, "state"),
				"XDG_CACHE_HOME": filepath.Join(home, "cache"), "XDG_RUNTIME_DIR": "",
				"ENARX_KEEP": keep, "ENARX_TEST_KEEP_DIGEST": hex.EncodeToString(digest[:]),
				"ODDNAME": "a\x1b[2Jb",
				// Evidence of real hardware lies below it.
				"ATTEST": attestDir,
				// Evidence of real hardware, where its verifiers keep it.
				"VECTORS": vectors,
			} {
				e.Setenv(k, v)
			}
			kernel, stub := storyPackages()
			e.Setenv("KERNEL", kernel)
			e.Setenv("STUB", stub)
			if err := os.CopyFS(filepath.Join(e.WorkDir, "mod"), os.DirFS("testdata/mod")); err != nil {
				return err
			}
			return os.MkdirAll(home, 0o700)
		},
		Cmds:      scriptCmds,
		Condition: storyCondition,
		// A story that hangs must not take the whole suite's time.
		// All stories share it; a busy machine needs some three minutes.
		Deadline:           time.Now().Add(6 * time.Minute),
		RequireUniqueNames: true,
	})
}
