// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/image"
)

// TestMain makes the test binary a builder that faults can be put upon.
func TestMain(m *testing.M) {
	if dir := os.Getenv("ENARX_TEST_WRITE_IMAGE"); dir != "" {
		os.Exit(writer(dir))
	}
	os.Exit(m.Run())
}

// writer builds an image of fakes and writes it under a limit on the size of
// files, to which the kernel holds it as a full disk would.
func writer(dir string) int {
	limit, err := strconv.ParseUint(os.Getenv("ENARX_TEST_FILE_LIMIT"), 10, 64)
	t := &quiet{}
	in := fakeInputs(t)
	in.Release = "0.0.9"
	c := build(t, in)
	if err == nil {
		signal.Ignore(unix.SIGXFSZ)
		err = unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit})
	}
	fmt.Println("writing")
	for err == nil {
		if _, err = c.Write(dir); os.Getenv("ENARX_TEST_FOREVER") == "" {
			break
		}
	}
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// quiet is a testing.TB for the builder's process.
type quiet struct{ testing.TB }

func (*quiet) Helper()           {}
func (*quiet) Fatal(args ...any) { fmt.Println(args...); os.Exit(2) }

func writerCmd(t *testing.T, dir string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "ENARX_TEST_WRITE_IMAGE="+dir), env...)
	return cmd
}

// TestInvariant12NothingHalfDone_DiskFull lets the disk be full at every size
// of file. Nothing is left, and the image that was there stays.
func TestInvariant12NothingHalfDone_DiskFull(t *testing.T) {
	for _, limit := range []int{0, 100, 1000, 3000, 20_000, 1 << 20} {
		for _, there := range []bool{false, true} {
			parent := t.TempDir()
			dir := filepath.Join(parent, "image")
			if there {
				if _, err := build(t, fakeInputs(t)).Write(dir); err != nil {
					t.Fatal(err)
				}
			}
			out, err := writerCmd(t, dir, fmt.Sprintf("ENARX_TEST_FILE_LIMIT=%d", limit)).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "file too large") {
				t.Errorf("limit %d: %v, %s", limit, err, out)
			}
			only(t, parent, there)
		}
	}
}

// only demands that there is an image of release 0.0.1 in parent, or nothing.
func only(t *testing.T, parent string, there bool) {
	t.Helper()
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	if !there {
		if len(entries) != 0 {
			t.Errorf("%v are left", entries)
		}
		return
	}
	i, err := image.Open(context.Background(), filepath.Join(parent, "image"))
	if err != nil || len(entries) != 1 || i.Manifest.Release != "0.0.1" {
		t.Errorf("%v are there, expected the image alone: %v", entries, err)
	}
}

// TestInvariant12NothingHalfDone_KilledBuild kills a builder at moments that
// nobody chose. The image is whole each time, and the next build tidies up.
func TestInvariant12NothingHalfDone_KilledBuild(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "image")
	if _, err := build(t, fakeInputs(t)).Write(dir); err != nil {
		t.Fatal(err)
	}
	for n := range 8 {
		cmd := writerCmd(t, dir, "ENARX_TEST_FILE_LIMIT="+strconv.Itoa(1<<40), "ENARX_TEST_FOREVER=yes")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 64)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Duration(n) * 7 * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		if _, err := image.Open(context.Background(), dir); err != nil {
			t.Errorf("after kill %d: %v", n, err)
		}
	}
	if _, err := build(t, fakeInputs(t)).Write(dir); err != nil {
		t.Fatal(err)
	}
	only(t, parent, true)
}
