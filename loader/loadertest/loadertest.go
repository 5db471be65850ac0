// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package loadertest is the suite that the loader of every platform must pass.
//
// A test package of a loader hands it a [Harness] and calls [Run]; its TestMain
// calls [Main], through which the suite starts a second process of the test
// binary to kill it in the middle of its work. The Keep that is started is no
// real one but a small program of tests (testdata/testkeep, see [Build]): it
// boots and seals itself as a Keep of the platform does and then answers lines
// of text, so that the suite can make it end, print, eat memory and hang.
package loadertest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/loader"
)

// Harness is what the suite needs of a platform.
type Harness struct {
	// Loader gives the loader under test.
	Loader func() loader.Loader
	// Keep is the path of the test Keep's ELF.
	Keep string
	// MemoryBytes is the size to start Keeps with that shall run out of
	// memory; 0 where the host has no means to bound it.
	MemoryBytes uint64
	// Many is how many Keeps are started at once; 0 means 20.
	Many int
	// Codes are the exit statuses to try; nil means 0, 1, 7 and 255.
	Codes []int
	// Patience is how long a Keep may take to be gone; 0 means 20 s.
	Patience time.Duration
	// EndWithLoader says that the Keep's processes end with the loader's, so
	// that Cleanup finds only what is no process.
	EndWithLoader bool
	// Records is how many times a start records what there is; 0 means 2.
	Records int
	// Leave names tests that are left to another platform of the same loader.
	Leave []string
}

func (h Harness) many() int {
	if h.Many == 0 {
		return 20
	}
	return h.Many
}

func (h Harness) codes() []int {
	if h.Codes == nil {
		return []int{0, 1, 7, 255}
	}
	return h.Codes
}

// patience is that of the suite that runs: helpers that know no Harness use it.
var patience = 20 * time.Second

// Build compiles the test Keep into dir, with CGO_ENABLED=0 as the real one.
func Build(dir string) (string, error) {
	_, file, _, _ := runtime.Caller(0)
	out := filepath.Join(dir, "testkeep")
	c := exec.Command("go", "build", "-o", out, ".")
	c.Dir = filepath.Join(filepath.Dir(file), "testdata", "testkeep")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the test Keep: %w\n%s", err, b)
	}
	return out, os.Chmod(out, 0o755)
}

// Spec is a Keep's spec for one test.
func Spec(t testing.TB, h Harness) loader.Spec {
	t.Helper()
	f, err := os.Open(h.Keep)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return loader.Spec{ID: fmt.Sprintf("test-%d-%s", os.Getpid(), filepath.Base(t.TempDir())), Keep: f, StateDir: t.TempDir()}
}

// Running is a started Keep and its talk.
type Running struct {
	loader.Keep
	talk *bufio.Scanner
}

// Start starts a Keep and ends it with the test.
func Start(t testing.TB, l loader.Loader, spec loader.Spec) *Running {
	t.Helper()
	k, err := l.Start(t.Context(), spec, func(loader.Record) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.Kill()
		k.Channel().Close()
		Gone(t, k)
	})
	return &Running{k, bufio.NewScanner(k.Channel())}
}

// Say sends a line and returns the answer, "" if the Keep ended instead.
func (r *Running) Say(t testing.TB, line string) string {
	t.Helper()
	if _, err := io.WriteString(r.Channel(), line+"\n"); err != nil {
		return ""
	}
	if !r.talk.Scan() {
		return ""
	}
	return r.talk.Text()
}

// Gone waits for a Keep's end.
func Gone(t testing.TB, k loader.Keep) loader.Exit {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	e, err := k.Wait(ctx)
	if err != nil {
		t.Errorf("the Keep is not gone: %v", err)
	}
	return e
}

const (
	crashEnv = "ENARX_LOADERTEST_CRASH" // path of the test Keep
	dirEnv   = "ENARX_LOADERTEST_DIR"   // where to write the record
	atEnv    = "ENARX_LOADERTEST_AT"    // after which record to wait for the end; "" for after the start
)

// Crashing says that this process plays the loader's process that will be
// killed: its TestMain must make nothing that it would have to remove.
func Crashing() bool { return os.Getenv(crashEnv) != "" }

// Main runs m, or plays the loader's process that the suite will kill.
func Main(m *testing.M, l func() loader.Loader) int {
	if !Crashing() {
		return m.Run()
	}
	fmt.Fprintln(os.Stderr, crash(l()))
	return 1
}

// crash starts a Keep that does not end by itself, and waits to be killed. It
// returns only when something goes wrong.
func crash(l loader.Loader) error {
	f, err := os.Open(os.Getenv(crashEnv))
	if err != nil {
		return err
	}
	dir := os.Getenv(dirEnv)
	spec := loader.Spec{ID: fmt.Sprintf("crash-%d", os.Getpid()), Keep: f, StateDir: dir, MemoryBytes: 1 << 28}
	records := 0
	k, err := l.Start(context.Background(), spec, func(r loader.Record) error {
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "record"), b, 0o600); err != nil {
			return err
		}
		if records++; os.Getenv(atEnv) == strconv.Itoa(records) {
			awaitKill()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(k.Channel(), "hang\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(k.Channel()).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "hanging" {
		return fmt.Errorf("the Keep said %q, %v", line, err)
	}
	awaitKill()
	return nil
}

// awaitKill says that the time has come.
func awaitKill() {
	fmt.Println("started")
	for {
		time.Sleep(time.Hour)
	}
}
