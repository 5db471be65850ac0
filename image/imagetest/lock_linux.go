// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package imagetest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// lock holds a lock between test processes until the function that it returns
// is called.
func lock(t testing.TB, path string) func() {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}
